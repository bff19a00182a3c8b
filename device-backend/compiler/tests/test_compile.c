// SPDX-License-Identifier: MIT
/*
 * mcl_compile() with compilers made of a few lines of shell: crashes, hangs, nonsense, hostile surroundings, and the
 * cache. Each case runs in a process of its own, because options are read once. test_mirrorcl_cc.c has the real
 * compiler.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
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

#include "compiler/compiler.h"
#include "compiler/file.h"
#include "compiler/source_bundle.h"
#include "compiler/tests/sample.h"

static char folder[] = "/tmp/mcl-test-XXXXXX";

/* In the child of a case: say what is wrong and end. */
#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                      \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

/*
 * Run @test in a process with the compiler @script (its body), the cache folder @cache (NULL: none) and @timeout
 * seconds.
 */
static void run_case(const char *script, const char *cache, const char *timeout, void (*test)(void))
{
	char path[PATH_MAX], cache_path[PATH_MAX];
	int status;
	pid_t child;
	FILE *f;

	snprintf(path, sizeof(path), "%s/compiler", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\ncd %s\n%s\n", folder, script);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0700), 0);
	snprintf(cache_path, sizeof(cache_path), "%s/%s", folder, cache ? cache : "");
	child = fork();
	if (child == 0) {
		setenv("MIRRORCL_CC", path, 1);
		setenv("MIRRORCL_CC_TIMEOUT", timeout, 1);
		setenv("MIRRORCL_CACHE_DIR", cache_path, 1);
		if (!cache)
			setenv("MIRRORCL_CACHE_SIZE", "0", 1);
		CHECK(chdir(folder) == 0);
		test();
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* Verdict @n comes over descriptor 3; "sample" is a valid code object. */
#define VERDICT(n) "printf '\\00" #n "' >&3"
#define GOOD "cat sample; " VERDICT(0)

static int compile_text(const char *source, const char *options, struct mcl_code_object **co, char **log,
			struct mcl_reason *why)
{
	struct mcl_compile_request req = { .source = source, .source_size = strlen(source), .options = options };

	why->text[0] = '\0';
	return mcl_compile(&req, co, log, why);
}

/* The outcome of a program that must fail with @err, @words in the reason and the reason or more in the log. */
static void expect_failure(int err, const char *words)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	char *log;
	int got = compile_text("kernel void k() {}", "", &co, &log, &why);

	if (got != err || !strstr(why.text, words)) {
		fprintf(stderr, "got %d '%s', expected %d '%s'\n", got, why.text, err, words);
		_exit(1);
	}
	CHECK(co == NULL);
	CHECK(log && *log);
	free(log);
}

static void expect_success(const char *source, const char *options)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	char *log;

	if (compile_text(source, options, &co, &log, &why)) {
		fprintf(stderr, "failed: %s\n", why.text);
		_exit(1);
	}
	CHECK(mcl_co_find_kernel(co, "add"));
	CHECK(log);
	free(log);
	mcl_code_object_put(co);
}

static void crash(void)
{
	expect_failure(-ECHILD, "Segmentation fault");
}

static void no_verdict(void)
{
	expect_failure(-ECHILD, "without a verdict");
}

static void a_crash_is_a_failed_build(void **state)
{
	(void)state;
	run_case("kill -SEGV $$", NULL, "60", no_verdict);
	run_case("exit 7", NULL, "60", no_verdict);
	/* mirrorcl-cc itself says that its child crashed. */
	run_case("echo 'mirrorcl-cc: it went Segmentation fault' >&2; " VERDICT(5), NULL, "60", crash);
}

static void hang(void)
{
	struct timespec start, end;
	char pid[32] = "";
	FILE *f;

	clock_gettime(CLOCK_MONOTONIC, &start);
	expect_failure(-ETIMEDOUT, "1 seconds");
	clock_gettime(CLOCK_MONOTONIC, &end);
	CHECK(end.tv_sec - start.tv_sec < 10);
	/* What the compiler had started is gone too. */
	f = fopen("grandchild", "r");
	CHECK(f && fgets(pid, sizeof(pid), f));
	fclose(f);
	for (int i = 0; i < 200 && kill(atoi(pid), 0) == 0; i++) {
		char path[64], state[256] = "";
		FILE *stat;

		/* Without an init to reap it, a dead process may stay as a zombie. */
		snprintf(path, sizeof(path), "/proc/%d/stat", atoi(pid));
		stat = fopen(path, "r");
		if (!stat || !fgets(state, sizeof(state), stat) || strstr(state, ") Z ")) {
			if (stat)
				fclose(stat);
			return;
		}
		fclose(stat);
		usleep(10000);
	}
	CHECK(kill(atoi(pid), 0) < 0);
}

static void a_hang_is_a_failed_build(void **state)
{
	(void)state;
	run_case("sleep 1000 & echo $! > grandchild; wait", NULL, "1", hang);
}

static void missing(void)
{
	setenv("MIRRORCL_CC", "/no/such/program", 1);
	expect_failure(-ENOENT, "/no/such/program");
}

static void not_executable(void)
{
	setenv("MIRRORCL_CC", "sample", 1);
	expect_failure(-ENOENT, "sample");
}

static void no_interpreter(void)
{
	expect_failure(-ENOENT, "cannot start");
}

static void a_missing_compiler_is_told(void **state)
{
	char path[PATH_MAX];
	int status;
	pid_t child;

	(void)state;
	run_case("", NULL, "60", missing);
	run_case("", NULL, "60", not_executable);
	/* It is there and executable, but nothing can run it. */
	snprintf(path, sizeof(path), "%s/broken", folder);
	close(open(path, O_WRONLY | O_CREAT, 0700));
	child = fork();
	if (child == 0) {
		int fd = open(path, O_WRONLY);

		CHECK(write(fd, "#!/no/such/interpreter\n", 23) == 23);
		close(fd);
		setenv("MIRRORCL_CC", path, 1);
		setenv("MIRRORCL_CACHE_SIZE", "0", 1);
		no_interpreter();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void unknown_format(void)
{
	expect_failure(-EPROTO, "version 9");
}

static void unknown_pocl(void)
{
	expect_failure(-EPROTO, "POCL is version 7.1");
}

static void unusable_output(void)
{
	expect_failure(-ECHILD, "unusable code");
}

static void no_output(void)
{
	expect_failure(-ECHILD, "no code");
}

static void unknown_versions_and_nonsense_are_refused(void **state)
{
	(void)state;
	run_case("cat version9; " VERDICT(0), NULL, "60", unknown_format);
	run_case("echo 'mirrorcl-cc: POCL is version 7.1' >&2; " VERDICT(4), NULL, "60", unknown_pocl);
	run_case("head -c 500 /dev/zero; " VERDICT(0), NULL, "60", unusable_output);
	run_case("head -c 400 sample; " VERDICT(0), NULL, "60", unusable_output);
	run_case(VERDICT(0), NULL, "60", no_output);
}

static void failing_build(void)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	char *log;

	CHECK(compile_text("x", "", &co, &log, &why) == -ENOEXEC);
	CHECK(strcmp(log, "line 1: what is x?\n") == 0);
	free(log);
	/* A caller may want none of it. */
	CHECK(mcl_compile(&(struct mcl_compile_request){ .source = "x", .source_size = 1 }, &co, NULL, NULL) ==
	      -ENOEXEC);
}

static void bad_options(void)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	char *log;

	CHECK(compile_text("x", "-w -cl-nonsense", &co, &log, &why) == -EINVAL);
	CHECK(strstr(why.text, "-cl-nonsense"));
	CHECK(strstr(log, "-cl-nonsense"));
	free(log);
	CHECK(access("started", F_OK) < 0);
}

static void errors_come_with_the_log(void **state)
{
	(void)state;
	run_case("echo 'line 1: what is x?' >&2; " VERDICT(1), NULL, "60", failing_build);
	run_case("touch started; " VERDICT(1), NULL, "60", bad_options);
}

static void flood(void)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	char *log;

	CHECK(compile_text("x", "", &co, &log, &why) == 0);
	CHECK(strlen(log) == 4 << 20);
	free(log);
	mcl_code_object_put(co);
}

