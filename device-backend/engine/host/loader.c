// SPDX-License-Identifier: MIT
/*
 * Code objects in the window: one block of the code area for all images of a code object, written through an alias, relocated,
 * then visible to the engine read-execute. Pages of data are made writable (and not executable) by the engine itself,
 * which may have a page table of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/host/backend_private.h"

#define PAGE 4096ull
#define PAGE_UP(x) (((x) + PAGE - 1) & ~(PAGE - 1))

/* ---- placing ---- */

static uint64_t symbol_address(const struct mcl_engine_image *image, uint32_t symbol)
{
	switch (symbol) {
	case MCL_CO_SYM_MEMCPY:
		return image->sym_memcpy;
	case MCL_CO_SYM_MEMSET:
		return image->sym_memset;
	case MCL_CO_SYM_MEMMOVE:
		return image->sym_memmove;
	case MCL_CO_SYM_SNPRINTF:
		return image->sym_snprintf;
	case MCL_CO_SYM_WRITE:
		return image->sym_write;
	default:
		return 0;
	}
}

static int place_image(const struct mcl_backend *b, const struct mcl_code_object *co, const struct mcl_co_image *image,
		       uint8_t *at, uint64_t base)
{
	const struct mcl_engine_image *symbols = (const struct mcl_engine_image *)(uintptr_t)b->control->image;

	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct mcl_co_segment *s = &co->segments[image->first_segment + i];

		memcpy(at + s->mem_offset, co->data + s->data_offset, s->data_size);
	}
	for (uint32_t i = 0; i < image->reloc_count; i++) {
		const struct mcl_co_reloc *r = &co->relocs[image->first_reloc + i];
		uint64_t value = r->symbol == MCL_CO_SYM_BASE ? base : symbol_address(symbols, r->symbol);

		if (!value || r->where > image->mem_size - sizeof(value))
			return -EBADMSG;
		value += r->addend;
		memcpy(at + r->where, &value, sizeof(value));
	}
	return 0;
}

/* Protect the data pages of a loaded code object as @prot. */
static int protect_data(struct mcl_backend *b, const struct mcl_loaded *l, int prot)
{
	const struct mcl_code_object *co = l->co;
	int err = 0;

	for (uint32_t i = 0; !err && i < co->header->images.count; i++) {
		const struct mcl_co_image *image = &co->images[i];
		const uint64_t base = l->image_base[i] - b->window.base;

		for (uint32_t j = 0; !err && j < image->segment_count; j++) {
			const struct mcl_co_segment *s = &co->segments[image->first_segment + j];

			if (s->prot & MCL_CO_WRITE)
				err = mcl_submit_protect(b, base + s->mem_offset, PAGE_UP(s->mem_size), prot);
		}
	}
	return err;
}

static void give_back(struct mcl_backend *b, const struct mcl_loaded *l)
{
	/* Its memory, too; the next one to use the place finds zeros. */
	fallocate(b->window.memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)l->offset,
		  (off_t)PAGE_UP(l->size));
	mcl_range_free(&b->code, l->offset, l->size);
}

static void unload_one(struct mcl_backend *b, struct mcl_loaded *l)
{
	/* If data pages cannot be made code pages again, nobody may have the place. */
	if (mcl_backend_state(b) == MCL_BACKEND_DEAD ||
	    (mcl_backend_state(b) == MCL_BACKEND_ALIVE && !protect_data(b, l, PROT_READ | PROT_EXEC)))
		give_back(b, l);
	mcl_code_object_put(l->co);
	free(l->image_base);
}

