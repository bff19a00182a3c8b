// SPDX-License-Identifier: GPL-2.0-only
/* Engine and host at the same page at the same time. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "harness.h"
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
