/* SPDX-License-Identifier: MIT */
/*
 * Commands on shared virtual memory. Every pointer of the process is good: what clSVMAlloc gave out, malloc'd memory,
 * stacks, mapped files. Nothing is looked up except where the specification asks about the allocation itself.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/svm.h"
#include "runtime/transfer.h"

#define MAP_FLAGS (CL_MAP_READ | CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION)

/* A clEnqueueSVMFree(). */
struct free_job {
	void(CL_CALLBACK *fn)(cl_command_queue queue, cl_uint count, void *pointers[], void *user_data);
	void *user_data;
	cl_uint count;
	void *pointers[];
};

/* The application may have released the queue; the callback may use its handle nevertheless. */
static cl_int run_free(cl_command_queue queue, void *data)
{
	struct free_job *job = data;
	bool revived;

	if (!job->fn) {
		for (cl_uint i = 0; i < job->count; i++)
			if (job->pointers[i] && !mcl_svm_release(queue->context, job->pointers[i], false))
				mcl_cl_error("clEnqueueSVMFree", CL_INVALID_VALUE,
					     "%p was not returned by clSVMAlloc for this context, or is free already",
					     job->pointers[i]);
		return CL_COMPLETE;
	}
	revived = !mcl_object_app_refs(&queue->obj);
	if (revived) {
		mcl_object_get(&queue->obj);
		mcl_object_retain_app(&queue->obj);
	}
	job->fn(queue, job->count, job->pointers, job->user_data);
	if (revived)
		mcl_object_release_app(&queue->obj);
	return CL_COMPLETE;
}

cl_int clEnqueueSVMFree(cl_command_queue queue, cl_uint num_svm_pointers, void *svm_pointers[],
			void(CL_CALLBACK *pfn_free_func)(cl_command_queue queue, cl_uint num_svm_pointers,
							 void *svm_pointers[], void *user_data),
			void *user_data, cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	struct mcl_request req = {
		.function = __func__,
		.queue = queue,
		.type = CL_COMMAND_SVM_FREE,
		.payload = { .kind = MCL_COMMAND_HOST, .host = { .run = run_free, .dispose = free } },
		.num_events = num_events,
		.wait_list = wait_list,
		.event = event,
	};
	cl_int err = mcl_enqueue_check(__func__, queue, num_events, wait_list);
	struct free_job *job;

	if (err)
		return err;
	if (!num_svm_pointers != !svm_pointers)
		return MCL_ERR(CL_INVALID_VALUE, "num_svm_pointers is %u, svm_pointers %p", num_svm_pointers,
			       (void *)svm_pointers);
	job = malloc(sizeof(*job) + num_svm_pointers * sizeof(void *));
	if (!job)
		return MCL_ERR(CL_OUT_OF_HOST_MEMORY, "out of memory for a command");
	job->fn = pfn_free_func;
	job->user_data = user_data;
	job->count = num_svm_pointers;
	if (num_svm_pointers)
		memcpy(job->pointers, svm_pointers, num_svm_pointers * sizeof(void *));
	req.payload.host.data = job;
	return mcl_command_enqueue(&req);
}

cl_int mcl_pointer_copy(const struct mcl_enqueue *call, bool blocking, void *dst_ptr, const void *src_ptr, size_t size)
{
	const struct mcl_copy copy = { .dst = dst_ptr, .src = src_ptr, .region = { size, 1, 1 } };
	uintptr_t dst = (uintptr_t)dst_ptr, src = (uintptr_t)src_ptr;
	cl_int err = mcl_enqueue_check(call->function, call->queue, call->num_events, call->wait_list);

	if (err)
		return err;
	if (!dst_ptr || !src_ptr)
		return mcl_cl_error(call->function, CL_INVALID_VALUE, "dst_ptr is %p, src_ptr %p", dst_ptr, src_ptr);
	if (size > UINTPTR_MAX - dst || size > UINTPTR_MAX - src)
		return mcl_cl_error(call->function, CL_INVALID_VALUE, "%zu bytes reach beyond the address space", size);
	if (size && src < dst + size && dst < src + size)
		return mcl_cl_error(call->function, CL_MEM_COPY_OVERLAP, "source and destination overlap");
	return mcl_copy_enqueue(call, blocking, &copy, NULL);
}

cl_int clEnqueueSVMMemcpy(cl_command_queue queue, cl_bool blocking_copy, void *dst_ptr, const void *src_ptr,
			  size_t size, cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_SVM_MEMCPY, num_events, wait_list, event };

	return mcl_pointer_copy(&call, blocking_copy, dst_ptr, src_ptr, size);
}

cl_int mcl_pointer_fill(const struct mcl_enqueue *call, void *ptr, const void *pattern, size_t pattern_size,
			size_t size)
{
	cl_int err = mcl_enqueue_check(call->function, call->queue, call->num_events, call->wait_list);

	if (err)
		return err;
	if (!ptr)
		return mcl_cl_error(call->function, CL_INVALID_VALUE, "the pointer is NULL");
	err = mcl_fill_check(call->function, pattern, pattern_size, (uintptr_t)ptr, size);
	if (err)
		return err;
	if (size > UINTPTR_MAX - (uintptr_t)ptr)
		return mcl_cl_error(call->function, CL_INVALID_VALUE, "%zu bytes reach beyond the address space", size);
	return mcl_fill_enqueue(call, ptr, pattern, pattern_size, size, NULL);
}

cl_int clEnqueueSVMMemFill(cl_command_queue queue, void *svm_ptr, const void *pattern, size_t pattern_size, size_t size,
			   cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_SVM_MEMFILL, num_events, wait_list, event };

	return mcl_pointer_fill(&call, svm_ptr, pattern, pattern_size, size);
}

