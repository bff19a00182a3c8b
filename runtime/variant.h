/* SPDX-License-Identifier: MIT */
/*
 * The functions of a program's kernels: when they are compiled, and which of them a launch runs.
 *
 * A build only describes its kernels. The generic function of a kernel is compiled, or found in the compiler's cache,
 * when the kernel is launched for the first time. When a kernel has worked for a while with some local size, functions
 * specialised for that size are made, one of them with loops that the work-items share; they are often faster and
 * sometimes much slower, so they are measured (trial.h) and the fastest stays, which is remembered on disk (choices.h).
 *
 * Specialising is done by one background thread. It is started when there is work and ends when there is none. It holds neither
 * programs nor the engine alive and keeps no process from exiting. It and the compiler have the priority of everybody else:
 * beside kernels that keep all processors busy, a compiler of low priority would take ten times as long, at the same cost, and most
 * programs would end before it does.
 *
 * Locks: one for the process, a leaf: taken while any other lock is held; the only calls made with it are those that
 * place code in the engine. And one for each program around the first compilation of its kernels, taken with no lock.
 */
#ifndef MCL_VARIANT_H
#define MCL_VARIANT_H

#include "runtime/program.h"

/* Local sizes that one kernel is specialised for, the first to come; launches with others run the generic function. */
#define MCL_SPECIALIZED_SIZES 4

/*
 * Kernel time with one local size before functions are made for it. Making them costs about a second of a processor's
 * time, which kernels that keep all processors busy lose: a process that ends soon should not pay for what it will not
 * use, nor pay again every time it is run: it is four times as much after each attempt that came to nothing (choices.h).
 */
#define MCL_SPECIALIZE_AFTER_NS 300000000u
/* And so many launches: the first ones tell nothing of the later ones. */
#define MCL_SPECIALIZE_AFTER_LAUNCHES 3
/* Of launches that are shorter than this one in so many is measured: that costs as much as a small kernel does. */
#define MCL_SPECIALIZE_SHORT_NS 10000u
#define MCL_SPECIALIZE_SAMPLE 64u

/*
 * For @build, compiled from @source. Returns NULL when memory is short: then kernels without code cannot be launched.
 */
struct mcl_variants *mcl_variants_create(struct mcl_build *build, struct mcl_source *source);

/* @build dies: nothing is added to it any more when this returns. NULL is allowed. */
void mcl_variants_detach(struct mcl_variants *v);

/*
 * Make sure that kernel @index can be launched with these sizes, and choose what runs: launch->variant is set from
 * launch->kernel, .local_size and .global_offset. *@use is for mcl_variant_measured(). Usually a few loads; compiles, and
 * blocks, when the kernel is launched for the first time. No locks held. Returns 0 or the -errno of mcl_compile() or
 * mcl_program_add_variants(), the same for every later launch.
 */
int mcl_variants_prepare(struct mcl_variants *v, struct mcl_launch *launch, struct mcl_variant_use *use,
			 struct mcl_reason *why);

/* The launch that got @use took @ns. Any lock may be held, and the launch's build still is. */
void mcl_variant_measured(const struct mcl_variant_use *use, uint64_t ns, uint64_t faults);

/* Device page faults so far, for mcl_variant_use.faults and mcl_variant_measured(). */
uint64_t mcl_variant_faults(struct mcl_backend *backend);

/* Wait until the background thread has nothing to do. For tests. */
void mcl_variants_drain(void);

#endif
