// SPDX-License-Identifier: MIT
/*
 * Program objects: creation, references, and the beginning and end of every build. Those of an intermediate language are
 * created in program_il.c. There are no built-in kernels.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/program.h"

static void destroy(struct mcl_object *obj)
{
	cl_program program = (cl_program)obj;

	mcl_build_put(program->build);
	mcl_code_object_put(program->binary);
	mcl_source_put(program->compiled);
	free(program->source);
	free(program->il);
	free(program->constants);
	free(program->options);
	free(program->log);
	pthread_mutex_destroy(&program->lock);
	mcl_object_put(&program->context->obj);
	mcl_object_free(obj);
}

cl_program mcl_program_create(cl_context context, enum mcl_origin origin)
{
	cl_program program = mcl_object_alloc(sizeof(*program));

	if (!program)
		return NULL;
	mcl_object_get(&context->obj);
	program->context = context;
	program->origin = origin;
	program->status = CL_BUILD_NONE;
	program->binary_type = CL_PROGRAM_BINARY_TYPE_NONE;
	pthread_mutex_init(&program->lock, NULL);
	mcl_object_init(&program->obj, MCL_TYPE_PROGRAM, destroy);
	return program;
}

static cl_int concatenate(const char *function, cl_uint count, const char **strings, const size_t *lengths, char **out,
			  size_t *out_size)
{
	size_t total = 0, at = 0;

	for (cl_uint i = 0; i < count; i++) {
		size_t length;

		if (!strings[i])
			return mcl_cl_error(function, CL_INVALID_VALUE, "strings[%u] is NULL", i);
		length = lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
		if (__builtin_add_overflow(total, length, &total) || total >= SIZE_MAX / 2)
			return mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "the lengths add up to too much");
	}
	*out = malloc(total + 1);
	if (!*out)
		return mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "no memory for %zu bytes of source", total);
	for (cl_uint i = 0; i < count; i++) {
		size_t length = lengths && lengths[i] ? lengths[i] : strlen(strings[i]);

		memcpy(*out + at, strings[i], length);
		at += length;
	}
	(*out)[at] = '\0';
	*out_size = at;
	return CL_SUCCESS;
}

cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char **strings, const size_t *lengths,
				     cl_int *errcode_ret)
{
	cl_program program = NULL;
	char *source = NULL;
	size_t size = 0;
	cl_int error;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT)) {
		error = MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
		goto out;
	}
	if (!count || !strings) {
		error = MCL_ERR(CL_INVALID_VALUE, "no source is given");
		goto out;
	}
	error = concatenate(__func__, count, strings, lengths, &source, &size);
	if (error)
		goto out;
	program = mcl_program_create(context, MCL_ORIGIN_SOURCE);
	if (!program) {
		free(source);
		error = MCL_ERR(CL_OUT_OF_HOST_MEMORY, "no memory for a program");
		goto out;
	}
	program->source = source;
	program->source_size = size;
out:
	mcl_errcode(errcode_ret, error);
	return program;
}

static void set_status(cl_int *binary_status, cl_uint i, cl_int code)
{
	if (binary_status)
		binary_status[i] = code;
}

/* A program's binary: an executable in *@co, or what is only compiled in *@compiled. As mcl_code_object_parse(). */
static int parse_binary(const unsigned char *bytes, size_t size, struct mcl_code_object **co,
			struct mcl_source **compiled, struct mcl_reason *why)
{
	int err;

	if (mcl_bundle_is(bytes, size))
		return mcl_source_parse(bytes, size, compiled, why);
	err = mcl_code_object_parse(bytes, size, co, why);
	if (!err && !mcl_co_whole(*co)) {
		mcl_code_object_put(*co);
		*co = NULL;
		err = mcl_reason(why, -EBADMSG, "the code object holds only a part of its program");
	}
	return err;
}

