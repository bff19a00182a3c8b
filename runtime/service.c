/* SPDX-License-Identifier: MIT */
/* The runtime's share of the backend's service thread; see service.h. */
#include <pthread.h>
#include <stdlib.h>
#include <utlist.h>

#include "runtime/command.h"
#include "runtime/service.h"

/* The service lock: innermost of all. One set of lists for the process, whatever number of backends come and go. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cl_command_queue watched;
static struct mcl_command *hosts, *hosts_last;
static struct mcl_event_callback *callbacks, *callbacks_last;
static cl_command_queue queues;
static struct mcl_backend *orphan; /* one that could not be put for want of a thread */

_Atomic uint32_t mcl_fork_generation;

/* In the child nobody else runs, and nothing on the lists is of use: their objects belong to the parent's threads. */
static void child_after_fork(void)
{
	atomic_fetch_add_explicit(&mcl_fork_generation, 1, memory_order_relaxed);
	pthread_mutex_init(&lock, NULL);
	watched = NULL;
	hosts = hosts_last = NULL;
	callbacks = callbacks_last = NULL;
	queues = NULL;
	orphan = NULL;
}

static void install_fork_handler(void)
{
	pthread_atfork(NULL, NULL, child_after_fork);
}

/* Set while this thread works off the lists, so that what its callbacks cause does not recurse. */
static __thread bool working, again;

static void run_host(struct mcl_command *cmd)
{
	cl_command_queue q = cmd->event.queue;
	struct mcl_batch batch = { 0 };
	uint64_t start = 0;
	cl_int status;

	pthread_mutex_lock(&q->lock);
	mcl_command_advance_status(cmd, CL_RUNNING, &batch);
	pthread_mutex_unlock(&q->lock);
	mcl_batch_finish(&batch);

	if (q->profiling)
		start = mcl_backend_clock_ns();
	status = cmd->payload.host.run(q, cmd->payload.host.data);

	batch = (struct mcl_batch){ 0 };
	pthread_mutex_lock(&q->lock);
	if (q->profiling) {
		cmd->start_ns = start;
		cmd->end_ns = mcl_backend_clock_ns();
	}
	mcl_schedule_host_done(cmd, status, &batch);
	pthread_mutex_unlock(&q->lock);
	mcl_batch_finish(&batch);
	mcl_object_put(&cmd->event.obj);
}

static void run_callback(struct mcl_event_callback *cb)
{
	cl_event event = cb->event;
	bool revived;

	/*
	 * The application may have released the event after registering; inside the callback the handle works nevertheless.
	 * Our own reference is what makes reviving it safe.
	 */
	revived = mcl_object_app_refs(&event->obj) == 0;
	if (revived) {
		mcl_object_get(&event->obj);
		mcl_object_retain_app(&event->obj);
	}
	cb->fn(event, cb->status, cb->data);
	if (revived)
		mcl_object_release_app(&event->obj);
	mcl_object_put(&event->obj);
	free(cb);
}

static void look_at(cl_command_queue q)
{
	struct mcl_batch batch = { 0 };

	pthread_mutex_lock(&q->lock);
	q->watched = false;
	mcl_schedule_collect(q, true, &batch);
	if (q->full)
		mcl_schedule_advance(q, &batch);
	if (q->notified)
		mcl_service_watch(q);
	pthread_mutex_unlock(&q->lock);
	mcl_batch_finish(&batch);
	mcl_object_put(&q->obj);
}

/* Each watched queue once: those that still wait for something put themselves back on the list. */
static void look_at_watched(void)
{
	cl_command_queue list, next;

	pthread_mutex_lock(&lock);
	list = watched;
	watched = NULL;
	pthread_mutex_unlock(&lock);
	for (; list; list = next) {
		next = list->watch_next;
		look_at(list);
	}
}

