// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving anonymous pages between system memory and VRAM.
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

static void hm_copy_from_vram(struct page *to, struct page *vram, unsigned long n)
{
	unsigned long i, run;

	for (i = 0; i < n; i += run) {
		struct page *backing;

		run = n - i;
		backing = hm_vram_run(vram + i, &run);
		hm_copy_pages(to + i, backing, run);
	}
}

/* Pages at @i of the window that the core treats as one. */
static unsigned long hm_step(unsigned long src)
{
	return src & MIGRATE_PFN_COMPOUND ? HM_BLOCK_PAGES : 1;
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
static void hm_tally_moved(const unsigned long *src, const unsigned long *dst,
			   unsigned long first, unsigned long npages, u8 *results,
			   struct hm_tally *tally)
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
static void hm_count_moved(struct hm_account *account, const struct hm_tally *tally,
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

/* ---- home ---- */

/*
 * Destinations for one source in VRAM. @vma may be NULL. Without @split a huge folio is
 * not given single pages: only its mapping by @vma may be split by that. Returns -ENOMEM if
 * there is nothing.
 */
static int hm_to_ram_one(struct vm_area_struct *vma, unsigned long address, unsigned long src,
			 unsigned long *dst, struct hm_copy *copy, bool split)
{
	struct page *from = migrate_pfn_to_page(src);
	unsigned long write = src & MIGRATE_PFN_WRITE, n = hm_step(src), i;
	struct folio *folio;

	if (n > 1) {
		gfp_t gfp = split ? GFP_TRANSHUGE_LIGHT : GFP_TRANSHUGE;

		if (hm_inject(HM_INJECT_RAM_2M))
			folio = NULL;
		else
			folio = vma ? vma_alloc_folio(gfp, HPAGE_PMD_ORDER, vma, address) :
				      folio_alloc(GFP_TRANSHUGE, HPAGE_PMD_ORDER);
		if (folio) {
			folio_lock(folio);
			hm_copy_from_vram(&folio->page, from, n);
			dst[0] = migrate_pfn(folio_pfn(folio)) | write | MIGRATE_PFN_COMPOUND;
			return 0;
		}
		if (!split)
			return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		if (hm_inject(HM_INJECT_RAM_4K))
			folio = NULL;
		else
			folio = vma ? vma_alloc_folio(GFP_HIGHUSER_MOVABLE, 0, vma,
						      address + i * PAGE_SIZE) :
				      folio_alloc(GFP_HIGHUSER_MOVABLE, 0);
		if (!folio) {
			while (i--) {
				folio = page_folio(migrate_pfn_to_page(dst[i]));
				folio_unlock(folio);
				folio_put(folio);
				dst[i] = 0;
			}
			return -ENOMEM;
		}
		folio_lock(folio);
		if (n == 1)
			hm_copy_add(copy, &folio->page, hm_vram_backing(from));
		else
			hm_copy_from_vram(&folio->page, from + i, 1);
		dst[i] = migrate_pfn(folio_pfn(folio)) | write;
	}
	return 0;
}

/*
 * Bring what one window has in @vram home. mmap_lock is held. @fault: the page that
 * somebody waits for, locked and referenced by the core, or NULL. Returns -ENOMEM
 * if that page, or without one any page, had to stay for lack of memory.
 * @huge: folios of 2 MiB as such; @split: or in pieces, if nobody else maps them.
 */
static int hm_to_ram(struct hm_account *account, struct hm_vram *vram, struct vm_area_struct *vma,
		     unsigned long start, unsigned long end, struct page *fault,
		     enum hmm_mirror_cause cause, unsigned long *src, unsigned long *dst, bool huge,
		     bool split, u64 *done, u64 *left)
{
	struct migrate_vma args = {
		.vma = vma,
		.src = src,
		.dst = dst,
		.start = start,
		.end = end,
		.pgmap_owner = hm_vram_owner(vram),
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
		.fault_page = fault,
	};
	u64 began = ktime_get_ns(), moved = 0, wanted = 0;
	struct hm_tally tally = { 0 };
	struct hm_copy copy;
	unsigned long i;
	int ret = 0;

	copy.n = 0;
	if (huge)
		args.flags |= MIGRATE_VMA_SELECT_COMPOUND;
	memset(dst, 0, ((end - start) >> PAGE_SHIFT) * sizeof(*dst));
	if (migrate_vma_setup(&args))
		return 0;

	for (i = 0; i < args.npages; i += hm_step(src[i])) {
		/* Selecting device memory lets empty entries through as well. */
		if (!(src[i] & MIGRATE_PFN_MIGRATE) || !migrate_pfn_to_page(src[i]))
			continue;
		wanted += hm_step(src[i]);
		if (hm_to_ram_one(vma, start + i * PAGE_SIZE, src[i], &dst[i], &copy, split) &&
		    (!fault || migrate_pfn_to_page(src[i]) == fault || hm_step(src[i]) > 1))
			ret = -ENOMEM;
	}
	hm_copy_flush(&copy);
	migrate_vma_pages(&args);
	hm_tally_moved(src, dst, start >> PAGE_SHIFT, args.npages, NULL, &tally);
	migrate_vma_finalize(&args);
	hm_count_moved(account, &tally,
		       fault ? HMM_MIRROR_COUNT_CPU_4K : HMM_MIRROR_COUNT_EVICT_4K,
		       fault ? HMM_MIRROR_COUNT_CPU_2M : HMM_MIRROR_COUNT_EVICT_2M, &moved);
	hm_account_moves(account, HMM_MIRROR_WAY_HOME, cause, &tally, ktime_get_ns() - began);
	trace_hmm_mirror_migrate(vma->vm_mm, start >> PAGE_SHIFT, (end - start) >> PAGE_SHIFT,
				 moved, HMM_MIRROR_WAY_HOME, cause);
	*done += moved;
	*left += wanted - min(wanted, moved);
	return ret;
}

/*
 * The host, a child of it, or khugepaged touches a page in VRAM. Without vmf->pte
 * the whole block is one entry and comes back as such. Otherwise its neighbours
 * come along, as many as the account says; but if the page is still part of a large folio (partly
 * unmapped, moved by mremap), it comes alone: migrate_vma_collect_pmd() of 7.3
 * goes on with the wrong folio after splitting one whose head is in the window.
 *
 * A huge page that others map as well (fork) comes as a whole or, for lack of memory, not
 * now: migrate_vma_pages() of 7.3 would split our mapping of it only, and a split of all
 * of them fails for a page that is referenced by a fault.
 *
 * A page that could not be moved this time is simply touched again.
 */
vm_fault_t hm_migrate_to_ram(struct vm_fault *vmf)
{
	struct folio *folio = page_folio(vmf->page);
	struct hm_account *account = folio_zone_device_data(folio);
	struct vm_area_struct *vma = vmf->vma;
	unsigned long start, end;
	unsigned long few[2 * HM_UNIT_PAGES], *src = few, npages;
	u64 began = ktime_get_ns(), done = 0, left = 0;
	/* The folio is locked: no other process begins to map it. */
	bool shared = folio_mapcount(folio) > 1;
	int ret;

	if (!vmf->pte) {
		start = round_down(vmf->address, HM_BLOCK_SIZE);
		end = start + HM_BLOCK_SIZE;
	} else if (folio_test_large(folio)) {
		start = vmf->address & PAGE_MASK;
		end = start + PAGE_SIZE;
	} else {
		unsigned long around = account->around << PAGE_SHIFT;

		start = max(round_down(vmf->address, around), vma->vm_start);
		end = min(round_down(vmf->address, around) + around, vma->vm_end);
	}

	npages = (end - start) >> PAGE_SHIFT;
	if (npages > HM_UNIT_PAGES)
		src = kmalloc_array(2 * npages, sizeof(*src), GFP_KERNEL);
	if (hm_inject(HM_INJECT_WINDOW) || !src) {
		ret = -ENOMEM;
		goto out;
	}
	/* The folio, and its reference, may go with the pages. */
	kref_get(&account->ref);
	ret = hm_to_ram(account, account->vram, vma, start, end, vmf->page, HMM_MIRROR_CAUSE_CPU,
			src, src + npages, !vmf->pte, !shared, &done, &left);
	if (done)
		hm_event_add(account, vma->vm_mm, HMM_MIRROR_EVENT_TOUCH, start >> PAGE_SHIFT,
			     (end - 1) >> PAGE_SHIFT, done, ktime_get_ns() - began);
	hm_count(account, HMM_MIRROR_COUNT_CPU_FAULTS, 1);
	hm_count(account, HMM_MIRROR_COUNT_NS_CPU, ktime_get_ns() - began);
	hm_account_put(account);
out:
	if (src != few)
		kfree(src);
	return ret ? VM_FAULT_OOM : 0;
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
 * Call @fn for every window of a range, mmap_lock held. Holes are -EFAULT if first.
 * @results: what window->results says then goes there; or NULL.
 */
static int hm_for_windows(struct hm_context *ctx, unsigned long first, unsigned long last,
			  hm_window_fn fn, enum hmm_mirror_cause cause, u8 __user *results,
			  u64 *done, u64 *left)
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
		mmap_read_lock(ctx->mm);
		next = min(end, round_down(address, HM_BLOCK_SIZE) + HM_BLOCK_SIZE);
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
			ret = fn(ctx, vma, address, next, cause, window, done, left);
		}
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

static int hm_migrate_window(struct hm_context *ctx, struct vm_area_struct *vma,
			     unsigned long start, unsigned long end, enum hmm_mirror_cause cause,
			     struct hm_window *window, u64 *done, u64 *left)
{
	unsigned long npages = (end - start) >> PAGE_SHIFT;
	struct hm_account *account = ctx->account;
	u64 moved = 0, home = 0;
	struct hm_vram *peer;
	unsigned int number = 0;

	if ((vma->vm_flags & (VM_READ | VM_SHARED)) != VM_READ) {
		memset(window->results, HMM_MIRROR_RESULT_KIND, npages);
		return 0;
	}
	memset(window->results, HMM_MIRROR_RESULT_BUSY, npages);
	hm_to_vram(account, vma, start, end, cause, window, &moved);
	/* There may be pages in other devices' VRAM: these come home, and are tried again. */
	while (moved < npages && (peer = hm_vram_peer(account->vram, &number)))
		hm_to_ram(account, peer, vma, start, end, NULL, HMM_MIRROR_CAUSE_PEER,
			  window->src, window->dst, end - start == HM_BLOCK_SIZE, false, &home,
			  left);
	if (home)
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
	int ret = hm_for_windows(ctx, first, last, hm_migrate_window, cause, results, done, left);

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
	struct hm_account *account = ctx->account;
	bool huge = end - start == HM_BLOCK_SIZE;
	u64 stayed = 0;
	int ret;

	ret = hm_to_ram(account, account->vram, vma, start, end, NULL, cause, window->src,
			window->dst, huge, false, done, &stayed);
	/* For lack of 2 MiB in a row: the core splits it, with all its mappings. */
	if (ret == -ENOMEM && huge) {
		stayed = 0;
		ret = hm_to_ram(account, account->vram, vma, start, end, NULL, cause, window->src,
				window->dst, false, false, done, &stayed);
	}
	*left += stayed;
	return ret;
}

int hm_evict_range(struct hm_context *ctx, unsigned long first, unsigned long last,
		   enum hmm_mirror_cause cause, u64 *done, u64 *left)
{
	u64 began = ktime_get_ns();
	int ret = hm_for_windows(ctx, first, last, hm_evict_window, cause, NULL, done, left);

	hm_count(ctx->account, HMM_MIRROR_COUNT_NS_EVICT, ktime_get_ns() - began);
	return ret && !*done ? ret : 0;
}

/* ---- by place in VRAM, whoever maps the pages ---- */

/* The rest of it, once the core has isolated what window->src says. */
static void hm_evict_isolated(struct hm_window *window, unsigned long npages,
			      struct hm_tally *tally)
{
	struct hm_copy copy;
	unsigned long i;

	copy.n = 0;
	memset(window->dst, 0, npages * sizeof(*window->dst));
	for (i = 0; i < npages; i += hm_step(window->src[i]))
		if (window->src[i] & MIGRATE_PFN_MIGRATE)
			hm_to_ram_one(NULL, 0, window->src[i], &window->dst[i], &copy, false);
	hm_copy_flush(&copy);
	migrate_device_pages(window->src, window->dst, npages);
	hm_tally_moved(window->src, window->dst, 0, npages, NULL, tally);
	migrate_device_finalize(window->src, window->dst, npages);
}

/*
 * Bring home whatever lies in a block of VRAM. @pfn is the first of a block. Returns
 * the pages that moved; best effort.
 */
unsigned long hm_evict_pfns(unsigned long pfn, unsigned long npages)
{
	struct hm_tally tally = { 0 };
	struct hm_window *window;

	window = kmalloc_obj(*window, GFP_KERNEL);
	if (!window)
		return 0;
	migrate_device_range(window->src, pfn, npages);
	hm_evict_isolated(window, npages, &tally);
	kfree(window);
	trace_hmm_mirror_migrate(NULL, pfn, npages, hm_tally_pages(&tally), HMM_MIRROR_WAY_HOME,
				 HMM_MIRROR_CAUSE_UNLOAD);
	return hm_tally_pages(&tally);
}

/* The same for the page frames in window->src, all of @account and of one block. */
unsigned long hm_evict_list(struct hm_account *account, struct hm_window *window,
			    unsigned long npfns, enum hmm_mirror_cause cause)
{
	struct hm_tally tally = { 0 };
	unsigned long first = window->src[0];
	u64 began = ktime_get_ns(), done = 0;

	migrate_device_pfns(window->src, npfns);
	hm_evict_isolated(window, npfns, &tally);
	hm_count_moved(account, &tally, HMM_MIRROR_COUNT_EVICT_4K, HMM_MIRROR_COUNT_EVICT_2M,
		       &done);
	hm_account_moves(account, HMM_MIRROR_WAY_HOME, cause, &tally, ktime_get_ns() - began);
	hm_count(account, HMM_MIRROR_COUNT_NS_EVICT, ktime_get_ns() - began);
	trace_hmm_mirror_migrate(NULL, first, npfns, done, HMM_MIRROR_WAY_HOME, cause);
	return done;
}
