// SPDX-License-Identifier: MIT
/*
 * Every entry point with what no sane program passes: null and wrong handles, null pointers, sizes that overflow, contradictory
 * flags, objects of other contexts. Each gets the error that the specification names; none crashes; the device works afterwards.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "api.cl.h"
#include "harness.h"

/* One valid object of each kind, and of a second context. */
static struct {
	cl_context other_context;
	cl_command_queue other_queue;
	cl_mem mem, sub, other_mem;
	cl_kernel kernel, eight;
	cl_program unbuilt;
	cl_event event, user, other_event;
	int *data;
} good;

static unsigned char host[65536];

static void assert_device_works(void)
{
	cl_kernel kernel = conf_kernel("eight");
	int data[16] = { 0 };

	set_ptr(kernel, 0, data);
	conf_run(kernel, 16, 8);
	for (int i = 0; i < 16; i++)
		assert_int_equal(data[i], 8);
	assert_cl(clReleaseKernel(kernel));
}

static int make_objects(void **state)
{
	const cl_buffer_region region = { 0, 128 };
	const char *source = api_cl;
	cl_int err;

	(void)state;
	good.other_context = clCreateContext(NULL, 1, &conf.device, NULL, NULL, &err);
	assert_cl(err);
	good.other_queue = clCreateCommandQueueWithProperties(good.other_context, conf.device, NULL, &err);
	assert_cl(err);
	good.mem = clCreateBuffer(conf.context, 0, 4096, NULL, &err);
	assert_cl(err);
	good.sub = clCreateSubBuffer(good.mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &err);
	assert_cl(err);
	good.other_mem = clCreateBuffer(good.other_context, 0, 4096, NULL, &err);
	assert_cl(err);
	good.kernel = conf_kernel("target");
	good.eight = conf_kernel("eight");
	good.unbuilt = clCreateProgramWithSource(conf.context, 1, &source, NULL, &err);
	assert_cl(err);
	good.user = clCreateUserEvent(conf.context, &err);
	assert_cl(err);
	good.other_event = clCreateUserEvent(good.other_context, &err);
	assert_cl(err);
	assert_cl(clEnqueueMarkerWithWaitList(conf.queue, 0, NULL, &good.event));
	assert_cl(clFinish(conf.queue));
	good.data = calloc(4096, sizeof(int));
	assert_non_null(good.data);
	return 0;
}

static int release_objects(void **state)
{
	(void)state;
	assert_device_works();
	clReleaseMemObject(good.sub);
	clReleaseMemObject(good.mem);
	clReleaseMemObject(good.other_mem);
	clReleaseKernel(good.kernel);
	clReleaseKernel(good.eight);
	clReleaseProgram(good.unbuilt);
	clReleaseEvent(good.event);
	clReleaseEvent(good.user);
	clReleaseEvent(good.other_event);
	clReleaseCommandQueue(good.other_queue);
	clReleaseContext(good.other_context);
	free(good.data);
	return 0;
}

/* ---- wrong handles ---- */

