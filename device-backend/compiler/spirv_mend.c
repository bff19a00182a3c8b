// SPDX-License-Identifier: MIT
/*
 * What POCL 6.0 gets wrong in a SPIR-V module, said in other words; see mcl_spirv_mend() in spirv.h. The module becomes longer; nothing
 * else in it changes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/spirv_words.h"

#define PRINTF 184u /* of the instruction set OpenCL.std */
#define SET_NAME "OpenCL.std"

/* Words of instructions, that of the operation included. */
#define CAPABILITY_WORDS 2u
#define TYPE_FLOAT_WORDS 3u /* result, width */
#define CONVERT_WORDS 4u /* type, result, operand */
#define NOT_WORDS 4u /* type, result, operand */
#define GROUP_WORDS 5u /* type, result, scope, predicate */
#define PRINTF_FIRST 6u /* type, result, set, number, format; then what is printed */

/* No module that a compiler has made has so many ids. */
#define MAX_BOUND (1u << 28)

struct mending {
	const struct mcl_spirv *module;
	uint32_t set; /* the ids of the instruction set, */
	uint32_t float32, float64; /* ... and of these types; 0: not there */
	bool has_double; /* as a capability */
	uint8_t *floats; /* a bit for each id: whether it is a number of type float32 */
	size_t groups, conversions; /* how much there is to mend */
	uint32_t *to; /* where the new module goes on */
	uint32_t id; /* the next one that is free */
};

static bool is_group_all(const uint32_t *at)
{
	return mcl_spirv_operation(at) == OP_GROUP_ALL && mcl_spirv_length(at) == GROUP_WORDS;
}

static bool is_printf(const struct mending *m, const uint32_t *at)
{
	return mcl_spirv_operation(at) == OP_EXT_INST && mcl_spirv_length(at) >= PRINTF_FIRST && at[3] == m->set &&
	       at[4] == PRINTF;
}

static bool is_float(const struct mending *m, uint32_t id)
{
	return id < m->module->words[MCL_SPIRV_BOUND] && m->floats[id / 8] >> id % 8 & 1;
}

/* Ids that stand for the whole module. */
static void look_at_names(struct mending *m)
{
	for (const uint32_t *at = mcl_spirv_next(m->module, NULL); at; at = mcl_spirv_next(m->module, at)) {
		const uint32_t op = mcl_spirv_operation(at), length = mcl_spirv_length(at);

		if (op == OP_EXT_INST_IMPORT && length >= 2 + sizeof(SET_NAME) / 4 + 1 &&
		    memcmp(&at[2], SET_NAME, sizeof(SET_NAME)) == 0)
			m->set = at[1];
		else if (op == OP_CAPABILITY && length == CAPABILITY_WORDS)
			m->has_double |= at[1] == CAPABILITY_FLOAT64;
		else if (op == OP_TYPE_FLOAT && length >= TYPE_FLOAT_WORDS && at[2] == 32)
			m->float32 = at[1];
		else if (op == OP_TYPE_FLOAT && length >= TYPE_FLOAT_WORDS && at[2] == 64)
			m->float64 = at[1];
	}
}

/* What has a type has it in its first word, and is called what the second one says. Names and decorations are others. */
static void look_at_types(struct mending *m)
{
	for (const uint32_t *at = mcl_spirv_next(m->module, NULL); at; at = mcl_spirv_next(m->module, at)) {
		const uint32_t op = mcl_spirv_operation(at);

		if (mcl_spirv_length(at) >= 3 && at[1] == m->float32 && at[2] < m->module->words[MCL_SPIRV_BOUND] &&
		    op != OP_NAME && op != OP_MEMBER_NAME && op != OP_DECORATE && op != OP_MEMBER_DECORATE &&
		    op != OP_TYPE_FLOAT)
			m->floats[at[2] / 8] |= (uint8_t)(1 << at[2] % 8);
	}
}

static void count(struct mending *m)
{
	for (const uint32_t *at = mcl_spirv_next(m->module, NULL); at; at = mcl_spirv_next(m->module, at)) {
		m->groups += is_group_all(at);
		for (uint32_t i = PRINTF_FIRST; is_printf(m, at) && i < mcl_spirv_length(at); i++)
			m->conversions += is_float(m, at[i]);
	}
}

