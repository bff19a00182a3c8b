// SPDX-License-Identifier: MIT
/*
 * The order of things: in-order chains, out-of-order queues with events as edges, markers and barriers, user events, callbacks,
 * profiling times, several queues.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "harness.h"
#include "queues.cl.h"

static cl_command_queue new_queue(cl_command_queue_properties properties)
{
	const cl_queue_properties list[] = { CL_QUEUE_PROPERTIES, properties, 0 };
	cl_int err;
	cl_command_queue queue = clCreateCommandQueueWithProperties(conf.context, conf.device, list, &err);

	assert_cl(err);
	return queue;
}

static cl_event user_event(void)
{
	cl_int err;
	cl_event event = clCreateUserEvent(conf.context, &err);

	assert_cl(err);
	return event;
}

static cl_int status_of(cl_event event)
{
	cl_int status;

	assert_cl(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status, NULL));
	return status;
}

static cl_ulong time_of(cl_event event, cl_profiling_info which)
{
	cl_ulong ns = 0;

	assert_cl(clGetEventProfilingInfo(event, which, sizeof(ns), &ns, NULL));
	return ns;
}

/* 1000 kernels, each needing the one before: any lost order gives another number. With and without events, flushed or not. */
static void ordered_chain(void **state)
{
	enum { STEPS = 1000 };
	cl_kernel kernel = conf_kernel("chain");
	cl_ulong *value = conf_malloc(sizeof(*value)), expected = 1;
	size_t one = 1;

	(void)state;
	for (cl_ulong i = 0; i < STEPS; i++)
		expected = expected * 3 + i;
	set_ptr(kernel, 0, value);
	for (int way = 0; way < 3; way++) {
		cl_event last = NULL;

		*value = 1;
		for (cl_ulong i = 0; i < STEPS; i++) {
			cl_event event;

			set_arg(kernel, 1, i);
			assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, way == 2 && last,
							 way == 2 && last ? &last : NULL, way ? &event : NULL));
			if (!way)
				continue;
			if (last)
				assert_cl(clReleaseEvent(last));
			last = event;
			if (way == 1 && i % 100 == 0)
				assert_cl(clFlush(conf.queue));
		}
		if (last)
			assert_int_equal(conf_end(last), CL_COMPLETE);
		else
			assert_cl(clFinish(conf.queue));
		assert_int_equal(*value, expected);
	}
	free(value);
	assert_cl(clReleaseKernel(kernel));
}

/* Kernels, copies, fills and maps in one in-order queue see each other's results. */
static void mixed_chain(void **state)
{
	cl_kernel kernel = conf_kernel("chain");
	cl_ulong *a = conf_malloc(sizeof(*a)), *b = conf_malloc(sizeof(*b)), zero = 0, out, expected = 0;
	cl_mem mem;
	cl_int err;
	size_t one = 1;

	(void)state;
	mem = clCreateBuffer(conf.context, 0, sizeof(*a), NULL, &err);
	assert_cl(err);
	assert_cl(clEnqueueSVMMemFill(conf.queue, a, &zero, sizeof(zero), sizeof(*a), 0, NULL, NULL));
	for (cl_ulong i = 1; i <= 100; i++) {
		expected = expected * 3 + i;
		set_ptr(kernel, 0, a);
		set_arg(kernel, 1, i);
		assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL));
		assert_cl(clEnqueueSVMMemcpy(conf.queue, CL_FALSE, b, a, sizeof(*a), 0, NULL, NULL));
		assert_cl(clEnqueueWriteBuffer(conf.queue, mem, CL_FALSE, 0, sizeof(*b), b, 0, NULL, NULL));
		set_arg(kernel, 0, mem);
		set_arg(kernel, 1, i + 1000);
		expected = expected * 3 + i + 1000;
		assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL));
		assert_cl(clEnqueueReadBuffer(conf.queue, mem, CL_FALSE, 0, sizeof(*a), a, 0, NULL, NULL));
	}
	assert_cl(clEnqueueReadBuffer(conf.queue, mem, CL_TRUE, 0, sizeof(out), &out, 0, NULL, NULL));
	assert_int_equal(out, expected);
	assert_int_equal(*a, expected);
	assert_cl(clReleaseMemObject(mem));
	assert_cl(clReleaseKernel(kernel));
	free(a);
	free(b);
}

