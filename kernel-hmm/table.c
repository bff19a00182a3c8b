// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device page table: what the engine may reach, by page of the host.
 *
 * A block stands for 2 MiB and holds one huge entry or an array of 512 entries. 64 blocks are
 * a region, whose words say by a bit for each block what there is, so that huge pages are
 * taken out by the word; an xarray finds regions. Thus an invalidation costs what is mapped,
 * not what its range spans.
 *
 * Everything here but hm_table_reserve() is called with context.lock held, under
 * which nothing may be allocated: whoever wants to store reserves the place
 * before, without the lock. An invalidation may take that place away again, and
 * the store then says -EAGAIN.
 *
 * Entries hold no references to pages: the notifier takes them out before a page
 * can go.
 */
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "internal.h"

#define HM_REGION_BLOCKS	64UL
#define HM_REGION_PAGES		(HM_REGION_BLOCKS * HM_BLOCK_PAGES)

/*
 * A block's entries. Those of the array outside @first to @last, or all if none is
 * present, were never written, and are absent: few of 512 are used where a device
 * touches a page here and there.
 */
struct hm_block {
	u64 huge;		/* if region.huge says so */
	u64 *pte;		/* if region.room says so */
	u16 first, last;	/* of what was written, if any is present */
	u16 present;		/* entries in pte */
};

struct hm_region {
	unsigned long key;
	u64 huge;		/* blocks that are one entry, */
	u64 small;		/* ... or have entries in their arrays */
	u64 room;		/* blocks that have an array; under the xarray's lock */
	struct hm_block block[HM_REGION_BLOCKS];
};

/*
 * context.lock or the xarray's lock is held; to take a region out, both are. What is near the
 * last page that was looked for is found at once.
 */
static struct hm_region *hm_region_of(struct hm_table *table, unsigned long index)
{
	struct hm_region *region = READ_ONCE(table->last);

	if (region && region->key == index / HM_REGION_PAGES)
		return region;
	region = xa_load(&table->regions, index / HM_REGION_PAGES);
	if (region)
		WRITE_ONCE(table->last, region);
	return region;
}

static struct hm_block *hm_block_of(struct hm_region *region, unsigned long index)
{
	return &region->block[index / HM_BLOCK_PAGES % HM_REGION_BLOCKS];
}

/* The block of a page among those of its region. */
static u64 hm_block_bit(unsigned long index)
{
	return BIT_ULL(index / HM_BLOCK_PAGES % HM_REGION_BLOCKS);
}

void hm_table_init(struct hm_table *table)
{
	xa_init(&table->regions);
	table->last = NULL;
}

/* The engine has no entry any more and nobody else knows the table. */
void hm_table_destroy(struct hm_table *table)
{
	struct hm_region *region;
	unsigned long key;
	unsigned int i;

	xa_for_each(&table->regions, key, region) {
		for (i = 0; i < HM_REGION_BLOCKS; i++)
			kfree(region->block[i].pte);
		kfree(region);
		cond_resched();
	}
	xa_destroy(&table->regions);
}

/*
 * Make room for entries of the block of @index: an array if @small, else one huge
 * entry. Without context.lock.
 */
int hm_table_reserve(struct hm_table *table, unsigned long index, bool small)
{
	struct hm_region *region;
	struct hm_block *block;
	u64 *pte = NULL;
	int ret = 0;

	if (hm_inject(HM_INJECT_TABLE))
		return -ENOMEM;
	for (;;) {
		bool wanted = small;

		/* The xarray's own lock keeps a region from being freed meanwhile. */
		xa_lock(&table->regions);
		region = hm_region_of(table, index);
		if (region) {
			block = hm_block_of(region, index);
			if (pte && !block->pte) {
				WRITE_ONCE(block->pte, pte);
				region->room |= hm_block_bit(index);
				pte = NULL;
			}
			wanted = small && !block->pte;
		}
		xa_unlock(&table->regions);
		if (region && !wanted)
			break;

		if (wanted && !pte) {
			pte = kmalloc_array(HM_BLOCK_PAGES, sizeof(*pte), GFP_KERNEL_ACCOUNT);
			if (!pte)
				return -ENOMEM;
		}
		if (region)
			continue;
		region = kzalloc_obj(*region, GFP_KERNEL_ACCOUNT);
		if (!region) {
			ret = -ENOMEM;
			break;
		}
		region->key = index / HM_REGION_PAGES;
		ret = xa_insert(&table->regions, region->key, region, GFP_KERNEL_ACCOUNT);
		if (ret)
			kfree(region);
		if (ret && ret != -EBUSY)
			break;
		ret = 0;
	}

	kfree(pte);
	return ret;
}

/*
 * The addresses of the blocks @blocks of a region are gone: so is what is not used of it
 * there, and with the last of that the region.
 */
