// SPDX-License-Identifier: MIT
/*
 * Ten thousand of everything: live allocations of each kind, all reachable from one kernel, and ten thousand lifetimes of each
 * object, after which the process holds no more memory, threads, descriptors or mappings than before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "allocations.cl.h"
#include "harness.h"
#include "usage.h"

enum { MANY = 10000 };

static void visit(cl_ulong **blocks, cl_ulong add)
{
	cl_kernel kernel = conf_kernel("visit");

	set_ptr(kernel, 0, blocks);
	set_arg(kernel, 1, add);
	conf_run(kernel, MANY, 100);
	assert_cl(clReleaseKernel(kernel));
}

static void check(cl_ulong **blocks, cl_ulong expected_base, cl_ulong factor)
{
	for (cl_ulong i = 0; i < MANY; i++)
		if (*blocks[i] != expected_base + factor * i)
			fail_msg("block %lu holds %lu", (unsigned long)i, (unsigned long)*blocks[i]);
}

static void svm_allocations(void **state)
{
	cl_ulong **blocks = conf_malloc(MANY * sizeof(*blocks));

	(void)state;
	for (cl_ulong i = 0; i < MANY; i++) {
		size_t size = 8 + i % 5000;

		blocks[i] = clSVMAlloc(conf.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, size, 0);
		assert_non_null(blocks[i]);
		*blocks[i] = 5;
	}
	visit(blocks, 10);
	check(blocks, 15, 1);
	/* A third of them freed and allocated anew among the living. */
	for (cl_ulong i = 0; i < MANY; i += 3)
		clSVMFree(conf.context, blocks[i]);
	for (cl_ulong i = 0; i < MANY; i += 3) {
		blocks[i] = clSVMAlloc(conf.context, CL_MEM_READ_WRITE, 8 + i % 3000, 0);
		assert_non_null(blocks[i]);
		*blocks[i] = 15 + i;
	}
	visit(blocks, 0);
	check(blocks, 15, 2);
	for (int i = 0; i < MANY; i++)
		clSVMFree(conf.context, blocks[i]);
	free(blocks);
}

static void malloc_blocks(void **state)
{
	cl_ulong **blocks = conf_malloc(MANY * sizeof(*blocks));

	(void)state;
	for (cl_ulong i = 0; i < MANY; i++) {
		blocks[i] = conf_malloc(8 + i % 9000);
		*blocks[i] = 1;
	}
	visit(blocks, 1);
	check(blocks, 2, 1);
	for (int i = 0; i < MANY; i++)
		free(blocks[i]);
	free(blocks);
}

/* Mappings of one page that cannot merge: every other one is read-only somewhere. */
static void mappings(void **state)
{
	cl_ulong **blocks = conf_malloc(MANY * sizeof(*blocks));
	char *area = conf_map((size_t)MANY * 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	(void)state;
	for (cl_ulong i = 0; i < MANY; i++) {
		blocks[i] = (cl_ulong *)(area + i * 2 * 4096);
		assert_int_equal(mprotect(area + (i * 2 + 1) * 4096, 4096, PROT_READ), 0);
		*blocks[i] = 3;
	}
	visit(blocks, 4);
	check(blocks, 7, 1);
	visit(blocks, 1);
	check(blocks, 8, 2);
	conf_unmap(area, (size_t)MANY * 2 * 4096);
	free(blocks);
}

static void buffers(void **state)
{
	cl_mem *mems = conf_malloc(MANY * sizeof(*mems));
	cl_kernel kernel = conf_kernel("increment");
	size_t one = 1;

	(void)state;
	for (cl_uint i = 0; i < MANY; i++) {
		cl_int err;

		mems[i] = clCreateBuffer(conf.context, CL_MEM_COPY_HOST_PTR, sizeof(i), &i, &err);
		assert_cl(err);
	}
	for (cl_uint i = 0; i < MANY; i++) {
		set_arg(kernel, 0, mems[i]);
		assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL));
	}
	assert_cl(clFinish(conf.queue));
	for (cl_uint i = 0; i < MANY; i++) {
		cl_uint value = 0;

		assert_cl(clEnqueueReadBuffer(conf.queue, mems[i], CL_TRUE, 0, sizeof(value), &value, 0, NULL, NULL));
		assert_int_equal(value, i + 1);
		assert_cl(clReleaseMemObject(mems[i]));
	}
	free(mems);
	assert_cl(clReleaseKernel(kernel));
}