/* Pascal's triangle: each cell a command that waits for the two above it, in an out-of-order queue, delays at random. */
static void event_graph(void **state)
{
	enum { ROWS = 24 };
	cl_command_queue queue = new_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
	cl_kernel kernel = conf_kernel("add");
	static cl_ulong cells[ROWS][ROWS + 1];
	static cl_event events[ROWS][ROWS + 1];
	cl_ulong expected[ROWS + 1] = { 1 };
	const cl_ulong zero = 0;
	size_t one = 1;

	(void)state;
	srand(1);
	for (int round = 0; round < 3; round++) {
		cl_event gate = user_event();

		for (int r = 0; r < ROWS; r++)
			for (int c = 0; c <= r; c++)
				cells[r][c] = 0;
		cells[0][0] = 1;
		assert_cl(clEnqueueMarkerWithWaitList(queue, 1, &gate, &events[0][0]));
		for (int r = 1; r < ROWS; r++) {
			for (int c = 0; c <= r; c++) {
				cl_event wait[2];
				cl_uint n = 0;

				if (c)
					wait[n++] = events[r - 1][c - 1];
				if (c < r)
					wait[n++] = events[r - 1][c];
				set_ptr(kernel, 0, c ? &cells[r - 1][c - 1] : &zero);
				set_ptr(kernel, 1, c < r ? &cells[r - 1][c] : &zero);
				set_ptr(kernel, 2, &cells[r][c]);
				set_arg(kernel, 3, (cl_uint)(rand() % 3000));
				assert_cl(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, &one, n, wait,
								 &events[r][c]));
			}
		}
		assert_cl(clFlush(queue));
		conf_sleep_ms(2);
		assert_int_equal(cells[1][0], 0); /* nothing ran before the gate opened */
		assert_cl(clSetUserEventStatus(gate, CL_COMPLETE));
		assert_cl(clFinish(queue));
		for (int i = 1; i <= ROWS; i++)
			expected[i] = 0;
		for (int r = 0; r < ROWS; r++) {
			for (int c = 0; c <= r; c++) {
				assert_int_equal(cells[r][c], expected[c]);
				assert_int_equal(conf_end(events[r][c]), CL_COMPLETE);
			}
			for (int c = r + 1; c > 0; c--)
				expected[c] += expected[c - 1];
		}
		assert_cl(clReleaseEvent(gate));
	}
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseCommandQueue(queue));
}

/* In an out-of-order queue a barrier keeps what comes after behind what came before. */
static void barriers(void **state)
{
	cl_command_queue queue = new_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
	cl_kernel kernel = conf_kernel("add");
	cl_ulong *cells = calloc(101, sizeof(*cells)), one_value = 1;
	size_t one = 1;

	(void)state;
	assert_non_null(cells);
	set_ptr(kernel, 1, &one_value);
	for (int i = 0; i < 100; i++) {
		set_ptr(kernel, 0, &cells[i]);
		set_ptr(kernel, 2, &cells[i + 1]);
		set_arg(kernel, 3, (cl_uint)(i % 7 * 500));
		assert_cl(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL));
		assert_cl(clEnqueueBarrierWithWaitList(queue, 0, NULL, NULL));
	}
	assert_cl(clFinish(queue));
	for (int i = 0; i <= 100; i++)
		assert_int_equal(cells[i], i);
	free(cells);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseCommandQueue(queue));
}

/* A marker without a list is complete when everything before it is. */
static void markers(void **state)
{
	cl_command_queue queue = new_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
	_Atomic(cl_uint) *flag = calloc(1, sizeof(*flag));
	cl_kernel kernel = conf_kernel("wait_for");
	cl_event marker, done;
	size_t one = 1;

	(void)state;
	assert_non_null(flag);
	set_ptr(kernel, 0, flag);
	assert_cl(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, &one, 0, NULL, &done));
	assert_cl(clEnqueueMarkerWithWaitList(queue, 0, NULL, &marker));
	assert_cl(clFlush(queue));
	conf_sleep_ms(10);
	assert_true(status_of(marker) > CL_COMPLETE);
	atomic_store(flag, 1);
	assert_int_equal(conf_end(marker), CL_COMPLETE);
	assert_int_equal(status_of(done), CL_COMPLETE);
	assert_cl(clReleaseEvent(done));
	free(flag);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseCommandQueue(queue));
}

