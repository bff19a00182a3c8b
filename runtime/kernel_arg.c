// SPDX-License-Identifier: MIT
/*
 * Arguments of kernels. A value is copied when it is set; a cl_mem is replaced by its address at once, for buffers never
 * move, and is not kept alive. Each call costs the same, however many objects there are.
 */
#include <stdlib.h>
#include <string.h>

#include <CL/cl_ext.h>

#include "runtime/mem.h"
#include "runtime/program.h"

/* Kernel lock held. */
static void store(cl_kernel kernel, cl_uint index, const void *value, size_t value_size, size_t size, cl_mem mem,
		  bool is_svm)
{
	struct mcl_kernel_arg *arg = &kernel->args[index];

	if (!arg->set) {
		arg->set = true;
		kernel->unset_args--;
	}
	if (value_size)
		memcpy(arg->value, value, value_size);
	arg->size = size;
	arg->mem = mem;
	arg->is_svm = is_svm;
}

static void set(cl_kernel kernel, cl_uint index, const void *value, size_t value_size, size_t size, cl_mem mem,
		bool is_svm)
{
	pthread_mutex_lock(&kernel->lock);
	store(kernel, index, value, value_size, size, mem, is_svm);
	pthread_mutex_unlock(&kernel->lock);
}

/* What messages call argument @index. */
static const char *arg_name(cl_kernel kernel, cl_uint index)
{
	return mcl_co_string(kernel->build->co, kernel->arg_info[index].name);
}

static cl_int set_pointer(const char *function, cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
	void *address = NULL;
	cl_mem mem = NULL;

	if (size != sizeof(cl_mem))
		return mcl_cl_error(function, CL_INVALID_ARG_SIZE,
				    "argument %u (%s) is a pointer: %zu bytes are not a cl_mem", index,
				    arg_name(kernel, index), size);
	/* NULL, or a pointer to NULL, is a null pointer in the kernel. */
	if (value)
		memcpy(&mem, value, sizeof(mem));
	if (mem) {
		if (!mcl_object_valid(mem, MCL_TYPE_MEM))
			return mcl_cl_error(function, CL_INVALID_MEM_OBJECT,
					    "argument %u (%s): %p is not a live memory object", index,
					    arg_name(kernel, index), (void *)mem);
		if (mem->context != kernel->program->context)
			return mcl_cl_error(function, CL_INVALID_MEM_OBJECT,
					    "argument %u (%s): the memory object belongs to another context", index,
					    arg_name(kernel, index));
		address = mem->data;
	}
	set(kernel, index, &address, sizeof(address), sizeof(address), mem, false);
	return CL_SUCCESS;
}

static cl_int set_local(const char *function, cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
	if (value)
		return mcl_cl_error(function, CL_INVALID_ARG_VALUE,
				    "argument %u (%s) is local memory: arg_value must be NULL", index,
				    arg_name(kernel, index));
	if (!size)
		return mcl_cl_error(function, CL_INVALID_ARG_SIZE, "argument %u (%s) is local memory of 0 bytes", index,
				    arg_name(kernel, index));
	set(kernel, index, NULL, 0, size, NULL, false);
	return CL_SUCCESS;
}

/* The value of a type whose size only the application knows. */
static cl_int set_unsized(const char *function, cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
	struct mcl_kernel_arg *arg = &kernel->args[index];
	void *copy, *old;

	if (!size || size > mcl_device_caps()->max_param_size)
		return mcl_cl_error(function, CL_INVALID_ARG_SIZE, "argument %u (%s) cannot have %zu bytes", index,
				    arg_name(kernel, index), size);
	if (!value)
		return mcl_cl_error(function, CL_INVALID_ARG_VALUE, "argument %u (%s): arg_value is NULL", index,
				    arg_name(kernel, index));
	copy = malloc(size);
	if (!copy)
		return mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "no memory for %zu bytes of argument %u", size,
				    index);
	memcpy(copy, value, size);
	pthread_mutex_lock(&kernel->lock);
	old = arg->value;
	arg->value = copy;
	store(kernel, index, NULL, 0, size, NULL, false);
	pthread_mutex_unlock(&kernel->lock);
	free(old);
	return CL_SUCCESS;
}

static cl_int set_value(const char *function, cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
	if (kernel->args[index].owns_value)
		return set_unsized(function, kernel, index, size, value);
	if (size != kernel->arg_info[index].size)
		return mcl_cl_error(function, CL_INVALID_ARG_SIZE, "argument %u (%s) has %u bytes, not %zu", index,
				    arg_name(kernel, index), kernel->arg_info[index].size, size);
	if (!value)
		return mcl_cl_error(function, CL_INVALID_ARG_VALUE, "argument %u (%s): arg_value is NULL", index,
				    arg_name(kernel, index));
	set(kernel, index, value, size, size, NULL, false);
	return CL_SUCCESS;
}

