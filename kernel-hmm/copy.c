// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copying the contents of pages: what a device with memory of its own would have an
 * engine for. Vector registers where there are any: they move 32 bytes an instruction,
 * whatever the processor makes of repeated string instructions. To save them costs
 * something, so single pages are collected first.
 */
#include <linux/highmem.h>
#include <linux/sched.h>
#ifdef CONFIG_X86_64
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#endif

#include "internal.h"

/* Pages copied without a chance for others to run: some 20 us. */
#define HM_COPY_RUN 64UL

#ifdef CONFIG_X86_64
static bool hm_copy_vectors(void)
{
	return boot_cpu_has(X86_FEATURE_AVX) && irq_fpu_usable();
}

static void hm_copy_begin(void)
{
	kernel_fpu_begin();
}

/* @bytes is a multiple of 512, the addresses of 32. */
static void hm_copy_run(void *to, const void *from, long bytes)
{
	long at = -bytes;

	asm volatile("1:\n\t"
		     "vmovdqa 0x000(%[from], %[at]), %%ymm0\n\t"
		     "vmovdqa 0x020(%[from], %[at]), %%ymm1\n\t"
		     "vmovdqa 0x040(%[from], %[at]), %%ymm2\n\t"
		     "vmovdqa 0x060(%[from], %[at]), %%ymm3\n\t"
		     "vmovdqa 0x080(%[from], %[at]), %%ymm4\n\t"
		     "vmovdqa 0x0a0(%[from], %[at]), %%ymm5\n\t"
		     "vmovdqa 0x0c0(%[from], %[at]), %%ymm6\n\t"
		     "vmovdqa 0x0e0(%[from], %[at]), %%ymm7\n\t"
		     "vmovdqa 0x100(%[from], %[at]), %%ymm8\n\t"
		     "vmovdqa 0x120(%[from], %[at]), %%ymm9\n\t"
		     "vmovdqa 0x140(%[from], %[at]), %%ymm10\n\t"
		     "vmovdqa 0x160(%[from], %[at]), %%ymm11\n\t"
		     "vmovdqa 0x180(%[from], %[at]), %%ymm12\n\t"
		     "vmovdqa 0x1a0(%[from], %[at]), %%ymm13\n\t"
		     "vmovdqa 0x1c0(%[from], %[at]), %%ymm14\n\t"
		     "vmovdqa 0x1e0(%[from], %[at]), %%ymm15\n\t"
		     "vmovdqa %%ymm0, 0x000(%[to], %[at])\n\t"
		     "vmovdqa %%ymm1, 0x020(%[to], %[at])\n\t"
		     "vmovdqa %%ymm2, 0x040(%[to], %[at])\n\t"
		     "vmovdqa %%ymm3, 0x060(%[to], %[at])\n\t"
		     "vmovdqa %%ymm4, 0x080(%[to], %[at])\n\t"
		     "vmovdqa %%ymm5, 0x0a0(%[to], %[at])\n\t"
		     "vmovdqa %%ymm6, 0x0c0(%[to], %[at])\n\t"
		     "vmovdqa %%ymm7, 0x0e0(%[to], %[at])\n\t"
		     "vmovdqa %%ymm8, 0x100(%[to], %[at])\n\t"
		     "vmovdqa %%ymm9, 0x120(%[to], %[at])\n\t"
		     "vmovdqa %%ymm10, 0x140(%[to], %[at])\n\t"
		     "vmovdqa %%ymm11, 0x160(%[to], %[at])\n\t"
		     "vmovdqa %%ymm12, 0x180(%[to], %[at])\n\t"
		     "vmovdqa %%ymm13, 0x1a0(%[to], %[at])\n\t"
		     "vmovdqa %%ymm14, 0x1c0(%[to], %[at])\n\t"
		     "vmovdqa %%ymm15, 0x1e0(%[to], %[at])\n\t"
		     "add $0x200, %[at]\n\t"
		     "jnz 1b"
		     : [at] "+r" (at)
		     : [to] "r" (to + bytes), [from] "r" (from + bytes)
		     : "memory", "cc");
}

static void hm_copy_end(void)
{
	asm volatile("vzeroupper");
	kernel_fpu_end();
}
#else
static bool hm_copy_vectors(void)
{
	return false;
}

static void hm_copy_begin(void)
{
}

static void hm_copy_run(void *to, const void *from, long bytes)
{
}

static void hm_copy_end(void)
{
}
#endif

/* @n pages that follow each other on both sides. May sleep. */
void hm_copy_pages(struct page *to, struct page *from, unsigned long n)
{
	unsigned long i, run;

	for (i = 0; i < n; i += run) {
		/* Preemption is off meanwhile. */
		run = min(n - i, HM_COPY_RUN);
		if (run > 1 && hm_copy_vectors()) {
			hm_copy_begin();
			hm_copy_run(page_address(to + i), page_address(from + i),
				    run << PAGE_SHIFT);
			hm_copy_end();
		} else {
			run = 1;
			copy_highpage(to + i, from + i);
		}
		cond_resched();
	}
}

/* Copy what has been collected. May sleep. */
void hm_copy_flush(struct hm_copy *copy)
{
	unsigned int i;

	if (copy->n > 1 && hm_copy_vectors()) {
		hm_copy_begin();
		for (i = 0; i < copy->n; i++)
			hm_copy_run(page_address(copy->to[i]), page_address(copy->from[i]),
				    PAGE_SIZE);
		hm_copy_end();
	} else {
		for (i = 0; i < copy->n; i++)
			copy_highpage(copy->to[i], copy->from[i]);
	}
	copy->n = 0;
	cond_resched();
}

/* Collect one more. */
void hm_copy_add(struct hm_copy *copy, struct page *to, struct page *from)
{
	copy->to[copy->n] = to;
	copy->from[copy->n] = from;
	if (++copy->n == HM_COPY_PAGES)
		hm_copy_flush(copy);
}
