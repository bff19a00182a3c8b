// SPDX-License-Identifier: MIT
/* Medians, ratios and verdicts of the benchmark, and its table of rows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "rows.h"

/* Every row can be judged: it has a case, and what its mark is a ratio to is measured. */
static void test_rows_are_complete(void **state)
{
	(void)state;
	assert_true(bench_row_count > 0);
	for (size_t i = 0; i < bench_row_count; i++) {
		const struct bench_row *row = &bench_rows[i];

		assert_non_null(row->measure);
		assert_ptr_equal(bench_find_row(row->id), row);
		assert_true(row->against == WHO_POCL || row->against == WHO_LIMIT);
		if (row->against == WHO_LIMIT)
			assert_true(row->paired == !row->limit);
		if (row->paired)
			assert_null(row->limit);
		assert_int_equal(row->mark > 0, row->marked[WHO_SHARED] || row->marked[WHO_UFFD]);
	}
	assert_null(bench_find_row("no such row"));
}

/* The picked number does not depend on the order of the rounds. */
static void test_pick(void **state)
{
	struct bench_series odd = { 3, { 30, 10, 20 }, { 0 } }, even = { 4, { 4, 1, 3, 2 }, { 0 } }, none = { 0 };

	(void)state;
	assert_true(bench_pick(&odd, PICK_MEDIAN) == 20);
	assert_true(bench_pick(&odd, PICK_MIN) == 10);
	assert_true(bench_pick(&even, PICK_MEDIAN) == 2.5);
	assert_true(isnan(bench_pick(&none, PICK_MIN)));
	assert_true(odd.values[0] == 30);
}

/* Rounds are compared one by one: one in which both were five times slower changes nothing. A ratio to nothing is no ratio. */
static void test_ratio(void **state)
{
	struct bench_series a = { 3, { 1, 5, 2 }, { 0 } }, b = { 3, { 4, 20, 4 }, { 0 } }, zero = { 1, { 0 }, { 0 } },
			    none = { 0 };

	(void)state;
	assert_true(bench_ratio(&a, &b) == 0.25);
	assert_true(bench_ratio(&b, &a) == 4);
	assert_true(isnan(bench_ratio(&none, &b)));
	assert_true(isnan(bench_ratio(&a, &none)));
	assert_true(isnan(bench_ratio(&a, &zero)));
}

/* In a paired row each process has its own limit, whatever the others' are; the one that is shown is each round's best. */
static void test_paired(void **state)
{
	const struct bench_row row = { .paired = true, .against = WHO_LIMIT, .mark = 1.05, .marked = { true, true } };
	const bool tried[WHO_COUNT] = { true, true, true, false };
	struct bench_series s[WHO_COUNT] = {
		[WHO_SHARED] = { 3, { 10, 30, 21 }, { 10, 20, 20 } },
		[WHO_UFFD] = { 3, { 20, 2, 44 }, { 10, 2, 40 } },
		[WHO_POCL] = { 3, { 5, 60, 42 }, { 20, 30, 15 } },
	};

	(void)state;
	/* Not wanted, or not measured: nothing to compare with. */
	assert_true(isnan(bench_compare(&row, s, WHO_SHARED, WHO_LIMIT)));
	assert_int_equal(bench_judge(&row, s, tried), VERDICT_NONE);
	bench_least_limits(s);
	assert_int_equal(s[WHO_LIMIT].count, 3);
	assert_true(s[WHO_LIMIT].values[0] == 10 && s[WHO_LIMIT].values[1] == 2 && s[WHO_LIMIT].values[2] == 15);
	assert_true(fabs(bench_compare(&row, s, WHO_SHARED, WHO_LIMIT) - 1.05) < 1e-9);
	assert_true(fabs(bench_compare(&row, s, WHO_UFFD, WHO_LIMIT) - 1.1) < 1e-9);
	/* POCL's are no limits: as in other rows. */
	assert_true(bench_compare(&row, s, WHO_SHARED, WHO_POCL) == 0.5);
	assert_int_equal(bench_judge(&row, s, tried), VERDICT_MISS);
	s[WHO_UFFD].values[0] = 10;
	assert_int_equal(bench_judge(&row, s, tried), VERDICT_PASS);
}

