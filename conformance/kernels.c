// SPDX-License-Identifier: MIT
/*
 * What a kernel may do besides following pointers: ids in three dimensions with offsets and odd sizes, arguments of every
 * shape, program-scope variables, local memory and barriers, printf, generic pointers, mathematics.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "building.cl.h"
#include "harness.h"
#include "kernels.cl.h"

static void check_ids(cl_uint dims, const size_t *offset, const size_t *global, const size_t *local)
{
	size_t g[3] = { 1, 1, 1 }, o[3] = { 0, 0, 0 }, total = 1;
	cl_kernel kernel = conf_kernel("ids");
	cl_ulong *out;

	for (cl_uint d = 0; d < dims; d++) {
		g[d] = global[d];
		o[d] = offset ? offset[d] : 0;
		total *= g[d];
	}
	out = calloc(total * 12, sizeof(*out));
	assert_non_null(out);
	set_ptr(kernel, 0, out);
	assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, dims, offset, global, local, 0, NULL, NULL));
	assert_cl(clFinish(conf.queue));
	for (size_t i = 0; i < total; i++) {
		const size_t at[3] = { i % g[0], i / g[0] % g[1], i / g[0] / g[1] };
		const cl_ulong *p = &out[i * 12];

		for (int d = 0; d < 3; d++) {
			assert_int_equal(p[d], at[d] + o[d]);
			assert_int_equal(p[3 + d], at[d] + o[d]);
			if (local && d < (int)dims)
				assert_int_equal(p[6 + d], g[d] / local[d] * 100 + local[d]);
		}
		assert_int_equal(p[9], dims);
		assert_int_equal(p[10], i);
		assert_int_equal(p[11], 1); /* each work-item ran once */
	}
	free(out);
	assert_cl(clReleaseKernel(kernel));
}

static void ids(void **state)
{
	(void)state;
	check_ids(1, NULL, (size_t[]){ 1 }, (size_t[]){ 1 });
	check_ids(1, NULL, (size_t[]){ 1000 }, (size_t[]){ 1 });
	check_ids(1, NULL, (size_t[]){ 1024 }, (size_t[]){ 256 });
	check_ids(1, NULL, (size_t[]){ 1021 }, NULL);
	check_ids(1, (size_t[]){ 77 }, (size_t[]){ 105 }, (size_t[]){ 5 });
	check_ids(2, NULL, (size_t[]){ 33, 17 }, (size_t[]){ 11, 17 });
	check_ids(2, (size_t[]){ 3, 1000 }, (size_t[]){ 40, 20 }, (size_t[]){ 8, 4 });
	check_ids(2, NULL, (size_t[]){ 31, 37 }, NULL);
	check_ids(3, NULL, (size_t[]){ 7, 5, 3 }, (size_t[]){ 1, 1, 1 });
	check_ids(3, (size_t[]){ 1, 2, 3 }, (size_t[]){ 16, 9, 8 }, (size_t[]){ 4, 3, 2 });
}

struct mixed {
	cl_char c;
	cl_double d;
	cl_short s[3];
	cl_ulong u;
};

