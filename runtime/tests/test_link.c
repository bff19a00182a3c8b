// SPDX-License-Identifier: MIT
/* Compiling and linking programs: objects, libraries and executables, also by way of their binaries, and every error. */
#include "runtime/program.h"
#include "runtime/tests/fake_compiler.h"
#include "runtime/tests/program_fixture.h"

static const char *const text = "kernel one global value4\nkernel two local=64 local\n";

static int notified;

static void CL_CALLBACK count(cl_program program, void *user_data)
{
	assert_ptr_equal(user_data, &notified);
	assert_int_not_equal(status(program), CL_BUILD_IN_PROGRESS);
	notified++;
}

static void compile(void **state)
{
	cl_program program = source("include h.h\nkernel k\n"), header = source("int x;\n"), no_source;
	const char *names[] = { "h.h", NULL };
	size_t size;
	unsigned char *bytes;
	cl_int error;

	(void)state;
	assert_cl(clCompileProgram(NULL, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL), CL_INVALID_PROGRAM);
	assert_cl(clCompileProgram(program, 1, NULL, NULL, 0, NULL, NULL, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clCompileProgram(program, 0, NULL, NULL, 1, NULL, names, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clCompileProgram(program, 0, NULL, NULL, 1, &header, NULL, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clCompileProgram(program, 0, NULL, NULL, 0, &header, names, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clCompileProgram(program, 0, NULL, NULL, 1, &header, names + 1, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clCompileProgram(program, 0, NULL, NULL, 1, (cl_program[]){ NULL }, names, NULL, NULL),
		  CL_INVALID_PROGRAM);
	assert_cl(clCompileProgram(program, 0, NULL, NULL, 0, NULL, NULL, NULL, names), CL_INVALID_VALUE);

	/* The header is missing. */
	assert_cl(clCompileProgram(program, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL), CL_COMPILE_PROGRAM_FAILURE);
	assert_int_equal(status(program), CL_BUILD_ERROR);
	assert_cl(clCompileProgram(program, 0, NULL, "-bad", 1, &header, names, NULL, NULL),
		  CL_INVALID_COMPILER_OPTIONS);
	notified = 0;
	assert_ok(clCompileProgram(program, 0, NULL, NULL, 1, &header, names, count, &notified));
	assert_int_equal(notified, 1);
	assert_int_equal(binary_type(program), CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT);
	assert_null(clCreateKernel(program, "k", &error)); /* not linked */
	assert_cl(error, CL_INVALID_PROGRAM_EXECUTABLE);

	/* A binary is no header. */
	bytes = binary_of(program, &size);
	no_source = clCreateProgramWithBinary(fx.context, 1, &fx.device, &size, (const unsigned char *[]){ bytes },
					      NULL, &error);
	assert_ok(error);
	free(bytes);
	assert_cl(clCompileProgram(program, 0, NULL, NULL, 1, &no_source, names, NULL, NULL), CL_INVALID_OPERATION);
	assert_ok(clReleaseProgram(no_source));
	assert_ok(clReleaseProgram(header));
	assert_ok(clReleaseProgram(program));
}

static size_t kernels_of(cl_program program)
{
	size_t number = 0;

	assert_ok(clGetProgramInfo(program, CL_PROGRAM_NUM_KERNELS, sizeof(number), &number, NULL));
	return number;
}

static cl_program compiled(const char *string)
{
	cl_program program = source(string);

	assert_ok(clCompileProgram(program, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL));
	return program;
}

static cl_program linked(const char *options, cl_uint number, const cl_program *inputs, cl_int expected)
{
	cl_int error = 1;
	cl_program program = clLinkProgram(fx.context, 0, NULL, options, number, inputs, NULL, NULL, &error);

	assert_cl(error, expected);
	return program;
}

/* The program that comes of another one's binary. */
static cl_program reloaded(cl_program program)
{
	unsigned char *bytes;
	size_t size;
	cl_int error;

	bytes = binary_of(program, &size);
	program = clCreateProgramWithBinary(fx.context, 1, &fx.device, &size, (const unsigned char *[]){ bytes }, NULL,
					    &error);
	assert_ok(error);
	free(bytes);
	return program;
}

/* Link all, expect that many kernels, and run the last one's. */
static void expect_kernels(cl_uint number, const cl_program *inputs, size_t kernels, const char *name)
{
	cl_program program = linked(NULL, number, inputs, CL_SUCCESS);
	cl_kernel kernel;
	cl_int error;

	assert_int_equal(binary_type(program), CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
	assert_int_equal(kernels_of(program), kernels);
	kernel = clCreateKernel(program, name, &error);
	assert_ok(error);
	assert_ok(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, (size_t[]){ 1 }, NULL, 0, NULL, NULL));
	assert_ok(clFinish(fx.queue));
	assert_ok(clReleaseKernel(kernel));
	assert_ok(clReleaseProgram(program));
}

static void link_errors(void **state)
{
	cl_program object = source(text), program;
	cl_int error;

	(void)state;
	assert_null(linked(NULL, 1, &object, CL_INVALID_OPERATION)); /* not compiled */
	assert_ok(clCompileProgram(object, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL));
	assert_null(clLinkProgram(NULL, 0, NULL, NULL, 1, &object, NULL, NULL, &error));
	assert_cl(error, CL_INVALID_CONTEXT);
	assert_null(clLinkProgram(fx.context, 0, &fx.device, NULL, 1, &object, NULL, NULL, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clLinkProgram(fx.context, 0, NULL, NULL, 1, &object, NULL, &error, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(linked(NULL, 0, &object, CL_INVALID_VALUE));
	assert_null(linked(NULL, 1, NULL, CL_INVALID_VALUE));
	assert_null(linked(NULL, 1, (cl_program[]){ NULL }, CL_INVALID_PROGRAM));
	assert_null(linked("-cl-unheard-of", 1, &object, CL_INVALID_LINKER_OPTIONS));

	/* An executable is no object, linked or built or from a binary. */
	program = linked(" -cl-finite-math-only  -cl-fast-relaxed-math ", 1, &object, CL_SUCCESS);
	assert_cl(clBuildProgram(program, 0, NULL, NULL, NULL, NULL), CL_INVALID_OPERATION);
	assert_null(linked(NULL, 2, (cl_program[]){ object, program }, CL_INVALID_OPERATION));
	assert_ok(clReleaseProgram(program));
	program = built(text);
	assert_null(linked(NULL, 1, &program, CL_INVALID_OPERATION));
	assert_ok(clReleaseProgram(object));
	object = reloaded(program);
	assert_null(linked(NULL, 1, &object, CL_INVALID_OPERATION));
	assert_ok(clReleaseProgram(object));
	assert_ok(clReleaseProgram(program));
}

static void link_programs(void **state)
{
	cl_program object = compiled(text), other = compiled("kernel three\n"), more = compiled("kernel four\n");
	cl_program library, program;
	struct mcl_fake_compiler before, after;
	char log[256];
	cl_int error;

	(void)state;
	/* One object: described now, as every build; code comes later. */
	mcl_fake_compiler_counts(&before);
	program = linked(NULL, 1, &object, CL_SUCCESS);
	mcl_fake_compiler_counts(&after);
	assert_int_equal(after.calls, before.calls + 1);
	assert_int_equal(after.parts[MCL_COMPILE_DESCRIPTION], before.parts[MCL_COMPILE_DESCRIPTION] + 1);
	assert_int_equal(kernels_of(program), 2);
	assert_ok(clReleaseProgram(program));

	/* Several, and a library of several with one more. That costs nothing until it is linked. */
	expect_kernels(2, (cl_program[]){ object, other }, 3, "three");
	mcl_fake_compiler_counts(&before);
	library = linked("-create-library -enable-link-options", 2, (cl_program[]){ object, other }, CL_SUCCESS);
	mcl_fake_compiler_counts(&after);
	assert_int_equal(after.calls, before.calls);
	assert_int_equal(binary_type(library), CL_PROGRAM_BINARY_TYPE_LIBRARY);
	assert_null(clCreateKernel(library, "two", &error));
	assert_cl(error, CL_INVALID_PROGRAM_EXECUTABLE);
	expect_kernels(1, &library, 3, "three");
	expect_kernels(2, (cl_program[]){ more, library }, 4, "three");
	expect_kernels(2, (cl_program[]){ library, more }, 4, "four");

	/* The same kernel twice: a program object whose log says so. */
	program = linked(NULL, 2, (cl_program[]){ library, other }, CL_LINK_PROGRAM_FAILURE);
	assert_non_null(program);
	assert_int_equal(status(program), CL_BUILD_ERROR);
	assert_ok(clGetProgramBuildInfo(program, fx.device, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL));
	assert_true(log[0]);
	assert_null(clCreateKernel(program, "three", &error));
	assert_cl(error, CL_INVALID_PROGRAM_EXECUTABLE);
	assert_ok(clReleaseProgram(program));
	assert_ok(clReleaseProgram(library));
	assert_ok(clReleaseProgram(more));
	assert_ok(clReleaseProgram(other));
	assert_ok(clReleaseProgram(object));
}

/* Objects, libraries and executables stay what they are on their way through binaries. */
static void link_binaries(void **state)
{
	cl_program header = source("int x;\n"), object = source("include h.h\nkernel k\n"), other = compiled(text);
	cl_program object_again, library, library_again, program, again;
	const char *name = "h.h";
	unsigned char *bytes;
	size_t size, got;
	cl_int error;

	(void)state;
	assert_ok(clCompileProgram(object, 0, NULL, "-warn", 1, &header, &name, NULL, NULL));
	object_again = reloaded(object);
	assert_ok(clReleaseProgram(header));
	assert_ok(clReleaseProgram(object));
	assert_int_equal(binary_type(object_again), CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT);
	assert_int_equal(status(object_again), CL_BUILD_NONE);
	assert_null(clCreateKernel(object_again, "k", &error));
	assert_cl(error, CL_INVALID_PROGRAM_EXECUTABLE);
	assert_cl(clGetProgramInfo(object_again, CL_PROGRAM_NUM_KERNELS, sizeof(size), &size, NULL),
		  CL_INVALID_PROGRAM_EXECUTABLE);
	expect_kernels(2, (cl_program[]){ other, object_again }, 3, "k");

	library = linked("-create-library", 2, (cl_program[]){ object_again, other }, CL_SUCCESS);
	library_again = reloaded(library);
	assert_ok(clReleaseProgram(library));
	assert_int_equal(binary_type(library_again), CL_PROGRAM_BINARY_TYPE_LIBRARY);
	expect_kernels(1, &library_again, 3, "k");

	/* Executables are whole. */
	program = linked(NULL, 1, &library_again, CL_SUCCESS);
	again = reloaded(program);
	assert_int_equal(binary_type(again), CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
	assert_ok(clBuildProgram(again, 0, NULL, NULL, NULL, NULL));
	assert_int_equal(kernels_of(again), 3);
	assert_ok(clReleaseProgram(again));
	assert_ok(clReleaseProgram(program));

	/* Building an object links it alone. It can be done again, and what it was is what it is linked as no more. */
	for (int i = 0; i < 2; i++) {
		assert_ok(clBuildProgram(object_again, 0, NULL, NULL, NULL, NULL));
		assert_int_equal(binary_type(object_again), CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
		assert_int_equal(kernels_of(object_again), 1);
		again = reloaded(object_again);
		assert_int_equal(binary_type(again), CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
		assert_ok(clReleaseProgram(again));
	}
	assert_null(linked(NULL, 1, &object_again, CL_INVALID_OPERATION));

	/* One flipped bit is found. */
	bytes = binary_of(library_again, &size);
	bytes[size / 2] ^= 1;
	assert_null(clCreateProgramWithBinary(fx.context, 1, &fx.device, &size, (const unsigned char *[]){ bytes },
					      &error, NULL));
	assert_cl(error, CL_INVALID_BINARY);
	free(bytes);
	/* What is not compiled has no binary. */
	assert_ok(clReleaseProgram(library_again));
	object = source(text);
	assert_ok(clGetProgramInfo(object, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, &got));
	assert_int_equal(size, 0);
	assert_int_equal(got, sizeof(size));
	assert_ok(clReleaseProgram(object));
	assert_ok(clReleaseProgram(object_again));
	assert_ok(clReleaseProgram(other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(compile),
		fixture_test(link_errors),
		fixture_test(link_programs),
		fixture_test(link_binaries),
	};

	setenv("MIRRORCL_CACHE_SIZE", "0", 1);
	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
