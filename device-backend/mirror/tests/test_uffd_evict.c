// SPDX-License-Identifier: MIT
/* Device memory is smaller than what kernels use: pages come and go, and none loses a word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "mirror/tests/uffd_fixture.h"

#define MIB (1ul << 20)

static struct fixture f;

static void start_with(uint64_t vram)
{
	const struct mcl_pager_policy policy = { .chunk = 0, .promote_after = 3, .hold_us = 50 };

	fixture_start(&f, &policy, vram);
}

static void *make(uint64_t size, uint64_t seed)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	fixture_fill(p, size, seed);
	return p;
}

/* Eight times the device's memory, written and read in passes. At no time is more there than fits. */
static void passes(void **state)
{
	const uint64_t vram = 4 * MIB, size = 32 * MIB;
	struct mcl_counters c;
	void *p;

	(void)state;
	start_with(vram);
	p = make(size, 1);
	for (uint64_t pass = 0; pass < 3; pass++) {
		assert_true(fixture_device_has(&f, p, size, 1 + 10 * pass));
		assert_true(fixture_run(&f, TEST_FILL, p, size, 0, 11 + 10 * pass, NULL));
	}
	c = fixture_counters(&f);
	assert_in_range(c.vram_peak, vram / 2, vram);
	assert_in_range(c.vram_used, 1, vram);
	/* Six passes in, and all of them but what is left there out again. */
	assert_int_equal(c.cause[MCL_CAUSE_DEVICE_READ].pages + c.cause[MCL_CAUSE_DEVICE_WRITE].pages,
			 c.cause[MCL_CAUSE_EVICTION].pages + c.vram_used / PAGE_SIZE);
	assert_true(c.cause[MCL_CAUSE_EVICTION].pages >= (6 * size - vram) / PAGE_SIZE - 6 * vram / PAGE_SIZE);
	assert_int_equal(c.cause[MCL_CAUSE_CPU_FAULT].count, 0);
	assert_true(fixture_host_has(p, size, 31));
	munmap(p, size);
}

/* Several units in different places at once, with memory for hardly one of them: all get on, all words are right. */
static void units_at_once(void **state)
{
	const uint64_t size = 2 * MIB;
	void *p[TEST_UNITS];

	(void)state;
	start_with(1 * MIB);
	for (unsigned int i = 0; i < TEST_UNITS; i++)
		p[i] = make(size, i);
	for (uint64_t round = 1; round < 4; round++) {
		for (unsigned int i = 0; i < TEST_UNITS; i++)
			fixture_go(&f, i, TEST_FILL, p[i], size, 0, round * 1000 + i);
		for (unsigned int i = 0; i < TEST_UNITS; i++)
			assert_true(fixture_wait(&f, i, NULL));
	}
	for (unsigned int i = 0; i < TEST_UNITS; i++) {
		assert_true(fixture_host_has(p[i], size, 3000 + i));
		munmap(p[i], size);
	}
	assert_true(fixture_counters(&f).cause[MCL_CAUSE_EVICTION].count > 10);
}

/* The host works in the same memory at the same time, on other words. */
static void host_beside(void **state)
{
	const uint64_t size = 4 * MIB;
	uint64_t *p, rounds;

	(void)state;
	start_with(1 * MIB);
	p = make(size, 0);
	for (uint64_t at = 0; at < size / 8; at++)
		p[at] = 0;
	fixture_go(&f, 0, TEST_LOOP_ADD, p, size, PAGE_SIZE, 0);
	for (uint64_t i = 1; i <= 20; i++)
		for (uint64_t at = 0; at < size / 8; at += PAGE_SIZE / 8)
			((volatile uint64_t *)p)[at + 1] = i * 1000 + at;
	atomic_store(&fixture_unit(&f, 0)->stop, 1);
	assert_true(fixture_wait(&f, 0, NULL));
	rounds = atomic_load(&fixture_unit(&f, 0)->rounds);
	for (uint64_t at = 0; at < size / 8; at += PAGE_SIZE / 8) {
		assert_int_equal(p[at], rounds);
		assert_int_equal(p[at + 1], 20000 + at);
	}
	munmap(p, size);
}

/* Requests: what fits comes; more than fits does not throw itself out. */
static void requests(void **state)
{
	const uint64_t vram = 4 * MIB, size = 16 * MIB;
	struct mcl_counters c;
	void *p;

	(void)state;
	start_with(vram);
	p = make(size, 5);
	mcl_pager_migrate(f.pager, p, size, false);
	c = fixture_counters(&f);
	assert_in_range(c.vram_used, vram / 2, vram);
	assert_int_equal(c.cause[MCL_CAUSE_EVICTION].count, 0);
	assert_int_equal(c.cause[MCL_CAUSE_REQUEST].pages, c.vram_used / PAGE_SIZE);
	assert_true(fixture_device_has(&f, p, size, 5));
	mcl_pager_migrate(f.pager, p, size, true);
	assert_int_equal(fixture_counters(&f).vram_used, 0);
	assert_true(fixture_host_has(p, size, 5));
	assert_int_equal(fixture_counters(&f).cause[MCL_CAUSE_CPU_FAULT].count, 0);
	munmap(p, size);
}

/* Less than the least there is, 1 MiB. */
static void tiny(void **state)
{
	const uint64_t size = 8 * MIB;
	void *p;

	(void)state;
	start_with(PAGE_SIZE);
	p = make(size, 5);
	assert_true(fixture_device_has(&f, p, size, 5));
	assert_true(fixture_run(&f, TEST_FILL, p, size, 0, 6, NULL));
	assert_true(fixture_host_has(p, size, 6));
	assert_in_range(fixture_counters(&f).vram_peak, 1, MIB);
	munmap(p, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(passes, NULL, &f),	     fixture_test(units_at_once, NULL, &f),
		fixture_test(host_beside, NULL, &f), fixture_test(requests, NULL, &f),
		fixture_test(tiny, NULL, &f),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
