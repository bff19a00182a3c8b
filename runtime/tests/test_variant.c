// SPDX-License-Identifier: MIT
/* Functions of kernels: when they are compiled, which one runs, what is remembered, and what may happen meanwhile. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/choices.h"
#include "runtime/program.h"
#include "runtime/tests/fake_compiler.h"
#include "runtime/tests/fixture.h"
#include "runtime/variant.h"

static char folder[] = "/tmp/mcl-test-variant-XXXXXX";

static cl_program built_with(const char *text, const char *options)
{
	cl_int error;
	cl_program program = clCreateProgramWithSource(fx.context, 1, &text, NULL, &error);

	assert_ok(error);
	assert_ok(clBuildProgram(program, 0, NULL, options, NULL, NULL));
	return program;
}

static cl_program built(const char *text)
{
	return built_with(text, NULL);
}

/* How long each function takes. */
static uint64_t duration[MCL_VARIANT_COUNT];
static uint64_t measured; /* launches */

/* Launch kernel @index as the runtime would, without a device. Returns which function ran, or -errno. */
static int launch_kernel(cl_program program, uint32_t index, uint64_t x, uint64_t y)
{
	struct mcl_launch launch = { .kernel = index, .num_groups = { 10, 10, 1 }, .local_size = { x, y, 1 } };
	struct mcl_variant_use use = { 0 };
	struct mcl_reason why = { "" };
	int err = mcl_build_prepare(program->build, &launch, &use, &why);

	if (err) {
		assert_true(why.text[0]);
		return err;
	}
	if (use.shape) {
		mcl_variant_measured(&use, duration[launch.variant], 0);
		measured++;
	}
	return (int)launch.variant;
}

static int launch(cl_program program, uint64_t x, uint64_t y, int times)
{
	int last = -1;

	for (int i = 0; i < times; i++)
		last = launch_kernel(program, 0, x, y);
	return last;
}

static struct mcl_fake_compiler counts(void)
{
	struct mcl_fake_compiler c;

	mcl_fake_compiler_counts(&c);
	return c;
}

static uint64_t variants(void)
{
	struct mcl_fake_counts c;

	mcl_fake_counts(&c);
	return c.variants;
}

static void set_durations(uint64_t generic, uint64_t specialised, uint64_t jammed)
{
	duration[MCL_VARIANT_GENERIC] = generic;
	duration[MCL_VARIANT_SPECIALISED] = specialised;
	duration[MCL_VARIANT_JAMMED] = jammed;
}

/* A build compiles no kernel; the first launch of each compiles that one, once. */
static void lazy(void **state)
{
	struct mcl_fake_compiler before = counts(), after;
	cl_program program = built("kernel a global\nkernel b\nkernel c value4\n");

	(void)state;
	set_durations(10, 10, 10);
	after = counts();
	assert_int_equal(after.calls, before.calls + 1);
	assert_int_equal(after.parts[MCL_COMPILE_DESCRIPTION], before.parts[MCL_COMPILE_DESCRIPTION] + 1);
	/* All that can be asked of kernels is known without their code. */
	assert_int_equal(program->build->co->header->kernels.count, 3);
	assert_false(mcl_co_whole(program->build->co));
	before = after;
	for (int i = 0; i < 10; i++)
		assert_int_equal(launch_kernel(program, 1, 4, 1), MCL_VARIANT_GENERIC);
	after = counts();
	assert_int_equal(after.parts[MCL_COMPILE_KERNEL], before.parts[MCL_COMPILE_KERNEL] + 1);
	launch_kernel(program, 2, 4, 1);
	assert_int_equal(counts().parts[MCL_COMPILE_KERNEL], before.parts[MCL_COMPILE_KERNEL] + 2);
	assert_ok(clReleaseProgram(program));
}

