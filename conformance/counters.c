// SPDX-License-Identifier: MIT
/*
 * What the mirror did, in numbers: a child process lets the device touch a known number of pages and ends; the report that
 * MIRRORCL_REPORT makes it write is compared with what must have happened. On the shared mirror that is nothing at all.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pages.cl.h"
#include "pages.h"

enum { PAGES = 2048, LAUNCHES = 5 };

/* ---- the children ---- */

/* LAUNCHES launches that touch nothing beyond their argument. */
static int touch_nothing(void)
{
	conf_open(pages_cl);
	for (int i = 0; i < LAUNCHES; i++)
		conf_touch(NULL, 0, false, 0);
	conf_close();
	return 0;
}

/* The same, and one of them reads pages that the host filled. */
static int read_pages(void)
{
	unsigned char *p = conf_lonely_pages(PAGES);
	cl_uint sum = 0;

	for (int i = 0; i < PAGES; i++)
		sum += p[i * PAGE] = (unsigned char)(i * 3);
	conf_open(pages_cl);
	for (int i = 0; i < LAUNCHES; i++)
		conf_touch(i == 2 ? p : NULL, i == 2 ? PAGES : 0, false, i == 2 ? sum : 0);
	conf_close();
	return 0;
}

/* The device writes pages that the host filled, and the host reads them. */
static int write_pages(void)
{
	unsigned char *p = conf_lonely_pages(PAGES);

	memset(p, 1, PAGES * PAGE);
	conf_open(pages_cl);
	for (int i = 0; i < LAUNCHES; i++)
		conf_touch(i == 2 ? p : NULL, i == 2 ? PAGES : 0, true, 0);
	for (int i = 0; i < PAGES; i++) {
		assert_int_equal(p[i * PAGE], (unsigned char)(i + 1));
		assert_int_equal(p[i * PAGE + 1], 1);
	}
	conf_close();
	return 0;
}

/* Pages the program moves itself: there and back. */
static int request_pages(void)
{
	unsigned char *p = conf_lonely_pages(PAGES);
	const void *pointer = p;
	size_t size = PAGES * PAGE;

	memset(p, 1, PAGES * PAGE);
	conf_open(pages_cl);
	for (int i = 0; i < LAUNCHES; i++) {
		if (i == 2)
			assert_cl(clEnqueueSVMMigrateMem(conf.queue, 1, &pointer, &size, 0, 0, NULL, NULL));
		conf_touch(i == 2 ? p : NULL, i == 2 ? PAGES : 0, false, i == 2 ? PAGES : 0);
	}
	for (int i = 0; i < PAGES; i++)
		assert_int_equal(p[i * PAGE + 7], 1);
	conf_close();
	return 0;
}

static const struct conf_child children[] = {
	{ "touch-nothing", touch_nothing },
	{ "read-pages", read_pages },
	{ "write-pages", write_pages },
	{ "request-pages", request_pages },
	{ NULL, NULL },
};

/* ---- the comparison ---- */

static const char *mirror; /* the one under test */
static bool faults; /* it has page faults */
static bool migrates; /* and device memory */

/* Run a child and return its report, to be released by the caller. */
static json_t *report_of(const char *child)
{
	char path[] = "/tmp/mirrorcl-report-XXXXXX", variable[64], output[8192];
	const char *env[] = { variable, NULL };
	int fd = mkstemp(path), status;
	json_t *report;
	json_error_t error;

	assert_true(fd >= 0);
	close(fd);
	snprintf(variable, sizeof(variable), "MIRRORCL_REPORT=%s", path);
	status = conf_spawn_wait(child, env, output, sizeof(output));
	if (status)
		fail_msg("%s ended with status %#x:\n%s", child, status, output);
	report = json_load_file(path, JSON_DISABLE_EOF_CHECK, &error);
	unlink(path);
	if (!report)
		fail_msg("the report of %s: %s", child, error.text);
	assert_string_equal(json_string_value(json_object_get(report, "mirror")), mirror);
	assert_int_equal(json_integer_value(json_object_get(report, "aborts")), 0);
	return report;
}

