/* SPDX-License-Identifier: MIT */
/*
 * Making a source independent of files: what it includes becomes headers that travel with it, as if clCompileProgram had been
 * given them. Compiles nothing.
 */
#ifndef MCL_GATHER_H
#define MCL_GATHER_H

#include "compiler/compiler.h"

struct mcl_gathered {
	uint32_t count;
	char **names, **texts;
};

/*
 * The headers of @unit, and as such every file that it includes, directly or not. Undone by mcl_gathered_free(), in any
 * case. Returns 0; -ENOTSUP: that cannot be told, or cannot be expressed with names of headers (absolute paths, ".."), so
 * that the source has to stay as it is; -ENOMEM.
 */
int mcl_gather(const struct mcl_compile_unit *unit, struct mcl_gathered *out);
void mcl_gathered_free(struct mcl_gathered *g);

#endif