static void a_flood_of_messages_is_cut(void **state)
{
	(void)state;
	run_case("head -c 6000000 /dev/zero | tr '\\0' x >&2; " GOOD, NULL, "60", flood);
}

static void good(void)
{
	expect_success("kernel void k() {}", "");
}

static void ignored_children(void)
{
	signal(SIGCHLD, SIG_IGN);
	good();
}

static _Atomic int stop;

static void *reap_everything(void *arg)
{
	while (!stop)
		if (waitpid(-1, NULL, 0) < 0)
			usleep(100);
	return arg;
}

static void greedy_application(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, reap_everything, NULL) == 0);
	for (int i = 0; i < 20; i++)
		good();
	stop = 1;
	CHECK(pthread_join(thread, NULL) == 0);
}

static void no_standard_descriptors(void)
{
	int copy = fcntl(2, F_DUPFD_CLOEXEC, 100);

	close(0);
	close(1);
	close(2);
	good();
	dup2(copy, 2);
}

static void hostile_state(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	setenv("LD_PRELOAD", "/no/such/library.so", 1);
	CHECK(fcntl(2, F_DUPFD, 50) == 50); /* not close-on-exec */
	good();
}

static void the_application_may_do_what_it_likes(void **state)
{
	(void)state;
	run_case(GOOD, NULL, "60", good);
	run_case(GOOD, NULL, "0", good);
	run_case(GOOD, NULL, "60", ignored_children);
	run_case(GOOD, NULL, "60", greedy_application);
	run_case(GOOD, NULL, "60", no_standard_descriptors);
	run_case("grep -q '^SigBlk:.0*$' /proc/self/status || exit 1\n"
		 "grep -q '^SigIgn:.0*$' /proc/self/status || exit 2\n"
		 "[ -e /proc/$$/fd/50 ] && exit 3\n"
		 "[ -z \"$LD_PRELOAD\" ] || exit 4\n"
		 "[ \"$(cut -d' ' -f5 /proc/$$/stat)\" = $$ ] || exit 5\n" GOOD,
		 NULL, "60", hostile_state);
}