static int load_one(struct mcl_backend *b, struct mcl_code_object *co, struct mcl_loaded *l, struct mcl_reason *why)
{
	const uint32_t images = co->header->images.count;
	uint64_t at = 0;
	uint8_t *alias;
	int err = 0;

	if (mcl_backend_state(b) != MCL_BACKEND_ALIVE)
		return mcl_reason(why, -ENODEV, "the device process has ended");
	memset(l, 0, sizeof(*l));
	l->image_base = calloc(images ? images : 1, sizeof(*l->image_base));
	if (!l->image_base)
		return mcl_reason(why, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < images; i++)
		if (__builtin_add_overflow(l->size, PAGE_UP(co->images[i].mem_size), &l->size))
			l->size = UINT64_MAX / 2;
	if (!l->size)
		l->size = PAGE;
	if (mcl_range_alloc(&b->code, l->size, &l->offset)) {
		free(l->image_base);
		return mcl_reason(why, -ENOMEM, "no room for %llu KiB of kernel code in the device's window",
				  (unsigned long long)l->size >> 10);
	}
	alias = mcl_window_alias(&b->window, l->offset, l->size);
	if (!alias) {
		err = mcl_reason(why, -ENOMEM, "cannot map kernel code for loading: %s", strerror(errno));
		goto err_range;
	}
	for (uint32_t i = 0; !err && i < images; i++) {
		l->image_base[i] = b->window.base + l->offset + at;
		err = place_image(b, co, &co->images[i], alias + at, l->image_base[i]);
		at += PAGE_UP(co->images[i].mem_size);
	}
	munmap(alias, l->size);
	if (err) {
		mcl_reason(why, err, "the code object has a relocation that does not make sense");
		goto err_range;
	}
	l->co = mcl_code_object_get(co);
	err = protect_data(b, l, PROT_READ | PROT_WRITE);
	if (err) {
		unload_one(b, l);
		return mcl_reason(why, err == -ENODEV ? err : -ENOMEM, "cannot protect the kernel's data: %s",
				  strerror(-err));
	}
	return 0;

err_range:
	give_back(b, l);
	free(l->image_base);
	return err;
}

/* ---- programs ---- */

static int initialise_variables(struct mcl_program_code *code, struct mcl_reason *why)
{
	const struct mcl_code_object *co = code->first.co;
	struct mcl_backend *b = code->backend;
	const struct mcl_co_variant *v;
	int err;

	if (!co->header->global_size)
		return 0;
	code->vars_size = co->header->global_size;
	code->vars = mcl_svm_alloc(b, code->vars_size, 0);
	if (!code->vars)
		return mcl_reason(why, -ENOMEM, "no memory for the program-scope variables");
	if (co->header->global_init == UINT32_MAX)
		return 0;
	v = &co->variants[co->header->global_init];
	err = mcl_submit_initializer(b, code, code->first.image_base[v->image] + v->entry, (uintptr_t)code->vars);
	if (err == -ENODEV)
		return mcl_reason(why, err, "the device process has ended");
	if (err)
		return mcl_reason(why, -EBADMSG, "the initialiser of the program-scope variables failed");
	return 0;
}

int mcl_program_load(struct mcl_backend *b, struct mcl_code_object *co, struct mcl_program_code **out,
		     struct mcl_reason *why)
{
	struct mcl_program_code *code = calloc(1, sizeof(*code));
	int err;

	if (!code)
		return mcl_reason(why, -ENOMEM, "out of memory");
	code->backend = b;
	code->pieces = calloc(co->header->kernels.count + (size_t)1, sizeof(*code->pieces));
	if (!code->pieces) {
		free(code);
		return mcl_reason(why, -ENOMEM, "out of memory");
	}
	err = load_one(b, co, &code->first, why);
	if (err) {
		free(code->pieces);
		free(code);
		return err;
	}
	pthread_mutex_lock(&b->programs_lock);
	code->next = b->programs;
	if (code->next)
		code->next->prev = code;
	b->programs = code;
	pthread_mutex_unlock(&b->programs_lock);
	err = initialise_variables(code, why);
	if (err) {
		mcl_program_unload(code);
		return err;
	}
	*out = code;
	return 0;
}

void mcl_program_unload(struct mcl_program_code *code)
{
	struct mcl_backend *b;
	struct mcl_loaded *l;

	if (!code)
		return;
	b = code->backend;
	if (mcl_backend_state(b) != MCL_BACKEND_FORKED) {
		pthread_mutex_lock(&b->programs_lock);
		if (code->prev)
			code->prev->next = code->next;
		else
			b->programs = code->next;
		if (code->next)
			code->next->prev = code->prev;
		pthread_mutex_unlock(&b->programs_lock);
	}
	for (l = atomic_load(&code->more); l;) {
		struct mcl_loaded *next = l->next;

		unload_one(b, l);
		free(l);
		l = next;
	}
	for (uint32_t i = 0; i < code->first.co->header->kernels.count; i++) {
		for (struct mcl_piece *piece = atomic_load(&code->pieces[i]), *next; piece; piece = next) {
			next = piece->next;
			free(piece);
		}
	}
	free(code->pieces);
	unload_one(b, &code->first);
	if (code->vars)
		mcl_svm_free(b, code->vars, code->vars_size);
	free(code);
}