static void hm_region_prune(struct hm_table *table, struct hm_region *region, u64 blocks)
{
	bool empty;

	/* Somebody may be making room. */
	xa_lock(&table->regions);
	blocks &= region->room & ~region->small;
	region->room &= ~blocks;
	for (; blocks; blocks &= blocks - 1) {
		struct hm_block *block = &region->block[__ffs64(blocks)];

		kfree(block->pte);
		block->pte = NULL;
	}
	empty = !region->huge && !region->room;
	if (empty) {
		__xa_erase(&table->regions, region->key);
		if (table->last == region)
			WRITE_ONCE(table->last, NULL);
	}
	xa_unlock(&table->regions);
	if (empty)
		kfree(region);
}

/* One huge entry becomes single ones, in the array that is there for them. */
static void hm_block_split(struct hm_block *block)
{
	unsigned int i;

	for (i = 0; i < HM_BLOCK_PAGES; i++)
		block->pte[i] = block->huge + i;
	block->first = 0;
	block->last = HM_BLOCK_PAGES - 1;
	block->present = HM_BLOCK_PAGES;
}

/* Whether the huge entry says all of it already. A right may have been added to a page. */
static bool hm_block_covers(const struct hm_block *block, unsigned long offset,
			    const unsigned long *entries, unsigned long n)
{
	unsigned long i;

	for (i = 0; i < n; i++) {
		u64 same = block->huge + offset + i;

		if (entries[i] && ((same ^ entries[i]) & HM_PTE_PFN ||
				   entries[i] & ~same & (HM_PTE_WRITE | HM_PTE_EXCLUSIVE)))
			return false;
	}
	return true;
}

/* Where nothing was written yet: what lies in between becomes zero. */
static void hm_block_append(struct hm_block *block, unsigned long offset,
			    const unsigned long *entries, unsigned long n)
{
	unsigned long end = offset + n;
	u64 *pte = block->pte;

	if (!block->present) {
		block->first = offset;
		block->last = end - 1;
	} else if (offset > block->last) {
		memset(pte + block->last + 1, 0, (offset - block->last - 1) * sizeof(*pte));
		block->last = end - 1;
	} else {
		memset(pte + end, 0, (block->first - end) * sizeof(*pte));
		block->first = offset;
	}
	memcpy(pte + offset, entries, n * sizeof(*pte));
}

/* Over what was written, at least in part. Returns how many are new. */
static unsigned int hm_block_merge(struct hm_block *block, unsigned long offset,
				   const unsigned long *entries, unsigned long n)
{
	unsigned long end = offset + n, i;
	u64 *pte = block->pte + offset;
	unsigned int fresh = 0;

	if (offset < block->first) {
		memset(pte, 0, (block->first - offset) * sizeof(*pte));
		block->first = offset;
	}
	if (end - 1 > block->last) {
		memset(block->pte + block->last + 1, 0, (end - 1 - block->last) * sizeof(*pte));
		block->last = end - 1;
	}
	for (i = 0; i < n; i++) {
		if (!entries[i])
			continue;
		fresh += !pte[i];
		pte[i] = entries[i];
	}
	return fresh;
}

/*
 * Entries for @n pages of one block, from @index on, of which @present are not zero; zero
 * leaves a page's as it is. -EAGAIN: the place is not reserved.
 */
int hm_table_store_run(struct hm_table *table, unsigned long index, const unsigned long *entries,
		       unsigned long n, unsigned long present)
{
	struct hm_region *region = hm_region_of(table, index);
	unsigned long offset = index % HM_BLOCK_PAGES;
	u64 bit = hm_block_bit(index);
	struct hm_block *block;

	if (!region)
		return -EAGAIN;
	block = hm_block_of(region, index);
	if (region->huge & bit && hm_block_covers(block, offset, entries, n))
		return 0;
	if (!READ_ONCE(block->pte))
		return -EAGAIN;
	if (region->huge & bit) {
		hm_block_split(block);
		region->huge &= ~bit;
	}
	if (!block->present || offset > block->last || offset + n <= block->first)
		hm_block_append(block, offset, entries, n);
	else
		present = hm_block_merge(block, offset, entries, n);
	block->present += present;
	if (block->present)
		region->small |= bit;
	return 0;
}

int hm_table_store(struct hm_table *table, unsigned long index, u64 entry)
{
	unsigned long one = entry;

	return hm_table_store_run(table, index, &one, 1, 1);
}

/* @index is the first of a block. Single entries of it are superseded. */
int hm_table_store_huge(struct hm_table *table, unsigned long index, u64 entry)
{
	struct hm_region *region = hm_region_of(table, index);
	struct hm_block *block;

	if (!region)
		return -EAGAIN;
	block = hm_block_of(region, index);
	block->huge = entry;
	block->present = 0;
	region->small &= ~hm_block_bit(index);
	region->huge |= hm_block_bit(index);
	return 0;
}

/* The entry of one page, or 0. From a huge entry, with HM_PTE_HUGE. */
u64 hm_table_lookup(struct hm_table *table, unsigned long index)
{
	struct hm_region *region = hm_region_of(table, index);
	unsigned long offset = index % HM_BLOCK_PAGES;
	u64 bit = hm_block_bit(index);
	struct hm_block *block;

	if (!region)
		return 0;
	block = hm_block_of(region, index);
	if (region->huge & bit)
		return (block->huge + offset) | HM_PTE_HUGE;
	if (!(region->small & bit) || offset < block->first || offset > block->last)
		return 0;
	return block->pte[offset];
}

