// SPDX-License-Identifier: GPL-2.0-only
/*
 * Filling the device page table from the host's, by hmm_range_fault().
 *
 * One block (2 MiB) at a time: ask the core, without our lock, what is mapped;
 * take the lock; if the host changed the range meanwhile, ask again; else store.
 */
#include <linux/ktime.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

/* A range within one block, and what of it has to be there in the end. */
struct hm_wish {
	unsigned long first, last;		/* pages that may be stored */
	unsigned long must_first, must_last;	/* ... that must be; none if first > last */
	bool write;				/* must be writable */
	bool part;				/* of a block; if that could be huge, say so */
	bool try;				/* only if it is there, and without waiting */
};

/* As hm_range_fault(), but faults nothing in. -EAGAIN: mmap_lock is not to be had. */
static int hm_range_try(struct hmm_range *range)
{
	struct mm_struct *mm = range->notifier->mm;
	int ret;

	range->notifier_seq = mmu_interval_read_begin(range->notifier);
	if (!mmap_read_trylock(mm))
		return -EAGAIN;
	ret = hmm_range_fault(range);
	mmap_read_unlock(mm);
	return ret;
}

/* Ask the core. mmap_lock is taken here. -EBUSY: the range changed, ask again. */
static int hm_wish_snapshot(const struct hm_wish *wish, struct hmm_range *range)
{
	unsigned long need = HMM_PFN_REQ_FAULT | (wish->write ? HMM_PFN_REQ_WRITE : 0), i;

	memset(range->hmm_pfns, 0, (wish->last - wish->first + 1) * sizeof(*range->hmm_pfns));
	range->default_flags = 0;
	range->pfn_flags_mask = 0;
	if (wish->try)
		return hm_range_try(range);
	if (wish->must_first <= wish->first && wish->must_last >= wish->last) {
		range->default_flags = need;
	} else if (wish->must_first <= wish->must_last) {
		range->pfn_flags_mask = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
		for (i = wish->must_first; i <= wish->must_last; i++)
			range->hmm_pfns[i - wish->first] = need;
	}
	return hm_range_fault(range);
}

static bool hm_present(unsigned long pfn)
{
	return (pfn & (HMM_PFN_VALID | HMM_PFN_ERROR)) == HMM_PFN_VALID;
}

static bool hm_wish_block(const struct hm_wish *wish)
{
	return !(wish->first % HM_BLOCK_PAGES) && wish->last - wish->first == HM_BLOCK_PAGES - 1;
}

/* Whether the core says that this page is part of 2 MiB mapped by one entry. */
static bool hm_huge(unsigned long pfn)
{
	return hm_present(pfn) && hmm_pfn_to_map_order(pfn) >= HPAGE_PMD_ORDER;
}

/*
 * Whether everything that must be there is; @full: and it is all that was asked for. The
 * core says success for a page of ours in VRAM that is read-only (after fork) although a
 * writable one was asked for.
 */
static bool hm_wish_granted(const struct hm_wish *wish, const unsigned long *pfns, bool *full)
{
	unsigned long need = HMM_PFN_VALID | (wish->write ? HMM_PFN_WRITE : 0);
	unsigned long i, last = min(wish->last, wish->must_last), all = need, any = 0;

	for (i = max(wish->first, wish->must_first); i <= last; i++) {
		all &= pfns[i - wish->first];
		any |= pfns[i - wish->first];
	}
	*full = wish->must_first <= wish->first && wish->must_last >= wish->last;
	return all == need && !(any & HMM_PFN_ERROR);
}

/*
 * The core's answer for page @index as an entry, or 0. context.lock is held and the
 * answer is still true, so that the page, and its backing, cannot go. When a range begins within a
 * huge page of device memory, hmm_vma_handle_absent_pmd() of 7.3 answers with
 * frames counted from the folio's first page, not from the range's: take the right
 * page of the folio, which is a block of its own.
 */
static inline u64 hm_entry(unsigned long index, unsigned long pfn)
{
	unsigned long frame = pfn & ~HMM_PFN_FLAGS;
	struct page *page = pfn_to_page(frame);
	u64 entry = HM_PTE_VALID;

	if (!hm_present(pfn))
		return 0;
	if (is_device_private_page(page)) {
		if (hmm_pfn_to_map_order(pfn) >= HPAGE_PMD_ORDER)
			page = folio_page(page_folio(page), index % HM_BLOCK_PAGES);
		frame = page_to_pfn(hm_vram_backing(page));
		entry |= HM_PTE_VRAM;
	}
	if (pfn & HMM_PFN_WRITE)
		entry |= HM_PTE_WRITE;
	return entry | frame;
}

