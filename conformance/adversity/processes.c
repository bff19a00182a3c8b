// SPDX-License-Identifier: MIT
/*
 * New processes while kernels run: fork with a child that exits, execs, goes on or uses OpenCL itself; vfork, posix_spawn,
 * system, popen; children of several threads. The kernel in flight is not disturbed, the children are not harmed.
 */
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "processes.cl.h"

enum { WORDS = 64 * 1024 };

/* A kernel at work on malloc'd memory while a test runs. */
static struct {
	cl_kernel kernel;
	cl_event event;
	uint32_t *data;
	_Atomic(cl_uint) *stop, *rounds;
} work;

static int start_work(void **state)
{
	(void)state;
	work.kernel = conf_kernel("work");
	work.data = calloc(WORDS, sizeof(*work.data));
	work.stop = calloc(1, 64);
	work.rounds = calloc(1, 64);
	assert_non_null(work.data);
	assert_non_null(work.stop);
	assert_non_null(work.rounds);
	set_ptr(work.kernel, 0, work.data);
	set_arg(work.kernel, 1, (cl_ulong)WORDS);
	set_ptr(work.kernel, 2, (void *)work.stop);
	set_ptr(work.kernel, 3, (void *)work.rounds);
	work.event = conf_start(work.kernel, 1, 1);
	while (!atomic_load(work.rounds))
		conf_sleep_ms(1);
	return 0;
}

/* The kernel was not disturbed: it ran to its end, and every round left its mark. */
static int stop_work(void **state)
{
	cl_uint rounds = atomic_load(work.rounds);

	(void)state;
	while (atomic_load(work.rounds) < rounds + 2)
		conf_sleep_ms(1);
	atomic_store(work.stop, 1);
	assert_int_equal(conf_end(work.event), CL_COMPLETE);
	for (int i = 0; i < WORDS; i++)
		assert_int_equal(work.data[i], *work.rounds);
	assert_cl(clReleaseKernel(work.kernel));
	free(work.data);
	free((void *)work.stop);
	free((void *)work.rounds);
	return 0;
}

static int end_of(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* The child leaves at once, by _exit or by exit with all its handlers. */
static void fork_and_exit(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (!pid) {
			if (i % 2)
				_exit(i);
			/* What is buffered is the parent's to write. */
			fclose(stdout);
			exit(i);
		}
		assert_int_equal(end_of(pid), i << 8);
	}
}

static void fork_and_exec(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (!pid) {
			execl("/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
			_exit(127);
		}
		assert_int_equal(end_of(pid), 3 << 8);
	}
}

/* A child that runs on has its own memory, all of it, and can use it at length. */
static void fork_and_stay(void **state)
{
	char text[] = "before";
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 1000; i++) {
			char *p = malloc(10000);

			if (!p || strcmp(text, "before") != 0)
				_exit(1);
			memset(p, i, 10000);
			free(p);
		}
		for (int i = 0; i < WORDS; i++)
			work.data[i] = 7;
		_exit(strcmp(text, "before") ? 1 : 0);
	}
	strcpy(text, "after!");
	assert_int_equal(end_of(pid), 0);
	assert_string_equal(text, "after!");
}

/* The child's copies of the parent's objects are dead: calls fail, none hangs, and exit is clean. */
static void fork_and_use_opencl(void **state)
{
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		size_t one = 1;
		char word[4] = { 0 };
		cl_event event;

		alarm(20);
		if (!clEnqueueNDRangeKernel(conf.queue, work.kernel, 1, NULL, &one, &one, 0, NULL, &event))
			if (!clWaitForEvents(1, &event))
				_exit(1);
		if (!clEnqueueSVMMemFill(conf.queue, word, "x", 1, 4, 0, NULL, NULL) && !clFinish(conf.queue))
			_exit(2);
		clFinish(conf.queue);
		clReleaseCommandQueue(conf.queue);
		clReleaseContext(conf.context);
		fclose(stdout);
		exit(0);
	}
	assert_int_equal(end_of(pid), 0);
}

/* A child may start over with a context of its own. */
static void fork_and_start_over(void **state)
{
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		cl_uint data[64] = { 0 };
		cl_kernel kernel;
		size_t items = 64;
		cl_int err;

		alarm(60);
		conf_open(processes_cl);
		kernel = clCreateKernel(conf.program, "add", &err);
		if (err || clSetKernelArgSVMPointer(kernel, 0, data) || clSetKernelArg(kernel, 1, 4, &(cl_uint){ 9 }) ||
		    clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &items, NULL, 0, NULL, NULL) ||
		    clFinish(conf.queue))
			_exit(1);
		for (int i = 0; i < 64; i++)
			if (data[i] != 9)
				_exit(2);
		clReleaseKernel(kernel);
		conf_close();
		fclose(stdout);
		exit(0);
	}
	assert_int_equal(end_of(pid), 0);
}

static void other_ways(void **state)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"exit 5", NULL }, line[32] = "";
	pid_t pid;
	FILE *pipe;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
		assert_int_equal(end_of(pid), 5 << 8);
		assert_int_equal(system("exit 6"), 6 << 8);
		pipe = popen("echo hello; exit 7", "r");
		assert_non_null(pipe);
		assert_non_null(fgets(line, sizeof(line), pipe));
		assert_string_equal(line, "hello\n");
		assert_int_equal(pclose(pipe), 7 << 8);
		pid = vfork();
		if (!pid) {
			execv("/bin/sh", argv);
			_exit(127);
		}
		assert_int_equal(end_of(pid), 5 << 8);
	}
}

static void *fork_often(void *arg)
{
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();
		int status = -1;

		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			return arg;
	}
	return NULL;
}

/* Several threads fork at the same time while kernels are launched one by one. */
static void threads_fork(void **state)
{
	cl_kernel kernel = conf_kernel("add");
	pthread_t threads[4];
	cl_uint data[64] = { 0 };
	cl_command_queue queue;
	size_t items = 64;
	cl_int err;
	void *failed;

	(void)state;
	queue = clCreateCommandQueueWithProperties(conf.context, conf.device, NULL, &err);
	assert_cl(err);
	set_ptr(kernel, 0, data);
	set_arg(kernel, 1, (cl_uint)1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fork_often, &threads), 0);
	for (int i = 0; i < 100; i++) {
		assert_cl(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &items, NULL, 0, NULL, NULL));
		assert_cl(clFinish(queue));
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	for (int i = 0; i < 64; i++)
		assert_int_equal(data[i], 100);
	assert_cl(clReleaseCommandQueue(queue));
	assert_cl(clReleaseKernel(kernel));
}

/* No child of the test, and none of the runtime's, meets wait(): the engine is not the application's child to reap. */
static void nothing_to_reap(void **state)
{
	int status;

	(void)state;
	assert_int_equal(waitpid(-1, &status, WNOHANG), -1);
}

#define during_work(f) cmocka_unit_test_setup_teardown(f, start_work, stop_work)

int main(void)
{
	const struct CMUnitTest tests[] = {
		during_work(fork_and_exit),	  during_work(fork_and_exec),	    during_work(fork_and_stay),
		during_work(fork_and_use_opencl), during_work(fork_and_start_over), during_work(other_ways),
		during_work(nothing_to_reap),	  cmocka_unit_test(threads_fork),
	};
	int failed;

	conf_open(processes_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
