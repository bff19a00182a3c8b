// SPDX-License-Identifier: MIT
/*
 * Every query that OpenCL 3.0 requires of an object: it is answered, in the size of its type, never below the least value
 * that the specification allows, and under the rules that all queries share. What the answers mean is tested elsewhere.
 */
#include <string.h>

#include "harness.h"
#include "queries.cl.h"

enum { STRING = -1, ANY = -2 }; /* instead of a size: text with its terminator; as many bytes as there are */

struct query {
	unsigned int name;
	int size;
	uint64_t least; /* of the value, when it is a number */
};

typedef cl_int (*ask_fn)(void *object, unsigned int name, size_t size, void *value, size_t *size_ret);

/* One query under all rules; @context says which in messages. */
static void check(const char *what, ask_fn ask, void *object, const struct query *query)
{
	static unsigned char value[65536];
	size_t size = 12345, again = 12345;
	cl_int err = ask(object, query->name, 0, NULL, &size);
	uint64_t number = 0;

	if (err)
		fail_msg("%s 0x%x returned %d", what, query->name, err);
	assert_true(size < sizeof(value));
	if (query->size >= 0 && size != (size_t)query->size)
		fail_msg("%s 0x%x has %zu bytes instead of %d", what, query->name, size, query->size);
	memset(value, 0xa5, sizeof(value));
	assert_cl(ask(object, query->name, size, value, &again));
	assert_int_equal(again, size);
	assert_int_equal(value[size], 0xa5);
	if (query->size == STRING && (!size || strlen((char *)value) != size - 1))
		fail_msg("%s 0x%x is no string", what, query->name);
	if (query->size > 0 && query->size <= 8) {
		memcpy(&number, value, size);
		if (number < query->least)
			fail_msg("%s 0x%x is %llu, at least %llu is required", what, query->name,
				 (unsigned long long)number, (unsigned long long)query->least);
	}
	/* More room than needed is fine, less is not, and no size needs to be asked for. */
	memset(value, 0xa5, sizeof(value));
	assert_cl(ask(object, query->name, size + 100, value, NULL));
	assert_int_equal(value[size], 0xa5);
	if (size) {
		memset(value, 0xa5, sizeof(value));
		assert_cl_error(ask(object, query->name, size - 1, value, NULL), CL_INVALID_VALUE);
		assert_int_equal(value[0], 0xa5);
	}
}

static void check_all(const char *what, ask_fn ask, void *object, const struct query *queries, size_t count)
{
	char byte[64];

	for (size_t i = 0; i < count; i++)
		check(what, ask, object, &queries[i]);
	for (unsigned int unknown = 0x7700; unknown < 0x7710; unknown++)
		assert_cl_error(ask(object, unknown, sizeof(byte), byte, NULL), CL_INVALID_VALUE);
}
#define CHECK_ALL(ask, object, queries) check_all(#ask, ask, object, queries, sizeof(queries) / sizeof(*(queries)))

static cl_int ask_platform(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetPlatformInfo(object, name, size, value, size_ret);
}

static cl_int ask_device(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetDeviceInfo(object, name, size, value, size_ret);
}

static cl_int ask_context(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetContextInfo(object, name, size, value, size_ret);
}

static cl_int ask_queue(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetCommandQueueInfo(object, name, size, value, size_ret);
}

static cl_int ask_mem(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetMemObjectInfo(object, name, size, value, size_ret);
}

static cl_int ask_event(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetEventInfo(object, name, size, value, size_ret);
}

static cl_int ask_profile(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetEventProfilingInfo(object, name, size, value, size_ret);
}

static cl_int ask_program(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetProgramInfo(object, name, size, value, size_ret);
}

static cl_int ask_build(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetProgramBuildInfo(object, conf.device, name, size, value, size_ret);
}

static cl_int ask_kernel(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetKernelInfo(object, name, size, value, size_ret);
}

static cl_int ask_argument(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetKernelArgInfo(object, 0, name, size, value, size_ret);
}

