/* SPDX-License-Identifier: MIT */
/*
 * Where POCL's temporary files go. Most of them follow POCL_CACHE_DIR; those for a program that rewrites bitcode
 * (POCL_BITCODE_FINALIZER) have a fixed place in /tmp and stay there when the process is killed. Knows nothing of what is in them.
 */
#ifndef MCL_POCL_TEMP_H
#define MCL_POCL_TEMP_H

/* What POCL's files for the rewriting program are called, up to the random letters. */
#define MCL_POCL_TEMP_NAME "pocl-parallel"

/*
 * Have the latter made in @folder, which must stay valid, by this process and its forks. POCL puts their names into a shell's
 * command line: a folder that could not stand there in quotes is not used.
 */
void mcl_pocl_temp_in(const char *folder);

#endif
