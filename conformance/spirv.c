// SPDX-License-Identifier: MIT
/*
 * Programs in SPIR-V, as compilers of SYCL and HIP make them: kernels on the host's own memory, specialization constants, links with
 * OpenCL C, binaries, and modules that are not what they should be.
 */
#include <byteswap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CL/cl_ext.h>

#include "harness.h"
#include "module.spv.h"

#define MODULE_SIZE (sizeof(module_spv) - 1)

static cl_program create(const void *il, size_t size)
{
	cl_int err;
	cl_program program = clCreateProgramWithIL(conf.context, il, size, &err);

	assert_cl(err);
	assert_non_null(program);
	return program;
}

static void build(cl_program program)
{
	assert_cl(clBuildProgram(program, 1, &conf.device, "", NULL, NULL));
}

static cl_program built(void)
{
	cl_program program = create(module_spv, MODULE_SIZE);

	build(program);
	return program;
}

static cl_kernel kernel_of(cl_program program, const char *name)
{
	cl_int err;
	cl_kernel kernel = clCreateKernel(program, name, &err);

	assert_cl(err);
	return kernel;
}

/* What the device says of its languages agrees. */
static void queries(void **state)
{
	clCreateProgramWithILKHR_fn by_name;
	char versions[256], text[256] = "", extensions[2048];
	cl_name_version ils[16];
	cl_program program;
	size_t size;
	cl_int err;

	(void)state;
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_IL_VERSION, sizeof(versions), versions, NULL));
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_ILS_WITH_VERSION, sizeof(ils), ils, &size));
	assert_in_range(size, sizeof(*ils), sizeof(ils));
	for (size_t i = 0; i < size / sizeof(*ils); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s_%u.%u", i ? " " : "", ils[i].name,
			 CL_VERSION_MAJOR(ils[i].version), CL_VERSION_MINOR(ils[i].version));
	assert_string_equal(text, versions);
	assert_non_null(strstr(versions, "SPIR-V_1.2"));
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_EXTENSIONS, sizeof(extensions), extensions, NULL));
	assert_non_null(strstr(extensions, "cl_khr_il_program"));
	*(void **)&by_name = clGetExtensionFunctionAddressForPlatform(conf.platform, "clCreateProgramWithILKHR");
	assert_non_null(by_name);
	program = by_name(conf.context, module_spv, MODULE_SIZE, &err);
	assert_cl(err);
	assert_cl(clReleaseProgram(program));
}

static void program_queries(void **state)
{
	cl_program program = built();
	cl_kernel kernel = kernel_of(program, "max");
	cl_build_status status;
	char names[256], text[16];
	uint8_t *il = conf_malloc(MODULE_SIZE);
	size_t size = 0, count = 0;
	cl_uint args;
	cl_int err;

	(void)state;
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_IL, MODULE_SIZE, il, &size));
	assert_int_equal(size, MODULE_SIZE);
	assert_memory_equal(il, module_spv, MODULE_SIZE);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_SOURCE, sizeof(text), text, NULL));
	assert_string_equal(text, "");
	assert_cl(clGetProgramBuildInfo(program, conf.device, CL_PROGRAM_BUILD_STATUS, sizeof(status), &status, NULL));
	assert_int_equal(status, CL_BUILD_SUCCESS);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_NUM_KERNELS, sizeof(count), &count, NULL));
	assert_int_equal(count, 6);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_KERNEL_NAMES, sizeof(names), names, NULL));
	assert_non_null(strstr(names, "list_sum"));
	assert_non_null(strstr(names, "max"));
	assert_cl(clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof(args), &args, NULL));
	assert_int_equal(args, 3);
	/* A module need not tell the names of arguments: an answer, if there is one, is right. */
	err = clGetKernelArgInfo(kernel, 0, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof(args), &args, NULL);
	assert_true(err == CL_KERNEL_ARG_INFO_NOT_AVAILABLE || (!err && args == CL_KERNEL_ARG_ADDRESS_GLOBAL));
	free(il);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseProgram(program));
}

struct node {
	struct node *next;
	cl_long value;
};

