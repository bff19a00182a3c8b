/* SPDX-License-Identifier: MIT */
/* Ten thousand lives of everything: what is left in the heap and in the backend afterwards is what was there before. */
#include <malloc.h>

#include "runtime/tests/fixture.h"

#define LIVES 10000

static const size_t one = 1;
static cl_kernel kernel;
static cl_mem shared_mem;

static void event_life(void)
{
	cl_event gate = clCreateUserEvent(fx.context, NULL), events[2];

	assert_ok(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, 0, NULL, &events[0]));
	assert_ok(clEnqueueMarkerWithWaitList(fx.wild, 2, (cl_event[]){ gate, events[0] }, &events[1]));
	assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_ok(clWaitForEvents(1, &events[1]));
	assert_ok(clReleaseEvent(gate));
	assert_ok(clReleaseEvent(events[0]));
	assert_ok(clReleaseEvent(events[1]));
}

static void buffer_life(void)
{
	cl_mem mem = clCreateBuffer(fx.context, 0, 1000, NULL, NULL), sub;
	const cl_buffer_region region = { 128, 128 };
	char byte = 1;
	void *ptr;

	assert_non_null(mem);
	sub = clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, NULL);
	assert_non_null(sub);
	assert_ok(clEnqueueWriteBuffer(fx.queue, sub, CL_FALSE, 0, 1, &byte, 0, NULL, NULL));
	ptr = clEnqueueMapBuffer(fx.queue, sub, CL_TRUE, CL_MAP_READ, 0, 1, 0, NULL, NULL, NULL);
	assert_non_null(ptr);
	assert_int_equal(*(char *)ptr, 1);
	assert_ok(clEnqueueUnmapMemObject(fx.queue, sub, ptr, 0, NULL, NULL));
	assert_ok(clReleaseMemObject(sub));
	assert_ok(clReleaseMemObject(mem));
}

static void svm_life(void)
{
	void *p = clSVMAlloc(fx.context, 0, 100, 0), *q = clSVMAlloc(fx.context, 0, 100, 0);

	assert_non_null(p);
	assert_non_null(q);
	assert_ok(clEnqueueSVMMemFill(fx.queue, p, "x", 1, 100, 0, NULL, NULL));
	assert_ok(clEnqueueSVMFree(fx.queue, 1, &p, NULL, NULL, 0, NULL, NULL));
	clSVMFree(fx.context, q);
	assert_ok(clFinish(fx.queue));
}

static void queue_life(void)
{
	cl_command_queue q = clCreateCommandQueue(fx.context, fx.device, 0, NULL);

	assert_non_null(q);
	assert_ok(clEnqueueNDRangeKernel(q, kernel, 1, NULL, &one, NULL, 0, NULL, NULL));
	assert_ok(clFinish(q));
	assert_ok(clReleaseCommandQueue(q));
}

/* The service thread ends what the application abandons. */
static void abandoned_queue_life(void)
{
	cl_command_queue q = clCreateCommandQueue(fx.context, fx.device, 0, NULL);

	assert_non_null(q);
	assert_ok(clEnqueueNDRangeKernel(q, kernel, 1, NULL, &one, NULL, 0, NULL, NULL));
	assert_ok(clReleaseCommandQueue(q));
}

static void failed_life(void)
{
	cl_event gate = clCreateUserEvent(fx.context, NULL), event;

	assert_ok(clEnqueueFillBuffer(fx.wild, shared_mem, "x", 1, 0, 4, 1, &gate, &event));
	assert_ok(clSetUserEventStatus(gate, -1));
	assert_cl(clWaitForEvents(1, &event), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	assert_ok(clReleaseEvent(gate));
	assert_ok(clReleaseEvent(event));
}

static size_t heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* A leak shows in the quieter half; caches that fill show in one of them only. */
static void lives(void (*life)(void), int count)
{
	size_t grown[2];

	for (int half = 0; half < 2; half++) {
		struct mcl_fake_counts before, after;
		size_t bytes, objects;

		assert_ok(clFinish(fx.queue));
		mcl_fake_counts(&before);
		objects = mcl_object_count();
		bytes = heap();
		for (int i = 0; i < count / 2; i++)
			life();
		assert_ok(clFinish(fx.queue));
		assert_ok(clFinish(fx.wild));
		for (int i = 0; i < 5000; i++) {
			mcl_fake_counts(&after);
			if (after.rings == before.rings && after.svm_blocks == before.svm_blocks)
				break;
			fixture_sleep_us(1000);
		}
		assert_int_equal(after.rings, before.rings);
		assert_int_equal(after.svm_blocks, before.svm_blocks);
		/* Finished commands stay in reserve. */
		if (half)
			assert_in_range(mcl_object_count(), 0, objects + 32);
		grown[half] = heap() > bytes ? heap() - bytes : 0;
	}
	/* Less than any object of ours leaked by each; the C library and finished objects in reserve need some room. */
	assert_true((grown[0] < grown[1] ? grown[0] : grown[1]) < (64 << 10));
}

static void all(void **state)
{
	(void)state;
	kernel = fixture_kernel(KERNEL_EMPTY);
	shared_mem = clCreateBuffer(fx.context, 0, 64, NULL, NULL);
	assert_non_null(shared_mem);
	lives(event_life, LIVES);
	lives(buffer_life, LIVES);
	lives(svm_life, LIVES);
	lives(failed_life, LIVES);
	/* The fake backend starts a thread for each, and wakes all of them each time. */
	lives(queue_life, LIVES / 5);
	lives(abandoned_queue_life, LIVES / 100);
	assert_ok(clReleaseMemObject(shared_mem));
	mcl_object_release_app(&kernel->obj);
}

int main(void)
{
	const struct CMUnitTest tests[] = { fixture_test(all) };

	return cmocka_run_group_tests_name("lifetimes", tests, NULL, NULL);
}
