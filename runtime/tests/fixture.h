/* SPDX-License-Identifier: MIT */
/*
 * What the tests of queues, events, memory and commands start from: a context and queues on the fake backend, and kernel
 * objects made by hand, so that they need neither programs nor a compiler.
 */
#ifndef MCL_TESTS_FIXTURE_H
#define MCL_TESTS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/command.h"
#include "runtime/tests/fake_backend.h"

struct fixture {
	cl_context context;
	cl_device_id device;
	cl_command_queue queue; /* in-order */
	cl_command_queue wild; /* out-of-order */
	cl_command_queue timed; /* in-order, profiling */
};

extern struct fixture fx;

/* For cmocka_unit_test_setup_teardown(). The teardown fails when an object of the backend is left over. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

#define fixture_test(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

/* assert_int_equal() that names OpenCL errors. */
void assert_cl_(cl_int got, cl_int expected, const char *expr, const char *file, int line);
#define assert_cl(expr, expected) assert_cl_(expr, expected, #expr, __FILE__, __LINE__)
#define assert_ok(expr) assert_cl(expr, CL_SUCCESS)

/* Kernels of the hand-made program. */
enum fixture_kernel {
	KERNEL_EMPTY, /* no arguments */
	KERNEL_ARGS, /* (__global int *, int, __local char *) */
	KERNEL_REQD, /* reqd_work_group_size(8, 2, 1) */
	KERNEL_MANY, /* 40 pointers */
	KERNEL_COUNT
};

/* A kernel object; release it with mcl_object_release_app(&kernel->obj). */
cl_kernel fixture_kernel(enum fixture_kernel which);
void fixture_set_mem(cl_kernel kernel, unsigned int index, cl_mem mem);
void fixture_set_pointer(cl_kernel kernel, unsigned int index, void *ptr);
void fixture_set_int(cl_kernel kernel, unsigned int index, int value);
void fixture_set_local(cl_kernel kernel, unsigned int index, size_t size);

cl_int fixture_status(cl_event event);

/* Wait up to 5 s until *value is @wanted; fails the test otherwise. */
void fixture_until(_Atomic int *value, int wanted);

void fixture_sleep_us(unsigned int us);

#endif
