// SPDX-License-Identifier: MIT
#include "usage.h"

#include <dirent.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

struct usage {
	long heap, resident; /* bytes */
	int descriptors, threads, processes, mappings;
};

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int count_lines(const char *path)
{
	FILE *file = fopen(path, "re");
	int c, n = 0;

	assert_non_null(file);
	while ((c = getc(file)) != EOF)
		n += c == '\n';
	fclose(file);
	return n;
}

/* Children of all threads, those that nobody has waited for included. */
static int count_children(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	int n = 0;

	assert_non_null(tasks);
	while ((task = readdir(tasks))) {
		char path[300];
		FILE *file;
		int pid;

		snprintf(path, sizeof(path), "/proc/self/task/%s/children", task->d_name);
		file = fopen(path, "re");
		if (!file)
			continue; /* "." and "..", or a thread that has just ended */
		while (fscanf(file, "%d", &pid) == 1)
			n++;
		fclose(file);
	}
	closedir(tasks);
	return n;
}

static long resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long total, resident;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &total, &resident), 2);
	fclose(file);
	return resident * sysconf(_SC_PAGESIZE);
}

static struct usage usage(void)
{
	return (struct usage){
		.heap = (long)(mallinfo2().uordblks + mallinfo2().hblkhd),
		/* A sanitizer keeps freed memory for a while; leaks are what it looks for itself. */
		.resident = SANITIZED ? 0 : resident_bytes(),
		.descriptors = count_entries("/proc/self/fd"),
		.threads = count_entries("/proc/self/task"),
		.processes = count_children(),
		.mappings = count_lines("/proc/self/maps"),
	};
}

static long max(long a, long b)
{
	return a > b ? a : b;
}

/* A page now and then is no leak: stacks, caches of the C library and the kernel's accounting, 4 KiB at a time. */
#define RESIDENT_NOISE 65536l

/*
 * By how much @after is above @before, the worst of all counts. Memory is weighed by the number of lives: a byte of heap,
 * 16 of resident memory (which comes in pages), a sixteenth of a mapping.
 */
static long growth(const struct usage *before, const struct usage *after, int times)
{
	long worst = (after->heap - before->heap) / times;

	worst = max(worst, (after->resident - before->resident - RESIDENT_NOISE) / 16 / times);
	worst = max(worst, after->descriptors - before->descriptors);
	worst = max(worst, after->threads - before->threads);
	worst = max(worst, after->processes - before->processes);
	return max(worst, (after->mappings - before->mappings) * 16L / times);
}

void conf_lifetimes(const char *name, void (*body)(void), int times)
{
	struct usage before, after = usage();
	long least = LONG_MAX;

	for (int quarter = 0; quarter < 4; quarter++) {
		long grown;

		before = after;
		for (int i = 0; i < times / 4; i++)
			body();
		after = usage();
		grown = growth(&before, &after, times / 4);
		least = grown < least ? grown : least;
	}
	if (least > 0)
		fail_msg("%s: %d lives left something behind, at least %ld in each quarter; in the last one: "
			 "%+ld bytes of heap, %+ld resident, %+d descriptors, %+d threads, %+d processes, %+d mappings",
			 name, times, least, after.heap - before.heap, after.resident - before.resident,
			 after.descriptors - before.descriptors, after.threads - before.threads,
			 after.processes - before.processes, after.mappings - before.mappings);
}
