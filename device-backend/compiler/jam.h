/* SPDX-License-Identifier: MIT */
/*
 * Letting work-items share the loops of a kernel. POCL runs the work-items of a group one after the other in loops
 * around the kernel's body, so a kernel with a loop over k reads memory in the order
 *
 *   for x: for k: ...                and is made to read it as            for k: for x: ...
 *
 * which vector units can do at once (LLVM calls it unroll-and-jam). Work-items of a kernel without barriers know no order
 * among themselves, so every such interleaving is one that OpenCL allows; only where a kernel could notice (atomics,
 * volatile accesses, calls, private arrays, which the work-items would then share) nothing is done.
 *
 * It is sometimes much faster and sometimes slower, so the runtime measures. Works on LLVM bitcode in a process of its
 * own, which POCL starts (POCL_BITCODE_FINALIZER).
 */
#ifndef MCL_JAM_H
#define MCL_JAM_H

#include "support/log.h"

/*
 * Rewrite the bitcode in @path, which holds a work-group function for a fixed local size. Returns 1: done; 0: there is
 * nothing to share, or it is not safe, the file is as it was; -ENOENT: no suitable LLVM; -EIO: files, LLVM.
 */
int mcl_jam_file(const char *path, struct mcl_reason *why);

#endif
