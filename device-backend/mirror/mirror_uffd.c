// SPDX-License-Identifier: MIT
/*
 * The userfaultfd mirror: real device faults and real migration without a kernel module, for seeing, testing and tuning
 * the paging behaviour of a program. What it cannot do, and how that is noticed: README-uffd.md.
 *
 * The engine is a process of its own that maps one sparse memfd over its whole address space but the window, at offset =
 * address, and has it registered with a userfaultfd. A page is on the device exactly if the memfd has it. A page of
 * the host is in one of the states of enum mcl_page_state; the transitions:
 *
 *	HOST -> VRAM		device fault: UFFDIO_MOVE out of the host, UFFDIO_COPY into the memfd	(mirror_uffd_move.c)
 *	VRAM -> HOST		CPU fault, eviction: the reverse					(mirror_uffd_move.c)
 *	VRAM -> PROMOTED	bounced too often: memfd mapped over the host's range			(mirror_uffd_promote.c)
 *	PROMOTED -> HOST	fork, engine gone							(mirror_uffd_promote.c)
 *	HOST -> COPY		read-only memory							(mirror_uffd_special.c)
 *	any -> HOST		munmap, mremap, madvise by the host					(mirror_uffd_event.c)
 *
 * The invariant that everything rests on: a PAGE_HOST page has no page in the memfd, and a PAGE_VRAM page lies in watched
 * memory of the host with nothing there. So no access on either side ever sees an old version.
 */
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mirror/fork_fds.h"
#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#define PRIVATE_SIZE (1ull << 30)
#define HOME_PASSES 100

_Noreturn void mcl_uffd_fatal(const char *what, uint64_t address, int err)
{
	mcl_log_write(MCL_LOG_ERROR, "%s (address %#lx, error %d); going on would lose data", what,
		      (unsigned long)address, -err);
	abort();
}

/* ---- what must never be taken: the memory of the code that runs in the pager's threads ---- */

struct own_objects {
	struct mcl_uffd *u;
	uint64_t addresses[4];
};

static int add_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct own_objects *own = arg;
	bool mine = false;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + p->p_vaddr;

		for (size_t k = 0; p->p_type == PT_LOAD && k < sizeof(own->addresses) / sizeof(own->addresses[0]); k++)
			mine |= own->addresses[k] >= start && own->addresses[k] < start + p->p_memsz;
	}
	for (int i = 0; mine && i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = mcl_page_down(info->dlpi_addr + p->p_vaddr);
		uint64_t end = mcl_page_down(info->dlpi_addr + p->p_vaddr + p->p_memsz + PAGE_SIZE - 1);

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_W))
			continue;
		if (own->u->keep_out_count >= KEEP_OUT_MAX)
			return 1;
		own->u->keep_out[own->u->keep_out_count++] = (struct mcl_span){ start, end, true };
	}
	return 0;
}

static int keep_out(struct mcl_mirror *m, uint64_t start, uint64_t size)
{
	struct mcl_uffd *u = mcl_uffd_of(m);

	if (u->keep_out_count >= KEEP_OUT_MAX)
		return -ENOSPC;
	u->keep_out[u->keep_out_count++] = (struct mcl_span){ start, start + size, false };
	return 0;
}

