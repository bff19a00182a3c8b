// SPDX-License-Identifier: GPL-2.0-only
/* Device memory: pages that move there, what the engine sees, how they come back. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

#define N 32ul

static uint64_t in_vram(struct rig *rig)
{
	return rig_count(rig, HMM_MIRROR_COUNT_VRAM_PAGES);
}

/* Small pages go to VRAM, the engine works there, the host's touch brings them back. */
TEST(migrate)
{
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ(in_vram(&rig), N);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_4K), N);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_VRAM | HMM_MIRROR_PAGE_WRITE), N);
	rig.pager = pager_none;
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 1), 0);
	engine_fill(&rig, p, N * PAGE, 100);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_FAULTS), 0);
	EXPECT_EQ(host_check(p, N * PAGE, 100), 0);
	/* 16 at a time. */
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_FAULTS), N / 16);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_4K), N);
	EXPECT_EQ(in_vram(&rig), 0);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), 0);
	rig_close(&rig);
}

/* Faults answered by MIGRATE, back and forth. */
TEST(migrate_fault)
{
	struct rig rig;
	uint64_t i;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	rig.pager = pager_migrate;
	for (i = 1; i <= 5; i++) {
		host_fill(p, N * PAGE, 10 * i);
		EXPECT_EQ(engine_check(&rig, p, N * PAGE, 10 * i), 0);
		EXPECT_EQ(in_vram(&rig), N);
		engine_fill(&rig, p, N * PAGE, 10 * i + 1);
		EXPECT_EQ(host_check(p, N * PAGE, 10 * i + 1), 0);
		EXPECT_EQ(rig.faults, i * N);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_4K), i * N);
	}
	rig_close(&rig);
}

/* Memory nobody touched is made in VRAM, zeroed. */
TEST(migrate_untouched)
{
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_map(0, N * PAGE, PROT_READ | PROT_WRITE, 0);
	madvise(p, N * PAGE, MADV_NOHUGEPAGE);
	EXPECT_EQ(*(volatile uint64_t *)(p + PAGE), 0);	/* the zero page, in one of them */
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ(in_vram(&rig), N);
	EXPECT_EQ(engine_read(&rig, p + PAGE), 0);
	EXPECT_EQ(engine_read(&rig, p + 7 * PAGE), 0);
	engine_fill(&rig, p, N * PAGE, 3);
	EXPECT_EQ(host_check(p, N * PAGE, 3), 0);
	rig_close(&rig);
}

/* A huge page goes as one folio and comes back as one. */
TEST(migrate_huge)
{
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_huge(0, 2 * BLOCK);
	EXPECT_EQ(rig_migrate(&rig, p, 2 * BLOCK), 1024);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M), 2);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_4K), 0);
	EXPECT_EQ(rig_pages(&rig, p, 2 * BLOCK, HMM_MIRROR_PAGE_VRAM | HMM_MIRROR_PAGE_HUGE |
			    HMM_MIRROR_PAGE_WRITE), 1024);
	rig.pager = pager_none;
	EXPECT_EQ(engine_check(&rig, p, 2 * BLOCK, 1), 0);
	engine_fill(&rig, p, 2 * BLOCK, 9);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_2M), 2);
	EXPECT_EQ(host_check(p, 2 * BLOCK, 9), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_FAULTS), 2);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_2M), 2);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_4K), 0);
	EXPECT_EQ(in_vram(&rig), 0);
	rig_close(&rig);
}

/* A huge mapping without a page becomes a huge page in VRAM. */
TEST(migrate_huge_untouched)
{
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_map(0, BLOCK, PROT_READ | PROT_WRITE, 0);
	EXPECT_EQ(madvise(p, BLOCK, MADV_HUGEPAGE), 0);
	EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M), 1);
	EXPECT_EQ(engine_read(&rig, p + 511 * PAGE), 0);
	engine_fill(&rig, p, BLOCK, 4);
	EXPECT_EQ(host_check(p, BLOCK, 4), 0);
	rig_close(&rig);
}

