// SPDX-License-Identifier: MIT
/* What can be asked of a program and of its last build. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/program.h"

/* The answer is an array of pointers that the application gave, one for the one device, to be filled. */
static cl_int binaries(const char *function, const void *bytes, size_t size, size_t param_value_size, void *param_value,
		       size_t *param_value_size_ret)
{
	unsigned char *to;

	if (param_value) {
		if (param_value_size < sizeof(to))
			return mcl_cl_error(function, CL_INVALID_VALUE,
					    "param_value_size is %zu, less than one pointer", param_value_size);
		memcpy(&to, param_value, sizeof(to));
		if (to && size)
			memcpy(to, bytes, size);
	}
	if (param_value_size_ret)
		*param_value_size_ret = sizeof(to);
	return CL_SUCCESS;
}

/*
 * The program's binary in *@co, a reference, becomes whole: what was built is only a description (variant.h) until somebody
 * asks for the binary. From then on it is this one.
 */
static cl_int make_whole(const char *function, cl_program program, struct mcl_code_object **co)
{
	struct mcl_source *source = NULL;
	struct mcl_code_object *whole;
	struct mcl_reason why = { "" };
	int err;

	if (!*co || mcl_co_whole(*co))
		return CL_SUCCESS;
	pthread_mutex_lock(&program->lock);
	if (program->build && program->build->source)
		source = mcl_source_get(program->build->source);
	pthread_mutex_unlock(&program->lock);
	err = mcl_build_whole(*co, source, &whole, &why);
	mcl_source_put(source);
	if (err)
		return mcl_cl_error(function, err == -ENOMEM ? CL_OUT_OF_HOST_MEMORY : CL_OUT_OF_RESOURCES,
				    "the program's code cannot be completed: %s", why.text);
	pthread_mutex_lock(&program->lock);
	if (program->binary == *co) {
		mcl_code_object_put(program->binary);
		program->binary = mcl_code_object_get(whole);
	}
	pthread_mutex_unlock(&program->lock);
	mcl_code_object_put(*co);
	*co = whole;
	return CL_SUCCESS;
}

/* "a;b;c", malloc'd, or NULL. */
static char *kernel_names(const struct mcl_code_object *co)
{
	size_t size = 1;
	char *names, *at;

	for (uint32_t i = 0; i < co->header->kernels.count; i++)
		size += strlen(mcl_co_string(co, co->kernels[i].name)) + 1;
	names = malloc(size);
	if (!names)
		return NULL;
	at = names;
	*at = '\0';
	for (uint32_t i = 0; i < co->header->kernels.count; i++) {
		if (i)
			*at++ = ';';
		at = stpcpy(at, mcl_co_string(co, co->kernels[i].name));
	}
	return names;
}

