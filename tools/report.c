// SPDX-License-Identifier: MIT
/* Reports of finished programs; see report.h. */
#include <errno.h>
#include <jansson.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "support/report.h"
#include "units.h"

#define PAGE 4096.0

enum column { COL_CAUSE, COL_EVENTS, COL_PAGES, COL_SIZE, COL_TIME, COL_AVERAGE, COL_COUNT };

static int put_cause(struct libscols_table *table, const char *name, json_int_t count, json_int_t pages, json_int_t ns)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char text[32];
	int err;

	if (!line)
		return -ENOMEM;
	err = scols_line_set_data(line, COL_CAUSE, name);
	snprintf(text, sizeof(text), "%lld", (long long)count);
	if (!err)
		err = scols_line_set_data(line, COL_EVENTS, text);
	snprintf(text, sizeof(text), "%lld", (long long)pages);
	if (!err)
		err = scols_line_set_data(line, COL_PAGES, text);
	if (!err)
		err = scols_line_set_data(line, COL_SIZE, format_bytes((double)pages * PAGE, text, sizeof(text)));
	if (!err)
		err = scols_line_set_data(line, COL_TIME, format_ns((double)ns, text, sizeof(text)));
	if (!err)
		err = scols_line_set_data(line, COL_AVERAGE,
					  count ? format_ns((double)ns / (double)count, text, sizeof(text)) : "-");
	return err;
}

static int print_causes(json_t *causes, FILE *out)
{
	static const char *const headings[COL_COUNT] = { "CAUSE", "EVENTS", "PAGES", "SIZE", "TIME", "PER EVENT" };
	struct libscols_table *table = scols_new_table();
	const char *name;
	json_t *cause;
	int err = 0;

	if (!table)
		return -ENOMEM;
	scols_table_set_stream(table, out);
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	for (int c = 0; c < COL_COUNT && !err; c++)
		if (!scols_table_new_column(table, headings[c], 0, c == COL_CAUSE ? 0 : SCOLS_FL_RIGHT))
			err = -ENOMEM;
	json_object_foreach(causes, name, cause) {
		json_int_t count, pages, ns;

		if (err)
			break;
		if (json_unpack(cause, "{s:I, s:I, s:I}", "count", &count, "pages", &pages, "ns", &ns))
			err = -EBADMSG;
		else
			err = put_cause(table, name, count, pages, ns);
	}
	if (!err)
		err = scols_print_table(table);
	scols_unref_table(table);
	return err;
}

static int print_line(const char *text, FILE *out)
{
	json_int_t pid, units, kernels, groups, aborts, peak = 0, in_place = 0;
	const char *program = "program", *mirror;
	json_t *root, *causes;
	char most[32], now[32];
	int format, err;

	root = json_loads(text, 0, NULL);
	if (!root)
		return -EBADMSG;
	if (json_unpack(root, "{s:i, s:I, s?s, s:s, s:I, s:I, s:I, s:I, s?I, s?I, s:o}", "format", &format, "pid", &pid,
			"program", &program, "mirror", &mirror, "compute_units", &units, "kernels", &kernels, "groups",
			&groups, "aborts", &aborts, "vram_peak", &peak, "system_pages", &in_place, "causes", &causes) ||
	    format != MCL_REPORT_FORMAT || !json_is_object(causes)) {
		json_decref(root);
		return -EBADMSG;
	}
	fprintf(out, "\n%s (%lld): %s mirror, %lld compute unit%s; %lld kernel%s, %lld work-group%s", program,
		(long long)pid, mirror, (long long)units, units == 1 ? "" : "s", (long long)kernels,
		kernels == 1 ? "" : "s", (long long)groups, groups == 1 ? "" : "s");
	if (aborts)
		fprintf(out, ", %lld ABORTED", (long long)aborts);
	fputc('\n', out);
	if (!strcmp(mirror, "shared")) {
		fputs("Host and device use one page table here: nothing faults, nothing migrates.\n", out);
		json_decref(root);
		return 0;
	}
	err = print_causes(causes, out);
	if (!err)
		fprintf(out, "Device memory: %s at most; mapped in place at the end: %s\n",
			format_bytes((double)peak, most, sizeof(most)),
			format_bytes((double)in_place * PAGE, now, sizeof(now)));
	json_decref(root);
	return err;
}

int report_print(const char *path, FILE *out)
{
	FILE *in = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	int count = 0, err = 0;

	if (!in)
		return -errno;
	while (!err && getline(&line, &room, in) > 0) {
		if (*line == '\n')
			continue;
		err = print_line(line, out);
		if (!err)
			count++;
	}
	if (!err && ferror(in))
		err = -EIO;
	free(line);
	fclose(in);
	return err ? err : count;
}
