// SPDX-License-Identifier: GPL-2.0-only
/* Engine and host at the same page at the same time. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "inject.h"
#include "rig.h"

static void *mover(void *argument)
{
	struct rig *rig = argument;
	struct hmm_mirror_range range;
	unsigned int i;

	for (i = 0; i < 100; i++)
		rig_range(rig, i & 1 ? HMM_MIRROR_IOC_EVICT : HMM_MIRROR_IOC_MIGRATE,
			  (void *)ARENA, 8 * PAGE, 0, &range);
	return NULL;
}

/* Both sides add while the page goes to VRAM and back: no addition is lost. */
TEST(move_under_atomics)
{
	enum { TIMES = 20000 };
	pthread_t thread;
	struct rig rig;
	uint64_t *p;
	int i;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, 8 * PAGE);
	*p = 0;
	engine_start(&rig, 0, ENGINE_ADD, ARENA, 8, TIMES);
	EXPECT_EQ(pthread_create(&thread, NULL, mover, &rig), 0);
	for (i = 0; i < TIMES; i++) {
		__atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST);
		if (!(i % 64))
			engine_step(&rig, 0);
	}
	EXPECT_EQ(engine_finish(&rig, 0).signal, 0);
	pthread_join(thread, NULL);
	EXPECT_EQ(*p, 2 * TIMES);
	EXPECT_EQ(host_check(p + 512, 7 * PAGE, 1 + 512), 0);
	EXPECT_GE(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_4K), 8);
	rig_close(&rig);
}

static void pager_exclusive(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	rig_mirror(rig, (void *)fault->address, PAGE, HMM_MIRROR_EXCLUSIVE);
}

static void pager_migrate_only(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	struct hmm_mirror_range range;

	rig_range(rig, HMM_MIRROR_IOC_MIGRATE, (void *)fault->address, PAGE, 0, &range);
}

static void *poller(void *argument)
{
	uint64_t *p = argument, looks = 0;

	while (!__atomic_load_n(p, __ATOMIC_ACQUIRE))
		looks++;
	return (void *)looks;
}

/*
 * The host looks all the time for what the engine is to write, in a page that only one of
 * them has at a time: the engine gets its turn.
 */
static void polled(struct rig *rig, rig_pager pager)
{
	unsigned int i;
	uint64_t *p;

	p = arena_small(0, PAGE);
	rig->pager = pager;
	for (i = 0; i < 20; i++) {
		pthread_t thread;

		*p = 0;
		EXPECT_EQ(pthread_create(&thread, NULL, poller, p), 0);
		usleep(1000);
		engine_start(rig, 0, ENGINE_WRITE, ARENA, 8, 1 + i);
		EXPECT_EQ(engine_finish(rig, 0).signal, 0);
		pthread_join(thread, NULL);
		EXPECT_EQ(*p, 1 + i);
	}
	/* One or two each time; some more now and then. */
	EXPECT_GE(rig->faults, 1);
	EXPECT_LE(rig->faults, 2000);
}

TEST(polled_in_vram)
{
	struct rig rig;

	rig_open_vram(&rig, NULL);
	polled(&rig, pager_migrate_only);
	rig_close(&rig);
}

TEST(polled_exclusively)
{
	struct hmm_mirror_info info = { 0 };
	struct rig rig;

	rig_open_vram(&rig, NULL);
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_INFO, &info), 0);
	if (!(info.capabilities & HMM_MIRROR_CAP_EXCLUSIVE))
		SKIP("this kernel has no make_device_exclusive()");
	polled(&rig, pager_exclusive);
	rig_close(&rig);
}

static void *evictor(void *argument)
{
	struct hmm_mirror_range range;

	EXPECT_EQ(rig_range(argument, HMM_MIRROR_IOC_EVICT, (void *)ARENA, BLOCK, 0, &range), 0);
	return NULL;
}

/*
 * Faults are served in the kernel while somebody has the host's mmap_lock for writing, and
 * keeps it for a while: the engine waits without its own locks, and is served once for each.
 */