static void host_memory(void **state)
{
	enum { NODES = 1000 };
	cl_program program = built();
	cl_kernel kernel = kernel_of(program, "list_sum");
	cl_long *sum = conf_malloc(sizeof(*sum)), expected = 0;
	struct node *head = NULL;

	(void)state;
	for (cl_long i = 1; i <= NODES; i++) {
		struct node *node = conf_malloc(sizeof(*node));

		*node = (struct node){ head, i * i };
		head = node;
		expected += i * i;
	}
	*sum = 0;
	set_ptr(kernel, 0, head);
	set_ptr(kernel, 1, sum);
	conf_run(kernel, 1, 1);
	assert_true(*sum == expected);
	while (head) {
		struct node *node = head;

		head = node->next;
		free(node);
	}
	free(sum);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseProgram(program));
}

/* A kernel called like a built-in function, with local memory, and the functions that ask all of a work-group. */
static void built_ins(void **state)
{
	enum { LOCAL = 16, GROUPS = LOCAL + 4, ITEMS = LOCAL * GROUPS };
	cl_program program = built();
	cl_kernel kernel = kernel_of(program, "max");
	cl_int *data = conf_malloc(ITEMS * sizeof(*data)), *any = conf_malloc(ITEMS * sizeof(*any)), count = 0;

	(void)state;
	for (cl_int i = 0; i < ITEMS; i++)
		data[i] = i;
	set_ptr(kernel, 0, data);
	set_arg(kernel, 1, 2.0f);
	assert_cl(clSetKernelArg(kernel, 2, LOCAL * sizeof(cl_int), NULL));
	conf_run(kernel, ITEMS, LOCAL);
	for (cl_int i = 0; i < ITEMS; i++)
		assert_int_equal(data[i], 2 * (i / LOCAL * LOCAL + LOCAL - 1 - i % LOCAL) + (i % LOCAL > 0));
	assert_cl(clReleaseKernel(kernel));

	kernel = kernel_of(program, "votes");
	set_ptr(kernel, 0, data);
	set_ptr(kernel, 1, any);
	set_ptr(kernel, 2, &count);
	conf_run(kernel, ITEMS, LOCAL);
	for (cl_int i = 0; i < ITEMS; i++) {
		assert_int_equal(!!data[i], i / LOCAL >= LOCAL);
		assert_int_equal(!!any[i], i / LOCAL < LOCAL);
	}
	assert_int_equal(count, ITEMS);
	free(any);
	free(data);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseProgram(program));
}

/* As the module lays it out. */
struct closure {
	cl_char tag;
	cl_long scale;
	cl_int *data;
	cl_int offsets[5];
};

static void structures(void **state)
{
	cl_program program = built();
	cl_kernel kernel = kernel_of(program, "run_closure");
	cl_int *data = conf_malloc(1000 * sizeof(*data));
	struct closure closure = { 3, 7, data, { 10, 20, 30, 40, 50 } };
	const cl_char3 three = { { 1, 2, 100 } };

	(void)state;
	for (cl_int i = 0; i < 1000; i++)
		data[i] = i;
	assert_cl(clSetKernelArg(kernel, 0, sizeof(closure), &closure));
	set_arg(kernel, 1, three);
	conf_run(kernel, 1000, 8);
	for (cl_int i = 0; i < 1000; i++)
		assert_int_equal(data[i], i * 7 + (i % 5 + 1) * 10 + 3 + 100);
	free(data);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseProgram(program));
}

static void printing(void **state)
{
	cl_program program = built();
	cl_kernel kernel = kernel_of(program, "print");
	char *output;

	(void)state;
	set_arg(kernel, 0, 1.25f);
	set_arg(kernel, 1, -7);
	set_arg(kernel, 2, 1000.5f);
	conf_capture_begin(1);
	conf_run(kernel, 1, 1);
	output = conf_capture_end(1);
	assert_string_equal(output, "1.25 -7 1000.500\n");
	free(output);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseProgram(program));
}

static void check_constants(cl_program program, cl_long a, cl_long b, cl_long c, cl_long d)
{
	cl_kernel kernel = kernel_of(program, "constants");
	cl_long out[4] = { 0 };

	set_ptr(kernel, 0, out);
	conf_run(kernel, 1, 1);
	assert_true(out[0] == a);
	assert_true(out[1] == b);
	assert_true(out[2] == c);
	assert_true(out[3] == d);
	assert_cl(clReleaseKernel(kernel));
}