/*
 * The core's answers for @n pages from @index on become entries. As hm_entry(), but with less
 * to do for pages that are not in VRAM, and least if all are present (@full): what is said of
 * those is an entry but for the order. Returns how many are not 0.
 */
static unsigned long hm_entries(struct hm_context *ctx, unsigned long index, unsigned long *pfns,
				unsigned long n, bool full)
{
	const unsigned long frames = ~(unsigned long)HMM_PFN_FLAGS;
	const unsigned long entry = frames | HMM_PFN_VALID | HMM_PFN_WRITE;
	unsigned long first, vram, stored = 0, i;

	static_assert(HM_PTE_VALID == HMM_PFN_VALID && HM_PTE_WRITE == HMM_PFN_WRITE);
	vram = hm_vram_frames(ctx->account->vram, &first);
	for (i = 0; full && i < n; i++) {
		if (unlikely((pfns[i] & frames) - first < vram))
			pfns[i] = hm_entry(index + i, pfns[i]);
		else
			pfns[i] &= entry;
	}
	if (full)
		return n;
	for (i = 0; i < n; i++) {
		if (unlikely((pfns[i] & frames) - first < vram))
			pfns[i] = hm_entry(index + i, pfns[i]);
		else
			pfns[i] = hm_present(pfns[i]) ? pfns[i] & entry : 0;
		stored += !!pfns[i];
	}
	return stored;
}

/*
 * Whether the block is the huge zero page. The core takes every 2 MiB entry of it for
 * one of its own, which comes with a page table set aside; in the engine's mapping
 * there is none, and zapping it would crash. It is not exported: it is the one huge
 * page that belongs to nothing.
 */
static bool hm_is_huge_zero(u64 entry)
{
	struct folio *folio = page_folio(pfn_to_page(entry & HM_PTE_PFN));

	return !(entry & (HM_PTE_WRITE | HM_PTE_VRAM)) && !folio_test_anon(folio) &&
	       !folio->mapping;
}

/*
 * context.lock is held. Counts what must be there in @done. The answers in @pfns are
 * used up. -EAGAIN: reserve again, for single pages if @huge is no longer set.
 */
static int hm_wish_store(struct hm_context *ctx, const struct hm_wish *wish,
			 unsigned long *pfns, bool *huge, bool full, u64 *done,
			 struct hm_tally *tally)
{
	unsigned long n = wish->last - wish->first + 1, i, stored;
	int ret;

	if (hm_inject(HM_INJECT_STORE))
		return -EAGAIN;
	if (*huge) {
		struct page *page = hmm_pfn_to_page(pfns[0]);
		u64 entry = hm_entry(wish->first, pfns[0]);

		if (entry & HM_PTE_VRAM)
			hm_vram_seen(page, wish->first);

		/* Device memory may be made of scattered pages: look at the last one. */
		if ((entry & HM_PTE_PFN) % HM_BLOCK_PAGES || hm_is_huge_zero(entry) ||
		    (entry & HM_PTE_VRAM &&
		     hm_entry(wish->last, pfns[0]) != entry + HM_BLOCK_PAGES - 1)) {
			*huge = false;
			return -EAGAIN;
		}
		ret = hm_table_store_huge(&ctx->table, wish->first, entry);
		if (ret)
			return ret;
		hm_count(ctx->account, HMM_MIRROR_COUNT_MIRRORED_2M, 1);
		trace_hmm_mirror_map(ctx->mm, wish->first, HM_BLOCK_PAGES, true, false);
		tally->units[HMM_MIRROR_SIZE_2M]++;
		*done += HM_BLOCK_PAGES;
		return 0;
	}
	stored = hm_entries(ctx, wish->first, pfns, n, full);
	ret = hm_table_store_run(&ctx->table, wish->first, pfns, n, stored);
	if (ret)
		return ret;
	hm_count(ctx->account, HMM_MIRROR_COUNT_MIRRORED_4K, stored);
	trace_hmm_mirror_map(ctx->mm, wish->first, stored, false, false);
	if (stored == n)
		hm_tally_run(tally, wish->first, n);
	for (i = 0; stored < n && i < n; i++)
		if (pfns[i])
			hm_tally_page(tally, wish->first + i);
	if (wish->must_first <= wish->must_last)
		stored = min(wish->must_last, wish->last) - max(wish->must_first, wish->first) + 1;
	*done += stored;
	return 0;
}

static bool hm_nothing(const struct hm_wish *wish, const unsigned long *pfns)
{
	unsigned long i;

	for (i = wish->first; i <= wish->last; i++)
		if (hm_present(pfns[i - wish->first]))
			return false;
	return true;
}

