/* SPDX-License-Identifier: MIT */
/* Markers and barriers, and their ancestors of OpenCL 1.0 and 1.1. */
#include "runtime/command.h"

static cl_int enqueue(const char *function, cl_command_queue queue, cl_command_type type, bool fence,
		      cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	struct mcl_request req = {
		.function = function,
		.queue = queue,
		.type = type,
		.payload.kind = MCL_COMMAND_NOP,
		.after_all = !num_events,
		.fence = fence,
		.num_events = num_events,
		.wait_list = wait_list,
		.event = event,
	};
	cl_int err = mcl_enqueue_check(function, queue, num_events, wait_list);

	return err ? err : mcl_command_enqueue(&req);
}

cl_int clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint num_events, const cl_event *wait_list,
				   cl_event *event)
{
	return enqueue(__func__, queue, CL_COMMAND_MARKER, false, num_events, wait_list, event);
}

cl_int clEnqueueBarrierWithWaitList(cl_command_queue queue, cl_uint num_events, const cl_event *wait_list,
				    cl_event *event)
{
	return enqueue(__func__, queue, CL_COMMAND_BARRIER, true, num_events, wait_list, event);
}

cl_int clEnqueueMarker(cl_command_queue queue, cl_event *event)
{
	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return MCL_ERR(CL_INVALID_COMMAND_QUEUE, "%p is not a command queue", (void *)queue);
	if (!event)
		return MCL_ERR(CL_INVALID_VALUE, "event is NULL");
	return enqueue(__func__, queue, CL_COMMAND_MARKER, false, 0, NULL, event);
}

cl_int clEnqueueBarrier(cl_command_queue queue)
{
	return enqueue(__func__, queue, CL_COMMAND_BARRIER, true, 0, NULL, NULL);
}

cl_int clEnqueueWaitForEvents(cl_command_queue queue, cl_uint num_events, const cl_event *event_list)
{
	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return MCL_ERR(CL_INVALID_COMMAND_QUEUE, "%p is not a command queue", (void *)queue);
	if (!num_events || !event_list)
		return MCL_ERR(CL_INVALID_VALUE, "%s", num_events ? "event_list is NULL" : "num_events is 0");
	for (cl_uint i = 0; i < num_events; i++)
		if (!mcl_object_valid(event_list[i], MCL_TYPE_EVENT))
			return MCL_ERR(CL_INVALID_EVENT, "event_list[%u] (%p) is not an event", i,
				       (void *)event_list[i]);
	return enqueue(__func__, queue, CL_COMMAND_BARRIER, true, num_events, event_list, NULL);
}
