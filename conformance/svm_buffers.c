// SPDX-License-Identifier: MIT
/*
 * Memory from clSVMAlloc, and the commands over shared memory: map, unmap, copy, fill, migrate, free, on clSVMAlloc'd and on plain
 * pointers; and cl_mem objects, whose bytes are the same bytes (CL_MEM_USE_HOST_PTR, sub-buffers).
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "svm_buffers.cl.h"

enum { COUNT = 5000 };

static const cl_svm_mem_flags kinds[] = {
	CL_MEM_READ_WRITE,
	CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER,
	CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS,
	CL_MEM_WRITE_ONLY,
	CL_MEM_READ_ONLY | CL_MEM_SVM_FINE_GRAIN_BUFFER,
	0,
};
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

static int *svm_ints(size_t count)
{
	int *p = clSVMAlloc(conf.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, count * sizeof(int), 0);

	assert_non_null(p);
	return p;
}

/* Every kind of allocation is shared, aligned and big enough; two never overlap. */
static void allocate(void **state)
{
	(void)state;
	for (int k = 0; k < KINDS; k++) {
		for (cl_uint align = 0; align <= 128; align = align ? align * 2 : 1) {
			char *p = clSVMAlloc(conf.context, kinds[k], 1000, align);
			char *q = clSVMAlloc(conf.context, kinds[k], 1000, align);

			assert_non_null(p);
			assert_non_null(q);
			assert_int_equal((uintptr_t)p % (align ? align : 128), 0);
			assert_true(p + 1000 <= q || q + 1000 <= p);
			memset(p, 1, 1000);
			memset(q, 2, 1000);
			for (int i = 0; i < 1000; i++)
				assert_int_equal(p[i], 1);
			clSVMFree(conf.context, p);
			clSVMFree(conf.context, q);
		}
	}
	clSVMFree(conf.context, NULL);
}

/* Bad requests give NULL, not memory. */
static void allocate_errors(void **state)
{
	cl_ulong max_size;

	(void)state;
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(max_size), &max_size, NULL));
	assert_null(clSVMAlloc(NULL, CL_MEM_READ_WRITE, 64, 0));
	assert_null(clSVMAlloc((cl_context)conf.queue, CL_MEM_READ_WRITE, 64, 0));
	assert_null(clSVMAlloc(conf.context, CL_MEM_READ_WRITE, 0, 0));
	assert_null(clSVMAlloc(conf.context, CL_MEM_READ_WRITE, (size_t)max_size + 1, 0));
	assert_null(clSVMAlloc(conf.context, CL_MEM_READ_WRITE, SIZE_MAX, 0));
	assert_null(clSVMAlloc(conf.context, CL_MEM_READ_WRITE, 64, 3));
	assert_null(clSVMAlloc(conf.context, CL_MEM_READ_WRITE, 64, 1u << 31));
	assert_null(clSVMAlloc(conf.context, CL_MEM_READ_WRITE | CL_MEM_SVM_ATOMICS, 64, 0));
	assert_null(clSVMAlloc(conf.context, CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, 64, 0));
	assert_null(clSVMAlloc(conf.context, CL_MEM_READ_WRITE | CL_MEM_READ_ONLY, 64, 0));
	assert_null(clSVMAlloc(conf.context, CL_MEM_COPY_HOST_PTR, 64, 0));
	assert_null(clSVMAlloc(conf.context, 1ull << 50, 64, 0));
}

