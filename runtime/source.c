// SPDX-License-Identifier: MIT
/* Sources; see source.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/headers.h"
#include "runtime/source.h"

static void free_source(struct mcl_source *source)
{
	mcl_session_free(source->session);
	mcl_bundle_free(&source->bundle);
	free(source);
}

int mcl_source_parse(const void *bytes, size_t size, struct mcl_source **out, struct mcl_reason *why)
{
	struct mcl_source *source = calloc(1, sizeof(*source));
	int err;

	if (!source)
		return mcl_reason(why, -ENOMEM, "no memory for a compiled program");
	atomic_init(&source->refs, 1);
	err = mcl_bundle_parse(bytes, size, &source->bundle, why);
	if (err)
		goto err_free;
	source->session = mcl_session_create();
	if (!source->session) {
		err = mcl_reason(why, -ENOMEM, "no memory for a compiled program");
		goto err_free;
	}
	*out = source;
	return 0;
err_free:
	free_source(source);
	return err;
}

struct mcl_source *mcl_source_create(const struct mcl_compile_unit *units, uint32_t count, enum mcl_bundle_kind kind)
{
	struct mcl_source *source = NULL;
	uint8_t *bytes;
	size_t size;

	if (mcl_bundle_write(units, count, kind, &bytes, &size))
		return NULL;
	if (mcl_source_parse(bytes, size, &source, NULL))
		source = NULL;
	free(bytes);
	return source;
}

struct mcl_source *mcl_source_link(struct mcl_source *const *sources, uint32_t count, enum mcl_bundle_kind kind)
{
	struct mcl_compile_unit *units;
	struct mcl_source *source;
	uint32_t total = 0;

	/* The compiler that has read it already can go on with it. */
	if (count == 1 && sources[0]->bundle.kind == kind)
		return mcl_source_get(sources[0]);
	for (uint32_t i = 0; i < count; i++)
		total += sources[i]->bundle.unit_count;
	units = calloc(total, sizeof(*units));
	if (!units)
		return NULL;
	total = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct mcl_bundle *from = &sources[i]->bundle;

		memcpy(&units[total], from->units, from->unit_count * sizeof(*units));
		total += from->unit_count;
	}
	source = mcl_source_create(units, total, kind);
	free(units);
	return source;
}

/* The compiler that has read @from has read @to. */
static void hand_over(struct mcl_source *from, struct mcl_source *to)
{
	struct mcl_session *session = from->session;

	from->session = to->session;
	to->session = session;
}

struct mcl_source *mcl_source_with_headers(struct mcl_source *source)
{
	struct mcl_compile_unit unit = source->bundle.units[0];
	struct mcl_source *whole;
	struct mcl_headers headers;
	int err = mcl_headers_collect(&unit, &headers);

	if (err == -ENOMEM) {
		source = NULL;
	} else if (err || headers.count == unit.header_count) {
		source = mcl_source_get(source);
	} else {
		unit.header_count = headers.count;
		unit.header_names = (const char *const *)headers.names;
		unit.header_sources = (const char *const *)headers.texts;
		whole = mcl_source_create(&unit, 1, source->bundle.kind);
		if (whole)
			hand_over(source, whole);
		source = whole;
	}
	mcl_headers_free(&headers);
	return source;
}

struct mcl_source *mcl_source_get(struct mcl_source *source)
{
	atomic_fetch_add_explicit(&source->refs, 1, memory_order_relaxed);
	return source;
}

void mcl_source_put(struct mcl_source *source)
{
	if (source && atomic_fetch_sub_explicit(&source->refs, 1, memory_order_acq_rel) == 1)
		free_source(source);
}

void mcl_source_request(const struct mcl_source *source, struct mcl_compile_request *req)
{
	const struct mcl_compile_unit *first = source->bundle.units;

	*req = (struct mcl_compile_request){
		.session = source->session,
		.source = first->source,
		.source_size = first->source_size,
		.options = first->options,
		.header_count = first->header_count,
		.header_names = first->header_names,
		.header_sources = first->header_sources,
		.more_count = source->bundle.unit_count - 1,
		.more = first + 1,
	};
}

int mcl_source_check(const struct mcl_source *source, char **log, struct mcl_reason *why)
{
	struct mcl_compile_request req;
	struct mcl_code_object *co;
	int err;

	mcl_source_request(source, &req);
	req.part = MCL_COMPILE_CHECK;
	err = mcl_compile(&req, &co, log, why);
	if (!err)
		mcl_code_object_put(co);
	return err;
}
