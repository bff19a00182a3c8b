/* SPDX-License-Identifier: MIT */
/* Sizes and times for people: three digits and a unit. */
#ifndef MCL_TOOLS_UNITS_H
#define MCL_TOOLS_UNITS_H

#include <stddef.h>

/* "1.50 KiB", "87.0 us", "0 B"; written to @text (16 bytes are enough), which is returned. */
char *format_bytes(double bytes, char *text, size_t size);
char *format_ns(double ns, char *text, size_t size);

#endif
