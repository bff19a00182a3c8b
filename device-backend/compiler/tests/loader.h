/* SPDX-License-Identifier: MIT */
/* Running compiled kernels in the test's own process: what the engine's loader does, in its simplest form. */
#ifndef MCL_TEST_LOADER_H
#define MCL_TEST_LOADER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compiler/code_object.h"
#include "engine/wg_abi.h"

/* Place one image; never unmapped. NULL if memory is short. */
static inline uint8_t *load_image(const struct mcl_code_object *co, uint32_t index)
{
	const uint64_t symbols[MCL_CO_SYM_COUNT] = {
		[MCL_CO_SYM_MEMCPY] = (uint64_t)memcpy,	  [MCL_CO_SYM_MEMSET] = (uint64_t)memset,
		[MCL_CO_SYM_MEMMOVE] = (uint64_t)memmove, [MCL_CO_SYM_SNPRINTF] = (uint64_t)snprintf,
		[MCL_CO_SYM_WRITE] = (uint64_t)write,
	};
	const struct mcl_co_image *image = &co->images[index];
	uint8_t *base = mmap(NULL, image->mem_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct mcl_co_segment *s = &co->segments[image->first_segment + i];

		memcpy(base + s->mem_offset, co->data + s->data_offset, s->data_size);
	}
	for (uint32_t i = 0; i < image->reloc_count; i++) {
		const struct mcl_co_reloc *r = &co->relocs[image->first_reloc + i];
		uint64_t value = (r->symbol == MCL_CO_SYM_BASE ? (uint64_t)base : symbols[r->symbol]) + r->addend;

		memcpy(base + r->where, &value, sizeof(value));
	}
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct mcl_co_segment *s = &co->segments[image->first_segment + i];
		int prot = (s->prot & MCL_CO_READ ? PROT_READ : 0) | (s->prot & MCL_CO_WRITE ? PROT_WRITE : 0) |
			   (s->prot & MCL_CO_EXEC ? PROT_EXEC : 0);

		if (mprotect(base + s->mem_offset, s->mem_size, prot))
			return NULL;
	}
	return base;
}

static inline mcl_wg_function *load_variant(const struct mcl_code_object *co, uint32_t index)
{
	uint8_t *base = load_image(co, co->variants[index].image);

	return base ? (mcl_wg_function *)(void *)(base + co->variants[index].entry) : NULL;
}

/* Program-scope variables, initialised; NULL if there are none. Never freed. */
static inline void *load_globals(const struct mcl_code_object *co)
{
	struct mcl_wg_context ctx = { .num_groups = { 1, 1, 1 }, .local_size = { 1, 1, 1 }, .work_dim = 1 };
	mcl_wg_function *init;
	void *globals;
	uint8_t *no_args = NULL;

	if (!co->header->global_size)
		return NULL;
	globals = aligned_alloc(128, (co->header->global_size + 127) / 128 * 128);
	init = load_variant(co, co->header->global_init);
	if (!globals || !init)
		abort();
	ctx.global_vars = (uint64_t)globals;
	init(&no_args, &ctx, 0, 0, 0);
	return globals;
}

/* Run variant @variant of the one-dimensional ND-range. @args as the convention wants them. */
static inline void run_range(const struct mcl_code_object *co, uint32_t variant, void *globals, uint8_t **args,
			     uint64_t global, uint64_t local)
{
	struct mcl_wg_context ctx = {
		.num_groups = { global / local, 1, 1 },
		.local_size = { local, 1, 1 },
		.global_vars = (uint64_t)globals,
		.work_dim = 1,
	};
	mcl_wg_function *f = load_variant(co, variant);

	if (!f)
		abort();
	for (uint64_t g = 0; g < ctx.num_groups[0]; g++)
		f(args, &ctx, g, 0, 0);
}

#endif
