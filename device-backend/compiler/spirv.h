/* SPDX-License-Identifier: MIT */
/*
 * SPIR-V modules, as far as MirrorCL looks into them itself: whether something is one, its specialization constants, and
 * what POCL has to be told in other words. Translating them is POCL's business. Knows no OpenCL object.
 *
 * A module is a sequence of 32-bit words of either byte order: five of a header, then instructions, each of which begins
 * with its number of words and its operation.
 */
#ifndef MCL_SPIRV_H
#define MCL_SPIRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/log.h"

struct mcl_spirv {
	uint32_t *words; /* in the byte order of this machine, malloc'd */
	size_t count;
};

/* The value of a specialization constant. */
struct mcl_spirv_constant {
	uint32_t id; /* what SpecId says */
	uint32_t size; /* bytes: 1 (bool, too), 2, 4 or 8 */
	uint8_t value[8];
};

/* Whether @size bytes begin like a module; an OpenCL C program never does. */
bool mcl_spirv_is(const void *bytes, size_t size);

/*
 * Check the frame of a module for OpenCL and copy it. Undone by mcl_spirv_free(). Returns 0; -EBADMSG: not a module, cut off, or one
 * without kernels (for graphics); -ENOMEM.
 */
int mcl_spirv_read(const void *bytes, size_t size, struct mcl_spirv *out, struct mcl_reason *why);
void mcl_spirv_free(struct mcl_spirv *module);

/* Bytes of the specialization constant @id: 1, 2, 4 or 8; 0: there is none. */
uint32_t mcl_spirv_constant_size(const struct mcl_spirv *module, uint32_t id);

/* Give a constant, whose size is right, its value. */
void mcl_spirv_specialize(struct mcl_spirv *module, const struct mcl_spirv_constant *constant);

/*
 * Say in other words what POCL 6.0 gets wrong. That all work-items of a group hold something (OpGroupAll) is always false
 * there: it becomes that not any of them does not. What printf is given as a number of 32 bits it takes for one of 64, as OpenCL C has it: it
 * becomes one. Returns 0 or -ENOMEM, after which the module is as before.
 */
int mcl_spirv_mend(struct mcl_spirv *module);

#endif
