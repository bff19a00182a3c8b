// SPDX-License-Identifier: MIT
/* Placeholders: where they are put, what POCL finds in them, and that they stay small in programs of many kernels. */
#include <dlfcn.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "compiler/file.h"
#include "compiler/placeholder.h"

#define KERNELS 200
#define NAMES_SIZE (KERNELS * 16)
/* What POCL may copy for each kernel that is not wanted. */
#define FAIR_SIZE 8192

struct place {
	char folder[64], program[128], *kernels;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* A folder as POCL leaves it when it has built a program of KERNELS kernels: "kernel_0;kernel_1;...". */
static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	char path[192];
	size_t used = 0;

	if (!p)
		return -1;
	*state = p;
	snprintf(p->folder, sizeof(p->folder), "/tmp/test_placeholder.XXXXXX");
	p->kernels = calloc(1, NAMES_SIZE);
	if (!p->kernels || !mkdtemp(p->folder))
		return -1;
	for (int i = 0; i < KERNELS; i++)
		used += (size_t)snprintf(p->kernels + used, NAMES_SIZE - used, "%skernel_%d", i ? ";" : "", i);
	snprintf(p->program, sizeof(p->program), "%s/AB", p->folder);
	if (mkdir(p->program, 0700))
		return -1;
	snprintf(p->program, sizeof(p->program), "%s/AB/CDEF", p->folder);
	if (mkdir(p->program, 0700))
		return -1;
	snprintf(path, sizeof(path), "%s/program.bc", p->program);
	return mcl_file_write(path, "", 0, 0600);
}

static int tear_down(void **state)
{
	struct place *p = *state;

	nftw(p->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(p->kernels);
	free(p);
	return 0;
}

static void file_of(char path[PATH_MAX], const struct place *p, const char *kernel, const char *variant)
{
	snprintf(path, PATH_MAX, "%s/%s/%s/%s.so", p->program, kernel, variant, kernel);
}

/* The size of the placeholder of @kernel, which is checked; 0: there is none. */
static size_t look(const struct place *p, const char *kernel, const char *variant)
{
	char path[PATH_MAX], symbol[64];
	void *bytes, *handle;
	size_t size;

	file_of(path, p, kernel, variant);
	if (access(path, F_OK))
		return 0;
	assert_int_equal(mcl_file_read(path, &bytes, &size), 0);
	assert_true(mcl_placeholder_is(bytes, size));
	assert_false(mcl_placeholder_is(bytes, 16));
	free(bytes);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		fail_msg("%s", dlerror());
	snprintf(symbol, sizeof(symbol), "_pocl_kernel_%s_workgroup", kernel);
	assert_non_null(dlsym(handle, symbol));
	assert_null(dlsym(handle, "_pocl_kernel_another_workgroup"));
	dlclose(handle);
	return size;
}

static void test_all_but_one(void **state)
{
	static const int wanted[] = { 0, 64, KERNELS - 1 };
	const struct place *p = *state;

	for (size_t w = 0; w < sizeof(wanted) / sizeof(*wanted); w++) {
		char name[32];
		const struct mcl_selection selection = { .partial = true, .kernel = name, .generic = true };
		size_t total = 0;

		snprintf(name, sizeof(name), "kernel_%d", wanted[w]);
		assert_int_equal(mcl_placeholder_plant(p->folder, p->kernels, &selection), 0);
		for (int i = 0; i < KERNELS; i++) {
			char kernel[32];
			size_t size;

			snprintf(kernel, sizeof(kernel), "kernel_%d", i);
			size = look(p, kernel, "0-0-0");
			assert_true((size == 0) == (i == wanted[w]));
			total += size;
		}
		assert_true(look(p, "pocl.gvar.init", "0-0-0") > 0);
		assert_in_range(total, KERNELS, KERNELS * FAIR_SIZE);
	}
}

/* For a specialised function of one kernel, its generic one is not wanted, nor are those of the others. */
static void test_variant(void **state)
{
	const struct place *p = *state;
	const struct mcl_selection selection = { .partial = true, .kernel = "kernel_7", .variants = "8-8-1-goffs0" };

	assert_int_equal(mcl_placeholder_plant(p->folder, p->kernels, &selection), 0);
	assert_true(look(p, "kernel_7", "0-0-0") > 0);
	assert_int_equal(look(p, "kernel_7", "8-8-1-goffs0"), 0);
	assert_true(look(p, "kernel_8", "0-0-0") > 0);
	assert_true(look(p, "kernel_8", "8-8-1-goffs0") > 0);
}

static void test_real_code(void **state)
{
	void *bytes;
	size_t size;

	(void)state;
	assert_int_equal(mcl_file_read("/proc/self/exe", &bytes, &size), 0);
	assert_false(mcl_placeholder_is(bytes, size));
	free(bytes);
	assert_false(mcl_placeholder_is("", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_but_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_variant, set_up, tear_down),
		cmocka_unit_test(test_real_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
