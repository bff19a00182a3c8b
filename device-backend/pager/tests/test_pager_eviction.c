// SPDX-License-Identifier: MIT
/* Device memory has a size: what goes when it is full, and what is counted for that. */
#include <errno.h>

#include "pager/tests/fake_mirror.h"

#define BLOCK_OF_PAGES (BLOCK / PAGE_SIZE)

static uint64_t at(uint64_t block)
{
	return FAKE_BASE + block * BLOCK;
}

/* A device fault, a while after the one before. */
static void later(uint64_t address, enum mcl_access access)
{
	fake_now_ns += 1000000;
	fake_device(address, access);
}

static int setup(void **state)
{
	fake_setup(state);
	fake_restart(BLOCK, 3, 50, 4 * BLOCK);
	return 0;
}

/* Four blocks fit. The fifth makes the oldest go, whole, and only that. */
static void oldest_goes(void **state)
{
	(void)state;
	for (uint64_t b = 0; b < 4; b++)
		later(at(b), MCL_ACCESS_WRITE);
	assert_int_equal(fake.ops[FAKE_EVICT], 0);
	assert_int_equal(atomic_load(&pager->vram_pages), 4 * BLOCK_OF_PAGES);
	later(at(4), MCL_ACCESS_WRITE);
	assert_int_equal(fake.ops[FAKE_EVICT], 1);
	assert_last(FAKE_EVICT, at(0), BLOCK);
	assert_cause(MCL_CAUSE_EVICTION, 1, BLOCK_OF_PAGES);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 5, 5 * BLOCK_OF_PAGES);
	assert_int_equal(atomic_load(&pager->vram_pages), 4 * BLOCK_OF_PAGES);
	/* There was never more than fits. */
	assert_int_equal(atomic_load(&pager->vram_peak_pages), 4 * BLOCK_OF_PAGES);
	/* Who waits for a page of it is told. */
	for (unsigned int i = 0; i < fake.call_count; i++)
		if (fake.calls[i].op == FAKE_EVICT)
			assert_true(fake.calls[i + 1].op == FAKE_REPLAY && fake.calls[i + 1].start == at(0));
}

/* Least recently *faulted*: a fault in a block that is partly there makes it the youngest; a hit does not. */
static void order(void **state)
{
	(void)state;
	pager->policy.chunk = BLOCK / 2;
	for (uint64_t b = 0; b < 4; b++)
		later(at(b), MCL_ACCESS_READ);
	later(at(0) + BLOCK / 2, MCL_ACCESS_READ); /* a fault */
	later(at(1), MCL_ACCESS_READ); /* a hit */
	pager->policy.chunk = BLOCK;
	later(at(5), MCL_ACCESS_READ); /* 2.5 + 1 */
	assert_int_equal(fake.ops[FAKE_EVICT], 0);
	later(at(6), MCL_ACCESS_READ);
	assert_int_equal(fake.ops[FAKE_EVICT], 1);
	assert_last(FAKE_EVICT, at(1), BLOCK);
	later(at(7), MCL_ACCESS_READ);
	assert_last(FAKE_EVICT, at(3), BLOCK);
	assert_int_equal(fake.ops[FAKE_EVICT], 3);
	assert_cause(MCL_CAUSE_EVICTION, 3, 3 * BLOCK_OF_PAGES / 2);
	later(at(8), MCL_ACCESS_READ);
	assert_last(FAKE_EVICT, at(0), BLOCK);
}

/* Round and round through more than fits: every block goes and comes each time, and the books stay right. */
static void round_and_round(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 60; i++)
		later(at(i % 6), MCL_ACCESS_READ);
	assert_cause(MCL_CAUSE_DEVICE_READ, 60, 60 * BLOCK_OF_PAGES);
	assert_cause(MCL_CAUSE_EVICTION, 56, 56 * BLOCK_OF_PAGES);
	assert_int_equal(atomic_load(&pager->vram_pages), 4 * BLOCK_OF_PAGES);
	assert_int_equal(fake_pages(FAKE_BASE, FAKE_SIZE, MCL_RES_VRAM), 4 * BLOCK_OF_PAGES);
}

/* What went home by itself makes room without an eviction. */
static void room_by_others(void **state)
{
	(void)state;
	for (uint64_t b = 0; b < 4; b++)
		later(at(b), MCL_ACCESS_WRITE);
	fake_host(at(2));
	later(at(4), MCL_ACCESS_WRITE);
	assert_cause(MCL_CAUSE_EVICTION, 0, 0);
	/* munmap: the mirror has dropped them and says so. */
	for (uint64_t i = 0; i < BLOCK_OF_PAGES; i++)
		fake.residency[BLOCK_OF_PAGES + i] = MCL_RES_NONE;
	fake_report(MCL_MEV_UNMAP, at(1), BLOCK, MCL_ACCESS_READ, false);
	mcl_pager_events(pager);
	assert_int_equal(atomic_load(&pager->vram_pages), 3 * BLOCK_OF_PAGES);
	later(at(5), MCL_ACCESS_WRITE);
	assert_cause(MCL_CAUSE_EVICTION, 0, 0);
	/* A mirror that brought something home on its own. */
	for (uint64_t i = 0; i < BLOCK_OF_PAGES; i++)
		fake.residency[i] = MCL_RES_NONE;
	fake_report(MCL_MEV_CPU_FAULT, at(0), BLOCK, MCL_ACCESS_READ, false);
	mcl_pager_events(pager);
	later(at(6), MCL_ACCESS_WRITE);
	assert_cause(MCL_CAUSE_EVICTION, 0, 0);
	assert_int_equal(atomic_load(&pager->vram_pages), 4 * BLOCK_OF_PAGES);
}

