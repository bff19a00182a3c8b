// SPDX-License-Identifier: GPL-2.0-only
/* Pages that the engine has for itself until the host touches them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "module.h"
#include "rig.h"

#define N 32ul

static void open_exclusive(struct rig *rig)
{
	struct hmm_mirror_info info = { 0 };

	rig_open(rig, NULL);
	EXPECT_EQ(ioctl(rig->fd, HMM_MIRROR_IOC_INFO, &info), 0);
	if (!(info.capabilities & HMM_MIRROR_CAP_EXCLUSIVE))
		SKIP("this kernel has no make_device_exclusive()");
}

static uint64_t exclusive_pages(struct rig *rig, void *p, uint64_t size)
{
	return rig_pages(rig, p, size, HMM_MIRROR_PAGE_EXCLUSIVE | HMM_MIRROR_PAGE_WRITE);
}

/* The engine gets the pages, works on them; the host's touch takes each back. */
TEST(exclusive)
{
	struct rig rig;
	void *p;

	open_exclusive(&rig);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_EXCLUSIVE), N);
	EXPECT_EQ(exclusive_pages(&rig, p, N * PAGE), N);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_EXCLUSIVE, HMM_MIRROR_CAUSE_REQUEST,
			    HMM_MIRROR_SIZE_64K), N / 16);
	rig.pager = pager_none;
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 1), 0);
	engine_fill(&rig, p, N * PAGE, 70);
	/* Once more is no change. */
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_EXCLUSIVE), N);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_EXCLUSIVE, HMM_MIRROR_CAUSE_REQUEST,
			    HMM_MIRROR_SIZE_64K), N / 16);

	EXPECT_EQ(host_check(p + 3 * PAGE, PAGE, 70 + 3 * 512), 0);
	EXPECT_EQ(exclusive_pages(&rig, p, N * PAGE), N - 1);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), N - 1);
	EXPECT_EQ(host_check(p, N * PAGE, 70), 0);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), 0);
	/* The access is revoked: the engine asks again. */
	rig.pager = pager_mirror;
	engine_fill(&rig, p, N * PAGE, 80);
	EXPECT_EQ(rig.faults, N);
	EXPECT_EQ(host_check(p, N * PAGE, 80), 0);
	rig_close(&rig);
}

static void pager_exclusive(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	rig_mirror(rig, (void *)fault->address, PAGE,
		   HMM_MIRROR_EXCLUSIVE | HMM_MIRROR_CAUSE(HMM_MIRROR_CAUSE_FAULT));
}

/* Both sides add to one word; the page goes to and fro, no addition is lost. */
TEST(exclusive_atomics)
{
	enum { TIMES = 300 };
	struct rig rig;
	uint64_t *p;
	int i;

	open_exclusive(&rig);
	p = arena_small(0, PAGE);
	*p = 0;
	rig.pager = pager_exclusive;
	for (i = 0; i < TIMES; i++) {
		engine_start(&rig, 0, ENGINE_ADD, (uint64_t)p, 8, 100);
		__atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST);
		EXPECT_EQ(engine_finish(&rig, 0).signal, 0);
	}
	EXPECT_EQ(*p, TIMES * 101);
	EXPECT_GE(rig.faults, TIMES / 2);
	/* More faults than times the page changed hands: threads waited for it together. */
	EXPECT_LE(rig_moves(&rig, HMM_MIRROR_WAY_EXCLUSIVE, HMM_MIRROR_CAUSE_FAULT,
			    HMM_MIRROR_SIZE_4K), rig.faults);
	rig_close(&rig);
}

/* mprotect ends it; without the right to write there is no exclusive access. */
TEST(exclusive_mprotect)
{
	struct hmm_mirror_range range;
	struct rig rig;
	void *p;

	open_exclusive(&rig);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_EXCLUSIVE), N);
	engine_fill(&rig, p, N * PAGE, 5);
	EXPECT_EQ(mprotect(p, N * PAGE, PROT_READ), 0);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_WRITE, (uint64_t)p, 8, 0).signal, SIGSEGV);
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, p, PAGE, HMM_MIRROR_EXCLUSIVE,
			       &range), EACCES);
	EXPECT_EQ(host_check(p, N * PAGE, 5), 0);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 5), 0);
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, p + 2 * BLOCK, PAGE,
			       HMM_MIRROR_EXCLUSIVE, &range), EFAULT);
	rig_close(&rig);
}

