// SPDX-License-Identifier: MIT
/*
 * What the device says of its OpenCL C is what a program sees: every feature and extension that is listed has its macro,
 * and no other has. Through the loader, with the real compiler.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <CL/cl.h>

/* Names that a program may ask for and that the device may or may not have. */
static const char *const optional[] = {
	"__opencl_c_3d_image_writes",
	"__opencl_c_atomic_order_acq_rel",
	"__opencl_c_atomic_order_seq_cst",
	"__opencl_c_atomic_scope_device",
	"__opencl_c_atomic_scope_all_devices",
	"__opencl_c_device_enqueue",
	"__opencl_c_fp64",
	"__opencl_c_generic_address_space",
	"__opencl_c_images",
	"__opencl_c_int64",
	"__opencl_c_integer_dot_product_input_4x8bit",
	"__opencl_c_kernel_clock_scope_device",
	"__opencl_c_pipes",
	"__opencl_c_program_scope_global_variables",
	"__opencl_c_read_write_images",
	"__opencl_c_subgroups",
	"__opencl_c_work_group_collective_functions",
	"__opencl_c_ext_fp16_global_atomic_add",
	"__opencl_c_ext_fp32_global_atomic_add",
	"__opencl_c_ext_fp64_local_atomic_min_max",
	"cl_khr_3d_image_writes",
	"cl_khr_command_buffer",
	"cl_khr_fp16",
	"cl_khr_fp64",
	"cl_khr_gl_sharing",
	"cl_khr_il_program",
	"cl_khr_int64_base_atomics",
	"cl_khr_int64_extended_atomics",
	"cl_khr_mipmap_image",
	"cl_khr_subgroups",
	"cl_khr_subgroup_ballot",
	"cl_khr_subgroup_shuffle",
	"cl_khr_byte_addressable_store",
	"cl_khr_global_int32_base_atomics",
	"cl_khr_local_int32_extended_atomics",
	"cl_ext_float_atomics",
	"cl_intel_subgroups",
	"cl_intel_required_subgroup_size",
	"cl_intel_unified_shared_memory",
	"cl_ext_buffer_device_address",
};

/* Extensions of the API, of which the language knows nothing. */
static bool api_only(const char *name)
{
	static const char *const names[] = { "cl_khr_extended_versioning", "cl_mirrorcl_counters",
					     "cl_mirrorcl_abort" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static cl_device_id device;
static cl_context context;

static size_t list(cl_device_info query, cl_name_version out[64])
{
	size_t bytes;

	assert_int_equal(clGetDeviceInfo(device, query, 64 * sizeof(*out), out, &bytes), CL_SUCCESS);
	return bytes / sizeof(*out);
}

static bool listed(const char *name, const cl_name_version *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i].name, name))
			return true;
	return false;
}

static void expect(FILE *out, const char *name, bool present)
{
	fprintf(out, "#if%s %s\n#error %s is %s\n#endif\n", present ? "ndef" : "def", name, name,
		present ? "missing" : "defined");
}

static void macros(void **state)
{
	static cl_name_version features[64], extensions[64];
	size_t feature_count = list(CL_DEVICE_OPENCL_C_FEATURES, features);
	size_t extension_count = list(CL_DEVICE_EXTENSIONS_WITH_VERSION, extensions);
	cl_bool images;
	cl_program program;
	cl_int error;
	char *text;
	char log[8192];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	assert_int_equal(clGetDeviceInfo(device, CL_DEVICE_IMAGE_SUPPORT, sizeof(images), &images, NULL), CL_SUCCESS);
	expect(out, "__IMAGE_SUPPORT__", images);
	for (size_t i = 0; i < feature_count; i++)
		expect(out, features[i].name, true);
	for (size_t i = 0; i < extension_count; i++)
		expect(out, extensions[i].name, !api_only(extensions[i].name));
	for (size_t i = 0; i < sizeof(optional) / sizeof(*optional); i++)
		if (!listed(optional[i], features, feature_count) && !listed(optional[i], extensions, extension_count))
			expect(out, optional[i], false);
	fputs("kernel void k(void) {}\n", out);
	fclose(out);
	program = clCreateProgramWithSource(context, 1, (const char **)&text, &size, &error);
	assert_int_equal(error, CL_SUCCESS);
	free(text);
	error = clBuildProgram(program, 0, NULL, "-cl-std=CL3.0", NULL, NULL);
	if (error) {
		assert_int_equal(clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL),
				 CL_SUCCESS);
		print_error("%s\n", log);
	}
	assert_int_equal(error, CL_SUCCESS);
	clReleaseProgram(program);
}

/* The lines of the source keep their numbers, whatever is put before it. */
static void line_numbers(void **state)
{
	const char *text = "\n\n  this is line three\n";
	cl_program program = clCreateProgramWithSource(context, 1, &text, NULL, NULL);
	char log[8192];

	(void)state;
	assert_int_equal(clBuildProgram(program, 0, NULL, NULL, NULL, NULL), CL_BUILD_PROGRAM_FAILURE);
	assert_int_equal(clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL),
			 CL_SUCCESS);
	assert_non_null(strstr(log, ":3:"));
	clReleaseProgram(program);
}

static int setup(void **state)
{
	cl_platform_id platform;

	(void)state;
	if (clGetPlatformIDs(1, &platform, NULL) || clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL))
		return -1;
	context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
	return context ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return clReleaseContext(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(macros), cmocka_unit_test(line_numbers) };

	setenv("OCL_ICD_VENDORS", MCL_VENDORS, 1);
	unsetenv("OCL_ICD_FILENAMES");
	return cmocka_run_group_tests_name("language", tests, setup, teardown);
}
