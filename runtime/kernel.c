// SPDX-License-Identifier: MIT
/* Kernel objects: creation, cloning, references. Arguments are in kernel_arg.c, queries in kernel_info.c. */
#include <stdlib.h>
#include <string.h>

#include "runtime/mem.h"
#include "runtime/program.h"

static void destroy(struct mcl_object *obj)
{
	cl_kernel kernel = (cl_kernel)obj;

	for (uint32_t i = 0; i < kernel->info->arg_count; i++)
		if (kernel->args[i].owns_value)
			free(kernel->args[i].value);
	free(kernel->args);
	free(kernel->values);
	free(kernel->svm_pointers);
	mcl_build_put(kernel->build);
	pthread_mutex_lock(&kernel->program->lock);
	kernel->program->kernel_count--;
	pthread_mutex_unlock(&kernel->program->lock);
	mcl_object_put(&kernel->program->obj);
	pthread_mutex_destroy(&kernel->lock);
	mcl_object_free(obj);
}

static size_t align_up(size_t at, size_t align)
{
	return (at + align - 1) & ~(align - 1);
}

/* A value of @size bytes is aligned to the next power of two, as OpenCL C's types are, up to a long16's 128. */
static size_t value_align(size_t size)
{
	size_t align = 8;

	while (align < size && align < 128)
		align *= 2;
	return align;
}

static size_t value_size(const struct mcl_co_arg *arg)
{
	switch (arg->kind) {
	case MCL_CO_ARG_VALUE:
		return arg->size;
	case MCL_CO_ARG_LOCAL:
		return 0;
	default:
		return sizeof(void *);
	}
}

/* One block for all values; each argument gets its place in it. */
static bool lay_out(cl_kernel kernel)
{
	size_t at = 0;

	for (uint32_t i = 0; i < kernel->info->arg_count; i++) {
		size_t size = value_size(&kernel->arg_info[i]);

		at = align_up(at, value_align(size)) + size;
	}
	kernel->values_size = align_up(at, 128);
	kernel->args = calloc(kernel->info->arg_count + (size_t)1, sizeof(*kernel->args));
	kernel->values = aligned_alloc(128, kernel->values_size ? kernel->values_size : 128);
	if (!kernel->args || !kernel->values)
		return false;
	memset(kernel->values, 0, kernel->values_size);
	at = 0;
	for (uint32_t i = 0; i < kernel->info->arg_count; i++) {
		size_t size = value_size(&kernel->arg_info[i]);

		at = align_up(at, value_align(size));
		kernel->args[i].owns_value = kernel->arg_info[i].kind == MCL_CO_ARG_VALUE && !size;
		if (kernel->arg_info[i].kind != MCL_CO_ARG_LOCAL && !kernel->args[i].owns_value)
			kernel->args[i].value = kernel->values + at;
		at += size;
	}
	return true;
}

cl_kernel mcl_kernel_create(cl_program program, struct mcl_build *build, uint32_t index)
{
	cl_kernel kernel = mcl_object_alloc(sizeof(*kernel));

	if (!kernel)
		return NULL;
	kernel->index = index;
	kernel->info = &build->co->kernels[index];
	kernel->arg_info = &build->co->args[kernel->info->first_arg];
	kernel->unset_args = kernel->info->arg_count;
	kernel->fine_grain_system = mcl_device_caps()->system_svm;
	if (!lay_out(kernel)) {
		free(kernel->args);
		free(kernel->values);
		mcl_object_free(&kernel->obj);
		return NULL;
	}
	pthread_mutex_init(&kernel->lock, NULL);
	mcl_object_get(&program->obj);
	kernel->program = program;
	kernel->build = mcl_build_get(build);
	program->kernel_count++;
	mcl_object_init(&kernel->obj, MCL_TYPE_KERNEL, destroy);
	return kernel;
}

cl_kernel clCreateKernel(cl_program program, const char *kernel_name, cl_int *errcode_ret)
{
	const struct mcl_co_kernel *found;
	cl_kernel kernel = NULL;
	cl_int error = CL_SUCCESS;

	if (!mcl_object_valid(program, MCL_TYPE_PROGRAM)) {
		mcl_errcode(errcode_ret, MCL_ERR(CL_INVALID_PROGRAM, "%p is not a live program", (void *)program));
		return NULL;
	}
	if (!kernel_name) {
		mcl_errcode(errcode_ret, MCL_ERR(CL_INVALID_VALUE, "kernel_name is NULL"));
		return NULL;
	}
	pthread_mutex_lock(&program->lock);
	if (!program->build) {
		error = MCL_ERR(CL_INVALID_PROGRAM_EXECUTABLE, "the program is not built");
		goto out;
	}
	found = mcl_co_find_kernel(program->build->co, kernel_name);
	if (!found) {
		error = MCL_ERR(CL_INVALID_KERNEL_NAME, "the program has no kernel '%.100s'", kernel_name);
		goto out;
	}
	kernel = mcl_kernel_create(program, program->build, (uint32_t)(found - program->build->co->kernels));
	if (!kernel)
		error = MCL_ERR(CL_OUT_OF_HOST_MEMORY, "no memory for a kernel");
out:
	pthread_mutex_unlock(&program->lock);
	mcl_errcode(errcode_ret, error);
	return kernel;
}

