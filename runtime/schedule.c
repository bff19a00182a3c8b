/* SPDX-License-Identifier: MIT */
/*
 * Scheduling: which command goes into the ring when, and what has come out of it; see command.h. Everything here runs
 * with the queue's lock held and does nothing that takes long.
 *
 * In-order queues: every packet carries the ring's barrier bit, held commands go strictly first to last, a host command
 * starts when the ring is empty, and nothing else starts while one runs.
 *
 * Out-of-order queues: packets start in the ring's order, so a packet with the barrier bit also keeps everything behind
 * it from starting before everything in front of it is complete. That is what a barrier is; for a marker, or a command
 * that depends on one already in the ring, it is stricter than need be and saves the host's attention.
 */
#include <errno.h>
#include <utlist.h>

#include "runtime/command.h"
#include "runtime/service.h"
#include "runtime/variant.h"

/* In an out-of-order queue: its place among the held ones matters. */
static bool holds_place(const struct mcl_command *cmd, enum mcl_command_kind kind)
{
	return cmd->after_all || cmd->fence || kind == MCL_COMMAND_HOST;
}

void mcl_schedule_notify(struct mcl_command *cmd, struct mcl_batch *batch)
{
	cl_command_queue q = cmd->event.queue;

	if (cmd->state != MCL_COMMAND_PUSHED || cmd->notified)
		return;
	cmd->notified = true;
	q->notified++;
	mcl_service_watch(q);
	/* Complete already: nobody will call, so have the service thread look by itself. */
	if (mcl_ring_notify(q->ring, cmd->seq))
		mcl_batch_wake(batch, q->context->backend);
}

static bool has_dependents(const struct mcl_command *cmd)
{
	for (const struct mcl_wait_node *node = cmd->event.nodes; node; node = node->next)
		if (!node->soft)
			return true;
	return false;
}

int mcl_schedule_push(struct mcl_command *cmd, const struct mcl_payload *payload, struct mcl_batch *batch)
{
	cl_command_queue q = cmd->event.queue;
	uint32_t flags = !q->out_of_order || cmd->after_all || cmd->ordered ? MCL_PACKET_BARRIER : 0;
	int err = 0;

	if (q->profiling)
		cmd->submit_ns = mcl_backend_clock_ns();
	switch (payload->kind) {
	case MCL_COMMAND_LAUNCH:
		if (cmd->use.shape)
			cmd->use.faults = mcl_variant_faults(q->context->backend);
		err = mcl_ring_launch(q->ring, payload->launch, flags, &cmd->seq, NULL);
		break;
	case MCL_COMMAND_COPY:
		err = mcl_ring_copy(q->ring, &payload->copy, flags, &cmd->seq);
		break;
	case MCL_COMMAND_FILL:
		err = mcl_ring_fill(q->ring, payload->fill.dst, payload->fill.size, payload->fill.pattern,
				    payload->fill.pattern_size, flags, &cmd->seq);
		break;
	case MCL_COMMAND_NOP:
		err = mcl_ring_nop(q->ring, flags, &cmd->seq);
		break;
	case MCL_COMMAND_HOST:
		err = -EINVAL; /* not for the ring */
		break;
	}
	if (err)
		return err;
	if (!cmd->number)
		cmd->number = ++q->enqueued;
	cmd->state = MCL_COMMAND_PUSHED;
	DL_APPEND(q->pushed, cmd);
	if (cmd->fence)
		q->fences++;
	mcl_command_advance_status(cmd, CL_SUBMITTED, batch);
	if (q->sleepers)
		pthread_cond_broadcast(&q->progress);
	if (cmd->event.callbacks || q->released || (cmd->event.nodes && has_dependents(cmd)))
		mcl_schedule_notify(cmd, batch);
	return 0;
}

bool mcl_schedule_direct(const struct mcl_command *cmd, enum mcl_command_kind kind)
{
	cl_command_queue q = cmd->event.queue;

	if (kind == MCL_COMMAND_HOST || atomic_load(&cmd->pending) != 1 || atomic_load(&cmd->doomed))
		return false;
	if (!q->out_of_order)
		return !q->held && !q->hosted;
	if (cmd->after_all)
		return !q->held && !q->hosted;
	return !q->held_fences;
}

