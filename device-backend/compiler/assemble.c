// SPDX-License-Identifier: MIT
/* Code objects from POCL's output; see assemble.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/assemble.h"
#include "compiler/elf_image.h"
#include "compiler/placeholder.h"
#include "compiler/pocl.h"

#define GLOBALS_KERNEL "pocl.gvar.init"

/*
 * Whether @path is "/<kernel>/<variant>/<file>.so"; then *@variant points at the variant's name in it. POCL shortens
 * long kernel names in paths, so only the form is looked at.
 */
static bool is_object(const char *path, const char **variant)
{
	const char *first = strchr(path, '/'), *second = first ? strchr(first + 1, '/') : NULL;
	const char *third = second ? strchr(second + 1, '/') : NULL;
	size_t length = strlen(path);

	if (!third || strchr(third + 1, '/') || length < 3 || strcmp(path + length - 3, ".so") != 0)
		return false;
	*variant = second + 1;
	return true;
}

/* What a folder's name ("8-8-1-goffs0-smallgrid") says of the function in it. */
static int read_variant(const char *name, struct mcl_co_variant *v, struct mcl_reason *why)
{
	const char *end = strchr(name, '/'), *rest;
	int used = 0;

	if (sscanf(name, "%u-%u-%u%n", &v->local_size[0], &v->local_size[1], &v->local_size[2], &used) != 3)
		goto err_unknown;
	rest = name + used;
	if (strncmp(rest, "-goffs0", 7) == 0) {
		v->flags |= MCL_CO_ZERO_OFFSET;
		rest += 7;
	}
	if (strncmp(rest, "-smallgrid", 10) == 0) {
		v->flags |= MCL_CO_SMALL_GRID;
		rest += 10;
	}
	if (rest != end)
		goto err_unknown;
	if (!v->local_size[0] && !v->local_size[1] && !v->local_size[2])
		v->flags |= MCL_CO_ANY_LOCAL_SIZE;
	return 0;

err_unknown:
	return mcl_reason(why, -EBADMSG, "POCL made a work-group function of an unknown kind: %.100s", name);
}

/* Those with fewest conditions first: the generic variant, or that of a demanded local size. */
static int compare_variants(const void *a, const void *b)
{
	const struct mcl_co_variant *x = a, *y = b;
	uint32_t x_conditions = (x->flags ^ MCL_CO_ANY_LOCAL_SIZE), y_conditions = (y->flags ^ MCL_CO_ANY_LOCAL_SIZE);

	if (x_conditions != y_conditions)
		return x_conditions < y_conditions ? -1 : 1;
	return x->image < y->image ? -1 : x->image > y->image;
}

/*
 * Append a variant for every object among @files. @required: the local size that the source demands, or NULL.
 * Returns how many in *@count and the first one's index.
 */
