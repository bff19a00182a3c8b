// SPDX-License-Identifier: MIT
/*
 * Threads whose control block is mapped in place, because the device wants its page (which also holds the first frames of the
 * thread's function). Two things must be made up for when such a thread ends, which a pidfd of it tells: the id that could
 * not be cleared if the thread ended while its page was on its way, and waiters that went to sleep before the page
 * changed its identity, whom the kernel's wake-up misses.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static bool read_page_word(struct mcl_uffd *u, uint64_t address, int32_t *out)
{
	return mcl_raw(SYS_pread64, (uint64_t)u->memfd, (uint64_t)out, sizeof(*out), address, 0, 0) == sizeof(*out);
}

long mcl_uffd_exit_watch(struct mcl_uffd *u, int32_t tid, uint64_t tid_at)
{
	const uint64_t pid = (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	struct epoll_event event = { .events = EPOLLIN };
	struct mcl_uffd_exit *slot = NULL;
	long fd;

	for (unsigned int i = 0; i < EXITS_MAX; i++) {
		if (u->exits[i].pidfd > 0 && u->exits[i].tid == tid && u->exits[i].tid_at == tid_at)
			return 0;
		if (u->exits[i].pidfd <= 0 && !slot)
			slot = &u->exits[i];
	}
	if (!slot)
		return -ENOSPC;
	fd = mcl_raw(SYS_pidfd_open, (uint64_t)tid, PIDFD_THREAD, 0, 0, 0, 0);
	if (fd < 0)
		return fd;
	/* The number may be that of somebody else's process by now. */
	if (mcl_raw(SYS_tgkill, pid, (uint64_t)tid, 0, 0, 0, 0)) {
		mcl_raw(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
		return -ESRCH;
	}
	*slot = (struct mcl_uffd_exit){ .pidfd = (int)fd, .tid = tid, .tid_at = tid_at };
	mcl_raw(SYS_epoll_ctl, (uint64_t)u->epoll_fd, EPOLL_CTL_ADD, (uint64_t)fd, (uint64_t)&event, 0, 0);
	return 0;
}

long mcl_uffd_exits_promote(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t page)
{
	unsigned int i = mcl_uffd_task_at(u, page);
	uint64_t tid_at;
	int32_t word = 0, tid;
	long n;

	if (i == u->task_count)
		return -EOPNOTSUPP;
	tid = u->tasks[i].tid;
	tid_at = u->tasks[i].head - MCL_TID_BEFORE_HEAD;
	if (mcl_page_down(tid_at) != page)
		return -EOPNOTSUPP;
	n = mcl_uffd_exit_watch(u, tid, tid_at);
	if (n < 0)
		return n == -ESRCH ? -EAGAIN : -EOPNOTSUPP;
	/* From here on the thread's end is noticed, and should it be just now, that is made up for as well. */
	u->task_exempt = page;
	n = mcl_uffd_take(u, vma, page, page + PAGE_SIZE, page);
	u->task_exempt = 0;
	if (n <= 0)
		return n ? n : -EOPNOTSUPP;
	if (!read_page_word(u, tid_at, &word) || (word != tid && word))
		n = -EOPNOTSUPP;
	else
		n = mcl_uffd_promote(u, vma, page, page + PAGE_SIZE, tid_at);
	if (n < 0)
		mcl_uffd_bring(u, page, page + PAGE_SIZE);
	return n;
}

/* The host's word at @at. False: it may be unmapped by now. */
static bool host_word(struct mcl_uffd *u, uint64_t at, int32_t *word)
{
	const uint64_t pid = (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	struct iovec local = { word, sizeof(*word) }, remote = { (void *)at, sizeof(*word) };

	return mcl_uffd_proxy_call(u, SYS_process_vm_readv, pid, (uint64_t)&local, 1, (uint64_t)&remote, 1, 0) ==
	       sizeof(*word);
}

static void set_host_word(struct mcl_uffd *u, uint64_t at, int32_t word)
{
	const uint64_t pid = (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	struct iovec local = { &word, sizeof(word) }, remote = { (void *)at, sizeof(word) };

	mcl_uffd_proxy_call(u, SYS_process_vm_writev, pid, (uint64_t)&local, 1, (uint64_t)&remote, 1, 0);
}

/*
 * Whether the thread that @tid_at names has ended, with the kernel unable to clear its id. The id is read again once it is known
 * that there is no such thread: before, it could still clear it itself, and the place be another thread's by now, whose
 * join would return at once. Afterwards nobody can but us.
 */
static bool left_behind(struct mcl_uffd *u, uint64_t tid_at, int32_t tid, int32_t dead)
{
	int32_t again = 0;

	if (tid <= 0)
		return false;
	if (tid == dead)
		return true;
	return mcl_uffd_exit_watch(u, tid, tid_at) == -ESRCH && host_word(u, tid_at, &again) && again == tid;
}

void mcl_uffd_exit_settle(struct mcl_uffd *u, uint64_t tid_at, int32_t dead)
{
	int32_t tid = 0;

	if (!host_word(u, tid_at, &tid))
		return;
	if (left_behind(u, tid_at, tid, dead))
		set_host_word(u, tid_at, 0);
	mcl_uffd_proxy_call(u, SYS_futex, tid_at, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
}

static void thread_ended(struct mcl_uffd *u, struct mcl_uffd_exit *e)
{
	const struct mcl_uffd_exit ended = *e;
	const uint64_t page = mcl_page_down(ended.tid_at);
	struct mcl_uffd_block *b = mcl_uffd_find(u, page);

	mcl_raw(SYS_close, (uint64_t)e->pidfd, 0, 0, 0, 0, 0);
	e->pidfd = 0;
	if (mcl_uffd_state(u, page) == PAGE_PROMOTED) {
		unsigned int i;

		/* Another thread lives in the same place already: then it stays as it is until that ends. */
		mcl_uffd_tasks_refresh(u);
		i = mcl_uffd_task_at(u, page);
		if (i < u->task_count &&
		    !mcl_uffd_exit_watch(u, u->tasks[i].tid, u->tasks[i].head - MCL_TID_BEFORE_HEAD))
			return;
		mcl_uffd_set(b, page, page + PAGE_SIZE, PAGE_HOST);
		mcl_uffd_demote(u, page, page, PAGE_SIZE);
		mcl_uffd_wake(u->host_fd, page, PAGE_SIZE);
	}
	mcl_uffd_exit_settle(u, ended.tid_at, ended.tid);
}

static bool has_ended(const struct mcl_uffd_exit *e)
{
	struct pollfd fd = { .fd = e->pidfd, .events = POLLIN };

	return mcl_raw(SYS_poll, (uint64_t)&fd, 1, 0, 0, 0, 0) > 0;
}

void mcl_uffd_exits_ended(struct mcl_uffd *u)
{
	for (unsigned int i = 0; i < EXITS_MAX; i++)
		if (u->exits[i].pidfd > 0 && has_ended(&u->exits[i]))
			thread_ended(u, &u->exits[i]);
}

void mcl_uffd_exits_forget(struct mcl_uffd *u)
{
	mcl_uffd_exits_ended(u);
	for (unsigned int i = 0; i < EXITS_MAX; i++) {
		if (u->exits[i].pidfd > 0)
			mcl_raw(SYS_close, (uint64_t)u->exits[i].pidfd, 0, 0, 0, 0, 0);
		u->exits[i].pidfd = 0;
	}
}
