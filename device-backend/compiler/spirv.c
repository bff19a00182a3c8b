// SPDX-License-Identifier: MIT
/* SPIR-V modules; see spirv.h. Numbers are those of the SPIR-V specification, version 1.6. */
#include <byteswap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/spirv.h"

#define MAGIC 0x07230203u
#define HEADER_WORDS 5u
#define BOUND 3 /* word of the header: all ids are less */

enum {
	OP_CAPABILITY = 17,
	OP_TYPE_BOOL = 20,
	OP_TYPE_INT = 21,
	OP_TYPE_FLOAT = 22,
	OP_SPEC_CONSTANT_TRUE = 48,
	OP_SPEC_CONSTANT_FALSE = 49,
	OP_SPEC_CONSTANT = 50,
	OP_FUNCTION = 54,
	OP_FUNCTION_END = 56,
	OP_DECORATE = 71,
	OP_LOGICAL_NOT = 168,
	OP_GROUP_ALL = 261,
	OP_GROUP_ANY = 262,
};

#define CAPABILITY_KERNEL 6u
#define DECORATION_SPEC_ID 1u

/* Words of an instruction, of which the first is the operation's. */
#define GROUP_ALL_WORDS 5u /* type, result, scope, predicate */
#define NOT_WORDS 4u /* type, result, operand */

static uint32_t operation(const uint32_t *at)
{
	return *at & 0xffff;
}

static uint32_t length(const uint32_t *at)
{
	return *at >> 16;
}

/* The instruction behind @at, or the first one if that is NULL; NULL behind the last. */
static uint32_t *next(const struct mcl_spirv *module, const uint32_t *at)
{
	size_t i = at ? (size_t)(at - module->words) + length(at) : HEADER_WORDS;

	return i < module->count ? &module->words[i] : NULL;
}

bool mcl_spirv_is(const void *bytes, size_t size)
{
	uint32_t magic;

	if (size < sizeof(magic))
		return false;
	memcpy(&magic, bytes, sizeof(magic));
	return magic == MAGIC || magic == bswap_32(MAGIC);
}

/* Whether every instruction, and every function, ends within the module. */
static bool framed(const struct mcl_spirv *module)
{
	bool within = false; /* a function */

	for (size_t i = HEADER_WORDS; i < module->count; i += length(&module->words[i])) {
		const uint32_t op = operation(&module->words[i]);

		if (!length(&module->words[i]) || length(&module->words[i]) > module->count - i ||
		    (op == OP_FUNCTION && within) || (op == OP_FUNCTION_END && !within))
			return false;
		within = op == OP_FUNCTION || (within && op != OP_FUNCTION_END);
	}
	return !within;
}

static bool has_kernels(const struct mcl_spirv *module)
{
	for (const uint32_t *at = next(module, NULL); at; at = next(module, at))
		if (operation(at) == OP_CAPABILITY && length(at) == 2 && at[1] == CAPABILITY_KERNEL)
			return true;
	return false;
}

int mcl_spirv_read(const void *bytes, size_t size, struct mcl_spirv *out, struct mcl_reason *why)
{
	bool swapped;

	*out = (struct mcl_spirv){ 0 };
	if (!mcl_spirv_is(bytes, size))
		return mcl_reason(why, -EBADMSG, "it is not a SPIR-V module");
	if (size % sizeof(*out->words) || size < HEADER_WORDS * sizeof(*out->words))
		return mcl_reason(why, -EBADMSG, "the SPIR-V module is cut off: %zu bytes are no whole words", size);
	out->words = malloc(size);
	if (!out->words)
		return mcl_reason(why, -ENOMEM, "no memory for a SPIR-V module of %zu bytes", size);
	memcpy(out->words, bytes, size);
	out->count = size / sizeof(*out->words);
	swapped = out->words[0] != MAGIC;
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
	for (uint32_t *at = next(module, NULL); at; at = next(module, at)) {
		const uint32_t op = operation(at);

		if ((op == OP_SPEC_CONSTANT_TRUE || op == OP_SPEC_CONSTANT_FALSE) && length(at) == 3 && at[2] == id)
			return at;
		if (op == OP_SPEC_CONSTANT && length(at) >= 4 && at[2] == id)
			return at;
	}
	return NULL;
}

