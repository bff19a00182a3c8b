/* SPDX-License-Identifier: MIT */
/*
 * Which local sizes a program's kernels were launched with in earlier runs: one small file beside the compiled programs. It
 * is a table of fixed size with one slot for each hash value, so it never grows and needs no cleaning; a program that
 * loses its slot to another is specialised again when it runs. Only a hint: what is read is checked, errors mean nothing.
 */
#ifndef MCL_USED_SIZES_H
#define MCL_USED_SIZES_H

#include "runtime/specialize.h"

/* Fill @sizes; returns how many. 0 where there is no cache. */
uint32_t mcl_used_sizes_load(const struct mcl_source *source, uint32_t sizes[MCL_SPECIALIZED_SIZES][3]);

/* Remember. */
void mcl_used_sizes_store(const struct mcl_source *source, const uint32_t sizes[MCL_SPECIALIZED_SIZES][3],
			  uint32_t count);

#endif
