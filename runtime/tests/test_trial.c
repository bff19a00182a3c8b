// SPDX-License-Identifier: MIT
/* Trials: turns, decisions, and what must not decide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/trial.h"

#define G (1u << MCL_VARIANT_GENERIC)
#define S (1u << MCL_VARIANT_SPECIALISED)
#define J (1u << MCL_VARIANT_JAMMED)

/* Launch until there is a decision: how long each takes. Returns the decision; *launches: how many it took. */
static int run(struct mcl_trial *t, const uint64_t ns[MCL_VARIANT_COUNT], int limit, int *launches)
{
	for (*launches = 1; *launches <= limit; ++*launches) {
		enum mcl_variant v = mcl_trial_next(t);
		int fastest = mcl_trial_note(t, v, ns[v], 100, false);

		if (fastest >= 0)
			return fastest;
	}
	return -1;
}

static void takes_turns(void **state)
{
	struct mcl_trial t;
	int seen[MCL_VARIANT_COUNT] = { 0 };

	(void)state;
	mcl_trial_begin(&t, G | J);
	for (int i = 0; i < 10; i++)
		seen[mcl_trial_next(&t)]++;
	assert_int_equal(seen[MCL_VARIANT_GENERIC], 5);
	assert_int_equal(seen[MCL_VARIANT_SPECIALISED], 0);
	assert_int_equal(seen[MCL_VARIANT_JAMMED], 5);
}

/* Three launches each show a clear difference; a small one takes eight. */
static void decides(void **state)
{
	struct mcl_trial t;
	int launches;

	(void)state;
	mcl_trial_begin(&t, G | S);
	assert_int_equal(run(&t, (uint64_t[]){ 1000, 100, 0 }, 100, &launches), MCL_VARIANT_SPECIALISED);
	assert_int_equal(launches, 6);
	mcl_trial_begin(&t, G | S);
	assert_int_equal(run(&t, (uint64_t[]){ 100, 1000, 0 }, 100, &launches), MCL_VARIANT_GENERIC);
	assert_int_equal(launches, 6);
	mcl_trial_begin(&t, G | S);
	assert_int_equal(run(&t, (uint64_t[]){ 105, 100, 0 }, 100, &launches), MCL_VARIANT_SPECIALISED);
	assert_int_equal(launches, 16);
	/* What is clearly slow is not run any more while the other two go on. */
	mcl_trial_begin(&t, G | S | J);
	assert_int_equal(run(&t, (uint64_t[]){ 100, 5000, 99 }, 100, &launches), MCL_VARIANT_JAMMED);
	assert_int_equal(t.of[MCL_VARIANT_SPECIALISED].count, 3);
}

/* The first launch of the fast one was ten times too long: it still wins. */
static void outliers(void **state)
{
	struct mcl_trial t;
	int fastest = -1;

	(void)state;
	mcl_trial_begin(&t, G | S);
	for (int i = 0; i < 40 && fastest < 0; i++) {
		enum mcl_variant v = mcl_trial_next(&t);
		uint64_t ns = v == MCL_VARIANT_GENERIC ? 200 : i < 2 || i == 7 ? 2000 : 100;

		fastest = mcl_trial_note(&t, v, ns, 100, false);
	}
	assert_int_equal(fastest, MCL_VARIANT_SPECIALISED);
}

/* Launches with page faults say nothing, unless there are no others. */
static void disturbed(void **state)
{
	struct mcl_trial t;
	int fastest = -1, i;

	(void)state;
	mcl_trial_begin(&t, G | S);
	for (i = 0; i < 20; i++)
		assert_int_equal(mcl_trial_note(&t, i % 2, i % 2 ? 10 : 1000, 100, true), -1);
	assert_int_equal(t.of[MCL_VARIANT_SPECIALISED].count, 0);
	assert_int_equal(run(&t, (uint64_t[]){ 100, 1000, 0 }, 100, &i), MCL_VARIANT_GENERIC);

	mcl_trial_begin(&t, G | S);
	for (i = 0; i < 1000 && fastest < 0; i++) {
		enum mcl_variant v = mcl_trial_next(&t);

		fastest = mcl_trial_note(&t, v, v ? 10 : 1000, 100, true);
	}
	assert_int_equal(fastest, MCL_VARIANT_SPECIALISED);
}

/* Sizes that cannot be compared do not mix; a program that changes to another size is measured with that. */
static void sizes(void **state)
{
	struct mcl_trial t;
	int fastest = -1, i;

	(void)state;
	mcl_trial_begin(&t, G | S);
	mcl_trial_note(&t, MCL_VARIANT_GENERIC, 1000, 100, false);
	mcl_trial_note(&t, MCL_VARIANT_SPECIALISED, 500, 1000, false);
	assert_int_equal(t.of[MCL_VARIANT_GENERIC].count, 1);
	assert_int_equal(t.of[MCL_VARIANT_SPECIALISED].count, 0);
	mcl_trial_note(&t, MCL_VARIANT_SPECIALISED, 500, 150, false);
	assert_int_equal(t.of[MCL_VARIANT_SPECIALISED].count, 1);
	for (i = 0; i < 1000 && fastest < 0; i++) {
		enum mcl_variant v = mcl_trial_next(&t);

		fastest = mcl_trial_note(&t, v, v ? 5000000 : 1000000, 10000, false);
	}
	assert_int_equal(fastest, MCL_VARIANT_GENERIC);
	assert_int_equal(t.groups, 10000);
}

/* One that is not in the trial, or any more, is not counted. */
static void strangers(void **state)
{
	struct mcl_trial t;

	(void)state;
	mcl_trial_begin(&t, G | S);
	for (int i = 0; i < 50; i++)
		assert_int_equal(mcl_trial_note(&t, MCL_VARIANT_JAMMED, 1, 100, false), -1);
	assert_int_equal(t.of[MCL_VARIANT_JAMMED].count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_turns), cmocka_unit_test(decides), cmocka_unit_test(outliers),
		cmocka_unit_test(disturbed),   cmocka_unit_test(sizes),	  cmocka_unit_test(strangers),
	};

	return cmocka_run_group_tests_name("trial", tests, NULL, NULL);
}
