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
	mcl_uffd_tasks_refresh(u);
	/*
	 * A thread without a list has not come to make it, or is ending: the kernel forgets the list first and clears the id
	 * then. Where its control block lies cannot be told, so the pages are looked through after they were taken.
	 */
	if (u->task_headless)
		u->youngest = 0;
}

/* Ids of threads in control blocks that were found in the pages. */
struct found {
	uint64_t start, stage;
	unsigned int count;
	uint64_t tid_at[16];
};

static int find_blocks(struct mcl_uffd *u, uint64_t offset, uint64_t part, bool present, void *arg)
{
	struct found *f = arg;

	for (uint64_t at = offset; present && at < offset + part && f->count < 16; at += TCB_ALIGN) {
		const uint64_t *block = (const uint64_t *)(f->stage + at), address = f->start + at;

		if (block[0] == address && block[TCB_SELF] == address)
			f->tid_at[f->count++] = address + u->head_in_block - MCL_TID_BEFORE_HEAD;
	}
	return 0;
}

bool mcl_uffd_tasks_appeared(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t stage)
{
	struct found f = { .start = start, .stage = stage };
	uint64_t now = mcl_uffd_youngest(u);
	bool found;

	/* The end of the thread that such a page is mapped in place for is waited for already. */
	if (u->task_exempt || (now && now == u->youngest))
		return false;
	u->youngest = now;
	mcl_uffd_tasks_refresh(u);
	mcl_uffd_each_part(u, stage, end - start, find_blocks, &f);
	found = f.count;
	for (unsigned int i = 0; i < u->task_count; i++) {
		if (u->tasks[i].start >= end || u->tasks[i].end <= start)
			continue;
		mcl_uffd_exit_watch(u, u->tasks[i].tid, u->tasks[i].head - MCL_TID_BEFORE_HEAD);
		found = true;
	}
	if (!found)
		return false;
	mcl_uffd_put_back(u, stage, start, end);
	for (unsigned int i = 0; i < f.count; i++)
		mcl_uffd_exit_settle(u, f.tid_at[i], 0);
	return true;
}
