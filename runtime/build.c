// SPDX-License-Identifier: MIT
/* Builds: source, compiled code and its place in the engine; see program.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/program.h"
#include "runtime/variant.h"

static void free_strings(char **strings, uint32_t count)
{
	for (uint32_t i = 0; strings && i < count; i++)
		free(strings[i]);
	free(strings);
}

static char **copy_strings(const char *const *strings, uint32_t count)
{
	char **copy = calloc(count + (size_t)1, sizeof(*copy));

	for (uint32_t i = 0; copy && i < count; i++) {
		copy[i] = strdup(strings[i]);
		if (!copy[i]) {
			free_strings(copy, i);
			return NULL;
		}
	}
	return copy;
}

static void free_source(struct mcl_source *source)
{
	mcl_session_free(source->session);
	free_strings(source->header_names, source->header_count);
	free_strings(source->header_texts, source->header_count);
	free(source->options);
	free(source->text);
	free(source);
}

struct mcl_source *mcl_source_create(const char *text, size_t size, const char *options, uint32_t header_count,
				     const char *const *header_names, const char *const *header_texts)
{
	struct mcl_source *source = calloc(1, sizeof(*source));

	if (!source)
		return NULL;
	atomic_init(&source->refs, 1);
	source->size = size;
	source->header_count = header_count;
	source->session = mcl_session_create();
	source->text = malloc(size + 1);
	source->options = strdup(options ? options : "");
	source->header_names = copy_strings(header_names, header_count);
	source->header_texts = copy_strings(header_texts, header_count);
	if (!source->session || !source->text || !source->options || !source->header_names || !source->header_texts) {
		free_source(source);
		return NULL;
	}
	memcpy(source->text, text, size);
	source->text[size] = '\0';
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
	*req = (struct mcl_compile_request){
		.session = source->session,
		.source = source->text,
		.source_size = source->size,
		.options = source->options,
		.header_count = source->header_count,
		.header_names = (const char *const *)source->header_names,
		.header_sources = (const char *const *)source->header_texts,
	};
}

int mcl_build_compile(struct mcl_source *source, struct mcl_code_object **co, char **log, struct mcl_reason *why)
{
	struct mcl_compile_request req;

	mcl_source_request(source, &req);
	req.part = MCL_COMPILE_DESCRIPTION;
	return mcl_compile(&req, co, log, why);
}

int mcl_build_whole(struct mcl_code_object *co, const struct mcl_source *source, struct mcl_code_object **out,
		    struct mcl_reason *why)
{
	struct mcl_compile_request req;

	if (!source || mcl_co_whole(co)) {
		*out = mcl_code_object_get(co);
		return 0;
	}
	mcl_source_request(source, &req);
	return mcl_compile(&req, out, NULL, why);
}

int mcl_build_create(cl_context context, struct mcl_code_object *co, struct mcl_source *source, struct mcl_build **out,
		     struct mcl_reason *why)
{
	struct mcl_build *build = calloc(1, sizeof(*build));
	int err;

	if (!build)
		return mcl_reason(why, -ENOMEM, "no memory for a build");
	atomic_init(&build->refs, 1);
	err = mcl_program_load(context->backend, co, &build->code, why);
	if (err) {
		free(build);
		return err;
	}
	build->co = mcl_code_object_get(co);
	if (source) {
		build->source = mcl_source_get(source);
		build->variants = mcl_variants_create(build, source);
		if (!build->variants) {
			mcl_build_put(build);
			return mcl_reason(why, -ENOMEM, "no memory for a build");
		}
	}
	*out = build;
	return 0;
}

struct mcl_build *mcl_build_get(struct mcl_build *build)
{
	atomic_fetch_add_explicit(&build->refs, 1, memory_order_relaxed);
	return build;
}

void mcl_build_put(struct mcl_build *build)
{
	if (!build || atomic_fetch_sub_explicit(&build->refs, 1, memory_order_acq_rel) != 1)
		return;
	mcl_variants_detach(build->variants);
	mcl_program_unload(build->code);
	mcl_code_object_put(build->co);
	mcl_source_put(build->source);
	free(build);
}

int mcl_build_prepare(struct mcl_build *build, struct mcl_launch *launch, struct mcl_variant_use *use,
		      struct mcl_reason *why)
{
	if (build->variants)
		return mcl_variants_prepare(build->variants, launch, use, why);
	/* What was put into a binary beside the generic function was wanted. */
	launch->variant = MCL_VARIANT_SPECIALISED;
	use->shape = NULL;
	return 0;
}