/* The same through the API, with the error that it promises. The kernel that fails is not compiled again and again. */
static void launch_fails(void **state)
{
	cl_program program = built_with("kernel a\nkernel b\n", "-nokernel");
	const size_t one = 1;
	struct mcl_fake_compiler before;
	cl_int error;
	cl_kernel kernel = clCreateKernel(program, "b", &error);

	(void)state;
	assert_ok(error);
	before = counts();
	for (int i = 0; i < 3; i++)
		assert_cl(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL),
			  CL_INVALID_PROGRAM_EXECUTABLE);
	assert_int_equal(counts().calls, before.calls + 1);
	assert_ok(clFinish(fx.queue));
	assert_ok(clReleaseKernel(kernel));
	assert_ok(clReleaseProgram(program));
}

/* Neither three short launches nor one long one is worth functions for the size; both together are. */
static void threshold(void **state)
{
	cl_program program = built("kernel threshold\n");
	struct mcl_fake_compiler before = counts();

	(void)state;
	set_durations(MCL_SPECIALIZE_AFTER_NS / 10, 1, 1);
	launch(program, 64, 1, 9);
	mcl_variants_drain();
	assert_int_equal(counts().specialised, before.specialised);
	launch(program, 64, 1, 1);
	mcl_variants_drain();
	assert_int_equal(counts().specialised, before.specialised + 1);
	assert_int_equal(counts().jammed, before.jammed + 1);
	assert_int_equal(counts().local_size[0], 64);
	set_durations(10ull * MCL_SPECIALIZE_AFTER_NS, 1, 1);
	launch(program, 8, 8, 2);
	mcl_variants_drain();
	assert_int_equal(counts().specialised, before.specialised + 1);
	launch(program, 8, 8, 1);
	mcl_variants_drain();
	assert_int_equal(counts().specialised, before.specialised + 2);
	assert_int_equal(counts().local_size[1], 8);
	assert_ok(clReleaseProgram(program));
}

/* Short launches are worth functions, too, if there are many; but few of them are measured. */
static void short_launches(void **state)
{
	const int enough = MCL_SPECIALIZE_AFTER_NS / (MCL_SPECIALIZE_SHORT_NS / 2);
	cl_program program = built("kernel tiny\n");
	struct mcl_fake_compiler before;

	(void)state;
	/* What another test has set off. */
	mcl_variants_drain();
	before = counts();
	set_durations(MCL_SPECIALIZE_SHORT_NS / 2, 1, 1);
	measured = 0;
	launch(program, 32, 1, enough - (int)MCL_SPECIALIZE_SAMPLE);
	assert_int_equal(measured, (enough - 2) / (int)MCL_SPECIALIZE_SAMPLE);
	mcl_variants_drain();
	assert_int_equal(counts().specialised, before.specialised);
	/* Not one launch more than it takes: the functions may be there at once, and then tried. */
	for (uint32_t i = 0; i < 2 * MCL_SPECIALIZE_SAMPLE && counts().specialised == before.specialised; i++)
		launch(program, 32, 1, 1);
	mcl_variants_drain();
	assert_int_equal(counts().specialised, before.specialised + 1);
	/* In a trial each counts. */
	measured = 0;
	launch(program, 32, 1, 5);
	assert_int_equal(measured, 5);
	assert_ok(clReleaseProgram(program));
}

