// SPDX-License-Identifier: MIT
/*
 * Mapping in place: a page that both sides keep touching becomes a page of the memfd that both map. The data is in the
 * memfd already (PAGE_VRAM: the host has nothing there and its threads wait); then the memfd is mapped over the
 * host's range. From then on it is shared memory, coherent without anybody's help.
 *
 * mmap() over a watched range makes the kernel report an unmap and wait until the report is read, so the proxy makes the
 * call while this thread reads. There is no mmap() that fails if the range has changed; the proxy asks just before whether it
 * has, and the report tells afterwards: without it, what we mapped over was not what we thought.
 *
 * Promoted ranges stay watched, for the reports of munmap, mremap and madvise, and for every page that is not in the host's page
 * table, whether the memfd has it or not: what MADV_DONTNEED has removed must not be touched before that has been handled,
 * or the old page would come back. So what the memfd has is put into the host's page table here.
 */
#include <linux/fs.h>
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#define FIRST_UNIT 65536ull
#define RECOUNT_RUNS 256u

uint64_t mcl_uffd_promote_unit(struct mcl_uffd *u)
{
	uint64_t eighths;

	/* Each scattered promotion costs up to two mappings; when there are no more, the host's own malloc fails. */
	if (!u->maps_estimate || u->promoted_runs - u->runs_counted >= RECOUNT_RUNS) {
		u->maps_estimate = mcl_uffd_count_maps(u);
		u->runs_counted = u->promoted_runs;
	}
	eighths = (u->maps_estimate + 2 * (u->promoted_runs - u->runs_counted)) * 8 / u->map_limit;
	return eighths >= 4 ? 0 : FIRST_UNIT << eighths;
}

/*
 * Note what became of [start, end), which we have mapped and watch now: the host may have changed some of it again meanwhile.
 * Returns pages promoted.
 */
static long settle(struct mcl_uffd *u, struct mcl_uffd_block *b, uint64_t start, uint64_t end)
{
	struct mcl_vma vma;
	long pages = 0;

	for (uint64_t at = start; at < end; at = vma.end) {
		mcl_uffd_vma(u, at, &vma);
		vma.end = mcl_min64(vma.end, end);
		if (vma.kind == VMA_SHARED_OURS) {
			mcl_uffd_set(b, at, vma.end, PAGE_PROMOTED);
			pages += (long)((vma.end - at) >> PAGE_SHIFT);
		} else {
			mcl_uffd_purge(u, at, vma.end, false);
		}
	}
	return pages;
}

bool mcl_uffd_map_host(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	unsigned int tries = 0;

	for (uint64_t at = start; at < end;) {
		int err;

		at += mcl_uffd_continue(u->host_fd, at, end - at, UFFDIO_CONTINUE_MODE_DONTWAKE, &err);
		if (at == end)
			break;
		if (err == -EAGAIN) {
			if (tries++ == CHANGE_RETRIES || !mcl_uffd_again(u, at, end))
				return false;
			continue;
		}
		/* It is there already, or a hole, or has just been unmapped. */
		if (err)
			at += PAGE_SIZE;
		if (err == -ENOMEM)
			mcl_raw_sleep_us(1000);
	}
	return true;
}

