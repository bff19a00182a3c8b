/* SPDX-License-Identifier: MIT */
/* Events: status, callbacks, user events, waiting, profiling. */
#include <sys/resource.h>
#include <time.h>

#include "runtime/tests/fixture.h"

static const size_t one = 1;

static cl_event launch(cl_command_queue q, cl_kernel kernel, cl_uint n, const cl_event *list)
{
	cl_event event = NULL;

	assert_ok(clEnqueueNDRangeKernel(q, kernel, 1, NULL, &one, NULL, n, list, &event));
	assert_non_null(event);
	return event;
}

static void information(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	cl_command_queue q;
	cl_command_type type;
	cl_context context;
	cl_event event, user;
	cl_uint count;
	size_t size;
	cl_int err;

	(void)state;
	mcl_fake_hold(true);
	event = launch(fx.queue, kernel, 0, NULL);
	assert_cl(fixture_status(event), CL_SUBMITTED);
	assert_ok(clGetEventInfo(event, CL_EVENT_COMMAND_QUEUE, sizeof(q), &q, &size));
	assert_ptr_equal(q, fx.queue);
	assert_int_equal(size, sizeof(q));
	assert_ok(clGetEventInfo(event, CL_EVENT_CONTEXT, sizeof(context), &context, NULL));
	assert_ptr_equal(context, fx.context);
	assert_ok(clGetEventInfo(event, CL_EVENT_COMMAND_TYPE, sizeof(type), &type, NULL));
	assert_int_equal(type, CL_COMMAND_NDRANGE_KERNEL);
	assert_ok(clRetainEvent(event));
	assert_ok(clGetEventInfo(event, CL_EVENT_REFERENCE_COUNT, sizeof(count), &count, NULL));
	assert_int_equal(count, 2);
	assert_ok(clReleaseEvent(event));
	assert_cl(clGetEventInfo(event, 0x9999, sizeof(count), &count, NULL), CL_INVALID_VALUE);
	assert_cl(clGetEventInfo(event, CL_EVENT_CONTEXT, 1, &context, NULL), CL_INVALID_VALUE);
	assert_cl(clGetEventInfo(NULL, CL_EVENT_CONTEXT, 8, &context, NULL), CL_INVALID_EVENT);
	mcl_fake_hold(false);
	assert_ok(clWaitForEvents(1, &event));
	assert_cl(fixture_status(event), CL_COMPLETE);
	assert_ok(clReleaseEvent(event));
	assert_cl(clRetainEvent(NULL), CL_INVALID_EVENT);
	assert_cl(clReleaseEvent((cl_event)fx.queue), CL_INVALID_EVENT);

	user = clCreateUserEvent(fx.context, &err);
	assert_ok(err);
	assert_cl(fixture_status(user), CL_SUBMITTED);
	assert_ok(clGetEventInfo(user, CL_EVENT_COMMAND_QUEUE, sizeof(q), &q, NULL));
	assert_null(q);
	assert_ok(clGetEventInfo(user, CL_EVENT_COMMAND_TYPE, sizeof(type), &type, NULL));
	assert_int_equal(type, CL_COMMAND_USER);
	assert_ok(clReleaseEvent(user));
	assert_null(clCreateUserEvent(NULL, &err));
	assert_cl(err, CL_INVALID_CONTEXT);
	mcl_object_release_app(&kernel->obj);
}

static void user_event_status(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	cl_event user, command;
	cl_int err;

	(void)state;
	user = clCreateUserEvent(fx.context, &err);
	assert_ok(err);
	command = launch(fx.queue, kernel, 0, NULL);
	assert_cl(clSetUserEventStatus(user, CL_RUNNING), CL_INVALID_VALUE);
	assert_cl(clSetUserEventStatus(user, CL_QUEUED), CL_INVALID_VALUE);
	assert_cl(clSetUserEventStatus(command, CL_COMPLETE), CL_INVALID_EVENT);
	assert_cl(clSetUserEventStatus(NULL, CL_COMPLETE), CL_INVALID_EVENT);
	assert_ok(clSetUserEventStatus(user, CL_COMPLETE));
	assert_cl(clSetUserEventStatus(user, CL_COMPLETE), CL_INVALID_OPERATION);
	assert_cl(clSetUserEventStatus(user, -7), CL_INVALID_OPERATION);
	assert_cl(fixture_status(user), CL_COMPLETE);
	assert_ok(clWaitForEvents(1, &user));
	assert_ok(clReleaseEvent(user));
	assert_ok(clReleaseEvent(command));
	mcl_object_release_app(&kernel->obj);
}