static void arguments(void **state)
{
	const cl_int4 vector4 = { { 1, 2, 3, 4 } };
	const cl_double2 vector2 = { { 5, 6 } };
	const cl_char3 vector3 = { { 7, 8, 9, 0 } };
	const struct mixed mixed = { .c = -1, .d = -2.0, .s = { 3, 4, 5 }, .u = UINT64_MAX };
	const cl_ulong expected[17] = {
		(cl_ulong)-100,
		200,
		(cl_ulong)-30000,
		60000,
		(cl_ulong)-2000000000,
		4000000000u,
		(cl_ulong)INT64_MIN,
		UINT64_MAX,
		5,
		(cl_ulong)-9,
		4321,
		65,
		987,
		(cl_ulong)-1,
		(cl_ulong)-2,
		543,
		UINT64_MAX,
	};
	cl_kernel kernel = conf_kernel("arguments");
	cl_ulong out[17] = { 0 };

	(void)state;
	set_arg(kernel, 0, (cl_char)-100);
	set_arg(kernel, 1, (cl_uchar)200);
	set_arg(kernel, 2, (cl_short)-30000);
	set_arg(kernel, 3, (cl_ushort)60000);
	set_arg(kernel, 4, (cl_int)-2000000000);
	set_arg(kernel, 5, (cl_uint)4000000000u);
	set_arg(kernel, 6, (cl_long)INT64_MIN);
	set_arg(kernel, 7, (cl_ulong)UINT64_MAX);
	set_arg(kernel, 8, 1.25f);
	set_arg(kernel, 9, -1.125);
	set_arg(kernel, 10, vector4);
	set_arg(kernel, 11, vector2);
	set_arg(kernel, 12, vector3);
	set_arg(kernel, 13, mixed);
	set_ptr(kernel, 14, out);
	conf_run(kernel, 1, 1);
	for (int i = 0; i < 17; i++)
		assert_int_equal(out[i], expected[i]);
	assert_cl(clReleaseKernel(kernel));
}

/* Values are taken when the kernel is enqueued: setting them again changes only later launches. */
static void arguments_are_captured(void **state)
{
	cl_kernel kernel = conf_kernel("reverse");
	int data[3][4] = { { 0 } };
	cl_event gate;
	cl_int err;
	size_t one = 1;

	(void)state;
	gate = clCreateUserEvent(conf.context, &err);
	assert_cl(err);
	for (cl_uint i = 0; i < 3; i++) {
		set_ptr(kernel, 0, data[i]);
		set_arg(kernel, 1, 10 * (i + 1));
		assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, 1, &gate, NULL));
	}
	assert_cl(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_cl(clFinish(conf.queue));
	for (int i = 0; i < 3; i++)
		assert_int_equal(data[i][0], 10 * (i + 1));
	assert_cl(clReleaseEvent(gate));
	assert_cl(clReleaseKernel(kernel));
}

static void optional_arguments(void **state)
{
	enum { LOCAL = 16, GLOBAL = 64 };
	const int table[4] = { 10, 20, 30, 40 };
	cl_kernel kernel = conf_kernel("optional");
	int out[GLOBAL], any;
	cl_mem constant;
	cl_int err;

	(void)state;
	constant = clCreateBuffer(conf.context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof(table), (void *)table,
				  &err);
	assert_cl(err);
	set_arg(kernel, 1, constant);
	assert_cl(clSetKernelArg(kernel, 2, LOCAL * sizeof(int), NULL));
	set_ptr(kernel, 3, out);
	for (int pass = 0; pass < 3; pass++) {
		if (pass == 0)
			assert_cl(clSetKernelArg(kernel, 0, sizeof(cl_mem), NULL));
		else
			set_ptr(kernel, 0, pass == 1 ? &any : NULL);
		conf_run(kernel, GLOBAL, LOCAL);
		for (int i = 0; i < GLOBAL; i++)
			assert_int_equal(out[i], LOCAL - 1 - i % LOCAL + table[i % 4] + (pass == 1 ? 1000 : 0));
	}
	assert_cl(clReleaseMemObject(constant));
	assert_cl(clReleaseKernel(kernel));
}

/* Program-scope variables start as declared and live as long as the program, across launches and kernels. */
static void program_scope(void **state)
{
	cl_program other = conf_build(kernels_cl), saved = conf.program;

	(void)state;
	for (int p = 0; p < 2; p++) {
		cl_kernel kernel;
		int out[4], in[20];

		conf.program = p ? other : saved; /* each program has its own */
		for (int i = 0; i < 20; i++) {
			kernel = conf_kernel("remember");
			in[i] = i * 11;
			set_ptr(kernel, 0, out);
			set_ptr(kernel, 1, &in[i]);
			conf_run(kernel, 1, 1);
			assert_int_equal(out[0], 100 + i);
			assert_int_equal(out[1], i ? (i - 1) * 11 : -1);
			assert_int_equal(out[2], 255 * (i + 1));
			assert_int_equal(out[3], ((int[]){ 3, 1, 4, 1 })[(100 + i) % 4]);
			assert_cl(clReleaseKernel(kernel));
		}
	}
	conf.program = saved;
	assert_cl(clReleaseProgram(other));
}

