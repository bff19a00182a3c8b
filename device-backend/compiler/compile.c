// SPDX-License-Identifier: MIT
/*
 * mcl_compile(): cache, else mirrorcl-cc; see compiler.h.
 *
 * A program is cached under a hash of all that its code depends on: format, compiler (by path, size and time),
 * processor, options, source, given headers, local sizes, and the files that the text includes (includes.h). Programs
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
#include "compiler/spawn.h"
#include "compiler/target.h"
#include "compiler/verdict.h"
#include "support/config.h"

#define KEY_FORMAT "mirrorcl program 2"

static bool is_size(const uint32_t size[3])
{
	return size[0] && size[1] && size[2];
}

/* Everything that the result depends on. Returns false if that cannot be known. */
static bool make_key(const struct mcl_compile_request *req, const struct mcl_options *options, const char *compiler,
		     struct mcl_cache_key *key)
{
	const char *text = req->options ? req->options : "", *target = mcl_target_here();
	const char *kernel = req->part == MCL_COMPILE_KERNEL ? req->kernel : "";
	const uint32_t format[] = { MCL_CO_VERSION, MCL_CO_ABI_POCL_6_0, req->part, req->jam };
	struct mcl_digest digest;
	bool sound;

	mcl_digest_begin(&digest);
	mcl_digest_bytes(&digest, KEY_FORMAT, sizeof(KEY_FORMAT));
	mcl_digest_bytes(&digest, format, sizeof(format));
	mcl_compiler_identity(compiler, &digest);
	mcl_digest_field(&digest, target, strlen(target));
	mcl_digest_field(&digest, kernel, strlen(kernel));
	mcl_digest_field(&digest, text, strlen(text));
	mcl_digest_field(&digest, req->source, req->source_size);
	for (uint32_t i = 0; i < req->local_size_count; i++)
		if (is_size(req->local_sizes[i]))
			mcl_digest_field(&digest, req->local_sizes[i], sizeof(req->local_sizes[i]));
	sound = mcl_includes_hash(&digest, req->source, req->source_size, options);
	for (uint32_t i = 0; i < req->header_count; i++) {
		size_t size = strlen(req->header_sources[i]);

		mcl_digest_field(&digest, req->header_names[i], strlen(req->header_names[i]));
		mcl_digest_field(&digest, req->header_sources[i], size);
		sound = sound && mcl_includes_hash(&digest, req->header_sources[i], size, options);
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

static int run_compiler(const struct mcl_compile_request *req, const char *compiler, struct mcl_code_object **out,
			char **log, struct mcl_reason *why)
{
	struct arguments args = { 0 };
	struct mcl_spawn_result result = { 0 };
	struct mcl_spawn spawn = { .input = -1, .output = -1, .timeout_s = mcl_config()->cc_timeout_s };
	int *headers = calloc(req->header_count + 1, sizeof(*headers));
	uint32_t made = 0;
	int err;

	if (!headers)
		return mcl_reason(why, -ENOMEM, "no memory to start the compiler");
	add_argument(&args, "%s", compiler);
	add_argument(&args, by_session(req) ? "--serve-fd=%d" : "--status-fd=%d", MCL_SPAWN_STATUS_FD);
	add_argument(&args, "--output=-");
	add_argument(&args, "--options=%s", req->options ? req->options : "");
	if (by_session(req))
		goto no_parts;
	if (req->part != MCL_COMPILE_WHOLE)
		add_argument(&args, "--kernel=%s", req->part == MCL_COMPILE_KERNEL ? req->kernel : "");
	if (req->jam)
		add_argument(&args, "--jam");
	for (uint32_t i = 0; i < req->local_size_count; i++)
		if (is_size(req->local_sizes[i]))
			add_argument(&args, "--local-size=%u,%u,%u", req->local_sizes[i][0], req->local_sizes[i][1],
				     req->local_sizes[i][2]);
no_parts:
	for (uint32_t i = 0; i < req->header_count; i++)
		add_argument(&args, "--header=%s=/proc/self/fd/%u", req->header_names[i], MCL_SPAWN_FIRST_FD + i);
	add_argument(&args, "-");
	if (args.no_memory) {
		err = mcl_reason(why, -ENOMEM, "no memory to start the compiler");
		goto out;
	}

	/* Files in memory, not pipes: nothing to be fed while the compiler runs. */
	err = spawn.input = memory_file("mirrorcl-source", req->source, req->source_size);
	if (err >= 0)
		err = spawn.output = memory_file("mirrorcl-code", NULL, 0);
	for (; err >= 0 && made < req->header_count; made++)
		err = headers[made] =
			memory_file("mirrorcl-header", req->header_sources[made], strlen(req->header_sources[made]));
	if (err < 0) {
		mcl_reason(why, err, "cannot hand the program to the compiler: %s", strerror(-err));
		goto out;
	}
	if (by_session(req)) {
		uint8_t *code = NULL;
		size_t size = 0;

		err = mcl_session_run(req->session, req, args.argv, spawn.input, headers, req->header_count,
				      &result.verdict, &code, &size, &result.log, why);
		if (!err)
			err = judge(&result, compiler, why);
		if (!err)
			err = take_code(code, size, out, why);
		free(code);
		*log = result.log;
		goto out;
	}
	spawn.argv = args.argv;
	spawn.others = headers;
	spawn.other_count = req->header_count;
	err = mcl_spawn_run(&spawn, &result, why);
	if (!err)
		err = judge(&result, compiler, why);
	if (!err)
		err = take_output(spawn.output, out, why);
	*log = result.log;
out:
	for (uint32_t i = 0; i < made; i++)
		if (headers[i] >= 0)
			close(headers[i]);
	free(headers);
	if (spawn.input >= 0)
		close(spawn.input);
	if (spawn.output >= 0)
		close(spawn.output);
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
