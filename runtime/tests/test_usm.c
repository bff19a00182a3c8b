/* SPDX-License-Identifier: MIT */
/* cl_intel_unified_shared_memory: kinds of memory, what is known of them, and the commands on them. */
#include <CL/cl_ext.h>

#include "runtime/svm.h"
#include "runtime/tests/fixture.h"

#define FLAGS(flags) ((cl_mem_properties_intel[]){ CL_MEM_ALLOC_FLAGS_INTEL, (flags), 0 })

static const cl_unified_shared_memory_type_intel types[] = {
	CL_MEM_TYPE_HOST_INTEL,
	CL_MEM_TYPE_DEVICE_INTEL,
	CL_MEM_TYPE_SHARED_INTEL,
};

static void *allocate(cl_unified_shared_memory_type_intel type, const cl_mem_properties_intel *properties, size_t size,
		      cl_uint alignment, cl_int *err)
{
	switch (type) {
	case CL_MEM_TYPE_HOST_INTEL:
		return clHostMemAllocINTEL(fx.context, properties, size, alignment, err);
	case CL_MEM_TYPE_DEVICE_INTEL:
		return clDeviceMemAllocINTEL(fx.context, fx.device, properties, size, alignment, err);
	default:
		return clSharedMemAllocINTEL(fx.context, fx.device, properties, size, alignment, err);
	}
}

static void expect_error(cl_unified_shared_memory_type_intel type, const cl_mem_properties_intel *properties,
			 size_t size, cl_uint alignment, cl_int expected)
{
	cl_int err;

	assert_null(allocate(type, properties, size, alignment, &err));
	assert_cl(err, expected);
	assert_null(allocate(type, properties, size, alignment, NULL));
}

static void allocation(void **state)
{
	const cl_mem_properties_intel twice[] = { CL_MEM_ALLOC_FLAGS_INTEL, 0, CL_MEM_ALLOC_FLAGS_INTEL, 0, 0 };
	const cl_mem_alloc_flags_intel device = CL_MEM_ALLOC_INITIAL_PLACEMENT_DEVICE_INTEL,
				       host = CL_MEM_ALLOC_INITIAL_PLACEMENT_HOST_INTEL;
	struct mcl_fake_counts before, after;
	cl_int err;

	(void)state;
	mcl_fake_counts(&before);
	for (size_t i = 0; i < 3; i++) {
		for (cl_uint align = 0; align <= 4096; align = align ? 2 * align : 1) {
			uint8_t *p = allocate(types[i], FLAGS(CL_MEM_ALLOC_WRITE_COMBINED_INTEL), 100, align, &err);

			assert_ok(err);
			assert_int_equal((uintptr_t)p % (align ? align : 1), 0);
			assert_ok(clMemFreeINTEL(fx.context, p));
		}
		expect_error(types[i], NULL, 0, 0, CL_INVALID_BUFFER_SIZE);
		expect_error(types[i], NULL, (size_t)1 << 40, 0, CL_INVALID_BUFFER_SIZE);
		expect_error(types[i], NULL, 64, 3, CL_INVALID_VALUE);
		expect_error(types[i], NULL, 64, 1u << 31, CL_INVALID_VALUE);
		expect_error(types[i], FLAGS(1 << 20), 64, 0, CL_INVALID_PROPERTY);
		expect_error(types[i], FLAGS(device | host), 64, 0, CL_INVALID_PROPERTY);
		expect_error(types[i], twice, 64, 0, CL_INVALID_PROPERTY);
		expect_error(types[i], (cl_mem_properties_intel[]){ 1, 1, 0 }, 64, 0, CL_INVALID_PROPERTY);
	}
	expect_error(CL_MEM_TYPE_HOST_INTEL, FLAGS(host), 64, 0, CL_INVALID_PROPERTY);
	expect_error(CL_MEM_TYPE_DEVICE_INTEL, FLAGS(device), 64, 0, CL_INVALID_PROPERTY);
	assert_null(clHostMemAllocINTEL(NULL, NULL, 64, 0, &err));
	assert_cl(err, CL_INVALID_CONTEXT);
	assert_null(clDeviceMemAllocINTEL(NULL, fx.device, NULL, 64, 0, &err));
	assert_cl(err, CL_INVALID_CONTEXT);
	assert_null(clDeviceMemAllocINTEL(fx.context, NULL, NULL, 64, 0, &err));
	assert_cl(err, CL_INVALID_DEVICE);
	assert_null(clSharedMemAllocINTEL(fx.context, (cl_device_id)fx.queue, NULL, 64, 0, &err));
	assert_cl(err, CL_INVALID_DEVICE);
	mcl_fake_set_memory_limit(100);
	expect_error(CL_MEM_TYPE_SHARED_INTEL, NULL, 4096, 0, CL_OUT_OF_RESOURCES);
	mcl_fake_set_memory_limit(0);
	mcl_fake_counts(&after);
	assert_int_equal(after.svm_blocks, before.svm_blocks);
}