/* A program-scope variable has an address, and it is the host's too. */
static void program_scope_address(void **state)
{
	cl_kernel kernel;
	cl_program saved = conf.program;
	cl_ulong address = 0;
	int out[4], in = 0;

	(void)state;
	conf.program = conf_build(kernels_cl);
	kernel = conf_kernel("scope_address");
	set_ptr(kernel, 0, &address);
	conf_run(kernel, 1, 1);
	/* cppcheck-suppress nullPointer ; the kernel has written it */
	assert_int_equal(*(volatile int *)address, 100);
	*(volatile int *)address = 500;
	assert_cl(clReleaseKernel(kernel));
	kernel = conf_kernel("remember");
	set_ptr(kernel, 0, out);
	set_ptr(kernel, 1, &in);
	conf_run(kernel, 1, 1);
	assert_int_equal(out[0], 500);
	assert_int_equal(*(volatile int *)address, 501);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseProgram(conf.program));
	conf.program = saved;
}

static void local_memory(void **state)
{
	enum { ITEMS = 1024 };
	static const size_t sizes[] = { 1, 2, 16, 64, 256 };
	cl_kernel kernel = conf_kernel("reverse"), reduce = conf_kernel("reduce"),
		  tag = conf_kernel("private_to_group");
	int *data = conf_malloc(ITEMS * sizeof(*data)), *sums = conf_malloc(ITEMS * sizeof(*sums)), wrong = 0;

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		size_t n = sizes[s];

		for (cl_uint rounds = 1; rounds < 8; rounds++) {
			for (int i = 0; i < ITEMS; i++)
				data[i] = i * 3;
			set_ptr(kernel, 0, data);
			set_arg(kernel, 1, rounds);
			conf_run(kernel, ITEMS, n);
			for (size_t i = 0; i < ITEMS; i++) {
				size_t from = rounds % 2 ? i / n * n + (n - 1 - i % n) : i;

				assert_int_equal(data[i], from * 3 + rounds);
			}
		}
		set_ptr(reduce, 0, data);
		set_ptr(reduce, 1, sums);
		conf_run(reduce, ITEMS, n);
		for (size_t g = 0; g < ITEMS / n; g++) {
			int expected = 0;

			for (size_t i = 0; i < n; i++)
				expected += data[g * n + i];
			assert_int_equal(sums[g], expected);
		}
		set_ptr(tag, 0, &wrong);
		conf_run(tag, ITEMS, n);
		assert_int_equal(wrong, 0);
	}
	free(data);
	free(sums);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseKernel(reduce));
	assert_cl(clReleaseKernel(tag));
}

static void local_atomics(void **state)
{
	enum { GROUPS = 40, LOCAL = 32 };
	cl_kernel kernel = conf_kernel("local_atomics");
	cl_uint out[GROUPS];

	(void)state;
	set_ptr(kernel, 0, out);
	conf_run(kernel, GROUPS * LOCAL, LOCAL);
	for (int g = 0; g < GROUPS; g++)
		assert_int_equal(out[g], 100 * LOCAL * (LOCAL - 1) / 2);
	assert_cl(clReleaseKernel(kernel));
}

