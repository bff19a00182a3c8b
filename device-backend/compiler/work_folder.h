/* SPDX-License-Identifier: MIT */
/*
 * The private temporary folder of one run of mirrorcl-cc. It is locked for as long as the run lives, so that a later run
 * can tell the folder of a killed one and remove it.
 */
#ifndef MCL_WORK_FOLDER_H
#define MCL_WORK_FOLDER_H

#include <limits.h>
#include <stdbool.h>

struct mcl_work_folder {
	char path[PATH_MAX];
	int lock; /* inherited by the child, not by what it executes */
};

/*
 * Make one in $TMPDIR, or in /tmp where that is not usable, and remove what killed runs of this user left there.
 * Returns 0, or -1 after a message on standard error.
 */
int mcl_work_folder_make(struct mcl_work_folder *folder);

/* Whether there is no room left for what a compilation writes: POCL does not tell that from a program that is wrong. */
bool mcl_work_folder_full(const char *path);

/* Remove it with everything in it. */
void mcl_work_folder_remove(struct mcl_work_folder *folder);

#endif
