// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the core kernel itself takes for what hmm_mirror asks of it: the same calls, with
 * nothing kept, nothing copied and nobody told. For the benchmark only; it loses the
 * contents of the memory that it is applied to.
 *
 * ioctl(fd, HMM_FLOOR_*, &range) on /dev/hmm_floor returns 0 and puts nanoseconds into
 * the range. Only root can open it.
 */
#include <linux/hmm.h>
#include <linux/ioport.h>
#include <linux/ktime.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hmm_floor.h"

#define FLOOR_AROUND (16 * PAGE_SIZE)

static struct dev_pagemap floor_map;
static unsigned long floor_next;	/* page of floor_map to be given out next */
static unsigned long floor_out;		/* pages that are out */

/* As much as the largest window, and one at a time. Within mmap_lock. */
static DEFINE_MUTEX(floor_lock);
static unsigned long floor_src[HPAGE_PMD_NR], floor_dst[HPAGE_PMD_NR];

static bool floor_invalidate(struct mmu_interval_notifier *notifier,
			     const struct mmu_notifier_range *range, unsigned long seq)
{
	mmu_interval_set_seq(notifier, seq);
	return true;
}

static const struct mmu_interval_notifier_ops floor_notifier_ops = {
	.invalidate = floor_invalidate,
};

/* hmm_range_fault(), block by block. */
static int floor_range(unsigned long start, unsigned long end, u64 *ns)
{
	struct mmu_interval_notifier notifier;
	struct hmm_range range = {
		.notifier = &notifier,
		.hmm_pfns = floor_src,
		.default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
	};
	u64 begin;
	int ret;

	ret = mmu_interval_notifier_insert(&notifier, current->mm, start, end - start,
					   &floor_notifier_ops);
	if (ret)
		return ret;
	begin = ktime_get_ns();
	for (; !ret && start < end; start = range.end) {
		range.start = start;
		range.end = start + HPAGE_PMD_SIZE;
		range.notifier_seq = mmu_interval_read_begin(&notifier);
		mmap_read_lock(current->mm);
		mutex_lock(&floor_lock);
		memset(floor_src, 0, sizeof(floor_src));
		ret = hmm_range_fault(&range);
		mutex_unlock(&floor_lock);
		mmap_read_unlock(current->mm);
	}
	*ns = ktime_get_ns() - begin;
	mmu_interval_notifier_remove(&notifier);
	return ret;
}

static struct page *floor_alloc(unsigned int order)
{
	struct page *page = pfn_to_page(PHYS_PFN(floor_map.range.start) + floor_next);

	if (floor_next + (1UL << order) > range_len(&floor_map.range) >> PAGE_SHIFT)
		return NULL;
	floor_next += 1UL << order;
	floor_out += 1UL << order;
	zone_device_folio_init((struct folio *)page, &floor_map, order);
	return page;
}

static void floor_folio_free(struct folio *folio)
{
	floor_out -= folio_nr_pages(folio);
	if (!floor_out)
		floor_next = 0;
}

static unsigned long floor_step(unsigned long src)
{
	return src & MIGRATE_PFN_COMPOUND ? HPAGE_PMD_NR : 1;
}

/* One window either way; floor_lock and mmap_lock are held. */
static void floor_move(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		       bool home, struct page *fault)
{
	struct migrate_vma args = {
		.vma = vma,
		.src = floor_src,
		.dst = floor_dst,
		.start = start,
		.end = end,
		.pgmap_owner = &floor_map,
		.flags = home ? MIGRATE_VMA_SELECT_DEVICE_PRIVATE : MIGRATE_VMA_SELECT_SYSTEM,
		.fault_page = fault,
	};
	unsigned long i;

	if (end - start == HPAGE_PMD_SIZE)
		args.flags |= MIGRATE_VMA_SELECT_COMPOUND;
	memset(floor_dst, 0, (end - start) >> PAGE_SHIFT << 3);
	if (migrate_vma_setup(&args))
		return;
	for (i = 0; i < args.npages; i += floor_step(floor_src[i])) {
		unsigned int order = floor_step(floor_src[i]) > 1 ? HPAGE_PMD_ORDER : 0;
		struct folio *folio = NULL;
		struct page *page;

		if (!(floor_src[i] & MIGRATE_PFN_MIGRATE) || !migrate_pfn_to_page(floor_src[i]))
			continue;
		if (home)
			folio = vma_alloc_folio(order ? GFP_TRANSHUGE_LIGHT : GFP_HIGHUSER_MOVABLE,
						order, vma, start + i * PAGE_SIZE);
		if (folio)
			folio_lock(folio);
		page = home ? &folio->page : floor_alloc(order);
		if (page)
			floor_dst[i] = migrate_pfn(page_to_pfn(page)) |
				       (floor_src[i] & (MIGRATE_PFN_WRITE | MIGRATE_PFN_COMPOUND));
	}
	migrate_vma_pages(&args);
	migrate_vma_finalize(&args);
}