/* Take a held command off the list, to be pushed, run or terminated. */
static void unhold(struct mcl_command *cmd)
{
	cl_command_queue q = cmd->event.queue;

	DL_DELETE(q->held, cmd);
	if (holds_place(cmd, cmd->payload.kind))
		q->held_fences--;
}

static void terminate(struct mcl_command *cmd, cl_int status, struct mcl_batch *batch)
{
	unhold(cmd);
	mcl_command_complete(cmd, status, batch);
	cmd->next = batch->done;
	batch->done = cmd;
}

/* Terminated because the ring refused it, which an enqueue that pushes at once would have returned. */
static cl_int refused(int err)
{
	switch (err) {
	case -ENODEV:
		return CL_DEVICE_NOT_AVAILABLE;
	case -ENOMEM:
		return CL_OUT_OF_HOST_MEMORY;
	default:
		return CL_OUT_OF_RESOURCES;
	}
}

/* A held command whose turn it is. False: the ring is full, so that no other can go either. */
static bool push_held(struct mcl_command *cmd, struct mcl_batch *batch)
{
	cl_command_queue q = cmd->event.queue;
	struct mcl_payload payload = cmd->payload;
	int err;

	/* Off the list first: the same links serve the next one. */
	unhold(cmd);
	err = mcl_schedule_push(cmd, &payload, batch);
	if (!err)
		return true;
	if (err == -EAGAIN) {
		DL_PREPEND(q->held, cmd);
		if (holds_place(cmd, cmd->payload.kind))
			q->held_fences++;
		q->full = true;
		/* With nothing of ours in the ring it is full of other queues' packets, and calls when there is room. */
		if (q->pushed)
			mcl_schedule_notify(q->pushed->prev, batch);
		else
			mcl_service_watch(q);
		return false;
	}
	mcl_command_complete(cmd, refused(err), batch);
	cmd->next = batch->done;
	batch->done = cmd;
	return true;
}

/* Hand a held host command to the service thread. */
static void host_held(struct mcl_command *cmd, struct mcl_batch *batch)
{
	cl_command_queue q = cmd->event.queue;

	unhold(cmd);
	cmd->state = MCL_COMMAND_HOSTED;
	DL_APPEND(q->hosted, cmd);
	if (q->profiling)
		cmd->submit_ns = mcl_backend_clock_ns();
	mcl_command_advance_status(cmd, CL_SUBMITTED, batch);
	mcl_service_host(cmd);
	mcl_batch_wake(batch, q->context->backend);
}

static void advance_in_order(cl_command_queue q, struct mcl_batch *batch)
{
	struct mcl_command *cmd;

	while ((cmd = q->held)) {
		if (atomic_load(&cmd->doomed)) {
			terminate(cmd, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, batch);
			continue;
		}
		if (atomic_load(&cmd->pending) || q->hosted)
			break;
		if (cmd->payload.kind == MCL_COMMAND_HOST) {
			if (q->pushed) {
				mcl_schedule_notify(q->pushed->prev, batch);
				break;
			}
			host_held(cmd, batch);
		} else if (!push_held(cmd, batch)) {
			break;
		}
	}
}

/* A host command must come after barriers that are still in the ring: hear of their end. */
static void notify_fences(cl_command_queue q, struct mcl_batch *batch)
{
	struct mcl_command *cmd;

	DL_FOREACH(q->pushed, cmd)
		if (cmd->fence)
			mcl_schedule_notify(cmd, batch);
}

static void advance_out_of_order(cl_command_queue q, struct mcl_batch *batch)
{
	struct mcl_command *cmd, *next;
	bool passed = false; /* a command that stays held is in front of this one */

	DL_FOREACH_SAFE(q->held, cmd, next) {
		bool ready = !atomic_load(&cmd->pending) && !(cmd->after_all && (passed || q->hosted));

		if (atomic_load(&cmd->doomed)) {
			terminate(cmd, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, batch);
			continue;
		}
		if (ready && cmd->payload.kind == MCL_COMMAND_HOST) {
			if (!q->fences) {
				host_held(cmd, batch);
				continue;
			}
			notify_fences(q, batch);
			ready = false;
		}
		if (!ready) {
			passed = true;
			if (cmd->fence)
				break;
			continue;
		}
		if (!push_held(cmd, batch))
			break;
	}
}

