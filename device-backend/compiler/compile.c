// SPDX-License-Identifier: MIT
/*
 * mcl_compile(): cache, else mirrorcl-cc; see compiler.h.
 *
 * A program is cached under a hash of all that its code depends on: format, compiler (by path, size and time),
 * processor, options, sources, given headers, local sizes, and the files that the text includes (includes.h). Programs
 * of which that cannot be said are compiled every time. Failed builds are not cached.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/cache.h"
#include "compiler/compiler.h"
#include "compiler/digest.h"
#include "compiler/includes.h"
#include "compiler/locate.h"
#include "compiler/options.h"
#include "compiler/session.h"
#include "compiler/source_bundle.h"
#include "compiler/spawn.h"
#include "compiler/spirv.h"
#include "compiler/target.h"
#include "compiler/verdict.h"
#include "support/config.h"

#define KEY_FORMAT "mirrorcl program 2"

static bool is_size(const uint32_t size[3])
{
	return size[0] && size[1] && size[2];
}

static struct mcl_compile_unit first_unit(const struct mcl_compile_request *req)
{
	return (struct mcl_compile_unit){
		.source = req->source,
		.source_size = req->source_size,
		.options = req->options,
		.header_count = req->header_count,
		.header_names = req->header_names,
		.header_sources = req->header_sources,
	};
}

/* What one source, whose options are also @options, brings into the key. Returns false if that cannot be known. */
static bool hash_unit(struct mcl_digest *digest, const struct mcl_compile_unit *unit, const struct mcl_options *options)
{
	const char *text = unit->options ? unit->options : "";
	bool sound;

	mcl_digest_field(digest, text, strlen(text));
	mcl_digest_field(digest, unit->source, unit->source_size);
	/* A SPIR-V module includes nothing. */
	sound = mcl_spirv_is(unit->source, unit->source_size) ||
		mcl_includes_hash(digest, unit->source, unit->source_size, options);
	for (uint32_t i = 0; i < unit->header_count; i++) {
		size_t size = strlen(unit->header_sources[i]);

		mcl_digest_field(digest, unit->header_names[i], strlen(unit->header_names[i]));
		mcl_digest_field(digest, unit->header_sources[i], size);
		sound = sound && mcl_includes_hash(digest, unit->header_sources[i], size, options);
	}
	return sound;
}

/* Everything that the result depends on. Returns false if that cannot be known. */
static bool make_key(const struct mcl_compile_request *req, const struct mcl_options *options, const char *compiler,
		     struct mcl_cache_key *key)
{
	const char *kernel = req->part == MCL_COMPILE_KERNEL ? req->kernel : "", *target = mcl_target_here();
	const uint32_t format[] = { MCL_CO_VERSION, MCL_CO_ABI_POCL_6_0, req->part, req->jam, req->more_count };
	const struct mcl_compile_unit first = first_unit(req);
	struct mcl_digest digest;
	bool sound;

	mcl_digest_begin(&digest);
	mcl_digest_bytes(&digest, KEY_FORMAT, sizeof(KEY_FORMAT));
	mcl_digest_bytes(&digest, format, sizeof(format));
	mcl_compiler_identity(compiler, &digest);
	mcl_digest_field(&digest, target, strlen(target));
	mcl_digest_field(&digest, kernel, strlen(kernel));
	for (uint32_t i = 0; i < req->local_size_count; i++)
		if (is_size(req->local_sizes[i]))
			mcl_digest_field(&digest, req->local_sizes[i], sizeof(req->local_sizes[i]));
	sound = hash_unit(&digest, &first, options);
	for (uint32_t i = 0; sound && i < req->more_count; i++) {
		struct mcl_options own;

		sound = mcl_options_parse(req->more[i].options, &own, NULL) == 0;
		if (sound) {
			sound = hash_unit(&digest, &req->more[i], &own);
			mcl_options_free(&own);
		}
	}
	mcl_digest_end(&digest, key->digest);
	return sound;
}

/* An unnamed file with this content, read from its start. A descriptor, or -errno. */
static int memory_file(const char *name, const void *bytes, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (size) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int err = n ? -errno : -EIO;

			close(fd);
			return err;
		}
		bytes = (const uint8_t *)bytes + n;
		size -= (size_t)n;
	}
	if (lseek(fd, 0, SEEK_SET) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* The command line. Strings that were made for it are freed with it. */
struct arguments {
	const char **argv;
	size_t used, capacity;
	bool no_memory;
};

__attribute__((format(printf, 2, 3))) static void add_argument(struct arguments *a, const char *fmt, ...)
{
	char *text;
	va_list ap;

	if (a->used + 1 >= a->capacity) {
		size_t capacity = a->capacity ? a->capacity * 2 : 16;
		const char **grown = realloc(a->argv, capacity * sizeof(*grown));

		if (!grown) {
			a->no_memory = true;
			return;
		}
		a->argv = grown;
		a->capacity = capacity;
	}
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!text) {
		a->no_memory = true;
		return;
	}
	a->argv[a->used++] = text;
	a->argv[a->used] = NULL;
}

