// SPDX-License-Identifier: MIT
/*
 * Temporary files of POCL; see pocl_temp.h.
 *
 * POCL makes them with mkostemps(), and the dynamic linker looks for that in the program before it looks in the C library. So
 * this file has one. (Only mirrorcl-cc is linked with it, nothing that an application loads.)
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/pocl_temp.h"

#define FIXED_PLACE "/tmp/"

static const char *in;

void mcl_pocl_temp_in(const char *folder)
{
	/* POCL replaces by a pattern, in which $ has a meaning. */
	in = strpbrk(folder, "'$\n") ? NULL : folder;
}

/* The C library's has a second name. */
__attribute__((visibility("default"))) int mkostemps(char *name, int suffix, int flags)
{
	static const char fixed[] = FIXED_PLACE MCL_POCL_TEMP_NAME;
	char moved[PATH_MAX];

	/* POCL's buffers have room for every path. */
	if (in && strncmp(name, fixed, strlen(fixed)) == 0 &&
	    (size_t)snprintf(moved, sizeof(moved), "%s/%s", in, name + strlen(FIXED_PLACE)) < sizeof(moved))
		strcpy(name, moved);
	return mkostemps64(name, suffix, flags);
}
