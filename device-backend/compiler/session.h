/* SPDX-License-Identifier: MIT */
/*
 * The host's end of a mirrorcl-cc that serves one program (serve.h): compiling a program's kernels one by one without
 * reading its source each time. Starts the companion when there is something to compile, again if it has gone, and keeps
 * only a few of them alive in a process. Knows no cache.
 */
#ifndef MCL_SESSION_H
#define MCL_SESSION_H

#include "compiler/compiler.h"

/*
 * Compile @req, whose part is not MCL_COMPILE_WHOLE (what was MCL_COMPILE_CHECK is linked for the next part, in the same process), with @argv (NULL terminated: the compiler and its arguments up to
 * the parts) on @input. Thread-safe: one at a time. @log: what the compiler said since the last call, malloc'd or NULL.
 * Returns 0 with its verdict (enum mcl_verdict, or -1: none) in *@verdict and the bytes it left in *@code, malloc'd;
 * -ETIMEDOUT: it hung and was killed; or as mcl_spawn_run().
 */
int mcl_session_run(struct mcl_session *s, const struct mcl_compile_request *req, const char *const *argv, int input,
		    int *verdict, uint8_t **code, size_t *size, char **log, struct mcl_reason *why);

#endif
