/* SPDX-License-Identifier: MIT */
/*
 * What the runtime does on the backend's service thread: application callbacks of events, commands that run on the host,
 * and the completion of packets that nobody waits for but something depends on.
 *
 * Everything here takes only the service lock, which is innermost (command.h). When the backend is dead there is no
 * thread to rely on, and the caller's thread does the work in mcl_service_run().
 */
#ifndef MCL_SERVICE_H
#define MCL_SERVICE_H

#include "runtime/context.h"
#include "runtime/event.h"

struct mcl_command;

/* Number of fork()s between the first process that used the runtime and this one. */
extern _Atomic uint32_t mcl_fork_generation;

/*
 * Whether an object of @generation was made before a fork() by another process than this one. Its locks may be held by
 * threads that do not exist here: touch none of them.
 */
static inline bool mcl_foreign(uint32_t generation)
{
	return __builtin_expect(atomic_load_explicit(&mcl_fork_generation, memory_order_relaxed) != generation, 0);
}

/* Make @b's service thread work for the runtime. Cheap when repeated. */
void mcl_service_attach(struct mcl_backend *b);

/* Look at @queue when its ring reports. Called with the queue's lock held; takes a reference. */
void mcl_service_watch(cl_command_queue queue);

/* Run a host command in state MCL_COMMAND_HOSTED. Called with the queue's lock held; takes a reference. */
void mcl_service_host(struct mcl_command *command);

/* Call a list of callbacks, whose references to their events are handed over. */
void mcl_service_callbacks(struct mcl_event_callback *list);

/* Wake the service thread of @b, or do the work here when it is dead. No locks held. */
void mcl_service_run(struct mcl_backend *b);

/* Whether this thread is doing the service thread's work just now: an application callback or a host command runs on it. */
bool mcl_service_busy_here(void);

/* Do what has become due meanwhile, for a callback that waits although it should not. No locks held. */
void mcl_service_help(void);

/*
 * Like mcl_backend_put(), but allowed everywhere: what application callbacks and finished queues drop on the service
 * thread is put by a thread of its own.
 */
void mcl_service_put_backend(struct mcl_backend *b);

/* The queues that are alive, for mcl_queue_reclaim(): up to @max of them, a reference each. */
void mcl_service_add_queue(cl_command_queue queue);
void mcl_service_remove_queue(cl_command_queue queue);
unsigned int mcl_service_queues(cl_command_queue *out, unsigned int max);

#endif
