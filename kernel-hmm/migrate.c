// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving anonymous pages to VRAM, and ranges of them either way; home.c brings them home.
 *
 * All directions have the same shape: the core isolates and unmaps what it can
 * (migrate_vma_setup(), or migrate_device_range() without a mapping), we allocate
 * the other side and copy, the core moves the pages' identity and maps the new
 * ones. The notifier has taken the pages away from the engines before anything is
 * copied. No lock of ours is held across any of this.
 *
 * A window is at most one block (2 MiB). A huge page moves as a whole if both
 * sides have one, else the core splits it.
 */
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/memcontrol.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "trace.h"

/* The backing of a block may be scattered. */
static void hm_copy_to_vram(struct page *vram, struct page *from, unsigned long n)
{
	unsigned long i, run, j;

	for (i = 0; i < n; i += run) {
		struct page *backing;

		run = n - i;
		backing = hm_vram_run(vram + i, &run);
		if (from)
			hm_copy_pages(backing, from + i, run);
		for (j = 0; !from && j < run; j++) {
			clear_highpage(backing + j);
			cond_resched();
		}
	}
}

/* ---- to VRAM ---- */

/*
 * Destinations for one source: a folio of the same order, or single pages for 2 MiB that
 * are not there yet. An entry without a page is memory that was never touched, or the
 * zero page. Returns false for a huge page without room for it in a row: given single
 * pages, migrate_vma_pages() of 7.3 would split its mapping by @vma's process only, but
 * after fork() there may be others.
 */
static bool hm_to_vram_one(struct hm_account *account, unsigned long src, unsigned long *dst,
			   struct hm_copy *copy, u8 *results)
{
	struct page *from = migrate_pfn_to_page(src), *to;
	unsigned long write = src & MIGRATE_PFN_WRITE, n = hm_step(src), i;

	to = hm_vram_alloc(account, n > 1 ? HPAGE_PMD_ORDER : 0);
	if (to) {
		if (n == 1 && from)
			hm_copy_add(copy, hm_vram_backing(to), from);
		else
			hm_copy_to_vram(to, from, n);
		dst[0] = migrate_pfn(page_to_pfn(to)) | write;
		if (n > 1)
			dst[0] |= MIGRATE_PFN_COMPOUND;
		return true;
	}
	if (n > 1 && from)
		return false;
	/* Either all of it moves or nothing. */
	for (i = 0; n > 1 && i < n; i++) {
		to = hm_vram_alloc(account, 0);
		if (!to) {
			while (i--) {
				hm_vram_release(migrate_pfn_to_page(dst[i]));
				dst[i] = 0;
			}
			break;
		}
		hm_copy_to_vram(to, NULL, 1);
		dst[i] = migrate_pfn(page_to_pfn(to)) | write;
	}
	if (dst[0])
		return true;
	hm_count(account, HMM_MIRROR_COUNT_NO_VRAM, n);
	memset(results, HMM_MIRROR_RESULT_NO_VRAM, n);
	return true;
}

/*
 * What was moved, after migrate_vma_pages(). @first is the number of the first page, 0
 * to take page frames for numbers. @results may be NULL.
 */
void hm_tally_moved(const unsigned long *src, const unsigned long *dst, unsigned long first,
		    unsigned long npages, u8 *results, struct hm_tally *tally)
{
	unsigned long i;

	for (i = 0; i < npages; i++) {
		if (!(src[i] & MIGRATE_PFN_MIGRATE) ||
		    !(dst[i] & MIGRATE_PFN_VALID))
			continue;
		if (dst[i] & MIGRATE_PFN_COMPOUND) {
			tally->units[HMM_MIRROR_SIZE_2M]++;
			if (results)
				memset(results + i, HMM_MIRROR_RESULT_MOVED, HM_BLOCK_PAGES);
			i += HM_BLOCK_PAGES - 1;
		} else {
			hm_tally_page(tally, first ? first + i :
					     src[i] >> MIGRATE_PFN_SHIFT);
			if (results)
				results[i] = HMM_MIRROR_RESULT_MOVED;
		}
	}
}

/* The same in the counters: 4 KiB pages in one, huge ones in another; and in @done. */
void hm_count_moved(struct hm_account *account, const struct hm_tally *tally,
		    enum hmm_mirror_count small, enum hmm_mirror_count huge, u64 *done)
{
	u64 blocks = tally->units[HMM_MIRROR_SIZE_2M], pages = hm_tally_pages(tally);

	hm_count(account, small, pages - blocks * HM_BLOCK_PAGES);
	hm_count(account, huge, blocks);
	*done += pages;
}

/* See hm_to_vram(). @huge: pages of 2 MiB as such. Returns whether there was no room for one. */
static bool hm_to_vram_try(struct hm_account *account, struct vm_area_struct *vma,
			   unsigned long start, unsigned long end, enum hmm_mirror_cause cause,
			   struct hm_window *window, bool huge, u64 *done)
{
	struct migrate_vma args = {
		.vma = vma,
		.src = window->src,
		.dst = window->dst,
		.start = start,
		.end = end,
		.pgmap_owner = hm_vram_owner(account->vram),
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};
	struct hm_tally tally = { 0 };
	u64 began = ktime_get_ns();
	struct hm_copy copy;
	bool no_room = false;
	unsigned long i;

