// SPDX-License-Identifier: MIT
/*
 * The driver as a loader sees it: opened by name, asked for its platform, called through the dispatch table. The test is
 * linked with the system's loader, so that the process has another function of each name, as every application's has.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <CL/cl.h>
#include <CL/cl_icd.h>

typedef cl_int (*platforms_fn)(cl_uint num_entries, cl_platform_id *platforms, cl_uint *num_platforms);
typedef void *(*address_fn)(const char *name);

static void *library;
static cl_platform_id platform;
static const cl_icd_dispatch *dispatch;

/* What every object begins with. */
struct handle {
	const cl_icd_dispatch *dispatch;
};

/* Entries of a folder of /proc/self, but for "." and "..". */
static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int count = 0;

	assert_non_null(dir);
	while ((d = readdir(dir)))
		count += d->d_name[0] != '.';
	closedir(dir);
	return count;
}

static size_t count_children(void)
{
	char text[4096] = "";
	FILE *f = fopen("/proc/thread-self/children", "r");
	size_t n;

	if (!f)
		return 0; /* not in every kernel */
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	return n;
}

static int open_driver(void **state)
{
	int threads = count_entries("/proc/self/task"), descriptors = count_entries("/proc/self/fd");
	platforms_fn platforms;

	(void)state;
	library = dlopen(MCL_DRIVER, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		print_error("%s\n", dlerror());
		return -1;
	}
	platforms = (platforms_fn)dlsym(library, "clIcdGetPlatformIDsKHR");
	if (!platforms || platforms(1, &platform, NULL) != CL_SUCCESS)
		return -1;
	dispatch = ((struct handle *)platform)->dispatch;

	/* Loading and listing start nothing. */
	assert_int_equal(count_entries("/proc/self/task"), threads);
	assert_int_equal(count_entries("/proc/self/fd"), descriptors);
	assert_int_equal(count_children(), 0);
	return 0;
}

/* The two ways of finding the first function agree, and unknown names have no address. */
static void lookup(void **state)
{
	address_fn address = (address_fn)dlsym(library, "clGetExtensionFunctionAddress");

	(void)state;
	assert_non_null(address);
	assert_ptr_equal(address("clIcdGetPlatformIDsKHR"), dlsym(library, "clIcdGetPlatformIDsKHR"));
	assert_ptr_equal(address("clGetPlatformInfo"), dlsym(library, "clGetPlatformInfo"));
	/* Of MirrorCL's own extensions: by name only, never in the symbol table. */
	assert_non_null(address("clGetContextMirrorInfoMCL"));
	assert_non_null(address("clGetEventAbortInfoMCL"));
	assert_null(dlsym(library, "clGetContextMirrorInfoMCL"));
	assert_null(dlsym(library, "clGetEventAbortInfoMCL"));
	assert_null(address("clNoSuchFunctionKHR"));
	assert_null(address(NULL));
	assert_ptr_equal(dispatch->clGetExtensionFunctionAddressForPlatform(platform, "clIcdGetPlatformIDsKHR"),
			 dlsym(library, "clIcdGetPlatformIDsKHR"));
	assert_null(dispatch->clGetExtensionFunctionAddressForPlatform(NULL, "clIcdGetPlatformIDsKHR"));
}

static void platform_ids(void **state)
{
	platforms_fn platforms = (platforms_fn)dlsym(library, "clIcdGetPlatformIDsKHR");
	cl_platform_id found[2] = { NULL, NULL };
	cl_uint count = 0;

	(void)state;
	assert_int_equal(platforms(0, NULL, NULL), CL_INVALID_VALUE);
	assert_int_equal(platforms(0, found, NULL), CL_INVALID_VALUE);
	assert_int_equal(platforms(0, NULL, &count), CL_SUCCESS);
	assert_int_equal(count, 1);
	assert_int_equal(platforms(2, found, &count), CL_SUCCESS);
	assert_ptr_equal(found[0], platform);
	assert_null(found[1]);
}

/* No slot is empty, and every one leads into the driver, not to the loader's function of the same name. */
static void slots(void **state)
{
	void *const *slot = (void *const *)dispatch;
	Dl_info driver, found;

	(void)state;
	assert_int_not_equal(dladdr(dlsym(library, "clIcdGetPlatformIDsKHR"), &driver), 0);
	for (size_t i = 0; i < sizeof(*dispatch) / sizeof(void *); i++) {
		if (!slot[i])
			fail_msg("slot %zu is empty", i);
#ifdef CL_ICD2_TAG_KHR
		if ((intptr_t)slot[i] == CL_ICD2_TAG_KHR)
			continue;
#endif
		if (!dladdr(slot[i], &found) || found.dli_fbase != driver.dli_fbase)
			fail_msg("slot %zu leads out of the driver", i);
	}
}

