// SPDX-License-Identifier: MIT
/*
 * Reading POCL's containers; see poclbin.h. The container is a stream of little-endian fields without alignment;
 * strings and files carry a 32-bit length. Every read is bounds-checked: a container of another build of POCL must
 * end in a sentence, not in a crash.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/poclbin.h"

#define MAGIC "poclbin" /* with its terminating zero */
#define BUILD_HASH_SIZE 41 /* SHA-1 in two letters a byte, and a zero */

#define FLAG_GLOBALS (1ull << 1) /* of the program: global_size follows */
#define FLAG_GROUP_META (1u << 1) /* of a kernel */
#define FLAG_SUBGROUP_META (1u << 2)

/* Nothing real comes near; a corrupt count must not become a huge allocation. */
#define MAX_KERNELS 65536
#define MAX_ARGS 4096
#define MAX_FILES 65536

/* A window on the bytes. After the first read past the end, .bad stays set and every read gives zeros. */
struct reader {
	const uint8_t *at, *end;
	bool bad, no_memory;
};

static const uint8_t *take(struct reader *r, uint64_t size)
{
	const uint8_t *at = r->at;

	if (r->bad || size > (uint64_t)(r->end - r->at)) {
		r->bad = true;
		return NULL;
	}
	r->at += size;
	return at;
}