static void free_arguments(struct arguments *a)
{
	for (size_t i = 0; i < a->used; i++)
		free((char *)a->argv[i]);
	free(a->argv);
}

/* The last sentence that mirrorcl-cc itself wrote, or @fallback. */
static void last_words(const struct mcl_spawn_result *result, const char *fallback, char *out, size_t size)
{
	static const char prefix[] = "mirrorcl-cc: ";
	const char *found = NULL;

	for (const char *line = result->log; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, prefix, sizeof(prefix) - 1) == 0)
			found = line + sizeof(prefix) - 1;
	}
	if (found)
		snprintf(out, size, "%.*s", (int)strcspn(found, "\n"), found);
	else
		snprintf(out, size, "%s", fallback);
}

/* What the end of the child means. */
static int judge(const struct mcl_spawn_result *result, const char *compiler, struct mcl_reason *why)
{
	char words[300];

	switch (result->verdict) {
	case MCL_VERDICT_OK:
		return 0;
	case MCL_VERDICT_BUILD_FAILED:
		last_words(result, "the program does not compile", words, sizeof(words));
		return mcl_reason(why, -ENOEXEC, "%s", words);
	case MCL_VERDICT_USAGE:
		last_words(result, "the compiler refused the build options", words, sizeof(words));
		return mcl_reason(why, -EINVAL, "%s", words);
	case MCL_VERDICT_ENVIRONMENT:
		last_words(result, "the compiler cannot work here", words, sizeof(words));
		return mcl_reason(why, -ENOENT, "%s", words);
	case MCL_VERDICT_UNKNOWN_VERSION:
		last_words(result, "POCL has an unknown version", words, sizeof(words));
		return mcl_reason(why, -EPROTO, "%s", words);
	case MCL_VERDICT_CRASHED:
		last_words(result, "the compiler crashed", words, sizeof(words));
		return mcl_reason(why, -ECHILD, "%s", words);
	}
	return mcl_reason(why, -ECHILD, "%.200s crashed, was killed or is no mirrorcl-cc: it ended without a verdict",
			  compiler);
}

/* Check what the compiler left. */
static int take_code(const void *bytes, size_t size, struct mcl_code_object **out, struct mcl_reason *why)
{
	struct mcl_reason inner;
	int err;

	if (!size)
		return mcl_reason(why, -ECHILD, "the compiler left no code");
	err = mcl_code_object_parse(bytes, size, out, &inner);
	if (err == -EPROTO || err == -ENOMEM)
		return mcl_reason(why, err, "%s", inner.text);
	if (err)
		return mcl_reason(why, -ECHILD, "the compiler left unusable code: %.300s", inner.text);
	return 0;
}

/* The same for a file. */
static int take_output(int output, struct mcl_code_object **out, struct mcl_reason *why)
{
	off_t size = lseek(output, 0, SEEK_END);
	void *bytes = size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, output, 0) : MAP_FAILED;
	int err;

	if (bytes == MAP_FAILED)
		return take_code(NULL, 0, out, why);
	err = take_code(bytes, (size_t)size, out, why);
	munmap(bytes, (size_t)size);
	return err;
}

/* Whether a companion can do it: one function at a time. */
static bool by_session(const struct mcl_compile_request *req)
{
	return req->session && req->part != MCL_COMPILE_WHOLE && req->local_size_count <= 1;
}

/* Which part is wanted, for a compiler that does it and ends. */
static void add_part(const struct mcl_compile_request *req, struct arguments *args)
{
	if (req->part == MCL_COMPILE_DESCRIPTION || req->part == MCL_COMPILE_KERNEL)
		add_argument(args, "--kernel=%s", req->part == MCL_COMPILE_KERNEL ? req->kernel : "");
	if (req->jam)
		add_argument(args, "--jam");
	for (uint32_t i = 0; i < req->local_size_count; i++)
		if (is_size(req->local_sizes[i]))
			add_argument(args, "--local-size=%u,%u,%u", req->local_sizes[i][0], req->local_sizes[i][1],
				     req->local_sizes[i][2]);
}

/* A single source that has no headers is its own text, with its options on the command line. */
static bool is_plain(const struct mcl_compile_request *req)
{
	return !req->header_count && !req->more_count;
}

/* What the compiler reads: a file in memory, not a pipe, so that nothing has to be fed. A descriptor or -errno. */
static int make_input(const struct mcl_compile_request *req)
{
	struct mcl_compile_unit *units;
	uint8_t *bytes;
	size_t size;
	int fd;

	if (is_plain(req))
		return memory_file("mirrorcl-source", req->source, req->source_size);
	units = calloc(req->more_count + (size_t)1, sizeof(*units));
	if (!units)
		return -ENOMEM;
	units[0] = first_unit(req);
	for (uint32_t i = 0; i < req->more_count; i++)
		units[1 + i] = req->more[i];
	fd = mcl_bundle_write(units, req->more_count + 1, MCL_BUNDLE_OBJECT, &bytes, &size);
	free(units);
	if (fd)
		return fd;
	fd = memory_file("mirrorcl-source", bytes, size);
	free(bytes);
	return fd;
}

