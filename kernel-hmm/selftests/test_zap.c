// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages go away at the moment when they come home from VRAM: by another thread, by a
 * child that has them from fork. The system's counters of pages are right afterwards, and
 * so is the data of whoever still has them.
 *
 * zap_huge_pmd() of Linux 7.3 would count them twice; see the documentation.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

#define ROUNDS 80

/* Anonymous pages that are mapped, as the system counts them; it shows no less than 0. */
static long anon_pages(void)
{
	FILE *file = fopen("/proc/vmstat", "r");
	long value = -1;
	char name[64];

	EXPECT_NE((long)file, 0);
	while (fscanf(file, "%63s %ld", name, &value) == 2)
		if (!strcmp(name, "nr_anon_pages"))
			break;
	fclose(file);
	return value;
}

/* So many pages, for them to be missed. */
#define BALLAST (ROUNDS / 4 * BLOCK)

static void *ballast(void)
{
	void *p = mmap(NULL, BALLAST, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	EXPECT_NE((long)p, -1);
	return p;
}

/* Nothing but what processors have not yet told about is missing: less than two blocks. */
static void expect_anon_pages(long before)
{
	long now = anon_pages();

	printf("# anonymous pages: %ld, then %ld\n", before, now);
	EXPECT_GE(before, BALLAST / PAGE / 2);
	EXPECT_LE(labs(now - before), 4 * 512);
}

/* The move may have to be repeated, when another processor still looks at the page. */
static void migrate_huge(struct rig *rig, void *p, uint64_t count)
{
	struct hmm_mirror_range range;
	int tries = 0;

	do {
		EXPECT_EQ(rig_range(rig, HMM_MIRROR_IOC_MIGRATE, p, BLOCK, 0, &range), 0);
		EXPECT_LE(tries++, 100);
	} while (!range.done);
	EXPECT_EQ(range.done, 512);
	EXPECT_EQ(rig_count(rig, HMM_MIRROR_COUNT_TO_VRAM_2M), count);
}

struct zapper {
	void *address;
	unsigned int delay;
	pthread_barrier_t barrier;
};

static void *zap(void *argument)
{
	struct zapper *zapper = argument;

	pthread_barrier_wait(&zapper->barrier);
	usleep(zapper->delay);
	EXPECT_EQ(madvise(zapper->address, BLOCK, MADV_DONTNEED), 0);
	return NULL;
}

typedef void (*bring_home)(struct rig *rig, void *p);

/* Returns how many rounds found the memory gone, of ROUNDS. */
static unsigned int zap_by_thread(bring_home home)
{
	unsigned int seed = 3, i, gone = 0;
	struct zapper zapper;
	struct rig rig;
	void *weight;
	long before;

	rig_open_vram(&rig, NULL);
	weight = ballast();
	before = anon_pages();
	for (i = 0; i < ROUNDS; i++) {
		void *p = arena_huge(0, BLOCK);
		pthread_t thread;
		uint64_t word;

		zapper.address = p;
		zapper.delay = rand_r(&seed) % 4000;
		pthread_barrier_init(&zapper.barrier, NULL, 2);
		migrate_huge(&rig, p, i + 1);
		EXPECT_EQ(pthread_create(&thread, NULL, zap, &zapper), 0);
		pthread_barrier_wait(&zapper.barrier);
		home(&rig, p);
		word = *(volatile uint64_t *)(p + 8);
		EXPECT_EQ(word == 0 || word == 2, 1);
		gone += !word;
		pthread_join(thread, NULL);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
		EXPECT_EQ(host_sum(p + PAGE, BLOCK - PAGE), 0);
		munmap(p, BLOCK);
	}
	expect_anon_pages(before);
	munmap(weight, BALLAST);
	rig_close(&rig);
	return gone;
}

static void by_touch(struct rig *rig, void *p)
{
	(void)rig;
	(void)*(volatile uint64_t *)(p + 8);
}

static void by_evict(struct rig *rig, void *p)
{
	struct hmm_mirror_range range;

	EXPECT_EQ(rig_range(rig, HMM_MIRROR_IOC_EVICT, p, BLOCK, 0, &range), 0);
}

static void by_trim(struct rig *rig, void *p)
{
	(void)p;
	rig_trim(rig, BLOCK);
}

/* The system touches it, and may not let go of mmap_lock meanwhile. */
static void by_mem_file(struct rig *rig, void *p)
{
	int fd = open("/proc/self/mem", O_RDONLY);
	uint64_t word;

	(void)rig;
	EXPECT_EQ(pread(fd, &word, 8, (uint64_t)p + 8), 8);
	close(fd);
}

TEST(zap_touched)
{
	EXPECT_GE(zap_by_thread(by_touch), 1);
}

TEST(zap_evicted)
{
	zap_by_thread(by_evict);
}

TEST(zap_trimmed)
{
	zap_by_thread(by_trim);
}

TEST(zap_touched_by_system)
{
	zap_by_thread(by_mem_file);
}

/* A child has it as well, and ends, or unmaps it. */
static void zap_by_child(bring_home home)
{
	unsigned int seed = 5, i;
	struct rig rig;
	void *weight;
	long before;

	rig_open_vram(&rig, NULL);
	weight = ballast();
	before = anon_pages();
	for (i = 0; i < ROUNDS; i++) {
		void *p = arena_huge(0, BLOCK);
		unsigned int delay = rand_r(&seed) % 4000;
		int status, go[2];
		pid_t pid;
		char c;

		migrate_huge(&rig, p, i + 1);
		EXPECT_EQ(pipe(go), 0);
		pid = fork();
		EXPECT_GE(pid, 0);
		if (!pid) {
			close(go[1]);
			(void)!read(go[0], &c, 1);
			usleep(delay);
			if (i & 1)
				munmap(p, BLOCK);
			_exit(0);
		}
		close(go[0]);
		close(go[1]);
		home(&rig, p);
		EXPECT_EQ(*(volatile uint64_t *)(p + 8), 2);
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
		EXPECT_EQ(host_check(p, BLOCK, 1), 0);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
		munmap(p, BLOCK);
	}
	expect_anon_pages(before);
	munmap(weight, BALLAST);
	rig_close(&rig);
}

TEST(zap_child_touched)
{
	zap_by_child(by_touch);
}

TEST(zap_child_evicted)
{
	zap_by_child(by_evict);
}
