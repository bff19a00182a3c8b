// SPDX-License-Identifier: MIT
/*
 * Who compiles: a process that is started, the companion that has read the source already, or the nursery (nursery_client.h).
 * With the installed POCL, through a script that counts what is started. argv[1] is mirrorcl-cc. The tests build on each other:
 * a process has one nursery.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "compiler/compiler.h"
#include "compiler/file.h"
#include "compiler/tests/loader.h"

static char folder[] = "/tmp/mcl-test-nursery-XXXXXX";
static const char *program;

/* How many compilers have been started, nurseries included. */
static long started(void)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/starts", folder);
	return stat(path, &st) ? 0 : (long)st.st_size;
}

static struct mcl_compile_request request(struct mcl_session *session, const char *source, const char *options)
{
	return (struct mcl_compile_request){
		.session = session,
		.source = source,
		.source_size = strlen(source),
		.options = options,
		.part = MCL_COMPILE_DESCRIPTION,
	};
}

static struct mcl_code_object *compiled(const struct mcl_compile_request *req)
{
	struct mcl_code_object *co;
	struct mcl_reason why = { "" };
	char *log;

	if (mcl_compile(req, &co, &log, &why))
		fail_msg("%s\n%s", why.text, log);
	free(log);
	return co;
}

/* What kernel "first" of the program makes of 40. */
static int result(struct mcl_compile_request req)
{
	struct mcl_code_object *co = compiled(&req);
	int out[1] = { 40 }, *slot = out;
	uint8_t *args[] = { (uint8_t *)&slot };

	if (!mcl_co_whole(co)) {
		mcl_code_object_put(co);
		req.part = MCL_COMPILE_KERNEL;
		req.kernel = "first";
		co = compiled(&req);
	}
	run_range(co, mcl_co_find_kernel(co, "first")->first_variant, NULL, args, 1, 1);
	mcl_code_object_put(co);
	return out[0];
}

static int result_of(const char *source, const char *options)
{
	struct mcl_session *session = mcl_session_create();
	const int value = result(request(session, source, options));

	mcl_session_free(session);
	return value;
}

#define ONE "kernel void first(global int *o) { o[0] += ADD; }\n"
#define TWO ONE "kernel void second(global int *o) {}\n"

/* ---- what is compiled first and linked then ---- */

static void linked_by_the_same(void **state)
{
	struct mcl_compile_request req = request(mcl_session_create(), TWO, "-DADD=1");
	struct mcl_code_object *co;

	(void)state;
	req.part = MCL_COMPILE_CHECK;
	co = compiled(&req);
	assert_int_equal(co->header->kernels.count, 0);
	mcl_code_object_put(co);
	assert_int_equal(started(), 1);
	req.part = MCL_COMPILE_DESCRIPTION;
	assert_int_equal(result(req), 41);
	assert_int_equal(started(), 1);
	mcl_session_free(req.session);
}

/* ---- the nursery ---- */

static void one_for_all(void **state)
{
	char options[32];

	(void)state;
	for (int i = 2; i < 6; i++) {
		snprintf(options, sizeof(options), "-DADD=%d", i);
		assert_int_equal(result_of(i & 1 ? ONE : TWO, options), 40 + i);
		assert_int_equal(started(), 2);
	}
}

/* A program with a single kernel is made at once, and its companion is gone. Functions for a local size are made nevertheless. */
static void single_kernel(void **state)
{
	static const uint32_t size[1][3] = { { 1, 1, 1 } };
	struct mcl_compile_request req = request(mcl_session_create(), ONE, "-DADD=30");
	struct mcl_code_object *co;
	int out[1] = { 40 }, *slot = out;
	uint8_t *args[] = { (uint8_t *)&slot };

	(void)state;
	assert_int_equal(result(req), 70);
	req.part = MCL_COMPILE_KERNEL;
	req.kernel = "first";
	req.local_size_count = 1;
	req.local_sizes = size;
	for (int jam = 0; jam < 2; jam++) {
		req.jam = jam;
		co = compiled(&req);
		if (!jam) {
			assert_int_equal(co->variants[mcl_co_find_kernel(co, "first")->first_variant].flags,
					 MCL_CO_ZERO_OFFSET);
			run_range(co, mcl_co_find_kernel(co, "first")->first_variant, NULL, args, 1, 1);
			assert_int_equal(out[0], 70);
		}
		mcl_code_object_put(co);
	}
	assert_int_equal(started(), 2);
	mcl_session_free(req.session);
}

/* The companion that has compiled it had to make room for two others: another one compiles it again, and links. */
static void linked_by_another(void **state)
{
	struct mcl_compile_request req = request(mcl_session_create(), TWO, "-DADD=6"), others[2];

	(void)state;
	req.part = MCL_COMPILE_CHECK;
	mcl_code_object_put(compiled(&req));
	for (int i = 0; i < 2; i++) {
		others[i] = request(mcl_session_create(), TWO, i ? "-DADD=7" : "-DADD=8");
		mcl_code_object_put(compiled(&others[i]));
	}
	req.part = MCL_COMPILE_DESCRIPTION;
	assert_int_equal(result(req), 46);
	assert_int_equal(started(), 2);
	mcl_session_free(req.session);
	for (int i = 0; i < 2; i++)
		mcl_session_free(others[i].session);
}

