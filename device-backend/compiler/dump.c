// SPDX-License-Identifier: MIT
/* Printing code objects; see dump.h. */
#include <CL/cl.h>
#include <inttypes.h>

#include "compiler/dump.h"

static const char *kind_name(const struct mcl_co_arg *arg)
{
	switch (arg->kind) {
	case MCL_CO_ARG_POINTER:
		return arg->address == CL_KERNEL_ARG_ADDRESS_CONSTANT ? "__constant" : "__global";
	case MCL_CO_ARG_LOCAL:
		return "__local";
	case MCL_CO_ARG_IMAGE:
		return "image";
	case MCL_CO_ARG_SAMPLER:
		return "sampler";
	default:
		return "value";
	}
}

static void dump_variant(const struct mcl_code_object *co, const struct mcl_co_variant *v, FILE *out)
{
	const struct mcl_co_image *image = &co->images[v->image];

	if (v->flags & MCL_CO_ANY_LOCAL_SIZE)
		fprintf(out, "any local size");
	else
		fprintf(out, "local size %u,%u,%u", v->local_size[0], v->local_size[1], v->local_size[2]);
	if (v->flags & MCL_CO_ZERO_OFFSET)
		fprintf(out, ", no global offset");
	if (v->flags & MCL_CO_SMALL_GRID)
		fprintf(out, ", fewer than %d work-items in each dimension", MCL_CO_SMALL_GRID_LIMIT);
	if (v->flags & MCL_CO_JAMMED)
		fputs(", work-items share inner loops", out);
	fprintf(out, ": image %u at 0x%" PRIx64 ", %" PRIu64 " KiB, %u relocations\n", v->image, v->entry,
		image->mem_size / 1024, image->reloc_count);
}

static void dump_kernel(const struct mcl_code_object *co, const struct mcl_co_kernel *k, FILE *out)
{
	fprintf(out, "kernel %s\n", mcl_co_string(co, k->name));
	if (mcl_co_string(co, k->attributes)[0])
		fprintf(out, "    attributes %s\n", mcl_co_string(co, k->attributes));
	fprintf(out, "    local memory %" PRIu64 " bytes in %u variables, private memory %" PRIu64 " bytes\n",
		k->local_bytes, k->local_count, k->private_bytes);
	if (k->flags & MCL_CO_ANY_ORDER)
		fputs("    work-groups in any order\n", out);
	for (uint32_t i = 0; i < k->arg_count; i++) {
		const struct mcl_co_arg *arg = &co->args[k->first_arg + i];

		fprintf(out, "    argument %u: %s, %u bytes", i, kind_name(arg), arg->size);
		if (mcl_co_string(co, arg->type_name)[0])
			fprintf(out, ", %s %s", mcl_co_string(co, arg->type_name), mcl_co_string(co, arg->name));
		fputc('\n', out);
	}
	for (uint32_t i = 0; i < k->variant_count; i++) {
		fprintf(out, "    variant %u: ", i);
		dump_variant(co, &co->variants[k->first_variant + i], out);
	}
}

void mcl_code_object_dump(const struct mcl_code_object *co, FILE *out)
{
	const struct mcl_co_header *h = co->header;

	fprintf(out, "code object, format %u, calling convention %u, %" PRIu64 " bytes\n", h->version, h->abi, h->size);
	fprintf(out, "producer %s\n", mcl_co_string(co, h->producer));
	fprintf(out, "target %s\n", mcl_co_string(co, h->target));
	fprintf(out, "options %s\n", mcl_co_string(co, h->options));
	if (h->global_size) {
		fprintf(out, "program-scope variables %" PRIu64 " bytes, initialiser ", h->global_size);
		dump_variant(co, &co->variants[h->global_init], out);
	}
	for (uint32_t i = 0; i < h->kernels.count; i++)
		dump_kernel(co, &co->kernels[i], out);
}
