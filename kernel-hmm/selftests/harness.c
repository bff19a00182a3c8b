// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the tests, all or those whose names contain an argument, and reports KTAP.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

static struct test *tests, **last = &tests;

void test_add(struct test *test)
{
	*last = test;
	last = &test->next;
}

unsigned int test_seconds(void)
{
	const char *text = getenv("HMM_MIRROR_TEST_SECONDS");

	return text ? strtoul(text, NULL, 0) : 60;
}

static bool wanted(const struct test *test, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (strstr(test->name, *names))
			return true;
	return false;
}

/* In a process group of its own, so that helpers of a failed test go with it. */
static int run(const struct test *test)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("# fork");
		return STATUS_FAIL;
	}
	if (!pid) {
		setpgid(0, 0);
		setvbuf(stdout, NULL, _IOLBF, 0);
		alarm(TEST_SECONDS);
		test->body();
		exit(0);
	}
	setpgid(pid, pid);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return STATUS_FAIL;
	kill(-pid, SIGKILL);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	printf("# ended by signal %d%s\n", WTERMSIG(status),
	       WTERMSIG(status) == SIGALRM ? ": time limit" : "");
	return STATUS_FAIL;
}

int main(int argc, char **argv)
{
	unsigned int number = 0, count = 0, pass = 0, fail = 0, skip = 0;
	struct test *test;

	(void)argc;
	/* What a test leaves behind is reaped here, not by process 1. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (test = tests; test; test = test->next)
		count += wanted(test, argv + 1);
	printf("KTAP version 1\n1..%u\n", count);
	for (test = tests; test; test = test->next) {
		struct timespec a, b;
		int status;

		if (!wanted(test, argv + 1))
			continue;
		clock_gettime(CLOCK_MONOTONIC, &a);
		status = run(test);
		clock_gettime(CLOCK_MONOTONIC, &b);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		pass += !status;
		skip += status == STATUS_SKIP;
		fail += status && status != STATUS_SKIP;
		printf("%sok %u %s%s # %ld ms\n", !status || status == STATUS_SKIP ? "" : "not ",
		       ++number, test->name, status == STATUS_SKIP ? " # SKIP" : "",
		       (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
		fflush(stdout);
	}
	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:%u error:0\n", pass, fail, skip);
	return fail || !count;
}