static long number(json_t *report, const char *name)
{
	json_t *value = json_object_get(report, name);

	assert_true(json_is_integer(value));
	return (long)json_integer_value(value);
}

static long cause(json_t *report, const char *name, const char *what)
{
	return number(json_object_get(json_object_get(report, "causes"), name), what);
}

static long device_pages(json_t *report)
{
	return cause(report, "device-read", "pages") + cause(report, "device-write", "pages");
}

/* On a mirror without faults every cause is zero, whatever the program does. */
static void assert_no_faults(json_t *report)
{
	const char *name;
	json_t *value;

	json_object_foreach(json_object_get(report, "causes"), name, value) {
		assert_int_equal(number(value, "count"), 0);
		assert_int_equal(number(value, "pages"), 0);
	}
	assert_int_equal(number(report, "vram_peak"), 0);
	assert_int_equal(number(report, "system_pages"), 0);
}

/* Kernels and groups are counted one by one. */
static void kernels(void **state)
{
	json_t *report = report_of("touch-nothing");

	(void)state;
	assert_int_equal(number(report, "kernels"), LAUNCHES);
	assert_int_equal(number(report, "groups"), LAUNCHES);
	assert_int_equal(number(report, "compute_units"), conf.compute_units);
	if (!faults)
		assert_no_faults(report);
	json_decref(report);
}

/*
 * Reading PAGES pages moves or maps each of them, and little besides: the pages of stack and heap differ from run to run, so
 * only the lower bound is exact. It takes far fewer faults than pages.
 */
static void reading(void **state)
{
	json_t *without = report_of("touch-nothing"), *with = report_of("read-pages");

	(void)state;
	if (!faults) {
		assert_no_faults(with);
	} else {
		assert_in_range(device_pages(with), PAGES, PAGES + device_pages(without) + 256);
		assert_true(cause(with, "device-read", "count") > 0);
		assert_true(cause(with, "device-read", "count") < PAGES / 4);
		assert_true(cause(with, "device-read", "ns") > 0);
	}
	json_decref(without);
	json_decref(with);
}

/* Written pages that moved to the device come back when the host touches them: all of them, once. */
static void writing(void **state)
{
	json_t *report = report_of("write-pages");

	(void)state;
	if (!faults) {
		assert_no_faults(report);
	} else {
		assert_true(device_pages(report) >= PAGES);
		assert_true(cause(report, "device-write", "count") > 0);
		assert_true(number(report, "vram_peak") >= (migrates ? PAGES * PAGE : 0));
		if (migrates)
			assert_in_range(cause(report, "cpu-fault", "pages"), PAGES, PAGES + 256);
		else
			assert_int_equal(cause(report, "cpu-fault", "pages"), 0);
	}
	json_decref(report);
}

/* A migration by request is one cause, and leaves no device fault to serve. */
static void requests(void **state)
{
	json_t *without = report_of("touch-nothing"), *with = report_of("request-pages");

	(void)state;
	if (!faults) {
		assert_no_faults(with);
	} else {
		if (migrates) {
			assert_in_range(cause(with, "request", "pages"), PAGES, PAGES + 256);
			assert_true(device_pages(with) - device_pages(without) < 256);
		} else {
			assert_int_equal(cause(with, "request", "pages"), 0);
		}
	}
	json_decref(without);
	json_decref(with);
}

int main(int argc, char **argv)
{
	cl_bool unified = CL_TRUE;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels),
		cmocka_unit_test(reading),
		cmocka_unit_test(writing),
		cmocka_unit_test(requests),
	};
	conf_dispatch_child(argc, argv, children);
	conf_open_device();
	mirror = getenv("MIRRORCL_MIRROR") ? getenv("MIRRORCL_MIRROR") : "shared";
	faults = strcmp(mirror, "shared") != 0;
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof(unified), &unified, NULL));
	migrates = !unified;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
