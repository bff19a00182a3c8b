// SPDX-License-Identifier: MIT
/* cl_mirrorcl_counters: every query with its size, what it tells, every error. */
#include "runtime/extensions.h"
#include "runtime/tests/fixture.h"

enum { PAGE = 4096 };

static const struct mcl_counters counters = {
	.cause = {
		[MCL_CAUSE_DEVICE_READ] = { 1, 10, 100 },
		[MCL_CAUSE_DEVICE_WRITE] = { 2, 20, 200 },
		[MCL_CAUSE_CPU_FAULT] = { 3, 30, 300 },
		[MCL_CAUSE_PREFETCH] = { 4, 40, 400 },
		[MCL_CAUSE_EVICTION] = { 5, 50, 500 },
		[MCL_CAUSE_REQUEST] = { 6, 60, 600 },
		[MCL_CAUSE_PROMOTION] = { 7, 1ull << 40, 700 },
	},
	.kernels = 8, .groups = 9, .aborts = 10, .vram_used = 11, .vram_peak = 12, .system_pages = 13,
};

static const struct mcl_backend_mirror mirror = { .name = "mirror", .faults = true, .vram_size = 1 << 20 };

static int setup(void **state)
{
	fixture_setup(state);
	mcl_fake_set_counters(&counters, &mirror);
	return 0;
}

static int teardown(void **state)
{
	mcl_fake_set_counters(NULL, NULL);
	return fixture_teardown(state);
}

/* The size is told, demanded and kept to. */
static void assert_size(cl_mirror_info_mcl query, size_t size)
{
	unsigned char value[64];
	size_t told = 0;

	assert_ok(clGetContextMirrorInfoMCL(fx.context, query, 0, NULL, &told));
	assert_int_equal(told, size);
	assert_cl(clGetContextMirrorInfoMCL(fx.context, query, size - 1, value, NULL), CL_INVALID_VALUE);
	memset(value, 0xa5, sizeof(value));
	assert_ok(clGetContextMirrorInfoMCL(fx.context, query, sizeof(value), value, &told));
	assert_int_equal(told, size);
	for (size_t i = size; i < sizeof(value); i++)
		assert_int_equal(value[i], 0xa5);
}

static cl_mirror_counter_mcl counter(cl_mirror_info_mcl query)
{
	cl_mirror_counter_mcl value;

	assert_size(query, sizeof(value));
	assert_ok(clGetContextMirrorInfoMCL(fx.context, query, sizeof(value), &value, NULL));
	return value;
}

static cl_ulong number(cl_mirror_info_mcl query)
{
	cl_ulong value;

	assert_size(query, sizeof(value));
	assert_ok(clGetContextMirrorInfoMCL(fx.context, query, sizeof(value), &value, NULL));
	return value;
}

static void causes(void **state)
{
	static const struct {
		cl_mirror_info_mcl query;
		enum mcl_counter_cause cause;
	} all[] = {
		{ CL_MIRROR_DEVICE_READ_MCL, MCL_CAUSE_DEVICE_READ },
		{ CL_MIRROR_DEVICE_WRITE_MCL, MCL_CAUSE_DEVICE_WRITE },
		{ CL_MIRROR_CPU_FAULT_MCL, MCL_CAUSE_CPU_FAULT },
		{ CL_MIRROR_PREFETCH_MCL, MCL_CAUSE_PREFETCH },
		{ CL_MIRROR_EVICTION_MCL, MCL_CAUSE_EVICTION },
		{ CL_MIRROR_REQUEST_MCL, MCL_CAUSE_REQUEST },
		{ CL_MIRROR_PROMOTION_MCL, MCL_CAUSE_PROMOTION },
	};

	(void)state;
	assert_int_equal(sizeof(all) / sizeof(*all), MCL_CAUSE_COUNT); /* a new cause needs a query */
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		const cl_mirror_counter_mcl value = counter(all[i].query);

		assert_int_equal(value.count, counters.cause[all[i].cause].count);
		assert_int_equal(value.bytes, counters.cause[all[i].cause].pages * PAGE);
		assert_int_equal(value.nanoseconds, counters.cause[all[i].cause].ns);
	}
}

