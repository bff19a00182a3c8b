/* SPDX-License-Identifier: MIT */
/*
 * Options from the environment, read once. The table is config.def; there is no configuration file.
 * Does not act on any option: each part reads its own fields.
 */
#ifndef MCL_CONFIG_H
#define MCL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MCL_CTYPE_STRING const char *
#define MCL_CTYPE_UINT uint32_t
#define MCL_CTYPE_SIZE uint64_t
#define MCL_CTYPE_BOOL bool

struct mcl_config {
#define MCL_OPTION(id, type, name, def, help) MCL_CTYPE_##type id;
#include "support/config.def"
#undef MCL_OPTION
};

/*
 * The process's options; parsed on the first call (thread-safe), constant afterwards, never freed.
 * A value that does not parse is reported on standard error, once, and its default is used.
 */
const struct mcl_config *mcl_config(void);

/* Print every option with its default, present value and help, one paragraph each. */
void mcl_config_help(FILE *out);

/*
 * Parse a size with an optional suffix K, M, G or T (powers of 1024).
 * Returns 0, -EINVAL for anything that is not such a number, -ERANGE when it does not fit 64 bits.
 */
int mcl_parse_size(const char *text, uint64_t *out);

#endif
