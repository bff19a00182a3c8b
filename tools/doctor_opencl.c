// SPDX-License-Identifier: MIT
/*
 * MirrorCL as an application meets it: through the ICD loader, which is loaded by name in a child, so that a machine without
 * one, or with a driver that crashes, gets an answer too. See doctor.h.
 */
#include <CL/cl.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "doctor.h"
#include "locate.h"

#define PLATFORM "MirrorCL"
#define LIST_LIMIT_S 60
#define TRIAL_LIMIT_S 120
#define ITEMS 1000u

enum { FOUND, NO_LOADER, NOT_LISTED, FAILED };

/* The loader's functions that are needed, by name. */
struct loader {
	__typeof__(clGetPlatformIDs) *get_platforms;
	__typeof__(clGetPlatformInfo) *platform_info;
	__typeof__(clGetDeviceIDs) *get_devices;
	__typeof__(clCreateContext) *create_context;
	__typeof__(clCreateCommandQueueWithProperties) *create_queue;
	__typeof__(clCreateProgramWithSource) *create_program;
	__typeof__(clBuildProgram) *build;
	__typeof__(clCreateKernel) *create_kernel;
	__typeof__(clSetKernelArgSVMPointer) *set_pointer;
	__typeof__(clEnqueueNDRangeKernel) *enqueue;
	__typeof__(clFinish) *finish;
};

static bool load(struct loader *l)
{
	void *lib = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);

	if (!lib) {
		puts(dlerror());
		return false;
	}
#define SYMBOL(member, name) ((l->member = (__typeof__(l->member))dlsym(lib, name)) != NULL)
	if (SYMBOL(get_platforms, "clGetPlatformIDs") && SYMBOL(platform_info, "clGetPlatformInfo") &&
	    SYMBOL(get_devices, "clGetDeviceIDs") && SYMBOL(create_context, "clCreateContext") &&
	    SYMBOL(create_queue, "clCreateCommandQueueWithProperties") &&
	    SYMBOL(create_program, "clCreateProgramWithSource") && SYMBOL(build, "clBuildProgram") &&
	    SYMBOL(create_kernel, "clCreateKernel") && SYMBOL(set_pointer, "clSetKernelArgSVMPointer") &&
	    SYMBOL(enqueue, "clEnqueueNDRangeKernel") && SYMBOL(finish, "clFinish"))
		return true;
#undef SYMBOL
	puts("libOpenCL.so.1 is older than OpenCL 2.0");
	return false;
}

/* Print the platforms' names; NULL if MirrorCL is not among them. */
static cl_platform_id find_platform(const struct loader *l)
{
	cl_platform_id ids[32], found = NULL;
	cl_uint count = 0;

	if (l->get_platforms(32, ids, &count) != CL_SUCCESS)
		count = 0;
	for (cl_uint i = 0; i < count && i < 32; i++) {
		char name[128] = "?";

		l->platform_info(ids[i], CL_PLATFORM_NAME, sizeof(name), name, NULL);
		printf("%s%s", i ? ", " : "", name);
		if (!strcmp(name, PLATFORM))
			found = ids[i];
	}
	return found;
}

static int list_platforms(void *unused)
{
	struct loader l;

	(void)unused;
	if (!load(&l))
		return NO_LOADER;
	return find_platform(&l) ? FOUND : NOT_LISTED;
}

/* Returns whether the loader is there at all. */
static bool check_loader(struct doctor *d)
{
	const char *vendors = getenv("OCL_ICD_VENDORS");
	char text[400];
	int status = child_run(list_platforms, NULL, LIST_LIMIT_S, text, sizeof(text));

	if (status == NO_LOADER) {
		doctor_remedy(doctor_add(d, "OpenCL loader", DOCTOR_BAD, "%s", text),
			      "install an ICD loader (Debian: ocl-icd-libopencl1)");
		return false;
	}
	if (status == FOUND)
		doctor_add(d, "OpenCL loader", DOCTOR_OK, "lists these platforms: %s", text);
	else if (status == NOT_LISTED)
		doctor_remedy(doctor_add(d, "OpenCL loader", DOCTOR_WARN,
					 "programs do not see MirrorCL by themselves; %s lists %s",
					 vendors && *vendors ? vendors : "/etc/OpenCL/vendors",
					 *text ? text : "nothing"),
			      "start them with `mirrorcl run --`, or install mirrorcl.icd in /etc/OpenCL/vendors");
	else
		doctor_remedy(doctor_add(d, "OpenCL loader", DOCTOR_WARN, "%s while platforms were listed",
					 status == -ETIMEDOUT ? "no answer" : "a driver crashed"),
			      "`mirrorcl run --` shows programs no driver but MirrorCL");
	return true;
}