long mcl_uffd_promote(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t start, uint64_t end, uint64_t futex)
{
	struct mcl_uffd_block *b = mcl_uffd_find(u, start);
	int prot = PROT_READ | (vma->writable ? PROT_WRITE : 0) | (vma->executable ? PROT_EXEC : 0);
	uint64_t mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP, until;
	long at, pages;

	if (mcl_uffd_futex_waited(u, start, end, futex))
		return -EMFILE;
	/* Looking may have brought a page home. */
	if (mcl_uffd_disturbed(u, start, end) || mcl_uffd_state(u, start) != PAGE_VRAM ||
	    mcl_uffd_run(b, start, end) != end)
		return -EAGAIN;
	at = mcl_uffd_proxy_map(u, start, end - start, prot);
	if (at < 0)
		return at;
	mcl_raw_madvise(start, end - start, MADV_DONTFORK);
	if (!mcl_uffd_own_unmap(u, start, end)) {
		/*
		 * What was there was not what we watched: the host has just put something else there, or nothing. Its thread
		 * may know that by now, so there is no way back.
		 */
		mcl_uffd_fatal("the host changed memory in the moment in which it was being mapped in place", start, 0);
	}
	/* Where the kernel looks when threads end, faults cannot wait. */
	if (mcl_uffd_tasks_next(u, start, end, &until) == end)
		mode |= UFFDIO_REGISTER_MODE_MINOR;
	mcl_uffd_register(u->host_fd, start, end - start, mode);
	u->promoted_runs++;
	mcl_uffd_warn_stack(u, start, end);
	pages = settle(u, b, start, end);
	mcl_uffd_map_host(u, start, end);
	return pages;
}

/* How often a mapping that does not look as it should, or is being changed, is left alone before it is replaced all the same. */
#define REPLACE_TRIES 8u

/*
 * Replace a shared mapping by an anonymous one, empty and watched. Returns 0; -ENOENT: the host has just unmapped it; -EAGAIN, unless
 * @always: it is not sure to be the same, since another thread maps what it likes where one has just unmapped something.
 */
