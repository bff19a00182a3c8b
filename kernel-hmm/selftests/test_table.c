// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device page table against a model: which pages it holds after ranges of any size were
 * mirrored and invalidated in any order, and how many an invalidation is said to have taken.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "harness.h"
#include "rig.h"

/* From here on there are blocks of another word of the table: 64 of them make one. */
#define REGION (64 * BLOCK)

/* Where the table has a page, [0, n) from @address on is as the model says. */
static void expect_pages(struct rig *rig, void *address, const bool *model, uint64_t n)
{
	struct hmm_mirror_query query = {
		.start = (uint64_t)address,
		.size = n * PAGE,
	};
	uint8_t *pages = calloc(n, 1);
	uint64_t i;

	query.pages = (uint64_t)pages;
	EXPECT_EQ(ioctl(rig->fd, HMM_MIRROR_IOC_QUERY, &query), 0);
	for (i = 0; i < n; i++)
		EXPECT_EQ(!!(pages[i] & HMM_MIRROR_PAGE_PRESENT), model[i]);
	free(pages);
}

/* Single pages of two blocks, which lie in different regions. */
TEST(table_model)
{
	const uint64_t n = 1024, at = REGION - BLOCK;
	bool model[1024] = { false };
	unsigned int seed = 7, step;
	uint64_t gone = 0, i;
	struct rig rig;
	uint8_t *p;

	rig_open(&rig, NULL);
	p = arena_small(at, n * PAGE);
	for (step = 0; step < 400; step++) {
		/* Of all sizes, small ones most, so that there are gaps. */
		uint64_t first = rand_r(&seed) % n;
		uint64_t size = 1 + rand_r(&seed) % (1u << (rand_r(&seed) % 11));

		if (size > n - first)
			size = n - first;
		if (rand_r(&seed) % 3) {
			EXPECT_EQ(rig_mirror(&rig, p + first * PAGE, size * PAGE, 0), size);
			memset(model + first, true, size);
		} else {
			/* mprotect() would cut the mapping, and that takes blocks away. */
			EXPECT_EQ(madvise(p + first * PAGE, size * PAGE, MADV_DONTNEED), 0);
			for (i = first; i < first + size; i++) {
				gone += model[i];
				model[i] = false;
			}
			EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INVALIDATED), gone);
		}
		expect_pages(&rig, p, model, n);
	}
	/* The table's memory goes with the addresses, and there may be other ones. */
	EXPECT_EQ(munmap(p, n * PAGE), 0);
	for (i = 0; i < n; i++)
		gone += model[i];
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INVALIDATED), gone);
	p = arena_small(at, n * PAGE);
	memset(model, false, sizeof(model));
	expect_pages(&rig, p, model, n);
	EXPECT_EQ(rig_mirror(&rig, p + 700 * PAGE, PAGE, 0), 1);
	model[700] = true;
	expect_pages(&rig, p, model, n);
	EXPECT_EQ(engine_read(&rig, p + 700 * PAGE), 1 + 700 * 512);
	munmap(p, n * PAGE);
	rig_close(&rig);
}

/* Huge pages on both sides of a region's end: those that are met go as a whole. */
TEST(table_huge)
{
	const uint64_t n = 6 * 512;
	bool model[6 * 512];
	struct rig rig;
	uint8_t *p;

	rig_open(&rig, NULL);
	p = arena_huge(REGION - 3 * BLOCK, 6 * BLOCK);
	EXPECT_EQ(rig_mirror(&rig, p, 6 * BLOCK, HMM_MIRROR_WRITE), n);
	if (rig_pages(&rig, p, 6 * BLOCK, HMM_MIRROR_PAGE_HUGE) != n)
		SKIP("no huge pages to be had");
	memset(model, true, sizeof(model));
	expect_pages(&rig, p, model, n);

	EXPECT_EQ(mprotect(p + 3 * BLOCK / 2, 3 * BLOCK, PROT_READ), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INVALIDATED), 4 * 512);
	memset(model + 512, false, 4 * 512);
	expect_pages(&rig, p, model, n);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_HUGE), 512);

	/* One of the blocks that are cut is now of single pages, beside a huge one. */
	EXPECT_EQ(rig_mirror(&rig, p + BLOCK, BLOCK, 0), 512);
	memset(model + 512, true, 512);
	expect_pages(&rig, p, model, n);
	EXPECT_EQ(rig_pages(&rig, p, 2 * BLOCK, HMM_MIRROR_PAGE_HUGE), 512);
	EXPECT_EQ(engine_check(&rig, p, BLOCK, 1), 0);

	EXPECT_EQ(munmap(p, 6 * BLOCK), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INVALIDATED), (4 + 3) * 512);
	p = arena_map(REGION - 3 * BLOCK, 6 * BLOCK, PROT_READ | PROT_WRITE, 0);
	memset(model, false, sizeof(model));
	expect_pages(&rig, p, model, n);
	munmap(p, 6 * BLOCK);
	rig_close(&rig);
}
