// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory: per device, a range of physical addresses that the system does not
 * use, with struct pages of type MEMORY_DEVICE_PRIVATE. This device has no memory
 * chips: ordinary pages stand for them (the *backing*), allocated when a block of
 * 2 MiB is first used. Some blocks keep theirs when they are empty again, until the
 * system needs it: the kernel clears what it gives out, which takes as long as
 * filling it. Nobody sees what such a block held: all of it is written before it is
 * mapped. What a driver for real hardware replaces is hm_vram_backing() and copy.c.
 *
 * Pages are handed out singly or as a whole block (one folio). Every folio that
 * is out holds a reference to the account it was allocated for. Blocks are kept in
 * order of their last use, which is the last fault of an engine that met them.
 */
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "vram.h"

static struct hm_vram *hm_vram_of(struct page *page)
{
	return container_of(page_pgmap(page), struct hm_vram, pagemap);
}

/* How many page frames it has, and the first of them. */
unsigned long hm_vram_frames(struct hm_vram *vram, unsigned long *first)
{
	*first = hm_vram_first_pfn(vram);
	return vram->nr_blocks * HM_BLOCK_PAGES;
}

static struct hm_vram_block *hm_vram_block_of(struct hm_vram *vram, struct page *page)
{
	return &vram->blocks[(page_to_pfn(page) - hm_vram_first_pfn(vram)) / HM_BLOCK_PAGES];
}

/* The page that holds the contents of @page, a page of some device. */
struct page *hm_vram_backing(struct page *page)
{
	struct hm_vram_block *block = hm_vram_block_of(hm_vram_of(page), page);
	unsigned long i = page_to_pfn(page) % HM_BLOCK_PAGES;

	return block->backing ? block->backing + i : block->scattered[i];
}

/* The same for @n pages of one folio; @n becomes how many are in a row. */
struct page *hm_vram_run(struct page *page, unsigned long *n)
{
	if (!hm_vram_block_of(hm_vram_of(page), page)->backing)
		*n = 1;
	return hm_vram_backing(page);
}

static void hm_backing_free(struct page *page, unsigned int order)
{
	set_page_private(page, 0);
	__free_pages(page, order);
}

/* Free what stands for a block. */
void hm_vram_block_strip(struct page *backing, struct page **scattered)
{
	unsigned int i;

	if (backing)
		hm_backing_free(backing, HPAGE_PMD_ORDER);
	for (i = 0; scattered && i < HM_BLOCK_PAGES && scattered[i]; i++)
		hm_backing_free(scattered[i], 0);
	kfree(scattered);
}

/*
 * Contiguous if at all possible, and not to be scattered: only then the engine gets huge
 * entries of it. The (first) page's private word leads from an entry of the device page
 * table to the block.
 */
static bool hm_vram_block_back(struct hm_vram_block *block, bool scatter)
{
	gfp_t gfp = GFP_HIGHUSER | __GFP_NOWARN | __GFP_NORETRY;
	struct page **scattered;
	unsigned int i;

	if (!scatter && !hm_inject(HM_INJECT_BACKING))
		block->backing = alloc_pages(gfp | __GFP_COMP, HPAGE_PMD_ORDER);
	if (block->backing) {
		set_page_private(block->backing, (unsigned long)block);
		return true;
	}
	scattered = kcalloc(HM_BLOCK_PAGES, sizeof(*scattered), GFP_KERNEL);
	for (i = 0; scattered && i < HM_BLOCK_PAGES; i++) {
		scattered[i] = alloc_page(gfp);
		if (!scattered[i]) {
			hm_vram_block_strip(NULL, scattered);
			return false;
		}
		set_page_private(scattered[i], (unsigned long)block);
	}
	block->scattered = scattered;
	return scattered;
}

/* vram.lock is held. */
static void hm_vram_block_used(struct hm_vram *vram, struct hm_vram_block *block)
{
	block->stamp = ++vram->stamp;
	list_move_tail(&block->age, &vram->age);
}

/* An engine got the page frame @pfn, which is the backing of a page that is out. */
void hm_vram_touch(unsigned long pfn)
{
	struct hm_vram_block *block = (void *)page_private(compound_head(pfn_to_page(pfn)));
	struct hm_vram *vram = block->vram;
	unsigned long flags;

	if (READ_ONCE(block->stamp) == READ_ONCE(vram->stamp))
		return;
	spin_lock_irqsave(&vram->lock, flags);
	hm_vram_block_used(vram, block);
	spin_unlock_irqrestore(&vram->lock, flags);
}

/* The host has @page, a huge one, mapped by one entry, from the page @index of its memory on. */
void hm_vram_seen(struct page *page, unsigned long index)
{
	WRITE_ONCE(hm_vram_block_of(hm_vram_of(page), page)->index, index);
}

