// SPDX-License-Identifier: MIT
/* Which function of a kernel a launch runs; see variant.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/choices.h"
#include "runtime/variant_private.h"
#include "support/config.h"

void mcl_variants_put(struct mcl_variants *v)
{
	if (atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
		return;
	mcl_source_put(v->source);
	mcl_code_object_put(v->co);
	pthread_mutex_destroy(&v->compiling);
	free(v);
}

struct mcl_variants *mcl_variants_create(struct mcl_build *build, struct mcl_source *source)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const uint32_t count = build->co->header->kernels.count;
	struct mcl_variants *v = calloc(1, sizeof(*v) + count * sizeof(v->kernels[0]));

	if (!v)
		return NULL;
	pthread_once(&once, mcl_specialise_init);
	atomic_init(&v->refs, 1);
	pthread_mutex_init(&v->compiling, NULL);
	v->source = mcl_source_get(source);
	v->co = mcl_code_object_get(build->co);
	v->build = build;
	v->specialize = mcl_config()->specialize;
	v->count = count;
	for (uint32_t i = 0; i < count; i++)
		atomic_init(&v->kernels[i].ready, build->co->kernels[i].variant_count > 0);
	return v;
}

void mcl_variants_detach(struct mcl_variants *v)
{
	if (!v)
		return;
	pthread_mutex_lock(&mcl_variant_lock);
	v->build = NULL;
	pthread_mutex_unlock(&mcl_variant_lock);
	mcl_variants_put(v);
}

/* The generic function. The caller's launch keeps the build. */
static int compile_generic(struct mcl_variants *v, uint32_t index, struct mcl_reason *why)
{
	struct mcl_kernel_code *kernel = &v->kernels[index];
	struct mcl_code_object *co = NULL;
	struct mcl_compile_request req;
	char *log = NULL;
	int err = 0;

	pthread_mutex_lock(&v->compiling);
	if (kernel->failed || atomic_load(&kernel->ready))
		goto out;
	mcl_source_request(v->source, &req);
	req.part = MCL_COMPILE_KERNEL;
	req.kernel = mcl_variant_kernel(v, index);
	err = mcl_compile(&req, &co, &log, &kernel->why);
	if (!err && !mcl_co_find_kernel(co, req.kernel))
		err = mcl_reason(&kernel->why, -ECHILD, "the compiler left no code for it");
	if (!err)
		err = mcl_program_add_variants(v->build->code, co, &kernel->why);
	if (!err)
		atomic_store_explicit(&kernel->ready, true, memory_order_release);
	else if (err != -ENOMEM && err != -ENODEV)
		kernel->failed = err; /* it would be the same again */
	free(log);
	mcl_code_object_put(co);
out:
	if (kernel->failed)
		err = kernel->failed;
	if (err)
		*why = kernel->why;
	pthread_mutex_unlock(&v->compiling);
	return err;
}

/* What an earlier run chose, if its code is in the cache: there is nothing to find out then. */
static void recall(struct mcl_variants *v, struct mcl_shape *shape, const uint64_t local[3])
{
	const uint64_t key = atomic_load(&shape->key);
	const int choice = mcl_choice_load(v->source, mcl_variant_kernel(v, shape->kernel), local);

	if (choice == MCL_VARIANT_GENERIC ||
	    (choice > 0 && mcl_variant_add(v, shape->kernel, key, (enum mcl_variant)choice, true) == MCL_ADDED))
		mcl_shape_decide(shape, (enum mcl_variant)choice);
}

static struct mcl_shape *find_shape(struct mcl_variants *v, uint32_t kernel, const uint64_t local[3])
{
	const uint64_t key = mcl_shape_pack(local);