/* Parse every binary, keep the first. */
static cl_int parse_binaries(const char *function, cl_uint count, const size_t *lengths, const unsigned char **binaries,
			     cl_int *binary_status, struct mcl_code_object **out, struct mcl_source **out_compiled)
{
	cl_int error = CL_SUCCESS;

	for (cl_uint i = 0; i < count; i++) {
		struct mcl_source *compiled = NULL;
		struct mcl_code_object *co = NULL;
		struct mcl_reason why;

		if (!lengths[i] || !binaries[i]) {
			set_status(binary_status, i, CL_INVALID_VALUE);
			error = mcl_cl_error(function, CL_INVALID_VALUE, "binaries[%u] is empty", i);
			continue;
		}
		switch (parse_binary(binaries[i], lengths[i], &co, &compiled, &why)) {
		case 0:
			set_status(binary_status, i, CL_SUCCESS);
			if (*out || *out_compiled) {
				mcl_code_object_put(co);
				mcl_source_put(compiled);
			} else {
				*out = co;
				*out_compiled = compiled;
			}
			break;
		case -ENOMEM:
			set_status(binary_status, i, CL_OUT_OF_HOST_MEMORY);
			error = mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "%s", why.text);
			break;
		default:
			set_status(binary_status, i, CL_INVALID_BINARY);
			error = mcl_cl_error(function, CL_INVALID_BINARY, "binaries[%u]: %s", i, why.text);
			break;
		}
	}
	return error;
}

/* What a program is that has only been compiled. */
static cl_program_binary_type type_of(const struct mcl_source *compiled)
{
	return compiled->bundle.kind == MCL_BUNDLE_LIBRARY ? CL_PROGRAM_BINARY_TYPE_LIBRARY :
							     CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT;
}

cl_program clCreateProgramWithBinary(cl_context context, cl_uint num_devices, const cl_device_id *device_list,
				     const size_t *lengths, const unsigned char **binaries, cl_int *binary_status,
				     cl_int *errcode_ret)
{
	struct mcl_source *compiled = NULL;
	struct mcl_code_object *co = NULL;
	cl_program program = NULL;
	cl_int error;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT)) {
		error = MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
		goto out;
	}
	if (!num_devices || !device_list || !lengths || !binaries) {
		error = MCL_ERR(CL_INVALID_VALUE, "devices, lengths or binaries are missing");
		goto out;
	}
	error = mcl_program_check_devices(__func__, num_devices, device_list);
	if (error)
		goto out;
	error = parse_binaries(__func__, num_devices, lengths, binaries, binary_status, &co, &compiled);
	if (error)
		goto out;
	program = mcl_program_create(context, MCL_ORIGIN_BINARY);
	if (!program) {
		error = MCL_ERR(CL_OUT_OF_HOST_MEMORY, "no memory for a program");
		goto out;
	}
	program->binary_type = compiled ? type_of(compiled) : CL_PROGRAM_BINARY_TYPE_EXECUTABLE;
	program->binary = co;
	program->compiled = compiled;
	co = NULL;
	compiled = NULL;
out:
	mcl_code_object_put(co);
	mcl_source_put(compiled);
	mcl_errcode(errcode_ret, error);
	return program;
}

cl_program clCreateProgramWithBuiltInKernels(cl_context context, cl_uint num_devices, const cl_device_id *device_list,
					     const char *kernel_names, cl_int *errcode_ret)
{
	cl_int error;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		error = MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
	else if (!num_devices || !device_list || !kernel_names)
		error = MCL_ERR(CL_INVALID_VALUE, "devices or kernel names are missing");
	else
		error = mcl_program_check_devices(__func__, num_devices, device_list);
	if (!error)
		error = MCL_ERR(CL_INVALID_VALUE, "the device has no built-in kernels");
	mcl_errcode(errcode_ret, error);
	return NULL;
}

cl_int clRetainProgram(cl_program program)
{
	if (!mcl_object_valid(program, MCL_TYPE_PROGRAM))
		return MCL_ERR(CL_INVALID_PROGRAM, "%p is not a live program", (void *)program);
	mcl_object_retain_app(&program->obj);
	return CL_SUCCESS;
}

cl_int clReleaseProgram(cl_program program)
{
	if (!mcl_object_valid(program, MCL_TYPE_PROGRAM))
		return MCL_ERR(CL_INVALID_PROGRAM, "%p is not a live program", (void *)program);
	mcl_object_release_app(&program->obj);
	return CL_SUCCESS;
}

