/* SPDX-License-Identifier: MIT */
/* Buffers: creation and its errors, sub-buffers, information, destructors, mapping. */
#include <sys/mman.h>

#include "runtime/tests/fixture.h"

#define SIZE 4096

static cl_mem create(cl_mem_flags flags, size_t size, void *ptr)
{
	cl_int err;
	cl_mem mem = clCreateBuffer(fx.context, flags, size, ptr, &err);

	assert_ok(err);
	assert_non_null(mem);
	return mem;
}

static void creation_errors(void **state)
{
	const cl_mem_properties unknown[] = { 0x1234, 1, 0 };
	char host[64];
	const struct {
		cl_mem_flags flags;
		size_t size;
		void *ptr;
		cl_int err;
	} bad[] = {
		{ CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, 64, NULL, CL_INVALID_VALUE },
		{ CL_MEM_READ_ONLY | CL_MEM_READ_WRITE, 64, NULL, CL_INVALID_VALUE },
		{ CL_MEM_HOST_NO_ACCESS | CL_MEM_HOST_READ_ONLY, 64, NULL, CL_INVALID_VALUE },
		{ CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_READ_ONLY, 64, NULL, CL_INVALID_VALUE },
		{ CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR, 64, host, CL_INVALID_VALUE },
		{ CL_MEM_USE_HOST_PTR | CL_MEM_ALLOC_HOST_PTR, 64, host, CL_INVALID_VALUE },
		{ CL_MEM_SVM_FINE_GRAIN_BUFFER, 64, NULL, CL_INVALID_VALUE },
		{ 1ull << 40, 64, NULL, CL_INVALID_VALUE },
		{ 0, 0, NULL, CL_INVALID_BUFFER_SIZE },
		{ 0, (size_t)1 << 40, NULL, CL_INVALID_BUFFER_SIZE },
		{ 0, SIZE_MAX, NULL, CL_INVALID_BUFFER_SIZE },
		{ CL_MEM_USE_HOST_PTR, 64, NULL, CL_INVALID_HOST_PTR },
		{ CL_MEM_COPY_HOST_PTR, 64, NULL, CL_INVALID_HOST_PTR },
		{ 0, 64, host, CL_INVALID_HOST_PTR },
		{ CL_MEM_ALLOC_HOST_PTR, 64, host, CL_INVALID_HOST_PTR },
		{ CL_MEM_USE_HOST_PTR, 64, (void *)(UINTPTR_MAX - 8), CL_INVALID_HOST_PTR },
		{ CL_MEM_COPY_HOST_PTR, 64, (void *)4096, CL_INVALID_HOST_PTR }, /* not mapped */
	};
	cl_int err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = CL_SUCCESS;
		assert_null(clCreateBuffer(fx.context, bad[i].flags, bad[i].size, bad[i].ptr, &err));
		assert_cl(err, bad[i].err);
		assert_null(clCreateBuffer(fx.context, bad[i].flags, bad[i].size, bad[i].ptr, NULL));
	}
	assert_null(clCreateBuffer(NULL, 0, 64, NULL, &err));
	assert_cl(err, CL_INVALID_CONTEXT);
	assert_null(clCreateBuffer((cl_context)fx.queue, 0, 64, NULL, &err));
	assert_cl(err, CL_INVALID_CONTEXT);
	assert_null(clCreateBufferWithProperties(fx.context, unknown, 0, 64, NULL, &err));
	assert_cl(err, CL_INVALID_PROPERTY);
	mcl_fake_set_memory_limit(1000);
	assert_null(clCreateBuffer(fx.context, 0, 4096, NULL, &err));
	assert_cl(err, CL_MEM_OBJECT_ALLOCATION_FAILURE);
	mcl_fake_set_memory_limit(0);
	assert_cl(clRetainMemObject(NULL), CL_INVALID_MEM_OBJECT);
	assert_cl(clReleaseMemObject((cl_mem)fx.queue), CL_INVALID_MEM_OBJECT);
	assert_cl(clSetMemObjectDestructorCallback(NULL, NULL, NULL), CL_INVALID_MEM_OBJECT);
}

