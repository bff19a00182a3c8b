// SPDX-License-Identifier: MIT
/*
 * Pages with thread control blocks. When a thread ends, the kernel clears its id there and wakes who waits for that, and walks
 * the thread's list of robust futexes; a fault there cannot wait for anybody, so it fails, and whoever joins the thread
 * waits for ever. So these pages are never left in VRAM. In glibc the list head and the id are neighbours in struct
 * pthread; get_robust_list() says where for every thread.
 *
 * If the device wants such a page it is mapped in place (mirror_uffd_exits.c).
 */
#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

/* Around the list head: enough for the thread id too. */
#define MARGIN 64ull

static void add(struct mcl_uffd *u, int32_t tid)
{
	uint64_t head = 0, size = 0;

	/* As good as one whose control block cannot be found: see mcl_uffd_tasks_begin(). */
	if (u->task_count >= TASKS_MAX) {
		u->task_headless = true;
		return;
	}
	/* Threads that were not made by the C library may have none. */
	mcl_raw(SYS_get_robust_list, (uint64_t)tid, (uint64_t)&head, (uint64_t)&size, 0, 0, 0);
	u->task_headless |= !head;
	u->tasks[u->task_count].tid = tid;
	u->tasks[u->task_count].head = head;
	u->tasks[u->task_count].start = head ? mcl_page_down(head - MARGIN) : 0;
	u->tasks[u->task_count].end = head ? mcl_page_down(head + MARGIN + PAGE_SIZE - 1) : 0;
	u->task_count++;
}

void mcl_uffd_tasks_refresh(struct mcl_uffd *u)
{
	u->task_headless = false;
	mcl_uffd_each_task(u, add);
	if (u->task_headless)
		mcl_uffd_warn_threads(u);
}

static void count(struct mcl_uffd *u, int32_t tid)
{
	(void)tid;
	u->task_count++;
}

unsigned int mcl_uffd_tasks_count(struct mcl_uffd *u)
{
	mcl_uffd_each_task(u, count);
	return u->task_count;
}

uint64_t mcl_uffd_tasks_next(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t *until)
{
	uint64_t first = end;

	*until = end;
	for (unsigned int i = 0; i < u->task_count; i++) {
		uint64_t s = mcl_max64(u->tasks[i].start, start);

		if (u->task_exempt && u->tasks[i].start == u->task_exempt)
			continue;
		if (s < first && u->tasks[i].end > start) {
			first = s;
			*until = mcl_min64(u->tasks[i].end, end);
		}
	}
	for (unsigned int i = 0; i < u->held_count; i++) {
		if (u->held[i] < start || u->held[i] >= first || u->held[i] == u->task_exempt)
			continue;
		first = u->held[i];
		*until = mcl_min64(first + PAGE_SIZE, end);
	}
	return first;
}

uint64_t mcl_uffd_tasks_next_known(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t *until)
{
	uint64_t first = mcl_uffd_tasks_next(u, start, end, until);

	for (unsigned int i = 0; i < u->unlisted_count; i++) {
		uint64_t s = mcl_max64(u->unlisted[i].start, start);

		if (s >= first || u->unlisted[i].end <= start)
			continue;
		first = s;
		*until = mcl_min64(u->unlisted[i].end, end);
	}
	return first;
}

bool mcl_uffd_tasks_unlisted(struct mcl_uffd *u, uint64_t page)
{
	for (unsigned int i = 0; i < u->unlisted_count; i++)
		if (page >= u->unlisted[i].start && page < u->unlisted[i].end)
			return true;
	return false;
}

unsigned int mcl_uffd_task_at(struct mcl_uffd *u, uint64_t page)
{
	unsigned int i = 0;

	while (i < u->task_count && (u->tasks[i].start > page || u->tasks[i].end <= page))
		i++;
	return i;
}

/* ---- threads that appear while pages are being moved ---- */

/* The C library's control block begins with its own address, and has it again in the third word. */
#define TCB_ALIGN 64
#define TCB_SELF 2

void mcl_uffd_tasks_begin(struct mcl_uffd *u)
{
	u->youngest = mcl_uffd_youngest(u);
	u->unlisted_count = 0;
	mcl_uffd_tasks_refresh(u);
	/*
	 * A thread without a list has not come to make it, or is ending: the kernel forgets the list first and clears the id
	 * then. Where its control block lies cannot be told, so the pages are looked through after they were taken.
	 */
	if (u->task_headless)
		u->youngest = 0;
}

/* Control blocks that were found in the pages: those of .unlisted from .first on, and where their ids are. */
struct found {
	uint64_t start, stage;
	unsigned int first;
	uint64_t tid_at[UNLISTED_MAX];
};

/* Whether a thread sleeps until the word at @tid_at is another: for the end of a thread. */
static bool is_joined(struct mcl_uffd *u, uint64_t tid_at)
{
	uint64_t arg[6];

	for (unsigned int i = 0; i < u->task_count; i++)
		if (mcl_uffd_task_syscall(u->tasks[i].tid, arg) == SYS_futex && arg[0] == tid_at)
			return true;
	return false;
}

/*
 * A block whose id is 0 is what an ended thread has left: that may stay there for ever, and is memory like any other. Unless the kernel
 * has just cleared it, and was about to wake who waits for that when the page went.
 */
static int find_blocks(struct mcl_uffd *u, uint64_t offset, uint64_t part, bool present, void *arg)
{
	const uint64_t tid_in_block = u->head_in_block - MCL_TID_BEFORE_HEAD;
	struct found *f = arg;

	for (uint64_t at = offset; present && at < offset + part; at += TCB_ALIGN) {
		const uint64_t *block = (const uint64_t *)(f->stage + at), address = f->start + at;
		const uint64_t tid_at = at + tid_in_block;
		bool ended;

		if (block[0] != address || block[TCB_SELF] != address)
			continue;
		ended = tid_at < offset + part && !*(const int32_t *)(f->stage + tid_at);
		if (ended && !is_joined(u, address + tid_in_block))
			continue;
		if (u->unlisted_count == UNLISTED_MAX)
			return -ENOSPC;
		f->tid_at[u->unlisted_count] = address + tid_in_block;
		u->unlisted[u->unlisted_count++] = (struct mcl_span){ mcl_page_down(address),
								      mcl_page_down(address + tid_in_block) + PAGE_SIZE,
								      false };
	}
	return 0;
}

bool mcl_uffd_tasks_appeared(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t stage)
{
	struct found f = { .start = start, .stage = stage, .first = u->unlisted_count };
	uint64_t now = mcl_uffd_youngest(u);
	bool found;

	/* The end of the thread that such a page is mapped in place for is waited for already. */
	if (u->task_exempt || (now && now == u->youngest))
		return false;
	mcl_uffd_tasks_refresh(u);
	/* One take may move several runs of pages: while such a thread is about, each of them has to be looked through. */
	u->youngest = u->task_headless ? 0 : now;
	found = mcl_uffd_each_part(u, stage, end - start, find_blocks, &f) == -ENOSPC || u->unlisted_count > f.first;
	for (unsigned int i = 0; i < u->task_count; i++) {
		if (u->tasks[i].start >= end || u->tasks[i].end <= start)
			continue;
		mcl_uffd_exit_watch(u, u->tasks[i].tid, u->tasks[i].head - MCL_TID_BEFORE_HEAD);
		found = true;
	}
	if (!found)
		return false;
	mcl_uffd_put_back(u, stage, start, end);
	for (unsigned int i = f.first; i < u->unlisted_count; i++)
		mcl_uffd_exit_settle(u, f.tid_at[i], 0);
	return true;
}
