// SPDX-License-Identifier: MIT
/* What the program and the engine ask for, and the options. */
#include <errno.h>

#include "pager/tests/fake_mirror.h"

static uint64_t at(uint64_t offset)
{
	return FAKE_BASE + offset;
}

/* A range is widened to whole pages, moved block by block, and counted as asked for. */
static void to_device_and_back(void **state)
{
	(void)state;
	mcl_pager_move(pager, at(100), 3 * BLOCK, false);
	assert_int_equal(fake.ops[FAKE_MIGRATE], 4);
	assert_int_equal(fake_pages(FAKE_BASE, FAKE_SIZE, MCL_RES_VRAM), 3 * 512 + 1);
	assert_cause(MCL_CAUSE_REQUEST, 4, 3 * 512 + 1);
	assert_counted(4);
	assert_int_equal(atomic_load(&pager->vram_pages), 3 * 512 + 1);
	/* Again: nothing to do, nothing to count. */
	mcl_pager_move(pager, at(100), 3 * BLOCK, false);
	assert_counted(4);
	mcl_pager_move(pager, at(BLOCK - 1), 2, true);
	assert_cause(MCL_CAUSE_REQUEST, 6, 3 * 512 + 3);
	assert_int_equal(atomic_load(&pager->vram_pages), 3 * 512 - 1);
	mcl_pager_move(pager, at(0), 4 * BLOCK, true);
	assert_int_equal(atomic_load(&pager->vram_pages), 0);
	assert_null(pager->oldest);
}

/* Holes and memory that does not page are passed over; the rest moves. */
static void gaps(void **state)
{
	(void)state;
	fake.extents[0] = (struct mcl_extent){ at(UNIT), at(2 * UNIT), MCL_EXTENT_NONE, false, false, false };
	fake.extents[1] = (struct mcl_extent){ at(2 * UNIT), at(3 * UNIT), MCL_EXTENT_IN_PLACE, true, true, false };
	fake.extents[2] = (struct mcl_extent){ at(0), at(UNIT), MCL_EXTENT_PAGEABLE, true, true, true };
	fake.extent_count = 3;
	mcl_pager_move(pager, at(0), 4 * UNIT, false);
	assert_int_equal(fake_pages(at(0), UNIT, MCL_RES_VRAM), 16);
	assert_int_equal(fake_pages(at(UNIT), 2 * UNIT, MCL_RES_NONE), 32);
	assert_int_equal(fake_pages(at(3 * UNIT), UNIT, MCL_RES_VRAM), 16);
	assert_int_equal(fake.ops[FAKE_MAP], 0);
	assert_cause(MCL_CAUSE_REQUEST, 2, 32);
}

/* More than fits: the end of it does not throw out the beginning. */
static void more_than_fits(void **state)
{
	(void)state;
	fake_restart(0, 3, 50, 4 * BLOCK);
	mcl_pager_move(pager, at(0), 10 * BLOCK, false);
	assert_cause(MCL_CAUSE_EVICTION, 0, 0);
	assert_int_equal(fake_pages(at(0), 4 * BLOCK, MCL_RES_VRAM), 4 * 512);
	assert_int_equal(atomic_load(&pager->vram_pages), 4 * 512);
	/* What fits may throw out what was there before. */
	mcl_pager_move(pager, at(20 * BLOCK), 2 * BLOCK, false);
	assert_cause(MCL_CAUSE_EVICTION, 2, 2 * 512);
	assert_int_equal(fake_pages(at(20 * BLOCK), 2 * BLOCK, MCL_RES_VRAM), 2 * 512);
	assert_int_equal(atomic_load(&pager->vram_peak_pages), 4 * 512);
}

/* Changes of the address space are read meanwhile, and what does not settle is given up, not waited for for ever. */
static void changing(void **state)
{
	(void)state;
	fake_refuse(FAKE_MIGRATE, 3, -EAGAIN);
	fake_report(MCL_MEV_UNMAP, at(100 * BLOCK), BLOCK, MCL_ACCESS_READ, false);
	mcl_pager_move(pager, at(0), UNIT, false);
	assert_int_equal(fake.event_count, 0);
	assert_cause(MCL_CAUSE_REQUEST, 1, 16);
	fake_refuse(FAKE_MIGRATE, UINT32_MAX, -EAGAIN);
	mcl_pager_move(pager, at(BLOCK), UNIT, false);
	assert_cause(MCL_CAUSE_REQUEST, 1, 16);
}

