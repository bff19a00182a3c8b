/* SPDX-License-Identifier: MIT */
/*
 * Commands: what lies between an enqueue call and the packet in the engine's ring.
 *
 * A command is PUSHED into the ring at once when nothing has to happen first on the host: its wait list is complete, or
 * names only commands of the same queue that are in the ring already (the ring's order does the rest, without the host).
 * Otherwise it is HELD, in an in-order queue with everything behind it. Host commands (freeing of shared memory, moving
 * pages) become HOSTED: they run on the service thread.
 *
 * Completion is found lazily, by whoever looks: waiters, status queries, every sixteenth enqueue, an enqueue that finds
 * the ring full. Only when somebody needs to know who does not look (a callback, a command that is held for it, a queue that
 * was released) the ring is asked to tell the service thread.
 *
 *   enqueue.c   enqueue: wait lists, references, copies of arguments
 *   command.c   the free list, status, completion
 *   schedule.c  push, hold, collect
 *   service.c   the service thread's share
 *   wait.c      waiting
 *
 * Lock order, outermost first:
 *   kernel->lock                     held by clEnqueueNDRangeKernel until the arguments are captured
 *   queue->lock, user event's lock   one of them at a time, never nested
 *   service lock                     lists of the service thread
 * mem->lock, context->lock and the SVM table's lock are leaves. No lock is held while application callbacks run, while
 * references to memory objects and builds are dropped, and in mcl_ring_wait(). Work found under a queue's lock that must
 * be done without it travels in a struct mcl_batch.
 */
#ifndef MCL_COMMAND_H
#define MCL_COMMAND_H

#include "backend.h"
#include "runtime/event.h"
#include "runtime/mem.h"
#include "runtime/program.h"
#include "runtime/queue.h"

#define MCL_COMMAND_MEMS 4 /* memory objects a command refers to without a further allocation */
#define MCL_COMMAND_WAITS 4 /* likewise for its wait list */

enum mcl_command_kind {
	MCL_COMMAND_LAUNCH,
	MCL_COMMAND_COPY,
	MCL_COMMAND_FILL,
	MCL_COMMAND_NOP,
	MCL_COMMAND_HOST,
};

enum mcl_command_state {
	MCL_COMMAND_NEW,
	MCL_COMMAND_HELD,
	MCL_COMMAND_PUSHED,
	MCL_COMMAND_HOSTED,
	MCL_COMMAND_DONE,
};

/* What a command does. Pointers are borrowed from the enqueue call, or point into the command's own blob. */
struct mcl_payload {
	enum mcl_command_kind kind;
	union {
		struct {
			const struct mcl_launch *launch;
			uint32_t arg_count;
		};
		struct mcl_copy copy;
		struct {
			void *dst;
			uint64_t size;
			const void *pattern;
			uint32_t pattern_size;
		} fill;
		/*
		 * @run does the work on the service thread and returns the status; NULL on termination. @dispose frees @data,
		 * exactly once, whether it ran or not; also when the enqueue fails.
		 */
		struct {
			cl_int (*run)(cl_command_queue queue, void *data);
			void (*dispose)(void *data);
			void *data;
		} host;
	};
};

struct mcl_command {
	struct _cl_event event; /* first; event.lock is the queue's lock, which guards the rest too */
	struct mcl_command *prev, *next;
	struct mcl_command *service_next; /* service.c's list of host commands to run */
	enum mcl_command_state state;
	uint64_t number; /* of this command in its queue, counted from 1 */
	uint64_t seq; /* PUSHED: its packet */
	/* Wait nodes that are neither soft nor resolved, plus one until the command is in a list. No lock. */
	_Atomic uint32_t pending;
	/* An event of the wait list failed. A word of its own: the compiler reads flags beside each other at once. No lock. */
	_Atomic uint32_t doomed;
	bool after_all; /* waits for everything enqueued before it (marker and barrier without wait list) */
	bool fence; /* nothing enqueued after it may start before it is complete (barrier) */
	bool ordered; /* out-of-order queue: depends on a pushed command, so it takes the ring's barrier bit */
	bool notified; /* counted in queue->notified */
	bool aborted; /* by the device: the context's error callback is to hear of it */
	struct mcl_abort *abort; /* what is known of that, or NULL; set before the status */
	struct mcl_payload payload; /* HELD and HOSTED only */
	void *blob; /* memory that the payload points into */
	struct mcl_wait_node waits_inline[MCL_COMMAND_WAITS], *waits;
	struct mcl_build *build; /* reference, or NULL */
	struct mcl_variant_use use; /* of the build */
	cl_mem mems_inline[MCL_COMMAND_MEMS], *mems; /* references */
	uint32_t mem_count;
	uint64_t queued_ns, submit_ns, start_ns, end_ns; /* with profiling */
};