cl_int clSetKernelArg(cl_kernel kernel, cl_uint arg_index, size_t arg_size, const void *arg_value)
{
	if (!mcl_object_valid(kernel, MCL_TYPE_KERNEL))
		return MCL_ERR(CL_INVALID_KERNEL, "%p is not a live kernel", (void *)kernel);
	if (arg_index >= kernel->info->arg_count)
		return MCL_ERR(CL_INVALID_ARG_INDEX, "argument %u of %u", arg_index, kernel->info->arg_count);

	switch (kernel->arg_info[arg_index].kind) {
	case MCL_CO_ARG_VALUE:
		return set_value(__func__, kernel, arg_index, arg_size, arg_value);
	case MCL_CO_ARG_POINTER:
		return set_pointer(__func__, kernel, arg_index, arg_size, arg_value);
	case MCL_CO_ARG_LOCAL:
		return set_local(__func__, kernel, arg_index, arg_size, arg_value);
	case MCL_CO_ARG_IMAGE:
		if (arg_size != sizeof(cl_mem))
			return MCL_ERR(CL_INVALID_ARG_SIZE, "argument %u is an image: %zu bytes are not a cl_mem",
				       arg_index, arg_size);
		return MCL_ERR(CL_INVALID_MEM_OBJECT, "argument %u is an image, and the device has none", arg_index);
	default:
		if (arg_size != sizeof(cl_sampler))
			return MCL_ERR(CL_INVALID_ARG_SIZE, "argument %u is a sampler: %zu bytes are not a cl_sampler",
				       arg_index, arg_size);
		return MCL_ERR(CL_INVALID_SAMPLER, "argument %u is a sampler, and the device has none", arg_index);
	}
}

/* Any address will do: where system memory is shared there is no telling which ones the kernel may use. */
static cl_int set_address(const char *function, cl_kernel kernel, cl_uint index, const void *address)
{
	if (!mcl_object_valid(kernel, MCL_TYPE_KERNEL))
		return mcl_cl_error(function, CL_INVALID_KERNEL, "%p is not a live kernel", (void *)kernel);
	if (index >= kernel->info->arg_count)
		return mcl_cl_error(function, CL_INVALID_ARG_INDEX, "argument %u of %u", index,
				    kernel->info->arg_count);
	if (kernel->arg_info[index].kind != MCL_CO_ARG_POINTER)
		return mcl_cl_error(function, CL_INVALID_ARG_VALUE,
				    "argument %u (%s) is not a pointer to global or constant memory", index,
				    arg_name(kernel, index));
	set(kernel, index, &address, sizeof(address), sizeof(address), NULL, true);
	return CL_SUCCESS;
}

cl_int clSetKernelArgSVMPointer(cl_kernel kernel, cl_uint arg_index, const void *arg_value)
{
	return set_address(__func__, kernel, arg_index, arg_value);
}

cl_int clSetKernelArgMemPointerINTEL(cl_kernel kernel, cl_uint arg_index, const void *arg_value)
{
	return set_address(__func__, kernel, arg_index, arg_value);
}

static cl_int set_svm_pointers(const char *function, cl_kernel kernel, size_t size, const void *value)
{
	void **copy = NULL, **old;

	/* Nothing at all takes back what was set before. */
	if (size % sizeof(void *) || !size != !value)
		return mcl_cl_error(function, CL_INVALID_VALUE, "%zu bytes at %p are not a list of pointers", size,
				    value);
	if (size) {
		copy = malloc(size);
		if (!copy)
			return mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "no memory for a list of pointers");
		memcpy(copy, value, size);
	}
	pthread_mutex_lock(&kernel->lock);
	old = kernel->svm_pointers;
	kernel->svm_pointers = copy;
	kernel->svm_pointer_count = size / sizeof(void *);
	pthread_mutex_unlock(&kernel->lock);
	free(old);
	return CL_SUCCESS;
}

cl_int clSetKernelExecInfo(cl_kernel kernel, cl_kernel_exec_info param_name, size_t param_value_size,
			   const void *param_value)
{
	cl_bool flag;

	if (!mcl_object_valid(kernel, MCL_TYPE_KERNEL))
		return MCL_ERR(CL_INVALID_KERNEL, "%p is not a live kernel", (void *)kernel);
	switch (param_name) {
	case CL_KERNEL_EXEC_INFO_SVM_PTRS:
		return set_svm_pointers(__func__, kernel, param_value_size, param_value);
	case CL_KERNEL_EXEC_INFO_USM_PTRS_INTEL:
		/* As all memory may be used anyway, the list is of no use. */
		if (!param_value || !param_value_size || param_value_size % sizeof(void *))
			return MCL_ERR(CL_INVALID_VALUE, "%zu bytes at %p are not a list of pointers", param_value_size,
				       param_value);
		return CL_SUCCESS;
	case CL_KERNEL_EXEC_INFO_INDIRECT_HOST_ACCESS_INTEL:
	case CL_KERNEL_EXEC_INFO_INDIRECT_DEVICE_ACCESS_INTEL:
	case CL_KERNEL_EXEC_INFO_INDIRECT_SHARED_ACCESS_INTEL:
	case CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM:
		if (!param_value || param_value_size != sizeof(flag))
			return MCL_ERR(CL_INVALID_VALUE, "%zu bytes are not a cl_bool", param_value_size);
		if (param_name != CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM)
			return CL_SUCCESS;
		memcpy(&flag, param_value, sizeof(flag));
		if (flag && !mcl_device_caps()->system_svm)
			return MCL_ERR(CL_INVALID_OPERATION, "the device has no fine-grained system SVM");
		pthread_mutex_lock(&kernel->lock);
		kernel->fine_grain_system = flag;
		pthread_mutex_unlock(&kernel->lock);
		return CL_SUCCESS;
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown execution property 0x%x", param_name);
}