static cl_int ask_work_group(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	return clGetKernelWorkGroupInfo(object, conf.device, name, size, value, size_ret);
}

static cl_int ask_sub_group(void *object, unsigned int name, size_t size, void *value, size_t *size_ret)
{
	const size_t local[2] = { 8, 2 };

	return clGetKernelSubGroupInfo(object, conf.device, name, sizeof(local), local, size, value, size_ret);
}

static void platform(void **state)
{
	static const struct query queries[] = {
		{ CL_PLATFORM_PROFILE, STRING, 0 },
		{ CL_PLATFORM_VERSION, STRING, 0 },
		{ CL_PLATFORM_NUMERIC_VERSION, sizeof(cl_version), CL_MAKE_VERSION(3, 0, 0) },
		{ CL_PLATFORM_NAME, STRING, 0 },
		{ CL_PLATFORM_VENDOR, STRING, 0 },
		{ CL_PLATFORM_EXTENSIONS, STRING, 0 },
		{ CL_PLATFORM_EXTENSIONS_WITH_VERSION, ANY, 0 },
		{ CL_PLATFORM_HOST_TIMER_RESOLUTION, sizeof(cl_ulong), 1 },
	};

	(void)state;
	CHECK_ALL(ask_platform, conf.platform, queries);
}

static void device(void **state)
{
	enum { U = sizeof(cl_uint), L = sizeof(cl_ulong), S = sizeof(size_t), B = sizeof(cl_bool) };
	static const struct query queries[] = {
		{ CL_DEVICE_TYPE, L, 1 },
		{ CL_DEVICE_VENDOR_ID, U, 1 },
		{ CL_DEVICE_MAX_COMPUTE_UNITS, U, 1 },
		{ CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, U, 3 },
		{ CL_DEVICE_MAX_WORK_ITEM_SIZES, 3 * S, 0 },
		{ CL_DEVICE_MAX_WORK_GROUP_SIZE, S, 1 },
		{ CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR, U, 1 },
		{ CL_DEVICE_PREFERRED_VECTOR_WIDTH_SHORT, U, 1 },
		{ CL_DEVICE_PREFERRED_VECTOR_WIDTH_INT, U, 1 },
		{ CL_DEVICE_PREFERRED_VECTOR_WIDTH_LONG, U, 1 },
		{ CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, U, 1 },
		{ CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE, U, 0 },
		{ CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF, U, 0 },
		{ CL_DEVICE_NATIVE_VECTOR_WIDTH_CHAR, U, 1 },
		{ CL_DEVICE_NATIVE_VECTOR_WIDTH_SHORT, U, 1 },
		{ CL_DEVICE_NATIVE_VECTOR_WIDTH_INT, U, 1 },
		{ CL_DEVICE_NATIVE_VECTOR_WIDTH_LONG, U, 1 },
		{ CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, U, 1 },
		{ CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE, U, 0 },
		{ CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF, U, 0 },
		{ CL_DEVICE_MAX_CLOCK_FREQUENCY, U, 0 },
		{ CL_DEVICE_ADDRESS_BITS, U, 32 },
		{ CL_DEVICE_MAX_MEM_ALLOC_SIZE, L, 1 << 20 },
		{ CL_DEVICE_IMAGE_SUPPORT, B, 0 },
		{ CL_DEVICE_MAX_READ_IMAGE_ARGS, U, 0 },
		{ CL_DEVICE_MAX_WRITE_IMAGE_ARGS, U, 0 },
		{ CL_DEVICE_MAX_READ_WRITE_IMAGE_ARGS, U, 0 },
		{ CL_DEVICE_IL_VERSION, STRING, 0 },
		{ CL_DEVICE_ILS_WITH_VERSION, ANY, 0 },
		{ CL_DEVICE_IMAGE2D_MAX_WIDTH, S, 0 },
		{ CL_DEVICE_IMAGE2D_MAX_HEIGHT, S, 0 },
		{ CL_DEVICE_IMAGE3D_MAX_WIDTH, S, 0 },
		{ CL_DEVICE_IMAGE3D_MAX_HEIGHT, S, 0 },
		{ CL_DEVICE_IMAGE3D_MAX_DEPTH, S, 0 },
		{ CL_DEVICE_IMAGE_MAX_BUFFER_SIZE, S, 0 },
		{ CL_DEVICE_IMAGE_MAX_ARRAY_SIZE, S, 0 },
		{ CL_DEVICE_MAX_SAMPLERS, U, 0 },
		{ CL_DEVICE_IMAGE_PITCH_ALIGNMENT, U, 0 },
		{ CL_DEVICE_IMAGE_BASE_ADDRESS_ALIGNMENT, U, 0 },
		{ CL_DEVICE_MAX_PIPE_ARGS, U, 0 },
		{ CL_DEVICE_PIPE_MAX_ACTIVE_RESERVATIONS, U, 0 },
		{ CL_DEVICE_PIPE_MAX_PACKET_SIZE, U, 0 },
		{ CL_DEVICE_MAX_PARAMETER_SIZE, S, 1024 },
		{ CL_DEVICE_MEM_BASE_ADDR_ALIGN, U, 1024 },
		{ CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE, U, 128 },
		{ CL_DEVICE_SINGLE_FP_CONFIG, L, CL_FP_INF_NAN | CL_FP_ROUND_TO_NEAREST },
		{ CL_DEVICE_DOUBLE_FP_CONFIG, L, 0 },
		{ CL_DEVICE_GLOBAL_MEM_CACHE_TYPE, U, 0 },
		{ CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE, U, 0 },
		{ CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, L, 0 },
		{ CL_DEVICE_GLOBAL_MEM_SIZE, L, 1 << 20 },
		{ CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, L, 64 << 10 },
		{ CL_DEVICE_MAX_CONSTANT_ARGS, U, 8 },
		{ CL_DEVICE_MAX_GLOBAL_VARIABLE_SIZE, S, 64 << 10 },
		{ CL_DEVICE_GLOBAL_VARIABLE_PREFERRED_TOTAL_SIZE, S, 0 },
		{ CL_DEVICE_LOCAL_MEM_TYPE, U, 1 },
		{ CL_DEVICE_LOCAL_MEM_SIZE, L, 32 << 10 },
		{ CL_DEVICE_ERROR_CORRECTION_SUPPORT, B, 0 },
		{ CL_DEVICE_HOST_UNIFIED_MEMORY, B, 0 },
		{ CL_DEVICE_PROFILING_TIMER_RESOLUTION, S, 1 },
		{ CL_DEVICE_ENDIAN_LITTLE, B, 0 },
		{ CL_DEVICE_AVAILABLE, B, CL_TRUE },
		{ CL_DEVICE_COMPILER_AVAILABLE, B, CL_TRUE },
		{ CL_DEVICE_LINKER_AVAILABLE, B, CL_TRUE },
		{ CL_DEVICE_EXECUTION_CAPABILITIES, L, CL_EXEC_KERNEL },
		{ CL_DEVICE_QUEUE_PROPERTIES, L, CL_QUEUE_PROFILING_ENABLE },
		{ CL_DEVICE_QUEUE_ON_HOST_PROPERTIES, L, CL_QUEUE_PROFILING_ENABLE },
		{ CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES, L, 0 },
		{ CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE, U, 0 },
		{ CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE, U, 0 },
		{ CL_DEVICE_MAX_ON_DEVICE_QUEUES, U, 0 },
		{ CL_DEVICE_MAX_ON_DEVICE_EVENTS, U, 0 },
		{ CL_DEVICE_BUILT_IN_KERNELS, STRING, 0 },
		{ CL_DEVICE_BUILT_IN_KERNELS_WITH_VERSION, ANY, 0 },
		{ CL_DEVICE_PLATFORM, sizeof(cl_platform_id), 1 },
		{ CL_DEVICE_NAME, STRING, 0 },
		{ CL_DEVICE_VENDOR, STRING, 0 },
		{ CL_DRIVER_VERSION, STRING, 0 },
		{ CL_DEVICE_PROFILE, STRING, 0 },
		{ CL_DEVICE_VERSION, STRING, 0 },
		{ CL_DEVICE_NUMERIC_VERSION, sizeof(cl_version), CL_MAKE_VERSION(3, 0, 0) },
		{ CL_DEVICE_OPENCL_C_VERSION, STRING, 0 },
		{ CL_DEVICE_OPENCL_C_ALL_VERSIONS, ANY, 0 },
		{ CL_DEVICE_OPENCL_C_FEATURES, ANY, 0 },
		{ CL_DEVICE_EXTENSIONS, STRING, 0 },
		{ CL_DEVICE_EXTENSIONS_WITH_VERSION, ANY, 0 },
		{ CL_DEVICE_PRINTF_BUFFER_SIZE, S, 1 << 20 },
		{ CL_DEVICE_PREFERRED_INTEROP_USER_SYNC, B, 0 },
		{ CL_DEVICE_PARENT_DEVICE, sizeof(cl_device_id), 0 },
		{ CL_DEVICE_PARTITION_MAX_SUB_DEVICES, U, 0 },
		{ CL_DEVICE_PARTITION_PROPERTIES, ANY, 0 },
		{ CL_DEVICE_PARTITION_AFFINITY_DOMAIN, L, 0 },
		{ CL_DEVICE_PARTITION_TYPE, ANY, 0 },
		{ CL_DEVICE_REFERENCE_COUNT, U, 1 },
		{ CL_DEVICE_SVM_CAPABILITIES, L, CL_DEVICE_SVM_COARSE_GRAIN_BUFFER },
		{ CL_DEVICE_PREFERRED_PLATFORM_ATOMIC_ALIGNMENT, U, 0 },
		{ CL_DEVICE_PREFERRED_GLOBAL_ATOMIC_ALIGNMENT, U, 0 },
		{ CL_DEVICE_PREFERRED_LOCAL_ATOMIC_ALIGNMENT, U, 0 },
		{ CL_DEVICE_MAX_NUM_SUB_GROUPS, U, 0 },
		{ CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS, B, 0 },
		{ CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES, L, CL_DEVICE_ATOMIC_ORDER_RELAXED },
		{ CL_DEVICE_ATOMIC_FENCE_CAPABILITIES, L, CL_DEVICE_ATOMIC_ORDER_RELAXED },
		{ CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT, B, 0 },
		{ CL_DEVICE_WORK_GROUP_COLLECTIVE_FUNCTIONS_SUPPORT, B, 0 },
		{ CL_DEVICE_GENERIC_ADDRESS_SPACE_SUPPORT, B, 0 },
		{ CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES, L, 0 },
		{ CL_DEVICE_PIPE_SUPPORT, B, 0 },
		{ CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, S, 1 },
		{ CL_DEVICE_LATEST_CONFORMANCE_VERSION_PASSED, STRING, 0 },
	};
	cl_uint align;

	(void)state;
	CHECK_ALL(ask_device, conf.device, queries);
	/* A quarter of the memory at least can be had at once. */
	cl_ulong max, all;
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(max), &max, NULL));
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(all), &all, NULL));
	assert_true(max >= (all / 4 < (1ul << 30) ? all / 4 : 1ul << 30));
	assert_cl(
		clGetDeviceInfo(conf.device, CL_DEVICE_PREFERRED_GLOBAL_ATOMIC_ALIGNMENT, sizeof(align), &align, NULL));
	assert_int_equal(align & (align - 1), 0);
}