/* What POCL and the compiler say of a program names it as ever. */
static void mistakes(void **state)
{
	struct mcl_compile_request req = request(mcl_session_create(), "kernel void broken( {}\n", NULL);
	struct mcl_reason why = { "" };
	struct mcl_code_object *co;
	char *log;

	(void)state;
	assert_int_equal(mcl_compile(&req, &co, &log, &why), -ENOEXEC);
	assert_non_null(strstr(log, "<program>:1:"));
	assert_null(strstr(log, "/proc/"));
	free(log);
	mcl_session_free(req.session);
	assert_int_equal(started(), 2);
}

/* Files are looked for where the application is, not where the nursery was started. */
static void other_folder(void **state)
{
	static const char source[] = "#include \"value.h\"\n" ONE;
	char path[PATH_MAX], before[PATH_MAX];

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	for (int i = 0; i < 2; i++) {
		char text[64];

		snprintf(path, sizeof(path), "%s/place%d", folder, i);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(chdir(path), 0);
		snprintf(text, sizeof(text), "#define ADD %d\n", 20 + i);
		assert_int_equal(mcl_file_write("value.h", text, strlen(text), 0600), 0);
		assert_int_equal(result_of(source, "-I."), 60 + i);
	}
	assert_int_equal(chdir(before), 0);
	assert_int_equal(started(), 2);
}

/* A compiler that is started now would have another environment. */
static void other_environment(void **state)
{
	(void)state;
	setenv("MCL_TEST_NURSERY", "1", 1);
	assert_int_equal(result_of(TWO, "-DADD=9"), 49);
	assert_int_equal(started(), 3);
	assert_int_equal(result_of(TWO, "-DADD=10"), 50);
	assert_int_equal(started(), 3);
}

static bool has(const char *pid, const char *file, const char *text)
{
	char path[PATH_MAX];
	size_t size = 0;
	void *bytes;
	bool found;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, file);
	if (mcl_file_read(path, &bytes, &size))
		return false;
	found = memmem(bytes, size, text, strlen(text));
	free(bytes);
	return found;
}

/* Send @sig to all processes that were started with @text in their environment and @word in their command line. Returns how many. */
static int signal_all(const char *text, const char *word, int sig)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	assert_non_null(proc);
	while ((entry = readdir(proc))) {
		const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && pid != getpid() && has(entry->d_name, "environ", text) &&
		    has(entry->d_name, "cmdline", word))
			count += !kill(pid, sig);
	}
	closedir(proc);
	return count;
}

static void killed(void **state)
{
	(void)state;
	assert_true(signal_all(folder, "--nursery-fd", SIGKILL) > 0);
	assert_int_equal(result_of(TWO, "-DADD=11"), 51);
	assert_int_equal(result_of(TWO, "-DADD=12"), 52);
	assert_int_equal(started(), 4);
}

/* A child of fork() starts its own, and whatever becomes of it nothing is left. */
static void forked(void **state)
{
	char mine[64];
	pid_t child;
	bool had_one;
	int status;

	(void)state;
	child = fork();
	if (child == 0) {
		snprintf(mine, sizeof(mine), "%d", getpid());
		setenv("MCL_TEST_CHILD", mine, 1);
		if (result_of(TWO, "-DADD=13") != 53 || result_of(TWO, "-DADD=14") != 54 ||
		    result_of(TWO, "-DADD=15") != 55)
			_exit(1);
		for (;;)
			pause();
	}
	snprintf(mine, sizeof(mine), "MCL_TEST_CHILD=%d", child);
	for (int i = 0; i < 600 && (started() < 6 || !signal_all(mine, "--nursery-fd", 0)); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	had_one = signal_all(mine, "--nursery-fd", 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_true(had_one);
	assert_int_equal(started(), 6);
	for (int i = 0; i < 200 && signal_all(mine, "", 0); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	assert_int_equal(signal_all(mine, "", 0), 0);
	/* The parent's is the parent's still. */
	assert_int_equal(result_of(TWO, "-DADD=16"), 56);
}

static int make_folder(void **state)
{
	char path[PATH_MAX], text[3 * PATH_MAX];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/cache", folder);
	setenv("MIRRORCL_CACHE_DIR", path, 1);
	snprintf(path, sizeof(path), "%s/compiler", folder);
	setenv("MIRRORCL_CC", path, 1);
	snprintf(text, sizeof(text), "#!/bin/sh\nprintf x >>'%s/starts'\nexec '%s' \"$@\"\n", folder, program);
	return mcl_file_write(path, text, strlen(text), 0700);
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
		cmocka_unit_test(linked_by_the_same), cmocka_unit_test(one_for_all), cmocka_unit_test(single_kernel),
		cmocka_unit_test(linked_by_another),  cmocka_unit_test(mistakes),    cmocka_unit_test(other_folder),
		cmocka_unit_test(other_environment),  cmocka_unit_test(killed),	     cmocka_unit_test(forked),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s MIRRORCL-CC\n", argv[0]);
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
