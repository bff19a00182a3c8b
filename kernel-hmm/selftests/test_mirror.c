// SPDX-License-Identifier: GPL-2.0-only
/* Mapping in place: what the engine sees of the host's memory, and when it stops. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

#define N 16ul

/* The engine reads what the host wrote: one fault a page. */
TEST(anon_read)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 1), 0);
	EXPECT_EQ(rig.faults, N);
	EXPECT_EQ(rig.last.access, HMM_MIRROR_ACCESS_READ);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_FAULTS), N);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_MIRRORED_4K), N);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_4K), N);
	/* A second look costs nothing. */
	rig.pager = pager_none;
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 1), 0);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), N);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_VRAM), 0);
	rig_close(&rig);
}

/* The host reads what the engine wrote, and both see each other's writes at once. */
TEST(anon_write)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	engine_fill(&rig, p, N * PAGE, 1000);
	EXPECT_EQ(rig.faults, N);
	EXPECT_EQ(rig.last.access, HMM_MIRROR_ACCESS_WRITE);
	EXPECT_EQ(host_check(p, N * PAGE, 1000), 0);
	rig.pager = pager_none;
	host_fill(p, N * PAGE, 2000);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 2000), 0);
	engine_fill(&rig, p, N * PAGE, 3000);
	EXPECT_EQ(host_check(p, N * PAGE, 3000), 0);
	rig_close(&rig);
}

/* Memory that nobody touched reads as zero; a write after the read gets a page. */
TEST(anon_untouched)
{
	struct rig rig;
	uint64_t *p;

	rig_open(&rig, NULL);
	p = arena_map(0, PAGE, PROT_READ | PROT_WRITE, 0);
	madvise(p, PAGE, MADV_NOHUGEPAGE);
	EXPECT_EQ(engine_read(&rig, p), 0);
	EXPECT_EQ(rig.faults, 1);
	EXPECT_EQ(rig_pages(&rig, p, PAGE, HMM_MIRROR_PAGE_WRITE), 0);
	engine_write(&rig, p, 7);
	EXPECT_EQ(rig.faults, 2);
	EXPECT_EQ(rig.last.access, HMM_MIRROR_ACCESS_WRITE);
	EXPECT_EQ(*p, 7);
	rig_close(&rig);
}

/* One thread of each side adds to one word, a million times together. */
TEST(atomics)
{
	enum { TIMES = 100000 };
	struct rig rig;
	uint64_t *p;
	int i;

	rig_open(&rig, NULL);
	p = arena_map(0, PAGE, PROT_READ | PROT_WRITE, 0);
	*p = 0;
	engine_start(&rig, 0, ENGINE_ADD, (uint64_t)p, 8, TIMES);
	for (i = 0; i < TIMES; i++)
		__atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST);
	EXPECT_EQ(engine_finish(&rig, 0).signal, 0);
	EXPECT_EQ(*p, 2 * TIMES);
	rig_close(&rig);
}

/* Read-only memory can be read; a write ends with SIGSEGV at its address. */
TEST(read_only)
{
	struct hmm_mirror_range range;
	struct engine_reply reply;
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, 2 * PAGE);
	EXPECT_EQ(mprotect(p, 2 * PAGE, PROT_READ), 0);
	EXPECT_EQ(engine_check(&rig, p, 2 * PAGE, 1), 0);
	EXPECT_EQ(rig.faults, 2);
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, p, PAGE, HMM_MIRROR_WRITE, &range),
		     EACCES);
	reply = engine_do(&rig, ENGINE_WRITE, (uint64_t)p + PAGE + 16, 8, 1);
	EXPECT_EQ(reply.signal, SIGSEGV);
	EXPECT_EQ(reply.address, (uint64_t)p + PAGE + 16);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_FAILED), 1);
	EXPECT_EQ(engine_check(&rig, p, 2 * PAGE, 1), 0);
	rig_close(&rig);
}

/* An address without memory fails; when there is some later, it works. */
TEST(hole)
{
	struct hmm_mirror_range range;
	struct engine_reply reply;
	struct rig rig;
	void *p = (void *)ARENA;

	rig_open(&rig, NULL);
	reply = engine_do(&rig, ENGINE_READ, ARENA + 8, 8, 0);
	EXPECT_EQ(reply.signal, SIGSEGV);
	EXPECT_EQ(reply.address, ARENA + 8);
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, p, PAGE, 0, &range), EFAULT);
	p = arena_small(0, PAGE);
	EXPECT_EQ(engine_check(&rig, p, PAGE, 1), 0);
	EXPECT_EQ(rig.faults, 2);
	rig_close(&rig);
}