/* Coarse-grained memory between map and unmap, the OpenCL 2.0 way. */
static void coarse_map_unmap(void **state)
{
	cl_kernel kernel = conf_kernel("add");
	int *p = clSVMAlloc(conf.context, CL_MEM_READ_WRITE, COUNT * sizeof(int), 0);
	cl_event events[3];
	size_t global = COUNT;
	cl_command_type type;

	(void)state;
	assert_non_null(p);
	set_ptr(kernel, 0, p);
	set_arg(kernel, 1, 5);
	for (int round = 0; round < 3; round++) {
		assert_cl(clEnqueueSVMMap(conf.queue, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, p, COUNT * sizeof(int),
					  0, NULL, NULL));
		for (int i = 0; i < COUNT; i++)
			p[i] = i * round;
		assert_cl(clEnqueueSVMUnmap(conf.queue, p, 0, NULL, &events[0]));
		assert_cl(
			clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &global, NULL, 1, &events[0], &events[1]));
		assert_cl(clEnqueueSVMMap(conf.queue, CL_FALSE, CL_MAP_READ, p, COUNT * sizeof(int), 1, &events[1],
					  &events[2]));
		assert_cl(clGetEventInfo(events[2], CL_EVENT_COMMAND_TYPE, sizeof(type), &type, NULL));
		assert_int_equal(type, CL_COMMAND_SVM_MAP);
		for (int i = 0; i < 3; i++)
			assert_int_equal(conf_end(events[i]), CL_COMPLETE);
		for (int i = 0; i < COUNT; i++)
			assert_int_equal(p[i], i * round + 5);
		assert_cl(clEnqueueSVMUnmap(conf.queue, p, 0, NULL, NULL));
		assert_cl(clFinish(conf.queue));
	}
	clSVMFree(conf.context, p);
	assert_cl(clReleaseKernel(kernel));
}

/* Fine-grained memory needs no map: what a finished kernel wrote is there. */
static void fine_without_map(void **state)
{
	cl_kernel kernel = conf_kernel("add");
	int *p = svm_ints(COUNT);

	(void)state;
	for (int i = 0; i < COUNT; i++)
		p[i] = i;
	set_ptr(kernel, 0, p);
	set_arg(kernel, 1, 1);
	for (int round = 1; round <= 20; round++) {
		conf_run(kernel, COUNT, 1);
		for (int i = 0; i < COUNT; i++)
			assert_int_equal(p[i]++, i + 2 * round - 1);
	}
	clSVMFree(conf.context, p);
	assert_cl(clReleaseKernel(kernel));
}

/* A pointer into the middle of an allocation is as good as its start. */
static void interior_pointer(void **state)
{
	cl_kernel kernel = conf_kernel("add");
	int *p = svm_ints(COUNT);

	(void)state;
	memset(p, 0, COUNT * sizeof(int));
	set_ptr(kernel, 0, p + 1001);
	set_arg(kernel, 1, 1);
	conf_run(kernel, 99, 9);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(p[i], i >= 1001 && i < 1100);
	clSVMFree(conf.context, p);
	assert_cl(clReleaseKernel(kernel));
}

/* clEnqueueSVMMemcpy among all kinds of memory, at odd offsets and sizes, blocking and not. */
static void copy(void **state)
{
	enum { SIZE = 100003 };
	char *places[3] = { clSVMAlloc(conf.context, CL_MEM_READ_WRITE, SIZE, 0),
			    clSVMAlloc(conf.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, SIZE, 0),
			    conf_malloc(SIZE) };
	static const size_t sizes[] = { 1, 7, 64, 4095, 4096, 65537, SIZE - 13 };
	cl_command_type type;

	(void)state;
	for (int from = 0; from < 3; from++) {
		for (int to = 0; to < 3; to++) {
			for (size_t s = 0; from != to && s < sizeof(sizes) / sizeof(*sizes); s++) {
				size_t size = sizes[s], skew = s;
				cl_event event;

				for (size_t i = 0; i < SIZE; i++) {
					places[from][i] = (char)(i * 31 + s);
					places[to][i] = 'x';
				}
				if (s % 2) {
					assert_cl(clEnqueueSVMMemcpy(conf.queue, CL_TRUE, places[to] + skew,
								     places[from] + 13, size, 0, NULL, NULL));
				} else {
					assert_cl(clEnqueueSVMMemcpy(conf.queue, CL_FALSE, places[to] + skew,
								     places[from] + 13, size, 0, NULL, &event));
					assert_cl(clGetEventInfo(event, CL_EVENT_COMMAND_TYPE, sizeof(type), &type,
								 NULL));
					assert_int_equal(type, CL_COMMAND_SVM_MEMCPY);
					assert_int_equal(conf_end(event), CL_COMPLETE);
				}
				assert_memory_equal(places[to] + skew, places[from] + 13, size);
				for (size_t i = 0; i < skew; i++)
					assert_int_equal(places[to][i], 'x');
				for (size_t i = skew + size; i < SIZE; i++)
					assert_int_equal(places[to][i], 'x');
			}
		}
	}
	clSVMFree(conf.context, places[0]);
	clSVMFree(conf.context, places[1]);
	free(places[2]);
}

