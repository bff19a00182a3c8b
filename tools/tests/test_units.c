// SPDX-License-Identifier: MIT
/* Sizes and times for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "units.h"

static void test_bytes(void **state)
{
	char text[16];

	(void)state;
	assert_string_equal(format_bytes(0, text, sizeof(text)), "0 B");
	assert_string_equal(format_bytes(1023, text, sizeof(text)), "1023 B");
	assert_string_equal(format_bytes(1536, text, sizeof(text)), "1.50 KiB");
	assert_string_equal(format_bytes(64.0 * 1048576, text, sizeof(text)), "64.0 MiB");
	assert_string_equal(format_bytes(5e15, text, sizeof(text)), "4547 TiB");
}

static void test_times(void **state)
{
	char text[16];

	(void)state;
	assert_string_equal(format_ns(999, text, sizeof(text)), "999 ns");
	assert_string_equal(format_ns(87000, text, sizeof(text)), "87.0 us");
	assert_string_equal(format_ns(1.5e9, text, sizeof(text)), "1.50 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_bytes), cmocka_unit_test(test_times) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