static void run_lists(void)
{
	pthread_mutex_lock(&lock);
	while (hosts || callbacks) {
		struct mcl_command *host = NULL;
		struct mcl_event_callback *cb = callbacks;

		if (cb) {
			callbacks = cb->next;
		} else {
			host = hosts;
			hosts = host->service_next;
		}
		pthread_mutex_unlock(&lock);
		if (cb)
			run_callback(cb);
		else
			run_host(host);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
}

/* The notify callback of every backend. */
static void work(void *ctx)
{
	(void)ctx;
	if (working) {
		again = true;
		return;
	}
	working = true;
	do {
		again = false;
		look_at_watched();
		run_lists();
	} while (again);
	working = false;
}

bool mcl_service_busy_here(void)
{
	return working;
}

void mcl_service_help(void)
{
	look_at_watched();
	run_lists();
}

void mcl_service_attach(struct mcl_backend *b)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct mcl_backend *put;

	pthread_once(&once, install_fork_handler);
	mcl_backend_set_notify(b, work, NULL);
	pthread_mutex_lock(&lock);
	put = working ? NULL : orphan;
	if (put)
		orphan = NULL;
	pthread_mutex_unlock(&lock);
	mcl_backend_put(put);
}

void mcl_service_watch(cl_command_queue queue)
{
	if (queue->watched)
		return;
	queue->watched = true;
	mcl_object_get(&queue->obj);
	pthread_mutex_lock(&lock);
	queue->watch_next = watched;
	watched = queue;
	pthread_mutex_unlock(&lock);
}

void mcl_service_host(struct mcl_command *command)
{
	mcl_object_get(&command->event.obj);
	command->service_next = NULL;
	pthread_mutex_lock(&lock);
	if (hosts)
		hosts_last->service_next = command;
	else
		hosts = command;
	hosts_last = command;
	pthread_mutex_unlock(&lock);
}

void mcl_service_callbacks(struct mcl_event_callback *list)
{
	struct mcl_event_callback *last = list;

	while (last->next)
		last = last->next;
	pthread_mutex_lock(&lock);
	if (callbacks)
		callbacks_last->next = list;
	else
		callbacks = list;
	callbacks_last = last;
	pthread_mutex_unlock(&lock);
}

void mcl_service_run(struct mcl_backend *b)
{
	if (mcl_backend_alive(b))
		mcl_backend_kick(b);
	/* The engine may have died just now, so that nobody hears the kick. */
	if (!mcl_backend_alive(b))
		work(NULL);
}

static void *put_backend(void *arg)
{
	mcl_backend_put(arg);
	return NULL;
}

void mcl_service_put_backend(struct mcl_backend *b)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (!working) {
		mcl_backend_put(b);
		return;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, put_backend, b);
	pthread_attr_destroy(&attr);
	if (!err)
		return;
	/* Out of threads: the next mcl_service_attach() does it. A second one is lost, which costs an idle engine. */
	pthread_mutex_lock(&lock);
	orphan = b;
	pthread_mutex_unlock(&lock);
}

void mcl_service_add_queue(cl_command_queue queue)
{
	pthread_mutex_lock(&lock);
	DL_APPEND(queues, queue);
	pthread_mutex_unlock(&lock);
}

void mcl_service_remove_queue(cl_command_queue queue)
{
	pthread_mutex_lock(&lock);
	DL_DELETE(queues, queue);
	pthread_mutex_unlock(&lock);
}

/* A reference to an object that may be on its way to destruction. */
static bool try_get(struct mcl_object *obj)
{
	uint32_t refs = atomic_load_explicit(&obj->refs, memory_order_relaxed);

	while (refs)
		if (atomic_compare_exchange_weak_explicit(&obj->refs, &refs, refs + 1, memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

unsigned int mcl_service_queues(cl_command_queue *out, unsigned int max)
{
	unsigned int count = 0;
	cl_command_queue q;

	pthread_mutex_lock(&lock);
	DL_FOREACH(queues, q) {
		if (count == max)
			break;
		if (try_get(&q->obj))
			out[count++] = q;
	}
	pthread_mutex_unlock(&lock);
	return count;
}
