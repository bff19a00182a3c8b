// SPDX-License-Identifier: MIT
/* The OpenCL steps that every case takes; see case.h. */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "case/case.h"

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void die(const char *fmt, ...)
{
	va_list ap;

	fputs("mirrorcl-bench-case: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

void check(cl_int err, const char *what)
{
	if (err != CL_SUCCESS)
		die("%s: error %d", what, err);
}

void *must_alloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		die("no memory for %zu bytes", size);
	return p;
}

static cl_platform_id find_platform(const char *wanted)
{
	cl_platform_id ids[16];
	cl_uint count = 0;

	check(clGetPlatformIDs(16, ids, &count), "clGetPlatformIDs");
	for (cl_uint i = 0; i < count && i < 16; i++) {
		char name[256] = "";

		check(clGetPlatformInfo(ids[i], CL_PLATFORM_NAME, sizeof(name), name, NULL), "clGetPlatformInfo");
		if (!wanted || strstr(name, wanted))
			return ids[i];
	}
	die("no platform called '%s'", wanted ? wanted : "");
}

void device_open(struct device *dev, const struct bench_options *opt)
{
	uint64_t start = now_ns();
	cl_int err;

	dev->platform = find_platform(opt->platform);
	check(clGetDeviceIDs(dev->platform, CL_DEVICE_TYPE_ALL, 1, &dev->id, NULL), "clGetDeviceIDs");
	dev->context = clCreateContext(NULL, 1, &dev->id, NULL, NULL, &err);
	check(err, "clCreateContext");
	dev->init_ns = now_ns() - start;
	dev->queue = clCreateCommandQueueWithProperties(dev->context, dev->id, NULL, &err);
	check(err, "clCreateCommandQueueWithProperties");
}

unsigned int device_units(const struct device *dev)
{
	cl_uint units = 0;

	check(clGetDeviceInfo(dev->id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(units), &units, NULL), "clGetDeviceInfo");
	return units;
}

void device_close(struct device *dev)
{
	clReleaseCommandQueue(dev->queue);
	clReleaseContext(dev->context);
}

cl_kernel device_kernel(struct device *dev, const char *source, const char *options, const char *name)
{
	cl_program program;
	cl_kernel kernel;
	cl_int err;

	program = clCreateProgramWithSource(dev->context, 1, &source, NULL, &err);
	check(err, "clCreateProgramWithSource");
	err = clBuildProgram(program, 1, &dev->id, options, NULL, NULL);
	if (err != CL_SUCCESS) {
		char log[4096] = "";

		clGetProgramBuildInfo(program, dev->id, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL);
		die("clBuildProgram: error %d\n%s", err, log);
	}
	kernel = clCreateKernel(program, name, &err);
	check(err, "clCreateKernel");
	clReleaseProgram(program);
	return kernel;
}

void set_pointer(cl_kernel kernel, cl_uint index, const void *pointer)
{
	check(clSetKernelArgSVMPointer(kernel, index, pointer), "clSetKernelArgSVMPointer");
}

void set_ulong(cl_kernel kernel, cl_uint index, uint64_t value)
{
	check(clSetKernelArg(kernel, index, sizeof(value), &value), "clSetKernelArg");
}

void enqueue(struct device *dev, cl_kernel kernel, size_t global, size_t local)
{
	check(clEnqueueNDRangeKernel(dev->queue, kernel, 1, NULL, &global, local ? &local : NULL, 0, NULL, NULL),
	      "clEnqueueNDRangeKernel");
}

void finish(struct device *dev)
{
	check(clFinish(dev->queue), "clFinish");
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double round_trips(_Atomic uint32_t *flag)
{
	double times[TRIP_BATCHES];
	uint32_t i = 0;

	for (unsigned int batch = 0; batch < TRIP_BATCHES; batch++) {
		uint64_t start = now_ns();

		for (unsigned int n = 0; n < TRIPS; n++, i++) {
			atomic_store_explicit(flag, 2 * i + 1, memory_order_release);
			while (atomic_load_explicit(flag, memory_order_acquire) != 2 * i + 2)
				;
		}
		times[batch] = (double)(now_ns() - start) / TRIPS;
	}
	return median(times, TRIP_BATCHES);
}

struct node *chase_build(void)
{
	struct node **order = must_alloc(CHASE_COUNT * sizeof(struct node *));
	uint64_t state = 88172645463325252ull;
	struct node *first;

	for (uint32_t i = 0; i < CHASE_COUNT; i++) {
		order[i] = must_alloc(sizeof(**order));
		order[i]->value = i;
	}
	for (uint32_t i = CHASE_COUNT - 1; i > 0; i--) {
		struct node *tmp = order[i];
		uint32_t j;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		j = (uint32_t)(state % (i + 1));
		order[i] = order[j];
		order[j] = tmp;
	}
	for (uint32_t i = 0; i < CHASE_COUNT; i++)
		order[i]->next = order[(i + 1) % CHASE_COUNT];
	first = order[0];
	free(order);
	return first;
}

void on_one_processor(void)
{
	cpu_set_t all, one;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(all), &all))
		return; /* more processors than fit, hardly a small virtual machine */
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &all)) {
			CPU_SET(i, &one);
			break;
		}
	}
	if (sched_setaffinity(0, sizeof(one), &one))
		die("cannot choose a processor");
}