static void full_request(void)
{
	const uint32_t sizes[][3] = { { 64, 1, 1 }, { 0, 0, 0 }, { 8, 8, 2 } };
	struct mcl_compile_request req = {
		.source = "some\0source",
		.source_size = 11,
		.options = "-DX=1 -I  'a b'",
		.local_size_count = 3,
		.local_sizes = sizes,
	};
	struct mcl_code_object *co;
	struct mcl_reason why;

	CHECK(mcl_compile(&req, &co, NULL, &why) == 0);
	mcl_code_object_put(co);
}

static void everything_reaches_the_compiler(void **state)
{
	(void)state;
	run_case("cat > got\n"
		 "[ \"$(od -An -c got | tr -d ' \\n')\" = 'some\\0source' ] || exit 1\n"
		 "sizes=\n"
		 "for a; do case $a in\n"
		 "--options=*) [ \"$a\" = \"--options=-DX=1 -I  'a b'\" ] || exit 2;;\n"
		 "--local-size=*) sizes=\"$sizes${a#*=} \";;\n"
		 "esac; done\n"
		 "[ \"$sizes\" = '64,1,1 8,8,2 ' ] || exit 6\n" GOOD,
		 NULL, "60", full_request);
}

static void several_sources(void)
{
	static const char *const names[] = { "a.h", "b=c/d.h" }, *const headers[] = { "header a", "header b" };
	const struct mcl_compile_unit more = { "other", 5, "-DY", 0, NULL, NULL };
	struct mcl_compile_request req = {
		.source = "some\0source",
		.source_size = 11,
		.options = "-DX=1 -I  'a b'",
		.header_count = 2,
		.header_names = names,
		.header_sources = headers,
		.more_count = 1,
		.more = &more,
		.part = MCL_COMPILE_CHECK,
	};
	struct mcl_code_object *co;
	struct mcl_bundle bundle;
	struct mcl_reason why;
	void *bytes;
	size_t size;

	CHECK(mcl_compile(&req, &co, NULL, &why) == 0);
	mcl_code_object_put(co);
	CHECK(mcl_file_read("got", &bytes, &size) == 0);
	CHECK(mcl_bundle_parse(bytes, size, &bundle, &why) == 0);
	free(bytes);
	CHECK(bundle.unit_count == 2);
	CHECK(bundle.units[0].source_size == 11 && memcmp(bundle.units[0].source, "some\0source", 11) == 0);
	CHECK(strcmp(bundle.units[0].options, "-DX=1 -I  'a b'") == 0);
	CHECK(bundle.units[0].header_count == 2);
	CHECK(strcmp(bundle.units[0].header_names[1], "b=c/d.h") == 0);
	CHECK(strcmp(bundle.units[0].header_sources[1], "header b") == 0);
	CHECK(strcmp(bundle.units[1].source, "other") == 0);
	CHECK(strcmp(bundle.units[1].options, "-DY") == 0);
	mcl_bundle_free(&bundle);
}