/* MIRROR stops at the first page that cannot be, and says how far it came. */
TEST(partial_range)
{
	struct hmm_mirror_range range;
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, 8 * PAGE);
	EXPECT_EQ(munmap(p + 5 * PAGE, PAGE), 0);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, p, 8 * PAGE, 0, &range), 0);
	EXPECT_EQ(range.done, 5);
	EXPECT_EQ(range.left, 3);
	/* Only what is there: the hole does not matter. */
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, p, 8 * PAGE, HMM_MIRROR_PRESENT,
			    &range), 0);
	EXPECT_EQ(range.done, 7);
	EXPECT_EQ(rig_pages(&rig, p, 8 * PAGE, HMM_MIRROR_PAGE_PRESENT), 7);
	rig_close(&rig);
}

/* A range is mapped before anybody asks: no faults. */
TEST(prefetch)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_WRITE), N);
	rig.pager = pager_none;
	engine_fill(&rig, p, N * PAGE, 5);
	EXPECT_EQ(host_check(p, N * PAGE, 5), 0);
	rig_close(&rig);
}

/* mprotect, munmap, MADV_DONTNEED and mremap take pages away before they return. */
TEST(invalidation)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_WRITE), N);
	rig.pager = pager_none;
	engine_fill(&rig, p, N * PAGE, 5);

	rig.pager = pager_mirror;
	EXPECT_EQ(mprotect(p, PAGE, PROT_READ), 0);
	EXPECT_EQ(rig_pages(&rig, p, PAGE, HMM_MIRROR_PAGE_PRESENT), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_WRITE, (uint64_t)p, 8, 1).signal, SIGSEGV);
	EXPECT_EQ(rig.faults, 1);

	EXPECT_EQ(madvise(p + PAGE, PAGE, MADV_DONTNEED), 0);
	EXPECT_EQ(engine_read(&rig, p + PAGE), 0);
	EXPECT_EQ(rig.faults, 2);

	EXPECT_EQ(munmap(p + 2 * PAGE, PAGE), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, (uint64_t)p + 2 * PAGE, 8, 0).signal, SIGSEGV);
	EXPECT_EQ(rig.faults, 3);

	EXPECT_EQ((uint64_t)mremap(p + 3 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				   p + 2 * PAGE), (uint64_t)p + 2 * PAGE);
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, (uint64_t)p + 3 * PAGE, 8, 0).signal, SIGSEGV);
	EXPECT_EQ(engine_read(&rig, p + 2 * PAGE), 5 + 3 * 512);
	EXPECT_EQ(rig.faults, 5);

	/* The others were not touched by any of this. */
	rig.pager = pager_none;
	EXPECT_EQ(engine_check(&rig, p + 4 * PAGE, (N - 4) * PAGE, 5 + 4 * 512), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INVALIDATIONS), 4);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INVALIDATED), 4);
	rig_close(&rig);
}

/* After fork, what parent and engine write is not the child's. */
TEST(fork_copy_on_write)
{
	int go[2], status;
	struct rig rig;
	void *p;
	pid_t pid;
	char c;

	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_WRITE), N);
	engine_fill(&rig, p, N * PAGE, 5);
	EXPECT_EQ(pipe(go), 0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		EXPECT_EQ(read(go[0], &c, 1), 0);
		EXPECT_EQ(host_check(p, N * PAGE, 5), 0);
		host_fill(p, N * PAGE, 9);
		_exit(0);
	}
	close(go[0]);
	engine_fill(&rig, p, N * PAGE, 6);
	EXPECT_EQ(rig.faults, N);
	close(go[1]);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(host_check(p, N * PAGE, 6), 0);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 6), 0);
	rig_close(&rig);
}

/* A huge page is one entry, in the table and in the engine. */
TEST(huge)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_huge(0, BLOCK);
	rig.pager = pager_mirror_block;
	engine_fill(&rig, p, BLOCK, 77);
	EXPECT_EQ(rig.faults, 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_MIRRORED_2M), 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_2M), 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_4K), 0);
	EXPECT_EQ(host_check(p, BLOCK, 77), 0);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_HUGE | HMM_MIRROR_PAGE_WRITE), 512);

	/* Part of it goes: the rest faults in again, as small pages. */
	EXPECT_EQ(munmap(p + 100 * PAGE, PAGE), 0);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_PRESENT), 0);
	EXPECT_EQ(engine_check(&rig, p, 100 * PAGE, 77), 0);
	EXPECT_EQ(engine_check(&rig, p + 101 * PAGE, 411 * PAGE, 77 + 101 * 512), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, (uint64_t)p + 100 * PAGE, 8, 0).signal, SIGSEGV);
	rig_close(&rig);
}