/* ---- life ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_all(struct mcl_uffd *u)
{
	close_fd(&u->epoll_fd);
	close_fd(&u->again_fd);
	close_fd(&u->engine_fd);
	close_fd(&u->host_fd);
	close_fd(&u->socket);
	close_fd(&u->maps_fd);
	close_fd(&u->pagemap_fd);
	close_fd(&u->loadavg_fd);
	close_fd(&u->tasks_fd);
	close_fd(&u->memfd);
}

static void note_fds(struct mcl_uffd *u)
{
	const int fds[] = { u->epoll_fd, u->again_fd,	u->engine_fd,  u->host_fd,  u->socket,
			    u->maps_fd,	 u->pagemap_fd, u->loadavg_fd, u->tasks_fd, u->memfd };

	mcl_fork_fds_note((struct mcl_mirror *)u, fds, sizeof(fds) / sizeof(fds[0]));
}

static int open_descriptors(struct mcl_uffd *u, struct mcl_reason *why)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct stat st;

	u->memfd = memfd_create("mirrorcl-mirror", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (u->memfd < 0 && errno == EINVAL)
		u->memfd = memfd_create("mirrorcl-mirror", MFD_CLOEXEC);
	if (u->memfd < 0 || fstat(u->memfd, &st))
		return mcl_reason(why, -errno, "memfd_create: %s", strerror(errno));
	u->memfd_inode = st.st_ino;
	u->memfd_major = major(st.st_dev);
	u->memfd_minor = minor(st.st_dev);
	u->host_fd = mcl_uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_EVENT_REMAP |
					   UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP |
					   UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
					   UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_MINOR_SHMEM,
				   why);
	if (u->host_fd < 0)
		return u->host_fd;
	u->maps_fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	u->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	u->loadavg_fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	/* Each kept open: when they are needed the application may have no descriptor left. */
	u->tasks_fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u->maps_fd < 0 || u->pagemap_fd < 0 || u->loadavg_fd < 0 || u->tasks_fd < 0)
		return mcl_reason(why, -errno, "/proc: %s", strerror(errno));
	u->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	u->again_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->epoll_fd < 0 || u->again_fd < 0 || epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, u->host_fd, &event) ||
	    epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, u->again_fd, &event))
		return mcl_reason(why, -errno, "epoll: %s", strerror(errno));
	return 0;
}

static void destroy(struct mcl_mirror *m)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	struct mcl_private memory = u->memory;

	mcl_fork_fds_forget(m);
	mcl_uffd_proxy_stop(u);
	close_all(u);
	if (u->probe)
		munmap((void *)u->probe, PAGE_SIZE);
	for (int i = 0; i < STAGING_COUNT; i++)
		if (u->staging[i])
			munmap((void *)u->staging_reserve[i], 2 * MCL_BLOCK_SIZE);
	mcl_private_destroy(&memory);
}

static int create(const struct mcl_mirror_params *params, struct mcl_mirror **out, struct mcl_reason *why)
{
	struct own_objects own;
	struct mcl_private memory;
	struct mcl_uffd *u;
	int err = mcl_uffd_probe(why);

	if (err)
		return err;
	err = mcl_private_create(&memory, PRIVATE_SIZE);
	if (err)
		return mcl_reason(why, err, "no address space for the pager: %s", strerror(-err));
	u = mcl_private_alloc(&memory, sizeof(*u), 64);
	if (!u) {
		mcl_private_destroy(&memory);
		return mcl_reason(why, -ENOMEM, "out of memory");
	}
	u->memory = memory;
	u->base.ops = &mcl_mirror_uffd;
	u->params = *params;
	u->words = u->words_before;
	u->window = *params->window;
	u->window_end = u->window.base + u->window.layout.total_size;
	mcl_uffd_read_limits(u);
	u->memfd = u->host_fd = u->engine_fd = u->socket = -1;
	u->maps_fd = u->pagemap_fd = u->loadavg_fd = u->tasks_fd = u->epoll_fd = u->again_fd = -1;
	u->keep_out[u->keep_out_count++] = (struct mcl_span){ memory.start, memory.end, false };
	/* This library, the C library and the dynamic linker; and a sanitizer, which puts its own memcpy before libc's. */
	own = (struct own_objects){
		u, { (uint64_t)mcl_uffd_probe, (uint64_t)gnu_get_libc_version, (uint64_t)&_r_debug, (uint64_t)memcpy }
	};
	dl_iterate_phdr(add_object, &own);

	/* Asks the environment, once; the pager's thread must not: that is on the first thread's stack, and may be away. */
	mcl_log_on(MCL_LOG_INFO);
	err = open_descriptors(u, why);
	if (!err)
		err = mcl_uffd_staging_init(u, why);
	if (!err)
		err = mcl_uffd_probe_init(u, why);
	if (!err)
		mcl_uffd_replace_data(u);
	if (!err) {
		err = mcl_uffd_proxy_start(u);
		if (err)
			mcl_reason(why, err, "cannot start a thread: %s", strerror(-err));
	}
	if (err) {
		destroy((struct mcl_mirror *)u);
		return err;
	}
	note_fds(u);
	*out = (struct mcl_mirror *)u;
	return 0;
}

