// SPDX-License-Identifier: MIT
/* Local sizes of earlier runs; see used_sizes.h. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compiler/cache.h"
#include "compiler/digest.h"
#include "runtime/used_sizes.h"

#define SLOTS 4096u
#define MAGIC 0x31535a4cu /* "LZS1": another layout gets another number */

/* One slot, written with one pwrite() that crosses no page: readers see the old or the new one. */
struct slot {
	uint32_t magic;
	uint8_t program[12]; /* start of the program's digest */
	uint32_t sizes[MCL_SPECIALIZED_SIZES][3]; /* unused ones are zero */
};

_Static_assert(sizeof(struct slot) == 64, "slots must not cross pages");

static void identify(const struct mcl_source *source, uint8_t out[MCL_DIGEST_SIZE])
{
	struct mcl_digest digest;

	mcl_digest_begin(&digest);
	mcl_digest_field(&digest, source->text, source->size);
	mcl_digest_field(&digest, source->options, strlen(source->options));
	for (uint32_t i = 0; i < source->header_count; i++) {
		mcl_digest_field(&digest, source->header_names[i], strlen(source->header_names[i]));
		mcl_digest_field(&digest, source->header_texts[i], strlen(source->header_texts[i]));
	}
	mcl_digest_end(&digest, out);
}

/* The file and the slot's place in it. Returns a descriptor or -1. */
static int open_slot(const struct mcl_source *source, int flags, uint8_t digest[MCL_DIGEST_SIZE], off_t *at)
{
	struct mcl_cache cache;
	char path[PATH_MAX];
	uint32_t hash;

	if (!mcl_cache_open(&cache))
		return -1;
	snprintf(path, sizeof(path), "%s/local-sizes", cache.folder);
	identify(source, digest);
	memcpy(&hash, digest + sizeof(((struct slot *)0)->program), sizeof(hash));
	*at = (off_t)(hash % SLOTS * sizeof(struct slot));
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool plausible(const uint32_t size[3], uint64_t limit)
{
	uint64_t items = 1;

	for (int d = 0; d < 3; d++) {
		if (!size[d] || size[d] > limit)
			return false;
		items *= size[d];
		if (items > limit)
			return false;
	}
	return true;
}

uint32_t mcl_used_sizes_load(const struct mcl_source *source, uint32_t sizes[MCL_SPECIALIZED_SIZES][3])
{
	uint8_t digest[MCL_DIGEST_SIZE];
	struct slot slot;
	uint32_t count = 0;
	ssize_t got;
	off_t at;
	int fd = open_slot(source, O_RDONLY, digest, &at);

	if (fd < 0)
		return 0;
	got = pread(fd, &slot, sizeof(slot), at);
	close(fd);
	if (got != sizeof(slot) || slot.magic != MAGIC || memcmp(slot.program, digest, sizeof(slot.program)))
		return 0;
	for (uint32_t i = 0; i < MCL_SPECIALIZED_SIZES; i++)
		if (plausible(slot.sizes[i], mcl_device_caps()->max_work_group_size))
			memcpy(sizes[count++], slot.sizes[i], sizeof(slot.sizes[i]));
	return count;
}

void mcl_used_sizes_store(const struct mcl_source *source, const uint32_t sizes[MCL_SPECIALIZED_SIZES][3],
			  uint32_t count)
{
	struct slot slot = { .magic = MAGIC };
	uint8_t digest[MCL_DIGEST_SIZE];
	off_t at;
	/* The folder is there: the compiler has just stored the program in it. */
	int fd = open_slot(source, O_WRONLY | O_CREAT, digest, &at);

	if (fd < 0)
		return;
	memcpy(slot.program, digest, sizeof(slot.program));
	memcpy(slot.sizes, sizes, count * sizeof(slot.sizes[0]));
	if (pwrite(fd, &slot, sizeof(slot), at) != sizeof(slot))
		mcl_log_info("cannot note the local sizes that a program uses");
	close(fd);
}
