/* SPDX-License-Identifier: MIT */
/*
 * Compiled programs on disk: one file "<key>.mclo" for each, and "<key>.log" where the compiler had something to say.
 * Any number of processes may use the folder at once; files appear whole, by rename. Nothing here fails visibly:
 * without a usable folder there is no cache. Does not know how keys come about.
 */
#ifndef MCL_CACHE_H
#define MCL_CACHE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "compiler/code_object.h"
#include "compiler/digest.h"

struct mcl_cache {
	char folder[PATH_MAX - 96]; /* room for the names in it */
	uint64_t limit; /* bytes */
};

struct mcl_cache_key {
	uint8_t digest[MCL_DIGEST_SIZE];
};

/*
 * Find the folder that the options and the environment say: MIRRORCL_CACHE_DIR, else XDG_CACHE_HOME, else HOME.
 * Creates nothing. Returns false if there is to be no cache: switched off, no home, or a folder that other users can
 * write to (they could plant code).
 */
bool mcl_cache_open(struct mcl_cache *cache);

/*
 * Look for @key. On a hit, returns true with a code object that the caller puts, and the build log in *@log
 * (malloc'd, NULL: none). A corrupt entry is removed.
 */
bool mcl_cache_find(const struct mcl_cache *cache, const struct mcl_cache_key *key, struct mcl_code_object **co,
		    char **log);

/*
 * Keep @co and @log (may be NULL or empty); drop the least recently used entries if the cache is now larger than its
 * limit.
 */
void mcl_cache_store(const struct mcl_cache *cache, const struct mcl_cache_key *key, const struct mcl_code_object *co,
		     const char *log);

/*
 * Wait until no other thread or process is compiling @key, for at most @timeout_ms, so that the same work is not done
 * twice at the same time. Returns a descriptor for mcl_cache_unlock(), or -1: no lock could be had, which is no
 * error; go on without.
 */
int mcl_cache_lock(const struct mcl_cache *cache, const struct mcl_cache_key *key, uint32_t timeout_ms);
void mcl_cache_unlock(int lock);

#endif
