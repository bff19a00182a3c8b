/* SPDX-License-Identifier: MIT */
/*
 * Waiting: for events and for whole queues. A command in the ring is waited for by mcl_ring_wait(), which spins briefly
 * before it sleeps; whatever still has to happen on the host (user events, held commands, host commands) is waited for
 * asleep, on a condition variable.
 */
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

#include "runtime/command.h"
#include "runtime/service.h"
#include "runtime/user_event.h"

/*
 * How long to wait for a packet before looking at its command again. While one thread sleeps another may collect the packet,
 * and its place in the ring may be taken by a later one, which this wait would then be for.
 */
#define LOOK_AGAIN_NS 20000000

/*
 * Sleep until @cond is signalled. On the service thread, where only a callback that breaks the rules waits, what it
 * waits for may be this very thread's work: do that in between. Called with @lock held, which is dropped.
 */
static void sleep_on(pthread_cond_t *cond, pthread_mutex_t *lock)
{
	struct timespec until;

	if (!mcl_service_busy_here()) {
		pthread_cond_wait(cond, lock);
		return;
	}
	pthread_mutex_unlock(lock);
	mcl_service_help();
	pthread_mutex_lock(lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(cond, lock, &until);
}

static cl_int wait_for_user_event(cl_event event)
{
	struct mcl_user_event *user = mcl_user_event_of(event);
	cl_int status;

	pthread_mutex_lock(&user->lock);
	while ((status = atomic_load_explicit(&event->status, memory_order_relaxed)) > CL_COMPLETE)
		sleep_on(&user->set, &user->lock);
	pthread_mutex_unlock(&user->lock);
	return status;
}

static void sleep_for_progress(cl_command_queue q)
{
	q->sleepers++;
	sleep_on(&q->progress, &q->lock);
	q->sleepers--;
}

cl_int mcl_event_wait(cl_event event)
{
	cl_command_queue q = event->queue;
	struct mcl_command *cmd = mcl_command_of(event);

	if (mcl_foreign(event->generation))
		return mcl_event_done(event) ? atomic_load(&event->status) : CL_DEVICE_NOT_AVAILABLE;
	if (!q)
		return wait_for_user_event(event);
	while (!mcl_event_done(event)) {
		struct mcl_batch batch = { 0 };

		pthread_mutex_lock(&q->lock);
		if (cmd->state == MCL_COMMAND_PUSHED) {
			uint64_t seq = cmd->seq;

			pthread_mutex_unlock(&q->lock);
			mcl_ring_wait(q->ring, seq, LOOK_AGAIN_NS);
			pthread_mutex_lock(&q->lock);
			mcl_schedule_collect(q, true, &batch);
		} else if (cmd->state != MCL_COMMAND_DONE) {
			sleep_for_progress(q);
		}
		pthread_mutex_unlock(&q->lock);
		mcl_batch_finish(&batch);
	}
	return atomic_load_explicit(&event->status, memory_order_acquire);
}

void mcl_event_poll(cl_event event)
{
	cl_command_queue q = event->queue;
	struct mcl_command *cmd = mcl_command_of(event);
	struct mcl_packet_result result;
	struct mcl_batch batch = { 0 };

	if (!q || mcl_foreign(event->generation) || mcl_event_done(event))
		return;
	pthread_mutex_lock(&q->lock);
	if (cmd->state == MCL_COMMAND_PUSHED) {
		mcl_ring_hurry(q->ring);
		mcl_ring_status(q->ring, cmd->seq, &result);
		if (result.state == MCL_PACKET_COMPLETE)
			mcl_schedule_collect(q, true, &batch);
		else if (result.state == MCL_PACKET_RUNNING)
			mcl_command_advance_status(cmd, CL_RUNNING, &batch);
	}
	pthread_mutex_unlock(&q->lock);
	mcl_batch_finish(&batch);
}

/* The oldest command of a list up to number @last that is not complete, or NULL. Lists of in-order queues are in order. */
static struct mcl_command *first_open(cl_command_queue q, struct mcl_command *list, uint64_t last)
{
	struct mcl_command *cmd;

	DL_FOREACH(list, cmd) {
		if (cmd->number <= last && cmd->state != MCL_COMMAND_DONE)
			return cmd;
		if (!q->out_of_order && cmd->number > last)
			break;
	}
	return NULL;
}

void mcl_queue_finish(cl_command_queue q)
{
	struct mcl_batch batch = { 0 };
	bool first = true;
	uint64_t last;

	pthread_mutex_lock(&q->lock);
	last = q->enqueued;
	for (;;) {
		struct mcl_command *cmd = first_open(q, q->pushed, last);

		if (cmd) {
			/* The newest first: when it is complete the others mostly are, and one wait does it. */
			uint64_t seq = first ? q->pushed->prev->seq : cmd->seq;

			first = false;
			pthread_mutex_unlock(&q->lock);
			mcl_batch_finish(&batch);
			mcl_ring_wait(q->ring, seq, LOOK_AGAIN_NS);
			pthread_mutex_lock(&q->lock);
			mcl_schedule_collect(q, true, &batch);
		} else if (batch.nodes || batch.callbacks || batch.wake) {
			/* What we completed may be what the others wait for. */
			pthread_mutex_unlock(&q->lock);
			mcl_batch_finish(&batch);
			pthread_mutex_lock(&q->lock);
		} else if (first_open(q, q->held, last) || first_open(q, q->hosted, last)) {
			sleep_for_progress(q);
		} else {
			break;
		}
	}
	pthread_mutex_unlock(&q->lock);
	mcl_batch_finish(&batch);
}

/* All queues of the process, a reference each, in *@out, malloc'd; NULL when memory is short. Returns how many. */
static unsigned int all_queues(cl_command_queue **out)
{
	unsigned int max = 32, count;

	for (;;) {
		*out = malloc(max * sizeof(**out));
		if (!*out)
			return 0;
		count = mcl_service_queues(*out, max);
		if (count < max)
			return count;
		/* There may be more. */
		while (count)
			mcl_object_put(&(*out)[--count]->obj);
		free(*out);
		max *= 2;
	}
}

bool mcl_queue_finish_all(cl_context context)
{
	cl_command_queue *queues;
	unsigned int count = all_queues(&queues);

	for (unsigned int i = 0; i < count; i++) {
		if (queues[i]->context == context)
			mcl_queue_finish(queues[i]);
		mcl_object_put(&queues[i]->obj);
	}
	if (!queues)
		return false;
	free(queues);
	return true;
}

cl_int clWaitForEvents(cl_uint num_events, const cl_event *event_list)
{
	cl_int result = CL_SUCCESS;

	if (!num_events || !event_list)
		return MCL_ERR(CL_INVALID_VALUE, "%s", num_events ? "event_list is NULL" : "num_events is 0");
	for (cl_uint i = 0; i < num_events; i++) {
		if (!mcl_object_valid(event_list[i], MCL_TYPE_EVENT))
			return MCL_ERR(CL_INVALID_EVENT, "event_list[%u] (%p) is not an event", i,
				       (void *)event_list[i]);
		if (event_list[i]->context != event_list[0]->context)
			return MCL_ERR(CL_INVALID_CONTEXT, "event_list[%u] and event_list[0] are of different contexts",
				       i);
	}
	/* Hold them all: another thread may release one while this one sleeps on an earlier one. */
	for (cl_uint i = 0; i < num_events; i++)
		mcl_object_get(&event_list[i]->obj);
	for (cl_uint i = 0; i < num_events; i++) {
		cl_int status = mcl_event_wait(event_list[i]);

		if (status < 0 && result == CL_SUCCESS)
			result = MCL_ERR(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, "event_list[%u] ended with %s",
					 i, mcl_cl_error_name(status));
	}
	for (cl_uint i = 0; i < num_events; i++)
		mcl_object_put(&event_list[i]->obj);
	return result;
}

cl_int clFlush(cl_command_queue queue)
{
	struct mcl_batch batch = { 0 };

	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return MCL_ERR(CL_INVALID_COMMAND_QUEUE, "%p is not a command queue", (void *)queue);
	if (mcl_foreign(queue->generation))
		return MCL_ERR(CL_DEVICE_NOT_AVAILABLE, "the queue was made before a fork()");
	/* Commands are submitted as soon as they can be; only a ring that was full leaves something to do. */
	pthread_mutex_lock(&queue->lock);
	if (queue->full) {
		mcl_schedule_collect(queue, true, &batch);
		mcl_schedule_advance(queue, &batch);
	}
	mcl_ring_hurry(queue->ring);
	pthread_mutex_unlock(&queue->lock);
	mcl_batch_finish(&batch);
	return CL_SUCCESS;
}

cl_int clFinish(cl_command_queue queue)
{
	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return MCL_ERR(CL_INVALID_COMMAND_QUEUE, "%p is not a command queue", (void *)queue);
	if (mcl_foreign(queue->generation))
		return MCL_ERR(CL_DEVICE_NOT_AVAILABLE, "the queue was made before a fork()");
	mcl_queue_finish(queue);
	if (!mcl_backend_alive(queue->context->backend))
		return MCL_ERR(CL_DEVICE_NOT_AVAILABLE, "the device process has died");
	return CL_SUCCESS;
}
