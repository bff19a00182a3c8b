// SPDX-License-Identifier: MIT
/*
 * SHA-256 through libcrypto's direct functions; see digest.h. They are marked deprecated in favour of EVP, which
 * reads openssl.cnf, loads providers and registers exit handlers: milliseconds at every program start, inside the
 * application's process, for nothing.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "compiler/digest.h"

void mcl_digest_begin(struct mcl_digest *d)
{
	SHA256_Init(&d->ctx);
}

void mcl_digest_bytes(struct mcl_digest *d, const void *bytes, size_t size)
{
	SHA256_Update(&d->ctx, bytes, size);
}

void mcl_digest_field(struct mcl_digest *d, const void *bytes, size_t size)
{
	uint64_t length = size;

	SHA256_Update(&d->ctx, &length, sizeof(length));
	SHA256_Update(&d->ctx, bytes, size);
}

void mcl_digest_end(struct mcl_digest *d, uint8_t out[MCL_DIGEST_SIZE])
{
	SHA256_Final(out, &d->ctx);
}
