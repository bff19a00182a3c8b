// SPDX-License-Identifier: MIT
/*
 * Pages with thread control blocks. When a thread ends, the kernel clears its id there and wakes who waits for that, and walks
 * the thread's list of robust futexes; a fault there cannot wait for anybody, so it fails, and whoever joins the thread
 * waits for ever. So these pages are never left in VRAM. In glibc the list head and the id are neighbours in struct
 * pthread; get_robust_list() says where for every thread.
 *
 * If the device wants such a page (it also holds the first frames of the thread's function) it is mapped in place. Then two
 * things must be made up for when the thread ends, which a pidfd of the thread tells: the id that could not be
 * cleared if the thread ended while its page was on its way, and waiters that went to sleep before the page changed its
 * identity, whom the kernel's wake-up misses.
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

#define TASKS "/proc/self/task/"

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

static uint64_t parse_decimal(const char **at)
{
	uint64_t value = 0;

	for (; **at >= '0' && **at <= '9'; (*at)++)
		value = value * 10 + (uint64_t)(**at - '0');
	return value;
}

/* Call @fn for each thread of this process. */
static void each_task(struct mcl_uffd *u, void (*fn)(struct mcl_uffd *u, int32_t tid))
{
	/* Not kept open: descriptors are the application's. */
	long n, dir = mcl_raw(SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)TASKS, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0,
			      0);

	u->task_count = 0;
	if (dir < 0)
		mcl_uffd_fatal("cannot look at the threads of this process", 0, (int)dir);
	while ((n = mcl_raw(SYS_getdents64, (uint64_t)dir, (uint64_t)u->scratch, sizeof(u->scratch), 0, 0, 0)) > 0) {
		for (long at = 0; at < n;) {
			const struct linux_dirent64 *d = (const struct linux_dirent64 *)(u->scratch + at);
			int32_t tid = parse_tid(d->d_name);

			if (tid)
				fn(u, tid);
			at += d->d_reclen;
		}
	}
	mcl_raw(SYS_close, (uint64_t)dir, 0, 0, 0, 0, 0);
}

static void add(struct mcl_uffd *u, int32_t tid)
{
	uint64_t head = 0, size = 0;

	if (u->task_count >= TASKS_MAX)
		mcl_uffd_fatal("too many threads for the userfaultfd mirror", TASKS_MAX, 0);
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
	each_task(u, add);
}

static void count(struct mcl_uffd *u, int32_t tid)
{
	(void)tid;
	u->task_count++;
}

