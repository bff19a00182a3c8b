// SPDX-License-Identifier: MIT
/*
 * Reading code objects; see code_object.h for the format. Everything is checked once, here, so that the loader and
 * the runtime may follow indices without looking. Does not write code objects (code_object_writer.c) and loads no
 * code (engine/).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/code_object.h"
#include "compiler/digest.h"
#include "compiler/target.h"

#define PAGE 4096u
/* No real program comes near; beyond it a corrupt or hostile file would only exhaust memory. */
#define MAX_IMAGE_SIZE (1ull << 30)
#define MAX_SEGMENTS 64
#define MAX_LOCAL_BYTES (1ull << 30)

static int corrupt(struct mcl_reason *why, const char *what)
{
	return mcl_reason(why, -EBADMSG, "the code object is corrupt: %s", what);
}

/* Whether [offset, offset + size) lies in [0, limit). */
static bool inside(uint64_t offset, uint64_t size, uint64_t limit)
{
	return offset <= limit && size <= limit - offset;
}

static bool table_ok(const struct mcl_code_object *co, const struct mcl_co_table *table, size_t entry)
{
	return table->reserved == 0 && table->offset % 8 == 0 && table->offset >= sizeof(struct mcl_co_header) &&
	       inside(table->offset, (uint64_t)table->count * entry, co->size);
}

static bool string_ok(const struct mcl_code_object *co, uint32_t offset)
{
	return offset < co->header->strings_size; /* the area ends with a NUL */
}

static int check_header(const struct mcl_code_object *co, struct mcl_reason *why)
{
	const struct mcl_co_header *h = co->header;
	struct mcl_digest digest;
	uint8_t sum[MCL_DIGEST_SIZE];

	if (co->size < sizeof(h->magic) || memcmp(h->magic, MCL_CO_MAGIC, sizeof(h->magic)) != 0)
		return mcl_reason(why, -EBADMSG, "this is not a MirrorCL code object");
	/*
	 * The version comes second in every format there will be, so that it can be told before anything else is
	 * believed.
	 */
	if (co->size < offsetof(struct mcl_co_header, size))
		return corrupt(why, "it ends inside its header");
	if (h->version != MCL_CO_VERSION)
		return mcl_reason(
			why, -EPROTO,
			"the code object has format version %u, and this MirrorCL knows only version %u: build "
			"the program from source again",
			h->version, MCL_CO_VERSION);
	if (h->abi != MCL_CO_ABI_POCL_6_0)
		return mcl_reason(
			why, -EPROTO,
			"the code object's work-group functions have calling convention %u, and this MirrorCL "
			"knows only %u (POCL 6.0): build the program from source again",
			h->abi, MCL_CO_ABI_POCL_6_0);
	if (co->size < sizeof(*h))
		return corrupt(why, "it ends inside its header");
	if (h->size != co->size)
		return corrupt(why, "its size is not the one it was written with");
	mcl_digest_begin(&digest);
	mcl_digest_bytes(&digest, co->bytes + sizeof(*h), co->size - sizeof(*h));
	mcl_digest_end(&digest, sum);
	if (memcmp(sum, h->digest, sizeof(sum)) != 0)
		return corrupt(why, "its digest does not match");
	return 0;
}

