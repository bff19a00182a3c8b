// SPDX-License-Identifier: MIT
/*
 * cl_intel_unified_shared_memory, with which SYCL and HIP programs allocate: by the names of its functions, on every kind of memory,
 * and on the process's own, which is what CL_DEVICE_SHARED_SYSTEM_MEM_CAPABILITIES_INTEL promises. Arguments and errors are tested in
 * runtime/tests/test_usm.c.
 */
#include <stdlib.h>
#include <string.h>

#include <CL/cl_ext.h>

#include "harness.h"
#include "usm.cl.h"

enum { WORDS = 3 << 20 >> 2 };

static struct {
	clHostMemAllocINTEL_fn host_alloc;
	clDeviceMemAllocINTEL_fn device_alloc;
	clSharedMemAllocINTEL_fn shared_alloc;
	clMemFreeINTEL_fn free;
	clMemBlockingFreeINTEL_fn blocking_free;
	clGetMemAllocInfoINTEL_fn info;
	clSetKernelArgMemPointerINTEL_fn arg;
	clEnqueueMemFillINTEL_fn fill;
	clEnqueueMemsetINTEL_fn set;
	clEnqueueMemcpyINTEL_fn copy;
	clEnqueueMigrateMemINTEL_fn migrate;
	clEnqueueMemAdviseINTEL_fn advise;
} usm;

static void find(void *function, const char *name)
{
	void *found = clGetExtensionFunctionAddressForPlatform(conf.platform, name);

	assert_non_null(found);
	memcpy(function, &found, sizeof(found));
}

static void find_all(void)
{
	find(&usm.host_alloc, "clHostMemAllocINTEL");
	find(&usm.device_alloc, "clDeviceMemAllocINTEL");
	find(&usm.shared_alloc, "clSharedMemAllocINTEL");
	find(&usm.free, "clMemFreeINTEL");
	find(&usm.blocking_free, "clMemBlockingFreeINTEL");
	find(&usm.info, "clGetMemAllocInfoINTEL");
	find(&usm.arg, "clSetKernelArgMemPointerINTEL");
	find(&usm.fill, "clEnqueueMemFillINTEL");
	find(&usm.set, "clEnqueueMemsetINTEL");
	find(&usm.copy, "clEnqueueMemcpyINTEL");
	find(&usm.migrate, "clEnqueueMigrateMemINTEL");
	find(&usm.advise, "clEnqueueMemAdviseINTEL");
}

static void queries(void **state)
{
	const cl_device_unified_shared_memory_capabilities_intel all =
		CL_UNIFIED_SHARED_MEMORY_ACCESS_INTEL | CL_UNIFIED_SHARED_MEMORY_ATOMIC_ACCESS_INTEL |
		CL_UNIFIED_SHARED_MEMORY_CONCURRENT_ACCESS_INTEL |
		CL_UNIFIED_SHARED_MEMORY_CONCURRENT_ATOMIC_ACCESS_INTEL;
	cl_device_unified_shared_memory_capabilities_intel got;
	char extensions[2048];

	(void)state;
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_EXTENSIONS, sizeof(extensions), extensions, NULL));
	assert_non_null(strstr(extensions, "cl_intel_unified_shared_memory"));
	for (cl_device_info name = CL_DEVICE_HOST_MEM_CAPABILITIES_INTEL;
	     name <= CL_DEVICE_SHARED_SYSTEM_MEM_CAPABILITIES_INTEL; name++) {
		assert_cl(clGetDeviceInfo(conf.device, name, sizeof(got), &got, NULL));
		assert_true(got == all);
	}
}

static void check(const cl_int *data, cl_int first)
{
	for (cl_int i = 0; i < WORDS; i++)
		assert_int_equal(data[i], first + i);
}

/* Host and device take turns on the same memory; it is moved to and fro meanwhile. */
static void use(cl_int *data)
{
	cl_kernel kernel = conf_kernel("add");
	cl_int *copy = conf_malloc(WORDS * sizeof(*copy));
	const cl_int x = 1000;

	for (cl_int i = 0; i < WORDS; i++)
		data[i] = i;
	assert_cl(usm.arg(kernel, 0, data));
	set_arg(kernel, 1, x);
	conf_run(kernel, WORDS, 64);
	check(data, 1000);
	assert_cl(usm.migrate(conf.queue, data, WORDS * sizeof(*data), 0, 0, NULL, NULL));
	assert_cl(usm.advise(conf.queue, data, WORDS * sizeof(*data), 0, 0, NULL, NULL));
	conf_run(kernel, WORDS, 64);
	assert_cl(usm.copy(conf.queue, CL_TRUE, copy, data, WORDS * sizeof(*data), 0, NULL, NULL));
	check(copy, 2000);
	assert_cl(usm.migrate(conf.queue, data, WORDS * sizeof(*data), CL_MIGRATE_MEM_OBJECT_HOST, 0, NULL, NULL));
	conf_run(kernel, WORDS, 64);
	check(data, 3000);
	assert_cl(usm.fill(conf.queue, data, &x, sizeof(x), WORDS * sizeof(*data), 0, NULL, NULL));
	assert_cl(usm.set(conf.queue, data, 1, sizeof(*data), 0, NULL, NULL));
	conf_run(kernel, WORDS, 64);
	assert_int_equal(data[0], 0x01010101 + 1000);
	for (size_t i = 1; i < WORDS; i++)
		assert_int_equal(data[i], 2000);
	free(copy);
	assert_cl(clReleaseKernel(kernel));
}

