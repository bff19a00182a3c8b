/* SPDX-License-Identifier: MIT */
/* A small, valid code object for the tests, made without a compiler. */
#ifndef MCL_TEST_SAMPLE_H
#define MCL_TEST_SAMPLE_H

#include <stdlib.h>
#include <string.h>

#include "compiler/code_object_writer.h"
#include "compiler/digest.h"
#include "compiler/target.h"

/*
 * Two kernels; "add" has two variants, two arguments and a local variable; one image with code, data and two
 * relocations.
 */
static inline uint8_t *make_sample(size_t padding, size_t *size)
{
	static const uint8_t code[] = { 0xc3 }; /* ret */
	static const uint64_t local = 64, words[2];
	struct mcl_co_writer w;
	struct mcl_co_segment text, data;
	struct mcl_co_reloc base = { .where = 4096, .addend = 8, .symbol = MCL_CO_SYM_BASE };
	struct mcl_co_reloc copy = { .where = 4104, .symbol = MCL_CO_SYM_MEMCPY };
	struct mcl_co_image image = { .mem_size = 8192, .segment_count = 2, .reloc_count = 2 };
	struct mcl_co_variant any = { .flags = MCL_CO_ANY_LOCAL_SIZE };
	struct mcl_co_variant special = { .flags = MCL_CO_ZERO_OFFSET, .local_size = { 64, 1, 1 } };
	struct mcl_co_kernel add = { .arg_count = 2, .local_count = 1, .variant_count = 2, .local_bytes = 64 };
	struct mcl_co_kernel nop = { .first_variant = 0, .variant_count = 1 };
	struct mcl_co_arg pointer = { .kind = MCL_CO_ARG_POINTER, .size = 8 }, value = { .size = 4 };
	uint8_t *bytes = NULL, *zeros = calloc(1, padding + 1);

	mcl_co_writer_init(&w);
	w.header.target = mcl_co_writer_string(&w, mcl_target_machine());
	w.header.producer = mcl_co_writer_string(&w, "test");
	w.header.options = mcl_co_writer_string(&w, "-DX");
	text = (struct mcl_co_segment){ .mem_size = 1, .data_size = 1, .prot = MCL_CO_READ | MCL_CO_EXEC };
	text.data_offset = mcl_co_writer_data(&w, code, sizeof(code));
	data = (struct mcl_co_segment){
		.mem_offset = 4096, .mem_size = 100, .data_size = 16, .prot = MCL_CO_READ | MCL_CO_WRITE
	};
	data.data_offset = mcl_co_writer_data(&w, words, sizeof(words));
	mcl_co_writer_append(&w, &w.segments, &text, sizeof(text));
	mcl_co_writer_append(&w, &w.segments, &data, sizeof(data));
	mcl_co_writer_append(&w, &w.relocs, &base, sizeof(base));
	mcl_co_writer_append(&w, &w.relocs, &copy, sizeof(copy));
	mcl_co_writer_append(&w, &w.images, &image, sizeof(image));
	mcl_co_writer_append(&w, &w.variants, &any, sizeof(any));
	mcl_co_writer_append(&w, &w.variants, &special, sizeof(special));
	pointer.name = mcl_co_writer_string(&w, "a");
	pointer.type_name = mcl_co_writer_string(&w, "int*");
	mcl_co_writer_append(&w, &w.args, &pointer, sizeof(pointer));
	mcl_co_writer_append(&w, &w.args, &value, sizeof(value));
	mcl_co_writer_append(&w, &w.locals, &local, sizeof(local));
	add.name = mcl_co_writer_string(&w, "add");
	nop.name = mcl_co_writer_string(&w, "nop");
	mcl_co_writer_append(&w, &w.kernels, &add, sizeof(add));
	mcl_co_writer_append(&w, &w.kernels, &nop, sizeof(nop));
	mcl_co_writer_data(&w, zeros, padding);
	if (mcl_co_writer_finish(&w, &bytes, size))
		abort();
	mcl_co_writer_free(&w);
	free(zeros);
	return bytes;
}

/* Make the digest right again after a change. */
static inline void sign_sample(uint8_t *bytes, size_t size)
{
	struct mcl_co_header *h = (struct mcl_co_header *)bytes;
	struct mcl_digest digest;

	mcl_digest_begin(&digest);
	mcl_digest_bytes(&digest, bytes + sizeof(*h), size - sizeof(*h));
	mcl_digest_end(&digest, h->digest);
}

#endif
