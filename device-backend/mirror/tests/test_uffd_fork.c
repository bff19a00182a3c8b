// SPDX-License-Identifier: MIT
/*
 * Children, with pages of the parent in every state: fork()'s have all of the parent's words as they were, and their own
 * from then on; those that exec do not care; those made behind the C library's back fail loudly where the device was.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/tests/uffd_fixture.h"

#define PAGES 20ul
#define SIZE (PAGES * PAGE_SIZE)
#define SEED 4000000ul

static struct fixture f;

#define STATES (PAGE_TWIN + 1)

static void make_all(char **p)
{
	for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++)
		p[s] = fixture_make(&f, SIZE, s, SEED + s);
}

static void drop_all(char **p)
{
	for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++)
		munmap(p[s], SIZE);
}

static void parent_has_all(char **p)
{
	for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++) {
		if (!fixture_device_has(&f, p[s], SIZE, SEED + s) || !fixture_host_has(p[s], SIZE, SEED + s))
			fail_msg("state %s", fixture_state_name(s));
	}
}

static int status_of(pid_t pid)
{
	int status = -1;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* The child sees every word, changes every one that it may, and the parent notices nothing; nor the other way round. */
static void own_copies(void **state)
{
	char *p[STATES];
	int go[2];
	pid_t pid;

	(void)state;
	make_all(p);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (!pid) {
		char c;

		for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++)
			if (!fixture_host_has(p[s], SIZE, SEED + s))
				_exit(10 + (int)s);
		/* The parent writes meanwhile. */
		if (read(go[0], &c, 1) != 1)
			_exit(2);
		for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++) {
			if (!fixture_host_has(p[s], SIZE, SEED + s))
				_exit(20 + (int)s);
			if (s != PAGE_COPY)
				fixture_fill(p[s], SIZE, 1);
		}
		_exit(0);
	}
	for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++)
		if (s != PAGE_COPY)
			assert_true(fixture_run(&f, TEST_FILL, p[s], SIZE, 0, 123, NULL));
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(status_of(pid), 0);
	for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++)
		if (s != PAGE_COPY)
			assert_true(fixture_host_has(p[s], SIZE, 123));
	close(go[0]);
	close(go[1]);
	drop_all(p);
}

/* Memory mapped in place of which a part is read-only at that moment: two mappings, both come home, with their rights. */
static void mixed_rights(void **state)
{
	char *p = fixture_make(&f, SIZE, PAGE_PROMOTED, SEED);
	pid_t pid;

	(void)state;
	assert_int_equal(mprotect(p + 3 * PAGE_SIZE, 4 * PAGE_SIZE, PROT_READ), 0);
	pid = fork();
	if (!pid)
		_exit(fixture_host_has(p, SIZE, SEED) ? 0 : 1);
	assert_int_equal(status_of(pid), 0);
	assert_true(fixture_host_has(p, SIZE, SEED));
	assert_true(fixture_device_has(&f, p, SIZE, SEED));
	assert_false(fixture_run(&f, TEST_FILL, p + 3 * PAGE_SIZE, 8, 0, 0, NULL));
	assert_int_equal(mprotect(p, SIZE, PROT_READ | PROT_WRITE), 0);
	assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, 1, NULL));
	assert_true(fixture_host_has(p, SIZE, 1));
	munmap(p, SIZE);
}

/* The device goes on counting in every page while children are made and end: none of its stores is lost, none arrives there. */
static void under_a_writer(void **state)
{
	char *p = fixture_make(&f, SIZE, PAGE_VRAM, 0);
	uint64_t rounds;

	(void)state;
	memset(p, 0, SIZE);
	fixture_go(&f, 0, TEST_LOOP_ADD, p, SIZE, PAGE_SIZE, 0);
	for (int i = 0; i < 20; i++) {
		uint64_t goal = atomic_load(&fixture_unit(&f, 0)->rounds) + 2;
		pid_t pid;

		while (atomic_load(&fixture_unit(&f, 0)->rounds) < goal)
			*(volatile uint32_t *)(p + (uint64_t)(i % 3) * PAGE_SIZE + 8) += 1;
		pid = fork();
		if (!pid) {
			uint32_t low = UINT32_MAX, high = 0, again[PAGES];

			for (uint64_t k = 0; k < PAGES; k++) {
				again[k] = *(volatile uint32_t *)(p + k * PAGE_SIZE);
				low = again[k] < low ? again[k] : low;
				high = again[k] > high ? again[k] : high;
			}
			usleep(2000);
			for (uint64_t k = 0; k < PAGES; k++)
				if (*(volatile uint32_t *)(p + k * PAGE_SIZE) != again[k])
					_exit(1);
			/* A store of the device is in all pages before the fork or in none after: one round apart at most. */
			_exit(high - low > 1 ? 2 : 0);
		}
		assert_int_equal(status_of(pid), 0);
	}
	atomic_store(&fixture_unit(&f, 0)->stop, 1);
	assert_true(fixture_wait(&f, 0, NULL));
	rounds = atomic_load(&fixture_unit(&f, 0)->rounds);
	for (uint64_t k = 0; k < PAGES; k++)
		assert_int_equal(*(volatile uint32_t *)(p + k * PAGE_SIZE), rounds);
	munmap(p, SIZE);
}