/* A munmap of more than half a GiB does not go through it block by block, with the same result. */
static void big_unmap(void **state)
{
	(void)state;
	for (uint64_t b = 0; b < 4; b++)
		later(at(b), MCL_ACCESS_WRITE);
	for (uint64_t i = 0; i < 4 * BLOCK_OF_PAGES; i++)
		fake.residency[i] = MCL_RES_NONE;
	fake_report(MCL_MEV_UNMAP, FAKE_BASE & ~((1ull << 30) - 1), 4ull << 30, MCL_ACCESS_READ, false);
	mcl_pager_events(pager);
	assert_int_equal(atomic_load(&pager->vram_pages), 0);
	assert_null(pager->oldest);
	assert_null(pager->newest);
}

/* A page mapped in place takes no device memory and cannot be evicted. */
static void in_place_is_not_in_vram(void **state)
{
	(void)state;
	pager->policy.chunk = 0;
	for (int i = 0; i < 4; i++) {
		later(at(0), MCL_ACCESS_WRITE);
		fake_now_ns += 1000;
		fake_host(at(0));
	}
	assert_cause(MCL_CAUSE_PROMOTION, 1, 16);
	pager->policy.chunk = BLOCK;
	for (uint64_t b = 1; b < 5; b++)
		later(at(b), MCL_ACCESS_WRITE);
	assert_cause(MCL_CAUSE_EVICTION, 0, 0);
	later(at(5), MCL_ACCESS_WRITE);
	assert_last(FAKE_EVICT, at(1), BLOCK);
	assert_int_equal(fake_pages(at(0), BLOCK, MCL_RES_SYSTEM), 16);
}

/* An eviction that does not succeed now is not waited for: the fault is served, a little too much is in VRAM for a moment. */
static void eviction_fails(void **state)
{
	(void)state;
	for (uint64_t b = 0; b < 4; b++)
		later(at(b), MCL_ACCESS_WRITE);
	fake_refuse(FAKE_EVICT, 1, -EAGAIN);
	later(at(4), MCL_ACCESS_WRITE);
	assert_cause(MCL_CAUSE_EVICTION, 0, 0);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 5, 5 * BLOCK_OF_PAGES);
	later(at(5), MCL_ACCESS_WRITE);
	assert_cause(MCL_CAUSE_EVICTION, 2, 2 * BLOCK_OF_PAGES);
	assert_int_equal(atomic_load(&pager->vram_pages), 4 * BLOCK_OF_PAGES);
}

/* Device memory is never smaller than what a few instructions touch: 1 MiB. One fault takes no more than a quarter of it. */
static void tiny(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		fake_restart(i ? BLOCK : 0, 3, 50, PAGE_SIZE);
		for (uint64_t b = 0; b < 32; b++) {
			for (uint64_t unit = 0; unit < BLOCK; unit += UNIT)
				later(at(b) + unit, MCL_ACCESS_WRITE);
			assert_in_range(atomic_load(&pager->vram_pages), 1, 256);
		}
		for (unsigned int k = 0; k < fake.call_count; k++)
			if (fake.calls[k].op == FAKE_MIGRATE)
				assert_true(fake.calls[k].size <= 256 << 10);
		assert_int_equal(atomic_load(&pager->vram_peak_pages), 256);
		assert_int_equal(pager->deferred_count, 0);
	}
}

/* Many units fault in turn in more than fits: none is thrown out before it had its time, which grows. */
static void held_in_turn(void **state)
{
	uint64_t began = fake_now_ns, hold = pager->evict_hold_ns;

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		fake_device(at(i), MCL_ACCESS_WRITE);
	fake_device(at(4), MCL_ACCESS_WRITE);
	fake_device(at(5), MCL_ACCESS_WRITE);
	assert_int_equal(fake.ops[FAKE_EVICT], 0);
	assert_int_equal(pager->deferred_count, 2);
	fake_now_ns = began + hold - 1;
	mcl_pager_events(pager);
	assert_int_equal(fake.ops[FAKE_EVICT], 0);
	fake_now_ns = began + hold;
	mcl_pager_events(pager);
	/* The first one came; the second has to wait for the longer time that this has led to. */
	assert_int_equal(fake.ops[FAKE_EVICT], 1);
	assert_int_equal(pager->deferred_count, 1);
	assert_int_equal(pager->evict_hold_ns, 2 * hold);
	fake_now_ns = began + 2 * hold;
	mcl_pager_events(pager);
	assert_int_equal(fake.ops[FAKE_EVICT], 2);
	assert_int_equal(pager->deferred_count, 0);
	/* It never is very long, and short again when there is peace. */
	for (uint64_t i = 6; i < 60; i++) {
		fake_device(at(i), MCL_ACCESS_WRITE);
		for (int k = 0; pager->deferred_count; k++) {
			assert_true(k < 3);
			fake_now_ns = pager->deferred[0].not_before;
			mcl_pager_events(pager);
		}
	}
	assert_int_equal(pager->evict_hold_ns, 5000000);
	fake_now_ns += 1000000000;
	fake_device(at(61), MCL_ACCESS_WRITE);
	assert_int_equal(pager->evict_hold_ns, hold);
	assert_int_equal(fake.ops[FAKE_FAIL], 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(oldest_goes),    test(order),     test(round_and_round),
		test(room_by_others), test(big_unmap), test(in_place_is_not_in_vram),
		test(eviction_fails), test(tiny),      test(held_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