static int start(struct mcl_mirror *m, pid_t *pid, struct mcl_reason *why)
{
	int err = mcl_uffd_start(m, pid, why);

	if (!err)
		note_fds(mcl_uffd_of(m));
	return err;
}

/* ---- what the pager asks ---- */

static int event_fd(struct mcl_mirror *m)
{
	return mcl_uffd_of(m)->epoll_fd;
}

static void extent(struct mcl_mirror *m, uint64_t address, struct mcl_extent *out)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	struct mcl_vma vma;
	uint64_t page = mcl_page_down(address), until;

	mcl_uffd_vma(u, address, &vma);
	*out = (struct mcl_extent){
		.start = vma.start,
		.end = vma.end,
		.kind = MCL_EXTENT_IN_PLACE,
		.readable = vma.readable,
		.writable = vma.writable,
	};
	switch (vma.kind) {
	case VMA_NONE:
		out->kind = MCL_EXTENT_NONE;
		break;
	case VMA_OWN: /* to look at, as everything that is mapped, but a stray store must not hurt the pager */
		out->writable = false;
		if (!vma.readable)
			out->kind = MCL_EXTENT_NONE;
		break;
	case VMA_ANON:
		mcl_uffd_tasks_refresh(u);
		mcl_uffd_robust_refresh(u);
		if (mcl_uffd_tasks_next(u, page, page + PAGE_SIZE, &until) == page) {
			out->start = page;
			out->end = page + PAGE_SIZE;
			break;
		}
		out->kind = MCL_EXTENT_PAGEABLE;
		out->promotable = mcl_uffd_promote_unit(u) != 0;
		break;
	default:
		if (!vma.readable && !vma.writable)
			out->kind = MCL_EXTENT_NONE;
		break;
	}
}

static long migrate(struct mcl_mirror *m, uint64_t start, uint64_t size, uint64_t address)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	uint64_t end = start + size;
	struct mcl_vma vma;
	long pages = 0;

	mcl_uffd_vma(u, address, &vma);
	if (vma.kind != VMA_ANON)
		return vma.kind == VMA_NONE ? -EFAULT : 0;
	start = mcl_max64(start, vma.start);
	end = mcl_min64(end, vma.end);
	for (uint64_t at = start; at < end;) {
		uint64_t stop = mcl_min64(end, mcl_block_down(at) + MCL_BLOCK_SIZE);
		long n = mcl_uffd_take(u, &vma, at, stop, address);

		if (n < 0)
			return pages ? pages : n;
		pages += n;
		at = stop;
	}
	return pages;
}

/* Pages of [start, end), within one block, become shared where that is possible. */
static long map_anonymous(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t start, uint64_t end, uint64_t address)
{
	struct mcl_uffd_block *b;
	long pages = 0, n;

	n = mcl_uffd_take(u, vma, start, end, address);
	if (n < 0)
		return n;
	if (mcl_uffd_tasks_unlisted(u, address) && mcl_uffd_state(u, address) == PAGE_HOST)
		return -EAGAIN;
	b = mcl_uffd_find(u, start);
	for (uint64_t at = start, run; b && at < end; at = run) {
		run = mcl_uffd_run(b, at, end);
		if (mcl_uffd_state(u, at) != PAGE_VRAM)
			continue;
		n = mcl_uffd_promote(u, vma, at, run, 0);
		if (n < 0)
			return pages ? pages : n;
		pages += n;
	}
	return mcl_uffd_state(u, address) == PAGE_HOST ? -EBUSY : pages;
}