/* Take pages of a block; vram.lock is held. */
static unsigned long hm_vram_take(struct hm_vram *vram, struct hm_vram_block *block, bool whole)
{
	unsigned long i = 0;

	if (whole) {
		bitmap_fill(block->map, HM_BLOCK_PAGES);
		block->used = HM_BLOCK_PAGES;
		vram->used += HM_BLOCK_PAGES;
	} else {
		i = find_first_zero_bit(block->map, HM_BLOCK_PAGES);
		__set_bit(i, block->map);
		block->used++;
		vram->used++;
	}
	if (block->used == HM_BLOCK_PAGES)
		list_del_init(&block->list);
	else
		list_move(&block->list, &vram->partial);
	hm_vram_block_used(vram, block);
	return hm_vram_first_pfn(vram) + (block - vram->blocks) * HM_BLOCK_PAGES + i;
}

/* 0: no room. */
static unsigned long hm_vram_find(struct hm_vram *vram, bool whole)
{
	struct page *idle = NULL;
	struct hm_vram_block *block;
	unsigned long pfn = 0, flags;

	spin_lock_irqsave(&vram->lock, flags);
	block = list_first_entry_or_null(&vram->partial, struct hm_vram_block, list);
	if (block && !whole) {
		pfn = hm_vram_take(vram, block, false);
		goto out;
	}
	block = list_first_entry_or_null(&vram->empty, struct hm_vram_block, list);
	if (!block)
		goto out;
	if (block->backing) {
		vram->idle--;
		if (!hm_inject(HM_INJECT_BACKING)) {
			pfn = hm_vram_take(vram, block, whole);
			goto out;
		}
		idle = block->backing;
		block->backing = NULL;
	}
	list_del_init(&block->list);
	spin_unlock_irqrestore(&vram->lock, flags);

	hm_vram_block_strip(idle, NULL);
	if (!hm_vram_block_back(block, idle)) {
		spin_lock_irqsave(&vram->lock, flags);
		list_add_tail(&block->list, &vram->empty);
		goto out;
	}

	spin_lock_irqsave(&vram->lock, flags);
	pfn = hm_vram_take(vram, block, whole);
out:
	spin_unlock_irqrestore(&vram->lock, flags);
	return pfn;
}

/*
 * A locked folio of order 0 or 9 with undefined contents, or NULL: no room, or over
 * the quota. hm_vram_release() undoes it until it is given to the core.
 */
struct page *hm_vram_alloc(struct hm_account *account, unsigned int order)
{
	struct hm_vram *vram = account->vram;
	struct folio *folio;
	unsigned long pfn;

	if (hm_inject(order ? HM_INJECT_VRAM_2M : HM_INJECT_VRAM_4K))
		return NULL;
	if (!hm_account_charge(account, 1L << order))
		return NULL;
	pfn = hm_vram_find(vram, order);
	if (!pfn) {
		atomic_long_sub(1L << order, &account->used);
		return NULL;
	}
	folio = (struct folio *)pfn_to_page(pfn);
	zone_device_folio_init(folio, &vram->pagemap, order);
	kref_get(&account->ref);
	folio_set_zone_device_data(folio, account);
	return &folio->page;
}

/* Whether @pages more fit, and are within the quota, at this moment. */
bool hm_vram_has_room(struct hm_account *account, long pages)
{
	struct hm_vram *vram = account->vram;

	return READ_ONCE(vram->used) + pages <= vram->nr_blocks * HM_BLOCK_PAGES &&
	       atomic_long_read(&account->used) + pages <= account->quota;
}

void hm_vram_release(struct page *page)
{
	unlock_page(page);
	put_page(page);
}

/* The core's last reference went. Any context. */
void hm_vram_folio_free(struct folio *folio)
{
	struct hm_vram *vram = hm_vram_of(&folio->page);
	struct hm_vram_block *block = hm_vram_block_of(vram, &folio->page);
	struct hm_account *account = folio_zone_device_data(folio);
	unsigned long n = folio_nr_pages(folio), i = folio_pfn(folio) % HM_BLOCK_PAGES, flags;
	struct page *backing = NULL, **scattered = NULL;

	folio_set_zone_device_data(folio, NULL);
	spin_lock_irqsave(&vram->lock, flags);
	bitmap_clear(block->map, i, n);
	block->used -= n;
	vram->used -= n;
	if (!block->used)
		list_del_init(&block->age);
	if (block->yielded) {
		list_del_init(&block->list);
	} else if (block->used) {
		list_move(&block->list, &vram->partial);
	} else if (block->backing && vram->idle < HM_VRAM_IDLE) {
		vram->idle++;
		list_move(&block->list, &vram->empty);
	} else {
		backing = block->backing;
		scattered = block->scattered;
		block->backing = NULL;
		block->scattered = NULL;
		list_move_tail(&block->list, &vram->empty);
	}
	spin_unlock_irqrestore(&vram->lock, flags);
	hm_vram_block_strip(backing, scattered);
	atomic_long_sub(n, &account->used);
	hm_account_put(account);
}

