// SPDX-License-Identifier: MIT
/*
 * munmap() and the like return as soon as their report has been read, so what depends on it must have been done by then: else a
 * kernel could go on for a moment with memory that the host no longer has, or that is something else already.
 * There is no way to look at a report without reading it. But the thread that waits for that is there, with its system call
 * and the arguments of it in /proc/self/task. So before anything is read while the address space is changing, those threads
 * are looked at, and the device is cut off from what they change. The report itself is then handled as ever.
 *
 * Not seen like this: changes made by another process (process_madvise, a vfork child) and by io_uring.
 */
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

/* How often to look for the thread that makes the change, before it must be one that cannot be seen. */
#define LOOKS 60
#define YIELDS 20

/* mremap: where it goes is not looked for. Nothing is lost if the device only stops storing. */
static void stop_stores(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end;) {
		uint64_t stop = mcl_min64(end, mcl_block_down(at) + MCL_BLOCK_SIZE);
		struct mcl_uffd_block *b = mcl_uffd_find(u, at);

		if (b && b->used)
			mcl_uffd_protect(u->engine_fd, at, stop - at, UFFDIO_WRITEPROTECT_MODE_WP);
		at = stop;
	}
}

static void gone(struct mcl_uffd *u, uint64_t start, uint64_t size, bool mapped)
{
	uint64_t end = mcl_page_down(start + size + PAGE_SIZE - 1);

	start = mcl_page_down(start);
	if (end <= start || end > USER_END)
		return;
	/* What is still known as being there has moved away (MREMAP_DONTUNMAP): it is not this that goes. */
	if (mcl_uffd_moving(u, start, end)) {
		stop_stores(u, start, end);
		return;
	}
	mcl_uffd_purge(u, start, end, mapped);
	if (!mapped)
		mcl_uffd_files_unmapped(u, start, end);
}

static void cut_off(struct mcl_uffd *u, uint64_t nr, const uint64_t *arg)
{
	struct mcl_vma vma;

	switch (nr) {
	case SYS_munmap:
		gone(u, arg[0], arg[1], false);
		break;
	case SYS_mmap:
		if (arg[3] & MAP_FIXED)
			gone(u, arg[0], arg[1], false);
		break;
	case SYS_mremap:
		if (arg[3] & MREMAP_FIXED)
			gone(u, arg[4], arg[2], false);
		stop_stores(u, arg[0], arg[0] + arg[1]);
		if (arg[2] > arg[1])
			mcl_uffd_cut_tail(u, arg[0], arg[1]);
		break;
	case SYS_madvise:
		if (arg[2] == MADV_DONTNEED || arg[2] == MADV_DONTNEED_LOCKED || arg[2] == MADV_REMOVE)
			gone(u, arg[0], arg[1], true);
		else if (arg[2] != MADV_FREE)
			break;
		/* If there are more, they count as not seen. */
		if (u->advice_count < ADVICES_MAX)
			u->advices[u->advice_count++] = (struct mcl_uffd_advice){
				.start = mcl_page_down(arg[0]),
				.end = mcl_page_down(arg[0] + arg[1] + PAGE_SIZE - 1),
				.frees = arg[2] == MADV_FREE,
			};
		break;
	case SYS_shmdt:
		mcl_uffd_files_unmapped(u, arg[0], arg[0] + 1);
		break;
	case SYS_brk:
		mcl_uffd_vma(u, arg[0] + PAGE_SIZE - 1, &vma);
		if (vma.kind == VMA_NONE)
			gone(u, vma.start, vma.end - vma.start, false);
		break;
	}
}

static bool cut_off_waiting(struct mcl_uffd *u)
{
	bool found = false;

	mcl_uffd_tasks_refresh(u);
	for (unsigned int i = 0; i < u->task_count; i++) {
		uint64_t arg[6];
		uint64_t nr = mcl_uffd_task_syscall(u->tasks[i].tid, arg);

		if (nr != SYS_munmap && nr != SYS_mmap && nr != SYS_mremap && nr != SYS_madvise && nr != SYS_brk &&
		    nr != SYS_shmdt)
			continue;
		/* Only there has the change really been made, or is about to. */
		if (!mcl_uffd_task_reports(u->tasks[i].tid))
			continue;
		if (u->tasks[i].tid != atomic_load(&u->proxy.tid))
			cut_off(u, nr, arg);
		found = true;
	}
	return found;
}

/*
 * Reports are read in the order in which their threads began to wait. So if any are found waiting, the next report is of one
 * of them. If none is, there is one that is about to.
 */
void mcl_uffd_early(struct mcl_uffd *u)
{
	u->advice_count = 0;
	for (unsigned int i = 0; i < LOOKS && !cut_off_waiting(u); i++) {
		if (!mcl_uffd_changing_now(u))
			return;
		if (i < YIELDS)
			mcl_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		else
			mcl_raw_sleep_us(50);
	}
}
