/* SPDX-License-Identifier: MIT */
/* A code object as text for people: kernels, arguments, variants. */
#ifndef MCL_DUMP_H
#define MCL_DUMP_H

#include <stdio.h>

#include "compiler/code_object.h"

void mcl_code_object_dump(const struct mcl_code_object *co, FILE *out);

#endif
