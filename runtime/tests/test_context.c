// SPDX-License-Identifier: MIT
/* Contexts: properties, devices, references, destructor callbacks, the engine behind them. */
#include <errno.h>
#include <stdio.h>

#include "runtime/tests/fixture.h"

static cl_device_id device = &mcl_device;

static uint64_t backends(void)
{
	struct mcl_fake_counts counts;

	mcl_fake_counts(&counts);
	return counts.backends;
}

static void CL_CALLBACK notify(const char *errinfo, const void *private_info, size_t cb, void *user_data)
{
	char *out = user_data;

	(void)private_info, (void)cb;
	snprintf(out, 512, "%s", errinfo);
}

/* clCreateContext and clCreateContextFromType with what they share. */
static void expect(const cl_context_properties *properties, cl_int code)
{
	cl_int error = 1;

	assert_null(clCreateContext(properties, 1, &device, NULL, NULL, &error));
	assert_cl(error, code);
	error = 1;
	assert_null(clCreateContextFromType(properties, CL_DEVICE_TYPE_ALL, NULL, NULL, &error));
	assert_cl(error, code);
	assert_int_equal(backends(), 0);
}

static void bad_arguments(void **state)
{
	const cl_context_properties p = (cl_context_properties)&mcl_platform, d = (cl_context_properties)&mcl_device;
	cl_device_id wrong[] = { &mcl_device, NULL };
	char text[512] = "";
	cl_int error;

	(void)state;
	expect((cl_context_properties[]){ 0x1234, 1, 0 }, CL_INVALID_PROPERTY);
	expect((cl_context_properties[]){ CL_CONTEXT_PLATFORM, p, CL_CONTEXT_PLATFORM, p, 0 }, CL_INVALID_PROPERTY);
	expect((cl_context_properties[]){ CL_CONTEXT_PLATFORM, d, 0 }, CL_INVALID_PLATFORM);
	expect((cl_context_properties[]){ CL_CONTEXT_PLATFORM, 0, 0 }, CL_INVALID_PLATFORM);
	expect((cl_context_properties[]){ CL_CONTEXT_INTEROP_USER_SYNC, 2, 0 }, CL_INVALID_PROPERTY);
	expect((cl_context_properties[]){ CL_CONTEXT_INTEROP_USER_SYNC, 1, CL_CONTEXT_INTEROP_USER_SYNC, 1, 0 },
	       CL_INVALID_PROPERTY);

	assert_null(clCreateContext(NULL, 0, &device, NULL, NULL, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateContext(NULL, 1, NULL, NULL, NULL, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateContext(NULL, 1, &device, NULL, text, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateContext(NULL, 2, wrong, NULL, NULL, &error));
	assert_cl(error, CL_INVALID_DEVICE);
	assert_null(clCreateContext(NULL, 2, wrong, NULL, NULL, NULL)); /* no code asked for */
	assert_null(clCreateContextFromType(NULL, CL_DEVICE_TYPE_CPU, NULL, NULL, &error));
	assert_cl(error, CL_DEVICE_NOT_FOUND);
	assert_null(clCreateContextFromType(NULL, 0, NULL, NULL, &error));
	assert_cl(error, CL_INVALID_DEVICE_TYPE);
	assert_null(clCreateContextFromType(NULL, CL_DEVICE_TYPE_ALL, NULL, text, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_int_equal(backends(), 0);
}

static void info(void **state)
{
	const cl_context_properties given[] = { CL_CONTEXT_INTEROP_USER_SYNC, CL_TRUE, CL_CONTEXT_PLATFORM,
						(cl_context_properties)&mcl_platform, 0 };
	cl_context_properties got[8];
	cl_device_id devices[2] = { NULL, NULL };
	cl_context context;
	cl_uint number;
	cl_int error;
	size_t size;

	(void)state;
	/* Duplicates of a device are ignored. */
	context = clCreateContext(given, 2, (cl_device_id[]){ device, device }, NULL, NULL, &error);
	assert_ok(error);
	assert_ok(clGetContextInfo(context, CL_CONTEXT_NUM_DEVICES, sizeof(number), &number, NULL));
	assert_int_equal(number, 1);
	assert_ok(clGetContextInfo(context, CL_CONTEXT_DEVICES, sizeof(devices), devices, &size));
	assert_int_equal(size, sizeof(*devices));
	assert_ptr_equal(devices[0], device);
	assert_ok(clGetContextInfo(context, CL_CONTEXT_PROPERTIES, sizeof(got), got, &size));
	assert_int_equal(size, sizeof(given));
	assert_memory_equal(got, given, size);
	assert_cl(clGetContextInfo(context, CL_CONTEXT_PROPERTIES, size - 1, got, NULL), CL_INVALID_VALUE);
	assert_cl(clGetContextInfo(context, 0x1234, sizeof(got), got, NULL), CL_INVALID_VALUE);
	assert_ok(clReleaseContext(context));

	/* Without properties the answer is empty; an empty list is a list. */
	context = clCreateContextFromType(NULL, CL_DEVICE_TYPE_GPU, NULL, NULL, NULL);
	assert_ok(clGetContextInfo(context, CL_CONTEXT_PROPERTIES, 0, NULL, &size));
	assert_int_equal(size, 0);
	assert_ok(clReleaseContext(context));
	context = clCreateContext((cl_context_properties[]){ 0 }, 1, &device, NULL, NULL, NULL);
	assert_ok(clGetContextInfo(context, CL_CONTEXT_PROPERTIES, 0, NULL, &size));
	assert_int_equal(size, sizeof(*given));
	assert_ok(clReleaseContext(context));
}

static void references(void **state)
{
	cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
	cl_uint number;

	(void)state;
	assert_int_equal(backends(), 1);
	assert_ok(clRetainContext(context));
	assert_ok(clGetContextInfo(context, CL_CONTEXT_REFERENCE_COUNT, sizeof(number), &number, NULL));
	assert_int_equal(number, 2);
	assert_ok(clReleaseContext(context));
	assert_ok(clReleaseContext(context));
	assert_int_equal(backends(), 0);
	/* A released handle is recognised. */
	assert_cl(clReleaseContext(context), CL_INVALID_CONTEXT);
	assert_cl(clRetainContext(context), CL_INVALID_CONTEXT);
	assert_cl(clGetContextInfo(context, CL_CONTEXT_NUM_DEVICES, sizeof(number), &number, NULL), CL_INVALID_CONTEXT);
	assert_cl(clRetainContext(NULL), CL_INVALID_CONTEXT);
	assert_cl(clReleaseContext((cl_context)&mcl_device), CL_INVALID_CONTEXT);
}

/* Every context of the process shares one engine; when it dies, new contexts get another. */
static void engines(void **state)
{
	cl_context first = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
	cl_context second = clCreateContext(NULL, 1, &device, NULL, NULL, NULL), third;

	(void)state;
	assert_int_equal(backends(), 1);
	mcl_fake_kill();
	third = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
	assert_non_null(third);
	assert_int_equal(backends(), 2);
	assert_false(mcl_backend_alive(first->backend));
	assert_true(mcl_backend_alive(third->backend));
	assert_ok(clReleaseContext(first));
	assert_ok(clReleaseContext(second));
	assert_ok(clReleaseContext(third));
	assert_int_equal(backends(), 0);
}

/* Why the device is not available reaches the application that listens. */
static void not_available(void **state)
{
	static const struct {
		int err;
		cl_int code;
	} cases[] = {
		{ -ENODEV, CL_DEVICE_NOT_AVAILABLE },
		{ -ENOMEM, CL_OUT_OF_HOST_MEMORY },
		{ -EAGAIN, CL_OUT_OF_RESOURCES },
	};
	char text[512] = "";
	cl_int error;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		mcl_fake_set_open_error(cases[i].err);
		assert_null(clCreateContext(NULL, 1, &device, notify, text, &error));
		assert_cl(error, cases[i].code);
		assert_string_equal(text, "the test asked for this failure");
		text[0] = '\0';
		assert_null(clCreateContextFromType(NULL, CL_DEVICE_TYPE_ALL, NULL, NULL, &error));
		assert_cl(error, cases[i].code);
	}
	mcl_fake_set_open_error(0);
}

static void reports(void **state)
{
	char text[512] = "";
	cl_context context = clCreateContext(NULL, 1, &device, notify, text, NULL);

	(void)state;
	mcl_context_report(context, "kernel %s", "foo");
	assert_string_equal(text, "kernel foo");
	assert_ok(clReleaseContext(context));
	context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
	mcl_context_report(context, "nobody listens");
	assert_ok(clReleaseContext(context));
}

static char order[8];

static void CL_CALLBACK destroyed(cl_context context, void *user_data)
{
	(void)context;
	strcat(order, user_data);
}

/* Destructor callbacks run in reverse order, once, when nothing holds the context any more. */
static void destructors(void **state)
{
	cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
	cl_command_queue queue = clCreateCommandQueueWithProperties(context, device, NULL, NULL);

	(void)state;
	assert_non_null(queue);
	assert_cl(clSetContextDestructorCallback(NULL, destroyed, "a"), CL_INVALID_CONTEXT);
	assert_cl(clSetContextDestructorCallback(context, NULL, "a"), CL_INVALID_VALUE);
	assert_ok(clSetContextDestructorCallback(context, destroyed, "a"));
	assert_ok(clSetContextDestructorCallback(context, destroyed, "b"));
	assert_ok(clSetContextDestructorCallback(context, destroyed, "a"));
	assert_ok(clReleaseContext(context));
	assert_string_equal(order, ""); /* the queue holds it */
	assert_ok(clReleaseCommandQueue(queue));
	for (int i = 0; i < 5000 && !order[0]; i++)
		fixture_sleep_us(1000);
	assert_string_equal(order, "aba");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_arguments), cmocka_unit_test(info),	  cmocka_unit_test(references),
		cmocka_unit_test(engines),	 cmocka_unit_test(not_available), cmocka_unit_test(reports),
		cmocka_unit_test(destructors),
	};

	unsetenv("MIRRORCL_DEVICE_TYPE");
	return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
