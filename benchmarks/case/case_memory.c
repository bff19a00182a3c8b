// SPDX-License-Identifier: MIT
/* Memory seen through the device: streaming, chasing pointers, and the first pass over memory it has never touched. */
#include <stdlib.h>
#include <string.h>

#include "case/case.h"

#define TRIAD_PASSES 15u
#define TRIAD_SETTLE_NS 150000000ull /* until the threads of the device have found their processors */
#define CHASE_PASSES 3u
#define PASS_ITEMS 4096u

static const char triad_source[] = "__kernel void triad(__global float *a, __global const float *b,\n"
				   "                    __global const float *c)\n"
				   "{\n"
				   "	size_t i = get_global_id(0);\n"
				   "	a[i] = b[i] + 3.0f * c[i];\n"
				   "}\n";

/* Median time of one a = b + 3 c over three arrays of 64 MiB, all of which the device has touched before. */
static double triad(struct device *dev, float *a, float *b, float *c, bool warm)
{
	cl_kernel kernel = device_kernel(dev, triad_source, NULL, "triad");
	unsigned int passes = warm ? 1 : TRIAD_PASSES;
	double times[TRIAD_PASSES];
	uint64_t begin;

	for (uint32_t i = 0; i < TRIAD_COUNT; i++) {
		a[i] = 0;
		b[i] = (float)(i % 1000);
		c[i] = (float)(i % 77);
	}
	set_pointer(kernel, 0, a);
	set_pointer(kernel, 1, b);
	set_pointer(kernel, 2, c);
	enqueue(dev, kernel, TRIAD_COUNT, 256);
	finish(dev);
	begin = now_ns();
	do {
		enqueue(dev, kernel, TRIAD_COUNT, 256);
		finish(dev);
	} while (now_ns() - begin < TRIAD_SETTLE_NS);
	for (unsigned int i = 0; i < passes; i++) {
		uint64_t start = now_ns();

		enqueue(dev, kernel, TRIAD_COUNT, 256);
		finish(dev);
		times[i] = (double)(now_ns() - start);
	}
	for (uint32_t i = 0; i < TRIAD_COUNT; i++)
		if (a[i] != (float)(i % 1000) + TRIAD_SCALE * (float)(i % 77))
			die("triad: element %u is %g", i, (double)a[i]);
	return median(times, passes);
}

static double run_triad_svm(const struct bench_options *opt)
{
	const size_t bytes = TRIAD_COUNT * sizeof(float);
	struct device dev;
	float *array[3];

	device_open(&dev, opt);
	for (int i = 0; i < 3; i++) {
		array[i] = clSVMAlloc(dev.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, bytes, 0);
		if (!array[i])
			die("clSVMAlloc of %zu bytes failed", bytes);
	}
	return triad(&dev, array[0], array[1], array[2], opt->warm);
}

static double run_triad_malloc(const struct bench_options *opt)
{
	const size_t bytes = TRIAD_COUNT * sizeof(float);
	struct device dev;

	device_open(&dev, opt);
	return triad(&dev, must_alloc(bytes), must_alloc(bytes), must_alloc(bytes), opt->warm);
}

static const char chase_source[] = "struct node { __global struct node *next; ulong value; char pad[48]; };\n"
				   "__kernel void chase(__global struct node *n, __global ulong *sum, ulong steps)\n"
				   "{\n"
				   "	ulong s = 0;\n"
				   "	for (ulong i = 0; i < steps; i++) {\n"
				   "		s += n->value;\n"
				   "		n = n->next;\n"
				   "	}\n"
				   "	*sum = s;\n"
				   "}\n";

