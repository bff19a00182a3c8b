// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device page table: what the engine may reach, by page of the host.
 *
 * A block stands for 2 MiB and holds one huge entry or an array of 512 entries;
 * an xarray finds blocks. Thus an invalidation costs what is mapped, not what
 * its range spans.
 *
 * Everything here but hm_table_reserve() is called with context.lock held, under
 * which nothing may be allocated: whoever wants to store reserves the place
 * before, without the lock. An invalidation may take that place away again, and
 * the store then says -EAGAIN.
 *
 * Entries hold no references to pages: the notifier takes them out before a page
 * can go.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "internal.h"

static struct hm_block *hm_block_of(struct hm_table *table, unsigned long index)
{
	return xa_load(&table->blocks, index / HM_BLOCK_PAGES);
}

static void hm_block_free(struct hm_block *block)
{
	kfree(block->pte);
	kfree(block);
}

void hm_table_init(struct hm_table *table)
{
	xa_init(&table->blocks);
}

/* The engine has no entry any more and nobody else knows the table. */
void hm_table_destroy(struct hm_table *table)
{
	struct hm_block *block;
	unsigned long key;

	xa_for_each(&table->blocks, key, block) {
		hm_block_free(block);
		cond_resched();
	}
	xa_destroy(&table->blocks);
}

/*
 * Make room for entries of the block of @index: an array if @small, else one huge
 * entry. Without context.lock. An array is put into the block by the first store
 * under the lock, so it is made as a block of its own here and found there.
 */
int hm_table_reserve(struct hm_table *table, unsigned long index, bool small)
{
	unsigned long key = index / HM_BLOCK_PAGES;
	struct hm_block *block;
	u64 *pte = NULL;
	int ret = 0;

	if (hm_inject(HM_INJECT_TABLE))
		return -ENOMEM;
	if (small) {
		pte = kcalloc(HM_BLOCK_PAGES, sizeof(*pte), GFP_KERNEL_ACCOUNT);
		if (!pte)
			return -ENOMEM;
	}

	for (;;) {
		/* The xarray's own lock keeps a block from being freed meanwhile. */
		xa_lock(&table->blocks);
		block = xa_load(&table->blocks, key);
		if (block && small && !block->pte) {
			block->pte = pte;
			pte = NULL;
		}
		xa_unlock(&table->blocks);
		if (block)
			break;

		block = kzalloc_obj(*block, GFP_KERNEL_ACCOUNT);
		if (!block) {
			ret = -ENOMEM;
			break;
		}
		block->pte = pte;
		ret = xa_insert(&table->blocks, key, block, GFP_KERNEL_ACCOUNT);
		if (!ret) {
			pte = NULL;
			break;
		}
		kfree(block);
		if (ret != -EBUSY)
			break;
		ret = 0;
	}

	kfree(pte);
	return ret;
}

/* Take an empty block out. */
static void hm_table_drop(struct hm_table *table, unsigned long key, struct hm_block *block)
{
	xa_erase(&table->blocks, key);
	hm_block_free(block);
}

/* One huge entry becomes single ones, in the array that is there for them. */
static void hm_block_split(struct hm_block *block)
{
	unsigned int i;

	for (i = 0; i < HM_BLOCK_PAGES; i++)
		block->pte[i] = block->huge + i;
	block->present = HM_BLOCK_PAGES;
	block->huge = 0;
}

/* -EAGAIN: the place is not reserved. */
int hm_table_store(struct hm_table *table, unsigned long index, u64 entry)
{
	struct hm_block *block = hm_block_of(table, index);
	u64 *pte;

	if (!block)
		return -EAGAIN;
	if (block->huge) {
		u64 same = block->huge + index % HM_BLOCK_PAGES;

		/* A right may have been added to one page; else that is it. */
		if (!((same ^ entry) & HM_PTE_PFN) &&
		    !(entry & ~same & (HM_PTE_WRITE | HM_PTE_EXCLUSIVE)))
			return 0;
		if (!READ_ONCE(block->pte))
			return -EAGAIN;
		hm_block_split(block);
	}
	pte = READ_ONCE(block->pte);
	if (!pte)
		return -EAGAIN;
	pte += index % HM_BLOCK_PAGES;
	if (!*pte)
		block->present++;
	*pte = entry | (*pte & HM_PTE_USED);
	return 0;
}

