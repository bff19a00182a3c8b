// SPDX-License-Identifier: MIT
/* The one platform. It is always listed, also where its device cannot run. */
#include <string.h>

#include "runtime/context.h"

struct _cl_platform_id mcl_platform = {
	.obj = { .dispatch = &mcl_dispatch, .type = MCL_TYPE_PLATFORM, .app_refs = 1, .refs = 1 },
};

cl_int clGetPlatformIDs(cl_uint num_entries, cl_platform_id *platforms, cl_uint *num_platforms)
{
	if (!platforms && !num_platforms)
		return MCL_ERR(CL_INVALID_VALUE, "neither platforms nor num_platforms is given");
	if (platforms && !num_entries)
		return MCL_ERR(CL_INVALID_VALUE, "num_entries is 0 and platforms is not NULL");
	if (platforms)
		platforms[0] = &mcl_platform;
	if (num_platforms)
		*num_platforms = 1;
	return CL_SUCCESS;
}

/* Exported: loaders look it up by name. */
MCL_EXPORT cl_int clGetPlatformInfo(cl_platform_id platform, cl_platform_info param_name, size_t param_value_size,
				    void *param_value, size_t *param_value_size_ret)
{
	/* NULL is left to the implementation: it means the only platform there is. */
	if (platform && !mcl_object_valid(platform, MCL_TYPE_PLATFORM))
		return MCL_ERR(CL_INVALID_PLATFORM, "%p is not a MirrorCL platform", (void *)platform);

	switch (param_name) {
	case CL_PLATFORM_PROFILE:
		return MCL_INFO_STRING("FULL_PROFILE");
	case CL_PLATFORM_VERSION:
		return MCL_INFO_STRING("OpenCL 3.0 MirrorCL " MCL_VERSION);
	case CL_PLATFORM_NUMERIC_VERSION:
		return MCL_INFO_VALUE(cl_version, CL_MAKE_VERSION(3, 0, 0));
	case CL_PLATFORM_NAME:
	case CL_PLATFORM_VENDOR:
		return MCL_INFO_STRING("MirrorCL");
	case CL_PLATFORM_EXTENSIONS:
		return MCL_INFO_STRING(mcl_platform_extensions);
	case CL_PLATFORM_EXTENSIONS_WITH_VERSION:
		return MCL_INFO(mcl_extension_versions, mcl_platform_extension_count * sizeof(cl_name_version));
	case CL_PLATFORM_HOST_TIMER_RESOLUTION:
		return MCL_INFO_VALUE(cl_ulong, 1); /* CLOCK_MONOTONIC counts nanoseconds */
	case CL_PLATFORM_ICD_SUFFIX_KHR:
		return MCL_INFO_STRING("MCL");
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown platform query 0x%x", param_name);
}

/* The deprecated and the present name of the same permission, which is not used: no compiler is ever loaded. */
cl_int clUnloadCompiler(void)
{
	return CL_SUCCESS;
}

cl_int clUnloadPlatformCompiler(cl_platform_id platform)
{
	if (!mcl_object_valid(platform, MCL_TYPE_PLATFORM))
		return MCL_ERR(CL_INVALID_PLATFORM, "%p is not a MirrorCL platform", (void *)platform);
	return CL_SUCCESS;
}
