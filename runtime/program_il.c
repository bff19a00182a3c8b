// SPDX-License-Identifier: MIT
/*
 * Programs in SPIR-V: their creation and their specialization constants. Building them is program_build.c's, as of any
 * other: a module is a source that needs no headers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/program.h"

cl_program clCreateProgramWithIL(cl_context context, const void *il, size_t length, cl_int *errcode_ret)
{
	cl_program program = NULL;
	struct mcl_spirv module;
	struct mcl_reason why;
	void *copy = NULL;
	cl_int error;
	int err;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT)) {
		error = MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
		goto out;
	}
	if (!il || !length) {
		error = MCL_ERR(CL_INVALID_VALUE, "no intermediate language is given");
		goto out;
	}
	err = mcl_spirv_read(il, length, &module, &why);
	if (err) {
		error = MCL_ERR(err == -ENOMEM ? CL_OUT_OF_HOST_MEMORY : CL_INVALID_VALUE, "%s", why.text);
		goto out;
	}
	mcl_spirv_free(&module);
	copy = malloc(length);
	program = copy ? mcl_program_create(context, MCL_ORIGIN_IL) : NULL;
	if (!program) {
		free(copy);
		error = MCL_ERR(CL_OUT_OF_HOST_MEMORY, "no memory for a program");
		goto out;
	}
	program->il = memcpy(copy, il, length);
	program->il_size = length;
	error = CL_SUCCESS;
out:
	mcl_errcode(errcode_ret, error);
	return program;
}

/* Room for the value of @id, which may have been set before. program->lock is held. NULL when memory is short. */
static struct mcl_spirv_constant *constant_of(cl_program program, cl_uint id)
{
	struct mcl_spirv_constant *grown;

	for (uint32_t i = 0; i < program->constant_count; i++)
		if (program->constants[i].id == id)
			return &program->constants[i];
	grown = realloc(program->constants, (program->constant_count + (size_t)1) * sizeof(*grown));
	if (!grown)
		return NULL;
	program->constants = grown;
	return &grown[program->constant_count++];
}

cl_int clSetProgramSpecializationConstant(cl_program program, cl_uint spec_id, size_t spec_size, const void *spec_value)
{
	struct mcl_spirv_constant *constant;
	struct mcl_spirv module;
	struct mcl_reason why;
	uint32_t size;

	if (!mcl_object_valid(program, MCL_TYPE_PROGRAM))
		return MCL_ERR(CL_INVALID_PROGRAM, "%p is not a live program", (void *)program);
	if (program->origin != MCL_ORIGIN_IL)
		return MCL_ERR(CL_INVALID_PROGRAM, "the program was not made by clCreateProgramWithIL");
	if (!spec_value)
		return MCL_ERR(CL_INVALID_VALUE, "spec_value is NULL");
	if (mcl_spirv_read(program->il, program->il_size, &module, &why))
		return MCL_ERR(CL_OUT_OF_HOST_MEMORY, "%s", why.text);
	size = mcl_spirv_constant_size(&module, spec_id);
	mcl_spirv_free(&module);
	if (!size)
		return MCL_ERR(CL_INVALID_SPEC_ID, "the module has no specialization constant %u", spec_id);
	if (spec_size != size)
		return MCL_ERR(CL_INVALID_VALUE, "specialization constant %u has %u bytes, not %zu", spec_id, size,
			       spec_size);
	pthread_mutex_lock(&program->lock);
	constant = constant_of(program, spec_id);
	if (constant) {
		*constant = (struct mcl_spirv_constant){ .id = spec_id, .size = size };
		memcpy(constant->value, spec_value, size);
	}
	pthread_mutex_unlock(&program->lock);
	return constant ? CL_SUCCESS : MCL_ERR(CL_OUT_OF_HOST_MEMORY, "no memory for a specialization constant");
}

int mcl_program_module(cl_program program, struct mcl_spirv *module, struct mcl_reason *why)
{
	int err = mcl_spirv_read(program->il, program->il_size, module, why);

	if (err)
		return err;
	pthread_mutex_lock(&program->lock);
	for (uint32_t i = 0; i < program->constant_count; i++)
		mcl_spirv_specialize(module, &program->constants[i]);
	pthread_mutex_unlock(&program->lock);
	return 0;
}