/* Values count from the next build on; each program has its own. */
static void constants(void **state)
{
	cl_program program = built(), other = built();
	const cl_int a = -17;
	const cl_long b = -(1ll << 50);
	const cl_float c = 0.25f;
	const cl_uchar no = 0;

	(void)state;
	check_constants(program, 3, 1ll << 40, 1500, 1);
	assert_cl(clSetProgramSpecializationConstant(program, 10, sizeof(a), &(cl_int){ 5 }));
	assert_cl(clSetProgramSpecializationConstant(program, 10, sizeof(a), &a));
	assert_cl(clSetProgramSpecializationConstant(program, 12, sizeof(c), &c));
	check_constants(program, 3, 1ll << 40, 1500, 1);
	build(program);
	check_constants(program, -17, 1ll << 40, 250, 1);
	assert_cl(clSetProgramSpecializationConstant(program, 11, sizeof(b), &b));
	assert_cl(clSetProgramSpecializationConstant(program, 13, sizeof(no), &no));
	build(program);
	check_constants(program, -17, -(1ll << 50), 250, 0);
	build(other);
	check_constants(other, 3, 1ll << 40, 1500, 1);

	assert_cl_error(clSetProgramSpecializationConstant(program, 14, sizeof(a), &a), CL_INVALID_SPEC_ID);
	assert_cl_error(clSetProgramSpecializationConstant(program, 10, sizeof(b), &b), CL_INVALID_VALUE);
	assert_cl_error(clSetProgramSpecializationConstant(program, 10, 0, &b), CL_INVALID_VALUE);
	assert_cl_error(clSetProgramSpecializationConstant(program, 10, sizeof(a), NULL), CL_INVALID_VALUE);
	assert_cl(clReleaseProgram(other));
	assert_cl(clReleaseProgram(program));
}

/* A module is compiled like a source, and linked to one. */
static void linked(void **state)
{
	const char *text = "int triple(int x);\nkernel void nine(global int *o) { *o = triple(triple(*o)); }\n";
	cl_program parts[2] = { create(module_spv, MODULE_SIZE) }, program;
	cl_kernel kernel;
	cl_int err, value = 5;

	(void)state;
	parts[1] = clCreateProgramWithSource(conf.context, 1, &text, NULL, &err);
	assert_cl(err);
	assert_cl(clSetProgramSpecializationConstant(parts[0], 10, sizeof(cl_int), &(cl_int){ 44 }));
	for (int i = 0; i < 2; i++)
		assert_cl(clCompileProgram(parts[i], 1, &conf.device, "", 0, NULL, NULL, NULL, NULL));
	program = clLinkProgram(conf.context, 1, &conf.device, "", 2, parts, NULL, NULL, &err);
	assert_cl(err);
	kernel = kernel_of(program, "nine");
	set_ptr(kernel, 0, &value);
	conf_run(kernel, 1, 1);
	assert_int_equal(value, 45);
	check_constants(program, 44, 1ll << 40, 1500, 1);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseProgram(program));
	for (int i = 0; i < 2; i++)
		assert_cl(clReleaseProgram(parts[i]));
}

static void binary(void **state)
{
	cl_program program = create(module_spv, MODULE_SIZE), again;
	const unsigned char *given;
	unsigned char *bytes;
	cl_int err, status;
	size_t size = 0;

	(void)state;
	assert_cl(clSetProgramSpecializationConstant(program, 10, sizeof(cl_int), &(cl_int){ 45 }));
	build(program);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL));
	assert_true(size > 0);
	bytes = conf_malloc(size);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(bytes), &bytes, NULL));
	given = bytes;
	again = clCreateProgramWithBinary(conf.context, 1, &conf.device, &size, &given, &status, &err);
	assert_cl(err);
	assert_cl(status);
	build(again);
	check_constants(again, 45, 1ll << 40, 1500, 1);
	assert_cl_error(clSetProgramSpecializationConstant(again, 10, sizeof(cl_int), &(cl_int){ 1 }),
			CL_INVALID_PROGRAM);
	free(bytes);
	assert_cl(clReleaseProgram(again));
	assert_cl(clReleaseProgram(program));
}

