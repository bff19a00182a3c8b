/* SPDX-License-Identifier: MIT */
/* Commands: who runs when, what failure does to dependents, full rings, the engine's death, use from many threads. */
#include "runtime/tests/fixture.h"

static const size_t one = 1;

#define MAX_LOG 4096

/* What ran, in order: the integer argument of KERNEL_ARGS. */
static struct {
	pthread_mutex_t lock;
	int entries[MAX_LOG];
	_Atomic int count;
	int fail; /* this entry ends in a fault */
} ran = { .lock = PTHREAD_MUTEX_INITIALIZER };

static enum mcl_status record(const struct mcl_fake_launch *launch, void *ctx)
{
	enum mcl_status status = MCL_STATUS_OK;
	int value;

	(void)ctx;
	assert_int_equal(launch->arg_count, 3);
	memcpy(&value, launch->launch.args[1].value, sizeof(value));
	pthread_mutex_lock(&ran.lock);
	if (ran.count < MAX_LOG)
		ran.entries[ran.count] = value;
	ran.count++;
	if (value == ran.fail)
		status = MCL_STATUS_FAULT;
	pthread_mutex_unlock(&ran.lock);
	return status;
}

static cl_kernel recorder(void)
{
	cl_kernel kernel = fixture_kernel(KERNEL_ARGS);

	ran.count = 0;
	ran.fail = -1;
	mcl_fake_set_kernel(record, NULL);
	fixture_set_pointer(kernel, 0, &ran);
	fixture_set_local(kernel, 2, 16);
	return kernel;
}

static cl_event launch(cl_command_queue q, cl_kernel kernel, int value, cl_uint n, const cl_event *list)
{
	cl_event event = NULL;

	fixture_set_int(kernel, 1, value);
	assert_ok(clEnqueueNDRangeKernel(q, kernel, 1, NULL, &one, NULL, n, list, &event));
	return event;
}

static void launch_only(cl_command_queue q, cl_kernel kernel, int value)
{
	fixture_set_int(kernel, 1, value);
	assert_ok(clEnqueueNDRangeKernel(q, kernel, 1, NULL, &one, NULL, 0, NULL, NULL));
}

static cl_event user(void)
{
	cl_int err;
	cl_event event = clCreateUserEvent(fx.context, &err);

	assert_ok(err);
	return event;
}

static void release(cl_event *events, int n)
{
	for (int i = 0; i < n; i++)
		assert_ok(clReleaseEvent(events[i]));
}

static void assert_ran(const int *expected, int n)
{
	assert_int_equal(ran.count, n);
	assert_memory_equal(ran.entries, expected, (size_t)n * sizeof(int));
}

/* Arguments are captured when the command is enqueued, held or not; order is the order of enqueueing. */
static void in_order(void **state)
{
	cl_kernel kernel = recorder();
	cl_event gate = user(), events[5];

	(void)state;
	events[0] = launch(fx.queue, kernel, 0, 0, NULL);
	events[1] = launch(fx.queue, kernel, 1, 1, &gate);
	for (int i = 2; i < 5; i++)
		events[i] = launch(fx.queue, kernel, i, 0, NULL);
	assert_ok(clWaitForEvents(1, &events[0]));
	fixture_sleep_us(2000);
	assert_int_equal(ran.count, 1);
	for (int i = 1; i < 5; i++)
		assert_cl(fixture_status(events[i]), CL_QUEUED);
	assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_ok(clFinish(fx.queue));
	assert_ran((int[]){ 0, 1, 2, 3, 4 }, 5);
	release(events, 5);
	release(&gate, 1);
	mcl_object_release_app(&kernel->obj);
}

/* An out-of-order queue lets commands pass one that is held. */
static void out_of_order(void **state)
{
	cl_kernel kernel = recorder();
	cl_event gate = user(), held, free;

	(void)state;
	held = launch(fx.wild, kernel, 1, 1, &gate);
	free = launch(fx.wild, kernel, 2, 0, NULL);
	assert_ok(clWaitForEvents(1, &free));
	assert_ran((int[]){ 2 }, 1);
	assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_ok(clWaitForEvents(1, &held));
	assert_ran((int[]){ 2, 1 }, 2);
	release((cl_event[]){ gate, held, free }, 3);
	mcl_object_release_app(&kernel->obj);
}

