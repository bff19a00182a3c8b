// SPDX-License-Identifier: MIT
/*
 * MADV_DONTNEED or MADV_FREE? Their reports are alike, and the kernel sends them before it does anything. If the thread was
 * seen while it waited (mirror_uffd_early.c) its system call says it. If not, this is told from what comes of it:
 * MADV_DONTNEED takes every page out of the host's page table, MADV_FREE takes none at once.
 *
 * That is exact because nothing else fills what was emptied: all memory that is watched faults to the pager then, also what is
 * mapped in place (UFFDIO_REGISTER_MODE_MINOR), and the pager is here. Two things are to be known:
 *  - When there are pages still: whether the thread has come to its end. It is on its way from the moment of reading, with some
 *    microseconds of work to do, so all threads are waited for until each has run that long, or sleeps for something else.
 *  - When there are none: memory that is mapped in place and has been swapped out, all of it, looks as if it had been
 *    emptied. What is in VRAM has no page in the table either, and goes: MADV_FREE permits that.
 */
#include <linux/fs.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

/* As much processor time as a thread can need from its waking up to the first page that it takes out, many times over. */
#define PASSED_NS 500000ull
/* Those that cannot be seen (other processes, io_uring; all, if there is no descriptor left to look with) get that long. */
#define LEAST_NS 2000000ull
#define YIELDS 20
#define PAUSE_US 50
/* More than a second; a thread that does not get a processor for so long has not returned from madvise() either. */
#define LOOKS_MAX 20000

/* Whether the host has a page anywhere in [start, end), if only in swap space. */
static bool any_page(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	struct page_region region;
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.start = start,
		.end = end,
		.vec = (uint64_t)&region,
		.vec_len = 1,
		.max_pages = 1,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};

	return mcl_raw_ioctl(u->pagemap_fd, PAGEMAP_SCAN, &scan) != 0;
}

/* Whether the thread can have nothing left to do about a report of [start, end) that was read when .time was its time. */
static bool passed(const struct mcl_uffd_passing *t, uint64_t start, uint64_t end)
{
	uint64_t nr, arg[6];

	if (mcl_uffd_task_time(t->tid) - t->time >= PASSED_NS) /* or ended */
		return true;
	nr = mcl_uffd_task_syscall(t->tid, arg);
	if (nr == MCL_TASK_RUNS)
		return false;
	/* It sleeps: for what it needs to go on, or, having done that, for its next report to be read. */
	return nr != SYS_madvise || arg[0] >= end || arg[0] + arg[1] <= start || mcl_uffd_task_reports(t->tid);
}

/* All threads but the pager's own. Returns how many. */
static unsigned int list_threads(struct mcl_uffd *u)
{
	const int32_t self = (int32_t)mcl_raw(SYS_gettid, 0, 0, 0, 0, 0, 0), proxy = atomic_load(&u->proxy.tid);
	unsigned int count = 0;

	mcl_uffd_tasks_refresh(u);
	for (unsigned int i = 0; i < u->task_count; i++) {
		const int32_t tid = u->tasks[i].tid;

		if (tid != self && tid != proxy)
			u->passing[count++] = (struct mcl_uffd_passing){ mcl_uffd_task_time(tid), tid };
	}
	return count;
}

bool mcl_uffd_emptied(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	const uint64_t began = mcl_raw_now_ns();
	unsigned int left;

	if (!any_page(u, start, end)) {
		mcl_uffd_warn_swapped(u, start, end);
		return true;
	}
	left = list_threads(u);
	for (unsigned int looks = 0; looks < LOOKS_MAX; looks++) {
		unsigned int kept = 0;

		for (unsigned int i = 0; i < left; i++)
			if (!passed(&u->passing[i], start, end))
				u->passing[kept++] = u->passing[i];
		left = kept;
		/* In this order: what the last of them has done is seen. */
		if (!any_page(u, start, end))
			return true;
		if (!left && mcl_raw_now_ns() - began >= LEAST_NS)
			return false;
		if (looks < YIELDS)
			mcl_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		else
			mcl_raw_sleep_us(PAUSE_US);
	}
	return false;
}
