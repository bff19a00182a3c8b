/* SPDX-License-Identifier: MIT */
/* Functions for slots whose types only other operating systems' headers know; see unsupported.c. */
#ifndef MCL_UNSUPPORTED_H
#define MCL_UNSUPPORTED_H

#include "runtime/object.h"

cl_int mcl_foreign_device_ids(cl_platform_id platform, cl_uint source, void *object, cl_uint set, cl_uint num_entries,
			      cl_device_id *devices, cl_uint *num_devices);
cl_mem mcl_foreign_create_buffer(cl_context context, cl_mem_flags flags, void *resource, cl_int *errcode_ret);
cl_mem mcl_foreign_create_texture(cl_context context, cl_mem_flags flags, void *resource, cl_uint subresource,
				  cl_int *errcode_ret);
cl_mem mcl_foreign_create_surface(cl_context context, cl_mem_flags flags, cl_uint adapter_type, void *surface,
				  cl_uint plane, cl_int *errcode_ret);
cl_int mcl_foreign_enqueue(cl_command_queue queue, cl_uint count, const cl_mem *objects, cl_uint num_events,
			   const cl_event *wait_list, cl_event *event);
/* OpenCL 3.1, a slot of newer headers' table. */
cl_int mcl_no_suggested_local_size(cl_command_queue queue, cl_kernel kernel, cl_uint work_dim, const size_t *offset,
				   const size_t *global_size, size_t *suggested);

#endif