static void context_and_queue(void **state)
{
	static const struct query of_context[] = {
		{ CL_CONTEXT_REFERENCE_COUNT, sizeof(cl_uint), 1 },
		{ CL_CONTEXT_NUM_DEVICES, sizeof(cl_uint), 1 },
		{ CL_CONTEXT_DEVICES, sizeof(cl_device_id), 1 },
		{ CL_CONTEXT_PROPERTIES, ANY, 0 },
	};
	static const struct query of_queue[] = {
		{ CL_QUEUE_CONTEXT, sizeof(cl_context), 1 },
		{ CL_QUEUE_DEVICE, sizeof(cl_device_id), 1 },
		{ CL_QUEUE_REFERENCE_COUNT, sizeof(cl_uint), 1 },
		{ CL_QUEUE_PROPERTIES, sizeof(cl_command_queue_properties), CL_QUEUE_PROFILING_ENABLE },
		{ CL_QUEUE_PROPERTIES_ARRAY, ANY, 0 },
		{ CL_QUEUE_DEVICE_DEFAULT, sizeof(cl_command_queue), 0 },
	};
	cl_uint value;

	(void)state;
	CHECK_ALL(ask_context, conf.context, of_context);
	CHECK_ALL(ask_queue, conf.queue, of_queue);
	/* Of a queue on the host this cannot be asked. */
	assert_cl_error(clGetCommandQueueInfo(conf.queue, CL_QUEUE_SIZE, sizeof(value), &value, NULL),
			CL_INVALID_COMMAND_QUEUE);
}

