// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bringing pages home from VRAM: because the host touches them, because the pager wants
 * them out, or because the module goes. migrate.c says what all moves have in common.
 *
 * While a huge page comes home in one piece, its mappings are migration entries of 2 MiB
 * of a device page, and zap_huge_pmd() of 7.3 takes such an entry for one of device memory:
 * whoever unmaps it then drops a mapping and a reference too many. So it comes in one
 * piece only if nobody can: it is mapped once (its lock is held, so that stays so but for
 * fork), and mmap_lock and the lock of its VMA are held for writing, which keeps out
 * fork, madvise and the OOM reaper. Otherwise it is split first, which turns all its
 * mappings into entries of 4 KiB at once; those are understood by everybody.
 */
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/leafops.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

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

/*
 * Destinations for one source in VRAM. A huge page is not given single pages: the core
 * would split its mapping by one process only. Returns -ENOMEM if there is nothing.
 */
static int hm_to_ram_one(struct vm_area_struct *vma, unsigned long address, unsigned long src,
			 unsigned long *dst, struct hm_copy *copy, gfp_t gfp)
{
	struct page *from = migrate_pfn_to_page(src);
	unsigned long write = src & MIGRATE_PFN_WRITE, n = hm_step(src);
	unsigned int order = n > 1 ? HPAGE_PMD_ORDER : 0;
	struct folio *folio = NULL;

	if (n == 1)
		gfp = GFP_HIGHUSER_MOVABLE;
	if (!hm_inject(n > 1 ? HM_INJECT_RAM_2M : HM_INJECT_RAM_4K))
		folio = vma ? vma_alloc_folio(gfp, order, vma, address) : folio_alloc(gfp, order);
	if (!folio)
		return -ENOMEM;
	folio_lock(folio);
	dst[0] = migrate_pfn(folio_pfn(folio)) | write;
	if (n > 1) {
		dst[0] |= MIGRATE_PFN_COMPOUND;
		hm_copy_from_vram(&folio->page, from, n);
	} else {
		hm_copy_add(copy, &folio->page, hm_vram_backing(from));
	}
	return 0;
}

/*
 * Bring home what there is in @home's range. mmap_lock is held. @fault: a page that
 * the caller has locked and referenced, or NULL. @huge: pages of 2 MiB in one piece; see
 * above when that is allowed. Returns -ENOMEM if @fault, or without it any page, had
 * to stay for lack of memory.
 */
static int hm_to_ram(struct hm_home *home, struct page *fault, bool huge)
{
	struct migrate_vma args = {
		.vma = home->vma,
		.src = home->src,
		.dst = home->dst,
		.start = home->start,
		.end = home->end,
		.pgmap_owner = hm_vram_owner(home->vram),
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
		.fault_page = fault,
	};
	unsigned long npages = (home->end - home->start) >> PAGE_SHIFT, i;
	unsigned long *src = home->src, *dst = home->dst;
	bool touched = home->cause == HMM_MIRROR_CAUSE_CPU;
	u64 began = ktime_get_ns(), moved = 0, wanted = 0;
	struct hm_tally tally = { 0 };
	struct hm_copy copy;
	int ret = 0;

	copy.n = 0;
	if (huge)
		args.flags |= MIGRATE_VMA_SELECT_COMPOUND;
	memset(dst, 0, npages * sizeof(*dst));
	if (migrate_vma_setup(&args))
		return 0;

	for (i = 0; i < args.npages; i += hm_step(src[i])) {
		/* Selecting device memory lets empty entries through as well. */
		if (!(src[i] & MIGRATE_PFN_MIGRATE) || !migrate_pfn_to_page(src[i]))
			continue;
		wanted += hm_step(src[i]);
		if (hm_to_ram_one(home->vma, home->start + i * PAGE_SIZE, src[i], &dst[i], &copy,
				  touched ? GFP_TRANSHUGE_LIGHT : GFP_TRANSHUGE) &&
		    (!fault || migrate_pfn_to_page(src[i]) == fault || hm_step(src[i]) > 1))
			ret = -ENOMEM;
	}
	hm_copy_flush(&copy);
	hm_inject_sleep(HM_INJECT_LINGER, 20);
	migrate_vma_pages(&args);
	hm_tally_moved(src, dst, home->start >> PAGE_SHIFT, args.npages, NULL, &tally);
	migrate_vma_finalize(&args);
	hm_count_moved(home->account, &tally,
		       touched ? HMM_MIRROR_COUNT_CPU_4K : HMM_MIRROR_COUNT_EVICT_4K,
		       touched ? HMM_MIRROR_COUNT_CPU_2M : HMM_MIRROR_COUNT_EVICT_2M, &moved);
	hm_account_moves(home->account, HMM_MIRROR_WAY_HOME, home->cause, &tally,
			 ktime_get_ns() - began);
	trace_hmm_mirror_migrate(home->vma->vm_mm, home->start >> PAGE_SHIFT, npages, moved,
				 HMM_MIRROR_WAY_HOME, home->cause);
	home->done += moved;
	home->left += wanted - min(wanted, moved);
	return ret;
}

