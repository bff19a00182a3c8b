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
 * Options that make it fail: -bad (malformed), -missing (no compiler), -crash, -nomem. -warn makes a log.
 */
#ifndef MCL_FAKE_COMPILER_H
#define MCL_FAKE_COMPILER_H

#include "compiler/compiler.h"

struct mcl_fake_compiler {
	uint32_t calls; /* of mcl_compile() so far */
	uint32_t local_size_count; /* of the last call */
	uint32_t local_sizes[8][3];
};
void mcl_fake_compiler_counts(struct mcl_fake_compiler *out);

/* Called at the start of every compilation, without locks; NULL: nothing. */
void mcl_fake_compiler_hook(void (*fn)(const struct mcl_compile_request *req, void *ctx), void *ctx);

#endif