static void mem(void **state)
{
	static const struct query queries[] = {
		{ CL_MEM_TYPE, sizeof(cl_mem_object_type), CL_MEM_OBJECT_BUFFER },
		{ CL_MEM_FLAGS, sizeof(cl_mem_flags), CL_MEM_READ_WRITE },
		{ CL_MEM_SIZE, sizeof(size_t), 128 },
		{ CL_MEM_HOST_PTR, sizeof(void *), 0 },
		{ CL_MEM_MAP_COUNT, sizeof(cl_uint), 0 },
		{ CL_MEM_REFERENCE_COUNT, sizeof(cl_uint), 1 },
		{ CL_MEM_CONTEXT, sizeof(cl_context), 1 },
		{ CL_MEM_ASSOCIATED_MEMOBJECT, sizeof(cl_mem), 0 },
		{ CL_MEM_OFFSET, sizeof(size_t), 0 },
		{ CL_MEM_USES_SVM_POINTER, sizeof(cl_bool), 0 },
		{ CL_MEM_PROPERTIES, ANY, 0 },
	};
	const cl_buffer_region region = { 256, 128 };
	const cl_mem_properties none[] = { 0 };
	cl_mem_properties properties[2] = { 7, 7 };
	cl_mem buffer, sub, parent;
	cl_mem_flags flags;
	size_t value;
	cl_int err;

	(void)state;
	buffer = clCreateBufferWithProperties(conf.context, none, CL_MEM_READ_WRITE, 4096, NULL, &err);
	assert_cl(err);
	sub = clCreateSubBuffer(buffer, CL_MEM_HOST_READ_ONLY, CL_BUFFER_CREATE_TYPE_REGION, &region, &err);
	assert_cl(err);
	CHECK_ALL(ask_mem, buffer, queries);
	CHECK_ALL(ask_mem, sub, queries);
	assert_cl(clGetMemObjectInfo(sub, CL_MEM_OFFSET, sizeof(value), &value, NULL));
	assert_int_equal(value, 256);
	assert_cl(clGetMemObjectInfo(sub, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof(parent), &parent, NULL));
	assert_ptr_equal(parent, buffer);
	assert_cl(clGetMemObjectInfo(sub, CL_MEM_FLAGS, sizeof(flags), &flags, NULL));
	assert_int_equal(flags, CL_MEM_READ_WRITE | CL_MEM_HOST_READ_ONLY);
	/* The list comes back as it was given: with its end, or not at all. */
	assert_cl(clGetMemObjectInfo(buffer, CL_MEM_PROPERTIES, sizeof(properties), properties, &value));
	assert_int_equal(value, sizeof(none));
	assert_int_equal(properties[0], 0);
	assert_cl(clGetMemObjectInfo(sub, CL_MEM_PROPERTIES, 0, NULL, &value));
	assert_int_equal(value, 0);
	assert_cl(clReleaseMemObject(sub));
	assert_cl(clReleaseMemObject(buffer));
}

