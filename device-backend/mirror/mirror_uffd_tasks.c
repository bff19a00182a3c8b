// SPDX-License-Identifier: MIT
/*
 * Thread control blocks. When a thread ends, the kernel clears its id in user memory and walks its list of robust
 * futexes; a fault there cannot wait for anybody, so it fails and whoever joins the thread waits for ever. Nor may the
 * page be promoted: who waits for the id to change is queued under the page's old identity. So these pages are never taken.
 *
 * In glibc the list head and the id are neighbours in struct pthread; get_robust_list() says where for every thread.
 */
#include <stdint.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

/* Around the list head: enough for the thread id too. */
#define MARGIN 64ull

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

static int32_t parse_tid(const char *name)
{
	int32_t tid = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		tid = tid * 10 + *name - '0';
	return *name ? 0 : tid;
}

static void add(struct mcl_uffd *u, int32_t tid)
{
	uint64_t head = 0, size = 0;

	if (u->task_count >= TASKS_MAX)
		mcl_uffd_fatal("too many threads for the userfaultfd mirror", TASKS_MAX, 0);
	if (mcl_raw(SYS_get_robust_list, (uint64_t)tid, (uint64_t)&head, (uint64_t)&size, 0, 0, 0) || !head)
		return;
	u->tasks[u->task_count].start = mcl_page_down(head - MARGIN);
	u->tasks[u->task_count].end = mcl_page_down(head + MARGIN + PAGE_SIZE - 1);
	u->task_count++;
}

void mcl_uffd_tasks_refresh(struct mcl_uffd *u)
{
	long n;

	u->task_count = 0;
	mcl_raw(SYS_lseek, (uint64_t)u->task_dir, 0, 0 /* SEEK_SET */, 0, 0, 0);
	while ((n = mcl_raw(SYS_getdents64, (uint64_t)u->task_dir, (uint64_t)u->scratch, sizeof(u->scratch), 0, 0, 0)) >
	       0) {
		for (long at = 0; at < n;) {
			struct linux_dirent64 *d = (struct linux_dirent64 *)(u->scratch + at);
			int32_t tid = parse_tid(d->d_name);

			if (tid)
				add(u, tid);
			at += d->d_reclen;
		}
	}
}

uint64_t mcl_uffd_tasks_next(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t *until)
{
	uint64_t first = end;

	*until = end;
	for (unsigned int i = 0; i < u->task_count; i++) {
		uint64_t s = mcl_max64(u->tasks[i].start, start);

		if (s < first && u->tasks[i].end > start) {
			first = s;
			*until = mcl_min64(u->tasks[i].end, end);
		}
	}
	return first;
}