/* Deprecated, and since OpenCL 3.0 only for devices with program-scope destructors. */
cl_int clSetProgramReleaseCallback(cl_program program,
				   void(CL_CALLBACK *pfn_notify)(cl_program program, void *user_data), void *user_data)
{
	(void)user_data;
	if (!mcl_object_valid(program, MCL_TYPE_PROGRAM))
		return MCL_ERR(CL_INVALID_PROGRAM, "%p is not a live program", (void *)program);
	if (!pfn_notify)
		return MCL_ERR(CL_INVALID_VALUE, "pfn_notify is NULL");
	return MCL_ERR(CL_INVALID_OPERATION, "the device has no program-scope destructors");
}

cl_int mcl_program_check_devices(const char *function, cl_uint num_devices, const cl_device_id *devices)
{
	if (!num_devices != !devices)
		return mcl_cl_error(function, CL_INVALID_VALUE, "num_devices is %u and the list %s", num_devices,
				    devices ? "is given" : "is NULL");
	for (cl_uint i = 0; i < num_devices; i++)
		if (!mcl_object_valid(devices[i], MCL_TYPE_DEVICE))
			return mcl_cl_error(function, CL_INVALID_DEVICE, "device %u of the list is not the program's",
					    i);
	return CL_SUCCESS;
}

cl_int mcl_program_begin(const char *function, cl_program program, const char *options)
{
	char *copy = strdup(options ? options : "");
	char *old_options = NULL, *old_log = NULL;
	struct mcl_source *old_source = NULL;
	struct mcl_code_object *old_binary = NULL;
	struct mcl_build *old_build = NULL;
	cl_int error = CL_SUCCESS;

	if (!copy)
		return mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "no memory for the options");
	pthread_mutex_lock(&program->lock);
	if (program->status == CL_BUILD_IN_PROGRESS) {
		error = mcl_cl_error(function, CL_INVALID_OPERATION, "another build of the program is in progress");
	} else if (program->kernel_count) {
		error = mcl_cl_error(function, CL_INVALID_OPERATION, "%u kernels are attached to the program",
				     program->kernel_count);
	} else {
		program->status = CL_BUILD_IN_PROGRESS;
		mcl_object_get(&program->obj); /* until mcl_program_end() */
		old_options = program->options;
		program->options = copy;
		copy = NULL;
		old_log = program->log;
		program->log = NULL;
		old_build = program->build;
		program->build = NULL;
		/* What was given stays what it is; what was made goes with the build. */
		if (program->origin != MCL_ORIGIN_BINARY || program->compiled) {
			old_binary = program->binary;
			program->binary = NULL;
		}
		if (program->origin != MCL_ORIGIN_BINARY) {
			old_source = program->compiled;
			program->compiled = NULL;
			program->binary_type = CL_PROGRAM_BINARY_TYPE_NONE;
		} else if (program->compiled) {
			program->binary_type = type_of(program->compiled);
		}
	}
	pthread_mutex_unlock(&program->lock);
	mcl_build_put(old_build);
	mcl_code_object_put(old_binary);
	mcl_source_put(old_source);
	free(old_options);
	free(old_log);
	free(copy);
	return error;
}

void mcl_program_end(cl_program program, cl_build_status status, cl_program_binary_type type,
		     struct mcl_code_object *binary, struct mcl_source *compiled, struct mcl_build *build, char *log,
		     const struct mcl_reason *why)
{
	/* What the compiler did not say itself (it hung, it is not there, no room for the code) the log must say too. */
	if (status != CL_BUILD_SUCCESS && (!log || !*log)) {
		free(log);
		log = strdup(why->text);
	}
	pthread_mutex_lock(&program->lock);
	program->status = status;
	program->log = log;
	program->build = build;
	if (binary) {
		mcl_code_object_put(program->binary); /* frees memory only */
		program->binary = binary;
	}
	if (compiled)
		program->compiled = compiled; /* there was none: see mcl_program_begin() */
	if (status == CL_BUILD_SUCCESS)
		program->binary_type = type;
	pthread_mutex_unlock(&program->lock);
	mcl_object_put(&program->obj);
}
