// SPDX-License-Identifier: MIT
/* The background thread that makes functions for local sizes; see variant.h. Which function a launch runs is not its business. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "runtime/choices.h"
#include "runtime/variant_private.h"

pthread_mutex_t mcl_variant_lock = PTHREAD_MUTEX_INITIALIZER;

static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static struct mcl_variants *queue_head, **queue_tail = &queue_head;
static bool running;

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

enum mcl_added mcl_variant_add(struct mcl_variants *v, uint32_t kernel, uint64_t key, enum mcl_variant variant,
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

	mcl_shape_unpack(key, local);
	for (int d = 0; d < 3; d++)
		size[0][d] = (uint32_t)local[d];
	mcl_source_request(v->source, &req);
	req.part = MCL_COMPILE_KERNEL;
	req.kernel = mcl_variant_kernel(v, kernel);
	req.local_size_count = 1;
	req.local_sizes = (const uint32_t(*)[3])size;
	req.jam = variant == MCL_VARIANT_JAMMED;
	req.cached_only = cached_only;
	err = mcl_compile(&req, &co, &log, &why);
	k = err ? NULL : mcl_co_find_kernel(co, req.kernel);
	if (k && k->variant_count) {
		pthread_mutex_lock(&mcl_variant_lock);
		if (v->build)
			err = mcl_program_add_variants(v->build->code, co, &why);
		added = v->build && !err;
		pthread_mutex_unlock(&mcl_variant_lock);
	}
	if (err && err != -ENODATA)
		mcl_log_info("no work-group functions for a local size: %s\n%s", why.text, log ? log : "");
	free(log);
	mcl_code_object_put(co);
	if (err == -ENODATA)
		return MCL_NOT_CACHED;
	return added ? MCL_ADDED : MCL_ADDED_NOTHING;
}

/* Does the source demand a local size? Then the generic function is made for it already. */
static bool demands_size(const struct mcl_variants *v, uint32_t kernel)
{
	return v->co->kernels[kernel].reqd_local_size[0];
}

/*
 * Whether functions that are not in the cache are worth their time. Runs that began them and ended before they had chosen have lost it,
 * and a program that always ends so soon would lose it each time. So every attempt makes the next one wait four times
 * as long. If not, launches are counted as before.
 */
static bool worth_it(struct mcl_variants *v, struct mcl_shape *shape, const uint64_t local[3])
{
	const char *name = mcl_variant_kernel(v, shape->kernel);
	const unsigned int attempts = mcl_choice_attempts(v->source, name, local);
	bool enough;

	pthread_mutex_lock(&mcl_variant_lock);
	shape->after = (uint64_t)MCL_SPECIALIZE_AFTER_NS << 2 * attempts;
	enough = shape->ns >= shape->after;
	if (!enough)
		atomic_store(&shape->state, SHAPE_NEW);
	pthread_mutex_unlock(&mcl_variant_lock);
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
		const enum mcl_added added = kinds(v, shape->kernel) & 1u << i ?
						     mcl_variant_add(v, shape->kernel, key, i, true) :
						     MCL_ADDED_NOTHING;

		candidates |= (added == MCL_ADDED) << i;
		missing |= (added == MCL_NOT_CACHED) << i;
	}
	if (missing && !worth_it(v, shape, local))
		return;
	for (enum mcl_variant i = 0; i < MCL_VARIANT_COUNT; i++)
		if (missing & 1u << i && mcl_variant_add(v, shape->kernel, key, i, false) == MCL_ADDED)
			candidates |= 1u << i;
	if (candidates == 1u << MCL_VARIANT_GENERIC) {
		mcl_shape_decide(shape, MCL_VARIANT_GENERIC);
		return;
	}
	pthread_mutex_lock(&mcl_variant_lock);
	mcl_trial_begin(&shape->trial, candidates);
	pthread_mutex_unlock(&mcl_variant_lock);
	atomic_store_explicit(&shape->state, SHAPE_TRIAL, memory_order_release);
}

/* What the background thread does for a shape. */
static void work_on(struct mcl_variants *v, struct mcl_shape *shape)
{
	const uint64_t key = atomic_load(&shape->key);
	bool wanted, unsaved;
	uint64_t local[3];

	mcl_shape_unpack(key, local);
	pthread_mutex_lock(&mcl_variant_lock);
	wanted = v->build && atomic_load(&shape->state) == SHAPE_WANTED;
	unsaved = shape->unsaved;
	shape->unsaved = false;
	pthread_mutex_unlock(&mcl_variant_lock);
	if (unsaved)
		mcl_choice_store(v->source, mcl_variant_kernel(v, shape->kernel), local,
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
	pthread_mutex_lock(&mcl_variant_lock);
	while ((s = dequeue())) {
		pthread_mutex_unlock(&mcl_variant_lock);
		work(s);
		mcl_variants_put(s);
		pthread_mutex_lock(&mcl_variant_lock);
	}
	running = false;
	pthread_cond_broadcast(&idle);
	pthread_mutex_unlock(&mcl_variant_lock);
	return NULL;
}

static void before_fork(void)
{
	pthread_mutex_lock(&mcl_variant_lock);
}

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&mcl_variant_lock);
}

/* The thread is not here. What it was to do is forgotten: those builds belong to an engine that the child has not. */
static void after_fork_child(void)
{
	struct mcl_variants *s;

	running = false;
	while ((s = dequeue()))
		mcl_variants_put(s);
	pthread_mutex_init(&mcl_variant_lock, NULL);
	pthread_cond_init(&idle, NULL);
}

void mcl_specialise_init(void)
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

void mcl_specialise(struct mcl_variants *v)
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

void mcl_variants_drain(void)
{
	pthread_mutex_lock(&mcl_variant_lock);
	while (running)
		pthread_cond_wait(&idle, &mcl_variant_lock);
	pthread_mutex_unlock(&mcl_variant_lock);
}
