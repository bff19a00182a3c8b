// SPDX-License-Identifier: MIT
/* cl_mirrorcl_abort: every query with its size, each reason and access, and the events that it has nothing to tell of. */
#include "runtime/extensions.h"
#include "runtime/tests/fixture.h"

static const struct mcl_abort template = {
	.access = MCL_ABORT_WRITE,
	.address = 0x123456789abcdef0,
	.group = { 1, 2, 3 },
	.text = "kernel 'victim' aborted",
};

static enum mcl_status outcome;

static enum mcl_status run(const struct mcl_fake_launch *launch, void *ctx)
{
	(void)launch, (void)ctx;
	return outcome;
}

static int setup(void **state)
{
	fixture_setup(state);
	mcl_fake_set_kernel(run, NULL);
	mcl_fake_set_abort(&template, "victim");
	outcome = MCL_STATUS_FAULT;
	return 0;
}

static int teardown(void **state)
{
	mcl_fake_set_abort(NULL, NULL);
	return fixture_teardown(state);
}

/* A launch on @queue that has ended. */
static cl_event launched(cl_command_queue queue)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	const size_t one = 1;
	cl_event event;

	assert_ok(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, NULL, 0, NULL, &event));
	clWaitForEvents(1, &event);
	mcl_object_release_app(&kernel->obj);
	return event;
}

static cl_uint word(cl_event event, cl_abort_info_mcl query)
{
	cl_uint value;
	size_t size;

	assert_ok(clGetEventAbortInfoMCL(event, query, sizeof(value), &value, &size));
	assert_int_equal(size, sizeof(value));
	return value;
}

static void assert_nothing(cl_event event)
{
	cl_uint value = 5;

	assert_cl(clGetEventAbortInfoMCL(event, CL_ABORT_REASON_MCL, sizeof(value), &value, NULL),
		  CL_INVALID_OPERATION);
	assert_int_equal(value, 5);
}

static void everything(void **state)
{
	cl_event event = launched(fx.queue);
	size_t group[3];
	char text[64];
	void *address;

	(void)state;
	assert_int_equal(fixture_status(event), CL_OUT_OF_RESOURCES);
	/* The same however often it is asked. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(word(event, CL_ABORT_REASON_MCL), CL_ABORT_BAD_ADDRESS_MCL);
		assert_int_equal(word(event, CL_ABORT_ACCESS_MCL), CL_ABORT_ACCESS_WRITE_MCL);
		assert_ok(clGetEventAbortInfoMCL(event, CL_ABORT_ADDRESS_MCL, sizeof(address), &address, NULL));
		assert_int_equal((uintptr_t)address, template.address);
		assert_ok(clGetEventAbortInfoMCL(event, CL_ABORT_WORK_GROUP_MCL, sizeof(group), group, NULL));
		for (int d = 0; d < 3; d++)
			assert_int_equal(group[d], template.group[d]);
		assert_ok(clGetEventAbortInfoMCL(event, CL_ABORT_KERNEL_NAME_MCL, sizeof(text), text, NULL));
		assert_string_equal(text, "victim");
		assert_ok(clGetEventAbortInfoMCL(event, CL_ABORT_TEXT_MCL, sizeof(text), text, NULL));
		assert_string_equal(text, template.text);
	}
	assert_ok(clReleaseEvent(event));
}

static void sizes(void **state)
{
	static const struct {
		cl_abort_info_mcl query;
		size_t size;
	} queries[] = {
		{ CL_ABORT_REASON_MCL, 4 },	    { CL_ABORT_ACCESS_MCL, 4 },
		{ CL_ABORT_ADDRESS_MCL, 8 },	    { CL_ABORT_KERNEL_NAME_MCL, sizeof("victim") },
		{ CL_ABORT_WORK_GROUP_MCL, 3 * 8 }, { CL_ABORT_TEXT_MCL, sizeof("kernel 'victim' aborted") },
	};
	cl_event event = launched(fx.queue);
	char value[64];
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
		assert_ok(clGetEventAbortInfoMCL(event, queries[i].query, 0, NULL, &size));
		assert_int_equal(size, queries[i].size);
		assert_cl(clGetEventAbortInfoMCL(event, queries[i].query, size - 1, value, NULL), CL_INVALID_VALUE);
		assert_ok(clGetEventAbortInfoMCL(event, queries[i].query, size, value, NULL));
		assert_ok(clGetEventAbortInfoMCL(event, queries[i].query, 0, NULL, NULL));
	}
	assert_cl(clGetEventAbortInfoMCL(event, 0, sizeof(value), value, NULL), CL_INVALID_VALUE);
	assert_cl(clGetEventAbortInfoMCL(event, CL_EVENT_COMMAND_TYPE, sizeof(value), value, NULL), CL_INVALID_VALUE);
	assert_ok(clReleaseEvent(event));
}

static void reasons(void **state)
{
	static const struct {
		enum mcl_status status;
		cl_abort_reason_mcl reason;
	} all[] = {
		{ MCL_STATUS_FAULT, CL_ABORT_BAD_ADDRESS_MCL },
		{ MCL_STATUS_TRAP, CL_ABORT_EXCEPTION_MCL },
		{ MCL_STATUS_RESOURCES, CL_ABORT_STACK_MCL },
	};
	static const struct {
		enum mcl_abort_access access;
		cl_abort_access_mcl told;
	} accesses[] = {
		{ MCL_ABORT_UNKNOWN, CL_ABORT_ACCESS_UNKNOWN_MCL },
		{ MCL_ABORT_READ, CL_ABORT_ACCESS_READ_MCL },
		{ MCL_ABORT_WRITE, CL_ABORT_ACCESS_WRITE_MCL },
		{ MCL_ABORT_EXECUTE, CL_ABORT_ACCESS_EXECUTE_MCL },
	};
	cl_command_queue queues[] = { fx.queue, fx.wild, fx.timed };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		cl_event event;

		outcome = all[i].status;
		event = launched(queues[i]);
		assert_int_equal(word(event, CL_ABORT_REASON_MCL), all[i].reason);
		assert_ok(clReleaseEvent(event));
	}
	for (size_t i = 0; i < sizeof(accesses) / sizeof(*accesses); i++) {
		struct mcl_abort abort = template;
		cl_event event;

		abort.access = accesses[i].access;
		mcl_fake_set_abort(&abort, "");
		event = launched(fx.queue);
		assert_int_equal(word(event, CL_ABORT_ACCESS_MCL), accesses[i].told);
		assert_ok(clReleaseEvent(event));
		mcl_fake_set_abort(NULL, NULL);
	}
}

/* What is lost with the device process has a reason of its own, and no details. */
static void lost(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	const size_t one = 1;
	cl_event event;
	void *address = &event;
	char name[8];

	(void)state;
	mcl_fake_hold(true);
	assert_ok(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, 0, NULL, &event));
	assert_nothing(event); /* not yet */
	mcl_fake_kill();
	clWaitForEvents(1, &event);
	assert_int_equal(fixture_status(event), CL_DEVICE_NOT_AVAILABLE);
	assert_int_equal(word(event, CL_ABORT_REASON_MCL), CL_ABORT_DEVICE_LOST_MCL);
	assert_int_equal(word(event, CL_ABORT_ACCESS_MCL), CL_ABORT_ACCESS_UNKNOWN_MCL);
	assert_ok(clGetEventAbortInfoMCL(event, CL_ABORT_ADDRESS_MCL, sizeof(address), &address, NULL));
	assert_null(address);
	assert_ok(clGetEventAbortInfoMCL(event, CL_ABORT_KERNEL_NAME_MCL, sizeof(name), name, NULL));
	assert_string_equal(name, "");
	assert_ok(clReleaseEvent(event));
	mcl_object_release_app(&kernel->obj);
}

