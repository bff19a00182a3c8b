// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine writes all the time, and the host takes the memory away from it: when the
 * system call returns, the engine has lost it. Nothing changes any more until its
 * next fault is answered, and no write of before is lost.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

#define ROUNDS 60
#define TIMES 20000ul

enum way { WAY_PROTECT, WAY_DROP, WAY_REPLACE, WAY_FORK };

/* Word @thread is for an engine's thread of that number. */
static volatile uint64_t *word(void *p, unsigned int thread)
{
	return p + thread * PAGE + 8;
}

/* What the threads have written, and that it stays so. Returns the sum. */
static uint64_t look(void *p)
{
	uint64_t first[ENGINE_THREADS], sum = 0;
	unsigned int i, again;

	for (i = 0; i < ENGINE_THREADS; i++)
		sum += first[i] = *word(p, i);
	/* Long enough for a thread that still has the page. */
	for (again = 0; again < 20; again++) {
		usleep(again * 10);
		for (i = 0; i < ENGINE_THREADS; i++)
			EXPECT_EQ(*word(p, i), first[i]);
	}
	return sum;
}

static void take(void *p, uint64_t size, enum way way)
{
	int status;
	pid_t pid;

	switch (way) {
	case WAY_PROTECT:
		EXPECT_EQ(mprotect(p, size, PROT_READ), 0);
		look(p);
		EXPECT_EQ(mprotect(p, size, PROT_READ | PROT_WRITE), 0);
		break;
	case WAY_DROP:
		EXPECT_EQ(madvise(p, size, MADV_DONTNEED), 0);
		EXPECT_EQ(look(p), 0);
		break;
	case WAY_REPLACE:
		arena_map(0, size, PROT_READ | PROT_WRITE, 0);
		EXPECT_EQ(madvise(p, size, size == BLOCK ? MADV_HUGEPAGE : MADV_NOHUGEPAGE), 0);
		EXPECT_EQ(look(p), 0);
		break;
	case WAY_FORK:
		pid = fork();
		if (!pid) {
			look(p);
			_exit(0);
		}
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
		break;
	}
}

static void shoot_down(enum way way, bool huge, bool vram)
{
	uint64_t size = huge ? BLOCK : ENGINE_THREADS * PAGE, invalidated;
	unsigned int started[ENGINE_THREADS] = { 0 }, round, i, faults = 0;
	uint64_t sum = 0, want = 0;
	struct rig rig;
	void *p;

	if (vram)
		rig_open_vram(&rig, NULL);
	else
		rig_open(&rig, NULL);
	if (huge)
		rig.pager = vram ? pager_migrate_block : pager_mirror_block;
	else
		rig.pager = vram ? pager_migrate : pager_mirror;
	p = huge ? arena_huge(0, size) : arena_small(0, size);
	for (i = 0; i < ENGINE_THREADS; i++)
		*word(p, i) = 0;
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < ENGINE_THREADS; i++) {
			if (started[i] && !engine_step(&rig, i))
				continue;
			if (started[i])
				EXPECT_EQ(engine_finish(&rig, i).signal, 0);
			engine_start(&rig, i, ENGINE_ADD, (uint64_t)word(p, i), 8, TIMES);
			started[i]++;
		}
		/* Until they are at it again. */
		while (rig.faults == faults)
			engine_poll(&rig, round % ENGINE_THREADS, 1);
		faults = rig.faults;
		invalidated = rig_count(&rig, HMM_MIRROR_COUNT_INVALIDATED);
		take(p, size, way);
		sum += rig_count(&rig, HMM_MIRROR_COUNT_INVALIDATED) - invalidated;
	}
	EXPECT_GE(sum, ROUNDS / 2);
	for (i = 0; i < ENGINE_THREADS; i++) {
		EXPECT_EQ(engine_finish(&rig, i).signal, 0);
		want += started[i] * TIMES;
	}
	for (sum = 0, i = 0; i < ENGINE_THREADS; i++)
		sum += *word(p, i);
	if (way == WAY_PROTECT || way == WAY_FORK)
		EXPECT_EQ(sum, want);
	else
		EXPECT_LE(sum, want);
	rig_close(&rig);
}

TEST(shoot_down_protect)
{
	shoot_down(WAY_PROTECT, false, false);
	shoot_down(WAY_PROTECT, true, false);
}

TEST(shoot_down_drop)
{
	shoot_down(WAY_DROP, false, false);
	shoot_down(WAY_DROP, true, false);
}

TEST(shoot_down_replace)
{
	shoot_down(WAY_REPLACE, false, false);
	shoot_down(WAY_REPLACE, true, false);
}

TEST(shoot_down_fork)
{
	shoot_down(WAY_FORK, false, false);
	shoot_down(WAY_FORK, true, false);
}

TEST(shoot_down_vram)
{
	shoot_down(WAY_PROTECT, false, true);
	shoot_down(WAY_PROTECT, true, true);
	shoot_down(WAY_DROP, false, true);
	shoot_down(WAY_DROP, true, true);
}
