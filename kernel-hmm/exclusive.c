// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that the engine has for itself: make_device_exclusive() takes the host's entry
 * away and leaves a mark; the host's next touch calls the notifier, which takes the
 * page from the engine, and puts the entry back. One page at a time, because that is
 * what the core offers; huge mappings are split.
 *
 * A page in VRAM is exclusive by nature and stays there.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "internal.h"
#include "trace.h"

/* Whether the engine has the page that way already. */
static bool hm_exclusive_is(struct hm_context *ctx, unsigned long index)
{
	u64 entry;

	mutex_lock(&ctx->lock);
	entry = hm_table_lookup(&ctx->table, index);
	mutex_unlock(&ctx->lock);
	return entry & HM_PTE_WRITE && entry & (HM_PTE_EXCLUSIVE | HM_PTE_VRAM);
}

/* Why the core refused; mmap_lock is held. */
static int hm_exclusive_error(struct hm_context *ctx, unsigned long address, int error)
{
	struct vm_area_struct *vma = vma_lookup(ctx->mm, address);

	if (error == -EOPNOTSUPP || error == -ENOMEM || error == -EINTR)
		return error;
	if (!vma)
		return -EFAULT;
	return vma->vm_flags & VM_WRITE ? -EOPNOTSUPP : -EACCES;
}

/*
 * Give the host its page back, writable. make_device_exclusive() would do so itself, but
 * with callbacks that nobody can tell from those of a real change: a second try would
 * always fail.
 */
static void hm_exclusive_undo(struct hm_context *ctx, unsigned long index)
{
	unsigned long pfn = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
	struct hmm_range range = {
		.notifier = &ctx->notifier,
		.start = index << PAGE_SHIFT,
		.end = (index + 1) << PAGE_SHIFT,
		.hmm_pfns = &pfn,
		.pfn_flags_mask = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
	};

	hm_range_fault(&range);
}

/* -EAGAIN: the host changed something meanwhile. The host's mm is in use. */
static int hm_exclusive_try(struct hm_context *ctx, unsigned long index)
{
	unsigned long address = index << PAGE_SHIFT, seq;
	struct folio *folio;
	struct page *page;
	int ret;

	ret = hm_table_reserve(&ctx->table, index, true);
	if (ret)
		return ret;
	/* The callback that the core makes for us does not count as a change. */
	seq = mmu_interval_read_begin(&ctx->notifier);
	mmap_read_lock(ctx->mm);
	page = hm_make_exclusive(ctx->mm, address, ctx, &folio);
	if (IS_ERR(page)) {
		ret = hm_exclusive_error(ctx, address, PTR_ERR(page));
		mmap_read_unlock(ctx->mm);
		return ret;
	}
	/*
	 * While the folio is locked, the host's fault cannot take the page back; but
	 * the mapping can go, and that shows in the sequence.
	 */
	mutex_lock(&ctx->lock);
	if (ctx->dead)
		ret = -ENXIO;
	else if (mmu_interval_read_retry(&ctx->notifier, seq) || hm_inject(HM_INJECT_EXCLUSIVE))
		ret = -EAGAIN;
	else
		ret = hm_table_store(&ctx->table, index, HM_PTE_VALID | HM_PTE_WRITE |
				     HM_PTE_EXCLUSIVE | page_to_pfn(page));
	mutex_unlock(&ctx->lock);
	folio_unlock(folio);
	folio_put(folio);
	mmap_read_unlock(ctx->mm);
	return ret;
}

/* As hm_mirror_range(). -EOPNOTSUPP: not private and anonymous. */
int hm_exclusive_range(struct hm_context *ctx, unsigned long first, unsigned long last,
		       enum hmm_mirror_cause cause, u64 *done)
{
	struct hm_tally tally = { 0 };
	u64 began = ktime_get_ns();
	unsigned long index;
	int ret = 0;

	if (!mmget_not_zero(ctx->mm))
		return -ENXIO;
	for (index = first; index <= last; index++) {
		unsigned long timeout = jiffies + msecs_to_jiffies(HMM_RANGE_DEFAULT_TIMEOUT);

		if (hm_exclusive_is(ctx, index)) {
			(*done)++;
			continue;
		}
		do {
			ret = hm_exclusive_try(ctx, index);
			if (fatal_signal_pending(current))
				ret = -EINTR;
			else if (ret == -EAGAIN && time_after(jiffies, timeout))
				ret = -EBUSY;
			if (ret == -EAGAIN)
				hm_exclusive_undo(ctx, index);
			cond_resched();
		} while (ret == -EAGAIN);
		if (ret)
			break;
		hm_tally_page(&tally, index);
		(*done)++;
	}
	mmput(ctx->mm);
	hm_account_moves(ctx->account, HMM_MIRROR_WAY_EXCLUSIVE, cause, &tally,
			 ktime_get_ns() - began);
	trace_hmm_mirror_map(ctx->mm, first, hm_tally_pages(&tally), false, true);
	return ret;
}
