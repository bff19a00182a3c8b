// SPDX-License-Identifier: MIT
/*
 * For test_mirrorcl_cc.c: a library that looks like POCL up to its version, which comes from the environment variable
 * FAKE_POCL, or crashes when that is "crash" and never answers when it is "hang".
 */
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma GCC visibility push(default)
void *clGetExtensionFunctionAddress(const char *name);
#pragma GCC visibility pop

static cl_int CL_API_CALL platform_info(cl_platform_id platform, cl_platform_info what, size_t size, void *value,
					size_t *size_ret)
{
	const char *text = what == CL_PLATFORM_NAME ? "Portable Computing Language" : getenv("FAKE_POCL");

	(void)platform;
	(void)size_ret;
	if (!text || strlen(text) >= size)
		return CL_INVALID_VALUE;
	if (strcmp(text, "crash") == 0)
		abort();
	while (strcmp(text, "hang") == 0)
		pause();
	strcpy(value, text);
	return CL_SUCCESS;
}

static cl_icd_dispatch dispatch = { .clGetPlatformInfo = platform_info };
static struct {
	cl_icd_dispatch *dispatch;
} platform = { &dispatch };

static cl_int CL_API_CALL platform_ids(cl_uint count, cl_platform_id *ids, cl_uint *count_ret)
{
	if (count)
		*ids = (cl_platform_id)&platform;
	*count_ret = 1;
	return CL_SUCCESS;
}

void *clGetExtensionFunctionAddress(const char *name)
{
	return strcmp(name, "clIcdGetPlatformIDsKHR") == 0 ? (void *)platform_ids : NULL;
}
