/* SPDX-License-Identifier: MIT */
/*
 * One program on its way through POCL, inside mirrorcl-cc: built once, then made code of, all at once or kernel by
 * kernel. Knows no command line.
 */
#ifndef MCL_TRANSLATE_H
#define MCL_TRANSLATE_H

#include "compiler/placeholder.h"
#include "compiler/pocl.h"

struct mcl_translation {
	/* The caller's. */
	const struct pocl_source *sources; /* compiled one by one and linked */
	uint32_t source_count;
	bool check_only; /* the sources need not make a whole; the code object is empty, until they are linked */
	bool once; /* only the description is wanted for now (serve.h) */
	const char *library; /* POCL, or NULL: the installed one */
	const char *options; /* as the code object shall name them */
	const char *self; /* this program's file, for POCL to start; needed for .jam only */
	/* From mcl_translate_warm(), else zero: POCL is loaded already. */
	struct pocl pocl;
	/* Private. */
	const char *folder; /* POCL's name of it */
	bool from_nursery; /* POCL had been loaded */
	struct pocl_program program;
};

/*
 * Load POCL, with its library of built-in functions, into a process whose children build, in folders of their own. What they need
 * is in @t->pocl then. Changes the environment of the process. Returns as pocl_open() and pocl_build(), or another -errno.
 */
int mcl_translate_warm(struct mcl_translation *t, const char *folder, struct mcl_reason *why);

/*
 * Load POCL and build. Changes the environment of the process. @log: as POCL wrote it, malloc'd, or NULL.
 * Returns as pocl_open() and pocl_build().
 */
int mcl_translate_build(struct mcl_translation *t, const char *folder, char **log, struct mcl_reason *why);

/* Link what was only checked. As mcl_translate_build(). */
int mcl_translate_link(struct mcl_translation *t, char **log, struct mcl_reason *why);

/* How many kernels there are, after a build that was not only a check. */
uint32_t mcl_translate_kernels(const struct mcl_translation *t);

/*
 * Make what @selection says into a code object, malloc'd: once in the life of a process, since POCL makes a program's
 * code once. @jam: have work-items share loops in specialised functions; where that changes nothing the kernel gets no
 * function at all. Returns as pocl_code() and mcl_assemble(); -EPROTO: POCL's binary is of an unknown version.
 */
int mcl_translate_code(struct mcl_translation *t, const char *folder, const struct mcl_selection *selection, bool jam,
		       uint8_t **code, size_t *size, struct mcl_reason *why);

/* What POCL starts for .jam: "@self --jam-bitcode @path". Leaves a note of what it did in @folder. Always 0. */
int mcl_translate_jam(const char *folder, const char *path);

#endif