static void expect_info(const void *ptr, cl_unified_shared_memory_type_intel type, const void *base, size_t size,
			cl_device_id device, cl_mem_alloc_flags_intel flags)
{
	cl_unified_shared_memory_type_intel got_type;
	cl_mem_alloc_flags_intel got_flags;
	cl_device_id got_device;
	size_t got_size, bytes;
	void *got_base;

	assert_ok(
		clGetMemAllocInfoINTEL(fx.context, ptr, CL_MEM_ALLOC_TYPE_INTEL, sizeof(got_type), &got_type, &bytes));
	assert_int_equal(bytes, sizeof(got_type));
	assert_int_equal(got_type, type);
	assert_ok(clGetMemAllocInfoINTEL(fx.context, ptr, CL_MEM_ALLOC_BASE_PTR_INTEL, sizeof(got_base), &got_base,
					 NULL));
	assert_ptr_equal(got_base, base);
	assert_ok(clGetMemAllocInfoINTEL(fx.context, ptr, CL_MEM_ALLOC_SIZE_INTEL, sizeof(got_size), &got_size, NULL));
	assert_int_equal(got_size, size);
	assert_ok(clGetMemAllocInfoINTEL(fx.context, ptr, CL_MEM_ALLOC_DEVICE_INTEL, sizeof(got_device), &got_device,
					 NULL));
	assert_ptr_equal(got_device, device);
	assert_ok(
		clGetMemAllocInfoINTEL(fx.context, ptr, CL_MEM_ALLOC_FLAGS_INTEL, sizeof(got_flags), &got_flags, NULL));
	assert_int_equal(got_flags, flags);
}

static void queries(void **state)
{
	const cl_mem_alloc_flags_intel flags = CL_MEM_ALLOC_INITIAL_PLACEMENT_DEVICE_INTEL;
	uint8_t *host = clHostMemAllocINTEL(fx.context, NULL, 100, 0, NULL);
	uint8_t *device = clDeviceMemAllocINTEL(fx.context, fx.device, FLAGS(0), 200, 0, NULL);
	uint8_t *shared = clSharedMemAllocINTEL(fx.context, NULL, FLAGS(flags), 300, 0, NULL);
	uint8_t *svm = clSVMAlloc(fx.context, 0, 400, 0);
	int mine;

	(void)state;
	expect_info(host, CL_MEM_TYPE_HOST_INTEL, host, 100, NULL, 0);
	expect_info(host + 99, CL_MEM_TYPE_HOST_INTEL, host, 100, NULL, 0);
	expect_info(device + 7, CL_MEM_TYPE_DEVICE_INTEL, device, 200, fx.device, 0);
	expect_info(shared + 299, CL_MEM_TYPE_SHARED_INTEL, shared, 300, NULL, flags);
	expect_info(svm, CL_MEM_TYPE_UNKNOWN_INTEL, NULL, 0, NULL, 0);
	expect_info(&mine, CL_MEM_TYPE_UNKNOWN_INTEL, NULL, 0, NULL, 0);
	expect_info(NULL, CL_MEM_TYPE_UNKNOWN_INTEL, NULL, 0, NULL, 0);
	assert_cl(clGetMemAllocInfoINTEL(NULL, host, CL_MEM_ALLOC_TYPE_INTEL, 4, &mine, NULL), CL_INVALID_CONTEXT);
	assert_cl(clGetMemAllocInfoINTEL(fx.context, host, CL_MEM_ALLOC_TYPE_INTEL, 1, &mine, NULL), CL_INVALID_VALUE);
	assert_cl(clGetMemAllocInfoINTEL(fx.context, host, 1, 4, &mine, NULL), CL_INVALID_VALUE);

	/* Each kind is freed by its own function, once, and by its start. */
	assert_cl(clMemFreeINTEL(fx.context, svm), CL_INVALID_VALUE);
	assert_cl(clMemFreeINTEL(fx.context, host + 1), CL_INVALID_VALUE);
	assert_cl(clMemFreeINTEL(fx.context, &mine), CL_INVALID_VALUE);
	assert_cl(clMemFreeINTEL(NULL, host), CL_INVALID_CONTEXT);
	assert_ok(clMemFreeINTEL(fx.context, NULL));
	clSVMFree(fx.context, host);
	expect_info(host, CL_MEM_TYPE_HOST_INTEL, host, 100, NULL, 0);
	clSVMFree(fx.context, svm);
	assert_ok(clMemFreeINTEL(fx.context, host));
	assert_cl(clMemFreeINTEL(fx.context, host), CL_INVALID_VALUE);
	expect_info(host, CL_MEM_TYPE_UNKNOWN_INTEL, NULL, 0, NULL, 0);
	assert_ok(clMemBlockingFreeINTEL(fx.context, device));
	assert_cl(clMemBlockingFreeINTEL(fx.context, device), CL_INVALID_VALUE);
	assert_ok(clMemFreeINTEL(fx.context, shared));
}

