/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernel versions: the only file that asks for one.
 *
 * Tried: 6.12 (mirroring only, Debian's has no DEVICE_PRIVATE) and 7.3.
 */
#ifndef HM_COMPAT_H
#define HM_COMPAT_H

#include <linux/huge_mm.h>
#include <linux/mm.h>
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

#endif