/* Whichever is the fastest stays, in this build and, from the cache, in the next. */
static void fastest_stays(void **state)
{
	static const struct {
		const char *text;
		uint64_t times[MCL_VARIANT_COUNT];
		int wins;
	} cases[] = {
		{ "kernel generic_wins\n", { 1, 5, 3 }, MCL_VARIANT_GENERIC },
		{ "kernel specialised_wins\n", { 5, 1, 3 }, MCL_VARIANT_SPECIALISED },
		{ "kernel jammed_wins\n", { 5, 3, 1 }, MCL_VARIANT_JAMMED },
	};

	(void)state;
	for (int i = 0; i < 3; i++) {
		cl_program program = built(cases[i].text);
		struct mcl_fake_compiler before;
		uint32_t seen = 0;

		for (int v = 0; v < MCL_VARIANT_COUNT; v++)
			duration[v] = cases[i].times[v] * MCL_SPECIALIZE_AFTER_NS;
		launch(program, 16, 16, 3);
		mcl_variants_drain();
		for (int n = 0; n < 30; n++)
			seen |= 1u << launch(program, 16, 16, 1);
		assert_int_equal(seen, 7);
		for (int n = 0; n < 30; n++)
			assert_int_equal(launch(program, 16, 16, 1), cases[i].wins);
		mcl_variants_drain();
		assert_ok(clReleaseProgram(program));

		mcl_fake_compiler_set_cached(true);
		program = built(cases[i].text);
		before = counts();
		for (int n = 0; n < 30; n++)
			assert_int_equal(launch(program, 16, 16, 1), cases[i].wins);
		mcl_variants_drain();
		assert_int_equal(counts().specialised + counts().jammed, before.specialised + before.jammed);
		assert_int_equal(counts().calls, before.calls + 1); /* the one function that is needed */
		assert_ok(clReleaseProgram(program));
		/* Without its code the choice is worth nothing: measured again. */
		mcl_fake_compiler_set_cached(false);
		program = built(cases[i].text);
		assert_int_equal(launch(program, 16, 16, 1), MCL_VARIANT_GENERIC);
		assert_ok(clReleaseProgram(program));
	}
}

/* A run that ends before its functions are there, or before one of them is chosen, makes later runs wait for longer. */
static void attempts(void **state)
{
	struct mcl_fake_compiler before = counts();
	cl_program program;
	uint32_t seen = 0;

	(void)state;
	set_durations(MCL_SPECIALIZE_AFTER_NS / 3 + 1, 1, 1);
	for (int run = 0, enough = 3; run < 3; run++, enough *= 4) {
		program = built("kernel attempts\n");
		/* Asked for at the first threshold, and at that of this run. */
		for (int i = 0; i < enough - 1; i++) {
			launch(program, 64, 1, 1);
			mcl_variants_drain();
		}
		assert_int_equal(counts().specialised, before.specialised + run);
		launch(program, 64, 1, 2);
		mcl_variants_drain();
		assert_int_equal(counts().specialised, before.specialised + run + 1);
		assert_int_equal(counts().jammed, before.jammed + run + 1);
		assert_ok(clReleaseProgram(program));
	}
	/* What the last one made is in the cache: nothing is lost by trying it as soon as ever. */
	mcl_fake_compiler_set_cached(true);
	program = built("kernel attempts\n");
	launch(program, 64, 1, 3);
	mcl_variants_drain();
	for (int i = 0; i < 30; i++)
		seen |= 1u << launch(program, 64, 1, 1);
	mcl_variants_drain();
	assert_int_equal(seen, 7);
	assert_int_equal(counts().specialised, before.specialised + 3);
	assert_ok(clReleaseProgram(program));
	mcl_fake_compiler_set_cached(false);
	/* One is chosen: the next run that needs its code begins anew. */
	program = built("kernel attempts\n");
	launch(program, 64, 1, 3);
	mcl_variants_drain();
	assert_int_equal(counts().specialised, before.specialised + 4);
	assert_ok(clReleaseProgram(program));
}

/* With a global offset only the generic function is right, whatever was chosen. */
static void offset(void **state)
{
	struct mcl_launch l = { .num_groups = { 4, 1, 1 }, .local_size = { 16, 1, 1 }, .global_offset = { 0, 1, 0 } };
	cl_program program = built("kernel offset\n");
	struct mcl_variant_use use = { 0 };
	struct mcl_reason why;

	(void)state;
	set_durations(50 * MCL_SPECIALIZE_AFTER_NS, 1, 2);
	launch(program, 16, 1, 3);
	mcl_variants_drain();
	assert_int_equal(launch(program, 16, 1, 30), MCL_VARIANT_SPECIALISED);
	assert_int_equal(mcl_build_prepare(program->build, &l, &use, &why), 0);
	assert_int_equal(l.variant, MCL_VARIANT_GENERIC);
	assert_null(use.shape);
	mcl_variants_drain();
	assert_ok(clReleaseProgram(program));
}

