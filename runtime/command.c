/* SPDX-License-Identifier: MIT */
/* A command's life: from the free list to its end and back; see command.h. What an enqueue call makes of one is in enqueue.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "runtime/command.h"
#include "runtime/service.h"

/* Commands that a queue keeps for reuse. A burst of this many costs no malloc the second time. */
#define FREE_COMMANDS 2048

cl_int mcl_status_error(enum mcl_status status)
{
	return status == MCL_STATUS_LOST ? CL_DEVICE_NOT_AVAILABLE : CL_OUT_OF_RESOURCES;
}

/* ---- the free list ---- */

/* The last reference to a command's event is gone; it is on no list. Returns true if the queue's reference goes with it. */
static bool recycle(struct mcl_command *cmd)
{
	cl_command_queue q = cmd->event.queue;

	if (cmd->waits != cmd->waits_inline)
		free(cmd->waits);
	free(cmd->abort);
	if (q->free_count < FREE_COMMANDS) {
		cmd->next = q->free;
		q->free = cmd;
		q->free_count++;
	} else {
		mcl_object_free(&cmd->event.obj);
	}
	return --q->live == 0;
}

static void destroy(struct mcl_object *obj)
{
	cl_command_queue q = ((cl_event)obj)->queue;
	bool last;

	pthread_mutex_lock(&q->lock);
	last = recycle((struct mcl_command *)obj);
	pthread_mutex_unlock(&q->lock);
	if (last)
		mcl_object_put(&q->obj);
}

struct mcl_command *mcl_command_create(cl_command_queue q, cl_command_type type)
{
	struct mcl_command *cmd = q->free;

	if (cmd) {
		q->free = cmd->next;
		q->free_count--;
	} else {
		cmd = mcl_object_alloc(sizeof(*cmd));
		if (!cmd)
			return NULL;
	}
	mcl_object_init(&cmd->event.obj, MCL_TYPE_EVENT, destroy);
	atomic_store_explicit(&cmd->event.obj.app_refs, 0, memory_order_relaxed);
	cmd->event.context = q->context;
	cmd->event.queue = q;
	cmd->event.type = type;
	cmd->event.generation = q->generation;
	cmd->event.lock = &q->lock;
	atomic_init(&cmd->event.status, CL_QUEUED);
	cmd->event.nodes = NULL;
	cmd->event.callbacks = NULL;
	cmd->state = MCL_COMMAND_NEW;
	cmd->number = 0;
	atomic_init(&cmd->pending, 1);
	atomic_init(&cmd->doomed, false);
	cmd->after_all = cmd->fence = cmd->ordered = cmd->notified = cmd->aborted = false;
	cmd->abort = NULL;
	cmd->payload.kind = MCL_COMMAND_NOP;
	cmd->blob = NULL;
	cmd->waits = cmd->waits_inline;
	cmd->build = NULL;
	cmd->use.shape = NULL;
	cmd->mems = cmd->mems_inline;
	cmd->mem_count = 0;
	if (q->profiling)
		cmd->queued_ns = mcl_backend_clock_ns();
	else
		cmd->queued_ns = 0;
	cmd->submit_ns = cmd->start_ns = cmd->end_ns = 0;
	if (q->live++ == 0)
		mcl_object_get(&q->obj);
	return cmd;
}

/* What the command kept alive for its work. No locks held: memory objects call back, builds unload. */
static void drop_work(struct mcl_command *cmd)
{
	if (cmd->payload.kind == MCL_COMMAND_HOST && cmd->payload.host.dispose)
		cmd->payload.host.dispose(cmd->payload.host.data);
	cmd->payload.kind = MCL_COMMAND_NOP;
	for (uint32_t i = 0; i < cmd->mem_count; i++)
		mcl_object_put(&cmd->mems[i]->obj);
	cmd->mem_count = 0;
	if (cmd->mems != cmd->mems_inline) {
		free(cmd->mems);
		cmd->mems = cmd->mems_inline;
	}
	if (cmd->build) {
		mcl_build_put(cmd->build);
		cmd->build = NULL;
	}
	free(cmd->blob);
	cmd->blob = NULL;
}

/* ---- batches ---- */

void mcl_batch_wake(struct mcl_batch *batch, struct mcl_backend *backend)
{
	if (batch->wake == backend)
		return;
	/* A batch touches queues of one context, or of two when a backend died in between: the newer one is alive. */
	if (batch->wake)
		mcl_service_put_backend(batch->wake);
	batch->wake = mcl_backend_get(backend);
}

