// SPDX-License-Identifier: MIT
/*
 * mirrorcl-bench-case: runs one case once and writes its number, or two of them, to standard output, or to the descriptor that it is
 * told, which a driver's own output cannot reach. Started by mirrorcl-bench; useful by hand under a profiler.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case/case.h"

static const struct bench_case *const tables[] = {
	bench_launch_cases, bench_memory_cases, bench_compute_cases, bench_start_cases, bench_limit_cases,
};

static const struct bench_case *find(const char *name)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct bench_case *c = tables[t]; c->name; c++)
			if (!name)
				puts(c->name);
			else if (!strcmp(c->name, name))
				return c;
	return NULL;
}

struct arguments {
	struct bench_options opt;
	const char *name;
	int result_fd;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'p':
		a->opt.platform = arg;
		return 0;
	case 's':
		a->opt.start_ns = strtoull(arg, NULL, 10);
		return 0;
	case 'f':
		a->result_fd = atoi(arg);
		return 0;
	case 'w':
		a->opt.warm = true;
		return 0;
	case 'v':
		a->opt.verbose = true;
		return 0;
	case 'l':
		find(NULL);
		exit(0);
	case ARGP_KEY_ARG:
		if (a->name)
			argp_error(state, "one case at a time");
		a->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->name)
			argp_error(state, "no case given (--list names them)");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "platform", 'p', "NAME", 0, "Use the first platform whose name contains NAME", 0 },
		{ "start", 's', "NS", 0, "When this process was started, CLOCK_MONOTONIC nanoseconds", 0 },
		{ "result-fd", 'f', "FD", 0, "Where the number goes (default 1)", 0 },
		{ "warm", 'w', NULL, 0, "Only fill caches: run once more than needed, measure nothing", 0 },
		{ "verbose", 'v', NULL, 0, "Say on standard error what a number was chosen from", 0 },
		{ "list", 'l', NULL, 0, "Name the cases", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		options,
		parse,
		"CASE",
		"Measure one case of the MirrorCL benchmark. Prints what the device took and, in some cases, what plain C took.",
		NULL,
		NULL,
		NULL
	};
	struct arguments args = { .result_fd = STDOUT_FILENO };
	const struct bench_case *c;
	int written;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	c = find(args.name);
	if (!c)
		die("no case called '%s' (--list names them)", args.name);
	if (c->run_pair) {
		const struct bench_pair pair = c->run_pair(&args.opt);

		written = dprintf(args.result_fd, "%.9g %.9g\n", pair.device, pair.limit);
	} else {
		written = dprintf(args.result_fd, "%.9g\n", c->run(&args.opt));
	}
	if (written < 0)
		die("cannot write the result");
	return 0;
}
