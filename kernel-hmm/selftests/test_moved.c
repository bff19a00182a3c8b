// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may become of memory that moves to VRAM: rights, pins, pages of files, huge pages
 * that are freed, cut and moved by mremap. Most of it is what Linux's own tests of HMM check
 * too; README.rst has the list.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

#define N 64ul

/* Own copies of a file's pages move; those that are still the file's do not. */
TEST(migrate_file_private)
{
	struct hmm_mirror_range range;
	int fd = memfd_create("test", 0);
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	EXPECT_EQ(ftruncate(fd, N * PAGE), 0);
	p = mmap((void *)ARENA, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	EXPECT_EQ((uint64_t)p, ARENA);
	host_fill(p, N / 2 * PAGE, 1);
	EXPECT_EQ(*(volatile uint64_t *)(p + N / 2 * PAGE), 0);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, N * PAGE, 0, &range), 0);
	EXPECT_EQ(range.done, N / 2);
	EXPECT_EQ(range.left, N / 2);
	EXPECT_EQ(engine_check(&rig, p, N / 2 * PAGE, 1), 0);
	engine_fill(&rig, p, N * PAGE, 7);
	EXPECT_EQ(host_check(p, N * PAGE, 7), 0);
	EXPECT_EQ(pread(fd, &range, 8, 0), 8);
	EXPECT_EQ(range.start, 0);
	rig_close(&rig);
}

/* Half of it is touched and comes back; the mixture goes to VRAM again. */
TEST(migrate_mixture)
{
	struct hmm_mirror_range range;
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ(host_check(p, N / 2 * PAGE, 1), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), N / 2);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, N * PAGE, 0, &range), 0);
	EXPECT_EQ(range.done, N / 2);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), N);
	rig.pager = pager_none;
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 1), 0);
	rig_close(&rig);
}

/* Rights do not matter for the move but that there are some; they hold in VRAM too. */
TEST(migrate_rights)
{
	struct hmm_mirror_range range;
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_map(0, 6 * PAGE, PROT_NONE, 0);
	EXPECT_EQ(madvise(p, 6 * PAGE, MADV_NOHUGEPAGE), 0);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, 6 * PAGE, 0, &range), 0);
	EXPECT_EQ(range.done, 0);
	EXPECT_EQ(munmap(p + PAGE, PAGE), 0);
	EXPECT_EQ(mprotect(p + 2 * PAGE, PAGE, PROT_READ), 0);
	EXPECT_EQ(*(volatile uint64_t *)(p + 2 * PAGE), 0);
	EXPECT_EQ(mprotect(p + 3 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE), 0);
	host_fill(p + 3 * PAGE, 3 * PAGE, 3);
	EXPECT_EQ(mprotect(p + 3 * PAGE, PAGE, PROT_READ), 0);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, 6 * PAGE, 0, &range), 0);
	EXPECT_EQ(range.done, 4);
	EXPECT_EQ(range.left, 2);
	EXPECT_EQ(rig_pages(&rig, p, 6 * PAGE, HMM_MIRROR_PAGE_VRAM), 4);
	EXPECT_EQ(rig_pages(&rig, p, 6 * PAGE, HMM_MIRROR_PAGE_VRAM | HMM_MIRROR_PAGE_WRITE), 2);
	EXPECT_EQ(engine_check(&rig, p + 3 * PAGE, 3 * PAGE, 3), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_WRITE, ARENA + 3 * PAGE, 8, 1).signal, SIGSEGV);
	EXPECT_EQ(engine_do(&rig, ENGINE_WRITE, ARENA + 2 * PAGE, 8, 1).signal, SIGSEGV);
	EXPECT_EQ(host_check(p + 3 * PAGE, 3 * PAGE, 3), 0);
	rig_close(&rig);
}

/* A pin for long, of a page that is in VRAM, brings it home; and it stays there. */
TEST(longterm_pin)
{
	struct io_uring_params params = { 0 };
	struct hmm_mirror_range range;
	struct iovec iov;
	struct rig rig;
	void *p;
	int fd;

	fd = syscall(SYS_io_uring_setup, 4, &params);
	if (fd < 0)
		SKIP("no io_uring");
	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	engine_fill(&rig, p, N * PAGE, 21);
	iov = (struct iovec){ p + 4 * PAGE, 2 * PAGE };
	EXPECT_EQ(syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &iov, 1), 0);
	EXPECT_LE(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), N - 2);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, N * PAGE, 0, &range), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), N - 2);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 21), 0);
	EXPECT_EQ(rig_pages(&rig, p + 4 * PAGE, 2 * PAGE, HMM_MIRROR_PAGE_VRAM), 0);
	engine_fill(&rig, p, N * PAGE, 22);
	EXPECT_EQ(host_check(p + 4 * PAGE, 2 * PAGE, 22 + 4 * 512), 0);
	EXPECT_EQ(syscall(SYS_io_uring_register, fd, IORING_UNREGISTER_BUFFERS, NULL, 0), 0);
	close(fd);
	EXPECT_EQ(host_check(p, N * PAGE, 22), 0);
	rig_close(&rig);
}

