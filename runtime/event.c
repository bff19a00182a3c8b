/* SPDX-License-Identifier: MIT */
/* Events as the application sees them: references, information, profiling, callbacks. */
#include <stdlib.h>

#include "runtime/command.h"
#include "runtime/service.h"
#include "runtime/user_event.h"

cl_int clRetainEvent(cl_event event)
{
	if (!mcl_object_valid(event, MCL_TYPE_EVENT))
		return MCL_ERR(CL_INVALID_EVENT, "%p is not an event", (void *)event);
	mcl_object_retain_app(&event->obj);
	return CL_SUCCESS;
}

cl_int clReleaseEvent(cl_event event)
{
	if (!mcl_object_valid(event, MCL_TYPE_EVENT))
		return MCL_ERR(CL_INVALID_EVENT, "%p is not an event", (void *)event);
	if (mcl_foreign(event->generation))
		return CL_SUCCESS; /* a child of fork(): its locks are not ours to take, so it is left alone */
	if (event->queue) {
		mcl_object_release_app(&event->obj);
		return CL_SUCCESS;
	}
	/*
	 * Nobody can set a user event that the application does not hold any more. Rather than let what depends on it wait
	 * for ever, terminate it.
	 */
	mcl_object_get(&event->obj);
	mcl_object_release_app(&event->obj);
	if (!mcl_object_app_refs(&event->obj) &&
	    mcl_user_event_set(event, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST))
		mcl_log_info(
			"clReleaseEvent: a user event whose status was never set is gone; what waits is terminated");
	mcl_object_put(&event->obj);
	return CL_SUCCESS;
}

cl_int clGetEventInfo(cl_event event, cl_event_info param_name, size_t param_value_size, void *param_value,
		      size_t *param_value_size_ret)
{
	union {
		cl_command_queue queue;
		cl_context context;
		cl_command_type type;
		cl_int status;
		cl_uint count;
	} value;
	size_t size;

	if (!mcl_object_valid(event, MCL_TYPE_EVENT))
		return MCL_ERR(CL_INVALID_EVENT, "%p is not an event", (void *)event);
	switch (param_name) {
	case CL_EVENT_COMMAND_QUEUE:
		value.queue = event->queue;
		size = sizeof(value.queue);
		break;
	case CL_EVENT_CONTEXT:
		value.context = event->context;
		size = sizeof(value.context);
		break;
	case CL_EVENT_COMMAND_TYPE:
		value.type = event->type;
		size = sizeof(value.type);
		break;
	case CL_EVENT_COMMAND_EXECUTION_STATUS:
		mcl_event_poll(event);
		value.status = atomic_load_explicit(&event->status, memory_order_acquire);
		if (mcl_foreign(event->generation) && value.status > CL_COMPLETE)
			value.status = CL_DEVICE_NOT_AVAILABLE;
		size = sizeof(value.status);
		break;
	case CL_EVENT_REFERENCE_COUNT:
		value.count = mcl_object_app_refs(&event->obj);
		size = sizeof(value.count);
		break;
	default:
		return MCL_ERR(CL_INVALID_VALUE, "param_name 0x%x is unknown", param_name);
	}
	return mcl_info(__func__, &value, size, param_value_size, param_value, param_value_size_ret);
}

cl_int clGetEventProfilingInfo(cl_event event, cl_profiling_info param_name, size_t param_value_size, void *param_value,
			       size_t *param_value_size_ret)
{
	const struct mcl_command *cmd = mcl_command_of(event);
	cl_ulong value;

	if (!mcl_object_valid(event, MCL_TYPE_EVENT))
		return MCL_ERR(CL_INVALID_EVENT, "%p is not an event", (void *)event);
	if (!event->queue)
		return MCL_ERR(CL_PROFILING_INFO_NOT_AVAILABLE, "a user event has no profile");
	if (!event->queue->profiling)
		return MCL_ERR(CL_PROFILING_INFO_NOT_AVAILABLE, "the queue was made without CL_QUEUE_PROFILING_ENABLE");
	mcl_event_poll(event);
	if (atomic_load_explicit(&event->status, memory_order_acquire) != CL_COMPLETE)
		return MCL_ERR(CL_PROFILING_INFO_NOT_AVAILABLE, "the command is not complete, or was terminated");
	switch (param_name) {
	case CL_PROFILING_COMMAND_QUEUED:
		value = cmd->queued_ns;
		break;
	case CL_PROFILING_COMMAND_SUBMIT:
		value = cmd->submit_ns;
		break;
	case CL_PROFILING_COMMAND_START:
		value = cmd->start_ns;
		break;
	case CL_PROFILING_COMMAND_END:
	case CL_PROFILING_COMMAND_COMPLETE: /* there are no child commands */
		value = cmd->end_ns;
		break;
	default:
		return MCL_ERR(CL_INVALID_VALUE, "param_name 0x%x is unknown", param_name);
	}
	return mcl_info(__func__, &value, sizeof(value), param_value_size, param_value, param_value_size_ret);
}

cl_int clSetEventCallback(cl_event event, cl_int command_exec_callback_type,
			  void(CL_CALLBACK *pfn_notify)(cl_event event, cl_int event_command_status, void *user_data),
			  void *user_data)
{
	struct mcl_event_callback *cb;
	struct mcl_batch batch = { 0 };

	if (!mcl_object_valid(event, MCL_TYPE_EVENT))
		return MCL_ERR(CL_INVALID_EVENT, "%p is not an event", (void *)event);
	if (!pfn_notify)
		return MCL_ERR(CL_INVALID_VALUE, "pfn_notify is NULL");
	if (command_exec_callback_type != CL_SUBMITTED && command_exec_callback_type != CL_RUNNING &&
	    command_exec_callback_type != CL_COMPLETE)
		return MCL_ERR(CL_INVALID_VALUE, "%d is not a status that callbacks can be registered for",
			       command_exec_callback_type);
	if (mcl_foreign(event->generation))
		return MCL_ERR(CL_OUT_OF_RESOURCES, "the event was made before a fork()");
	cb = malloc(sizeof(*cb));
	if (!cb)
		return MCL_ERR(CL_OUT_OF_HOST_MEMORY, "out of memory for a callback");
	mcl_object_get(&event->obj);
	*cb = (struct mcl_event_callback){
		.event = event, .type = command_exec_callback_type, .fn = pfn_notify, .data = user_data
	};
	mcl_event_poll(event);
	pthread_mutex_lock(event->lock);
	cb->next = event->callbacks;
	event->callbacks = cb;
	/* Past that status already? Then it is due now. */
	mcl_event_due(event, &batch);
	if (event->callbacks && event->queue)
		mcl_schedule_notify(mcl_command_of(event), &batch);
	pthread_mutex_unlock(event->lock);
	mcl_batch_finish(&batch);
	return CL_SUCCESS;
}
