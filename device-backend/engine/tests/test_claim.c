// SPDX-License-Identifier: MIT
/*
 * Which groups units claim: each once, in order or in ranges of the processors' own. Looks into the rings, since from outside the
 * two are the same.
 */
#include "device.h"
#include "engine/host/backend_private.h"

/* Of a launch, so that it is long enough for ranges. */
#define STEPS 1000000ull

static struct device d;
static uint32_t units;

static int setup(void **state)
{
	struct mcl_backend_caps caps;

	(void)state;
	device_open(&d);
	mcl_backend_query(&caps);
	units = caps.compute_units;
	assert_in_range(units, 2, 8);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	device_close(&d);
	return 0;
}

/* How many groups were in a range of the packet that was submitted last; 0: it had none. */
static uint64_t last_grain(void)
{
	const struct mcl_hw_ring *hw = d.ring->hw;
	struct mcl_packet *p = &hw->mem->slots[(hw->next - 1) % MCL_RING_SLOTS];
	uint64_t grain;

	if (!(p->flags & MCL_PKT_ANY_ORDER))
		return 0;
	grain = MCL_CURSOR_GROUP(atomic_load(&p->grain));
	assert_int_equal(atomic_load(&p->grain), MCL_CURSOR_TAG(hw->next - 1) | grain);
	assert_true(grain > 0);
	return grain == MCL_GRAIN_IN_ORDER ? 0 : grain;
}

/* All ranges taken, and no more. */
static void check_taken(uint64_t total, uint64_t grain)
{
	const struct mcl_hw_ring *hw = d.ring->hw;
	struct mcl_packet *p = &hw->mem->slots[(hw->next - 1) % MCL_RING_SLOTS];
	int taken = 0;

	for (uint32_t i = 0; i < MCL_RANGES / 64; i++)
		taken += __builtin_popcountll(atomic_load(&p->taken[i]));
	assert_int_equal(taken, (total + grain - 1) / grain);
}

/* Sizes that fill the ranges and sizes that do not. The first launch of a kernel is in order: nothing is known of it. */
static void each_group_once(void **state)
{
	static const uint64_t totals[] = { 64, 65, 100, 255, 256, 257, 511, 1000, 4099, 16384 };
	enum { LAUNCHES = 30 };

	(void)state;
	for (uint32_t t = 0; t < ARRAY_SIZE(totals); t++) {
		const uint64_t total = totals[t], local = 3, steps = STEPS / total;
		uint32_t *visits = calloc(total * local, sizeof(*visits)), ranges = 0;
		const struct mcl_arg args[] = { ARG(visits), ARG(steps) };

		for (uint32_t i = 0; i < LAUNCHES; i++) {
			uint64_t grain;

			assert_int_equal(device_run(&d, "visit", total, local, args), MCL_STATUS_OK);
			grain = last_grain();
			if (t == 0 && i == 0)
				assert_int_equal(grain, 0);
			if (!grain)
				continue;
			assert_in_range((total + grain - 1) / grain, units * 8ull, MCL_RANGES);
			check_taken(total, grain);
			ranges++;
		}
		for (uint64_t i = 0; i < total * local; i++)
			assert_int_equal(visits[i], LAUNCHES);
		/* Which unit decides differs, and whether it knows the kernel yet. */
		assert_in_range(ranges, 1, LAUNCHES);
		free(visits);
	}
}

/* A handful of groups, and groups that can notice, never. */
static void in_order(void **state)
{
	uint32_t *visits = calloc(1000, sizeof(*visits)), all = 0, *pall = &all;
	const uint64_t steps = STEPS / 63;
	const struct mcl_arg args[] = { ARG(visits), ARG(steps) }, tell[] = { ARG(visits), ARG(pall) };

	(void)state;
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(device_run(&d, "visit", 63, 1, args), MCL_STATUS_OK);
		assert_int_equal(last_grain(), 0);
		assert_int_equal(device_run(&d, "visit_and_tell", 1000, 1, tell), MCL_STATUS_OK);
		assert_int_equal(last_grain(), 0);
	}
	assert_int_equal(all, 20000);
	free(visits);
}

/* A group that dies ends the launch once, whichever it is, and takes nothing along but groups of its own launch. */
static void death(void **state)
{
	enum { GROUPS = 300, ROUNDS = 40 };
	uint32_t visits[GROUPS] = { 0 }, *pvisits = visits, *nowhere = NULL, ranges = 0;
	uint64_t deadly = GROUPS, steps = STEPS / GROUPS;
	const struct mcl_arg args[] = { ARG(pvisits), ARG(steps), ARG(nowhere), ARG(deadly) };

	(void)state;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		deadly = GROUPS;
		assert_int_equal(device_run(&d, "visit_or_die", GROUPS, 1, args), MCL_STATUS_OK);
		for (uint32_t k = 0; k < GROUPS; k++)
			assert_int_equal(visits[k], 1);
		deadly = i * 37 % GROUPS;
		assert_int_equal(device_run(&d, "visit_or_die", GROUPS, 1, args), MCL_STATUS_FAULT);
		ranges += last_grain() != 0;
		assert_int_equal(visits[deadly], 1);
		for (uint32_t k = 0; k < GROUPS; k++)
			assert_in_range(visits[k], 1, 2);
		memset(visits, 0, sizeof(visits));
	}
	assert_in_range(ranges, 1, ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_group_once),
		cmocka_unit_test(in_order),
		cmocka_unit_test(death),
	};

	return cmocka_run_group_tests_name("claim", tests, setup, teardown);
}
