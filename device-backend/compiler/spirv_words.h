/* SPDX-License-Identifier: MIT */
/*
 * Going through the instructions of a module, for spirv.c and spirv_mend.c. Numbers are those of the SPIR-V
 * specification, version 1.6.
 */
#ifndef MCL_SPIRV_WORDS_H
#define MCL_SPIRV_WORDS_H

#include "compiler/spirv.h"

#define MCL_SPIRV_MAGIC 0x07230203u
#define MCL_SPIRV_HEADER 5u /* words */
#define MCL_SPIRV_BOUND 3 /* word of the header: all ids are less */

enum {
	OP_NAME = 5,
	OP_MEMBER_NAME = 6,
	OP_EXT_INST_IMPORT = 11,
	OP_EXT_INST = 12,
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
	OP_MEMBER_DECORATE = 72,
	OP_F_CONVERT = 115,
	OP_LOGICAL_NOT = 168,
	OP_GROUP_ALL = 261,
	OP_GROUP_ANY = 262,
};

enum {
	CAPABILITY_KERNEL = 6,
	CAPABILITY_FLOAT64 = 10,
};

static inline uint32_t mcl_spirv_operation(const uint32_t *at)
{
	return *at & 0xffff;
}

/* In words, that of the operation included. */
static inline uint32_t mcl_spirv_length(const uint32_t *at)
{
	return *at >> 16;
}

/* The instruction behind @at, or the first one if that is NULL; NULL behind the last. */
static inline uint32_t *mcl_spirv_next(const struct mcl_spirv *module, const uint32_t *at)
{
	size_t i = at ? (size_t)(at - module->words) + mcl_spirv_length(at) : MCL_SPIRV_HEADER;

	return i < module->count ? &module->words[i] : NULL;
}

#endif
