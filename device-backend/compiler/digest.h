/* SPDX-License-Identifier: MIT */
/* SHA-256 for code objects and cache keys. Does no cryptography: it finds corruption and names files. */
#ifndef MCL_DIGEST_H
#define MCL_DIGEST_H

#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>

#define MCL_DIGEST_SIZE 32

struct mcl_digest {
	SHA256_CTX ctx;
};

void mcl_digest_begin(struct mcl_digest *d);
/* Hash @size bytes as they are. */
void mcl_digest_bytes(struct mcl_digest *d, const void *bytes, size_t size);
/* Hash the size first, so that neighbouring fields cannot be confused ("ab","c" and "a","bc"). */
void mcl_digest_field(struct mcl_digest *d, const void *bytes, size_t size);
void mcl_digest_end(struct mcl_digest *d, uint8_t out[MCL_DIGEST_SIZE]);

#endif
