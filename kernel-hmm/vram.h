/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What vram.c, which hands pages of a device out and takes them back, and device.c, which
 * makes the devices, know of them.
 */
#ifndef HM_VRAM_H
#define HM_VRAM_H

#include <linux/bitmap.h>
#include <linux/memremap.h>

#include "internal.h"

/* Empty blocks of a device that keep their backing: 64 MiB. */
#define HM_VRAM_IDLE 32

struct hm_vram_block {
	struct list_head list;		/* vram.empty or .partial; in none when full */
	struct list_head age;		/* vram.age, while pages are out */
	u64 stamp;			/* of the last use */
	struct hm_vram *vram;
	struct page *backing;		/* 2 MiB in a row (compound), or NULL */
	struct page **scattered;	/* else single pages, if any */
	unsigned int used;		/* pages that are out */
	unsigned int yielded;		/* faults that want its first page back; in no list then */
	unsigned long index;		/* where the host had it mapped by one entry last */
	DECLARE_BITMAP(map, HPAGE_PMD_NR);
};

struct hm_vram {
	struct dev_pagemap pagemap;
	spinlock_t lock;		/* everything below; folio_free() may be atomic */
	struct list_head empty;		/* first those with backing */
	struct list_head partial;
	struct list_head age;		/* blocks by last use, the oldest first */
	u64 stamp;			/* counts uses */
	struct shrinker *shrinker;	/* takes the backing of idle blocks */
	unsigned int idle;		/* empty blocks with backing */
	unsigned long used;		/* pages; and one for each of blocks' yielded */
	unsigned int nr_blocks;
	struct hm_vram_block *blocks;
};

static inline unsigned long hm_vram_first_pfn(struct hm_vram *vram)
{
	return PHYS_PFN(vram->pagemap.range.start);
}

void hm_vram_block_strip(struct page *backing, struct page **scattered);
void hm_vram_folio_free(struct folio *folio);
void hm_vram_folio_split(struct folio *head, struct folio *tail);

#endif