static void wait_errors(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	cl_event mixed[2], user;
	cl_context other;
	cl_int err;

	(void)state;
	mixed[0] = launch(fx.queue, kernel, 0, NULL);
	assert_cl(clWaitForEvents(0, mixed), CL_INVALID_VALUE);
	assert_cl(clWaitForEvents(1, NULL), CL_INVALID_VALUE);
	other = clCreateContext(NULL, 1, &fx.device, NULL, NULL, &err);
	assert_ok(err);
	mixed[1] = clCreateUserEvent(other, &err);
	assert_ok(err);
	assert_cl(clWaitForEvents(2, mixed), CL_INVALID_CONTEXT);
	assert_cl(clEnqueueMarkerWithWaitList(fx.queue, 2, mixed, NULL), CL_INVALID_CONTEXT);
	assert_cl(clEnqueueMarkerWithWaitList(fx.queue, 0, mixed, NULL), CL_INVALID_EVENT_WAIT_LIST);
	assert_cl(clEnqueueMarkerWithWaitList(fx.queue, 1, NULL, NULL), CL_INVALID_EVENT_WAIT_LIST);
	assert_ok(clReleaseEvent(mixed[1]));
	mixed[1] = (cl_event)fx.queue;
	assert_cl(clWaitForEvents(2, mixed), CL_INVALID_EVENT);
	assert_cl(clEnqueueMarkerWithWaitList(fx.queue, 2, mixed, NULL), CL_INVALID_EVENT_WAIT_LIST);
	assert_cl(clEnqueueWaitForEvents(fx.queue, 2, mixed), CL_INVALID_EVENT);
	assert_cl(clEnqueueWaitForEvents(fx.queue, 0, mixed), CL_INVALID_VALUE);
	assert_cl(clEnqueueWaitForEvents(NULL, 1, mixed), CL_INVALID_COMMAND_QUEUE);
	assert_cl(clEnqueueMarker(fx.queue, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMarker(NULL, &user), CL_INVALID_COMMAND_QUEUE);
	assert_cl(clEnqueueBarrier(NULL), CL_INVALID_COMMAND_QUEUE);
	assert_ok(clReleaseContext(other));

	user = clCreateUserEvent(fx.context, &err);
	assert_ok(err);
	assert_ok(clSetUserEventStatus(user, -1234));
	mixed[1] = user;
	assert_cl(clWaitForEvents(2, mixed), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	assert_cl(fixture_status(user), -1234);
	assert_ok(clReleaseEvent(user));
	assert_ok(clReleaseEvent(mixed[0]));
	mcl_object_release_app(&kernel->obj);
}

struct seen {
	_Atomic int calls[4]; /* by registered status */
	_Atomic int status[4];
	_Atomic int total;
};

struct callback_arg {
	struct seen *seen;
	int type;
};

static void CL_CALLBACK note(cl_event event, cl_int status, void *data)
{
	struct callback_arg *arg = data;

	assert_true(mcl_object_valid(event, MCL_TYPE_EVENT));
	arg->seen->status[arg->type] = status;
	arg->seen->calls[arg->type]++;
	arg->seen->total++;
}

/* Each callback once, with the status that it was registered for. */
static void callbacks(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	struct seen seen = { 0 };
	struct callback_arg args[3] = { { &seen, CL_SUBMITTED }, { &seen, CL_RUNNING }, { &seen, CL_COMPLETE } };
	cl_event event, gate;
	cl_int err;

	(void)state;
	gate = clCreateUserEvent(fx.context, &err);
	assert_ok(err);
	event = launch(fx.queue, kernel, 1, &gate);
	assert_cl(fixture_status(event), CL_QUEUED);
	for (int i = 0; i < 3; i++)
		assert_ok(clSetEventCallback(event, args[i].type, note, &args[i]));
	assert_int_equal(seen.total, 0);
	mcl_fake_hold(true);
	assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
	fixture_until(&seen.calls[CL_SUBMITTED], 1);
	fixture_sleep_us(1000);
	assert_int_equal(seen.total, 1);
	mcl_fake_hold(false);
	fixture_until(&seen.total, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(seen.calls[args[i].type], 1);
		assert_int_equal(seen.status[args[i].type], args[i].type);
	}
	/* Registered too late: called all the same. */
	for (int i = 0; i < 3; i++)
		assert_ok(clSetEventCallback(event, args[i].type, note, &args[i]));
	fixture_until(&seen.total, 6);
	assert_cl(clSetEventCallback(event, CL_QUEUED, note, NULL), CL_INVALID_VALUE);
	assert_cl(clSetEventCallback(event, -1, note, NULL), CL_INVALID_VALUE);
	assert_cl(clSetEventCallback(event, CL_COMPLETE, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clSetEventCallback(NULL, CL_COMPLETE, note, NULL), CL_INVALID_EVENT);
	assert_ok(clReleaseEvent(event));
	assert_ok(clReleaseEvent(gate));
	mcl_object_release_app(&kernel->obj);
}

/* An event that the application has released is still usable inside its callback. */
static void callback_after_release(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	struct seen seen = { 0 };
	struct callback_arg arg = { &seen, CL_COMPLETE };
	cl_event event, user;
	cl_int err;

	(void)state;
	mcl_fake_hold(true);
	event = launch(fx.queue, kernel, 0, NULL);
	assert_ok(clSetEventCallback(event, CL_COMPLETE, note, &arg));
	assert_ok(clReleaseEvent(event));
	mcl_fake_hold(false);
	fixture_until(&seen.total, 1);
	assert_int_equal(seen.status[CL_COMPLETE], CL_COMPLETE);

	/* A user event that nobody can set any more ends in an error. */
	user = clCreateUserEvent(fx.context, &err);
	assert_ok(err);
	assert_ok(clSetEventCallback(user, CL_COMPLETE, note, &arg));
	assert_ok(clReleaseEvent(user));
	fixture_until(&seen.total, 2);
	assert_true(seen.status[CL_COMPLETE] < 0);
	mcl_object_release_app(&kernel->obj);
}

struct chain {
	cl_kernel kernel;
	_Atomic int left;
};

static void CL_CALLBACK enqueue_next(cl_event event, cl_int status, void *data)
{
	struct chain *chain = data;
	cl_event next;

	assert_int_equal(status, CL_COMPLETE);
	assert_ok(clReleaseEvent(event));
	if (chain->left == 1) {
		chain->left = 0;
		return;
	}
	chain->left--;
	next = launch(chain->left % 2 ? fx.queue : fx.wild, chain->kernel, 0, NULL);
	assert_ok(clSetEventCallback(next, CL_COMPLETE, enqueue_next, chain));
}

/* A callback may enqueue, release and register the next callback. */
static void callbacks_that_enqueue(void **state)
{
	struct chain chain = { fixture_kernel(KERNEL_EMPTY), 200 };
	cl_event event = launch(fx.queue, chain.kernel, 0, NULL);

	(void)state;
	assert_ok(clSetEventCallback(event, CL_COMPLETE, enqueue_next, &chain));
	fixture_until(&chain.left, 0);
	mcl_object_release_app(&chain.kernel->obj);
}

static void CL_CALLBACK open_gate(cl_event event, cl_int status, void *data)
{
	(void)event, (void)status;
	assert_ok(clSetUserEventStatus(data, CL_COMPLETE));
}

/* A callback may set a user event that other commands wait for. */
static void callback_that_sets_a_user_event(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	cl_event first, gate, last;
	cl_int err;

	(void)state;
	gate = clCreateUserEvent(fx.context, &err);
	assert_ok(err);
	last = launch(fx.wild, kernel, 1, &gate);
	first = launch(fx.queue, kernel, 0, NULL);
	assert_ok(clSetEventCallback(first, CL_COMPLETE, open_gate, gate));
	assert_ok(clWaitForEvents(1, &last));
	assert_ok(clReleaseEvent(first));
	assert_ok(clReleaseEvent(gate));
	assert_ok(clReleaseEvent(last));
	mcl_object_release_app(&kernel->obj);
}

static void *set_later(void *event)
{
	fixture_sleep_us(100000);
	clSetUserEventStatus(event, CL_COMPLETE);
	return NULL;
}

/* Waiting for what depends on a user event sleeps. */
static void waiting_burns_no_cpu(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	struct rusage before, after;
	cl_event gate, event;
	pthread_t thread;
	long us;
	cl_int err;

	(void)state;
	gate = clCreateUserEvent(fx.context, &err);
	assert_ok(err);
	event = launch(fx.queue, kernel, 1, &gate);
	assert_int_equal(pthread_create(&thread, NULL, set_later, gate), 0);
	getrusage(RUSAGE_THREAD, &before);
	assert_ok(clWaitForEvents(1, &event));
	getrusage(RUSAGE_THREAD, &after);
	us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
	     before.ru_utime.tv_usec;
	assert_true(us < 20000);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_ok(clReleaseEvent(event));
	assert_ok(clReleaseEvent(gate));
	mcl_object_release_app(&kernel->obj);
}

static cl_ulong profile(cl_event event, cl_profiling_info what)
{
	cl_ulong ns;
	size_t size;

	assert_ok(clGetEventProfilingInfo(event, what, sizeof(ns), &ns, &size));
	assert_int_equal(size, sizeof(ns));
	return ns;
}

static enum mcl_status slow(const struct mcl_fake_launch *launch, void *ctx)
{
	(void)launch, (void)ctx;
	fixture_sleep_us(2000);
	return MCL_STATUS_OK;
}

static void profiling(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	cl_event events[3], user, plain;
	cl_ulong ns;
	cl_int err;

	(void)state;
	mcl_fake_set_kernel(slow, NULL);
	mcl_fake_hold(true);
	events[0] = launch(fx.timed, kernel, 0, NULL);
	assert_ok(clEnqueueMarkerWithWaitList(fx.timed, 0, NULL, &events[1]));
	assert_ok(clEnqueueSVMFree(fx.timed, 0, NULL, NULL, NULL, 0, NULL, &events[2]));
	assert_cl(clGetEventProfilingInfo(events[0], CL_PROFILING_COMMAND_QUEUED, sizeof(ns), &ns, NULL),
		  CL_PROFILING_INFO_NOT_AVAILABLE);
	mcl_fake_hold(false);
	assert_ok(clFinish(fx.timed));
	for (int i = 0; i < 3; i++) {
		cl_ulong queued = profile(events[i], CL_PROFILING_COMMAND_QUEUED);
		cl_ulong submit = profile(events[i], CL_PROFILING_COMMAND_SUBMIT);
		cl_ulong start = profile(events[i], CL_PROFILING_COMMAND_START);
		cl_ulong end = profile(events[i], CL_PROFILING_COMMAND_END);

		assert_true(queued > 0 && queued <= submit && submit <= start && start <= end);
		assert_int_equal(end, profile(events[i], CL_PROFILING_COMMAND_COMPLETE));
		if (i == 0)
			assert_true(end - start >= 2000000);
		else
			assert_true(start >= profile(events[i - 1], CL_PROFILING_COMMAND_END));
	}
	assert_cl(clGetEventProfilingInfo(events[0], 0x9999, sizeof(ns), &ns, NULL), CL_INVALID_VALUE);
	assert_cl(clGetEventProfilingInfo(events[0], CL_PROFILING_COMMAND_END, 1, &ns, NULL), CL_INVALID_VALUE);
	assert_cl(clGetEventProfilingInfo(NULL, CL_PROFILING_COMMAND_END, 8, &ns, NULL), CL_INVALID_EVENT);
	for (int i = 0; i < 3; i++)
		assert_ok(clReleaseEvent(events[i]));

	plain = launch(fx.queue, kernel, 0, NULL);
	assert_ok(clWaitForEvents(1, &plain));
	assert_cl(clGetEventProfilingInfo(plain, CL_PROFILING_COMMAND_END, sizeof(ns), &ns, NULL),
		  CL_PROFILING_INFO_NOT_AVAILABLE);
	assert_ok(clReleaseEvent(plain));
	user = clCreateUserEvent(fx.context, &err);
	assert_ok(clSetUserEventStatus(user, CL_COMPLETE));
	assert_cl(clGetEventProfilingInfo(user, CL_PROFILING_COMMAND_END, sizeof(ns), &ns, NULL),
		  CL_PROFILING_INFO_NOT_AVAILABLE);
	assert_ok(clReleaseEvent(user));
	mcl_object_release_app(&kernel->obj);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(information),
		fixture_test(user_event_status),
		fixture_test(wait_errors),
		fixture_test(callbacks),
		fixture_test(callback_after_release),
		fixture_test(callbacks_that_enqueue),
		fixture_test(callback_that_sets_a_user_event),
		fixture_test(waiting_burns_no_cpu),
		fixture_test(profiling),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
