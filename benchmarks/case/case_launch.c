// SPDX-License-Identifier: MIT
/* What it costs to start a kernel, and to talk to one that runs. */
#include <stdatomic.h>

#include "case/case.h"

#define BURST 1000u
#define LIVE_ALLOCATIONS 10000u
#define LIVE_SIZE 4096u

static const char empty_source[] = "__kernel void empty(void) {}\n"
				   "__kernel void one(__global int *p) { if (get_global_id(0) == 1) *p = 1; }\n";

/* Time of one call of step(), the median of @n calls after @n / 10 that do not count. */
static double time_steps(struct device *dev, cl_kernel kernel, void (*step)(struct device *, cl_kernel), uint32_t n)
{
	double *times = must_alloc(n * sizeof(*times));

	for (uint32_t i = 0; i < n / 10 + 1; i++)
		step(dev, kernel);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t start = now_ns();

		step(dev, kernel);
		times[i] = (double)(now_ns() - start);
	}
	return median(times, n);
}

static void step_one(struct device *dev, cl_kernel kernel)
{
	enqueue(dev, kernel, 1, 1);
	finish(dev);
}

static void step_burst(struct device *dev, cl_kernel kernel)
{
	for (uint32_t i = 0; i < BURST; i++)
		enqueue(dev, kernel, 1, 1);
	finish(dev);
}

static double run_empty(const struct bench_options *opt)
{
	struct device dev;
	cl_kernel kernel;

	device_open(&dev, opt);
	kernel = device_kernel(&dev, empty_source, NULL, "empty");
	return time_steps(&dev, kernel, step_one, opt->warm ? 1 : 3000);
}

static double run_burst(const struct bench_options *opt)
{
	struct device dev;
	cl_kernel kernel;

	device_open(&dev, opt);
	kernel = device_kernel(&dev, empty_source, NULL, "empty");
	return time_steps(&dev, kernel, step_burst, opt->warm ? 1 : 50);
}

/* The same launch as run_empty(), with one pointer argument, while 10,000 other allocations live. */
static double run_live(const struct bench_options *opt)
{
	struct device dev;
	cl_kernel kernel;
	void *p = NULL;

	device_open(&dev, opt);
	for (uint32_t i = 0; i < LIVE_ALLOCATIONS; i++) {
		p = clSVMAlloc(dev.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, LIVE_SIZE, 0);
		if (!p)
			die("clSVMAlloc failed after %u allocations", i);
	}
	kernel = device_kernel(&dev, empty_source, NULL, "one");
	set_pointer(kernel, 0, p);
	return time_steps(&dev, kernel, step_one, opt->warm ? 1 : 300);
}

static const char pong_source[] =
	"__kernel void pong(__global atomic_uint *flag, ulong trips)\n"
	"{\n"
	"	for (uint i = 0; i < trips; i++) {\n"
	"		while (atomic_load_explicit(flag, memory_order_acquire, memory_scope_all_svm_devices) != 2 * i + 1)\n"
	"			;\n"
	"		atomic_store_explicit(flag, 2 * i + 2, memory_order_release, memory_scope_all_svm_devices);\n"
	"	}\n"
	"}\n";

/* Time of one round trip host -> running kernel -> host, through one atomic in SVM. */
static double run_pong(const struct bench_options *opt)
{
	struct device dev;
	_Atomic uint32_t *flag;
	cl_kernel kernel;
	double trip;

	device_open(&dev, opt);
	kernel = device_kernel(&dev, pong_source, "-cl-std=CL3.0", "pong");
	flag = clSVMAlloc(dev.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS, 4096, 0);
	if (!flag)
		die("clSVMAlloc failed");
	atomic_store(flag, 0);
	set_pointer(kernel, 0, (const void *)flag);
	set_ulong(kernel, 1, TRIPS * TRIP_BATCHES);
	enqueue(&dev, kernel, 1, 1);
	check(clFlush(dev.queue), "clFlush");
	trip = round_trips(flag);
	finish(&dev);
	return trip;
}

const struct bench_case bench_launch_cases[] = {
	{ "empty", run_empty, NULL },
	{ "burst", run_burst, NULL },
	{ "live-svm", run_live, NULL },
	{ "round-trip", run_pong, NULL },
	{ 0 },
};