/* Kernels of two queues run at the same time when there are two compute units: each waits for the other's word. */
static void two_queues(void **state)
{
	_Atomic(cl_uint) *flag = calloc(1, sizeof(*flag));
	cl_command_queue other = new_queue(0);
	cl_kernel wait = conf_kernel("wait_for"), step = conf_kernel("chain");
	cl_ulong value = 0;
	cl_event blocked;
	size_t one = 1;

	(void)state;
	assert_non_null(flag);
	if (conf.compute_units < 2) {
		free(flag);
		assert_cl(clReleaseCommandQueue(other));
		assert_cl(clReleaseKernel(wait));
		assert_cl(clReleaseKernel(step));
		return; /* one unit runs one group at a time: nothing is promised */
	}
	set_ptr(wait, 0, flag);
	blocked = conf_start(wait, 1, 1);
	set_ptr(step, 0, &value);
	set_arg(step, 1, (cl_ulong)7);
	assert_cl(clEnqueueNDRangeKernel(other, step, 1, NULL, &one, &one, 0, NULL, NULL));
	assert_cl(clFinish(other));
	assert_int_equal(value, 7);
	assert_true(status_of(blocked) > CL_COMPLETE);
	atomic_store(flag, 1);
	assert_int_equal(conf_end(blocked), CL_COMPLETE);
	free(flag);
	assert_cl(clReleaseCommandQueue(other));
	assert_cl(clReleaseKernel(wait));
	assert_cl(clReleaseKernel(step));
}

/* An event of one queue holds back a command of another. */
static void across_queues(void **state)
{
	cl_command_queue other = new_queue(0);
	cl_kernel kernel = conf_kernel("chain");
	cl_ulong *value = calloc(1, sizeof(*value)), expected = 0;
	cl_event last = NULL, event;
	size_t one = 1;

	(void)state;
	assert_non_null(value);
	set_ptr(kernel, 0, value);
	for (cl_ulong i = 0; i < 200; i++) {
		cl_command_queue queue = i % 2 ? other : conf.queue;

		expected = expected * 3 + i;
		set_arg(kernel, 1, i);
		assert_cl(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, &one, last != NULL, last ? &last : NULL,
						 &event));
		assert_cl(clFlush(queue));
		if (last)
			assert_cl(clReleaseEvent(last));
		last = event;
	}
	assert_int_equal(conf_end(last), CL_COMPLETE);
	assert_int_equal(*value, expected);
	free(value);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseCommandQueue(other));
}

/* A user event holds commands back, once set cannot be set again, and an error status spreads. */
static void user_events(void **state)
{
	cl_kernel kernel = conf_kernel("chain");
	cl_ulong value = 0;
	size_t one = 1;
	cl_event gate = user_event(), done, after;
	cl_command_type type;

	(void)state;
	assert_cl(clGetEventInfo(gate, CL_EVENT_COMMAND_TYPE, sizeof(type), &type, NULL));
	assert_int_equal(type, CL_COMMAND_USER);
	assert_int_equal(status_of(gate), CL_SUBMITTED);
	set_ptr(kernel, 0, &value);
	set_arg(kernel, 1, (cl_ulong)1);
	assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, 1, &gate, &done));
	assert_cl(clFlush(conf.queue));
	conf_sleep_ms(10);
	assert_int_equal(value, 0);
	assert_true(status_of(done) > CL_COMPLETE);
	assert_cl(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_cl_error(clSetUserEventStatus(gate, CL_COMPLETE), CL_INVALID_OPERATION);
	assert_int_equal(conf_end(done), CL_COMPLETE);
	assert_int_equal(value, 1);
	assert_cl(clReleaseEvent(gate));

	gate = user_event();
	assert_cl_error(clSetUserEventStatus(gate, CL_RUNNING), CL_INVALID_VALUE);
	assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, 1, &gate, &done));
	assert_cl(clEnqueueMarkerWithWaitList(conf.queue, 1, &done, &after));
	assert_cl(clSetUserEventStatus(gate, -5));
	assert_true(conf_end(done) < 0);
	assert_true(conf_end(after) < 0);
	assert_int_equal(value, 1); /* it never ran */
	assert_cl(clReleaseEvent(gate));
	/* The queue goes on. */
	conf_run(kernel, 1, 1);
	assert_int_equal(value, 4);
	assert_cl(clReleaseKernel(kernel));
}

static _Atomic(int) called[3];

static void CL_CALLBACK note_called(cl_event event, cl_int status, void *user_data)
{
	(void)event;
	if (status == *(cl_int *)user_data)
		atomic_fetch_add(&called[status], 1);
}

