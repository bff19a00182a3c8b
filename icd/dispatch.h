/* SPDX-License-Identifier: MIT */
/* The loader's dispatch table (runtime/object.h declares it) by name. */
#ifndef MCL_DISPATCH_H
#define MCL_DISPATCH_H

#include "runtime/object.h"

/* The entry point called @name, or NULL if the API has none of that name. */
void *mcl_entry_point(const char *name);

#endif
