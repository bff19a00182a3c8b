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
#include "inject.h"
#include "rig.h"

#define ROUNDS 24ul

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
#define BALLAST (ROUNDS * BLOCK)

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

/* What all tests here have in common. */
struct zap {
	struct rig rig;
	uint8_t *block;		/* a huge page in VRAM */
	void *weight;
	long before;		/* anonymous pages */
	unsigned int round;
	unsigned int met;	/* rounds in which it was unmapped on its way home */
	volatile bool home;	/* it has come */
};

static void zap_begin(struct zap *zap)
{
	need_inject();
	memset(zap, 0, sizeof(*zap));
	rig_open_vram(&zap->rig, NULL);
	zap->weight = ballast();
	zap->before = anon_pages();
}

/* Another round. What comes home takes 20 ms for it. False: there were enough. */
static bool zap_next(struct zap *zap)
{
	if (zap->round++ == ROUNDS)
		return false;
	zap->block = arena_huge(0, BLOCK);
	migrate_huge(&zap->rig, zap->block, zap->round);
	zap->home = false;
	inject(1, 1, POINTS(POINT_LINGER));
	return true;
}

/* Wait until it is on its way. */
static void zap_wait(struct zap *zap)
{
	while (!injected(POINT_LINGER) && !zap->home)
		usleep(100);
}

static void zap_round_end(struct zap *zap)
{
	inject_stop();
	EXPECT_EQ(rig_count(&zap->rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
	munmap(zap->block, BLOCK);
}

/* It is met each time, unless the machine sleeps. */
static void zap_end(struct zap *zap)
{
	printf("# met in %u of %lu rounds\n", zap->met, ROUNDS);
	EXPECT_GE(zap->met, ROUNDS / 2);
	expect_anon_pages(zap->before);
	munmap(zap->weight, BALLAST);
	rig_close(&zap->rig);
}

typedef void (*bring_home)(struct rig *rig, void *p);

static void *zap_from_thread(void *argument)
{
	struct zap *zap = argument;

	zap_wait(zap);
	zap->met += !zap->home;
	EXPECT_EQ(madvise(zap->block, BLOCK, MADV_DONTNEED), 0);
	return NULL;
}

static void zap_by_thread(bring_home bring)
{
	struct zap zap;

	zap_begin(&zap);
	while (zap_next(&zap)) {
		pthread_t thread;
		uint64_t word;

		EXPECT_EQ(pthread_create(&thread, NULL, zap_from_thread, &zap), 0);
		bring(&zap.rig, zap.block);
		zap.home = true;
		word = *(volatile uint64_t *)(zap.block + 8);
		EXPECT_EQ(word == 0 || word == 2, 1);
		pthread_join(thread, NULL);
		EXPECT_EQ(host_sum(zap.block, BLOCK), 0);
		zap_round_end(&zap);
	}
	zap_end(&zap);
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
	zap_by_thread(by_touch);
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

/* In a child, which has the page from fork: wait, unmap or end. Status 1: it came too late. */
static void zap_in_child(struct zap *zap, int home)
{
	char c;

	while (!injected(POINT_LINGER) && read(home, &c, 1) < 0)
		usleep(100);
	if (zap->round & 1)
		munmap(zap->block, BLOCK);
	_exit(read(home, &c, 1) >= 0);
}

static void zap_by_child(bring_home bring)
{
	struct zap zap;

	zap_begin(&zap);
	while (zap_next(&zap)) {
		int status, home[2];
		pid_t pid;

		EXPECT_EQ(pipe2(home, O_NONBLOCK), 0);
		pid = fork();
		EXPECT_GE(pid, 0);
		if (!pid) {
			close(home[1]);
			zap_in_child(&zap, home[0]);
		}
		bring(&zap.rig, zap.block);
		close(home[1]);
		EXPECT_EQ(*(volatile uint64_t *)(zap.block + 8), 2);
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(WIFEXITED(status), 1);
		zap.met += !WEXITSTATUS(status);
		close(home[0]);
		EXPECT_EQ(host_check(zap.block, BLOCK, 1), 0);
		zap_round_end(&zap);
	}
	zap_end(&zap);
}

TEST(zap_child_touched)
{
	zap_by_child(by_touch);
}

TEST(zap_child_evicted)
{
	zap_by_child(by_evict);
}
