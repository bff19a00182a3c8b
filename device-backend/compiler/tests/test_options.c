// SPDX-License-Identifier: MIT
/* Build options: what is taken, what is translated, what is refused. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "compiler/options.h"

static void expect(const char *options, const char *text, const char *prolog)
{
	struct mcl_options o;
	struct mcl_reason why = { .text = "" };

	if (mcl_options_parse(options, &o, &why))
		fail_msg("'%s': %s", options, why.text);
	assert_string_equal(o.text, text);
	assert_string_equal(o.prolog, prolog);
	mcl_options_free(&o);
}

static void refuse(const char *options, const char *word)
{
	struct mcl_options o;
	struct mcl_reason why = { .text = "" };

	assert_int_equal(mcl_options_parse(options, &o, &why), -EINVAL);
	if (!strstr(why.text, word))
		fail_msg("'%s' gives '%s', without '%s'", options, why.text, word);
}

static void standard_options_pass(void **state)
{
	(void)state;
	expect(NULL, "", "");
	expect("  \t\n ", "", "");
	expect("-cl-fast-relaxed-math   -w\t-Werror", "-cl-fast-relaxed-math -w -Werror ", "");
	expect("-cl-opt-disable -cl-mad-enable -cl-kernel-arg-info -g -cl-no-signed-zeros -cl-strict-aliasing",
	       "-cl-opt-disable -cl-mad-enable -cl-kernel-arg-info -g -cl-no-signed-zeros -cl-strict-aliasing ", "");
	expect("-cl-uniform-work-group-size -cl-no-subgroup-ifp", "", "");
}

static void language_versions_are_translated(void **state)
{
	(void)state;
	expect("-cl-std=CL1.2", "-cl-std=CL1.2 ", "");
	expect("-cl-std=CL3.0", "-cl-std=CL3.0 ", "");
	expect("-cl-std=CL2.0", "-cl-std=CL3.0 ",
	       "#undef __OPENCL_C_VERSION__\n#define __OPENCL_C_VERSION__ 200\n#line 1\n");
	refuse("-cl-std=CL4.0", "CL4.0");
	refuse("-cl-std=", "-cl-std=");
	refuse("-cl-std=CLC++", "CLC++");
}

static void macros_keep_their_values(void **state)
{
	(void)state;
	expect("-DA -D B -DC=1 -D D=f(x,y)", "-DA -DB -DC=1 -DD=f(x,y) ", "");
	/* POCL would drop the quotes or split at the blank. */
	expect("-DS=\\\"hi\\\"", "", "#define S \"hi\"\n#line 1\n");
	expect("-D \"S=a b\"", "", "#define S a b\n#line 1\n");
	expect("'-DF(x)=x + 1'", "", "#define F(x) x + 1\n#line 1\n");
	expect("-DE=", "-DE= ", "");
	refuse("-D", "-D");
	refuse("-D 1x", "1x");
	refuse("-D=3", "=3");
	refuse("-Da-b", "a-b");
	refuse("\"-DA=1\n#error\"", "line break");
}

static void folders_are_collected(void **state)
{
	struct mcl_options o;

	(void)state;
	assert_int_equal(mcl_options_parse("-Ia -I b -I \"c d\" -Ie\\ f", &o, NULL), 0);
	assert_int_equal(o.include_dir_count, 4);
	assert_string_equal(o.include_dirs[0], "a");
	assert_string_equal(o.include_dirs[1], "b");
	assert_string_equal(o.include_dirs[2], "c d");
	assert_string_equal(o.include_dirs[3], "e f");
	assert_string_equal(o.text, "-Ia -Ib -I\"c d\" -I\"e f\" ");
	mcl_options_free(&o);
	refuse("-I", "-I");
	refuse("-I ''", "folder");
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	refuse("-foo", "-foo");
	refuse("-w -cl-no-such-thing", "-cl-no-such-thing");
	refuse("stray", "stray");
	refuse("-O3", "-O3");
	refuse("-x spir", "-x");
	refuse("-create-library", "-create-library");
	refuse("-wrong", "-wrong");
	refuse("-D \"A=1", "quote");
	refuse("'", "quote");
	refuse("-Werror=x", "-Werror=x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standard_options_pass),    cmocka_unit_test(language_versions_are_translated),
		cmocka_unit_test(macros_keep_their_values), cmocka_unit_test(folders_are_collected),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