static int add_variants(struct mcl_co_writer *w, const struct mcl_assembly *assembly, const char *kernel,
			const struct poclbin_file *files, uint32_t file_count, const uint32_t *required,
			uint32_t *first, uint32_t *count, struct mcl_reason *why)
{
	struct mcl_co_variant *variants = calloc(file_count ? file_count : 1, sizeof(*variants));
	char *symbol = NULL;
	uint32_t found = 0;
	int err = 0;

	if (!variants || asprintf(&symbol, "_pocl_kernel_%s_workgroup", kernel) < 0) {
		err = mcl_reason(why, -ENOMEM, "no memory for the kernel's functions");
		symbol = NULL;
		goto out;
	}
	for (uint32_t i = 0; i < file_count; i++) {
		struct mcl_co_variant *v = &variants[found];
		struct mcl_reason inner;
		const char *name;

		if (!is_object(files[i].path, &name) || mcl_placeholder_is(files[i].bytes, files[i].size))
			continue;
		err = read_variant(name, v, why);
		if (err)
			goto out;
		/*
		 * POCL builds a demanded size into every function, whatever its folder says: also into the one that
		 * it calls generic. One for another size can never run.
		 */
		if (required && (v->flags & MCL_CO_ANY_LOCAL_SIZE)) {
			v->flags &= ~(uint32_t)MCL_CO_ANY_LOCAL_SIZE;
			memcpy(v->local_size, required, sizeof(v->local_size));
		} else if (required && memcmp(v->local_size, required, sizeof(v->local_size)) != 0) {
			memset(v, 0, sizeof(*v));
			continue;
		}
		if (assembly->jammed && !(v->flags & MCL_CO_ANY_LOCAL_SIZE))
			v->flags |= MCL_CO_JAMMED;
		err = mcl_elf_image_add(w, files[i].bytes, files[i].size, symbol, &v->image, &v->entry, &inner);
		if (err) {
			mcl_reason(why, err, "kernel '%.100s': %.250s", kernel, inner.text);
			goto out;
		}
		found++;
	}
	qsort(variants, found, sizeof(*variants), compare_variants);
	*count = found;
	for (uint32_t i = 0; i < found; i++) {
		uint32_t index = mcl_co_writer_append(w, &w->variants, &variants[i], sizeof(variants[i]));

		if (i == 0)
			*first = index;
	}
out:
	free(symbol);
	free(variants);
	return err;
}

static int add_arg(struct mcl_co_writer *w, const struct poclbin_kernel *k, const struct poclbin_arg *from,
		   struct mcl_reason *why)
{
	struct mcl_co_arg arg = {
		.name = mcl_co_writer_string(w, k->has_arg_info & POCLBIN_HAS_NAME ? from->name : ""),
		.type_name = mcl_co_writer_string(w, k->has_arg_info & POCLBIN_HAS_TYPE_NAME ? from->type_name : ""),
		.address = from->address,
		.access = from->access,
		.type_qualifier = from->type_qualifier,
		.size = from->size,
	};

	switch (from->type) {
	case POCLBIN_ARG_VALUE:
		arg.kind = MCL_CO_ARG_VALUE;
		break;
	case POCLBIN_ARG_POINTER:
		arg.kind = from->address == CL_KERNEL_ARG_ADDRESS_LOCAL ? MCL_CO_ARG_LOCAL : MCL_CO_ARG_POINTER;
		arg.size = sizeof(uint64_t);
		break;
	case POCLBIN_ARG_IMAGE:
		arg.kind = MCL_CO_ARG_IMAGE;
		break;
	case POCLBIN_ARG_SAMPLER:
		arg.kind = MCL_CO_ARG_SAMPLER;
		break;
	default:
		return mcl_reason(
			why, -ENOTSUP,
			"kernel '%.100s' has an argument '%.60s' of a kind that the device does not have (pipes)",
			k->name, from->name);
	}
	mcl_co_writer_append(w, &w->args, &arg, sizeof(arg));
	return 0;
}

/*
 * POCL writes "__attribute__((reqd_work_group_size(8, 8, 1 ))) __attribute__ ((vec_type_hint (float4)))". OpenCL
 * wants what is inside: "reqd_work_group_size(8,8,1) vec_type_hint(float4)". malloc'd; NULL when memory is short.
 */
static char *inner_attributes(const char *text)
{
	static const char keyword[] = "__attribute__";
	char *out = malloc(strlen(text) + 1), *to = out;
	int depth = 0;

	if (!out)
		return NULL;
	while (*text) {
		if (depth == 0 && strncmp(text, keyword, sizeof(keyword) - 1) == 0) {
			text += sizeof(keyword) - 1;
			if (to != out)
				*to++ = ' ';
			continue;
		}
		if (*text == ')')
			depth--;
		if (depth >= 2 && *text != ' ')
			*to++ = *text;
		if (*text == '(')
			depth++;
		text++;
	}
	*to = '\0';
	return out;
}

