// SPDX-License-Identifier: MIT
/* Build options; see options.h. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/options.h"

/* Where the text for POCL and the prolog grow. A stream reports its own lack of memory at the end. */
struct building {
	FILE *text, *prolog;
	struct mcl_options *options;
	struct mcl_reason *why;
};

static int bad(const struct building *b, const char *option, const char *what)
{
	return mcl_reason(b->why, -EINVAL, "build option '%.100s' %s", option, what);
}

/*
 * The next word of *@text, unquoted, malloc'd in *@word; *@word is NULL at the end. *@text moves behind it.
 * Returns 0, -EINVAL when a quote is not closed, -ENOMEM.
 */
static int next_word(const struct building *b, const char **text, char **word)
{
	const char *p = *text;
	char quote = '\0', *out;
	size_t used = 0;

	*word = NULL;
	while (isspace((unsigned char)*p))
		p++;
	*text = p;
	if (!*p)
		return 0;
	out = malloc(strlen(p) + 1);
	if (!out)
		return -ENOMEM;
	for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
		if (quote ? *p == quote : *p == '"' || *p == '\'') {
			quote = quote ? '\0' : *p;
			continue;
		}
		if (*p == '\\' && quote != '\'' && p[1] &&
		    (p[1] == '"' || p[1] == '\'' || p[1] == '\\' || isspace((unsigned char)p[1])))
			p++;
		out[used++] = *p;
	}
	out[used] = '\0';
	*text = p;
	if (quote) {
		free(out);
		return mcl_reason(b->why, -EINVAL, "the build options have a quote that is not closed");
	}
	*word = out;
	return 0;
}

/* Characters that survive POCL's splitting and clang's argument list unchanged. */
static bool plain(const char *text)
{
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("_-+=.,:/()[]<>*%&|^!~?@#$", *text))
			return false;
	return true;
}

static int define(struct building *b, const char *definition)
{
	size_t name = 0;

	while (isalnum((unsigned char)definition[name]) || definition[name] == '_' || definition[name] == '$')
		name++;
	if (name == 0 || isdigit((unsigned char)definition[0]) ||
	    (definition[name] && definition[name] != '=' && definition[name] != '('))
		return bad(b, definition, "is not a macro definition (-D name or -D name=value)");
	if (strpbrk(definition, "\n\r"))
		return bad(b, definition, "has a line break in it");
	if (plain(definition)) {
		fprintf(b->text, "-D%s ", definition);
		return 0;
	}
	name += strcspn(definition + name, "=");
	fprintf(b->prolog, "#define %.*s %s\n", (int)name, definition, definition[name] ? definition + name + 1 : "1");
	return 0;
}

