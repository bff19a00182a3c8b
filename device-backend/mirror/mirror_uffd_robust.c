// SPDX-License-Identifier: MIT
/*
 * Robust mutexes. When a thread ends, the kernel walks the list of those that it still holds, marks each and wakes a waiter.
 * A fault there cannot wait for anybody: the walk would just stop, and the others would wait for ever. So pages with
 * such a mutex are kept out of VRAM while it is held; if the device wants one, it is mapped in place.
 *
 * The lists are looked at before pages are taken. A mutex that is locked later touches its page, which brings it home.
 */
#include <sys/uio.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#define BATCH 64
/* More than a thread can sensibly hold at once; the kernel's own limit is 2048. */
#define LIST_MAX 256

static void hold(struct mcl_uffd *u, uint64_t address)
{
	const uint64_t page = mcl_page_down(address);

	if (mcl_uffd_robust_held(u, page) || u->held_count == HELD_MAX)
		return;
	u->held[u->held_count++] = page;
	/* Taken between the look at the list and the lock, or before it was made known. */
	if (mcl_uffd_state(u, page) == PAGE_VRAM) {
		mcl_uffd_bring(u, page, page + PAGE_SIZE);
		mcl_uffd_wake(u->host_fd, page, PAGE_SIZE);
	}
}

/* A node of a list, its lowest bit a flag: note its pages and follow it. 0: the end, or unreadable. */
static uint64_t follow(struct mcl_uffd *u, uint64_t node, uint64_t offset)
{
	const uint64_t pid = (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	uint64_t next = 0;
	struct iovec local = { &next, sizeof(next) }, remote = { (void *)(node & ~1ull), sizeof(next) };

	hold(u, node & ~1ull);
	hold(u, (node & ~1ull) + offset);
	if (mcl_uffd_proxy_call(u, SYS_process_vm_readv, pid, (uint64_t)&local, 1, (uint64_t)&remote, 1, 0) !=
	    sizeof(next))
		return 0;
	return next;
}

static void walk(struct mcl_uffd *u, uint64_t address, const struct robust_list_head *head)
{
	uint64_t node = (uint64_t)head->list.next, offset = (uint64_t)head->futex_offset;

	if (head->list_op_pending)
		follow(u, (uint64_t)head->list_op_pending, offset);
	for (int i = 0; i < LIST_MAX && node && (node & ~1ull) != address; i++)
		node = follow(u, node, offset);
}

/* The heads at @at, which are in pages that are never in VRAM. How many were read, from the start. */
static unsigned int read_heads(struct mcl_uffd *u, const uint64_t *at, unsigned int max, struct robust_list_head *heads)
{
	const uint64_t pid = (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	struct iovec local = { heads, 0 }, remote[BATCH];
	unsigned int count = 0;
	bool in_place = false;
	long n = 0;

	for (; count < max && count < BATCH; count++) {
		/* It is just being mapped in place. */
		if (!at[count] || mcl_uffd_state(u, at[count]) == PAGE_VRAM)
			break;
		in_place |= mcl_uffd_state(u, at[count]) == PAGE_PROMOTED;
		remote[count] = (struct iovec){ (void *)at[count], sizeof(*heads) };
	}
	local.iov_len = count * sizeof(*heads);
	/* A stack that the program has made of memory that was mapped in place already: to read there may be a fault. */
	if (in_place)
		n = mcl_uffd_proxy_call(u, SYS_process_vm_readv, pid, (uint64_t)&local, 1, (uint64_t)remote, count, 0);
	else if (count)
		n = mcl_raw(SYS_process_vm_readv, pid, (uint64_t)&local, 1, (uint64_t)remote, count, 0);
	return n > 0 ? (unsigned int)((uint64_t)n / sizeof(*heads)) : 0;
}

void mcl_uffd_robust_refresh(struct mcl_uffd *u)
{
	const unsigned int count = u->task_count;
	struct robust_list_head heads[BATCH];
	uint64_t *const at = u->heads;

	/* Following a list may renew the mirror's own one. */
	for (unsigned int i = 0; i < count; i++)
		at[i] = u->tasks[i].head;
	u->held_count = 0;
	for (unsigned int first = 0; first < count;) {
		unsigned int n = read_heads(u, at + first, count - first, heads);

		for (unsigned int i = 0; i < n; i++)
			if ((uint64_t)heads[i].list.next != at[first + i] || heads[i].list_op_pending)
				walk(u, at[first + i], &heads[i]);
		/* One that has none, or has ended, is passed over. */
		first += n < BATCH ? n + 1 : n;
	}
}

bool mcl_uffd_robust_held(struct mcl_uffd *u, uint64_t page)
{
	for (unsigned int i = 0; i < u->held_count; i++)
		if (u->held[i] == page)
			return true;
	return false;
}

long mcl_uffd_robust_promote(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t page)
{
	long n;

	if (!mcl_uffd_robust_held(u, page))
		return -EOPNOTSUPP;
	u->task_exempt = page;
	n = mcl_uffd_take(u, vma, page, page + PAGE_SIZE, page);
	u->task_exempt = 0;
	if (n <= 0)
		return n ? n : -EOPNOTSUPP;
	n = mcl_uffd_promote(u, vma, page, page + PAGE_SIZE, 0);
	if (n >= 0)
		return n;
	mcl_uffd_bring(u, page, page + PAGE_SIZE);
	return n == -EMFILE ? -EOPNOTSUPP : n;
}
