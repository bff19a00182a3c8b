/* SPDX-License-Identifier: MIT */
/* Where mirrorcl-cc is, and whether it or POCL has changed. Runs nothing. */
#ifndef MCL_LOCATE_H
#define MCL_LOCATE_H

#include "compiler/digest.h"
#include "support/log.h"

/*
 * The path of mirrorcl-cc, malloc'd in *@path: MIRRORCL_CC if set, else beside this library or where it was installed
 * relative to it, else in the build tree around it, else in PATH. Returns 0, -ENOENT, -ENOMEM.
 */
int mcl_locate_compiler(char **path, struct mcl_reason *why);

/*
 * Hash what tells one compiler from another without loading it: path, size and time of mirrorcl-cc at @path and of
 * POCL's library.
 */
void mcl_compiler_identity(const char *path, struct mcl_digest *digest);

#endif