/* A huge page that is read first is read-only in no one's way when it is written. */
TEST(huge_read_then_write)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_huge(0, BLOCK);
	EXPECT_EQ(mprotect(p, BLOCK, PROT_READ), 0);
	rig.pager = pager_mirror_block;
	EXPECT_EQ(engine_check(&rig, p, BLOCK, 1), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_2M), 1);
	EXPECT_EQ(engine_do(&rig, ENGINE_WRITE, (uint64_t)p, 8, 0).signal, SIGSEGV);
	EXPECT_EQ(mprotect(p, BLOCK, PROT_READ | PROT_WRITE), 0);
	EXPECT_EQ(engine_check(&rig, p, BLOCK, 1), 0);
	engine_fill(&rig, p, BLOCK, 2);
	EXPECT_EQ(host_check(p, BLOCK, 2), 0);
	rig_close(&rig);
}

/* The huge zero page is given to the engine as small pages: see hm_is_huge_zero(). */
TEST(huge_zero)
{
	struct rig rig;
	uint64_t *p;

	rig_open(&rig, NULL);
	p = arena_map(0, BLOCK, PROT_READ | PROT_WRITE, 0);
	EXPECT_EQ(madvise(p, BLOCK, MADV_HUGEPAGE), 0);
	EXPECT_EQ(*(volatile uint64_t *)p, 0);
	rig.pager = pager_mirror_block;
	EXPECT_EQ(engine_read(&rig, p), 0);
	EXPECT_EQ(engine_read(&rig, p + 100000), 0);
	EXPECT_EQ(rig.faults, 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_2M), 0);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_PRESENT), 512);
	engine_write(&rig, p, 5);
	EXPECT_EQ(p[0], 5);
	EXPECT_EQ(p[100000], 0);
	EXPECT_EQ(engine_read(&rig, p + 100000), 0);
	rig_close(&rig);
}

/* Shared memory and files: the engine's writes are the file's. */
TEST(memfd)
{
	int fd = memfd_create("test", 0);
	struct rig rig;
	uint64_t word;
	void *p;

	rig_open(&rig, NULL);
	EXPECT_EQ(ftruncate(fd, N * PAGE), 0);
	p = mmap((void *)ARENA, N * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	EXPECT_EQ((uint64_t)p, ARENA);
	host_fill(p, N * PAGE, 1);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 1), 0);
	engine_fill(&rig, p, N * PAGE, 100);
	EXPECT_EQ(pread(fd, &word, 8, 3 * PAGE), 8);
	EXPECT_EQ(word, 100 + 3 * 512);
	/* A hole is punched under the engine. */
	EXPECT_EQ(ftruncate(fd, 2 * PAGE), 0);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), 2);
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, ARENA + 3 * PAGE, 8, 0).signal, SIGSEGV);
	rig_close(&rig);
}

/* A private mapping of a file: the engine's writes are the process's only. */
TEST(file_private)
{
	char name[] = "/tmp/hmm-mirror-XXXXXX";
	int fd = mkstemp(name);
	uint64_t words[512] = { 4711 };
	struct rig rig;
	uint64_t *p;

	unlink(name);
	rig_open(&rig, NULL);
	EXPECT_EQ(write(fd, words, sizeof(words)), sizeof(words));
	p = mmap((void *)ARENA, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	EXPECT_EQ((uint64_t)p, ARENA);
	EXPECT_EQ(engine_read(&rig, p), 4711);
	engine_write(&rig, p, 1);
	EXPECT_EQ(*p, 1);
	EXPECT_EQ(pread(fd, words, 8, 0), 8);
	EXPECT_EQ(words[0], 4711);
	EXPECT_EQ(rig.faults, 2);
	rig_close(&rig);
}

/* With in-kernel service no fault reaches the pager, except those it cannot serve. */
TEST(service)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	rig_service(&rig, NULL, 0, HMM_MIRROR_SERVICE_KERNEL);
	rig.pager = pager_none;
	engine_fill(&rig, p, N * PAGE, 50);
	EXPECT_EQ(host_check(p, N * PAGE, 50), 0);
	/* What was there already came along with the first page. */
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_SERVED), 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_FAULTS), 0);
	rig.pager = pager_mirror;
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, ARENA + N * PAGE, 8, 0).signal, SIGSEGV);
	EXPECT_EQ(rig.faults, 1);

	/* Only a part: the other part is the pager's. */
	EXPECT_EQ(madvise(p, N * PAGE, MADV_DONTNEED), 0);
	rig_service(&rig, p, 2 * PAGE, HMM_MIRROR_SERVICE_PAGER);
	engine_fill(&rig, p, N * PAGE, 60);
	EXPECT_EQ(rig.faults, 3);
	EXPECT_EQ(host_check(p, N * PAGE, 60), 0);
	rig_close(&rig);
}

