// SPDX-License-Identifier: MIT
/* Device faults: what is moved for one, what is counted, what is refused. */
#include <errno.h>

#include "pager/tests/fake_mirror.h"

static uint64_t at(uint64_t offset)
{
	return FAKE_BASE + offset;
}

/* A first fault moves the 64 KiB unit around it, once, and lets exactly that go on. */
static void first_fault(void **state)
{
	(void)state;
	fake_device(at(5 * UNIT + 12345), MCL_ACCESS_READ);
	assert_int_equal(fake.ops[FAKE_MIGRATE], 1);
	assert_int_equal(fake.ops[FAKE_MAP], 0);
	assert_last(FAKE_MIGRATE, at(5 * UNIT), UNIT);
	assert_int_equal(fake.calls[0].address, at(5 * UNIT + 12288));
	assert_last(FAKE_REPLAY, at(5 * UNIT), UNIT);
	assert_int_equal(fake.ops[FAKE_REPLAY], 1);
	assert_cause(MCL_CAUSE_DEVICE_READ, 1, 16);
	assert_counted(1);
	fake_device(at(9 * UNIT), MCL_ACCESS_WRITE);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 1, 16);
	assert_counted(2);
	assert_int_equal(atomic_load(&pager->vram_pages), 32);
	assert_int_equal(atomic_load(&pager->vram_peak_pages), 32);
}

/* Two units that wait for the same page: the second report is answered with a replay alone. */
static void served_already(void **state)
{
	(void)state;
	fake_device(at(0), MCL_ACCESS_READ);
	fake_forget_calls();
	fake_device(at(4096), MCL_ACCESS_WRITE);
	assert_int_equal(fake.call_count, 1);
	assert_last(FAKE_REPLAY, at(4096), PAGE_SIZE);
	assert_counted(1);
	/* A copy does for reads, not for stores. */
	fake.extents[fake.extent_count++] =
		(struct mcl_extent){ at(BLOCK), at(BLOCK + UNIT), MCL_EXTENT_IN_PLACE, true, true, false };
	fake.residency[BLOCK / PAGE_SIZE] = MCL_RES_BOTH;
	fake_forget_calls();
	fake_device(at(BLOCK), MCL_ACCESS_READ);
	assert_int_equal(fake.call_count, 1);
	assert_last(FAKE_REPLAY, at(BLOCK), PAGE_SIZE);
	fake_device(at(BLOCK), MCL_ACCESS_WRITE);
	assert_int_equal(fake.ops[FAKE_MAP], 1);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 1, 16);
}

/* A given chunk is used for every fault, and cut at the extent. */
static void fixed_chunk(void **state)
{
	(void)state;
	fake_restart(8192, 3, 50, 0);
	for (int i = 0; i < 4; i++)
		fake_device(at((uint64_t)i * 8192), MCL_ACCESS_READ);
	assert_cause(MCL_CAUSE_DEVICE_READ, 4, 8);
	fake_restart(BLOCK, 3, 50, 0);
	fake.extents[fake.extent_count++] = (struct mcl_extent){
		at(BLOCK + 3 * PAGE_SIZE), at(BLOCK + 9 * PAGE_SIZE), MCL_EXTENT_PAGEABLE, true, true, true
	};
	fake_device(at(BLOCK + 5 * PAGE_SIZE), MCL_ACCESS_READ);
	assert_last(FAKE_MIGRATE, at(BLOCK + 3 * PAGE_SIZE), 6 * PAGE_SIZE);
	assert_cause(MCL_CAUSE_DEVICE_READ, 1, 6);
}

/* Go through memory from @offset, faulting wherever a page is missing. Returns how many faults that took. */
static unsigned int scan(uint64_t offset, uint64_t size)
{
	unsigned int faults = 0;

	for (uint64_t a = at(offset); a < at(offset + size); a += PAGE_SIZE) {
		if (fake_residency(a) == MCL_RES_VRAM)
			continue;
		faults++;
		fake_device(a, MCL_ACCESS_READ);
		assert_int_equal(fake_residency(a), MCL_RES_VRAM);
	}
	return faults;
}

/* In a sequence each chunk is twice the last one, up to a block; so 8 MiB take 64K 64K 128K ... 1M, then 2 MiB three times. */
static void sequence_grows(void **state)
{
	(void)state;
	assert_int_equal(scan(0, BLOCK), 6);
	assert_int_equal(scan(BLOCK, 3 * BLOCK), 3);
	assert_last(FAKE_MIGRATE, at(3 * BLOCK), BLOCK);
	assert_cause(MCL_CAUSE_DEVICE_READ, 9, 4 * BLOCK / PAGE_SIZE);
}

