/* SPDX-License-Identifier: MIT */
/*
 * What the two files behind variant.h share: variant.c, which says what a launch runs, and specialise.c, which makes functions in
 * the background.
 */
#ifndef MCL_VARIANT_PRIVATE_H
#define MCL_VARIANT_PRIVATE_H

#include <pthread.h>

#include "runtime/trial.h"
#include "runtime/variant.h"

enum mcl_shape_state {
	SHAPE_NEW, /* launches are counted */
	SHAPE_WANTED, /* the background thread is to make functions */
	SHAPE_TRIAL, /* they are there, and measured */
	SHAPE_DECIDED, /* .choice is the fastest, as far as is known */
};

/* A kernel and a local size. Found without a lock, claimed under the owner's .compiling, never given back. */
struct mcl_shape {
	_Atomic uint64_t key; /* packed local size; 0: free */
	_Atomic int state; /* enum mcl_shape_state */
	_Atomic int choice; /* enum mcl_variant */
	_Atomic uint32_t unmeasured; /* launches that are not looked at; races lose a few */
	struct mcl_variants *owner;
	uint32_t kernel;
	/* Under the lock. */
	uint32_t launches;
	uint32_t weight; /* launches that the next measurement stands for, less one */
	uint64_t ns, after; /* of the kernel so far; functions are made when it has reached this */
	struct mcl_trial trial;
	bool unsaved; /* the choice is to be written to disk */
};

struct mcl_kernel_code {
	_Atomic bool ready; /* there is a generic function */
	int failed; /* -errno; with .why, under the owner's .compiling */
	struct mcl_reason why;
	struct mcl_shape shapes[MCL_SPECIALIZED_SIZES];
};

struct mcl_variants {
	_Atomic uint32_t refs; /* the build's, and the queue's while queued or worked on */
	struct mcl_source *source;
	struct mcl_code_object *co;
	pthread_mutex_t compiling; /* first compilations */
	bool specialize;

	/* Under the lock. */
	struct mcl_build *build; /* NULL once it is gone */
	bool queued;
	struct mcl_variants *next;

	uint32_t count;
	struct mcl_kernel_code kernels[];
};

/* The one lock of variant.h; a leaf. */
extern pthread_mutex_t mcl_variant_lock;

/* 21 bits each: far more than any work-group has. Never 0. */
static inline uint64_t mcl_shape_pack(const uint64_t local[3])
{
	if ((local[0] | local[1] | local[2]) >> 21 || !local[0] || !local[1] || !local[2])
		return 0;
	return local[0] | local[1] << 21 | local[2] << 42;
}

static inline void mcl_shape_unpack(uint64_t key, uint64_t local[3])
{
	local[0] = key & ((1u << 21) - 1);
	local[1] = key >> 21 & ((1u << 21) - 1);
	local[2] = key >> 42;
}

static inline const char *mcl_variant_kernel(const struct mcl_variants *v, uint32_t index)
{
	return mcl_co_string(v->co, v->co->kernels[index].name);
}

/* From now on launches run @choice and are not measured. */
static inline void mcl_shape_decide(struct mcl_shape *shape, enum mcl_variant choice)
{
	atomic_store_explicit(&shape->choice, choice, memory_order_relaxed);
	atomic_store_explicit(&shape->state, SHAPE_DECIDED, memory_order_release);
}

/* Give up a reference; the last one frees @v. */
void mcl_variants_put(struct mcl_variants *v);

enum mcl_added {
	MCL_ADDED,
	MCL_ADDED_NOTHING, /* there is no such function, or it cannot be made */
	MCL_NOT_CACHED,
};

/*
 * One function for a kernel and a packed size: compiled, or with @cached_only just looked up, and added to the build, if that is still
 * there. Blocks for as long as the compiler takes. Lock not held.
 */
enum mcl_added mcl_variant_add(struct mcl_variants *v, uint32_t kernel, uint64_t key, enum mcl_variant variant,
			       bool cached_only);

/* Once in a process, before anything else of specialise.c. */
void mcl_specialise_init(void);

/* Have the background thread look at the shapes of @v. Lock held. */
void mcl_specialise(struct mcl_variants *v);

#endif
