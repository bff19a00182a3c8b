// SPDX-License-Identifier: MIT
/* The body of every clGet*Info; see object.h. */
#include <string.h>

#include "runtime/object.h"

cl_int mcl_info(const char *function, const void *value, size_t size, size_t param_value_size, void *param_value,
		size_t *param_value_size_ret)
{
	if (param_value) {
		if (param_value_size < size)
			return mcl_cl_error(function, CL_INVALID_VALUE,
					    "param_value_size is %zu, the value has %zu bytes", param_value_size, size);
		if (size)
			memcpy(param_value, value, size);
	}
	if (param_value_size_ret)
		*param_value_size_ret = size;
	return CL_SUCCESS;
}
