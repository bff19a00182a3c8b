// SPDX-License-Identifier: MIT
/* The window: one memory, two mappings, not in forks. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/window.h"

static const struct mcl_window_layout layout = {
	.control_offset = 0,
	.control_size = 8192,
	.image_offset = 8192,
	.image_size = 4096,
	.heap_offset = 12288,
	.heap_size = 4096,
	.code_offset = 16384,
	.code_size = 8192,
	.stacks_offset = 24576,
	.stacks_size = 4096,
	.total_size = 28672,
};

/* What is written through an alias is in the window. */
static void alias_is_the_same_memory(void **state)
{
	struct mcl_window w;
	uint32_t *in_window, *alias;

	(void)state;
	assert_int_equal(mcl_window_create(&layout, &w, NULL), 0);
	in_window = (uint32_t *)(uintptr_t)(w.base + layout.heap_offset);
	assert_int_equal(*in_window, 0);
	alias = mcl_window_alias(&w, layout.heap_offset, layout.heap_size);
	assert_non_null(alias);
	*alias = 4711;
	assert_int_equal(*in_window, 4711);
	*in_window = 42;
	assert_int_equal(*alias, 42);
	munmap(alias, layout.heap_size);
	mcl_window_destroy(&w);
}

/* Code can be run from the window although it was never writable there. */
static void code_is_written_through_an_alias(void **state)
{
	static const uint8_t return_42[] = { 0xb8, 42, 0, 0, 0, 0xc3 }; /* mov $42, %eax; ret */
	struct mcl_window w;
	uint8_t *alias;
	int (*fn)(void);

	(void)state;
	assert_int_equal(mcl_window_create(&layout, &w, NULL), 0);
	alias = mcl_window_alias(&w, layout.code_offset, layout.code_size);
	assert_non_null(alias);
	memcpy(alias, return_42, sizeof(return_42));
	munmap(alias, layout.code_size);
	assert_int_equal(
		mprotect((void *)(uintptr_t)(w.base + layout.code_offset), layout.code_size, PROT_READ | PROT_EXEC), 0);
	fn = (int (*)(void))(uintptr_t)(w.base + layout.code_offset);
	assert_int_equal(fn(), 42);
	mcl_window_destroy(&w);
}

/* Two windows do not get into each other's way. */
static void two_at_once(void **state)
{
	struct mcl_window a, b;

	(void)state;
	assert_int_equal(mcl_window_create(&layout, &a, NULL), 0);
	assert_int_equal(mcl_window_create(&layout, &b, NULL), 0);
	assert_true(a.base + layout.total_size <= b.base || b.base + layout.total_size <= a.base);
	*(int *)(uintptr_t)(a.base + layout.heap_offset) = 1;
	assert_int_equal(*(int *)(uintptr_t)(b.base + layout.heap_offset), 0);
	mcl_window_destroy(&a);
	mcl_window_destroy(&b);
}

/* A forked child has nothing there. */
static void forks_do_not_have_it(void **state)
{
	struct mcl_window w;
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(mcl_window_create(&layout, &w, NULL), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		unsigned char in_core;

		_exit(mincore((void *)(uintptr_t)w.base, 4096, &in_core) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	mcl_window_destroy(&w);
}

/* A limit on file sizes is an error with a reason, not a signal. */
static void file_size_limit_is_explained(void **state)
{
	struct mcl_reason why = { "" };
	struct mcl_window w;
	struct rlimit old, low;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(mcl_window_create(&layout, &w, &why), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_non_null(strstr(why.text, "ulimit -f"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alias_is_the_same_memory),
		cmocka_unit_test(code_is_written_through_an_alias),
		cmocka_unit_test(two_at_once),
		cmocka_unit_test(forks_do_not_have_it),
		cmocka_unit_test(file_size_limit_is_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