cl_int clCreateKernelsInProgram(cl_program program, cl_uint num_kernels, cl_kernel *kernels, cl_uint *num_kernels_ret)
{
	cl_int error = CL_SUCCESS;
	uint32_t made = 0, count;

	if (!mcl_object_valid(program, MCL_TYPE_PROGRAM))
		return MCL_ERR(CL_INVALID_PROGRAM, "%p is not a live program", (void *)program);
	pthread_mutex_lock(&program->lock);
	if (!program->build) {
		error = MCL_ERR(CL_INVALID_PROGRAM_EXECUTABLE, "the program is not built");
		goto out;
	}
	count = program->build->co->header->kernels.count;
	if (kernels && num_kernels < count) {
		error = MCL_ERR(CL_INVALID_VALUE, "the program has %u kernels, there is room for %u", count,
				num_kernels);
		goto out;
	}
	for (; kernels && made < count; made++) {
		kernels[made] = mcl_kernel_create(program, program->build, made);
		if (!kernels[made]) {
			error = MCL_ERR(CL_OUT_OF_HOST_MEMORY, "no memory for %u kernels", count);
			goto out;
		}
	}
	if (num_kernels_ret)
		*num_kernels_ret = count;
out:
	pthread_mutex_unlock(&program->lock);
	while (error && made) {
		mcl_object_release_app(&kernels[--made]->obj);
		kernels[made] = NULL;
	}
	return error;
}

cl_kernel clCloneKernel(cl_kernel source_kernel, cl_int *errcode_ret)
{
	cl_kernel kernel;
	cl_int error = CL_SUCCESS;

	if (!mcl_object_valid(source_kernel, MCL_TYPE_KERNEL)) {
		mcl_errcode(errcode_ret, MCL_ERR(CL_INVALID_KERNEL, "%p is not a live kernel", (void *)source_kernel));
		return NULL;
	}
	pthread_mutex_lock(&source_kernel->program->lock);
	kernel = mcl_kernel_create(source_kernel->program, source_kernel->build, source_kernel->index);
	pthread_mutex_unlock(&source_kernel->program->lock);
	pthread_mutex_lock(&source_kernel->lock);
	if (!kernel)
		goto err;
	if (source_kernel->svm_pointer_count) {
		size_t bytes = source_kernel->svm_pointer_count * sizeof(void *);

		kernel->svm_pointers = malloc(bytes);
		if (!kernel->svm_pointers)
			goto err;
		memcpy(kernel->svm_pointers, source_kernel->svm_pointers, bytes);
		kernel->svm_pointer_count = source_kernel->svm_pointer_count;
	}
	kernel->fine_grain_system = source_kernel->fine_grain_system;
	kernel->unset_args = source_kernel->unset_args;
	memcpy(kernel->values, source_kernel->values, kernel->values_size);
	for (uint32_t i = 0; i < kernel->info->arg_count; i++) {
		struct mcl_kernel_arg *arg = &kernel->args[i], *from = &source_kernel->args[i];

		arg->set = from->set;
		arg->is_svm = from->is_svm;
		arg->size = from->size;
		arg->mem = from->mem;
		if (arg->owns_value && arg->set) {
			arg->value = malloc(arg->size);
			if (!arg->value)
				goto err;
			memcpy(arg->value, from->value, arg->size);
		}
	}
	pthread_mutex_unlock(&source_kernel->lock);
	mcl_errcode(errcode_ret, error);
	return kernel;

err:
	pthread_mutex_unlock(&source_kernel->lock);
	if (kernel)
		mcl_object_release_app(&kernel->obj);
	mcl_errcode(errcode_ret, MCL_ERR(CL_OUT_OF_HOST_MEMORY, "no memory for a kernel"));
	return NULL;
}

cl_int clRetainKernel(cl_kernel kernel)
{
	if (!mcl_object_valid(kernel, MCL_TYPE_KERNEL))
		return MCL_ERR(CL_INVALID_KERNEL, "%p is not a live kernel", (void *)kernel);
	mcl_object_retain_app(&kernel->obj);
	return CL_SUCCESS;
}

cl_int clReleaseKernel(cl_kernel kernel)
{
	if (!mcl_object_valid(kernel, MCL_TYPE_KERNEL))
		return MCL_ERR(CL_INVALID_KERNEL, "%p is not a live kernel", (void *)kernel);
	mcl_object_release_app(&kernel->obj);
	return CL_SUCCESS;
}