/* Make the functions that @l has for kernel @index known. */
static int add_piece(struct mcl_program_code *code, uint32_t index, const struct mcl_loaded *l,
		     const struct mcl_co_kernel *kernel)
{
	struct mcl_piece *piece = malloc(sizeof(*piece)), *head = atomic_load(&code->pieces[index]);

	if (!piece)
		return -ENOMEM;
	piece->loaded = l;
	piece->kernel = kernel;
	do
		piece->next = head;
	while (!atomic_compare_exchange_weak(&code->pieces[index], &head, piece));
	return 0;
}

int mcl_program_add_variants(struct mcl_program_code *code, struct mcl_code_object *co, struct mcl_reason *why)
{
	const struct mcl_code_object *first = code->first.co;
	struct mcl_loaded *l = calloc(1, sizeof(*l)), *head;
	int err;

	if (!l)
		return mcl_reason(why, -ENOMEM, "out of memory");
	err = load_one(code->backend, co, l, why);
	if (err) {
		free(l);
		return err;
	}
	/* It stays as long as the program, whatever happens now. */
	head = atomic_load(&code->more);
	do
		l->next = head;
	while (!atomic_compare_exchange_weak(&code->more, &head, l));
	for (uint32_t i = 0; !err && i < first->header->kernels.count; i++) {
		const struct mcl_co_kernel *mine = &first->kernels[i];
		const struct mcl_co_kernel *k = mcl_co_find_kernel(co, mcl_co_string(first, mine->name));

		/* The same arguments in the same places, or it is not the same kernel. */
		if (k && k->variant_count && k->arg_count == mine->arg_count && k->local_count == mine->local_count)
			err = add_piece(code, i, l, k);
	}
	return err ? mcl_reason(why, err, "out of memory") : 0;
}

/* ---- choosing ---- */

static bool fits(const struct mcl_co_variant *v, const struct mcl_launch *l)
{
	for (int i = 0; i < 3; i++) {
		if (!(v->flags & MCL_CO_ANY_LOCAL_SIZE) && v->local_size[i] != l->local_size[i])
			return false;
		if (v->flags & MCL_CO_ZERO_OFFSET && l->global_offset[i])
			return false;
		if (v->flags & MCL_CO_SMALL_GRID && l->num_groups[i] * l->local_size[i] >= MCL_CO_SMALL_GRID_LIMIT)
			return false;
	}
	return true;
}

static enum mcl_variant kind_of(const struct mcl_co_variant *v)
{
	if (v->flags & MCL_CO_JAMMED)
		return MCL_VARIANT_JAMMED;
	return v->flags & MCL_CO_ZERO_OFFSET ? MCL_VARIANT_SPECIALISED : MCL_VARIANT_GENERIC;
}

/* What is wished for, else the generic one, which fits most launches, else anything. */
static int suits(const struct mcl_co_variant *v, const struct mcl_launch *l)
{
	const enum mcl_variant kind = kind_of(v);

	return kind == l->variant ? 3 : kind == MCL_VARIANT_GENERIC ? 2 : 1;
}

static void consider(const struct mcl_loaded *loaded, const struct mcl_co_kernel *k, const struct mcl_launch *l,
		     int *best, uint64_t *entry)
{
	for (uint32_t i = 0; i < k->variant_count; i++) {
		const struct mcl_co_variant *v = &loaded->co->variants[k->first_variant + i];

		if (fits(v, l) && suits(v, l) > *best) {
			*best = suits(v, l);
			*entry = loaded->image_base[v->image] + v->entry;
		}
	}
}

uint64_t mcl_program_entry(const struct mcl_program_code *code, const struct mcl_launch *l)
{
	const struct mcl_piece *piece =
		atomic_load_explicit(&((struct mcl_program_code *)code)->pieces[l->kernel], memory_order_acquire);
	uint64_t entry = 0;
	int best = 0;

	consider(&code->first, &code->first.co->kernels[l->kernel], l, &best, &entry);
	for (; piece && best < 3; piece = piece->next)
		consider(piece->loaded, piece->kernel, l, &best, &entry);
	return entry;
}