/* Part of a huge page in VRAM is unmapped; the rest is intact on both sides. */
TEST(partial_unmap)
{
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_huge(0, BLOCK);
	EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
	engine_fill(&rig, p, BLOCK, 50);
	EXPECT_EQ(munmap(p + 64 * PAGE, 64 * PAGE), 0);
	EXPECT_EQ(engine_check(&rig, p, 64 * PAGE, 50), 0);
	EXPECT_EQ(engine_check(&rig, p + 128 * PAGE, 384 * PAGE, 50 + 128 * 512), 0);
	/* A page in the middle first, then the others. */
	EXPECT_EQ(host_check(p + 300 * PAGE, PAGE, 50 + 300 * 512), 0);
	EXPECT_EQ(host_check(p, 64 * PAGE, 50), 0);
	EXPECT_EQ(host_check(p + 128 * PAGE, 384 * PAGE, 50 + 128 * 512), 0);
	EXPECT_EQ(in_vram(&rig), 0);
	rig_close(&rig);
}

/*
 * A page of a large folio in VRAM that is mapped singly, with the folio's head in the
 * same 64 KiB: the touch must not move the head along with it (see home.c).
 */
TEST(large_folio_by_pages)
{
	struct rig rig;
	void *p, *q = (void *)(ARENA + 64 * BLOCK);
	int i;

	rig_open_vram(&rig, NULL);
	for (i = 0; i < 8; i++) {
		p = arena_huge(0, BLOCK);
		EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
		/* Moving a part of it splits the mapping, not the folio. */
		EXPECT_EQ((uint64_t)mremap(p + 256 * PAGE, 256 * PAGE, 256 * PAGE,
					   MREMAP_MAYMOVE | MREMAP_FIXED, q), (uint64_t)q);
		EXPECT_EQ(host_check(p + (1 + i) * PAGE, PAGE, 1 + (1 + i) * 512), 0);
		EXPECT_EQ(host_check(p, 256 * PAGE, 1), 0);
		EXPECT_EQ(host_check(q, 256 * PAGE, 1 + 256 * 512), 0);
		EXPECT_EQ(in_vram(&rig), 0);
		munmap(q, 256 * PAGE);
	}
	rig_close(&rig);
}

/* mremap takes pages in VRAM along; the engine finds them at the new address. */
TEST(remap)
{
	struct rig rig;
	void *p, *q = (void *)(ARENA + 64 * BLOCK);

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ((uint64_t)mremap(p, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q),
		  (uint64_t)q);
	EXPECT_EQ(in_vram(&rig), N);
	EXPECT_EQ(engine_check(&rig, q, N * PAGE, 1), 0);
	EXPECT_EQ(rig_pages(&rig, q, N * PAGE, HMM_MIRROR_PAGE_VRAM), N);
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, (uint64_t)p, 8, 0).signal, SIGSEGV);
	engine_fill(&rig, q, N * PAGE, 2);
	EXPECT_EQ(host_check(q, N * PAGE, 2), 0);
	munmap(q, N * PAGE);
	rig_close(&rig);
}

/* EVICT brings back what it is told, and counts it. */
TEST(evict)
{
	struct rig rig;
	void *p, *h;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	h = arena_huge(BLOCK, BLOCK);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ(rig_migrate(&rig, h, BLOCK), 512);
	EXPECT_EQ(rig_evict(&rig, p, N / 2 * PAGE), N / 2);
	EXPECT_EQ(in_vram(&rig), 512 + N / 2);
	EXPECT_EQ(rig_evict(&rig, p, 2 * BLOCK), 512 + N / 2);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_EVICT_4K), N);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_EVICT_2M), 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_FAULTS), 0);
	EXPECT_EQ(in_vram(&rig), 0);
	EXPECT_EQ(rig_evict(&rig, p, 2 * BLOCK), 0);
	EXPECT_EQ(host_check(p, N * PAGE, 1), 0);
	EXPECT_EQ(host_check(h, BLOCK, 1), 0);
	rig_close(&rig);
}

/* A part of a huge page is evicted: the rest stays in VRAM, as small pages. */
TEST(evict_part_of_huge)
{
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_huge(0, BLOCK);
	EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
	engine_fill(&rig, p, BLOCK, 8);
	EXPECT_EQ(rig_evict(&rig, p + 10 * PAGE, 20 * PAGE), 20);
	EXPECT_EQ(in_vram(&rig), 492);
	EXPECT_EQ(engine_check(&rig, p, BLOCK, 8), 0);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_VRAM), 492);
	EXPECT_EQ(host_check(p, BLOCK, 8), 0);
	EXPECT_EQ(in_vram(&rig), 0);
	rig_close(&rig);
}