/* @call must return @error. For calls that return an object, the macro CREATE turns the error out of it. */
#define EXPECT(call, error)                                                                                            \
	do {                                                                                                           \
		cl_int status_ = (call);                                                                               \
		if (status_ != (error))                                                                                \
			fail_msg("%s returned %d instead of %s", #call, status_, #error);                              \
	} while (0)
#define CREATE(call) (err = 12345, (call) != NULL ? 54321 : err)

static void wrong_platform(void *h)
{
	char text[64];
	cl_uint n;

	if (!h)
		return; /* null is up to the loader: most take it as the first platform */
	EXPECT(clGetPlatformInfo(h, CL_PLATFORM_NAME, sizeof(text), text, NULL), CL_INVALID_PLATFORM);
	EXPECT(clGetDeviceIDs(h, CL_DEVICE_TYPE_ALL, 0, NULL, &n), CL_INVALID_PLATFORM);
	EXPECT(clUnloadPlatformCompiler(h), CL_INVALID_PLATFORM);
}

static void wrong_device(void *h)
{
	cl_device_id device = h;
	cl_ulong value;
	cl_int err;

	EXPECT(clGetDeviceInfo(h, CL_DEVICE_TYPE, sizeof(value), &value, NULL), CL_INVALID_DEVICE);
	EXPECT(clRetainDevice(h), CL_INVALID_DEVICE);
	EXPECT(clReleaseDevice(h), CL_INVALID_DEVICE);
	EXPECT(CREATE(clCreateContext(NULL, 1, &device, NULL, NULL, &err)), CL_INVALID_DEVICE);
	EXPECT(CREATE(clCreateCommandQueueWithProperties(conf.context, h, NULL, &err)), CL_INVALID_DEVICE);
	EXPECT(CREATE(clCreateCommandQueue(conf.context, h, 0, &err)), CL_INVALID_DEVICE);
	EXPECT(clBuildProgram(good.unbuilt, 1, &device, "", NULL, NULL), CL_INVALID_DEVICE);
	EXPECT(clGetProgramBuildInfo(conf.program, h, CL_PROGRAM_BUILD_STATUS, sizeof(value), &value, NULL),
	       CL_INVALID_DEVICE);
	if (h) /* null means the kernel's only device */
		EXPECT(clGetKernelWorkGroupInfo(good.kernel, h, CL_KERNEL_WORK_GROUP_SIZE, sizeof(value), &value, NULL),
		       CL_INVALID_DEVICE);
	EXPECT(clCreateSubDevices(h, NULL, 0, NULL, NULL), CL_INVALID_DEVICE);
}

static void wrong_context(void *h)
{
	const char *source = "kernel void f(void) {}";
	cl_ulong value;
	cl_uint n;
	cl_int err;

	EXPECT(clRetainContext(h), CL_INVALID_CONTEXT);
	EXPECT(clReleaseContext(h), CL_INVALID_CONTEXT);
	EXPECT(clGetContextInfo(h, CL_CONTEXT_NUM_DEVICES, sizeof(value), &value, NULL), CL_INVALID_CONTEXT);
	EXPECT(CREATE(clCreateCommandQueueWithProperties(h, conf.device, NULL, &err)), CL_INVALID_CONTEXT);
	EXPECT(CREATE(clCreateCommandQueue(h, conf.device, 0, &err)), CL_INVALID_CONTEXT);
	EXPECT(CREATE(clCreateBuffer(h, 0, 64, NULL, &err)), CL_INVALID_CONTEXT);
	EXPECT(CREATE(clCreateProgramWithSource(h, 1, &source, NULL, &err)), CL_INVALID_CONTEXT);
	EXPECT(CREATE(clCreateUserEvent(h, &err)), CL_INVALID_CONTEXT);
	EXPECT(clGetSupportedImageFormats(h, 0, CL_MEM_OBJECT_IMAGE2D, 0, NULL, &n), CL_INVALID_CONTEXT);
	assert_null(clSVMAlloc(h, CL_MEM_READ_WRITE, 64, 0));
	clSVMFree(h, NULL);
}

static void wrong_queue(void *h)
{
	const size_t one[3] = { 1, 1, 1 }, zero[3] = { 0, 0, 0 };
	void *pointers[1] = { good.data };
	cl_ulong value;
	cl_int err;

	EXPECT(clRetainCommandQueue(h), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clReleaseCommandQueue(h), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clGetCommandQueueInfo(h, CL_QUEUE_PROPERTIES, sizeof(value), &value, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clFlush(h), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clFinish(h), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueReadBuffer(h, good.mem, CL_TRUE, 0, 4, host, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueWriteBuffer(h, good.mem, CL_TRUE, 0, 4, host, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueCopyBuffer(h, good.mem, good.mem, 0, 64, 4, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueFillBuffer(h, good.mem, "x", 1, 0, 4, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueReadBufferRect(h, good.mem, CL_TRUE, zero, zero, one, 0, 0, 0, 0, host, 0, NULL, NULL),
	       CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueWriteBufferRect(h, good.mem, CL_TRUE, zero, zero, one, 0, 0, 0, 0, host, 0, NULL, NULL),
	       CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueCopyBufferRect(h, good.mem, good.mem, zero, one, one, 0, 0, 0, 0, 0, NULL, NULL),
	       CL_INVALID_COMMAND_QUEUE);
	EXPECT(CREATE(clEnqueueMapBuffer(h, good.mem, CL_TRUE, CL_MAP_READ, 0, 4, 0, NULL, NULL, &err)),
	       CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueUnmapMemObject(h, good.mem, host, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueMigrateMemObjects(h, 1, &good.mem, 0, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueNDRangeKernel(h, good.eight, 1, NULL, one, NULL, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueTask(h, good.eight, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueNativeKernel(h, NULL, NULL, 0, 0, NULL, NULL, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueMarkerWithWaitList(h, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueBarrierWithWaitList(h, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueMarker(h, &good.event), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueBarrier(h), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueWaitForEvents(h, 1, &good.event), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueSVMMap(h, CL_TRUE, CL_MAP_READ, good.data, 4, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueSVMUnmap(h, good.data, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueSVMMemcpy(h, CL_TRUE, host, good.data, 4, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueSVMMemFill(h, good.data, "x", 1, 4, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueSVMMigrateMem(h, 1, (const void **)pointers, NULL, 0, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	EXPECT(clEnqueueSVMFree(h, 1, pointers, NULL, NULL, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
}

static void wrong_mem(void *h)
{
	const size_t one[3] = { 1, 1, 1 }, zero[3] = { 0, 0, 0 };
	const cl_buffer_region region = { 0, 64 };
	cl_mem mem = h;
	cl_ulong value;
	cl_int err;

	EXPECT(clRetainMemObject(h), CL_INVALID_MEM_OBJECT);
	EXPECT(clReleaseMemObject(h), CL_INVALID_MEM_OBJECT);
	EXPECT(clGetMemObjectInfo(h, CL_MEM_SIZE, sizeof(value), &value, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clGetImageInfo(h, CL_IMAGE_WIDTH, sizeof(value), &value, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clSetMemObjectDestructorCallback(h, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(CREATE(clCreateSubBuffer(h, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &err)), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueReadBuffer(conf.queue, h, CL_TRUE, 0, 4, host, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueWriteBuffer(conf.queue, h, CL_TRUE, 0, 4, host, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueCopyBuffer(conf.queue, h, good.mem, 0, 64, 4, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueCopyBuffer(conf.queue, good.mem, h, 0, 64, 4, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueFillBuffer(conf.queue, h, "x", 1, 0, 4, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueReadBufferRect(conf.queue, h, CL_TRUE, zero, zero, one, 0, 0, 0, 0, host, 0, NULL, NULL),
	       CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueWriteBufferRect(conf.queue, h, CL_TRUE, zero, zero, one, 0, 0, 0, 0, host, 0, NULL, NULL),
	       CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueCopyBufferRect(conf.queue, h, good.mem, zero, one, one, 0, 0, 0, 0, 0, NULL, NULL),
	       CL_INVALID_MEM_OBJECT);
	EXPECT(CREATE(clEnqueueMapBuffer(conf.queue, h, CL_TRUE, CL_MAP_READ, 0, 4, 0, NULL, NULL, &err)),
	       CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueUnmapMemObject(conf.queue, h, host, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueMigrateMemObjects(conf.queue, 1, &mem, 0, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	if (h) /* null is a null pointer for the kernel */
		EXPECT(clSetKernelArg(good.kernel, 0, sizeof(mem), &mem), CL_INVALID_MEM_OBJECT);
}

static void wrong_program(void *h)
{
	cl_program program = h;
	cl_ulong value;
	cl_uint n;
	cl_int err;

	EXPECT(clRetainProgram(h), CL_INVALID_PROGRAM);
	EXPECT(clReleaseProgram(h), CL_INVALID_PROGRAM);
	EXPECT(clBuildProgram(h, 0, NULL, "", NULL, NULL), CL_INVALID_PROGRAM);
	EXPECT(clCompileProgram(h, 0, NULL, "", 0, NULL, NULL, NULL, NULL), CL_INVALID_PROGRAM);
	EXPECT(CREATE(clLinkProgram(conf.context, 0, NULL, "", 1, &program, NULL, NULL, &err)), CL_INVALID_PROGRAM);
	EXPECT(clGetProgramInfo(h, CL_PROGRAM_NUM_DEVICES, sizeof(value), &value, NULL), CL_INVALID_PROGRAM);
	EXPECT(clGetProgramBuildInfo(h, conf.device, CL_PROGRAM_BUILD_STATUS, sizeof(value), &value, NULL),
	       CL_INVALID_PROGRAM);
	EXPECT(CREATE(clCreateKernel(h, "target", &err)), CL_INVALID_PROGRAM);
	EXPECT(clCreateKernelsInProgram(h, 0, NULL, &n), CL_INVALID_PROGRAM);
}

static void wrong_kernel(void *h)
{
	const size_t one = 1;
	cl_ulong value;
	cl_bool yes = CL_TRUE;
	cl_int err;

	EXPECT(clRetainKernel(h), CL_INVALID_KERNEL);
	EXPECT(clReleaseKernel(h), CL_INVALID_KERNEL);
	EXPECT(CREATE(clCloneKernel(h, &err)), CL_INVALID_KERNEL);
	EXPECT(clSetKernelArg(h, 0, sizeof(value), &value), CL_INVALID_KERNEL);
	EXPECT(clSetKernelArgSVMPointer(h, 0, good.data), CL_INVALID_KERNEL);
	EXPECT(clSetKernelExecInfo(h, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof(yes), &yes), CL_INVALID_KERNEL);
	EXPECT(clGetKernelInfo(h, CL_KERNEL_NUM_ARGS, sizeof(value), &value, NULL), CL_INVALID_KERNEL);
	EXPECT(clGetKernelArgInfo(h, 0, CL_KERNEL_ARG_ACCESS_QUALIFIER, sizeof(value), &value, NULL),
	       CL_INVALID_KERNEL);
	EXPECT(clGetKernelWorkGroupInfo(h, conf.device, CL_KERNEL_WORK_GROUP_SIZE, sizeof(value), &value, NULL),
	       CL_INVALID_KERNEL);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, h, 1, NULL, &one, NULL, 0, NULL, NULL), CL_INVALID_KERNEL);
	EXPECT(clEnqueueTask(conf.queue, h, 0, NULL, NULL), CL_INVALID_KERNEL);
}

static void CL_CALLBACK ignore_event(cl_event event, cl_int status, void *data)
{
	(void)event;
	(void)status;
	(void)data;
}

static void wrong_event(void *h)
{
	const size_t one = 1;
	cl_event event = h;
	cl_ulong value;

	EXPECT(clRetainEvent(h), CL_INVALID_EVENT);
	EXPECT(clReleaseEvent(h), CL_INVALID_EVENT);
	EXPECT(clWaitForEvents(1, &event), CL_INVALID_EVENT);
	EXPECT(clGetEventInfo(h, CL_EVENT_COMMAND_TYPE, sizeof(value), &value, NULL), CL_INVALID_EVENT);
	EXPECT(clGetEventProfilingInfo(h, CL_PROFILING_COMMAND_END, sizeof(value), &value, NULL), CL_INVALID_EVENT);
	EXPECT(clSetUserEventStatus(h, CL_COMPLETE), CL_INVALID_EVENT);
	EXPECT(clSetEventCallback(h, CL_COMPLETE, ignore_event, NULL), CL_INVALID_EVENT);
	EXPECT(clEnqueueMarkerWithWaitList(conf.queue, 1, &event, NULL), CL_INVALID_EVENT_WAIT_LIST);
	EXPECT(clEnqueueBarrierWithWaitList(conf.queue, 1, &event, NULL), CL_INVALID_EVENT_WAIT_LIST);
	EXPECT(clEnqueueWaitForEvents(conf.queue, 1, &event), CL_INVALID_EVENT);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, good.eight, 1, NULL, &one, NULL, 1, &event, NULL),
	       CL_INVALID_EVENT_WAIT_LIST);
	EXPECT(clEnqueueReadBuffer(conf.queue, good.mem, CL_TRUE, 0, 4, host, 1, &event, NULL),
	       CL_INVALID_EVENT_WAIT_LIST);
	EXPECT(clEnqueueSVMMemFill(conf.queue, good.data, "x", 1, 4, 1, &event, NULL), CL_INVALID_EVENT_WAIT_LIST);
}

/* Each kind's calls with null and with an object of every other kind. */
static void wrong_handles(void **state)
{
	void *objects[] = { conf.platform, conf.device,	 conf.context, conf.queue,
			    good.mem,	   conf.program, good.kernel,  good.event };
	void (*const calls[])(void *) = { wrong_platform, wrong_device,	 wrong_context, wrong_queue,
					  wrong_mem,	  wrong_program, wrong_kernel,	wrong_event };

	(void)state;
	set_ptr(good.eight, 0, good.data);
	for (size_t c = 0; c < 8; c++)
		for (size_t o = 0; o < 8; o++)
			calls[c](o == c ? NULL : objects[o]);
}

/*
 * Handles that are no addresses of anything. The loader reads the first handle of a call itself, so only those behind it
 * come as far as the driver.
 */
static void wild_handle(void *h)
{
	const size_t one[3] = { 1, 1, 1 }, zero[3] = { 0, 0, 0 };
	cl_event event = h;
	cl_device_id device = h;
	cl_program program = h;
	cl_mem mem = h;
	cl_ulong value;
	cl_int err;

	EXPECT(clSetKernelArg(good.kernel, 0, sizeof(mem), &mem), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueReadBuffer(conf.queue, h, CL_TRUE, 0, 4, host, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueWriteBufferRect(conf.queue, h, CL_TRUE, zero, zero, one, 0, 0, 0, 0, host, 0, NULL, NULL),
	       CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueCopyBuffer(conf.queue, good.mem, h, 0, 64, 4, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueFillBuffer(conf.queue, h, "x", 1, 0, 4, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(CREATE(clEnqueueMapBuffer(conf.queue, h, CL_TRUE, CL_MAP_READ, 0, 4, 0, NULL, NULL, &err)),
	       CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueUnmapMemObject(conf.queue, h, host, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueMigrateMemObjects(conf.queue, 1, &mem, 0, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, h, 1, NULL, one, NULL, 0, NULL, NULL), CL_INVALID_KERNEL);
	EXPECT(clEnqueueTask(conf.queue, h, 0, NULL, NULL), CL_INVALID_KERNEL);
	EXPECT(clEnqueueMarkerWithWaitList(conf.queue, 1, &event, NULL), CL_INVALID_EVENT_WAIT_LIST);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, good.eight, 1, NULL, one, NULL, 1, &event, NULL),
	       CL_INVALID_EVENT_WAIT_LIST);
	EXPECT(clEnqueueSVMMemFill(conf.queue, good.data, "x", 1, 4, 1, &event, NULL), CL_INVALID_EVENT_WAIT_LIST);
	EXPECT(clWaitForEvents(2, (cl_event[]){ good.event, event }), CL_INVALID_EVENT);
	EXPECT(CREATE(clCreateCommandQueueWithProperties(conf.context, h, NULL, &err)), CL_INVALID_DEVICE);
	EXPECT(CREATE(clCreateContext(NULL, 2, (cl_device_id[]){ conf.device, device }, NULL, NULL, &err)),
	       CL_INVALID_DEVICE);
	EXPECT(clBuildProgram(good.unbuilt, 1, &device, "", NULL, NULL), CL_INVALID_DEVICE);
	EXPECT(CREATE(clLinkProgram(conf.context, 0, NULL, "", 1, &program, NULL, NULL, &err)), CL_INVALID_PROGRAM);
	EXPECT(clGetProgramBuildInfo(conf.program, h, CL_PROGRAM_BUILD_STATUS, sizeof(value), &value, NULL),
	       CL_INVALID_DEVICE);
	EXPECT(clGetKernelWorkGroupInfo(good.kernel, h, CL_KERNEL_WORK_GROUP_SIZE, sizeof(value), &value, NULL),
	       CL_INVALID_DEVICE);
}

static void wild_handles(void **state)
{
	char *barred = conf_map(8192, PROT_NONE, MAP_PRIVATE), *unmapped = conf_map(4096, PROT_READ, MAP_PRIVATE);
	void *handles[] = { (void *)1,
			    (void *)8,
			    (void *)0xdeadbeef,
			    (void *)0xdead000000000000,
			    (void *)UINTPTR_MAX,
			    (void *)(UINTPTR_MAX - 7),
			    barred,
			    barred + 4096 - 8,
			    unmapped,
			    (char *)good.mem + 8,
			    (char *)good.mem + 64,
			    (char *)good.mem - 64,
			    good.data,
			    &good,
			    (void *)(uintptr_t)wild_handles };

	(void)state;
	conf_unmap(unmapped, 4096);
	set_ptr(good.eight, 0, good.data);
	for (size_t i = 0; i < sizeof(handles) / sizeof(*handles); i++)
		wild_handle(handles[i]);
	conf_unmap(barred, 8192);
}

/* Whole objects, but of another context. */
static void foreign_objects(void **state)
{
	const size_t one = 1;

	(void)state;
	EXPECT(clEnqueueReadBuffer(conf.queue, good.other_mem, CL_TRUE, 0, 4, host, 0, NULL, NULL), CL_INVALID_CONTEXT);
	EXPECT(clEnqueueCopyBuffer(conf.queue, good.mem, good.other_mem, 0, 0, 4, 0, NULL, NULL), CL_INVALID_CONTEXT);
	EXPECT(clEnqueueFillBuffer(good.other_queue, good.mem, "x", 1, 0, 4, 0, NULL, NULL), CL_INVALID_CONTEXT);
	EXPECT(clEnqueueMigrateMemObjects(good.other_queue, 1, &good.mem, 0, 0, NULL, NULL), CL_INVALID_CONTEXT);
	EXPECT(clEnqueueNDRangeKernel(good.other_queue, good.eight, 1, NULL, &one, NULL, 0, NULL, NULL),
	       CL_INVALID_CONTEXT);
	EXPECT(clEnqueueMarkerWithWaitList(conf.queue, 1, &good.other_event, NULL), CL_INVALID_CONTEXT);
	EXPECT(clEnqueueSVMMemFill(conf.queue, good.data, "x", 1, 4, 1, &good.other_event, NULL), CL_INVALID_CONTEXT);
	EXPECT(clWaitForEvents(2, (cl_event[]){ good.event, good.other_event }), CL_INVALID_CONTEXT);
}

/* The application has let go of the handle while the runtime still needs the object. */
static void released_handles(void **state)
{
	cl_context context;
	cl_command_queue queue;
	cl_uint value;
	cl_int err;

	(void)state;
	context = clCreateContext(NULL, 1, &conf.device, NULL, NULL, &err);
	assert_cl(err);
	queue = clCreateCommandQueueWithProperties(context, conf.device, NULL, &err);
	assert_cl(err);
	assert_cl(clRetainContext(context));
	assert_cl(clGetContextInfo(context, CL_CONTEXT_REFERENCE_COUNT, sizeof(value), &value, NULL));
	assert_int_equal(value, 2);
	assert_cl(clReleaseContext(context));
	assert_cl(clReleaseContext(context));
	EXPECT(clRetainContext(context), CL_INVALID_CONTEXT);
	EXPECT(clReleaseContext(context), CL_INVALID_CONTEXT);
	EXPECT(CREATE(clCreateBuffer(context, 0, 64, NULL, &err)), CL_INVALID_CONTEXT);
	assert_cl(clFinish(queue));
	assert_cl(clReleaseCommandQueue(queue));
}

/* ---- wrong arguments ---- */

static void creation(void **state)
{
	const cl_context_properties unknown[] = { 0x7777, 1, 0 }, twice[] = { CL_CONTEXT_PLATFORM, 0, 0 };
	const cl_queue_properties bad_queue[] = { CL_QUEUE_PROPERTIES, 1ull << 40, 0 }, bad_name[] = { 0x7777, 1, 0 };
	const cl_buffer_region outside = { 4096, 64 }, empty = { 0, 0 }, too_big = { 128, 4096 },
			       wrapped = { 128, SIZE_MAX };
	cl_device_id devices[2] = { conf.device, conf.device };
	cl_ulong max_size;
	cl_uint n;
	cl_int err;

	(void)state;
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(max_size), &max_size, NULL));
	EXPECT(clGetPlatformIDs(0, &(cl_platform_id){ NULL }, NULL), CL_INVALID_VALUE);
	EXPECT(clGetPlatformIDs(1, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clGetDeviceIDs(conf.platform, CL_DEVICE_TYPE_ALL, 0, devices, NULL), CL_INVALID_VALUE);
	EXPECT(clGetDeviceIDs(conf.platform, CL_DEVICE_TYPE_ALL, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clGetDeviceIDs(conf.platform, 0, 1, devices, NULL), CL_INVALID_DEVICE_TYPE);
	EXPECT(clGetDeviceIDs(conf.platform, 1ull << 50, 1, devices, NULL), CL_INVALID_DEVICE_TYPE);
	EXPECT(CREATE(clCreateContext(NULL, 0, devices, NULL, NULL, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateContext(NULL, 1, NULL, NULL, NULL, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateContext(NULL, 1, devices, NULL, host, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateContext(unknown, 1, devices, NULL, NULL, &err)), CL_INVALID_PROPERTY);
	EXPECT(CREATE(clCreateContext(twice, 1, devices, NULL, NULL, &err)), CL_INVALID_PLATFORM);
	EXPECT(CREATE(clCreateContextFromType(NULL, CL_DEVICE_TYPE_CUSTOM, NULL, NULL, &err)), CL_DEVICE_NOT_FOUND);
	EXPECT(CREATE(clCreateCommandQueueWithProperties(conf.context, conf.device, bad_queue, &err)),
	       CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateCommandQueueWithProperties(conf.context, conf.device, bad_name, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateCommandQueue(conf.context, conf.device, 1ull << 40, &err)), CL_INVALID_VALUE);

	EXPECT(CREATE(clCreateBuffer(conf.context, 0, 0, NULL, &err)), CL_INVALID_BUFFER_SIZE);
	EXPECT(CREATE(clCreateBuffer(conf.context, 0, SIZE_MAX, NULL, &err)), CL_INVALID_BUFFER_SIZE);
	EXPECT(CREATE(clCreateBuffer(conf.context, 0, (size_t)max_size + 1, NULL, &err)), CL_INVALID_BUFFER_SIZE);
	EXPECT(CREATE(clCreateBuffer(conf.context, 0, 64, host, &err)), CL_INVALID_HOST_PTR);
	EXPECT(CREATE(clCreateBuffer(conf.context, CL_MEM_USE_HOST_PTR, 64, NULL, &err)), CL_INVALID_HOST_PTR);
	EXPECT(CREATE(clCreateBuffer(conf.context, CL_MEM_COPY_HOST_PTR, 64, NULL, &err)), CL_INVALID_HOST_PTR);
	EXPECT(CREATE(clCreateBuffer(conf.context, CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, 64, NULL, &err)),
	       CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateBuffer(conf.context, CL_MEM_USE_HOST_PTR | CL_MEM_ALLOC_HOST_PTR, 64, host, &err)),
	       CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateBuffer(conf.context, CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS, 64, NULL, &err)),
	       CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateBuffer(conf.context, 1ull << 50, 64, NULL, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateSubBuffer(good.mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &outside, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateSubBuffer(good.mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &too_big, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateSubBuffer(good.mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &wrapped, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateSubBuffer(good.mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &empty, &err)),
	       CL_INVALID_BUFFER_SIZE);
	EXPECT(CREATE(clCreateSubBuffer(good.mem, 0, CL_BUFFER_CREATE_TYPE_REGION, NULL, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateSubBuffer(good.mem, 0, 0x7777, &empty, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateSubBuffer(good.sub, 0, CL_BUFFER_CREATE_TYPE_REGION, &(cl_buffer_region){ 0, 64 }, &err)),
	       CL_INVALID_MEM_OBJECT);

	EXPECT(CREATE(clCreateProgramWithSource(conf.context, 0, (const char *[]){ "" }, NULL, &err)),
	       CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateProgramWithSource(conf.context, 1, NULL, NULL, &err)), CL_INVALID_VALUE);
	EXPECT(CREATE(clCreateProgramWithSource(conf.context, 1, (const char *[]){ NULL }, NULL, &err)),
	       CL_INVALID_VALUE);
	EXPECT(clBuildProgram(good.unbuilt, 1, NULL, "", NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clBuildProgram(good.unbuilt, 0, devices, "", NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clBuildProgram(good.unbuilt, 1, devices, "", NULL, host), CL_INVALID_VALUE);
	EXPECT(clBuildProgram(conf.program, 1, devices, "", NULL, NULL), CL_INVALID_OPERATION);
	EXPECT(CREATE(clCreateKernel(good.unbuilt, "target", &err)), CL_INVALID_PROGRAM_EXECUTABLE);
	EXPECT(CREATE(clCreateKernel(conf.program, "no_such", &err)), CL_INVALID_KERNEL_NAME);
	EXPECT(CREATE(clCreateKernel(conf.program, NULL, &err)), CL_INVALID_VALUE);
	EXPECT(clCreateKernelsInProgram(good.unbuilt, 0, NULL, &n), CL_INVALID_PROGRAM_EXECUTABLE);
	EXPECT(clCreateKernelsInProgram(conf.program, 1, &(cl_kernel){ NULL }, &n), CL_INVALID_VALUE);
	EXPECT(clWaitForEvents(0, &good.event), CL_INVALID_VALUE);
	EXPECT(clWaitForEvents(1, NULL), CL_INVALID_VALUE);
	EXPECT(clSetUserEventStatus(good.event, CL_COMPLETE), CL_INVALID_EVENT);
	assert_null(clGetExtensionFunctionAddressForPlatform(conf.platform, "clNoSuchFunction"));
}

static void arguments(void **state)
{
	struct {
		int a;
		long b;
	} pair = { 1, 2 };
	const size_t global = 64, eight = 8, zero = 0, odd = 7, max = SIZE_MAX, huge[3] = { 1 << 20, 1 << 20, 1 << 20 };
	const size_t three[3] = { 4, 4, 4 }, big_group[1] = { 1 << 20 }, offset[1] = { SIZE_MAX - 3 };
	cl_kernel kernel = conf_kernel("target");
	int value = 0;

	(void)state;
	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL),
	       CL_INVALID_KERNEL_ARGS);
	EXPECT(clSetKernelArg(kernel, 5, sizeof(value), &value), CL_INVALID_ARG_INDEX);
	EXPECT(clSetKernelArg(kernel, UINT32_MAX, sizeof(value), &value), CL_INVALID_ARG_INDEX);
	EXPECT(clSetKernelArg(kernel, 0, 4, &value), CL_INVALID_ARG_SIZE);
	EXPECT(clSetKernelArg(kernel, 1, 8, &value), CL_INVALID_ARG_SIZE);
	EXPECT(clSetKernelArg(kernel, 1, 0, &value), CL_INVALID_ARG_SIZE);
	EXPECT(clSetKernelArg(kernel, 1, SIZE_MAX, &value), CL_INVALID_ARG_SIZE);
	EXPECT(clSetKernelArg(kernel, 1, sizeof(value), NULL), CL_INVALID_ARG_VALUE);
	EXPECT(clSetKernelArg(kernel, 2, 0, NULL), CL_INVALID_ARG_SIZE);
	EXPECT(clSetKernelArg(kernel, 2, 64, &value), CL_INVALID_ARG_VALUE);
	EXPECT(clSetKernelArg(kernel, 4, SIZE_MAX, &pair), CL_INVALID_ARG_SIZE);
	EXPECT(clSetKernelArgSVMPointer(kernel, 5, host), CL_INVALID_ARG_INDEX);
	EXPECT(clSetKernelArgSVMPointer(kernel, 1, host), CL_INVALID_ARG_VALUE);
	EXPECT(clSetKernelArgSVMPointer(kernel, 2, host), CL_INVALID_ARG_VALUE);

	set_ptr(kernel, 0, good.data);
	set_arg(kernel, 1, value);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &global, &eight, 0, NULL, NULL),
	       CL_INVALID_KERNEL_ARGS);
	assert_cl(clSetKernelArg(kernel, 2, 8 * sizeof(int), NULL));
	set_ptr(kernel, 3, good.data);
	assert_cl(clSetKernelArg(kernel, 4, sizeof(pair), &pair));

	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 0, NULL, &global, NULL, 0, NULL, NULL),
	       CL_INVALID_WORK_DIMENSION);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 4, NULL, huge, NULL, 0, NULL, NULL),
	       CL_INVALID_WORK_DIMENSION);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &global, &zero, 0, NULL, NULL),
	       CL_INVALID_WORK_GROUP_SIZE);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, good.eight, 1, NULL, &global, &odd, 0, NULL, NULL),
	       CL_INVALID_WORK_GROUP_SIZE);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, good.eight, 3, NULL, three, three, 0, NULL, NULL),
	       CL_INVALID_WORK_GROUP_SIZE);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, big_group, big_group, 0, NULL, NULL),
	       CL_INVALID_WORK_ITEM_SIZE);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 1, offset, &global, &eight, 0, NULL, NULL),
	       CL_INVALID_GLOBAL_OFFSET);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 1, &max, &max, NULL, 0, NULL, NULL),
	       CL_INVALID_GLOBAL_OFFSET);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &global, &eight, 1, NULL, NULL),
	       CL_INVALID_EVENT_WAIT_LIST);
	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &global, &eight, 0, &good.event, NULL),
	       CL_INVALID_EVENT_WAIT_LIST);
	/* More local memory than there is: known at once. */
	assert_cl(clSetKernelArg(kernel, 2, 1 << 30, NULL));
	EXPECT(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &global, &eight, 0, NULL, NULL),
	       CL_OUT_OF_RESOURCES);
	/* After all that it still runs. */
	assert_cl(clSetKernelArg(kernel, 2, 8 * sizeof(int), NULL));
	good.data[0] = 40;
	set_ptr(kernel, 0, good.data + 100);
	conf_run(kernel, 64, 8);
	assert_int_equal(good.data[100 + 63], 42);
	assert_cl(clReleaseKernel(kernel));
}

static void transfers(void **state)
{
	const size_t zero[3] = { 0, 0, 0 }, one[3] = { 1, 1, 1 }, huge[3] = { 1, SIZE_MAX, 2 }, none[3] = { 4, 0, 1 };
	const size_t wide[3] = { 64, 64, 2 };
	cl_int err;
	cl_mem no_read, no_write;

	(void)state;
	EXPECT(clEnqueueReadBuffer(conf.queue, good.mem, CL_TRUE, 0, 4, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueReadBuffer(conf.queue, good.mem, CL_TRUE, 4096, 1, host, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueReadBuffer(conf.queue, good.mem, CL_TRUE, 1, 4096, host, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueReadBuffer(conf.queue, good.mem, CL_TRUE, SIZE_MAX, 2, host, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueReadBuffer(conf.queue, good.mem, CL_TRUE, 2, SIZE_MAX, host, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueWriteBuffer(conf.queue, good.mem, CL_TRUE, SIZE_MAX - 1, 3, host, 0, NULL, NULL),
	       CL_INVALID_VALUE);
	EXPECT(clEnqueueWriteBuffer(conf.queue, good.mem, CL_TRUE, 0, 4, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueWriteBuffer(conf.queue, good.sub, CL_TRUE, 0, 129, host, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueCopyBuffer(conf.queue, good.mem, good.mem, 0, 2, 4, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	EXPECT(clEnqueueCopyBuffer(conf.queue, good.mem, good.sub, 64, 0, 128, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	EXPECT(clEnqueueCopyBuffer(conf.queue, good.mem, good.mem, 0, 4000, 100, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueCopyBuffer(conf.queue, good.mem, good.mem, 8, 4000, SIZE_MAX - 4, 0, NULL, NULL),
	       CL_INVALID_VALUE);
	EXPECT(clEnqueueFillBuffer(conf.queue, good.mem, NULL, 4, 0, 64, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueFillBuffer(conf.queue, good.mem, host, 0, 0, 64, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueFillBuffer(conf.queue, good.mem, host, 3, 0, 63, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueFillBuffer(conf.queue, good.mem, host, 4, 2, 64, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueFillBuffer(conf.queue, good.mem, host, 4, 0, 62, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueFillBuffer(conf.queue, good.mem, host, 4, 4096, 4, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueReadBufferRect(conf.queue, good.mem, CL_TRUE, zero, zero, huge, 0, 0, 0, 0, host, 0, NULL,
				       NULL),
	       CL_INVALID_VALUE);
	EXPECT(clEnqueueReadBufferRect(conf.queue, good.mem, CL_TRUE, zero, zero, none, 0, 0, 0, 0, host, 0, NULL,
				       NULL),
	       CL_INVALID_VALUE);
	EXPECT(clEnqueueReadBufferRect(conf.queue, good.mem, CL_TRUE, zero, zero, wide, 0, 0, 0, 0, host, 0, NULL,
				       NULL),
	       CL_INVALID_VALUE);
	EXPECT(clEnqueueReadBufferRect(conf.queue, good.mem, CL_TRUE, zero, zero, one, 0, 0, 0, 0, NULL, 0, NULL, NULL),
	       CL_INVALID_VALUE);
	EXPECT(clEnqueueReadBufferRect(conf.queue, good.mem, CL_TRUE, NULL, zero, one, 0, 0, 0, 0, host, 0, NULL, NULL),
	       CL_INVALID_VALUE);
	EXPECT(clEnqueueReadBufferRect(conf.queue, good.mem, CL_TRUE, zero, zero, (size_t[]){ 8, 2, 1 }, 4, 0, 0, 0,
				       host, 0, NULL, NULL),
	       CL_INVALID_VALUE);
	EXPECT(clEnqueueWriteBufferRect(conf.queue, good.mem, CL_TRUE, zero, zero, (size_t[]){ 8, 2, 2 }, 8, 12, 0, 0,
					host, 0, NULL, NULL),
	       CL_INVALID_VALUE);
	EXPECT(clEnqueueCopyBufferRect(conf.queue, good.mem, good.mem, zero, (size_t[]){ 1, 1, 0 },
				       (size_t[]){ 8, 8, 1 }, 64, 0, 64, 0, 0, NULL, NULL),
	       CL_MEM_COPY_OVERLAP);
	EXPECT(CREATE(clEnqueueMapBuffer(conf.queue, good.mem, CL_TRUE, 0x100, 0, 4, 0, NULL, NULL, &err)),
	       CL_INVALID_VALUE);
	EXPECT(CREATE(clEnqueueMapBuffer(conf.queue, good.mem, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE_INVALIDATE_REGION, 0,
					 4, 0, NULL, NULL, &err)),
	       CL_INVALID_VALUE);
	EXPECT(CREATE(clEnqueueMapBuffer(conf.queue, good.mem, CL_TRUE, CL_MAP_READ, 4090, 10, 0, NULL, NULL, &err)),
	       CL_INVALID_VALUE);
	EXPECT(CREATE(clEnqueueMapBuffer(conf.queue, good.mem, CL_TRUE, CL_MAP_READ, 0, 0, 0, NULL, NULL, &err)),
	       CL_INVALID_VALUE);
	EXPECT(clEnqueueUnmapMemObject(conf.queue, good.mem, host, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueMigrateMemObjects(conf.queue, 0, &good.mem, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueMigrateMemObjects(conf.queue, 1, NULL, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueMigrateMemObjects(conf.queue, 1, &good.mem, 1ull << 40, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueSVMMap(conf.queue, CL_TRUE, CL_MAP_READ, NULL, 4, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueSVMMap(conf.queue, CL_TRUE, CL_MAP_READ, good.data, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueSVMMap(conf.queue, CL_TRUE, 0x100, good.data, 4, 0, NULL, NULL), CL_INVALID_VALUE);
	EXPECT(clEnqueueSVMUnmap(conf.queue, NULL, 0, NULL, NULL), CL_INVALID_VALUE);

	no_read = clCreateBuffer(conf.context, CL_MEM_HOST_WRITE_ONLY, 64, NULL, &err);
	assert_cl(err);
	no_write = clCreateBuffer(conf.context, CL_MEM_HOST_READ_ONLY, 64, NULL, &err);
	assert_cl(err);
	EXPECT(clEnqueueReadBuffer(conf.queue, no_read, CL_TRUE, 0, 4, host, 0, NULL, NULL), CL_INVALID_OPERATION);
	EXPECT(clEnqueueWriteBuffer(conf.queue, no_write, CL_TRUE, 0, 4, host, 0, NULL, NULL), CL_INVALID_OPERATION);
	EXPECT(CREATE(clEnqueueMapBuffer(conf.queue, no_read, CL_TRUE, CL_MAP_READ, 0, 4, 0, NULL, NULL, &err)),
	       CL_INVALID_OPERATION);
	EXPECT(CREATE(clEnqueueMapBuffer(conf.queue, no_write, CL_TRUE, CL_MAP_WRITE, 0, 4, 0, NULL, NULL, &err)),
	       CL_INVALID_OPERATION);
	assert_cl(clReleaseMemObject(no_read));
	assert_cl(clReleaseMemObject(no_write));
	EXPECT(clEnqueueReadBuffer(conf.queue, good.mem, CL_TRUE, 0, 4, host, 1, NULL, NULL),
	       CL_INVALID_EVENT_WAIT_LIST);
}

/* Every query with unknown names, short buffers and no destination at all. */
static void queries(void **state)
{
	char value[4];

	(void)state;
#define QUERY(call, handle, name)                                                                                      \
	do {                                                                                                           \
		EXPECT(call(handle, 0x7777, sizeof(value), value, NULL), CL_INVALID_VALUE);                            \
		EXPECT(call(handle, name, 1, value, NULL), CL_INVALID_VALUE);                                          \
		EXPECT(call(handle, name, 0, value, NULL), CL_INVALID_VALUE);                                          \
		EXPECT(call(handle, name, 0, NULL, NULL), CL_SUCCESS);                                                 \
	} while (0)
	QUERY(clGetPlatformInfo, conf.platform, CL_PLATFORM_NAME);
	QUERY(clGetDeviceInfo, conf.device, CL_DEVICE_TYPE);
	QUERY(clGetContextInfo, conf.context, CL_CONTEXT_DEVICES);
	QUERY(clGetCommandQueueInfo, conf.queue, CL_QUEUE_CONTEXT);
	QUERY(clGetMemObjectInfo, good.mem, CL_MEM_SIZE);
	QUERY(clGetProgramInfo, conf.program, CL_PROGRAM_NUM_KERNELS);
	QUERY(clGetKernelInfo, good.kernel, CL_KERNEL_FUNCTION_NAME);
	QUERY(clGetEventInfo, good.event, CL_EVENT_COMMAND_TYPE);
	QUERY(clGetEventProfilingInfo, good.event, CL_PROFILING_COMMAND_END);
#undef QUERY
	EXPECT(clGetKernelArgInfo(good.kernel, 99, CL_KERNEL_ARG_ACCESS_QUALIFIER, sizeof(value), value, NULL),
	       CL_INVALID_ARG_INDEX);
	EXPECT(clGetKernelArgInfo(good.kernel, 0, 0x7777, sizeof(value), value, NULL), CL_INVALID_VALUE);
	EXPECT(clGetKernelWorkGroupInfo(good.kernel, conf.device, 0x7777, sizeof(value), value, NULL),
	       CL_INVALID_VALUE);
	EXPECT(clGetProgramBuildInfo(conf.program, conf.device, 0x7777, sizeof(value), value, NULL), CL_INVALID_VALUE);
}

/* What this device does not have answers with an error of its own, not with a crash. */
static void unsupported(void **state)
{
	const cl_image_format format = { CL_RGBA, CL_UNORM_INT8 };
	const cl_image_desc desc = { .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 16, .image_height = 16 };
	cl_bool images = CL_TRUE, pipes = CL_TRUE;
	cl_int err;

	(void)state;
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_IMAGE_SUPPORT, sizeof(images), &images, NULL));
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_PIPE_SUPPORT, sizeof(pipes), &pipes, NULL));
	if (!images) {
		EXPECT(CREATE(clCreateImage(conf.context, 0, &format, &desc, NULL, &err)), CL_INVALID_OPERATION);
		EXPECT(CREATE(clCreateSamplerWithProperties(conf.context, NULL, &err)), CL_INVALID_OPERATION);
	}
	if (!pipes)
		EXPECT(CREATE(clCreatePipe(conf.context, 0, 4, 4, NULL, &err)), CL_INVALID_OPERATION);
	assert_true(CREATE(clCreateProgramWithBuiltInKernels(conf.context, 1, &conf.device, "nothing", &err)) < 0);
	assert_true(CREATE(clCreateProgramWithIL(conf.context, "not SPIR-V", 10, &err)) < 0);
	assert_true(clEnqueueNativeKernel(conf.queue, NULL, NULL, 0, 0, NULL, NULL, 0, NULL, NULL) < 0);
	assert_true(clSetDefaultDeviceCommandQueue(conf.context, conf.device, conf.queue) < 0);
	assert_true(clEnqueueFillImage(conf.queue, good.mem, host, (size_t[3]){ 0 }, (size_t[3]){ 1, 1, 1 }, 0, NULL,
				       NULL) < 0);
}

/* Thousands of transfers with random numbers from the edges: either refused, or right. */
static void random_transfers(void **state)
{
	static const size_t numbers[] = { 0,
					  1,
					  2,
					  4,
					  63,
					  64,
					  128,
					  2048,
					  4095,
					  4096,
					  4097,
					  1ul << 31,
					  (1ul << 32) + 1,
					  1ul << 63,
					  SIZE_MAX - 4095,
					  SIZE_MAX - 1,
					  SIZE_MAX };
	enum { N = sizeof(numbers) / sizeof(*numbers) };
	unsigned int seed = 11, done = 0, refused = 0;

	(void)state;
#define ANY numbers[rand_r(&seed) % N]
#define ANY3 ((size_t[3]){ ANY, ANY, ANY })
	for (int i = 0; i < 20000; i++) {
		size_t a = ANY, b = ANY, c = ANY;
		void *p = rand_r(&seed) % 8 ? host : NULL;
		cl_mem mem = rand_r(&seed) % 2 ? good.mem : good.sub;
		cl_int err;
		void *mapped;

		switch (rand_r(&seed) % 9) {
		case 0:
			err = clEnqueueReadBuffer(conf.queue, mem, CL_TRUE, a, b, p, 0, NULL, NULL);
			break;
		case 1:
			err = clEnqueueWriteBuffer(conf.queue, mem, CL_TRUE, a, b, p, 0, NULL, NULL);
			break;
		case 2:
			err = clEnqueueCopyBuffer(conf.queue, good.mem, mem, a, b, c, 0, NULL, NULL);
			break;
		case 3:
			err = clEnqueueFillBuffer(conf.queue, mem, p, a, b, c, 0, NULL, NULL);
			break;
		case 4:
			err = clEnqueueReadBufferRect(conf.queue, mem, CL_TRUE, ANY3, (size_t[3]){ 0 }, ANY3, a, b, 0,
						      0, p, 0, NULL, NULL);
			break;
		case 5:
			err = clEnqueueWriteBufferRect(conf.queue, mem, CL_TRUE, ANY3, (size_t[3]){ 0 }, ANY3, a, b, 0,
						       0, p, 0, NULL, NULL);
			break;
		case 6:
			err = clEnqueueCopyBufferRect(conf.queue, good.mem, mem, ANY3, ANY3, ANY3, a, b, c, ANY, 0,
						      NULL, NULL);
			break;
		case 7:
			mapped = clEnqueueMapBuffer(conf.queue, mem, CL_TRUE, CL_MAP_READ, a, b, 0, NULL, NULL, &err);
			if (!err) {
				assert_non_null(mapped);
				assert_cl(clEnqueueUnmapMemObject(conf.queue, mem, mapped, 0, NULL, NULL));
			}
			break;
		default:
			err = clEnqueueSVMMemFill(conf.queue, p, host, a, b < 65536 ? b : 3, 0, NULL, NULL);
		}
		if (err == CL_SUCCESS)
			done++;
		else if (err == CL_INVALID_VALUE || err == CL_MEM_COPY_OVERLAP)
			refused++;
		else
			fail_msg("call %d returned %d", i, err);
	}
#undef ANY
#undef ANY3
	assert_cl(clFinish(conf.queue));
	assert_true(done > 100);
	assert_true(refused > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_handles),    cmocka_unit_test(wild_handles), cmocka_unit_test(foreign_objects),
		cmocka_unit_test(released_handles), cmocka_unit_test(creation),	    cmocka_unit_test(arguments),
		cmocka_unit_test(transfers),	    cmocka_unit_test(queries),	    cmocka_unit_test(unsupported),
		cmocka_unit_test(random_transfers),
	};
	int failed;

	conf_open(api_cl);
	failed = cmocka_run_group_tests(tests, make_objects, release_objects);
	conf_close();
	return failed;
}
