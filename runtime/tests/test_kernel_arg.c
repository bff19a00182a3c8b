// SPDX-License-Identifier: MIT
/* Kernel arguments: every kind, every error, and many threads at once. */
#include <pthread.h>

#include "runtime/program.h"
#include "runtime/tests/fixture.h"

enum { GLOBAL, CONSTANT, LOCAL, INT, CHAR, WIDE, IMAGE, SAMPLER, ARGS };
static const char *const text = "kernel k global constant local value4 value1 value128 image sampler\n";

static cl_program program;
static cl_kernel kernel;
static cl_mem mem;

static int setup(void **state)
{
	const char *string = text;
	cl_int error;

	fixture_setup(state);
	program = clCreateProgramWithSource(fx.context, 1, &string, NULL, &error);
	assert_ok(error);
	assert_ok(clBuildProgram(program, 0, NULL, NULL, NULL, NULL));
	kernel = clCreateKernel(program, "k", &error);
	assert_ok(error);
	mem = clCreateBuffer(fx.context, 0, 256, NULL, &error);
	assert_ok(error);
	return 0;
}

static int teardown(void **state)
{
	assert_ok(clReleaseMemObject(mem));
	assert_ok(clReleaseKernel(kernel));
	assert_ok(clReleaseProgram(program));
	return fixture_teardown(state);
}

static void *pointer_value(cl_uint index)
{
	return *(void **)kernel->args[index].value;
}

static void pointers(void **state)
{
	cl_mem null = NULL, not_mem = (cl_mem)fx.context;

	(void)state;
	assert_ok(clSetKernelArg(kernel, GLOBAL, sizeof(mem), &mem));
	assert_ptr_equal(pointer_value(GLOBAL), mem->data);
	assert_ptr_equal(kernel->args[GLOBAL].mem, mem);
	assert_int_equal(kernel->unset_args, ARGS - 1);
	/* Both ways of saying NULL, and setting again. */
	assert_ok(clSetKernelArg(kernel, GLOBAL, sizeof(mem), NULL));
	assert_null(pointer_value(GLOBAL));
	assert_null(kernel->args[GLOBAL].mem);
	assert_ok(clSetKernelArg(kernel, GLOBAL, sizeof(mem), &mem));
	assert_ok(clSetKernelArg(kernel, GLOBAL, sizeof(mem), &null));
	assert_null(pointer_value(GLOBAL));
	assert_int_equal(kernel->unset_args, ARGS - 1);
	assert_ok(clSetKernelArg(kernel, CONSTANT, sizeof(mem), &mem));
	assert_int_equal(kernel->unset_args, ARGS - 2);

	assert_cl(clSetKernelArg(kernel, GLOBAL, 4, &mem), CL_INVALID_ARG_SIZE);
	assert_cl(clSetKernelArg(kernel, GLOBAL, 0, NULL), CL_INVALID_ARG_SIZE);
	assert_cl(clSetKernelArg(kernel, GLOBAL, sizeof(mem), &not_mem), CL_INVALID_MEM_OBJECT);
	/* A pointer to ordinary memory is no cl_mem. */
	assert_cl(clSetKernelArg(kernel, GLOBAL, sizeof(mem), &(void *){ &not_mem }), CL_INVALID_MEM_OBJECT);
	/* A failed call changes nothing. */
	assert_ptr_equal(pointer_value(CONSTANT), mem->data);
}

static void other_context(void **state)
{
	cl_context other = clCreateContext(NULL, 1, &fx.device, NULL, NULL, NULL);
	cl_mem foreign = clCreateBuffer(other, 0, 64, NULL, NULL);

	(void)state;
	assert_cl(clSetKernelArg(kernel, GLOBAL, sizeof(foreign), &foreign), CL_INVALID_MEM_OBJECT);
	assert_ok(clReleaseMemObject(foreign));
	assert_cl(clSetKernelArg(kernel, GLOBAL, sizeof(foreign), &foreign), CL_INVALID_MEM_OBJECT);
	assert_ok(clReleaseContext(other));
}

static void values(void **state)
{
	uint8_t wide[128];
	int value = -7;
	char c = 'x';

	(void)state;
	assert_ok(clSetKernelArg(kernel, INT, sizeof(value), &value));
	value = 8; /* copied already */
	assert_int_equal(*(int *)kernel->args[INT].value, -7);
	assert_ok(clSetKernelArg(kernel, CHAR, 1, &c));
	assert_int_equal(*(char *)kernel->args[CHAR].value, 'x');
	for (int i = 0; i < 128; i++)
		wide[i] = (uint8_t)i;
	assert_ok(clSetKernelArg(kernel, WIDE, sizeof(wide), wide));
	assert_memory_equal(kernel->args[WIDE].value, wide, sizeof(wide));
	assert_int_equal((uintptr_t)kernel->args[WIDE].value % 128, 0);
	assert_int_equal(*(int *)kernel->args[INT].value, -7);
	assert_int_equal(kernel->args[WIDE].size, 128);

	assert_cl(clSetKernelArg(kernel, INT, 8, wide), CL_INVALID_ARG_SIZE);
	assert_cl(clSetKernelArg(kernel, INT, 3, wide), CL_INVALID_ARG_SIZE);
	assert_cl(clSetKernelArg(kernel, INT, sizeof(value), NULL), CL_INVALID_ARG_VALUE);
}

