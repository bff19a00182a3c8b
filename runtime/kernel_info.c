// SPDX-License-Identifier: MIT
/* What can be asked of a kernel, its arguments, and its work-groups and subgroups. */
#include <string.h>

#include "runtime/program.h"

/* clGetKernel...Info's device: NULL means the only one. */
static cl_int check_device(const char *function, cl_device_id device)
{
	if (device && !mcl_object_valid(device, MCL_TYPE_DEVICE))
		return mcl_cl_error(function, CL_INVALID_DEVICE, "%p is not the kernel's device", (void *)device);
	return CL_SUCCESS;
}

cl_int clGetKernelInfo(cl_kernel kernel, cl_kernel_info param_name, size_t param_value_size, void *param_value,
		       size_t *param_value_size_ret)
{
	if (!mcl_object_valid(kernel, MCL_TYPE_KERNEL))
		return MCL_ERR(CL_INVALID_KERNEL, "%p is not a live kernel", (void *)kernel);

	switch (param_name) {
	case CL_KERNEL_FUNCTION_NAME:
		return MCL_INFO_STRING(mcl_co_string(kernel->build->co, kernel->info->name));
	case CL_KERNEL_NUM_ARGS:
		return MCL_INFO_VALUE(cl_uint, kernel->info->arg_count);
	case CL_KERNEL_REFERENCE_COUNT:
		return MCL_INFO_VALUE(cl_uint, mcl_object_app_refs(&kernel->obj));
	case CL_KERNEL_CONTEXT:
		return MCL_INFO_VALUE(cl_context, kernel->program->context);
	case CL_KERNEL_PROGRAM:
		return MCL_INFO_VALUE(cl_program, kernel->program);
	case CL_KERNEL_ATTRIBUTES:
		return MCL_INFO_STRING(mcl_co_string(kernel->build->co, kernel->info->attributes));
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown kernel query 0x%x", param_name);
}

cl_int clGetKernelArgInfo(cl_kernel kernel, cl_uint arg_index, cl_kernel_arg_info param_name, size_t param_value_size,
			  void *param_value, size_t *param_value_size_ret)
{
	const struct mcl_co_arg *arg;

	if (!mcl_object_valid(kernel, MCL_TYPE_KERNEL))
		return MCL_ERR(CL_INVALID_KERNEL, "%p is not a live kernel", (void *)kernel);
	if (arg_index >= kernel->info->arg_count)
		return MCL_ERR(CL_INVALID_ARG_INDEX, "argument %u of %u", arg_index, kernel->info->arg_count);
	if (!(kernel->info->flags & MCL_CO_ARG_INFO))
		return MCL_ERR(CL_KERNEL_ARG_INFO_NOT_AVAILABLE, "the program was built without it");
	arg = &kernel->arg_info[arg_index];

	switch (param_name) {
	case CL_KERNEL_ARG_ADDRESS_QUALIFIER:
		return MCL_INFO_VALUE(cl_kernel_arg_address_qualifier, arg->address);
	case CL_KERNEL_ARG_ACCESS_QUALIFIER:
		return MCL_INFO_VALUE(cl_kernel_arg_access_qualifier, arg->access);
	case CL_KERNEL_ARG_TYPE_NAME:
		return MCL_INFO_STRING(mcl_co_string(kernel->build->co, arg->type_name));
	case CL_KERNEL_ARG_TYPE_QUALIFIER:
		return MCL_INFO_VALUE(cl_kernel_arg_type_qualifier, arg->type_qualifier);
	case CL_KERNEL_ARG_NAME:
		return MCL_INFO_STRING(mcl_co_string(kernel->build->co, arg->name));
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown argument query 0x%x", param_name);
}

/* Static use and the sizes of __local arguments as far as they are set. */
static cl_ulong local_bytes(cl_kernel kernel)
{
	cl_ulong bytes = kernel->info->local_bytes;

	pthread_mutex_lock(&kernel->lock);
	for (uint32_t i = 0; i < kernel->info->arg_count; i++)
		if (kernel->arg_info[i].kind == MCL_CO_ARG_LOCAL)
			bytes += kernel->args[i].size;
	pthread_mutex_unlock(&kernel->lock);
	return bytes;
}

static size_t max_work_group_size(cl_kernel kernel)
{
	const uint32_t *size = kernel->info->reqd_local_size;

	if (size[0])
		return (size_t)size[0] * size[1] * size[2];
	return mcl_device_caps()->max_work_group_size;
}

cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info param_name,
				size_t param_value_size, void *param_value, size_t *param_value_size_ret)
{
	cl_int error;

	if (!mcl_object_valid(kernel, MCL_TYPE_KERNEL))
		return MCL_ERR(CL_INVALID_KERNEL, "%p is not a live kernel", (void *)kernel);
	error = check_device(__func__, device);
	if (error)
		return error;

	switch (param_name) {
	case CL_KERNEL_WORK_GROUP_SIZE:
		return MCL_INFO_VALUE(size_t, max_work_group_size(kernel));
	case CL_KERNEL_COMPILE_WORK_GROUP_SIZE: {
		size_t size[3];

		for (int d = 0; d < 3; d++)
			size[d] = kernel->info->reqd_local_size[d];
		return MCL_INFO(size, sizeof(size));
	}
	case CL_KERNEL_LOCAL_MEM_SIZE:
		return MCL_INFO_VALUE(cl_ulong, local_bytes(kernel));
	case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
		/* The compiler says 1 where it does not know. */
		return MCL_INFO_VALUE(size_t, kernel->info->preferred_multiple > 1 ? kernel->info->preferred_multiple :
										     mcl_device_preferred_multiple());
	case CL_KERNEL_PRIVATE_MEM_SIZE:
		return MCL_INFO_VALUE(cl_ulong, kernel->info->private_bytes);
	case CL_KERNEL_GLOBAL_WORK_SIZE:
		return MCL_ERR(CL_INVALID_VALUE,
			       "CL_KERNEL_GLOBAL_WORK_SIZE is for built-in kernels and custom devices");
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown work-group query 0x%x", param_name);
}

/*
 * A subgroup is a row of the work-group: the work-items that differ in dimension 0 only. So the size of the largest is
 * local_size[0], and their number the product of the others.
 */

/* @input is an array of 1 to 3 sizes: the local size of a launch. Fills the rest with 1. */
static cl_int take_local_size(const char *function, size_t bytes, const void *input, size_t local[3])
{
	size_t count = bytes / sizeof(size_t);

	if (!input || bytes % sizeof(size_t) || count < 1 || count > 3)
		return mcl_cl_error(function, CL_INVALID_VALUE, "input_value is not a local size: %zu bytes", bytes);
	for (size_t d = 0; d < 3; d++)
		local[d] = 1;
	memcpy(local, input, bytes);
	return CL_SUCCESS;
}

/* The local size, of as many dimensions as the answer has room for, that makes @wish subgroups; zeros if none does. */
static cl_int local_size_for(const char *function, cl_kernel kernel, size_t wish, size_t param_value_size,
			     void *param_value, size_t *param_value_size_ret)
{
	const uint32_t *reqd = kernel->info->reqd_local_size;
	size_t max = max_work_group_size(kernel), local[3] = { 0, 0, 0 };
	size_t dims = param_value ? param_value_size / sizeof(size_t) : 3;

	if (param_value && (param_value_size % sizeof(size_t) || dims < 1 || dims > 3))
		return mcl_cl_error(function, CL_INVALID_VALUE, "param_value_size is %zu, not that of 1 to 3 sizes",
				    param_value_size);
	if (reqd[0]) {
		if (wish == (size_t)reqd[1] * reqd[2] && (dims == 3 || (reqd[2] == 1 && (dims == 2 || reqd[1] == 1))))
			for (int d = 0; d < 3; d++)
				local[d] = reqd[d];
	} else if (wish && wish <= max && (wish == 1 || dims > 1)) {
		local[0] = max / wish;
		local[1] = wish;
		local[2] = 1;
	}
	return mcl_info(function, local, dims * sizeof(size_t), param_value_size, param_value, param_value_size_ret);
}

cl_int clGetKernelSubGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_sub_group_info param_name,
			       size_t input_value_size, const void *input_value, size_t param_value_size,
			       void *param_value, size_t *param_value_size_ret)
{
	size_t local[3], wish;
	cl_int error;

	if (!mcl_object_valid(kernel, MCL_TYPE_KERNEL))
		return MCL_ERR(CL_INVALID_KERNEL, "%p is not a live kernel", (void *)kernel);
	error = check_device(__func__, device);
	if (error)
		return error;

	switch (param_name) {
	case CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE:
		error = take_local_size(__func__, input_value_size, input_value, local);
		return error ? error : MCL_INFO_VALUE(size_t, local[0]);
	case CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE:
		error = take_local_size(__func__, input_value_size, input_value, local);
		return error ? error : MCL_INFO_VALUE(size_t, local[1] * local[2]);
	case CL_KERNEL_LOCAL_SIZE_FOR_SUB_GROUP_COUNT:
		if (!input_value || input_value_size != sizeof(wish))
			return MCL_ERR(CL_INVALID_VALUE, "input_value is not a number of subgroups: %zu bytes",
				       input_value_size);
		memcpy(&wish, input_value, sizeof(wish));
		return local_size_for(__func__, kernel, wish, param_value_size, param_value, param_value_size_ret);
	case CL_KERNEL_MAX_NUM_SUB_GROUPS:
		if (kernel->info->reqd_local_size[0])
			return MCL_INFO_VALUE(size_t, (size_t)kernel->info->reqd_local_size[1] *
							      kernel->info->reqd_local_size[2]);
		return MCL_INFO_VALUE(size_t, mcl_device_caps()->max_work_group_size);
	case CL_KERNEL_COMPILE_NUM_SUB_GROUPS:
		return MCL_INFO_VALUE(size_t, 0); /* no kernel names one */
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown subgroup query 0x%x", param_name);
}