static int fail(const char *what, cl_int err)
{
	printf("%s: error %d", what, err);
	return FAILED;
}

/* A kernel adds one to each of the numbers. What is made here ends with the process, which is this trial's own. */
static int add_one(const struct loader *l, int *numbers)
{
	static const char *source = "__kernel void add(__global int *p) { p[get_global_id(0)] += 1; }";
	cl_platform_id platform = find_platform(l);
	const size_t items = ITEMS;
	cl_command_queue queue;
	cl_device_id device;
	cl_context context;
	cl_program program;
	cl_kernel kernel;
	cl_int err;

	if (!platform)
		return FAILED;
	fputs(": ", stdout);
	err = l->get_devices(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL);
	if (err)
		return fail("clGetDeviceIDs", err);
	context = l->create_context(NULL, 1, &device, NULL, NULL, &err);
	if (err)
		return fail("clCreateContext", err);
	queue = l->create_queue(context, device, NULL, &err);
	if (err)
		return fail("clCreateCommandQueueWithProperties", err);
	program = l->create_program(context, 1, &source, NULL, &err);
	if (err)
		return fail("clCreateProgramWithSource", err);
	err = l->build(program, 1, &device, NULL, NULL, NULL);
	if (err)
		return fail("clBuildProgram", err);
	kernel = l->create_kernel(program, "add", &err);
	if (err)
		return fail("clCreateKernel", err);
	for (unsigned int i = 0; i < ITEMS; i++)
		numbers[i] = (int)i;
	err = l->set_pointer(kernel, 0, numbers);
	if (err)
		return fail("clSetKernelArgSVMPointer", err);
	err = l->enqueue(queue, kernel, 1, NULL, &items, NULL, 0, NULL, NULL);
	if (!err)
		err = l->finish(queue);
	if (err)
		return fail("running a kernel", err);
	for (unsigned int i = 0; i < ITEMS; i++) {
		if (numbers[i] != (int)i + 1) {
			printf("a kernel computed %d where %u was right", numbers[i], i + 1);
			return FAILED;
		}
	}
	return FOUND;
}

/* In a child, on malloc'd memory. */
static int try_kernel(void *vendors)
{
	int *numbers = malloc(ITEMS * sizeof(*numbers)), status = FAILED;
	struct loader l;

	setenv("OCL_ICD_VENDORS", vendors, 1);
	setenv("MIRRORCL_DEBUG", "error", 0);
	if (numbers && load(&l))
		status = add_one(&l, numbers);
	free(numbers);
	return status;
}

static void check_kernel(struct doctor *d)
{
	char vendors[PATH_MAX], text[480];
	struct mcl_reason why;
	int status = locate_vendors(vendors, sizeof(vendors), &why);

	if (status) {
		doctor_remedy(doctor_add(d, "a kernel", DOCTOR_BAD, "%s", why.text),
			      "build or install MirrorCL as a whole");
		return;
	}
	status = child_run(try_kernel, vendors, TRIAL_LIMIT_S, text, sizeof(text));
	if (status == FOUND)
		doctor_add(d, "a kernel", DOCTOR_OK, "ran on malloc'd memory, with the right result");
	else if (status == -ETIMEDOUT)
		doctor_add(d, "a kernel", DOCTOR_BAD, "did not end in %d s", TRIAL_LIMIT_S);
	else if (status == -ECHILD)
		doctor_add(d, "a kernel", DOCTOR_BAD, "the program that ran it crashed; %s", text);
	else
		doctor_remedy(doctor_add(d, "a kernel", DOCTOR_BAD, "%s",
					 *text ? text : "MirrorCL's library does not load"),
			      "MIRRORCL_DEBUG=info says more");
}

void doctor_check_opencl(struct doctor *d)
{
	if (check_loader(d))
		check_kernel(d);
}