/* As hmm_mirror has it: a huge page as a whole, else 64 KiB. */
static vm_fault_t floor_migrate_to_ram(struct vm_fault *vmf)
{
	unsigned long size = vmf->pte ? FLOOR_AROUND : HPAGE_PMD_SIZE;
	unsigned long start = round_down(vmf->address, size);

	mutex_lock(&floor_lock);
	floor_move(vmf->vma, start, start + size, true, vmf->page);
	mutex_unlock(&floor_lock);
	return 0;
}

static const struct dev_pagemap_ops floor_map_ops = {
	.folio_free = floor_folio_free,
	.migrate_to_ram = floor_migrate_to_ram,
};

/* To the device, block by block. */
static int floor_migrate(unsigned long start, unsigned long end, u64 *ns)
{
	struct vm_area_struct *vma;
	u64 begin = ktime_get_ns();
	int ret = 0;

	for (; !ret && start < end; start += HPAGE_PMD_SIZE) {
		mmap_read_lock(current->mm);
		mutex_lock(&floor_lock);
		vma = find_vma(current->mm, start);
		if (!vma || vma->vm_start > start || vma->vm_end < start + HPAGE_PMD_SIZE)
			ret = -EFAULT;
		else
			floor_move(vma, start, start + HPAGE_PMD_SIZE, false, NULL);
		mutex_unlock(&floor_lock);
		mmap_read_unlock(current->mm);
	}
	*ns = ktime_get_ns() - begin;
	return ret;
}

static long floor_ioctl(struct file *file, unsigned int command, unsigned long uarg)
{
	struct hmm_floor floor;
	int ret;

	if (copy_from_user(&floor, (void __user *)uarg, sizeof(floor)))
		return -EFAULT;
	if (!floor.size || (floor.start | floor.size) & ~HPAGE_PMD_MASK)
		return -EINVAL;
	switch (command) {
	case HMM_FLOOR_RANGE_FAULT:
		ret = floor_range(floor.start, floor.start + floor.size, &floor.ns);
		break;
	case HMM_FLOOR_MIGRATE:
		ret = floor_migrate(floor.start, floor.start + floor.size, &floor.ns);
		break;
	default:
		ret = -ENOTTY;
	}
	if (!ret && copy_to_user((void __user *)uarg, &floor, sizeof(floor)))
		ret = -EFAULT;
	return ret;
}

static const struct file_operations floor_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = floor_ioctl,
};

static struct miscdevice floor_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "hmm_floor",
	.fops = &floor_fops,
	.mode = 0600,
};

static int __init floor_init(void)
{
	struct resource *resource;
	void *address;
	int ret;

	resource = request_free_mem_region(&iomem_resource, SZ_64M, "hmm_floor");
	if (IS_ERR(resource))
		return PTR_ERR(resource);
	floor_map.type = MEMORY_DEVICE_PRIVATE;
	floor_map.range.start = resource->start;
	floor_map.range.end = resource->end;
	floor_map.nr_range = 1;
	floor_map.ops = &floor_map_ops;
	floor_map.owner = &floor_map;
	address = memremap_pages(&floor_map, numa_node_id());
	if (IS_ERR(address)) {
		ret = PTR_ERR(address);
		goto err_region;
	}
	ret = misc_register(&floor_device);
	if (ret)
		goto err_map;
	return 0;

err_map:
	memunmap_pages(&floor_map);
err_region:
	release_mem_region(floor_map.range.start, range_len(&floor_map.range));
	return ret;
}

/* The benchmark has unmapped what it moved. */
static void __exit floor_exit(void)
{
	misc_deregister(&floor_device);
	memunmap_pages(&floor_map);
	release_mem_region(floor_map.range.start, range_len(&floor_map.range));
}

module_init(floor_init);
module_exit(floor_exit);
MODULE_DESCRIPTION("What the core kernel takes for the calls that hmm_mirror makes");
MODULE_LICENSE("GPL");
