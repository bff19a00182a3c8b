/* SPDX-License-Identifier: MIT */
/*
 * How mirrorcl-cc ends: its exit status, and the one byte that it writes to the descriptor named by --status-fd,
 * which mcl_compile() reads because an application may reap our child before us. Part of the manual page: never
 * renumber.
 */
#ifndef MCL_VERDICT_H
#define MCL_VERDICT_H

#include <errno.h>

enum mcl_verdict {
	MCL_VERDICT_OK = 0,
	MCL_VERDICT_BUILD_FAILED = 1, /* the program does not compile; the log says why */
	MCL_VERDICT_USAGE = 2, /* command line, build options, files that cannot be read or written */
	MCL_VERDICT_ENVIRONMENT = 3, /* POCL is missing or does not work, no room for temporary files, no memory */
	MCL_VERDICT_UNKNOWN_VERSION = 4, /* POCL or a code object of another version */
	MCL_VERDICT_CRASHED = 5, /* the compiler crashed */
};

/* What the -errno of a step inside mirrorcl-cc means. */
static inline int mcl_verdict_of(int err)
{
	switch (err) {
	case 0:
		return MCL_VERDICT_OK;
	case -ENOEXEC:
	case -ENOTSUP:
		return MCL_VERDICT_BUILD_FAILED;
	case -EINVAL:
		return MCL_VERDICT_USAGE;
	case -EPROTO:
		return MCL_VERDICT_UNKNOWN_VERSION;
	default:
		return MCL_VERDICT_ENVIRONMENT;
	}
}

#endif
