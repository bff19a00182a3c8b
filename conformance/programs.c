// SPDX-License-Identifier: MIT
/*
 * Programs of several sources: compiled with headers, linked, put into libraries, sent through binaries; what goes wrong with them.
 * Programs of one source are in kernels.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness.h"

static const char header_text[] = "int helper(int x);\n#define EXTRA 1000\n";
static const char main_text[] = "#include <parts/helper.h>\n"
				"kernel void sum(global int *o) { o[0] = helper(o[1]) + EXTRA + ME; }\n"
				"kernel void max(global int *o) { o[0] = min(77, o[1]); }\n";
static const char helper_text[] =
	"#ifdef ME\n#error not my options\n#endif\n"
	"global int calls = FIRST;\n"
	"int helper(int x) { return x * 3 + atomic_inc((volatile global int *)&calls) * 100000; }\n";
static const char counter_text[] = "extern global int calls;\n"
				   "kernel void count(global int *o) { o[0] = calls; }\n";

static cl_program source(const char *text)
{
	cl_int err;
	cl_program program = clCreateProgramWithSource(conf.context, 1, &text, NULL, &err);

	assert_cl(err);
	return program;
}

static cl_program compiled(const char *text, const char *options)
{
	cl_program program = source(text), header = source(header_text);
	const char *name = "parts/helper.h";

	assert_cl(clCompileProgram(program, 0, NULL, options, 1, &header, &name, NULL, NULL));
	assert_cl(clReleaseProgram(header));
	return program;
}

static cl_program linked(const char *options, cl_uint count, const cl_program *inputs)
{
	cl_int err;
	cl_program program = clLinkProgram(conf.context, 1, &conf.device, options, count, inputs, NULL, NULL, &err);

	assert_cl(err);
	return program;
}

static cl_program_binary_type type_of(cl_program program)
{
	cl_program_binary_type type;

	assert_cl(clGetProgramBuildInfo(program, conf.device, CL_PROGRAM_BINARY_TYPE, sizeof(type), &type, NULL));
	return type;
}

/* The same program by way of its binary; @program is released. */
static cl_program reloaded(cl_program program)
{
	const cl_program_binary_type type = type_of(program);
	const unsigned char *given;
	unsigned char *binary;
	cl_int err, status;
	size_t size = 0;

	assert_cl(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL));
	assert_true(size > 0);
	binary = conf_malloc(size);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(binary), &binary, NULL));
	assert_cl(clReleaseProgram(program));
	given = binary;
	program = clCreateProgramWithBinary(conf.context, 1, &conf.device, &size, &given, &status, &err);
	assert_cl(err);
	assert_cl(status);
	free(binary);
	assert_true(type_of(program) == type);
	return program;
}

static int run(cl_program program, const char *name, int in)
{
	int words[2] = { 0, in };
	cl_int err;
	cl_kernel kernel = clCreateKernel(program, name, &err);

	assert_cl(err);
	set_ptr(kernel, 0, words);
	conf_run(kernel, 1, 1);
	assert_cl(clReleaseKernel(kernel));
	return words[0];
}

/* All of it in one program: functions, kernels and variables know each other across sources. */
static void check_whole(cl_program program)
{
	char names[64];
	size_t count = 0;

	assert_true(type_of(program) == CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_NUM_KERNELS, sizeof(count), &count, NULL));
	assert_int_equal(count, 3);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_KERNEL_NAMES, sizeof(names), names, NULL));
	assert_non_null(strstr(names, "sum"));
	assert_non_null(strstr(names, "max"));
	assert_non_null(strstr(names, "count"));
	assert_int_equal(run(program, "count", 0), 4);
	assert_int_equal(run(program, "sum", 5), 400000 + 15 + 1000 + 7);
	assert_int_equal(run(program, "count", 0), 5);
	assert_int_equal(run(program, "max", 100), 77);
	assert_int_equal(run(program, "max", 20), 20);
}

static void objects(void **state)
{
	cl_program parts[] = { compiled(main_text, "-DME=7"), compiled(helper_text, "-DFIRST=4"),
			       compiled(counter_text, "") };
	cl_program program = linked("", 3, parts);
	cl_int err;

	(void)state;
	assert_true(type_of(parts[0]) == CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT);
	assert_null(clCreateKernel(parts[0], "max", &err));
	assert_int_equal(err, CL_INVALID_PROGRAM_EXECUTABLE);
	check_whole(program);
	assert_cl(clReleaseProgram(program));
	/* Another link of the same objects is another program, with variables of its own. */
	program = linked("", 3, parts);
	for (int i = 0; i < 3; i++)
		assert_cl(clReleaseProgram(parts[i]));
	check_whole(program);
	assert_cl(clReleaseProgram(program));
}

