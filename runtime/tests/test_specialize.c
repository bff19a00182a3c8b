// SPDX-License-Identifier: MIT
/* Specialisation: when a local size is compiled for, what is remembered, and what may happen meanwhile. */
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/program.h"
#include "runtime/specialize.h"
#include "runtime/tests/fake_compiler.h"
#include "runtime/tests/fixture.h"
#include "runtime/used_sizes.h"

static char folder[] = "/tmp/mcl-test-specialize-XXXXXX";

static cl_program built(const char *text)
{
	cl_int error;
	cl_program program = clCreateProgramWithSource(fx.context, 1, &text, NULL, &error);

	assert_ok(error);
	assert_ok(clBuildProgram(program, 0, NULL, NULL, NULL, NULL));
	return program;
}

static void launch(cl_program program, uint64_t x, uint64_t y, int times)
{
	const uint64_t local[3] = { x, y, 1 };

	for (int i = 0; i < times; i++)
		mcl_build_request_local_size(program->build, local);
}

static uint32_t calls(void)
{
	struct mcl_fake_compiler counts;

	mcl_fake_compiler_counts(&counts);
	return counts.calls;
}

static uint64_t variants(void)
{
	struct mcl_fake_counts counts;

	mcl_fake_counts(&counts);
	return counts.variants;
}

/* The third launch with a size starts one compilation; later ones and other sizes do not repeat it. */
static void threshold(void **state)
{
	cl_program program = built("kernel threshold\n");
	uint32_t before = calls();
	uint64_t added = variants();
	struct mcl_fake_compiler last;

	(void)state;
	launch(program, 64, 1, 2);
	mcl_specialization_drain();
	assert_int_equal(calls(), before);
	launch(program, 64, 1, 1);
	mcl_specialization_drain();
	assert_int_equal(calls(), before + 1);
	assert_int_equal(variants(), added + 1);
	launch(program, 64, 1, 1000);
	mcl_specialization_drain();
	assert_int_equal(calls(), before + 1);
	/* A second size is compiled for together with the first. */
	launch(program, 8, 8, 3);
	mcl_specialization_drain();
	mcl_fake_compiler_counts(&last);
	assert_int_equal(last.calls, before + 2);
	assert_int_equal(last.local_size_count, 2);
	assert_int_equal(last.local_sizes[0][0], 64);
	assert_int_equal(last.local_sizes[1][1], 8);
	assert_int_equal(variants(), added + 2);
	assert_ok(clReleaseProgram(program));
}

/* The next build of the program, in this process or another, has everything at once and asks for nothing more. */
static void remembered(void **state)
{
	cl_program program = built("kernel remembered\n");
	struct mcl_fake_compiler last;
	uint32_t before;

	(void)state;
	launch(program, 32, 2, 3);
	mcl_specialization_drain();
	assert_ok(clReleaseProgram(program));

	before = calls();
	program = built("kernel remembered\n");
	mcl_fake_compiler_counts(&last);
	assert_int_equal(last.calls, before + 1);
	assert_int_equal(last.local_size_count, 1);
	assert_int_equal(last.local_sizes[0][0], 32);
	assert_int_equal(last.local_sizes[0][1], 2);
	launch(program, 32, 2, 100);
	mcl_specialization_drain();
	assert_int_equal(calls(), before + 1);
	assert_ok(clReleaseProgram(program));

	/* Another program knows nothing of it. */
	program = built("kernel other\n");
	mcl_fake_compiler_counts(&last);
	assert_int_equal(last.local_size_count, 0);
	assert_ok(clReleaseProgram(program));
}

static void too_many_sizes(void **state)
{
	cl_program program = built("kernel many\n");
	uint32_t before = calls();

	(void)state;
	for (uint64_t x = 1; x <= 100; x++) {
		launch(program, x, 1, 5);
		mcl_specialization_drain();
	}
	assert_int_equal(calls(), before + MCL_SPECIALIZED_SIZES);
	assert_ok(clReleaseProgram(program));
}

/* Nothing is gained where every kernel requires its size, nor for sizes that cannot be. */
static void useless(void **state)
{
	cl_program program = built("kernel k reqd=4,1,1\n");
	const uint64_t zero[3] = { 0, 1, 1 }, huge[3] = { UINT64_MAX, 1, 1 };
	uint32_t before = calls();

	(void)state;
	launch(program, 4, 1, 10);
	assert_ok(clReleaseProgram(program));
	program = built("kernel k\n");
	for (int i = 0; i < 10; i++) {
		mcl_build_request_local_size(program->build, zero);
		mcl_build_request_local_size(program->build, huge);
	}
	mcl_specialization_drain();
	assert_int_equal(calls(), before + 1); /* the build of the second */
	assert_ok(clReleaseProgram(program));
}

static _Atomic int started, release;

static void hold(const struct mcl_compile_request *req, void *ctx)
{
	(void)ctx;
	if (!req->local_size_count)
		return;
	started = 1;
	fixture_until(&release, 1);
}

