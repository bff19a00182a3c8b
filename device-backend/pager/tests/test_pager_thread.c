// SPDX-License-Identifier: MIT
/* The pager with its thread: life, requests of many threads at once, fork. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pager/tests/fake_mirror.h"

static int start(void **state)
{
	const struct mcl_pager_policy policy = { 0, 3, 50 };
	const struct mcl_mirror_params params = { .vram_size = 1 << 30 };
	const struct mcl_mirror_ops *ops;
	struct mcl_reason why;
	int fd;

	fake_setup(state);
	ops = fake.base.ops;
	fd = fake.event_fd;
	mcl_pager_delete(pager);
	memset(&fake, 0, sizeof(fake));
	fake.base.ops = ops;
	fake.event_fd = fd;
	assert_int_equal(mcl_pager_start_with((struct mcl_mirror *)&fake, &params, &policy, &pager, &why), 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	mcl_pager_stop(pager);
	close(fake.event_fd);
	return 0;
}

/* When this returns, the thread has seen all that was reported before: it reads between two requests. */
static void settle(void)
{
	mcl_pager_sync(pager, true);
	mcl_pager_sync(pager, true);
}

static void faults(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 10; i++) {
		fake_report(MCL_MEV_DEVICE_FAULT, FAKE_BASE + i * BLOCK, PAGE_SIZE, MCL_ACCESS_READ, true);
		settle();
	}
	assert_cause(MCL_CAUSE_DEVICE_READ, 10, 160);
	/* The end brings everything home, once. */
	mcl_pager_stop(pager);
	assert_int_equal(fake.ops[FAKE_GONE], 1);
	close(fake.event_fd);
	start(state);
}

/* Held back, then let go by the clock alone: nothing else wakes the thread. */
static void timed(void **state)
{
	struct mcl_counters c;

	(void)state;
	pager->policy.promote_after = 0;
	pager->policy.hold_us = 1000000;
	for (int i = 0; i < 4; i++) {
		fake_report(MCL_MEV_DEVICE_FAULT, FAKE_BASE, PAGE_SIZE, MCL_ACCESS_READ, true);
		settle();
		fake_report(MCL_MEV_CPU_FAULT, FAKE_BASE, PAGE_SIZE, MCL_ACCESS_READ, true);
		settle();
	}
	/* On a slow machine no bounce is quick enough to be held, then there was nothing to wait for. */
	do {
		usleep(1000);
		memset(&c, 0, sizeof(c));
		mcl_pager_counters(pager, &c);
	} while (c.cause[MCL_CAUSE_CPU_FAULT].count < 4);
	assert_cause(MCL_CAUSE_CPU_FAULT, 4, 64);
}

#define THREADS 8
#define TIMES 200

static void *ask(void *arg)
{
	uint64_t base = FAKE_BASE + (uint64_t)(uintptr_t)arg * BLOCK;

	for (int i = 0; i < TIMES; i++) {
		mcl_pager_migrate(pager, (void *)base, UNIT, false);
		mcl_pager_sync(pager, false);
		mcl_pager_migrate(pager, (void *)base, UNIT, true);
		mcl_pager_sync(pager, true);
	}
	return NULL;
}

/* Every request is served once, and its thread is let go only then. */
static void many_threads(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(fake.ops[FAKE_REFRESH], THREADS * TIMES);
	assert_int_equal(fake.ops[FAKE_FLUSH], THREADS * TIMES);
	assert_cause(MCL_CAUSE_REQUEST, 2 * THREADS * TIMES, 2 * THREADS * TIMES * 16);
	for (int i = 0; i < REQUESTS; i++)
		assert_int_equal(atomic_load(&pager->requests[i].state), 0);
}

static void empty_request(void **state)
{
	(void)state;
	mcl_pager_migrate(pager, (void *)FAKE_BASE, 0, false);
	assert_int_equal(fake.call_count, 0);
	mcl_pager_stop(NULL);
}

static void *fork_loop(void *arg)
{
	int *good = arg;

	for (int i = 0; i < 10; i++) {
		int status = 1;
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid > 0 && waitpid(pid, &status, 0) == pid && !status)
			++*good;
	}
	return NULL;
}

/* Threads that fork at the same time: home for each, frozen for none at the end. The child has no pager to stop. */
static void forks(void **state)
{
	pthread_t threads[4];
	int good[4] = { 0 };

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fork_loop, &good[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(good[i], 10);
	assert_int_equal(fake.ops[FAKE_HOME], 40);
	assert_int_equal(pager->frozen, 0);
}

static void no_room(void **state)
{
	const struct mcl_pager_policy policy = { 0, 3, 50 };
	const struct mcl_mirror_params params = { .vram_size = 0 };
	struct mcl_pager *p = NULL;
	struct mcl_reason why = { "" };

	(void)state;
	fake.keep_out_error = -ENOSPC;
	assert_int_equal(mcl_pager_start_with((struct mcl_mirror *)&fake, &params, &policy, &p, &why), -ENOSPC);
	assert_null(p);
	assert_non_null(strstr(why.text, "no room"));
}

#define test(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(faults), test(timed), test(many_threads), test(empty_request), test(forks), test(no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
