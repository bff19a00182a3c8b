/* SPDX-License-Identifier: MIT */
/*
 * Putting a code object together: append to tables, then write it all at once. What comes out is not trusted: the
 * reader checks it like any other file.
 */
#ifndef MCL_CODE_OBJECT_WRITER_H
#define MCL_CODE_OBJECT_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler/code_object.h"

/* A table that grows. */
struct mcl_co_buffer {
	uint8_t *bytes;
	size_t used, capacity;
};

/*
 * The header's digest, sizes and table positions are filled in by mcl_co_writer_finish(); everything else in it is
 * the caller's. Running out of memory is remembered and reported there, so appending needs no checks.
 */
struct mcl_co_writer {
	struct mcl_co_header header;
	struct mcl_co_buffer kernels, variants, args, locals, images, segments, relocs, strings, data;
	bool no_memory;
};

/* Undone by mcl_co_writer_free(). */
void mcl_co_writer_init(struct mcl_co_writer *w);
void mcl_co_writer_free(struct mcl_co_writer *w);

/* Append @text (NULL: the empty string) once; returns its offset for a string field. */
uint32_t mcl_co_writer_string(struct mcl_co_writer *w, const char *text);

/* Append one entry to a table of @w; returns its index. */
uint32_t mcl_co_writer_append(struct mcl_co_writer *w, struct mcl_co_buffer *table, const void *entry, size_t size);

/* Append image bytes; returns their offset for a segment's data_offset. */
uint64_t mcl_co_writer_data(struct mcl_co_writer *w, const void *bytes, size_t size);

/* The code object as malloc'd bytes. Returns 0 or -ENOMEM; -EOVERFLOW: a table is too large for the format. */
int mcl_co_writer_finish(struct mcl_co_writer *w, uint8_t **bytes, size_t *size);

#endif