static int include(struct building *b, const char *dir)
{
	struct mcl_options *o = b->options;
	char **grown;

	if (!*dir)
		return bad(b, "-I", "needs a folder");
	/* POCL has no way to pass these; every other character goes through inside quotes. */
	if (strpbrk(dir, "\"\n\r\t"))
		return bad(b, dir, "has a character in it that POCL cannot take in the name of a folder");
	grown = realloc(o->include_dirs, (o->include_dir_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	o->include_dirs = grown;
	grown[o->include_dir_count] = strdup(dir);
	if (!grown[o->include_dir_count])
		return -ENOMEM;
	o->include_dir_count++;
	fprintf(b->text, strchr(dir, ' ') ? "-I\"%s\" " : "-I%s ", dir);
	return 0;
}

static int language(struct building *b, const char *option)
{
	static const struct {
		const char *asked, *pocl;
		unsigned int version; /* for __OPENCL_C_VERSION__; 0: what POCL says is right */
	} known[] = {
		{ "CL1.1", "CL1.1", 0 },
		{ "CL1.2", "CL1.2", 0 },
		/*
		 * POCL 6.0 refuses 2.x, but its 3.0 has the optional features that 2.0 made mandatory: generic
		 * pointers, program-scope variables, all memory orders and scopes.
		 */
		{ "CL2.0", "CL3.0", 200 },
		{ "CL2.1", "CL3.0", 200 },
		{ "CL2.2", "CL3.0", 200 },
		{ "CL3.0", "CL3.0", 0 },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(option + strlen("-cl-std="), known[i].asked) != 0)
			continue;
		fprintf(b->text, "-cl-std=%s ", known[i].pocl);
		if (known[i].version)
			fprintf(b->prolog,
				"#undef __OPENCL_C_VERSION__\n"
				"#define __OPENCL_C_VERSION__ %u\n",
				known[i].version);
		return 0;
	}
	return bad(b, option,
		   "names a language version that the device does not have (CL1.1, CL1.2, CL2.0 and CL3.0 are there)");
}

static int option(struct building *b, const char *word)
{
	static const char *const passed[] = {
		"-cl-single-precision-constant",
		"-cl-denorms-are-zero",
		"-cl-fp32-correctly-rounded-divide-sqrt",
		"-cl-opt-disable",
		"-cl-strict-aliasing",
		"-cl-mad-enable",
		"-cl-no-signed-zeros",
		"-cl-unsafe-math-optimizations",
		"-cl-finite-math-only",
		"-cl-fast-relaxed-math",
		"-cl-kernel-arg-info",
		"-w",
		"-Werror",
		"-g",
	};
	/* Promises and hints that POCL does not use; it would grumble about them in the build log. */
	static const char *const dropped[] = {
		"-cl-uniform-work-group-size",
		"-cl-no-subgroup-ifp",
	};

	for (size_t i = 0; i < sizeof(passed) / sizeof(*passed); i++) {
		if (strcmp(word, passed[i]) == 0) {
			fprintf(b->text, "%s ", word);
			return 0;
		}
	}
	for (size_t i = 0; i < sizeof(dropped) / sizeof(*dropped); i++)
		if (strcmp(word, dropped[i]) == 0)
			return 0;
	if (strncmp(word, "-cl-std=", strlen("-cl-std=")) == 0)
		return language(b, word);
	if (strncmp(word, "-D", 2) == 0)
		return define(b, word + 2);
	if (strncmp(word, "-I", 2) == 0)
		return include(b, word + 2);
	return bad(b, word, "is not one that OpenCL defines");
}

static int parse(struct building *b, const char *text)
{
	char *word, *argument, *joined;
	int err;

	for (;;) {
		err = next_word(b, &text, &word);
		if (err || !word)
			return err;
		/* The only options whose argument may be a word of its own. */
		if (strcmp(word, "-D") == 0 || strcmp(word, "-I") == 0) {
			err = next_word(b, &text, &argument);
			if (!err && !argument)
				err = bad(b, word, "needs an argument");
			if (!err && asprintf(&joined, "%s%s", word, argument) < 0)
				err = -ENOMEM;
			free(word);
			free(argument);
			if (err)
				return err;
			word = joined;
		}
		err = option(b, word);
		free(word);
		if (err)
			return err;
	}
}

int mcl_options_parse(const char *text, struct mcl_options *out, struct mcl_reason *why)
{
	struct building b = { .options = out, .why = why };
	size_t text_size, prolog_size;
	int err = 0;

	memset(out, 0, sizeof(*out));
	b.text = open_memstream(&out->text, &text_size);
	b.prolog = open_memstream(&out->prolog, &prolog_size);
	if (!b.text || !b.prolog)
		err = -ENOMEM;
	if (!err)
		err = parse(&b, text ? text : "");
	if (!err && ftell(b.prolog) > 0)
		fputs("#line 1\n", b.prolog);
	if (b.text && fclose(b.text) != 0)
		err = err ? err : -ENOMEM;
	if (b.prolog && fclose(b.prolog) != 0)
		err = err ? err : -ENOMEM;
	if (err == -ENOMEM)
		mcl_reason(why, err, "no memory for the build options");
	if (err)
		mcl_options_free(out);
	return err;
}

void mcl_options_free(struct mcl_options *options)
{
	for (size_t i = 0; i < options->include_dir_count; i++)
		free(options->include_dirs[i]);
	free(options->include_dirs);
	free(options->text);
	free(options->prolog);
	memset(options, 0, sizeof(*options));
}
