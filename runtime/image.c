// SPDX-License-Identifier: MIT
/*
 * Images: the device has none (CL_DEVICE_IMAGE_SUPPORT is false), so nothing here makes one, and every function returns the
 * error that the specification names for such a device.
 */
#include "runtime/context.h"

#define NO_IMAGES "the device does not support images"

/* What every function that would make an image does. */
static cl_mem create(const char *function, cl_context context, cl_int *errcode_ret)
{
	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		mcl_errcode(errcode_ret,
			    mcl_cl_error(function, CL_INVALID_CONTEXT, "%p is not a live context", (void *)context));
	else
		mcl_errcode(errcode_ret, mcl_cl_error(function, CL_INVALID_OPERATION, NO_IMAGES));
	return NULL;
}

/* What every command on images does: no cl_mem can be an image. */
static cl_int enqueue(const char *function, cl_command_queue queue)
{
	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return mcl_cl_error(function, CL_INVALID_COMMAND_QUEUE, "%p is not a live queue", (void *)queue);
	return mcl_cl_error(function, CL_INVALID_OPERATION, NO_IMAGES);
}

cl_mem clCreateImage(cl_context context, cl_mem_flags flags, const cl_image_format *image_format,
		     const cl_image_desc *image_desc, void *host_ptr, cl_int *errcode_ret)
{
	(void)flags, (void)image_format, (void)image_desc, (void)host_ptr;
	return create(__func__, context, errcode_ret);
}

cl_mem clCreateImageWithProperties(cl_context context, const cl_mem_properties *properties, cl_mem_flags flags,
				   const cl_image_format *image_format, const cl_image_desc *image_desc, void *host_ptr,
				   cl_int *errcode_ret)
{
	(void)properties, (void)flags, (void)image_format, (void)image_desc, (void)host_ptr;
	return create(__func__, context, errcode_ret);
}

cl_mem clCreateImage2D(cl_context context, cl_mem_flags flags, const cl_image_format *image_format, size_t image_width,
		       size_t image_height, size_t image_row_pitch, void *host_ptr, cl_int *errcode_ret)
{
	(void)flags, (void)image_format, (void)image_width, (void)image_height, (void)image_row_pitch, (void)host_ptr;
	return create(__func__, context, errcode_ret);
}

cl_mem clCreateImage3D(cl_context context, cl_mem_flags flags, const cl_image_format *image_format, size_t image_width,
		       size_t image_height, size_t image_depth, size_t image_row_pitch, size_t image_slice_pitch,
		       void *host_ptr, cl_int *errcode_ret)
{
	(void)flags, (void)image_format, (void)image_width, (void)image_height, (void)image_depth,
		(void)image_row_pitch, (void)image_slice_pitch, (void)host_ptr;
	return create(__func__, context, errcode_ret);
}

cl_int clGetSupportedImageFormats(cl_context context, cl_mem_flags flags, cl_mem_object_type image_type,
				  cl_uint num_entries, cl_image_format *image_formats, cl_uint *num_image_formats)
{
	const cl_mem_flags access = CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY |
				    CL_MEM_KERNEL_READ_AND_WRITE;
	const cl_mem_flags host = CL_MEM_USE_HOST_PTR | CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR |
				  CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		return MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
	if (flags & ~(access | host))
		return MCL_ERR(CL_INVALID_VALUE, "flags 0x%llx are unknown", (unsigned long long)flags);
	switch (image_type) {
	case CL_MEM_OBJECT_IMAGE1D:
	case CL_MEM_OBJECT_IMAGE1D_ARRAY:
	case CL_MEM_OBJECT_IMAGE1D_BUFFER:
	case CL_MEM_OBJECT_IMAGE2D:
	case CL_MEM_OBJECT_IMAGE2D_ARRAY:
	case CL_MEM_OBJECT_IMAGE3D:
		break;
	default:
		return MCL_ERR(CL_INVALID_VALUE, "0x%x is not a type of image", image_type);
	}
	if (image_formats && !num_entries)
		return MCL_ERR(CL_INVALID_VALUE, "num_entries is 0 and image_formats is not NULL");
	if (num_image_formats)
		*num_image_formats = 0;
	return CL_SUCCESS;
}

