/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernel versions: the only file that asks for one.
 *
 * Tried: 6.12 (mirroring only, Debian's has no DEVICE_PRIVATE) and 7.3.
 */
#ifndef HM_COMPAT_H
#define HM_COMPAT_H

#include <linux/hmm.h>
#include <linux/huge_mm.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/rmap.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "hmm_mirror needs Linux 6.12 or later"
#endif

/* Before 7.0, unless the distribution took them over. */
#ifndef kmalloc_obj
#define kmalloc_obj(object, gfp) kmalloc(sizeof(object), gfp)
#endif
#ifndef kzalloc_obj
#define kzalloc_obj(object, gfp) kzalloc(sizeof(object), gfp)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>

static inline vm_fault_t hm_insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pmd(vmf, pfn_to_pfn_t(pfn), write);
}
#else
static inline vm_fault_t hm_insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pmd(vmf, pfn, write);
}
#endif

/*
 * Without mmap_lock: @range->notifier_seq is set here. Up to 7.2 the lock is held
 * over the host's faults, so that those which userfaultfd serves fail.
 */
static inline int hm_range_fault(struct hmm_range *range)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
	struct mm_struct *mm = range->notifier->mm;
	int ret;

	range->notifier_seq = mmu_interval_read_begin(range->notifier);
	mmap_read_lock(mm);
	ret = hmm_range_fault(range);
	mmap_read_unlock(mm);
	return ret;
#else
	return hmm_range_fault_unlocked_timeout(range, msecs_to_jiffies(HMM_RANGE_DEFAULT_TIMEOUT));
#endif
}

/* As make_device_exclusive() of 6.15, which comes with DEVICE_PRIVATE only. */
#if defined(CONFIG_DEVICE_PRIVATE) && LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define HM_CAN_EXCLUDE true

static inline struct page *hm_make_exclusive(struct mm_struct *mm, unsigned long address,
					     void *owner, struct folio **folio)
{
	return make_device_exclusive(mm, address, owner, folio);
}
#else
#define HM_CAN_EXCLUDE false

static inline struct page *hm_make_exclusive(struct mm_struct *mm, unsigned long address,
					     void *owner, struct folio **folio)
{
	return ERR_PTR(-EOPNOTSUPP);
}
#endif

#endif
