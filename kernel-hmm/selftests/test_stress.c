// SPDX-License-Identifier: GPL-2.0-only
/*
 * Both sides add to random words while pages are moved, forked, reclaimed and split
 * under them. No addition may be lost: the sum of all words is the model.
 *
 * HMM_MIRROR_STRESS_SECONDS: how long each takes; 2 if not set.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

#define SIZE (4 * BLOCK)
#define ROUND 100
#define HOSTS 1

static int stop;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double seconds(void)
{
	const char *value = getenv("HMM_MIRROR_STRESS_SECONDS");

	return value ? atof(value) : 2;
}

static void *adder(void *argument)
{
	unsigned int seed = (intptr_t)argument;
	uintptr_t rounds = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		host_spray((void *)ARENA, SIZE, ROUND, seed++);
		rounds++;
		/* One processor may be all there is: let the others have it. */
		usleep(1000);
	}
	return (void *)rounds;
}

static unsigned int random_seed = 1;

static unsigned int pick(unsigned int n)
{
	return rand_r(&random_seed) % n;
}

/* A fault is mapped, moved, or served with its block, at random. */
static void pager_random(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	static const rig_pager pagers[] = {
		pager_mirror, pager_mirror_block, pager_migrate, pager_migrate_block,
	};

	pagers[pick(4)](rig, fault);
}

/* Something that happens to a random part of the memory. */
static void disturb(struct rig *rig)
{
	uint64_t size = pick(4) ? PAGE << pick(9) : BLOCK;
	uint8_t *p = (uint8_t *)ARENA + pick((SIZE - size) / PAGE + 1) * PAGE;
	struct hmm_mirror_range range;
	pid_t pid;

	if (size == BLOCK)
		p = (uint8_t *)ARENA + pick(SIZE / BLOCK) * BLOCK;
	switch (pick(8)) {
	case 0:
	case 1:
		rig_range(rig, HMM_MIRROR_IOC_MIGRATE, p, size, 0, &range);
		break;
	case 2:
		rig_range(rig, HMM_MIRROR_IOC_EVICT, p, size, 0, &range);
		break;
	case 3:
		rig_range(rig, HMM_MIRROR_IOC_MIRROR, p, size, HMM_MIRROR_WRITE, &range);
		break;
	case 4:
		/* The child writes to its copy, and goes. */
		pid = fork();
		if (!pid) {
			host_spray((void *)ARENA, SIZE, 50, pick(1000));
			_exit(0);
		}
		EXPECT_GE(pid, 0);
		EXPECT_EQ(waitpid(pid, NULL, 0), pid);
		break;
	case 5:
		madvise(p, size, MADV_PAGEOUT);
		break;
	case 6:
		madvise(p, size, MADV_COLLAPSE);
		break;
	case 7:
		/* Splits the mapping, and what is huge in it. */
		EXPECT_EQ(mprotect(p, size, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
		EXPECT_EQ(mprotect(p, size, PROT_READ | PROT_WRITE), 0);
		break;
	}
}

static void stress(unsigned int seed, bool service)
{
	uint64_t rounds = 0, disturbances = 0;
	pthread_t threads[HOSTS];
	double end = now() + seconds();
	struct rig rig;
	int i;

	random_seed = seed;
	rig_open(&rig, NULL);
	rig.pager = pager_random;
	arena_map(0, SIZE, PROT_READ | PROT_WRITE, 0);
	if (service)
		rig_service(&rig, NULL, 0, HMM_MIRROR_SERVICE_KERNEL);
	alarm(TEST_SECONDS + seconds());
	for (i = 0; i < HOSTS; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, adder, (void *)(uintptr_t)(seed + i)),
			  0);
	for (i = 0; i < ENGINE_THREADS; i++)
		engine_start(&rig, i, ENGINE_SPRAY, ARENA, SIZE, ROUND);
	while (now() < end) {
		for (i = 0; i < ENGINE_THREADS; i++) {
			if (!engine_step(&rig, i))
				continue;
			EXPECT_EQ(engine_finish(&rig, i).signal, 0);
			engine_start(&rig, i, ENGINE_SPRAY, ARENA, SIZE, ROUND);
			rounds++;
		}
		disturb(&rig);
		disturbances++;
	}
	for (i = 0; i < ENGINE_THREADS; i++) {
		EXPECT_EQ(engine_finish(&rig, i).signal, 0);
		rounds++;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < HOSTS; i++) {
		void *result;

		EXPECT_EQ(pthread_join(threads[i], &result), 0);
		rounds += (uintptr_t)result;
	}
	EXPECT_EQ(host_sum((void *)ARENA, SIZE), rounds * ROUND);
	printf("# %llu additions, %llu disturbances, %u faults, %llu pages and %llu blocks moved\n",
	       (unsigned long long)rounds * ROUND, (unsigned long long)disturbances, rig.faults,
	       (unsigned long long)rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_4K),
	       (unsigned long long)rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M));
	EXPECT_GE(disturbances, 1);
	rig_close(&rig);
}

/* The pager answers. */
TEST(stress_pager)
{
	stress(1, false);
}

/* The kernel serves what it can; moves still happen. */
TEST(stress_service)
{
	stress(2, true);
}