static int check_tables(struct mcl_code_object *co, struct mcl_reason *why)
{
	const struct mcl_co_header *h = co->header;

	if (!table_ok(co, &h->kernels, sizeof(struct mcl_co_kernel)) ||
	    !table_ok(co, &h->variants, sizeof(struct mcl_co_variant)) ||
	    !table_ok(co, &h->args, sizeof(struct mcl_co_arg)) || !table_ok(co, &h->locals, sizeof(uint64_t)) ||
	    !table_ok(co, &h->images, sizeof(struct mcl_co_image)) ||
	    !table_ok(co, &h->segments, sizeof(struct mcl_co_segment)) ||
	    !table_ok(co, &h->relocs, sizeof(struct mcl_co_reloc)))
		return corrupt(why, "a table lies outside the file");
	if (h->kernels.count > MCL_CO_MAX_KERNELS)
		return corrupt(why, "it has too many kernels");
	if (!inside(h->data_offset, h->data_size, co->size))
		return corrupt(why, "its code lies outside the file");
	if (h->strings_size == 0 || !inside(h->strings_offset, h->strings_size, co->size) ||
	    co->bytes[h->strings_offset + h->strings_size - 1] != '\0')
		return corrupt(why, "its strings lie outside the file");
	if (!string_ok(co, h->target) || !string_ok(co, h->producer) || !string_ok(co, h->options))
		return corrupt(why, "a string of the header is out of bounds");
	if (h->global_init == UINT32_MAX ? h->global_size != 0 : h->global_init >= h->variants.count)
		return corrupt(why, "the initialiser of its program-scope variables is missing");
	if (h->global_size > MAX_IMAGE_SIZE)
		return corrupt(why, "its program-scope variables are too large");

	co->kernels = (const void *)(co->bytes + h->kernels.offset);
	co->variants = (const void *)(co->bytes + h->variants.offset);
	co->args = (const void *)(co->bytes + h->args.offset);
	co->locals = (const void *)(co->bytes + h->locals.offset);
	co->images = (const void *)(co->bytes + h->images.offset);
	co->segments = (const void *)(co->bytes + h->segments.offset);
	co->relocs = (const void *)(co->bytes + h->relocs.offset);
	co->strings = (const char *)(co->bytes + h->strings_offset);
	co->data = co->bytes + h->data_offset;
	return 0;
}

static int check_segments(const struct mcl_code_object *co, const struct mcl_co_image *image, struct mcl_reason *why)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct mcl_co_segment *s = &co->segments[image->first_segment + i];

		if (s->mem_offset % PAGE != 0 || s->mem_size == 0 ||
		    !inside(s->mem_offset, s->mem_size, image->mem_size))
			return corrupt(why, "a segment lies outside its image");
		if (s->mem_offset < end)
			return corrupt(why, "two segments of an image share a page");
		if (s->data_size > s->mem_size || !inside(s->data_offset, s->data_size, co->header->data_size))
			return corrupt(why, "the bytes of a segment lie outside the file");
		if ((s->prot & ~(uint32_t)(MCL_CO_READ | MCL_CO_WRITE | MCL_CO_EXEC)) || s->reserved)
			return corrupt(why, "a segment has unknown flags");
		if ((s->prot & MCL_CO_WRITE) && (s->prot & MCL_CO_EXEC))
			return corrupt(why, "a segment is writable and executable");
		/* No overflow: the sizes are below MAX_IMAGE_SIZE. */
		end = (s->mem_offset + s->mem_size + PAGE - 1) / PAGE * PAGE;
	}
	return 0;
}

/* The segment of @image that holds all of [offset, offset + size), or NULL. */
static const struct mcl_co_segment *segment_of(const struct mcl_code_object *co, const struct mcl_co_image *image,
					       uint64_t offset, uint64_t size)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct mcl_co_segment *s = &co->segments[image->first_segment + i];

		if (offset >= s->mem_offset && inside(offset - s->mem_offset, size, s->mem_size))
			return s;
	}
	return NULL;
}

static int check_images(const struct mcl_code_object *co, struct mcl_reason *why)
{
	const struct mcl_co_header *h = co->header;

	for (uint32_t i = 0; i < h->images.count; i++) {
		const struct mcl_co_image *image = &co->images[i];
		int err;

		if (image->mem_size == 0 || image->mem_size % PAGE != 0 || image->mem_size > MAX_IMAGE_SIZE)
			return corrupt(why, "an image has an impossible size");
		if (!inside(image->first_segment, image->segment_count, h->segments.count) ||
		    image->segment_count > MAX_SEGMENTS ||
		    !inside(image->first_reloc, image->reloc_count, h->relocs.count))
			return corrupt(why, "an image's segments or relocations are out of bounds");
		err = check_segments(co, image, why);
		if (err)
			return err;
		for (uint32_t j = 0; j < image->reloc_count; j++) {
			const struct mcl_co_reloc *r = &co->relocs[image->first_reloc + j];

			if (r->symbol >= MCL_CO_SYM_COUNT || r->reserved)
				return corrupt(why, "a relocation names an unknown symbol");
			if (!segment_of(co, image, r->where, sizeof(uint64_t)))
				return corrupt(why, "a relocation lies outside its image");
		}
	}
	return 0;
}

