/* SPDX-License-Identifier: MIT */
/*
 * Command queues. A command is what an enqueue call makes (command.h); its event is embedded in it whether or not the
 * application asked for one (event.h).
 */
#ifndef MCL_QUEUE_H
#define MCL_QUEUE_H

#include <pthread.h>

#include "runtime/context.h"

struct mcl_command;

struct _cl_command_queue {
	struct mcl_object obj;
	cl_context context; /* runtime reference */
	cl_device_id device;
	cl_command_queue_properties properties;
	cl_queue_properties *property_list; /* as given, with the terminator, or NULL */
	size_t property_list_bytes;
	bool out_of_order, profiling;
	uint32_t generation; /* of the process that made it: service.h */
	struct mcl_ring *ring;
	cl_command_queue prev, next; /* service.c's list of all queues */
	cl_command_queue watch_next; /* service.c's list of queues to look at */

	pthread_mutex_t lock; /* everything below */
	pthread_cond_t progress; /* broadcast when sleepers is not zero and a command moved on */
	uint32_t sleepers;
	/* All three are utlist.h's doubly linked lists. */
	struct mcl_command *pushed; /* in the ring, oldest first; complete ones stay until all before them are */
	struct mcl_command *held; /* waiting for events, for room in the ring or for earlier commands, oldest first */
	struct mcl_command *hosted; /* host commands on their way through the service thread */
	struct mcl_command *free; /* finished ones for reuse, singly linked */
	uint32_t free_count;
	uint32_t live; /* commands not in the free list; while not zero they hold one reference to the queue */
	uint32_t held_fences; /* held commands that others must not overtake or that must not overtake others */
	uint32_t fences; /* barriers of an out-of-order queue, pushed and not complete */
	uint32_t notified; /* pushed commands of whose end the service thread will be told */
	bool watched; /* the service thread will look at this queue: it holds a reference */
	bool full; /* held commands wait for room in the ring */
	bool released; /* by the application: nobody looks any more, so the service thread does */
	uint64_t enqueued; /* how many commands ever: the number of the newest */
};

/*
 * Every clEnqueue* begins with this: checks the queue handle, the wait list (count and pointer agree, valid events, same
 * context) and that the device is alive. Returns CL_SUCCESS or the error, already reported for @function.
 */
cl_int mcl_enqueue_check(const char *function, cl_command_queue queue, cl_uint num_events, const cl_event *wait_list);

/* Wait until every command enqueued so far is complete. No locks held. */
void mcl_queue_finish(cl_command_queue queue);

/* The same for all queues of @context. False: memory is short, and none was waited for. */
bool mcl_queue_finish_all(cl_context context);

/*
 * Collect what is complete in all queues of the process, when memory is short; with @notify have the service thread collect
 * the rest as soon as it is complete, although nobody waits for it. No locks held.
 */
void mcl_queue_reclaim(bool notify);

#endif