cl_int clGetProgramInfo(cl_program program, cl_program_info param_name, size_t param_value_size, void *param_value,
			size_t *param_value_size_ret)
{
	struct mcl_code_object *co = NULL;
	struct mcl_source *compiled = NULL;
	bool executable;
	char *names;
	cl_int error;

	if (!mcl_object_valid(program, MCL_TYPE_PROGRAM))
		return MCL_ERR(CL_INVALID_PROGRAM, "%p is not a live program", (void *)program);

	pthread_mutex_lock(&program->lock);
	if (program->binary)
		co = mcl_code_object_get(program->binary);
	else if (program->compiled)
		compiled = mcl_source_get(program->compiled);
	executable = co && program->build;
	pthread_mutex_unlock(&program->lock);

	switch (param_name) {
	case CL_PROGRAM_REFERENCE_COUNT:
		error = MCL_INFO_VALUE(cl_uint, mcl_object_app_refs(&program->obj));
		break;
	case CL_PROGRAM_CONTEXT:
		error = MCL_INFO_VALUE(cl_context, program->context);
		break;
	case CL_PROGRAM_NUM_DEVICES:
		error = MCL_INFO_VALUE(cl_uint, 1);
		break;
	case CL_PROGRAM_DEVICES:
		error = MCL_INFO_VALUE(cl_device_id, &mcl_device);
		break;
	case CL_PROGRAM_SOURCE:
		error = program->source ? MCL_INFO(program->source, program->source_size + 1) : MCL_INFO_STRING("");
		break;
	case CL_PROGRAM_IL:
		error = MCL_INFO(program->il, program->il_size);
		break;
	case CL_PROGRAM_BINARY_SIZES:
		error = make_whole(__func__, program, &co);
		if (!error)
			error = MCL_INFO_VALUE(size_t, co ? co->size : compiled ? compiled->bundle.size : 0);
		break;
	case CL_PROGRAM_BINARIES:
		error = make_whole(__func__, program, &co);
		if (error)
			break;
		if (co)
			error = binaries(__func__, co->bytes, co->size, param_value_size, param_value,
					 param_value_size_ret);
		else
			error = binaries(__func__, compiled ? compiled->bundle.bytes : NULL,
					 compiled ? compiled->bundle.size : 0, param_value_size, param_value,
					 param_value_size_ret);
		break;
	case CL_PROGRAM_NUM_KERNELS:
		if (!executable)
			error = MCL_ERR(CL_INVALID_PROGRAM_EXECUTABLE, "the program is not built");
		else
			error = MCL_INFO_VALUE(size_t, co->header->kernels.count);
		break;
	case CL_PROGRAM_KERNEL_NAMES:
		if (!executable) {
			error = MCL_ERR(CL_INVALID_PROGRAM_EXECUTABLE, "the program is not built");
			break;
		}
		names = kernel_names(co);
		error = names ? MCL_INFO_STRING(names) : MCL_ERR(CL_OUT_OF_HOST_MEMORY, "out of memory");
		free(names);
		break;
	case CL_PROGRAM_SCOPE_GLOBAL_CTORS_PRESENT:
	case CL_PROGRAM_SCOPE_GLOBAL_DTORS_PRESENT:
		error = MCL_INFO_VALUE(cl_bool, CL_FALSE);
		break;
	default:
		error = MCL_ERR(CL_INVALID_VALUE, "unknown program query 0x%x", param_name);
		break;
	}
	mcl_code_object_put(co);
	mcl_source_put(compiled);
	return error;
}

cl_int clGetProgramBuildInfo(cl_program program, cl_device_id device, cl_program_build_info param_name,
			     size_t param_value_size, void *param_value, size_t *param_value_size_ret)
{
	cl_int error;

	if (!mcl_object_valid(program, MCL_TYPE_PROGRAM))
		return MCL_ERR(CL_INVALID_PROGRAM, "%p is not a live program", (void *)program);
	if (!mcl_object_valid(device, MCL_TYPE_DEVICE))
		return MCL_ERR(CL_INVALID_DEVICE, "%p is not the program's device", (void *)device);

	pthread_mutex_lock(&program->lock);
	switch (param_name) {
	case CL_PROGRAM_BUILD_STATUS:
		error = MCL_INFO_VALUE(cl_build_status, program->status);
		break;
	case CL_PROGRAM_BUILD_OPTIONS:
		error = MCL_INFO_STRING(program->options ? program->options : "");
		break;
	case CL_PROGRAM_BUILD_LOG:
		error = MCL_INFO_STRING(program->log ? program->log : "");
		break;
	case CL_PROGRAM_BINARY_TYPE:
		error = MCL_INFO_VALUE(cl_program_binary_type, program->binary_type);
		break;
	case CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE:
		error = MCL_INFO_VALUE(size_t, program->build ? program->build->co->header->global_size : 0);
		break;
	default:
		error = MCL_ERR(CL_INVALID_VALUE, "unknown build query 0x%x", param_name);
		break;
	}
	pthread_mutex_unlock(&program->lock);
	return error;
}