static int check_variants(const struct mcl_code_object *co, struct mcl_reason *why)
{
	const uint32_t known = MCL_CO_ANY_LOCAL_SIZE | MCL_CO_ZERO_OFFSET | MCL_CO_SMALL_GRID | MCL_CO_JAMMED;

	for (uint32_t i = 0; i < co->header->variants.count; i++) {
		const struct mcl_co_variant *v = &co->variants[i];
		const struct mcl_co_segment *s;
		bool any = v->flags & MCL_CO_ANY_LOCAL_SIZE;

		if (v->image >= co->header->images.count || (v->flags & ~known) || v->reserved)
			return corrupt(why, "a variant is out of bounds");
		for (int d = 0; d < 3; d++)
			if (any != (v->local_size[d] == 0))
				return corrupt(why, "a variant's local size contradicts its flags");
		s = segment_of(co, &co->images[v->image], v->entry, 1);
		if (!s || !(s->prot & MCL_CO_EXEC))
			return corrupt(why, "the entry of a variant is not in executable code");
	}
	return 0;
}

static int check_kernels(const struct mcl_code_object *co, struct mcl_reason *why)
{
	const struct mcl_co_header *h = co->header;

	for (uint32_t i = 0; i < h->kernels.count; i++) {
		const struct mcl_co_kernel *k = &co->kernels[i];

		if (!string_ok(co, k->name) || !string_ok(co, k->attributes) || !string_ok(co, k->vec_hint) ||
		    !mcl_co_string(co, k->name)[0])
			return corrupt(why, "a string of a kernel is out of bounds");
		if (k->arg_count > MCL_CO_MAX_ARGS || !inside(k->first_arg, k->arg_count, h->args.count) ||
		    k->local_count > MCL_CO_MAX_ARGS || !inside(k->first_local, k->local_count, h->locals.count))
			return corrupt(why, "a kernel's arguments are out of bounds");
		if (!inside(k->first_variant, k->variant_count, h->variants.count))
			return corrupt(why, "a kernel's code is out of bounds");
		if ((k->reqd_local_size[0] == 0) != (k->reqd_local_size[1] == 0) ||
		    (k->reqd_local_size[0] == 0) != (k->reqd_local_size[2] == 0))
			return corrupt(why, "a kernel's required work-group size has a zero in it");
	}
	for (uint32_t i = 0; i < h->args.count; i++) {
		const struct mcl_co_arg *a = &co->args[i];

		if (!string_ok(co, a->name) || !string_ok(co, a->type_name))
			return corrupt(why, "a string of an argument is out of bounds");
		if (a->kind > MCL_CO_ARG_SAMPLER || a->size > 65536 || (a->kind == MCL_CO_ARG_POINTER && a->size != 8))
			return corrupt(why, "an argument is of an unknown kind or size");
	}
	for (uint32_t i = 0; i < h->locals.count; i++)
		if (co->locals[i] > MAX_LOCAL_BYTES)
			return corrupt(why, "a local variable is impossibly large");
	return 0;
}

