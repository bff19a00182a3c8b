// SPDX-License-Identifier: MIT
/*
 * fill_cache FILE.cl...: compile each program and its kernels as the tests and samples have it done, so that the cache has them.
 * For runs where a compiler would take too long (the virtual machine): with the same MIRRORCL_TARGET_CPU and cache, nothing is
 * left to compile there. It asks the compiler as the runtime does, since OpenCL has no call that makes the code of a kernel
 * without a launch. Not a test.
 *
 * Programs are built with OPTIONS, unless there are lines in them that say otherwise, one for each build:
 *
 *	// fill_cache: [whole] OPTIONS...
 *
 * `whole`: all in one, as CL_PROGRAM_BINARIES has it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/compiler.h"

/* Of conf_build() and of the samples. */
#define OPTIONS "-cl-std=CL3.0"

#define WORD "// fill_cache:"

static char *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, 1 << 20);

	*size = file && text ? fread(text, 1, (1 << 20) - 1, file) : 0;
	if (!*size) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	fclose(file);
	return text;
}

static struct mcl_code_object *compile(const char *path, const struct mcl_compile_request *req)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	char *log;

	if (mcl_compile(req, &co, &log, &why)) {
		fprintf(stderr, "%s: %s\n%s", path, why.text, log);
		exit(EXIT_FAILURE);
	}
	free(log);
	return co;
}

static void build(const char *path, const char *text, size_t size, const char *options, bool whole)
{
	struct mcl_compile_request req = {
		.session = mcl_session_create(),
		.source = text,
		.source_size = size,
		.options = options,
		.part = whole ? MCL_COMPILE_WHOLE : MCL_COMPILE_DESCRIPTION,
	};
	struct mcl_code_object *co = compile(path, &req);

	req.part = MCL_COMPILE_KERNEL;
	for (uint32_t i = 0; i < co->header->kernels.count; i++) {
		if (co->kernels[i].variant_count)
			continue; /* whole, or the only one, which came with the description */
		req.kernel = mcl_co_string(co, co->kernels[i].name);
		mcl_code_object_put(compile(path, &req));
	}
	mcl_code_object_put(co);
	mcl_session_free(req.session);
}

static void fill(const char *path)
{
	size_t size;
	char *text = read_file(path, &size);
	bool said = false;

	for (const char *line = strstr(text, WORD); line; line = strstr(line, WORD)) {
		bool whole;
		char *options;

		line += strlen(WORD);
		line += strspn(line, " ");
		whole = !strncmp(line, "whole ", 6);
		line += whole ? 6 : 0;
		options = strndup(line, strcspn(line, "\n"));
		if (!options)
			exit(EXIT_FAILURE);
		build(path, text, size, options, whole);
		free(options);
		said = true;
	}
	if (!said)
		build(path, text, size, OPTIONS, false);
	free(text);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		fill(argv[i]);
	return 0;
}
