// SPDX-License-Identifier: MIT
/*
 * kill -9 of the host, of its engine, and of both, at random moments of everything that they do, hundreds of times: nothing is
 * left behind, nothing hangs, and what a host had in memory when its engine died is all there.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "death.cl.h"
#include "harness.h"

enum { WORDS = 65536, SECONDS = 30 };

/* ---- the host ---- */

static cl_uint *words;
static cl_uint base; /* what each of them must be, or one more after a kernel that has failed */

_Noreturn static void lost(const char *what, size_t i)
{
	printf("lost: %s, word %zu is %u, not %u\n", what, i, words[i], base);
	fflush(stdout);
	_exit(1);
}

static void check(cl_uint allowed)
{
	for (size_t i = 0; i < WORDS; i++)
		if (words[i] - base > allowed)
			lost("after a kernel", i);
}

/* The host's part: reads, stores, moves the memory, makes children. */
static void host_work(unsigned int round)
{
	int status;
	void *p;
	pid_t pid;

	switch (round % 8) {
	case 1:
		p = mremap(words, WORDS * 4, WORDS * 4, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		if (p != MAP_FAILED) {
			munmap(words, WORDS * 4);
			words = p;
		}
		break;
	case 3:
		pid = fork();
		if (!pid) {
			check(0);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			lost("a child", 0);
		break;
	case 5:
		memset(words, 0, WORDS * 4);
		base = 0;
		break;
	case 7:
		if (system("true"))
			lost("system", 0);
		break;
	default:
		check(0);
		break;
	}
}

/* One context, until something fails or @rounds are done. False: something has failed. */
static bool live(unsigned int rounds)
{
	const size_t global = WORDS, local = 256, length = strlen(death_cl);
	const cl_uint one = 1;
	const char *source = death_cl;
	cl_int err = 0;
	cl_context context = clCreateContext(NULL, 1, &conf.device, NULL, NULL, &err);
	cl_command_queue queue = context ? clCreateCommandQueueWithProperties(context, conf.device, NULL, &err) : NULL;
	cl_program program = queue ? clCreateProgramWithSource(context, 1, &source, &length, &err) : NULL;
	cl_kernel kernel = NULL;
	cl_event event;

	if (program && !clBuildProgram(program, 1, &conf.device, "-cl-std=CL3.0", NULL, NULL))
		kernel = clCreateKernel(program, "add", &err);
	if (kernel) {
		printf("engine %d\n", conf_engine_pid());
		fflush(stdout);
	}
	for (unsigned int i = 0; kernel && !err && i < rounds; i++) {
		err = clSetKernelArgSVMPointer(kernel, 0, words);
		err = err ? err : clSetKernelArg(kernel, 1, sizeof(one), &one);
		err = err ? err : clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, &local, 0, NULL, &event);
		if (err)
			break;
		if (i % 3)
			err = clFlush(queue);
		/* Waits for pages that are away, while the engine may die. */
		if (i % 5 == 2)
			for (size_t k = 0; k < WORDS; k += 1024)
				(void)*(volatile cl_uint *)&words[k];
		err = err ? err : clWaitForEvents(1, &event);
		clReleaseEvent(event);
		if (err)
			break;
		base++;
		host_work(i);
	}
	if (!kernel)
		err = err ? err : -1;
	if (kernel)
		clReleaseKernel(kernel);
	if (program)
		clReleaseProgram(program);
	if (queue)
		clReleaseCommandQueue(queue);
	if (context)
		clReleaseContext(context);
	return !err;
}

static _Atomic int ending;

static void *watch_input(void *arg)
{
	char c;

	(void)arg;
	while (read(STDIN_FILENO, &c, 1) < 0 && errno == EINTR)
		;
	atomic_store(&ending, 1);
	return NULL;
}

static int host(void)
{
	pthread_t thread;

	conf_open_device();
	words = mmap(NULL, WORDS * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (words == MAP_FAILED || pthread_create(&thread, NULL, watch_input, NULL))
		return 2;
	printf("begun\n");
	fflush(stdout);
	while (!atomic_load(&ending)) {
		if (live(40))
			continue;
		/* Each word is one value or the next. Then all are made equal. */
		for (size_t i = 0; i < WORDS; i++)
			base = words[i] < base || words[i] - base > 1u << 31 ? words[i] : base;
		check(1);
		for (size_t i = 0; i < WORDS; i++)
			words[i] = base;
	}
	return 0;
}

static const struct conf_child children[] = { { "host", host }, { NULL, NULL } };

/* ---- the test ---- */

static unsigned int times(unsigned int otherwise)
{
	const char *text = getenv("MCL_KILLS");

	return text ? (unsigned int)strtoul(text, NULL, 0) : otherwise;
}

static void pause_us(unsigned int us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000l };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* The next line that begins with @word, within SECONDS; the number in it. -1: there is none. */
static int next(int fd, const char *word)
{
	char line[256];
	size_t used = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		if (poll(&p, 1, SECONDS * 1000) <= 0 || read(fd, &line[used], 1) != 1)
			return -1;
		if (line[used] != '\n') {
			used += used < sizeof(line) - 1;
			continue;
		}
		line[used] = 0;
		used = 0;
		if (!strncmp(line, word, strlen(word)))
			return atoi(line + strlen(word));
		if (!strncmp(line, "lost", 4)) {
			print_error("%s\n", line);
			return -1;
		}
	}
}

/* Its input is a pipe of the test; closing that is what ends it. */
static pid_t start(int *out, int *in)
{
	int fds[2], saved = dup(STDIN_FILENO);
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	dup2(fds[0], STDIN_FILENO);
	close(fds[0]);
	assert_int_equal(fcntl(fds[1], F_SETFD, FD_CLOEXEC), 0);
	pid = conf_spawn("host", NULL, out);
	if (saved >= 0) {
		dup2(saved, STDIN_FILENO);
		close(saved);
	}
	*in = fds[1];
	return pid;
}

static void killed(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The host dies; its engine, its children and its compiler with it. */
static void hosts(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < times(200); i++) {
		int out, in;
		pid_t pid = start(&out, &in);

		if (i % 4)
			assert_true(next(out, i % 4 == 1 ? "begun" : "engine ") >= 0);
		pause_us((unsigned int)rand() % (i % 2 ? 3000 : 60000));
		assert_int_equal(kill(pid, SIGKILL), 0);
		killed(pid);
		close(in);
		close(out);
		assert_int_equal(conf_left_behind(5), 0);
	}
}

/* The engine dies, again and again under the same host. */
static void engines(void **state)
{
	unsigned int done = 0, count = times(200);
	int out, in, status;
	pid_t pid;

	(void)state;
	pid = start(&out, &in);
	while (done < count) {
		int engine = next(out, "engine ");

		if (engine < 0) {
			kill(pid, SIGKILL);
			fail_msg("after %u kills the host says nothing more", done);
		}
		pause_us((unsigned int)rand() % (done % 2 ? 2000 : 30000));
		/* It may have closed that context by itself. */
		done += engine > 0 && !kill(engine, SIGKILL);
	}
	close(in);
	while (next(out, "engine ") >= 0)
		;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(out);
	assert_int_equal(conf_left_behind(5), 0);
}

/* Both, one a moment after the other. */
static void both(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < times(200) / 2; i++) {
		int out, in, engine;
		pid_t pid = start(&out, &in);

		engine = next(out, "engine ");
		assert_true(engine >= 0);
		pause_us((unsigned int)rand() % 20000);
		if (engine > 0)
			kill(engine, SIGKILL);
		pause_us((unsigned int)rand() % 2000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		killed(pid);
		close(in);
		close(out);
		assert_int_equal(conf_left_behind(5), 0);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts),
		cmocka_unit_test(engines),
		cmocka_unit_test(both),
	};

	conf_dispatch_child(argc, argv, children);
	conf_open_device();
	conf_adopt_orphans();
	srand(7);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