/* Room for what the core says about a block, or about a few pages: @few then. */
static unsigned long *hm_pfns_alloc(unsigned long *few, unsigned long npages)
{
	if (hm_inject(HM_INJECT_PFNS))
		return NULL;
	if (npages <= HM_UNIT_PAGES)
		return few;
	return kmalloc_array(HM_BLOCK_PAGES, sizeof(unsigned long), GFP_KERNEL_ACCOUNT);
}

static void hm_pfns_free(unsigned long *few, unsigned long *pfns)
{
	if (pfns != few)
		kfree(pfns);
}

/*
 * Fulfil one wish. @pfns has room for its pages. The host's mm is in use. -ERANGE: the
 * wish is a part of a huge page, and says that this is to be said. Any error for one that
 * is only tried: it is to be fulfilled without locks.
 */
static int hm_wish_fulfil(struct hm_context *ctx, const struct hm_wish *wish,
			  unsigned long *pfns, u64 *done, struct hm_tally *tally)
{
	struct hmm_range range = {
		.notifier = &ctx->notifier,
		.hmm_pfns = pfns,
		.dev_private_owner = hm_vram_owner(ctx->account->vram),
	};
	unsigned long timeout = jiffies + msecs_to_jiffies(HMM_RANGE_DEFAULT_TIMEOUT);
	/* A block is asked for its first page; if that is of a huge page, it is enough. */
	bool huge = hm_wish_block(wish), full;
	int ret;

	for (;;) {
		struct hm_wish ask = *wish;

		if (huge)
			ask.last = ask.first;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (time_after(jiffies, timeout))
			return -EBUSY;
		range.start = ask.first << PAGE_SHIFT;
		range.end = (ask.last + 1) << PAGE_SHIFT;
		ret = hm_wish_snapshot(&ask, &range);
		if (ret == -EBUSY && !wish->try)
			continue;
		if (ret == -EINTR || ret == -ENOMEM)
			return ret;
		if (ret)
			return ret == -EPERM ? -EACCES : -EFAULT;
		if (!hm_wish_granted(&ask, pfns, &full)) {
			/* Nobody's owner: what is in VRAM comes home first. */
			if (wish->try || !range.dev_private_owner)
				return -EFAULT;
			range.dev_private_owner = NULL;
			continue;
		}
		if (huge && !hm_huge(pfns[0])) {
			huge = false;
			continue;
		}
		if (hm_nothing(&ask, pfns))
			return 0;
		if (wish->part && hm_huge(pfns[0]))
			return -ERANGE;
		ret = hm_table_reserve(&ctx->table, wish->first, !huge);
		if (ret)
			return ret;

		mutex_lock(&ctx->lock);
		if (ctx->dead)
			ret = -ENXIO;
		else if (mmu_interval_read_retry(&ctx->notifier, range.notifier_seq) ||
			 hm_inject(HM_INJECT_CHANGED))
			ret = -EAGAIN;
		else
			ret = hm_wish_store(ctx, wish, pfns, &huge, full, done, tally);
		mutex_unlock(&ctx->lock);
		if (ret != -EAGAIN || wish->try)
			return ret;
	}
}

/*
 * Mirror the pages @first to @last of the host. Counts pages in @done; stops at
 * the first that cannot be. @flags: HMM_MIRROR_WRITE, HMM_MIRROR_PRESENT, and the
 * cause.
 */
int hm_mirror_range(struct hm_context *ctx, unsigned long first, unsigned long last, u32 flags,
		    u64 *done)
{
	struct hm_wish wish = { .write = flags & HMM_MIRROR_WRITE };
	struct hm_tally tally = { 0 };
	unsigned long few[HM_UNIT_PAGES], *pfns, next;
	u64 began = ktime_get_ns();
	bool singly = false;
	int ret = 0;

	if (!mmget_not_zero(ctx->mm))
		return -ENXIO;
	pfns = hm_pfns_alloc(few, last - first + 1);
	if (!pfns) {
		ret = -ENOMEM;
		goto out;
	}
	for (; !ret && first <= last; first = next) {
		next = min(last + 1, round_down(first, HM_BLOCK_PAGES) + HM_BLOCK_PAGES);
		/* Something in this block cannot be: up to it, one by one. */
		if (singly)
			next = first + 1;
		wish.first = first;
		wish.last = next - 1;
		wish.must_first = flags & HMM_MIRROR_PRESENT ? 1 : wish.first;
		wish.must_last = flags & HMM_MIRROR_PRESENT ? 0 : wish.last;
		ret = hm_wish_fulfil(ctx, &wish, pfns, done, &tally);
		if ((ret == -EFAULT || ret == -EACCES) && next - first > 1) {
			singly = true;
			next = first;
			ret = 0;
		}
		cond_resched();
	}
	hm_pfns_free(few, pfns);
	hm_account_moves(ctx->account, HMM_MIRROR_WAY_MAPPED,
			 (flags & HMM_MIRROR_CAUSE_MASK) >> HMM_MIRROR_CAUSE_SHIFT, &tally,
			 ktime_get_ns() - began);
out:
	mmput(ctx->mm);
	return ret;
}

