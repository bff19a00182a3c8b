// SPDX-License-Identifier: MIT
/* The device: listing by type, every query, references, timers. */
#include "runtime/tests/fixture.h"

static void ids(void **state)
{
	cl_device_id device = NULL;
	cl_uint count = 7;

	(void)state;
	assert_cl(clGetDeviceIDs(&mcl_platform, 0, 1, &device, NULL), CL_INVALID_DEVICE_TYPE);
	assert_cl(clGetDeviceIDs(&mcl_platform, 1u << 9, 1, &device, NULL), CL_INVALID_DEVICE_TYPE);
	assert_cl(clGetDeviceIDs(&mcl_platform, CL_DEVICE_TYPE_ALL, 0, &device, NULL), CL_INVALID_VALUE);
	assert_cl(clGetDeviceIDs(&mcl_platform, CL_DEVICE_TYPE_ALL, 1, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clGetDeviceIDs((cl_platform_id)&mcl_device, CL_DEVICE_TYPE_ALL, 1, &device, NULL),
		  CL_INVALID_PLATFORM);
	assert_cl(clGetDeviceIDs(&mcl_platform, CL_DEVICE_TYPE_CPU, 1, &device, &count), CL_DEVICE_NOT_FOUND);
	assert_int_equal(count, 0);
	assert_cl(clGetDeviceIDs(&mcl_platform, CL_DEVICE_TYPE_CUSTOM, 1, &device, NULL), CL_DEVICE_NOT_FOUND);
	assert_null(device);
	assert_ok(clGetDeviceIDs(&mcl_platform, CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_CPU, 1, &device, &count));
	assert_int_equal(count, 1);
	assert_ptr_equal(device, &mcl_device);
	assert_ok(clGetDeviceIDs(&mcl_platform, CL_DEVICE_TYPE_DEFAULT, 0, NULL, &count));
	assert_ok(clGetDeviceIDs(NULL, CL_DEVICE_TYPE_ALL, 1, &device, NULL));
}

/* Name and size in bytes of every query; size 0: any, an array or a string. */
static const struct {
	const char *name;
	cl_device_info query;
	size_t size;
} queries[] = {
#define Q(name, size) { #name, name, size }
	Q(CL_DEVICE_TYPE, 8),
	Q(CL_DEVICE_VENDOR_ID, 4),
	Q(CL_DEVICE_MAX_COMPUTE_UNITS, 4),
	Q(CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, 4),
	Q(CL_DEVICE_MAX_WORK_ITEM_SIZES, 24),
	Q(CL_DEVICE_MAX_WORK_GROUP_SIZE, 8),
	Q(CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR, 4),
	Q(CL_DEVICE_PREFERRED_VECTOR_WIDTH_SHORT, 4),
	Q(CL_DEVICE_PREFERRED_VECTOR_WIDTH_INT, 4),
	Q(CL_DEVICE_PREFERRED_VECTOR_WIDTH_LONG, 4),
	Q(CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, 4),
	Q(CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE, 4),
	Q(CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF, 4),
	Q(CL_DEVICE_NATIVE_VECTOR_WIDTH_CHAR, 4),
	Q(CL_DEVICE_NATIVE_VECTOR_WIDTH_SHORT, 4),
	Q(CL_DEVICE_NATIVE_VECTOR_WIDTH_INT, 4),
	Q(CL_DEVICE_NATIVE_VECTOR_WIDTH_LONG, 4),
	Q(CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, 4),
	Q(CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE, 4),
	Q(CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF, 4),
	Q(CL_DEVICE_MAX_CLOCK_FREQUENCY, 4),
	Q(CL_DEVICE_ADDRESS_BITS, 4),
	Q(CL_DEVICE_MAX_MEM_ALLOC_SIZE, 8),
	Q(CL_DEVICE_IMAGE_SUPPORT, 4),
	Q(CL_DEVICE_MAX_READ_IMAGE_ARGS, 4),
	Q(CL_DEVICE_MAX_WRITE_IMAGE_ARGS, 4),
	Q(CL_DEVICE_MAX_READ_WRITE_IMAGE_ARGS, 4),
	Q(CL_DEVICE_IL_VERSION, 0),
	Q(CL_DEVICE_ILS_WITH_VERSION, 0),
	Q(CL_DEVICE_IMAGE2D_MAX_WIDTH, 8),
	Q(CL_DEVICE_IMAGE2D_MAX_HEIGHT, 8),
	Q(CL_DEVICE_IMAGE3D_MAX_WIDTH, 8),
	Q(CL_DEVICE_IMAGE3D_MAX_HEIGHT, 8),
	Q(CL_DEVICE_IMAGE3D_MAX_DEPTH, 8),
	Q(CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, 8),
	Q(CL_DEVICE_IMAGE_MAX_ARRAY_SIZE, 8),
	Q(CL_DEVICE_MAX_SAMPLERS, 4),
	Q(CL_DEVICE_IMAGE_PITCH_ALIGNMENT, 4),
	Q(CL_DEVICE_IMAGE_BASE_ADDRESS_ALIGNMENT, 4),
	Q(CL_DEVICE_MAX_PIPE_ARGS, 4),
	Q(CL_DEVICE_PIPE_MAX_ACTIVE_RESERVATIONS, 4),
	Q(CL_DEVICE_PIPE_MAX_PACKET_SIZE, 4),
	Q(CL_DEVICE_MAX_PARAMETER_SIZE, 8),
	Q(CL_DEVICE_MEM_BASE_ADDR_ALIGN, 4),
	Q(CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE, 4),
	Q(CL_DEVICE_SINGLE_FP_CONFIG, 8),
	Q(CL_DEVICE_DOUBLE_FP_CONFIG, 8),
	Q(CL_DEVICE_GLOBAL_MEM_CACHE_TYPE, 4),
	Q(CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE, 4),
	Q(CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, 8),
	Q(CL_DEVICE_GLOBAL_MEM_SIZE, 8),
	Q(CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, 8),
	Q(CL_DEVICE_MAX_CONSTANT_ARGS, 4),
	Q(CL_DEVICE_MAX_GLOBAL_VARIABLE_SIZE, 8),
	Q(CL_DEVICE_GLOBAL_VARIABLE_PREFERRED_TOTAL_SIZE, 8),
	Q(CL_DEVICE_LOCAL_MEM_TYPE, 4),
	Q(CL_DEVICE_LOCAL_MEM_SIZE, 8),
	Q(CL_DEVICE_ERROR_CORRECTION_SUPPORT, 4),
	Q(CL_DEVICE_HOST_UNIFIED_MEMORY, 4),
	Q(CL_DEVICE_PROFILING_TIMER_RESOLUTION, 8),
	Q(CL_DEVICE_ENDIAN_LITTLE, 4),
	Q(CL_DEVICE_AVAILABLE, 4),
	Q(CL_DEVICE_COMPILER_AVAILABLE, 4),
	Q(CL_DEVICE_LINKER_AVAILABLE, 4),
	Q(CL_DEVICE_EXECUTION_CAPABILITIES, 8),
	Q(CL_DEVICE_QUEUE_ON_HOST_PROPERTIES, 8),
	Q(CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES, 8),
	Q(CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE, 4),
	Q(CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE, 4),
	Q(CL_DEVICE_MAX_ON_DEVICE_QUEUES, 4),
	Q(CL_DEVICE_MAX_ON_DEVICE_EVENTS, 4),
	Q(CL_DEVICE_BUILT_IN_KERNELS, 0),
	Q(CL_DEVICE_BUILT_IN_KERNELS_WITH_VERSION, 0),
	Q(CL_DEVICE_PLATFORM, 8),
	Q(CL_DEVICE_NAME, 0),
	Q(CL_DEVICE_VENDOR, 0),
	Q(CL_DRIVER_VERSION, 0),
	Q(CL_DEVICE_PROFILE, 0),
	Q(CL_DEVICE_VERSION, 0),
	Q(CL_DEVICE_NUMERIC_VERSION, 4),
	Q(CL_DEVICE_OPENCL_C_VERSION, 0),
	Q(CL_DEVICE_OPENCL_C_ALL_VERSIONS, 0),
	Q(CL_DEVICE_OPENCL_C_FEATURES, 0),
	Q(CL_DEVICE_EXTENSIONS, 0),
	Q(CL_DEVICE_EXTENSIONS_WITH_VERSION, 0),
	Q(CL_DEVICE_PRINTF_BUFFER_SIZE, 8),
	Q(CL_DEVICE_PREFERRED_INTEROP_USER_SYNC, 4),
	Q(CL_DEVICE_PARENT_DEVICE, 8),
	Q(CL_DEVICE_PARTITION_MAX_SUB_DEVICES, 4),
	Q(CL_DEVICE_PARTITION_PROPERTIES, 0),
	Q(CL_DEVICE_PARTITION_AFFINITY_DOMAIN, 8),
	Q(CL_DEVICE_PARTITION_TYPE, 0),
	Q(CL_DEVICE_REFERENCE_COUNT, 4),
	Q(CL_DEVICE_SVM_CAPABILITIES, 8),
	Q(CL_DEVICE_PREFERRED_PLATFORM_ATOMIC_ALIGNMENT, 4),
	Q(CL_DEVICE_PREFERRED_GLOBAL_ATOMIC_ALIGNMENT, 4),
	Q(CL_DEVICE_PREFERRED_LOCAL_ATOMIC_ALIGNMENT, 4),
	Q(CL_DEVICE_MAX_NUM_SUB_GROUPS, 4),
	Q(CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS, 4),
	Q(CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES, 8),
	Q(CL_DEVICE_ATOMIC_FENCE_CAPABILITIES, 8),
	Q(CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT, 4),
	Q(CL_DEVICE_WORK_GROUP_COLLECTIVE_FUNCTIONS_SUPPORT, 4),
	Q(CL_DEVICE_GENERIC_ADDRESS_SPACE_SUPPORT, 4),
	Q(CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES, 8),
	Q(CL_DEVICE_PIPE_SUPPORT, 4),
	Q(CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, 8),
	Q(CL_DEVICE_LATEST_CONFORMANCE_VERSION_PASSED, 0),
#undef Q
};

static void every_query(void **state)
{
	static char text[16384];
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
		if (clGetDeviceInfo(&mcl_device, queries[i].query, 0, NULL, &size))
			fail_msg("%s is not answered", queries[i].name);
		if (queries[i].size && size != queries[i].size)
			fail_msg("%s has %zu bytes, not %zu", queries[i].name, size, queries[i].size);
		assert_ok(clGetDeviceInfo(&mcl_device, queries[i].query, sizeof(text), text, NULL));
		if (size)
			assert_cl(clGetDeviceInfo(&mcl_device, queries[i].query, size - 1, text, NULL),
				  CL_INVALID_VALUE);
	}
	assert_cl(clGetDeviceInfo(&mcl_device, 0x7777, sizeof(text), text, NULL), CL_INVALID_VALUE);
	assert_cl(clGetDeviceInfo(NULL, CL_DEVICE_NAME, sizeof(text), text, NULL), CL_INVALID_DEVICE);
}