/*
 * The huge page in VRAM that is mapped by one entry at @address, or NULL. The locks that
 * keep the page tables of @vma are held for writing.
 */
static struct folio *hm_block_folio(struct vm_area_struct *vma, unsigned long address)
{
	p4d_t *p4d;
	pud_t *pud;
	pgd_t *pgd;
	pmd_t pmd;

	pgd = pgd_offset(vma->vm_mm, address);
	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, address);
	if (p4d_none(*p4d))
		return NULL;
	pud = pud_offset(p4d, address);
	if (pud_none(*pud) || pud_leaf(*pud))
		return NULL;
	pmd = pmdp_get_lockless(pmd_offset(pud, address));
	if (!pmd_is_device_private_entry(pmd))
		return NULL;
	return page_folio(softleaf_to_page(softleaf_from_pmd(pmd)));
}

/*
 * Bring the block of @home home in one piece, if it is a huge page that nobody else maps.
 * mmap_lock and the VMA's are held for writing. @held: of this folio the caller has a
 * reference; or NULL. False: it is none, or is busy; else *@ret is as hm_to_ram()'s.
 */
static bool hm_block_to_ram(struct hm_home *home, struct folio *held, int *ret)
{
	struct folio *folio = hm_block_folio(home->vma, home->start);
	bool mine = false;

	if (!folio || (held && folio != held) || (!held && !folio_try_get(folio)))
		return false;
	if (folio_trylock(folio)) {
		mine = hm_block_folio(home->vma, home->start) == folio &&
		       page_pgmap(&folio->page)->owner == hm_vram_owner(home->vram) &&
		       folio_mapcount(folio) == 1;
		if (mine)
			*ret = hm_to_ram(home, &folio->page, true);
		folio_unlock(folio);
	}
	if (!held)
		folio_put(folio);
	return mine;
}

/*
 * The same for any window, without a fault. mmap_lock is held; @alone: for writing, as is
 * the VMA's.
 */
int hm_window_to_ram(struct hm_home *home, bool alone)
{
	int ret = 0;

	if (alone && home->end - home->start == HM_BLOCK_SIZE &&
	    hm_block_to_ram(home, NULL, &ret) && !ret)
		return 0;
	home->left = 0;
	return hm_to_ram(home, NULL, false);
}

/* ---- touches ---- */

/*
 * Split the huge page of @folio, whose lock is not held, and bring it home. With the core's
 * reference that is not possible, so that it is given back meanwhile. Afterwards whatever
 * is in that place is locked and referenced.
 */
static int hm_block_in_pieces(struct hm_home *home, struct folio *folio)
{
	struct page *page = &folio->page;
	int ret;

	hm_vram_yield(page);
	ret = hm_to_ram(home, NULL, false);
	hm_vram_resume(page, home->account);
	return home->done ? 0 : ret;
}

