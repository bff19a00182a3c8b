/* SPDX-License-Identifier: MIT */
/* The functions of MirrorCL's own extensions; their public header says what they do. Found by name only: icd/entry.c. */
#ifndef MCL_EXTENSIONS_H
#define MCL_EXTENSIONS_H

#include <CL/cl_ext_mirrorcl.h>

clGetContextMirrorInfoMCL_t clGetContextMirrorInfoMCL; /* context_mirror.c */
clGetEventAbortInfoMCL_t clGetEventAbortInfoMCL; /* event_abort.c */

#endif
