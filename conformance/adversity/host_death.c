// SPDX-License-Identifier: MIT
/*
 * The host ends, in every way and at any moment, with kernels running: no process is left behind, and ending takes no longer
 * than it should. The hosts are children of this test, which adopts what they leave.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "death.cl.h"
#include "harness.h"

/* ---- the hosts ---- */

static _Atomic(cl_uint) flags[32];

/* Open the device and start a kernel that never ends; tell the test. */
static void open_and_spin(void)
{
	cl_kernel kernel;

	conf_open(death_cl);
	kernel = conf_kernel("spin");
	set_ptr(kernel, 0, (void *)&flags[0]);
	set_ptr(kernel, 1, (void *)&flags[16]);
	conf_start(kernel, 1, 1);
	while (!atomic_load(&flags[16]))
		conf_sleep_ms(1);
	printf("running %d\n", conf_engine_pid());
	fflush(stdout);
}

static int sleeping_host(void)
{
	open_and_spin();
	pause();
	return 1;
}

static int waiting_host(void)
{
	open_and_spin();
	clFinish(conf.queue);
	return 1;
}

/* Creates and destroys everything all the time, from the first instruction on. */
static int busy_host(void)
{
	printf("running %d\n", 0);
	fflush(stdout);
	while (getppid() != 1) {
		cl_uint data[64] = { 0 };
		cl_kernel kernel;

		conf_open(death_cl);
		for (int i = 0; i < 20; i++) {
			kernel = conf_kernel("add");
			set_ptr(kernel, 0, data);
			set_arg(kernel, 1, (cl_uint)1);
			conf_run(kernel, 64, 8);
			clReleaseKernel(kernel);
		}
		conf_close();
	}
	return 0;
}

static int returning_host(void)
{
	open_and_spin();
	return 0; /* exit() with all its handlers; nothing released */
}

static int underscore_exit_host(void)
{
	open_and_spin();
	_exit(0);
}

static int aborting_host(void)
{
	open_and_spin();
	abort();
}

static int crashing_host(void)
{
	open_and_spin();
	raise(SIGSEGV);
	return 1;
}

static int exec_host(void)
{
	open_and_spin();
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static void *exit_in_thread(void *arg)
{
	(void)arg;
	exit(0);
}

static int thread_exit_host(void)
{
	pthread_t thread;

	open_and_spin();
	pthread_create(&thread, NULL, exit_in_thread, NULL);
	clFinish(conf.queue);
	return 1;
}

/* The thread that made the context ends; the device goes on until the process does. */
static void *open_in_thread(void *arg)
{
	(void)arg;
	conf_open(death_cl);
	return NULL;
}

static int thread_opened_host(void)
{
	pthread_t thread;
	cl_uint data[64] = { 0 };
	cl_kernel kernel;

	pthread_create(&thread, NULL, open_in_thread, NULL);
	pthread_join(thread, NULL);
	conf_sleep_ms(20);
	kernel = conf_kernel("add");
	set_ptr(kernel, 0, data);
	set_arg(kernel, 1, (cl_uint)1);
	conf_run(kernel, 64, 8);
	for (int i = 0; i < 64; i++)
		if (data[i] != 1)
			return 1;
	clReleaseKernel(kernel);
	printf("running %d\n", conf_engine_pid());
	fflush(stdout);
	conf_close();
	return conf_engine_pid() != 0; /* the engine goes with its last context */
}

static int unused_host(void)
{
	conf_open_device();
	printf("running %d\n", conf_engine_pid());
	fflush(stdout);
	return 0;
}

static const struct conf_child children[] = {
	{ "sleeping", sleeping_host },
	{ "waiting", waiting_host },
	{ "busy", busy_host },
	{ "returning", returning_host },
	{ "underscore-exit", underscore_exit_host },
	{ "aborting", aborting_host },
	{ "crashing", crashing_host },
	{ "exec", exec_host },
	{ "thread-exit", thread_exit_host },
	{ "thread-opened", thread_opened_host },
	{ "unused", unused_host },
	{ NULL, NULL },
};

/* ---- the test ---- */

/* Start a host and wait until it says that it is running. Returns its pid; *@engine is its engine's. */
static pid_t start_host(const char *name, int *engine, int *out)
{
	char line[256] = "";
	size_t used = 0;
	pid_t pid = conf_spawn(name, NULL, out);

	while (used < sizeof(line) - 1 && !strchr(line, '\n') && read(*out, line + used, 1) == 1)
		used++;
	if (sscanf(line, "running %d", engine) != 1) {
		kill(pid, SIGKILL);
		fail_msg("%s said: %s", name, line);
	}
	return pid;
}

static void assert_nothing_left(void)
{
	assert_int_equal(conf_left_behind(5), 0);
}

/* The host must end as @status within seconds, and leave nothing. */
static void host_ends(const char *name, bool (*expected)(int status))
{
	double begin = conf_now();
	int engine, out, status;
	pid_t pid = start_host(name, &engine, &out);

	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(out);
	if (!expected(status))
		fail_msg("%s ended with status %#x", name, status);
	assert_nothing_left();
	assert_true(conf_now() - begin < 60);
}

static bool succeeded(int status)
{
	return status == 0;
}

static bool was_aborted(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static bool crashed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void ordinary_ends(void **state)
{
	(void)state;
	host_ends("returning", succeeded);
	host_ends("underscore-exit", succeeded);
	host_ends("exec", succeeded);
	host_ends("thread-exit", succeeded);
	host_ends("thread-opened", succeeded);
}

static void violent_ends(void **state)
{
	(void)state;
	host_ends("aborting", was_aborted);
	host_ends("crashing", crashed);
}

/* A program that only looks at the platform starts no process. */
static void nothing_started(void **state)
{
	int engine, out, status;
	pid_t pid = start_host("unused", &engine, &out);

	(void)state;
	assert_int_equal(engine, 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(out);
	assert_int_equal(status, 0);
	assert_nothing_left();
}

static void killed_while_waiting(void **state)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGINT, SIGHUP };

	(void)state;
	for (int i = 0; i < 8; i++) {
		int engine, out, status;
		pid_t pid = start_host(i % 2 ? "sleeping" : "waiting", &engine, &out);

		assert_true(engine > 0);
		assert_int_equal(kill(pid, signals[i / 2]), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		close(out);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[i / 2]);
		assert_nothing_left();
	}
}

/* From the first microseconds to deep in its work; the compiler's processes count, too. */
static void killed_at_random_moments(void **state)
{
	(void)state;
	srand(3);
	for (int i = 0; i < 60; i++) {
		int engine, out, status;
		pid_t pid = start_host("busy", &engine, &out);
		struct timespec moment = { 0, rand() % 1000 * (i % 3 ? 20000l : 200000l) };

		nanosleep(&moment, NULL);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		close(out);
		assert_true(WIFSIGNALED(status));
		assert_nothing_left();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_ends),
		cmocka_unit_test(violent_ends),
		cmocka_unit_test(nothing_started),
		cmocka_unit_test(killed_while_waiting),
		cmocka_unit_test(killed_at_random_moments),
	};

	conf_dispatch_child(argc, argv, children);
	conf_open_device();
	conf_adopt_orphans();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