/* Bytes of a number of the type @id, or 0. */
static uint32_t type_size(const struct mcl_spirv *module, uint32_t id)
{
	for (const uint32_t *at = next(module, NULL); at; at = next(module, at)) {
		const uint32_t op = operation(at);

		if (op == OP_TYPE_BOOL && length(at) == 2 && at[1] == id)
			return 1;
		if ((op == OP_TYPE_INT || op == OP_TYPE_FLOAT) && length(at) >= 3 && at[1] == id)
			return at[2] / 8;
	}
	return 0;
}

/* Bytes of what @at defines, or 0. */
static uint32_t constant_size(const struct mcl_spirv *module, const uint32_t *at)
{
	const uint32_t size = type_size(module, at[1]);

	if (operation(at) != OP_SPEC_CONSTANT)
		return 1;
	if (size != 1 && size != 2 && size != 4 && size != 8)
		return 0;
	return length(at) == 3 + (size + 3) / 4 ? size : 0;
}

/* The next decoration behind @at that gives something the number @id; NULL: no more. */
static uint32_t *next_decoration(const struct mcl_spirv *module, const uint32_t *at, uint32_t id)
{
	uint32_t *found = next(module, at);

	while (found && (operation(found) != OP_DECORATE || length(found) != 4 || found[2] != DECORATION_SPEC_ID ||
			 found[3] != id))
		found = next(module, found);
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

	if (operation(at) != OP_SPEC_CONSTANT) {
		*at = length(at) << 16 | (memcmp(constant->value, nothing, constant->size) ? OP_SPEC_CONSTANT_TRUE :
											     OP_SPEC_CONSTANT_FALSE);
		return;
	}
	/* What is narrower than a word has zeros above: numbers have no sign in OpenCL's modules. */
	memset(&at[3], 0, (length(at) - 3) * sizeof(*at));
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

static size_t count_group_all(const struct mcl_spirv *module)
{
	size_t n = 0;

	for (const uint32_t *at = next(module, NULL); at; at = next(module, at))
		n += operation(at) == OP_GROUP_ALL && length(at) == GROUP_ALL_WORDS;
	return n;
}

/* "all" as "not any not", at @to. @id: the first of two new ids. Returns where it ends. */
static uint32_t *put_group_all(uint32_t *to, const uint32_t *at, uint32_t id)
{
	const uint32_t words[] = {
		NOT_WORDS << 16 | OP_LOGICAL_NOT,
		at[1],
		id,
		at[4],
		GROUP_ALL_WORDS << 16 | OP_GROUP_ANY,
		at[1],
		id + 1,
		at[3],
		id,
		NOT_WORDS << 16 | OP_LOGICAL_NOT,
		at[1],
		at[2],
		id + 1,
	};

	memcpy(to, words, sizeof(words));
	return to + sizeof(words) / sizeof(*words);
}

int mcl_spirv_mend(struct mcl_spirv *module)
{
	const size_t found = count_group_all(module);
	uint32_t *words, *to, id = module->words[BOUND];

	if (!found)
		return 0;
	words = malloc((module->count + found * 2 * NOT_WORDS) * sizeof(*words));
	if (!words)
		return -ENOMEM;
	memcpy(words, module->words, HEADER_WORDS * sizeof(*words));
	to = words + HEADER_WORDS;
	for (const uint32_t *at = next(module, NULL); at; at = next(module, at)) {
		if (operation(at) == OP_GROUP_ALL && length(at) == GROUP_ALL_WORDS) {
			to = put_group_all(to, at, id);
			id += 2;
			continue;
		}
		memcpy(to, at, length(at) * sizeof(*to));
		to += length(at);
	}
	words[BOUND] = id;
	free(module->words);
	module->words = words;
	module->count = (size_t)(to - words);
	return 0;
}