/* Huge memory that was only read, or never touched, in a read-only mapping. */
TEST(migrate_huge_read_only)
{
	struct rig rig;
	void *p;
	int i;

	rig_open_vram(&rig, NULL);
	for (i = 0; i < 2; i++) {
		p = arena_map(0, BLOCK, PROT_READ, 0);
		EXPECT_EQ(madvise(p, BLOCK, MADV_HUGEPAGE), 0);
		if (i)	/* the huge zero page */
			EXPECT_EQ(*(volatile uint64_t *)p, 0);
		EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M), i + 1);
		EXPECT_EQ(engine_read(&rig, p), 0);
		EXPECT_EQ(engine_read(&rig, p + 511 * PAGE), 0);
		EXPECT_EQ(engine_do(&rig, ENGINE_WRITE, ARENA + PAGE, 8, 1).signal, SIGSEGV);
		EXPECT_EQ(host_sum(p, BLOCK), 0);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
		munmap(p, BLOCK);
	}
	rig_close(&rig);
}

/* A huge page in VRAM is freed by MADV_FREE, MADV_DONTNEED and munmap. */
TEST(migrate_huge_free)
{
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_huge(0, BLOCK);
	EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
	EXPECT_EQ(engine_check(&rig, p, BLOCK, 1), 0);
	EXPECT_EQ(madvise(p, BLOCK, MADV_FREE), 0);
	/* The core leaves device pages alone: they are still there, or zero. */
	EXPECT_EQ(host_check(p, BLOCK, 1) == 0 || host_sum(p, BLOCK) == 0, 1);
	EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
	EXPECT_EQ(madvise(p, BLOCK, MADV_DONTNEED), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
	EXPECT_EQ(host_sum(p, BLOCK), 0);
	rig_close(&rig);
}

/* The host's own view of a huge page in VRAM: swapped, not present. */
TEST(pagemap)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entries[512];
	struct rig rig;
	unsigned int i;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, BLOCK);
	EXPECT_EQ(madvise(p, BLOCK, MADV_HUGEPAGE), 0);
	EXPECT_EQ(madvise(p, BLOCK, MADV_COLLAPSE), 0);
	EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M), 1);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_VRAM | HMM_MIRROR_PAGE_HUGE |
			    HMM_MIRROR_PAGE_WRITE), 512);
	EXPECT_EQ(pread(fd, entries, sizeof(entries), ARENA / PAGE * 8), sizeof(entries));
	for (i = 0; i < 512; i++) {
		EXPECT_EQ(entries[i] >> 62 & 1, 1);
		EXPECT_EQ(entries[i] >> 63 & 1, 0);
	}
	EXPECT_EQ(host_check(p, BLOCK, 1), 0);
	rig_close(&rig);
}

/* Half of a block in VRAM is unmapped, at its begin, its middle, its end. */
TEST(partial_unmap_offsets)
{
	static const uint64_t offsets[] = { 0, BLOCK / 4, BLOCK / 2 };
	struct rig rig;
	unsigned int i;

	rig_open_vram(&rig, NULL);
	for (i = 0; i < 6; i++) {
		uint64_t from = offsets[i / 2], to = from + BLOCK / 2;
		void *p = i & 1 ? arena_huge(0, BLOCK) : arena_small(0, BLOCK);

		EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
		EXPECT_EQ(engine_check(&rig, p, BLOCK, 1), 0);
		EXPECT_EQ(munmap(p + from, BLOCK / 2), 0);
		EXPECT_EQ(rig_pages(&rig, p + from, BLOCK / 2, HMM_MIRROR_PAGE_PRESENT), 0);
		EXPECT_EQ(host_check(p, from, 1), 0);
		EXPECT_EQ(host_check(p + to, BLOCK - to, 1 + to / 8), 0);
		munmap(p, BLOCK);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
	}
	rig_close(&rig);
}

/* mremap before and after the move to VRAM, to aligned and odd places, both ways. */
TEST(remap_offsets)
{
	static const uint64_t offsets[] = { 0, BLOCK / 4, BLOCK / 2 };
	struct rig rig;
	unsigned int i;

	rig_open_vram(&rig, NULL);
	for (i = 0; i < 24; i++) {
		bool huge = i & 1, before = i & 2;
		int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (i & 4 ? MREMAP_DONTUNMAP : 0);
		void *p = huge ? arena_huge(0, BLOCK) : arena_small(0, BLOCK);
		void *q = p + 8 * BLOCK + offsets[i / 8];

		if (!before)
			EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
		EXPECT_EQ((uint64_t)mremap(p, BLOCK, BLOCK, flags, q), (uint64_t)q);
		if (before)
			EXPECT_EQ(rig_migrate(&rig, q, BLOCK), 512);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), 512);
		EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_PRESENT), 0);
		EXPECT_EQ(engine_check(&rig, q, BLOCK, 1), 0);
		EXPECT_EQ(host_check(q, BLOCK, 1), 0);
		munmap(p, BLOCK);
		munmap(q, BLOCK);
	}
	rig_close(&rig);
}
