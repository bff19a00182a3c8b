// SPDX-License-Identifier: MIT
/*
 * Memory of cl_intel_unified_shared_memory. Its three kinds differ only in what they are called here: all of it is the process's
 * memory, which host and device reach at the same addresses, and so is everything else that the process has. The registry is
 * that of clSVMAlloc (svm.c).
 */
#include "runtime/queue.h"
#include "runtime/svm.h"

#define PLACEMENTS (CL_MEM_ALLOC_INITIAL_PLACEMENT_DEVICE_INTEL | CL_MEM_ALLOC_INITIAL_PLACEMENT_HOST_INTEL)
#define KNOWN_FLAGS (CL_MEM_ALLOC_WRITE_COMBINED_INTEL | PLACEMENTS)

/* Hints: only asked for again. */
static cl_int read_properties(const char *function, const cl_mem_properties_intel *properties,
			      struct mcl_svm_allocation *what)
{
	bool given = false;
	cl_mem_alloc_flags_intel placement;

	for (; properties && properties[0]; properties += 2) {
		if (properties[0] != CL_MEM_ALLOC_FLAGS_INTEL || given)
			return mcl_cl_error(function, CL_INVALID_PROPERTY, "property 0x%llx is %s",
					    (unsigned long long)properties[0], given ? "given twice" : "unknown");
		given = true;
		what->flags = properties[1];
	}
	if (what->flags & ~(cl_mem_alloc_flags_intel)KNOWN_FLAGS)
		return mcl_cl_error(function, CL_INVALID_PROPERTY, "flags 0x%llx have unknown bits",
				    (unsigned long long)what->flags);
	placement = what->flags & PLACEMENTS;
	if (placement && (what->type != CL_MEM_TYPE_SHARED_INTEL || placement == PLACEMENTS))
		return mcl_cl_error(function, CL_INVALID_PROPERTY,
				    "an initial placement is for shared memory, and is one of two");
	return CL_SUCCESS;
}

static void *allocate(const char *function, cl_context context, cl_unified_shared_memory_type_intel type,
		      cl_device_id device, const cl_mem_properties_intel *properties, size_t size, cl_uint alignment,
		      cl_int *errcode_ret)
{
	struct mcl_svm_allocation what = { .size = size, .type = type, .device = device };
	cl_int error = CL_SUCCESS;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		error = mcl_cl_error(function, CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
	else if (!mcl_object_valid(device, MCL_TYPE_DEVICE) && (device || type == CL_MEM_TYPE_DEVICE_INTEL))
		error = mcl_cl_error(function, CL_INVALID_DEVICE, "%p is not the context's device", (void *)device);
	else if (!size || size > mcl_device_caps()->max_alloc_size)
		error = mcl_cl_error(function, CL_INVALID_BUFFER_SIZE,
				     "size %zu is 0 or more than CL_DEVICE_MAX_MEM_ALLOC_SIZE", size);
	if (!error)
		error = read_properties(function, properties, &what);
	if (!error)
		error = mcl_svm_allocate(function, context, alignment, &what);
	/* The extension knows no failed memory objects. */
	if (error == CL_MEM_OBJECT_ALLOCATION_FAILURE)
		error = CL_OUT_OF_RESOURCES;
	mcl_errcode(errcode_ret, error);
	return error ? NULL : what.start;
}

void *clHostMemAllocINTEL(cl_context context, const cl_mem_properties_intel *properties, size_t size, cl_uint alignment,
			  cl_int *errcode_ret)
{
	return allocate(__func__, context, CL_MEM_TYPE_HOST_INTEL, NULL, properties, size, alignment, errcode_ret);
}

void *clDeviceMemAllocINTEL(cl_context context, cl_device_id device, const cl_mem_properties_intel *properties,
			    size_t size, cl_uint alignment, cl_int *errcode_ret)
{
	return allocate(__func__, context, CL_MEM_TYPE_DEVICE_INTEL, device, properties, size, alignment, errcode_ret);
}

void *clSharedMemAllocINTEL(cl_context context, cl_device_id device, const cl_mem_properties_intel *properties,
			    size_t size, cl_uint alignment, cl_int *errcode_ret)
{
	return allocate(__func__, context, CL_MEM_TYPE_SHARED_INTEL, device, properties, size, alignment, errcode_ret);
}

static cl_int release(const char *function, cl_context context, void *ptr, bool finish)
{
	struct mcl_svm_allocation what;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		return mcl_cl_error(function, CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
	if (!ptr)
		return CL_SUCCESS;
	if (finish && mcl_svm_find(context, ptr, &what) && !mcl_queue_finish_all(context))
		return mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "no memory for a list of the queues");
	if (!mcl_svm_release(context, ptr, true))
		return mcl_cl_error(function, CL_INVALID_VALUE,
				    "%p is not the start of an allocation of this context, or is free already", ptr);
	return CL_SUCCESS;
}

cl_int clMemFreeINTEL(cl_context context, void *ptr)
{
	return release(__func__, context, ptr, false);
}

/* Which commands use the memory nobody can tell: any may. */
cl_int clMemBlockingFreeINTEL(cl_context context, void *ptr)
{
	return release(__func__, context, ptr, true);
}

cl_int clGetMemAllocInfoINTEL(cl_context context, const void *ptr, cl_mem_info_intel param_name,
			      size_t param_value_size, void *param_value, size_t *param_value_size_ret)
{
	struct mcl_svm_allocation what;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		return MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
	if (!mcl_svm_find(context, ptr, &what) || !what.type)
		what = (struct mcl_svm_allocation){ .type = CL_MEM_TYPE_UNKNOWN_INTEL };
	switch (param_name) {
	case CL_MEM_ALLOC_TYPE_INTEL:
		return MCL_INFO_VALUE(cl_unified_shared_memory_type_intel, what.type);
	case CL_MEM_ALLOC_BASE_PTR_INTEL:
		return MCL_INFO_VALUE(void *, what.start);
	case CL_MEM_ALLOC_SIZE_INTEL:
		return MCL_INFO_VALUE(size_t, what.size);
	case CL_MEM_ALLOC_DEVICE_INTEL:
		return MCL_INFO_VALUE(cl_device_id, what.device);
	case CL_MEM_ALLOC_FLAGS_INTEL:
		return MCL_INFO_VALUE(cl_mem_alloc_flags_intel, what.flags);
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown query 0x%x of an allocation", param_name);
}