static void host_memory(void **state)
{
	cl_int err, *data = usm.host_alloc(conf.context, NULL, WORDS * sizeof(*data), 0, &err);

	(void)state;
	assert_cl(err);
	use(data);
	assert_cl(usm.free(conf.context, data));
}

static void device_memory(void **state)
{
	cl_int err, *data = usm.device_alloc(conf.context, conf.device, NULL, WORDS * sizeof(*data), 64, &err);

	(void)state;
	assert_cl(err);
	use(data);
	assert_cl(usm.blocking_free(conf.context, data));
}

static void shared_memory(void **state)
{
	const cl_mem_properties_intel properties[] = { CL_MEM_ALLOC_FLAGS_INTEL,
						       CL_MEM_ALLOC_INITIAL_PLACEMENT_DEVICE_INTEL, 0 };
	cl_int err, *data = usm.shared_alloc(conf.context, NULL, properties, WORDS * sizeof(*data), 4096, &err);
	cl_unified_shared_memory_type_intel type;

	(void)state;
	assert_cl(err);
	assert_cl(usm.info(conf.context, &data[WORDS - 1], CL_MEM_ALLOC_TYPE_INTEL, sizeof(type), &type, NULL));
	assert_int_equal(type, CL_MEM_TYPE_SHARED_INTEL);
	use(data);
	assert_cl(usm.free(conf.context, data));
}

static void system_memory(void **state)
{
	cl_int *data = conf_malloc(WORDS * sizeof(*data));
	cl_unified_shared_memory_type_intel type;

	(void)state;
	assert_cl(usm.info(conf.context, data, CL_MEM_ALLOC_TYPE_INTEL, sizeof(type), &type, NULL));
	assert_int_equal(type, CL_MEM_TYPE_UNKNOWN_INTEL);
	use(data);
	free(data);
}

struct box {
	cl_int *data;
	cl_int count;
};

/* Memory that a kernel reaches through other memory only; nobody has to say so, but may. */
static void indirect(void **state)
{
	cl_kernel kernel = conf_kernel("add_indirect");
	struct box *box = usm.shared_alloc(conf.context, conf.device, NULL, sizeof(*box), 0, NULL);
	cl_int *host = usm.host_alloc(conf.context, NULL, 100 * sizeof(*host), 0, NULL), on_stack[100];
	const cl_bool yes = CL_TRUE;
	cl_long sum = 0;

	(void)state;
	assert_non_null(box);
	assert_non_null(host);
	for (int i = 0; i < 100; i++)
		host[i] = on_stack[i] = i;
	for (cl_kernel_exec_info name = CL_KERNEL_EXEC_INFO_INDIRECT_HOST_ACCESS_INTEL;
	     name <= CL_KERNEL_EXEC_INFO_INDIRECT_SHARED_ACCESS_INTEL; name++)
		assert_cl(clSetKernelExecInfo(kernel, name, sizeof(yes), &yes));
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_USM_PTRS_INTEL, sizeof(host), &host));
	assert_cl(usm.arg(kernel, 0, box));
	set_arg(kernel, 1, 3);
	assert_cl(usm.arg(kernel, 2, &sum));
	*box = (struct box){ host, 100 };
	conf_run(kernel, 1, 1);
	assert_true(sum == 99 * 50 + 300);
	assert_int_equal(host[99], 102);
	*box = (struct box){ on_stack, 50 };
	conf_run(kernel, 1, 1);
	assert_true(sum == 49 * 25 + 150);
	assert_int_equal(on_stack[49], 52);
	assert_int_equal(on_stack[50], 50);
	assert_cl(usm.free(conf.context, host));
	assert_cl(usm.free(conf.context, box));
	assert_cl(clReleaseKernel(kernel));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries),	 cmocka_unit_test(host_memory),	  cmocka_unit_test(device_memory),
		cmocka_unit_test(shared_memory), cmocka_unit_test(system_memory), cmocka_unit_test(indirect),
	};
	int failed;

	conf_open(usm_cl);
	find_all();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
