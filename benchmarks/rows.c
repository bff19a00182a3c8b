// SPDX-License-Identifier: MIT
/* The table of marks; see rows.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

#define BOTH { true, true }
#define UFFD_ONLY { false, true }

/*
 * Where a host loop does the same work, the mark is a ratio to it; in all other rows it is a ratio to POCL. The exception is
 * sgemm: its host loop is written in the best order for vectors, and the mark asks for no worse than POCL.
 */
const struct bench_row bench_rows[] = {
	{ .id = "empty",
	  .title = "empty kernel, enqueue + finish",
	  .measure = "empty",
	  .pick = PICK_MIN,
	  .against = WHO_POCL,
	  .mark = 0.5,
	  .marked = BOTH },
	{ .id = "burst",
	  .title = "1000 empty kernels, one finish",
	  .measure = "burst",
	  .pick = PICK_MIN,
	  .against = WHO_POCL,
	  .mark = 0.3,
	  .marked = BOTH },
	{ .id = "live-svm",
	  .title = "launch, 10,000 live SVM allocations",
	  .measure = "live-svm",
	  .pick = PICK_MIN,
	  .against = WHO_POCL,
	  .mark = 0.1,
	  .marked = BOTH },
	{ .id = "round-trip",
	  .title = "atomic round trip host - kernel",
	  .measure = "round-trip",
	  .limit = "limit-round-trip",
	  .pick = PICK_MIN,
	  .against = WHO_LIMIT,
	  .mark = 1.1,
	  .marked = BOTH },
	{ .id = "triad-svm",
	  .title = "triad, SVM, 3 x 64 MiB",
	  .measure = "triad-svm",
	  .paired = true,
	  .pick = PICK_MEDIAN,
	  .against = WHO_LIMIT,
	  .mark = 1.05,
	  .marked = BOTH },
	{ .id = "triad-malloc",
	  .title = "triad, malloc, after first touch",
	  .measure = "triad-malloc",
	  .paired = true,
	  .pick = PICK_MEDIAN,
	  .against = WHO_LIMIT,
	  .mark = 1.05,
	  .marked = BOTH },
	{ .id = "chase",
	  .title = "pointer chase, malloc, one step",
	  .measure = "chase",
	  .paired = true,
	  .pick = PICK_MEDIAN,
	  .against = WHO_LIMIT,
	  .mark = 1.05,
	  .marked = BOTH },
	{ .id = "sgemm",
	  .title = "naive 512x512 sgemm",
	  .measure = "sgemm",
	  .limit = "limit-sgemm",
	  .pick = PICK_MEDIAN,
	  .against = WHO_POCL,
	  .mark = 1.0,
	  .marked = BOTH },
	{ .id = "init",
	  .title = "platform init to context",
	  .measure = "init",
	  .pick = PICK_MEDIAN,
	  .against = WHO_POCL,
	  .mark = 0.5,
	  .marked = BOTH },
	{ .id = "first-kernel",
	  .title = "process start to first kernel done",
	  .measure = "first-kernel",
	  .limit = "limit-start",
	  .pick = PICK_MEDIAN,
	  .against = WHO_POCL,
	  .mark = 0.3,
	  .marked = BOTH },
	{ .id = "cold-build",
	  .title = "cold build and first launch",
	  .measure = "cold-build",
	  .pick = PICK_MEDIAN,
	  .cold = true,
	  .against = WHO_POCL,
	  .mark = 1.3,
	  .marked = BOTH },
	{ .id = "memory",
	  .title = "resident memory, host + engine",
	  .measure = "memory",
	  .unit = UNIT_BYTES,
	  .pick = PICK_MEDIAN,
	  .against = WHO_POCL,
	  .mark = 0.3,
	  .marked = BOTH },
	{ .id = "first-pass",
	  .title = "first pass, 256 MiB malloc, read",
	  .measure = "pass-read",
	  .limit = "limit-memcpy",
	  .pick = PICK_MEDIAN,
	  .against = WHO_LIMIT,
	  .mark = 1.0,
	  .marked = UFFD_ONLY },
	{ .id = "first-pass-write",
	  .title = "first pass, 256 MiB malloc, write",
	  .measure = "pass-write",
	  .limit = "limit-memcpy",
	  .pick = PICK_MEDIAN,
	  .against = WHO_LIMIT },
};