/* Check what @co->bytes says and set its pointers. */
static int check(struct mcl_code_object *co, struct mcl_reason *why)
{
	int err;

	co->header = (const struct mcl_co_header *)co->bytes;
	err = check_header(co, why);
	if (!err)
		err = check_tables(co, why);
	if (!err)
		err = check_images(co, why);
	if (!err)
		err = check_variants(co, why);
	if (!err)
		err = check_kernels(co, why);
	if (err)
		return err;
	if (!mcl_target_runs_here(mcl_co_string(co, co->header->target)))
		return mcl_reason(why, -ENOEXEC,
				  "the code object was compiled for a processor with other instructions (%.100s) than "
				  "this one has: build the program from source again",
				  mcl_co_string(co, co->header->target));
	return 0;
}

/*
 * Wrap @size bytes of the heap, at least a header's worth allocated; they are freed with the code object, or here on
 * failure.
 */
static int wrap(void *bytes, size_t size, struct mcl_code_object **out, struct mcl_reason *why)
{
	struct mcl_code_object *co = calloc(1, sizeof(*co));
	int err;

	if (!co) {
		free(bytes);
		return mcl_reason(why, -ENOMEM, "no memory for a code object");
	}
	co->bytes = bytes;
	co->size = size;
	atomic_init(&co->refs, 1);
	err = check(co, why);
	if (err) {
		mcl_code_object_put(co);
		return err;
	}
	*out = co;
	return 0;
}

/* Room for @size bytes and never less than a header, so that its first fields may be looked at. */
static void *allocate(size_t size)
{
	return calloc(1, size > sizeof(struct mcl_co_header) ? size : sizeof(struct mcl_co_header));
}

int mcl_code_object_parse(const void *bytes, size_t size, struct mcl_code_object **out, struct mcl_reason *why)
{
	void *copy = allocate(size);

	*out = NULL;
	if (!copy)
		return mcl_reason(why, -ENOMEM, "no memory for a code object of %zu bytes", size);
	if (size)
		memcpy(copy, bytes, size);
	return wrap(copy, size, out, why);
}

int mcl_code_object_open(const char *path, struct mcl_code_object **out, struct mcl_reason *why)
{
	uint8_t *bytes = NULL;
	size_t size, got = 0;
	struct stat st;
	int fd, err;

	*out = NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return mcl_reason(why, -errno, "cannot open %.200s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0) {
		err = mcl_reason(why, -errno, "cannot look at %.200s: %s", path, strerror(errno));
		goto err_close;
	}
	if (!S_ISREG(st.st_mode)) {
		err = mcl_reason(why, -EBADMSG, "%.200s is not a MirrorCL code object", path);
		goto err_close;
	}
	size = (size_t)st.st_size;
	bytes = allocate(size);
	if (!bytes) {
		err = mcl_reason(why, -ENOMEM, "no memory for a code object of %zu bytes", size);
		goto err_close;
	}
	while (got < size) {
		ssize_t n = read(fd, bytes + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err = mcl_reason(why, -errno, "cannot read %.200s: %s", path, strerror(errno));
			goto err_free;
		}
		if (n == 0)
			break; /* shorter than it was a moment ago: its header will say so */
		got += (size_t)n;
	}
	close(fd);
	return wrap(bytes, got, out, why);

err_free:
	free(bytes);
err_close:
	close(fd);
	return err;
}

struct mcl_code_object *mcl_code_object_get(struct mcl_code_object *co)
{
	atomic_fetch_add_explicit(&co->refs, 1, memory_order_relaxed);
	return co;
}

void mcl_code_object_put(struct mcl_code_object *co)
{
	if (!co || atomic_fetch_sub_explicit(&co->refs, 1, memory_order_acq_rel) != 1)
		return;
	free((void *)co->bytes);
	free(co);
}

bool mcl_co_whole(const struct mcl_code_object *co)
{
	for (uint32_t i = 0; i < co->header->kernels.count; i++)
		if (co->kernels[i].variant_count == 0)
			return false;
	return true;
}

const struct mcl_co_kernel *mcl_co_find_kernel(const struct mcl_code_object *co, const char *name)
{
	for (uint32_t i = 0; i < co->header->kernels.count; i++)
		if (strcmp(mcl_co_string(co, co->kernels[i].name), name) == 0)
			return &co->kernels[i];
	return NULL;
}
