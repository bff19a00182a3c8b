// SPDX-License-Identifier: MIT
/*
 * Contexts. Creating one opens the backend (the first in the process starts the engine); the last reference closes it.
 * A context whose engine died stays unusable; a new one gets a new engine.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/context.h"
#include "runtime/service.h"

typedef void(CL_CALLBACK *notify_fn)(const char *errinfo, const void *private_info, size_t cb, void *user_data);

struct mcl_context_callback {
	struct mcl_context_callback *next;
	void(CL_CALLBACK *fn)(cl_context context, void *user_data);
	void *data;
};

void mcl_context_report(cl_context context, const char *fmt, ...)
{
	struct mcl_reason text;
	va_list ap;

	if (!context->notify)
		return;
	va_start(ap, fmt);
	vsnprintf(text.text, sizeof(text.text), fmt, ap);
	va_end(ap);
	context->notify(text.text, NULL, 0, context->notify_data);
}

static void destroy(struct mcl_object *obj)
{
	cl_context context = (cl_context)obj;

	while (context->callbacks) {
		struct mcl_context_callback *callback = context->callbacks;

		context->callbacks = callback->next;
		callback->fn(context, callback->data);
		free(callback);
	}
	mcl_svm_table_destroy(context);
	mcl_service_put_backend(context->backend);
	pthread_mutex_destroy(&context->lock);
	free(context->properties);
	mcl_object_free(obj);
}

/* Check the list and count its bytes, terminator included. NULL: 0 bytes. */
static cl_int check_properties(const char *function, const cl_context_properties *properties, size_t *bytes)
{
	bool platform = false, sync = false;
	size_t i;

	*bytes = 0;
	if (!properties)
		return CL_SUCCESS;
	for (i = 0; properties[i]; i += 2) {
		cl_context_properties value = properties[i + 1];

		switch (properties[i]) {
		case CL_CONTEXT_PLATFORM:
			if (platform)
				return mcl_cl_error(function, CL_INVALID_PROPERTY,
						    "CL_CONTEXT_PLATFORM is given twice");
			platform = true;
			if (!mcl_object_valid((void *)value, MCL_TYPE_PLATFORM))
				return mcl_cl_error(function, CL_INVALID_PLATFORM, "%p is not a MirrorCL platform",
						    (void *)value);
			break;
		case CL_CONTEXT_INTEROP_USER_SYNC:
			if (sync)
				return mcl_cl_error(function, CL_INVALID_PROPERTY,
						    "CL_CONTEXT_INTEROP_USER_SYNC is given twice");
			sync = true;
			if (value != CL_TRUE && value != CL_FALSE)
				return mcl_cl_error(function, CL_INVALID_PROPERTY,
						    "CL_CONTEXT_INTEROP_USER_SYNC is neither CL_TRUE nor CL_FALSE");
			break;
		default:
			return mcl_cl_error(function, CL_INVALID_PROPERTY, "unknown context property 0x%llx",
					    (unsigned long long)properties[i]);
		}
	}
	*bytes = (i + 1) * sizeof(*properties);
	return CL_SUCCESS;
}

static cl_int open_error(int err)
{
	switch (err) {
	case -ENODEV:
		return CL_DEVICE_NOT_AVAILABLE;
	case -ENOMEM:
		return CL_OUT_OF_HOST_MEMORY;
	default:
		return CL_OUT_OF_RESOURCES;
	}
}

/* The properties have been checked. */
static cl_int create(const char *function, const cl_context_properties *properties, size_t properties_bytes,
		     notify_fn notify, void *user_data, cl_context *out)
{
	struct mcl_reason why = { "" };
	cl_context context = mcl_object_alloc(sizeof(*context));
	cl_int error = CL_OUT_OF_HOST_MEMORY;
	int err;

	if (!context)
		goto err_report;
	if (properties_bytes) {
		context->properties = malloc(properties_bytes);
		if (!context->properties)
			goto err_free;
		memcpy(context->properties, properties, properties_bytes);
		context->properties_bytes = properties_bytes;
	}
	err = mcl_backend_open(&context->backend, &why);
	if (err) {
		error = open_error(err);
		goto err_free;
	}
	context->notify = notify;
	context->notify_data = user_data;
	pthread_mutex_init(&context->lock, NULL);
	mcl_object_init(&context->obj, MCL_TYPE_CONTEXT, destroy);
	*out = context;
	return CL_SUCCESS;

err_free:
	free(context->properties);
	mcl_object_free(&context->obj);
err_report:
	if (!why.text[0])
		mcl_reason(&why, 0, "out of memory");
	if (notify)
		notify(why.text, NULL, 0, user_data);
	return mcl_cl_error(function, error, "%s", why.text);
}

