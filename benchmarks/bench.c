// SPDX-License-Identifier: MIT
/*
 * mirrorcl-bench: every figure the project claims, in one table.
 *
 * Method. Each number comes from a process of its own (mirrorcl-bench-case) that sees exactly one OpenCL driver, chosen with
 * OCL_ICD_VENDORS, and that checks the results of its kernels. A row is measured in rounds; in each round every
 * implementation runs once, one after the other, and the order turns by one from round to round, so that a machine that
 * grows slower or busier meets all alike. Before the first round each implementation runs the case once to fill its
 * private caches; rows called cold get empty ones each time. A latency is the minimum over the rounds of the median
 * within a run, everything else is the median of the rounds. A ratio is the median of the ratios within a round, or, where a
 * case measures its limit too, within a process.
 *
 * Does not measure anything itself (case/), start processes (runner.c), judge (rows.c) or print (report.c).
 */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#include "runner.h"

/* The C library looks it up by name, so it must be visible. */
__attribute__((visibility("default"))) const char *argp_program_version = "mirrorcl-bench " MCL_VERSION;

enum { EXIT_MISSED = 1, EXIT_TROUBLE = 2 };

struct arguments {
	struct runner_setup setup;
	const char *json;
	unsigned int rounds;
	bool wanted[64]; /* by index in bench_rows */
	bool any_wanted;
	bool skip[WHO_COUNT];
};

static unsigned int parse_number(struct argp_state *state, const char *what, const char *text, unsigned int max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || *text == '-' || !value || value > max)
		argp_error(state, "%s must be a number from 1 to %u, not '%s'", what, max, text);
	return (unsigned int)value;
}