static void several_sources_reach_the_compiler(void **state)
{
	(void)state;
	run_case("cat > got\n"
		 "for a; do case $a in\n"
		 "--options*) exit 1;;\n"
		 "--check) check=1;;\n"
		 "esac; done\n"
		 "[ $check = 1 ] || exit 2\n" GOOD,
		 NULL, "60", several_sources);
}

static unsigned int runs(void)
{
	struct stat st;

	return stat("runs", &st) == 0 ? (unsigned int)st.st_size : 0;
}

/* With another source, which has these options and the header "h.h". */
static void expect_success_with(const char *other, const char *options, const char *header)
{
	static const char *const name = "h.h";
	const struct mcl_compile_unit more = { other, strlen(other), options, 1, &name, &header };
	struct mcl_compile_request req = { .source = "kernel void k() {}", .source_size = 18, .more_count = 1 };
	struct mcl_code_object *co;
	struct mcl_reason why;

	req.more = &more;
	CHECK(mcl_compile(&req, &co, NULL, &why) == 0);
	mcl_code_object_put(co);
}

static void repeated(void)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	char *log;
	FILE *f;

	good();
	CHECK(runs() == 1);
	good();
	CHECK(runs() == 1);
	expect_success("kernel void k() { }", "");
	CHECK(runs() == 2);
	expect_success("kernel void k() {}", "-DX");
	CHECK(runs() == 3);
	/* The log comes with a hit too. */
	CHECK(compile_text("kernel void k() {}", "", &co, &log, &why) == 0);
	CHECK(strcmp(log, "some warning\n") == 0);
	free(log);
	mcl_code_object_put(co);
	CHECK(runs() == 3);
	/* Included files count. */
	f = fopen("inc.h", "w");
	CHECK(f && fclose(f) == 0);
	expect_success("#include \"inc.h\"\n", "");
	expect_success("#include \"inc.h\"\n", "");
	CHECK(runs() == 4);
	f = fopen("inc.h", "w");
	CHECK(f && fputs("//", f) >= 0 && fclose(f) == 0);
	expect_success("#include \"inc.h\"\n", "");
	CHECK(runs() == 5);
	/* So does all of a source that is linked to it. */
	expect_success_with("int a;", "", "");
	expect_success_with("int a;", "", "");
	CHECK(runs() == 6);
	expect_success_with("int b;", "", "");
	CHECK(runs() == 7);
	expect_success_with("int b;", "-DX", "");
	CHECK(runs() == 8);
	expect_success_with("int b;", "-DX", "//");
	CHECK(runs() == 9);
	expect_success_with("#include \"inc.h\"\n", "", "");
	CHECK(runs() == 10);
	f = fopen("inc.h", "w");
	CHECK(f && fputs("///", f) >= 0 && fclose(f) == 0);
	expect_success_with("#include \"inc.h\"\n", "", "");
	CHECK(runs() == 11);
	/* What cannot be tracked is compiled every time. */
	expect_success("#include INC\n", "-DINC=\\\"inc.h\\\"");
	expect_success("#include INC\n", "-DINC=\\\"inc.h\\\"");
	CHECK(runs() == 13);
	/* Corrupt entries are built again. */
	CHECK(system("for f in cache/*.mclo; do truncate -s 300 $f; done") == 0);
	good();
	CHECK(runs() == 14);
	good();
	CHECK(runs() == 14);
	/* Another compiler means another program. */
	CHECK(system("echo >> compiler") == 0);
	good();
	CHECK(runs() == 15);
}

