// SPDX-License-Identifier: MIT
/*
 * The staging areas: where host pages are between two places. UFFDIO_MOVE hangs them in here, and what becomes of them
 * is decided by those who asked (mirror_uffd_move.c, drop_host_pages()). One area for each kind of memory, since MOVE wants
 * the same rights at both ends; each is accessible only while pages are on their way.
 *
 * The areas belong to the host's userfaultfd, as the memory that pages come from. So MOVE fails with -EAGAIN exactly if a
 * change of the address space is not read yet: what it has moved is what was there after all that is known, and before all
 * that is not. They belong to it only while they are in use, since else to empty one would be reported as a change itself.
 */
#include <linux/fs.h>
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

int mcl_uffd_staging_init(struct mcl_uffd *u, struct mcl_reason *why)
{
	u->bounce = mcl_private_alloc(&u->memory, MCL_BLOCK_SIZE, MCL_BLOCK_SIZE);
	u->zeros = mcl_private_alloc(&u->memory, MCL_BLOCK_SIZE, 4096);
	if (!u->bounce || !u->zeros)
		return mcl_reason(why, -ENOMEM, "out of memory for the pager's buffers");
	return 0;
}

static int staging_prot(int kind)
{
	return PROT_READ | PROT_WRITE | (kind == STAGING_EXEC || kind == STAGING_LOCKED_EXEC ? PROT_EXEC : 0);
}

/* An area that nobody can touch: outside mcl_uffd_take() a load from it must be an ordinary fault. */
static uint64_t make_staging(struct mcl_uffd *u, int kind)
{
	uint64_t reserve, at;

	if (u->keep_out_count >= KEEP_OUT_MAX)
		return 0;
	reserve = (uint64_t)mcl_raw(SYS_mmap, 0, 2 * MCL_BLOCK_SIZE, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, (uint64_t)-1, 0);
	if (reserve > USER_END)
		return 0;
	at = mcl_block_down(reserve + MCL_BLOCK_SIZE - 1);
	mcl_raw_madvise(reserve, 2 * MCL_BLOCK_SIZE, MADV_DONTFORK);
	if (kind >= STAGING_LOCKED && mcl_raw(SYS_mlock2, at, MCL_BLOCK_SIZE, MLOCK_ONFAULT, 0, 0, 0)) {
		mcl_raw(SYS_munmap, reserve, 2 * MCL_BLOCK_SIZE, 0, 0, 0, 0);
		return 0;
	}
	u->keep_out[u->keep_out_count++] = (struct mcl_span){ reserve, reserve + 2 * MCL_BLOCK_SIZE, false };
	u->staging_reserve[kind] = reserve;
	return at;
}

uint64_t mcl_uffd_staging(struct mcl_uffd *u, int kind)
{
	const uint64_t prot = (uint64_t)staging_prot(kind);

	if (!u->staging[kind])
		u->staging[kind] = make_staging(u, kind);
	if (!u->staging[kind] || u->staging_open[kind])
		return u->staging[kind];
	mcl_uffd_staging_clean(u);
	if (mcl_raw(SYS_mprotect, u->staging[kind], MCL_BLOCK_SIZE, prot, 0, 0, 0) ||
	    mcl_uffd_register(u->host_fd, u->staging[kind], MCL_BLOCK_SIZE, UFFDIO_REGISTER_MODE_MISSING))
		return 0;
	u->staging_open[kind] = u->staging_used[kind] = true;
	return u->staging[kind];
}

void mcl_uffd_staging_clean(struct mcl_uffd *u)
{
	for (int kind = 0; kind < STAGING_COUNT; kind++) {
		if (u->staging_used[kind] && !u->staging_open[kind]) {
			mcl_uffd_unregister(u->host_fd, u->staging[kind], MCL_BLOCK_SIZE);
			mcl_raw_madvise(u->staging[kind], MCL_BLOCK_SIZE, MADV_DONTNEED_LOCKED);
			u->staging_used[kind] = false;
		}
	}
}

void mcl_uffd_staging_close(struct mcl_uffd *u)
{
	for (int kind = 0; kind < STAGING_COUNT; kind++) {
		if (u->staging_open[kind])
			mcl_raw(SYS_mprotect, u->staging[kind], MCL_BLOCK_SIZE, PROT_NONE, 0, 0, 0);
		u->staging_open[kind] = false;
	}
}

/* Which parts of the staging area at [@stage, ...) hold a page: calls @fn for each part, present or not. */
int mcl_uffd_each_part(struct mcl_uffd *u, uint64_t stage, uint64_t size,
		       int (*fn)(struct mcl_uffd *u, uint64_t offset, uint64_t part, bool present, void *arg),
		       void *arg)
{
	struct page_region regions[32];
	uint64_t at = stage, end = stage + size;
	int err = 0;

	while (at < end && !err) {
		struct pm_scan_arg scan = {
			.size = sizeof(scan),
			.start = at,
			.end = end,
			.vec = (uint64_t)regions,
			.vec_len = 32,
			.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
			.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		};
		long n = mcl_raw_ioctl(u->pagemap_fd, PAGEMAP_SCAN, &scan);

		if (n < 0)
			return (int)n;
		for (long i = 0; i < n && !err; i++) {
			if (regions[i].start > at)
				err = fn(u, at - stage, regions[i].start - at, false, arg);
			if (!err)
				err = fn(u, regions[i].start - stage, regions[i].end - regions[i].start, true, arg);
			at = regions[i].end;
		}
		if (n < 32 && at < end && !err) {
			err = fn(u, at - stage, end - at, false, arg);
			at = end;
		}
	}
	return err;
}