/* fork with pages in VRAM: each side keeps its own after a write, whoever writes. */
TEST(fork_in_vram)
{
	int go[2], status;
	struct rig rig;
	void *p, *h;
	pid_t pid;
	char c;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	h = arena_huge(BLOCK, BLOCK);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ(rig_migrate(&rig, h, BLOCK), 512);
	engine_fill(&rig, p, N * PAGE, 20);
	engine_fill(&rig, h, BLOCK, 30);
	EXPECT_EQ(pipe(go), 0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		EXPECT_EQ(read(go[0], &c, 1), 0);
		EXPECT_EQ(host_check(p, N * PAGE, 20), 0);
		EXPECT_EQ(host_check(h, BLOCK, 30), 0);
		host_fill(p, N * PAGE, 90);
		host_fill(h, BLOCK, 91);
		EXPECT_EQ(host_check(p, N * PAGE, 90), 0);
		_exit(0);
	}
	close(go[0]);
	/* The engine reads in place, and its write makes a copy. */
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 20), 0);
	engine_fill(&rig, p, N / 2 * PAGE, 21);
	EXPECT_EQ(host_check(p, N / 2 * PAGE, 21), 0);
	EXPECT_EQ(engine_check(&rig, h, BLOCK, 30), 0);
	close(go[1]);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(engine_check(&rig, p, N / 2 * PAGE, 21), 0);
	EXPECT_EQ(engine_check(&rig, p + N / 2 * PAGE, N / 2 * PAGE, 20 + N / 2 * 512), 0);
	EXPECT_EQ(host_check(h, BLOCK, 30), 0);
	engine_fill(&rig, h, BLOCK, 31);
	EXPECT_EQ(host_check(h, BLOCK, 31), 0);
	rig_close(&rig);
}

/* A page that something holds a reference to stays, and only that one. */
TEST(pinned)
{
	struct hmm_mirror_range range;
	struct iovec iov;
	struct rig rig;
	int fds[2];
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(pipe(fds), 0);
	iov = (struct iovec){ p + 5 * PAGE, PAGE };
	EXPECT_EQ(vmsplice(fds[1], &iov, 1, 0), PAGE);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, N * PAGE, 0, &range), 0);
	EXPECT_EQ(range.done, N - 1);
	EXPECT_EQ(range.left, 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_STAYED), 1);
	rig.pager = pager_mirror;
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 1), 0);
	EXPECT_LE(rig.faults, 1);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_VRAM), N - 1);
	close(fds[0]);
	close(fds[1]);
	EXPECT_EQ(rig_migrate(&rig, p + 5 * PAGE, PAGE), 1);
	rig_close(&rig);
}

/* The quota is kept; what is over it stays and works in place. */
TEST(quota)
{
	const struct hmm_mirror_register reg = { .vram_quota = 20 * PAGE };
	struct hmm_mirror_range range;
	struct rig rig;
	void *p, *h;

	rig_open_vram(&rig, &reg);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, N * PAGE, 0, &range), 0);
	EXPECT_EQ(range.done, 20);
	EXPECT_EQ(range.left, N - 20);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_NO_VRAM), N - 20);
	EXPECT_EQ(in_vram(&rig), 20);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 1), 0);
	h = arena_huge(BLOCK, BLOCK);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, h, BLOCK, 0, &range), 0);
	EXPECT_EQ(range.done, 0);
	EXPECT_EQ(rig_evict(&rig, p, N * PAGE), 20);
	EXPECT_EQ(rig_migrate(&rig, p, 4 * PAGE), 4);
	EXPECT_EQ(host_check(h, BLOCK, 1), 0);
	rig_close(&rig);
}

/* Only anonymous private memory moves; the rest is mapped in place. */
TEST(what_does_not_move)
{
	struct hmm_mirror_range range;
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, (void *)ARENA, PAGE, 0, &range),
		     EFAULT);
	p = mmap((void *)ARENA, N * PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	EXPECT_EQ((uint64_t)p, ARENA);
	host_fill(p, N * PAGE, 1);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, N * PAGE, 0, &range), 0);
	EXPECT_EQ(range.done, 0);
	EXPECT_EQ(range.left, N);
	rig.pager = pager_migrate;
	engine_fill(&rig, p, N * PAGE, 2);
	EXPECT_EQ(host_check(p, N * PAGE, 2), 0);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_VRAM), 0);
	rig_close(&rig);
}