/* fork with pages that the engine has: copies on both sides, none the other's. */
TEST(exclusive_copy_on_write)
{
	int go[2], status;
	struct rig rig;
	void *p;
	pid_t pid;
	char c;

	open_exclusive(&rig);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_EXCLUSIVE), N);
	engine_fill(&rig, p, N * PAGE, 5);
	EXPECT_EQ(pipe(go), 0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		EXPECT_EQ(read(go[0], &c, 1), 0);
		EXPECT_EQ(host_check(p, N * PAGE, 5), 0);
		host_fill(p, N * PAGE, 9);
		EXPECT_EQ(host_check(p, N * PAGE, 9), 0);
		_exit(0);
	}
	close(go[0]);
	EXPECT_EQ(exclusive_pages(&rig, p, N * PAGE), 0);
	/* Exclusively again: that breaks the sharing. */
	rig.pager = pager_exclusive;
	engine_fill(&rig, p, N * PAGE, 6);
	EXPECT_EQ(rig.faults, N);
	EXPECT_EQ(exclusive_pages(&rig, p, N * PAGE), N);
	close(go[1]);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(host_check(p, N * PAGE, 6), 0);
	rig_close(&rig);
}

/* From a huge page: it is split, the data stays, the others are mapped as before. */
TEST(exclusive_of_huge)
{
	struct rig rig;
	void *p;

	open_exclusive(&rig);
	p = arena_huge(0, BLOCK);
	EXPECT_EQ(rig_mirror(&rig, p, BLOCK, HMM_MIRROR_WRITE), 512);
	EXPECT_EQ(rig_mirror(&rig, p + 7 * PAGE, 2 * PAGE, HMM_MIRROR_EXCLUSIVE), 2);
	EXPECT_EQ(exclusive_pages(&rig, p, BLOCK), 2);
	engine_fill(&rig, p, BLOCK, 44);
	EXPECT_EQ(exclusive_pages(&rig, p, BLOCK), 2);
	EXPECT_EQ(host_check(p, BLOCK, 44), 0);
	EXPECT_EQ(exclusive_pages(&rig, p, BLOCK), 0);
	rig_close(&rig);
}

/* A page in VRAM has it by nature; one that is not in the table comes home for it. */
TEST(exclusive_in_vram)
{
	struct rig rig;
	void *p;

	open_exclusive(&rig);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_EXCLUSIVE), N);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), N);
	EXPECT_EQ(exclusive_pages(&rig, p, N * PAGE), 0);
	/* Exclusive pages go to VRAM as others do. */
	EXPECT_EQ(rig_evict(&rig, p, N * PAGE), N);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_EXCLUSIVE), N);
	engine_fill(&rig, p, N * PAGE, 3);
	rig_migrate(&rig, p, N * PAGE);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 3), 0);
	EXPECT_EQ(host_check(p, N * PAGE, 3), 0);
	rig_close(&rig);
}

/* Only private anonymous memory; and munmap, MADV_DONTNEED and exit as ever. */
TEST(exclusive_limits)
{
	struct hmm_mirror_range range;
	struct rig rig;
	void *p;

	open_exclusive(&rig);
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, (void *)ARENA, PAGE,
			       HMM_MIRROR_EXCLUSIVE | HMM_MIRROR_PRESENT, &range), EINVAL);
	p = mmap((void *)ARENA, PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	EXPECT_EQ((uint64_t)p, ARENA);
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, p, PAGE, HMM_MIRROR_EXCLUSIVE,
			       &range), EOPNOTSUPP);
	EXPECT_EQ(munmap(p, PAGE), 0);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_EXCLUSIVE), N);
	engine_fill(&rig, p, N * PAGE, 3);
	EXPECT_EQ(madvise(p, 2 * PAGE, MADV_DONTNEED), 0);
	EXPECT_EQ(munmap(p + 4 * PAGE, 2 * PAGE), 0);
	EXPECT_EQ(exclusive_pages(&rig, p, N * PAGE), N - 4);
	EXPECT_EQ(engine_read(&rig, p), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, (uint64_t)p + 4 * PAGE, 8, 0).signal, SIGSEGV);
	/* Swap takes them, too. */
	madvise(p, N * PAGE, MADV_PAGEOUT);
	EXPECT_EQ(host_check(p + 6 * PAGE, (N - 6) * PAGE, 3 + 6 * 512), 0);
	rig_close(&rig);
}

/* Two devices of one process: what one has exclusively, the other takes over. */
TEST(exclusive_two_devices)
{
	const struct hmm_mirror_register second = { .device = 1 };
	struct rig rig, other;
	void *p;

	module_reload("devices=2");
	open_exclusive(&rig);
	rig_open(&other, &second);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, N * PAGE, HMM_MIRROR_EXCLUSIVE), N);
	engine_fill(&rig, p, N * PAGE, 3);
	EXPECT_EQ(rig_mirror(&other, p, N * PAGE, HMM_MIRROR_EXCLUSIVE), N);
	EXPECT_EQ(exclusive_pages(&rig, p, N * PAGE), 0);
	EXPECT_EQ(engine_check(&other, p, N * PAGE, 3), 0);
	engine_fill(&other, p, N * PAGE, 4);
	EXPECT_EQ(exclusive_pages(&other, p, N * PAGE), N);
	EXPECT_EQ(host_check(p, N * PAGE, 4), 0);
	rig_close(&other);
	rig_close(&rig);
	module_reload("");
}
