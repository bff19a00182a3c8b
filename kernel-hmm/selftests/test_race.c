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
