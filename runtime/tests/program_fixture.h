/* SPDX-License-Identifier: MIT */
/* Short forms of the calls that the tests of programs make. */
#ifndef MCL_TEST_PROGRAM_FIXTURE_H
#define MCL_TEST_PROGRAM_FIXTURE_H

#include <stdlib.h>

#include "runtime/tests/fixture.h"

static inline cl_program source(const char *string)
{
	cl_int error;
	cl_program program = clCreateProgramWithSource(fx.context, 1, &string, NULL, &error);

	assert_ok(error);
	return program;
}

static inline cl_build_status status(cl_program program)
{
	cl_build_status value;

	assert_ok(clGetProgramBuildInfo(program, fx.device, CL_PROGRAM_BUILD_STATUS, sizeof(value), &value, NULL));
	return value;
}

static inline cl_program_binary_type binary_type(cl_program program)
{
	cl_program_binary_type value;

	assert_ok(clGetProgramBuildInfo(program, fx.device, CL_PROGRAM_BINARY_TYPE, sizeof(value), &value, NULL));
	return value;
}

/* The program's binary, malloc'd. */
static inline unsigned char *binary_of(cl_program program, size_t *size)
{
	unsigned char *bytes;

	assert_ok(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(*size), size, NULL));
	assert_true(*size > 0);
	bytes = malloc(*size);
	assert_ok(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(bytes), &bytes, NULL));
	return bytes;
}

static inline cl_program built(const char *string)
{
	cl_program program = source(string);

	assert_ok(clBuildProgram(program, 0, NULL, NULL, NULL, NULL));
	return program;
}

#endif
