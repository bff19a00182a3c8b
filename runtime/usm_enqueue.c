// SPDX-License-Identifier: MIT
/*
 * Commands of cl_intel_unified_shared_memory: those of shared virtual memory under other names. Pointers may be any of the
 * process.
 */
#include <CL/cl_ext.h>

#include "runtime/transfer.h"

cl_int clEnqueueMemFillINTEL(cl_command_queue queue, void *dst_ptr, const void *pattern, size_t pattern_size,
			     size_t size, cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_MEMFILL_INTEL, num_events, wait_list, event };

	return mcl_pointer_fill(&call, dst_ptr, pattern, pattern_size, size);
}

/* As memset(): the value is a byte. */
cl_int clEnqueueMemsetINTEL(cl_command_queue queue, void *dst_ptr, cl_int value, size_t size, cl_uint num_events,
			    const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_MEMFILL_INTEL, num_events, wait_list, event };
	const cl_uchar byte = (cl_uchar)value;

	return mcl_pointer_fill(&call, dst_ptr, &byte, sizeof(byte), size);
}

cl_int clEnqueueMemcpyINTEL(cl_command_queue queue, cl_bool blocking, void *dst_ptr, const void *src_ptr, size_t size,
			    cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_MEMCPY_INTEL, num_events, wait_list, event };

	return mcl_pointer_copy(&call, blocking, dst_ptr, src_ptr, size);
}

cl_int clEnqueueMigrateMemINTEL(cl_command_queue queue, const void *ptr, size_t size, cl_mem_migration_flags flags,
				cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_MIGRATEMEM_INTEL, num_events, wait_list, event };

	return mcl_pointer_migrate(&call, 1, &ptr, &size, flags);
}

/* No advice is known that would help. */
cl_int clEnqueueMemAdviseINTEL(cl_command_queue queue, const void *ptr, size_t size, cl_mem_advice_intel advice,
			       cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	const struct mcl_enqueue call = { __func__, queue, CL_COMMAND_MEMADVISE_INTEL, num_events, wait_list, event };
	cl_int err = mcl_enqueue_check(__func__, queue, num_events, wait_list);

	(void)advice;
	if (err)
		return err;
	if (!ptr || !size)
		return MCL_ERR(CL_INVALID_VALUE, "ptr is %p, size %zu", ptr, size);
	return mcl_nothing_enqueue(&call, false);
}