/* @served: the fault is; else @tally may have something nevertheless. */
static void hm_mirror_count_served(struct hm_account *account, bool write, bool served,
				   const struct hm_tally *tally, u64 ns)
{
	u64 pages = hm_tally_pages(tally);

	hm_account_moves(account, HMM_MIRROR_WAY_MAPPED, HMM_MIRROR_CAUSE_SERVICE, tally, ns);
	if (!served)
		return;
	hm_count(account, HMM_MIRROR_COUNT_SERVED, 1);
	hm_count(account, HMM_MIRROR_COUNT_SERVED_PAGES, pages);
	hm_count(account, HMM_MIRROR_COUNT_NS_SERVED, ns);
	if (!write)
		return;
	hm_count(account, HMM_MIRROR_COUNT_SERVED_WRITE, 1);
	hm_count(account, HMM_MIRROR_COUNT_SERVED_PAGES_WRITE, pages);
	hm_count(account, HMM_MIRROR_COUNT_NS_SERVED_WRITE, ns);
}

/* Whether the device page table grants the access by now. */
static bool hm_mirror_granted(struct hm_context *ctx, unsigned long index, bool write)
{
	u64 entry;

	mutex_lock(&ctx->lock);
	entry = hm_table_lookup(&ctx->table, index);
	mutex_unlock(&ctx->lock);
	return entry & (write ? HM_PTE_WRITE : HM_PTE_VALID);
}

/* Take along what is there already around a page: its 64 KiB; of a huge page, all. */
static int hm_mirror_around(struct hm_context *ctx, unsigned long index, struct hm_tally *tally)
{
	unsigned long few[HM_UNIT_PAGES], base = round_down(index, HM_BLOCK_PAGES), *pfns;
	struct hm_wish around = {
		.first = round_down(index, HM_UNIT_PAGES),
		.last = round_down(index, HM_UNIT_PAGES) + HM_UNIT_PAGES - 1,
		.must_first = 1,
		.part = true,
	};
	u64 done = 0;
	int ret;

	ret = hm_wish_fulfil(ctx, &around, few, &done, tally);
	if (ret != -ERANGE)
		return ret;
	around.first = base;
	around.last = base + HM_BLOCK_PAGES - 1;
	around.part = false;
	pfns = hm_pfns_alloc(few, HM_BLOCK_PAGES);
	if (!pfns)
		return -ENOMEM;
	ret = hm_wish_fulfil(ctx, &around, pfns, &done, tally);
	hm_pfns_free(few, pfns);
	return ret;
}

/*
 * Serve a device fault without the pager. What is there already is taken along, first:
 * when the core has to fault a page in, it goes on with all that follow it in the range.
 * So the page is asked for alone.
 */
int hm_mirror_fault(struct hm_context *ctx, unsigned long index, bool write)
{
	const struct hm_wish page = {
		.first = index,
		.last = index,
		.must_first = index,
		.must_last = index,
		.write = write,
	};
	u64 began = ktime_get_ns(), done = 0;
	struct hm_tally tally = { 0 };
	unsigned long pfn, *pfns;
	int ret;

	if (!mmget_not_zero(ctx->mm))
		return -ENXIO;
	pfns = hm_pfns_alloc(&pfn, 1);
	ret = pfns ? hm_mirror_around(ctx, index, &tally) : -ENOMEM;
	if (!ret && !hm_mirror_granted(ctx, index, write))
		ret = hm_wish_fulfil(ctx, &page, pfns, &done, &tally);
	mmput(ctx->mm);
	hm_mirror_count_served(ctx->account, write, !ret, &tally, ktime_get_ns() - began);
	return ret;
}

/*
 * The same within a device fault, a lock of whose process is held: that is spared a second
 * fault, and all that goes with it. Only for what is there already, and not a huge page; and
 * only if the host's mmap_lock is free: nobody waits for one with another. False: do
 * it without locks.
 */