TEST(served_while_locked)
{
	enum { ROUNDS = 8 };
	uint64_t served, faults;
	struct rig rig;
	uint8_t *p;
	int i;

	need_inject();
	rig_open_vram(&rig, NULL);
	rig.pager = pager_none;
	p = arena_small(BLOCK, ROUNDS * 16 * PAGE);
	rig_service(&rig, p, ROUNDS * 16 * PAGE, HMM_MIRROR_SERVICE_KERNEL);
	for (i = 0; i < ROUNDS; i++) {
		uint8_t *word = p + i * 16 * PAGE;
		pthread_t thread;

		arena_huge(0, BLOCK);
		EXPECT_GE(rig_migrate(&rig, (void *)ARENA, BLOCK), 1);
		served = rig_count(&rig, HMM_MIRROR_COUNT_SERVED);
		faults = rig_count(&rig, HMM_MIRROR_COUNT_FAULTS);
		inject(1, 1, POINTS(POINT_LINGER));
		EXPECT_EQ(pthread_create(&thread, NULL, evictor, &rig), 0);
		while (!injected(POINT_LINGER))
			usleep(100);
		/* The last one is not there any more. */
		if (i == ROUNDS - 1)
			madvise(word, 16 * PAGE, MADV_DONTNEED);
		EXPECT_EQ(engine_read(&rig, word), i == ROUNDS - 1 ? 0 : 1 + i * 16 * 512);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_SERVED) - served, 1);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_FAULTS), faults);
		pthread_join(thread, NULL);
		inject_stop();
		munmap((void *)ARENA, BLOCK);
	}
	EXPECT_EQ(rig_pages(&rig, p, (ROUNDS - 1) * 16 * PAGE, HMM_MIRROR_PAGE_PRESENT),
		  (ROUNDS - 1) * 16);
	rig_close(&rig);
}

/*
 * All threads of an engine come to a huge page that nobody has touched before: one of them
 * may build a page table where another is about to put an entry of 2 MiB.
 */
TEST(huge_at_once)
{
	enum { ROUNDS = 200 };
	unsigned int i, t;
	struct rig rig;

	rig_open(&rig, NULL);
	rig.pager = pager_mirror_block;
	for (i = 0; i < ROUNDS; i++) {
		/* In another place each time: page tables stay. */
		uint8_t *p = arena_huge(i * BLOCK, BLOCK);

		rig_service(&rig, p, BLOCK, i & 1 ? HMM_MIRROR_SERVICE_KERNEL :
					    HMM_MIRROR_SERVICE_PAGER);
		for (t = 0; t < ENGINE_THREADS; t++)
			engine_start(&rig, t, ENGINE_WRITE, (uint64_t)p + t * 100 * PAGE, 8, t + 9);
		for (t = 0; t < ENGINE_THREADS; t++)
			EXPECT_EQ(engine_finish(&rig, t).signal, 0);
		for (t = 0; t < ENGINE_THREADS; t++)
			EXPECT_EQ(*(volatile uint64_t *)(p + t * 100 * PAGE), t + 9);
		munmap(p, BLOCK);
	}
	printf("# %llu entries of 2 MiB, %llu of 4 KiB\n",
	       (unsigned long long)rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_2M),
	       (unsigned long long)rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_4K));
	EXPECT_GE(rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_2M), ROUNDS / 2);
	rig_close(&rig);
}

/*
 * The same, step by step: one thread finds no page table and tarries; another one has one
 * built for a single page; then all of it becomes one entry; then the first goes on.
 */
TEST(huge_too_late)
{
	struct rig rig;
	uint8_t *p;

	need_inject();
	rig_open(&rig, NULL);
	rig.pager = pager_mirror;
	p = arena_huge(0, BLOCK);
	inject(1, 1, POINTS(POINT_TARRY));
	engine_start(&rig, 0, ENGINE_WRITE, (uint64_t)p, 8, 5);
	while (!injected(POINT_TARRY))
		usleep(100);
	inject_stop();

	engine_start(&rig, 1, ENGINE_WRITE, (uint64_t)p + 100 * PAGE, 8, 6);
	EXPECT_EQ(engine_finish(&rig, 1).signal, 0);
	EXPECT_EQ(rig_mirror(&rig, p, BLOCK, HMM_MIRROR_WRITE), 512);
	EXPECT_EQ(engine_finish(&rig, 0).signal, 0);
	EXPECT_EQ(*(volatile uint64_t *)p, 5);
	EXPECT_EQ(*(volatile uint64_t *)(p + 100 * PAGE), 6);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_2M), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_4K), 2);
	EXPECT_EQ(rig.faults, 1);
	rig_close(&rig);
}