/* USE takes the pointer itself, COPY its bytes, the others zeroed memory of our own. */
static void storage(void **state)
{
	uint8_t host[256];
	cl_mem use, copy, alloc, plain;

	(void)state;
	for (int i = 0; i < 256; i++)
		host[i] = (uint8_t)i;
	use = create(CL_MEM_USE_HOST_PTR, sizeof(host), host);
	copy = create(CL_MEM_COPY_HOST_PTR | CL_MEM_ALLOC_HOST_PTR, sizeof(host), host);
	alloc = create(CL_MEM_ALLOC_HOST_PTR, sizeof(host), NULL);
	plain = create(0, sizeof(host), NULL);
	assert_ptr_equal(use->data, host);
	assert_ptr_not_equal(copy->data, host);
	assert_memory_equal(copy->data, host, sizeof(host));
	for (int i = 0; i < 256; i++)
		assert_int_equal(plain->data[i] | alloc->data[i], 0);
	assert_int_equal((uintptr_t)plain->data % 128, 0);
	for (int i = 0; i < 4; i++)
		assert_ok(clReleaseMemObject((cl_mem[]){ use, copy, alloc, plain }[i]));
	assert_int_equal(host[255], 255);
}

static void info_of(cl_mem mem, cl_mem_info what, void *value, size_t size)
{
	size_t got;

	assert_ok(clGetMemObjectInfo(mem, what, size, value, &got));
	assert_int_equal(got, size);
}

static void information(void **state)
{
	const cl_mem_properties none[] = { 0 };
	const cl_buffer_region region = { 256, 128 };
	cl_mem_object_type type;
	cl_mem_flags flags;
	cl_context context;
	cl_mem mem, sub, associated;
	char host[512];
	cl_uint count;
	cl_bool svm;
	size_t size;
	void *ptr;
	cl_int err;

	(void)state;
	mem = create(CL_MEM_USE_HOST_PTR | CL_MEM_READ_ONLY, sizeof(host), host);
	sub = clCreateSubBuffer(mem, CL_MEM_HOST_READ_ONLY, CL_BUFFER_CREATE_TYPE_REGION, &region, &err);
	assert_ok(err);
	info_of(mem, CL_MEM_TYPE, &type, sizeof(type));
	assert_int_equal(type, CL_MEM_OBJECT_BUFFER);
	info_of(mem, CL_MEM_FLAGS, &flags, sizeof(flags));
	assert_int_equal(flags, CL_MEM_USE_HOST_PTR | CL_MEM_READ_ONLY);
	info_of(sub, CL_MEM_FLAGS, &flags, sizeof(flags));
	assert_int_equal(flags, CL_MEM_USE_HOST_PTR | CL_MEM_READ_ONLY | CL_MEM_HOST_READ_ONLY);
	info_of(mem, CL_MEM_SIZE, &size, sizeof(size));
	assert_int_equal(size, sizeof(host));
	info_of(sub, CL_MEM_SIZE, &size, sizeof(size));
	assert_int_equal(size, 128);
	info_of(mem, CL_MEM_HOST_PTR, &ptr, sizeof(ptr));
	assert_ptr_equal(ptr, host);
	info_of(sub, CL_MEM_HOST_PTR, &ptr, sizeof(ptr));
	assert_ptr_equal(ptr, host + 256);
	info_of(mem, CL_MEM_MAP_COUNT, &count, sizeof(count));
	assert_int_equal(count, 0);
	info_of(mem, CL_MEM_REFERENCE_COUNT, &count, sizeof(count));
	assert_int_equal(count, 1); /* the sub-buffer's hold is not the application's */
	info_of(mem, CL_MEM_CONTEXT, &context, sizeof(context));
	assert_ptr_equal(context, fx.context);
	info_of(mem, CL_MEM_ASSOCIATED_MEMOBJECT, &associated, sizeof(associated));
	assert_null(associated);
	info_of(sub, CL_MEM_ASSOCIATED_MEMOBJECT, &associated, sizeof(associated));
	assert_ptr_equal(associated, mem);
	info_of(mem, CL_MEM_OFFSET, &size, sizeof(size));
	assert_int_equal(size, 0);
	info_of(sub, CL_MEM_OFFSET, &size, sizeof(size));
	assert_int_equal(size, 256);
	info_of(sub, CL_MEM_USES_SVM_POINTER, &svm, sizeof(svm));
	assert_int_equal(svm, CL_TRUE);
	info_of(mem, CL_MEM_PROPERTIES, NULL, 0);
	assert_cl(clGetMemObjectInfo(mem, 0x9999, sizeof(ptr), &ptr, NULL), CL_INVALID_VALUE);
	assert_cl(clGetMemObjectInfo(mem, CL_MEM_SIZE, 4, &ptr, NULL), CL_INVALID_VALUE);
	assert_cl(clGetMemObjectInfo(NULL, CL_MEM_SIZE, 8, &ptr, NULL), CL_INVALID_MEM_OBJECT);
	/* The sub-buffer keeps the buffer's bytes alive. */
	assert_ok(clReleaseMemObject(mem));
	assert_cl(clReleaseMemObject(mem), CL_INVALID_MEM_OBJECT);
	assert_ok(clReleaseMemObject(sub));

	mem = clCreateBufferWithProperties(fx.context, none, 0, 64, NULL, &err);
	assert_ok(err);
	info_of(mem, CL_MEM_PROPERTIES, &(cl_mem_properties){ 1 }, sizeof(none));
	info_of(mem, CL_MEM_USES_SVM_POINTER, &svm, sizeof(svm));
	assert_int_equal(svm, CL_FALSE);
	info_of(mem, CL_MEM_HOST_PTR, &ptr, sizeof(ptr));
	assert_null(ptr);
	assert_ok(clReleaseMemObject(mem));
}

