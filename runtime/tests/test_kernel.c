// SPDX-License-Identifier: MIT
/* Kernel objects: creation, cloning, queries. */
#include "runtime/program.h"
#include "runtime/tests/fixture.h"

static const char *const text = "kernel plain global constant value4 local\n"
				"kernel fixed reqd=8,4,2 local=96 local=32 local\n"
				"kernel none\n";

static cl_program program;

static int setup(void **state)
{
	const char *string = text;
	cl_int error;

	fixture_setup(state);
	program = clCreateProgramWithSource(fx.context, 1, &string, NULL, &error);
	assert_ok(error);
	assert_ok(clBuildProgram(program, 0, NULL, NULL, NULL, NULL));
	return 0;
}

static int teardown(void **state)
{
	assert_ok(clReleaseProgram(program));
	return fixture_teardown(state);
}

static cl_kernel create(const char *name)
{
	cl_int error;
	cl_kernel kernel = clCreateKernel(program, name, &error);

	assert_ok(error);
	return kernel;
}

static void creation(void **state)
{
	cl_kernel kernels[4] = { NULL, NULL, NULL, NULL }, kernel;
	cl_uint number = 0;
	cl_int error;

	(void)state;
	assert_null(clCreateKernel(NULL, "plain", &error));
	assert_cl(error, CL_INVALID_PROGRAM);
	assert_null(clCreateKernel(program, NULL, &error));
	assert_cl(error, CL_INVALID_VALUE);
	assert_null(clCreateKernel(program, "absent", &error));
	assert_cl(error, CL_INVALID_KERNEL_NAME);
	assert_null(clCreateKernel(program, "absent", NULL));

	assert_cl(clCreateKernelsInProgram(NULL, 4, kernels, &number), CL_INVALID_PROGRAM);
	assert_ok(clCreateKernelsInProgram(program, 0, NULL, &number));
	assert_int_equal(number, 3);
	assert_cl(clCreateKernelsInProgram(program, 2, kernels, NULL), CL_INVALID_VALUE);
	assert_null(kernels[0]);
	assert_ok(clCreateKernelsInProgram(program, 4, kernels, NULL));
	assert_null(kernels[3]);
	for (int i = 0; i < 3; i++)
		assert_ok(clReleaseKernel(kernels[i]));
	assert_cl(clReleaseKernel(kernels[0]), CL_INVALID_KERNEL);
	assert_cl(clRetainKernel(NULL), CL_INVALID_KERNEL);

	kernel = create("none");
	assert_ok(clRetainKernel(kernel));
	assert_ok(clReleaseKernel(kernel));
	assert_ok(clReleaseKernel(kernel));
}

static void info(void **state)
{
	cl_kernel kernel = create("fixed");
	cl_context context;
	cl_program from;
	cl_uint number;
	char name[32];

	(void)state;
	assert_ok(clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof(name), name, NULL));
	assert_string_equal(name, "fixed");
	assert_ok(clGetKernelInfo(kernel, CL_KERNEL_ATTRIBUTES, sizeof(name), name, NULL));
	assert_string_equal(name, "reqd=8,4,2");
	assert_ok(clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof(number), &number, NULL));
	assert_int_equal(number, 1);
	assert_ok(clGetKernelInfo(kernel, CL_KERNEL_REFERENCE_COUNT, sizeof(number), &number, NULL));
	assert_int_equal(number, 1);
	assert_ok(clGetKernelInfo(kernel, CL_KERNEL_CONTEXT, sizeof(context), &context, NULL));
	assert_ptr_equal(context, fx.context);
	assert_ok(clGetKernelInfo(kernel, CL_KERNEL_PROGRAM, sizeof(from), &from, NULL));
	assert_ptr_equal(from, program);
	assert_cl(clGetKernelInfo(kernel, CL_KERNEL_PROGRAM, sizeof(from) - 1, &from, NULL), CL_INVALID_VALUE);
	assert_cl(clGetKernelInfo(kernel, 0x1234, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clGetKernelInfo(NULL, CL_KERNEL_PROGRAM, 0, NULL, NULL), CL_INVALID_KERNEL);
	assert_ok(clReleaseKernel(kernel));
}

