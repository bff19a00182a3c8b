/* SPDX-License-Identifier: MIT */
/* Whole files, read and written at once. */
#ifndef MCL_FILE_H
#define MCL_FILE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Read all of @path ("-": standard input), malloc'd with a zero byte behind the last. Returns 0, or -1 with errno.
 */
int mcl_file_read(const char *path, void **bytes, size_t *size);

/*
 * Make @path ("-": standard output) hold exactly these bytes. A regular file appears at once or not at all, with
 * @mode: it is written beside @path and renamed. Returns 0, or -1 with errno.
 */
int mcl_file_write(const char *path, const void *bytes, size_t size, mode_t mode);

#endif
