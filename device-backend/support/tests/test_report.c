// SPDX-License-Identifier: MIT
/* What a report file holds after several devices have been closed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "support/report.h"

static const struct mcl_report_cause causes[] = {
	{ "device-read", 4, 256, 81000 },
	{ "eviction", 0, 0, 0 },
};

static const struct mcl_report report = {
	.mirror = "uffd",
	.compute_units = 3,
	.kernels = 5,
	.groups = 80,
	.aborts = 1,
	.vram_used = 4096,
	.vram_peak = UINT64_C(5) << 32,
	.system_pages = 7,
	.causes = causes,
	.cause_count = 2,
};

static json_int_t number(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

/* Each device is one more line, and every number arrives. */
static void test_lines(void **state)
{
	char path[] = "/tmp/mirrorcl-test-report-XXXXXX";
	int fd = mkstemp(path), lines = 0;
	char *line = NULL;
	size_t room = 0;
	FILE *in;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(mcl_report_write(path, &report), 0);
	assert_int_equal(mcl_report_write(path, &report), 0);
	in = fdopen(fd, "r");
	assert_non_null(in);
	while (getline(&line, &room, in) > 0) {
		json_t *root = json_loads(line, 0, NULL), *all, *cause;

		assert_non_null(root);
		lines++;
		assert_int_equal(number(root, "format"), MCL_REPORT_FORMAT);
		assert_int_equal(number(root, "pid"), getpid());
		assert_string_equal(json_string_value(json_object_get(root, "mirror")), "uffd");
		assert_string_equal(json_string_value(json_object_get(root, "program")), program_invocation_short_name);
		assert_int_equal(number(root, "compute_units"), 3);
		assert_int_equal(number(root, "kernels"), 5);
		assert_int_equal(number(root, "groups"), 80);
		assert_int_equal(number(root, "aborts"), 1);
		assert_int_equal(number(root, "vram_used"), 4096);
		assert_true(number(root, "vram_peak") == (json_int_t)5 << 32);
		assert_int_equal(number(root, "system_pages"), 7);
		all = json_object_get(root, "causes");
		assert_int_equal(json_object_size(all), 2);
		cause = json_object_get(all, "device-read");
		assert_int_equal(number(cause, "count"), 4);
		assert_int_equal(number(cause, "pages"), 256);
		assert_int_equal(number(cause, "ns"), 81000);
		json_decref(root);
	}
	assert_int_equal(lines, 2);
	free(line);
	fclose(in);
	unlink(path);
}

/* "-" is standard error, and causes that never happened are left out. */
static void test_table(void **state)
{
	int saved = dup(STDERR_FILENO), fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	char text[1024] = "";

	(void)state;
	assert_true(saved >= 0 && fd >= 0);
	dup2(fd, STDERR_FILENO);
	assert_int_equal(mcl_report_write("-", &report), 0);
	dup2(saved, STDERR_FILENO);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "uffd mirror, 3 compute units; kernels: 5, work-groups: 80, aborted: 1"));
	assert_non_null(strstr(text, "device-read"));
	assert_null(strstr(text, "eviction"));
	close(fd);
	close(saved);
}

static void test_errors(void **state)
{
	(void)state;
	assert_int_equal(mcl_report_write("/no/such/folder/report", &report), -ENOENT);
	assert_int_equal(mcl_report_write("/dev/full", &report), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
