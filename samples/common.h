/* SPDX-License-Identifier: MIT */
/*
 * What every OpenCL program must do before it can start, so that the samples need not repeat it: find a device, build a
 * kernel, check return codes. Plain OpenCL 3.0; nothing here is specific to one implementation.
 */
#ifndef SAMPLE_COMMON_H
#define SAMPLE_COMMON_H

#include <CL/cl.h>

struct sample {
	const char *name; /* of the program, for its messages */
	cl_platform_id platform;
	cl_device_id device;
	cl_context context;
	cl_command_queue queue; /* in order */
	cl_uint compute_units;
};

/*
 * Take the first device that can follow any host pointer (fine-grained system SVM with atomics) and make a context and a
 * queue for it. Ends the program when there is none.
 */
void sample_open(struct sample *s, const char *name);
void sample_close(struct sample *s);

/* Build @source and return its kernel @kernel_name, to be released by the caller. A build error ends the program with the log. */
cl_kernel sample_kernel(const struct sample *s, const char *source, const char *kernel_name);

/* Start @kernel over @items work-items in groups of @group_size; returns its event, to be released by the caller. */
cl_event sample_start(const struct sample *s, cl_kernel kernel, size_t items, size_t group_size);

/* The same, and wait until it is done; a kernel that fails ends the program. */
void sample_run(const struct sample *s, cl_kernel kernel, size_t items, size_t group_size);

/* malloc that ends the program instead of returning NULL. */
void *sample_malloc(size_t size);

/* Print "<name>: FAILED: <message>" and end the program with status 1. */
_Noreturn void sample_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Wrap every OpenCL call that returns a status. */
#define CHECK(call) sample_check((call), #call)
void sample_check(cl_int status, const char *call);

#endif