static void locals(void **state)
{
	int value = 0;

	(void)state;
	assert_ok(clSetKernelArg(kernel, LOCAL, 4096, NULL));
	assert_int_equal(kernel->args[LOCAL].size, 4096);
	assert_cl(clSetKernelArg(kernel, LOCAL, 0, NULL), CL_INVALID_ARG_SIZE);
	assert_cl(clSetKernelArg(kernel, LOCAL, 4, &value), CL_INVALID_ARG_VALUE);
	assert_int_equal(kernel->args[LOCAL].size, 4096);
}

static void no_images(void **state)
{
	(void)state;
	assert_cl(clSetKernelArg(kernel, IMAGE, sizeof(mem), &mem), CL_INVALID_MEM_OBJECT);
	assert_cl(clSetKernelArg(kernel, IMAGE, 1, &mem), CL_INVALID_ARG_SIZE);
	assert_cl(clSetKernelArg(kernel, SAMPLER, sizeof(mem), &mem), CL_INVALID_SAMPLER);
	assert_cl(clSetKernelArg(kernel, SAMPLER, 1, &mem), CL_INVALID_ARG_SIZE);
}

static void handles_and_indices(void **state)
{
	(void)state;
	assert_cl(clSetKernelArg(NULL, GLOBAL, sizeof(mem), &mem), CL_INVALID_KERNEL);
	assert_cl(clSetKernelArg((cl_kernel)mem, GLOBAL, sizeof(mem), &mem), CL_INVALID_KERNEL);
	assert_cl(clSetKernelArg(kernel, ARGS, sizeof(mem), &mem), CL_INVALID_ARG_INDEX);
	assert_cl(clSetKernelArg(kernel, UINT32_MAX, sizeof(mem), &mem), CL_INVALID_ARG_INDEX);
	assert_cl(clSetKernelArgSVMPointer(NULL, GLOBAL, &mem), CL_INVALID_KERNEL);
	assert_cl(clSetKernelArgSVMPointer(kernel, ARGS, &mem), CL_INVALID_ARG_INDEX);
	assert_cl(clSetKernelArgSVMPointer(kernel, LOCAL, &mem), CL_INVALID_ARG_VALUE);
	assert_cl(clSetKernelArgSVMPointer(kernel, INT, &mem), CL_INVALID_ARG_VALUE);
}

/* Any pointer of the process, into the middle of things, and NULL. */
static void svm_pointers(void **state)
{
	char *heap = malloc(100);

	(void)state;
	assert_ok(clSetKernelArg(kernel, GLOBAL, sizeof(mem), &mem));
	assert_ok(clSetKernelArgSVMPointer(kernel, GLOBAL, heap + 13));
	assert_ptr_equal(pointer_value(GLOBAL), heap + 13);
	assert_true(kernel->args[GLOBAL].is_svm);
	assert_null(kernel->args[GLOBAL].mem);
	assert_ok(clSetKernelArgSVMPointer(kernel, GLOBAL, NULL));
	assert_null(pointer_value(GLOBAL));
	assert_ok(clSetKernelArg(kernel, GLOBAL, sizeof(mem), &mem));
	assert_false(kernel->args[GLOBAL].is_svm);
	free(heap);
}

static void exec_info(void **state)
{
	void *pointers_[2] = { &mem, NULL };
	cl_bool yes = CL_TRUE, no = CL_FALSE;

	(void)state;
	assert_true(kernel->fine_grain_system); /* the device has it */
	assert_ok(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof(no), &no));
	assert_false(kernel->fine_grain_system);
	assert_ok(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof(yes), &yes));
	assert_true(kernel->fine_grain_system);
	assert_ok(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof(pointers_), pointers_));
	assert_int_equal(kernel->svm_pointer_count, 2);
	assert_ok(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof(void *), pointers_));
	assert_int_equal(kernel->svm_pointer_count, 1);
	assert_cl(clSetKernelExecInfo(NULL, CL_KERNEL_EXEC_INFO_SVM_PTRS, 8, pointers_), CL_INVALID_KERNEL);
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, 0, pointers_), CL_INVALID_VALUE);
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, 7, pointers_), CL_INVALID_VALUE);
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, 8, NULL), CL_INVALID_VALUE);
	assert_cl(clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, 1, &yes), CL_INVALID_VALUE);
	assert_cl(clSetKernelExecInfo(kernel, 0x1234, 8, pointers_), CL_INVALID_VALUE);
	assert_int_equal(kernel->svm_pointer_count, 1);
}

static void *setter(void *arg)
{
	cl_mem mine = clCreateBuffer(fx.context, 0, 64, NULL, NULL);

	(void)arg;
	for (int i = 0; i < 2000; i++) {
		clSetKernelArg(kernel, GLOBAL, sizeof(mine), &mine);
		clSetKernelArgSVMPointer(kernel, CONSTANT, arg);
		clSetKernelArg(kernel, INT, sizeof(i), &i);
	}
	clReleaseMemObject(mine);
	return NULL;
}

/* Two threads on one object are not an application to be proud of, but nothing may leak or break. */
static void threads(void **state)
{
	pthread_t thread[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, setter, &mem), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(kernel->unset_args, ARGS - 3);
	assert_int_equal(*(int *)kernel->args[INT].value, 1999);
}

#define arg_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		arg_test(pointers),  arg_test(other_context), arg_test(values),
		arg_test(locals),    arg_test(no_images),     arg_test(svm_pointers),
		arg_test(exec_info), arg_test(threads),	      arg_test(handles_and_indices),
	};

	setenv("MIRRORCL_CACHE_SIZE", "0", 1);
	return cmocka_run_group_tests_name("kernel_arg", tests, NULL, NULL);
}