static void put(struct mending *m, const uint32_t *words, size_t n)
{
	memcpy(m->to, words, n * sizeof(*words));
	m->to += n;
}

/* All is "not any not". */
static void put_group_all(struct mending *m, const uint32_t *at)
{
	const uint32_t not_pred = m->id++, any = m->id++;
	const uint32_t before[] = { NOT_WORDS << 16 | OP_LOGICAL_NOT, at[1], not_pred, at[4] };
	const uint32_t group[] = { GROUP_WORDS << 16 | OP_GROUP_ANY, at[1], any, at[3], not_pred };
	const uint32_t after[] = { NOT_WORDS << 16 | OP_LOGICAL_NOT, at[1], at[2], any };

	put(m, before, NOT_WORDS);
	put(m, group, GROUP_WORDS);
	put(m, after, NOT_WORDS);
}

/* What is printed, as OpenCL C would hand it over. */
static void put_printf(struct mending *m, const uint32_t *at)
{
	const uint32_t length = mcl_spirv_length(at), first = m->id;
	uint32_t *instruction;

	for (uint32_t i = PRINTF_FIRST; i < length; i++) {
		const uint32_t convert[] = { CONVERT_WORDS << 16 | OP_F_CONVERT, m->float64, m->id, at[i] };

		if (!is_float(m, at[i]))
			continue;
		put(m, convert, CONVERT_WORDS);
		m->id++;
	}
	instruction = m->to;
	put(m, at, length);
	for (uint32_t i = PRINTF_FIRST, id = first; i < length; i++)
		if (is_float(m, at[i]))
			instruction[i] = id++;
}

/* What numbers of 64 bits need, behind @at, which has been put. */
static void put_double(struct mending *m, const uint32_t *at)
{
	const uint32_t capability[] = { CAPABILITY_WORDS << 16 | OP_CAPABILITY, CAPABILITY_FLOAT64 };
	const uint32_t type[] = { TYPE_FLOAT_WORDS << 16 | OP_TYPE_FLOAT, m->id, 64 };

	if (mcl_spirv_operation(at) == OP_CAPABILITY && !m->has_double) {
		put(m, capability, CAPABILITY_WORDS);
		m->has_double = true;
	}
	if (mcl_spirv_operation(at) == OP_TYPE_FLOAT && at[1] == m->float32 && !m->float64) {
		put(m, type, TYPE_FLOAT_WORDS);
		m->float64 = m->id++;
	}
}

/* The new module. Returns its words, malloc'd, or NULL. */
static uint32_t *rewrite(struct mending *m)
{
	const size_t more =
		m->groups * 2 * NOT_WORDS + m->conversions * CONVERT_WORDS + CAPABILITY_WORDS + TYPE_FLOAT_WORDS;
	uint32_t *words = malloc((m->module->count + more) * sizeof(*words));

	if (!words)
		return NULL;
	m->to = words;
	put(m, m->module->words, MCL_SPIRV_HEADER);
	for (const uint32_t *at = mcl_spirv_next(m->module, NULL); at; at = mcl_spirv_next(m->module, at)) {
		if (is_group_all(at))
			put_group_all(m, at);
		else if (m->conversions && is_printf(m, at))
			put_printf(m, at);
		else
			put(m, at, mcl_spirv_length(at));
		if (m->conversions)
			put_double(m, at);
	}
	words[MCL_SPIRV_BOUND] = m->id;
	return words;
}

int mcl_spirv_mend(struct mcl_spirv *module)
{
	struct mending m = { .module = module, .id = module->words[MCL_SPIRV_BOUND] };
	uint32_t *words;

	if (m.id > MAX_BOUND)
		return 0;
	m.floats = calloc(m.id / 8 + 1, 1);
	if (!m.floats)
		return -ENOMEM;
	look_at_names(&m);
	if (m.set && m.float32)
		look_at_types(&m);
	count(&m);
	words = m.groups || m.conversions ? rewrite(&m) : NULL;
	free(m.floats);
	if (!m.groups && !m.conversions)
		return 0;
	if (!words)
		return -ENOMEM;
	module->count = (size_t)(m.to - words);
	free(module->words);
	module->words = words;
	return 0;
}
