/* SPDX-License-Identifier: MIT */
/*
 * Making a source independent of files: what it includes becomes headers that travel with it, as if clCompileProgram had been
 * given them. Compiles nothing.
 */
#ifndef MCL_HEADERS_H
#define MCL_HEADERS_H

#include "compiler/compiler.h"

struct mcl_headers {
	uint32_t count;
	char **names, **texts;
};

/*
 * The headers of @unit, and as such every file that it includes, directly or not. Undone by mcl_headers_free(), in any
 * case. Returns 0; -ENOTSUP: that cannot be told, or cannot be expressed with names of headers (absolute paths, ".."), so
 * that the source has to stay as it is; -ENOMEM.
 */
int mcl_headers_collect(const struct mcl_compile_unit *unit, struct mcl_headers *out);
void mcl_headers_free(struct mcl_headers *g);

#endif
