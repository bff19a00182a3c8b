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
 * Called for a name behind #include, which is not terminated; @quoted: in quotes, not in angle brackets. Returns false to give
 * up.
 */
typedef bool (*mcl_include_fn)(void *ctx, const char *name, size_t length, bool quoted);

/* Find every #include of @text. Returns false if the text does not tell all of them, or @fn gave up. */
bool mcl_includes_scan(const char *text, size_t size, mcl_include_fn fn, void *ctx);

/*
 * Hash, for everything that @text may include from files, directly or not, each place where the compiler would look
 * and what is there. Returns whether that is sound: if false, the program must not be cached.
 */
bool mcl_includes_hash(struct mcl_digest *digest, const char *text, size_t size, const struct mcl_options *options);

#endif