/* ---- lifetimes ---- */

static void event_life(void)
{
	cl_int err;
	cl_event user = clCreateUserEvent(conf.context, &err), marker;

	assert_cl(err);
	assert_cl(clEnqueueMarkerWithWaitList(conf.queue, 1, &user, &marker));
	assert_cl(clSetUserEventStatus(user, CL_COMPLETE));
	assert_cl(clReleaseEvent(user));
	assert_int_equal(conf_end(marker), CL_COMPLETE);
}

static void buffer_life(void)
{
	cl_int err;
	cl_mem mem = clCreateBuffer(conf.context, 0, 12345, NULL, &err);
	void *svm = clSVMAlloc(conf.context, CL_MEM_READ_WRITE, 1234, 0);

	assert_cl(err);
	assert_non_null(svm);
	clSVMFree(conf.context, svm);
	assert_cl(clReleaseMemObject(mem));
}

static void kernel_life(void)
{
	cl_uint *p = conf_malloc(sizeof(*p));
	cl_kernel kernel = conf_kernel("increment");

	*p = 1;
	set_ptr(kernel, 0, p);
	conf_run(kernel, 1, 1);
	assert_int_equal(*p, 2);
	assert_cl(clReleaseKernel(kernel));
	free(p);
}

static void queue_life(void)
{
	cl_int err;
	cl_command_queue queue = clCreateCommandQueueWithProperties(conf.context, conf.device, NULL, &err);

	assert_cl(err);
	assert_cl(clEnqueueMarkerWithWaitList(queue, 0, NULL, NULL));
	assert_cl(clFinish(queue));
	assert_cl(clReleaseCommandQueue(queue));
}

static void program_life(void)
{
	cl_program program = conf_build(allocations_cl);
	cl_int err;
	cl_kernel kernel = clCreateKernel(program, "increment", &err);
	cl_uint value = 1;

	assert_cl(err);
	set_ptr(kernel, 0, &value);
	conf_run(kernel, 1, 1);
	assert_int_equal(value, 2);
	assert_cl(clReleaseKernel(kernel));
	assert_cl(clReleaseProgram(program));
}

static void context_life(void)
{
	cl_int err;
	cl_context context = clCreateContext(NULL, 1, &conf.device, NULL, NULL, &err);

	assert_cl(err);
	assert_cl(clReleaseContext(context));
}

/* The whole house, from nothing to nothing: each turn starts a device and ends it. */
static void device_life(void)
{
	cl_context context;
	cl_command_queue queue;
	cl_int err;

	context = clCreateContext(NULL, 1, &conf.device, NULL, NULL, &err);
	assert_cl(err);
	queue = clCreateCommandQueueWithProperties(context, conf.device, NULL, &err);
	assert_cl(err);
	assert_cl(clEnqueueMarkerWithWaitList(queue, 0, NULL, NULL));
	assert_cl(clFinish(queue));
	assert_cl(clReleaseCommandQueue(queue));
	assert_cl(clReleaseContext(context));
}

static void object_lifetimes(void **state)
{
	(void)state;
	conf_lifetimes("event", event_life, MANY);
	conf_lifetimes("buffer", buffer_life, MANY);
	conf_lifetimes("kernel", kernel_life, MANY);
	conf_lifetimes("queue", queue_life, MANY);
	conf_lifetimes("context", context_life, MANY);
	conf_lifetimes("program", program_life, MANY / 20);
}

static void device_lifetimes(void **state)
{
	(void)state;
	conf_close();
	conf_open_device();
	conf_lifetimes("device", device_life, MANY / 50);
	assert_int_equal(conf_engine_pid(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(svm_allocations),  cmocka_unit_test(malloc_blocks),
		cmocka_unit_test(mappings),	    cmocka_unit_test(buffers),
		cmocka_unit_test(object_lifetimes), cmocka_unit_test(device_lifetimes),
	};
	int failed;

	conf_open(allocations_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
