// SPDX-License-Identifier: MIT
/*
 * mirrorcl-cc: OpenCL C to a MirrorCL code object, by means of POCL's CPU compiler. A program of its own so that LLVM
 * never enters an application's process; mcl_compile() runs it, and so may people and build systems. mirrorcl-cc(1)
 * is its manual.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/dump.h"
#include "compiler/file.h"
#include "compiler/nursery.h"
#include "compiler/serve.h"
#include "compiler/source_bundle.h"
#include "compiler/sources.h"
#include "compiler/supervise.h"
#include "compiler/translate.h"
#include "compiler/verdict.h"
#include "compiler/work_folder.h"

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define CODE_FILE "out.mclo" /* in the temporary folder */

struct command {
	const char *input, *output, *log, *library;
	char *default_output;
	FILE *options_out, *variants_out; /* grow the two strings below while the command line is read */
	char *options, *variants;
	size_t options_size, variants_size;
	const char **header_names, **header_sources; /* each malloc'd; as many as .unit has */
	int status_fd, serve_fd, nursery_fd;
	const struct pocl *pocl; /* loaded already, or NULL */
	bool dump, jam, jam_bitcode, check, once;
	struct mcl_selection selection;
	/* Filled in by prepare(). */
	void *text; /* the input */
	struct mcl_compile_unit unit; /* if that is one source */
	struct mcl_bundle bundle; /* the input in any case, pointing at .unit then */
	struct mcl_sources sources;
	struct mcl_translation translation;
	char self[PATH_MAX];
};

enum {
	KEY_LOCAL_SIZE = 256,
	KEY_HEADER,
	KEY_LOG,
	KEY_DUMP,
	KEY_POCL,
	KEY_OPTIONS,
	KEY_STATUS_FD,
	KEY_KERNEL,
	KEY_JAM,
	KEY_JAM_BITCODE,
	KEY_SERVE,
	KEY_CHECK,
	KEY_NURSERY,
	KEY_ONCE,
};

static const struct argp_option option_table[] = {
	{ "output", 'o', "FILE", 0, "Write the code object to FILE ('-': standard output)", 0 },
	{ "include", 'I', "DIR", 0, "Look for included files in DIR; may be repeated", 0 },
	{ "local-size", KEY_LOCAL_SIZE, "X,Y,Z", 0,
	  "Also compile functions specialised for this work-group size; may be repeated", 0 },
	{ "header", KEY_HEADER, "NAME=FILE", 0, "Take FILE for #include \"NAME\"; may be repeated", 0 },
	{ "kernel", KEY_KERNEL, "NAME", 0,
	  "Make code of this kernel only, the others are described without; with --local-size only specialised functions",
	  0 },
	{ "jam", KEY_JAM, NULL, 0, "Let the work-items share loops in specialised functions, where that is possible",
	  0 },
	{ "log", KEY_LOG, "FILE", 0, "Write the build log to FILE instead of standard error", 0 },
	{ "dump", KEY_DUMP, NULL, 0, "Print what the code object INPUT contains", 0 },
	{ "pocl", KEY_POCL, "LIBRARY", 0, "Use this POCL library instead of the installed one", 0 },
	{ "options", KEY_OPTIONS, "TEXT", 0, "Build options in one string, as for clBuildProgram", 0 },
	{ "jam-bitcode", KEY_JAM_BITCODE, NULL, OPTION_HIDDEN, "Rewrite INPUT, an LLVM bitcode file: for POCL to call",
	  0 },
	{ "check", KEY_CHECK, NULL, 0, "Only compile, do not link: the code object will be empty", 0 },
	{ "serve-fd", KEY_SERVE, "N", OPTION_HIDDEN, "Make code of INPUT as it is asked for over this socket", 0 },
	{ "once", KEY_ONCE, NULL, OPTION_HIDDEN, "With --serve-fd: nothing but a description is wanted for now", 0 },
	{ "nursery-fd", KEY_NURSERY, "N", OPTION_HIDDEN, "Start compilers as they are asked for over this socket", 0 },
	{ "status-fd", KEY_STATUS_FD, "N", OPTION_HIDDEN, "Also write the exit status to this descriptor, as one byte",
	  0 },
	{ 0 },
};

/* Append one word to the build options so that they split into the same word again. */
static void add_word(FILE *out, const char *prefix, const char *word)
{
	fputs(prefix, out);
	for (; *word; word++) {
		if (strchr("\"'\\ \t\n", *word))
			fputc('\\', out);
		fputc(*word, out);
	}
	fputc(' ', out);
}

