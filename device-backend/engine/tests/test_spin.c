// SPDX-License-Identifier: MIT
/* How long a waiter polls, by what it has met with (struct mcl_spin). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/command_ring.h"

#define LIMIT 3200u

static void wait_once(struct mcl_spin *s, uint64_t expected, bool paid)
{
	assert_true(mcl_spin_begin(s) == expected);
	mcl_spin_end(s, paid);
}

/* Full limit until it failed several times in a row; then short, with a full one now and then. */
static void gives_up(void **state)
{
	struct mcl_spin s = { .limit = LIMIT };
	uint32_t full = 0;

	(void)state;
	for (uint32_t i = 0; i < MCL_SPIN_MISSES; i++)
		wait_once(&s, LIMIT, false);
	for (uint32_t i = 0; i < 4 * MCL_SPIN_RETRY; i++) {
		const uint64_t budget = mcl_spin_begin(&s);

		assert_true(budget == LIMIT || budget == LIMIT / MCL_SPIN_SHORT);
		full += budget == LIMIT;
		mcl_spin_end(&s, false);
	}
	assert_int_equal(full, 4);
	/* One success, however short the poll was, and the limit is back. */
	mcl_spin_begin(&s);
	mcl_spin_end(&s, true);
	for (uint32_t i = 0; i < MCL_SPIN_MISSES; i++)
		wait_once(&s, LIMIT, false);
	assert_true(mcl_spin_begin(&s) == LIMIT / MCL_SPIN_SHORT);
}

/* Who waits for a short and a long time by turns keeps polling. */
static void by_turns(void **state)
{
	struct mcl_spin s = { .limit = LIMIT };

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		wait_once(&s, LIMIT, i % MCL_SPIN_MISSES == 0);
}

/* Having given up while the waits were long, it notices when every other one is short, whichever of the two it tries first. */
static void by_turns_again(void **state)
{
	(void)state;
	for (uint32_t first = 0; first < 2; first++) {
		struct mcl_spin s = { .limit = LIMIT };
		uint32_t i, full = 0;

		for (i = 0; i < MCL_SPIN_MISSES; i++)
			wait_once(&s, LIMIT, false);
		for (i = first; i < 4 * MCL_SPIN_RETRY && full < MCL_SPIN_MISSES; i++) {
			const bool tried = mcl_spin_begin(&s) == LIMIT, comes = i % 2;

			full = tried ? full + 1 : 0;
			mcl_spin_end(&s, tried && comes);
		}
		assert_int_equal(full, MCL_SPIN_MISSES);
	}
}

static void never(void **state)
{
	struct mcl_spin s = { .limit = 0 };

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		wait_once(&s, 0, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_up),
		cmocka_unit_test(by_turns),
		cmocka_unit_test(by_turns_again),
		cmocka_unit_test(never),
	};

	return cmocka_run_group_tests_name("spin", tests, NULL, NULL);
}
