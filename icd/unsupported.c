// SPDX-License-Identifier: MIT
/*
 * The slots of the dispatch table that MirrorCL has nothing behind: sharing with OpenGL, EGL, Direct3D and DX9 media,
 * pipes, device fission. Each checks the handle that it is given and then returns the error that the specification names
 * for an implementation without the feature. Images and samplers are in runtime/.
 */
#include "icd/unsupported.h"
#include "runtime/context.h"

/* A context is never made from another API's context; that is CL_INVALID_CONTEXT for OpenGL, an operation for others. */
static void *no_object(const char *function, cl_context context, cl_int code, cl_int *errcode_ret)
{
	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		code = mcl_cl_error(function, CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
	else
		code = mcl_cl_error(function, code, "the platform does not have this extension");
	mcl_errcode(errcode_ret, code);
	return NULL;
}

static cl_int no_command(const char *function, cl_command_queue queue, cl_int code)
{
	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return mcl_cl_error(function, CL_INVALID_COMMAND_QUEUE, "%p is not a live queue", (void *)queue);
	return mcl_cl_error(function, code, "the device does not have this feature");
}

static cl_int no_info(const char *function, cl_mem mem, cl_int code)
{
	if (!mcl_object_valid(mem, MCL_TYPE_MEM))
		return mcl_cl_error(function, CL_INVALID_MEM_OBJECT, "%p is not a live memory object", (void *)mem);
	return mcl_cl_error(function, code, "the memory object is not of this kind");
}

/* ---- OpenGL ---- */

cl_mem clCreateFromGLBuffer(cl_context context, cl_mem_flags flags, cl_GLuint bufobj, cl_int *errcode_ret)
{
	(void)flags, (void)bufobj;
	return no_object(__func__, context, CL_INVALID_CONTEXT, errcode_ret);
}

cl_mem clCreateFromGLTexture(cl_context context, cl_mem_flags flags, cl_GLenum target, cl_GLint miplevel,
			     cl_GLuint texture, cl_int *errcode_ret)
{
	(void)flags, (void)target, (void)miplevel, (void)texture;
	return no_object(__func__, context, CL_INVALID_CONTEXT, errcode_ret);
}

cl_mem clCreateFromGLTexture2D(cl_context context, cl_mem_flags flags, cl_GLenum target, cl_GLint miplevel,
			       cl_GLuint texture, cl_int *errcode_ret)
{
	(void)flags, (void)target, (void)miplevel, (void)texture;
	return no_object(__func__, context, CL_INVALID_CONTEXT, errcode_ret);
}

cl_mem clCreateFromGLTexture3D(cl_context context, cl_mem_flags flags, cl_GLenum target, cl_GLint miplevel,
			       cl_GLuint texture, cl_int *errcode_ret)
{
	(void)flags, (void)target, (void)miplevel, (void)texture;
	return no_object(__func__, context, CL_INVALID_CONTEXT, errcode_ret);
}

cl_mem clCreateFromGLRenderbuffer(cl_context context, cl_mem_flags flags, cl_GLuint renderbuffer, cl_int *errcode_ret)
{
	(void)flags, (void)renderbuffer;
	return no_object(__func__, context, CL_INVALID_CONTEXT, errcode_ret);
}

cl_event clCreateEventFromGLsyncKHR(cl_context context, cl_GLsync sync, cl_int *errcode_ret)
{
	(void)sync;
	return no_object(__func__, context, CL_INVALID_CONTEXT, errcode_ret);
}

cl_int clGetGLObjectInfo(cl_mem memobj, cl_gl_object_type *gl_object_type, cl_GLuint *gl_object_name)
{
	(void)gl_object_type, (void)gl_object_name;
	return no_info(__func__, memobj, CL_INVALID_GL_OBJECT);
}

cl_int clGetGLTextureInfo(cl_mem memobj, cl_gl_texture_info param_name, size_t param_value_size, void *param_value,
			  size_t *param_value_size_ret)
{
	(void)param_name, (void)param_value_size, (void)param_value, (void)param_value_size_ret;
	return no_info(__func__, memobj, CL_INVALID_GL_OBJECT);
}

cl_int clEnqueueAcquireGLObjects(cl_command_queue command_queue, cl_uint num_objects, const cl_mem *mem_objects,
				 cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
	(void)num_objects, (void)mem_objects, (void)num_events_in_wait_list, (void)event_wait_list, (void)event;
	return no_command(__func__, command_queue, CL_INVALID_CONTEXT);
}

cl_int clEnqueueReleaseGLObjects(cl_command_queue command_queue, cl_uint num_objects, const cl_mem *mem_objects,
				 cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
	(void)num_objects, (void)mem_objects, (void)num_events_in_wait_list, (void)event_wait_list, (void)event;
	return no_command(__func__, command_queue, CL_INVALID_CONTEXT);
}

cl_int clGetGLContextInfoKHR(const cl_context_properties *properties, cl_gl_context_info param_name,
			     size_t param_value_size, void *param_value, size_t *param_value_size_ret)
{
	(void)properties, (void)param_name, (void)param_value_size, (void)param_value, (void)param_value_size_ret;
	return MCL_ERR(CL_INVALID_OPERATION, "the platform does not share with OpenGL");
}

/* ---- EGL ---- */

cl_mem clCreateFromEGLImageKHR(cl_context context, CLeglDisplayKHR egldisplay, CLeglImageKHR eglimage,
			       cl_mem_flags flags, const cl_egl_image_properties_khr *properties, cl_int *errcode_ret)
{
	(void)egldisplay, (void)eglimage, (void)flags, (void)properties;
	return no_object(__func__, context, CL_INVALID_OPERATION, errcode_ret);
}

cl_event clCreateEventFromEGLSyncKHR(cl_context context, CLeglSyncKHR sync, CLeglDisplayKHR display,
				     cl_int *errcode_ret)
{
	(void)sync, (void)display;
	return no_object(__func__, context, CL_INVALID_OPERATION, errcode_ret);
}

cl_int clEnqueueAcquireEGLObjectsKHR(cl_command_queue command_queue, cl_uint num_objects, const cl_mem *mem_objects,
				     cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
	(void)num_objects, (void)mem_objects, (void)num_events_in_wait_list, (void)event_wait_list, (void)event;
	return no_command(__func__, command_queue, CL_INVALID_OPERATION);
}

cl_int clEnqueueReleaseEGLObjectsKHR(cl_command_queue command_queue, cl_uint num_objects, const cl_mem *mem_objects,
				     cl_uint num_events_in_wait_list, const cl_event *event_wait_list, cl_event *event)
{
	(void)num_objects, (void)mem_objects, (void)num_events_in_wait_list, (void)event_wait_list, (void)event;
	return no_command(__func__, command_queue, CL_INVALID_OPERATION);
}

/* ---- Direct3D, DX9 media ---- */

cl_int mcl_foreign_device_ids(cl_platform_id platform, cl_uint source, void *object, cl_uint set, cl_uint num_entries,
			      cl_device_id *devices, cl_uint *num_devices)
{
	(void)source, (void)object, (void)set, (void)num_entries, (void)devices, (void)num_devices;
	if (!mcl_object_valid(platform, MCL_TYPE_PLATFORM))
		return MCL_ERR(CL_INVALID_PLATFORM, "%p is not a MirrorCL platform", (void *)platform);
	return MCL_ERR(CL_DEVICE_NOT_FOUND, "the platform does not share with this API");
}

cl_mem mcl_foreign_create_buffer(cl_context context, cl_mem_flags flags, void *resource, cl_int *errcode_ret)
{
	(void)flags, (void)resource;
	return no_object(__func__, context, CL_INVALID_CONTEXT, errcode_ret);
}

cl_mem mcl_foreign_create_texture(cl_context context, cl_mem_flags flags, void *resource, cl_uint subresource,
				  cl_int *errcode_ret)
{
	(void)flags, (void)resource, (void)subresource;
	return no_object(__func__, context, CL_INVALID_CONTEXT, errcode_ret);
}

cl_mem mcl_foreign_create_surface(cl_context context, cl_mem_flags flags, cl_uint adapter_type, void *surface,
				  cl_uint plane, cl_int *errcode_ret)
{
	(void)flags, (void)adapter_type, (void)surface, (void)plane;
	return no_object(__func__, context, CL_INVALID_CONTEXT, errcode_ret);
}

cl_int mcl_foreign_enqueue(cl_command_queue queue, cl_uint count, const cl_mem *objects, cl_uint num_events,
			   const cl_event *wait_list, cl_event *event)
{
	(void)count, (void)objects, (void)num_events, (void)wait_list, (void)event;
	return no_command(__func__, queue, CL_INVALID_CONTEXT);
}

/* ---- pipes ---- */

cl_mem clCreatePipe(cl_context context, cl_mem_flags flags, cl_uint pipe_packet_size, cl_uint pipe_max_packets,
		    const cl_pipe_properties *properties, cl_int *errcode_ret)
{
	(void)flags, (void)pipe_packet_size, (void)pipe_max_packets, (void)properties;
	return no_object(__func__, context, CL_INVALID_OPERATION, errcode_ret);
}

cl_int clGetPipeInfo(cl_mem pipe, cl_pipe_info param_name, size_t param_value_size, void *param_value,
		     size_t *param_value_size_ret)
{
	(void)param_name, (void)param_value_size, (void)param_value, (void)param_value_size_ret;
	return MCL_ERR(CL_INVALID_MEM_OBJECT, "%p is not a pipe", (void *)pipe);
}

/* ---- OpenCL 3.1 ---- */

cl_int mcl_no_suggested_local_size(cl_command_queue queue, cl_kernel kernel, cl_uint work_dim, const size_t *offset,
				   const size_t *global_size, size_t *suggested)
{
	(void)kernel, (void)work_dim, (void)offset, (void)global_size, (void)suggested;
	return no_command(__func__, queue, CL_INVALID_OPERATION);
}

/* ---- cl_ext_device_fission ---- */

cl_int clCreateSubDevicesEXT(cl_device_id in_device, const cl_device_partition_property_ext *properties,
			     cl_uint num_entries, cl_device_id *out_devices, cl_uint *num_devices)
{
	(void)properties, (void)num_entries, (void)out_devices, (void)num_devices;
	if (!mcl_object_valid(in_device, MCL_TYPE_DEVICE))
		return MCL_ERR(CL_INVALID_DEVICE, "%p is not a MirrorCL device", (void *)in_device);
	return MCL_ERR(CL_INVALID_VALUE, "the device supports no kind of partitioning");
}

cl_int clRetainDeviceEXT(cl_device_id device)
{
	return clRetainDevice(device);
}

cl_int clReleaseDeviceEXT(cl_device_id device)
{
	return clReleaseDevice(device);
}

/* ---- cl_khr_subgroups: the core function of the same meaning ---- */

cl_int clGetKernelSubGroupInfoKHR(cl_kernel in_kernel, cl_device_id in_device, cl_kernel_sub_group_info param_name,
				  size_t input_value_size, const void *input_value, size_t param_value_size,
				  void *param_value, size_t *param_value_size_ret)
{
	return clGetKernelSubGroupInfo(in_kernel, in_device, param_name, input_value_size, input_value,
				       param_value_size, param_value, param_value_size_ret);
}