/* A demanded size has its function already; only shared loops can be added, and if there are none there is no trial. */
static void demanded(void **state)
{
	cl_program program = built("kernel demanded reqd=4,1,1\n");
	struct mcl_fake_compiler before = counts();

	(void)state;
	mcl_fake_compiler_set_jam(false);
	set_durations(MCL_SPECIALIZE_AFTER_NS, 1, 1);
	launch(program, 4, 1, 3);
	mcl_variants_drain();
	assert_int_equal(counts().specialised, before.specialised);
	assert_int_equal(counts().jammed, before.jammed + 1);
	for (int i = 0; i < 10; i++)
		assert_int_equal(launch(program, 4, 1, 1), MCL_VARIANT_GENERIC);
	mcl_fake_compiler_set_jam(true);
	assert_ok(clReleaseProgram(program));
}

static void too_many_sizes(void **state)
{
	cl_program program = built("kernel many\n");
	struct mcl_fake_compiler before = counts();

	(void)state;
	set_durations(MCL_SPECIALIZE_AFTER_NS, 1, 1);
	for (uint64_t x = 1; x <= 100; x++) {
		launch(program, x, 1, 5);
		mcl_variants_drain();
	}
	assert_int_equal(counts().specialised, before.specialised + MCL_SPECIALIZED_SIZES);
	assert_ok(clReleaseProgram(program));
}

static _Atomic int started, release;

static void hold(const struct mcl_compile_request *req, void *ctx)
{
	(void)ctx;
	if (!req->local_size_count || req->cached_only || req->jam)
		return;
	started = 1;
	fixture_until(&release, 1);
}

/* The program and the engine may go while its specialised code is being compiled; nobody waits. */
static void released_meanwhile(void **state)
{
	cl_program program = built("kernel gone\n");
	struct mcl_fake_counts c;
	uint64_t added;

	(void)state;
	set_durations(MCL_SPECIALIZE_AFTER_NS, 1, 1);
	started = release = 0;
	mcl_fake_compiler_hook(hold, NULL);
	launch(program, 16, 1, 3);
	added = variants();
	fixture_until(&started, 1);
	assert_ok(clReleaseProgram(program));
	mcl_fake_counts(&c);
	assert_int_equal(c.programs, 0);
	release = 1;
	mcl_variants_drain();
	mcl_fake_compiler_hook(NULL, NULL);
	assert_int_equal(variants(), added);
}

/* A child of fork() inherits neither the thread nor its work, and can specialise programs of its own. */
static void forked(void **state)
{
	cl_program program = built("kernel forked\n");
	uint64_t added;
	int status;
	pid_t pid;

	(void)state;
	set_durations(MCL_SPECIALIZE_AFTER_NS, 1, 1);
	started = release = 0;
	mcl_fake_compiler_hook(hold, NULL);
	launch(program, 16, 1, 3);
	added = variants();
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
		mcl_variants_drain();
		_exit(variants() == added + 3 ? 0 : 2); /* generic and two for the size */
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	release = 1;
	mcl_variants_drain();
	mcl_fake_compiler_hook(NULL, NULL);
	assert_int_equal(variants(), added + 2);
	assert_ok(clReleaseProgram(program));
}

