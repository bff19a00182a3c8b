// SPDX-License-Identifier: MIT
/* SPIR-V modules: reading them, and their specialization constants; see spirv.h. */
#include <byteswap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/spirv_words.h"

#define DECORATION_SPEC_ID 1u

bool mcl_spirv_is(const void *bytes, size_t size)
{
	uint32_t magic;

	if (size < sizeof(magic))
		return false;
	memcpy(&magic, bytes, sizeof(magic));
	return magic == MCL_SPIRV_MAGIC || magic == bswap_32(MCL_SPIRV_MAGIC);
}

/* Whether every instruction, and every function, ends within the module. */
static bool framed(const struct mcl_spirv *module)
{
	bool within = false; /* a function */

	for (size_t i = MCL_SPIRV_HEADER; i < module->count; i += mcl_spirv_length(&module->words[i])) {
		const uint32_t op = mcl_spirv_operation(&module->words[i]);

		if (!mcl_spirv_length(&module->words[i]) || mcl_spirv_length(&module->words[i]) > module->count - i ||
		    (op == OP_FUNCTION && within) || (op == OP_FUNCTION_END && !within))
			return false;
		within = op == OP_FUNCTION || (within && op != OP_FUNCTION_END);
	}
	return !within;
}

static bool has_kernels(const struct mcl_spirv *module)
{
	for (const uint32_t *at = mcl_spirv_next(module, NULL); at; at = mcl_spirv_next(module, at))
		if (mcl_spirv_operation(at) == OP_CAPABILITY && mcl_spirv_length(at) == 2 && at[1] == CAPABILITY_KERNEL)
			return true;
	return false;
}

int mcl_spirv_read(const void *bytes, size_t size, struct mcl_spirv *out, struct mcl_reason *why)
{
	bool swapped;

	*out = (struct mcl_spirv){ 0 };
	if (!mcl_spirv_is(bytes, size))
		return mcl_reason(why, -EBADMSG, "it is not a SPIR-V module");
	if (size % sizeof(*out->words) || size < MCL_SPIRV_HEADER * sizeof(*out->words))
		return mcl_reason(why, -EBADMSG, "the SPIR-V module is cut off: %zu bytes are no whole words", size);
	out->words = malloc(size);
	if (!out->words)
		return mcl_reason(why, -ENOMEM, "no memory for a SPIR-V module of %zu bytes", size);
	memcpy(out->words, bytes, size);
	out->count = size / sizeof(*out->words);
	swapped = out->words[0] != MCL_SPIRV_MAGIC;
	for (size_t i = 0; swapped && i < out->count; i++)
		out->words[i] = bswap_32(out->words[i]);
	if (framed(out) && has_kernels(out))
		return 0;
	if (framed(out))
		mcl_reason(why, -EBADMSG, "the SPIR-V module is not one for OpenCL: it lacks the capability Kernel");
	else
		mcl_reason(why, -EBADMSG, "the SPIR-V module is damaged: an instruction or a function has no end");
	mcl_spirv_free(out);
	return -EBADMSG;
}

void mcl_spirv_free(struct mcl_spirv *module)
{
	free(module->words);
	*module = (struct mcl_spirv){ 0 };
}

/* The definition of @id as the result of a specialization constant that has a SpecId, or NULL. */
static uint32_t *find_constant(const struct mcl_spirv *module, uint32_t id)
{
	for (uint32_t *at = mcl_spirv_next(module, NULL); at; at = mcl_spirv_next(module, at)) {
		const uint32_t op = mcl_spirv_operation(at);

		if ((op == OP_SPEC_CONSTANT_TRUE || op == OP_SPEC_CONSTANT_FALSE) && mcl_spirv_length(at) == 3 &&
		    at[2] == id)
			return at;
		if (op == OP_SPEC_CONSTANT && mcl_spirv_length(at) >= 4 && at[2] == id)
			return at;
	}
	return NULL;
}

/* Bytes of a number of the type @id, or 0. */
static uint32_t type_size(const struct mcl_spirv *module, uint32_t id)
{
	for (const uint32_t *at = mcl_spirv_next(module, NULL); at; at = mcl_spirv_next(module, at)) {
		const uint32_t op = mcl_spirv_operation(at);

		if (op == OP_TYPE_BOOL && mcl_spirv_length(at) == 2 && at[1] == id)
			return 1;
		if ((op == OP_TYPE_INT || op == OP_TYPE_FLOAT) && mcl_spirv_length(at) >= 3 && at[1] == id)
			return at[2] / 8;
	}
	return 0;
}

/* Bytes of what @at defines, or 0. */
static uint32_t constant_size(const struct mcl_spirv *module, const uint32_t *at)
{
	const uint32_t size = type_size(module, at[1]);

	if (mcl_spirv_operation(at) != OP_SPEC_CONSTANT)
		return 1;
	if (size != 1 && size != 2 && size != 4 && size != 8)
		return 0;
	return mcl_spirv_length(at) == 3 + (size + 3) / 4 ? size : 0;
}

/* The next decoration behind @at that gives something the number @id; NULL: no more. */
static uint32_t *next_decoration(const struct mcl_spirv *module, const uint32_t *at, uint32_t id)
{
	uint32_t *found = mcl_spirv_next(module, at);

	while (found && (mcl_spirv_operation(found) != OP_DECORATE || mcl_spirv_length(found) != 4 ||
			 found[2] != DECORATION_SPEC_ID || found[3] != id))
		found = mcl_spirv_next(module, found);
	return found;
}

uint32_t mcl_spirv_constant_size(const struct mcl_spirv *module, uint32_t id)
{
	const uint32_t *decoration = next_decoration(module, NULL, id);
	const uint32_t *constant = decoration ? find_constant(module, decoration[1]) : NULL;

	return constant ? constant_size(module, constant) : 0;
}

static void set_constant(uint32_t *at, const struct mcl_spirv_constant *constant)
{
	static const uint8_t nothing[sizeof(constant->value)];

	if (mcl_spirv_operation(at) != OP_SPEC_CONSTANT) {
		*at = mcl_spirv_length(at) << 16 |
		      (memcmp(constant->value, nothing, constant->size) ? OP_SPEC_CONSTANT_TRUE :
									  OP_SPEC_CONSTANT_FALSE);
		return;
	}
	/* What is narrower than a word has zeros above: numbers have no sign in OpenCL's modules. */
	memset(&at[3], 0, (mcl_spirv_length(at) - 3) * sizeof(*at));
	memcpy(&at[3], constant->value, constant->size);
}

void mcl_spirv_specialize(struct mcl_spirv *module, const struct mcl_spirv_constant *constant)
{
	const uint32_t *decoration = NULL;

	while ((decoration = next_decoration(module, decoration, constant->id))) {
		uint32_t *at = find_constant(module, decoration[1]);

		if (at && constant_size(module, at) == constant->size)
			set_constant(at, constant);
	}
}