static cl_command_type type_of(cl_event event)
{
	cl_command_type type;

	assert_ok(clGetEventInfo(event, CL_EVENT_COMMAND_TYPE, sizeof(type), &type, NULL));
	assert_ok(clReleaseEvent(event));
	return type;
}

static void commands(void **state)
{
	uint8_t *p = clSharedMemAllocINTEL(fx.context, fx.device, NULL, 4096, 0, NULL), *heap = malloc(4096);
	const uint32_t word = 0x11223344;
	cl_event event;

	(void)state;
	assert_non_null(heap);
	assert_ok(clEnqueueMemFillINTEL(fx.queue, p, &word, 4, 4096, 0, NULL, &event));
	assert_int_equal(type_of(event), CL_COMMAND_MEMFILL_INTEL);
	assert_ok(clEnqueueMemsetINTEL(fx.queue, p, 0x155, 3, 0, NULL, &event));
	assert_int_equal(type_of(event), CL_COMMAND_MEMFILL_INTEL);
	assert_ok(clEnqueueMemcpyINTEL(fx.queue, CL_TRUE, heap, p, 4096, 0, NULL, &event));
	assert_int_equal(type_of(event), CL_COMMAND_MEMCPY_INTEL);
	assert_int_equal(heap[0], 0x55);
	assert_int_equal(heap[2], 0x55);
	assert_int_equal(heap[3], 0x11);
	assert_int_equal(heap[4095], 0x11);
	assert_ok(clEnqueueMigrateMemINTEL(fx.queue, p, 4096, 0, 0, NULL, &event));
	assert_int_equal(type_of(event), CL_COMMAND_MIGRATEMEM_INTEL);
	assert_ok(clEnqueueMemAdviseINTEL(fx.queue, p, 4096, 0, 0, NULL, &event));
	assert_int_equal(type_of(event), CL_COMMAND_MEMADVISE_INTEL);

	assert_cl(clEnqueueMemFillINTEL(NULL, p, &word, 4, 4096, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	assert_cl(clEnqueueMemFillINTEL(fx.queue, NULL, &word, 4, 4096, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMemFillINTEL(fx.queue, p, NULL, 4, 4096, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMemFillINTEL(fx.queue, p, &word, 4, 4095, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMemcpyINTEL(fx.queue, CL_TRUE, NULL, p, 4, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMemcpyINTEL(fx.queue, CL_TRUE, p, p + 1, 4, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	assert_cl(clEnqueueMigrateMemINTEL(fx.queue, NULL, 4, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMigrateMemINTEL(fx.queue, p, 4, 1 << 20, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMigrateMemINTEL(fx.queue, p + 1, 4096, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMemAdviseINTEL(fx.queue, NULL, 4, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMemAdviseINTEL(fx.queue, p, 4, 0, 1, NULL, NULL), CL_INVALID_EVENT_WAIT_LIST);
	assert_ok(clMemFreeINTEL(fx.context, p));
	free(heap);
}

static void *let_go(void *arg)
{
	(void)arg;
	fixture_sleep_us(50000);
	mcl_fake_hold(false);
	return NULL;
}

/* Nothing of any queue is under way any more when the memory is gone, however many queues there are. */
static void blocking_free(void **state)
{
	enum { QUEUES = 70 };
	uint8_t *p = clSharedMemAllocINTEL(fx.context, fx.device, NULL, QUEUES * 16, 0, NULL);
	const cl_uchar byte = 7;
	cl_command_queue queues[QUEUES];
	cl_event events[QUEUES];
	pthread_t thread;
	cl_int err;

	(void)state;
	mcl_fake_hold(true);
	for (int i = 0; i < QUEUES; i++) {
		queues[i] = clCreateCommandQueue(fx.context, fx.device, 0, &err);
		assert_ok(err);
		assert_ok(clEnqueueMemFillINTEL(queues[i], p + i * 16, &byte, 1, 16, 0, NULL, &events[i]));
		assert_ok(clFlush(queues[i]));
	}
	for (int i = 0; i < QUEUES; i++) {
		assert_ok(clGetEventInfo(events[i], CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(err), &err, NULL));
		assert_cl(err, CL_SUBMITTED);
	}
	assert_int_equal(pthread_create(&thread, NULL, let_go, NULL), 0);
	assert_ok(clMemBlockingFreeINTEL(fx.context, p));
	for (int i = 0; i < QUEUES; i++) {
		assert_ok(clGetEventInfo(events[i], CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(err), &err, NULL));
		assert_cl(err, CL_COMPLETE);
		assert_ok(clReleaseEvent(events[i]));
		assert_ok(clReleaseCommandQueue(queues[i]));
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void kernels(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_ARGS);
	const cl_bool yes = CL_TRUE;
	void *list[] = { &kernel, list };

	(void)state;
	assert_ok(clSetKernelArgMemPointerINTEL(kernel, 0, list));
	assert_ptr_equal(*(void **)kernel->args[0].value, list);
	assert_cl(clSetKernelArgMemPointerINTEL(kernel, 3, list), CL_INVALID_ARG_INDEX);
	assert_cl(clSetKernelArgMemPointerINTEL(kernel, 1, list), CL_INVALID_ARG_VALUE);
	assert_cl(clSetKernelArgMemPointerINTEL(NULL, 0, list), CL_INVALID_KERNEL);
	for (cl_kernel_exec_info name = CL_KERNEL_EXEC_INFO_INDIRECT_HOST_ACCESS_INTEL;
	     name <= CL_KERNEL_EXEC_INFO_INDIRECT_SHARED_ACCESS_INTEL; name++) {
		assert_ok(clSetKernelExecInfo(kernel, name, sizeof(yes), &yes));
		assert_cl(clSetKernelExecInfo(kernel, name, 1, &yes), CL_INVALID_VALUE);
		assert_cl(clSetKernelExecInfo(kernel, name, sizeof(yes), NULL), CL_INVALID_VALUE);
	}
	assert_ok(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_USM_PTRS_INTEL, sizeof(list), list));
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_USM_PTRS_INTEL, 7, list), CL_INVALID_VALUE);
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_USM_PTRS_INTEL, 0, NULL), CL_INVALID_VALUE);
	mcl_object_release_app(&kernel->obj);
}

/* What the device says is what it does: everything with all memory, if system SVM is there. */
static void capabilities(void **state)
{
	const cl_device_unified_shared_memory_capabilities_intel all =
		CL_UNIFIED_SHARED_MEMORY_ACCESS_INTEL | CL_UNIFIED_SHARED_MEMORY_ATOMIC_ACCESS_INTEL |
		CL_UNIFIED_SHARED_MEMORY_CONCURRENT_ACCESS_INTEL |
		CL_UNIFIED_SHARED_MEMORY_CONCURRENT_ATOMIC_ACCESS_INTEL;
	cl_device_unified_shared_memory_capabilities_intel got;
	cl_device_svm_capabilities svm;

	(void)state;
	assert_ok(clGetDeviceInfo(fx.device, CL_DEVICE_SVM_CAPABILITIES, sizeof(svm), &svm, NULL));
	for (cl_device_info name = CL_DEVICE_HOST_MEM_CAPABILITIES_INTEL;
	     name <= CL_DEVICE_SHARED_SYSTEM_MEM_CAPABILITIES_INTEL; name++) {
		assert_ok(clGetDeviceInfo(fx.device, name, sizeof(got), &got, NULL));
		assert_int_equal(got & all, got);
		if (name != CL_DEVICE_SHARED_SYSTEM_MEM_CAPABILITIES_INTEL || svm & CL_DEVICE_SVM_FINE_GRAIN_SYSTEM)
			assert_int_equal(!!(got & CL_UNIFIED_SHARED_MEMORY_CONCURRENT_ATOMIC_ACCESS_INTEL),
					 !!(svm & CL_DEVICE_SVM_ATOMICS));
		else
			assert_int_equal(got, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(allocation),    fixture_test(queries), fixture_test(commands),
		fixture_test(blocking_free), fixture_test(kernels), fixture_test(capabilities),
	};

	return cmocka_run_group_tests_name("usm", tests, NULL, NULL);
}
