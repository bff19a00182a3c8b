/* SPDX-License-Identifier: MIT */
/*
 * Event objects. The event of a command is the first member of its struct mcl_command (command.h) and shares its
 * queue's lock; a user event stands alone with a lock of its own.
 */
#ifndef MCL_EVENT_H
#define MCL_EVENT_H

#include <pthread.h>

#include "runtime/context.h"

struct mcl_command;

/* One entry of a command's wait list, hung on the event that it waits for until that event is complete. */
struct mcl_wait_node {
	struct mcl_wait_node *next;
	struct mcl_command *command; /* who waits: a reference */
	/*
	 * The order of the ring already makes the command run after this event: only a failure is of interest. Both belong
	 * to one queue.
	 */
	bool soft;
	bool failed; /* filled when the event is complete */
};

/* One clSetEventCallback(). */
struct mcl_event_callback {
	struct mcl_event_callback *next;
	cl_event event; /* a reference */
	cl_int type; /* the status it was registered for */
	cl_int status; /* what to tell it */
	void(CL_CALLBACK *fn)(cl_event event, cl_int status, void *data);
	void *data;
};

struct _cl_event {
	struct mcl_object obj;
	cl_context context; /* user events: runtime reference; else the queue's */
	cl_command_queue queue; /* NULL: a user event. A command keeps its queue alive through the count in queue->live */
	cl_command_type type;
	uint32_t generation; /* of the process that made it: service.h */
	pthread_mutex_t *lock; /* the queue's, or the user event's own; guards everything below */
	/* CL_QUEUED ... CL_COMPLETE or a negative error; written with the lock held, read by anyone. */
	_Atomic cl_int status;
	struct mcl_wait_node *nodes;
	struct mcl_event_callback *callbacks;
};

/* True when @event is complete or terminated; then its status does not change any more. */
static inline bool mcl_event_done(cl_event event)
{
	return atomic_load_explicit(&event->status, memory_order_acquire) <= CL_COMPLETE;
}

/*
 * Wait until @event is complete. Takes locks, runs application callbacks (destructors of memory objects): call it
 * without locks. Returns its final status, or CL_DEVICE_NOT_AVAILABLE for an event from before a fork().
 */
cl_int mcl_event_wait(cl_event event);

/* Ask the ring about a command whose status is not final, so that the status is as of now. No locks held. */
void mcl_event_poll(cl_event event);

#endif