static void resolve(const struct mcl_wait_node *node, struct mcl_batch *batch)
{
	struct mcl_command *cmd = node->command;
	cl_command_queue q = cmd->event.queue;
	bool last;

	if (node->failed)
		atomic_store(&cmd->doomed, true);
	last = atomic_fetch_sub(&cmd->pending, 1) == 1;
	if (!last && !node->failed)
		return;
	pthread_mutex_lock(&q->lock);
	if (cmd->state == MCL_COMMAND_HELD)
		mcl_schedule_ready(cmd, batch);
	pthread_mutex_unlock(&q->lock);
}

/* No return value tells of it when nobody waits for the event. */
static void report_abort(struct mcl_command *cmd)
{
	cl_int status = atomic_load_explicit(&cmd->event.status, memory_order_relaxed);

	mcl_context_report(cmd->event.context,
			   status == CL_DEVICE_NOT_AVAILABLE ? "a command was lost: the device process has died (%s)" :
							       "a command was aborted by the device (%s)",
			   mcl_cl_error_name(status));
}

/* Drop the lists' references of finished commands, with one round of the lock for all of a queue. */
static void release_done(struct mcl_command *done)
{
	struct mcl_command *cmd, *next, *gone = NULL;

	for (cmd = done; cmd; cmd = next) {
		next = cmd->next;
		if (cmd->aborted)
			report_abort(cmd);
		drop_work(cmd);
		if (atomic_fetch_sub_explicit(&cmd->event.obj.refs, 1, memory_order_acq_rel) == 1) {
			atomic_store_explicit(&cmd->event.obj.type, MCL_TYPE_DEAD, memory_order_relaxed);
			cmd->next = gone;
			gone = cmd;
		}
	}
	while (gone) {
		cl_command_queue q = gone->event.queue;
		bool last = false;

		pthread_mutex_lock(&q->lock);
		while (gone && gone->event.queue == q) {
			next = gone->next;
			last = recycle(gone);
			gone = next;
		}
		pthread_mutex_unlock(&q->lock);
		if (last)
			mcl_object_put(&q->obj);
	}
}

void mcl_batch_finish(struct mcl_batch *batch)
{
	while (batch->nodes || batch->callbacks || batch->done) {
		struct mcl_wait_node *node = batch->nodes;
		struct mcl_event_callback *callbacks = batch->callbacks;
		struct mcl_command *done = batch->done;

		if (node) {
			struct mcl_command *cmd = node->command;

			batch->nodes = node->next;
			if (!node->soft)
				resolve(node, batch);
			mcl_object_put(&cmd->event.obj);
		} else if (callbacks) {
			batch->callbacks = NULL;
			mcl_service_callbacks(callbacks);
		} else {
			batch->done = NULL;
			release_done(done);
		}
	}
	if (batch->wake) {
		mcl_service_run(batch->wake);
		mcl_service_put_backend(batch->wake);
		batch->wake = NULL;
	}
}

/* ---- status ---- */

void mcl_event_due(cl_event event, struct mcl_batch *batch)
{
	cl_int status = atomic_load_explicit(&event->status, memory_order_relaxed);
	struct mcl_event_callback **at = &event->callbacks, *cb;

	while ((cb = *at)) {
		if (status > cb->type) {
			at = &cb->next;
			continue;
		}
		*at = cb->next;
		cb->status = status < 0 ? status : cb->type;
		cb->next = batch->callbacks;
		batch->callbacks = cb;
		mcl_batch_wake(batch, event->context->backend);
	}
}

void mcl_event_finish(cl_event event, cl_int status, struct mcl_batch *batch)
{
	struct mcl_wait_node *node;

	atomic_store_explicit(&event->status, status, memory_order_release);
	while ((node = event->nodes)) {
		event->nodes = node->next;
		node->failed = status < 0;
		/* A soft node's command is in the same queue: it must know before it is collected itself. */
		if (node->soft && node->failed)
			atomic_store(&node->command->doomed, true);
		node->next = batch->nodes;
		batch->nodes = node;
	}
	if (event->callbacks)
		mcl_event_due(event, batch);
}

void mcl_command_advance_status(struct mcl_command *cmd, cl_int status, struct mcl_batch *batch)
{
	if (atomic_load_explicit(&cmd->event.status, memory_order_relaxed) <= status)
		return;
	atomic_store_explicit(&cmd->event.status, status, memory_order_release);
	if (cmd->event.callbacks)
		mcl_event_due(&cmd->event, batch);
}

void mcl_command_complete(struct mcl_command *cmd, cl_int status, struct mcl_batch *batch)
{
	cl_command_queue q = cmd->event.queue;

	if (cmd->notified) {
		cmd->notified = false;
		q->notified--;
	}
	if (cmd->state == MCL_COMMAND_PUSHED && cmd->fence)
		q->fences--;
	cmd->state = MCL_COMMAND_DONE;
	mcl_event_finish(&cmd->event, status, batch);
	if (q->sleepers)
		pthread_cond_broadcast(&q->progress);
}