/* Time of one step along a random cycle of malloc'd nodes, by one work-item. */
static double run_chase(const struct bench_options *opt)
{
	unsigned int passes = opt->warm ? 1 : CHASE_PASSES;
	uint64_t *sum = must_alloc(sizeof(*sum));
	double times[CHASE_PASSES];
	struct node *first;
	struct device dev;
	cl_kernel kernel;

	on_one_processor();
	device_open(&dev, opt);
	first = chase_build();
	kernel = device_kernel(&dev, chase_source, NULL, "chase");
	set_pointer(kernel, 0, first);
	set_pointer(kernel, 1, sum);
	set_ulong(kernel, 2, CHASE_COUNT);
	enqueue(&dev, kernel, 1, 1);
	finish(&dev);
	for (unsigned int i = 0; i < passes; i++) {
		uint64_t start = now_ns();

		*sum = 0;
		enqueue(&dev, kernel, 1, 1);
		finish(&dev);
		times[i] = (double)(now_ns() - start) / CHASE_COUNT;
		if (*sum != (uint64_t)CHASE_COUNT * (CHASE_COUNT - 1) / 2)
			die("chase: the sum is %llu", (unsigned long long)*sum);
	}
	return median(times, passes);
}

/*
 * Each work-item takes one contiguous part, so that every work-group streams, as a program that was written for paging
 * devices would; the parts of neighbouring groups are neighbours.
 */
static const char pass_source[] = "__kernel void pass_read(__global ulong *data, ulong part, __global ulong *sums)\n"
				  "{\n"
				  "	__global const ulong *p = data + get_global_id(0) * part;\n"
				  "	ulong s = 0;\n"
				  "	for (ulong i = 0; i < part; i++)\n"
				  "		s += p[i];\n"
				  "	sums[get_global_id(0)] = s;\n"
				  "}\n"
				  "__kernel void pass_write(__global ulong *data, ulong part, __global ulong *sums)\n"
				  "{\n"
				  "	__global ulong *p = data + get_global_id(0) * part;\n"
				  "	ulong s = 0;\n"
				  "	for (ulong i = 0; i < part; i++)\n"
				  "		s += p[i]++;\n"
				  "	sums[get_global_id(0)] = s;\n"
				  "}\n";

/* The first pass of the device over 256 MiB that the host has just malloc'd and written. */
static double first_pass(const struct bench_options *opt, const char *name, unsigned int increment)
{
	const uint64_t words = PASS_BYTES / sizeof(uint64_t), part = words / PASS_ITEMS;
	uint64_t *data, *sums, *small, sum = 0, start, took;
	struct device dev;
	cl_kernel kernel;

	device_open(&dev, opt);
	kernel = device_kernel(&dev, pass_source, NULL, name);
	sums = must_alloc(PASS_ITEMS * sizeof(*sums));
	memset(sums, 0, PASS_ITEMS * sizeof(*sums));
	/* Code, sums and worker threads are warm; only the data is new. */
	small = must_alloc(PASS_ITEMS * sizeof(*small));
	memset(small, 0, PASS_ITEMS * sizeof(*small));
	set_pointer(kernel, 0, small);
	set_ulong(kernel, 1, 1);
	set_pointer(kernel, 2, sums);
	enqueue(&dev, kernel, PASS_ITEMS, 1);
	finish(&dev);

	data = must_alloc(PASS_BYTES);
	for (uint64_t i = 0; i < words; i++)
		data[i] = i;
	set_pointer(kernel, 0, data);
	set_ulong(kernel, 1, part);
	start = now_ns();
	enqueue(&dev, kernel, PASS_ITEMS, 1);
	finish(&dev);
	took = now_ns() - start;
	for (uint32_t i = 0; i < PASS_ITEMS; i++)
		sum += sums[i];
	if (sum != words * (words - 1) / 2)
		die("%s: the sum is %llu", name, (unsigned long long)sum);
	for (uint64_t i = 0; i < words; i++)
		if (data[i] != i + increment)
			die("%s: word %llu is %llu", name, (unsigned long long)i, (unsigned long long)data[i]);
	return (double)took;
}

static double run_pass_read(const struct bench_options *opt)
{
	return first_pass(opt, "pass_read", 0);
}

static double run_pass_write(const struct bench_options *opt)
{
	return first_pass(opt, "pass_write", 1);
}

const struct bench_case bench_memory_cases[] = {
	{ "triad-svm", run_triad_svm }, { "triad-malloc", run_triad_malloc }, { "chase", run_chase },
	{ "pass-read", run_pass_read }, { "pass-write", run_pass_write },     { 0 },
};