static void collectives(void **state)
{
	enum { GROUPS = 8, LOCAL = 16, ANSWERS = 8 };
	cl_kernel kernel = conf_kernel("collectives");
	int in[GROUPS * LOCAL], out[GROUPS * LOCAL * ANSWERS] = { 0 };

	(void)state;
	/* Group 3 has a negative value, group 5 no 3 in it. */
	for (int i = 0; i < GROUPS * LOCAL; i++)
		in[i] = i == 3 * LOCAL + 7 ? -20 : i % 9 == 3 && i / LOCAL == 5 ? 4 : i % 9;
	set_ptr(kernel, 0, in);
	set_ptr(kernel, 1, out);
	conf_run(kernel, GROUPS * LOCAL, LOCAL);
	for (int g = 0; g < GROUPS; g++) {
		const int *group = in + g * LOCAL;
		int sum = 0, min = group[0];
		bool three = false;

		for (int i = 0; i < LOCAL; i++) {
			sum += group[i];
			min = group[i] < min ? group[i] : min;
			three |= group[i] == 3;
		}
		for (int i = 0; i < LOCAL; i++) {
			const int *answers = out + (g * LOCAL + i) * ANSWERS;

			assert_int_equal(answers[0], min >= 0);
			assert_int_equal(answers[1], !three);
			assert_int_equal(answers[2], three);
			assert_int_equal(answers[3], min < 0);
			assert_int_equal(answers[4], group[5]);
			assert_int_equal(answers[5], sum);
			assert_int_equal(answers[6], min - 4 + 100 * (-min - 1));
			assert_int_equal(answers[7], group[i]);
		}
	}
	assert_cl(clReleaseKernel(kernel));
}

/* Run a kernel and return what it wrote to standard output. */
static char *captured(cl_kernel kernel, size_t items)
{
	cl_int status;
	char *text;

	conf_capture_begin(STDOUT_FILENO);
	status = conf_end(conf_start(kernel, items, 1));
	text = conf_capture_end(STDOUT_FILENO);
	assert_int_equal(status, CL_COMPLETE);
	return text;
}

/* What printf writes, to the letter, on the host's standard output by the time the kernel is complete. */
static void print(void **state)
{
	cl_kernel kernel = conf_kernel("print");
	char *text;

	(void)state;
	set_arg(kernel, 0, 255);
	set_ptr(kernel, 1, NULL);
	for (int i = 0; i < 3; i++) {
		text = captured(kernel, 4);
		assert_string_equal(text, "int 255, hex 0xff, char z, percent %\n"
					  "float 1.500, string text, long -5000000000, unsigned 4000000000\n"
					  "vector 1,2,3,4, padded |   42|42   |\n");
		free(text);
	}
	assert_cl(clReleaseKernel(kernel));
}

/* Lines of many work-items come whole, each of them once, those of one item in order. */
static void print_many(void **state)
{
	enum { ITEMS = 50, LINES = 40 };
	cl_kernel kernel = conf_kernel("print_many");
	int next[ITEMS] = { 0 }, item, line, used;
	char *text, *p;

	(void)state;
	set_arg(kernel, 0, (cl_int)LINES);
	text = captured(kernel, ITEMS);
	for (p = text; *p; p += used) {
		used = 0;
		if (sscanf(p, "line %d of item %d%n", &line, &item, &used) != 2 || p[used] != '\n')
			fail_msg("broken line: %.60s", p);
		used++;
		assert_in_range(item, 0, ITEMS - 1);
		assert_int_equal(line, next[item]++);
	}
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(next[i], LINES);
	free(text);
	assert_cl(clReleaseKernel(kernel));
}

