/* SPDX-License-Identifier: MIT */
/* Where the other parts of MirrorCL lie, seen from the running program: in a build folder or below an installation prefix. */
#ifndef MCL_TOOLS_LOCATE_H
#define MCL_TOOLS_LOCATE_H

#include <stddef.h>

#include "support/log.h"

/*
 * The folder whose only .icd file is MirrorCL's, for OCL_ICD_VENDORS. Returns 0; -ENOENT: this program is neither in a
 * build folder nor installed; -ENXIO: the library that the file names is not there, as after the installation was moved;
 * -ENAMETOOLONG; -errno of reading /proc/self/exe or the file. @why has it in words.
 */
int locate_vendors(char *path, size_t size, struct mcl_reason *why);

#endif
