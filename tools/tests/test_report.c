// SPDX-License-Identifier: MIT
/* `mirrorcl run` renders what the backend writes, and refuses what it does not understand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "report.h"
#include "support/report.h"

#define PATH "/tmp/mirrorcl-test-tools-report"

static char path[sizeof(PATH) + 16];

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s.%d", PATH, (int)getpid());
	unlink(path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static void append(const char *text)
{
	FILE *f = fopen(path, "a");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* What report_print() says; the caller frees it. */
static char *render(int *result)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	*result = report_print(path, out);
	fclose(out);
	return text;
}

static void write_device(const char *mirror)
{
	static const struct mcl_report_cause causes[] = {
		{ "device-read", 4, 256, 80000 },
		{ "cpu-fault", 0, 0, 0 },
	};

	assert_int_equal(mcl_report_write(path, &(struct mcl_report){ .mirror = mirror,
								      .compute_units = 1,
								      .kernels = 5,
								      .groups = 80,
								      .aborts = 2,
								      .vram_peak = 3 << 20,
								      .system_pages = 2,
								      .causes = causes,
								      .cause_count = 2 }),
			 0);
}

/* Everything that was written is shown, in units for people. */
static void test_devices(void **state)
{
	char *text;
	int count;

	(void)state;
	write_device("uffd");
	write_device("uffd");
	text = render(&count);
	assert_int_equal(count, 2);
	assert_non_null(strstr(text, "uffd mirror, 1 compute unit; 5 kernels, 80 work-groups, 2 ABORTED\n"));
	assert_non_null(strstr(text, "1.00 MiB")); /* 256 pages */
	assert_non_null(strstr(text, "80.0 us"));
	assert_non_null(strstr(text, "20.0 us")); /* one event of four */
	assert_non_null(strstr(text, "cpu-fault"));
	assert_non_null(strstr(text, "Device memory: 3.00 MiB at most; mapped in place at the end: 8.00 KiB"));
	free(text);
}

/* A mirror that moves nothing says so instead of a table of zeros. */
static void test_shared(void **state)
{
	char *text;
	int count;

	(void)state;
	write_device("shared");
	text = render(&count);
	assert_int_equal(count, 1);
	assert_non_null(strstr(text, "nothing faults, nothing migrates"));
	assert_null(strstr(text, "CAUSE"));
	free(text);
}

static void test_empty(void **state)
{
	char *text;
	int count;

	(void)state;
	text = render(&count);
	assert_int_equal(count, -ENOENT);
	free(text);
	append("");
	text = render(&count);
	assert_int_equal(count, 0);
	assert_string_equal(text, "");
	free(text);
}

static void test_bad(void **state)
{
	static const char *const lines[] = {
		"not JSON\n",
		"{}\n",
		"[1]\n",
		"{\"format\": 99, \"pid\": 1, \"mirror\": \"uffd\", \"compute_units\": 1, \"kernels\": 1, \"groups\": 1, "
		"\"aborts\": 0, \"causes\": {}}\n",
		"{\"format\": 1, \"pid\": 1, \"mirror\": \"uffd\", \"compute_units\": 1, \"kernels\": 1, \"groups\": 1, "
		"\"aborts\": 0, \"causes\": [7]}\n",
		"{\"format\": 1, \"pid\": 1, \"mirror\": \"uffd\", \"compute_units\": 1, \"kernels\": 1, \"groups\": 1, "
		"\"aborts\": 0, \"causes\": {\"x\": 3}}\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		char *text;
		int count;

		unlink(path);
		append(lines[i]);
		text = render(&count);
		assert_int_equal(count, -EBADMSG);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
