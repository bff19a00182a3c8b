// SPDX-License-Identifier: MIT
/* Writing code objects; see code_object_writer.h, and code_object.h for the format. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/code_object_writer.h"
#include "compiler/digest.h"

/* Append @size bytes (zeros if @bytes is NULL). Returns where they start. */
static size_t append(struct mcl_co_writer *w, struct mcl_co_buffer *b, const void *bytes, size_t size)
{
	size_t start = b->used;

	if (size > b->capacity - b->used) {
		size_t capacity = b->capacity ? b->capacity : 256;
		uint8_t *grown;

		while (capacity - b->used < size && capacity < SIZE_MAX / 4)
			capacity *= 2;
		grown = capacity - b->used < size ? NULL : realloc(b->bytes, capacity);
		if (!grown) {
			w->no_memory = true;
			return start;
		}
		b->bytes = grown;
		b->capacity = capacity;
	}
	if (size == 0)
		return start;
	if (bytes)
		memcpy(b->bytes + start, bytes, size);
	else
		memset(b->bytes + start, 0, size);
	b->used += size;
	return start;
}

void mcl_co_writer_init(struct mcl_co_writer *w)
{
	memset(w, 0, sizeof(*w));
	memcpy(w->header.magic, MCL_CO_MAGIC, sizeof(w->header.magic));
	w->header.version = MCL_CO_VERSION;
	w->header.abi = MCL_CO_ABI_POCL_6_0;
	w->header.global_init = UINT32_MAX;
	append(w, &w->strings, "", 1); /* offset 0 is the empty string */
}

void mcl_co_writer_free(struct mcl_co_writer *w)
{
	struct mcl_co_buffer *tables[] = { &w->kernels,	 &w->variants, &w->args,    &w->locals, &w->images,
					   &w->segments, &w->relocs,   &w->strings, &w->data };

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		free(tables[i]->bytes);
	memset(w, 0, sizeof(*w));
}

uint32_t mcl_co_writer_string(struct mcl_co_writer *w, const char *text)
{
	size_t size = text ? strlen(text) + 1 : 1;

	/*
	 * Argument types and names repeat: look for an equal string first. Programs have few enough for a plain
	 * search.
	 */
	for (size_t at = 0; at < w->strings.used; at += strlen((const char *)w->strings.bytes + at) + 1)
		if (strcmp((const char *)w->strings.bytes + at, text ? text : "") == 0)
			return (uint32_t)at;
	return (uint32_t)append(w, &w->strings, text ? text : "", size);
}

uint32_t mcl_co_writer_append(struct mcl_co_writer *w, struct mcl_co_buffer *table, const void *entry, size_t size)
{
	return (uint32_t)(append(w, table, entry, size) / size);
}

uint64_t mcl_co_writer_data(struct mcl_co_writer *w, const void *bytes, size_t size)
{
	return append(w, &w->data, bytes, size);
}

/* Move @part to the end of @file, on a multiple of 8. */
static uint64_t place(struct mcl_co_writer *w, struct mcl_co_buffer *file, const struct mcl_co_buffer *part)
{
	append(w, file, NULL, (8 - file->used % 8) % 8);
	return append(w, file, part->bytes, part->used);
}

int mcl_co_writer_finish(struct mcl_co_writer *w, uint8_t **bytes, size_t *size)
{
	struct {
		struct mcl_co_table *table;
		struct mcl_co_buffer *buffer;
		size_t entry;
	} parts[] = {
		{ &w->header.kernels, &w->kernels, sizeof(struct mcl_co_kernel) },
		{ &w->header.variants, &w->variants, sizeof(struct mcl_co_variant) },
		{ &w->header.args, &w->args, sizeof(struct mcl_co_arg) },
		{ &w->header.locals, &w->locals, sizeof(uint64_t) },
		{ &w->header.images, &w->images, sizeof(struct mcl_co_image) },
		{ &w->header.segments, &w->segments, sizeof(struct mcl_co_segment) },
		{ &w->header.relocs, &w->relocs, sizeof(struct mcl_co_reloc) },
	};
	struct mcl_co_buffer file = { 0 };
	struct mcl_digest digest;

	append(w, &file, NULL, sizeof(w->header));
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		size_t count = parts[i].buffer->used / parts[i].entry;

		if (count > UINT32_MAX) {
			free(file.bytes);
			return -EOVERFLOW;
		}
		parts[i].table->count = (uint32_t)count;
		parts[i].table->offset = place(w, &file, parts[i].buffer);
	}
	if (w->strings.used > UINT32_MAX) {
		free(file.bytes);
		return -EOVERFLOW;
	}
	w->header.strings_offset = place(w, &file, &w->strings);
	w->header.strings_size = w->strings.used;
	w->header.data_offset = place(w, &file, &w->data);
	w->header.data_size = w->data.used;
	w->header.size = file.used;
	if (w->no_memory) {
		free(file.bytes);
		return -ENOMEM;
	}
	mcl_digest_begin(&digest);
	mcl_digest_bytes(&digest, file.bytes + sizeof(w->header), file.used - sizeof(w->header));
	mcl_digest_end(&digest, w->header.digest);
	memcpy(file.bytes, &w->header, sizeof(w->header));
	*bytes = file.bytes;
	*size = file.used;
	return 0;
}
