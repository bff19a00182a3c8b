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

#define ATTEMPTS 0x10000u /* .choice, before there is one: this and their number */

/* One slot, written with one pwrite() that crosses no page: readers see the old or the new one. */
struct slot {
	uint32_t magic;
	uint8_t key[24]; /* start of the digest */
	uint32_t choice; /* enum mcl_variant, or ATTEMPTS + n */
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

/* Returns slot.choice, or UINT32_MAX if there is none for the kernel. */
static uint32_t load(const struct mcl_source *source, const char *kernel, const uint64_t local[3])
{
	uint8_t digest[MCL_DIGEST_SIZE];
	struct slot slot;
	ssize_t got;
	off_t at;
	int fd;

	identify(source, kernel, local, digest);
	fd = open_slot(digest, O_RDONLY, &at);
	if (fd < 0)
		return UINT32_MAX;
	got = pread(fd, &slot, sizeof(slot), at);
	close(fd);
	if (got != sizeof(slot) || slot.magic != MAGIC || memcmp(slot.key, digest, sizeof(slot.key)))
		return UINT32_MAX;
	return slot.choice;
}

static void store(const struct mcl_source *source, const char *kernel, const uint64_t local[3], uint32_t choice)
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

int mcl_choice_load(const struct mcl_source *source, const char *kernel, const uint64_t local[3])
{
	const uint32_t choice = load(source, kernel, local);

	return choice < MCL_VARIANT_COUNT ? (int)choice : -1;
}

void mcl_choice_store(const struct mcl_source *source, const char *kernel, const uint64_t local[3],
		      enum mcl_variant choice)
{
	store(source, kernel, local, choice);
}

unsigned int mcl_choice_attempts(const struct mcl_source *source, const char *kernel, const uint64_t local[3])
{
	const uint32_t choice = load(source, kernel, local);

	return choice >= ATTEMPTS && choice - ATTEMPTS <= MCL_CHOICE_MAX_ATTEMPTS ? choice - ATTEMPTS : 0;
}

void mcl_choice_attempt(const struct mcl_source *source, const char *kernel, const uint64_t local[3],
			unsigned int attempts)
{
	store(source, kernel, local,
	      ATTEMPTS + (attempts < MCL_CHOICE_MAX_ATTEMPTS ? attempts : MCL_CHOICE_MAX_ATTEMPTS));
}