static void *compile_thread(void *arg)
{
	good();
	return arg;
}

static void concurrent(void)
{
	pthread_t threads[6];

	for (int i = 0; i < 6; i++)
		CHECK(pthread_create(&threads[i], NULL, compile_thread, NULL) == 0);
	for (int i = 0; i < 6; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(runs() == 1);
}

static void failures(void)
{
	expect_failure(-ENOEXEC, "does not compile");
	expect_failure(-ENOEXEC, "does not compile");
	CHECK(runs() == 2);
}

static void programs_are_compiled_once(void **state)
{
	char path[PATH_MAX];

	(void)state;
	snprintf(path, sizeof(path), "%s/runs", folder);
	run_case("printf x >> runs; echo 'some warning' >&2; " GOOD, "cache", "60", repeated);
	unlink(path);
	run_case("printf x >> runs; sleep 0.2; " GOOD, "cache2", "60", concurrent);
	unlink(path);
	run_case("printf x >> runs; echo oh >&2;" VERDICT(1), "cache3", "60", failures);
	unlink(path);
}

static void unwritable(void)
{
	good();
	good();
	CHECK(runs() == 2);
}

static void no_cache_no_harm(void **state)
{
	char path[PATH_MAX];

	(void)state;
	snprintf(path, sizeof(path), "%s/file", folder);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	run_case("printf x >> runs; " GOOD, "file/below", "60", unwritable);
	snprintf(path, sizeof(path), "%s/runs", folder);
	unlink(path);
}

static void write_bytes(const char *name, const uint8_t *bytes, size_t size)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static int make_folder(void **state)
{
	size_t size;
	uint8_t *bytes = make_sample(0, &size);

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	write_bytes("sample", bytes, size);
	((struct mcl_co_header *)bytes)->version = 9;
	write_bytes("version9", bytes, size);
	free(bytes);
	return 0;
}

static int remove_folder(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crash_is_a_failed_build),
		cmocka_unit_test(a_hang_is_a_failed_build),
		cmocka_unit_test(a_missing_compiler_is_told),
		cmocka_unit_test(unknown_versions_and_nonsense_are_refused),
		cmocka_unit_test(errors_come_with_the_log),
		cmocka_unit_test(a_flood_of_messages_is_cut),
		cmocka_unit_test(the_application_may_do_what_it_likes),
		cmocka_unit_test(several_sources_reach_the_compiler),
		cmocka_unit_test(everything_reaches_the_compiler),
		cmocka_unit_test(programs_are_compiled_once),
		cmocka_unit_test(no_cache_no_harm),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
