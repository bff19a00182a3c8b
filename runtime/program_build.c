// SPDX-License-Identifier: MIT
/*
 * clBuildProgram, clCompileProgram and clLinkProgram. All of them are finished when they return; a callback is called
 * just before.
 *
 * A compiled object is a checked source: that it has no mistakes is known, and code is made of whole programs only, when
 * they are linked. So linking compiles, a library is a list of sources, and the binary of either is a bundle of them
 * (source_bundle.h), which clCreateProgramWithBinary takes. An executable is linked already; it is no input for another
 * link.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/program.h"

typedef void(CL_CALLBACK *notify_fn)(cl_program program, void *user_data);

static cl_int check_notify(const char *function, notify_fn notify, void *user_data)
{
	if (!notify && user_data)
		return mcl_cl_error(function, CL_INVALID_VALUE, "user_data is given without pfn_notify");
	return CL_SUCCESS;
}

/* The code for the -errno of mcl_compile(), where a source that is wrong means @failure and its options @options. */
static cl_int compile_error(int err, cl_int failure, cl_int options)
{
	switch (err) {
	case -EINVAL:
		return options;
	case -ENOENT:
	case -EPROTO:
		return CL_COMPILER_NOT_AVAILABLE;
	case -ENOMEM:
		return CL_OUT_OF_HOST_MEMORY;
	default:
		return failure;
	}
}

/* The code for the -errno of mcl_build_create(). */
static cl_int load_error(int err, cl_int bad)
{
	switch (err) {
	case -ENODEV:
		return CL_DEVICE_NOT_AVAILABLE;
	case -ENOMEM:
		return CL_OUT_OF_RESOURCES;
	default:
		return bad;
	}
}

/* The source or the module of @program with its options, and headers. NULL when memory is short. */
static struct mcl_source *create_source(cl_program program, const char *options, cl_uint header_count,
					const cl_program *headers, const char **header_names, struct mcl_reason *why)
{
	const char **texts = calloc(header_count + (size_t)1, sizeof(*texts));
	struct mcl_compile_unit unit = {
		.source = program->source,
		.source_size = program->source_size,
		.options = options,
		.header_count = header_count,
		.header_names = header_names,
		.header_sources = texts,
	};
	struct mcl_source *source = NULL;
	struct mcl_spirv module = { 0 };
	int err = 0;

	for (cl_uint i = 0; texts && i < header_count; i++)
		texts[i] = headers[i]->source;
	if (program->origin == MCL_ORIGIN_IL) {
		err = mcl_program_module(program, &module, why);
		unit.source = (const char *)module.words;
		unit.source_size = module.count * sizeof(*module.words);
		unit.header_count = 0;
	}
	if (texts && !err)
		source = mcl_source_create(&unit, 1, MCL_BUNDLE_OBJECT);
	mcl_spirv_free(&module);
	free((void *)texts);
	if (!source)
		mcl_reason(why, -ENOMEM, "no memory for a copy of the source");
	return source;
}

cl_int clBuildProgram(cl_program program, cl_uint num_devices, const cl_device_id *device_list, const char *options,
		      notify_fn pfn_notify, void *user_data)
{
	struct mcl_reason why = { "" };
	struct mcl_source *source = NULL;
	struct mcl_code_object *co = NULL;
	struct mcl_build *build = NULL;
	char *log = NULL;
	cl_int error;
	int err;

	if (!mcl_object_valid(program, MCL_TYPE_PROGRAM))
		return MCL_ERR(CL_INVALID_PROGRAM, "%p is not a live program", (void *)program);
	error = mcl_program_check_devices(__func__, num_devices, device_list);
	if (!error)
		error = check_notify(__func__, pfn_notify, user_data);
	if (error)
		return error;
	if (program->origin == MCL_ORIGIN_LINK)
		return MCL_ERR(CL_INVALID_OPERATION, "the program was made by clLinkProgram");
	error = mcl_program_begin(__func__, program, options);
	if (error)
		return error;

	if (program->origin == MCL_ORIGIN_SOURCE || program->origin == MCL_ORIGIN_IL) {
		source = create_source(program, options, 0, NULL, NULL, &why);
		if (!source) {
			error = CL_OUT_OF_HOST_MEMORY;
			goto out;
		}
	} else if (program->compiled) { /* constant for this origin, as is the binary */
		source = mcl_source_get(program->compiled);
	} else {
		co = mcl_code_object_get(program->binary);
	}
	if (source) {
		err = mcl_build_compile(source, &co, &log, &why);
		if (err) {
			error = compile_error(err, CL_BUILD_PROGRAM_FAILURE, CL_INVALID_BUILD_OPTIONS);
			goto out;
		}
	}
	err = mcl_build_create(program->context, co, source, &build, &why);
	if (err)
		error = load_error(err, source ? CL_BUILD_PROGRAM_FAILURE : CL_INVALID_BINARY);
out:
	if (error) {
		mcl_code_object_put(co);
		co = NULL;
		MCL_ERR(error, "%s", why.text);
	}
	mcl_program_end(program, error ? CL_BUILD_ERROR : CL_BUILD_SUCCESS, CL_PROGRAM_BINARY_TYPE_EXECUTABLE, co, NULL,
			build, log, &why);
	mcl_source_put(source);
	if (pfn_notify)
		pfn_notify(program, user_data);
	return error;
}