static void libraries(void **state)
{
	cl_program parts[] = { compiled(helper_text, "-DFIRST=4"), compiled(counter_text, "") };
	cl_program both[] = { compiled(main_text, "-DME=7"), linked("-create-library", 2, parts) };
	cl_program program;
	cl_int err;

	(void)state;
	assert_true(type_of(both[1]) == CL_PROGRAM_BINARY_TYPE_LIBRARY);
	assert_null(clCreateKernel(both[1], "count", &err));
	assert_int_equal(err, CL_INVALID_PROGRAM_EXECUTABLE);
	program = linked("", 2, both);
	check_whole(program);
	assert_cl(clReleaseProgram(program));
	for (int i = 0; i < 2; i++) {
		assert_cl(clReleaseProgram(parts[i]));
		assert_cl(clReleaseProgram(both[i]));
	}
}

/* Objects, libraries and executables survive their own binaries. */
static void binaries(void **state)
{
	cl_program parts[] = { reloaded(compiled(helper_text, "-DFIRST=4")), reloaded(compiled(counter_text, "")) };
	cl_program both[] = { reloaded(compiled(main_text, "-DME=7")), reloaded(linked("-create-library", 2, parts)) };
	cl_program program = reloaded(linked("", 2, both));

	(void)state;
	assert_cl(clBuildProgram(program, 1, &conf.device, "", NULL, NULL));
	check_whole(program);
	assert_cl(clReleaseProgram(program));
	for (int i = 0; i < 2; i++) {
		assert_cl(clReleaseProgram(parts[i]));
		assert_cl(clReleaseProgram(both[i]));
	}
}

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* Included files may be gone when the object is linked: it has them. */
static void included_files(void **state)
{
	static const char text[] =
		"#include \"a/one.h\"\nkernel void sum(global int *o) { o[0] = ONE + TWO + o[1]; }\n";
	char folder[] = "/tmp/mcl-conformance-XXXXXX", options[64], inner[64], command[64];
	cl_program object, program;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(inner, sizeof(inner), "%s/a", folder);
	assert_int_equal(mkdir(inner, 0700), 0);
	write_file(inner, "one.h", "#pragma once\n#include \"two.h\"\n#include <three.h>\n#define ONE 1\n");
	write_file(inner, "two.h", "#define TWO (20 + THREE)\n");
	write_file(folder, "two.h", "#error not this one\n");
	write_file(folder, "three.h", "#define THREE 300\n");
	snprintf(options, sizeof(options), "-I%s", folder);
	object = compiled(text, options);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
	program = linked("", 1, &object);
	assert_int_equal(run(program, "sum", 4000), 4321);
	assert_cl(clReleaseProgram(program));
	object = reloaded(object);
	program = linked("", 1, &object);
	assert_int_equal(run(program, "sum", 4000), 4321);
	assert_cl(clReleaseProgram(program));
	assert_cl(clReleaseProgram(object));
}

static void expect_link_failure(cl_uint count, const cl_program *inputs, const char *word)
{
	cl_int err;
	cl_program program = clLinkProgram(conf.context, 1, &conf.device, "", count, inputs, NULL, NULL, &err);
	cl_build_status status;
	char log[4096];

	assert_int_equal(err, CL_LINK_PROGRAM_FAILURE);
	assert_non_null(program);
	assert_cl(clGetProgramBuildInfo(program, conf.device, CL_PROGRAM_BUILD_STATUS, sizeof(status), &status, NULL));
	assert_int_equal(status, CL_BUILD_ERROR);
	assert_cl(clGetProgramBuildInfo(program, conf.device, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL));
	if (!strstr(log, word))
		fail_msg("no '%s' in '%s'", word, log);
	assert_cl(clReleaseProgram(program));
}

/* The log names what is missing, or there twice, or wrong in a header. */
static void failures(void **state)
{
	static const char bad_header[] = "undeclared_thing helper(int x);\n";
	cl_program object = compiled(main_text, "-DME=7"), helper = compiled(helper_text, "-DFIRST=4");
	cl_program program = source(main_text), header = source(bad_header);
	const char *name = "parts/helper.h";
	char log[4096];

	(void)state;
	expect_link_failure(1, &object, "helper");
	expect_link_failure(3, (cl_program[]){ object, helper, helper }, "'calls'");
	assert_cl_error(clCompileProgram(program, 0, NULL, "-DME=7", 1, &header, &name, NULL, NULL),
			CL_COMPILE_PROGRAM_FAILURE);
	assert_cl(clGetProgramBuildInfo(program, conf.device, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL));
	assert_non_null(strstr(log, "undeclared_thing"));
	assert_cl_error(clCompileProgram(program, 0, NULL, "-DME=7", 0, NULL, NULL, NULL, NULL),
			CL_COMPILE_PROGRAM_FAILURE);
	assert_cl(clReleaseProgram(header));
	assert_cl(clReleaseProgram(program));
	assert_cl(clReleaseProgram(helper));
	assert_cl(clReleaseProgram(object));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects),	  cmocka_unit_test(libraries), cmocka_unit_test(binaries),
		cmocka_unit_test(included_files), cmocka_unit_test(failures),
	};
	int failed;

	conf_open(NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
