// SPDX-License-Identifier: MIT
/* Background specialisation; see specialize.h. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "runtime/specialize.h"
#include "runtime/used_sizes.h"
#include "support/config.h"

/* Launches with a size before it is compiled for: programs that launch once or twice do not pay for it. */
#define LAUNCHES 3
/* Of the background thread and the compilers that it starts: applications go first. */
#define NICE 10

/* A size that was launched. Claimed once, without a lock, never given back. */
struct seen_size {
	_Atomic uint64_t key; /* packed; 0: free */
	_Atomic uint32_t launches;
};

struct mcl_specialization {
	_Atomic uint32_t refs; /* the build's, and the queue's while queued or worked on */
	struct mcl_source *source;
	struct seen_size seen[MCL_SPECIALIZED_SIZES];

	/* Under the lock. */
	struct mcl_build *build; /* NULL once it is gone */
	uint32_t wanted[MCL_SPECIALIZED_SIZES][3], wanted_count; /* in order of request */
	uint32_t done_count; /* so many of them are compiled or have failed */
	bool queued;
	struct mcl_specialization *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static struct mcl_specialization *queue_head, **queue_tail = &queue_head;
static bool running;

/* 21 bits each: far more than any work-group has. Never 0. */
static uint64_t pack(const uint64_t local[3])
{
	if ((local[0] | local[1] | local[2]) >> 21 || !local[0] || !local[1] || !local[2])
		return 0;
	return local[0] | local[1] << 21 | local[2] << 42;
}

static void put(struct mcl_specialization *s)
{
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	mcl_source_put(s->source);
	free(s);
}

/* Lock held. */
static struct mcl_specialization *dequeue(void)
{
	struct mcl_specialization *s = queue_head;

	if (!s)
		return NULL;
	queue_head = s->next;
	if (!queue_head)
		queue_tail = &queue_head;
	s->next = NULL;
	s->queued = false;
	return s;
}

/* Compile for everything wanted so far, add it to the build if that still lives, and remember it. */
static void work(struct mcl_specialization *s)
{
	uint32_t sizes[MCL_SPECIALIZED_SIZES][3], count;
	struct mcl_code_object *co = NULL;
	struct mcl_reason why = { "" };
	struct mcl_compile_request req;
	char *log = NULL;
	bool wanted;
	int err;

	pthread_mutex_lock(&lock);
	count = s->wanted_count;
	memcpy(sizes, s->wanted, sizeof(sizes));
	wanted = s->build && s->done_count < count;
	pthread_mutex_unlock(&lock);
	if (!wanted)
		return;

	mcl_source_request(s->source, &req);
	req.local_size_count = count;
	req.local_sizes = (const uint32_t(*)[3])sizes;
	err = mcl_compile(&req, &co, &log, &why);
	if (!err)
		mcl_used_sizes_store(s->source, (const uint32_t(*)[3])sizes, count);

	pthread_mutex_lock(&lock);
	s->done_count = count;
	if (!err && s->build)
		err = mcl_program_add_variants(s->build->code, co, &why);
	pthread_mutex_unlock(&lock);
	if (err)
		mcl_log_info("no work-group functions for a local size: %s\n%s", why.text, log ? log : "");
	free(log);
	mcl_code_object_put(co);
}

static void *background(void *arg)
{
	struct mcl_specialization *s;

	(void)arg;
	pthread_setname_np(pthread_self(), "mcl-specialize");
	/* On Linux this is the thread's alone. */
	setpriority(PRIO_PROCESS, 0, NICE);
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
	struct mcl_specialization *s;

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

static void enqueue(struct mcl_specialization *s, const uint64_t local[3])
{
	pthread_mutex_lock(&lock);
	if (s->build && s->wanted_count < MCL_SPECIALIZED_SIZES) {
		for (int d = 0; d < 3; d++)
			s->wanted[s->wanted_count][d] = (uint32_t)local[d];
		s->wanted_count++;
		if (!s->queued) {
			atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
			s->queued = true;
			s->next = NULL;
			*queue_tail = s;
			queue_tail = &s->next;
		}
		start();
	}
	pthread_mutex_unlock(&lock);
}

/* One kernel's specialised variants: what earlier runs used and the build was made with. */
static void note_present(struct mcl_specialization *s, const struct mcl_code_object *co, const struct mcl_co_kernel *k)
{
	for (uint32_t i = 0; i < k->variant_count && s->wanted_count < MCL_SPECIALIZED_SIZES; i++) {
		const struct mcl_co_variant *v = &co->variants[k->first_variant + i];
		uint64_t local[3] = { v->local_size[0], v->local_size[1], v->local_size[2] };
		uint64_t key = pack(local);
		bool known = !key; /* the generic one */

		for (uint32_t j = 0; j < s->wanted_count; j++)
			known |= s->seen[j].key == key;
		if (known)
			continue;
		s->seen[s->wanted_count].key = key;
		s->seen[s->wanted_count].launches = LAUNCHES;
		memcpy(s->wanted[s->wanted_count++], v->local_size, sizeof(v->local_size));
	}
	s->done_count = s->wanted_count;
}

struct mcl_specialization *mcl_specialization_create(struct mcl_build *build, struct mcl_source *source)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const struct mcl_code_object *co = build->co;
	struct mcl_specialization *s;
	const struct mcl_co_kernel *free_size = NULL; /* a kernel whose local size is the application's choice */

	if (!mcl_config()->specialize)
		return NULL;
	for (uint32_t i = 0; i < co->header->kernels.count && !free_size; i++)
		if (co->kernels[i].reqd_local_size[0] == 0)
			free_size = &co->kernels[i];
	if (!free_size)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	pthread_once(&once, install_fork_handlers);
	atomic_init(&s->refs, 1);
	s->source = mcl_source_get(source);
	s->build = build;
	note_present(s, co, free_size); /* all such kernels have the same */
	return s;
}

void mcl_specialization_detach(struct mcl_specialization *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&lock);
	s->build = NULL;
	pthread_mutex_unlock(&lock);
	put(s);
}

void mcl_specialization_request(struct mcl_specialization *s, const uint64_t local[3])
{
	uint64_t key = pack(local);

	if (!key)
		return;
	for (uint32_t i = 0; i < MCL_SPECIALIZED_SIZES; i++) {
		struct seen_size *seen = &s->seen[i];
		uint64_t there = atomic_load_explicit(&seen->key, memory_order_relaxed);

		if (!there && atomic_compare_exchange_strong_explicit(&seen->key, &there, key, memory_order_relaxed,
								      memory_order_relaxed))
			there = key;
		if (there != key)
			continue;
		/* Only the first launches write: later ones share the line. */
		if (atomic_load_explicit(&seen->launches, memory_order_relaxed) < LAUNCHES &&
		    atomic_fetch_add_explicit(&seen->launches, 1, memory_order_relaxed) == LAUNCHES - 1)
			enqueue(s, local);
		return;
	}
}

void mcl_specialization_drain(void)
{
	pthread_mutex_lock(&lock);
	while (running)
		pthread_cond_wait(&idle, &lock);
	pthread_mutex_unlock(&lock);
}