/* What a loader asks before it offers the platform. */
static void platform_info(void **state)
{
	char text[4096];
	size_t size;

	(void)state;
	assert_int_equal(dispatch->clGetPlatformInfo(platform, CL_PLATFORM_EXTENSIONS, sizeof(text), text, &size),
			 CL_SUCCESS);
	assert_int_equal(size, strlen(text) + 1);
	assert_non_null(strstr(text, "cl_khr_icd "));
	assert_int_equal(dispatch->clGetPlatformInfo(platform, CL_PLATFORM_ICD_SUFFIX_KHR, sizeof(text), text, NULL),
			 CL_SUCCESS);
	assert_string_equal(text, "MCL");
}

/* Slots without a feature behind them answer with an error, for null handles too. */
static void unsupported(void **state)
{
	const size_t three[3] = { 1, 1, 1 };
	const cl_image_format format = { CL_RGBA, CL_UNORM_INT8 };
	const cl_image_desc desc = { .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 1, .image_height = 1 };
	cl_device_id device;
	cl_int error = CL_SUCCESS;
	cl_uint count;

	(void)state;
	assert_int_equal(dispatch->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), CL_SUCCESS);
#define EXPECT_NULL(call, code)                                                                                        \
	do {                                                                                                           \
		error = CL_SUCCESS;                                                                                    \
		assert_null(dispatch->call);                                                                           \
		assert_int_equal(error, code);                                                                         \
	} while (0)