/* Reclaim takes pages away from the engine, and what it wrote is not lost. */
TEST(swap)
{
	unsigned long size = 4 * N * PAGE;
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, size);
	EXPECT_EQ(rig_mirror(&rig, p, size, HMM_MIRROR_WRITE), 4 * N);
	engine_fill(&rig, p, size, 31);
	EXPECT_EQ(madvise(p, size, MADV_PAGEOUT), 0);
	if (rig_pages(&rig, p, size, HMM_MIRROR_PAGE_PRESENT) == 4 * N)
		SKIP("nothing was reclaimed: no swap?");
	EXPECT_EQ(engine_check(&rig, p, size, 31), 0);
	EXPECT_EQ(host_check(p, size, 31), 0);
	/* From swap, clean, then written by the engine alone, and out again. */
	EXPECT_EQ(madvise(p, size, MADV_PAGEOUT), 0);
	EXPECT_EQ(rig_mirror(&rig, p, size, 0), 4 * N);
	engine_fill(&rig, p, size, 32);
	EXPECT_EQ(madvise(p, size, MADV_PAGEOUT), 0);
	EXPECT_EQ(host_check(p, size, 32), 0);
	rig_close(&rig);
}

/* Lazily freed pages that the engine writes are not freed. */
TEST(madv_free)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_WRITE), N);
	EXPECT_EQ(madvise(p, N * PAGE, MADV_FREE), 0);
	engine_fill(&rig, p, N * PAGE, 8);
	madvise(p, N * PAGE, MADV_PAGEOUT);
	EXPECT_EQ(host_check(p, N * PAGE, 8), 0);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 8), 0);
	rig_close(&rig);
}

/* mremap that leaves the old mapping: it is empty for the engine, too. */
TEST(remap_dontunmap)
{
	void *q = (void *)(ARENA + 64 * BLOCK);
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_WRITE), N);
	EXPECT_EQ((uint64_t)mremap(p, N * PAGE, N * PAGE,
				   MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, q),
		  (uint64_t)q);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), 0);
	EXPECT_EQ(engine_check(&rig, q, N * PAGE, 1), 0);
	EXPECT_EQ(engine_read(&rig, p + 8), 0);
	engine_fill(&rig, p, N * PAGE, 2);
	EXPECT_EQ(host_check(q, N * PAGE, 1), 0);
	EXPECT_EQ(host_check(p, N * PAGE, 2), 0);
	rig_close(&rig);
}

/* Pages of hugetlbfs are mapped like others; they never move. */
TEST(hugetlb)
{
	struct hmm_mirror_range range;
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = mmap((void *)ARENA, BLOCK, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0);
	if (p == MAP_FAILED)
		SKIP("no pages reserved in /proc/sys/vm/nr_hugepages");
	host_fill(p, BLOCK, 1);
	rig.pager = pager_mirror_block;
	EXPECT_EQ(engine_check(&rig, p, BLOCK, 1), 0);
	engine_fill(&rig, p, BLOCK, 2);
	EXPECT_EQ(host_check(p, BLOCK, 2), 0);
	if (!rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, BLOCK, 0, &range))
		EXPECT_EQ(range.done, 0);
	EXPECT_EQ(munmap(p, BLOCK), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, ARENA, 8, 0).signal, SIGSEGV);
	rig_close(&rig);
}

/*
 * An instruction that reads and then writes meets the read-only entry of its read. The write
 * must be served as such: begun again, it would meet that entry for ever.
 */
TEST(read_then_write)
{
	struct rig rig;
	uint64_t *p;

	rig_open(&rig, NULL);
	/* Untouched memory: a read gets the zero page. */
	p = arena_map(0, PAGE, PROT_READ | PROT_WRITE, 0);
	EXPECT_EQ(madvise(p, PAGE, MADV_NOHUGEPAGE), 0);
	EXPECT_EQ(engine_read(&rig, p), 0);
	EXPECT_EQ(rig_pages(&rig, p, PAGE, HMM_MIRROR_PAGE_WRITE), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_BUMP, (uint64_t)p, 8, 5).signal, 0);
	EXPECT_EQ(rig.faults, 2);
	EXPECT_EQ(rig.last.access, HMM_MIRROR_ACCESS_WRITE);
	EXPECT_EQ(*p, 5);
	rig_close(&rig);
}
