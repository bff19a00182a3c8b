// SPDX-License-Identifier: MIT
/* The fake compiler of the runtime's unit tests: see fake_compiler.h. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CL/cl.h>

#include "compiler/code_object_writer.h"
#include "compiler/target.h"
#include "runtime/tests/fake_compiler.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mcl_fake_compiler counts;
static void (*hook)(const struct mcl_compile_request *req, void *ctx);
static void *hook_ctx;
static bool nothing_to_jam, cached;

void mcl_fake_compiler_set_jam(bool possible)
{
	nothing_to_jam = !possible;
}

void mcl_fake_compiler_set_cached(bool all)
{
	cached = all;
}

void mcl_fake_compiler_counts(struct mcl_fake_compiler *out)
{
	pthread_mutex_lock(&lock);
	*out = counts;
	pthread_mutex_unlock(&lock);
}

void mcl_fake_compiler_hook(void (*fn)(const struct mcl_compile_request *req, void *ctx), void *ctx)
{
	pthread_mutex_lock(&lock);
	hook = fn;
	hook_ctx = ctx;
	pthread_mutex_unlock(&lock);
}

/* One page of returns. */
static void add_image(struct mcl_co_writer *w)
{
	uint8_t code[64];
	struct mcl_co_segment segment = {
		.mem_size = 4096,
		.data_size = sizeof(code),
		.prot = MCL_CO_READ | MCL_CO_EXEC,
	};
	struct mcl_co_image image = { .mem_size = 4096, .segment_count = 1 };

	memset(code, 0xc3, sizeof(code));
	segment.data_offset = mcl_co_writer_data(w, code, sizeof(code));
	mcl_co_writer_append(w, &w->segments, &segment, sizeof(segment));
	mcl_co_writer_append(w, &w->images, &image, sizeof(image));
}

static uint32_t add_variant(struct mcl_co_writer *w, const uint32_t size[3], uint32_t flags)
{
	struct mcl_co_variant v = { .flags = flags | (size ? 0 : MCL_CO_ANY_LOCAL_SIZE) };

	if (size)
		memcpy(v.local_size, size, sizeof(v.local_size));
	return mcl_co_writer_append(w, &w->variants, &v, sizeof(v));
}

static int add_argument(struct mcl_co_writer *w, const char *word, uint32_t index)
{
	struct mcl_co_arg a = { .size = 8, .address = CL_KERNEL_ARG_ADDRESS_PRIVATE };
	char name[16];

	a.access = CL_KERNEL_ARG_ACCESS_NONE;
	if (!strcmp(word, "global")) {
		a.kind = MCL_CO_ARG_POINTER;
		a.address = CL_KERNEL_ARG_ADDRESS_GLOBAL;
	} else if (!strcmp(word, "constant")) {
		a.kind = MCL_CO_ARG_POINTER;
		a.address = CL_KERNEL_ARG_ADDRESS_CONSTANT;
		a.type_qualifier = CL_KERNEL_ARG_TYPE_CONST;
	} else if (!strcmp(word, "local")) {
		a.kind = MCL_CO_ARG_LOCAL;
		a.address = CL_KERNEL_ARG_ADDRESS_LOCAL;
	} else if (!strcmp(word, "image")) {
		a.kind = MCL_CO_ARG_IMAGE;
	} else if (!strcmp(word, "sampler")) {
		a.kind = MCL_CO_ARG_SAMPLER;
	} else if (!strncmp(word, "value", 5)) {
		a.kind = MCL_CO_ARG_VALUE;
		a.size = (uint32_t)atoi(word + 5);
	} else {
		return -ENOEXEC;
	}
	snprintf(name, sizeof(name), "a%u", index);
	a.name = mcl_co_writer_string(w, name);
	a.type_name = mcl_co_writer_string(w, word);
	mcl_co_writer_append(w, &w->args, &a, sizeof(a));
	return 0;
}

static void add_one_variant(struct mcl_co_writer *w, const struct mcl_compile_request *req, struct mcl_co_kernel *k)
{
	const uint32_t flags = MCL_CO_ZERO_OFFSET | (req->jam ? MCL_CO_JAMMED : 0);

	if (req->jam && nothing_to_jam)
		return;
	if (req->local_size_count)
		k->first_variant = add_variant(w, req->local_sizes[0], flags);
	else
		k->first_variant = add_variant(w, k->reqd_local_size[0] ? k->reqd_local_size : NULL, 0);
	k->variant_count = 1;
}

static int add_kernel(struct mcl_co_writer *w, const struct mcl_compile_request *req, char *line, bool arg_info)
{
	struct mcl_co_kernel k = { .preferred_multiple = 8,
				   .private_bytes = 16,
				   .flags = arg_info ? MCL_CO_ARG_INFO : 0 };
	char *save, *word = strtok_r(line, " ", &save);
	const char *name = word;
	uint64_t bytes;

	if (!word)
		return -ENOEXEC;
	k.name = mcl_co_writer_string(w, word);
	k.first_arg = (uint32_t)(w->args.used / sizeof(struct mcl_co_arg));
	k.first_local = (uint32_t)(w->locals.used / sizeof(bytes));
	while ((word = strtok_r(NULL, " ", &save))) {
		if (sscanf(word, "reqd=%u,%u,%u", &k.reqd_local_size[0], &k.reqd_local_size[1],
			   &k.reqd_local_size[2]) == 3) {
			k.attributes = mcl_co_writer_string(w, word);
		} else if (sscanf(word, "local=%lu", &bytes) == 1) {
			mcl_co_writer_append(w, &w->locals, &bytes, sizeof(bytes));
			k.local_bytes += bytes;
			k.local_count++;
		} else if (add_argument(w, word, k.arg_count++)) {
			return -ENOEXEC;
		}
	}
	if (req->part == MCL_COMPILE_KERNEL && !strcmp(req->kernel, name))
		add_one_variant(w, req, &k);
	else if (req->part == MCL_COMPILE_WHOLE)
		add_one_variant(w, &(struct mcl_compile_request){ 0 }, &k);
	mcl_co_writer_append(w, &w->kernels, &k, sizeof(k));
	return 0;
}