cl_int clGetImageInfo(cl_mem image, cl_image_info param_name, size_t param_value_size, void *param_value,
		      size_t *param_value_size_ret)
{
	(void)param_name, (void)param_value_size, (void)param_value, (void)param_value_size_ret;
	return MCL_ERR(CL_INVALID_MEM_OBJECT, "%p is not an image", (void *)image);
}

cl_int clEnqueueReadImage(cl_command_queue command_queue, cl_mem image, cl_bool blocking_read, const size_t *origin,
			  const size_t *region, size_t row_pitch, size_t slice_pitch, void *ptr,
			  cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
	(void)image, (void)blocking_read, (void)origin, (void)region, (void)row_pitch, (void)slice_pitch, (void)ptr,
		(void)num_events_in_wait_list, (void)event_wait_list, (void)event;
	return enqueue(__func__, command_queue);
}

cl_int clEnqueueWriteImage(cl_command_queue command_queue, cl_mem image, cl_bool blocking_write, const size_t *origin,
			   const size_t *region, size_t input_row_pitch, size_t input_slice_pitch, const void *ptr,
			   cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
	(void)image, (void)blocking_write, (void)origin, (void)region, (void)input_row_pitch, (void)input_slice_pitch,
		(void)ptr, (void)num_events_in_wait_list, (void)event_wait_list, (void)event;
	return enqueue(__func__, command_queue);
}

cl_int clEnqueueFillImage(cl_command_queue command_queue, cl_mem image, const void *fill_color, const size_t *origin,
			  const size_t *region, cl_uint num_events_in_wait_list, const cl_event *event_wait_list,
			  cl_event *event)
{
	(void)image, (void)fill_color, (void)origin, (void)region, (void)num_events_in_wait_list, (void)event_wait_list,
		(void)event;
	return enqueue(__func__, command_queue);
}

cl_int clEnqueueCopyImage(cl_command_queue command_queue, cl_mem src_image, cl_mem dst_image, const size_t *src_origin,
			  const size_t *dst_origin, const size_t *region, cl_uint num_events_in_wait_list,
			  const cl_event *event_wait_list, cl_event *event)
{
	(void)src_image, (void)dst_image, (void)src_origin, (void)dst_origin, (void)region,
		(void)num_events_in_wait_list, (void)event_wait_list, (void)event;
	return enqueue(__func__, command_queue);
}

cl_int clEnqueueCopyImageToBuffer(cl_command_queue command_queue, cl_mem src_image, cl_mem dst_buffer,
				  const size_t *src_origin, const size_t *region, size_t dst_offset,
				  cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
	(void)src_image, (void)dst_buffer, (void)src_origin, (void)region, (void)dst_offset,
		(void)num_events_in_wait_list, (void)event_wait_list, (void)event;
	return enqueue(__func__, command_queue);
}

cl_int clEnqueueCopyBufferToImage(cl_command_queue command_queue, cl_mem src_buffer, cl_mem dst_image,
				  size_t src_offset, const size_t *dst_origin, const size_t *region,
				  cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
	(void)src_buffer, (void)dst_image, (void)src_offset, (void)dst_origin, (void)region,
		(void)num_events_in_wait_list, (void)event_wait_list, (void)event;
	return enqueue(__func__, command_queue);
}

void *clEnqueueMapImage(cl_command_queue command_queue, cl_mem image, cl_bool blocking_map, cl_map_flags map_flags,
			const size_t *origin, const size_t *region, size_t *image_row_pitch, size_t *image_slice_pitch,
			cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event,
			cl_int *errcode_ret)
{
	(void)image, (void)blocking_map, (void)map_flags, (void)origin, (void)region, (void)image_row_pitch,
		(void)image_slice_pitch, (void)num_events_in_wait_list, (void)event_wait_list, (void)event;
	mcl_errcode(errcode_ret, enqueue(__func__, command_queue));
	return NULL;
}
