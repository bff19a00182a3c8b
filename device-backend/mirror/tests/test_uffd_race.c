// SPDX-License-Identifier: MIT
/*
 * The host changes its address space while the pager is in the middle of handling an earlier change: the later one must not
 * be taken to be about pages that are still on their way. Each is a race of two threads, so it is tried many times.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/tests/uffd_fixture.h"

#define PAGES 16ul
#define SIZE (PAGES * PAGE_SIZE)
#define SEED 1000000ul

static struct fixture f;

/* One page moves at a time, and none is mapped in place. */
static int setup(void **state)
{
	const struct mcl_pager_policy policy = { .chunk = PAGE_SIZE };

	fixture_start(*state, &policy, 0);
	return 0;
}

static void *anonymous(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/* Anonymous memory of which every second page, and the first, is in VRAM. */
static char *mixed(void)
{
	char *p = anonymous(SIZE);

	assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, SEED, NULL));
	for (uint64_t at = PAGE_SIZE; at < SIZE; at += 2 * PAGE_SIZE)
		assert_true(fixture_host_has(p + at, PAGE_SIZE, SEED + at / 8));
	assert_int_equal(fixture_count(&f, p, SIZE, PAGE_VRAM), PAGES / 2);
	return p;
}

/* A thread that changes the address space all the time, and rests @rest_us in between. */
struct churn {
	pthread_t thread;
	_Atomic bool stop;
	char *page;
	unsigned int rest_us;
	uint64_t times;
};

static void *churn_main(void *arg)
{
	struct churn *c = arg;

	for (; !atomic_load(&c->stop); c->times++) {
		if (madvise(c->page, PAGE_SIZE, MADV_DONTNEED))
			return c;
		if (c->rest_us)
			usleep(c->rest_us);
	}
	return NULL;
}

static void churn_start(struct churn *c, unsigned int rest_us)
{
	*c = (struct churn){ .page = anonymous(PAGE_SIZE), .rest_us = rest_us };
	assert_true(fixture_run(&f, TEST_FILL, c->page, PAGE_SIZE, 0, SEED, NULL)); /* so that it is watched */
	assert_int_equal(pthread_create(&c->thread, NULL, churn_main, c), 0);
}

static void churn_stop(struct churn *c, uint64_t times)
{
	void *failed;

	atomic_store(&c->stop, true);
	pthread_join(c->thread, &failed);
	assert_null(failed);
	assert_true(c->times >= times);
	munmap(c->page, PAGE_SIZE);
}

/* MREMAP_DONTUNMAP, and the old mapping goes while its pages are being brought to where they belong. */
static void move_and_unmap(void **state)
{
	struct churn c;

	(void)state;
	churn_start(&c, 20);
	for (unsigned int i = 0; i < 40; i++) {
		char *p = mixed();
		char *to = mremap(p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

		assert_ptr_not_equal(to, MAP_FAILED);
		assert_int_equal(munmap(p, SIZE), 0);
		assert_true(fixture_host_has(to, SIZE, SEED));
		assert_true(fixture_device_has(&f, to, SIZE, SEED));
		munmap(to, SIZE);
	}
	churn_stop(&c, 40);
}

/* One change begins as soon as the one before has been read. Faults of both sides and requests get their turn all the same. */
static void no_end_of_changes(void **state)
{
	const uint64_t size = 4 * PAGE_SIZE;
	struct churn c;

	(void)state;
	churn_start(&c, 0);
	for (unsigned int i = 0; i < 3; i++) {
		char *p = anonymous(size);

		assert_true(fixture_run(&f, TEST_FILL, p, size, 0, SEED + i, NULL));
		assert_int_equal(fixture_count(&f, p, size, PAGE_VRAM), 4);
		assert_true(fixture_host_has(p, size, SEED + i));
		fixture_fill(p, size, i);
		assert_true(fixture_device_has(&f, p, size, i));
		assert_int_equal(munmap(p, size), 0);
		assert_false(fixture_run(&f, TEST_SUM, p, 8, 0, 0, NULL));
	}
	churn_stop(&c, 40);
}

/* The same, and memory comes into every state that there is. */
static void every_state(void **state)
{
	struct churn c;

	(void)state;
	churn_start(&c, 0);
	for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++) {
		char *p = fixture_make(&f, 2 * PAGE_SIZE, s, SEED);

		assert_true(fixture_device_has(&f, p, 2 * PAGE_SIZE, SEED));
		assert_true(fixture_host_has(p, 2 * PAGE_SIZE, SEED));
		assert_int_equal(munmap(p, 2 * PAGE_SIZE), 0);
	}
	churn_stop(&c, 40);
}

/* A thread that unmaps the second half of what is one mapping, and has something else there a moment later. */
struct neighbour {
	pthread_t thread;
	_Atomic bool stop;
	char *half;
	uint64_t times;
};

static void *neighbour_main(void *arg)
{
	struct neighbour *n = arg;

	for (; !atomic_load(&n->stop); n->times++) {
		char *p = n->half;

		if (munmap(p, SIZE / 2) || mmap(p, SIZE / 2, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != p)
			return n;
		fixture_fill(p, SIZE / 2, n->times);
		for (int i = 0; i < 2; i++)
			if (!fixture_host_has(p, SIZE / 2, n->times))
				return n;
	}
	return NULL;
}

/* The device's faults in the first half take pages of the second one along. */
static void replaced_neighbour(void **state)
{
	const struct mcl_pager_policy policy = { .chunk = 2 * SIZE };
	struct neighbour n = { 0 };
	char *p = anonymous(4 * SIZE);
	void *failed;

	(void)state;
	fixture_stop(&f);
	fixture_start(&f, &policy, 0);
	p = (char *)(((uint64_t)p + 2 * SIZE - 1) & ~(2 * SIZE - 1));
	n.half = p + SIZE / 2;
	assert_int_equal(munmap(p + SIZE, PAGE_SIZE), 0);
	assert_int_equal(pthread_create(&n.thread, NULL, neighbour_main, &n), 0);
	for (uint64_t i = 0; i < 500; i++) {
		assert_true(fixture_run(&f, TEST_FILL, p, SIZE / 2, 0, i, NULL));
		assert_true(fixture_host_has(p, SIZE / 2, i));
	}
	atomic_store(&n.stop, true);
	pthread_join(n.thread, &failed);
	assert_null(failed);
	assert_true(n.times > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(move_and_unmap, setup, &f),
		fixture_test(no_end_of_changes, setup, &f),
		fixture_test(every_state, fixture_setup_eager, &f),
		fixture_test(replaced_neighbour, setup, &f),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
