// SPDX-License-Identifier: MIT
/* From source to code object; see translate.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/assemble.h"
#include "compiler/jam.h"
#include "compiler/order.h"
#include "compiler/pocl_temp.h"
#include "compiler/target.h"
#include "compiler/translate.h"

#define NOTES "jammed"

/* POCL asks once where to write. So that each child of a process may write elsewhere, that is a name for a descriptor's folder. */
#define FOLDER_FD 100
#define FOLDER_NAME "/proc/self/fd/100"

/* @folder is what FOLDER_NAME leads to, here and in what this process starts. 0 or -errno. */
static int move_in(const char *folder)
{
	const int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (dup2(fd, FOLDER_FD) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* Load POCL, which is to write to @folder; that string has to stay. */
static int load(struct mcl_translation *t, const char *folder, struct mcl_reason *why)
{
	int err = pocl_environment(folder);

	t->folder = folder;
	mcl_pocl_temp_in(folder);
	return err ? mcl_reason(why, err, "no memory") : pocl_open(t->library, &t->pocl, why);
}

int mcl_translate_warm(struct mcl_translation *t, const char *folder, struct mcl_reason *why)
{
	static const char text[] = "kernel void nothing(void) {}\n";
	const struct pocl_source nothing = { .text = text, .size = sizeof(text) - 1, .options = "" };
	struct pocl_program program = { 0 };
	char *log = NULL;
	int err = move_in(folder);

	if (err)
		return mcl_reason(why, err, "%s: %s", folder, strerror(-err));
	err = load(t, FOLDER_NAME, why);
	if (!err)
		err = pocl_build(&t->pocl, &nothing, 1, false, &program, &log, why);
	free(log);
	return err;
}

int mcl_translate_build(struct mcl_translation *t, const char *folder, char **log, struct mcl_reason *why)
{
	int err;

	*log = NULL;
	if (t->pocl.context) {
		t->folder = FOLDER_NAME;
		t->from_nursery = true;
		err = move_in(folder);
		if (err)
			return mcl_reason(why, err, "%s: %s", folder, strerror(-err));
	} else {
		err = load(t, folder, why);
	}
	return err ? err : pocl_build(&t->pocl, t->sources, t->source_count, t->check_only, &t->program, log, why);
}

int mcl_translate_link(struct mcl_translation *t, char **log, struct mcl_reason *why)
{
	t->check_only = false;
	return pocl_link(&t->pocl, &t->program, log, why);
}

uint32_t mcl_translate_kernels(const struct mcl_translation *t)
{
	uint32_t count = *t->program.kernels != '\0';

	for (const char *p = t->program.kernels; *p; p++)
		count += *p == ';';
	return count;
}

/* Have POCL give the bitcode of each function to this program before it makes machine code of it. */
static int request_jam(const struct mcl_translation *t)
{
	char *command;
	int err;

	/* A shell reads it. */
	if (strchr(t->self, '\'') || asprintf(&command, "'%s' --jam-bitcode '%%(bc)'", t->self) < 0)
		return -ENOMEM;
	err = setenv("POCL_BITCODE_FINALIZER", command, 1) ? -ENOMEM : 0;
	free(command);
	return err;
}

/* Remove the files that POCL handed the bitcode over in and left there. Returns whether anything was jammed. */
static bool read_notes(const char *folder)
{
	char path[PATH_MAX], line[PATH_MAX];
	bool jammed = false;
	FILE *notes;

	snprintf(path, sizeof(path), "%s/" NOTES, folder);
	notes = fopen(path, "re");
	while (notes && fgets(line, sizeof(line), notes)) {
		const char *name = strrchr(line, '/');

		line[strcspn(line, "\n")] = '\0';
		jammed |= line[0] == '1';
		if (name && strncmp(name + 1, MCL_POCL_TEMP_NAME, strlen(MCL_POCL_TEMP_NAME)) == 0)
			unlink(line + 1);
	}
	if (notes)
		fclose(notes);
	snprintf(path, sizeof(path), "%s/" NOTES, folder);
	unlink(path);
	return jammed;
}

int mcl_translate_jam(const char *folder, const char *path)
{
	struct mcl_reason why = { "" };
	char notes[PATH_MAX];
	int done = mcl_jam_file(path, &why);
	FILE *out;

	if (done < 0)
		fprintf(stderr, "mirrorcl-cc: work-items do not share loops: %s\n", why.text);
	snprintf(notes, sizeof(notes), "%s/" NOTES, folder);
	out = fopen(notes, "ae");
	if (out) {
		fprintf(out, "%d%s\n", done == 1, path);
		fclose(out);
	}
	return 0;
}

/* POCL's code of what @selection says: @bin, which points into *@binary, malloc'd. */
static int generate(struct mcl_translation *t, const char *folder, const struct mcl_selection *selection, bool jam,
		    uint8_t **binary, struct poclbin *bin, struct mcl_reason *why)
{
	size_t size;
	int err;

	if (setenv("POCL_BINARY_SPECIALIZE_WG", selection->variants ? selection->variants : "", 1) ||
	    (jam && request_jam(t)))
		return mcl_reason(why, -ENOMEM, "no memory");
	err = mcl_placeholder_plant(folder, t->program.kernels, selection);
	if (err == -ENOMEM)
		return mcl_reason(why, err, "no memory");
	err = pocl_code(&t->pocl, &t->program, binary, &size, why);
	if (!err)
		err = poclbin_parse(*binary, size, bin, why);
	if (!err && jam && !read_notes(folder))
		for (uint32_t i = 0; i < bin->kernel_count; i++)
			bin->kernels[i].file_count = 0;
	return err;
}

/* Of the program in POCL's container. NULL: not known. */
static struct mcl_order *find_order(const struct poclbin *bin)
{
	for (uint32_t i = 0; i < bin->file_count; i++)
		if (strcmp(bin->files[i].path, "/program.bc") == 0)
			return mcl_order_open(bin->files[i].bytes, bin->files[i].size);
	return NULL;
}

int mcl_translate_code(struct mcl_translation *t, const char *folder, const struct mcl_selection *selection, bool jam,
		       uint8_t **code, size_t *size, struct mcl_reason *why)
{
	char target[512];
	struct mcl_assembly assembly = {
		.target = target,
		.producer = t->pocl.producer,
		.options = t->options,
		.partial = selection->partial,
		.no_globals = selection->partial && selection->kernel,
		.jammed = jam,
	};
	struct mcl_order *order;
	struct mcl_co_writer writer;
	struct poclbin bin = { 0 };
	uint8_t *binary = NULL;
	int err = 0;

	if (!t->check_only)
		err = generate(t, folder, selection, jam, &binary, &bin, why);
	if (err)
		goto out_binary;
	snprintf(target, sizeof(target), "%s %s", mcl_target_here(), t->pocl.target);
	mcl_co_writer_init(&writer);
	assembly.order = order = find_order(&bin);
	err = mcl_assemble(&bin, &assembly, &writer, why);
	mcl_order_close(order);
	if (!err) {
		err = mcl_co_writer_finish(&writer, code, size);
		if (err)
			mcl_reason(why, err, "the code object is too large");
	}
	mcl_co_writer_free(&writer);
	poclbin_free(&bin);
out_binary:
	free(binary);
	return err;
}