static uint64_t take_number(struct reader *r, unsigned int bytes)
{
	const uint8_t *at = take(r, bytes);
	uint64_t value = 0;

	for (unsigned int i = 0; at && i < bytes; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

static uint32_t take32(struct reader *r)
{
	return (uint32_t)take_number(r, 4);
}

static uint64_t take64(struct reader *r)
{
	return take_number(r, 8);
}

/* A string of the container as a C string of ours. NULL when it is torn, holds a zero, or memory is short. */
static char *take_string(struct reader *r)
{
	uint32_t size = take32(r);
	const uint8_t *at = take(r, size);
	char *copy;

	if (!at || memchr(at, '\0', size)) {
		r->bad = true;
		return NULL;
	}
	copy = strndup((const char *)at, size);
	if (!copy)
		r->bad = r->no_memory = true;
	return copy;
}

/* An array of @count zeroed elements; none is not an error. */
static void *take_array(struct reader *r, uint32_t count, uint32_t max, size_t element)
{
	void *array;

	if (r->bad || count > max) {
		r->bad = true;
		return NULL;
	}
	array = calloc(count ? count : 1, element);
	if (!array)
		r->bad = r->no_memory = true;
	return array;
}

/* The next @size bytes are files, one after the other; appended to @files. */
static void take_files(struct reader *r, uint64_t size, struct poclbin_file **files, uint32_t *count)
{
	const uint8_t *at = take(r, size);
	struct reader part = { .at = at, .end = at ? at + size : NULL, .bad = !at };

	while (!part.bad && part.at < part.end) {
		struct poclbin_file *grown = realloc(*files, (*count + 1) * sizeof(**files));
		struct poclbin_file *file;

		if (!grown || *count == MAX_FILES) {
			*files = grown ? grown : *files;
			part.no_memory = !grown;
			part.bad = true;
			break;
		}
		*files = grown;
		file = &grown[*count];
		file->path = take_string(&part);
		file->size = take32(&part);
		file->bytes = take(&part, file->size);
		*count += 1;
	}
	r->bad |= part.bad;
	r->no_memory |= part.no_memory;
}

static void take_args(struct reader *r, struct poclbin_kernel *k)
{
	k->args = take_array(r, k->arg_count, MAX_ARGS, sizeof(*k->args));
	for (uint32_t i = 0; !r->bad && i < k->arg_count; i++) {
		struct poclbin_arg *arg = &k->args[i];

		arg->access = take32(r);
		arg->address = take32(r);
		arg->type_qualifier = take64(r);
		arg->type = take32(r);
		arg->size = take32(r);
		arg->name = take_string(r);
		arg->type_name = take_string(r);
	}
}

static void take_kernel(struct reader *r, struct poclbin_kernel *k)
{
	const uint8_t *start = r->at;
	uint64_t size = take64(r);
	uint64_t files_size = take64(r);
	uint32_t args_size = take32(r), flags;
	const uint8_t *args_start;
	struct reader part;

	if (r->bad || size < (uint64_t)(r->at - start) || size > (uint64_t)(r->end - start)) {
		r->bad = true;
		return;
	}
	part = (struct reader){ .at = r->at, .end = start + size };

	k->name = take_string(&part);
	k->arg_count = take32(&part);
	k->local_count = take32(&part);
	for (int d = 0; d < 3; d++)
		k->reqd_local_size[d] = take64(&part);
	k->local_sizes = take_array(&part, k->local_count, MAX_ARGS, sizeof(*k->local_sizes));
	for (uint32_t i = 0; !part.bad && i < k->local_count; i++)
		k->local_sizes[i] = take64(&part);
	k->attributes = take_string(&part);
	k->has_arg_info = take32(&part);
	flags = take32(&part);
	if (flags & FLAG_SUBGROUP_META)
		take64(&part); /* maximal and compile-time number of sub-groups */
	if (flags & FLAG_GROUP_META) {
		take32(&part); /* maximal work-group size: the engine has its own */
		k->preferred_multiple = take32(&part);
		k->local_bytes = take32(&part);
		k->private_bytes = take32(&part);
		take32(&part); /* spilled bytes */
	}
	args_start = part.at;
	take_args(&part, k);
	if (!part.bad && (uint64_t)(part.at - args_start) != args_size)
		part.bad = true; /* fields that we do not know of */
	take_files(&part, files_size, &k->files, &k->file_count);
	if (part.at != part.end)
		part.bad = true;
	r->at = part.end;
	r->bad |= part.bad;
	r->no_memory |= part.no_memory;
}

static void free_files(struct poclbin_file *files, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(files[i].path);
	free(files);
}

void poclbin_free(struct poclbin *bin)
{
	for (uint32_t i = 0; bin->kernels && i < bin->kernel_count; i++) {
		struct poclbin_kernel *k = &bin->kernels[i];

		for (uint32_t j = 0; k->args && j < k->arg_count; j++) {
			free(k->args[j].name);
			free(k->args[j].type_name);
		}
		free(k->args);
		free(k->name);
		free(k->attributes);
		free(k->local_sizes);
		free_files(k->files, k->file_count);
	}
	free(bin->kernels);
	free_files(bin->files, bin->file_count);
	memset(bin, 0, sizeof(*bin));
}

int poclbin_parse(const void *bytes, size_t size, struct poclbin *out, struct mcl_reason *why)
{
	struct reader r = { .at = bytes, .end = (const uint8_t *)bytes + size };
	const uint8_t *magic = take(&r, sizeof(MAGIC));
	uint32_t version, roots, kernels;
	uint64_t flags;

	memset(out, 0, sizeof(*out));
	if (!magic || memcmp(magic, MAGIC, sizeof(MAGIC)) != 0)
		return mcl_reason(why, -EBADMSG, "POCL's program binary is not a poclbin container");
	take64(&r); /* hash of the device */
	version = take32(&r);
	if (!r.bad && version != MCL_POCLBIN_VERSION)
		return mcl_reason(why, -EPROTO,
				  "POCL's program binary has container version %u, and MirrorCL knows only version %u",
				  version, MCL_POCLBIN_VERSION);
	kernels = take32(&r);
	flags = take64(&r);
	roots = take32(&r);
	take(&r, BUILD_HASH_SIZE);
	if (flags & FLAG_GLOBALS)
		out->global_size = take64(&r);
	for (uint32_t i = 0; !r.bad && i < roots; i++) {
		uint64_t files_size = take64(&r);

		take_files(&r, files_size, &out->files, &out->file_count);
	}
	out->kernels = take_array(&r, kernels, MAX_KERNELS, sizeof(*out->kernels));
	if (out->kernels)
		out->kernel_count = kernels;
	for (uint32_t i = 0; !r.bad && i < kernels; i++)
		take_kernel(&r, &out->kernels[i]);
	if (!r.bad && r.at == r.end)
		return 0;
	poclbin_free(out);
	if (r.no_memory)
		return mcl_reason(why, -ENOMEM, "no memory for POCL's program binary");
	return mcl_reason(why, -EBADMSG, "POCL's program binary is torn or has an unknown layout");
}