/* Everything that the device did not abort. */
static void errors(void **state)
{
	cl_event good, user, bad, waiting, gone;
	cl_uint value;
	cl_int err;

	(void)state;
	assert_cl(clGetEventAbortInfoMCL(NULL, CL_ABORT_REASON_MCL, sizeof(value), &value, NULL), CL_INVALID_EVENT);
	assert_cl(clGetEventAbortInfoMCL((cl_event)fx.queue, CL_ABORT_REASON_MCL, sizeof(value), &value, NULL),
		  CL_INVALID_EVENT);
	outcome = MCL_STATUS_OK;
	good = launched(fx.queue);
	assert_nothing(good);
	user = clCreateUserEvent(fx.context, &err);
	assert_ok(err);
	assert_nothing(user);
	assert_ok(clSetUserEventStatus(user, CL_DEVICE_NOT_AVAILABLE));
	assert_nothing(user);
	/* Doomed by what it waited for, which was aborted itself. */
	outcome = MCL_STATUS_FAULT;
	bad = launched(fx.queue);
	assert_ok(clEnqueueMarkerWithWaitList(fx.wild, 1, &bad, &waiting));
	clWaitForEvents(1, &waiting);
	assert_int_equal(fixture_status(waiting), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	assert_nothing(waiting);
	/* Nothing was noted. */
	mcl_fake_set_abort(NULL, NULL);
	gone = launched(fx.queue);
	assert_cl(clGetEventAbortInfoMCL(gone, CL_ABORT_REASON_MCL, sizeof(value), &value, NULL),
		  CL_OUT_OF_HOST_MEMORY);
	assert_ok(clReleaseEvent(gone));
	assert_cl(clGetEventAbortInfoMCL(gone, CL_ABORT_REASON_MCL, sizeof(value), &value, NULL), CL_INVALID_EVENT);
	assert_ok(clReleaseEvent(good));
	assert_ok(clReleaseEvent(user));
	assert_ok(clReleaseEvent(bad));
	assert_ok(clReleaseEvent(waiting));
}

/* A command that is used again for another enqueue has forgotten. */
static void reuse(void **state)
{
	cl_event event = launched(fx.queue);

	(void)state;
	assert_int_equal(word(event, CL_ABORT_REASON_MCL), CL_ABORT_BAD_ADDRESS_MCL);
	assert_ok(clReleaseEvent(event));
	outcome = MCL_STATUS_OK;
	event = launched(fx.queue);
	assert_nothing(event);
	assert_ok(clReleaseEvent(event));
}

int main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		test(everything), test(sizes), test(reasons), test(lost), test(errors), test(reuse),
	};

	return cmocka_run_group_tests_name("event_abort", tests, NULL, NULL);
}