#define EXPECT(call, code) assert_int_equal(dispatch->call, code)
	EXPECT_NULL(clCreateImage(NULL, 0, &format, &desc, NULL, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateImageWithProperties(NULL, NULL, 0, &format, &desc, NULL, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateImage2D(NULL, 0, &format, 1, 1, 0, NULL, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateImage3D(NULL, 0, &format, 1, 1, 2, 0, 0, NULL, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateSampler(NULL, CL_TRUE, CL_ADDRESS_CLAMP, CL_FILTER_LINEAR, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateSamplerWithProperties(NULL, NULL, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreatePipe(NULL, 0, 4, 4, NULL, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateFromGLBuffer(NULL, 0, 1, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateFromGLTexture(NULL, 0, 0, 0, 1, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateFromGLTexture2D(NULL, 0, 0, 0, 1, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateFromGLTexture3D(NULL, 0, 0, 0, 1, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateFromGLRenderbuffer(NULL, 0, 1, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateEventFromGLsyncKHR(NULL, NULL, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateFromEGLImageKHR(NULL, NULL, NULL, 0, NULL, &error), CL_INVALID_CONTEXT);
	EXPECT_NULL(clCreateEventFromEGLSyncKHR(NULL, NULL, NULL, &error), CL_INVALID_CONTEXT);
	EXPECT(clGetImageInfo(NULL, CL_IMAGE_FORMAT, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clGetPipeInfo(NULL, CL_PIPE_PACKET_SIZE, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clGetSamplerInfo(NULL, CL_SAMPLER_CONTEXT, 0, NULL, NULL), CL_INVALID_SAMPLER);
	EXPECT(clRetainSampler(NULL), CL_INVALID_SAMPLER);
	EXPECT(clReleaseSampler(NULL), CL_INVALID_SAMPLER);
	EXPECT(clGetGLObjectInfo(NULL, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clGetGLTextureInfo(NULL, 0, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clGetGLContextInfoKHR(NULL, 0, 0, NULL, NULL), CL_INVALID_OPERATION);
	EXPECT(clGetSupportedImageFormats(NULL, 0, CL_MEM_OBJECT_IMAGE2D, 0, NULL, &count), CL_INVALID_CONTEXT);
	EXPECT(clEnqueueReadImage(NULL, NULL, CL_TRUE, three, three, 0, 0, NULL, 0, NULL, NULL),
	       CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueWriteImage(NULL, NULL, CL_TRUE, three, three, 0, 0, NULL, 0, NULL, NULL),
	       CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueFillImage(NULL, NULL, NULL, three, three, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueCopyImage(NULL, NULL, NULL, three, three, three, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueCopyImageToBuffer(NULL, NULL, NULL, three, three, 0, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueCopyBufferToImage(NULL, NULL, NULL, 0, three, three, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT_NULL(clEnqueueMapImage(NULL, NULL, CL_TRUE, CL_MAP_READ, three, three, NULL, NULL, 0, NULL, NULL,
				      &error),
		    CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueAcquireGLObjects(NULL, 0, NULL, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueReleaseGLObjects(NULL, 0, NULL, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueAcquireEGLObjectsKHR(NULL, 0, NULL, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueReleaseEGLObjectsKHR(NULL, 0, NULL, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueNativeKernel(NULL, NULL, NULL, 0, 0, NULL, NULL, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clCreateSubDevicesEXT(NULL, NULL, 0, NULL, NULL), CL_INVALID_DEVICE);
	EXPECT(clCreateSubDevicesEXT(device, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clRetainDeviceEXT(device), CL_SUCCESS);
	EXPECT(clReleaseDeviceEXT(device), CL_SUCCESS);
	EXPECT(clSetDefaultDeviceCommandQueue(NULL, device, NULL), CL_INVALID_CONTEXT);
	EXPECT(clGetKernelSubGroupInfoKHR(NULL, NULL, 0, 0, NULL, 0, NULL, NULL), CL_INVALID_KERNEL);

	/* Other systems' functions have no type here. */
	assert_int_equal(((cl_int(*)(cl_platform_id, cl_uint, void *, cl_uint, cl_uint, cl_device_id *, cl_uint *))
				  dispatch->clGetDeviceIDsFromD3D11KHR)(platform, 0, NULL, 0, 1, &device, &count),
			 CL_DEVICE_NOT_FOUND);
	assert_null(((cl_mem(*)(cl_context, cl_mem_flags, void *, cl_int *))dispatch->clCreateFromD3D10BufferKHR)(
		NULL, 0, NULL, &error));
	assert_null(((cl_mem(*)(cl_context, cl_mem_flags, void *, cl_uint,
				cl_int *))dispatch->clCreateFromD3D11Texture2DKHR)(NULL, 0, NULL, 0, &error));
	assert_int_equal(error, CL_INVALID_CONTEXT);
	assert_int_equal(((cl_int(*)(cl_command_queue, cl_uint, const cl_mem *, cl_uint, const cl_event *, cl_event *))
				  dispatch->clEnqueueAcquireD3D11ObjectsKHR)(NULL, 0, NULL, 0, NULL, NULL),
			 CL_INVALID_COMMAND_QUEUE);
#undef EXPECT
#undef EXPECT_NULL
}

/* Null handles in every other function that takes one. */
static void null_handles(void **state)
{
	cl_int error = CL_SUCCESS;

	(void)state;
	assert_int_equal(dispatch->clRetainContext(NULL), CL_INVALID_CONTEXT);
	assert_int_equal(dispatch->clReleaseCommandQueue(NULL), CL_INVALID_COMMAND_QUEUE);
	assert_int_equal(dispatch->clReleaseMemObject(NULL), CL_INVALID_MEM_OBJECT);
	assert_int_equal(dispatch->clReleaseProgram(NULL), CL_INVALID_PROGRAM);
	assert_int_equal(dispatch->clReleaseKernel(NULL), CL_INVALID_KERNEL);
	assert_int_equal(dispatch->clReleaseEvent(NULL), CL_INVALID_EVENT);
	assert_int_equal(dispatch->clReleaseDevice(NULL), CL_INVALID_DEVICE);
	assert_null(dispatch->clCreateKernel(NULL, "k", &error));
	assert_int_equal(error, CL_INVALID_PROGRAM);
	/* A live handle of another kind is no better. */
	assert_int_equal(dispatch->clReleaseContext((cl_context)platform), CL_INVALID_CONTEXT);
	assert_int_equal(dispatch->clReleaseKernel((cl_kernel)platform), CL_INVALID_KERNEL);
}

/* Through the system's loader, from the build folder. */
static void through_loader(void **state)
{
	cl_platform_id found[4];
	cl_device_id device;
	cl_uint count = 0;
	char name[64];

	(void)state;
	assert_int_equal(clGetPlatformIDs(4, found, &count), CL_SUCCESS);
	assert_int_equal(count, 1);
	assert_int_equal(clGetPlatformInfo(found[0], CL_PLATFORM_NAME, sizeof(name), name, NULL), CL_SUCCESS);
	assert_string_equal(name, "MirrorCL");
	assert_int_equal(clGetDeviceIDs(found[0], CL_DEVICE_TYPE_ALL, 1, &device, &count), CL_SUCCESS);
	assert_int_equal(count, 1);
	assert_int_equal(clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof(name), name, NULL), CL_SUCCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookup),	  cmocka_unit_test(platform_ids), cmocka_unit_test(slots),
		cmocka_unit_test(platform_info),  cmocka_unit_test(unsupported),  cmocka_unit_test(null_handles),
		cmocka_unit_test(through_loader),
	};

	/* Only this driver, however the test was started; before the loader looks. */
	setenv("OCL_ICD_VENDORS", MCL_VENDORS, 1);
	unsetenv("OCL_ICD_FILENAMES");
	unsetenv("MIRRORCL_DEVICE_TYPE");
	return cmocka_run_group_tests_name("driver", tests, open_driver, NULL);
}
