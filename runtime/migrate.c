/* SPDX-License-Identifier: MIT */
/*
 * Moving memory to the device or home ahead of its use. A hint: where nothing migrates it is only an entry in the
 * queue's order; elsewhere the service thread asks the pager when the command's turn comes.
 */
#include <stdlib.h>

#include "runtime/transfer.h"

struct job {
	struct mcl_range *ranges;
	size_t count;
	bool to_host;
};

static cl_int run(cl_command_queue queue, void *data)
{
	const struct job *job = data;

	for (size_t i = 0; i < job->count; i++)
		mcl_svm_migrate(queue->context->backend, job->ranges[i].start, job->ranges[i].size, job->to_host);
	return CL_COMPLETE;
}

static void dispose(void *data)
{
	struct job *job = data;

	free(job->ranges);
	free(job);
}

cl_int mcl_migrate_enqueue(const struct mcl_enqueue *call, struct mcl_range *ranges, size_t count, bool to_host,
			   const cl_mem *mems)
{
	struct mcl_request req = {
		.function = call->function,
		.queue = call->queue,
		.type = call->type,
		.payload.kind = MCL_COMMAND_NOP,
		.num_events = call->num_events,
		.wait_list = call->wait_list,
		.event = call->event,
		.mems = mems,
		.mem_count = mems ? (uint32_t)count : 0,
	};
	struct job *job;

	if (!mcl_device_caps()->vram_size) {
		free(ranges);
		return mcl_command_enqueue(&req);
	}
	job = malloc(sizeof(*job));
	if (!job) {
		free(ranges);
		return mcl_cl_error(call->function, CL_OUT_OF_HOST_MEMORY, "out of memory for a command");
	}
	*job = (struct job){ ranges, count, to_host };
	req.payload.kind = MCL_COMMAND_HOST;
	req.payload.host.run = run;
	req.payload.host.dispose = dispose;
	req.payload.host.data = job;
	return mcl_command_enqueue(&req);
}

cl_int clEnqueueMigrateMemObjects(cl_command_queue queue, cl_uint num_mem_objects, const cl_mem *mem_objects,
				  cl_mem_migration_flags flags, cl_uint num_events, const cl_event *wait_list,
				  cl_event *event)
{
	const struct mcl_enqueue call = {
		__func__, queue, CL_COMMAND_MIGRATE_MEM_OBJECTS, num_events, wait_list, event
	};
	cl_int err = mcl_enqueue_check(__func__, queue, num_events, wait_list);
	struct mcl_range *ranges;

	if (err)
		return err;
	if (!num_mem_objects || !mem_objects)
		return MCL_ERR(CL_INVALID_VALUE, "num_mem_objects is %u, mem_objects %p", num_mem_objects,
			       (const void *)mem_objects);
	if (flags & ~(cl_mem_migration_flags)(CL_MIGRATE_MEM_OBJECT_HOST | CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED))
		return MCL_ERR(CL_INVALID_VALUE, "flags 0x%llx have unknown bits", (unsigned long long)flags);
	for (cl_uint i = 0; i < num_mem_objects; i++) {
		err = mcl_buffer_check(__func__, queue, mem_objects[i], 0, 0);
		if (err)
			return err;
	}
	ranges = malloc(num_mem_objects * sizeof(*ranges));
	if (!ranges)
		return MCL_ERR(CL_OUT_OF_HOST_MEMORY, "out of memory for a command");
	for (cl_uint i = 0; i < num_mem_objects; i++)
		ranges[i] = (struct mcl_range){ mem_objects[i]->data, mem_objects[i]->size };
	return mcl_migrate_enqueue(&call, ranges, num_mem_objects, flags & CL_MIGRATE_MEM_OBJECT_HOST, mem_objects);
}
