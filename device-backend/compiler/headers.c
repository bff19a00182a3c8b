// SPDX-License-Identifier: MIT
/*
 * Included files as headers; see headers.h.
 *
 * A header is found by its name, from everywhere, and by the name in the folder of a header that includes it, before any file. So
 * a file that is found through the working directory or an option gets the name that it is included by, and one that is
 * found beside the including file gets that one's folder before its name. Whether the names still lead to the same files is
 * checked for each include in turn.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compiler/file.h"
#include "compiler/headers.h"
#include "compiler/includes.h"
#include "compiler/options.h"
#include "compiler/spirv.h"

#define MAX_HEADERS 2048
#define MAX_SIZE (16u << 20)

struct collection {
	struct mcl_headers *out;
	char **paths; /* of the headers that are files; NULL: given. As many as .out has */
	const struct mcl_options *options;
	int err; /* why it was given up */
};

/* The text whose includes are being found. */
struct includer {
	struct collection *g;
	uint32_t header; /* NOBODY: the program itself */
};

#define NOBODY UINT32_MAX

static bool give_up(struct collection *g, int err)
{
	if (!g->err)
		g->err = err;
	return false;
}

static uint32_t find_header(const struct collection *g, const char *name)
{
	for (uint32_t i = 0; i < g->out->count; i++)
		if (strcmp(g->out->names[i], name) == 0)
			return i;
	return NOBODY;
}

/* Make room for another string behind @count. Returns whether there is. */
static bool grow(char ***strings, uint32_t count)
{
	char **grown = realloc(*strings, (count + (size_t)1) * sizeof(*grown));

	if (grown)
		*strings = grown;
	return grown;
}

/* Takes over all three; @path may be NULL. */
static bool add_header(struct collection *g, char *name, char *text, char *path)
{
	struct mcl_headers *out = g->out;

	if (!name || !text || out->count == MAX_HEADERS || !grow(&out->names, out->count) ||
	    !grow(&out->texts, out->count) || !grow(&g->paths, out->count)) {
		free(name);
		free(text);
		free(path);
		return give_up(g, out->count == MAX_HEADERS ? -ENOTSUP : -ENOMEM);
	}
	out->names[out->count] = name;
	out->texts[out->count] = text;
	g->paths[out->count++] = path;
	return true;
}

static char *join(const char *folder, size_t folder_length, const char *name)
{
	char *path;

	if (asprintf(&path, "%.*s%s%s", (int)folder_length, folder, folder_length ? "/" : "", name) < 0)
		return NULL;
	return path;
}

/* The part of @path before the last slash. */
static size_t folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* What is at @path, whose memory is taken over, becomes the header @name, likewise. */
static bool take_file(struct collection *g, char *name, char *path)
{
	struct stat st;
	void *text = NULL;
	size_t size;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_SIZE || mcl_file_read(path, &text, &size) ||
	    memchr(text, '\0', size)) {
		free(text);
		free(name);
		free(path);
		return give_up(g, -ENOTSUP);
	}
	return add_header(g, name, text, path);
}

static bool there(const char *path)
{
	struct stat st;

	return path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

/*
 * Where the compiler finds @name: malloc'd, or NULL: nowhere. *@beside: in the folder of the including file. As in includes.c.
 */
static char *locate(const struct includer *in, const char *name, bool quoted, bool *beside)
{
	const struct mcl_options *o = in->g->options;
	const char *from = in->header == NOBODY ? NULL : in->g->paths[in->header];
	char *path;

	*beside = false;
	if (quoted && from) {
		path = join(from, folder_of(from), name);
		if (there(path)) {
			*beside = true;
			return path;
		}
		free(path);
	}
	path = strdup(name);
	for (size_t i = 0; !there(path) && i < o->include_dir_count; i++) {
		free(path);
		path = join(o->include_dirs[i], strlen(o->include_dirs[i]), name);
	}
	if (there(path))
		return path;
	free(path);
	return NULL;
}

/* The header that @name means to @in, as the headers are now. */
static uint32_t resolve(const struct includer *in, const char *name, bool quoted)
{
	const char *self = in->header == NOBODY ? "" : in->g->out->names[in->header];
	uint32_t header = NOBODY;
	char *beside;

	if (quoted && folder_of(self)) {
		beside = join(self, folder_of(self), name);
		if (beside)
			header = find_header(in->g, beside);
		free(beside);
	}
	return header == NOBODY ? find_header(in->g, name) : header;
}

static bool collect_text(struct collection *g, uint32_t header, const char *text, size_t size);

static bool collect_include(void *ctx, const char *bytes, size_t length, bool quoted)
{
	const struct includer *in = ctx;
	struct collection *g = in->g;
	char *name = strndup(bytes, length), *path, *header_name;
	const char *self = in->header == NOBODY ? "" : g->out->names[in->header];
	uint32_t header;
	bool beside, ok = true;

	if (!name)
		return give_up(g, -ENOMEM);
	if (*name == '/' || strstr(name, "..")) {
		free(name);
		return give_up(g, -ENOTSUP);
	}
	header = resolve(in, name, quoted);
	if (header != NOBODY && !g->paths[header]) {
		free(name); /* given: it comes before all files */
		return true;
	}
	path = locate(in, name, quoted, &beside);
	if (header != NOBODY) {
		/* The same file, or the names do not tell. */
		ok = (path && strcmp(path, g->paths[header]) == 0) || give_up(g, -ENOTSUP);
		free(path);
	} else if (path) {
		header_name = beside ? join(self, folder_of(self), name) : strdup(name);
		ok = take_file(g, header_name, path);
		if (ok) {
			header = g->out->count - 1;
			ok = collect_text(g, header, g->out->texts[header], strlen(g->out->texts[header]));
		}
	}
	free(name);
	return ok;
}

static bool collect_text(struct collection *g, uint32_t header, const char *text, size_t size)
{
	return mcl_includes_scan(text, size, collect_include, &(struct includer){ g, header }) || give_up(g, -ENOTSUP);
}

/* A file that was found later may have come before one that was found earlier: look again with all of them known. */
static bool collect_all(struct collection *g, const struct mcl_compile_unit *unit)
{
	bool ok = collect_text(g, NOBODY, unit->source, unit->source_size);

	for (uint32_t i = 0; ok && i < g->out->count; i++)
		ok = collect_text(g, i, g->out->texts[i], strlen(g->out->texts[i]));
	return ok && collect_text(g, NOBODY, unit->source, unit->source_size);
}

int mcl_headers_collect(const struct mcl_compile_unit *unit, struct mcl_headers *out)
{
	struct collection g = { .out = out };
	struct mcl_options options;
	int err;

	*out = (struct mcl_headers){ 0 };
	if (mcl_spirv_is(unit->source, unit->source_size))
		return 0;
	err = mcl_options_parse(unit->options, &options, NULL);
	if (err)
		return err == -EINVAL ? -ENOTSUP : err;
	g.options = &options;
	for (uint32_t i = 0; !g.err && i < unit->header_count; i++)
		add_header(&g, strdup(unit->header_names[i]), strdup(unit->header_sources[i]), NULL);
	if (!g.err)
		collect_all(&g, unit);
	mcl_options_free(&options);
	for (uint32_t i = 0; i < out->count; i++)
		free(g.paths[i]);
	free(g.paths);
	return g.err;
}

void mcl_headers_free(struct mcl_headers *g)
{
	for (uint32_t i = 0; i < g->count; i++) {
		free(g->names[i]);
		free(g->texts[i]);
	}
	free(g->names);
	free(g->texts);
	*g = (struct mcl_headers){ 0 };
}
