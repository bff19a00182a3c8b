// SPDX-License-Identifier: MIT
/* What the device promises: all four levels of SVM, and the language features and atomics that go with them. */
#include <stdio.h>
#include <string.h>

#include "harness.h"

static cl_ulong device_ulong(cl_device_info what, size_t size)
{
	cl_ulong value = 0;
	size_t got = 0;

	assert_cl(clGetDeviceInfo(conf.device, what, sizeof(value), &value, &got));
	assert_int_equal(got, size);
	return value;
}

/* All four bits of CL_DEVICE_SVM_CAPABILITIES, and no unknown one. */
static void svm_capabilities(void **state)
{
	(void)state;
	assert_int_equal(device_ulong(CL_DEVICE_SVM_CAPABILITIES, sizeof(cl_device_svm_capabilities)),
			 CL_DEVICE_SVM_COARSE_GRAIN_BUFFER | CL_DEVICE_SVM_FINE_GRAIN_BUFFER |
				 CL_DEVICE_SVM_FINE_GRAIN_SYSTEM | CL_DEVICE_SVM_ATOMICS);
}

/* Atomics in every order, up to the scope that includes the host. */
static void atomic_capabilities(void **state)
{
	const cl_ulong orders = CL_DEVICE_ATOMIC_ORDER_RELAXED | CL_DEVICE_ATOMIC_ORDER_ACQ_REL |
				CL_DEVICE_ATOMIC_ORDER_SEQ_CST;
	const cl_ulong scopes = CL_DEVICE_ATOMIC_SCOPE_WORK_GROUP | CL_DEVICE_ATOMIC_SCOPE_DEVICE |
				CL_DEVICE_ATOMIC_SCOPE_ALL_DEVICES;
	cl_ulong memory = device_ulong(CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES, sizeof(cl_ulong));
	cl_ulong fence = device_ulong(CL_DEVICE_ATOMIC_FENCE_CAPABILITIES, sizeof(cl_ulong));

	(void)state;
	assert_int_equal(memory & (orders | scopes), orders | scopes);
	assert_int_equal(fence & (orders | scopes), orders | scopes);
}

/* The optional features of OpenCL C 3.0 that programs with shared pointers are written with. */
static void language_features(void **state)
{
	static const char *const needed[] = {
		"__opencl_c_generic_address_space",
		"__opencl_c_program_scope_global_variables",
		"__opencl_c_atomic_order_acq_rel",
		"__opencl_c_atomic_order_seq_cst",
		"__opencl_c_atomic_scope_device",
		"__opencl_c_atomic_scope_all_devices",
		"__opencl_c_int64",
	};
	static cl_name_version features[256];
	size_t size = 0;

	(void)state;
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_OPENCL_C_FEATURES, sizeof(features), features, &size));
	assert_true(size % sizeof(*features) == 0);
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		size_t f = 0;

		while (f < size / sizeof(*features) && strcmp(features[f].name, needed[i]) != 0)
			f++;
		if (f == size / sizeof(*features))
			fail_msg("%s is missing", needed[i]);
	}
}

/* Addresses are the host's: 64 bits, little endian, one memory. */
static void addresses(void **state)
{
	(void)state;
	assert_int_equal(device_ulong(CL_DEVICE_ADDRESS_BITS, sizeof(cl_uint)), 8 * sizeof(void *));
	assert_int_equal(device_ulong(CL_DEVICE_ENDIAN_LITTLE, sizeof(cl_bool)), CL_TRUE);
	assert_int_equal(device_ulong(CL_DEVICE_AVAILABLE, sizeof(cl_bool)), CL_TRUE);
	assert_true(device_ulong(CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(cl_ulong)) > 0);
	assert_true(device_ulong(CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(cl_ulong)) > 0);
	assert_true(device_ulong(CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(cl_uint)) > 0);
	assert_true(device_ulong(CL_DEVICE_LOCAL_MEM_SIZE, sizeof(cl_ulong)) >= 32 * 1024);
	assert_true(device_ulong(CL_DEVICE_MAX_PARAMETER_SIZE, sizeof(size_t)) >= 1024);
}

static void versions(void **state)
{
	char text[256];
	size_t size;
	cl_version version;

	(void)state;
	assert_cl(clGetPlatformInfo(conf.platform, CL_PLATFORM_VERSION, sizeof(text), text, &size));
	assert_int_equal(strlen(text) + 1, size);
	assert_memory_equal(text, "OpenCL 3.0 ", 11);
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_VERSION, sizeof(text), text, &size));
	assert_memory_equal(text, "OpenCL 3.0 ", 11);
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_OPENCL_C_VERSION, sizeof(text), text, &size));
	assert_memory_equal(text, "OpenCL C ", 9);
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_NUMERIC_VERSION, sizeof(version), &version, &size));
	assert_int_equal(CL_VERSION_MAJOR(version), 3);
}

/* Sizes come back for a null value, and a buffer that is one byte short is refused. */
static void info_rules(void **state)
{
	static const cl_device_info all[] = {
		CL_DEVICE_NAME,
		CL_DEVICE_VENDOR,
		CL_DEVICE_VERSION,
		CL_DRIVER_VERSION,
		CL_DEVICE_PROFILE,
		CL_DEVICE_EXTENSIONS,
		CL_DEVICE_TYPE,
		CL_DEVICE_VENDOR_ID,
		CL_DEVICE_MAX_WORK_ITEM_SIZES,
		CL_DEVICE_PLATFORM,
		CL_DEVICE_ILS_WITH_VERSION,
		CL_DEVICE_BUILT_IN_KERNELS,
		CL_DEVICE_SINGLE_FP_CONFIG,
		CL_DEVICE_DOUBLE_FP_CONFIG,
		CL_DEVICE_QUEUE_ON_HOST_PROPERTIES,
		CL_DEVICE_PRINTF_BUFFER_SIZE,
		CL_DEVICE_IMAGE_SUPPORT,
		CL_DEVICE_MAX_WORK_GROUP_SIZE,
	};
	static char value[65536];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		size_t size = 12345, again = 0;

		assert_cl(clGetDeviceInfo(conf.device, all[i], 0, NULL, &size));
		assert_true(size < sizeof(value));
		if (!size)
			continue;
		assert_cl(clGetDeviceInfo(conf.device, all[i], size, value, &again));
		assert_int_equal(size, again);
		assert_cl_error(clGetDeviceInfo(conf.device, all[i], size - 1, value, NULL), CL_INVALID_VALUE);
	}
	assert_cl_error(clGetDeviceInfo(conf.device, 0xdead, sizeof(value), value, NULL), CL_INVALID_VALUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(svm_capabilities),  cmocka_unit_test(atomic_capabilities),
		cmocka_unit_test(language_features), cmocka_unit_test(addresses),
		cmocka_unit_test(versions),	     cmocka_unit_test(info_rules),
	};

	conf_open_device();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
