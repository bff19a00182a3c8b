/* SPDX-License-Identifier: MIT */
/*
 * The rows of the benchmark's table and how their numbers are judged: which case measures a row, what it is compared with,
 * the mark it must reach, and the arithmetic of medians, ratios and verdicts. Runs nothing and prints nothing.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who can be measured. The first two are MirrorCL on its mirrors. */
enum bench_who {
	WHO_SHARED,
	WHO_UFFD,
	WHO_POCL,
	WHO_LIMIT, /* plain C on the host */
	WHO_COUNT
};

#define WHO_MIRRORCL 2 /* the first so many are MirrorCL */

enum bench_unit {
	UNIT_TIME, /* nanoseconds */
	UNIT_BYTES,
};

/* How the values of several rounds become one. */
enum bench_pick {
	PICK_MIN, /* latencies: what disturbs them only ever adds */
	PICK_MEDIAN,
};

struct bench_row {
	const char *id; /* --only takes it */
	const char *title;
	const char *measure; /* case of mirrorcl-bench-case */
	const char *limit; /* case that gives the limit, or NULL */
	bool paired; /* .measure itself gives a limit, measured in the same process by turns; .limit is NULL then */
	enum bench_unit unit;
	enum bench_pick pick;
	bool cold; /* every run starts with empty caches */
	enum bench_who against; /* WHO_POCL or WHO_LIMIT: what the mark is a ratio to */
	double mark; /* highest ratio that passes; 0: for information only */
	bool marked[WHO_MIRRORCL]; /* mirrors the mark holds for */
};

extern const struct bench_row bench_rows[];
extern const size_t bench_row_count;

/* The row called @id, or NULL. */
const struct bench_row *bench_find_row(const char *id);

#define BENCH_MAX_ROUNDS 99u

/* The values of one row by one implementation, one each round; in a paired row, each with the limit of its own process. */
struct bench_series {
	unsigned int count;
	double values[BENCH_MAX_ROUNDS], limits[BENCH_MAX_ROUNDS];
};

/* The series as one number; NAN when it is empty. Reorders nothing. */
double bench_pick(const struct bench_series *series, enum bench_pick pick);

/*
 * How @a compares with @b: the median over the rounds of the ratio within a round, because what the machine does to a
 * round it does to both. NAN when there is nothing to compare.
 */
double bench_ratio(const struct bench_series *a, const struct bench_series *b);

/*
 * How @who compares with @against, which is WHO_POCL or WHO_LIMIT: bench_ratio(), but in a paired row each value with
 * the limit of its own process. NAN when there is nothing to compare.
 */
double bench_compare(const struct bench_row *row, const struct bench_series series[WHO_COUNT], enum bench_who who,
		     enum bench_who against);

/* Of a paired row: what is shown as the limit is, of each round, the smallest of all limits that were measured in it. */
void bench_least_limits(struct bench_series series[WHO_COUNT]);

enum bench_verdict {
	VERDICT_NONE, /* no mark, or nothing to compare */
	VERDICT_PASS,
	VERDICT_MISS,
	VERDICT_FAILED, /* a measurement that was tried gave no number */
};

/*
 * Judge one row. @tried tells who was attempted; an empty series is a failure then. A marked mirror that was tried must have
 * numbers and be within the mark; one that was not tried does not count.
 */
enum bench_verdict bench_judge(const struct bench_row *row, const struct bench_series series[WHO_COUNT],
			       const bool tried[WHO_COUNT]);

const char *bench_verdict_name(enum bench_verdict verdict);
const char *bench_who_name(enum bench_who who);

/* "12.3 us", "4.50 MiB", "-" for NAN; into @text of at least 16 bytes, which is returned. */
char *bench_format(double value, enum bench_unit unit, char *text, size_t size);

#endif