	copy.n = 0;
	if (huge)
		args.flags |= MIGRATE_VMA_SELECT_COMPOUND;
	/* The core clears window->dst. A mapping of a kind that does not move is no error. */
	if (hm_inject(HM_INJECT_SETUP) || migrate_vma_setup(&args)) {
		memset(window->results, HMM_MIRROR_RESULT_KIND, (end - start) >> PAGE_SHIFT);
		return false;
	}

	for (i = 0; i < args.npages; i += hm_step(window->src[i])) {
		struct page *page = migrate_pfn_to_page(window->src[i]);

		if (!(window->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		/* A file's own pages in a private mapping of it. */
		if (page && !folio_test_anon(page_folio(page)))
			window->results[i] = HMM_MIRROR_RESULT_KIND;
		else if (!hm_to_vram_one(account, window->src[i], &window->dst[i], &copy,
					 &window->results[i]))
			no_room = true;
		if (window->dst[i] & MIGRATE_PFN_COMPOUND)
			hm_vram_seen(migrate_pfn_to_page(window->dst[i]), start >> PAGE_SHIFT);
	}
	hm_copy_flush(&copy);
	migrate_vma_pages(&args);
	hm_tally_moved(window->src, window->dst, start >> PAGE_SHIFT, args.npages,
		       window->results, &tally);
	migrate_vma_finalize(&args);
	hm_count_moved(account, &tally, HMM_MIRROR_COUNT_TO_VRAM_4K, HMM_MIRROR_COUNT_TO_VRAM_2M,
		       done);
	hm_account_moves(account, HMM_MIRROR_WAY_TO_VRAM, cause, &tally, ktime_get_ns() - began);
	trace_hmm_mirror_migrate(vma->vm_mm, start >> PAGE_SHIFT, (end - start) >> PAGE_SHIFT,
				 hm_tally_pages(&tally), HMM_MIRROR_WAY_TO_VRAM, cause);
	return no_room;
}

/*
 * One window of @vma. mmap_lock is held. A huge page for which VRAM has no 2 MiB in a row
 * is split by the core, with all its mappings, if there is room for its pages.
 */
static void hm_to_vram(struct hm_account *account, struct vm_area_struct *vma,
		       unsigned long start, unsigned long end, enum hmm_mirror_cause cause,
		       struct hm_window *window, u64 *done)
{
	bool huge = end - start == HM_BLOCK_SIZE && hm_vram_huge();

	if (!hm_to_vram_try(account, vma, start, end, cause, window, huge, done))
		return;
	if (hm_vram_has_room(account, HM_BLOCK_PAGES)) {
		hm_to_vram_try(account, vma, start, end, cause, window, false, done);
	} else {
		hm_count(account, HMM_MIRROR_COUNT_NO_VRAM, HM_BLOCK_PAGES);
		memset(window->results, HMM_MIRROR_RESULT_NO_VRAM, HM_BLOCK_PAGES);
	}
}

/* ---- ranges ---- */

typedef int (*hm_window_fn)(struct hm_context *ctx, struct vm_area_struct *vma,
			    unsigned long start, unsigned long end, enum hmm_mirror_cause cause,
			    struct hm_window *window, u64 *done, u64 *left);

/* Tell user space what became of the pages from @start on. No lock is held. */
static int hm_put_results(struct hm_context *ctx, unsigned long start, unsigned long end,
			  struct hm_window *window, u8 __user *results)
{
	unsigned long npages = (end - start) >> PAGE_SHIFT;

	hm_mirror_explain(ctx, start >> PAGE_SHIFT, npages, window->results);
	return copy_to_user(results, window->results, npages) ? -EFAULT : 0;
}

/*
 * Call @fn for every window of a range, mmap_lock held; @alone: for writing, as well as the
 * VMA's, if the window is a block and there are huge pages in VRAM. Holes are -EFAULT if
 * first. @results: what window->results says then goes there; or NULL.
 */
static int hm_for_windows(struct hm_context *ctx, unsigned long first, unsigned long last,
			  hm_window_fn fn, bool alone, enum hmm_mirror_cause cause,
			  u8 __user *results, u64 *done, u64 *left)
{
	unsigned long address = first << PAGE_SHIFT, end = (last + 1) << PAGE_SHIFT, next;
	struct hm_window *window;
	bool any = false;
	int ret = 0;

	if (!mmget_not_zero(ctx->mm))
		return -ENXIO;
	window = hm_inject(HM_INJECT_WINDOW) ? NULL : kmalloc_obj(*window, GFP_KERNEL_ACCOUNT);
	if (!window) {
		mmput(ctx->mm);
		return -ENOMEM;
	}
	/* Holes stay at zero, which is HMM_MIRROR_RESULT_HOLE. */
	if (results && clear_user(results, last - first + 1))
		ret = -EFAULT;
	for (; !ret && address < end; address = next) {
		struct vm_area_struct *vma;
		bool found = false;

		/* The lock is not held for longer than a block takes. */
		next = min(end, round_down(address, HM_BLOCK_SIZE) + HM_BLOCK_SIZE);
		window->alone = alone && hm_vram_huge() && next - address == HM_BLOCK_SIZE;
		if (window->alone)
			mmap_write_lock(ctx->mm);
		else
			mmap_read_lock(ctx->mm);
		vma = find_vma(ctx->mm, address);
		if (!vma || vma->vm_start >= next) {
			if (!vma || vma->vm_start >= end)
				next = end;
			else
				next = vma->vm_start;
		} else {
			address = max(address, vma->vm_start);
			next = min(next, vma->vm_end);
			any = true;
			found = true;
			if (window->alone)
				vma_start_write(vma);
			ret = fn(ctx, vma, address, next, cause, window, done, left);
		}
		if (window->alone)
			mmap_write_unlock(ctx->mm);
		else
			mmap_read_unlock(ctx->mm);
		if (!ret && found && results)
			ret = hm_put_results(ctx, address, next, window,
					     results + (address >> PAGE_SHIFT) - first);
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	kfree(window);
	mmput(ctx->mm);
	return ret ?: any ? 0 : -EFAULT;
}

static struct hm_home hm_window_home(struct hm_account *account, struct vm_area_struct *vma,
				     unsigned long start, unsigned long end,
				     enum hmm_mirror_cause cause, struct hm_window *window)
{
	return (struct hm_home){
		.account = account,
		.vram = account->vram,
		.vma = vma,
		.start = start,
		.end = end,
		.cause = cause,
		.src = window->src,
		.dst = window->dst,
	};
}

static int hm_migrate_window(struct hm_context *ctx, struct vm_area_struct *vma,
			     unsigned long start, unsigned long end, enum hmm_mirror_cause cause,
			     struct hm_window *window, u64 *done, u64 *left)
{
	unsigned long npages = (end - start) >> PAGE_SHIFT;
	struct hm_account *account = ctx->account;
	struct hm_home home = hm_window_home(account, vma, start, end, HMM_MIRROR_CAUSE_PEER,
					     window);
	unsigned int number = 0;
	u64 moved = 0;

	if ((vma->vm_flags & (VM_READ | VM_SHARED)) != VM_READ) {
		memset(window->results, HMM_MIRROR_RESULT_KIND, npages);
		return 0;
	}
	memset(window->results, HMM_MIRROR_RESULT_BUSY, npages);
	hm_to_vram(account, vma, start, end, cause, window, &moved);
	/* There may be pages in other devices' VRAM: these come home, and are tried again. */
	while (moved < npages && (home.vram = hm_vram_peer(account->vram, &number)))
		hm_window_to_ram(&home, window->alone);
	if (home.done)
		hm_to_vram(account, vma, start, end, cause, window, &moved);
	*done += moved;
	return 0;
}

/*
 * Move the pages @first to @last to VRAM and map what is there. @results: what became
 * of each, or NULL.
 */
int hm_migrate_range(struct hm_context *ctx, unsigned long first, unsigned long last,
		     enum hmm_mirror_cause cause, u8 __user *results, u64 *done, u64 *left)
{
	u64 began = ktime_get_ns(), mapped = 0;
	unsigned int number = 0;
	/* A peer's huge pages are to come home in one piece. */
	bool alone = hm_vram_peer(ctx->account->vram, &number);
	int ret = hm_for_windows(ctx, first, last, hm_migrate_window, alone, cause, results, done,
				 left);

	hm_count(ctx->account, HMM_MIRROR_COUNT_NS_TO_VRAM, ktime_get_ns() - began);
	if (ret && !*done)
		return ret;
	*left = last - first + 1 - *done;
	hm_count(ctx->account, HMM_MIRROR_COUNT_STAYED, *left);
	/* Pages that it could not map are faults again. */
	if (*done)
		hm_mirror_range(ctx, first, last, HMM_MIRROR_PRESENT | HMM_MIRROR_CAUSE(cause),
				&mapped);
	return 0;
}

static int hm_evict_window(struct hm_context *ctx, struct vm_area_struct *vma,
			   unsigned long start, unsigned long end, enum hmm_mirror_cause cause,
			   struct hm_window *window, u64 *done, u64 *left)
{
	struct hm_home home = hm_window_home(ctx->account, vma, start, end, cause, window);
	int ret = hm_window_to_ram(&home, window->alone);

	*done += home.done;
	*left += home.left;
	return ret;
}

int hm_evict_range(struct hm_context *ctx, unsigned long first, unsigned long last,
		   enum hmm_mirror_cause cause, u64 *done, u64 *left)
{
	u64 began = ktime_get_ns();
	int ret = hm_for_windows(ctx, first, last, hm_evict_window, true, cause, NULL, done, left);

	hm_count(ctx->account, HMM_MIRROR_COUNT_NS_EVICT, ktime_get_ns() - began);
	return ret && !*done ? ret : 0;
}
