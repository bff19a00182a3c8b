/* SPDX-License-Identifier: MIT */
/*
 * From an address to what is known about its 2 MiB block: a two-level table of pointers over the 47-bit user address
 * space, in private memory. It owns the table, not what the pointers lead to.
 */
#ifndef MCL_BLOCK_TABLE_H
#define MCL_BLOCK_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "mirror/private_memory.h"

#define MCL_BLOCK_SHIFT 21
#define MCL_BLOCK_SIZE (1ull << MCL_BLOCK_SHIFT)
#define MCL_BLOCK_TABLE_BITS 13

struct mcl_block_table {
	void **top[1u << MCL_BLOCK_TABLE_BITS];
};

/* Where the pointer of @address's block is kept; NULL if it was never set and !@make, or if memory is short. */
static inline void **mcl_block_slot(struct mcl_block_table *t, struct mcl_private *memory, uint64_t address, bool make)
{
	const uint64_t count = 1ull << MCL_BLOCK_TABLE_BITS, index = address >> MCL_BLOCK_SHIFT;
	const uint64_t high = index >> MCL_BLOCK_TABLE_BITS;

	if (high >= count)
		return NULL;
	if (!t->top[high] && make)
		t->top[high] = mcl_private_alloc(memory, count * sizeof(void *), 64);
	return t->top[high] ? &t->top[high][index & (count - 1)] : NULL;
}

#endif
