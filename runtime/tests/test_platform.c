// SPDX-License-Identifier: MIT
/* The platform: listing, queries and their sizes, unloading of the compiler. */
#include <stdio.h>

#include "runtime/tests/fixture.h"

static void ids(void **state)
{
	cl_platform_id found[2] = { NULL, NULL };
	cl_uint count = 0;

	(void)state;
	assert_cl(clGetPlatformIDs(0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clGetPlatformIDs(0, found, &count), CL_INVALID_VALUE);
	assert_ok(clGetPlatformIDs(0, NULL, &count));
	assert_int_equal(count, 1);
	assert_ok(clGetPlatformIDs(2, found, NULL));
	assert_ptr_equal(found[0], &mcl_platform);
	assert_null(found[1]);
}

/* Every query of OpenCL 3.0, its size told, honoured and enforced. */
static void info(void **state)
{
	static const cl_platform_info queries[] = {
		CL_PLATFORM_PROFILE,
		CL_PLATFORM_VERSION,
		CL_PLATFORM_NUMERIC_VERSION,
		CL_PLATFORM_NAME,
		CL_PLATFORM_VENDOR,
		CL_PLATFORM_EXTENSIONS,
		CL_PLATFORM_EXTENSIONS_WITH_VERSION,
		CL_PLATFORM_HOST_TIMER_RESOLUTION,
		CL_PLATFORM_ICD_SUFFIX_KHR,
	};
	char text[8192];
	size_t size, again;

	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
		assert_ok(clGetPlatformInfo(&mcl_platform, queries[i], 0, NULL, &size));
		assert_true(size > 0 && size < sizeof(text));
		assert_cl(clGetPlatformInfo(&mcl_platform, queries[i], size - 1, text, NULL), CL_INVALID_VALUE);
		assert_ok(clGetPlatformInfo(&mcl_platform, queries[i], size, text, &again));
		assert_int_equal(again, size);
	}
	assert_cl(clGetPlatformInfo(&mcl_platform, 0x1234, sizeof(text), text, NULL), CL_INVALID_VALUE);
	assert_cl(clGetPlatformInfo((cl_platform_id)&mcl_device, CL_PLATFORM_NAME, sizeof(text), text, NULL),
		  CL_INVALID_PLATFORM);
	assert_ok(clGetPlatformInfo(NULL, CL_PLATFORM_NAME, sizeof(text), text, NULL));
	assert_string_equal(text, "MirrorCL");
	assert_ok(clGetPlatformInfo(&mcl_platform, CL_PLATFORM_VERSION, sizeof(text), text, NULL));
	assert_memory_equal(text, "OpenCL 3.0 ", 11);
}

/* The two lists of extensions agree, and every extension of the device is one of the platform. */
static void extensions(void **state)
{
	char text[8192];
	cl_name_version list[64];
	size_t size;
	unsigned int names = 0;

	(void)state;
	assert_ok(clGetPlatformInfo(&mcl_platform, CL_PLATFORM_EXTENSIONS, sizeof(text), text, NULL));
	assert_ok(clGetPlatformInfo(&mcl_platform, CL_PLATFORM_EXTENSIONS_WITH_VERSION, sizeof(list), list, &size));
	for (size_t i = 0; i < size / sizeof(*list); i++) {
		char word[CL_NAME_VERSION_MAX_NAME_SIZE + 1];

		snprintf(word, sizeof(word), "%s ", list[i].name);
		assert_non_null(strstr(text, word));
	}
	for (char *save, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		names++;
	assert_int_equal(names, size / sizeof(*list));

	assert_ok(clGetDeviceInfo(&mcl_device, CL_DEVICE_EXTENSIONS_WITH_VERSION, sizeof(list), list, &size));
	assert_ok(clGetPlatformInfo(&mcl_platform, CL_PLATFORM_EXTENSIONS, sizeof(text), text, NULL));
	for (size_t i = 0; i < size / sizeof(*list); i++)
		assert_non_null(strstr(text, list[i].name));
	assert_int_equal(size / sizeof(*list), names - 1); /* cl_khr_icd is the platform's alone */
}

static void unload(void **state)
{
	(void)state;
	assert_ok(clUnloadPlatformCompiler(&mcl_platform));
	assert_cl(clUnloadPlatformCompiler(NULL), CL_INVALID_PLATFORM);
	assert_ok(clUnloadCompiler());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids),
		cmocka_unit_test(info),
		cmocka_unit_test(extensions),
		cmocka_unit_test(unload),
	};

	return cmocka_run_group_tests_name("platform", tests, NULL, NULL);
}
