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
	for (;;) {
		bool wanted = small;

		/* The xarray's own lock keeps a block from being freed meanwhile. */
		xa_lock(&table->blocks);
		block = xa_load(&table->blocks, key);
		if (block && small && pte && !block->pte) {
			block->pte = pte;
			pte = NULL;
		}
		if (block && block->pte)
			wanted = false;
		xa_unlock(&table->blocks);
		if (block && !wanted)
			break;
		if (wanted && !pte) {
			pte = kcalloc(HM_BLOCK_PAGES, sizeof(*pte), GFP_KERNEL_ACCOUNT);
			if (!pte)
				return -ENOMEM;
			continue;
		}

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

/*
 * Entries for @n pages of one block, from @index on, of which @present are not zero; zero
 * leaves a page's as it is. -EAGAIN: the place is not reserved.
 */
int hm_table_store_run(struct hm_table *table, unsigned long index, const unsigned long *entries,
		       unsigned long n, unsigned long present)
{
	struct hm_block *block = hm_block_of(table, index);
	unsigned long offset = index % HM_BLOCK_PAGES, i;
	unsigned int fresh = 0;
	u64 *pte;

	if (!block)
		return -EAGAIN;
	if (block->huge && hm_block_covers(block, offset, entries, n))
		return 0;
	pte = READ_ONCE(block->pte);
	if (!pte)
		return -EAGAIN;
	if (block->huge)
		hm_block_split(block);
	pte += offset;
	if (!block->present) {
		memcpy(pte, entries, n * sizeof(*pte));
		block->present = present;
		return 0;
	}
	for (i = 0; i < n; i++) {
		if (!entries[i])
			continue;
		fresh += !pte[i];
		pte[i] = entries[i];
	}
	block->present += fresh;
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
	struct hm_block *block = hm_block_of(table, index);

	if (!block)
		return -EAGAIN;
	if (block->present)
		memset(block->pte, 0, HM_BLOCK_PAGES * sizeof(*block->pte));
	block->present = 0;
	block->huge = entry;
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
 * Take out the entries @first to @last of an array; returns how many there were. The
 * first and the last of them are put there.
 */
static unsigned int hm_block_clear(struct hm_block *block, unsigned long *first,
				   unsigned long *last)
{
	unsigned int gone = 0;
	unsigned long i;

	while (*first < *last && !block->pte[*first])
		(*first)++;
	while (*first < *last && !block->pte[*last])
		(*last)--;
	for (i = *first; i <= *last; i++)
		gone += !!block->pte[i];
	memset(&block->pte[*first], 0, (*last - *first + 1) * sizeof(*block->pte));
	block->present -= gone;
	return gone;
}

/*
 * Take out the entries of the pages @first to @last. A huge entry that is met goes
 * as a whole. Returns how many pages went; @from and @to are then the first and the
 * last. Blocks stay, empty, for those who fill them again, unless @unmap: the addresses
 * are gone.
 */
unsigned long hm_table_clear(struct hm_table *table, unsigned long first, unsigned long last,
			     bool unmap, unsigned long *from, unsigned long *to)
{
	XA_STATE(xas, &table->blocks, first / HM_BLOCK_PAGES);
	unsigned long gone = 0, n, base, begin, end;
	struct hm_block *block;
	unsigned int met = 0;

	*from = ULONG_MAX;
	*to = 0;
	/* Under context.lock no block and no node of the tree goes, but by ourselves. */
	rcu_read_lock();
	xas_for_each(&xas, block, last / HM_BLOCK_PAGES) {
		if (xas_retry(&xas, block))
			continue;
		base = xas.xa_index * HM_BLOCK_PAGES;
		begin = max(first, base);
		end = min(last, base + HM_BLOCK_PAGES - 1);
		n = 0;
		if (block->huge) {
			block->huge = 0;
			n = HM_BLOCK_PAGES;
			begin = base;
			end = base + HM_BLOCK_PAGES - 1;
		} else if (block->present) {
			begin -= base;
			end -= base;
			n = hm_block_clear(block, &begin, &end);
			begin += base;
			end += base;
		}
		if (n) {
			gone += n;
			*from = min(*from, begin);
			*to = end;
		}
		if ((unmap && !block->present) || !(++met % 64)) {
			unsigned long key = xas.xa_index;

			xas_pause(&xas);
			rcu_read_unlock();
			if (unmap && !block->present)
				hm_table_drop(table, key, block);
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	return gone;
}
