/* SPDX-License-Identifier: MIT */
/*
 * A bundle: OpenCL C sources and SPIR-V modules, each with its own options and headers, to be compiled one by one and linked. In this form a
 * program reaches mirrorcl-cc, and in this form clGetProgramInfo gives away what is only compiled, a library included: code
 * is made of whole programs only. Knows no compiler.
 *
 * Format (all integers little endian):
 *
 *   header | for each unit: struct mcl_bundle_unit, source, options | for each of its headers: its name, its text
 *
 * where each string is a 64-bit size and so many bytes, then a zero byte that is not counted. The digest is SHA-256 over
 * everything after the header.
 */
#ifndef MCL_SOURCE_BUNDLE_H
#define MCL_SOURCE_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler/compiler.h"
#include "support/log.h"

#define MCL_BUNDLE_MAGIC "MCLSRCS" /* 8 bytes with the terminating zero */
#define MCL_BUNDLE_VERSION 1

enum mcl_bundle_kind {
	MCL_BUNDLE_OBJECT = 0, /* what one clCompileProgram made */
	MCL_BUNDLE_LIBRARY = 1,
};

struct mcl_bundle_header {
	char magic[8];
	uint32_t version;
	uint32_t kind; /* enum mcl_bundle_kind */
	uint64_t size; /* of everything, bytes */
	uint8_t digest[32];
	uint32_t unit_count; /* at least one */
	uint32_t reserved; /* zero */
};

struct mcl_bundle_unit {
	uint32_t header_count;
	uint32_t reserved; /* zero */
};

/* What was read. */
struct mcl_bundle {
	enum mcl_bundle_kind kind;
	uint32_t unit_count;
	struct mcl_compile_unit *units; /* all of it points into .bytes */
	uint8_t *bytes; /* as it was given to mcl_bundle_parse() */
	size_t size;
};

/* Whether that is meant to be one, whatever its version and state. */
bool mcl_bundle_is(const void *bytes, size_t size);

/* As malloc'd bytes. Returns 0 or -ENOMEM. */
int mcl_bundle_write(const struct mcl_compile_unit *units, uint32_t count, enum mcl_bundle_kind kind, uint8_t **bytes,
		     size_t *size);

/*
 * Check @size bytes, copy and read them. Undone by mcl_bundle_free(). Returns 0; -EBADMSG: no bundle, or a corrupt one;
 * -EPROTO: of another version; -ENOMEM.
 */
int mcl_bundle_parse(const void *bytes, size_t size, struct mcl_bundle *out, struct mcl_reason *why);
void mcl_bundle_free(struct mcl_bundle *bundle);

#endif