/* A barrier stops what is behind it, a marker does not; both wait for everything in front. */
static void barriers_and_markers(void **state)
{
	cl_kernel kernel = recorder();
	cl_event gate = user(), marker, barrier, held, after;

	(void)state;
	held = launch(fx.wild, kernel, 1, 1, &gate);
	assert_ok(clEnqueueMarkerWithWaitList(fx.wild, 0, NULL, &marker));
	after = launch(fx.wild, kernel, 2, 0, NULL);
	assert_ok(clWaitForEvents(1, &after));
	assert_ran((int[]){ 2 }, 1);
	assert_true(fixture_status(marker) > CL_COMPLETE);
	release(&after, 1);

	assert_ok(clEnqueueBarrierWithWaitList(fx.wild, 0, NULL, &barrier));
	after = launch(fx.wild, kernel, 3, 0, NULL);
	fixture_sleep_us(2000);
	assert_int_equal(ran.count, 1);
	assert_cl(fixture_status(after), CL_QUEUED);
	assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_ok(clFinish(fx.wild));
	assert_ran((int[]){ 2, 1, 3 }, 3);
	assert_cl(fixture_status(marker), CL_COMPLETE);
	assert_cl(fixture_status(barrier), CL_COMPLETE);
	release((cl_event[]){ gate, held, marker, barrier, after }, 5);
	mcl_object_release_app(&kernel->obj);
}

/* With a wait list, a barrier waits for that alone, and so does clEnqueueWaitForEvents. */
static void barrier_with_list(void **state)
{
	cl_kernel kernel = recorder();
	cl_event gates[2] = { user(), user() }, held, after;

	(void)state;
	held = launch(fx.wild, kernel, 1, 1, &gates[0]);
	assert_ok(clEnqueueWaitForEvents(fx.wild, 1, &gates[1]));
	after = launch(fx.wild, kernel, 2, 0, NULL);
	fixture_sleep_us(2000);
	assert_int_equal(ran.count, 0);
	assert_ok(clSetUserEventStatus(gates[1], CL_COMPLETE));
	assert_ok(clWaitForEvents(1, &after));
	assert_ran((int[]){ 2 }, 1);
	assert_ok(clSetUserEventStatus(gates[0], CL_COMPLETE));
	assert_ok(clFinish(fx.wild));
	assert_ran((int[]){ 2, 1 }, 2);
	release((cl_event[]){ gates[0], gates[1], held, after }, 4);
	mcl_object_release_app(&kernel->obj);
}

/* Events tie queues together, without anyone waiting on the host. */
static void across_queues(void **state)
{
	cl_kernel kernel = recorder();
	cl_command_queue queues[3] = { fx.queue, fx.wild, fx.timed };
	cl_event last = user(), gate = last;
	int expected[99];

	(void)state;
	for (int i = 0; i < 99; i++) {
		cl_event next = launch(queues[i % 3], kernel, i, 1, &last);

		expected[i] = i;
		if (last != gate)
			release(&last, 1);
		last = next;
	}
	assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
	fixture_until(&ran.count, 99);
	assert_ran(expected, 99);
	assert_ok(clWaitForEvents(1, &last));
	release((cl_event[]){ gate, last }, 2);
	mcl_object_release_app(&kernel->obj);
}

