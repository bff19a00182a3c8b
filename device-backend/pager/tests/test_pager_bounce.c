// SPDX-License-Identifier: MIT
/* The CPU touches what is in VRAM: home with it; what keeps coming back is mapped in place, or held for a while. */
#include <errno.h>
#include <string.h>

#include "pager/tests/fake_mirror.h"

static uint64_t at(uint64_t offset)
{
	return FAKE_BASE + offset;
}

/* A touch brings home the unit around it. */
static void touch(void **state)
{
	(void)state;
	fake_restart(BLOCK, 3, 50, 0);
	fake_device(at(0), MCL_ACCESS_WRITE);
	pager->policy.chunk = 0;
	fake_now_ns += 100000000;
	fake_host(at(3 * UNIT + 5));
	assert_last(FAKE_EVICT, at(3 * UNIT), UNIT);
	assert_last(FAKE_REPLAY, at(3 * UNIT), UNIT);
	assert_cause(MCL_CAUSE_CPU_FAULT, 1, 16);
	assert_int_equal(atomic_load(&pager->vram_pages), 512 - 16);
	assert_int_equal(atomic_load(&pager->vram_peak_pages), 512);
}

/* Going home in sequence grows as going away does. */
static void sequence(void **state)
{
	unsigned int faults = 0;

	(void)state;
	fake_restart(BLOCK, 3, 50, 0);
	for (uint64_t b = 0; b < 4; b++)
		fake_device(at(b * BLOCK), MCL_ACCESS_READ);
	pager->policy.chunk = 0;
	fake_now_ns += 100000000;
	for (uint64_t a = at(0); a < at(4 * BLOCK); a += PAGE_SIZE) {
		if (fake_residency(a) != MCL_RES_VRAM)
			continue;
		fake_host(a);
		faults++;
	}
	assert_int_equal(faults, 6 + 3);
	assert_cause(MCL_CAUSE_CPU_FAULT, 9, 4 * BLOCK / PAGE_SIZE);
	assert_int_equal(atomic_load(&pager->vram_pages), 0);
}

/* A report about a page that is home by now is answered with a replay. */
static void home_already(void **state)
{
	(void)state;
	fake_host(at(0));
	assert_int_equal(fake.call_count, 1);
	assert_last(FAKE_REPLAY, at(0), PAGE_SIZE);
	assert_counted(0);
}

/* There and back, @age_us after it went. */
static void bounce(uint64_t address, uint64_t age_us)
{
	fake_device(address, MCL_ACCESS_WRITE);
	fake_now_ns += age_us * 1000;
	fake_host(address);
}

/* Three bounces are borne; the fourth touch maps the unit in place, and that is the end of it. */
static void promoted(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		bounce(at(PAGE_SIZE), 20);
		assert_int_equal(fake.ops[FAKE_EVICT], i + 1);
		assert_int_equal(fake.ops[FAKE_MAP], 0);
	}
	bounce(at(PAGE_SIZE), 20);
	assert_int_equal(fake.ops[FAKE_EVICT], 3);
	assert_int_equal(fake.ops[FAKE_MAP], 1);
	assert_last(FAKE_MAP, at(0), UNIT);
	assert_last(FAKE_REPLAY, at(0), UNIT);
	assert_cause(MCL_CAUSE_PROMOTION, 1, 16);
	assert_cause(MCL_CAUSE_CPU_FAULT, 3, 48);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 4, 64);
	assert_counted(8);
	assert_int_equal(atomic_load(&pager->shared_pages), 16);
	assert_int_equal(atomic_load(&pager->vram_pages), 0);
	/* The unit leaves the list of what could be evicted. */
	assert_null(pager->oldest);
}

/* Bounces that lie far apart do not add up. */
static void slow_bounces(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		bounce(at(0), i % 3 ? 20 : 20000);
	assert_int_equal(fake.ops[FAKE_MAP], 0);
	assert_cause(MCL_CAUSE_PROMOTION, 0, 0);
	assert_cause(MCL_CAUSE_CPU_FAULT, 20, 320);
}

/* Each page has its own count; it is forgotten with the mapping. */
static void counts_are_of_pages(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 12; i++)
		bounce(at(i % 4 * PAGE_SIZE), 20);
	assert_int_equal(fake.ops[FAKE_MAP], 0);
	fake_report(MCL_MEV_UNMAP, at(0), UNIT, MCL_ACCESS_READ, false);
	mcl_pager_events(pager);
	for (uint64_t i = 0; i < 12; i++)
		bounce(at(i % 4 * PAGE_SIZE), 20);
	assert_int_equal(fake.ops[FAKE_MAP], 0);
	bounce(at(0), 20);
	assert_int_equal(fake.ops[FAKE_MAP], 1);
}

static void no_promotion_wanted(void **state)
{
	(void)state;
	fake_restart(0, 0, 0, 0);
	for (int i = 0; i < 30; i++)
		bounce(at(0), 20);
	assert_int_equal(fake.ops[FAKE_MAP], 0);
	assert_cause(MCL_CAUSE_CPU_FAULT, 30, 480);
}

/*
 * What cannot be mapped in place is held: the touch is answered no earlier than the hold after the page went, and both
 * sides get it again and again.
 */
static void held(uint64_t address)
{
	fake_device(address, MCL_ACCESS_WRITE);
	fake_now_ns += 20000;
	fake_host(address);
	assert_int_equal(pager->deferred_count, 1);
	assert_int_equal(fake_residency(address), MCL_RES_VRAM);
	fake_now_ns += 29000;
	mcl_pager_events(pager);
	assert_int_equal(pager->deferred_count, 1);
	fake_now_ns += 1000;
	mcl_pager_events(pager);
	assert_int_equal(pager->deferred_count, 0);
	assert_int_equal(fake_residency(address), MCL_RES_NONE);
}

