/* SPDX-License-Identifier: MIT */
/*
 * Work-group functions for the local sizes that a program uses: they are faster than the generic ones, but nobody knows the
 * sizes before the first launch. So the generic ones are compiled first; when a size has been used a few times, one
 * background thread of low priority compiles for it and adds the result to the running program. The sizes are
 * remembered on disk (used_sizes.h): the next run of the program finds everything in the compiler's cache at build time.
 *
 * The thread is started when there is work and ends when there is none. It holds neither programs nor the engine alive
 * and keeps no process from exiting.
 *
 * Locks: one for the process, a leaf: taken while any other lock is held; the only calls made with it are those that
 * place code in the engine.
 */
#ifndef MCL_SPECIALIZE_H
#define MCL_SPECIALIZE_H

#include "runtime/program.h"

/* Sizes that one program is specialised for, the first to come; a program that uses more runs the rest generically. */
#define MCL_SPECIALIZED_SIZES 4

/*
 * For @build, compiled from @source with the variants that @co holds. Returns NULL when it is of no use (switched off, every
 * kernel requires its size) or when memory is short, which is no error.
 */
struct mcl_specialization *mcl_specialization_create(struct mcl_build *build, struct mcl_source *source);

/* @build dies: nothing is added to it any more when this returns. NULL is allowed. */
void mcl_specialization_detach(struct mcl_specialization *s);

/* As mcl_build_request_local_size(). */
void mcl_specialization_request(struct mcl_specialization *s, const uint64_t local[3]);

/* Wait until the background thread has nothing to do. For tests. */
void mcl_specialization_drain(void);

#endif
