// SPDX-License-Identifier: MIT
/* From an enqueue call to a scheduled command: wait lists, references, copies of arguments, errors; see command.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/command.h"

/* How long an enqueue waits for room in the ring before it holds the command instead: tries and time of each. */
#define FULL_TRIES 4
#define FULL_WAIT_NS 1000000

/* Enqueues between two looks at what the ring has completed. */
#define COLLECT_EVERY 16

static void hang_node(cl_event event, struct mcl_command *cmd, struct mcl_wait_node *node, bool soft)
{
	*node = (struct mcl_wait_node){ .next = event->nodes, .command = cmd, .soft = soft };
	event->nodes = node;
	mcl_object_get(&cmd->event.obj);
	if (!soft)
		atomic_fetch_add(&cmd->pending, 1);
}

/* @event, of another queue or a user event, has to be complete first. No locks held. */
static void wait_on_foreign(struct mcl_command *cmd, cl_event event, struct mcl_wait_node *node,
			    struct mcl_batch *batch)
{
	cl_int status;

	pthread_mutex_lock(event->lock);
	status = atomic_load_explicit(&event->status, memory_order_relaxed);
	if (status > CL_COMPLETE) {
		hang_node(event, cmd, node, false);
		if (event->queue)
			mcl_schedule_notify(mcl_command_of(event), batch);
	} else if (status < 0) {
		atomic_store(&cmd->doomed, true);
	}
	pthread_mutex_unlock(event->lock);
}

/* The same for an earlier command of the same queue, whose lock is held. */
static void wait_on_own(struct mcl_command *cmd, cl_event event, struct mcl_wait_node *node)
{
	cl_command_queue q = event->queue;
	bool pushed = mcl_command_of(event)->state == MCL_COMMAND_PUSHED;
	cl_int status = atomic_load_explicit(&event->status, memory_order_relaxed);

	if (status > CL_COMPLETE) {
		hang_node(event, cmd, node, !q->out_of_order || pushed);
		cmd->ordered |= pushed;
	} else if (status < 0) {
		atomic_store(&cmd->doomed, true);
	}
}

/*
 * Hang a node on every event of the wait list that is not complete. Called with the queue's lock held, which is dropped
 * and taken again if there are events of others: the command is on no list yet, so that is of no consequence.
 */
static int wait_on_list(struct mcl_command *cmd, const struct mcl_request *req, struct mcl_batch *batch)
{
	cl_command_queue q = req->queue;
	bool foreign = false, own = false;

	for (cl_uint i = 0; i < req->num_events; i++) {
		if (atomic_load_explicit(&req->wait_list[i]->status, memory_order_acquire) == CL_COMPLETE)
			continue;
		*(req->wait_list[i]->queue == q ? &own : &foreign) = true;
	}
	if (!own && !foreign)
		return 0;
	if (req->num_events > MCL_COMMAND_WAITS) {
		cmd->waits = malloc(req->num_events * sizeof(*cmd->waits));
		if (!cmd->waits) {
			cmd->waits = cmd->waits_inline;
			return -ENOMEM;
		}
	}
	if (foreign) {
		pthread_mutex_unlock(&q->lock);
		for (cl_uint i = 0; i < req->num_events; i++)
			if (req->wait_list[i]->queue != q)
				wait_on_foreign(cmd, req->wait_list[i], &cmd->waits[i], batch);
		pthread_mutex_lock(&q->lock);
	}
	if (own) {
		for (cl_uint i = 0; i < req->num_events; i++)
			if (req->wait_list[i]->queue == q)
				wait_on_own(cmd, req->wait_list[i], &cmd->waits[i]);
	}
	return 0;
}

/* References to what the command uses until it is complete. */
static int keep_alive(struct mcl_command *cmd, const struct mcl_request *req)
{
	if (req->mem_count > MCL_COMMAND_MEMS) {
		cmd->mems = malloc(req->mem_count * sizeof(cl_mem));
		if (!cmd->mems) {
			cmd->mems = cmd->mems_inline;
			return -ENOMEM;
		}
	}
	for (uint32_t i = 0; i < req->mem_count; i++) {
		if (!req->mems[i])
			continue;
		mcl_object_get(&req->mems[i]->obj);
		cmd->mems[cmd->mem_count++] = req->mems[i];
	}
	if (req->build)
		cmd->build = mcl_build_get(req->build);
	cmd->use = req->use;
	return 0;
}

