// SPDX-License-Identifier: MIT
/* Programs: sources and binaries, building, queries, and every error on the way. test_link.c has compiling and linking. */
#include "runtime/program.h"
#include "runtime/tests/fake_compiler.h"
#include "runtime/tests/program_fixture.h"

static const char *const text = "kernel one global value4\nkernel two local=64 local\n";

static void expect_log(cl_program program, const char *expected)
{
	char log[256];

	assert_ok(clGetProgramBuildInfo(program, fx.device, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL));
	assert_string_equal(log, expected);
}

/* ---- creation ---- */

static void create_source(void **state)
{
	const char *strings[] = { "kernel on", "e global\nXXXX", "kernel two\n" };
	const size_t lengths[] = { 0, 9, 0 };
	char got[128];
	cl_program program;
	cl_int error;
	size_t size;

	(void)state;
	assert_null(clCreateProgramWithSource(NULL, 3, strings, lengths, &error));
	assert_cl(error, CL_INVALID_CONTEXT);
	assert_null(clCreateProgramWithSource(fx.context, 0, strings, lengths, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateProgramWithSource(fx.context, 3, NULL, lengths, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateProgramWithSource(fx.context, 2, (const char *[]){ "a", NULL }, NULL, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateProgramWithSource(fx.context, 2, strings, (size_t[]){ SIZE_MAX, SIZE_MAX }, &error));
	assert_cl(error, CL_OUT_OF_HOST_MEMORY);

	/* A length of 0 means a terminated string. */
	program = clCreateProgramWithSource(fx.context, 3, strings, lengths, &error);
	assert_ok(error);
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_SOURCE, sizeof(got), got, &size));
	assert_string_equal(got, "kernel one global\nkernel two\n");
	assert_int_equal(size, strlen(got) + 1);
	assert_ok(clReleaseProgram(program));
	assert_cl(clReleaseProgram(program), CL_INVALID_PROGRAM);
}

static void create_binary(void **state)
{
	cl_device_id devices[] = { fx.device, fx.device };
	cl_program program = built(text), again;
	unsigned char *bytes, junk[64] = "MCLCODE";
	const unsigned char *list[2];
	size_t lengths[2];
	cl_int error, each[2] = { 1, 1 };
	char got[8];

	(void)state;
	bytes = binary_of(program, &lengths[0]);
	list[0] = bytes;
	assert_null(clCreateProgramWithBinary(NULL, 1, devices, lengths, list, NULL, &error));
	assert_cl(error, CL_INVALID_CONTEXT);
	assert_null(clCreateProgramWithBinary(fx.context, 0, devices, lengths, list, NULL, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateProgramWithBinary(fx.context, 1, NULL, lengths, list, NULL, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateProgramWithBinary(fx.context, 1, devices, NULL, list, NULL, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateProgramWithBinary(fx.context, 1, devices, lengths, NULL, NULL, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateProgramWithBinary(fx.context, 1, (cl_device_id[]){ NULL }, lengths, list, NULL, &error));
	assert_cl(error, CL_INVALID_DEVICE);

	/* Each binary gets its own status. */
	list[1] = NULL;
	lengths[1] = 1;
	assert_null(clCreateProgramWithBinary(fx.context, 2, devices, lengths, list, each, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_cl(each[0], CL_SUCCESS);
	assert_cl(each[1], CL_INVALID_VALUE);
	list[1] = junk;
	lengths[1] = sizeof(junk);
	assert_null(clCreateProgramWithBinary(fx.context, 2, devices, lengths, list, each, &error));
	assert_cl(error, CL_INVALID_BINARY);
	assert_cl(each[0], CL_SUCCESS);
	assert_cl(each[1], CL_INVALID_BINARY);
	/* One flipped bit is found. */
	bytes[lengths[0] - 1] ^= 1;
	assert_null(clCreateProgramWithBinary(fx.context, 1, devices, lengths, list, each, &error));
	assert_cl(error, CL_INVALID_BINARY);
	bytes[lengths[0] - 1] ^= 1;

	again = clCreateProgramWithBinary(fx.context, 1, devices, lengths, list, each, &error);
	assert_ok(error);
	assert_cl(each[0], CL_SUCCESS);
	free(bytes); /* it was copied */
	assert_int_equal(status(again), CL_BUILD_NONE);
	assert_int_equal(binary_type(again), CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
	assert_ok(clGetProgramInfo(again, CL_PROGRAM_SOURCE, sizeof(got), got, NULL));
	assert_string_equal(got, "");
	assert_null(clCreateKernel(again, "one", &error));
	assert_cl(error, CL_INVALID_PROGRAM_EXECUTABLE);
	assert_ok(clBuildProgram(again, 1, &fx.device, "-ignored", NULL, NULL));
	assert_ok(clBuildProgram(again, 0, NULL, NULL, NULL, NULL)); /* and again */
	assert_int_equal(status(again), CL_BUILD_SUCCESS);
	bytes = binary_of(again, &lengths[1]);
	assert_int_equal(lengths[1], lengths[0]);
	free(bytes);
	assert_cl(clCompileProgram(again, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL), CL_INVALID_OPERATION);
	assert_ok(clReleaseProgram(again));
	assert_ok(clReleaseProgram(program));
}

static void no_other_origins(void **state)
{
	cl_program program = source(text);
	cl_int error;

	(void)state;
	assert_null(clCreateProgramWithIL(NULL, "x", 1, &error));
	assert_cl(error, CL_INVALID_CONTEXT);
	assert_null(clCreateProgramWithIL(fx.context, "x", 1, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateProgramWithBuiltInKernels(NULL, 1, &fx.device, "k", &error));
	assert_cl(error, CL_INVALID_CONTEXT);
	assert_null(clCreateProgramWithBuiltInKernels(fx.context, 1, &fx.device, NULL, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateProgramWithBuiltInKernels(fx.context, 1, (cl_device_id[]){ NULL }, "k", &error));
	assert_cl(error, CL_INVALID_DEVICE);
	assert_null(clCreateProgramWithBuiltInKernels(fx.context, 1, &fx.device, "k", &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_cl(clSetProgramSpecializationConstant(NULL, 0, 4, text), CL_INVALID_PROGRAM);
	assert_cl(clSetProgramSpecializationConstant(program, 0, 4, text), CL_INVALID_PROGRAM);
	assert_cl(clSetProgramReleaseCallback(program, NULL, NULL), CL_INVALID_VALUE);
	assert_ok(clReleaseProgram(program));
}

/* ---- building ---- */

static void build(void **state)
{
	cl_program program = source(text);
	char names[64], options[64];
	size_t number;
	cl_uint references;

	(void)state;
	assert_int_equal(status(program), CL_BUILD_NONE);
	assert_int_equal(binary_type(program), CL_PROGRAM_BINARY_TYPE_NONE);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_NUM_KERNELS, sizeof(number), &number, NULL),
		  CL_INVALID_PROGRAM_EXECUTABLE);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_KERNEL_NAMES, sizeof(names), names, NULL),
		  CL_INVALID_PROGRAM_EXECUTABLE);
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(number), &number, NULL));
	assert_int_equal(number, 0);

	assert_ok(clBuildProgram(program, 1, &fx.device, "-warn -DX=1", NULL, NULL));
	assert_int_equal(status(program), CL_BUILD_SUCCESS);
	assert_int_equal(binary_type(program), CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
	expect_log(program, "a warning\n");
	assert_ok(clGetProgramBuildInfo(program, fx.device, CL_PROGRAM_BUILD_OPTIONS, sizeof(options), options, NULL));
	assert_string_equal(options, "-warn -DX=1");
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_NUM_KERNELS, sizeof(number), &number, NULL));
	assert_int_equal(number, 2);
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_KERNEL_NAMES, sizeof(names), names, NULL));
	assert_string_equal(names, "one;two");
	assert_ok(clRetainProgram(program));
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_REFERENCE_COUNT, sizeof(references), &references, NULL));
	assert_int_equal(references, 2);
	assert_ok(clReleaseProgram(program));
	assert_ok(clReleaseProgram(program));
}

static void program_info(void **state)
{
	cl_program program = built("globals 96\nkernel k\n");
	cl_device_id device;
	cl_context context;
	unsigned char *none = NULL;
	cl_uint number;
	cl_bool flag = CL_TRUE;
	size_t size;

	(void)state;
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_CONTEXT, sizeof(context), &context, NULL));
	assert_ptr_equal(context, fx.context);
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_NUM_DEVICES, sizeof(number), &number, NULL));
	assert_int_equal(number, 1);
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_DEVICES, sizeof(device), &device, NULL));
	assert_ptr_equal(device, fx.device);
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_IL, 0, NULL, &size));
	assert_int_equal(size, 0);
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_SCOPE_GLOBAL_CTORS_PRESENT, sizeof(flag), &flag, NULL));
	assert_int_equal(flag, CL_FALSE);
	/* A NULL in the array of binaries is skipped. */
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(none), &none, &size));
	assert_int_equal(size, sizeof(none));
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(none) - 1, &none, NULL), CL_INVALID_VALUE);
	assert_ok(clGetProgramBuildInfo(program, fx.device, CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE, sizeof(size),
					&size, NULL));
	assert_int_equal(size, 96);
	assert_cl(clGetProgramInfo(program, 0x1234, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clGetProgramInfo(NULL, CL_PROGRAM_CONTEXT, 0, NULL, NULL), CL_INVALID_PROGRAM);
	assert_cl(clGetProgramBuildInfo(program, fx.device, 0x1234, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clGetProgramBuildInfo(program, NULL, CL_PROGRAM_BUILD_LOG, 0, NULL, NULL), CL_INVALID_DEVICE);
	assert_cl(clGetProgramBuildInfo(NULL, fx.device, CL_PROGRAM_BUILD_LOG, 0, NULL, NULL), CL_INVALID_PROGRAM);
	assert_ok(clReleaseProgram(program));
}

static int notified;

static void CL_CALLBACK count(cl_program program, void *user_data)
{
	assert_ptr_equal(user_data, &notified);
	assert_int_not_equal(status(program), CL_BUILD_IN_PROGRESS);
	notified++;
}

static void build_errors(void **state)
{
	static const struct {
		const char *options;
		cl_int code;
		const char *log;
	} cases[] = {
		{ "-bad", CL_INVALID_BUILD_OPTIONS, "unknown option -bad" },
		{ "-missing", CL_COMPILER_NOT_AVAILABLE, "there is no compiler" },
		{ "-crash", CL_BUILD_PROGRAM_FAILURE, "the compiler crashed" },
		{ "-nomem", CL_OUT_OF_HOST_MEMORY, "no memory" },
	};
	cl_program program = source(text), wrong = source("error\n");
	size_t size;

	(void)state;
	assert_cl(clBuildProgram(NULL, 0, NULL, NULL, NULL, NULL), CL_INVALID_PROGRAM);
	assert_cl(clBuildProgram((cl_program)fx.context, 0, NULL, NULL, NULL, NULL), CL_INVALID_PROGRAM);
	assert_cl(clBuildProgram(program, 1, NULL, NULL, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clBuildProgram(program, 0, &fx.device, NULL, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clBuildProgram(program, 1, (cl_device_id[]){ NULL }, NULL, NULL, NULL), CL_INVALID_DEVICE);
	assert_cl(clBuildProgram(program, 0, NULL, NULL, NULL, program), CL_INVALID_VALUE);
	assert_int_equal(status(program), CL_BUILD_NONE);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_ok(clBuildProgram(program, 0, NULL, NULL, NULL, NULL));
		assert_cl(clBuildProgram(program, 0, NULL, cases[i].options, NULL, NULL), cases[i].code);
		assert_int_equal(status(program), CL_BUILD_ERROR);
		expect_log(program, cases[i].log);
		/* The previous executable went. */
		assert_cl(clGetProgramInfo(program, CL_PROGRAM_NUM_KERNELS, sizeof(size), &size, NULL),
			  CL_INVALID_PROGRAM_EXECUTABLE);
		assert_int_equal(binary_type(program), CL_PROGRAM_BINARY_TYPE_NONE);
	}
	notified = 0;
	assert_cl(clBuildProgram(wrong, 0, NULL, NULL, count, &notified), CL_BUILD_PROGRAM_FAILURE);
	assert_int_equal(notified, 1);
	expect_log(wrong, "line 1: error\n");
	assert_ok(clBuildProgram(program, 0, NULL, NULL, count, &notified));
	assert_int_equal(notified, 2);
	assert_ok(clReleaseProgram(wrong));
	assert_ok(clReleaseProgram(program));
}

/* A dead engine takes no code. */
static void build_dead(void **state)
{
	cl_program program = source(text);

	(void)state;
	mcl_fake_kill();
	assert_cl(clBuildProgram(program, 0, NULL, NULL, NULL, NULL), CL_DEVICE_NOT_AVAILABLE);
	expect_log(program, "the engine is dead");
	assert_ok(clReleaseProgram(program));
}

static void reenter(const struct mcl_compile_request *req, void *ctx)
{
	cl_program program = ctx;
	cl_int error;

	(void)req;
	mcl_fake_compiler_hook(NULL, NULL);
	assert_int_equal(status(program), CL_BUILD_IN_PROGRESS);
	assert_cl(clBuildProgram(program, 0, NULL, NULL, NULL, NULL), CL_INVALID_OPERATION);
	assert_cl(clCompileProgram(program, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL), CL_INVALID_OPERATION);
	assert_null(clLinkProgram(fx.context, 0, NULL, NULL, 1, &program, NULL, NULL, &error));
	assert_cl(error, CL_INVALID_OPERATION);
	assert_null(clCreateKernel(program, "one", &error));
	assert_cl(error, CL_INVALID_PROGRAM_EXECUTABLE);
}

/* One build at a time, and none while kernels are attached. */
static void build_busy(void **state)
{
	cl_program program = source(text);
	cl_kernel kernel;

	(void)state;
	mcl_fake_compiler_hook(reenter, program);
	assert_ok(clBuildProgram(program, 0, NULL, NULL, NULL, NULL));
	kernel = clCreateKernel(program, "one", NULL);
	assert_non_null(kernel);
	assert_cl(clBuildProgram(program, 0, NULL, NULL, NULL, NULL), CL_INVALID_OPERATION);
	assert_cl(clCompileProgram(program, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL), CL_INVALID_OPERATION);
	assert_int_equal(status(program), CL_BUILD_SUCCESS);
	assert_ok(clReleaseKernel(kernel));
	assert_ok(clBuildProgram(program, 0, NULL, NULL, NULL, NULL));
	assert_ok(clReleaseProgram(program));
}

/* Programs, contexts and kernels may be released in any order. */
static void lifetimes(void **state)
{
	cl_program program = built(text);
	cl_kernel kernel = clCreateKernel(program, "one", NULL);
	cl_program got;

	(void)state;
	assert_ok(clReleaseProgram(program));
	assert_ok(clGetKernelInfo(kernel, CL_KERNEL_PROGRAM, sizeof(got), &got, NULL));
	assert_ptr_equal(got, program);
	assert_ok(clReleaseKernel(kernel));
	for (int i = 0; i < 1000; i++)
		assert_ok(clReleaseProgram(built(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(create_source), fixture_test(create_binary), fixture_test(no_other_origins),
		fixture_test(build),	     fixture_test(program_info),  fixture_test(build_errors),
		fixture_test(build_dead),    fixture_test(build_busy),	  fixture_test(lifetimes),
	};

	setenv("MIRRORCL_CACHE_SIZE", "0", 1);
	return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