static void copy_errors(void **state)
{
	char *p = (char *)svm_ints(100);

	(void)state;
	assert_cl_error(clEnqueueSVMMemcpy(conf.queue, CL_TRUE, p + 10, p, 20, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	assert_cl_error(clEnqueueSVMMemcpy(conf.queue, CL_TRUE, p, p + 10, 20, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	assert_cl_error(clEnqueueSVMMemcpy(conf.queue, CL_TRUE, p, p, 20, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	assert_cl(clEnqueueSVMMemcpy(conf.queue, CL_TRUE, p + 20, p, 20, 0, NULL, NULL));
	assert_cl_error(clEnqueueSVMMemcpy(conf.queue, CL_TRUE, NULL, p, 20, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl_error(clEnqueueSVMMemcpy(conf.queue, CL_TRUE, p, NULL, 20, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl_error(clEnqueueSVMMemcpy(NULL, CL_TRUE, p + 20, p, 20, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	assert_cl_error(clEnqueueSVMMemcpy(conf.queue, CL_TRUE, p + 20, p, 20, 1, NULL, NULL),
			CL_INVALID_EVENT_WAIT_LIST);
	clSVMFree(conf.context, p);
}

/* clEnqueueSVMMemFill with patterns of 1 to 128 bytes, on both kinds of memory. */
static void memory_fill(void **state)
{
	enum { SIZE = 128 * 300 };
	char *places[2] = { clSVMAlloc(conf.context, CL_MEM_READ_WRITE, SIZE, 0), aligned_alloc(128, SIZE) };
	char pattern[128];

	(void)state;
	for (int i = 0; i < 128; i++)
		pattern[i] = (char)(i * 11 + 3);
	for (int place = 0; place < 2; place++) {
		char *p = places[place];

		assert_non_null(p);
		for (size_t width = 1; width <= 128; width *= 2) {
			memset(p, 0, SIZE);
			assert_cl(clEnqueueSVMMemFill(conf.queue, p + 128, pattern, width, SIZE - 256, 0, NULL, NULL));
			assert_cl(clFinish(conf.queue));
			for (size_t i = 0; i < SIZE; i++)
				assert_int_equal(p[i], i >= 128 && i < SIZE - 128 ? pattern[i % width] : 0);
		}
		assert_cl_error(clEnqueueSVMMemFill(conf.queue, p, pattern, 3, 30, 0, NULL, NULL), CL_INVALID_VALUE);
		assert_cl_error(clEnqueueSVMMemFill(conf.queue, p, pattern, 0, 32, 0, NULL, NULL), CL_INVALID_VALUE);
		assert_cl_error(clEnqueueSVMMemFill(conf.queue, p, pattern, 256, 256, 0, NULL, NULL), CL_INVALID_VALUE);
		assert_cl_error(clEnqueueSVMMemFill(conf.queue, p, pattern, 4, 30, 0, NULL, NULL), CL_INVALID_VALUE);
		assert_cl_error(clEnqueueSVMMemFill(conf.queue, p + 2, pattern, 4, 32, 0, NULL, NULL),
				CL_INVALID_VALUE);
		assert_cl_error(clEnqueueSVMMemFill(conf.queue, p, NULL, 4, 32, 0, NULL, NULL), CL_INVALID_VALUE);
		assert_cl_error(clEnqueueSVMMemFill(conf.queue, NULL, pattern, 4, 32, 0, NULL, NULL), CL_INVALID_VALUE);
	}
	clSVMFree(conf.context, places[0]);
	free(places[1]);
}

/* The pattern is read when the fill is enqueued: it may be overwritten at once. */
static void fill_pattern_is_copied(void **state)
{
	int *p = svm_ints(1000), pattern = 0x1234;
	cl_int err;
	cl_event gate = clCreateUserEvent(conf.context, &err), done;

	(void)state;
	assert_cl(err);
	assert_cl(clEnqueueSVMMemFill(conf.queue, p, &pattern, sizeof(pattern), 4000, 1, &gate, &done));
	pattern = 0;
	assert_cl(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_int_equal(conf_end(done), CL_COMPLETE);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(p[i], 0x1234);
	assert_cl(clReleaseEvent(gate));
	clSVMFree(conf.context, p);
}

/* Migration moves no bit: data stays right wherever it is asked to be, whole, in part or with content undefined. */
static void migrate(void **state)
{
	cl_kernel kernel = conf_kernel("add");
	int *p = svm_ints(COUNT), *q = svm_ints(COUNT);
	const void *pointers[2] = { p, q };
	size_t sizes[2] = { COUNT * sizeof(int), 0 };
	cl_event event;
	cl_command_type type;

	(void)state;
	memset(p, 0, COUNT * sizeof(int));
	memset(q, 0, COUNT * sizeof(int));
	set_arg(kernel, 1, 1);
	for (int round = 1; round <= 6; round++) {
		assert_cl(
			clEnqueueSVMMigrateMem(conf.queue, 2, pointers, round % 2 ? sizes : NULL, 0, 0, NULL, &event));
		assert_cl(clGetEventInfo(event, CL_EVENT_COMMAND_TYPE, sizeof(type), &type, NULL));
		assert_int_equal(type, CL_COMMAND_SVM_MIGRATE_MEM);
		set_ptr(kernel, 0, p);
		conf_run(kernel, COUNT, 1);
		set_ptr(kernel, 0, q);
		conf_run(kernel, COUNT, 1);
		assert_int_equal(conf_end(event), CL_COMPLETE);
		if (round % 3 == 0) {
			assert_cl(clEnqueueSVMMigrateMem(conf.queue, 2, pointers, NULL, CL_MIGRATE_MEM_OBJECT_HOST, 0,
							 NULL, NULL));
			assert_cl(clFinish(conf.queue));
		}
		for (int i = 0; i < COUNT; i++) {
			assert_int_equal(p[i], round);
			assert_int_equal(q[i], round);
		}
	}
	assert_cl(clEnqueueSVMMigrateMem(conf.queue, 2, pointers, NULL, CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0,
					 NULL, NULL));
	assert_cl(clFinish(conf.queue));
	assert_cl_error(clEnqueueSVMMigrateMem(conf.queue, 0, pointers, NULL, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl_error(clEnqueueSVMMigrateMem(conf.queue, 1, NULL, NULL, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	clSVMFree(conf.context, p);
	clSVMFree(conf.context, q);
	assert_cl(clReleaseKernel(kernel));
}

static cl_uint freed_count;
static void *freed_pointers[3];

static void CL_CALLBACK free_them(cl_command_queue queue, cl_uint count, void *pointers[], void *user_data)
{
	cl_context context = user_data;

	(void)queue;
	freed_count = count;
	for (cl_uint i = 0; i < count; i++) {
		freed_pointers[i] = pointers[i];
		clSVMFree(context, pointers[i]);
	}
}

/* clEnqueueSVMFree, by the runtime and by a callback of ours, after the commands before it. */
static void enqueue_free(void **state)
{
	cl_kernel kernel = conf_kernel("add");
	void *pointers[3];
	cl_event event;

	(void)state;
	for (int way = 0; way < 2; way++) {
		size_t global = COUNT;

		for (int i = 0; i < 3; i++)
			pointers[i] = svm_ints(COUNT);
		freed_count = 0;
		set_ptr(kernel, 0, pointers[1]);
		set_arg(kernel, 1, 1);
		assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL));
		assert_cl(clEnqueueSVMFree(conf.queue, 3, pointers, way ? free_them : NULL, conf.context, 0, NULL,
					   &event));
		assert_int_equal(conf_end(event), CL_COMPLETE);
		if (!way)
			continue;
		assert_int_equal(freed_count, 3);
		for (int i = 0; i < 3; i++)
			assert_ptr_equal(freed_pointers[i], pointers[i]);
	}
	assert_cl_error(clEnqueueSVMFree(conf.queue, 0, pointers, NULL, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl_error(clEnqueueSVMFree(conf.queue, 1, NULL, NULL, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clReleaseKernel(kernel));
}

struct box {
	int *data;
	cl_uint count;
};

/* Pointers the runtime cannot see, announced with clSetKernelExecInfo or (system SVM) not at all. */
static void exec_info(void **state)
{
	cl_kernel kernel = conf_kernel("add_indirect");
	struct box *box = clSVMAlloc(conf.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, sizeof(*box), 0);
	void *pointers[1];
	cl_bool yes = CL_TRUE;

	(void)state;
	assert_non_null(box);
	box->data = svm_ints(COUNT);
	box->count = COUNT;
	memset(box->data, 0, COUNT * sizeof(int));
	pointers[0] = box->data;
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof(pointers), pointers));
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, 0, NULL));
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof(pointers), pointers));
	set_ptr(kernel, 0, box);
	set_arg(kernel, 1, 3);
	conf_run(kernel, 64, 8);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(box->data[i], 3);
	clSVMFree(conf.context, box->data);

	box->data = calloc(COUNT, sizeof(int));
	assert_non_null(box->data);
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof(yes), &yes));
	conf_run(kernel, 64, 8);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(box->data[i], 3);
	free(box->data);
	assert_cl_error(clSetKernelExecInfo(kernel, 0xdead, sizeof(yes), &yes), CL_INVALID_VALUE);
	assert_cl_error(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof(yes), NULL),
			CL_INVALID_VALUE);
	assert_cl_error(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, 1, &yes),
			CL_INVALID_VALUE);
	assert_cl_error(clSetKernelExecInfo(NULL, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof(yes), &yes),
			CL_INVALID_KERNEL);
	clSVMFree(conf.context, box);
	assert_cl(clReleaseKernel(kernel));
}

/* The address that the device sees for @mem. */
static void *device_address(cl_mem mem)
{
	cl_kernel kernel = conf_kernel("address_of");
	cl_ulong address = 0;

	set_arg(kernel, 0, mem);
	set_ptr(kernel, 1, &address);
	conf_run(kernel, 1, 1);
	assert_cl(clReleaseKernel(kernel));
	return (void *)address;
}

/* CL_MEM_USE_HOST_PTR is zero copy, for malloc'd and clSVMAlloc'd memory: the device works on those very bytes. */
static void use_host_ptr(void **state)
{
	cl_kernel kernel = conf_kernel("add");

	(void)state;
	for (int svm = 0; svm < 2; svm++) {
		int *host = svm ? svm_ints(COUNT) : calloc(COUNT, sizeof(int)), *mapped;
		cl_bool uses_svm = 2;
		cl_mem mem;
		cl_int err;

		memset(host, 0, COUNT * sizeof(int));
		mem = clCreateBuffer(conf.context, CL_MEM_USE_HOST_PTR, COUNT * sizeof(int), host, &err);
		assert_cl(err);
		assert_cl(clGetMemObjectInfo(mem, CL_MEM_USES_SVM_POINTER, sizeof(uses_svm), &uses_svm, NULL));
		if (svm)
			assert_int_equal(uses_svm,
					 CL_TRUE); /* with system SVM, malloc'd memory may count as such too */
		assert_ptr_equal(device_address(mem), host);
		set_arg(kernel, 0, mem);
		set_arg(kernel, 1, 7);
		conf_run(kernel, COUNT, 1);
		mapped = clEnqueueMapBuffer(conf.queue, mem, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 40,
					    COUNT * sizeof(int) - 40, 0, NULL, NULL, &err);
		assert_cl(err);
		assert_ptr_equal(mapped, host + 10);
		for (int i = 0; i < COUNT; i++)
			assert_int_equal(host[i]++, 7);
		assert_cl(clEnqueueUnmapMemObject(conf.queue, mem, mapped, 0, NULL, NULL));
		conf_run(kernel, COUNT, 1);
		assert_cl(clReleaseMemObject(mem));
		for (int i = 0; i < COUNT; i++)
			assert_int_equal(host[i], 15);
		if (svm)
			clSVMFree(conf.context, host);
		else
			free(host);
	}
	assert_cl(clReleaseKernel(kernel));
}

/* A sub-buffer is a part of its parent: same bytes, address and all. */
static void sub_buffers(void **state)
{
	cl_kernel kernel = conf_kernel("add");
	cl_uint align_bits;
	cl_buffer_region region;
	cl_mem mem, sub;
	int *host = conf_malloc(COUNT * sizeof(int)), zero = 0;
	cl_int err;

	(void)state;
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof(align_bits), &align_bits, NULL));
	mem = clCreateBuffer(conf.context, CL_MEM_READ_WRITE, COUNT * sizeof(int), NULL, &err);
	assert_cl(err);
	assert_cl(clEnqueueFillBuffer(conf.queue, mem, &zero, sizeof(zero), 0, COUNT * sizeof(int), 0, NULL, NULL));
	region.origin = align_bits / 8 * 3;
	region.size = 1000 * sizeof(int);
	sub = clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &err);
	assert_cl(err);
	/* cppcheck-suppress nullPointerArithmetic ; a kernel writes what the function returns */
	assert_ptr_equal((char *)device_address(sub), (char *)device_address(mem) + region.origin);
	set_arg(kernel, 1, 1);
	set_arg(kernel, 0, sub);
	conf_run(kernel, 1000, 10);
	set_arg(kernel, 0, mem);
	conf_run(kernel, COUNT, 1);
	assert_cl(clEnqueueReadBuffer(conf.queue, mem, CL_TRUE, 0, COUNT * sizeof(int), host, 0, NULL, NULL));
	for (size_t i = 0; i < COUNT; i++) {
		size_t byte = i * sizeof(int);

		assert_int_equal(host[i], byte >= region.origin && byte < region.origin + region.size ? 2 : 1);
	}
	region.origin++;
	assert_null(clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &err));
	assert_int_equal(err, CL_MISALIGNED_SUB_BUFFER_OFFSET);
	region.origin = COUNT * sizeof(int);
	assert_null(clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &err));
	assert_int_equal(err, CL_INVALID_VALUE);
	/* The parent's memory stays while a sub-buffer lives. */
	assert_cl(clReleaseMemObject(mem));
	set_arg(kernel, 0, sub);
	conf_run(kernel, 1000, 10);
	assert_cl(clEnqueueReadBuffer(conf.queue, sub, CL_TRUE, 0, 4000, host, 0, NULL, NULL));
	for (int i = 0; i < 1000; i++)
		assert_int_equal(host[i], 3);
	assert_cl(clReleaseMemObject(sub));
	assert_cl(clReleaseKernel(kernel));
	free(host);
}

/* Rectangles: a box out of one buffer into another, and to and from the host. */
static void rectangles(void **state)
{
	enum { W = 40, H = 30, D = 5 };
	const size_t from[3] = { 3, 4, 1 }, to[3] = { 7, 2, 0 }, region[3] = { 20, 10, 3 };
	static unsigned char source[D][H][W], target[D][H][W], out[3][10][20];
	const size_t zero[3] = { 0, 0, 0 };
	cl_mem a, b;
	cl_int err;

	(void)state;
	for (int z = 0; z < D; z++)
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++)
				source[z][y][x] = (unsigned char)(z * 100 + y * 7 + x * 3);
	a = clCreateBuffer(conf.context, CL_MEM_COPY_HOST_PTR, sizeof(source), source, &err);
	assert_cl(err);
	b = clCreateBuffer(conf.context, 0, sizeof(target), NULL, &err);
	assert_cl(err);
	assert_cl(clEnqueueFillBuffer(conf.queue, b, "", 1, 0, sizeof(target), 0, NULL, NULL));
	assert_cl(clEnqueueCopyBufferRect(conf.queue, a, b, from, to, region, W, W * H, W, W * H, 0, NULL, NULL));
	assert_cl(clEnqueueReadBuffer(conf.queue, b, CL_TRUE, 0, sizeof(target), target, 0, NULL, NULL));
	for (size_t z = 0; z < D; z++) {
		for (size_t y = 0; y < H; y++) {
			for (size_t x = 0; x < W; x++) {
				bool inside = x >= to[0] && x < to[0] + region[0] && y >= to[1] &&
					      y < to[1] + region[1] && z < region[2];

				assert_int_equal(target[z][y][x], inside ? source[z + 1][y + 2][x - 4] : 0);
			}
		}
	}
	assert_cl(
		clEnqueueReadBufferRect(conf.queue, b, CL_TRUE, to, zero, region, W, W * H, 0, 0, out, 0, NULL, NULL));
	for (size_t z = 0; z < 3; z++)
		for (size_t y = 0; y < 10; y++)
			assert_memory_equal(out[z][y], &source[z + 1][y + 4][3], 20);
	memset(out, 0xee, sizeof(out));
	assert_cl(clEnqueueWriteBufferRect(conf.queue, a, CL_TRUE, zero, zero, region, W, W * H, 0, 0, out, 0, NULL,
					   NULL));
	assert_cl(clEnqueueReadBuffer(conf.queue, a, CL_TRUE, 0, sizeof(target), target, 0, NULL, NULL));
	for (size_t z = 0; z < D; z++)
		for (size_t y = 0; y < H; y++)
			for (size_t x = 0; x < W; x++)
				assert_int_equal(target[z][y][x], x < 20 && y < 10 && z < 3 ? 0xee : source[z][y][x]);
	assert_cl(clReleaseMemObject(a));
	assert_cl(clReleaseMemObject(b));
}

/* Buffers of all creation flags, through read, write, copy, fill and map. */
static void buffer_commands(void **state)
{
	static const cl_mem_flags flags[] = { 0, CL_MEM_ALLOC_HOST_PTR, CL_MEM_COPY_HOST_PTR,
					      CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR, CL_MEM_USE_HOST_PTR };
	unsigned char *host = conf_malloc(COUNT), *out = conf_malloc(COUNT), *mapped;

	(void)state;
	for (size_t f = 0; f < sizeof(flags) / sizeof(*flags); f++) {
		bool initial = flags[f] & (CL_MEM_COPY_HOST_PTR | CL_MEM_USE_HOST_PTR);
		cl_mem mem, other;
		cl_event event;
		cl_int err;

		for (int i = 0; i < COUNT; i++)
			host[i] = (unsigned char)(i * 3);
		mem = clCreateBuffer(conf.context, flags[f], COUNT, initial ? host : NULL, &err);
		assert_cl(err);
		other = clCreateBuffer(conf.context, 0, COUNT, NULL, &err);
		assert_cl(err);
		if (!initial)
			assert_cl(clEnqueueWriteBuffer(conf.queue, mem, CL_FALSE, 0, COUNT, host, 0, NULL, NULL));
		assert_cl(clEnqueueCopyBuffer(conf.queue, mem, other, 100, 50, COUNT - 100, 0, NULL, &event));
		assert_int_equal(conf_end(event), CL_COMPLETE);
		assert_cl(clEnqueueReadBuffer(conf.queue, other, CL_TRUE, 50, COUNT - 100, out, 0, NULL, NULL));
		for (int i = 0; i < COUNT - 100; i++)
			assert_int_equal(out[i], (unsigned char)((i + 100) * 3));
		assert_cl(clEnqueueFillBuffer(conf.queue, mem, "abcd", 4, 8, 400, 0, NULL, NULL));
		mapped = clEnqueueMapBuffer(conf.queue, mem, CL_TRUE, CL_MAP_WRITE | CL_MAP_READ, 8, 800, 0, NULL, NULL,
					    &err);
		assert_cl(err);
		for (int i = 0; i < 800; i++)
			assert_int_equal(mapped[i], i < 400 ? "abcd"[i % 4] : (unsigned char)((i + 8) * 3));
		memset(mapped, 'm', 800);
		assert_cl(clEnqueueUnmapMemObject(conf.queue, mem, mapped, 0, NULL, NULL));
		assert_cl(clEnqueueReadBuffer(conf.queue, mem, CL_TRUE, 0, COUNT, out, 0, NULL, NULL));
		for (int i = 0; i < COUNT; i++)
			assert_int_equal(out[i], i >= 8 && i < 808 ? 'm' : (unsigned char)(i * 3));
		assert_cl(clReleaseMemObject(mem));
		assert_cl(clReleaseMemObject(other));
	}
	free(host);
	free(out);
}

/* clEnqueueMigrateMemObjects keeps content, to the device and back. */
static void migrate_objects(void **state)
{
	cl_kernel kernel = conf_kernel("sum_bytes");
	unsigned char *host = conf_malloc(COUNT);
	cl_ulong sum = 0, expected = 0;
	cl_mem mem;
	cl_int err;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		host[i] = (unsigned char)(i * 13);
		expected += (cl_ulong)host[i] * (i % 7 + 1);
	}
	mem = clCreateBuffer(conf.context, CL_MEM_COPY_HOST_PTR, COUNT, host, &err);
	assert_cl(err);
	assert_cl(clEnqueueMigrateMemObjects(conf.queue, 1, &mem, 0, 0, NULL, NULL));
	set_arg(kernel, 0, mem);
	set_arg(kernel, 1, (cl_ulong)COUNT);
	set_ptr(kernel, 2, &sum);
	conf_run(kernel, 1, 1);
	assert_int_equal(sum, expected);
	assert_cl(clEnqueueMigrateMemObjects(conf.queue, 1, &mem, CL_MIGRATE_MEM_OBJECT_HOST, 0, NULL, NULL));
	memset(host, 0, COUNT);
	assert_cl(clEnqueueReadBuffer(conf.queue, mem, CL_TRUE, 0, COUNT, host, 0, NULL, NULL));
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(host[i], (unsigned char)(i * 13));
	assert_cl(clReleaseMemObject(mem));
	assert_cl(clReleaseKernel(kernel));
	free(host);
}

static cl_uint destroyed;

static void CL_CALLBACK note_destroyed(cl_mem mem, void *user_data)
{
	(void)mem;
	destroyed = destroyed * 10 + *(cl_uint *)user_data;
}

/* Destructor callbacks, last registered first. */
static void destructor_callbacks(void **state)
{
	cl_uint one = 1, two = 2;
	cl_int err;
	cl_mem mem = clCreateBuffer(conf.context, 0, 64, NULL, &err);

	(void)state;
	assert_cl(err);
	assert_cl(clSetMemObjectDestructorCallback(mem, note_destroyed, &one));
	assert_cl(clSetMemObjectDestructorCallback(mem, note_destroyed, &two));
	assert_cl(clRetainMemObject(mem));
	assert_cl(clReleaseMemObject(mem));
	assert_int_equal(destroyed, 0);
	assert_cl(clReleaseMemObject(mem));
	assert_int_equal(destroyed, 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocate),
		cmocka_unit_test(allocate_errors),
		cmocka_unit_test(coarse_map_unmap),
		cmocka_unit_test(fine_without_map),
		cmocka_unit_test(interior_pointer),
		cmocka_unit_test(copy),
		cmocka_unit_test(copy_errors),
		cmocka_unit_test(memory_fill),
		cmocka_unit_test(fill_pattern_is_copied),
		cmocka_unit_test(migrate),
		cmocka_unit_test(enqueue_free),
		cmocka_unit_test(exec_info),
		cmocka_unit_test(use_host_ptr),
		cmocka_unit_test(sub_buffers),
		cmocka_unit_test(rectangles),
		cmocka_unit_test(buffer_commands),
		cmocka_unit_test(migrate_objects),
		cmocka_unit_test(destructor_callbacks),
	};
	int failed;

	conf_open(svm_buffers_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