static void event(void **state)
{
	static const struct query queries[] = {
		{ CL_EVENT_COMMAND_QUEUE, sizeof(cl_command_queue), 0 },
		{ CL_EVENT_CONTEXT, sizeof(cl_context), 1 },
		{ CL_EVENT_COMMAND_TYPE, sizeof(cl_command_type), 1 },
		{ CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(cl_int), 0 },
		{ CL_EVENT_REFERENCE_COUNT, sizeof(cl_uint), 1 },
	};
	static const struct query profile[] = {
		{ CL_PROFILING_COMMAND_QUEUED, sizeof(cl_ulong), 1 },
		{ CL_PROFILING_COMMAND_SUBMIT, sizeof(cl_ulong), 1 },
		{ CL_PROFILING_COMMAND_START, sizeof(cl_ulong), 1 },
		{ CL_PROFILING_COMMAND_END, sizeof(cl_ulong), 1 },
		{ CL_PROFILING_COMMAND_COMPLETE, sizeof(cl_ulong), 1 },
	};
	cl_event marker, user;
	cl_ulong time;
	cl_int err;

	(void)state;
	user = clCreateUserEvent(conf.context, &err);
	assert_cl(err);
	assert_cl(clEnqueueMarkerWithWaitList(conf.queue, 1, &user, &marker));
	CHECK_ALL(ask_event, user, queries);
	CHECK_ALL(ask_event, marker, queries);
	/* No times before the end, and none of user events. */
	assert_cl_error(clGetEventProfilingInfo(marker, CL_PROFILING_COMMAND_END, sizeof(time), &time, NULL),
			CL_PROFILING_INFO_NOT_AVAILABLE);
	assert_cl(clSetUserEventStatus(user, CL_COMPLETE));
	assert_cl_error(clGetEventProfilingInfo(user, CL_PROFILING_COMMAND_END, sizeof(time), &time, NULL),
			CL_PROFILING_INFO_NOT_AVAILABLE);
	assert_cl(clWaitForEvents(1, &marker));
	CHECK_ALL(ask_profile, marker, profile);
	assert_cl(clReleaseEvent(marker));
	assert_cl(clReleaseEvent(user));
}