static void sub_buffer_errors(void **state)
{
	cl_mem mem = create(CL_MEM_READ_ONLY | CL_MEM_HOST_WRITE_ONLY, SIZE, NULL);
	cl_mem none = create(CL_MEM_WRITE_ONLY | CL_MEM_HOST_NO_ACCESS, SIZE, NULL), sub;
	const cl_buffer_region good = { 128, 128 };
	const struct {
		cl_mem mem;
		cl_mem_flags flags;
		cl_buffer_region region;
		cl_int err;
	} bad[] = {
		{ mem, CL_MEM_READ_WRITE, good, CL_INVALID_VALUE },
		{ mem, CL_MEM_WRITE_ONLY, good, CL_INVALID_VALUE },
		{ mem, CL_MEM_HOST_READ_ONLY, good, CL_INVALID_VALUE },
		{ mem, CL_MEM_ALLOC_HOST_PTR, good, CL_INVALID_VALUE },
		{ mem, CL_MEM_USE_HOST_PTR, good, CL_INVALID_VALUE },
		{ none, CL_MEM_READ_ONLY, good, CL_INVALID_VALUE },
		{ none, CL_MEM_HOST_WRITE_ONLY, good, CL_INVALID_VALUE },
		{ mem, 0, { 0, 0 }, CL_INVALID_BUFFER_SIZE },
		{ mem, 0, { SIZE, 1 }, CL_INVALID_VALUE },
		{ mem, 0, { 128, SIZE }, CL_INVALID_VALUE },
		{ mem, 0, { SIZE_MAX - 127, 128 }, CL_INVALID_VALUE },
		{ mem, 0, { 64, 128 }, CL_MISALIGNED_SUB_BUFFER_OFFSET },
	};
	cl_int err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(clCreateSubBuffer(bad[i].mem, bad[i].flags, CL_BUFFER_CREATE_TYPE_REGION, &bad[i].region,
					      &err));
		assert_cl(err, bad[i].err);
	}
	assert_null(clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, NULL, &err));
	assert_cl(err, CL_INVALID_VALUE);
	assert_null(clCreateSubBuffer(mem, 0, 0x9999, &good, &err));
	assert_cl(err, CL_INVALID_VALUE);
	assert_null(clCreateSubBuffer(NULL, 0, CL_BUFFER_CREATE_TYPE_REGION, &good, &err));
	assert_cl(err, CL_INVALID_MEM_OBJECT);
	sub = clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &good, &err);
	assert_ok(err);
	assert_null(clCreateSubBuffer(sub, 0, CL_BUFFER_CREATE_TYPE_REGION, &(cl_buffer_region){ 0, 1 }, &err));
	assert_cl(err, CL_INVALID_MEM_OBJECT);
	assert_ok(clReleaseMemObject(sub));
	assert_ok(clReleaseMemObject(mem));
	assert_ok(clReleaseMemObject(none));
}

