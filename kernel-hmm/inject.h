/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Failures on purpose, for tests: at each of these points the module can be made to
 * behave as if something had gone wrong. Off unless root writes to debugfs (inject.c);
 * then it costs a patched jump.
 */
#ifndef HM_INJECT_H
#define HM_INJECT_H

#include <linux/delay.h>
#include <linux/jump_label.h>
#include <linux/types.h>

enum hm_inject_point {
	HM_INJECT_CONTEXT,	/* registering: the context, */
	HM_INJECT_ACCOUNT,	/* ... the account, */
	HM_INJECT_QUEUE,	/* ... the queue, */
	HM_INJECT_ENGINE,	/* ... the engine's file, */
	HM_INJECT_NOTIFIER,	/* ... the notifier */
	HM_INJECT_PFNS,		/* memory to ask the core with */
	HM_INJECT_TABLE,	/* memory for the device page table */
	HM_INJECT_CHANGED,	/* the range changed while it was looked at */
	HM_INJECT_STORE,	/* what was reserved in the table is gone again */
	HM_INJECT_EXCLUSIVE,	/* the page cannot be had exclusively for now */
	HM_INJECT_PAGE_TABLE,	/* memory for the engine's page table */
	HM_INJECT_VERDICT,	/* memory for telling a thread that it failed */
	HM_INJECT_SERVICE,	/* memory for the ranges of in-kernel service */
	HM_INJECT_WINDOW,	/* memory to migrate with */
	HM_INJECT_SETUP,	/* the core refuses to migrate */
	HM_INJECT_VRAM_2M,	/* room in VRAM for a huge page, */
	HM_INJECT_VRAM_4K,	/* ... for a page */
	HM_INJECT_BACKING,	/* 2 MiB in a row to stand for VRAM */
	HM_INJECT_RAM_2M,	/* system memory for a huge page, */
	HM_INJECT_RAM_4K,	/* ... for a page */
	HM_INJECT_LINGER,	/* nothing fails: pages take long to come home, */
	HM_INJECT_TARRY,	/* ... an engine's fault takes long before it looks at 2 MiB */
	HM_INJECT_MAX,
};

DECLARE_STATIC_KEY_FALSE(hm_inject_on);

bool hm_inject_now(enum hm_inject_point point);

static inline bool hm_inject(enum hm_inject_point point)
{
	return static_branch_unlikely(&hm_inject_on) && hm_inject_now(point);
}

/* Time for somebody to meet what is on its way. */
static inline void hm_inject_sleep(enum hm_inject_point point, unsigned int ms)
{
	if (hm_inject(point))
		msleep(ms);
}

#endif