static long map(struct mcl_mirror *m, uint64_t start, uint64_t size, uint64_t address, enum mcl_access access)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	uint64_t end = start + size, until, unit;
	struct mcl_vma vma;
	long pages;

	mcl_uffd_vma(u, address, &vma);
	if (vma.kind == VMA_NONE || (access == MCL_ACCESS_WRITE ? !vma.writable : !vma.readable) ||
	    (vma.kind == VMA_OWN && access == MCL_ACCESS_WRITE))
		return -EFAULT;
	start = mcl_max64(mcl_max64(start, vma.start), mcl_block_down(address));
	end = mcl_min64(mcl_min64(end, vma.end), mcl_block_down(address) + MCL_BLOCK_SIZE);
	switch (vma.kind) {
	case VMA_SHARED_OURS:
		return mcl_uffd_svm_fill(u, start, end);
	case VMA_ANON:
		mcl_uffd_tasks_refresh(u);
		mcl_uffd_robust_refresh(u);
		if (mcl_uffd_tasks_next(u, address, address + PAGE_SIZE, &until) == address) {
			long n = mcl_uffd_exits_promote(u, &vma, address);

			if (n == -EOPNOTSUPP)
				n = mcl_uffd_robust_promote(u, &vma, address);
			return n != -EOPNOTSUPP ? n : mcl_uffd_map_special(u, &vma, start, end, address, access);
		}
		unit = mcl_uffd_promote_unit(u);
		start = mcl_min64(start, address & ~(unit - 1));
		end = mcl_min64(mcl_max64(end, (address & ~(unit - 1)) + unit),
				mcl_block_down(address) + MCL_BLOCK_SIZE);
		start = mcl_max64(start, mcl_max64(vma.start, mcl_block_down(address)));
		end = mcl_min64(end, vma.end);
		/* A stack grows downwards out of its lowest page, which has to stay what it is. */
		if (start == vma.start && start >= u->stack_low && start < u->stack_high)
			start += PAGE_SIZE;
		if (!unit || address < start) {
			if (mcl_uffd_state(u, address) == PAGE_VRAM)
				return -EMFILE;
			return mcl_uffd_map_special(u, &vma, start, end, address, access);
		}
		pages = map_anonymous(u, &vma, start, end, address);
		/* It does not move: pinned by I/O, or of a kind that cannot. */
		return pages == -EBUSY ? mcl_uffd_map_special(u, &vma, start, end, address, access) : pages;
	default:
		return mcl_uffd_map_special(u, &vma, start, end, address, access);
	}
}

static long evict(struct mcl_mirror *m, uint64_t start, uint64_t size)
{
	return mcl_uffd_bring(mcl_uffd_of(m), start, start + size);
}

static void fail(struct mcl_mirror *m, const struct mcl_fault *fault)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	uint64_t page = mcl_page_down(fault->address);
	struct mcl_uffd_block *b = mcl_uffd_find(u, page);
	int err;

	switch (mcl_uffd_state(u, page)) {
	case PAGE_VRAM:
		mcl_uffd_bring(u, page, page + PAGE_SIZE);
		break;
	case PAGE_COPY:
		mcl_uffd_drop_copy(u, page);
		break;
	case PAGE_SNAPSHOT:
		mcl_uffd_punch(u, page, page + PAGE_SIZE);
		mcl_uffd_set(b, page, page + PAGE_SIZE, PAGE_HOST);
		break;
	default:
		break;
	}
	/* What write protection has left there is in poison's way. */
	mcl_uffd_protect(u->engine_fd, page, PAGE_SIZE, UFFDIO_WRITEPROTECT_MODE_DONTWAKE);
	mcl_uffd_poison(u->engine_fd, page, PAGE_SIZE, &err);
	if (err)
		mcl_uffd_wake(u->engine_fd, page, PAGE_SIZE);
	else
		mcl_uffd_note_poison(u, page);
}

static void count(struct mcl_mirror *m, uint64_t base, uint64_t *vram, uint64_t *shared)
{
	mcl_uffd_count(mcl_uffd_of(m), base, vram, shared);
}

static void replay(struct mcl_mirror *m, uint64_t start, uint64_t size)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	enum mcl_page_state state = mcl_uffd_state(u, start);

	/* The last unit of all is a page short; the kernel would refuse all of it. */
	size = mcl_min64(size, USER_END - start);
	/* A store that met a write protection which nobody needs any more would meet it again. */
	if (size == PAGE_SIZE && (state == PAGE_VRAM || state == PAGE_TWIN || state == PAGE_PROMOTED))
		mcl_uffd_protect(u->engine_fd, start, size, UFFDIO_WRITEPROTECT_MODE_DONTWAKE);
	mcl_uffd_wake(u->engine_fd, start, size);
	mcl_uffd_wake(u->host_fd, start, size);
}

