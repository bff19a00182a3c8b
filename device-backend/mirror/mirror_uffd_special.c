// SPDX-License-Identifier: MIT
/*
 * Host memory whose pages cannot be taken: the device gets a read-only copy.
 *
 * Read-only anonymous memory: its page is write-protected through the userfaultfd, which outlives mprotect(); the host's
 * first store drops the copy.
 *
 * Private mappings of files, pages that I/O has pinned: nothing can watch them, so the copy is dropped when the next kernel
 * starts (control->refresh).
 */
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

void mcl_uffd_drop_copy(struct mcl_uffd *u, uint64_t page)
{
	struct mcl_uffd_block *b = mcl_uffd_find(u, page);

	mcl_uffd_punch(u, page, page + PAGE_SIZE);
	mcl_uffd_set(b, page, page + PAGE_SIZE, PAGE_HOST);
	if (mcl_uffd_protect(u->host_fd, page, PAGE_SIZE, 0))
		mcl_uffd_wake(u->host_fd, page, PAGE_SIZE);
}

/*
 * Copy host pages, read-only, to the engine. Reading them may fault, and a fault in watched memory would wait for this thread:
 * so the proxy does it. Returns bytes from the start that the engine has now.
 */
static uint64_t copy_in(struct mcl_uffd *u, uint64_t start, uint64_t end, int *err)
{
	uint64_t at = start;

	*err = 0;
	while (at < end) {
		struct uffdio_copy c = {
			.dst = at, .src = at, .len = end - at, .mode = UFFDIO_COPY_MODE_WP | UFFDIO_COPY_MODE_DONTWAKE
		};
		long ret =
			mcl_uffd_proxy_call(u, SYS_ioctl, (uint64_t)u->engine_fd, UFFDIO_COPY, (uint64_t)&c, 0, 0, 0);
		uint64_t done = mcl_uffd_progress(ret, c.copy, end - at, err);

		at += done;
		if (*err == -EEXIST)
			mcl_uffd_punch(u, at, at + PAGE_SIZE);
		else if (*err && !done)
			return at - start;
	}
	return at - start;
}

static long copy_pages(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t start, uint64_t end, uint64_t address)
{
	bool watch = vma->kind == VMA_ANON_READ;
	enum mcl_page_state state = watch ? PAGE_COPY : PAGE_SNAPSHOT;
	struct mcl_uffd_block *b = mcl_uffd_block(u, start);
	unsigned int tries = 0;
	uint64_t done;
	int err;

	if (!b)
		return -ENOMEM;
	if (mcl_uffd_disturbed(u, start, end))
		return -EAGAIN;
	if (watch) {
		err = mcl_uffd_watch(u, vma);
		if (err)
			return err;
	}
	/* All of it if possible, else the page that is asked for: a file may end within its mapping. */
	err = (int)mcl_uffd_proxy_call(u, SYS_madvise, start, end - start, MADV_POPULATE_READ, 0, 0, 0);
	if (err) {
		start = address;
		end = address + PAGE_SIZE;
		err = (int)mcl_uffd_proxy_call(u, SYS_madvise, start, PAGE_SIZE, MADV_POPULATE_READ, 0, 0, 0);
		if (err)
			return err == -ENOMEM ? -ENOMEM : -EFAULT;
	}
	while (watch && mcl_uffd_protect(u->host_fd, start, end - start, UFFDIO_WRITEPROTECT_MODE_WP))
		if (++tries == CHANGE_RETRIES || !mcl_uffd_again(u, start, end))
			return -EAGAIN;
	done = copy_in(u, start, end, &err);
	mcl_uffd_set(b, start, start + done, state);
	if (!watch)
		mcl_uffd_note_snapshots(u, done >> PAGE_SHIFT);
	mcl_uffd_release(u, b);
	return done ? (long)(done >> PAGE_SHIFT) : err == -EFAULT ? -EFAULT : err;
}

void mcl_uffd_drop_snapshots(struct mcl_uffd *u)
{
	struct mcl_uffd_block *next;

	if (!u->snapshot_pages)
		return;
	mcl_uffd_twins_drop(u);
	for (struct mcl_uffd_block *b = u->blocks; b; b = next) {
		uint64_t end = b->base + MCL_BLOCK_SIZE;

		next = b->next;
		for (uint64_t at = b->base, run; b->used && at < end; at = run) {
			run = mcl_uffd_run(b, at, end);
			if (mcl_uffd_state(u, at) != PAGE_SNAPSHOT)
				continue;
			mcl_uffd_punch(u, at, run);
			mcl_uffd_set(b, at, run, PAGE_HOST);
		}
		mcl_uffd_release(u, b);
	}
	u->snapshot_pages = 0;
}

/* The part of [start, end) around @address whose pages are all PAGE_HOST. */
static void shrink(struct mcl_uffd *u, uint64_t *start, uint64_t *end, uint64_t address)
{
	uint64_t s = address, e = address + PAGE_SIZE;

	while (s > *start && mcl_uffd_state(u, s - PAGE_SIZE) == PAGE_HOST)
		s -= PAGE_SIZE;
	while (e < *end && mcl_uffd_state(u, e) == PAGE_HOST)
		e += PAGE_SIZE;
	*start = s;
	*end = e;
}

/* Copies of pages that cannot be watched, for the device to store to if @access says so. */
static long copy_unwatched(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t start, uint64_t end,
			   uint64_t address, enum mcl_access access)
{
	long pages = 0;

	if (mcl_uffd_state(u, address) == PAGE_HOST) {
		shrink(u, &start, &end, address);
		pages = copy_pages(u, vma, start, end, address);
		if (pages < 0 || access != MCL_ACCESS_WRITE)
			return pages;
	}
	return access == MCL_ACCESS_WRITE ? mcl_uffd_twin(u, start, end) : pages;
}

long mcl_uffd_map_special(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t start, uint64_t end, uint64_t address,
			  enum mcl_access access)
{
	switch (vma->kind) {
	case VMA_FILE_SHARED:
		return mcl_uffd_file_map(u, vma);
	case VMA_ANON_READ:
		shrink(u, &start, &end, address);
		return copy_pages(u, vma, start, end, address);
	case VMA_FILE_READ:
	case VMA_FILE_WRITE:
	case VMA_SYSTEM:
	case VMA_OWN:
		return copy_unwatched(u, vma, start, end, address, access);
	case VMA_ANON: /* a page that cannot be taken */
		return copy_unwatched(u, vma, address, address + PAGE_SIZE, address, access);
	default:
		return -EOPNOTSUPP;
	}
}
