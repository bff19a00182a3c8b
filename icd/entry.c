// SPDX-License-Identifier: MIT
/*
 * What a loader looks up in the library before it has a dispatch table. Debian's ocl-icd and the Khronos loader open the
 * library that the .icd file names, ask clGetExtensionFunctionAddress() (or the symbol table) for clIcdGetPlatformIDsKHR,
 * and read extensions and suffix with clGetPlatformInfo(). Loading and listing start nothing.
 */
#include <string.h>

#include <CL/cl_ext.h>

#include "icd/dispatch.h"
#include "runtime/context.h"
#include "runtime/extensions.h"

MCL_EXPORT cl_int clIcdGetPlatformIDsKHR(cl_uint num_entries, cl_platform_id *platforms, cl_uint *num_platforms)
{
	return clGetPlatformIDs(num_entries, platforms, num_platforms);
}

#ifdef CL_ICD2_TAG_KHR
MCL_EXPORT void *clIcdGetFunctionAddressForPlatformKHR(cl_platform_id platform, const char *func_name)
{
	if (!mcl_object_valid(platform, MCL_TYPE_PLATFORM) || !func_name)
		return NULL;
	return mcl_entry_point(func_name);
}

/* The loader calls this before it makes any other object known, so new objects simply inherit @disp_data. */
MCL_EXPORT cl_int clIcdSetPlatformDispatchDataKHR(cl_platform_id platform, void *disp_data)
{
	if (!mcl_object_valid(platform, MCL_TYPE_PLATFORM))
		return MCL_ERR(CL_INVALID_PLATFORM, "%p is not a MirrorCL platform", (void *)platform);
	mcl_platform.obj.disp_data = disp_data;
	mcl_device.obj.disp_data = disp_data;
	atomic_store_explicit(&mcl_disp_data, disp_data, memory_order_relaxed);
	return CL_SUCCESS;
}
#endif

/* Functions of extensions, and those a loader needs; core functions are reached through the dispatch table. */
MCL_EXPORT void *clGetExtensionFunctionAddress(const char *func_name)
{
	static const struct {
		const char *name;
		void *function;
	} functions[] = {
		{ "clIcdGetPlatformIDsKHR", (void *)clIcdGetPlatformIDsKHR },
#ifdef CL_ICD2_TAG_KHR
		{ "clIcdGetFunctionAddressForPlatformKHR", (void *)clIcdGetFunctionAddressForPlatformKHR },
		{ "clIcdSetPlatformDispatchDataKHR", (void *)clIcdSetPlatformDispatchDataKHR },
#endif
		{ "clGetPlatformInfo", (void *)clGetPlatformInfo },
		{ "clCreateProgramWithILKHR", (void *)clCreateProgramWithIL },
		{ "clHostMemAllocINTEL", (void *)clHostMemAllocINTEL },
		{ "clDeviceMemAllocINTEL", (void *)clDeviceMemAllocINTEL },
		{ "clSharedMemAllocINTEL", (void *)clSharedMemAllocINTEL },
		{ "clMemFreeINTEL", (void *)clMemFreeINTEL },
		{ "clMemBlockingFreeINTEL", (void *)clMemBlockingFreeINTEL },
		{ "clGetMemAllocInfoINTEL", (void *)clGetMemAllocInfoINTEL },
		{ "clSetKernelArgMemPointerINTEL", (void *)clSetKernelArgMemPointerINTEL },
		{ "clEnqueueMemFillINTEL", (void *)clEnqueueMemFillINTEL },
		{ "clEnqueueMemsetINTEL", (void *)clEnqueueMemsetINTEL },
		{ "clEnqueueMemcpyINTEL", (void *)clEnqueueMemcpyINTEL },
		{ "clEnqueueMigrateMemINTEL", (void *)clEnqueueMigrateMemINTEL },
		{ "clEnqueueMemAdviseINTEL", (void *)clEnqueueMemAdviseINTEL },
		{ "clGetContextMirrorInfoMCL", (void *)clGetContextMirrorInfoMCL },
		{ "clGetEventAbortInfoMCL", (void *)clGetEventAbortInfoMCL },
	};

	if (!func_name)
		return NULL;
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
		if (!strcmp(functions[i].name, func_name))
			return functions[i].function;
	return NULL;
}

void *clGetExtensionFunctionAddressForPlatform(cl_platform_id platform, const char *func_name)
{
	if (!mcl_object_valid(platform, MCL_TYPE_PLATFORM))
		return NULL;
	return clGetExtensionFunctionAddress(func_name);
}
