// SPDX-License-Identifier: MIT
/* Included files; see includes.h. */
#include <ctype.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* uthash ends the process when memory is short, unless told not to. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "compiler/file.h"
#include "compiler/includes.h"

#define MAX_FILES 2048
#define MAX_DEPTH 100
#define MAX_FILE_SIZE (16u << 20)

struct visited {
	UT_hash_handle hh;
	char path[];
};

struct scan {
	struct mcl_digest *digest;
	const struct mcl_options *options;
	struct visited *visited;
	unsigned int files, depth;
};

/* The includes of a file in @folder, or of the program: NULL. */
struct place {
	struct scan *scan;
	const char *folder;
};

static bool hash_include(void *ctx, const char *name, size_t length, bool quoted);

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$';
}

/* The text with continued lines joined, malloc'd, with a zero behind it. */
static char *join_lines(const char *text, size_t size, size_t *joined_size)
{
	char *out = malloc(size + 1);
	size_t used = 0;

	for (size_t i = 0; out && i < size; i++) {
		if (text[i] == '\\') {
			size_t end = i + 1; /* clang allows white space between the two */

			while (end < size && (text[end] == ' ' || text[end] == '\t' || text[end] == '\r'))
				end++;
			if (end < size && text[end] == '\n') {
				i = end;
				continue;
			}
		}
		out[used++] = text[i] ? text[i] : ' ';
	}
	if (out)
		out[used] = '\0';
	*joined_size = used;
	return out;
}

/* Hash what is at @path, which is not looked at again; follow its own includes. */
static bool scan_file(struct scan *s, char *path)
{
	struct stat st;
	char *slash;
	bool sound;
	void *text;
	size_t size;

	mcl_digest_field(s->digest, path, strlen(path));
	if (stat(path, &st) < 0 || S_ISDIR(st.st_mode)) {
		mcl_digest_field(s->digest, "absent", 6); /* it may appear one day, and win */
		return true;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > MAX_FILE_SIZE || mcl_file_read(path, &text, &size))
		return false;
	mcl_digest_field(s->digest, "there", 5);
	mcl_digest_field(s->digest, text, size);
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	sound = mcl_includes_scan(text, size, hash_include, &(struct place){ s, slash ? path : "." });
	free(text);
	return sound;
}

/* One place where the compiler looks. */
static bool scan_candidate(struct scan *s, const char *folder, const char *name, size_t length)
{
	struct visited *seen = NULL;
	char *path;
	bool sound = false;

	if (asprintf(&path, "%s%s%.*s", folder, *folder ? "/" : "", (int)length, name) < 0)
		return false;
	HASH_FIND_STR(s->visited, path, seen);
	if (seen) {
		free(path);
		return true;
	}
	if (++s->files > MAX_FILES || s->depth == MAX_DEPTH)
		goto out;
	seen = malloc(sizeof(*seen) + strlen(path) + 1);
	if (!seen)
		goto out;
	strcpy(seen->path, path);
	HASH_ADD_STR(s->visited, path, seen);
	if (!seen->hh.tbl) {
		free(seen);
		goto out;
	}
	s->depth++;
	sound = scan_file(s, path);
	s->depth--;
out:
	free(path);
	return sound;
}

/* Hash every place where the compiler looks for it. */
static bool hash_include(void *ctx, const char *name, size_t length, bool quoted)
{
	const struct place *place = ctx;
	struct scan *s = place->scan;

	if (length > PATH_MAX)
		return false;
	if (*name == '/')
		return scan_candidate(s, "", name, length);
	if (quoted && place->folder && !scan_candidate(s, place->folder, name, length))
		return false;
	/* POCL always looks in the working directory first. */
	if (!scan_candidate(s, ".", name, length))
		return false;
	for (size_t i = 0; i < s->options->include_dir_count; i++)
		if (!scan_candidate(s, s->options->include_dirs[i], name, length))
			return false;
	return true;
}

/* ---- finding them in the text ---- */

struct finder {
	mcl_include_fn fn;
	void *ctx;
};

/* What stands behind #include. */
static bool scan_operand(const struct finder *f, const char *at)
{
	const char *end;
	bool quoted;

	while (*at == ' ' || *at == '\t')
		at++;
	quoted = *at == '"';
	if (!quoted && *at != '<')
		return false; /* a macro, or a comment in between */
	end = at + 1 + strcspn(at + 1, quoted ? "\"\n" : ">\n");
	if (*end != (quoted ? '"' : '>'))
		return true; /* the compiler will refuse it */
	return f->fn(f->ctx, at + 1, (size_t)(end - at - 1), quoted);
}

/*
 * The word at @at, between @text and the end, is one that could be a directive's name. It is one if '#' stands before
 * it on its line; if only comments could tell, better be wrong on the safe side.
 */
enum found { PLAIN_WORD, DIRECTIVE, UNSURE };

static enum found classify(const char *text, const char *at)
{
	const char *line = at, *before = at;

	while (line > text && line[-1] != '\n')
		line--;
	while (before > line && (before[-1] == ' ' || before[-1] == '\t'))
		before--;
	if (before > line && before[-1] == '#')
		return DIRECTIVE;
	if (before - line >= 2 && memcmp(before - 2, "%:", 2) == 0)
		return DIRECTIVE;
	for (const char *p = line; p < before; p++)
		if (*p == '#' || (p + 1 < before && (memcmp(p, "%:", 2) == 0 || memcmp(p, "*/", 2) == 0)))
			return UNSURE;
	return PLAIN_WORD;
}

static bool scan_joined(const struct finder *f, const char *text)
{
	/* What makes the result depend on more than text and files, or hides a directive from us. */
	static const char *const hopeless[] = { "__has_include", "__has_embed", "__DATE__", "__TIME__",
						"__TIMESTAMP__", "?\?=",	"?\?/" };
	static const char *const directives[] = { "include", "include_next", "import", "embed" };

	for (size_t i = 0; i < sizeof(hopeless) / sizeof(*hopeless); i++)
		if (strstr(text, hopeless[i]))
			return false;
	for (size_t i = 0; i < sizeof(directives) / sizeof(*directives); i++) {
		size_t length = strlen(directives[i]);

		for (const char *at = text; (at = strstr(at, directives[i])); at += length) {
			if ((at > text && word_char(at[-1])) || word_char(at[length]))
				continue;
			switch (classify(text, at)) {
			case PLAIN_WORD:
				continue;
			case UNSURE:
				return false;
			case DIRECTIVE:
				if (strcmp(directives[i], "embed") == 0 || strcmp(directives[i], "include_next") == 0 ||
				    !scan_operand(f, at + length))
					return false;
			}
		}
	}
	return true;
}

bool mcl_includes_scan(const char *text, size_t size, mcl_include_fn fn, void *ctx)
{
	const struct finder f = { fn, ctx };
	size_t joined_size;
	char *joined = join_lines(text, size, &joined_size);
	bool sound = joined && scan_joined(&f, joined);

	free(joined);
	return sound;
}

bool mcl_includes_hash(struct mcl_digest *digest, const char *text, size_t size, const struct mcl_options *options)
{
	struct scan s = { .digest = digest, .options = options };
	struct visited *entry, *next;
	bool sound = mcl_includes_scan(text, size, hash_include, &(struct place){ &s, NULL });

	HASH_ITER(hh, s.visited, entry, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer loses track in uthash */
		HASH_DEL(s.visited, entry);
		free(entry);
	}
	return sound;
}
