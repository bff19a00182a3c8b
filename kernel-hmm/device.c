// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devices: made when the module is loaded, each with a range of physical addresses for
 * its VRAM. What they keep for lack of memory chips, the system gets back when it needs it.
 */
#include <linux/delay.h>
#include <linux/ioport.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "vram.h"

static struct hm_vram **hm_vrams;
static unsigned int hm_nr_vrams;

struct hm_vram *hm_vram_get(unsigned int device)
{
	return hm_vrams[device];
}

/* What the core knows this device's pages by. */
void *hm_vram_owner(struct hm_vram *vram)
{
	return vram;
}

/* Bytes. */
u64 hm_vram_used(unsigned int device)
{
	return (u64)READ_ONCE(hm_vrams[device]->used) << PAGE_SHIFT;
}

/* Another device of which pages are in use, by the number it or one after it has. */
struct hm_vram *hm_vram_peer(struct hm_vram *vram, unsigned int *number)
{
	while (*number < hm_nr_vrams) {
		struct hm_vram *peer = hm_vrams[(*number)++];

		if (peer != vram && READ_ONCE(peer->used))
			return peer;
	}
	return NULL;
}

static const struct dev_pagemap_ops hm_vram_ops = {
	.folio_free = hm_vram_folio_free,
	.migrate_to_ram = hm_migrate_to_ram,
	.folio_split = hm_vram_folio_split,
};

/* Take the backing from one empty block. False: none has any. */
static bool hm_vram_strip_idle(struct hm_vram *vram)
{
	struct hm_vram_block *block;
	struct page *backing = NULL;
	unsigned long flags;

	spin_lock_irqsave(&vram->lock, flags);
	block = list_first_entry_or_null(&vram->empty, struct hm_vram_block, list);
	if (block && block->backing) {
		backing = block->backing;
		block->backing = NULL;
		vram->idle--;
		list_move_tail(&block->list, &vram->empty);
	}
	spin_unlock_irqrestore(&vram->lock, flags);
	hm_vram_block_strip(backing, NULL);
	return backing;
}

static unsigned long hm_vram_shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct hm_vram *vram = shrinker->private_data;

	return READ_ONCE(vram->idle) * HM_BLOCK_PAGES ?: SHRINK_EMPTY;
}

static unsigned long hm_vram_shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long freed = 0;

	while (freed < sc->nr_to_scan && hm_vram_strip_idle(shrinker->private_data))
		freed += HM_BLOCK_PAGES;
	return freed ?: SHRINK_STOP;
}

static struct hm_vram *hm_vram_create(unsigned long megabytes)
{
	unsigned long size = round_up((u64)megabytes << 20, HM_BLOCK_SIZE);
	struct resource *resource;
	struct hm_vram *vram;
	void *address;
	unsigned int i;
	int ret = -ENOMEM;

	vram = kzalloc_obj(*vram, GFP_KERNEL);
	if (!vram)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&vram->lock);
	INIT_LIST_HEAD(&vram->empty);
	INIT_LIST_HEAD(&vram->partial);
	INIT_LIST_HEAD(&vram->age);
	vram->nr_blocks = size / HM_BLOCK_SIZE;
	vram->blocks = kvcalloc(vram->nr_blocks, sizeof(*vram->blocks), GFP_KERNEL);
	if (!vram->blocks)
		goto err_vram;
	for (i = 0; i < vram->nr_blocks; i++) {
		INIT_LIST_HEAD(&vram->blocks[i].age);
		vram->blocks[i].vram = vram;
		list_add_tail(&vram->blocks[i].list, &vram->empty);
	}

	resource = request_free_mem_region(&iomem_resource, size, "hmm_mirror");
	if (IS_ERR(resource)) {
		ret = PTR_ERR(resource);
		goto err_blocks;
	}
	vram->shrinker = shrinker_alloc(0, "hmm_mirror-vram");
	if (!vram->shrinker)
		goto err_region;
	vram->shrinker->count_objects = hm_vram_shrink_count;
	vram->shrinker->scan_objects = hm_vram_shrink_scan;
	vram->shrinker->private_data = vram;
	vram->pagemap.range.start = resource->start;
	vram->pagemap.range.end = resource->end;
	vram->pagemap.type = MEMORY_DEVICE_PRIVATE;
	vram->pagemap.nr_range = 1;
	vram->pagemap.ops = &hm_vram_ops;
	vram->pagemap.owner = vram;
	address = memremap_pages(&vram->pagemap, numa_node_id());
	if (IS_ERR(address)) {
		ret = PTR_ERR(address);
		goto err_shrinker;
	}
	shrinker_register(vram->shrinker);
	return vram;

err_shrinker:
	shrinker_free(vram->shrinker);
err_region:
	release_mem_region(resource->start, size);
err_blocks:
	kvfree(vram->blocks);
err_vram:
	kfree(vram);
	return ERR_PTR(ret);
}

/*
 * Nobody migrates any more, but processes may still have pages here: bring them
 * home. A page that is being used elsewhere at this moment is tried again.
 */
static void hm_vram_destroy(struct hm_vram *vram)
{
	unsigned int i;

	while (READ_ONCE(vram->used)) {
		for (i = 0; i < vram->nr_blocks; i++)
			if (READ_ONCE(vram->blocks[i].used))
				hm_evict_pfns(hm_vram_first_pfn(vram) + i * HM_BLOCK_PAGES,
					      HM_BLOCK_PAGES);
		if (READ_ONCE(vram->used))
			msleep(20);
	}
	shrinker_free(vram->shrinker);
	while (hm_vram_strip_idle(vram))
		;
	memunmap_pages(&vram->pagemap);
	release_mem_region(vram->pagemap.range.start, range_len(&vram->pagemap.range));
	kvfree(vram->blocks);
	kfree(vram);
}

void hm_vram_exit(void)
{
	while (hm_nr_vrams)
		hm_vram_destroy(hm_vrams[--hm_nr_vrams]);
	kfree(hm_vrams);
}

int hm_vram_init(unsigned int devices, unsigned long megabytes)
{
	hm_vrams = kcalloc(devices, sizeof(*hm_vrams), GFP_KERNEL);
	if (!hm_vrams)
		return -ENOMEM;
	while (hm_nr_vrams < devices) {
		struct hm_vram *vram = hm_vram_create(megabytes);

		if (IS_ERR(vram)) {
			hm_vram_exit();
			return PTR_ERR(vram);
		}
		hm_vrams[hm_nr_vrams++] = vram;
	}
	return 0;
}