/* Around a fork device faults wait, requests for the device are dropped, the host gets all it wants. */
static void frozen(void **state)
{
	struct mcl_pager_request *r = pager->requests;

	(void)state;
	fake_device(at(0), MCL_ACCESS_WRITE);
	r[0].kind = r[1].kind = REQUEST_FREEZE;
	atomic_store(&r[0].state, 2 /* posted */);
	atomic_store(&r[1].state, 2);
	mcl_pager_serve_requests(pager);
	assert_int_equal(atomic_load(&r[0].state), 3 /* done */);
	assert_int_equal(fake.ops[FAKE_HOME], 2);
	assert_int_equal(atomic_load(&pager->vram_pages), 0);
	fake_forget_calls();

	fake_device(at(0), MCL_ACCESS_WRITE);
	mcl_pager_events(pager);
	assert_int_equal(pager->deferred_count, 1);
	r[2].kind = REQUEST_TO_DEVICE;
	r[2].start = at(BLOCK);
	r[2].size = BLOCK;
	atomic_store(&r[2].state, 2);
	mcl_pager_serve_requests(pager);
	assert_int_equal(atomic_load(&r[2].state), 3);
	fake_host(at(0));
	assert_int_equal(fake.ops[FAKE_MIGRATE] + fake.ops[FAKE_MAP], 0);
	assert_int_equal(fake.ops[FAKE_REPLAY], 1);

	/* Two forks: the first one's end is not the other's. */
	r[3].kind = r[4].kind = REQUEST_THAW;
	atomic_store(&r[3].state, 2);
	mcl_pager_serve_requests(pager);
	mcl_pager_events(pager);
	assert_int_equal(fake.ops[FAKE_MIGRATE], 0);
	assert_int_equal(pager->deferred_count, 1);
	atomic_store(&r[4].state, 2);
	mcl_pager_serve_requests(pager);
	mcl_pager_events(pager);
	assert_int_equal(fake.ops[FAKE_MIGRATE], 1);
	assert_int_equal(pager->deferred_count, 0);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 2, 32);
	assert_counted(2);
}

/* A fault does not grow old while the pager is frozen, however long that takes. */
static void frozen_long(void **state)
{
	(void)state;
	pager->frozen = 1;
	fake_device(at(0), MCL_ACCESS_WRITE);
	for (int i = 0; i < 5000; i++)
		mcl_pager_events(pager);
	pager->frozen = 0;
	mcl_pager_events(pager);
	assert_int_equal(fake.ops[FAKE_FAIL], 0);
	assert_cause(MCL_CAUSE_DEVICE_WRITE, 1, 16);
}

/* Options that make no sense are replaced, the others kept. */
static void options(void **state)
{
	static const struct {
		uint64_t chunk, result;
	} cases[] = {
		{ 0, 0 }, { 4096, 4096 },  { 65536, 65536 }, { 2 << 20, 2 << 20 }, { 4 << 20, 0 },    { 2048, 0 },
		{ 1, 0 }, { 3 * 4096, 0 }, { 65537, 0 },     { UINT64_MAX, 0 },	   { 1ull << 63, 0 },
	};
	struct mcl_config c = *mcl_config();

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		c.chunk = cases[i].chunk;
		assert_int_equal(mcl_pager_policy_from(&c).chunk, cases[i].result);
	}
	c.promote_after = 0;
	assert_int_equal(mcl_pager_policy_from(&c).promote_after, 0);
	c.promote_after = 255;
	assert_int_equal(mcl_pager_policy_from(&c).promote_after, 255);
	c.promote_after = 256;
	assert_int_equal(mcl_pager_policy_from(&c).promote_after, 255);
	c.hold_us = 7;
	assert_int_equal(mcl_pager_policy_from(&c).hold_us, 7);
}

#define test(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(to_device_and_back), test(gaps),	 test(more_than_fits), test(changing), test(frozen),
		test(frozen_long),	  test(options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
