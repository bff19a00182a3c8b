// SPDX-License-Identifier: MIT
/* Samplers: without images there are none. Each function returns the error that the specification names for that. */
#include "runtime/context.h"

static cl_sampler create(const char *function, cl_context context, cl_int *errcode_ret)
{
	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		mcl_errcode(errcode_ret,
			    mcl_cl_error(function, CL_INVALID_CONTEXT, "%p is not a live context", (void *)context));
	else
		mcl_errcode(errcode_ret,
			    mcl_cl_error(function, CL_INVALID_OPERATION, "the device does not support images"));
	return NULL;
}

cl_sampler clCreateSampler(cl_context context, cl_bool normalized_coords, cl_addressing_mode addressing_mode,
			   cl_filter_mode filter_mode, cl_int *errcode_ret)
{
	(void)normalized_coords, (void)addressing_mode, (void)filter_mode;
	return create(__func__, context, errcode_ret);
}

cl_sampler clCreateSamplerWithProperties(cl_context context, const cl_sampler_properties *sampler_properties,
					 cl_int *errcode_ret)
{
	(void)sampler_properties;
	return create(__func__, context, errcode_ret);
}

cl_int clRetainSampler(cl_sampler sampler)
{
	return MCL_ERR(CL_INVALID_SAMPLER, "%p is not a sampler", (void *)sampler);
}

cl_int clReleaseSampler(cl_sampler sampler)
{
	return MCL_ERR(CL_INVALID_SAMPLER, "%p is not a sampler", (void *)sampler);
}

cl_int clGetSamplerInfo(cl_sampler sampler, cl_sampler_info param_name, size_t param_value_size, void *param_value,
			size_t *param_value_size_ret)
{
	(void)param_name, (void)param_value_size, (void)param_value, (void)param_value_size_ret;
	return MCL_ERR(CL_INVALID_SAMPLER, "%p is not a sampler", (void *)sampler);
}