/* Eight sequences are told apart; a ninth makes the one forgotten that was used longest ago. */
static void sequences_at_once(void **state)
{
	(void)state;
	for (uint64_t turn = 0; turn < 3; turn++)
		for (uint64_t s = 0; s < 8; s++)
			assert_int_equal(scan((4 * s + turn) * BLOCK, BLOCK), turn ? 1 : 6);
	assert_int_equal(scan(100 * BLOCK, UNIT), 1);
	/* Sequence 0 starts small, the others do not. */
	assert_int_equal(scan((4 * 1 + 3) * BLOCK, BLOCK), 1);
	assert_int_equal(scan((4 * 0 + 3) * BLOCK, BLOCK), 6);
}

/* Scattered faults stay small. */
static void scattered(void **state)
{
	uint64_t x = 12345;

	(void)state;
	for (int i = 0; i < 100; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		uint64_t unit = (x >> 33) % (FAKE_SIZE / BLOCK) * BLOCK + BLOCK / 2;

		if (fake_residency(at(unit)) == MCL_RES_VRAM)
			continue;
		fake_device(at(unit), MCL_ACCESS_READ);
		assert_last(FAKE_MIGRATE, at(unit), UNIT);
	}
}

/* One fault takes no more than a quarter of small device memory, and never less than a unit. */
static void small_memory(void **state)
{
	(void)state;
	fake_restart(0, 3, 50, 1 << 20);
	for (uint64_t a = at(0); a < at(BLOCK); a += UNIT) {
		fake_now_ns += 1000000;
		fake_device(a, MCL_ACCESS_READ);
	}
	for (unsigned int i = 0; i < fake.call_count; i++)
		if (fake.calls[i].op == FAKE_MIGRATE)
			assert_true(fake.calls[i].size <= 256 << 10);
}

/* A page that does not move is mapped in place, alone; the rest of the chunk has moved all the same. */
static void immovable(void **state)
{
	(void)state;
	fake_refuse(FAKE_MIGRATE, 1, 0);
	fake_device(at(7 * PAGE_SIZE), MCL_ACCESS_WRITE);
	assert_last(FAKE_MAP, at(7 * PAGE_SIZE), PAGE_SIZE);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 1, 1);
	assert_int_equal(atomic_load(&pager->shared_pages), 0); /* is counted with the next look */
	fake_device(at(8 * PAGE_SIZE), MCL_ACCESS_WRITE);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 2, 16);
	assert_int_equal(atomic_load(&pager->shared_pages), 1);
	assert_int_equal(atomic_load(&pager->vram_pages), 15);
}

/*
 * A page that did not move, and may not be mapped in place just now either: whoever waits tries again until one of both works, be
 * it twice in a moment, and nothing fails.
 */
static void no_room_to_map(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		fake_refuse(FAKE_MIGRATE, 2, 0);
		fake_refuse(FAKE_MAP, 2, -EMFILE);
		fake_device(at(7 * PAGE_SIZE), MCL_ACCESS_READ);
		assert_int_equal(pager->deferred_count, 1);
		mcl_pager_events(pager);
		assert_int_equal(pager->deferred_count, 1);
		assert_int_equal(fake.ops[FAKE_REPLAY], i);
		mcl_pager_events(pager);
		assert_int_equal(pager->deferred_count, 0);
		assert_int_equal(fake.ops[FAKE_REPLAY], i + 1);
		assert_int_equal(fake_residency(at(7 * PAGE_SIZE)), MCL_RES_VRAM);
		assert_int_equal(pager->ops->evict(pager->m, at(0), UNIT), 16);
	}
	assert_int_equal(fake.ops[FAKE_FAIL], 0);
	assert_cause(MCL_CAUSE_DEVICE_READ, 2, 32);
}

/* Memory that does not page is mapped, never moved. */
static void in_place(void **state)
{
	(void)state;
	fake.extents[fake.extent_count++] =
		(struct mcl_extent){ at(0), at(BLOCK), MCL_EXTENT_IN_PLACE, true, false, false };
	fake_device(at(PAGE_SIZE), MCL_ACCESS_READ);
	assert_int_equal(fake.ops[FAKE_MIGRATE], 0);
	assert_last(FAKE_MAP, at(0), UNIT);
	assert_cause(MCL_CAUSE_DEVICE_READ, 1, 16);
}