/* vfork, posix_spawn, system, popen: they read the parent's pages on their way to exec. */
static void others(void **state)
{
	char *const argv[] = { (char *)"true", NULL };
	char *p[STATES], *path, line[16] = "";
	FILE *pipe;
	pid_t pid;

	(void)state;
	make_all(p);
	/* The program's name itself is in VRAM. */
	path = fixture_make(&f, 2 * PAGE_SIZE, PAGE_HOST, 0);
	strcpy(path, "/bin/true");
	for (int way = 0; way < 4; way++) {
		mcl_pager_migrate(f.pager, path, 2 * PAGE_SIZE, false);
		/* The host touches it each time, so it may be mapped in place by now. */
		assert_int_not_equal(fixture_state(&f, path), PAGE_HOST);
		switch (way) {
		case 0:
			pid = vfork();
			if (!pid) {
				execv(path, argv);
				_exit(1);
			}
			assert_int_equal(status_of(pid), 0);
			break;
		case 1:
			assert_int_equal(posix_spawn(&pid, path, NULL, NULL, argv, environ), 0);
			assert_int_equal(status_of(pid), 0);
			break;
		case 2:
			assert_int_equal(system(path), 0);
			break;
		case 3:
			pipe = popen("echo hello", "r");
			assert_non_null(pipe);
			assert_non_null(fgets(line, sizeof(line), pipe));
			assert_int_equal(pclose(pipe), 0);
			assert_string_equal(line, "hello\n");
			break;
		}
		parent_has_all(p);
	}
	drop_all(p);
	munmap(path, 2 * PAGE_SIZE);
}

/* vfork's child lives on the parent's memory: what it stores is there afterwards, on the device as well. */
static void vfork_stores(void **state)
{
	char *p = fixture_make(&f, SIZE, PAGE_VRAM, SEED);
	pid_t pid;

	(void)state;
	pid = vfork();
	if (!pid) {
		for (uint64_t i = 0; i < SIZE / 8; i++)
			((volatile uint64_t *)p)[i] = 5 + i;
		_exit(0);
	}
	assert_int_equal(status_of(pid), 0);
	assert_true(fixture_device_has(&f, p, SIZE, 5));
	assert_true(fixture_host_has(p, SIZE, 5));
	munmap(p, SIZE);
}

/*
 * A child made by the system call itself: where the device has been, it gets SIGSEGV, never zeros or old words. Memory that
 * the device has not touched is there.
 */
static void raw(void **state)
{
	static const enum mcl_page_state states[] = { PAGE_VRAM, PAGE_PROMOTED, PAGE_COPY };
	char *untouched = fixture_make(&f, SIZE, PAGE_HOST, SEED);

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		char *p = fixture_make(&f, SIZE, states[i], SEED);
		int status;
		pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

		if (!pid) {
			signal(SIGSEGV, SIG_DFL);
			if (!fixture_host_has(untouched, SIZE, SEED))
				_exit(3);
			_exit(*(volatile uint64_t *)p == SEED ? 1 : 2);
		}
		status = status_of(pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
			fail_msg("state %s: status %#x", fixture_state_name(states[i]), (unsigned int)status);
		assert_true(fixture_device_has(&f, p, SIZE, SEED));
		munmap(p, SIZE);
	}
	munmap(untouched, SIZE);
}

/* The child of a child; and a child that starts a mirror of its own. */
static void generations(void **state)
{
	char *p = fixture_make(&f, SIZE, PAGE_PROMOTED, SEED);
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		pid_t grandchild = fork();
		struct fixture own;
		const struct mcl_pager_policy policy = { .promote_after = 1 };
		int status;

		if (!grandchild)
			_exit(fixture_host_has(p, SIZE, SEED) ? 0 : 1);
		if (waitpid(grandchild, &status, 0) != grandchild || status)
			_exit(2);
		/* As the backend does in a child. */
		mcl_mirror_uffd.forked(f.m);
		munmap((void *)f.window.base, f.window.layout.total_size);
		fixture_start(&own, &policy, 0);
		if (!fixture_device_has(&own, p, SIZE, SEED) || !fixture_run(&own, TEST_FILL, p, SIZE, 0, 3, NULL) ||
		    !fixture_host_has(p, SIZE, 3))
			_exit(3);
		fixture_stop(&own);
		_exit(fixture_host_has(p, SIZE, 3) ? 0 : 4);
	}
	assert_int_equal(status_of(pid), 0);
	assert_true(fixture_device_has(&f, p, SIZE, SEED));
	munmap(p, SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(own_copies, fixture_setup_eager, &f),
		fixture_test(mixed_rights, fixture_setup_eager, &f),
		fixture_test(under_a_writer, fixture_setup_eager, &f),
		fixture_test(others, fixture_setup_eager, &f),
		fixture_test(vfork_stores, fixture_setup_eager, &f),
		fixture_test(raw, fixture_setup_eager, &f),
		fixture_test(generations, fixture_setup_eager, &f),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