const size_t bench_row_count = sizeof(bench_rows) / sizeof(*bench_rows);

const struct bench_row *bench_find_row(const char *id)
{
	for (size_t i = 0; i < bench_row_count; i++)
		if (!strcmp(bench_rows[i].id, id))
			return &bench_rows[i];
	return NULL;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_pick(const struct bench_series *series, enum bench_pick pick)
{
	double sorted[BENCH_MAX_ROUNDS];
	unsigned int n = series->count;

	if (!n)
		return NAN;
	memcpy(sorted, series->values, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	if (pick == PICK_MIN)
		return sorted[0];
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* The median of the ratios of @count values. */
static double median_ratio(const double *a, const double *b, unsigned int count)
{
	struct bench_series ratios = { .count = count };

	for (unsigned int i = 0; i < count; i++) {
		if (b[i] <= 0)
			return NAN;
		ratios.values[i] = a[i] / b[i];
	}
	return bench_pick(&ratios, PICK_MEDIAN);
}

double bench_ratio(const struct bench_series *a, const struct bench_series *b)
{
	return median_ratio(a->values, b->values, a->count < b->count ? a->count : b->count);
}

double bench_compare(const struct bench_row *row, const struct bench_series series[WHO_COUNT], enum bench_who who,
		     enum bench_who against)
{
	const struct bench_series *s = &series[who];

	if (!row->paired || against != WHO_LIMIT)
		return bench_ratio(s, &series[against]);
	/* Whoever does not want limits gets none. */
	return series[WHO_LIMIT].count ? median_ratio(s->values, s->limits, s->count) : NAN;
}

void bench_least_limits(struct bench_series series[WHO_COUNT])
{
	struct bench_series *limit = &series[WHO_LIMIT];

	for (int who = 0; who < WHO_LIMIT; who++) {
		for (unsigned int i = 0; i < series[who].count; i++)
			if (i >= limit->count || series[who].limits[i] < limit->values[i])
				limit->values[i] = series[who].limits[i];
		if (limit->count < series[who].count)
			limit->count = series[who].count;
	}
}

enum bench_verdict bench_judge(const struct bench_row *row, const struct bench_series series[WHO_COUNT],
			       const bool tried[WHO_COUNT])
{
	enum bench_verdict verdict = VERDICT_NONE;

	for (int who = 0; who < WHO_COUNT; who++)
		if (tried[who] && !series[who].count)
			return VERDICT_FAILED;
	if (row->mark <= 0)
		return VERDICT_NONE;
	for (int who = 0; who < WHO_MIRRORCL; who++) {
		double ratio = bench_compare(row, series, who, row->against);

		if (!row->marked[who] || isnan(ratio))
			continue;
		if (ratio > row->mark)
			return VERDICT_MISS;
		verdict = VERDICT_PASS;
	}
	return verdict;
}

const char *bench_verdict_name(enum bench_verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_NONE] = "-",
		[VERDICT_PASS] = "pass",
		[VERDICT_MISS] = "MISS",
		[VERDICT_FAILED] = "FAILED",
	};

	return names[verdict];
}

const char *bench_who_name(enum bench_who who)
{
	static const char *const names[] = {
		[WHO_SHARED] = "shared",
		[WHO_UFFD] = "uffd",
		[WHO_POCL] = "POCL",
		[WHO_LIMIT] = "limit",
	};

	return names[who];
}

char *bench_format(double value, enum bench_unit unit, char *text, size_t size)
{
	static const struct {
		double factor;
		const char *names[4];
	} units[] = {
		[UNIT_TIME] = { 1000, { "ns", "us", "ms", "s" } },
		[UNIT_BYTES] = { 1024, { "B", "KiB", "MiB", "GiB" } },
	};
	int step = 0;

	if (isnan(value)) {
		snprintf(text, size, "-");
		return text;
	}
	while (step < 3 && value >= units[unit].factor) {
		value /= units[unit].factor;
		step++;
	}
	snprintf(text, size, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, units[unit].names[step]);
	return text;
}
