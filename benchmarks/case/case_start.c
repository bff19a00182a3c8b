// SPDX-License-Identifier: MIT
/* What a program pays before its first result, in time and in memory. */
#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case/case.h"

#define ITEMS 1024u

static const char add_source[] = "__kernel void add(__global int *a, ulong b)\n"
				 "{\n"
				 "	a[get_global_id(0)] += (int)b;\n"
				 "}\n";

static double run_init(const struct bench_options *opt)
{
	struct device dev;

	device_open(&dev, opt);
	device_close(&dev);
	return (double)dev.init_ns;
}

/* Everything a small program does up to its first checked result. */
static void first_kernel(struct device *dev, const struct bench_options *opt)
{
	cl_kernel kernel;
	int *data;

	device_open(dev, opt);
	kernel = device_kernel(dev, add_source, NULL, "add");
	data = clSVMAlloc(dev->context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, ITEMS * sizeof(*data), 0);
	if (!data)
		die("clSVMAlloc failed");
	for (unsigned int i = 0; i < ITEMS; i++)
		data[i] = (int)i;
	set_pointer(kernel, 0, data);
	set_ulong(kernel, 1, 7);
	enqueue(dev, kernel, ITEMS, 64);
	finish(dev);
	for (unsigned int i = 0; i < ITEMS; i++)
		if (data[i] != (int)i + 7)
			die("add: element %u is %d", i, data[i]);
}

static double run_first(const struct bench_options *opt)
{
	struct device dev;

	first_kernel(&dev, opt);
	return (double)(now_ns() - opt->start_ns);
}

static const char cold_source[] =
	"__kernel void filter(__global const float *in, __global float *out, uint width, uint height)\n"
	"{\n"
	"	__local float tile[18][18];\n"
	"	uint x = get_global_id(0), y = get_global_id(1), lx = get_local_id(0), ly = get_local_id(1);\n"
	"	tile[ly + 1][lx + 1] = x < width && y < height ? in[y * width + x] : 0.0f;\n"
	"	barrier(CLK_LOCAL_MEM_FENCE);\n"
	"	float sum = 0.0f;\n"
	"	for (int dy = 0; dy < 3; dy++)\n"
	"		for (int dx = 0; dx < 3; dx++)\n"
	"			sum += tile[min(ly + dy, 17u)][min(lx + dx, 17u)] * exp(-(float)(dx * dx + dy * dy));\n"
	"	if (x < width && y < height)\n"
	"		out[y * width + x] = sum / (1.0f + fabs(native_sin(sum)));\n"
	"}\n";

/*
 * clBuildProgram up to the end of the first launch, nothing in any cache. The launch is part of it because a driver may
 * leave the greater part of the compilation to it.
 */
static double run_cold_build(const struct bench_options *opt)
{
	const size_t global[2] = { 16, 16 }, local[2] = { 16, 16 };
	const cl_uint side = 16;
	struct device dev;
	cl_kernel kernel;
	uint64_t start;
	float *data;

	device_open(&dev, opt);
	data = clSVMAlloc(dev.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, 2 * 256 * sizeof(*data), 0);
	if (!data)
		die("clSVMAlloc failed");
	memset(data, 0, 2 * 256 * sizeof(*data));
	data[256] = 1;
	start = now_ns();
	kernel = device_kernel(&dev, cold_source, NULL, "filter");
	set_pointer(kernel, 0, data);
	set_pointer(kernel, 1, data + 256);
	check(clSetKernelArg(kernel, 2, sizeof(side), &side), "clSetKernelArg");
	check(clSetKernelArg(kernel, 3, sizeof(side), &side), "clSetKernelArg");
	check(clEnqueueNDRangeKernel(dev.queue, kernel, 2, NULL, global, local, 0, NULL, NULL),
	      "clEnqueueNDRangeKernel");
	finish(&dev);
	start = now_ns() - start;
	if (data[256] != 0)
		die("filter: a sum of zeros is %g", (double)data[256]);
	return (double)start;
}

/* The number of kB in the line "@key:" of @file of a process, in bytes. */
static double proc_bytes(pid_t pid, const char *file, const char *key)
{
	char path[64], line[256];
	double bytes = -1;
	size_t n = strlen(key);
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	if (!f)
		die("%s: %s", path, strerror(errno));
	while (bytes < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, n) && line[n] == ':')
			bytes = strtod(line + n + 1, NULL) * 1024;
	fclose(f);
	if (bytes < 0)
		die("%s has no line %s", path, key);
	return bytes;
}

/*
 * Resident memory of a process. Files (libraries) count in full, whoever else has them mapped just now; anonymous and shared memory
 * by its share, so that what host and engine share counts once.
 */
static double resident_bytes(pid_t pid)
{
	return proc_bytes(pid, "status", "RssFile") + proc_bytes(pid, "smaps_rollup", "Pss_Anon") +
	       proc_bytes(pid, "smaps_rollup", "Pss_Shmem");
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512];
	const char *after;
	pid_t parent = -1;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return -1; /* it has just ended */
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	after = strrchr(text, ')'); /* the name may hold anything */
	if (!after || sscanf(after + 1, " %*c %d", &parent) != 1)
		return -1;
	return parent;
}

/*
 * This process and all it started, after one kernel from the cache. A child that shares our page tables (the engine of
 * the shared mirror) is already counted with us.
 */
static double run_memory(const struct bench_options *opt)
{
	struct device dev;
	struct dirent *e;
	double bytes;
	DIR *proc;

	first_kernel(&dev, opt);
	bytes = resident_bytes(getpid());
	proc = opendir("/proc");
	if (!proc)
		die("/proc: %s", strerror(errno));
	while ((e = readdir(proc))) {
		pid_t pid = atoi(e->d_name);

		if (pid <= 0 || parent_of(pid) != getpid())
			continue;
		if (syscall(SYS_kcmp, getpid(), pid, KCMP_VM, 0, 0) == 0)
			continue;
		bytes += resident_bytes(pid);
	}
	closedir(proc);
	return bytes;
}

const struct bench_case bench_start_cases[] = {
	{ "init", run_init, NULL },
	{ "first-kernel", run_first, NULL },
	{ "cold-build", run_cold_build, NULL },
	{ "memory", run_memory, NULL },
	{ 0 },
};
