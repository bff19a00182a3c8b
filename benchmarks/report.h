/* SPDX-License-Identifier: MIT */
/* The benchmark's results as a table for people and as JSON for programs. Measures and judges nothing. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "rows.h"

struct bench_result {
	const struct bench_row *row;
	struct bench_series series[WHO_COUNT];
	bool tried[WHO_COUNT];
	/* filled by bench_settle() */
	double values[WHO_COUNT];
	enum bench_verdict verdict;
};

/* From the series to values and verdict. */
void bench_settle(struct bench_result *result);

/* Print the table. Returns 0 or -errno. */
int bench_print_table(const struct bench_result *results, size_t count, FILE *out);

/* Write all numbers, rounds included, as one JSON object. Returns 0 or -errno. */
int bench_write_json(const struct bench_result *results, size_t count, unsigned int rounds, FILE *out);

#endif