static void hold_if_not_promotable(void **state)
{
	(void)state;
	fake.extents[fake.extent_count++] =
		(struct mcl_extent){ at(0), at(UNIT), MCL_EXTENT_PAGEABLE, true, true, false };
	for (int i = 0; i < 3; i++)
		bounce(at(0), 20);
	for (int i = 0; i < 5; i++)
		held(at(0));
	assert_int_equal(fake.ops[FAKE_MAP], 0);
	assert_cause(MCL_CAUSE_CPU_FAULT, 8, 128);
	/* After a long stay nothing is held. */
	bounce(at(0), 60);
	assert_cause(MCL_CAUSE_CPU_FAULT, 9, 144);
}

/* No room for more mappings: likewise, and each touch tries the promotion again. */
static void hold_if_no_room(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		bounce(at(0), 20);
	fake_refuse(FAKE_MAP, 6, -EMFILE);
	held(at(0));
	held(at(0));
	assert_int_equal(fake.ops[FAKE_MAP], 4);
	assert_cause(MCL_CAUSE_PROMOTION, 0, 0);
	fake_refuse(FAKE_MAP, 0, 0);
	bounce(at(0), 20);
	assert_cause(MCL_CAUSE_PROMOTION, 1, 16);
}

/* A promotion that the host's changes get in the way of is tried again, and the page stays where it is meanwhile. */
static void promotion_deferred(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		bounce(at(0), 20);
	fake_refuse(FAKE_MAP, 2, -EAGAIN);
	bounce(at(0), 20);
	assert_int_equal(pager->deferred_count, 1);
	assert_int_equal(fake.ops[FAKE_EVICT], 3);
	mcl_pager_events(pager);
	mcl_pager_events(pager);
	assert_int_equal(pager->deferred_count, 0);
	assert_cause(MCL_CAUSE_PROMOTION, 1, 16);
	assert_int_equal(fake.ops[FAKE_EVICT], 3);
}

/* So is a homecoming. */
static void eviction_deferred(void **state)
{
	(void)state;
	fake_device(at(0), MCL_ACCESS_READ);
	fake_refuse(FAKE_EVICT, 2, -EAGAIN);
	fake_host(at(0));
	mcl_pager_events(pager);
	assert_int_equal(pager->deferred_count, 1);
	assert_cause(MCL_CAUSE_CPU_FAULT, 0, 0);
	mcl_pager_events(pager);
	assert_int_equal(pager->deferred_count, 0);
	assert_cause(MCL_CAUSE_CPU_FAULT, 1, 16);
	assert_int_equal(fake.ops[FAKE_REPLAY], 2);
}

/* The unit to map in place ends where its extent does. */
static void promotion_cut(void **state)
{
	(void)state;
	fake.extents[fake.extent_count++] =
		(struct mcl_extent){ at(2 * PAGE_SIZE), at(5 * PAGE_SIZE), MCL_EXTENT_PAGEABLE, true, true, true };
	for (int i = 0; i < 4; i++)
		bounce(at(3 * PAGE_SIZE), 20);
	assert_last(FAKE_MAP, at(2 * PAGE_SIZE), 3 * PAGE_SIZE);
	assert_cause(MCL_CAUSE_PROMOTION, 1, 3);
}

/* The unit goes to the device, and is home again @age_us later before the pager hears of it. */
static void served_bounce(uint64_t unit, uint64_t age_us)
{
	fake_device(unit + PAGE_SIZE, MCL_ACCESS_WRITE);
	fake_now_ns += age_us * 1000;
	memset(&fake.residency[(unit - FAKE_BASE) / PAGE_SIZE], MCL_RES_NONE, UNIT / PAGE_SIZE);
	fake_report(MCL_MEV_CPU_FAULT, unit, UNIT, MCL_ACCESS_READ, false);
	fake.events[fake.event_count - 1].time = fake_now_ns;
	/* Reading of it late does not make it another bounce. */
	fake_now_ns += 1000000000;
	mcl_pager_events(pager);
}

/* A mirror that serves touches itself: nothing is moved or counted for them, and the device's next fault maps in place. */
static void served_touches(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		served_bounce(at(0), 20);
		assert_int_equal(fake.ops[FAKE_MIGRATE], i + 1);
		assert_int_equal(fake.ops[FAKE_MAP], 0);
		assert_int_equal(atomic_load(&pager->vram_pages), 0);
	}
	assert_int_equal(fake.ops[FAKE_EVICT], 0);
	fake_device(at(PAGE_SIZE), MCL_ACCESS_WRITE);
	assert_int_equal(fake.ops[FAKE_MIGRATE], 3);
	assert_last(FAKE_MAP, at(0), UNIT);
	assert_last(FAKE_REPLAY, at(0), UNIT);
	assert_cause(MCL_CAUSE_CPU_FAULT, 0, 0);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 3, 48);
	assert_cause(MCL_CAUSE_PROMOTION, 1, 16);
	/* Slow ones do not add up, and forget. */
	for (unsigned int i = 0; i < 20; i++)
		served_bounce(at(BLOCK), i % 3 ? 20 : 20000);
	assert_int_equal(fake.ops[FAKE_MAP], 1);
}

#define test(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(touch),
		test(sequence),
		test(home_already),
		test(promoted),
		test(slow_bounces),
		test(counts_are_of_pages),
		test(no_promotion_wanted),
		test(hold_if_not_promotable),
		test(hold_if_no_room),
		test(promotion_deferred),
		test(eviction_deferred),
		test(promotion_cut),
		test(served_touches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