/* The blocks of a region that the pages @first to @last, of which it has some, lie in. */
static u64 hm_region_blocks(const struct hm_region *region, unsigned long first,
			    unsigned long last)
{
	unsigned long base = region->key * HM_REGION_PAGES;

	first = max(first, base) - base;
	last = min(last - base, HM_REGION_PAGES - 1);
	return GENMASK_ULL(last / HM_BLOCK_PAGES, first / HM_BLOCK_PAGES);
}

/* The first region after @region, or of all if that is NULL, for pages up to @last. */
static struct hm_region *hm_region_next(struct hm_table *table, struct hm_region *region,
					unsigned long first, unsigned long last)
{
	unsigned long key = region ? region->key + 1 : first / HM_REGION_PAGES;

	if (key > last / HM_REGION_PAGES)
		return NULL;
	return xa_find(&table->regions, &key, last / HM_REGION_PAGES, XA_PRESENT);
}

bool hm_table_has(struct hm_table *table, unsigned long first, unsigned long last)
{
	struct hm_region *region = NULL;
	struct hm_block *block;
	unsigned long base, i;
	u64 blocks, left;

	while ((region = hm_region_next(table, region, first, last))) {
		blocks = hm_region_blocks(region, first, last);
		if (region->huge & blocks)
			return true;
		for (left = region->small & blocks; left; left &= left - 1) {
			block = &region->block[__ffs64(left)];
			base = region->key * HM_REGION_PAGES + __ffs64(left) * HM_BLOCK_PAGES;
			for (i = max(first, base + block->first);
			     i <= min(last, base + block->last); i++)
				if (block->pte[i - base])
					return true;
		}
	}
	return false;
}

/* What was taken out of the table. */
struct hm_gone {
	unsigned long pages;
	unsigned long from, to;		/* the first and the last of them */
};

static void hm_gone_add(struct hm_gone *gone, unsigned long pages, unsigned long from,
			unsigned long to)
{
	gone->pages += pages;
	gone->from = min(gone->from, from);
	gone->to = max(gone->to, to);
}

/* Take the entries @first to @last out of the array of a block whose first page is @base. */
static void hm_block_clear(struct hm_block *block, unsigned long base, unsigned long first,
			   unsigned long last, struct hm_gone *gone)
{
	unsigned int n = 0;
	unsigned long i;

	first = max(first, base + block->first) - base;
	last = min(last - base, block->last);
	while (first <= last && !block->pte[first])
		first++;
	while (first < last && !block->pte[last])
		last--;
	if (first > last)
		return;
	for (i = first; i <= last; i++)
		n += !!block->pte[i];
	memset(&block->pte[first], 0, (last - first + 1) * sizeof(*block->pte));
	block->present -= n;
	hm_gone_add(gone, n, base + first, base + last);
}

/* See hm_table_clear(). */
static void hm_region_clear(struct hm_region *region, unsigned long first, unsigned long last,
			    u64 blocks, struct hm_gone *gone)
{
	u64 huge = region->huge & blocks, small = region->small & blocks;
	unsigned long base = region->key * HM_REGION_PAGES;

	if (huge) {
		region->huge &= ~huge;
		hm_gone_add(gone, hweight64(huge) * HM_BLOCK_PAGES,
			    base + __ffs64(huge) * HM_BLOCK_PAGES,
			    base + fls64(huge) * HM_BLOCK_PAGES - 1);
	}
	for (; small; small &= small - 1) {
		struct hm_block *block = &region->block[__ffs64(small)];

		hm_block_clear(block, base + __ffs64(small) * HM_BLOCK_PAGES, first, last, gone);
		if (!block->present)
			region->small &= ~BIT_ULL(__ffs64(small));
	}
}

/*
 * Take out the entries of the pages @first to @last. A huge entry that is met goes
 * as a whole. Returns how many pages went; @from and @to are then the first and the
 * last. The room for them stays, for those who fill it again, unless @unmap: the
 * addresses are gone.
 */
unsigned long hm_table_clear(struct hm_table *table, unsigned long first, unsigned long last,
			     bool unmap, unsigned long *from, unsigned long *to)
{
	struct hm_gone gone = { .from = ULONG_MAX };
	struct hm_region *region, *next;

	/* Under context.lock no region goes but by ourselves. */
	region = hm_region_of(table, first) ?: hm_region_next(table, NULL, first, last);
	for (; region; region = next) {
		u64 blocks = hm_region_blocks(region, first, last);

		hm_region_clear(region, first, last, blocks, &gone);
		next = hm_region_next(table, region, first, last);
		if (unmap)
			hm_region_prune(table, region, blocks);
	}
	*from = gone.from;
	*to = gone.to;
	return gone.pages;
}