	for (uint32_t i = 0; key && i < MCL_SPECIALIZED_SIZES; i++) {
		struct mcl_shape *shape = &v->kernels[kernel].shapes[i];
		uint64_t there = atomic_load_explicit(&shape->key, memory_order_acquire);

		if (there == key)
			return shape;
		if (there)
			continue;
		pthread_mutex_lock(&v->compiling);
		there = atomic_load(&shape->key);
		if (!there) {
			shape->owner = v;
			shape->kernel = kernel;
			shape->after = MCL_SPECIALIZE_AFTER_NS;
			atomic_store_explicit(&shape->key, key, memory_order_release);
			recall(v, shape, local);
			there = key;
		}
		pthread_mutex_unlock(&v->compiling);
		if (there == key)
			return shape;
	}
	return NULL;
}

int mcl_variants_prepare(struct mcl_variants *v, struct mcl_launch *launch, struct mcl_variant_use *use,
			 struct mcl_reason *why)
{
	struct mcl_kernel_code *kernel = &v->kernels[launch->kernel];
	struct mcl_shape *shape = NULL;
	int state = SHAPE_DECIDED;

	launch->variant = MCL_VARIANT_GENERIC;
	use->shape = NULL;
	if (v->specialize && !launch->global_offset[0] && !launch->global_offset[1] && !launch->global_offset[2])
		shape = find_shape(v, launch->kernel, launch->local_size);
	if (shape) {
		state = atomic_load_explicit(&shape->state, memory_order_acquire);
		launch->variant = (enum mcl_variant)atomic_load_explicit(&shape->choice, memory_order_relaxed);
		if (state == SHAPE_DECIDED && launch->variant != MCL_VARIANT_GENERIC)
			return 0;
	}
	if (!atomic_load_explicit(&kernel->ready, memory_order_acquire)) {
		int err = compile_generic(v, launch->kernel, why);

		if (err)
			return err;
	}
	if (state != SHAPE_NEW && state != SHAPE_TRIAL)
		return 0;
	if (state == SHAPE_NEW) {
		const uint32_t left = atomic_load_explicit(&shape->unmeasured, memory_order_relaxed);

		if (left) {
			atomic_store_explicit(&shape->unmeasured, left - 1, memory_order_relaxed);
			return 0;
		}
	}
	if (state == SHAPE_TRIAL) {
		pthread_mutex_lock(&mcl_variant_lock);
		launch->variant = mcl_trial_next(&shape->trial);
		pthread_mutex_unlock(&mcl_variant_lock);
	}
	use->shape = shape;
	use->variant = launch->variant;
	use->groups = launch->num_groups[0] * launch->num_groups[1] * launch->num_groups[2];
	return 0;
}

uint64_t mcl_variant_faults(struct mcl_backend *backend)
{
	struct mcl_counters counters;

	mcl_backend_counters(backend, &counters);
	return counters.cause[MCL_CAUSE_DEVICE_READ].count + counters.cause[MCL_CAUSE_DEVICE_WRITE].count;
}

void mcl_variant_measured(const struct mcl_variant_use *use, uint64_t ns, uint64_t faults)
{
	struct mcl_shape *shape = use->shape;
	int fastest = -1;

	pthread_mutex_lock(&mcl_variant_lock);
	switch (atomic_load(&shape->state)) {
	case SHAPE_NEW:
		shape->ns += ns * (1 + shape->weight);
		shape->weight = ns < MCL_SPECIALIZE_SHORT_NS ? MCL_SPECIALIZE_SAMPLE - 1 : 0;
		atomic_store_explicit(&shape->unmeasured, shape->weight, memory_order_relaxed);
		if (++shape->launches < MCL_SPECIALIZE_AFTER_LAUNCHES || shape->ns < shape->after)
			break;
		atomic_store(&shape->state, SHAPE_WANTED);
		mcl_specialise(shape->owner);
		break;
	case SHAPE_TRIAL:
		fastest = mcl_trial_note(&shape->trial, use->variant, ns, use->groups, faults != use->faults);
		if (fastest < 0)
			break;
		mcl_log_info("kernel '%s': function %d is the fastest", mcl_variant_kernel(shape->owner, shape->kernel),
			     fastest);
		mcl_shape_decide(shape, (enum mcl_variant)fastest);
		shape->unsaved = true;
		mcl_specialise(shape->owner);
		break;
	}
	pthread_mutex_unlock(&mcl_variant_lock);
}
