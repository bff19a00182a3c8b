// SPDX-License-Identifier: MIT
/* The report at the end of a device; see report.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/report.h"

/* One write(), so that lines of several processes do not mix. */
static int write_whole(int fd, const char *text, size_t size)
{
	ssize_t n;

	do {
		n = write(fd, text, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -ENOSPC;
}

static char *as_line(const struct mcl_report *r)
{
	json_t *causes = json_object(), *program = json_string(program_invocation_short_name), *root;
	char *text, *line = NULL;

	for (size_t i = 0; i < r->cause_count; i++)
		json_object_set_new(causes, r->causes[i].name,
				    json_pack("{s:I, s:I, s:I}", "count", (json_int_t)r->causes[i].count, "pages",
					      (json_int_t)r->causes[i].pages, "ns", (json_int_t)r->causes[i].ns));
	root = json_pack("{s:i, s:i, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "format", MCL_REPORT_FORMAT,
			 "pid", (int)getpid(), "program",
			 program ? program : json_string("?"), /* a name that is not UTF-8 */
			 "mirror", r->mirror, "compute_units", (json_int_t)r->compute_units, "kernels",
			 (json_int_t)r->kernels, "groups", (json_int_t)r->groups, "aborts", (json_int_t)r->aborts,
			 "vram_used", (json_int_t)r->vram_used, "vram_peak", (json_int_t)r->vram_peak, "system_pages",
			 (json_int_t)r->system_pages, "causes", causes);
	text = root ? json_dumps(root, 0) : NULL;
	json_decref(root);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

static char *as_table(const struct mcl_report *r)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out,
		"mirrorcl: %s mirror, %" PRIu32 " compute units; kernels: %" PRIu64 ", work-groups: %" PRIu64
		", aborted: %" PRIu64 "\n",
		r->mirror, r->compute_units, r->kernels, r->groups, r->aborts);
	/* What never happened is not worth a line. */
	for (size_t i = 0; i < r->cause_count; i++)
		if (r->causes[i].count)
			fprintf(out, "mirrorcl: %-14s %10" PRIu64 " events %12" PRIu64 " KiB %10.3f ms\n",
				r->causes[i].name, r->causes[i].count, r->causes[i].pages * 4,
				(double)r->causes[i].ns / 1e6);
	if (r->vram_peak || r->system_pages)
		fprintf(out, "mirrorcl: device memory %" PRIu64 " KiB at most; mapped in place %" PRIu64 " KiB\n",
			r->vram_peak >> 10, r->system_pages * 4);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

int mcl_report_write(const char *path, const struct mcl_report *report)
{
	char *text;
	int fd, err;

	if (!strcmp(path, "-")) {
		text = as_table(report);
		if (!text)
			return -ENOMEM;
		err = write_whole(STDERR_FILENO, text, strlen(text));
		free(text);
		return err;
	}
	text = as_line(report);
	if (!text)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0) {
		err = -errno;
	} else {
		err = write_whole(fd, text, strlen(text));
		close(fd);
	}
	free(text);
	return err;
}