/* Host and device see the same bytes at all times: mapping and unmapping are points in the queue's order. */
cl_int mcl_nothing_enqueue(const struct mcl_enqueue *call, bool blocking)
{
	struct mcl_request req = {
		.function = call->function,
		.queue = call->queue,
		.type = call->type,
		.payload.kind = MCL_COMMAND_NOP,
		.blocking = blocking,
		.num_events = call->num_events,
		.wait_list = call->wait_list,
		.event = call->event,
	};

	return mcl_command_enqueue(&req);
}

cl_int clEnqueueSVMMap(cl_command_queue queue, cl_bool blocking_map, cl_map_flags flags, void *svm_ptr, size_t size,
		       cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_SVM_MAP, num_events, wait_list, event };
	cl_int err = mcl_enqueue_check(__func__, queue, num_events, wait_list);

	if (err)
		return err;
	if (!svm_ptr || !size)
		return MCL_ERR(CL_INVALID_VALUE, "svm_ptr is %p, size %zu", svm_ptr, size);
	if (flags & ~(cl_map_flags)MAP_FLAGS)
		return MCL_ERR(CL_INVALID_VALUE, "flags 0x%llx have unknown bits", (unsigned long long)flags);
	if ((flags & CL_MAP_WRITE_INVALIDATE_REGION) && (flags & (CL_MAP_READ | CL_MAP_WRITE)))
		return MCL_ERR(CL_INVALID_VALUE,
			       "CL_MAP_WRITE_INVALIDATE_REGION excludes CL_MAP_READ and CL_MAP_WRITE");
	return mcl_nothing_enqueue(&call, blocking_map);
}

cl_int clEnqueueSVMUnmap(cl_command_queue queue, void *svm_ptr, cl_uint num_events, const cl_event *wait_list,
			 cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_SVM_UNMAP, num_events, wait_list, event };
	cl_int err = mcl_enqueue_check(__func__, queue, num_events, wait_list);

	if (err)
		return err;
	if (!svm_ptr)
		return MCL_ERR(CL_INVALID_VALUE, "svm_ptr is NULL");
	return mcl_nothing_enqueue(&call, false);
}

/*
 * The bytes that entry @i of a migration means. Inside an allocation of clSVMAlloc the specification's rules hold; other
 * memory of the process may be moved just as well, but then the size must be given.
 */
static cl_int migration_range(const char *function, cl_command_queue queue, cl_uint i, const void *ptr, size_t size,
			      struct mcl_range *range)
{
	struct mcl_svm_allocation whole;

	if (!ptr)
		return mcl_cl_error(function, CL_INVALID_VALUE, "svm_pointers[%u] is NULL", i);
	if (mcl_svm_find(queue->context, ptr, &whole)) {
		size_t left = whole.size - (size_t)((const uint8_t *)ptr - (uint8_t *)whole.start);

		if (size > left)
			return mcl_cl_error(function, CL_INVALID_VALUE,
					    "%zu bytes at svm_pointers[%u] are more than what is left of the "
					    "allocation (%zu)",
					    size, i, left);
		*range = size ? (struct mcl_range){ ptr, size } : (struct mcl_range){ whole.start, whole.size };
		return CL_SUCCESS;
	}
	if (!size)
		return mcl_cl_error(
			function, CL_INVALID_VALUE,
			"svm_pointers[%u] (%p) is not in an allocation of the context, and no size is given", i, ptr);
	if (size > UINTPTR_MAX - (uintptr_t)ptr)
		return mcl_cl_error(function, CL_INVALID_VALUE, "sizes[%u] reaches beyond the address space", i);
	*range = (struct mcl_range){ ptr, size };
	return CL_SUCCESS;
}

cl_int mcl_pointer_migrate(const struct mcl_enqueue *call, cl_uint count, const void *const *pointers,
			   const size_t *sizes, cl_mem_migration_flags flags)
{
	cl_int err = mcl_enqueue_check(call->function, call->queue, call->num_events, call->wait_list);
	struct mcl_range *ranges;

	if (err)
		return err;
	if (!count || !pointers)
		return mcl_cl_error(call->function, CL_INVALID_VALUE, "num_svm_pointers is %u, svm_pointers %p", count,
				    (const void *)pointers);
	if (flags & ~(cl_mem_migration_flags)(CL_MIGRATE_MEM_OBJECT_HOST | CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED))
		return mcl_cl_error(call->function, CL_INVALID_VALUE, "flags 0x%llx have unknown bits",
				    (unsigned long long)flags);
	ranges = malloc(count * sizeof(*ranges));
	if (!ranges)
		return mcl_cl_error(call->function, CL_OUT_OF_HOST_MEMORY, "out of memory for a command");
	for (cl_uint i = 0; i < count; i++) {
		err = migration_range(call->function, call->queue, i, pointers[i], sizes ? sizes[i] : 0, &ranges[i]);
		if (err) {
			free(ranges);
			return err;
		}
	}
	return mcl_migrate_enqueue(call, ranges, count, flags & CL_MIGRATE_MEM_OBJECT_HOST, NULL);
}

cl_int clEnqueueSVMMigrateMem(cl_command_queue queue, cl_uint num_svm_pointers, const void **svm_pointers,
			      const size_t *sizes, cl_mem_migration_flags flags, cl_uint num_events,
			      const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_SVM_MIGRATE_MEM, num_events, wait_list, event };

	return mcl_pointer_migrate(&call, num_svm_pointers, svm_pointers, sizes, flags);
}