/* @index is the first of a block. Single entries of it are superseded. */
int hm_table_store_huge(struct hm_table *table, unsigned long index, u64 entry)
{
	struct hm_block *block = hm_block_of(table, index);
	u64 used = 0;
	unsigned int i;

	if (!block)
		return -EAGAIN;
	if (block->present) {
		for (i = 0; i < HM_BLOCK_PAGES; i++) {
			used |= block->pte[i] & HM_PTE_USED;
			block->pte[i] = 0;
		}
		block->present = 0;
	}
	block->huge = entry | ((used | block->huge) & HM_PTE_USED);
	return 0;
}

/* The entry of one page, or 0. From a huge entry, with HM_PTE_HUGE. */
u64 hm_table_lookup(struct hm_table *table, unsigned long index)
{
	struct hm_block *block = hm_block_of(table, index);

	if (!block)
		return 0;
	if (block->huge)
		return (block->huge + index % HM_BLOCK_PAGES) | HM_PTE_HUGE;
	if (!block->present)
		return 0;
	return block->pte[index % HM_BLOCK_PAGES];
}

/* The engine got the present entry of @index writable. */
void hm_table_mark_used(struct hm_table *table, unsigned long index)
{
	struct hm_block *block = hm_block_of(table, index);

	if (block->huge)
		block->huge |= HM_PTE_USED;
	else
		block->pte[index % HM_BLOCK_PAGES] |= HM_PTE_USED;
}

bool hm_table_has(struct hm_table *table, unsigned long first, unsigned long last)
{
	struct hm_block *block;
	unsigned long key, base, i;

	xa_for_each_range(&table->blocks, key, block, first / HM_BLOCK_PAGES,
			  last / HM_BLOCK_PAGES) {
		if (block->huge)
			return true;
		if (!block->present)
			continue;
		base = key * HM_BLOCK_PAGES;
		for (i = max(first, base); i <= min(last, base + HM_BLOCK_PAGES - 1); i++)
			if (block->pte[i - base])
				return true;
	}
	return false;
}

/*
 * What the engine wrote, the host has to believe is dirty: its own page table
 * does not know. The page is still mapped there, so it cannot go away meanwhile.
 */
static void hm_entry_dirty(u64 entry, unsigned long npages)
{
	unsigned long pfn = entry & HM_PTE_PFN;

	if ((entry & (HM_PTE_USED | HM_PTE_VRAM)) != HM_PTE_USED)
		return;
	while (npages) {
		struct folio *folio = page_folio(pfn_to_page(pfn));
		unsigned long n = min(npages, folio_pfn(folio) + folio_nr_pages(folio) - pfn);

		folio_mark_dirty(folio);
		pfn += n;
		npages -= n;
	}
}

/*
 * Take out the entries of the pages @first to @last. A huge entry that is met goes
 * as a whole. Returns how many pages went; @from and @to are then the first and
 * the last of them.
 */
unsigned long hm_table_clear(struct hm_table *table, unsigned long first, unsigned long last,
			     unsigned long *from, unsigned long *to)
{
	struct hm_block *block;
	unsigned long key, base, i, gone = 0;

	*from = ULONG_MAX;
	*to = 0;
	xa_for_each_range(&table->blocks, key, block, first / HM_BLOCK_PAGES,
			  last / HM_BLOCK_PAGES) {
		base = key * HM_BLOCK_PAGES;
		if (block->huge) {
			hm_entry_dirty(block->huge, HM_BLOCK_PAGES);
			block->huge = 0;
			gone += HM_BLOCK_PAGES;
			*from = min(*from, base);
			*to = base + HM_BLOCK_PAGES - 1;
			hm_table_drop(table, key, block);
			continue;
		}
		if (!block->present)
			continue;
		for (i = max(first, base); i <= min(last, base + HM_BLOCK_PAGES - 1); i++) {
			u64 *pte = &block->pte[i - base];

			if (!*pte)
				continue;
			hm_entry_dirty(*pte, 1);
			*pte = 0;
			block->present--;
			gone++;
			*from = min(*from, i);
			*to = i;
		}
		if (!block->present)
			hm_table_drop(table, key, block);
	}
	return gone;
}
