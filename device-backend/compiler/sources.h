/* SPDX-License-Identifier: MIT */
/*
 * What mirrorcl-cc is to compile, in the form that POCL understands: options checked and translated, and before each source
 * what makes POCL's device look like MirrorCL's. Starts nothing.
 */
#ifndef MCL_SOURCES_H
#define MCL_SOURCES_H

#include "compiler/compiler.h"
#include "compiler/options.h"
#include "compiler/pocl.h"

struct mcl_sources {
	uint32_t count;
	struct pocl_source *sources;
	/* private */
	struct mcl_options *options; /* what .sources point to */
};

/*
 * Of @count units, which must stay. Undone by mcl_sources_free(), after an error, too. Returns 0; -EINVAL: an option or a module is
 * wrong; -ENOMEM.
 */
int mcl_sources_prepare(const struct mcl_compile_unit *units, uint32_t count, struct mcl_sources *out,
			struct mcl_reason *why);
void mcl_sources_free(struct mcl_sources *s);

#endif