static char calls[8];
static _Atomic int call_count;

static void CL_CALLBACK on_destroy(cl_mem mem, void *data)
{
	(void)mem;
	calls[call_count] = *(const char *)data;
	call_count++;
}

/* Newest first, once, not before the last command that uses the buffer is complete. */
static void destructors(void **state)
{
	cl_mem mem = create(0, SIZE, NULL);

	(void)state;
	call_count = 0;
	memset(calls, 0, sizeof(calls));
	assert_cl(clSetMemObjectDestructorCallback(mem, NULL, NULL), CL_INVALID_VALUE);
	assert_ok(clSetMemObjectDestructorCallback(mem, on_destroy, "a"));
	assert_ok(clSetMemObjectDestructorCallback(mem, on_destroy, "b"));
	mcl_fake_hold(true);
	assert_ok(clEnqueueFillBuffer(fx.queue, mem, "x", 1, 0, SIZE, 0, NULL, NULL));
	assert_ok(clReleaseMemObject(mem));
	assert_int_equal(call_count, 0);
	mcl_fake_hold(false);
	assert_ok(clFinish(fx.queue));
	/* They come on whatever thread sees the end first, this one or the driver's. */
	for (int i = 0; call_count < 2 && i < 1000; i++)
		fixture_sleep_us(1000);
	assert_string_equal(calls, "ba");
}

/* When memory is short, buffers that only wait to be noticed as unused are given back first. */
static void reclaim(void **state)
{
	const char pattern[128] = "x";
	cl_mem mem = create(0, 1 << 20, NULL);
	struct mcl_fake_counts before, counts;

	(void)state;
	mcl_fake_counts(&before);
	assert_ok(clEnqueueFillBuffer(fx.queue, mem, pattern, sizeof(pattern), 0, 1 << 20, 0, NULL, NULL));
	assert_ok(clReleaseMemObject(mem));
	for (int i = 0; i < 1000; i++) {
		mcl_fake_counts(&counts);
		if (counts.fills > before.fills)
			break;
		fixture_sleep_us(1000);
	}
	mcl_fake_set_memory_limit((1 << 20) + 4096);
	mem = create(0, 1 << 20, NULL);
	assert_ok(clReleaseMemObject(mem));
}

static void *map(cl_mem mem, cl_map_flags flags, size_t offset, size_t size, cl_int expected)
{
	cl_int err;
	void *ptr = clEnqueueMapBuffer(fx.queue, mem, CL_TRUE, flags, offset, size, 0, NULL, NULL, &err);

	assert_cl(err, expected);
	assert_true(!ptr == !!expected);
	return ptr;
}

static cl_uint map_count(cl_mem mem)
{
	cl_uint count;

	info_of(mem, CL_MEM_MAP_COUNT, &count, sizeof(count));
	return count;
}

