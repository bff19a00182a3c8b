/* SPDX-License-Identifier: MIT */
/*
 * A backend for unit tests of the runtime: implements backend.h with host threads, one for each ring, which execute
 * packets in order. A kernel is whatever C function the test installs. Link it instead of the real backend.
 *
 * The knobs below are for tests only; all may be called at any time from any thread.
 */
#ifndef MCL_FAKE_BACKEND_H
#define MCL_FAKE_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"

/* A launch as the engine would see it: arguments are copies. */
struct mcl_fake_launch {
	struct mcl_launch launch; /* .args is valid, with .value copied */
	const struct mcl_code_object *co; /* of launch.code */
	uint32_t arg_count;
	struct mcl_ring *ring;
};

/*
 * What every launch runs; NULL (the default): nothing. It may run @work_dim loops itself; its result is the packet's.
 * Called on the ring's thread without locks.
 */
typedef enum mcl_status (*mcl_fake_kernel_fn)(const struct mcl_fake_launch *launch, void *ctx);
void mcl_fake_set_kernel(mcl_fake_kernel_fn fn, void *ctx);

/* While held no packet starts (those running finish). */
void mcl_fake_hold(bool hold);

/* The engine dies: unfinished packets are LOST, the backend stays dead, a new mcl_backend_open() gets a living one. */
void mcl_fake_kill(void);

/* Packets a ring created from now on holds before submission answers -EAGAIN (default 256). */
void mcl_fake_set_ring_size(uint32_t packets);

/* From now on mcl_svm_alloc() of more than @limit bytes in total fails; 0: no limit. */
void mcl_fake_set_memory_limit(uint64_t limit);

/* From now on mcl_backend_open() fails with this -errno; 0: works. */
void mcl_fake_set_open_error(int err);

/* What mcl_backend_counters() tells from now on, and mcl_backend_mirror(); .name: "fake". NULL: kernels only, nothing. */
void mcl_fake_set_counters(const struct mcl_counters *counters, const struct mcl_backend_mirror *mirror);

/*
 * What mcl_ring_abort() tells from now on, once for each packet that ends in FAULT, TRAP or RESOURCES; its .status is the packet's. NULL:
 * nothing is known.
 */
void mcl_fake_set_abort(const struct mcl_abort *abort, const char *kernel);

/* Counts since the process started, for leak checks. */
struct mcl_fake_counts {
	uint64_t backends, rings, programs; /* alive now */
	uint64_t svm_blocks, svm_bytes; /* alive now */
	uint64_t launches, copies, fills, nops; /* executed ever, LOST ones excluded */
	uint64_t migrations; /* calls of mcl_svm_migrate() */
	uint64_t variants; /* successful mcl_program_add_variants() ever */
};
void mcl_fake_counts(struct mcl_fake_counts *out);

#endif