/*
 * The core has a reference of the huge folio of @page, its first, which keeps it from being
 * split. It is given back here, and hm_vram_resume() makes good for it. In between
 * the folio may be split, and freed, but not be given out anew.
 */
void hm_vram_yield(struct page *page)
{
	struct hm_vram *vram = hm_vram_of(page);
	unsigned long flags;

	spin_lock_irqsave(&vram->lock, flags);
	hm_vram_block_of(vram, page)->yielded++;
	vram->used++;
	spin_unlock_irqrestore(&vram->lock, flags);
	put_page(page);
}

/* Take @page, which nobody has. False: somebody has. */
static bool hm_vram_retake(struct page *page, struct hm_account *account)
{
	struct hm_vram *vram = account->vram;
	struct hm_vram_block *block = hm_vram_block_of(vram, page);
	struct folio *folio = (struct folio *)page;
	unsigned long flags;
	bool free;

	spin_lock_irqsave(&vram->lock, flags);
	free = !__test_and_set_bit(0, block->map);
	if (free) {
		block->used++;
		vram->used++;
		hm_vram_block_used(vram, block);
	}
	spin_unlock_irqrestore(&vram->lock, flags);
	if (free) {
		/* For a moment, so that no quota matters. */
		atomic_long_add(1, &account->used);
		zone_device_folio_init(folio, &vram->pagemap, 0);
		kref_get(&account->ref);
		folio_set_zone_device_data(folio, account);
	}
	return free;
}

/*
 * Have @page locked and referenced again, whatever has become of its folio. May sleep. Who
 * holds the lock of a page in VRAM does not wait for mmap_lock.
 */
void hm_vram_resume(struct page *page, struct hm_account *account)
{
	struct hm_vram *vram = account->vram;
	struct hm_vram_block *block = hm_vram_block_of(vram, page);
	unsigned long flags;

	/* Its last reference may have gone, and hm_vram_folio_free() be on its way. */
	while (!hm_vram_retake(page, account)) {
		if (folio_try_get((struct folio *)page)) {
			folio_lock((struct folio *)page);
			break;
		}
		cond_resched();
	}
	spin_lock_irqsave(&vram->lock, flags);
	vram->used--;
	if (!--block->yielded && block->used < HM_BLOCK_PAGES)
		list_move(&block->list, &vram->partial);
	spin_unlock_irqrestore(&vram->lock, flags);
}

/* A folio becomes single pages; called for each of them but the first, then with NULL. */
void hm_vram_folio_split(struct folio *head, struct folio *tail)
{
	struct hm_account *account = head->page.zone_device_data;

	if (!tail)
		return;
	tail->pgmap = head->pgmap;
	tail->page.mapping = head->page.mapping;
	tail->page.zone_device_data = account;
	kref_get(&account->ref);
}

/*
 * The page frames of @block that are charged to @account, at most @most of them, or the
 * first one of its huge page: *@whole then. Returns how many were put in @pfns.
 */
static unsigned long hm_vram_block_pfns(struct hm_vram_block *block, struct hm_account *account,
					unsigned long *pfns, unsigned long most, bool *whole)
{
	unsigned long first = hm_vram_first_pfn(block->vram) +
			      (block - block->vram->blocks) * HM_BLOCK_PAGES;
	unsigned long i, n = 0;

	*whole = false;
	for (i = 0; i < HM_BLOCK_PAGES && n < most && !*whole; i++) {
		struct page *page = pfn_to_page(first + i);
		struct folio *folio = page_folio(page);

		/* Only with a reference it is what it seems to be. */
		if (!test_bit(i, block->map) || !folio_try_get(folio))
			continue;
		if (page_folio(page) == folio && folio_zone_device_data(folio) == account) {
			*whole = folio_test_large(folio);
			pfns[n++] = first + i;
		}
		folio_put(folio);
	}
	return n;
}

/*
 * Find the block that was not used for longest of those used after @oldest->stamp, and put
 * down its pages that are charged to @account, at most @most. Returns false if there is no
 * such block; there may be no pages anyway.
 */
bool hm_vram_oldest(struct hm_account *account, struct hm_vram_oldest *oldest, unsigned long most)
{
	struct hm_vram_block *block, *found = NULL;
	struct hm_vram *vram = account->vram;
	unsigned long flags;

	spin_lock_irqsave(&vram->lock, flags);
	list_for_each_entry(block, &vram->age, age) {
		if (block->stamp > oldest->stamp) {
			found = block;
			oldest->stamp = block->stamp;
			break;
		}
	}
	spin_unlock_irqrestore(&vram->lock, flags);
	if (found) {
		oldest->n = hm_vram_block_pfns(found, account, oldest->pfns, most, &oldest->whole);
		oldest->index = READ_ONCE(found->index);
	}
	return found;
}