static void add_local_size(struct command *c, const char *text, struct argp_state *state)
{
	unsigned int size[3];
	int used = 0;

	if (sscanf(text, "%9u,%9u,%9u%n", &size[0], &size[1], &size[2], &used) != 3 || text[used] || !size[0] ||
	    !size[1] || !size[2])
		argp_error(state, "'%s' is not a work-group size: three positive numbers, as in 64,1,1", text);
	fprintf(c->variants_out, "%s%u-%u-%u-goffs0", ftell(c->variants_out) > 0 ? "," : "", size[0], size[1], size[2]);
}

/* Make room for another string behind @count. Returns whether there is. */
static bool grow(const char ***strings, uint32_t count)
{
	const char **grown = realloc((void *)*strings, (count + (size_t)1) * sizeof(*grown));

	if (grown)
		*strings = grown;
	return grown;
}

static error_t add_header(struct command *c, const char *text, struct argp_state *state)
{
	const char *equals = strrchr(text, '=');
	void *source;
	size_t size;
	char *name;

	if (!equals || equals == text) {
		argp_error(state, "'%s' does not name a header and its file, as in util.h=/path/to/util.h", text);
		return EINVAL;
	}
	if (mcl_file_read(equals + 1, &source, &size)) {
		argp_failure(state, MCL_VERDICT_USAGE, errno, "%s", equals + 1);
		return EINVAL;
	}
	name = strndup(text, (size_t)(equals - text));
	if (!name || !grow(&c->header_names, c->unit.header_count) || !grow(&c->header_sources, c->unit.header_count)) {
		free(name);
		free(source);
		argp_failure(state, MCL_VERDICT_ENVIRONMENT, ENOMEM, "%s", text);
		return ENOMEM;
	}
	c->header_names[c->unit.header_count] = name;
	c->header_sources[c->unit.header_count++] = source;
	return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct command *c = state->input;
	char *end;
	int *fd;

	switch (key) {
	case 'o':
		c->output = arg;
		return 0;
	case 'I':
		add_word(c->options_out, "-I", arg);
		return 0;
	case KEY_LOCAL_SIZE:
		add_local_size(c, arg, state);
		return 0;
	case KEY_HEADER:
		return add_header(c, arg, state);
	case KEY_LOG:
		c->log = arg;
		return 0;
	case KEY_DUMP:
		c->dump = true;
		return 0;
	case KEY_POCL:
		c->library = arg;
		return 0;
	case KEY_KERNEL:
		/* An empty name is that of no kernel. */
		c->selection.partial = true;
		c->selection.kernel = *arg ? arg : NULL;
		return 0;
	case KEY_JAM:
		c->jam = true;
		return 0;
	case KEY_CHECK:
		c->check = true;
		return 0;
	case KEY_ONCE:
		c->once = true;
		return 0;
	case KEY_JAM_BITCODE:
		c->jam_bitcode = true;
		return 0;
	case KEY_OPTIONS:
		fprintf(c->options_out, "%s ", arg);
		return 0;
	case KEY_STATUS_FD:
	case KEY_SERVE:
	case KEY_NURSERY:
		fd = key == KEY_SERVE ? &c->serve_fd : key == KEY_NURSERY ? &c->nursery_fd : &c->status_fd;
		*fd = (int)strtol(arg, &end, 10);
		if (*end || *fd < 3 || fcntl(*fd, F_SETFD, FD_CLOEXEC) < 0)
			argp_error(state, "'%s' is not an open descriptor", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			c->input = arg;
		else
			add_word(c->options_out, "", arg);
		return 0;
	case ARGP_KEY_END:
		if (!c->input && c->nursery_fd < 0)
			argp_error(state, "which program? (give a file, or '-' for standard input)");
		if (c->dump && state->arg_num > 1)
			argp_error(state, "--dump takes one code object");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* "dir/vecadd.cl" becomes "vecadd.mclo", as compilers do. */
static char *output_name(const char *input)
{
	const char *base = strrchr(input, '/') ? strrchr(input, '/') + 1 : input;
	const char *dot = strrchr(base, '.');
	char *name;

	if (strcmp(input, "-") == 0)
		return strdup("-");
	if (asprintf(&name, "%.*s.mclo", dot && dot != base ? (int)(dot - base) : (int)strlen(base), base) < 0)
		return NULL;
	return name;
}

/* The input, as one source or several. Returns a verdict. */
static int read_input(struct command *c)
{
	struct mcl_reason why;
	int err;

	if (mcl_file_read(c->input, &c->text, &c->unit.source_size)) {
		fprintf(stderr, "mirrorcl-cc: cannot read %s: %s\n", c->input, strerror(errno));
		return MCL_VERDICT_USAGE;
	}
	if (!mcl_bundle_is(c->text, c->unit.source_size)) {
		c->unit.source = c->text;
		c->unit.options = c->options;
		c->unit.header_names = c->header_names;
		c->unit.header_sources = c->header_sources;
		c->bundle = (struct mcl_bundle){ .unit_count = 1, .units = &c->unit };
		return MCL_VERDICT_OK;
	}
	if (c->options_size || c->unit.header_count) {
		fprintf(stderr, "mirrorcl-cc: %s has options and headers of its own\n", c->input);
		return MCL_VERDICT_USAGE;
	}
	err = mcl_bundle_parse(c->text, c->unit.source_size, &c->bundle, &why);
	if (err)
		fprintf(stderr, "mirrorcl-cc: %s\n", why.text);
	return err == -EBADMSG ? MCL_VERDICT_USAGE : mcl_verdict_of(err);
}

/* Read the source and check the options, before anything is started. Returns a verdict. */
static int prepare(struct command *c)
{
	struct mcl_reason why;
	ssize_t self_size;
	int verdict = read_input(c);

	if (verdict)
		return verdict;
	verdict = mcl_verdict_of(mcl_sources_prepare(c->bundle.units, c->bundle.unit_count, &c->sources, &why));
	if (verdict) {
		fprintf(stderr, "mirrorcl-cc: %s\n", why.text);
		return verdict;
	}
	if (!c->output) {
		c->output = c->default_output = output_name(c->input);
		if (!c->output) {
			fprintf(stderr, "mirrorcl-cc: no memory\n");
			return MCL_VERDICT_ENVIRONMENT;
		}
	}
	self_size = readlink("/proc/self/exe", c->self, sizeof(c->self) - 1);
	c->self[self_size < 0 ? 0 : self_size] = '\0';
	c->selection.generic = !c->variants_size;
	c->selection.variants = c->variants;
	c->translation = (struct mcl_translation){
		.sources = c->sources.sources,
		.source_count = c->sources.count,
		.check_only = c->check,
		.once = c->once,
		.library = c->library,
		.options = c->bundle.units[0].options,
		.self = c->self,
	};
	if (c->pocl)
		c->translation.pocl = *c->pocl;
	return MCL_VERDICT_OK;
}

/* POCL calls the source "<folder>/tempfile_??????.cl". People know it by another name. */
static void print_log(const struct command *c, const char *folder, const char *log, FILE *out)
{
	const char *name = strcmp(c->input, "-") == 0 ? "<program>" : c->input;
	size_t length = strlen(folder);
	const char *at, *rest;

	while ((at = strstr(log, folder))) {
		fwrite(log, 1, (size_t)(at - log), out);
		rest = at + length;
		if (strncmp(rest, "/tempfile_", 10) == 0 && strspn(rest + 10, ALPHANUMERIC) == 6 &&
		    strncmp(rest + 16, ".cl", 3) == 0) {
			fputs(name, out);
			log = rest + 19;
		} else {
			fwrite(at, 1, length, out);
			log = rest;
		}
	}
	fputs(log, out);
	if (*log && log[strlen(log) - 1] != '\n')
		fputc('\n', out);
}

static int write_log(const struct command *c, const char *folder, const char *log)
{
	FILE *out = c->log ? fopen(c->log, "we") : stderr;
	int err = 0;

	if (!out)
		return -errno;
	print_log(c, folder, log, out);
	if (ferror(out))
		err = -EIO;
	if (c->log && fclose(out) != 0)
		err = -errno;
	return err;
}

/* Link what was compiled, for the companion; @ctx as for compile(). */
static int link_parts(void *ctx)
{
	struct command *c = ctx;
	struct mcl_reason why = { .text = "no memory" };
	char *log = NULL;
	int err = mcl_translate_link(&c->translation, &log, &why);

	if (log)
		write_log(c, c->translation.folder, log);
	free(log);
	if (err)
		fprintf(stderr, "mirrorcl-cc: %s\n", why.text);
	fflush(stderr);
	return mcl_verdict_of(err);
}

/* In the child: load POCL, compile, leave the code object in @folder. */
static int compile(const char *folder, void *ctx)
{
	struct command *c = ctx;
	struct mcl_reason why = { .text = "no memory" };
	char path[PATH_MAX], *log = NULL;
	size_t size = 0;
	uint8_t *code;
	int err;

	err = mcl_translate_build(&c->translation, folder, &log, &why);
	if (log && write_log(c, c->translation.folder, log))
		fprintf(stderr, "mirrorcl-cc: cannot write the build log to %s\n", c->log);
	if (!err && c->serve_fd >= 0) {
		fflush(stderr);
		return mcl_serve(c->serve_fd, &c->translation, folder, link_parts, c);
	}
	/* A description of a single kernel would save nothing. */
	if (!err && !c->check && c->selection.partial && !c->selection.kernel &&
	    mcl_translate_kernels(&c->translation) == 1)
		c->selection.partial = false;
	if (!err)
		err = mcl_translate_code(&c->translation, folder, &c->selection, c->jam, &code, &size, &why);
	if (!err) {
		snprintf(path, sizeof(path), "%s/%s", folder, CODE_FILE);
		if (mcl_file_write(path, code, size, 0600))
			err = mcl_reason(&why, -EIO, "cannot write to %s: %s", folder, strerror(errno));
	}
	if (mcl_verdict_of(err) == MCL_VERDICT_BUILD_FAILED && mcl_work_folder_full(folder))
		err = mcl_reason(&why, -ENOSPC, "no room for temporary files in %s", folder);
	if (err)
		fprintf(stderr, "mirrorcl-cc: %s\n", why.text);
	if (c->serve_fd >= 0 && mcl_verdict_of(err) != MCL_VERDICT_CRASHED) {
		fflush(stderr);
		mcl_serve_verdict(c->serve_fd, mcl_verdict_of(err));
	}
	return mcl_verdict_of(err);
}

static int deliver_nothing(const char *folder, void *ctx)
{
	(void)folder, (void)ctx;
	return MCL_VERDICT_OK;
}

/* In the parent: check what the child left and put it where it was asked for. */
static int deliver(const char *folder, void *ctx)
{
	struct command *c = ctx;
	struct mcl_code_object *co;
	struct mcl_reason why;
	char path[PATH_MAX];
	mode_t mask;
	int err;

	mask = umask(0);
	umask(mask);
	snprintf(path, sizeof(path), "%s/%s", folder, CODE_FILE);
	err = mcl_code_object_open(path, &co, &why);
	if (err) {
		fprintf(stderr, "mirrorcl-cc: internal error: %s\n", why.text);
		return MCL_VERDICT_CRASHED;
	}
	if (mcl_file_write(c->output, co->bytes, co->size, 0666 & ~mask)) {
		fprintf(stderr, "mirrorcl-cc: cannot write %s: %s\n", c->output, strerror(errno));
		err = -EINVAL;
	}
	mcl_code_object_put(co);
	return mcl_verdict_of(err);
}

static void free_command(struct command *c)
{
	for (uint32_t i = 0; i < c->unit.header_count; i++) {
		free((char *)c->header_names[i]);
		free((char *)c->header_sources[i]);
	}
	free((void *)c->header_names);
	free((void *)c->header_sources);
	free(c->options);
	free(c->variants);
	mcl_sources_free(&c->sources);
	if (c->bundle.units != &c->unit)
		mcl_bundle_free(&c->bundle);
	free(c->text);
	free(c->default_output);
}

static int dump(const char *path)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	int err = mcl_code_object_open(path, &co, &why);

	if (err) {
		fprintf(stderr, "mirrorcl-cc: %s\n", why.text);
		return err == -EPROTO || err == -ENOEXEC ? MCL_VERDICT_UNKNOWN_VERSION : MCL_VERDICT_USAGE;
	}
	mcl_code_object_dump(co, stdout);
	mcl_code_object_put(co);
	return fflush(stdout) ? MCL_VERDICT_USAGE : MCL_VERDICT_OK;
}

static int followed = -1; /* the application's pipe or socket, for the handler */

static void on_pipe_event(int sig)
{
	struct pollfd p = { .fd = followed, .events = POLLRDHUP };

	(void)sig;
	if (poll(&p, 1, 0) > 0 && p.revents & (POLLERR | POLLHUP | POLLRDHUP))
		raise(SIGTERM);
}

/*
 * Get SIGTERM when nobody reads what we say any more: the application has ended. (The death of our parent would say nothing:
 * we have been given to another one, so that the application's wait() does not meet us.)
 */
static void follow_reader(int fd)
{
	struct sigaction action = { .sa_handler = on_pipe_event, .sa_flags = SA_RESTART };

	followed = fd;
	sigemptyset(&action.sa_mask);
	sigaction(SIGIO, &action, NULL);
	if (fcntl(fd, F_SETOWN, getpid()) || fcntl(fd, F_SETFL, O_ASYNC))
		return; /* no pipe: somebody's file, which does not go away */
	on_pipe_event(SIGIO); /* it may have happened before */
}

/* Returns a verdict; with @flags of ARGP_NO_EXIT only if the command line is of no use. */
static int read_command(struct command *c, int argc, char **argv, unsigned int flags)
{
	static const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.args_doc = "INPUT [-- BUILD-OPTION...]",
		.doc = "Compile INPUT ('-': standard input), an OpenCL C program, a SPIR-V module or what clCompileProgram made of one, into a "
		       "MirrorCL code object."
		       "\vExit status: 0 done, 1 the program does not compile, 2 usage or build options, 3 POCL is missing or does "
		       "not work, 4 POCL or a code object of an unknown version, 5 the compiler crashed.",
	};

	c->status_fd = c->serve_fd = c->nursery_fd = -1;
	c->options_out = open_memstream(&c->options, &c->options_size);
	c->variants_out = open_memstream(&c->variants, &c->variants_size);
	if (!c->options_out || !c->variants_out) {
		fprintf(stderr, "mirrorcl-cc: no memory\n");
		return MCL_VERDICT_ENVIRONMENT;
	}
	if (argp_parse(&argp, argc, argv, flags, NULL, c))
		return MCL_VERDICT_USAGE;
	if (fclose(c->options_out) || fclose(c->variants_out)) {
		fprintf(stderr, "mirrorcl-cc: no memory\n");
		return MCL_VERDICT_ENVIRONMENT;
	}
	return MCL_VERDICT_OK;
}

/* Do what was asked for, and say how it ended to whom that is to be said. Returns the verdict. */
static int run_command(struct command *c)
{
	int verdict;

	if (c->status_fd >= 0 || c->serve_fd >= 0)
		follow_reader(c->serve_fd >= 0 ? c->serve_fd : c->status_fd);
	if (c->jam_bitcode) {
		verdict = mcl_translate_jam(getenv("POCL_CACHE_DIR") ? getenv("POCL_CACHE_DIR") : "/tmp", c->input);
		fflush(NULL);
		_exit(verdict); /* with LLVM's objects, which to free one by one would only cost time */
	}
	verdict = c->dump ? dump(c->input) : prepare(c);
	if (c->serve_fd >= 0 && verdict != MCL_VERDICT_OK)
		mcl_serve_verdict(c->serve_fd, verdict);
	if (!c->dump && verdict == MCL_VERDICT_OK) {
		verdict = mcl_supervise(compile, c->serve_fd < 0 ? deliver : deliver_nothing, c);
		if (c->serve_fd >= 0 && verdict == MCL_VERDICT_CRASHED)
			mcl_serve_verdict(c->serve_fd, verdict);
	}
	if (c->status_fd >= 0) {
		unsigned char byte = (unsigned char)verdict;

		if (write(c->status_fd, &byte, 1) != 1)
			verdict = MCL_VERDICT_CRASHED;
	}
	return verdict;
}

/* In a child of the nursery, whose command @ctx is: a compiler like any other, but that POCL is there. */
static int become(int argc, char **argv, void *ctx)
{
	const struct command *nursery = ctx;
	struct command c = { .library = nursery->library, .pocl = &nursery->translation.pocl };
	int verdict = read_command(&c, argc, argv, ARGP_NO_EXIT);

	return verdict ? verdict : run_command(&c);
}

/* In the nursery's child: load POCL, and wait for programs. */
static int nurse(const char *folder, void *ctx)
{
	struct command *c = ctx;
	struct mcl_reason why = { "" };
	int err;

	c->translation = (struct mcl_translation){ .library = c->library };
	err = mcl_translate_warm(&c->translation, folder, &why);
	return err ? mcl_verdict_of(err) : mcl_nursery_serve(c->nursery_fd, become, c);
}

int main(int argc, char **argv)
{
	struct command c = { 0 };
	int verdict;

	/* Assigned, not defined: our symbols are hidden, and argp would not see them. */
	argp_program_version = "mirrorcl-cc " MCL_VERSION;
	argp_err_exit_status = MCL_VERDICT_USAGE;
	verdict = read_command(&c, argc, argv, 0);
	if (verdict)
		return verdict;
	/*
	 * Started by a setuid program (whose caller's environment does not come this far): POCL asks what the real user may
	 * do, who may not even look into the work folder.
	 */
	if (setresgid(getegid(), getegid(), getegid()) || setresuid(geteuid(), geteuid(), geteuid())) {
		fprintf(stderr, "mirrorcl-cc: cannot become the user that it works for: %s\n", strerror(errno));
		return MCL_VERDICT_ENVIRONMENT;
	}
	if (c.nursery_fd >= 0) {
		follow_reader(c.nursery_fd);
		verdict = mcl_supervise(nurse, deliver_nothing, &c);
	} else {
		verdict = run_command(&c);
	}
	free_command(&c);
	return verdict;
}
