/* SPDX-License-Identifier: MIT */
/* Shared virtual memory: allocation and its rules, the registry, and the commands on pointers. */
#include "runtime/svm.h"
#include "runtime/tests/fixture.h"

static void allocation(void **state)
{
	const cl_svm_mem_flags good[] = {
		0,
		CL_MEM_READ_WRITE,
		CL_MEM_READ_ONLY,
		CL_MEM_WRITE_ONLY | CL_MEM_SVM_FINE_GRAIN_BUFFER,
		CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS,
	};
	const cl_svm_mem_flags bad[] = {
		CL_MEM_SVM_ATOMICS,	  CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY,
		CL_MEM_USE_HOST_PTR,	  CL_MEM_READ_WRITE | CL_MEM_READ_ONLY,
		CL_MEM_HOST_READ_ONLY,	  1ull << 33,
		CL_MEM_COPY_HOST_PTR | 1,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		for (cl_uint align = 1; align <= 4096; align *= 2) {
			uint8_t *p = clSVMAlloc(fx.context, good[i], 100, align);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % align, 0);
			assert_int_equal(p[0] | p[99], 0);
			clSVMFree(fx.context, p);
		}
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(clSVMAlloc(fx.context, bad[i], 64, 0));
	assert_null(clSVMAlloc(fx.context, 0, 0, 0));
	assert_null(clSVMAlloc(fx.context, 0, SIZE_MAX, 0));
	assert_null(clSVMAlloc(fx.context, 0, (size_t)1 << 40, 0));
	assert_null(clSVMAlloc(fx.context, 0, 64, 3));
	assert_null(clSVMAlloc(fx.context, 0, 64, 1u << 31));
	assert_null(clSVMAlloc(NULL, 0, 64, 0));
	assert_null(clSVMAlloc((cl_context)fx.queue, 0, 64, 0));
	mcl_fake_set_memory_limit(100);
	assert_null(clSVMAlloc(fx.context, 0, 4096, 0));
	mcl_fake_set_memory_limit(0);
}

/* Wrong frees change nothing; what nobody frees goes with the context (the teardown counts). */
static void freeing(void **state)
{
	struct mcl_fake_counts before, after;
	uint8_t *p = clSVMAlloc(fx.context, 0, 4096, 0), *left = clSVMAlloc(fx.context, 0, 64, 0);
	int host;

	(void)state;
	assert_non_null(p);
	assert_non_null(left);
	mcl_fake_counts(&before);
	clSVMFree(fx.context, NULL);
	clSVMFree(fx.context, p + 128);
	clSVMFree(fx.context, &host);
	clSVMFree(NULL, p);
	mcl_fake_counts(&after);
	assert_int_equal(after.svm_blocks, before.svm_blocks);
	clSVMFree(fx.context, p);
	clSVMFree(fx.context, p);
	mcl_fake_counts(&after);
	assert_int_equal(after.svm_blocks, before.svm_blocks - 1);
}

static void registry(void **state)
{
	struct mcl_svm_allocation found;
	uint8_t *blocks[200];
	int host;

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		blocks[i] = clSVMAlloc(fx.context, 0, i + 1, 0);
		assert_non_null(blocks[i]);
	}
	for (size_t i = 0; i < 200; i++) {
		assert_true(mcl_svm_find(fx.context, blocks[i] + i, &found));
		assert_ptr_equal(found.start, blocks[i]);
		assert_int_equal(found.size, i + 1);
		assert_int_equal(found.type, 0);
		if (i % 2)
			clSVMFree(fx.context, blocks[i]);
	}
	for (size_t i = 0; i < 200; i++)
		assert_int_equal(mcl_svm_find(fx.context, blocks[i], &found), !(i % 2));
	assert_false(mcl_svm_find(fx.context, &host, &found));
	assert_false(mcl_svm_find(fx.context, NULL, &found));
	for (size_t i = 0; i < 200; i += 2)
		clSVMFree(fx.context, blocks[i]);
}

/* A buffer on shared memory must fit what is left of it. */
static void buffer_on_svm(void **state)
{
	uint8_t *p = clSVMAlloc(fx.context, 0, 1024, 0);
	cl_bool svm;
	cl_mem mem;
	cl_int err;

	(void)state;
	assert_null(clCreateBuffer(fx.context, CL_MEM_USE_HOST_PTR, 1025, p, &err));
	assert_cl(err, CL_INVALID_BUFFER_SIZE);
	assert_null(clCreateBuffer(fx.context, CL_MEM_USE_HOST_PTR, 1024, p + 1, &err));
	assert_cl(err, CL_INVALID_BUFFER_SIZE);
	assert_null(clCreateBuffer(fx.context, CL_MEM_COPY_HOST_PTR, 1025, p, &err));
	assert_cl(err, CL_INVALID_BUFFER_SIZE);
	mem = clCreateBuffer(fx.context, CL_MEM_USE_HOST_PTR, 1024, p, &err);
	assert_ok(err);
	assert_ok(clGetMemObjectInfo(mem, CL_MEM_USES_SVM_POINTER, sizeof(svm), &svm, NULL));
	assert_int_equal(svm, CL_TRUE);
	assert_ok(clReleaseMemObject(mem));
	clSVMFree(fx.context, p);
}