static void program(void **state)
{
	static const struct query queries[] = {
		{ CL_PROGRAM_REFERENCE_COUNT, sizeof(cl_uint), 1 },
		{ CL_PROGRAM_CONTEXT, sizeof(cl_context), 1 },
		{ CL_PROGRAM_NUM_DEVICES, sizeof(cl_uint), 1 },
		{ CL_PROGRAM_DEVICES, sizeof(cl_device_id), 1 },
		{ CL_PROGRAM_SOURCE, sizeof(queries_cl), 0 },
		{ CL_PROGRAM_IL, ANY, 0 },
		{ CL_PROGRAM_BINARY_SIZES, sizeof(size_t), 1 },
		{ CL_PROGRAM_NUM_KERNELS, sizeof(size_t), 2 },
		{ CL_PROGRAM_KERNEL_NAMES, STRING, 0 },
		{ CL_PROGRAM_SCOPE_GLOBAL_CTORS_PRESENT, sizeof(cl_bool), 0 },
		{ CL_PROGRAM_SCOPE_GLOBAL_DTORS_PRESENT, sizeof(cl_bool), 0 },
	};
	static const struct query build[] = {
		{ CL_PROGRAM_BUILD_STATUS, sizeof(cl_build_status), 0 },
		{ CL_PROGRAM_BUILD_OPTIONS, STRING, 0 },
		{ CL_PROGRAM_BUILD_LOG, STRING, 0 },
		{ CL_PROGRAM_BINARY_TYPE, sizeof(cl_program_binary_type), CL_PROGRAM_BINARY_TYPE_EXECUTABLE },
		{ CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE, sizeof(size_t), 0 },
	};

	(void)state;
	CHECK_ALL(ask_program, conf.program, queries);
	CHECK_ALL(ask_build, conf.program, build);
}