static int statement(struct mcl_co_writer *w, const struct mcl_compile_request *req, char *line, bool *arg_info)
{
	if (!*line)
		return 0;
	if (!strncmp(line, "kernel ", 7))
		return add_kernel(w, req, line + 7, *arg_info);
	if (!strncmp(line, "globals ", 8)) {
		w->header.global_size = (uint64_t)atoi(line + 8);
		w->header.global_init = add_variant(w, NULL, 0);
		return 0;
	}
	if (!strncmp(line, "include ", 8)) {
		for (uint32_t i = 0; i < req->header_count; i++)
			if (!strcmp(req->header_names[i], line + 8))
				return 0;
		return -ENOEXEC;
	}
	if (!strcmp(line, "noarginfo")) {
		*arg_info = false;
		return 0;
	}
	return -ENOEXEC;
}

static int compile_unit(struct mcl_co_writer *w, const struct mcl_compile_request *req)
{
	char *text = strndup(req->source, req->source_size), *save, *line;
	bool arg_info = true;
	int err = 0;

	for (line = strtok_r(text, "\n", &save); line && !err; line = strtok_r(NULL, "\n", &save))
		err = statement(w, req, line, &arg_info);
	free(text);
	return err;
}

/* The same kernel twice is what a linker refuses. */
static bool has_twins(const struct mcl_co_writer *w)
{
	const struct mcl_co_kernel *kernels = (const struct mcl_co_kernel *)w->kernels.bytes;

	for (size_t i = 0; i < w->kernels.used / sizeof(*kernels); i++)
		for (size_t j = 0; j < i; j++)
			if (kernels[i].name == kernels[j].name)
				return true;
	return false;
}

static int compile(const struct mcl_compile_request *req, struct mcl_code_object **out, struct mcl_reason *why)
{
	struct mcl_co_writer w;
	uint8_t *bytes;
	size_t size;
	int err;

	mcl_co_writer_init(&w);
	w.header.target = mcl_co_writer_string(&w, mcl_target_machine());
	add_image(&w);
	err = compile_unit(&w, req);
	for (uint32_t i = 0; !err && i < req->more_count; i++) {
		struct mcl_compile_request more = *req;

		more.source = req->more[i].source;
		more.source_size = req->more[i].source_size;
		more.options = req->more[i].options;
		more.header_count = req->more[i].header_count;
		more.header_names = req->more[i].header_names;
		more.header_sources = req->more[i].header_sources;
		err = compile_unit(&w, &more);
	}
	if (!err && has_twins(&w))
		err = -ENOEXEC;
	if (req->part == MCL_COMPILE_CHECK)
		w.kernels.used = 0;
	if (!err)
		err = mcl_co_writer_finish(&w, &bytes, &size);
	if (!err) {
		err = mcl_code_object_parse(bytes, size, out, why);
		free(bytes);
	} else {
		mcl_reason(why, err, "the program does not compile");
	}
	mcl_co_writer_free(&w);
	return err;
}

int mcl_compile(const struct mcl_compile_request *req, struct mcl_code_object **out, char **log, struct mcl_reason *why)
{
	const char *options = req->options ? req->options : "";
	void (*fn)(const struct mcl_compile_request *req, void *ctx);
	void *ctx;
	int err;

	pthread_mutex_lock(&lock);
	counts.calls++;
	counts.parts[req->part]++;
	if (req->local_size_count)
		memcpy(counts.local_size, req->local_sizes[0], sizeof(counts.local_size));
	counts.specialised += req->local_size_count && !req->cached_only && !req->jam;
	counts.jammed += req->local_size_count && !req->cached_only && req->jam;
	counts.looked_up += req->cached_only;
	fn = hook;
	ctx = hook_ctx;
	pthread_mutex_unlock(&lock);
	if (fn)
		fn(req, ctx);

	*out = NULL;
	if (req->cached_only && !cached)
		err = -ENODATA;
	else if (strstr(options, "-nokernel") && req->part == MCL_COMPILE_KERNEL)
		err = mcl_reason(why, -ECHILD, "the compiler crashed");
	else if (strstr(options, "-bad"))
		err = mcl_reason(why, -EINVAL, "unknown option -bad");
	else if (strstr(options, "-missing"))
		err = mcl_reason(why, -ENOENT, "there is no compiler");
	else if (strstr(options, "-crash"))
		err = mcl_reason(why, -ECHILD, "the compiler crashed");
	else if (strstr(options, "-nomem"))
		err = mcl_reason(why, -ENOMEM, "no memory");
	else
		err = compile(req, out, why);
	if (log)
		*log = strdup(strstr(options, "-warn") ? "a warning\n" : err == -ENOEXEC ? "line 1: error\n" : "");
	return err;
}
