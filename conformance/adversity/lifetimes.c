// SPDX-License-Identifier: MIT
/*
 * Ten thousand times the whole house, from nothing to nothing: context, queue, program, kernel, event, memory and the device
 * process itself, which ends with the last context and starts with the next. Nothing may be left, in this process or beside it.
 *
 * lifetimes [NUMBER]
 */
#include <stdlib.h>
#include <sys/wait.h>

#include "harness.h"
#include "lifetimes.cl.h"
#include "usage.h"

static int lives = 10000;

static void whole_life(void)
{
	const size_t items = 8;
	cl_uint *data = conf_malloc(items * sizeof(*data)), got;
	cl_kernel kernel;
	cl_event event;
	cl_mem mem;
	cl_int err;

	conf_open(lifetimes_cl);
	kernel = conf_kernel("add");
	mem = clCreateBuffer(conf.context, 0, sizeof(cl_uint), NULL, &err);
	assert_cl(err);
	for (size_t i = 0; i < items; i++)
		data[i] = (cl_uint)i;
	set_ptr(kernel, 0, data);
	set_arg(kernel, 1, mem);
	event = conf_start(kernel, items, 4);
	assert_cl(clEnqueueReadBuffer(conf.queue, mem, CL_TRUE, 0, sizeof(got), &got, 1, &event, NULL));
	assert_int_equal(conf_end(event), CL_COMPLETE);
	assert_int_equal(got, items);
	for (size_t i = 0; i < items; i++)
		assert_int_equal(data[i], i + 1);
	assert_cl(clReleaseMemObject(mem));
	assert_cl(clReleaseKernel(kernel));
	conf_close();
	free(data);
	/* Processes that nobody waits for would be init's to reap; here they are ours. */
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
}

static void whole_lives(void **state)
{
	(void)state;
	conf_adopt_orphans();
	whole_life(); /* fills the cache of compiled programs, and what libraries set up once */
	conf_lifetimes("everything", whole_life, lives);
	assert_int_equal(conf_engine_pid(), 0);
	assert_int_equal(conf_left_behind(10), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(whole_lives) };

	if (argc > 1)
		lives = atoi(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