static size_t align_up(size_t value, size_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/* A launch with its argument values, in one block. */
static void *copy_launch(const struct mcl_launch *launch, uint32_t arg_count)
{
	size_t size = align_up(sizeof(*launch), 16) + arg_count * sizeof(struct mcl_arg);
	struct mcl_launch *copy;
	struct mcl_arg *args;
	uint8_t *values;

	for (uint32_t i = 0; i < arg_count; i++)
		if (launch->args[i].value)
			size = align_up(size, 16) + launch->args[i].size;
	copy = malloc(size);
	if (!copy)
		return NULL;
	args = (struct mcl_arg *)((uint8_t *)copy + align_up(sizeof(*launch), 16));
	values = (uint8_t *)(args + arg_count);
	*copy = *launch;
	copy->args = args;
	for (uint32_t i = 0; i < arg_count; i++) {
		args[i] = launch->args[i];
		if (!args[i].value)
			continue;
		values = (uint8_t *)align_up((size_t)values, 16);
		memcpy(values, args[i].value, args[i].size);
		args[i].value = values;
		values += args[i].size;
	}
	return copy;
}

/* Make the payload the command's own, for a command that is not pushed at once. */
static int capture(struct mcl_command *cmd, const struct mcl_payload *payload)
{
	switch (payload->kind) {
	case MCL_COMMAND_LAUNCH:
		cmd->blob = copy_launch(payload->launch, payload->arg_count);
		if (!cmd->blob)
			return -ENOMEM;
		cmd->payload = *payload;
		cmd->payload.launch = cmd->blob;
		break;
	case MCL_COMMAND_FILL:
		cmd->blob = malloc(payload->fill.pattern_size);
		if (!cmd->blob)
			return -ENOMEM;
		cmd->payload = *payload;
		cmd->payload.fill.pattern = memcpy(cmd->blob, payload->fill.pattern, payload->fill.pattern_size);
		break;
	case MCL_COMMAND_COPY:
	case MCL_COMMAND_NOP:
	case MCL_COMMAND_HOST:
		cmd->payload = *payload;
		break;
	}
	return 0;
}

/*
 * Push straight into the ring. When it is full, wait a little for the oldest packet; not for long, because it may be a
 * kernel that waits for something the calling thread does next. -EAGAIN: hold the command.
 */
static int push_now(struct mcl_command *cmd, const struct mcl_payload *payload, struct mcl_batch *batch)
{
	cl_command_queue q = cmd->event.queue;

	for (unsigned int tries = 0;; tries++) {
		int err = mcl_schedule_push(cmd, payload, batch);
		uint64_t seq;

		if (err != -EAGAIN)
			return err;
		mcl_schedule_collect(q, false, batch);
		err = mcl_schedule_push(cmd, payload, batch);
		if (err != -EAGAIN || tries == FULL_TRIES || !q->pushed)
			return err;
		/* Room for a number of packets, so that host and device do not hand each slot to and fro. */
		seq = q->pushed->seq + (q->pushed->prev->seq - q->pushed->seq) / 4;
		pthread_mutex_unlock(&q->lock);
		mcl_ring_wait(q->ring, seq, FULL_WAIT_NS);
		pthread_mutex_lock(&q->lock);
		mcl_schedule_collect(q, false, batch);
		if (!mcl_schedule_direct(cmd, payload->kind))
			return -EAGAIN;
	}
}

static int submit(struct mcl_command *cmd, const struct mcl_request *req, struct mcl_batch *batch)
{
	int err = -EAGAIN;

	if (mcl_schedule_direct(cmd, req->payload.kind))
		err = push_now(cmd, &req->payload, batch);
	if (err != -EAGAIN)
		return err;
	err = capture(cmd, &req->payload);
	if (err)
		return err;
	mcl_schedule_hold(cmd, batch);
	return 0;
}

static cl_int enqueue_error(const struct mcl_request *req, int err)
{
	switch (err) {
	case -ENOMEM:
		return mcl_cl_error(req->function, CL_OUT_OF_HOST_MEMORY, "out of memory for a command");
	case -ENODEV:
		return mcl_cl_error(req->function, CL_DEVICE_NOT_AVAILABLE, "the device process has died");
	case -E2BIG:
		return mcl_cl_error(req->function, CL_OUT_OF_RESOURCES,
				    "the arguments, or the number of work-groups, are too large for the device");
	case -ENOSPC:
		return mcl_cl_error(req->function, CL_OUT_OF_RESOURCES,
				    "a work-group needs more local memory than the device has");
	default:
		return mcl_cl_error(req->function, CL_OUT_OF_RESOURCES, "the device refused the command: %s",
				    strerror(-err));
	}
}

cl_int mcl_command_enqueue(const struct mcl_request *req)
{
	cl_command_queue q = req->queue;
	struct mcl_batch batch = { 0 };
	struct mcl_command *cmd;
	cl_int status;
	int err;

	pthread_mutex_lock(&q->lock);
	cmd = mcl_command_create(q, req->type);
	if (!cmd) {
		pthread_mutex_unlock(&q->lock);
		if (req->args_lock)
			pthread_mutex_unlock(req->args_lock);
		if (req->payload.kind == MCL_COMMAND_HOST && req->payload.host.dispose)
			req->payload.host.dispose(req->payload.host.data);
		return enqueue_error(req, -ENOMEM);
	}
	if (req->payload.kind == MCL_COMMAND_HOST)
		cmd->payload = req->payload;
	cmd->after_all = req->after_all;
	cmd->fence = req->fence;
	if (q->enqueued % COLLECT_EVERY == 0 && q->pushed)
		mcl_schedule_collect(q, false, &batch);
	err = keep_alive(cmd, req);
	if (!err && req->num_events)
		err = wait_on_list(cmd, req, &batch);
	if (!err)
		err = submit(cmd, req, &batch);
	if (err) {
		/* Nodes may still hang on events; they hold the command until those are complete, and find it DONE. */
		cmd->state = MCL_COMMAND_DONE;
		cmd->next = batch.done;
		batch.done = cmd;
	} else if (req->event || req->blocking) {
		mcl_object_get(&cmd->event.obj);
	}
	pthread_mutex_unlock(&q->lock);
	if (req->args_lock)
		pthread_mutex_unlock(req->args_lock);
	mcl_batch_finish(&batch);
	if (err)
		return enqueue_error(req, err);
	if (req->blocking) {
		status = mcl_event_wait(&cmd->event);
		if (status < 0) {
			mcl_object_put(&cmd->event.obj);
			return mcl_cl_error(req->function, status, "the blocking command failed");
		}
	}
	if (req->event) {
		/* The reference becomes the application's. */
		atomic_store_explicit(&cmd->event.obj.app_refs, 1, memory_order_release);
		*req->event = &cmd->event;
	} else if (req->blocking) {
		mcl_object_put(&cmd->event.obj);
	}
	return CL_SUCCESS;
}

bool mcl_command_idle(cl_command_queue q, cl_uint num_events, const cl_event *wait_list)
{
	struct mcl_batch batch = { 0 };
	bool idle;

	for (cl_uint i = 0; i < num_events; i++) {
		if (!mcl_event_done(wait_list[i]))
			mcl_event_poll(wait_list[i]);
		if (atomic_load_explicit(&wait_list[i]->status, memory_order_acquire) != CL_COMPLETE)
			return false;
	}
	pthread_mutex_lock(&q->lock);
	if (q->pushed)
		mcl_schedule_collect(q, false, &batch);
	idle = !q->pushed && !q->held && !q->hosted;
	pthread_mutex_unlock(&q->lock);
	mcl_batch_finish(&batch);
	return idle;
}

cl_int mcl_command_done_here(const struct mcl_request *req, uint64_t start_ns, uint64_t end_ns)
{
	cl_command_queue q = req->queue;
	struct mcl_command *cmd;

	if (!req->event)
		return CL_SUCCESS;
	pthread_mutex_lock(&q->lock);
	cmd = mcl_command_create(q, req->type);
	if (cmd) {
		cmd->state = MCL_COMMAND_DONE;
		atomic_store_explicit(&cmd->event.status, CL_COMPLETE, memory_order_release);
		atomic_store_explicit(&cmd->event.obj.app_refs, 1, memory_order_release);
		cmd->queued_ns = cmd->submit_ns = cmd->start_ns = start_ns;
		cmd->end_ns = end_ns;
	}
	pthread_mutex_unlock(&q->lock);
	if (!cmd)
		return enqueue_error(req, -ENOMEM);
	*req->event = &cmd->event;
	return CL_SUCCESS;
}
