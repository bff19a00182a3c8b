// SPDX-License-Identifier: MIT
/*
 * The engine dies (kill -9, as the out-of-memory killer would) with work pending: every event ends with an error, every waiter returns,
 * the host and its memory live on, the old context says what is wrong, and a new context works.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "death.cl.h"
#include "harness.h"

enum { WORDS = 100000 };

static void assert_device_works(void)
{
	cl_kernel kernel = conf_kernel("add");
	cl_uint data[64] = { 0 };

	set_ptr(kernel, 0, data);
	set_arg(kernel, 1, (cl_uint)3);
	conf_run(kernel, 64, 8);
	for (int i = 0; i < 64; i++)
		assert_int_equal(data[i], 3);
	assert_cl(clReleaseKernel(kernel));
}

static int open_device(void **state)
{
	(void)state;
	conf_open(death_cl);
	assert_device_works();
	return 0;
}

static int close_device(void **state)
{
	(void)state;
	conf_close();
	return 0;
}

/* A kernel that would never end, already running. */
static cl_event start_spinning(_Atomic(cl_uint) *flags)
{
	cl_kernel kernel = conf_kernel("spin");
	cl_event event;

	memset((void *)flags, 0, 128);
	set_ptr(kernel, 0, (void *)&flags[0]);
	set_ptr(kernel, 1, (void *)&flags[16]);
	event = conf_start(kernel, 1, 1);
	while (!atomic_load(&flags[16]))
		conf_sleep_ms(1);
	assert_cl(clReleaseKernel(kernel));
	return event;
}

static void kill_engine(int signal)
{
	pid_t pid = conf_engine_pid();

	assert_true(pid > 0);
	assert_int_equal(kill(pid, signal), 0);
}

/* Kernels running and waiting, in two queues, an event that depends on them, a marker: all end, negative. */
static void pending_commands(void **state)
{
	_Atomic(cl_uint) *flags = conf_malloc(128);
	cl_kernel kernel = conf_kernel("add");
	cl_event events[103];
	cl_command_queue other;
	cl_uint data[64] = { 0 };
	size_t items = 64;
	cl_int err;

	(void)state;
	other = clCreateCommandQueueWithProperties(conf.context, conf.device, NULL, &err);
	assert_cl(err);
	events[0] = start_spinning(flags);
	set_ptr(kernel, 0, data);
	set_arg(kernel, 1, (cl_uint)1);
	for (int i = 1; i <= 100; i++)
		assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &items, NULL, 0, NULL, &events[i]));
	assert_cl(clEnqueueNDRangeKernel(other, kernel, 1, NULL, &items, NULL, 1, &events[50], &events[101]));
	assert_cl(clEnqueueMarkerWithWaitList(other, 0, NULL, &events[102]));
	assert_cl(clFlush(conf.queue));
	assert_cl(clFlush(other));
	kill_engine(SIGKILL);
	for (int i = 0; i < 103; i++)
		if (conf_end(events[i]) >= 0)
			fail_msg("event %d of a dead engine ended well", i);
	for (int i = 0; i < 64; i++)
		assert_int_equal(data[i], 0);
	assert_cl(clReleaseCommandQueue(other));
	assert_cl(clReleaseKernel(kernel));
	free((void *)flags);
}

struct waiter {
	cl_event event;
	int how;
	cl_int result;
};

static void *wait_for_death(void *arg)
{
	struct waiter *w = arg;

	w->result = w->how ? clWaitForEvents(1, &w->event) : clFinish(conf.queue);
	return NULL;
}

/* Threads that sleep in clFinish and clWaitForEvents are woken with an error. */
static void sleeping_waiters(void **state)
{
	_Atomic(cl_uint) *flags = conf_malloc(128);
	struct waiter waiters[4];
	pthread_t threads[4];
	cl_event event = start_spinning(flags);

	(void)state;
	for (int i = 0; i < 4; i++) {
		waiters[i] = (struct waiter){ .event = event, .how = i % 2, .result = 1 };
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_death, &waiters[i]), 0);
	}
	conf_sleep_ms(50);
	kill_engine(SIGKILL);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		if (waiters[i].how)
			assert_int_equal(waiters[i].result, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	}
	assert_true(conf_end(event) < 0);
	free((void *)flags);
}

/* After the death: enqueues on the old context fail with a reason, releases do not. */
static void old_context(void **state)
{
	cl_kernel kernel = conf_kernel("add");
	cl_uint data[64] = { 0 };
	size_t items = 64;
	cl_event event;
	cl_uint done = 0;
	cl_int err;

	(void)state;
	set_ptr(kernel, 0, data);
	set_arg(kernel, 1, (cl_uint)1);
	kill_engine(SIGKILL);
	for (int i = 0; i < 100; i++) {
		err = clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &items, NULL, 0, NULL, &event);
		if (err)
			break;
		done += conf_end(event) == CL_COMPLETE; /* it was not dead yet, or that was not known */
	}
	assert_cl_error(err, CL_DEVICE_NOT_AVAILABLE);
	assert_cl_error(clEnqueueSVMMemFill(conf.queue, data, "x", 1, 4, 0, NULL, NULL), CL_DEVICE_NOT_AVAILABLE);
	assert_cl_error(clEnqueueMarkerWithWaitList(conf.queue, 0, NULL, NULL), CL_DEVICE_NOT_AVAILABLE);
	clFinish(conf.queue);
	clFlush(conf.queue);
	for (int i = 0; i < 64; i++)
		assert_int_equal(data[i], done);
	assert_cl(clReleaseKernel(kernel));
}