static int replace(struct mcl_uffd *u, uint64_t to, uint64_t size, bool always)
{
	struct mcl_vma vma;
	uint64_t scratch;
	long ret;
	int prot;

	mcl_uffd_vma(u, to, &vma);
	prot = (vma.readable ? PROT_READ : 0) | (vma.writable ? PROT_WRITE : 0) | (vma.executable ? PROT_EXEC : 0);
	/*
	 * An empty watched range is made elsewhere and put over the shared one in one step, so that no thread of the host
	 * can see zeros there.
	 */
	scratch = (uint64_t)mcl_raw(SYS_mmap, 0, size, (uint64_t)prot, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0);
	if (scratch > USER_END)
		mcl_uffd_fatal("no memory to bring pages home", to, (int)scratch);
	ret = mcl_uffd_register(u->host_fd, scratch, size, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
	if (!ret)
		ret = mcl_raw_madvise(scratch, size, MADV_DONTFORK);
	if (ret)
		mcl_uffd_fatal("cannot watch memory", to, (int)ret);
	ret = mcl_uffd_proxy_move(u, scratch, to, size, always);
	if (ret == -EAGAIN && !always) {
		mcl_uffd_proxy_call(u, SYS_munmap, scratch, size, 0, 0, 0, 0);
		mcl_uffd_own_unmap(u, scratch, scratch + size);
		return -EAGAIN;
	}
	if (ret < 0)
		mcl_uffd_fatal("cannot bring pages home", to, (int)ret);
	mcl_uffd_own_remap(u, scratch, to, size);
	if (!mcl_uffd_own_unmap(u, to, to + size)) {
		/* The host unmapped it just before; so it stays unmapped. */
		mcl_uffd_proxy_call(u, SYS_munmap, to, size, 0, 0, 0, 0);
		mcl_uffd_own_unmap(u, to, to + size);
		return -ENOENT;
	}
	return 0;
}

/*
 * Where the host has what it had at @to, page @from of the memfd, by now: another thread may move it at any moment. 0: nowhere.
 */
static uint64_t where(struct mcl_uffd *u, uint64_t from, uint64_t to, struct mcl_vma *vma)
{
	for (;;) {
		const bool changing = mcl_uffd_changing_now(u);
		const uint64_t at = mcl_uffd_translate(u, to);

		if (!at)
			return 0;
		mcl_uffd_vma(u, at, vma);
		if (vma->shared && vma->inode == u->memfd_inode && vma->dev_major == u->memfd_major &&
		    vma->dev_minor == u->memfd_minor && vma->offset + (at - vma->start) == from)
			return at;
		if (!changing)
			return 0;
		mcl_uffd_drain(u);
		mcl_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
}

void mcl_uffd_demote(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size)
{
	const uint64_t end = to + size;
	unsigned int tries = 0;

	/* Each mapping by itself: they may differ in their rights. */
	for (uint64_t part; to < end; to += part, from += part) {
		struct mcl_vma vma;
		uint64_t at = where(u, from, to, &vma);

		part = at ? mcl_min64(vma.end - at, end - to) : PAGE_SIZE;
		if (!at) {
			mcl_uffd_punch(u, from, from + part);
			continue;
		}
		if (replace(u, at, part, tries++ >= REPLACE_TRIES)) {
			part = 0; /* it has just gone, or may have; see where to */
			continue;
		}
		tries = 0;
		mcl_uffd_futex_requeue(u, from, at, part);
		mcl_uffd_deliver(u, from, at, part);
	}
}

void mcl_uffd_demote_empty(struct mcl_uffd *u, uint64_t to, uint64_t size)
{
	struct mcl_vma vma;
	int err;

	for (unsigned int tries = 0; (err = replace(u, to, size, tries == REPLACE_TRIES)) == -EAGAIN; tries++) {
		mcl_uffd_drain(u);
		mcl_uffd_vma(u, to, &vma);
		if (vma.kind != VMA_SHARED_OURS || vma.start != to || vma.end != to + size)
			return;
	}
	if (!err)
		mcl_uffd_futex_requeue(u, to, to, size);
}

bool mcl_uffd_in_place(struct mcl_uffd *u, uint64_t start)
{
	int err;

	/* SVM memory is never watched. */
	while ((err = mcl_uffd_watched(u, start, start + PAGE_SIZE)) == -EAGAIN) {
		mcl_uffd_drain(u);
		mcl_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
	return !err;
}

/* Where the host has mapped the memfd's page at @offset, other than at that address. False: nowhere. */
static bool find_moved(struct mcl_uffd *u, uint64_t offset, struct procmap_query *q)
{
	uint64_t at = u->low;

	for (;;) {
		*q = (struct procmap_query){
			.size = sizeof(*q),
			.query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA | PROCMAP_QUERY_FILE_BACKED_VMA,
			.query_addr = at,
		};
		if (mcl_raw_ioctl(u->maps_fd, PROCMAP_QUERY, q))
			return false;
		if (q->inode == u->memfd_inode && q->dev_major == u->memfd_major && q->dev_minor == u->memfd_minor &&
		    q->vma_offset == offset && q->vma_start != offset)
			return true;
		at = q->vma_end;
	}
}

void mcl_uffd_cut_tail(struct mcl_uffd *u, uint64_t from, uint64_t size)
{
	struct procmap_query q;
	uint64_t start, bytes;
	long at;
	int prot;

	if (!size || mcl_uffd_state(u, from + size - 1) != PAGE_PROMOTED || !find_moved(u, from, &q))
		return;
	start = q.vma_start + mcl_page_down(size + PAGE_SIZE - 1);
	if (start >= q.vma_end)
		return;
	bytes = q.vma_end - start;
	prot = (q.vma_flags & PROCMAP_QUERY_VMA_READABLE ? PROT_READ : 0) |
	       (q.vma_flags & PROCMAP_QUERY_VMA_WRITABLE ? PROT_WRITE : 0) |
	       (q.vma_flags & PROCMAP_QUERY_VMA_EXECUTABLE ? PROT_EXEC : 0);
	/* Not watched it can be mapped over without a report. */
	mcl_uffd_unregister(u->host_fd, start, bytes);
	at = mcl_raw(SYS_mmap, start, bytes, (uint64_t)prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, (uint64_t)-1, 0);
	if (at != (long)start)
		mcl_uffd_fatal("no memory for what mremap() has added", start, (int)at);
}
