// SPDX-License-Identifier: MIT
/* The samples' boilerplate; see common.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

static const char *program_name = "sample";

_Noreturn void sample_fail(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: FAILED: ", program_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

void sample_check(cl_int status, const char *call)
{
	if (status != CL_SUCCESS)
		sample_fail("OpenCL error %d from %s", status, call);
}

void *sample_malloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		sample_fail("out of memory");
	return p;
}

/* Can the device follow every pointer of this process, and use atomics on what it finds there? */
static int follows_host_pointers(cl_device_id device)
{
	const cl_device_svm_capabilities needed = CL_DEVICE_SVM_FINE_GRAIN_SYSTEM | CL_DEVICE_SVM_ATOMICS;
	cl_device_svm_capabilities caps = 0;
	cl_bool available = CL_FALSE;

	clGetDeviceInfo(device, CL_DEVICE_SVM_CAPABILITIES, sizeof(caps), &caps, NULL);
	clGetDeviceInfo(device, CL_DEVICE_AVAILABLE, sizeof(available), &available, NULL);
	return available && (caps & needed) == needed;
}

static void find_device(struct sample *s)
{
	cl_platform_id platforms[16];
	cl_uint num_platforms = 0;

	if (clGetPlatformIDs(16, platforms, &num_platforms) || !num_platforms)
		sample_fail("no OpenCL platform is installed");
	if (num_platforms > 16)
		num_platforms = 16;
	for (cl_uint p = 0; p < num_platforms; p++) {
		cl_device_id devices[16];
		cl_uint num_devices = 0;

		if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 16, devices, &num_devices))
			continue;
		if (num_devices > 16)
			num_devices = 16;
		for (cl_uint d = 0; d < num_devices; d++) {
			if (!follows_host_pointers(devices[d]))
				continue;
			s->platform = platforms[p];
			s->device = devices[d];
			return;
		}
	}
	sample_fail("no device here has fine-grained system SVM with atomics");
}

void sample_open(struct sample *s, const char *name)
{
	char device_name[256] = "", version[256] = "";
	cl_int err;

	program_name = name;
	memset(s, 0, sizeof(*s));
	s->name = name;
	find_device(s);
	CHECK(clGetDeviceInfo(s->device, CL_DEVICE_NAME, sizeof(device_name), device_name, NULL));
	CHECK(clGetPlatformInfo(s->platform, CL_PLATFORM_VERSION, sizeof(version), version, NULL));
	CHECK(clGetDeviceInfo(s->device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(s->compute_units), &s->compute_units,
			      NULL));
	printf("%s: on %s (%s)\n", name, device_name, version);
	fflush(stdout);

	s->context = clCreateContext(NULL, 1, &s->device, NULL, NULL, &err);
	CHECK(err);
	s->queue = clCreateCommandQueueWithProperties(s->context, s->device, NULL, &err);
	CHECK(err);
}

void sample_close(struct sample *s)
{
	CHECK(clFinish(s->queue));
	CHECK(clReleaseCommandQueue(s->queue));
	CHECK(clReleaseContext(s->context));
}

cl_kernel sample_kernel(const struct sample *s, const char *source, const char *kernel_name)
{
	cl_program program;
	cl_kernel kernel;
	cl_int err;

	program = clCreateProgramWithSource(s->context, 1, &source, NULL, &err);
	CHECK(err);
	/* OpenCL C 3.0: generic pointers and the atomics that reach the host's memory. */
	err = clBuildProgram(program, 1, &s->device, "-cl-std=CL3.0", NULL, NULL);
	if (err == CL_BUILD_PROGRAM_FAILURE) {
		static char log[16384];

		clGetProgramBuildInfo(program, s->device, CL_PROGRAM_BUILD_LOG, sizeof(log) - 1, log, NULL);
		sample_fail("the kernel does not compile:\n%s", log);
	}
	CHECK(err);
	kernel = clCreateKernel(program, kernel_name, &err);
	CHECK(err);
	CHECK(clReleaseProgram(program)); /* the kernel holds on to it */
	return kernel;
}

cl_event sample_start(const struct sample *s, cl_kernel kernel, size_t items, size_t group_size)
{
	cl_event event;

	CHECK(clEnqueueNDRangeKernel(s->queue, kernel, 1, NULL, &items, &group_size, 0, NULL, &event));
	CHECK(clFlush(s->queue));
	return event;
}

void sample_run(const struct sample *s, cl_kernel kernel, size_t items, size_t group_size)
{
	cl_event event = sample_start(s, kernel, items, group_size);

	CHECK(clWaitForEvents(1, &event));
	CHECK(clReleaseEvent(event));
}
