// SPDX-License-Identifier: MIT
/* Where malloc() takes its memory from once it has been told to use huge pages. Each test in a process of its own. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "compiler/huge_heap.h"

#define PIECES 2000u
#define PIECE 10000u /* 20 MB in all */
#define LARGE (8u << 20)

/* Exit status of @body in a child: cmocka's asserts belong to the parent. */
static int in_child(int (*body)(void))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(body());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Whether the mapping that holds @p is advised to be huge. */
static bool is_advised(const void *p)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	bool inside = false, advised = false;
	uintptr_t begin, end;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			inside = (uintptr_t)p >= begin && (uintptr_t)p < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			advised = strstr(line, " hg");
	}
	if (maps)
		fclose(maps);
	return advised;
}

/* How many pieces of several sizes are in advised memory, in percent. */
static int percent_advised(void)
{
	unsigned int advised = 0, looked = 0;

	for (unsigned int i = 0; i < PIECES; i++) {
		char *p = malloc(PIECE);

		if (!p)
			return 255;
		memset(p, 1, PIECE);
		if (i % 50 == 0) {
			advised += is_advised(p);
			looked++;
		}
	}
	for (int i = 0; i < 4; i++) {
		char *p = malloc(LARGE);

		if (!p)
			return 255;
		advised += is_advised(p + LARGE / 2);
		looked++;
		free(p);
	}
	return (int)(100 * advised / looked);
}

/* Another malloc(), a sanitizer's for instance, has no such heap; nor has a kernel without huge pages. */
static bool is_usual_malloc(void)
{
	char *before = sbrk(0), *p = malloc(1000);
	bool usual = access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) == 0 && p && p < (char *)sbrk(0) &&
		     p > before - (64 << 20) && mallopt(M_TRIM_THRESHOLD, 128 << 10);

	free(p);
	return usual;
}

static int body_used(void)
{
	mcl_huge_heap_use();
	return percent_advised();
}

static int body_not_used(void)
{
	return percent_advised();
}

/* Small and large pieces are in it; without the call none is. What is below the first huge page's border may not be. */
static void test_used(void **state)
{
	int percent;

	(void)state;
	if (!is_usual_malloc())
		skip();
	assert_int_equal(in_child(body_not_used), 0);
	percent = in_child(body_used);
	assert_in_range(percent, 80, 100);
}

static int body_limited(void)
{
	const struct rlimit limit = { 64 << 20, 64 << 20 };

	if (setrlimit(RLIMIT_DATA, &limit))
		return 254;
	mcl_huge_heap_use();
	return percent_advised();
}

/* Where there is a limit that it would not fit in, there is as much memory as before. */
static void test_limited(void **state)
{
	(void)state;
	if (!is_usual_malloc())
		skip();
	assert_int_equal(in_child(body_limited), 0);
}

/* What the user has set there wins: the C library takes the last of each. */
static void test_bequeathed(void **state)
{
	const char *value;

	(void)state;
	unsetenv("GLIBC_TUNABLES");
	assert_int_equal(mcl_huge_heap_bequeath(), 0);
	value = getenv("GLIBC_TUNABLES");
	assert_non_null(strstr(value, "glibc.malloc.hugetlb=1"));
	assert_int_not_equal(value[strlen(value) - 1], ':');
	setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0", 1);
	assert_int_equal(mcl_huge_heap_bequeath(), 0);
	value = getenv("GLIBC_TUNABLES");
	assert_non_null(strstr(value, "glibc.malloc.hugetlb=1"));
	assert_string_equal(strrchr(value, ':'), ":glibc.malloc.hugetlb=0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_used),
		cmocka_unit_test(test_limited),
		cmocka_unit_test(test_bequeathed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