/* A range of several mappings with holes between them, in one call. */
TEST(mixed_range)
{
	struct hmm_mirror_range range;
	struct rig rig;
	void *p = (void *)ARENA;

	rig_open_vram(&rig, NULL);
	arena_small(0, 4 * PAGE);
	arena_small(8 * PAGE, 4 * PAGE);
	arena_huge(BLOCK, BLOCK);
	arena_small(3 * BLOCK, PAGE);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, 4 * BLOCK, 0, &range), 0);
	EXPECT_EQ(range.done, 4 + 4 + 512 + 1);
	EXPECT_EQ(in_vram(&rig), 521);
	EXPECT_EQ(engine_check(&rig, p + 8 * PAGE, 4 * PAGE, 1), 0);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_EVICT, p, 4 * BLOCK, 0, &range), 0);
	EXPECT_EQ(range.done, 521);
	EXPECT_EQ(range.left, 0);
	rig_close(&rig);
}

/* Unmapping and MADV_DONTNEED free the device memory; so does exit. */
TEST(freed)
{
	struct rig rig;
	void *p, *h;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	h = arena_huge(BLOCK, BLOCK);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ(rig_migrate(&rig, h, BLOCK), 512);
	EXPECT_EQ(madvise(p, 4 * PAGE, MADV_DONTNEED), 0);
	EXPECT_EQ(in_vram(&rig), 512 + N - 4);
	EXPECT_EQ(engine_read(&rig, p), 0);
	EXPECT_EQ(munmap(h, BLOCK), 0);
	EXPECT_EQ(in_vram(&rig), N - 4);
	EXPECT_EQ(mprotect(p, N * PAGE, PROT_NONE), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, (uint64_t)p + 8 * PAGE, 8, 0).signal, SIGSEGV);
	EXPECT_EQ(mprotect(p, N * PAGE, PROT_READ), 0);
	EXPECT_EQ(host_check(p + 4 * PAGE, (N - 4) * PAGE, 1 + 4 * 512), 0);
	EXPECT_EQ(in_vram(&rig), 0);
	rig_close(&rig);
}

/* Others that look at the process's memory: /proc/PID/mem, system calls. */
TEST(through_the_kernel)
{
	int mem = open("/proc/self/mem", O_RDWR), fds[2];
	uint64_t word = 0;
	struct rig rig;
	void *p;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	engine_fill(&rig, p, N * PAGE, 1000);
	EXPECT_EQ(pread(mem, &word, 8, (off_t)p + 3 * PAGE), 8);
	EXPECT_EQ(word, 1000 + 3 * 512);
	EXPECT_EQ(pipe(fds), 0);
	EXPECT_EQ(write(fds[1], p + 20 * PAGE, 8), 8);
	EXPECT_EQ(read(fds[0], &word, 8), 8);
	EXPECT_EQ(word, 1000 + 20 * 512);
	EXPECT_EQ(mlock(p, N * PAGE), 0);
	EXPECT_EQ(host_check(p, N * PAGE, 1000), 0);
	munlock(p, N * PAGE);
	rig_close(&rig);
}

/* The host ends with pages in VRAM; a child that shares them lives on. */
TEST(child_inherits_vram)
{
	int go[2], status, result[2];
	pid_t host;
	char c = 1;

	if (!rig_can_migrate())
		SKIP("this kernel has no DEVICE_PRIVATE");
	EXPECT_EQ(pipe(go), 0);
	EXPECT_EQ(pipe(result), 0);
	host = fork();
	if (!host) {
		struct rig rig;
		void *p;

		rig_open(&rig, NULL);
		p = arena_small(0, N * PAGE);
		EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
		engine_fill(&rig, p, N * PAGE, 44);
		if (!fork()) {
			close(go[1]);
			(void)!read(go[0], &c, 1);
			c = host_check(p, N * PAGE, 44) != 0;
			(void)!write(result[1], &c, 1);
		}
		_exit(0);
	}
	close(go[0]);
	EXPECT_EQ(waitpid(host, &status, 0), host);
	EXPECT_EQ(status, 0);
	close(go[1]);
	EXPECT_EQ(read(result[0], &c, 1), 1);
	EXPECT_EQ(c, 0);
}