static void kernel(void **state)
{
	static const struct query queries[] = {
		{ CL_KERNEL_FUNCTION_NAME, STRING, 0 },
		{ CL_KERNEL_NUM_ARGS, sizeof(cl_uint), 3 },
		{ CL_KERNEL_REFERENCE_COUNT, sizeof(cl_uint), 1 },
		{ CL_KERNEL_CONTEXT, sizeof(cl_context), 1 },
		{ CL_KERNEL_PROGRAM, sizeof(cl_program), 1 },
		{ CL_KERNEL_ATTRIBUTES, STRING, 0 },
	};
	static const struct query argument[] = {
		{ CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof(cl_kernel_arg_address_qualifier),
		  CL_KERNEL_ARG_ADDRESS_GLOBAL },
		{ CL_KERNEL_ARG_ACCESS_QUALIFIER, sizeof(cl_kernel_arg_access_qualifier), CL_KERNEL_ARG_ACCESS_NONE },
		{ CL_KERNEL_ARG_TYPE_NAME, STRING, 0 },
		{ CL_KERNEL_ARG_TYPE_QUALIFIER, sizeof(cl_kernel_arg_type_qualifier), 0 },
		{ CL_KERNEL_ARG_NAME, STRING, 0 },
	};
	static const struct query work_group[] = {
		{ CL_KERNEL_WORK_GROUP_SIZE, sizeof(size_t), 1 },
		{ CL_KERNEL_COMPILE_WORK_GROUP_SIZE, 3 * sizeof(size_t), 0 },
		{ CL_KERNEL_LOCAL_MEM_SIZE, sizeof(cl_ulong), 0 },
		{ CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, sizeof(size_t), 1 },
		{ CL_KERNEL_PRIVATE_MEM_SIZE, sizeof(cl_ulong), 0 },
	};
	static const struct query sub_group[] = {
		{ CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE, sizeof(size_t), 1 },
		{ CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE, sizeof(size_t), 1 },
		{ CL_KERNEL_MAX_NUM_SUB_GROUPS, sizeof(size_t), 1 },
		{ CL_KERNEL_COMPILE_NUM_SUB_GROUPS, sizeof(size_t), 0 },
	};
	static const char *const names[] = { "fixed", "plain" };
	size_t size[3];

	(void)state;
	for (int i = 0; i < 2; i++) {
		cl_kernel k = conf_kernel(names[i]);

		CHECK_ALL(ask_kernel, k, queries);
		CHECK_ALL(ask_argument, k, argument);
		CHECK_ALL(ask_work_group, k, work_group);
		CHECK_ALL(ask_sub_group, k, sub_group);
		assert_cl(clGetKernelWorkGroupInfo(k, conf.device, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof(size),
						   size, NULL));
		assert_int_equal(size[0], i ? 0 : 8);
		assert_int_equal(size[1], i ? 0 : 2);
		/* Only built-in kernels and those of custom devices have a largest global size. */
		assert_cl_error(clGetKernelWorkGroupInfo(k, conf.device, CL_KERNEL_GLOBAL_WORK_SIZE, sizeof(size), size,
							 NULL),
				CL_INVALID_VALUE);
		assert_cl_error(clGetKernelSubGroupInfo(k, conf.device, CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE, 0, NULL,
							sizeof(size), size, NULL),
				CL_INVALID_VALUE);
		assert_cl(clReleaseKernel(k));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(platform), cmocka_unit_test(device), cmocka_unit_test(context_and_queue),
		cmocka_unit_test(mem),	    cmocka_unit_test(event),  cmocka_unit_test(program),
		cmocka_unit_test(kernel),
	};
	int failed;

	conf_open(queries_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
