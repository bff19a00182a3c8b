// SPDX-License-Identifier: MIT
/*
 * munmap() and the like return as soon as their report has been read, so what depends on it must have been done by then: else a
 * kernel could go on for a moment with memory that the host no longer has, or that is something else already.
 * There is no way to look at a report without reading it. But the thread that waits for that is there, with its system call
 * and the arguments of it in /proc/self/task. So before anything is read while the address space is changing, those threads
 * are looked at, and the device is cut off from what they change. The report itself is then handled as ever.
 *
 * To look costs some ten microseconds a thread, to ask for its processor time one: a thread that slept and has had none since
 * still sleeps. Who waits does so until the report is read, so that thread need not be looked at again either, and cannot
 * always: each report that is read wakes all who wait.
 *
 * Not seen like this: changes made by another process (process_madvise, a vfork child) and by io_uring; and a thread that each
 * time had just been woken like that, or was about to sleep.
 */
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

/* How often to look for the thread that makes the change, before it must be one that cannot be seen. */
#define LOOKS 60
#define YIELDS 20
/* A thread that was seen to wait, and has had so much processor time since, is looked at again. */
#define DOUBT_NS 100000ull

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

/* Returns whether that was all that there is to do before the report is read. */
static bool gone(struct mcl_uffd *u, uint64_t start, uint64_t size, bool mapped)
{
	uint64_t end = mcl_page_down(start + size + PAGE_SIZE - 1);

	start = mcl_page_down(start);
	if (end <= start || end > USER_END)
		return true;
	/* What is still known as being there has moved away (MREMAP_DONTUNMAP): it is not this that goes. */
	if (mcl_uffd_moving(u, start, end)) {
		stop_stores(u, start, end);
		return false;
	}
	mcl_uffd_purge(u, start, end, mapped);
	if (!mapped)
		mcl_uffd_files_unmapped(u, start, end);
	return true;
}

/* Returns likewise. */
static bool cut_off(struct mcl_uffd *u, uint64_t nr, const uint64_t *arg)
{
	struct mcl_vma vma;

	switch (nr) {
	case SYS_munmap:
		return gone(u, arg[0], arg[1], false);
	case SYS_madvise:
		if (arg[2] == MADV_DONTNEED || arg[2] == MADV_DONTNEED_LOCKED || arg[2] == MADV_REMOVE)
			return gone(u, arg[0], arg[1], true);
		return true;
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
	case SYS_shmdt:
		mcl_uffd_files_unmapped(u, arg[0], arg[0] + 1);
		break;
	case SYS_brk:
		mcl_uffd_vma(u, arg[0] + PAGE_SIZE - 1, &vma);
		if (vma.kind == VMA_NONE)
			gone(u, vma.start, vma.end - vma.start, false);
		break;
	}
	return false;
}

static bool changes(uint64_t nr)
{
	return nr == SYS_munmap || nr == SYS_mmap || nr == SYS_mremap || nr == SYS_madvise || nr == SYS_brk ||
	       nr == SYS_shmdt;
}

/* Whether the thread waits; if so, and that is new, the device is cut off. */
static bool look_at(struct mcl_uffd *u, struct mcl_uffd_look *l)
{
	/* Before the look: it says how the thread was at that time or later. */
	const uint64_t time = mcl_uffd_task_time(l->tid);
	uint64_t nr, arg[6];

	if (l->state == LOOK_WAITS && !l->again && time - l->time < DOUBT_NS)
		return true;
	if (l->state == LOOK_ELSEWHERE && time == l->time)
		return false;
	*l = (struct mcl_uffd_look){ .time = time, .tid = l->tid };
	nr = mcl_uffd_task_syscall(l->tid, arg);
	if (nr == MCL_TASK_RUNS)
		return false;
	if (!changes(nr)) {
		l->state = LOOK_ELSEWHERE;
		return false;
	}
	/* Only there has the change really been made, or is about to. */
	if (!mcl_uffd_task_reports(l->tid))
		return false;
	l->state = LOOK_WAITS;
	l->advises = nr == SYS_madvise;
	l->frees = l->advises && arg[2] == MADV_FREE;
	l->start = mcl_page_down(arg[0]);
	l->end = mcl_page_down(arg[0] + arg[1] + PAGE_SIZE - 1);
	l->again = l->tid == atomic_load(&u->proxy.tid) ? nr != SYS_munmap : !cut_off(u, nr, arg);
	return true;
}

/* The list of threads anew, with what is known of those that are still there. They are listed in the order of their making. */
static void renew(struct mcl_uffd *u)
{
	unsigned int old = 0;

	mcl_uffd_tasks_refresh(u);
	for (unsigned int i = 0; i < u->task_count; i++) {
		unsigned int same = old;

		while (same < u->look_count && u->looks[same].tid != u->tasks[i].tid)
			same++;
		if (same < u->look_count) {
			u->looks[i] = u->looks[same];
			old = same + 1;
		} else {
			u->looks[i] = (struct mcl_uffd_look){ .tid = u->tasks[i].tid };
		}
	}
	u->look_count = u->task_count;
}

static bool cut_off_waiting(struct mcl_uffd *u)
{
	const int32_t self = (int32_t)mcl_raw(SYS_gettid, 0, 0, 0, 0, 0, 0);
	unsigned int first;

	renew(u);
	first = u->look_count;
	for (unsigned int i = 0; i < u->look_count; i++)
		if (u->looks[i].tid != self && look_at(u, &u->looks[i]) && first == u->look_count)
			first = i;
	if (first == u->look_count)
		return false;
	/* One before it may have begun to wait after it was looked at, and yet be the one whose report is next. */
	for (unsigned int i = 0; i < first; i++)
		if (u->looks[i].tid != self && u->looks[i].state == LOOK_RUNS)
			look_at(u, &u->looks[i]);
	u->looked = true;
	return true;
}

/*
 * Reports are read in the order in which their threads began to wait. So if any are found waiting, the next report is of one
 * of them. If none is, there is one that is about to.
 */
void mcl_uffd_early(struct mcl_uffd *u)
{
	for (unsigned int i = 0; i < LOOKS && !cut_off_waiting(u); i++) {
		if (!mcl_uffd_changing_now(u))
			return;
		if (i < YIELDS)
			mcl_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		else
			mcl_raw_sleep_us(50);
	}
}

enum mcl_reporter mcl_uffd_reporter(struct mcl_uffd *u, const struct uffd_msg *m)
{
	enum mcl_reporter reporter = REPORTER_UNSEEN;
	uint64_t start, end;

	if (!mcl_uffd_event_range(m, &start, &end))
		return REPORTER_OTHER;
	for (unsigned int i = 0; i < u->look_count; i++) {
		struct mcl_uffd_look *l = &u->looks[i];

		/* REMOVE is of madvise() and nothing else. Of what else there is, the range is known of munmap() only. */
		if (l->state != LOOK_WAITS || l->advises != (m->event == UFFD_EVENT_REMOVE))
			continue;
		if ((l->advises || !l->again) && (start < l->start || end > l->end))
			continue;
		/* It may be going on: to its end, or to wait for the report of the next mapping in its range. */
		l->state = LOOK_RUNS;
		if (!l->frees)
			reporter = REPORTER_OTHER;
		else if (reporter == REPORTER_UNSEEN)
			reporter = REPORTER_FREES;
	}
	return reporter;
}

void mcl_uffd_none_waits(struct mcl_uffd *u)
{
	for (unsigned int i = 0; u->looked && i < u->look_count; i++)
		if (u->looks[i].state == LOOK_WAITS)
			u->looks[i].state = LOOK_RUNS;
	u->looked = false;
}