/* The type in "vec_type_hint(float4)", or nothing. */
static uint32_t vec_hint(struct mcl_co_writer *w, const char *attributes)
{
	static const char keyword[] = "vec_type_hint(";
	const char *at = strstr(attributes, keyword), *end = at ? strchr(at, ')') : NULL;
	uint32_t string = 0;
	char *type;

	if (!end)
		return 0;
	at += sizeof(keyword) - 1;
	type = strndup(at, (size_t)(end - at));
	if (type)
		string = mcl_co_writer_string(w, type);
	else
		w->no_memory = true;
	free(type);
	return string;
}

static int add_kernel(struct mcl_co_writer *w, const struct mcl_assembly *assembly, const struct poclbin_kernel *from,
		      struct mcl_reason *why)
{
	char *attributes = inner_attributes(from->attributes);
	struct mcl_co_kernel k = {
		.name = mcl_co_writer_string(w, pocl_public_name(from->name)),
		.arg_count = from->arg_count,
		.first_arg = (uint32_t)(w->args.used / sizeof(struct mcl_co_arg)),
		.local_count = from->local_count,
		.first_local = (uint32_t)(w->locals.used / sizeof(uint64_t)),
		.private_bytes = from->private_bytes,
		.preferred_multiple = from->preferred_multiple ? from->preferred_multiple : 1,
	};
	int err;

	if ((from->has_arg_info & POCLBIN_HAS_ALL) == POCLBIN_HAS_ALL)
		k.flags |= MCL_CO_ARG_INFO;
	if (mcl_order_any(assembly->order, from->name))
		k.flags |= MCL_CO_ANY_ORDER;
	if (!attributes)
		return mcl_reason(why, -ENOMEM, "no memory for the kernel's attributes");
	k.attributes = mcl_co_writer_string(w, attributes);
	k.vec_hint = vec_hint(w, attributes);
	free(attributes);
	if (from->reqd_local_size[0] && from->reqd_local_size[1] && from->reqd_local_size[2])
		for (int d = 0; d < 3; d++)
			k.reqd_local_size[d] = (uint32_t)from->reqd_local_size[d];
	for (uint32_t i = 0; i < from->arg_count; i++) {
		err = add_arg(w, from, &from->args[i], why);
		if (err)
			return err;
	}
	for (uint32_t i = 0; i < from->local_count; i++) {
		mcl_co_writer_append(w, &w->locals, &from->local_sizes[i], sizeof(from->local_sizes[i]));
		k.local_bytes += from->local_sizes[i];
	}
	err = add_variants(w, assembly, from->name, from->files, from->file_count,
			   k.reqd_local_size[0] ? k.reqd_local_size : NULL, &k.first_variant, &k.variant_count, why);
	if (err)
		return err;
	if (k.variant_count == 0 && !assembly->partial)
		return mcl_reason(why, -EBADMSG, "POCL made no code for kernel '%.100s'", from->name);
	mcl_co_writer_append(w, &w->kernels, &k, sizeof(k));
	return 0;
}

int mcl_assemble(const struct poclbin *bin, const struct mcl_assembly *assembly, struct mcl_co_writer *w,
		 struct mcl_reason *why)
{
	int err;

	w->header.target = mcl_co_writer_string(w, assembly->target);
	w->header.producer = mcl_co_writer_string(w, assembly->producer);
	w->header.options = mcl_co_writer_string(w, assembly->options);
	if (bin->global_size && !assembly->no_globals) {
		uint32_t first = 0, count = 0;

		w->header.global_size = bin->global_size;
		err = add_variants(w, assembly, GLOBALS_KERNEL, bin->files, bin->file_count, NULL, &first, &count, why);
		if (err)
			return err;
		if (count == 0)
			return mcl_reason(why, -EBADMSG, "POCL made no initialiser for the program-scope variables");
		w->header.global_init = first;
	}
	for (uint32_t i = 0; i < bin->kernel_count; i++) {
		err = add_kernel(w, assembly, &bin->kernels[i], why);
		if (err)
			return err;
	}
	return 0;
}