static enum mcl_residency residency(struct mcl_mirror *m, uint64_t address)
{
	switch (mcl_uffd_state(mcl_uffd_of(m), address)) {
	case PAGE_VRAM:
		return MCL_RES_VRAM;
	case PAGE_PROMOTED:
		return MCL_RES_SYSTEM;
	case PAGE_COPY:
	case PAGE_SNAPSHOT:
		return MCL_RES_BOTH;
	case PAGE_TWIN:
		return MCL_RES_VRAM;
	default:
		return MCL_RES_NONE;
	}
}

static void bring_all(struct mcl_uffd *u)
{
	struct mcl_mirror_event ignored[16];
	struct mcl_uffd_block *next;

	mcl_uffd_drop_snapshots(u);
	/* Changes that were read first: they say where pages belong. */
	do {
		mcl_uffd_host_events(u, ignored, 16);
		for (struct mcl_uffd_block *b = u->blocks; b && u->queue.count < QUEUE_LONG; b = next) {
			uint64_t end = b->base + MCL_BLOCK_SIZE;

			next = b->next;
			if (mcl_uffd_bring(u, b->base, end) < 0)
				break;
			for (uint64_t at = b->base, run; b->used && at < end; at = run) {
				enum mcl_page_state state = mcl_uffd_state(u, at);

				run = mcl_uffd_run(b, at, end);
				if (state == PAGE_HOST)
					continue;
				mcl_uffd_set(b, at, run, PAGE_HOST);
				if (state == PAGE_PROMOTED) {
					mcl_uffd_demote(u, at, at, run - at);
					continue;
				}
				mcl_uffd_punch(u, at, run);
				if (state == PAGE_COPY)
					mcl_uffd_protect(u->host_fd, at, run - at, 0);
			}
			mcl_uffd_release(u, b);
		}
	} while (u->queue.count);
	mcl_uffd_exits_forget(u);
}

/* Everything home, copies gone, nothing watched. */
static void home(struct mcl_mirror *m)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	bool changed = true;

	/* Another thread may move a mapping to where has been looked already. */
	for (int i = 0; changed && i < HOME_PASSES; i++) {
		bring_all(u);
		mcl_uffd_unwatch_all(u);
		changed = mcl_uffd_changing_now(u);
		mcl_uffd_drain(u);
		changed |= mcl_uffd_changing(u);
	}
}

static void refresh(struct mcl_mirror *m)
{
	struct mcl_uffd *u = mcl_uffd_of(m);

	mcl_uffd_drop_snapshots(u);
	mcl_uffd_clear_poison(u);
	mcl_uffd_files_refresh(u);
}

static void flush(struct mcl_mirror *m)
{
	mcl_uffd_twins_flush(mcl_uffd_of(m));
}

static void engine_gone(struct mcl_mirror *m)
{
	struct mcl_uffd *u = mcl_uffd_of(m);

	u->engine_dead = true;
	home(m);
	mcl_uffd_settle_end(u);
	/* Closing it lets go of every thread that still waits for it. */
	mcl_raw(SYS_close, (uint64_t)u->host_fd, 0, 0, 0, 0, 0);
	u->host_fd = -1;
}

const struct mcl_mirror_ops mcl_mirror_uffd = {
	.name = "uffd",
	.faults = true,
	.probe = mcl_uffd_probe,
	.create = create,
	.start = start,
	.engine_gone = engine_gone,
	.destroy = destroy,
	.alloc = mcl_uffd_svm_alloc,
	.free = mcl_uffd_svm_free,
	.keep_out = keep_out,
	.event_fd = event_fd,
	.next_events = mcl_uffd_next_events,
	.extent = extent,
	.map = map,
	.migrate = migrate,
	.evict = evict,
	.count = count,
	.replay = replay,
	.refresh = refresh,
	.flush = flush,
	.home = home,
	.forked = mcl_fork_fds_close,
	.fail = fail,
	.residency = residency,
};