static void vectors_and_mathematics(void **state)
{
	enum { N = 100 };
	cl_kernel vector = conf_kernel("vector_math"), math = conf_kernel("mathematics");
	cl_float4 *v = aligned_alloc(16, N * sizeof(*v));
	cl_double *in = conf_malloc(N * sizeof(*in)), *out = conf_malloc(4 * N * sizeof(*out));
	cl_float scale = 0.5f;

	(void)state;
	for (int i = 0; i < N; i++) {
		for (int c = 0; c < 4; c++)
			v[i].s[c] = (float)(i + c);
		in[i] = 0.25 + i * 0.5;
	}
	set_ptr(vector, 0, v);
	set_ptr(vector, 1, &scale);
	conf_run(vector, N, 10);
	set_ptr(math, 0, in);
	set_ptr(math, 1, out);
	conf_run(math, N, 10);
	for (int i = 0; i < N; i++) {
		for (int c = 0; c < 4; c++) {
			int source = c < 2 ? 1 - c : c;

			assert_true(v[i].s[c] == (float)(i + source) * 0.5f + (float)(source + 1));
		}
		assert_true(fabs(out[4 * i] - sqrt(in[i])) < 1e-12);
		assert_true(fabs(out[4 * i + 1] - 1) < 1e-12);
		assert_true(fabs(out[4 * i + 2] / in[i] - 1) < 1e-12);
		assert_true(fabs(out[4 * i + 3] - (floor(in[i]) + fmin(in[i], 2) + in[i] * in[i])) < 1e-9);
	}
	free(v);
	free(in);
	free(out);
	assert_cl(clReleaseKernel(vector));
	assert_cl(clReleaseKernel(math));
}

static void generic_pointers(void **state)
{
	cl_kernel kernel = conf_kernel("generic_pointers");
	int g = 3, out[32];

	(void)state;
	set_ptr(kernel, 0, &g);
	set_ptr(kernel, 1, out);
	conf_run(kernel, 32, 8);
	for (int i = 0; i < 32; i++)
		assert_int_equal(out[i], 6 + 140 + 1000);
	assert_cl(clReleaseKernel(kernel));
}

static void private_arrays(void **state)
{
	enum { ITEMS = 1000 };
	cl_kernel kernel = conf_kernel("private_arrays");
	cl_uint out[ITEMS];

	(void)state;
	set_ptr(kernel, 0, out);
	for (size_t local = 1; local <= 125; local *= 5) {
		memset(out, 0, sizeof(out));
		conf_run(kernel, ITEMS, local);
		for (cl_uint item = 0; item < ITEMS; item++) {
			cl_uint a[200], seed = item + 1, sum = 0;

			for (int i = 0; i < 200; i++)
				a[i] = seed = seed * 1664525u + 1013904223u;
			for (cl_uint i = 0; i < 200; i++)
				sum += a[(i * 7) % 200] * i;
			assert_int_equal(out[item], sum);
		}
	}
	assert_cl(clReleaseKernel(kernel));
}

/* A clone has its own arguments from then on. */
static void clone(void **state)
{
	cl_kernel kernel = conf_kernel("reverse"), copy;
	int a = 0, b = 0;
	cl_int err;

	(void)state;
	set_ptr(kernel, 0, &a);
	set_arg(kernel, 1, (cl_uint)5);
	copy = clCloneKernel(kernel, &err);
	assert_cl(err);
	set_ptr(kernel, 0, &b);
	conf_run(copy, 1, 1);
	assert_int_equal(a, 5);
	assert_int_equal(b, 0);
	conf_run(kernel, 1, 1);
	assert_int_equal(a, 5);
	assert_int_equal(b, 5);
	assert_cl(clReleaseKernel(kernel));
	conf_run(copy, 1, 1);
	assert_int_equal(a, 10);
	assert_cl(clReleaseKernel(copy));
}

