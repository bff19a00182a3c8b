// SPDX-License-Identifier: MIT
/* Builds: compiled code and its place in the engine; see program.h. */
#include <errno.h>
#include <stdlib.h>

#include "runtime/program.h"
#include "runtime/variant.h"

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