/* A fault ends that command and what depends on it; other commands of the queue still run. */
static void failure(void **state)
{
	for (int wild = 0; wild < 2; wild++) {
		cl_command_queue q = wild ? fx.wild : fx.queue;
		cl_kernel kernel = recorder();
		cl_event events[4], gate = user();

		(void)state;
		ran.fail = 1;
		events[0] = launch(q, kernel, 1, 0, NULL);
		events[1] = launch(q, kernel, 2, 0, NULL);
		events[2] = launch(q, kernel, 3, 2, (cl_event[]){ events[0], gate });
		events[3] = launch(fx.timed, kernel, 4, 1, &events[2]);
		assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
		assert_ok(clFinish(q));
		assert_ok(clFinish(fx.timed));
		assert_cl(fixture_status(events[0]), CL_OUT_OF_RESOURCES);
		assert_cl(fixture_status(events[1]), CL_COMPLETE);
		assert_cl(fixture_status(events[2]), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
		assert_cl(fixture_status(events[3]), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
		assert_cl(clWaitForEvents(2, events), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
		assert_cl(clWaitForEvents(1, &events[2]), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
		for (int i = 0; i < ran.count; i++)
			assert_int_not_equal(ran.entries[i], 4);
		release(events, 4);
		release(&gate, 1);
		mcl_object_release_app(&kernel->obj);
	}
}

/* A negative user event ends everything that waits for it, and nothing else. */
static void negative_user_event(void **state)
{
	cl_kernel kernel = recorder();
	cl_event gate = user(), never = user(), events[4];
	char byte;
	cl_mem mem;
	cl_int err;

	(void)state;
	events[0] = launch(fx.queue, kernel, 1, 2, (cl_event[]){ gate, never });
	events[1] = launch(fx.queue, kernel, 2, 0, NULL);
	events[2] = launch(fx.wild, kernel, 3, 1, &gate);
	events[3] = launch(fx.wild, kernel, 4, 1, &events[2]);
	assert_ok(clSetUserEventStatus(gate, -42));
	assert_ok(clFinish(fx.queue));
	assert_ok(clFinish(fx.wild));
	assert_ran((int[]){ 2 }, 1);
	assert_cl(fixture_status(events[0]), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	assert_cl(fixture_status(events[1]), CL_COMPLETE);
	assert_cl(fixture_status(events[2]), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	assert_cl(fixture_status(events[3]), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	/* Blocking commands return the error. */
	mem = clCreateBuffer(fx.context, 0, 64, NULL, &err);
	assert_ok(err);
	assert_cl(clEnqueueReadBuffer(fx.queue, mem, CL_TRUE, 0, 1, &byte, 1, &gate, NULL),
		  CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	assert_null(clEnqueueMapBuffer(fx.queue, mem, CL_TRUE, CL_MAP_READ, 0, 1, 1, &gate, NULL, &err));
	assert_cl(err, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	assert_ok(clReleaseMemObject(mem));
	release(events, 4);
	release((cl_event[]){ gate, never }, 2);
	mcl_object_release_app(&kernel->obj);
}

/* A user event released without a status does not leave commands waiting for ever. */
static void forgotten_user_event(void **state)
{
	cl_kernel kernel = recorder();
	cl_event gate = user(), event;

	(void)state;
	event = launch(fx.queue, kernel, 1, 1, &gate);
	release(&gate, 1);
	assert_ok(clFinish(fx.queue));
	assert_cl(fixture_status(event), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	assert_int_equal(ran.count, 0);
	release(&event, 1);
	mcl_object_release_app(&kernel->obj);
}

static void *hold_off(void *arg)
{
	(void)arg;
	fixture_sleep_us(30000);
	mcl_fake_hold(false);
	return NULL;
}

/* More commands than the ring has room for: none is lost and the order stays, also while the device does nothing. */
static void full_ring(void **state)
{
	cl_kernel kernel = recorder();
	cl_command_queue q;
	pthread_t thread;
	int expected[500];
	cl_int err;

	(void)state;
	mcl_fake_set_ring_size(4);
	for (int wild = 0; wild < 2; wild++) {
		ran.count = 0;
		q = clCreateCommandQueue(fx.context, fx.device, wild ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0,
					 &err);
		assert_ok(err);
		mcl_fake_hold(true);
		assert_int_equal(pthread_create(&thread, NULL, hold_off, NULL), 0);
		for (int i = 0; i < 500; i++) {
			launch_only(q, kernel, i);
			expected[i] = i;
		}
		if (wild)
			assert_ok(clFinish(q));
		else
			fixture_until(&ran.count, 500); /* nobody waits: the service thread keeps it going */
		assert_int_equal(ran.count, 500);
		if (!wild)
			assert_ran(expected, 500);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_ok(clReleaseCommandQueue(q));
	}
	mcl_object_release_app(&kernel->obj);
}

static _Atomic int freed;

static void CL_CALLBACK on_free(cl_command_queue q, cl_uint n, void *pointers[], void *data)
{
	assert_true(q == fx.queue || q == fx.wild);
	assert_int_equal(n, 1);
	assert_ptr_equal(pointers[0], data);
	freed = ran.count;
}

/* A host command keeps its place in an in-order queue, and waits for barriers in an out-of-order one. */
static void host_commands(void **state)
{
	cl_kernel kernel = recorder();
	void *pointer[1] = { &ran };
	cl_event done;

	(void)state;
	freed = -1;
	mcl_fake_hold(true);
	for (int i = 0; i < 3; i++)
		launch_only(fx.queue, kernel, i);
	assert_ok(clEnqueueSVMFree(fx.queue, 1, pointer, on_free, &ran, 0, NULL, &done));
	launch_only(fx.queue, kernel, 3);
	fixture_sleep_us(2000);
	assert_int_equal(freed, -1);
	mcl_fake_hold(false);
	assert_ok(clFinish(fx.queue));
	assert_int_equal(freed, 3);
	assert_cl(fixture_status(done), CL_COMPLETE);
	assert_ran((int[]){ 0, 1, 2, 3 }, 4);
	release(&done, 1);

	freed = -1;
	ran.count = 0;
	mcl_fake_hold(true);
	launch_only(fx.wild, kernel, 0);
	assert_ok(clEnqueueBarrierWithWaitList(fx.wild, 0, NULL, NULL));
	assert_ok(clEnqueueSVMFree(fx.wild, 1, pointer, on_free, &ran, 0, NULL, &done));
	assert_ok(clEnqueueBarrierWithWaitList(fx.wild, 0, NULL, NULL));
	launch_only(fx.wild, kernel, 1);
	fixture_sleep_us(2000);
	assert_int_equal(freed, -1);
	mcl_fake_hold(false);
	fixture_until(&freed, 1);
	assert_ok(clFinish(fx.wild));
	assert_ran((int[]){ 0, 1 }, 2);
	release(&done, 1);
	mcl_object_release_app(&kernel->obj);
}

struct blocker {
	cl_kernel kernel;
	cl_event gate; /* set by a second callback, which has to run while the first waits */
	_Atomic int done;
};

static void CL_CALLBACK set_gate(cl_event event, cl_int status, void *data)
{
	(void)event, (void)status;
	clSetUserEventStatus(((struct blocker *)data)->gate, CL_COMPLETE);
}

static void CL_CALLBACK wait_inside(cl_event event, cl_int status, void *data)
{
	struct blocker *b = data;
	cl_event other = NULL, dependent = NULL;
	bool ok;

	(void)event, (void)status;
	ok = !clEnqueueNDRangeKernel(fx.timed, b->kernel, 1, NULL, &one, NULL, 0, NULL, &other) &&
	     !clSetEventCallback(other, CL_COMPLETE, set_gate, b) &&
	     !clEnqueueNDRangeKernel(fx.wild, b->kernel, 1, NULL, &one, NULL, 2, (cl_event[]){ other, b->gate },
				     &dependent) &&
	     !clEnqueueSVMFree(fx.wild, 0, NULL, NULL, NULL, 1, &dependent, NULL) && !clWaitForEvents(1, &b->gate) &&
	     !clWaitForEvents(1, &dependent) && !clFinish(fx.wild);
	clReleaseEvent(other);
	clReleaseEvent(dependent);
	b->done = ok ? 1 : -1;
}

/* Callbacks must not wait, but one that does hangs nothing: not even when its own thread's work is what it waits for. */
static void callback_that_waits(void **state)
{
	struct blocker b = { recorder(), user(), 0 };
	cl_event event;

	(void)state;
	event = launch(fx.queue, b.kernel, 1, 0, NULL);
	assert_ok(clSetEventCallback(event, CL_COMPLETE, wait_inside, &b));
	fixture_until(&b.done, 1);
	release((cl_event[]){ event, b.gate }, 2);
	mcl_object_release_app(&b.kernel->obj);
}

struct death {
	_Atomic int status;
	_Atomic int called;
};

static void CL_CALLBACK note_death(cl_event event, cl_int status, void *data)
{
	struct death *death = data;

	(void)event;
	death->status = status;
	death->called++;
}

/* The engine dies: everything pending ends in an error, waits return, and a new context works. */
static void engine_death(void **state)
{
	cl_kernel kernel = recorder();
	cl_event gate = user(), events[3], after;
	struct death death = { 0 };
	cl_context context;
	cl_command_queue q;
	cl_int err;

	(void)state;
	mcl_fake_hold(true);
	events[0] = launch(fx.queue, kernel, 0, 0, NULL);
	events[1] = launch(fx.queue, kernel, 1, 1, &gate);
	events[2] = launch(fx.wild, kernel, 2, 1, &events[0]);
	assert_ok(clSetEventCallback(events[2], CL_COMPLETE, note_death, &death));
	mcl_fake_kill();
	fixture_until(&death.called, 1);
	assert_true(death.status < 0);
	assert_cl(clWaitForEvents(1, &events[0]), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	assert_cl(fixture_status(events[0]), CL_DEVICE_NOT_AVAILABLE);
	assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_cl(clFinish(fx.queue), CL_DEVICE_NOT_AVAILABLE);
	assert_cl(clFinish(fx.wild), CL_DEVICE_NOT_AVAILABLE);
	assert_cl(fixture_status(events[1]), CL_DEVICE_NOT_AVAILABLE);
	assert_cl(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, 0, NULL, &after),
		  CL_DEVICE_NOT_AVAILABLE);
	/* Callbacks still come. */
	assert_ok(clSetEventCallback(events[1], CL_COMPLETE, note_death, &death));
	fixture_until(&death.called, 2);

	mcl_fake_hold(false);
	context = clCreateContext(NULL, 1, &fx.device, NULL, NULL, &err);
	assert_ok(err);
	q = clCreateCommandQueue(context, fx.device, 0, &err);
	assert_ok(err);
	assert_ok(clEnqueueMarker(q, &after));
	assert_ok(clWaitForEvents(1, &after));
	release(&after, 1);
	assert_ok(clReleaseCommandQueue(q));
	assert_ok(clReleaseContext(context));
	release(events, 3);
	release(&gate, 1);
	mcl_object_release_app(&kernel->obj);
}

/* Host commands that were to run when the engine died do not hang the queue. */
static void engine_death_with_host_command(void **state)
{
	cl_kernel kernel = recorder();
	void *pointer[1] = { &ran };
	cl_event done;

	(void)state;
	mcl_fake_hold(true);
	launch_only(fx.queue, kernel, 0);
	assert_ok(clEnqueueSVMFree(fx.queue, 1, pointer, on_free, &ran, 0, NULL, &done));
	mcl_fake_kill();
	clWaitForEvents(1, &done);
	assert_true(fixture_status(done) <= CL_COMPLETE);
	assert_cl(clFinish(fx.queue), CL_DEVICE_NOT_AVAILABLE);
	release(&done, 1);
	mcl_object_release_app(&kernel->obj);
}

#define THREADS 4
#define ROUNDS 150

struct worker {
	pthread_t thread;
	unsigned int seed;
	cl_kernel kernel;
	_Atomic int callbacks;
	int expected_callbacks;
};

static void CL_CALLBACK count_callback(cl_event event, cl_int status, void *data)
{
	struct worker *w = data;

	(void)event, (void)status;
	w->callbacks++;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	cl_command_queue queues[3] = { fx.queue, fx.wild, fx.timed };
	cl_event prev = NULL;
	bool ok = true;

	for (int i = 0; i < ROUNDS; i++) {
		cl_command_queue q = queues[rand_r(&w->seed) % 3];
		cl_event gate = clCreateUserEvent(fx.context, NULL), event, list[2];
		cl_uint n = 0;

		if (prev)
			list[n++] = prev;
		if (i % 3 == 0)
			list[n++] = gate;
		ok &= !clEnqueueNDRangeKernel(q, w->kernel, 1, NULL, &one, NULL, n, n ? list : NULL, &event);
		if (i % 4 == 0) {
			ok &= !clSetEventCallback(event, CL_COMPLETE, count_callback, w);
			w->expected_callbacks++;
		}
		if (i % 7 == 0)
			ok &= !clEnqueueBarrierWithWaitList(q, 0, NULL, NULL);
		ok &= !clSetUserEventStatus(gate, CL_COMPLETE);
		ok &= !clReleaseEvent(gate);
		if (prev)
			ok &= !clReleaseEvent(prev);
		prev = event;
		if (i % 10 == 0)
			ok &= !clWaitForEvents(1, &event);
		if (i % 25 == 0)
			ok &= !clFinish(q);
	}
	ok &= !clWaitForEvents(1, &prev);
	ok &= !clReleaseEvent(prev);
	return ok ? NULL : w;
}

/* Threads share queues, an event chain each, barriers, callbacks and user events. */
static void from_many_threads(void **state)
{
	struct worker workers[THREADS] = { 0 };
	cl_kernel kernel = recorder();
	void *ret;

	(void)state;
	fixture_set_int(kernel, 1, 0);
	for (int i = 0; i < THREADS; i++) {
		workers[i].seed = (unsigned int)i;
		workers[i].kernel = kernel;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, &ret), 0);
		assert_null(ret);
	}
	for (int i = 0; i < THREADS; i++)
		fixture_until(&workers[i].callbacks, workers[i].expected_callbacks);
	assert_int_equal(ran.count, THREADS * ROUNDS);
	mcl_object_release_app(&kernel->obj);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(in_order),
		fixture_test(out_of_order),
		fixture_test(barriers_and_markers),
		fixture_test(barrier_with_list),
		fixture_test(across_queues),
		fixture_test(failure),
		fixture_test(negative_user_event),
		fixture_test(forgotten_user_event),
		fixture_test(full_ring),
		fixture_test(host_commands),
		fixture_test(callback_that_waits),
		fixture_test(engine_death),
		fixture_test(engine_death_with_host_command),
		fixture_test(from_many_threads),
	};

	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
