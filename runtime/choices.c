// SPDX-License-Identifier: MIT
/* Choices of earlier runs; see choices.h. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compiler/cache.h"
#include "compiler/digest.h"
#include "runtime/choices.h"

#define SLOTS 8192u
#define MAGIC 0x314c434du /* "MCL1": another layout gets another number */

/* One slot, written with one pwrite() that crosses no page: readers see the old or the new one. */
struct slot {
	uint32_t magic;
	uint8_t key[24]; /* start of the digest */
	uint32_t choice;
};

_Static_assert(sizeof(struct slot) == 32, "slots must not cross pages");

static void identify(const struct mcl_source *source, const char *kernel, const uint64_t local[3],
		     uint8_t out[MCL_DIGEST_SIZE])
{
	struct mcl_digest digest;

	mcl_digest_begin(&digest);
	mcl_digest_field(&digest, source->bundle.bytes, source->bundle.size);
	mcl_digest_field(&digest, kernel, strlen(kernel));
	mcl_digest_field(&digest, local, 3 * sizeof(*local));
	mcl_digest_end(&digest, out);
}

/* The file, and the slot's place in it. Returns a descriptor or -1. */
static int open_slot(const uint8_t digest[MCL_DIGEST_SIZE], int flags, off_t *at)
{
	struct mcl_cache cache;
	char path[PATH_MAX];
	uint32_t hash;

	if (!mcl_cache_open(&cache))
		return -1;
	snprintf(path, sizeof(path), "%s/choices", cache.folder);
	memcpy(&hash, digest + sizeof(((struct slot *)0)->key), sizeof(hash));
	*at = (off_t)(hash % SLOTS * sizeof(struct slot));
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int mcl_choice_load(const struct mcl_source *source, const char *kernel, const uint64_t local[3])
{
	uint8_t digest[MCL_DIGEST_SIZE];
	struct slot slot;
	ssize_t got;
	off_t at;
	int fd;

	identify(source, kernel, local, digest);
	fd = open_slot(digest, O_RDONLY, &at);
	if (fd < 0)
		return -1;
	got = pread(fd, &slot, sizeof(slot), at);
	close(fd);
	if (got != sizeof(slot) || slot.magic != MAGIC || memcmp(slot.key, digest, sizeof(slot.key)) ||
	    slot.choice >= MCL_VARIANT_COUNT)
		return -1;
	return (int)slot.choice;
}

void mcl_choice_store(const struct mcl_source *source, const char *kernel, const uint64_t local[3],
		      enum mcl_variant choice)
{
	struct slot slot = { .magic = MAGIC, .choice = choice };
	uint8_t digest[MCL_DIGEST_SIZE];
	off_t at;
	int fd;

	identify(source, kernel, local, digest);
	/* The folder is there: the compiler has stored code in it. */
	fd = open_slot(digest, O_WRONLY | O_CREAT, &at);
	if (fd < 0)
		return;
	memcpy(slot.key, digest, sizeof(slot.key));
	if (pwrite(fd, &slot, sizeof(slot), at) != sizeof(slot))
		mcl_log_info("cannot note which function of a kernel is the fastest");
	close(fd);
}