/* The program and the engine may go while its specialised code is being compiled; nobody waits. */
static void released_meanwhile(void **state)
{
	cl_program program = built("kernel gone\n");
	uint64_t added = variants();
	struct mcl_fake_counts counts;

	(void)state;
	started = release = 0;
	mcl_fake_compiler_hook(hold, NULL);
	launch(program, 16, 1, 3);
	fixture_until(&started, 1);
	assert_ok(clReleaseProgram(program));
	mcl_fake_counts(&counts);
	assert_int_equal(counts.programs, 0);
	release = 1;
	mcl_specialization_drain();
	mcl_fake_compiler_hook(NULL, NULL);
	assert_int_equal(variants(), added);
}

/* A child of fork() inherits neither the thread nor its work, and can specialise programs of its own. */
static void forked(void **state)
{
	cl_program program = built("kernel forked\n");
	uint64_t added = variants();
	int status;
	pid_t pid;

	(void)state;
	started = release = 0;
	mcl_fake_compiler_hook(hold, NULL);
	launch(program, 16, 1, 3);
	fixture_until(&started, 1);
	pid = fork();
	if (!pid) {
		cl_context context;
		cl_program own;
		const char *text = "kernel child\n";

		mcl_fake_compiler_hook(NULL, NULL);
		context = clCreateContext(NULL, 1, &fx.device, NULL, NULL, NULL);
		own = clCreateProgramWithSource(context, 1, &text, NULL, NULL);
		if (!own || clBuildProgram(own, 0, NULL, NULL, NULL, NULL))
			_exit(1);
		launch(own, 128, 1, 3);
		mcl_specialization_drain();
		_exit(variants() == added + 1 ? 0 : 2);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	release = 1;
	mcl_specialization_drain();
	mcl_fake_compiler_hook(NULL, NULL);
	assert_int_equal(variants(), added + 1);
	assert_ok(clReleaseProgram(program));
}

/* A damaged file of sizes is worth nothing and breaks nothing. */
static void damaged(void **state)
{
	uint32_t sizes[MCL_SPECIALIZED_SIZES][3] = { { 64, 1, 1 } }, got[MCL_SPECIALIZED_SIZES][3];
	struct mcl_source *source = mcl_source_create("kernel d\n", 9, "-x", 0, NULL, NULL);
	char path[sizeof(folder) + 32];
	FILE *f;

	(void)state;
	assert_non_null(source);
	assert_int_equal(mcl_used_sizes_load(source, got), 0);
	mcl_used_sizes_store(source, (const uint32_t(*)[3])sizes, 1);
	assert_int_equal(mcl_used_sizes_load(source, got), 1);
	assert_memory_equal(got[0], sizes[0], sizeof(got[0]));
	/* Sizes beyond the device's limit are not believed. */
	sizes[0][1] = 1 << 20;
	mcl_used_sizes_store(source, (const uint32_t(*)[3])sizes, 1);
	assert_int_equal(mcl_used_sizes_load(source, got), 0);
	snprintf(path, sizeof(path), "%s/local-sizes", folder);
	f = fopen(path, "r+");
	assert_non_null(f);
	for (int i = 0; i < 1 << 18; i++)
		fputc(0x5a, f);
	fclose(f);
	assert_int_equal(mcl_used_sizes_load(source, got), 0);
	mcl_source_put(source);
}

/* When the compilation with the remembered sizes fails, the build does without them. */
static void fail_specialised(const struct mcl_compile_request *req, void *ctx)
{
	(void)ctx;
	if (req->local_size_count)
		((struct mcl_compile_request *)(uintptr_t)req)->options = "-crash";
}

static void remembered_fails(void **state)
{
	cl_program program = built("kernel fails\n");

	(void)state;
	launch(program, 32, 2, 3);
	mcl_specialization_drain();
	assert_ok(clReleaseProgram(program));
	mcl_fake_compiler_hook(fail_specialised, NULL);
	program = built("kernel fails\n");
	launch(program, 32, 2, 3); /* fails in the background too */
	mcl_specialization_drain();
	mcl_fake_compiler_hook(NULL, NULL);
	assert_ok(clReleaseProgram(program));
}

static int remove_folder(void **state)
{
	char path[sizeof(folder) + 32];

	(void)state;
	snprintf(path, sizeof(path), "%s/local-sizes", folder);
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(threshold), fixture_test(remembered),	   fixture_test(too_many_sizes),
		fixture_test(useless),	 fixture_test(released_meanwhile), fixture_test(forked),
		fixture_test(damaged),	 fixture_test(remembered_fails),
	};

	if (!mkdtemp(folder))
		return 1;
	setenv("MIRRORCL_CACHE_DIR", folder, 1);
	unsetenv("MIRRORCL_CACHE_SIZE");
	unsetenv("MIRRORCL_SPECIALIZE");
	return cmocka_run_group_tests_name("specialize", tests, NULL, remove_folder);
}
