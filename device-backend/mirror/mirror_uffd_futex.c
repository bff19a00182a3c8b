// SPDX-License-Identifier: MIT
/*
 * Threads that wait for shared futexes: futex(), futex_wait() and futex_waitv() without the private flag. The kernel queues
 * them under what the page is: memory of this process, or a page of a file. Mapping in place and its end change that, and
 * whoever wakes would look in the wrong queue.
 *
 * What a thread waits for is in /proc; the array of futex_waitv() is in its own memory, which may be away.
 */
#include <sys/uio.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#ifndef SYS_futex_wait
#define SYS_futex_wait 455
#endif
#define FUTEX2_PRIVATE_BIT 128u

/* The shared futexes that thread @tid waits for. Returns how many. */
static unsigned int waits_for(struct mcl_uffd *u, int32_t tid, uint64_t *out)
{
	const uint64_t pid = (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	struct futex_waitv waiters[FUTEX_WAITV_MAX];
	struct iovec local = { waiters, 0 }, remote = { 0 };
	unsigned int count = 0;
	uint64_t arg[6];
	long n;

	switch (mcl_uffd_task_syscall(tid, arg)) {
	case SYS_futex:
		out[0] = arg[0];
		return !(arg[1] & FUTEX_PRIVATE_FLAG);
	case SYS_futex_wait:
		out[0] = arg[0];
		return !(arg[3] & FUTEX2_PRIVATE_BIT);
	case SYS_futex_waitv:
		break;
	default:
		return 0;
	}
	remote.iov_base = (void *)arg[0];
	local.iov_len = remote.iov_len = mcl_min64(arg[1], FUTEX_WAITV_MAX) * sizeof(waiters[0]);
	n = mcl_uffd_proxy_call(u, SYS_process_vm_readv, pid, (uint64_t)&local, 1, (uint64_t)&remote, 1, 0);
	for (long i = 0; i < n / (long)sizeof(waiters[0]); i++)
		if (!(waiters[i].flags & FUTEX2_PRIVATE_BIT))
			out[count++] = waiters[i].uaddr;
	return count;
}

/* A list of its own: looking at a thread may renew the mirror's. Returns how many. */
static unsigned int list_tasks(struct mcl_uffd *u, int32_t *tids)
{
	mcl_uffd_tasks_refresh(u);
	for (unsigned int i = 0; i < u->task_count; i++)
		tids[i] = u->tasks[i].tid;
	return u->task_count;
}

bool mcl_uffd_futex_waited(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t except)
{
	uint64_t futexes[FUTEX_WAITV_MAX];
	int32_t tids[TASKS_MAX];
	unsigned int tasks = list_tasks(u, tids);

	for (unsigned int i = 0; i < tasks; i++) {
		unsigned int count = waits_for(u, tids[i], futexes);

		for (unsigned int k = 0; k < count; k++)
			if (futexes[k] >= start && futexes[k] < end && futexes[k] != except)
				return true;
	}
	return false;
}

/* Wake who waits for the shared futex at @address of the memfd, wherever it is mapped. */
static void wake_alias(struct mcl_uffd *u, uint64_t address)
{
	uint64_t at = (uint64_t)mcl_raw(SYS_mmap, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, (uint64_t)u->memfd,
					mcl_page_down(address));

	if (at > USER_END)
		return;
	mcl_raw(SYS_futex, at + (address & (PAGE_SIZE - 1)), FUTEX_WAKE, INT32_MAX, 0, 0, 0);
	mcl_raw(SYS_munmap, at, PAGE_SIZE, 0, 0, 0, 0);
}

void mcl_uffd_futex_requeue(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size)
{
	uint64_t futexes[FUTEX_WAITV_MAX];
	int32_t tids[TASKS_MAX];
	unsigned int tasks = list_tasks(u, tids);

	for (unsigned int i = 0; i < tasks; i++) {
		unsigned int count = waits_for(u, tids[i], futexes);

		for (unsigned int k = 0; k < count; k++)
			if (futexes[k] >= to && futexes[k] < to + size)
				wake_alias(u, futexes[k] - to + from);
	}
}