/* A module of a machine with the other byte order. */
static void other_byte_order(void **state)
{
	uint32_t *words = conf_malloc(MODULE_SIZE), *got = conf_malloc(MODULE_SIZE);
	cl_program program;

	(void)state;
	memcpy(words, module_spv, MODULE_SIZE);
	for (size_t i = 0; i < MODULE_SIZE / 4; i++)
		words[i] = bswap_32(words[i]);
	program = create(words, MODULE_SIZE);
	assert_cl(clSetProgramSpecializationConstant(program, 10, sizeof(cl_int), &(cl_int){ 46 }));
	build(program);
	check_constants(program, 46, 1ll << 40, 1500, 1);
	assert_cl(clGetProgramInfo(program, CL_PROGRAM_IL, MODULE_SIZE, got, NULL));
	assert_memory_equal(got, words, MODULE_SIZE);
	free(got);
	free(words);
	assert_cl(clReleaseProgram(program));
}

static void refused(const void *il, size_t size, cl_int expected)
{
	cl_int err;

	assert_null(clCreateProgramWithIL(conf.context, il, size, &err));
	assert_int_equal(err, expected);
}

/* What is wrong with a module is said when it is given, or with a log when it is built; the next program is not concerned. */
static void bad_modules(void **state)
{
	const char *text = "int unused;\n", *name = "module.h";
	uint32_t *words = conf_malloc(MODULE_SIZE);
	cl_program program, module = create(module_spv, MODULE_SIZE);
	cl_build_status status;
	char log[4096] = "";
	cl_int err;

	(void)state;
	assert_null(clCreateProgramWithIL(NULL, module_spv, MODULE_SIZE, &err));
	assert_int_equal(err, CL_INVALID_CONTEXT);
	refused(NULL, 4, CL_INVALID_VALUE);
	refused(module_spv, 0, CL_INVALID_VALUE);
	refused("kernel void f() {}", 18, CL_INVALID_VALUE);
	refused(module_spv, MODULE_SIZE - 4, CL_INVALID_VALUE);
	refused(module_spv, MODULE_SIZE - 1, CL_INVALID_VALUE);

	/* Whole, but what the functions return is no type. */
	memcpy(words, module_spv, MODULE_SIZE);
	for (size_t i = 5; i < MODULE_SIZE / 4; i += words[i] >> 16)
		if ((words[i] & 0xffff) == 54) /* OpFunction */
			words[i + 1] = words[3] - 1;
	program = create(words, MODULE_SIZE);
	assert_cl_error(clBuildProgram(program, 1, &conf.device, "", NULL, NULL), CL_BUILD_PROGRAM_FAILURE);
	assert_cl(clGetProgramBuildInfo(program, conf.device, CL_PROGRAM_BUILD_STATUS, sizeof(status), &status, NULL));
	assert_int_equal(status, CL_BUILD_ERROR);
	assert_cl(clGetProgramBuildInfo(program, conf.device, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL));
	assert_true(strlen(log) > 0);
	assert_cl(clReleaseProgram(program));
	free(words);

	/* It is no header, and a source has no constants. */
	program = clCreateProgramWithSource(conf.context, 1, &text, NULL, &err);
	assert_cl(err);
	assert_cl_error(clCompileProgram(program, 0, NULL, "", 1, &module, &name, NULL, NULL), CL_INVALID_OPERATION);
	assert_cl_error(clSetProgramSpecializationConstant(program, 10, 4, text), CL_INVALID_PROGRAM);
	assert_cl(clReleaseProgram(program));
	build(module);
	check_constants(module, 3, 1ll << 40, 1500, 1);
	assert_cl(clReleaseProgram(module));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries),	    cmocka_unit_test(program_queries), cmocka_unit_test(host_memory),
		cmocka_unit_test(built_ins),	    cmocka_unit_test(structures),      cmocka_unit_test(printing),
		cmocka_unit_test(constants),	    cmocka_unit_test(linked),	       cmocka_unit_test(binary),
		cmocka_unit_test(other_byte_order), cmocka_unit_test(bad_modules),
	};
	int failed;

	conf_open(NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