bool hm_mirror_fault_try(struct hm_context *ctx, unsigned long index, bool write)
{
	const struct hm_wish wish = {
		.first = round_down(index, HM_UNIT_PAGES),
		.last = round_down(index, HM_UNIT_PAGES) + HM_UNIT_PAGES - 1,
		.must_first = index,
		.must_last = index,
		.write = write,
		.part = true,
		.try = true,
	};
	unsigned long pfns[HM_UNIT_PAGES];
	u64 began = ktime_get_ns(), done = 0;
	struct hm_tally tally = { 0 };
	int ret;

	if (!mmget_not_zero(ctx->mm))
		return false;
	ret = hm_wish_fulfil(ctx, &wish, pfns, &done, &tally);
	/* If that was its last user, the host ends elsewhere. */
	mmput_async(ctx->mm);
	hm_mirror_count_served(ctx->account, write, !ret, &tally, ktime_get_ns() - began);
	return !ret;
}

/*
 * Say for pages of a block, those whose result is HMM_MIRROR_RESULT_BUSY as nobody knows
 * why they did not move, what can be seen of them now. The host's mm is in use.
 */
void hm_mirror_explain(struct hm_context *ctx, unsigned long first, unsigned long npages,
		       u8 *results)
{
	struct hm_wish wish = {
		.first = first,
		.last = first + npages - 1,
		.must_first = 1,
		.must_last = 0,
	};
	struct hmm_range range = {
		.notifier = &ctx->notifier,
		.start = first << PAGE_SHIFT,
		.end = (first + npages) << PAGE_SHIFT,
		.dev_private_owner = hm_vram_owner(ctx->account->vram),
	};
	unsigned long few[HM_UNIT_PAGES], i;

	if (!memchr(results, HMM_MIRROR_RESULT_BUSY, npages))
		return;
	range.hmm_pfns = hm_pfns_alloc(few, npages);
	if (!range.hmm_pfns)
		return;
	if (!hm_wish_snapshot(&wish, &range)) {
		/* Only kinds of pages are looked at, which must be done while they are. */
		mutex_lock(&ctx->lock);
		for (i = 0; i < npages && !mmu_interval_read_retry(range.notifier,
								   range.notifier_seq); i++) {
			if (results[i] != HMM_MIRROR_RESULT_BUSY)
				continue;
			if (!hm_present(range.hmm_pfns[i]))
				results[i] = HMM_MIRROR_RESULT_ABSENT;
			else if (is_device_private_page(hmm_pfn_to_page(range.hmm_pfns[i])))
				results[i] = HMM_MIRROR_RESULT_WAS;
		}
		mutex_unlock(&ctx->lock);
	}
	hm_pfns_free(few, range.hmm_pfns);
}

/*
 * Mark those of @n pages from @first on that are in VRAM in @pages, whether the
 * device page table holds them or not.
 */
int hm_mirror_peek(struct hm_context *ctx, unsigned long first, unsigned long n, u8 *pages)
{
	const struct hm_wish wish = {
		.first = first,
		.last = first + n - 1,
		.must_first = 1,
	};
	struct hmm_range range = {
		.notifier = &ctx->notifier,
		.start = first << PAGE_SHIFT,
		.end = (first + n) << PAGE_SHIFT,
		.dev_private_owner = hm_vram_owner(ctx->account->vram),
	};
	unsigned long timeout = jiffies + msecs_to_jiffies(HMM_RANGE_DEFAULT_TIMEOUT);
	unsigned long i;
	int ret;

	if (!mmget_not_zero(ctx->mm))
		return -ENXIO;
	range.hmm_pfns = kmalloc_array(n, sizeof(*range.hmm_pfns), GFP_KERNEL_ACCOUNT);
	if (!range.hmm_pfns) {
		mmput(ctx->mm);
		return -ENOMEM;
	}
	do {
		ret = hm_wish_snapshot(&wish, &range);
		/* A hole, or memory of a kind that has no pages: none is in VRAM. */
		if (ret)
			continue;
		mutex_lock(&ctx->lock);
		if (mmu_interval_read_retry(&ctx->notifier, range.notifier_seq))
			ret = -EBUSY;
		for (i = 0; !ret && i < n; i++)
			if (hm_entry(first + i, range.hmm_pfns[i]) & HM_PTE_VRAM)
				pages[i] |= HMM_MIRROR_PAGE_VRAM;
		mutex_unlock(&ctx->lock);
	} while (ret == -EBUSY && !fatal_signal_pending(current) && time_before(jiffies, timeout));
	kfree(range.hmm_pfns);
	mmput(ctx->mm);
	return ret == -EBUSY ? -EBUSY : 0;
}