/* Copies and fills work on any memory of the process. */
static void copy_and_fill(void **state)
{
	uint8_t *svm = clSVMAlloc(fx.context, 0, 1 << 20, 0), *heap = malloc(1 << 20), stack[256];
	const uint32_t word = 0x11223344;
	cl_event event;

	(void)state;
	assert_non_null(svm);
	assert_non_null(heap);
	assert_ok(clEnqueueSVMMemFill(fx.queue, svm, &word, 4, 1 << 20, 0, NULL, NULL));
	assert_ok(clEnqueueSVMMemcpy(fx.queue, CL_FALSE, heap, svm, 1 << 20, 0, NULL, &event));
	assert_ok(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, stack, heap, sizeof(stack), 0, NULL, NULL));
	assert_cl(fixture_status(event), CL_COMPLETE);
	for (size_t i = 0; i < 1 << 18; i++)
		assert_int_equal(((uint32_t *)heap)[i], word);
	assert_memory_equal(stack, heap, sizeof(stack));
	assert_ok(clReleaseEvent(event));
	/* Nothing under way: done here and now, with an event that is complete. */
	stack[0] = 77;
	assert_ok(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, heap, stack, 1, 0, NULL, &event));
	assert_int_equal(heap[0], 77);
	assert_cl(fixture_status(event), CL_COMPLETE);
	assert_ok(clReleaseEvent(event));
	/* No bytes: legal, an entry in the order. */
	assert_ok(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, heap, stack, 0, 0, NULL, NULL));
	assert_ok(clEnqueueSVMMemFill(fx.queue, heap, &word, 4, 0, 0, NULL, NULL));
	assert_ok(clFinish(fx.queue));
	free(heap);
	clSVMFree(fx.context, svm);
}