/*
 * Let go of mmap_lock to get it for writing, and bring a block home in one piece, or for
 * lack of memory in pieces. What is not there any more, or what has come to be shared, is
 * for the next touch.
 */
static void hm_block_alone(struct hm_home *home, struct folio *folio)
{
	struct mm_struct *mm = home->vma->vm_mm;
	int ret = 0;

	mmap_read_unlock(mm);
	if (!mmap_write_lock_killable(mm)) {
		home->vma = vma_lookup(mm, home->start);
		if (home->vma && home->end <= home->vma->vm_end) {
			vma_start_write(home->vma);
			hm_block_to_ram(home, folio, &ret);
			if (ret == -ENOMEM) {
				hm_block_in_pieces(home, folio);
				folio_unlock(folio);
			}
		}
		mmap_write_unlock(mm);
	}
	folio_lock(folio);
}

/* Whether mmap_lock may be let go. */
static bool hm_may_unlock(const struct vm_fault *vmf)
{
	return (vmf->flags & (FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT)) ==
	       FAULT_FLAG_ALLOW_RETRY;
}

/* A huge page that is mapped by one entry. @folio is locked, and will be. */
static vm_fault_t hm_touch_block(struct hm_home *home, struct folio *folio, bool may_unlock)
{
	bool alone = may_unlock && folio_mapcount(folio) == 1;

	/* Others may wait for it with mmap_lock held. The reference remains. */
	folio_unlock(folio);
	if (alone) {
		hm_block_alone(home, folio);
		return VM_FAULT_RETRY;
	}
	return hm_block_in_pieces(home, folio) ? VM_FAULT_OOM : 0;
}

/* A page that is mapped by an entry of its own. */
static vm_fault_t hm_touch_page(struct hm_home *home, struct page *page)
{
	return hm_to_ram(home, page, false) ? VM_FAULT_OOM : 0;
}

/*
 * The host, a child of it, or khugepaged touches a page in VRAM. Without vmf->pte
 * the whole block is one entry and comes back, in one piece if possible. Otherwise its
 * neighbours come along, as many as the account says; but if the page is still part of a large
 * folio (partly unmapped, moved by mremap), it comes alone: migrate_vma_collect_pmd() of 7.3
 * goes on with the wrong folio after splitting one whose head is in the window.
 *
 * A page that could not be moved this time is simply touched again.
 */
vm_fault_t hm_migrate_to_ram(struct vm_fault *vmf)
{
	struct folio *folio = page_folio(vmf->page);
	struct hm_account *account = folio_zone_device_data(folio);
	struct mm_struct *mm = vmf->vma->vm_mm;
	struct hm_home home = {
		.account = account,
		.vram = account->vram,
		.vma = vmf->vma,
		.cause = HMM_MIRROR_CAUSE_CPU,
	};
	unsigned long few[2 * HM_UNIT_PAGES], npages;
	u64 began = ktime_get_ns();
	vm_fault_t ret;

	if (!vmf->pte) {
		home.start = round_down(vmf->address, HM_BLOCK_SIZE);
		home.end = home.start + HM_BLOCK_SIZE;
	} else if (folio_test_large(folio)) {
		home.start = vmf->address & PAGE_MASK;
		home.end = home.start + PAGE_SIZE;
	} else {
		unsigned long around = account->around << PAGE_SHIFT;

		home.start = max(round_down(vmf->address, around), home.vma->vm_start);
		home.end = min(round_down(vmf->address, around) + around, home.vma->vm_end);
	}

	npages = (home.end - home.start) >> PAGE_SHIFT;
	home.src = few;
	if (npages > HM_UNIT_PAGES)
		home.src = kmalloc_array(2 * npages, sizeof(*home.src), GFP_KERNEL);
	if (hm_inject(HM_INJECT_WINDOW) || !home.src) {
		ret = VM_FAULT_OOM;
		goto out;
	}
	home.dst = home.src + npages;
	/* The folio, and its reference, may go with the pages. */
	kref_get(&account->ref);
	if (vmf->pte)
		ret = hm_touch_page(&home, vmf->page);
	else
		ret = hm_touch_block(&home, folio, hm_may_unlock(vmf));
	if (home.done)
		hm_event_add(account, mm, HMM_MIRROR_EVENT_TOUCH, home.start >> PAGE_SHIFT,
			     (home.end - 1) >> PAGE_SHIFT, home.done, ktime_get_ns() - began);
	hm_count(account, HMM_MIRROR_COUNT_CPU_FAULTS, 1);
	hm_count(account, HMM_MIRROR_COUNT_NS_CPU, ktime_get_ns() - began);
	hm_account_put(account);
out:
	if (home.src != few)
		kfree(home.src);
	return ret;
}

