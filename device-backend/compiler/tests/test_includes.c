// SPDX-License-Identifier: MIT
/* Included files: a change anywhere changes the hash; what cannot be followed is not called sound. */
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

#include "compiler/includes.h"

static char folder[] = "/tmp/mcl-test-XXXXXX";

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Whether it is sound; the hash in @out. */
static bool hash(const char *text, const char *options, uint8_t out[MCL_DIGEST_SIZE])
{
	struct mcl_options o;
	struct mcl_digest digest;
	bool sound;

	assert_int_equal(mcl_options_parse(options, &o, NULL), 0);
	mcl_digest_begin(&digest);
	sound = mcl_includes_hash(&digest, text, strlen(text), &o);
	mcl_digest_end(&digest, out);
	mcl_options_free(&o);
	return sound;
}

static bool sound(const char *text)
{
	uint8_t out[MCL_DIGEST_SIZE];

	return hash(text, "", out);
}

/* Whether writing @content to @file changes the hash of @text. */
static bool matters(const char *text, const char *options, const char *file, const char *content)
{
	uint8_t before[MCL_DIGEST_SIZE], after[MCL_DIGEST_SIZE];

	assert_true(hash(text, options, before));
	if (content)
		write_file(file, content);
	else
		unlink(file);
	assert_true(hash(text, options, after));
	return memcmp(before, after, sizeof(before)) != 0;
}

static void changes_in_included_files_matter(void **state)
{
	(void)state;
	write_file("a.h", "#include \"d/b.h\"\n");
	write_file("d/b.h", "# include <c.h>\n");
	write_file("d/c.h", "1\n");
	assert_true(matters("#include \"a.h\"\n", "-Id", "a.h", "#include \"d/b.h\"\n//\n"));
	assert_true(matters("#include \"a.h\"\n", "-Id", "d/b.h", "# include <c.h>\n//\n"));
	assert_true(matters("#include \"a.h\"\n", "-Id", "d/c.h", "2\n"));
	assert_false(matters("#include \"a.h\"\n", "-Id", "d/c.h", "2\n")); /* the same again */
	assert_false(matters("int a;\n", "-Id", "d/c.h", "3\n"));
	assert_true(matters("%:include <c.h>\n", "-Id", "d/c.h", "4\n"));
	assert_true(matters("#inc\\\nlude <c.h>\n", "-Id", "d/c.h", "5\n"));
	assert_true(matters("#inc\\ \t\r\nlude <c.h>\n", "-Id", "d/c.h", "6\n"));
	assert_true(matters("#if 0\n#include <c.h>\n#endif\n", "-Id", "d/c.h", "7\n"));
	assert_true(matters("#import <c.h>\n", "-Id", "d/c.h", "8\n"));
}

static void files_that_would_win_matter(void **state)
{
	(void)state;
	write_file("d/x.h", "1\n");
	/* It is found in d; one that appears earlier on the way is found instead. */
	assert_true(matters("#include <x.h>\n", "-Id", "x.h", "1\n"));
	assert_true(matters("#include <x.h>\n", "-Id", "x.h", NULL));
	/* A quoted name is first looked for beside the file that includes it. */
	write_file("d/y.h", "#include \"z.h\"\n");
	write_file("z.h", "1\n");
	assert_true(matters("#include \"d/y.h\"\n", "", "d/z.h", "1\n"));
	assert_true(matters("#include \"never.h\"\n", "", "never.h", "1\n"));
}

static void cycles_and_depth_end(void **state)
{
	char name[32], text[64];

	(void)state;
	write_file("r.h", "#include \"r.h\"\n#include \"s.h\"\n");
	write_file("s.h", "#include \"r.h\"\n");
	assert_true(sound("#include \"r.h\"\n"));
	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "deep%d.h", i);
		snprintf(text, sizeof(text), "#include \"deep%d.h\"\n", i + 1);
		write_file(name, text);
	}
	assert_true(sound("#include \"deep100.h\"\n"));
	assert_false(sound("#include \"deep0.h\"\n"));
}

static void what_cannot_be_known_is_not_sound(void **state)
{
	(void)state;
	assert_false(sound("#define F \"a.h\"\n#include F\n"));
	assert_false(sound("#if __has_include(\"a.h\")\n#endif\n"));
	assert_false(sound("constant char t[] = __TIME__;\n"));
	assert_false(sound("#embed \"a.h\"\n"));
	assert_false(sound("#include_next <a.h>\n"));
	assert_false(sound("# /* hidden */ include \"a.h\"\n"));
	assert_false(sound("# /* hid\nden */ include \"a.h\"\n"));
	assert_false(sound("?\?=include \"a.h\"\n"));
	assert_false(sound("#include /**/ \"a.h\"\n"));
	mkfifo("fifo.h", 0600);
	assert_false(sound("#include \"fifo.h\"\n"));
}

static void plain_text_is_sound(void **state)
{
	(void)state;
	assert_true(sound(""));
	assert_true(sound("kernel void include(global int *include_all) { }\n"));
	assert_true(sound("// include this, embed that, included\nint reinclude;\n"));
	assert_true(sound("#pragma unroll\n#define x 1\n"));
}

static int enter_folder(void **state)
{
	(void)state;
	return !mkdtemp(folder) || chdir(folder) || mkdir("d", 0700);
}

static int leave_folder(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") || system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_in_included_files_matter),
		cmocka_unit_test(files_that_would_win_matter),
		cmocka_unit_test(cycles_and_depth_end),
		cmocka_unit_test(what_cannot_be_known_is_not_sound),
		cmocka_unit_test(plain_text_is_sound),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
