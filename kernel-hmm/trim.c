// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making room in VRAM: what a context has there that was not used for longest comes
 * home. Single pages are found by their place in VRAM, not by the host's addresses, so
 * that those which are in no page table at the moment, or in a child's, are found too.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

/*
 * A huge page is brought home by way of a mapping of it, see home.c: where the host had it
 * when the device page table was filled last. If it is not there any more, it stays.
 */
static u64 hm_trim_whole(struct hm_context *ctx, unsigned long index)
{
	u64 done = 0, left = 0;

	hm_evict_range(ctx, index, index + HM_BLOCK_PAGES - 1, HMM_MIRROR_CAUSE_TRIM, &done,
		       &left);
	return done;
}

/* Bring @want pages home. Best effort; counts them in @done. */
int hm_trim(struct hm_context *ctx, u64 want, u64 *done)
{
	struct hm_account *account = ctx->account;
	struct hm_vram_oldest oldest = { 0 };
	struct hm_window *window;
	int ret = 0;

	window = hm_inject(HM_INJECT_WINDOW) ? NULL : kmalloc_obj(*window, GFP_KERNEL_ACCOUNT);
	if (!window)
		return -ENOMEM;
	oldest.pfns = window->src;
	while (*done < want &&
	       hm_vram_oldest(account, &oldest, min(want - *done, HM_BLOCK_PAGES))) {
		if (oldest.whole)
			*done += hm_trim_whole(ctx, oldest.index);
		else if (oldest.n)
			*done += hm_evict_list(account, window, oldest.n, HMM_MIRROR_CAUSE_TRIM);
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