static void command_errors(void **state)
{
	uint8_t *p = clSVMAlloc(fx.context, 0, 1024, 0);
	const void *pointers[2] = { p, p + 8 };
	void *frees[1] = { p };
	size_t sizes[2] = { 0, 1016 };
	char host[16];
	uint64_t pattern[17] = { 0 };

	(void)state;
	assert_cl(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, NULL, p, 1, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, p, NULL, 1, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, p, p, 1, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	assert_cl(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, p, p + 15, 16, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	assert_cl(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, p + 15, p, 16, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	assert_ok(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, p + 16, p, 16, 0, NULL, NULL));
	assert_cl(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, p, host, SIZE_MAX, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMemcpy(NULL, CL_TRUE, p, host, 1, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	/* Bad addresses end the command, not the process: here, and on the device. */
	assert_cl(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, p, (void *)64, 16, 0, NULL, NULL), CL_OUT_OF_RESOURCES);
	assert_cl(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, (void *)64, p, 16, 0, NULL, NULL), CL_OUT_OF_RESOURCES);
	assert_cl(clEnqueueSVMMemcpy(fx.queue, CL_TRUE, (void *)64, p, 1 << 20, 0, NULL, NULL), CL_OUT_OF_RESOURCES);

	assert_cl(clEnqueueSVMMemFill(fx.queue, NULL, pattern, 1, 1, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMemFill(fx.queue, p, NULL, 1, 1, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMemFill(fx.queue, p, pattern, 0, 1, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMemFill(fx.queue, p, pattern, 3, 3, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMemFill(fx.queue, p, pattern, 256, 256, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMemFill(fx.queue, p + 1, pattern, 4, 4, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMemFill(fx.queue, p, pattern, 4, 6, 0, NULL, NULL), CL_INVALID_VALUE);

	assert_cl(clEnqueueSVMMap(fx.queue, CL_TRUE, CL_MAP_READ, NULL, 1, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMap(fx.queue, CL_TRUE, CL_MAP_READ, p, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMap(fx.queue, CL_TRUE, 1 << 9, p, 1, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_ok(clEnqueueSVMMap(fx.queue, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, p, 1024, 0, NULL, NULL));
	assert_cl(clEnqueueSVMUnmap(fx.queue, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_ok(clEnqueueSVMUnmap(fx.queue, p, 0, NULL, NULL));

	assert_cl(clEnqueueSVMMigrateMem(fx.queue, 0, pointers, NULL, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMigrateMem(fx.queue, 1, NULL, NULL, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMMigrateMem(fx.queue, 1, pointers, NULL, 1 << 9, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_ok(clEnqueueSVMMigrateMem(fx.queue, 2, pointers, NULL, 0, 0, NULL, NULL));
	assert_ok(clEnqueueSVMMigrateMem(fx.queue, 2, pointers, sizes, CL_MIGRATE_MEM_OBJECT_HOST, 0, NULL, NULL));
	sizes[1] = 1017;
	assert_cl(clEnqueueSVMMigrateMem(fx.queue, 2, pointers, sizes, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	pointers[1] = host;
	sizes[1] = sizeof(host); /* memory of the program itself is fine too */
	assert_ok(clEnqueueSVMMigrateMem(fx.queue, 2, pointers, sizes, 0, 0, NULL, NULL));
	assert_cl(clEnqueueSVMMigrateMem(fx.queue, 2, pointers, NULL, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	pointers[1] = NULL;
	assert_cl(clEnqueueSVMMigrateMem(fx.queue, 2, pointers, sizes, 0, 0, NULL, NULL), CL_INVALID_VALUE);

	assert_cl(clEnqueueSVMFree(fx.queue, 0, frees, NULL, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueSVMFree(fx.queue, 1, NULL, NULL, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_ok(clEnqueueSVMFree(fx.queue, 0, NULL, NULL, NULL, 0, NULL, NULL));
	assert_ok(clFinish(fx.queue));
	clSVMFree(fx.context, p);
}

struct freed {
	_Atomic int calls;
	cl_command_queue queue;
	cl_uint count;
	void *pointers[3];
};

static void CL_CALLBACK on_free(cl_command_queue queue, cl_uint count, void *pointers[], void *data)
{
	struct freed *freed = data;
	cl_context context;

	/* As programs do: ask the queue for its context, free into it. */
	assert_ok(clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(context), &context, NULL));
	freed->queue = queue;
	freed->count = count;
	memcpy(freed->pointers, pointers, count * sizeof(void *));
	for (cl_uint i = 0; i < count; i++)
		clSVMFree(context, pointers[i]);
	freed->calls++;
}

/* Frees happen in the queue's order, by us or by the callback, and see the pointers as they were. */
static void enqueue_free(void **state)
{
	void *p[3], *copy[3];
	struct freed freed = { 0 };
	struct mcl_fake_counts counts;
	cl_command_queue q;
	cl_event event;
	cl_int err;

	(void)state;
	for (int i = 0; i < 3; i++)
		p[i] = clSVMAlloc(fx.context, 0, 64, 0);
	memcpy(copy, p, sizeof(p));
	mcl_fake_hold(true);
	assert_ok(clEnqueueSVMMemFill(fx.queue, p[0], "x", 1, 64, 0, NULL, NULL));
	assert_ok(clEnqueueSVMFree(fx.queue, 3, p, NULL, NULL, 0, NULL, &event));
	memset(p, 0, sizeof(p));
	mcl_fake_counts(&counts);
	assert_int_equal(counts.svm_blocks, 3);
	mcl_fake_hold(false);
	assert_ok(clWaitForEvents(1, &event));
	mcl_fake_counts(&counts);
	assert_int_equal(counts.svm_blocks, 0);
	assert_ok(clReleaseEvent(event));

	for (int i = 0; i < 3; i++)
		copy[i] = p[i] = clSVMAlloc(fx.context, 0, 64, 0);
	q = clCreateCommandQueue(fx.context, fx.device, 0, &err);
	assert_ok(err);
	mcl_fake_hold(true);
	assert_ok(clEnqueueMarker(q, &event));
	assert_ok(clEnqueueSVMFree(q, 3, p, on_free, &freed, 0, NULL, NULL));
	assert_ok(clReleaseCommandQueue(q)); /* the callback may use it all the same */
	mcl_fake_hold(false);
	fixture_until(&freed.calls, 1);
	assert_ptr_equal(freed.queue, q);
	assert_int_equal(freed.count, 3);
	assert_memory_equal(freed.pointers, copy, sizeof(copy));
	assert_ok(clReleaseEvent(event));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(allocation),    fixture_test(freeing),	  fixture_test(registry),
		fixture_test(buffer_on_svm), fixture_test(copy_and_fill), fixture_test(command_errors),
		fixture_test(enqueue_free),
	};

	return cmocka_run_group_tests_name("svm", tests, NULL, NULL);
}