/* ---- by place in VRAM, whoever maps the pages ---- */

/* The rest of it, once the core has isolated what @src says. */
static void hm_evict_isolated(unsigned long *src, unsigned long *dst, unsigned long npages,
			      struct hm_tally *tally)
{
	struct hm_copy copy;
	unsigned long i;

	copy.n = 0;
	memset(dst, 0, npages * sizeof(*dst));
	for (i = 0; i < npages; i += hm_step(src[i]))
		if (src[i] & MIGRATE_PFN_MIGRATE)
			hm_to_ram_one(NULL, 0, src[i], &dst[i], &copy, GFP_TRANSHUGE);
	hm_copy_flush(&copy);
	hm_inject_sleep(HM_INJECT_LINGER, 20);
	migrate_device_pages(src, dst, npages);
	hm_tally_moved(src, dst, 0, npages, NULL, tally);
	migrate_device_finalize(src, dst, npages);
}

/*
 * Bring home whatever lies in a block of VRAM, before the module goes. @pfn is the first of
 * a block. Returns the pages that moved; best effort. Nobody can tell who maps a huge
 * page, so that this is the one place where it comes in one piece and not alone.
 */
unsigned long hm_evict_pfns(unsigned long pfn, unsigned long npages)
{
	struct hm_tally tally = { 0 };
	struct hm_window *window;

	window = kmalloc_obj(*window, GFP_KERNEL);
	if (!window)
		return 0;
	migrate_device_range(window->src, pfn, npages);
	hm_evict_isolated(window->src, window->dst, npages, &tally);
	kfree(window);
	trace_hmm_mirror_migrate(NULL, pfn, npages, hm_tally_pages(&tally), HMM_MIRROR_WAY_HOME,
				 HMM_MIRROR_CAUSE_UNLOAD);
	return hm_tally_pages(&tally);
}

/*
 * The same for the page frames in window->src, all of @account and of one block. With room
 * for half of that, the core leaves a huge page alone that has come there meanwhile.
 */
unsigned long hm_evict_list(struct hm_account *account, struct hm_window *window,
			    unsigned long npfns, enum hmm_mirror_cause cause)
{
	struct hm_tally tally = { 0 };
	unsigned long first = window->src[0], i, n;
	u64 began = ktime_get_ns(), done = 0;

	for (i = 0; i < npfns; i += n) {
		n = min(npfns - i, HM_BLOCK_PAGES / 2);
		migrate_device_pfns(window->src + i, n);
		hm_evict_isolated(window->src + i, window->dst + i, n, &tally);
	}
	hm_count_moved(account, &tally, HMM_MIRROR_COUNT_EVICT_4K, HMM_MIRROR_COUNT_EVICT_2M,
		       &done);
	hm_account_moves(account, HMM_MIRROR_WAY_HOME, cause, &tally, ktime_get_ns() - began);
	hm_count(account, HMM_MIRROR_COUNT_NS_EVICT, ktime_get_ns() - began);
	trace_hmm_mirror_migrate(NULL, first, npfns, done, HMM_MIRROR_WAY_HOME, cause);
	return done;
}
