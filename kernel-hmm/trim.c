// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making room in VRAM: what a context has there that was not used for longest comes
 * home. It is found by its place in VRAM, not by the host's addresses, so that pages
 * which are in no page table at the moment, or in a child's, are found too.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

/*
 * A huge page for which the system has no 2 MiB in a row can only be split by way of
 * a mapping of it. Where that is, its index tells unless it was moved by mremap.
 */
static u64 hm_trim_split(struct hm_context *ctx, unsigned long pfn)
{
	unsigned long first = READ_ONCE(page_folio(pfn_to_page(pfn))->index);
	u64 done = 0, left = 0;

	if (first % HM_BLOCK_PAGES || first >= TASK_SIZE_MAX >> PAGE_SHIFT)
		return 0;
	hm_evict_range(ctx, first, first + HM_BLOCK_PAGES - 1, HMM_MIRROR_CAUSE_TRIM, &done,
		       &left);
	return done;
}

/* Bring @want pages home. Best effort; counts them in @done. */
int hm_trim(struct hm_context *ctx, u64 want, u64 *done)
{
	struct hm_account *account = ctx->account;
	struct hm_window *window;
	unsigned long n, pfn;
	u64 stamp = 0;
	int ret = 0;

	window = hm_inject(HM_INJECT_WINDOW) ? NULL : kmalloc_obj(*window, GFP_KERNEL_ACCOUNT);
	if (!window)
		return -ENOMEM;
	while (*done < want && hm_vram_oldest(account, &stamp, window->src,
					      min(want - *done, HM_BLOCK_PAGES), &n)) {
		if (n) {
			unsigned long moved;

			pfn = window->src[0];
			moved = hm_evict_list(account, window, n, HMM_MIRROR_CAUSE_TRIM);
			if (!moved && n == HM_BLOCK_PAGES)
				moved = hm_trim_split(ctx, pfn);
			*done += moved;
		}
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	kfree(window);
	trace_hmm_mirror_evict(ctx->mm, want, *done);
	return *done ? 0 : ret;
}
