// SPDX-License-Identifier: MIT
/* Reading and writing bundles of sources; see source_bundle.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/digest.h"
#include "compiler/source_bundle.h"

/* A string takes this much besides its bytes. */
#define STRING_OVERHEAD (sizeof(uint64_t) + 1)

static int corrupt(struct mcl_reason *why, const char *what)
{
	return mcl_reason(why, -EBADMSG, "the compiled program is corrupt: %s", what);
}

bool mcl_bundle_is(const void *bytes, size_t size)
{
	return size >= sizeof(MCL_BUNDLE_MAGIC) && memcmp(bytes, MCL_BUNDLE_MAGIC, sizeof(MCL_BUNDLE_MAGIC)) == 0;
}

static void make_digest(const uint8_t *bytes, size_t size, uint8_t out[MCL_DIGEST_SIZE])
{
	struct mcl_digest digest;

	mcl_digest_begin(&digest);
	mcl_digest_bytes(&digest, bytes + sizeof(struct mcl_bundle_header), size - sizeof(struct mcl_bundle_header));
	mcl_digest_end(&digest, out);
}

/* ---- writing ---- */

static const char *options_of(const struct mcl_compile_unit *unit)
{
	return unit->options ? unit->options : "";
}

static size_t size_of_unit(const struct mcl_compile_unit *unit)
{
	size_t size =
		sizeof(struct mcl_bundle_unit) + unit->source_size + strlen(options_of(unit)) + 2 * STRING_OVERHEAD;

	for (uint32_t i = 0; i < unit->header_count; i++)
		size += strlen(unit->header_names[i]) + strlen(unit->header_sources[i]) + 2 * STRING_OVERHEAD;
	return size;
}

static uint8_t *put_string(uint8_t *at, const char *text, size_t size)
{
	const uint64_t stored = size;

	memcpy(at, &stored, sizeof(stored));
	at += sizeof(stored);
	memcpy(at, text, size);
	at[size] = '\0';
	return at + size + 1;
}

static uint8_t *put_unit(uint8_t *at, const struct mcl_compile_unit *unit)
{
	const struct mcl_bundle_unit head = { .header_count = unit->header_count };

	memcpy(at, &head, sizeof(head));
	at = put_string(at + sizeof(head), unit->source, unit->source_size);
	at = put_string(at, options_of(unit), strlen(options_of(unit)));
	for (uint32_t i = 0; i < unit->header_count; i++) {
		at = put_string(at, unit->header_names[i], strlen(unit->header_names[i]));
		at = put_string(at, unit->header_sources[i], strlen(unit->header_sources[i]));
	}
	return at;
}

int mcl_bundle_write(const struct mcl_compile_unit *units, uint32_t count, enum mcl_bundle_kind kind, uint8_t **bytes,
		     size_t *size)
{
	struct mcl_bundle_header header = {
		.magic = MCL_BUNDLE_MAGIC,
		.version = MCL_BUNDLE_VERSION,
		.kind = kind,
		.size = sizeof(header),
		.unit_count = count,
	};
	uint8_t *at;

	for (uint32_t i = 0; i < count; i++)
		header.size += size_of_unit(&units[i]);
	*bytes = malloc(header.size);
	if (!*bytes)
		return -ENOMEM;
	*size = header.size;
	at = *bytes + sizeof(header);
	for (uint32_t i = 0; i < count; i++)
		at = put_unit(at, &units[i]);
	make_digest(*bytes, *size, header.digest);
	memcpy(*bytes, &header, sizeof(header));
	return 0;
}

/* ---- reading ---- */

/* What is left to be read. */
struct reader {
	const uint8_t *at, *end;
};

static bool take(struct reader *r, void *out, size_t size)
{
	if ((size_t)(r->end - r->at) < size)
		return false;
	memcpy(out, r->at, size);
	r->at += size;
	return true;
}