static void arg_info(void **state)
{
	const char *string = "noarginfo\nkernel k global\n";
	cl_kernel kernel = create("plain"), dumb;
	cl_kernel_arg_address_qualifier address;
	cl_kernel_arg_access_qualifier access;
	cl_kernel_arg_type_qualifier qualifier;
	cl_program without;
	char name[32];

	(void)state;
	assert_ok(clGetKernelArgInfo(kernel, 1, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof(address), &address, NULL));
	assert_int_equal(address, CL_KERNEL_ARG_ADDRESS_CONSTANT);
	assert_ok(clGetKernelArgInfo(kernel, 1, CL_KERNEL_ARG_TYPE_QUALIFIER, sizeof(qualifier), &qualifier, NULL));
	assert_int_equal(qualifier, CL_KERNEL_ARG_TYPE_CONST);
	assert_ok(clGetKernelArgInfo(kernel, 0, CL_KERNEL_ARG_ACCESS_QUALIFIER, sizeof(access), &access, NULL));
	assert_int_equal(access, CL_KERNEL_ARG_ACCESS_NONE);
	assert_ok(clGetKernelArgInfo(kernel, 2, CL_KERNEL_ARG_TYPE_NAME, sizeof(name), name, NULL));
	assert_string_equal(name, "value4");
	assert_ok(clGetKernelArgInfo(kernel, 3, CL_KERNEL_ARG_NAME, sizeof(name), name, NULL));
	assert_string_equal(name, "a3");
	assert_cl(clGetKernelArgInfo(kernel, 4, CL_KERNEL_ARG_NAME, sizeof(name), name, NULL), CL_INVALID_ARG_INDEX);
	assert_cl(clGetKernelArgInfo(kernel, 0, 0x1234, sizeof(name), name, NULL), CL_INVALID_VALUE);
	assert_cl(clGetKernelArgInfo(kernel, 0, CL_KERNEL_ARG_NAME, 1, name, NULL), CL_INVALID_VALUE);
	assert_cl(clGetKernelArgInfo(NULL, 0, CL_KERNEL_ARG_NAME, 1, name, NULL), CL_INVALID_KERNEL);
	assert_ok(clReleaseKernel(kernel));

	without = clCreateProgramWithSource(fx.context, 1, &string, NULL, NULL);
	assert_ok(clBuildProgram(without, 0, NULL, NULL, NULL, NULL));
	dumb = clCreateKernel(without, "k", NULL);
	assert_cl(clGetKernelArgInfo(dumb, 0, CL_KERNEL_ARG_NAME, sizeof(name), name, NULL),
		  CL_KERNEL_ARG_INFO_NOT_AVAILABLE);
	assert_ok(clReleaseKernel(dumb));
	assert_ok(clReleaseProgram(without));
}

static void work_group_info(void **state)
{
	cl_kernel fixed = create("fixed"), plain = create("plain");
	size_t size, sizes[3];
	cl_ulong bytes;

	(void)state;
#define ASK(kernel, query, out) assert_ok(clGetKernelWorkGroupInfo(kernel, fx.device, query, sizeof(out), &out, NULL))
	ASK(fixed, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizes);
	assert_true(sizes[0] == 8 && sizes[1] == 4 && sizes[2] == 2);
	ASK(fixed, CL_KERNEL_WORK_GROUP_SIZE, size);
	assert_int_equal(size, 64);
	ASK(plain, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizes);
	assert_true(sizes[0] == 0 && sizes[1] == 0 && sizes[2] == 0);
	ASK(plain, CL_KERNEL_WORK_GROUP_SIZE, size);
	assert_int_equal(size, mcl_device_caps()->max_work_group_size);
	ASK(plain, CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, size);
	assert_int_equal(size, 8);
	ASK(plain, CL_KERNEL_PRIVATE_MEM_SIZE, bytes);
	assert_int_equal(bytes, 16);
	/* Local memory: what the kernel declares, and what its arguments are set to. */
	ASK(fixed, CL_KERNEL_LOCAL_MEM_SIZE, bytes);
	assert_int_equal(bytes, 128);
	assert_ok(clSetKernelArg(fixed, 0, 1000, NULL));
	ASK(fixed, CL_KERNEL_LOCAL_MEM_SIZE, bytes);
	assert_int_equal(bytes, 1128);
#undef ASK
	assert_cl(clGetKernelWorkGroupInfo(plain, fx.device, CL_KERNEL_GLOBAL_WORK_SIZE, sizeof(sizes), sizes, NULL),
		  CL_INVALID_VALUE);
	assert_cl(clGetKernelWorkGroupInfo(plain, fx.device, 0x1234, sizeof(sizes), sizes, NULL), CL_INVALID_VALUE);
	assert_cl(clGetKernelWorkGroupInfo(plain, (cl_device_id)fx.context, CL_KERNEL_WORK_GROUP_SIZE, sizeof(size),
					   &size, NULL),
		  CL_INVALID_DEVICE);
	assert_ok(clGetKernelWorkGroupInfo(plain, NULL, CL_KERNEL_WORK_GROUP_SIZE, sizeof(size), &size, NULL));
	assert_cl(clGetKernelWorkGroupInfo(NULL, NULL, CL_KERNEL_WORK_GROUP_SIZE, sizeof(size), &size, NULL),
		  CL_INVALID_KERNEL);
	assert_ok(clReleaseKernel(plain));
	assert_ok(clReleaseKernel(fixed));
}

static cl_int sub_group(cl_kernel kernel, cl_kernel_sub_group_info query, const size_t *in, size_t in_count,
			size_t *out, size_t out_count)
{
	return clGetKernelSubGroupInfo(kernel, fx.device, query, in_count * sizeof(*in), in, out_count * sizeof(*out),
				       out, NULL);
}

