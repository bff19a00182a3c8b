// SPDX-License-Identifier: MIT
/* The engine is killed: everything is the host's again, in every state, whoever was waiting for it. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/tests/uffd_fixture.h"

#define PAGES 32ul
#define SIZE (PAGES * PAGE_SIZE)

static struct fixture f;

/* Pages of every state: all words are there, can be written, survive a fork, and are nobody else's business any more. */
static void every_state(void **state)
{
	char *p[PAGE_TWIN + 1];
	pid_t pid;
	int status;

	(void)state;
	fixture_start_plain(&f, 1);
	for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++)
		p[s] = fixture_make(&f, SIZE, s, 100u * s);
	fixture_kill(&f);
	pid = fork();
	for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++) {
		if (!fixture_host_has(p[s], SIZE, 100u * s)) {
			if (!pid)
				_exit(1);
			fail_msg("state %s", fixture_state_name(s));
		}
		if (s != PAGE_COPY)
			fixture_fill(p[s], SIZE, 3);
	}
	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Twice the memory, moved, as if nothing had been. */
	for (enum mcl_page_state s = PAGE_HOST; s < PAGE_COPY; s++) {
		char *q = mremap(p[s], SIZE, 2 * SIZE, MREMAP_MAYMOVE);

		assert_ptr_not_equal(q, MAP_FAILED);
		assert_true(fixture_host_has(q, SIZE, 3));
		munmap(q, 2 * SIZE);
	}
	fixture_stop(&f);
}

struct reader {
	uint64_t *p;
	_Atomic uint32_t begun;
	bool good;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;

	r->good = true;
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < SIZE / 8; i++) {
			r->good &= ((volatile uint64_t *)r->p)[i] == 9 + i;
			atomic_store(&r->begun, 1);
		}
	}
	return NULL;
}

/* Threads touch pages in VRAM, and wait for them, at the moment in which the engine dies and the pager ends. */
static void waiting_threads(void **state)
{
	(void)state;
	for (int round = 0; round < 15; round++) {
		struct reader r[4];
		pthread_t threads[4];

		fixture_start_plain(&f, 1);
		for (int i = 0; i < 4; i++)
			r[i] = (struct reader){ .p = fixture_make(&f, SIZE, PAGE_VRAM, 9) };
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, read_all, &r[i]), 0);
		while (round % 3 && !atomic_load(&r[round % 4].begun))
			;
		fixture_kill(&f);
		for (int i = 0; i < 4; i++) {
			pthread_join(threads[i], NULL);
			assert_true(r[i].good);
			munmap(r[i].p, SIZE);
		}
		fixture_stop(&f);
	}
}

/* Killed while it stores everywhere: each word is of the last round or the one before, none is lost with a page. */
static void storing(void **state)
{
	(void)state;
	for (int round = 0; round < 15; round++) {
		char *p;
		uint32_t low = UINT32_MAX, high = 0;

		fixture_start_plain(&f, 1);
		p = fixture_make(&f, SIZE, round % 2 ? PAGE_VRAM : PAGE_PROMOTED, 0);
		memset(p, 0, SIZE);
		fixture_go(&f, 0, TEST_LOOP_ADD, p, SIZE, PAGE_SIZE, 0);
		while (atomic_load(&fixture_unit(&f, 0)->rounds) < 10)
			(void)*(volatile char *)(p + (unsigned int)round * PAGE_SIZE);
		fixture_kill(&f);
		for (uint64_t i = 0; i < PAGES; i++) {
			uint32_t word = *(volatile uint32_t *)(p + i * PAGE_SIZE);

			low = word < low ? word : low;
			high = word > high ? word : high;
		}
		assert_in_range(high - low, 0, 1);
		assert_true(low >= 9);
		munmap(p, SIZE);
		fixture_stop(&f);
	}
}

/* The host changes its address space while the engine dies: what it maps is its own. */
static void changing(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 20; round++) {
		char *p, *q;

		fixture_start_plain(&f, 1);
		p = fixture_make(&f, SIZE, PAGE_VRAM, 1);
		kill(f.pid, SIGKILL);
		usleep(round * 37 % 300);
		/* Its death may be noticed in the middle of any of these. */
		assert_int_equal(madvise(p, PAGE_SIZE, MADV_DONTNEED), 0);
		q = mremap(p + PAGE_SIZE, SIZE - PAGE_SIZE, SIZE - PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		assert_ptr_not_equal(q, MAP_FAILED);
		fixture_kill(&f);
		assert_int_equal(*(volatile uint64_t *)p, 0);
		assert_int_equal(*(volatile uint64_t *)(p + PAGE_SIZE), 0);
		assert_true(fixture_host_has(q, SIZE - PAGE_SIZE, 1 + PAGE_SIZE / 8));
		munmap(p, SIZE);
		munmap(q, SIZE - PAGE_SIZE);
		fixture_stop(&f);
	}
}

/* Fifty lives leave no descriptor, no mapping and no process. */
static uint64_t lines_of(const char *path)
{
	FILE *file = fopen(path, "re");
	uint64_t count = 0;
	int c;

	assert_non_null(file);
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

static void nothing_left(void **state)
{
	uint64_t maps = 0;
	int first = 0;

	(void)state;
	for (int life = 0; life < 50; life++) {
		uint64_t word = 1;
		int fd;

		fixture_start_plain(&f, 1);
		assert_true(fixture_run(&f, TEST_FILL, &word, 8, 0, 7, NULL));
		assert_int_equal(word, 7);
		fixture_stop(&f);
		fd = dup(0);
		if (life == 4) {
			maps = lines_of("/proc/self/maps");
			first = fd;
		}
		if (life > 4)
			assert_int_equal(fd, first);
		close(fd);
	}
	/* The C library keeps stacks of threads; it does not keep more and more. */
	assert_in_range(lines_of("/proc/self/maps"), 1, maps + 8);
	assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state), cmocka_unit_test(waiting_threads), cmocka_unit_test(storing),
		cmocka_unit_test(changing),    cmocka_unit_test(nothing_left),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