/* An access to nothing, or without the right to it, fails at its second report and not at its first; twice in all. */
static void no_right(void **state)
{
	static const struct {
		bool readable, writable;
		enum mcl_access access;
	} cases[] = {
		{ true, false, MCL_ACCESS_WRITE },
		{ false, true, MCL_ACCESS_READ },
	};

	(void)state;
	for (int round = 0; round < 2; round++) {
		fake_device(0x1000, MCL_ACCESS_READ);
		assert_int_equal(fake.ops[FAKE_FAIL], round);
		assert_last(FAKE_REPLAY, 0x1000, PAGE_SIZE);
		fake_device(0x1234, MCL_ACCESS_READ);
		assert_int_equal(fake.ops[FAKE_FAIL], round + 1);
		assert_last(FAKE_FAIL, 0x1234, PAGE_SIZE);
	}
	for (unsigned int i = 0; i < 2; i++) {
		fake.extent_count = 1;
		fake.extents[0] = (struct mcl_extent){ at(i * UNIT),	  at(i * UNIT + UNIT), MCL_EXTENT_PAGEABLE,
						       cases[i].readable, cases[i].writable,   true };
		fake_device(at(i * UNIT), cases[i].access);
		fake_device(at(i * UNIT), cases[i].access);
		assert_int_equal(fake.ops[FAKE_FAIL], 3 + i);
		assert_int_equal(fake.ops[FAKE_MIGRATE], i);
		/* The other access is fine. */
		fake_device(at(i * UNIT), 1 - cases[i].access);
		assert_int_equal(fake.ops[FAKE_MIGRATE], i + 1);
	}
	/* Before the write fails, whoever only reads the page is given it. */
	assert_int_equal(fake.ops[FAKE_MAP], 1);
	assert_counted(2);
}

/* A report that was old says nothing about the address a second later, nor about what is there by then. */
static void stale_report(void **state)
{
	(void)state;
	fake_device(0x1000, MCL_ACCESS_READ);
	fake_now_ns += 1500000000ull;
	fake_device(0x1000, MCL_ACCESS_READ);
	assert_int_equal(fake.ops[FAKE_FAIL], 0);
	/* Now there is something. */
	fake.extents[fake.extent_count++] =
		(struct mcl_extent){ 0x1000, 0x2000, MCL_EXTENT_IN_PLACE, true, true, false };
	fake_refuse(FAKE_MAP, 1, 1);
	fake_device(0x1000, MCL_ACCESS_READ);
	assert_int_equal(fake.ops[FAKE_FAIL], 0);
	assert_cause(MCL_CAUSE_DEVICE_READ, 1, 1);
}

/* Bad accesses of many units at once: every one of them fails in the end, whatever the order. */
static void many_bad(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 64; i++)
		fake_device(0x100000 + i * PAGE_SIZE, MCL_ACCESS_WRITE);
	assert_int_equal(fake.ops[FAKE_FAIL], 0);
	for (unsigned int i = 0; i < 64; i++)
		fake_device(0x100000 + (63 - i) * PAGE_SIZE, MCL_ACCESS_WRITE);
	assert_int_equal(fake.ops[FAKE_FAIL], 64);
}

/* Memory of a kind that the mirror cannot serve: fails, with a second chance. */
static void unsupported(void **state)
{
	static const long errors[] = { -EOPNOTSUPP, -EINVAL, -EBUSY, -EFAULT };

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		fake.extents[0] = (struct mcl_extent){
			at(i * UNIT), at(i * UNIT + UNIT), MCL_EXTENT_IN_PLACE, true, true, false
		};
		fake.extent_count = 1;
		fake_refuse(FAKE_MAP, 1, errors[i]);
		fake_device(at(i * UNIT), MCL_ACCESS_READ);
		assert_int_equal(fake.ops[FAKE_FAIL], i);
		fake_refuse(FAKE_MAP, 1, errors[i]);
		fake_device(at(i * UNIT), MCL_ACCESS_READ);
		assert_int_equal(fake.ops[FAKE_FAIL], i + 1);
	}
	assert_counted(0);
}

/* While the address space changes the fault waits, and is answered and counted once. */
static void deferred(void **state)
{
	(void)state;
	fake_refuse(FAKE_MIGRATE, 3, -EAGAIN);
	fake_device(at(0), MCL_ACCESS_READ);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pager->deferred_count, 1);
		assert_int_equal(fake.ops[FAKE_REPLAY], 0);
		mcl_pager_events(pager);
	}
	assert_int_equal(pager->deferred_count, 0);
	assert_int_equal(fake.ops[FAKE_MIGRATE], 4);
	assert_int_equal(fake.ops[FAKE_REPLAY], 1);
	assert_cause(MCL_CAUSE_DEVICE_READ, 1, 16);
	mcl_pager_events(pager);
	assert_int_equal(fake.ops[FAKE_MIGRATE], 4);
}