/* Build options, build errors with a log, and a second try. */
static void building(void **state)
{
	const char *good = building_cl;
	const char *bad = "kernel void f(global int *p) { *p = undeclared_thing; }";
	cl_program program;
	cl_kernel kernel;
	char log[8192];
	int value = 0;
	cl_int err;
	cl_build_status status;

	(void)state;
	program = clCreateProgramWithSource(conf.context, 1, &good, NULL, &err);
	assert_cl(err);
	assert_cl(clBuildProgram(program, 0, NULL, "-D VALUE=17 -cl-std=CL2.0", NULL, NULL));
	kernel = clCreateKernel(program, "f", &err);
	assert_cl(err);
	set_ptr(kernel, 0, &value);
	conf_run(kernel, 1, 1);
	assert_int_equal(value, 17);
	assert_cl_error(clBuildProgram(program, 0, NULL, "-DVALUE=18", NULL, NULL), CL_INVALID_OPERATION);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clBuildProgram(program, 0, NULL, "-DVALUE=18 -cl-fast-relaxed-math -Werror", NULL, NULL));
	kernel = clCreateKernel(program, "f", &err);
	assert_cl(err);
	set_ptr(kernel, 0, &value);
	conf_run(kernel, 1, 1);
	assert_int_equal(value, 18);
	assert_null(clCreateKernel(program, "g", &err));
	assert_int_equal(err, CL_INVALID_KERNEL_NAME);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseProgram(program));

	program = clCreateProgramWithSource(conf.context, 1, &bad, NULL, &err);
	assert_cl(err);
	assert_cl_error(clBuildProgram(program, 0, NULL, "", NULL, NULL), CL_BUILD_PROGRAM_FAILURE);
	assert_cl(clGetProgramBuildInfo(program, conf.device, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL));
	assert_non_null(strstr(log, "undeclared_thing"));
	assert_cl(clGetProgramBuildInfo(program, conf.device, CL_PROGRAM_BUILD_STATUS, sizeof(status), &status, NULL));
	assert_int_equal(status, CL_BUILD_ERROR);
	assert_null(clCreateKernel(program, "f", &err));
	assert_int_equal(err, CL_INVALID_PROGRAM_EXECUTABLE);
	assert_cl_error(clBuildProgram(program, 0, NULL, "--no-such-option", NULL, NULL), CL_INVALID_BUILD_OPTIONS);
	assert_cl(clReleaseProgram(program));
}

/* A program's binary makes the same program again, without its source; other bytes do not. */
static void binaries(void **state)
{
	size_t size = 0;
	unsigned char *binary;
	const unsigned char *given;
	cl_program again;
	cl_kernel kernel;
	cl_int err, status;
	int out[4], in;

	(void)state;
	assert_cl(clGetProgramInfo(conf.program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL));
	assert_true(size > 0);
	binary = conf_malloc(size);
	assert_cl(clGetProgramInfo(conf.program, CL_PROGRAM_BINARIES, sizeof(binary), &binary, NULL));
	given = binary;
	again = clCreateProgramWithBinary(conf.context, 1, &conf.device, &size, &given, &status, &err);
	assert_cl(err);
	assert_cl(status);
	assert_cl(clBuildProgram(again, 1, &conf.device, "", NULL, NULL));
	kernel = clCreateKernel(again, "remember", &err);
	assert_cl(err);
	set_ptr(kernel, 0, out);
	set_ptr(kernel, 1, &in);
	conf_run(kernel, 1, 1);
	assert_int_equal(out[0], 100);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseProgram(again));

	given = (const unsigned char *)"not a binary";
	size = 12;
	assert_null(clCreateProgramWithBinary(conf.context, 1, &conf.device, &size, &given, &status, &err));
	assert_int_equal(err, CL_INVALID_BINARY);
	free(binary);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids),
		cmocka_unit_test(arguments),
		cmocka_unit_test(arguments_are_captured),
		cmocka_unit_test(optional_arguments),
		cmocka_unit_test(program_scope),
		cmocka_unit_test(program_scope_address),
		cmocka_unit_test(local_memory),
		cmocka_unit_test(local_atomics),
		cmocka_unit_test(collectives),
		cmocka_unit_test(print),
		cmocka_unit_test(print_many),
		cmocka_unit_test(vectors_and_mathematics),
		cmocka_unit_test(generic_pointers),
		cmocka_unit_test(private_arrays),
		cmocka_unit_test(clone),
		cmocka_unit_test(building),
		cmocka_unit_test(binaries),
	};
	int failed;

	conf_open(kernels_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