/* Callbacks for all three states come once each, whether the state is past or still to come. */
static void callbacks(void **state)
{
	static cl_int states[3] = { CL_COMPLETE, CL_RUNNING, CL_SUBMITTED };
	cl_kernel kernel = conf_kernel("empty");
	cl_event gate = user_event(), done;
	size_t one = 1;

	(void)state;
	assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, 1, &gate, &done));
	for (int round = 1; round <= 2; round++) {
		for (int i = 0; i < 3; i++)
			assert_cl(clSetEventCallback(done, states[i], note_called, &states[i]));
		if (round == 1) {
			assert_int_equal(atomic_load(&called[CL_COMPLETE]), 0);
			assert_cl(clSetUserEventStatus(gate, CL_COMPLETE));
			assert_cl(clWaitForEvents(1, &done));
		}
		for (double end = conf_now() + 10;
		     conf_now() < end && (called[0] < round || called[1] < round || called[2] < round);)
			sched_yield();
		for (int i = 0; i < 3; i++)
			assert_int_equal(atomic_load(&called[i]), round);
	}
	assert_cl_error(clSetEventCallback(done, CL_QUEUED, note_called, NULL), CL_INVALID_VALUE);
	assert_cl_error(clSetEventCallback(done, CL_COMPLETE, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clReleaseEvent(done));
	assert_cl(clReleaseEvent(gate));
	assert_cl(clReleaseKernel(kernel));
}

/* queued <= submitted <= start <= end, and in-order commands do not overlap. */
static void profiling(void **state)
{
	enum { N = 50 };
	cl_kernel kernel = conf_kernel("add");
	cl_ulong cells[2] = { 1, 2 }, last_end = 0, value;
	cl_event events[N], plain;
	cl_command_queue unprofiled = new_queue(0);
	size_t one = 1;

	(void)state;
	set_ptr(kernel, 0, &cells[0]);
	set_ptr(kernel, 1, &cells[0]);
	set_ptr(kernel, 2, &cells[1]);
	set_arg(kernel, 3, (cl_uint)20000);
	for (int i = 0; i < N; i++)
		assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, 0, NULL, &events[i]));
	assert_cl(clFinish(conf.queue));
	for (int i = 0; i < N; i++) {
		cl_ulong queued = time_of(events[i], CL_PROFILING_COMMAND_QUEUED);
		cl_ulong submitted = time_of(events[i], CL_PROFILING_COMMAND_SUBMIT);
		cl_ulong start = time_of(events[i], CL_PROFILING_COMMAND_START);
		cl_ulong end = time_of(events[i], CL_PROFILING_COMMAND_END);

		assert_true(queued > 0);
		assert_true(queued <= submitted);
		assert_true(submitted <= start);
		assert_true(start < end);
		assert_true(start >= last_end);
		assert_true(time_of(events[i], CL_PROFILING_COMMAND_COMPLETE) >= end);
		last_end = end;
		assert_cl(clReleaseEvent(events[i]));
	}
	assert_cl(clEnqueueNDRangeKernel(unprofiled, kernel, 1, NULL, &one, &one, 0, NULL, &plain));
	assert_cl(clFinish(unprofiled));
	assert_cl_error(clGetEventProfilingInfo(plain, CL_PROFILING_COMMAND_END, sizeof(value), &value, NULL),
			CL_PROFILING_INFO_NOT_AVAILABLE);
	assert_cl(clReleaseEvent(plain));
	assert_cl(clReleaseCommandQueue(unprofiled));
	assert_cl(clReleaseKernel(kernel));
}

/* Commands outlive the handles they were made from. */
static void released_while_pending(void **state)
{
	cl_command_queue queue = new_queue(0);
	cl_kernel kernel = conf_kernel("chain");
	cl_event gate = user_event(), done;
	size_t one = 1;
	cl_ulong out = 0;
	cl_mem mem;
	cl_int err;

	(void)state;
	mem = clCreateBuffer(conf.context, CL_MEM_COPY_HOST_PTR, sizeof(out), &out, &err);
	assert_cl(err);
	set_arg(kernel, 0, mem);
	set_arg(kernel, 1, (cl_ulong)9);
	assert_cl(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, &one, 1, &gate, NULL));
	assert_cl(clEnqueueReadBuffer(queue, mem, CL_FALSE, 0, sizeof(out), &out, 0, NULL, &done));
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseMemObject(mem));
	assert_cl(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_cl(clReleaseEvent(gate));
	assert_cl(clReleaseCommandQueue(queue));
	assert_int_equal(conf_end(done), CL_COMPLETE);
	assert_int_equal(out, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordered_chain),
		cmocka_unit_test(mixed_chain),
		cmocka_unit_test(event_graph),
		cmocka_unit_test(barriers),
		cmocka_unit_test(markers),
		cmocka_unit_test(two_queues),
		cmocka_unit_test(across_queues),
		cmocka_unit_test(user_events),
		cmocka_unit_test(callbacks),
		cmocka_unit_test(profiling),
		cmocka_unit_test(released_while_pending),
	};
	int failed;

	conf_open(queues_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