/* Faults that are deferred do not hold up new ones, and keep their order. */
static void deferred_order(void **state)
{
	unsigned int seen = 0;

	(void)state;
	fake_refuse(FAKE_MIGRATE, 4, -EAGAIN);
	for (uint64_t i = 0; i < 4; i++)
		fake_report(MCL_MEV_DEVICE_FAULT, at(i * BLOCK), PAGE_SIZE, MCL_ACCESS_READ, true);
	mcl_pager_events(pager);
	assert_int_equal(pager->deferred_count, 4);
	fake_device(at(10 * BLOCK), MCL_ACCESS_READ);
	assert_int_equal(pager->deferred_count, 0);
	for (unsigned int i = 0; i < fake.call_count; i++) {
		static const uint64_t order[] = { 10, 0, 1, 2, 3 };

		if (fake.calls[i].op == FAKE_REPLAY)
			assert_int_equal(fake.calls[i].start, at(order[seen++] * BLOCK));
	}
	assert_int_equal(seen, 5);
	assert_cause(MCL_CAUSE_DEVICE_READ, 5, 80);
}

/* What never succeeds fails in the end, after some two seconds, and nothing is left waiting. */
static void never_settles(void **state)
{
	const uint64_t began = fake_now_ns;

	(void)state;
	fake_refuse(FAKE_MIGRATE, UINT32_MAX, -EAGAIN);
	fake_device(at(0), MCL_ACCESS_READ);
	while (pager->deferred_count) {
		mcl_pager_events(pager);
		fake_now_ns += 10000;
		assert_true(fake_now_ns - began < 5000000000ull);
	}
	assert_int_equal(fake.ops[FAKE_FAIL], 1);
	assert_in_range(fake_now_ns - began, 1000000000ull, 4000000000ull);
	/* It was not tried all the time. */
	assert_in_range(fake.ops[FAKE_MIGRATE], 1000, 2100);
	assert_counted(0);
}

/* No memory: everything that is in VRAM goes, then it is tried again. */
static void out_of_memory(void **state)
{
	(void)state;
	fake_device(at(0), MCL_ACCESS_READ);
	fake_device(at(BLOCK), MCL_ACCESS_READ);
	fake_refuse(FAKE_MIGRATE, 1, -ENOMEM);
	fake_device(at(2 * BLOCK), MCL_ACCESS_WRITE);
	assert_int_equal(fake.ops[FAKE_EVICT], 2);
	assert_cause(MCL_CAUSE_EVICTION, 2, 32);
	assert_int_equal(pager->deferred_count, 1);
	mcl_pager_events(pager);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 1, 16);
	assert_int_equal(atomic_load(&pager->vram_pages), 16);
	assert_int_equal(fake.ops[FAKE_FAIL], 0);
}

/* A dead engine waits for nothing: no answer, no count, nothing kept. */
static void dead_engine(void **state)
{
	(void)state;
	fake_refuse(FAKE_MIGRATE, 1, -ESRCH);
	fake_device(at(0), MCL_ACCESS_READ);
	assert_int_equal(pager->deferred_count, 0);
	assert_int_equal(fake.ops[FAKE_REPLAY] + fake.ops[FAKE_FAIL], 0);
	assert_counted(0);
}

/* More faults than can be kept: the rest is asked to come again, not lost. */
static void too_many(void **state)
{
	(void)state;
	fake_refuse(FAKE_MIGRATE, UINT32_MAX, -EAGAIN);
	for (unsigned int i = 0; i < DEFERRED + 10; i++)
		fake_report(MCL_MEV_DEVICE_FAULT, at(i * PAGE_SIZE), PAGE_SIZE, MCL_ACCESS_READ, true);
	while (fake.event_count)
		mcl_pager_events(pager);
	assert_int_equal(pager->deferred_count, DEFERRED);
	assert_int_equal(fake.ops[FAKE_REPLAY], 10);
	assert_last(FAKE_REPLAY, at((DEFERRED + 9) * PAGE_SIZE), PAGE_SIZE);
	fake_refuse(FAKE_MIGRATE, 0, 0);
	fake_now_ns += 10000000;
	mcl_pager_events(pager);
	assert_int_equal(pager->deferred_count, 0);
	assert_int_equal(fake.ops[FAKE_FAIL], 0);
	assert_int_equal(fake.ops[FAKE_REPLAY], DEFERRED + 10);
}

#define test(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(first_fault),	 test(served_already), test(fixed_chunk),  test(sequence_grows),
		test(sequences_at_once), test(scattered),      test(small_memory), test(immovable),
		test(no_room_to_map),	 test(in_place),       test(no_right),	   test(stale_report),
		test(many_bad),		 test(unsupported),    test(deferred),	   test(deferred_order),
		test(never_settles),	 test(out_of_memory),  test(dead_engine),  test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
