// SPDX-License-Identifier: MIT
/* Included files become headers that mean the same, or nothing does. */
#include <errno.h>
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

#include "compiler/headers.h"

static char folder[] = "/tmp/mcl-test-XXXXXX";

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* Collect the headers of @source, which is given the header "given.h". */
static int collect(const char *source, const char *options, struct mcl_headers *out)
{
	static const char *const name = "given.h", *const text = "given\n";
	const struct mcl_compile_unit unit = { source, strlen(source), options, 1, &name, &text };

	return mcl_headers_collect(&unit, out);
}

static void expect(const char *source, const char *options, uint32_t count, const char *const *names,
		   const char *const *texts)
{
	struct mcl_headers g;

	assert_int_equal(collect(source, options, &g), 0);
	assert_int_equal(g.count, 1 + count);
	assert_string_equal(g.names[0], "given.h");
	assert_string_equal(g.texts[0], "given\n");
	for (uint32_t i = 0; i < count; i++) {
		assert_string_equal(g.names[1 + i], names[i]);
		assert_string_equal(g.texts[1 + i], texts[i]);
	}
	mcl_headers_free(&g);
}

static void expect_no(const char *source, const char *options)
{
	struct mcl_headers g;

	assert_int_equal(collect(source, options, &g), -ENOTSUP);
	mcl_headers_free(&g);
}

static void found(void **state)
{
	static const char *const names[] = { "a/one.h", "a/two.h", "three.h" };
	static const char *const texts[] = { "#include \"two.h\"\n#include <three.h>\n", "// 2\n#include \"one.h\"\n",
					     "#include \"given.h\"\n#include \"a/two.h\"\n" };

	(void)state;
	write_file("d/a/one.h", texts[0]);
	write_file("d/a/two.h", texts[1]);
	write_file("d/two.h", "#error\n");
	write_file("d/three.h", texts[2]);
	write_file("d/given.h", "#error\n");
	expect("int x;\n", "-Id", 0, NULL, NULL);
	expect("#include \"given.h\"\n#include \"absent.h\"\n", "-Id", 0, NULL, NULL);
	expect("#include \"a/one.h\"\n", "-I d", 3, names, texts);
	expect("#include <a/one.h>\n#include \"a/two.h\"\n", "-Inowhere -Id", 3, names, texts);
	/* The working directory comes first. */
	write_file("three.h", "// here\n");
	expect("#include \"three.h\"\n", "-Id", 1, (const char *const[]){ "three.h" },
	       (const char *const[]){ "// here\n" });
	unlink("three.h");
}

static void refused(void **state)
{
	(void)state;
	write_file("d/a/up.h", "#include \"../two.h\"\n");
	write_file("d/a/three.h", "// another three.h\n");
	write_file("d/a/mixed.h", "#include <three.h>\n");
	expect_no("#include \"a/up.h\"\n", "-Id");
	expect_no("#include \"/etc/passwd\"\n", "");
	expect_no("#include MACRO\n", "-DMACRO=\\\"x.h\\\"");
	expect_no("#if __has_include(<three.h>)\n#endif\n", "-Id");
	expect_no("#include <three.h>\n", "-Id -no-such-option");
	/* One name, two files: by turns. */
	write_file("e/three.h", "// e\n");
	write_file("e/b.h", "#include \"three.h\"\n");
	expect_no("#include <three.h>\n#include \"b.h\"\n", "-Id -Ie");
	expect_no("#include \"b.h\"\n#include <three.h>\n", "-Id -Ie");
	/* Each alone is no problem. */
	expect("#include <three.h>\n", "-Id/a", 1, (const char *const[]){ "three.h" },
	       (const char *const[]){ "// another three.h\n" });
}

static int setup(void **state)
{
	(void)state;
	return !mkdtemp(folder) || chdir(folder) || mkdir("d", 0700) || mkdir("d/a", 0700) || mkdir("e", 0700);
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests_name("headers", tests, setup, teardown);
}