/* A damaged file of choices is worth nothing and breaks nothing. */
static void damaged(void **state)
{
	const struct mcl_compile_unit unit = { "kernel d\n", 9, "-x", 0, NULL, NULL };
	struct mcl_source *source = mcl_source_create(&unit, 1, MCL_BUNDLE_OBJECT);
	const uint64_t local[3] = { 64, 1, 1 }, other[3] = { 64, 2, 1 };
	char path[sizeof(folder) + 32];
	FILE *f;

	(void)state;
	assert_non_null(source);
	assert_int_equal(mcl_choice_load(source, "d", local), -1);
	mcl_choice_store(source, "d", local, MCL_VARIANT_JAMMED);
	assert_int_equal(mcl_choice_load(source, "d", local), MCL_VARIANT_JAMMED);
	assert_int_equal(mcl_choice_load(source, "d", other), -1);
	assert_int_equal(mcl_choice_load(source, "e", local), -1);
	/* Of a later version with more kinds. */
	mcl_choice_store(source, "d", local, MCL_VARIANT_COUNT);
	assert_int_equal(mcl_choice_load(source, "d", local), -1);
	assert_int_equal(mcl_choice_attempts(source, "d", local), 0);
	/* Attempts are no choice, there is a greatest number of them, and a choice ends them. */
	mcl_choice_attempt(source, "d", local, 3);
	assert_int_equal(mcl_choice_load(source, "d", local), -1);
	assert_int_equal(mcl_choice_attempts(source, "d", local), 3);
	mcl_choice_attempt(source, "d", local, MCL_CHOICE_MAX_ATTEMPTS + 1);
	assert_int_equal(mcl_choice_attempts(source, "d", local), MCL_CHOICE_MAX_ATTEMPTS);
	mcl_choice_store(source, "d", local, MCL_VARIANT_JAMMED);
	assert_int_equal(mcl_choice_attempts(source, "d", local), 0);
	snprintf(path, sizeof(path), "%s/choices", folder);
	f = fopen(path, "r+");
	assert_non_null(f);
	for (int i = 0; i < 1 << 18; i++)
		fputc(0x5a, f);
	fclose(f);
	assert_int_equal(mcl_choice_load(source, "d", local), -1);
	assert_int_equal(mcl_choice_attempts(source, "d", local), 0);
	mcl_source_put(source);
}

/* The binary is whole, whatever was compiled before, and the same each time. */
static void whole_binary(void **state)
{
	cl_program program = built("kernel a\nkernel b global\n"), again;
	struct mcl_fake_compiler before = counts();
	unsigned char bytes[65536], *at = bytes;
	const unsigned char *given = bytes;
	size_t size = 0, size_again = 0;
	cl_int error;

	(void)state;
	set_durations(1, 1, 1);
	launch(program, 1, 1, 1);
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL));
	assert_int_equal(counts().parts[MCL_COMPILE_WHOLE], before.parts[MCL_COMPILE_WHOLE] + 1);
	assert_in_range(size, 1, sizeof(bytes));
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(at), &at, NULL));
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size_again, NULL));
	assert_int_equal(size_again, size);
	assert_int_equal(counts().parts[MCL_COMPILE_WHOLE], before.parts[MCL_COMPILE_WHOLE] + 1);
	again = clCreateProgramWithBinary(fx.context, 1, &fx.device, &size, &given, NULL, &error);
	assert_ok(error);
	assert_true(mcl_co_whole(again->binary));
	assert_ok(clReleaseProgram(again));
	/* A part of a program, as the cache holds them, is no program. */
	size = program->build->co->size;
	given = program->build->co->bytes;
	assert_null(clCreateProgramWithBinary(fx.context, 1, &fx.device, &size, &given, NULL, &error));
	assert_int_equal(error, CL_INVALID_BINARY);
	assert_ok(clReleaseProgram(program));
}

static int remove_folder(void **state)
{
	char path[sizeof(folder) + 32];

	(void)state;
	snprintf(path, sizeof(path), "%s/choices", folder);
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(lazy),	      fixture_test(launch_fails),
		fixture_test(threshold),      fixture_test(fastest_stays),
		fixture_test(offset),	      fixture_test(demanded),
		fixture_test(too_many_sizes), fixture_test(released_meanwhile),
		fixture_test(forked),	      fixture_test(damaged),
		fixture_test(whole_binary),   fixture_test(short_launches),
		fixture_test(attempts),
	};

	if (!mkdtemp(folder))
		return 1;
	setenv("MIRRORCL_CACHE_DIR", folder, 1);
	unsetenv("MIRRORCL_CACHE_SIZE");
	unsetenv("MIRRORCL_SPECIALIZE");
	return cmocka_run_group_tests_name("variant", tests, NULL, remove_folder);
}