static uint64_t ask(cl_device_info query)
{
	uint64_t value = 0;

	assert_ok(clGetDeviceInfo(&mcl_device, query, sizeof(value), &value, NULL));
	return value;
}

/* Least values that a full-profile device of OpenCL 3.0 must have. */
static void minimums(void **state)
{
	(void)state;
	assert_true(ask(CL_DEVICE_MAX_MEM_ALLOC_SIZE) >= ask(CL_DEVICE_GLOBAL_MEM_SIZE) / 4);
	assert_true(ask(CL_DEVICE_MAX_PARAMETER_SIZE) >= 1024);
	assert_true(ask(CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE) >= 64 << 10);
	assert_true(ask(CL_DEVICE_MAX_CONSTANT_ARGS) >= 8);
	assert_true(ask(CL_DEVICE_LOCAL_MEM_SIZE) >= 32 << 10);
	assert_true(ask(CL_DEVICE_PRINTF_BUFFER_SIZE) >= 1 << 20);
	assert_true(ask(CL_DEVICE_MAX_GLOBAL_VARIABLE_SIZE) >= 64 << 10);
	assert_true(ask(CL_DEVICE_MAX_COMPUTE_UNITS) >= 1);
	assert_int_equal(ask(CL_DEVICE_AVAILABLE), CL_TRUE);
	assert_int_equal(ask(CL_DEVICE_TYPE), CL_DEVICE_TYPE_GPU);
}

