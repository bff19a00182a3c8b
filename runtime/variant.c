// SPDX-License-Identifier: MIT
/* Functions of kernels; see variant.h. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/choices.h"
#include "runtime/trial.h"
#include "runtime/variant.h"
#include "support/config.h"

enum shape_state {
	SHAPE_NEW, /* launches are counted */
	SHAPE_WANTED, /* the background thread is to make functions */
	SHAPE_TRIAL, /* they are there, and measured */
	SHAPE_DECIDED, /* .choice is the fastest, as far as is known */
};

/* A kernel and a local size. Claimed once, without a lock, never given back. */
struct mcl_shape {
	_Atomic uint64_t key; /* packed local size; 0: free */
	_Atomic int state; /* enum shape_state */
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

struct kernel_code {
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
	struct kernel_code kernels[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static struct mcl_variants *queue_head, **queue_tail = &queue_head;
static bool running;

/* 21 bits each: far more than any work-group has. Never 0. */
static uint64_t pack(const uint64_t local[3])
{
	if ((local[0] | local[1] | local[2]) >> 21 || !local[0] || !local[1] || !local[2])
		return 0;
	return local[0] | local[1] << 21 | local[2] << 42;
}

static void unpack(uint64_t key, uint64_t local[3])
{
	local[0] = key & ((1u << 21) - 1);
	local[1] = key >> 21 & ((1u << 21) - 1);
	local[2] = key >> 42;
}

static void put(struct mcl_variants *v)
{
	if (atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
		return;
	mcl_source_put(v->source);
	mcl_code_object_put(v->co);
	pthread_mutex_destroy(&v->compiling);
	free(v);
}

static const char *kernel_name(const struct mcl_variants *v, uint32_t index)
{
	return mcl_co_string(v->co, v->co->kernels[index].name);
}

/* Lock held. */
static struct mcl_variants *dequeue(void)
{
	struct mcl_variants *v = queue_head;

	if (!v)
		return NULL;
	queue_head = v->next;
	if (!queue_head)
		queue_tail = &queue_head;
	v->next = NULL;
	v->queued = false;
	return v;
}

/* ---- specialised functions ---- */

enum added {
	ADDED,
	ADDED_NOTHING, /* there is no such function, or it cannot be made */
	NOT_CACHED,
};

/* One function for kernel and size, compiled or only looked up. */
static enum added add_function(struct mcl_variants *v, uint32_t kernel, uint64_t key, enum mcl_variant variant,
			       bool cached_only)
{
	struct mcl_code_object *co = NULL;
	struct mcl_reason why = { "" };
	struct mcl_compile_request req;
	const struct mcl_co_kernel *k;
	uint64_t local[3];
	uint32_t size[1][3];
	char *log = NULL;
	bool added = false;
	int err;

	unpack(key, local);
	for (int d = 0; d < 3; d++)
		size[0][d] = (uint32_t)local[d];
	mcl_source_request(v->source, &req);
	req.part = MCL_COMPILE_KERNEL;
	req.kernel = kernel_name(v, kernel);
	req.local_size_count = 1;
	req.local_sizes = (const uint32_t(*)[3])size;
	req.jam = variant == MCL_VARIANT_JAMMED;
	req.cached_only = cached_only;
	err = mcl_compile(&req, &co, &log, &why);
	k = err ? NULL : mcl_co_find_kernel(co, req.kernel);
	if (k && k->variant_count) {
		pthread_mutex_lock(&lock);
		if (v->build)
			err = mcl_program_add_variants(v->build->code, co, &why);
		added = v->build && !err;
		pthread_mutex_unlock(&lock);
	}
	if (err && err != -ENODATA)
		mcl_log_info("no work-group functions for a local size: %s\n%s", why.text, log ? log : "");
	free(log);
	mcl_code_object_put(co);
	if (err == -ENODATA)
		return NOT_CACHED;
	return added ? ADDED : ADDED_NOTHING;
}

/* Does the source demand a local size? Then the generic function is made for it already. */
static bool demands_size(const struct mcl_variants *v, uint32_t kernel)
{
	return v->co->kernels[kernel].reqd_local_size[0];
}

static void decide(struct mcl_shape *shape, enum mcl_variant choice)
{
	atomic_store_explicit(&shape->choice, choice, memory_order_relaxed);
	atomic_store_explicit(&shape->state, SHAPE_DECIDED, memory_order_release);
}

/*
 * Whether functions that are not in the cache are worth their time. Runs that began them and ended before they had chosen have lost it,
 * and a program that always ends so soon would lose it each time. So every attempt makes the next one wait four times
 * as long. If not, launches are counted as before.
 */
static bool worth_it(struct mcl_variants *v, struct mcl_shape *shape, const uint64_t local[3])
{
	const char *name = kernel_name(v, shape->kernel);
	const unsigned int attempts = mcl_choice_attempts(v->source, name, local);
	bool enough;

	pthread_mutex_lock(&lock);
	shape->after = (uint64_t)MCL_SPECIALIZE_AFTER_NS << 2 * attempts;
	enough = shape->ns >= shape->after;
	if (!enough)
		atomic_store(&shape->state, SHAPE_NEW);
	pthread_mutex_unlock(&lock);
	if (enough)
		mcl_choice_attempt(v->source, name, local, attempts + 1);
	return enough;
}

/* Those that are wanted beside the generic function, a bit for each enum mcl_variant. */
static uint32_t kinds(const struct mcl_variants *v, uint32_t kernel)
{
	return 1u << MCL_VARIANT_JAMMED | (demands_size(v, kernel) ? 0 : 1u << MCL_VARIANT_SPECIALISED);
}

/* Make what is wanted, or find it in the cache, and begin the trial. */
static void make(struct mcl_variants *v, struct mcl_shape *shape, uint64_t key, const uint64_t local[3])
{
	uint32_t candidates = 1u << MCL_VARIANT_GENERIC, missing = 0;

	for (enum mcl_variant i = 0; i < MCL_VARIANT_COUNT; i++) {
		const enum added added = kinds(v, shape->kernel) & 1u << i ?
						 add_function(v, shape->kernel, key, i, true) :
						 ADDED_NOTHING;

		candidates |= (added == ADDED) << i;
		missing |= (added == NOT_CACHED) << i;
	}
	if (missing && !worth_it(v, shape, local))
		return;
	for (enum mcl_variant i = 0; i < MCL_VARIANT_COUNT; i++)
		if (missing & 1u << i && add_function(v, shape->kernel, key, i, false) == ADDED)
			candidates |= 1u << i;
	if (candidates == 1u << MCL_VARIANT_GENERIC) {
		decide(shape, MCL_VARIANT_GENERIC);
		return;
	}
	pthread_mutex_lock(&lock);
	mcl_trial_begin(&shape->trial, candidates);
	pthread_mutex_unlock(&lock);
	atomic_store_explicit(&shape->state, SHAPE_TRIAL, memory_order_release);
}

/* What the background thread does for a shape. */
static void work_on(struct mcl_variants *v, struct mcl_shape *shape)
{
	const uint64_t key = atomic_load(&shape->key);
	bool wanted, unsaved;
	uint64_t local[3];

	unpack(key, local);
	pthread_mutex_lock(&lock);
	wanted = v->build && atomic_load(&shape->state) == SHAPE_WANTED;
	unsaved = shape->unsaved;
	shape->unsaved = false;
	pthread_mutex_unlock(&lock);
	if (unsaved)
		mcl_choice_store(v->source, kernel_name(v, shape->kernel), local,
				 (enum mcl_variant)atomic_load(&shape->choice));
	if (wanted)
		make(v, shape, key, local);
}

static void work(struct mcl_variants *v)
{
	for (uint32_t i = 0; i < v->count; i++)
		for (uint32_t j = 0; j < MCL_SPECIALIZED_SIZES && atomic_load(&v->kernels[i].shapes[j].key); j++)
			work_on(v, &v->kernels[i].shapes[j]);
}

static void *background(void *arg)
{
	struct mcl_variants *s;

	(void)arg;
	pthread_setname_np(pthread_self(), "mcl-variants");
	pthread_mutex_lock(&lock);
	while ((s = dequeue())) {
		pthread_mutex_unlock(&lock);
		work(s);
		put(s);
		pthread_mutex_lock(&lock);
	}
	running = false;
	pthread_cond_broadcast(&idle);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/* The thread is not here. What it was to do is forgotten: those builds belong to an engine that the child has not. */
static void after_fork_child(void)
{
	struct mcl_variants *s;

	running = false;
	while ((s = dequeue()))
		put(s);
	pthread_mutex_init(&lock, NULL);
	pthread_cond_init(&idle, NULL);
}

static void install_fork_handlers(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* Lock held. Start the thread; if that fails the queue waits for the next request. */
static void start(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;

	if (running)
		return;
	if (pthread_attr_init(&attr))
		return;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* The application's signals are for its own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	running = pthread_create(&thread, &attr, background, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
}

/* Lock held. */
static void enqueue(struct mcl_variants *v)
{
	if (v->build && !v->queued) {
		atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
		v->queued = true;
		v->next = NULL;
		*queue_tail = v;
		queue_tail = &v->next;
	}
	start();
}

/* ---- launches ---- */

struct mcl_variants *mcl_variants_create(struct mcl_build *build, struct mcl_source *source)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const uint32_t count = build->co->header->kernels.count;
	struct mcl_variants *v = calloc(1, sizeof(*v) + count * sizeof(v->kernels[0]));

	if (!v)
		return NULL;
	pthread_once(&once, install_fork_handlers);
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
	pthread_mutex_lock(&lock);
	v->build = NULL;
	pthread_mutex_unlock(&lock);
	put(v);
}

/* The generic function. The caller's launch keeps the build. */
static int compile_generic(struct mcl_variants *v, uint32_t index, struct mcl_reason *why)
{
	struct kernel_code *kernel = &v->kernels[index];
	struct mcl_code_object *co = NULL;
	struct mcl_compile_request req;
	char *log = NULL;
	int err = 0;

	pthread_mutex_lock(&v->compiling);
	if (kernel->failed || atomic_load(&kernel->ready))
		goto out;
	mcl_source_request(v->source, &req);
	req.part = MCL_COMPILE_KERNEL;
	req.kernel = kernel_name(v, index);
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
	const int choice = mcl_choice_load(v->source, kernel_name(v, shape->kernel), local);

	if (choice == MCL_VARIANT_GENERIC ||
	    (choice > 0 && add_function(v, shape->kernel, key, (enum mcl_variant)choice, true) == ADDED))
		decide(shape, (enum mcl_variant)choice);
}

static struct mcl_shape *find_shape(struct mcl_variants *v, uint32_t kernel, const uint64_t local[3])
{
	const uint64_t key = pack(local);

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
	struct kernel_code *kernel = &v->kernels[launch->kernel];
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
		pthread_mutex_lock(&lock);
		launch->variant = mcl_trial_next(&shape->trial);
		pthread_mutex_unlock(&lock);
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

	pthread_mutex_lock(&lock);
	switch (atomic_load(&shape->state)) {
	case SHAPE_NEW:
		shape->ns += ns * (1 + shape->weight);
		shape->weight = ns < MCL_SPECIALIZE_SHORT_NS ? MCL_SPECIALIZE_SAMPLE - 1 : 0;
		atomic_store_explicit(&shape->unmeasured, shape->weight, memory_order_relaxed);
		if (++shape->launches < MCL_SPECIALIZE_AFTER_LAUNCHES || shape->ns < shape->after)
			break;
		atomic_store(&shape->state, SHAPE_WANTED);
		enqueue(shape->owner);
		break;
	case SHAPE_TRIAL:
		fastest = mcl_trial_note(&shape->trial, use->variant, ns, use->groups, faults != use->faults);
		if (fastest < 0)
			break;
		mcl_log_info("kernel '%s': function %d is the fastest", kernel_name(shape->owner, shape->kernel),
			     fastest);
		decide(shape, (enum mcl_variant)fastest);
		shape->unsaved = true;
		enqueue(shape->owner);
		break;
	}
	pthread_mutex_unlock(&lock);
}

void mcl_variants_drain(void)
{
	pthread_mutex_lock(&lock);
	while (running)
		pthread_cond_wait(&idle, &lock);
	pthread_mutex_unlock(&lock);
}
