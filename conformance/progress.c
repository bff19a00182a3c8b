// SPDX-License-Identifier: MIT
/*
 * Forward progress, as programs for GPUs expect it: work-groups start in increasing order, as many run at a time as there are
 * compute units, and each that has started makes progress. Every test here hangs on a device that does not.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "harness.h"
#include "progress.cl.h"

/* 5000 groups, each waiting for the one before it. */
static void group_order(void **state)
{
	enum { GROUPS = 5000 };
	cl_kernel kernel = conf_kernel("relay");

	(void)state;
	for (size_t local = 1; local <= 8; local *= 8) {
		cl_uint *turn = calloc(1, sizeof(*turn)), *order = calloc(GROUPS, sizeof(*order));
		cl_ulong value = 0, expected = 0;

		assert_non_null(turn);
		assert_non_null(order);
		set_ptr(kernel, 0, turn);
		set_ptr(kernel, 1, order);
		set_ptr(kernel, 2, &value);
		conf_run(kernel, GROUPS * local, local);
		for (cl_uint i = 0; i < GROUPS; i++) {
			assert_int_equal(order[i], i);
			expected = expected * 7 + i;
		}
		assert_int_equal(*turn, GROUPS);
		assert_int_equal(value, expected);
		free(turn);
		free(order);
	}
	assert_cl(clReleaseKernel(kernel));
}

static void group_order_2d(void **state)
{
	const size_t global[2] = { 30, 40 }, local[2] = { 1, 1 };
	cl_kernel kernel = conf_kernel("relay_2d");
	cl_uint turn = 0;
	cl_ulong value = 0, expected = 0;
	cl_uint groups = 30 * 40;

	(void)state;
	set_ptr(kernel, 0, &turn);
	set_ptr(kernel, 1, &value);
	assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 2, NULL, global, local, 0, NULL, NULL));
	assert_cl(clFinish(conf.queue));
	for (cl_uint i = 0; i < groups; i++)
		expected = expected * 7 + i;
	assert_int_equal(turn, groups);
	assert_int_equal(value, expected);
	assert_cl(clReleaseKernel(kernel));
}

static void grid_barrier(void **state)
{
	enum { ROUNDS = 3000 };
	cl_kernel kernel = conf_kernel("grid_barrier");

	(void)state;
	for (size_t local = 1; local <= 16; local *= 16) {
		cl_uint arrived = 0, wrong = 0;
		cl_uint *cells = calloc(conf.compute_units * 16, sizeof(*cells));

		assert_non_null(cells);
		set_ptr(kernel, 0, &arrived);
		set_ptr(kernel, 1, cells);
		set_arg(kernel, 2, (cl_uint)ROUNDS);
		set_ptr(kernel, 3, &wrong);
		conf_run(kernel, conf.compute_units * local, local);
		assert_int_equal(wrong, 0);
		assert_int_equal(arrived, 2 * ROUNDS * conf.compute_units);
		free(cells);
	}
	assert_cl(clReleaseKernel(kernel));
}

static void prefix_sum(void **state)
{
	enum { LOCAL = 64, GROUPS = 1000, ITEMS = LOCAL * GROUPS };
	cl_kernel kernel = conf_kernel("prefix_sum");
	cl_uint *in = conf_malloc(ITEMS * sizeof(*in)), *out = conf_malloc(ITEMS * sizeof(*out)), sum = 0;
	cl_uint *flags = calloc(GROUPS, sizeof(*flags)), *partial = conf_malloc(GROUPS * sizeof(*partial));

	(void)state;
	assert_non_null(flags);
	for (cl_uint i = 0; i < ITEMS; i++)
		in[i] = i * 2654435761u >> 20;
	set_ptr(kernel, 0, in);
	set_ptr(kernel, 1, out);
	set_ptr(kernel, 2, flags);
	set_ptr(kernel, 3, partial);
	conf_run(kernel, ITEMS, LOCAL);
	for (cl_uint i = 0; i < ITEMS; i++) {
		sum += in[i];
		assert_int_equal(out[i], sum);
	}
	free(in);
	free(out);
	free(flags);
	free(partial);
	assert_cl(clReleaseKernel(kernel));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(group_order),
		cmocka_unit_test(group_order_2d),
		cmocka_unit_test(grid_barrier),
		cmocka_unit_test(prefix_sum),
	};
	int failed;

	conf_open(progress_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