/* What the device had of the host's memory is all there: every word counts the rounds it took part in. */
static void memory_survives(void **state)
{
	cl_uint *data = conf_malloc(WORDS * sizeof(*data)), *svm, lowest = UINT32_MAX, highest = 0, started;
	_Atomic(cl_uint) *flags = calloc(32, sizeof(*flags));
	cl_kernel kernel = conf_kernel("sweep");
	cl_event event;

	(void)state;
	assert_non_null(flags);
	svm = clSVMAlloc(conf.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, 4096, 0);
	assert_non_null(svm);
	svm[5] = 55;
	for (cl_uint i = 0; i < WORDS; i++)
		data[i] = i * 1000;
	set_ptr(kernel, 0, data);
	set_arg(kernel, 1, (cl_ulong)WORDS);
	set_ptr(kernel, 2, (void *)&flags[0]);
	set_ptr(kernel, 3, (void *)&flags[16]);
	event = conf_start(kernel, 1, 1);
	while (atomic_load(&flags[16]) < 5)
		conf_sleep_ms(1);
	kill_engine(SIGKILL);
	assert_true(conf_end(event) < 0);
	started = atomic_load(&flags[16]);
	for (cl_uint i = 0; i < WORDS; i++) {
		cl_uint rounds = data[i] - i * 1000;

		lowest = rounds < lowest ? rounds : lowest;
		highest = rounds > highest ? rounds : highest;
	}
	/* Killed in the middle of a round: each word has seen that round or not. */
	assert_true(lowest >= started);
	assert_true(highest <= started + 1);
	assert_int_equal(svm[5], 55);
	svm[5]++;
	clSVMFree(conf.context, svm);
	free(data);
	free((void *)flags);
	assert_cl(clReleaseKernel(kernel));
}

/* A new context gets a new engine, while the old context is still there and after it is gone; many times. */
static void new_context(void **state)
{
	struct conf dead;

	(void)state;
	for (int i = 0; i < 10; i++) {
		pid_t before = conf_engine_pid();

		kill_engine(SIGKILL);
		while (conf_engine_pid() == before)
			conf_sleep_ms(1);
		if (i % 2) {
			conf_close();
			conf_open(death_cl);
		} else {
			dead = conf;
			memset(&conf, 0, sizeof(conf));
			conf_open(death_cl);
			assert_cl(clReleaseProgram(dead.program));
			assert_cl(clReleaseCommandQueue(dead.queue));
			assert_cl(clReleaseContext(dead.context));
		}
		assert_device_works();
		assert_true(conf_engine_pid() > 0);
		assert_int_not_equal(conf_engine_pid(), before);
	}
}

/*
 * Signals that a terminal sends to the whole process group are the host's to answer: an interrupt that the host handles does
 * not take the device from it. Stopped and continued, as a debugger or a shell would, nothing is lost either.
 */
static void other_signals(void **state)
{
	static const int harmless[] = { SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH, SIGPIPE };
	_Atomic(cl_uint) *flags = conf_malloc(128);
	cl_event event = start_spinning(flags);

	(void)state;
	for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
		kill_engine(harmless[i]);
	for (int i = 0; i < 5; i++) {
		kill_engine(SIGSTOP);
		conf_sleep_ms(5);
		kill_engine(SIGCONT);
	}
	atomic_store(&flags[0], 1);
	assert_int_equal(conf_end(event), CL_COMPLETE);
	assert_device_works();
	free((void *)flags);
}

/* Killed at random moments under load. */
static void random_moments(void **state)
{
	(void)state;
	srand(7);
	for (int i = 0; i < 15; i++) {
		cl_kernel kernel = conf_kernel("add");
		cl_uint *data = calloc(64, sizeof(*data));
		size_t items = 64;
		int done = 0, negative = 0;
		cl_event events[200];
		unsigned int moment = (unsigned int)rand() % 200;

		assert_non_null(data);
		set_ptr(kernel, 0, data);
		set_arg(kernel, 1, (cl_uint)1);
		for (unsigned int n = 0; n < 200; n++) {
			cl_int err;

			if (n == moment)
				kill_engine(SIGKILL);
			events[n] = NULL;
			err = clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &items, NULL, 0, NULL, &events[n]);
			if (err)
				assert_cl_error(err, CL_DEVICE_NOT_AVAILABLE);
			else if (n % 8 == 0)
				clFlush(conf.queue);
		}
		for (int n = 0; n < 200; n++) {
			if (!events[n])
				continue;
			if (conf_end(events[n]) < 0) {
				negative++;
			} else {
				assert_int_equal(negative, 0); /* in order: nothing ran after what was lost */
				done++;
			}
		}
		/* A lost launch may have run in part, at most one of them. */
		for (int w = 0; w < 64; w++)
			assert_in_range(data[w], done, done + (negative > 0));
		assert_cl(clReleaseKernel(kernel));
		free(data);
		conf_close();
		conf_open(death_cl);
	}
}

#define with_device(f) cmocka_unit_test_setup_teardown(f, open_device, close_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_device(pending_commands), with_device(sleeping_waiters), with_device(old_context),
		with_device(memory_survives),  with_device(new_context),      with_device(other_signals),
		with_device(random_moments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