void mcl_schedule_advance(cl_command_queue q, struct mcl_batch *batch)
{
	q->full = false;
	if (q->out_of_order)
		advance_out_of_order(q, batch);
	else
		advance_in_order(q, batch);
}

void mcl_schedule_ready(struct mcl_command *cmd, struct mcl_batch *batch)
{
	cl_command_queue q = cmd->event.queue;

	if (!q->out_of_order || q->held_fences || q->full)
		mcl_schedule_advance(q, batch);
	else if (atomic_load(&cmd->doomed))
		terminate(cmd, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, batch);
	else
		push_held(cmd, batch);
}

void mcl_schedule_hold(struct mcl_command *cmd, struct mcl_batch *batch)
{
	cl_command_queue q = cmd->event.queue;

	cmd->number = ++q->enqueued;
	cmd->state = MCL_COMMAND_HELD;
	DL_APPEND(q->held, cmd);
	if (holds_place(cmd, cmd->payload.kind))
		q->held_fences++;
	if (atomic_fetch_sub(&cmd->pending, 1) == 1 || atomic_load(&cmd->doomed))
		mcl_schedule_advance(q, batch);
}

static void finish_packet(struct mcl_command *cmd, const struct mcl_packet_result *result, struct mcl_batch *batch)
{
	cl_int status = CL_COMPLETE;

	if (cmd->event.queue->profiling) {
		/* The engine's clock may differ a little from ours; times never run backwards. */
		cmd->start_ns = result->start_ns > cmd->submit_ns ? result->start_ns : cmd->submit_ns;
		cmd->end_ns = result->end_ns > cmd->start_ns ? result->end_ns : cmd->start_ns;
	}
	cmd->aborted = result->status != MCL_STATUS_OK;
	if (cmd->use.shape && !cmd->aborted && result->end_ns > result->start_ns)
		mcl_variant_measured(&cmd->use, result->end_ns - result->start_ns,
				     mcl_variant_faults(cmd->event.queue->context->backend));
	if (cmd->aborted) {
		status = mcl_status_error(result->status);
		if (result->status != MCL_STATUS_LOST)
			cmd->abort = mcl_ring_abort(cmd->event.queue->ring, cmd->seq);
	} else if (atomic_load_explicit(&cmd->doomed, memory_order_relaxed)) {
		status = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
	}
	mcl_command_complete(cmd, status, batch);
}

void mcl_schedule_collect(cl_command_queue q, bool all, struct mcl_batch *batch)
{
	struct mcl_command *cmd, *next;
	bool any = false, retire = false;
	uint64_t seq = 0;

	DL_FOREACH_SAFE(q->pushed, cmd, next) {
		struct mcl_packet_result result;

		if (cmd->state == MCL_COMMAND_DONE)
			continue;
		if (q->profiling || cmd->use.shape)
			mcl_ring_state(q->ring, cmd->seq, &result);
		else
			mcl_ring_status(q->ring, cmd->seq, &result);
		if (result.state == MCL_PACKET_COMPLETE) {
			finish_packet(cmd, &result, batch);
			any = true;
			continue;
		}
		if (result.state == MCL_PACKET_RUNNING)
			mcl_command_advance_status(cmd, CL_RUNNING, batch);
		if (!all || !q->out_of_order)
			break;
	}
	while ((cmd = q->pushed) && cmd->state == MCL_COMMAND_DONE) {
		DL_DELETE(q->pushed, cmd);
		seq = cmd->seq;
		retire = true;
		cmd->next = batch->done;
		batch->done = cmd;
	}
	if (retire)
		mcl_ring_retire(q->ring, seq);
	if (any && q->held && (!q->out_of_order || q->full || q->held_fences))
		mcl_schedule_advance(q, batch);
}

void mcl_schedule_host_done(struct mcl_command *cmd, cl_int status, struct mcl_batch *batch)
{
	cl_command_queue q = cmd->event.queue;

	DL_DELETE(q->hosted, cmd);
	mcl_command_complete(cmd, status, batch);
	cmd->next = batch->done;
	batch->done = cmd;
	if (q->held)
		mcl_schedule_advance(q, batch);
}