static enum bench_verdict judge(const struct bench_row *row, double shared, double uffd, double pocl, double limit)
{
	const double values[WHO_COUNT] = { shared, uffd, pocl, limit };
	struct bench_series series[WHO_COUNT];
	bool tried[WHO_COUNT];

	for (int who = 0; who < WHO_COUNT; who++) {
		tried[who] = !isnan(values[who]);
		series[who] = (struct bench_series){ tried[who], { values[who] }, { 0 } };
	}
	return bench_judge(row, series, tried);
}

/* A mark holds on every mirror it is for, and only what was measured counts. */
static void test_judge(void **state)
{
	const struct bench_row both = { .against = WHO_POCL, .mark = 0.5, .marked = { true, true } };
	const struct bench_row uffd = { .against = WHO_LIMIT, .mark = 1, .marked = { false, true } };
	const struct bench_row info = { .against = WHO_LIMIT };

	(void)state;
	assert_int_equal(judge(&both, 5, 5, 10, NAN), VERDICT_PASS);
	assert_int_equal(judge(&both, 5, 5.1, 10, NAN), VERDICT_MISS);
	assert_int_equal(judge(&both, 5.1, 5, 10, NAN), VERDICT_MISS);
	assert_int_equal(judge(&both, 5, NAN, 10, NAN), VERDICT_PASS);
	assert_int_equal(judge(&both, NAN, NAN, 10, NAN), VERDICT_NONE);
	assert_int_equal(judge(&both, 5, 5, NAN, NAN), VERDICT_NONE);
	assert_int_equal(judge(&uffd, 99, 1, NAN, 1), VERDICT_PASS);
	assert_int_equal(judge(&uffd, 1, 99, NAN, 1), VERDICT_MISS);
	assert_int_equal(judge(&uffd, 1, NAN, NAN, 1), VERDICT_NONE);
	assert_int_equal(judge(&info, 99, 99, 1, 1), VERDICT_NONE);
}

/* A run that was tried and gave no number is never a pass, in rows without a mark either. */
static void test_judge_failed(void **state)
{
	const struct bench_row both = { .against = WHO_POCL, .mark = 0.5, .marked = { true, true } };
	const struct bench_row info = { .against = WHO_LIMIT };
	const struct bench_series series[WHO_COUNT] = { { 1, { 1 }, { 0 } }, { 0 }, { 1, { 10 }, { 0 } }, { 0 } };
	const bool tried[WHO_COUNT] = { true, true, true, false };

	(void)state;
	assert_int_equal(bench_judge(&both, series, tried), VERDICT_FAILED);
	assert_int_equal(bench_judge(&info, series, tried), VERDICT_FAILED);
}

static void test_format(void **state)
{
	char text[16];

	(void)state;
	assert_string_equal(bench_format(12.34, UNIT_TIME, text, sizeof(text)), "12.3 ns");
	assert_string_equal(bench_format(999, UNIT_TIME, text, sizeof(text)), "999 ns");
	assert_string_equal(bench_format(1500, UNIT_TIME, text, sizeof(text)), "1.50 us");
	assert_string_equal(bench_format(7.2e12, UNIT_TIME, text, sizeof(text)), "7200 s");
	assert_string_equal(bench_format(1536, UNIT_BYTES, text, sizeof(text)), "1.50 KiB");
	assert_string_equal(bench_format(NAN, UNIT_TIME, text, sizeof(text)), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_complete),
		cmocka_unit_test(test_pick),
		cmocka_unit_test(test_ratio),
		cmocka_unit_test(test_paired),
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_judge_failed),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