/* The next string, in its place. @size NULL: it has no zero bytes in it. */
static bool take_string(struct reader *r, const char **out, size_t *size)
{
	uint64_t length;

	if (!take(r, &length, sizeof(length)) || (uint64_t)(r->end - r->at) <= length || r->at[length] != '\0')
		return false;
	*out = (const char *)r->at;
	r->at += length + 1;
	if (size)
		*size = length;
	return size || strlen(*out) == length;
}

static void free_unit(struct mcl_compile_unit *unit)
{
	free((void *)unit->header_names);
	free((void *)unit->header_sources);
}

/* -EBADMSG, -ENOMEM */
static int take_unit(struct reader *r, struct mcl_compile_unit *unit)
{
	struct mcl_bundle_unit head;
	const char **names, **texts;

	if (!take(r, &head, sizeof(head)) || head.reserved || !take_string(r, &unit->source, &unit->source_size) ||
	    !take_string(r, &unit->options, NULL) ||
	    head.header_count > (size_t)(r->end - r->at) / (2 * STRING_OVERHEAD))
		return -EBADMSG;
	unit->header_names = names = calloc(head.header_count + (size_t)1, sizeof(*names));
	unit->header_sources = texts = calloc(head.header_count + (size_t)1, sizeof(*texts));
	if (!names || !texts)
		return -ENOMEM;
	unit->header_count = head.header_count;
	for (uint32_t i = 0; i < head.header_count; i++)
		if (!take_string(r, &names[i], NULL) || !take_string(r, &texts[i], NULL))
			return -EBADMSG;
	return 0;
}

static int check_header(const void *bytes, size_t size, struct mcl_bundle_header *header, struct mcl_reason *why)
{
	uint8_t digest[MCL_DIGEST_SIZE];

	if (!mcl_bundle_is(bytes, size))
		return mcl_reason(why, -EBADMSG, "this is not a compiled program of MirrorCL's");
	if (size < sizeof(*header))
		return corrupt(why, "it ends inside its header");
	memcpy(header, bytes, sizeof(*header));
	if (header->version != MCL_BUNDLE_VERSION)
		return mcl_reason(why, -EPROTO,
				  "the compiled program has format version %u, and this MirrorCL knows only version %u",
				  header->version, MCL_BUNDLE_VERSION);
	if (header->size != size)
		return corrupt(why, "its size is not the one it was written with");
	make_digest(bytes, size, digest);
	if (memcmp(digest, header->digest, sizeof(digest)) != 0)
		return corrupt(why, "its digest does not match");
	if (header->kind > MCL_BUNDLE_LIBRARY || header->reserved || !header->unit_count ||
	    header->unit_count > size / sizeof(struct mcl_bundle_unit))
		return corrupt(why, "its header makes no sense");
	return 0;
}

int mcl_bundle_parse(const void *bytes, size_t size, struct mcl_bundle *out, struct mcl_reason *why)
{
	struct mcl_bundle_header header;
	struct reader r;
	int err = check_header(bytes, size, &header, why);

	*out = (struct mcl_bundle){ 0 };
	if (err)
		return err;
	out->kind = header.kind;
	out->size = size;
	out->bytes = malloc(size);
	out->units = calloc(header.unit_count, sizeof(*out->units));
	if (!out->bytes || !out->units) {
		mcl_bundle_free(out);
		return mcl_reason(why, -ENOMEM, "no memory for a compiled program");
	}
	memcpy(out->bytes, bytes, size);
	r = (struct reader){ .at = out->bytes + sizeof(header), .end = out->bytes + size };
	for (; !err && out->unit_count < header.unit_count; out->unit_count++)
		err = take_unit(&r, &out->units[out->unit_count]);
	if (err == -ENOMEM)
		mcl_reason(why, err, "no memory for a compiled program");
	else if (err || r.at != r.end)
		err = corrupt(why, "its strings do not fill it");
	if (err)
		mcl_bundle_free(out);
	return err;
}

void mcl_bundle_free(struct mcl_bundle *bundle)
{
	for (uint32_t i = 0; i < bundle->unit_count; i++)
		free_unit(&bundle->units[i]);
	free(bundle->units);
	free(bundle->bytes);
	*bundle = (struct mcl_bundle){ 0 };
}