static void numbers(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	const cl_ulong before = number(CL_MIRROR_KERNELS_MCL);
	const size_t one = 1;

	(void)state;
	assert_int_equal(number(CL_MIRROR_VRAM_SIZE_MCL), mirror.vram_size);
	assert_int_equal(number(CL_MIRROR_VRAM_USED_MCL), counters.vram_used);
	assert_int_equal(number(CL_MIRROR_VRAM_PEAK_MCL), counters.vram_peak);
	assert_int_equal(number(CL_MIRROR_IN_PLACE_MCL), counters.system_pages * PAGE);
	assert_int_equal(number(CL_MIRROR_WORK_GROUPS_MCL), counters.groups);
	assert_int_equal(number(CL_MIRROR_ABORTS_MCL), counters.aborts);
	assert_ok(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, 0, NULL, NULL));
	assert_ok(clFinish(fx.queue));
	assert_int_equal(number(CL_MIRROR_KERNELS_MCL), before + 1);
	mcl_object_release_app(&kernel->obj);
}

static void which_mirror(void **state)
{
	static const struct {
		struct mcl_backend_mirror mirror;
		cl_mirror_capabilities_mcl capabilities;
	} mirrors[] = {
		{ { "one", false, 0 }, 0 },
		{ { "faults", true, 0 }, CL_MIRROR_FAULTS_MCL },
		{ { "moves", true, 4096 }, CL_MIRROR_FAULTS_MCL | CL_MIRROR_MIGRATES_MCL },
	};
	cl_mirror_capabilities_mcl capabilities;
	char name[16];

	(void)state;
	for (size_t i = 0; i < sizeof(mirrors) / sizeof(*mirrors); i++) {
		mcl_fake_set_counters(NULL, &mirrors[i].mirror);
		assert_size(CL_MIRROR_NAME_MCL, strlen(mirrors[i].mirror.name) + 1);
		assert_ok(clGetContextMirrorInfoMCL(fx.context, CL_MIRROR_NAME_MCL, sizeof(name), name, NULL));
		assert_string_equal(name, mirrors[i].mirror.name);
		assert_size(CL_MIRROR_CAPABILITIES_MCL, sizeof(capabilities));
		assert_ok(clGetContextMirrorInfoMCL(fx.context, CL_MIRROR_CAPABILITIES_MCL, sizeof(capabilities),
						    &capabilities, NULL));
		assert_int_equal(capabilities, mirrors[i].capabilities);
	}
}

static void errors(void **state)
{
	cl_context gone;
	cl_ulong value = 5;
	cl_int err;

	(void)state;
	assert_cl(clGetContextMirrorInfoMCL(NULL, CL_MIRROR_KERNELS_MCL, sizeof(value), &value, NULL),
		  CL_INVALID_CONTEXT);
	assert_cl(clGetContextMirrorInfoMCL((cl_context)fx.queue, CL_MIRROR_KERNELS_MCL, sizeof(value), &value, NULL),
		  CL_INVALID_CONTEXT);
	gone = clCreateContext(NULL, 1, &fx.device, NULL, NULL, &err);
	assert_ok(err);
	assert_ok(clReleaseContext(gone));
	assert_cl(clGetContextMirrorInfoMCL(gone, CL_MIRROR_KERNELS_MCL, sizeof(value), &value, NULL),
		  CL_INVALID_CONTEXT);
	assert_cl(clGetContextMirrorInfoMCL(fx.context, 0, sizeof(value), &value, NULL), CL_INVALID_VALUE);
	assert_cl(clGetContextMirrorInfoMCL(fx.context, CL_CONTEXT_REFERENCE_COUNT, sizeof(value), &value, NULL),
		  CL_INVALID_VALUE);
	assert_cl(clGetContextMirrorInfoMCL(fx.context, CL_ABORT_REASON_MCL, sizeof(value), &value, NULL),
		  CL_INVALID_VALUE);
	assert_int_equal(value, 5);
	/* Nothing is wanted: allowed, as for every clGet*Info. */
	assert_ok(clGetContextMirrorInfoMCL(fx.context, CL_MIRROR_KERNELS_MCL, 0, NULL, NULL));
}

/* A device that has died has still counted what it did. */
static void dead_device(void **state)
{
	(void)state;
	mcl_fake_kill();
	assert_int_equal(counter(CL_MIRROR_DEVICE_READ_MCL).count, 1);
	assert_size(CL_MIRROR_NAME_MCL, strlen(mirror.name) + 1);
}

int main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		test(causes), test(numbers), test(which_mirror), test(errors), test(dead_device),
	};

	return cmocka_run_group_tests_name("context_mirror", tests, NULL, NULL);
}
