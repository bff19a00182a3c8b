/* SPDX-License-Identifier: MIT */
/*
 * Runs one case in a fresh process against one implementation: its environment, its private caches, its time limit.
 * Does not repeat, pick or judge.
 */
#ifndef BENCH_RUNNER_H
#define BENCH_RUNNER_H

#include <limits.h>

#include "rows.h"

struct runner_setup {
	const char *case_program; /* path of mirrorcl-bench-case */
	const char *mirrorcl_icd; /* path of MirrorCL's .icd file */
	const char *pocl_icd; /* path of POCL's .icd file */
	unsigned int time_limit_s; /* for one process */
};

struct runner {
	struct runner_setup setup;
	char folder[PATH_MAX]; /* private, temporary: vendor folders and caches, removed by runner_close() */
};

/* Make the temporary folder. Returns 0 or -errno (of mkdtemp, mkdir, open ...). */
int runner_open(struct runner *r, const struct runner_setup *setup);
void runner_close(struct runner *r);

enum runner_mode {
	RUN_WARM, /* fill the caches that later RUN_MEASURE runs use */
	RUN_MEASURE,
	RUN_COLD, /* with caches that are empty at the start */
};

/*
 * Run case @name as @who sees it and wait. Returns 0 and the number in *@value, and in *@limit the one that it was
 * compared with there, or NAN; -ETIMEDOUT, -ECHILD (it failed or gave no
 * number) with the last line it wrote to standard error in @why; other -errno when it could not be started.
 */
int runner_run(struct runner *r, enum bench_who who, const char *name, enum runner_mode mode, double *value,
	       double *limit, char *why, size_t why_size);

#endif