unsigned int mcl_uffd_tasks_count(struct mcl_uffd *u)
{
	each_task(u, count);
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

/* ---- mapped in place ---- */

/* glibc's struct pthread: the thread id lies 16 bytes before the list head. Checked against the id itself. */
#define TID_BEFORE_HEAD 16

static bool read_page_word(struct mcl_uffd *u, uint64_t address, int32_t *out)
{
	return mcl_raw(SYS_pread64, (uint64_t)u->memfd, (uint64_t)out, sizeof(*out), address, 0, 0) == sizeof(*out);
}

/*
 * Have the end of thread @tid noticed, whose id is at @tid_at. 0; -ESRCH: it has ended; another error: that is not
 * possible.
 */
static long watch_end(struct mcl_uffd *u, int32_t tid, uint64_t tid_at)
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

/* The thread whose control block is, or begins, in @page; or task_count. */
static unsigned int task_at(struct mcl_uffd *u, uint64_t page)
{
	unsigned int i = 0;

	while (i < u->task_count && (u->tasks[i].start > page || u->tasks[i].end <= page))
		i++;
	return i;
}

long mcl_uffd_tasks_promote(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t page)
{
	unsigned int i = task_at(u, page);
	uint64_t tid_at;
	int32_t word = 0, tid;
	long n;

	if (i == u->task_count)
		return -EOPNOTSUPP;
	tid = u->tasks[i].tid;
	tid_at = u->tasks[i].head - TID_BEFORE_HEAD;
	if (mcl_page_down(tid_at) != page)
		return -EOPNOTSUPP;
	n = watch_end(u, tid, tid_at);
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

/*
 * The page at @tid_at was away for a moment, in which a thread may have ended. If the thread whose id is there is gone (or is
 * @dead), the id goes as well, as the kernel would have had it; if it is alive, its end is waited for, since that may have
 * begun already. Whoever joins it looks again.
 */
static void settle_id(struct mcl_uffd *u, uint64_t tid_at, int32_t dead)
{
	const uint64_t pid = (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	int32_t word = 0, zero = 0;
	struct iovec local = { &word, sizeof(word) }, remote = { (void *)tid_at, sizeof(word) };

	/* It may be unmapped by now. */
	if (mcl_uffd_proxy_call(u, SYS_process_vm_readv, pid, (uint64_t)&local, 1, (uint64_t)&remote, 1, 0) !=
	    sizeof(word))
		return;
	if (word > 0 && (word == dead || watch_end(u, word, tid_at) == -ESRCH)) {
		local.iov_base = &zero;
		mcl_uffd_proxy_call(u, SYS_process_vm_writev, pid, (uint64_t)&local, 1, (uint64_t)&remote, 1, 0);
	}
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
		i = task_at(u, page);
		if (i < u->task_count && !watch_end(u, u->tasks[i].tid, u->tasks[i].head - TID_BEFORE_HEAD))
			return;
		mcl_uffd_set(b, page, page + PAGE_SIZE, PAGE_HOST);
		mcl_uffd_demote(u, page, page, PAGE_SIZE);
		mcl_uffd_wake(u->host_fd, page, PAGE_SIZE);
	}
	settle_id(u, ended.tid_at, ended.tid);
}

static bool has_ended(const struct mcl_uffd_exit *e)
{
	struct pollfd fd = { .fd = e->pidfd, .events = POLLIN };

	return mcl_raw(SYS_poll, (uint64_t)&fd, 1, 0, 0, 0, 0) > 0;
}

void mcl_uffd_tasks_ended(struct mcl_uffd *u)
{
	for (unsigned int i = 0; i < EXITS_MAX; i++)
		if (u->exits[i].pidfd > 0 && has_ended(&u->exits[i]))
			thread_ended(u, &u->exits[i]);
}

void mcl_uffd_tasks_forget(struct mcl_uffd *u)
{
	mcl_uffd_tasks_ended(u);
	for (unsigned int i = 0; i < EXITS_MAX; i++) {
		if (u->exits[i].pidfd > 0)
			mcl_raw(SYS_close, (uint64_t)u->exits[i].pidfd, 0, 0, 0, 0, 0);
		u->exits[i].pidfd = 0;
	}
}

/* ---- threads that appear while pages are being moved ---- */

/* The C library's control block begins with its own address, and has it again in the third word. */
#define TCB_ALIGN 64
#define TCB_SELF 2

/* The number of the youngest process or thread of the machine, the last thing in there; 0 if that cannot be had. */
static uint64_t youngest(struct mcl_uffd *u)
{
	char text[128];
	long n = mcl_raw(SYS_pread64, (uint64_t)u->loadavg_fd, (uint64_t)text, sizeof(text) - 1, 0, 0, 0);
	const char *at = text;

	text[n > 0 ? n : 0] = 0;
	for (const char *c = text; *c; c++)
		if (*c == ' ')
			at = c + 1;
	return parse_decimal(&at);
}

void mcl_uffd_tasks_begin(struct mcl_uffd *u)
{
	u->youngest = youngest(u);
	u->task_headless = false;
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
			f->tid_at[f->count++] = address + u->head_in_block - TID_BEFORE_HEAD;
	}
	return 0;
}

bool mcl_uffd_tasks_appeared(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t stage)
{
	struct found f = { .start = start, .stage = stage };
	uint64_t now = youngest(u);
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
		watch_end(u, u->tasks[i].tid, u->tasks[i].head - TID_BEFORE_HEAD);
		found = true;
	}
	if (!found)
		return false;
	mcl_uffd_put_back(u, stage, start, end);
	for (unsigned int i = 0; i < f.count; i++)
		settle_id(u, f.tid_at[i], 0);
	return true;
}

/* ---- what /proc says of a thread ---- */

static uint64_t parse_hex(const char **at)
{
	uint64_t value = 0;
	const char *c = *at;

	while (*c == ' ')
		c++;
	if (c[0] == '0' && c[1] == 'x')
		c += 2;
	for (;; c++) {
		if (*c >= '0' && *c <= '9')
			value = value << 4 | (uint64_t)(*c - '0');
		else if (*c >= 'a' && *c <= 'f')
			value = value << 4 | (uint64_t)(*c - 'a' + 10);
		else
			break;
	}
	*at = c;
	return value;
}

bool mcl_uffd_task_text(int32_t tid, const char *file, char *text, size_t size)
{
	char path[64] = TASKS, digits[12];
	int n = 0, k = sizeof(TASKS) - 1;
	long fd, got;

	for (; tid; tid /= 10)
		digits[n++] = (char)('0' + tid % 10);
	while (n)
		path[k++] = digits[--n];
	while (*file)
		path[k++] = *file++;
	path[k] = 0;
	fd = mcl_raw(SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return false;
	got = mcl_raw(SYS_read, (uint64_t)fd, (uint64_t)text, size - 1, 0, 0, 0);
	mcl_raw(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
	text[got > 0 ? got : 0] = 0;
	return got > 0;
}

uint64_t mcl_uffd_task_syscall(int32_t tid, uint64_t *arg)
{
	char text[256];
	const char *at = text;
	uint64_t nr;

	/* "running", or the number and its arguments in hexadecimal */
	if (!mcl_uffd_task_text(tid, "/syscall", text, sizeof(text)) || text[0] < '0' || text[0] > '9')
		return UINT64_MAX;
	nr = parse_decimal(&at);
	for (int i = 0; i < 6; i++)
		arg[i] = parse_hex(&at);
	return nr;
}