static inline struct mcl_command *mcl_command_of(cl_event event)
{
	return (struct mcl_command *)event;
}

/* An enqueue call, after its arguments were checked. */
struct mcl_request {
	const char *function;
	cl_command_queue queue;
	cl_command_type type;
	struct mcl_payload payload;
	bool after_all, fence;
	bool blocking;
	cl_uint num_events;
	const cl_event *wait_list;
	cl_event *event; /* NULL: the application wants none */
	struct mcl_build *build; /* to be kept alive, or NULL */
	struct mcl_variant_use use; /* of the build, for a launch that is to be measured */
	const cl_mem *mems; /* to be kept alive; NULL entries are skipped */
	uint32_t mem_count;
	pthread_mutex_t *args_lock; /* held by the caller; unlocked here in every case. May be NULL */
};

/*
 * Enqueue. On success *req->event is the application's reference; with req->blocking the command has completed.
 * Returns CL_SUCCESS or the error, already reported: CL_OUT_OF_HOST_MEMORY, CL_OUT_OF_RESOURCES (the engine cannot take such a
 * packet), CL_DEVICE_NOT_AVAILABLE; blocking: the command's negative status, which is
 * CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST if an event of the wait list failed.
 */
cl_int mcl_command_enqueue(const struct mcl_request *req);

/*
 * Whether a blocking command with this wait list could run right now on the calling thread: nothing is under way in the
 * queue and every event is complete, none failed.
 */
bool mcl_command_idle(cl_command_queue queue, cl_uint num_events, const cl_event *wait_list);

/* Record a command that the caller has just done itself. As mcl_command_enqueue(). */
cl_int mcl_command_done_here(const struct mcl_request *req, uint64_t start_ns, uint64_t end_ns);

/* ---- between command.c, schedule.c, service.c and wait.c ---- */

/* Work to be done when the queue's lock has been dropped. Starts as zeros. */
struct mcl_batch {
	struct mcl_command *done; /* each with the reference its list held; linked by next */
	struct mcl_wait_node *nodes;
	struct mcl_event_callback *callbacks;
	struct mcl_backend *wake; /* a reference: its service thread has something to do */
};

/* Do it. No locks held. */
void mcl_batch_finish(struct mcl_batch *batch);

/* Note that @backend's service thread must look. With or without locks. */
void mcl_batch_wake(struct mcl_batch *batch, struct mcl_backend *backend);

/* Everything below is called with the event's or the queue's lock held. */

/* Set the final status of an event: whoever waits for it goes to the batch. */
void mcl_event_finish(cl_event event, cl_int status, struct mcl_batch *batch);

/* Move the callbacks that the event's status makes due to the batch. */
void mcl_event_due(cl_event event, struct mcl_batch *batch);

/* Set the final status, release who waits. Does not take the command off any list, nor drop a reference. */
void mcl_command_complete(struct mcl_command *command, cl_int status, struct mcl_batch *batch);

/* The status becomes SUBMITTED or RUNNING; with callbacks. */
void mcl_command_advance_status(struct mcl_command *command, cl_int status, struct mcl_batch *batch);

/* Try to put @payload into the ring as @command. Returns 0 or the ring's -errno. */
int mcl_schedule_push(struct mcl_command *command, const struct mcl_payload *payload, struct mcl_batch *batch);

/* May a new command go straight into the ring? */
bool mcl_schedule_direct(const struct mcl_command *command, enum mcl_command_kind kind);

/* Append a new command, whose payload is its own, to the held ones. */
void mcl_schedule_hold(struct mcl_command *command, struct mcl_batch *batch);

/* Something that held commands waited for has happened: push those that can go. */
void mcl_schedule_advance(cl_command_queue queue, struct mcl_batch *batch);

/* The same when it concerns only @command. */
void mcl_schedule_ready(struct mcl_command *command, struct mcl_batch *batch);

/* Complete what the ring has done. Not @all: stop at the first that is not. */
void mcl_schedule_collect(cl_command_queue queue, bool all, struct mcl_batch *batch);

/* Have the service thread collect this queue when @command is complete. Does nothing unless it is PUSHED. */
void mcl_schedule_notify(struct mcl_command *command, struct mcl_batch *batch);

/* A host command has run. */
void mcl_schedule_host_done(struct mcl_command *command, cl_int status, struct mcl_batch *batch);

/*
 * A new command of @q, whose lock is held; status CL_QUEUED. One reference, for the list that it will be on. NULL: out of
 * memory.
 */
struct mcl_command *mcl_command_create(cl_command_queue q, cl_command_type type);

/* Code of the API for a packet that did not end well. */
cl_int mcl_status_error(enum mcl_status status);

#endif
