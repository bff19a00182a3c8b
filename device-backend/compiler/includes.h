/* SPDX-License-Identifier: MIT */
/*
 * Which files a program includes, so that a cached build is never served after one of them has changed. Not a
 * preprocessor: it follows every #include that stands in the text, whether a condition skips it or not, and gives up
 * where the text does not tell (names from macros, __has_include, __TIME__).
 */
#ifndef MCL_INCLUDES_H
#define MCL_INCLUDES_H

#include <stdbool.h>
#include <stddef.h>

#include "compiler/digest.h"
#include "compiler/options.h"

/*
 * Hash, for everything that @text may include from files, directly or not, each place where the compiler would look
 * and what is there. Returns whether that is sound: if false, the program must not be cached.
 */
bool mcl_includes_hash(struct mcl_digest *digest, const char *text, size_t size, const struct mcl_options *options);

#endif