static cl_int check_headers(const char *function, cl_uint count, const cl_program *headers, const char **names)
{
	if (!count != !headers || !count != !names)
		return mcl_cl_error(function, CL_INVALID_VALUE, "%u headers, but the lists do not agree", count);
	for (cl_uint i = 0; i < count; i++) {
		if (!names[i])
			return mcl_cl_error(function, CL_INVALID_VALUE, "header_include_names[%u] is NULL", i);
		if (!mcl_object_valid(headers[i], MCL_TYPE_PROGRAM))
			return mcl_cl_error(function, CL_INVALID_PROGRAM, "input_headers[%u] is not a live program", i);
		if (headers[i]->origin != MCL_ORIGIN_SOURCE)
			return mcl_cl_error(function, CL_INVALID_OPERATION, "input_headers[%u] has no source", i);
	}
	return CL_SUCCESS;
}

cl_int clCompileProgram(cl_program program, cl_uint num_devices, const cl_device_id *device_list, const char *options,
			cl_uint num_input_headers, const cl_program *input_headers, const char **header_include_names,
			notify_fn pfn_notify, void *user_data)
{
	struct mcl_reason why = { "" };
	struct mcl_source *source = NULL, *whole;
	char *log = NULL;
	cl_int error;
	int err;

	if (!mcl_object_valid(program, MCL_TYPE_PROGRAM))
		return MCL_ERR(CL_INVALID_PROGRAM, "%p is not a live program", (void *)program);
	error = mcl_program_check_devices(__func__, num_devices, device_list);
	if (!error)
		error = check_headers(__func__, num_input_headers, input_headers, header_include_names);
	if (!error)
		error = check_notify(__func__, pfn_notify, user_data);
	if (error)
		return error;
	if (program->origin != MCL_ORIGIN_SOURCE && program->origin != MCL_ORIGIN_IL)
		return MCL_ERR(CL_INVALID_OPERATION, "the program has no source");
	error = mcl_program_begin(__func__, program, options);
	if (error)
		return error;

	source = create_source(program, options, num_input_headers, input_headers, header_include_names, &why);
	if (!source) {
		error = CL_OUT_OF_HOST_MEMORY;
	} else {
		err = mcl_source_check(source, &log, &why);
		if (err)
			error = compile_error(err, CL_COMPILE_PROGRAM_FAILURE, CL_INVALID_COMPILER_OPTIONS);
	}
	if (!error) {
		/* The files that it includes may be gone when it is linked. The log was to name them. */
		whole = mcl_source_with_headers(source);
		mcl_source_put(source);
		source = whole;
		if (!source)
			error = CL_OUT_OF_HOST_MEMORY;
	}
	if (error) {
		MCL_ERR(error, "%s", why.text);
		mcl_source_put(source);
		source = NULL;
	}
	mcl_program_end(program, error ? CL_BUILD_ERROR : CL_BUILD_SUCCESS, CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT,
			NULL, source, NULL, log, &why);
	if (pfn_notify)
		pfn_notify(program, user_data);
	return error;
}

/* ---- link ---- */

/* Options that a linker must know. Those of mathematics were settled when the program was compiled. */
static cl_int parse_link_options(const char *function, const char *options, bool *library)
{
	static const char *const known[] = {
		"-create-library",	"-enable-link-options",	 "-cl-denorms-are-zero",
		"-cl-no-signed-zeroes", "-cl-no-signed-zeros",	 "-cl-unsafe-math-optimizations",
		"-cl-finite-math-only", "-cl-fast-relaxed-math", "-cl-no-subgroup-ifp",
	};

	*library = false;
	for (const char *at = options; at && *at;) {
		size_t length = strcspn(at, " \t\n");
		bool found = false;

		for (size_t i = 0; length && i < sizeof(known) / sizeof(*known); i++) {
			if (strlen(known[i]) == length && !strncmp(at, known[i], length)) {
				found = true;
				*library |= i == 0;
			}
		}
		if (length && !found)
			return mcl_cl_error(function, CL_INVALID_LINKER_OPTIONS, "unknown linker option '%.*s'",
					    (int)(length > 100 ? 100 : length), at);
		at += length + strspn(at + length, " \t\n");
	}
	return CL_SUCCESS;
}

