// SPDX-License-Identifier: MIT
/* Where mirrorcl-cc is looked for. Each case runs a copy of this program, "test_locate find", at the place in question. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "compiler/file.h"
#include "compiler/locate.h"

static char folder[] = "/tmp/mcl-test-XXXXXX";
static const char *self;

/* In the copy: print what is found. */
static int find(void)
{
	struct mcl_reason why;
	char *path;

	if (mcl_locate_compiler(&path, &why)) {
		puts(why.text);
		return 1;
	}
	puts(path);
	free(path);
	return 0;
}

static void sh(const char *command)
{
	char line[8192];

	snprintf(line, sizeof(line), "cd %s && self='%s' && %s", folder, self, command);
	assert_int_equal(system(line), 0);
}

/* Run the copy at @place with $PATH @path; it must find @expected, or nothing if that is NULL. */
static void expect(const char *place, const char *path, const char *expected)
{
	char line[4 * PATH_MAX], wanted[PATH_MAX], got[PATH_MAX] = "";
	FILE *f;

	snprintf(line, sizeof(line), "cd %s && env -u MIRRORCL_CC PATH=%s %s find", folder, path, place);
	f = popen(line, "r");
	assert_non_null(f);
	assert_non_null(fgets(got, sizeof(got), f));
	got[strcspn(got, "\n")] = '\0';
	assert_int_equal(pclose(f) == 0, expected != NULL);
	if (!expected) {
		assert_non_null(strstr(got, "MIRRORCL_CC"));
		return;
	}
	snprintf(wanted, sizeof(wanted), "%s/%s", folder, expected);
	if (strcmp(got, wanted) != 0)
		fail_msg("%s finds '%s', not '%s'", place, got, wanted);
}

static void it_is_found_where_it_may_be(void **state)
{
	char library[PATH_MAX];

	(void)state;
	sh("mkdir -p a/b tools build/device-backend/compiler build/icd build/x/tests lonely");
	sh("cp \"$self\" a/b/prog && cp a/b/prog build/icd && cp a/b/prog build/x/tests && cp a/b/prog lonely");
	expect("a/b/prog", "/no/such:/usr/bin", NULL);
	sh("printf '#!/bin/sh\\n' > tools/mirrorcl-cc");
	snprintf(library, sizeof(library), "%s/tools:/usr/bin", folder);
	expect("a/b/prog", library, NULL); /* not executable */
	sh("chmod 755 tools/mirrorcl-cc");
	expect("a/b/prog", library, "tools/mirrorcl-cc");
	/* The working directory is no place to take programs from. */
	sh("cp tools/mirrorcl-cc .");
	expect("lonely/prog", ":/usr/bin:", NULL);
	/* A build tree. */
	sh("cp tools/mirrorcl-cc build/device-backend/compiler/");
	expect("build/icd/prog", library, "build/device-backend/compiler/mirrorcl-cc");
	expect("build/x/tests/prog", library, "build/device-backend/compiler/mirrorcl-cc");
	/* Beside, which comes before everything else, also through a link and from PATH. */
	sh("cp tools/mirrorcl-cc a/b/ && ln -s ../a/b/prog tools/linked");
	expect("a/b/prog", library, "a/b/mirrorcl-cc");
	expect("tools/linked", library, "a/b/mirrorcl-cc");
	expect("linked", library, "a/b/mirrorcl-cc");
}

static void identity(uint8_t out[MCL_DIGEST_SIZE])
{
	struct mcl_digest digest;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/tools/mirrorcl-cc", folder);
	mcl_digest_begin(&digest);
	mcl_compiler_identity(path, &digest);
	mcl_digest_end(&digest, out);
}

static void a_changed_compiler_is_another_one(void **state)
{
	uint8_t first[MCL_DIGEST_SIZE], second[MCL_DIGEST_SIZE];

	(void)state;
	identity(first);
	identity(second);
	assert_memory_equal(first, second, sizeof(first));
	sh("touch -d @1000 tools/mirrorcl-cc");
	identity(second);
	assert_memory_not_equal(first, second, sizeof(first));
	identity(first);
	sh("echo >> tools/mirrorcl-cc && touch -d @1000 tools/mirrorcl-cc");
	identity(second);
	assert_memory_not_equal(first, second, sizeof(first));
}

static int make_folder(void **state)
{
	(void)state;
	return !mkdtemp(folder);
}

static int remove_folder(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_found_where_it_may_be),
		cmocka_unit_test(a_changed_compiler_is_another_one),
	};
	char path[PATH_MAX];

	if (argc > 1 && strcmp(argv[1], "find") == 0)
		return find();
	self = realpath("/proc/self/exe", path);
	if (!self)
		return 1;
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