/* Have a companion do it. */
static int run_session(const struct mcl_compile_request *req, const struct mcl_spawn *spawn,
		       struct mcl_code_object **out, char **log, struct mcl_reason *why)
{
	struct mcl_spawn_result result = { 0 };
	uint8_t *code = NULL;
	size_t size = 0;
	int err;

	err = mcl_session_run(req->session, req, spawn->argv, spawn->input, &result.verdict, &code, &size, &result.log,
			      why);
	if (!err)
		err = judge(&result, spawn->argv[0], why);
	if (!err)
		err = take_code(code, size, out, why);
	free(code);
	*log = result.log;
	return err;
}

/* Start a compiler that does it and ends. */
static int run_once(struct mcl_spawn *spawn, struct mcl_code_object **out, char **log, struct mcl_reason *why)
{
	struct mcl_spawn_result result = { 0 };
	int err;

	spawn->output = memory_file("mirrorcl-code", NULL, 0);
	if (spawn->output < 0)
		return mcl_reason(why, spawn->output, "cannot take the compiler's code: %s", strerror(-spawn->output));
	err = mcl_spawn_run(spawn, &result, why);
	if (!err)
		err = judge(&result, spawn->argv[0], why);
	if (!err)
		err = take_output(spawn->output, out, why);
	*log = result.log;
	close(spawn->output);
	return err;
}

static int run_compiler(const struct mcl_compile_request *req, const char *compiler, struct mcl_code_object **out,
			char **log, struct mcl_reason *why)
{
	struct mcl_spawn spawn = { .timeout_s = mcl_config()->cc_timeout_s };
	struct arguments args = { 0 };
	int err;

	add_argument(&args, "%s", compiler);
	add_argument(&args, by_session(req) ? "--serve-fd=%d" : "--status-fd=%d", MCL_SPAWN_STATUS_FD);
	add_argument(&args, "--output=-");
	if (is_plain(req))
		add_argument(&args, "--options=%s", req->options ? req->options : "");
	if (req->part == MCL_COMPILE_CHECK)
		add_argument(&args, "--check");
	if (!by_session(req))
		add_part(req, &args);
	else if (req->part == MCL_COMPILE_DESCRIPTION)
		add_argument(&args, "--once");
	add_argument(&args, "-");
	if (args.no_memory) {
		err = mcl_reason(why, -ENOMEM, "no memory to start the compiler");
		goto out;
	}
	spawn.argv = args.argv;
	spawn.input = make_input(req);
	if (spawn.input < 0) {
		err = mcl_reason(why, spawn.input, "cannot hand the program to the compiler: %s",
				 strerror(-spawn.input));
		goto out;
	}
	err = by_session(req) ? run_session(req, &spawn, out, log, why) : run_once(&spawn, out, log, why);
	close(spawn.input);
out:
	free_arguments(&args);
	return err;
}

static int compile(const struct mcl_compile_request *req, struct mcl_code_object **out, char **log,
		   struct mcl_reason *why)
{
	uint32_t timeout_s = mcl_config()->cc_timeout_s;
	struct mcl_options options;
	struct mcl_cache_key key;
	struct mcl_cache cache;
	char *compiler;
	bool cached;
	int lock, err;

	err = mcl_options_parse(req->options, &options, why);
	if (err)
		return err;
	err = mcl_locate_compiler(&compiler, why);
	if (err)
		goto out_options;
	cached = mcl_cache_open(&cache) && make_key(req, &options, compiler, &key);
	if (!cached) {
		err = req->cached_only ? -ENODATA : run_compiler(req, compiler, out, log, why);
		goto out_compiler;
	}
	if (mcl_cache_find(&cache, &key, out, log))
		goto out_compiler;
	if (req->cached_only) {
		err = -ENODATA;
		goto out_compiler;
	}
	/* Another thread or process may be at it: its result will do. */
	lock = mcl_cache_lock(&cache, &key, timeout_s && timeout_s < 3600 ? timeout_s * 1000 : 3600 * 1000);
	if (lock < 0 || !mcl_cache_find(&cache, &key, out, log)) {
		err = run_compiler(req, compiler, out, log, why);
		if (!err)
			mcl_cache_store(&cache, &key, *out, *log);
	}
	mcl_cache_unlock(lock);
out_compiler:
	free(compiler);
out_options:
	mcl_options_free(&options);
	return err;
}

int mcl_compile(const struct mcl_compile_request *req, struct mcl_code_object **out, char **log, struct mcl_reason *why)
{
	struct mcl_reason reason = { .text = "" };
	char *text = NULL;
	int err;

	*out = NULL;
	err = compile(req, out, &text, &reason);
	/* Whoever reads only the log must find the reason there too. */
	if (!text)
		text = strdup(err ? reason.text : "");
	if (err && why)
		*why = reason;
	if (log)
		*log = text;
	else
		free(text);
	return err;
}