cl_context clCreateContext(const cl_context_properties *properties, cl_uint num_devices, const cl_device_id *devices,
			   notify_fn pfn_notify, void *user_data, cl_int *errcode_ret)
{
	cl_context context = NULL;
	size_t bytes;
	cl_int error = check_properties(__func__, properties, &bytes);

	if (error)
		goto out;
	if (!devices || !num_devices) {
		error = MCL_ERR(CL_INVALID_VALUE, "no device is given");
		goto out;
	}
	if (!pfn_notify && user_data) {
		error = MCL_ERR(CL_INVALID_VALUE, "user_data is given without pfn_notify");
		goto out;
	}
	for (cl_uint i = 0; i < num_devices; i++) {
		if (!mcl_object_valid(devices[i], MCL_TYPE_DEVICE)) {
			error = MCL_ERR(CL_INVALID_DEVICE, "devices[%u] is not a MirrorCL device", i);
			goto out;
		}
	}
	error = create(__func__, properties, bytes, pfn_notify, user_data, &context);
out:
	mcl_errcode(errcode_ret, error);
	return context;
}

cl_context clCreateContextFromType(const cl_context_properties *properties, cl_device_type device_type,
				   notify_fn pfn_notify, void *user_data, cl_int *errcode_ret)
{
	cl_context context = NULL;
	cl_device_id device;
	size_t bytes;
	cl_int error = check_properties(__func__, properties, &bytes);

	if (error)
		goto out;
	if (!pfn_notify && user_data) {
		error = MCL_ERR(CL_INVALID_VALUE, "user_data is given without pfn_notify");
		goto out;
	}
	error = clGetDeviceIDs(&mcl_platform, device_type, 1, &device, NULL);
	if (error)
		goto out;
	error = create(__func__, properties, bytes, pfn_notify, user_data, &context);
out:
	mcl_errcode(errcode_ret, error);
	return context;
}

cl_int clRetainContext(cl_context context)
{
	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		return MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
	mcl_object_retain_app(&context->obj);
	return CL_SUCCESS;
}

cl_int clReleaseContext(cl_context context)
{
	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		return MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
	mcl_object_release_app(&context->obj);
	return CL_SUCCESS;
}

cl_int clGetContextInfo(cl_context context, cl_context_info param_name, size_t param_value_size, void *param_value,
			size_t *param_value_size_ret)
{
	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		return MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);

	switch (param_name) {
	case CL_CONTEXT_REFERENCE_COUNT:
		return MCL_INFO_VALUE(cl_uint, mcl_object_app_refs(&context->obj));
	case CL_CONTEXT_NUM_DEVICES:
		return MCL_INFO_VALUE(cl_uint, 1);
	case CL_CONTEXT_DEVICES:
		return MCL_INFO_VALUE(cl_device_id, &mcl_device);
	case CL_CONTEXT_PROPERTIES:
		return MCL_INFO(context->properties, context->properties_bytes);
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown context query 0x%x", param_name);
}

cl_int clSetContextDestructorCallback(cl_context context,
				      void(CL_CALLBACK *pfn_notify)(cl_context context, void *user_data),
				      void *user_data)
{
	struct mcl_context_callback *callback;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		return MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
	if (!pfn_notify)
		return MCL_ERR(CL_INVALID_VALUE, "pfn_notify is NULL");
	callback = malloc(sizeof(*callback));
	if (!callback)
		return MCL_ERR(CL_OUT_OF_HOST_MEMORY, "out of memory");
	callback->fn = pfn_notify;
	callback->data = user_data;
	pthread_mutex_lock(&context->lock);
	callback->next = context->callbacks;
	context->callbacks = callback;
	pthread_mutex_unlock(&context->lock);
	return CL_SUCCESS;
}