/* Maps hand out the bytes themselves, are counted, and must not overlap when they write. */
static void mapping(void **state)
{
	cl_mem mem = create(0, SIZE, NULL), ro = create(CL_MEM_HOST_READ_ONLY, SIZE, NULL);
	cl_mem wo = create(CL_MEM_HOST_WRITE_ONLY, SIZE, NULL), no = create(CL_MEM_HOST_NO_ACCESS, SIZE, NULL);
	const cl_buffer_region region = { 128, 128 };
	cl_event event;
	cl_mem sub;
	void *a, *b, *c;
	cl_int err;

	(void)state;
	a = map(mem, CL_MAP_READ | CL_MAP_WRITE, 0, 128, CL_SUCCESS);
	assert_ptr_equal(a, mem->data);
	b = map(mem, CL_MAP_WRITE_INVALIDATE_REGION, 256, 16, CL_SUCCESS);
	assert_ptr_equal(b, mem->data + 256);
	assert_int_equal(map_count(mem), 2);
	map(mem, CL_MAP_WRITE, 127, 2, CL_INVALID_OPERATION);
	map(mem, CL_MAP_WRITE, 255, 2, CL_INVALID_OPERATION);
	assert_int_equal(map_count(mem), 2);
	c = map(mem, CL_MAP_READ, 100, 28, CL_SUCCESS);
	assert_int_equal(map_count(mem), 3);
	sub = clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &err);
	assert_ok(err);
	assert_ptr_equal(map(sub, CL_MAP_WRITE, 0, 128, CL_SUCCESS), mem->data + 128);
	map(mem, CL_MAP_WRITE, 130, 1, CL_INVALID_OPERATION);
	assert_int_equal(map_count(sub), 1);
	assert_int_equal(map_count(mem), 3);
	assert_cl(clEnqueueUnmapMemObject(fx.queue, mem, sub->data, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_ok(clEnqueueUnmapMemObject(fx.queue, sub, sub->data, 0, NULL, NULL));
	assert_cl(clEnqueueUnmapMemObject(fx.queue, sub, sub->data, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueUnmapMemObject(fx.queue, mem, mem->data + 1, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueUnmapMemObject(fx.queue, NULL, a, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	assert_cl(clEnqueueUnmapMemObject(NULL, mem, a, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	assert_ok(clEnqueueUnmapMemObject(fx.queue, mem, a, 0, NULL, &event));
	assert_ok(clEnqueueUnmapMemObject(fx.queue, mem, b, 0, NULL, NULL));
	assert_ok(clEnqueueUnmapMemObject(fx.queue, mem, c, 0, NULL, NULL));
	assert_ok(clWaitForEvents(1, &event));
	assert_ok(clReleaseEvent(event));
	assert_int_equal(map_count(mem), 0);

	map(mem, CL_MAP_READ, 0, 0, CL_INVALID_VALUE);
	map(mem, CL_MAP_READ, SIZE, 1, CL_INVALID_VALUE);
	map(mem, CL_MAP_READ, SIZE_MAX, 2, CL_INVALID_VALUE);
	map(mem, CL_MAP_READ | CL_MAP_WRITE_INVALIDATE_REGION, 0, 1, CL_INVALID_VALUE);
	map(mem, 1 << 10, 0, 1, CL_INVALID_VALUE);
	map(ro, CL_MAP_WRITE, 0, 1, CL_INVALID_OPERATION);
	map(ro, CL_MAP_WRITE_INVALIDATE_REGION, 0, 1, CL_INVALID_OPERATION);
	map(wo, CL_MAP_READ, 0, 1, CL_INVALID_OPERATION);
	map(no, CL_MAP_READ, 0, 1, CL_INVALID_OPERATION);
	map(no, CL_MAP_WRITE, 0, 1, CL_INVALID_OPERATION);
	map(NULL, CL_MAP_READ, 0, 1, CL_INVALID_MEM_OBJECT);
	/* What is still mapped goes with the buffer. */
	map(mem, CL_MAP_WRITE, 0, 1, CL_SUCCESS);
	map(sub, CL_MAP_WRITE, 0, 1, CL_SUCCESS);
	for (int i = 0; i < 5; i++)
		assert_ok(clReleaseMemObject((cl_mem[]){ sub, mem, ro, wo, no }[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(creation_errors),	 fixture_test(storage),	    fixture_test(information),
		fixture_test(sub_buffer_errors), fixture_test(destructors), fixture_test(reclaim),
		fixture_test(mapping),
	};

	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