/* The four bits follow the mirror's capabilities; the fake one has them all. */
static void svm(void **state)
{
	(void)state;
	assert_int_equal(ask(CL_DEVICE_SVM_CAPABILITIES),
			 CL_DEVICE_SVM_COARSE_GRAIN_BUFFER | CL_DEVICE_SVM_FINE_GRAIN_BUFFER |
				 CL_DEVICE_SVM_FINE_GRAIN_SYSTEM | CL_DEVICE_SVM_ATOMICS);
	assert_true(ask(CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES) & CL_DEVICE_ATOMIC_SCOPE_ALL_DEVICES);
	/* Features are promised in the language exactly where the queries promise them. */
	assert_int_equal(ask(CL_DEVICE_GENERIC_ADDRESS_SPACE_SUPPORT), CL_TRUE);
	assert_int_equal(ask(CL_DEVICE_PIPE_SUPPORT), CL_FALSE);
	assert_int_equal(ask(CL_DEVICE_IMAGE_SUPPORT), CL_FALSE);
}

static void references_and_parts(void **state)
{
	cl_device_partition_property equally[] = { CL_DEVICE_PARTITION_EQUALLY, 1, 0 };
	cl_device_id part;

	(void)state;
	assert_ok(clRetainDevice(&mcl_device));
	assert_ok(clReleaseDevice(&mcl_device));
	assert_ok(clReleaseDevice(&mcl_device)); /* a root device is not counted */
	assert_int_equal(ask(CL_DEVICE_REFERENCE_COUNT), 1);
	assert_cl(clRetainDevice(NULL), CL_INVALID_DEVICE);
	assert_cl(clReleaseDevice((cl_device_id)&mcl_platform), CL_INVALID_DEVICE);
	assert_cl(clCreateSubDevices(NULL, equally, 1, &part, NULL), CL_INVALID_DEVICE);
	assert_cl(clCreateSubDevices(&mcl_device, NULL, 1, &part, NULL), CL_INVALID_VALUE);
	assert_cl(clCreateSubDevices(&mcl_device, equally, 1, &part, NULL), CL_INVALID_VALUE);
}

static void timers(void **state)
{
	cl_ulong host, device, later;

	(void)state;
	assert_cl(clGetHostTimer(NULL, &host), CL_INVALID_DEVICE);
	assert_cl(clGetHostTimer(&mcl_device, NULL), CL_INVALID_VALUE);
	assert_cl(clGetDeviceAndHostTimer(NULL, &device, &host), CL_INVALID_DEVICE);
	assert_cl(clGetDeviceAndHostTimer(&mcl_device, NULL, &host), CL_INVALID_VALUE);
	assert_cl(clGetDeviceAndHostTimer(&mcl_device, &device, NULL), CL_INVALID_VALUE);
	assert_ok(clGetDeviceAndHostTimer(&mcl_device, &device, &host));
	assert_ok(clGetHostTimer(&mcl_device, &later));
	assert_true(later >= host && host > 0 && device > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids), cmocka_unit_test(every_query),	       cmocka_unit_test(minimums),
		cmocka_unit_test(svm), cmocka_unit_test(references_and_parts), cmocka_unit_test(timers),
	};

	unsetenv("MIRRORCL_DEVICE_TYPE");
	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