static void list_rows(void)
{
	for (size_t i = 0; i < bench_row_count; i++)
		printf("%-18s %s\n", bench_rows[i].id, bench_rows[i].title);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	const struct bench_row *row;

	switch (key) {
	case 'o':
		row = bench_find_row(arg);
		if (!row)
			argp_error(state, "no row is called '%s' (--list names them)", arg);
		else
			a->wanted[row - bench_rows] = a->any_wanted = true;
		return 0;
	case 'r':
		a->rounds = parse_number(state, "the number of rounds", arg, BENCH_MAX_ROUNDS);
		return 0;
	case 't':
		a->setup.time_limit_s = parse_number(state, "the time limit", arg, 86400);
		return 0;
	case 'w':
		for (int who = 0; who < WHO_COUNT; who++) {
			if (!strcasecmp(arg, bench_who_name(who))) {
				a->skip[who] = true;
				return 0;
			}
		}
		argp_error(state, "'%s' is not shared, uffd, POCL or limit", arg);
		return 0;
	case 'j':
		a->json = arg;
		return 0;
	case 'm':
		a->setup.mirrorcl_icd = arg;
		return 0;
	case 'p':
		a->setup.pocl_icd = arg;
		return 0;
	case 'l':
		list_rows();
		exit(0);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Say on standard error what is going on: on a terminal in one line that the next message replaces. */
static void progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void progress(const char *fmt, ...)
{
	bool terminal = isatty(STDERR_FILENO);
	va_list ap;

	va_start(ap, fmt);
	if (terminal)
		fputs("\r\033[K", stderr);
	vfprintf(stderr, fmt, ap);
	if (!terminal)
		fputc('\n', stderr);
	va_end(ap);
	fflush(stderr);
}

static void clear_progress(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static void say_failure(const struct bench_row *row, enum bench_who who, int err, const char *why)
{
	clear_progress();
	fprintf(stderr, "%s: %s failed: %s\n", row->id, bench_who_name(who), *why ? why : strerror(-err));
}

static const char *case_of(const struct bench_row *row, enum bench_who who)
{
	return who == WHO_LIMIT ? row->limit : row->measure;
}

/* Fill the caches; what fails here is not tried again in this row, and is said below the table. */
static void warm_up(struct runner *r, struct bench_result *result, bool alive[WHO_COUNT])
{
	for (int who = 0; who < WHO_COUNT; who++) {
		const char *name = case_of(result->row, who);
		char why[256];
		double value, limit;
		int err;

		if (!name || !alive[who])
			continue;
		result->tried[who] = true;
		/* A limit has no cache, and a cold row wants none. */
		if (who == WHO_LIMIT || result->row->cold)
			continue;
		progress("%s: warming %s up", result->row->id, bench_who_name(who));
		err = runner_run(r, who, name, RUN_WARM, &value, &limit, why, sizeof(why));
		if (err) {
			say_failure(result->row, who, err, why);
			alive[who] = false;
		}
	}
}

static void measure_row(struct runner *r, struct bench_result *result, const bool available[WHO_COUNT],
			unsigned int rounds)
{
	bool alive[WHO_COUNT];
	char why[256];

	memcpy(alive, available, sizeof(alive));
	warm_up(r, result, alive);
	for (unsigned int round = 0; round < rounds; round++) {
		for (unsigned int turn = 0; turn < WHO_COUNT; turn++) {
			enum bench_who who = (turn + round) % WHO_COUNT;
			const char *name = case_of(result->row, who);
			struct bench_series *s = &result->series[who];
			int err;

			if (!name || !alive[who])
				continue;
			progress("%s: round %u of %u, %s", result->row->id, round + 1, rounds, bench_who_name(who));
			err = runner_run(r, who, name, result->row->cold ? RUN_COLD : RUN_MEASURE, &s->values[s->count],
					 &s->limits[s->count], why, sizeof(why));
			if (!err && result->row->paired && isnan(s->limits[s->count])) {
				snprintf(why, sizeof(why), "gave no limit");
				err = -ECHILD;
			}
			if (!err) {
				s->count++;
				continue;
			}
			/* One failure spoils the number: a result that sometimes fails is not a result. */
			say_failure(result->row, who, err, why);
			s->count = 0;
			alive[who] = false;
		}
	}
	if (result->row->paired && available[WHO_LIMIT])
		bench_least_limits(result->series);
	bench_settle(result);
}

/* Who can make a context here at all; the others get an empty column and a note. */
static void find_available(struct runner *r, const bool skip[WHO_COUNT], bool available[WHO_COUNT],
			   char notes[WHO_COUNT][256])
{
	for (int who = 0; who < WHO_COUNT; who++) {
		double value, limit;
		int err = 0;

		available[who] = !skip[who];
		if (skip[who] || who == WHO_LIMIT)
			continue;
		progress("trying %s", bench_who_name(who));
		err = runner_run(r, who, "init", RUN_WARM, &value, &limit, notes[who], sizeof(notes[who]));
		if (err) {
			available[who] = false;
			if (!notes[who][0])
				snprintf(notes[who], sizeof(notes[who]), "%s", strerror(-err));
		}
	}
}

static int write_json(const char *path, const struct bench_result *results, size_t count, unsigned int rounds)
{
	FILE *out = strcmp(path, "-") ? fopen(path, "we") : stdout;
	int err;

	if (!out)
		return -errno;
	err = bench_write_json(results, count, rounds, out);
	if (out != stdout && fclose(out) && !err)
		err = -errno;
	return err;
}

static int run_all(struct runner *r, const struct arguments *a)
{
	struct bench_result *results = calloc(bench_row_count, sizeof(*results));
	bool available[WHO_COUNT];
	char notes[WHO_COUNT][256] = { 0 };
	size_t count = 0;
	int status = 0, err;

	if (!results) {
		fputs("mirrorcl-bench: no memory\n", stderr);
		return EXIT_TROUBLE;
	}
	find_available(r, a->skip, available, notes);
	for (size_t i = 0; i < bench_row_count; i++) {
		if (a->any_wanted && !a->wanted[i])
			continue;
		results[count].row = &bench_rows[i];
		measure_row(r, &results[count++], available, a->rounds);
	}
	clear_progress();
	err = bench_print_table(results, count, a->json && !strcmp(a->json, "-") ? stderr : stdout);
	if (!err && a->json)
		err = write_json(a->json, results, count, a->rounds);
	if (err) {
		fprintf(stderr, "mirrorcl-bench: cannot write the results: %s\n", strerror(-err));
		status = EXIT_TROUBLE;
	}
	for (int who = 0; who < WHO_COUNT; who++)
		if (notes[who][0])
			fprintf(stderr, "%s is not available here: %s\n", bench_who_name(who), notes[who]);
	for (size_t i = 0; i < count; i++) {
		if (results[i].verdict == VERDICT_FAILED)
			status = EXIT_TROUBLE;
		else if (results[i].verdict == VERDICT_MISS && !status)
			status = EXIT_MISSED;
	}
	/* Without MirrorCL there is nothing to be measured, and that must not look like success. */
	if (!available[WHO_SHARED] && !available[WHO_UFFD] && !(a->skip[WHO_SHARED] && a->skip[WHO_UFFD]))
		status = EXIT_TROUBLE;
	free(results);
	return status;
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "only", 'o', "ROW", 0, "Measure this row; may be given more than once", 0 },
		{ "rounds", 'r', "N", 0, "Runs of each implementation in each row (default 5)", 0 },
		{ "skip", 'w', "WHO", 0, "Leave shared, uffd, POCL or limit out; may be given more than once", 0 },
		{ "json", 'j', "FILE", 0,
		  "Also write all numbers as JSON to FILE ('-': standard output, the table goes to standard error)",
		  0 },
		{ "time-limit", 't', "SECONDS", 0, "For one run (default 120)", 0 },
		{ "mirrorcl-icd", 'm', "FILE", 0, "MirrorCL's .icd file (default: the one of this build)", 0 },
		{ "pocl-icd", 'p', "FILE", 0, "POCL's .icd file (default: /etc/OpenCL/vendors/pocl.icd)", 0 },
		{ "list", 'l', NULL, 0, "Name the rows", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		options,
		parse,
		NULL,
		"Measure MirrorCL beside POCL and beside what plain C reaches on the host, and compare with the project's marks."
		"\vExit status: 0 when every mark that could be measured holds, 1 when one is missed, 2 when a measurement failed.",
		NULL,
		NULL,
		NULL
	};
	struct arguments args = {
		.setup = { .mirrorcl_icd = BENCH_MIRRORCL_ICD,
			   .pocl_icd = "/etc/OpenCL/vendors/pocl.icd",
			   .time_limit_s = 120 },
		.rounds = 5,
	};
	char program[PATH_MAX], self[PATH_MAX - 8];
	struct runner runner;
	ssize_t n;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	/* The case program lies beside this one. */
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0) {
		perror("mirrorcl-bench: /proc/self/exe");
		return EXIT_TROUBLE;
	}
	self[n] = '\0';
	snprintf(program, sizeof(program), "%s-case", self);
	args.setup.case_program = program;
	ret = runner_open(&runner, &args.setup);
	if (ret) {
		fprintf(stderr, "mirrorcl-bench: cannot make a temporary folder: %s\n", strerror(-ret));
		return EXIT_TROUBLE;
	}
	ret = run_all(&runner, &args);
	runner_close(&runner);
	return ret;
}
