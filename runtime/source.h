/* SPDX-License-Identifier: MIT */
/*
 * What programs are compiled from: one source in OpenCL C or module of SPIR-V, or several to be linked, with their options and headers.
 * Immutable, shared by programs, builds and the background compiler. Knows no OpenCL object.
 */
#ifndef MCL_RUNTIME_SOURCE_H
#define MCL_RUNTIME_SOURCE_H

#include "compiler/compiler.h"
#include "compiler/source_bundle.h"

struct mcl_source {
	_Atomic uint32_t refs;
	struct mcl_bundle bundle; /* its bytes are the binary of a program that is only compiled */
	struct mcl_session *session; /* its compiler */
};

/* Of @count units, which are copied. NULL when memory is short. */
struct mcl_source *mcl_source_create(const struct mcl_compile_unit *units, uint32_t count, enum mcl_bundle_kind kind);

/* Of everything in @count sources, in order; a reference to the only one if that is it. NULL when memory is short. */
struct mcl_source *mcl_source_link(struct mcl_source *const *sources, uint32_t count, enum mcl_bundle_kind kind);

/* Of a bundle's bytes. As mcl_bundle_parse(). */
int mcl_source_parse(const void *bytes, size_t size, struct mcl_source **out, struct mcl_reason *why);

struct mcl_source *mcl_source_get(struct mcl_source *source);
void mcl_source_put(struct mcl_source *source); /* NULL is allowed */

/* The request to compile it, without local sizes; valid as long as @source. */
void mcl_source_request(const struct mcl_source *source, struct mcl_compile_request *req);

/*
 * A reference to the same, or where it includes files, to one that has them as headers, so that it does not depend on them any
 * more; unless that cannot be told (headers.h). The compiler of @source, which nobody else uses yet, goes on with that. Of one
 * unit. NULL when memory is short.
 */
struct mcl_source *mcl_source_with_headers(struct mcl_source *source);

/* Have it checked, but not linked: what clCompileProgram does. As mcl_compile(). */
int mcl_source_check(const struct mcl_source *source, char **log, struct mcl_reason *why);

#endif
