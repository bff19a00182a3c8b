/* SPDX-License-Identifier: MIT */
/*
 * A compiler for unit tests of the runtime: implements mcl_compile() for a tiny language and makes valid code objects whose
 * code does nothing. One statement a line:
 *
 *   kernel NAME [reqd=X,Y,Z] [local=BYTES] ARGUMENT...   ARGUMENT: global constant local image sampler valueBYTES
 *   globals BYTES             program-scope variables
 *   include NAME              fails unless a header of that name is given
 *   noarginfo                 as if without -cl-kernel-arg-info
 *   error                     does not compile
 *
 * Options that make it fail: -bad (malformed), -missing (no compiler), -crash, -nomem; -nokernel: its kernels. -warn makes a
 * log.
 */
#ifndef MCL_FAKE_COMPILER_H
#define MCL_FAKE_COMPILER_H

#include "compiler/compiler.h"

struct mcl_fake_compiler {
	uint32_t calls; /* of mcl_compile() so far */
	uint32_t parts[4]; /* of them, by enum mcl_compile_part */
	uint32_t specialised, jammed; /* of them, for a local size */
	uint32_t looked_up; /* of them, in the cache only */
	uint32_t local_size[3]; /* of the last that had one */
};
void mcl_fake_compiler_counts(struct mcl_fake_compiler *out);

/* Called at the start of every compilation, without locks; NULL: nothing. */
void mcl_fake_compiler_hook(void (*fn)(const struct mcl_compile_request *req, void *ctx), void *ctx);

/* Whether there is ever a function with shared loops (at first: yes). */
void mcl_fake_compiler_set_jam(bool possible);

/* Whether what is looked up in the cache is there (at first: no). */
void mcl_fake_compiler_set_cached(bool all);

#endif