/* A subgroup is a row of the work-group. */
static void sub_group_info(void **state)
{
	const size_t local[3] = { 16, 4, 2 }, wish = 8, one = 1, huge = 1 << 20;
	cl_kernel plain = create("plain"), fixed = create("fixed");
	size_t out[3];

	(void)state;
	assert_ok(sub_group(plain, CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE, local, 3, out, 1));
	assert_int_equal(out[0], 16);
	assert_ok(sub_group(plain, CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE, local, 3, out, 1));
	assert_int_equal(out[0], 8);
	assert_ok(sub_group(plain, CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE, local, 1, out, 1));
	assert_int_equal(out[0], 1);
	assert_cl(sub_group(plain, CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE, local, 0, out, 1), CL_INVALID_VALUE);
	assert_cl(sub_group(plain, CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE, NULL, 1, out, 1), CL_INVALID_VALUE);
	assert_cl(sub_group(plain, CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE, local, 4, out, 1), CL_INVALID_VALUE);
	assert_ok(sub_group(plain, CL_KERNEL_LOCAL_SIZE_FOR_SUB_GROUP_COUNT, &wish, 1, out, 3));
	assert_int_equal(out[1], 8);
	assert_int_equal(out[0] * out[1] * out[2], mcl_device_caps()->max_work_group_size);
	/* What it answers has the asked number of subgroups. */
	assert_ok(sub_group(plain, CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE, out, 3, out, 1));
	assert_int_equal(out[0], wish);
	assert_ok(sub_group(plain, CL_KERNEL_LOCAL_SIZE_FOR_SUB_GROUP_COUNT, &one, 1, out, 1));
	assert_int_equal(out[0], mcl_device_caps()->max_work_group_size);
	assert_ok(sub_group(plain, CL_KERNEL_LOCAL_SIZE_FOR_SUB_GROUP_COUNT, &huge, 1, out, 3));
	assert_int_equal(out[0], 0);
	assert_ok(sub_group(fixed, CL_KERNEL_LOCAL_SIZE_FOR_SUB_GROUP_COUNT, &wish, 1, out, 3));
	assert_true(out[0] == 8 && out[1] == 4 && out[2] == 2);
	assert_ok(sub_group(fixed, CL_KERNEL_MAX_NUM_SUB_GROUPS, NULL, 0, out, 1));
	assert_int_equal(out[0], 8);
	assert_ok(sub_group(fixed, CL_KERNEL_COMPILE_NUM_SUB_GROUPS, NULL, 0, out, 1));
	assert_int_equal(out[0], 0);
	assert_cl(sub_group(plain, 0x1234, local, 3, out, 1), CL_INVALID_VALUE);
	assert_cl(sub_group(NULL, CL_KERNEL_MAX_NUM_SUB_GROUPS, NULL, 0, out, 1), CL_INVALID_KERNEL);
	assert_ok(clReleaseKernel(plain));
	assert_ok(clReleaseKernel(fixed));
}

/* A clone has its own arguments, which start as the original's. */
static void cloning(void **state)
{
	cl_kernel kernel = create("plain"), clone;
	cl_mem mem = clCreateBuffer(fx.context, 0, 64, NULL, NULL);
	void *pointers[] = { &clone, &kernel };
	int value = 42;
	cl_int error;

	(void)state;
	assert_null(clCloneKernel(NULL, &error));
	assert_cl(error, CL_INVALID_KERNEL);
	assert_ok(clSetKernelArg(kernel, 0, sizeof(mem), &mem));
	assert_ok(clSetKernelArg(kernel, 2, sizeof(value), &value));
	assert_ok(clSetKernelArg(kernel, 3, 100, NULL));
	assert_ok(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof(pointers), pointers));
	clone = clCloneKernel(kernel, &error);
	assert_ok(error);
	value = 43;
	assert_ok(clSetKernelArg(kernel, 2, sizeof(value), &value));
	assert_ok(clReleaseKernel(kernel));
	assert_int_equal(clone->unset_args, 1); /* argument 1 */
	assert_ptr_equal(clone->args[0].mem, mem);
	assert_ptr_equal(*(void **)clone->args[0].value, mem->data);
	assert_int_equal(*(int *)clone->args[2].value, 42);
	assert_int_equal(clone->args[3].size, 100);
	assert_int_equal(clone->svm_pointer_count, 2);
	assert_ptr_equal(clone->svm_pointers[1], &kernel);
	assert_ok(clReleaseMemObject(mem));
	assert_ok(clReleaseKernel(clone));
}

#define kernel_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		kernel_test(creation),	      kernel_test(info),	   kernel_test(arg_info),
		kernel_test(work_group_info), kernel_test(sub_group_info), kernel_test(cloning),
	};

	setenv("MIRRORCL_CACHE_SIZE", "0", 1);
	return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
