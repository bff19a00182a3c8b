// SPDX-License-Identifier: MIT
/* Table and JSON; see report.h. */
#include <errno.h>
#include <jansson.h>
#include <libsmartcols.h>
#include <math.h>
#include <string.h>

#include "report.h"

enum column {
	COL_TITLE,
	COL_SHARED, /* the WHO_COUNT values, in the order of enum bench_who */
	COL_UFFD,
	COL_POCL,
	COL_LIMIT,
	COL_SHARED_POCL, /* ratios */
	COL_UFFD_POCL,
	COL_SHARED_LIMIT,
	COL_UFFD_LIMIT,
	COL_MARK,
	COL_VERDICT,
	COL_COUNT
};

static const char *const headings[] = {
	[COL_TITLE] = "MEASURE",
	[COL_SHARED] = "SHARED",
	[COL_UFFD] = "UFFD",
	[COL_POCL] = "POCL",
	[COL_LIMIT] = "LIMIT",
	[COL_SHARED_POCL] = "SHARED/POCL",
	[COL_UFFD_POCL] = "UFFD/POCL",
	[COL_SHARED_LIMIT] = "SHARED/LIMIT",
	[COL_UFFD_LIMIT] = "UFFD/LIMIT",
	[COL_MARK] = "MARK",
	[COL_VERDICT] = "VERDICT",
};

void bench_settle(struct bench_result *result)
{
	for (int who = 0; who < WHO_COUNT; who++)
		result->values[who] = bench_pick(&result->series[who], result->row->pick);
	result->verdict = bench_judge(result->row, result->series, result->tried);
}

static int put_ratio(struct libscols_line *line, enum column column, double ratio)
{
	char text[32] = "-";

	if (!isnan(ratio))
		snprintf(text, sizeof(text), ratio < 0.1 ? "%.3f" : "%.2f", ratio);
	return scols_line_set_data(line, column, text);
}

static int put_row(struct libscols_table *table, const struct bench_result *r)
{
	const struct bench_series *s = r->series;
	const double *v = r->values;
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char text[64];
	int err;

	if (!line)
		return -ENOMEM;
	err = scols_line_set_data(line, COL_TITLE, r->row->title);
	for (int who = 0; who < WHO_COUNT && !err; who++) {
		bench_format(v[who], r->row->unit, text, sizeof(text));
		if (r->tried[who] && isnan(v[who]))
			strcpy(text, "failed");
		err = scols_line_set_data(line, COL_SHARED + who, text);
	}
	if (!err)
		err = put_ratio(line, COL_SHARED_POCL, bench_compare(r->row, s, WHO_SHARED, WHO_POCL));
	if (!err)
		err = put_ratio(line, COL_UFFD_POCL, bench_compare(r->row, s, WHO_UFFD, WHO_POCL));
	if (!err)
		err = put_ratio(line, COL_SHARED_LIMIT, bench_compare(r->row, s, WHO_SHARED, WHO_LIMIT));
	if (!err)
		err = put_ratio(line, COL_UFFD_LIMIT, bench_compare(r->row, s, WHO_UFFD, WHO_LIMIT));
	if (err)
		return err;
	if (r->row->mark > 0)
		snprintf(text, sizeof(text), "<= %g of %s", r->row->mark, bench_who_name(r->row->against));
	else
		strcpy(text, "-");
	err = scols_line_set_data(line, COL_MARK, text);
	return err ? err : scols_line_set_data(line, COL_VERDICT, bench_verdict_name(r->verdict));
}

int bench_print_table(const struct bench_result *results, size_t count, FILE *out)
{
	struct libscols_table *table = scols_new_table();
	int err = 0;

	if (!table)
		return -ENOMEM;
	scols_table_set_stream(table, out);
	/* Whole, even where the terminal is narrower: a cut number is worse than a wrapped line. */
	scols_table_enable_nowrap(table, 0);
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	for (int c = 0; c < COL_COUNT && !err; c++)
		if (!scols_table_new_column(table, headings[c], 0,
					    c >= COL_SHARED && c <= COL_UFFD_LIMIT ? SCOLS_FL_RIGHT : 0))
			err = -ENOMEM;
	for (size_t i = 0; i < count && !err; i++)
		err = put_row(table, &results[i]);
	if (!err)
		err = scols_print_table(table);
	scols_unref_table(table);
	return err;
}

static json_t *number_or_null(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

static json_t *list_json(const double *values, unsigned int count)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < count; i++)
		json_array_append_new(list, json_real(values[i]));
	return list;
}

static json_t *row_json(const struct bench_result *r)
{
	json_t *values = json_object(), *rounds = json_object(), *limits = json_object();

	for (int who = 0; who < WHO_COUNT; who++) {
		const struct bench_series *s = &r->series[who];

		json_object_set_new(values, bench_who_name(who), number_or_null(r->values[who]));
		json_object_set_new(rounds, bench_who_name(who), list_json(s->values, s->count));
		if (r->row->paired && who != WHO_LIMIT)
			json_object_set_new(limits, bench_who_name(who), list_json(s->limits, s->count));
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s}", "id", r->row->id, "title", r->row->title,
			 "unit", r->row->unit == UNIT_TIME ? "ns" : "bytes", "picked",
			 r->row->pick == PICK_MEDIAN ? "median" : "minimum", "values", values, "rounds", rounds,
			 "limits", limits, "mark", r->row->mark > 0 ? json_real(r->row->mark) : json_null(), "against",
			 bench_who_name(r->row->against), "verdict", bench_verdict_name(r->verdict));
}

int bench_write_json(const struct bench_result *results, size_t count, unsigned int rounds, FILE *out)
{
	json_t *list = json_array(), *root;
	int err = 0;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, row_json(&results[i]));
	root = json_pack("{s:i, s:i, s:o}", "format", 1, "rounds", (int)rounds, "rows", list);
	if (!root)
		return -ENOMEM;
	if (json_dumpf(root, out, JSON_INDENT(1)) || fputc('\n', out) == EOF || fflush(out))
		err = -EIO;
	json_decref(root);
	return err;
}