/* A reference to what @program brings into a link. CL_INVALID_OPERATION if it is neither compiled nor a library. */
static cl_int take_input(const char *function, cl_program program, cl_uint i, struct mcl_source **source)
{
	cl_int error = CL_SUCCESS;

	pthread_mutex_lock(&program->lock);
	if (program->status == CL_BUILD_IN_PROGRESS)
		error = mcl_cl_error(function, CL_INVALID_OPERATION, "input_programs[%u] is being compiled", i);
	else if (!program->compiled || program->binary)
		error = mcl_cl_error(function, CL_INVALID_OPERATION, "input_programs[%u] is %s", i,
				     program->binary ? "an executable" : "not compiled");
	else
		*source = mcl_source_get(program->compiled);
	pthread_mutex_unlock(&program->lock);
	return error;
}

/* All inputs together. */
static cl_int take_inputs(const char *function, cl_uint count, const cl_program *programs, bool library,
			  struct mcl_source **out)
{
	struct mcl_source **sources = calloc(count, sizeof(*sources));
	cl_int error = sources ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;

	for (cl_uint i = 0; !error && i < count; i++)
		error = take_input(function, programs[i], i, &sources[i]);
	if (!error) {
		*out = mcl_source_link(sources, count, library ? MCL_BUNDLE_LIBRARY : MCL_BUNDLE_OBJECT);
		if (!*out)
			error = CL_OUT_OF_HOST_MEMORY;
	}
	if (error == CL_OUT_OF_HOST_MEMORY)
		mcl_cl_error(function, error, "no memory to link %u programs", count);
	for (cl_uint i = 0; sources && i < count; i++)
		mcl_source_put(sources[i]);
	free(sources);
	return error;
}

/* Compile @source and place it in the engine. */
static cl_int link_executable(cl_context context, struct mcl_source *source, struct mcl_code_object **co,
			      struct mcl_build **build, char **log, struct mcl_reason *why)
{
	int err = mcl_build_compile(source, co, log, why);

	if (err)
		return compile_error(err, CL_LINK_PROGRAM_FAILURE, CL_INVALID_LINKER_OPTIONS);
	err = mcl_build_create(context, *co, source, build, why);
	if (!err)
		return CL_SUCCESS;
	mcl_code_object_put(*co);
	*co = NULL;
	return load_error(err, CL_LINK_PROGRAM_FAILURE);
}

static cl_int check_inputs(const char *function, cl_uint count, const cl_program *programs, cl_context context)
{
	if (!count || !programs)
		return mcl_cl_error(function, CL_INVALID_VALUE, "no program to link is given");
	for (cl_uint i = 0; i < count; i++)
		if (!mcl_object_valid(programs[i], MCL_TYPE_PROGRAM) || programs[i]->context != context)
			return mcl_cl_error(function, CL_INVALID_PROGRAM,
					    "input_programs[%u] is not a live program of the context", i);
	return CL_SUCCESS;
}

cl_program clLinkProgram(cl_context context, cl_uint num_devices, const cl_device_id *device_list, const char *options,
			 cl_uint num_input_programs, const cl_program *input_programs, notify_fn pfn_notify,
			 void *user_data, cl_int *errcode_ret)
{
	struct mcl_reason why = { "" };
	struct mcl_code_object *co = NULL;
	struct mcl_source *source = NULL;
	struct mcl_build *build = NULL;
	cl_program program = NULL;
	bool library = false;
	char *log = NULL;
	cl_int error;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT)) {
		error = MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
		goto out;
	}
	error = mcl_program_check_devices(__func__, num_devices, device_list);
	if (!error)
		error = check_inputs(__func__, num_input_programs, input_programs, context);
	if (!error)
		error = check_notify(__func__, pfn_notify, user_data);
	if (!error)
		error = parse_link_options(__func__, options, &library);
	if (!error)
		error = take_inputs(__func__, num_input_programs, input_programs, library, &source);
	if (error)
		goto out;
	program = mcl_program_create(context, MCL_ORIGIN_LINK);
	if (!program) {
		error = MCL_ERR(CL_OUT_OF_HOST_MEMORY, "no memory for a program");
		goto out;
	}
	error = mcl_program_begin(__func__, program, options);
	if (error) {
		mcl_object_release_app(&program->obj);
		program = NULL;
		goto out;
	}
	if (!library)
		error = link_executable(context, source, &co, &build, &log, &why);
	if (error)
		MCL_ERR(error, "%s", why.text);
	mcl_program_end(program, error ? CL_BUILD_ERROR : CL_BUILD_SUCCESS,
			library ? CL_PROGRAM_BINARY_TYPE_LIBRARY : CL_PROGRAM_BINARY_TYPE_EXECUTABLE, co,
			library ? mcl_source_get(source) : NULL, build, log, &why);
	if (pfn_notify)
		pfn_notify(program, user_data);
out:
	mcl_source_put(source);
	mcl_errcode(errcode_ret, error);
	return program;
}
