// SPDX-License-Identifier: MIT
/* Options from the environment. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/config.h"

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "0x10", 16 },
		{ "3k", 3 << 10 },
		{ "512M", 512ull << 20 },
		{ "2GiB", 2ull << 30 },
		{ "1TB", 1ull << 40 },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = { "", "-1", "M", "1X", "1MM", "1 M", "1KiBs", "1.5G" };
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(mcl_parse_size(good[i].text, &value), 0);
		assert_true(value == good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(mcl_parse_size(bad[i], &value), -EINVAL);
	assert_int_equal(mcl_parse_size(NULL, &value), -EINVAL);
	assert_int_equal(mcl_parse_size("18446744073709551616", &value), -ERANGE);
	assert_int_equal(mcl_parse_size("16777216T", &value), -ERANGE);
	assert_int_equal(mcl_parse_size("16777215T", &value), 0);
}

/* Values are taken, what is not understood or empty falls back to the default. One process, one parse: one test. */
static void test_environment(void **state)
{
	const struct mcl_config *config;

	(void)state;
	setenv("MIRRORCL_MIRROR", "uffd", 1);
	setenv("MIRRORCL_COMPUTE_UNITS", "7", 1);
	setenv("MIRRORCL_VRAM", "3G", 1);
	setenv("MIRRORCL_SPECIALIZE", "off", 1);
	setenv("MIRRORCL_SPIN_US", "many", 1);
	setenv("MIRRORCL_CACHE_SIZE", "-5", 1);
	setenv("MIRRORCL_DEVICE_TYPE", "", 1);
	config = mcl_config();
	assert_string_equal(config->mirror, "uffd");
	assert_int_equal(config->compute_units, 7);
	assert_true(config->vram == 3ull << 30);
	assert_false(config->specialize);
	assert_int_equal(config->spin_us, 50);
	assert_true(config->cache_size == 512ull << 20);
	assert_string_equal(config->device_type, "gpu");
	setenv("MIRRORCL_MIRROR", "shared", 1);
	assert_ptr_equal(mcl_config(), config);
	assert_string_equal(config->mirror, "uffd");
}

/* The help names every option and shows what is set. */
static void test_help(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	setenv("MIRRORCL_DEBUG", "trace", 1);
	mcl_config_help(out);
	fclose(out);
#define MCL_OPTION(id, type, name, def, help)                                                                          \
	assert_non_null(strstr(text, name));                                                                           \
	assert_non_null(strstr(text, help));
#include "support/config.def"
#undef MCL_OPTION
	assert_non_null(strstr(text, "now 'trace'"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
