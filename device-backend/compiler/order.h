/* SPDX-License-Identifier: MIT */
/*
 * Whether the work-groups of a kernel can notice in which order they run: only with atomics, fences, volatile accesses or
 * output do they have a way to. Where they cannot, the engine may give each processor the groups that it had the last time.
 */
#ifndef MCL_ORDER_H
#define MCL_ORDER_H

#include <stdbool.h>
#include <stddef.h>

struct mcl_order;

/*
 * Look at a program's LLVM bitcode, @size bytes, which are not needed afterwards. Returns NULL if nothing can be found out: no
 * suitable LLVM, no bitcode, no memory.
 */
struct mcl_order *mcl_order_open(const void *bitcode, size_t size);
void mcl_order_close(struct mcl_order *order); /* NULL is allowed */

/* Whether @kernel's groups may run in any order. When in doubt, as with @order NULL, they may not. */
bool mcl_order_any(const struct mcl_order *order, const char *kernel);

#endif
