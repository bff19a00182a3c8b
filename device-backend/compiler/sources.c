// SPDX-License-Identifier: MIT
/* Sources for POCL; see sources.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/sources.h"
#include "compiler/spirv.h"

/*
 * In front of every source. What POCL's device has and MirrorCL's has not (runtime/device_info.c) is undefined, so that a
 * program that asks with #ifdef gets the answer that clGetDeviceInfo gives. And POCL 6.0's work_group_all() is false whatever
 * it is given; before OpenCL C 2.0 the name is the program's.
 */
static const char preamble[] = "#undef __IMAGE_SUPPORT__\n"
			       "#undef __opencl_c_images\n"
			       "#undef __opencl_c_read_write_images\n"
			       "#undef __opencl_c_3d_image_writes\n"
			       "#undef cl_khr_3d_image_writes\n"
			       "#undef cl_khr_subgroups\n"
			       "#undef cl_khr_command_buffer\n"
			       "#undef cl_khr_command_buffer_multi_device\n"
			       "#undef cl_intel_subgroups\n"
			       "#undef cl_intel_subgroups_short\n"
			       "#undef cl_intel_required_subgroup_size\n"
			       "#undef cl_ext_buffer_device_address\n"
			       "#undef cl_pocl_svm_rect\n"
			       "#undef cl_pocl_command_buffer_svm\n"
			       "#undef cl_pocl_command_buffer_host_buffer\n"
			       "#if __OPENCL_C_VERSION__ >= 200\n"
			       "#define work_group_all(predicate) (!work_group_any(!(predicate)))\n"
			       "#endif\n"
			       "#line 1\n";

/* A module has no text to put something in front of. */
static int prepare_module(const struct mcl_compile_unit *unit, struct pocl_source *out, struct mcl_reason *why)
{
	struct mcl_spirv module;
	int err = mcl_spirv_read(unit->source, unit->source_size, &module, why);

	if (err)
		return err == -EBADMSG ? -EINVAL : err;
	out->il = true;
	err = mcl_spirv_mend(&module);
	out->text = (const char *)module.words;
	out->size = module.count * sizeof(*module.words);
	return err ? mcl_reason(why, err, "no memory") : 0;
}

static int prepare_one(const struct mcl_compile_unit *unit, struct mcl_options *options, struct pocl_source *out,
		       struct mcl_reason *why)
{
	int err = mcl_options_parse(unit->options, options, why);
	char *text;

	if (err)
		return err;
	*out = (struct pocl_source){
		.size = strlen(preamble) + strlen(options->prolog) + unit->source_size,
		.options = options->text,
		.header_count = unit->header_count,
		.header_names = unit->header_names,
		.header_sources = unit->header_sources,
	};
	if (mcl_spirv_is(unit->source, unit->source_size))
		return prepare_module(unit, out, why);
	out->text = text = malloc(out->size + 1);
	if (!text)
		return mcl_reason(why, -ENOMEM, "no memory");
	memcpy(stpcpy(stpcpy(text, preamble), options->prolog), unit->source, unit->source_size);
	text[out->size] = '\0';
	return 0;
}

int mcl_sources_prepare(const struct mcl_compile_unit *units, uint32_t count, struct mcl_sources *out,
			struct mcl_reason *why)
{
	int err = 0;

	*out = (struct mcl_sources){
		.sources = calloc(count, sizeof(*out->sources)),
		.options = calloc(count, sizeof(*out->options)),
	};
	if (!out->sources || !out->options)
		return mcl_reason(why, -ENOMEM, "no memory");
	for (; !err && out->count < count; out->count++)
		err = prepare_one(&units[out->count], &out->options[out->count], &out->sources[out->count], why);
	return err;
}

void mcl_sources_free(struct mcl_sources *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		free((char *)s->sources[i].text);
		mcl_options_free(&s->options[i]);
	}
	free(s->sources);
	free(s->options);
	*s = (struct mcl_sources){ 0 };
}
