// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random mixtures of everything, checked against a model.
 *
 * stress_pager, stress_service: both sides add to random words while pages are moved,
 * forked, reclaimed and split under them. No addition may be lost: the sum of all words
 * is the model.
 *
 * stress_model: several processes, each with its engine; memory is also unmapped,
 * dropped, moved by mremap. The model says for each page what must be in it.
 *
 * HMM_MIRROR_STRESS_SECONDS: how long each takes; 2 if not set. HMM_MIRROR_STRESS_SEED.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
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
	switch (pick(10)) {
	case 8:
		if (rig_can_migrate())
			rig_trim(rig, size);
		break;
	case 9:
		rig_range(rig, HMM_MIRROR_IOC_MIRROR, p, PAGE, HMM_MIRROR_EXCLUSIVE, &range);
		break;
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

/* ---- the model ---- */

#define PROCESSES 3
#define SLOTS 8
#define SLOT_PAGES 512
#define UNMAPPED UINT64_MAX

/* The first word of every page, the others count up from it; 0 for a page of zeros. */
static uint64_t model[SLOTS][SLOT_PAGES];

static uint8_t *page_at(unsigned int slot, unsigned int page)
{
	return (uint8_t *)ARENA + slot * BLOCK + page * PAGE;
}

static uint64_t seed(void)
{
	const char *value = getenv("HMM_MIRROR_STRESS_SEED");

	return value ? strtoull(value, NULL, 0) : 1;
}

/* A random part of a slot. */
static unsigned int part(unsigned int *first)
{
	unsigned int n = pick(3) ? 1u << pick(7) : SLOT_PAGES;

	*first = pick(SLOT_PAGES - n + 1);
	return n;
}

static uint64_t host_page_bad(unsigned int slot, unsigned int page)
{
	uint64_t value = model[slot][page];

	return value ? host_check(page_at(slot, page), PAGE, value) :
		       host_sum(page_at(slot, page), PAGE);
}

/* By host or engine, of one page. */
static void look(struct rig *rig, unsigned int slot, unsigned int page)
{
	uint64_t value = model[slot][page];
	void *p = page_at(slot, page);

	if (value == UNMAPPED)
		EXPECT_EQ(engine_do(rig, ENGINE_READ, (uint64_t)p, 8, 0).signal, SIGSEGV);
	else if (pick(2))
		EXPECT_EQ(host_page_bad(slot, page), 0);
	else if (value)
		EXPECT_EQ(engine_check(rig, p, PAGE, value), 0);
	else
		EXPECT_EQ(engine_read(rig, (uint8_t *)p + pick(512) * 8), 0);
}

static void fill(struct rig *rig, unsigned int slot, unsigned int first, unsigned int n)
{
	static uint64_t value = 1;
	unsigned int i;

	for (i = first; i < first + n; i++) {
		if (model[slot][i] == UNMAPPED)
			continue;
		model[slot][i] = value += 1000;
		if (n > 16 ? i & 1 : pick(2))
			host_fill(page_at(slot, i), PAGE, value);
		else
			engine_fill(rig, page_at(slot, i), PAGE, value);
	}
}

static void map(unsigned int slot, unsigned int first, unsigned int n)
{
	unsigned int i;

	arena_map(slot * BLOCK + first * PAGE, n * PAGE, PROT_READ | PROT_WRITE, 0);
	madvise(page_at(slot, first), n * PAGE, pick(2) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (i = first; i < first + n; i++)
		model[slot][i] = 0;
}

/* A whole slot to another's place, which is lost. */
static void move(unsigned int slot)
{
	unsigned int to = (slot + 1 + pick(SLOTS - 1)) % SLOTS, i;

	for (i = 0; i < SLOT_PAGES; i++)
		if (model[slot][i] == UNMAPPED)
			return;
	if (mremap(page_at(slot, 0), BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED,
		   page_at(to, 0)) == MAP_FAILED) {
		/* The slot may be several mappings. */
		EXPECT_EQ(errno, EFAULT);
		return;
	}
	for (i = 0; i < SLOT_PAGES; i++) {
		model[to][i] = model[slot][i];
		model[slot][i] = UNMAPPED;
	}
}

static void with_child(unsigned int slot)
{
	unsigned int i;
	int status;
	pid_t pid = fork();

	if (!pid) {
		uint64_t bad = 0;

		for (i = 0; i < SLOT_PAGES; i += 1 + pick(16)) {
			if (model[slot][i] == UNMAPPED)
				continue;
			bad += host_page_bad(slot, i);
			host_fill(page_at(slot, i), PAGE, 1);
		}
		_exit(bad != 0);
	}
	EXPECT_GE(pid, 0);
	/* Meanwhile, or afterwards. */
	if (pick(2))
		for (i = 0; i < SLOT_PAGES; i += 37)
			if (model[slot][i] != UNMAPPED)
				EXPECT_EQ(host_page_bad(slot, i), 0);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

/* One random thing. While it happens, an engine thread may look at what does not change. */
static void step(struct rig *rig)
{
	unsigned int slot = pick(SLOTS), first, n = part(&first), what = pick(16), i;
	void *p = page_at(slot, first);
	struct hmm_mirror_range range;
	bool watched = what < 9 && model[slot][first] != UNMAPPED && model[slot][first];

	if (watched)
		engine_start(rig, 1, ENGINE_CHECK, (uint64_t)p, PAGE, model[slot][first]);
	switch (what) {
	case 0:
	case 1:
	case 2:
		rig_range(rig, HMM_MIRROR_IOC_MIGRATE, p, n * PAGE, 0, &range);
		break;
	case 3:
		rig_range(rig, HMM_MIRROR_IOC_EVICT, p, n * PAGE, 0, &range);
		break;
	case 4:
		rig_range(rig, HMM_MIRROR_IOC_MIRROR, p, n * PAGE, 0, &range);
		break;
	case 5:
		rig_range(rig, HMM_MIRROR_IOC_MIRROR, p, (n % 32 + 1) * PAGE,
			  HMM_MIRROR_EXCLUSIVE, &range);
		break;
	case 6:
		madvise(p, n * PAGE, pick(2) ? MADV_PAGEOUT : MADV_COLLAPSE);
		break;
	case 7:
		if (rig_can_migrate())
			rig_trim(rig, n * PAGE);
		break;
	case 8:
		with_child(slot);
		break;
	case 9:
		munmap(p, n * PAGE);
		for (i = first; i < first + n; i++)
			model[slot][i] = UNMAPPED;
		break;
	case 10:
		map(slot, first, n);
		break;
	case 11:
		if (!madvise(p, n * PAGE, MADV_DONTNEED))
			for (i = first; i < first + n; i++)
				model[slot][i] = 0;
		else
			map(slot, first, n);
		break;
	case 12:
		move(slot);
		break;
	case 13:
		map(slot, 0, SLOT_PAGES);
		fill(rig, slot, 0, 8);
		break;
	default:
		fill(rig, slot, first, n > 64 ? 64 : n);
		break;
	}
	if (watched) {
		struct engine_reply reply = engine_finish(rig, 1);

		EXPECT_EQ(reply.signal, 0);
		EXPECT_EQ(reply.value, 0);
	}
	for (i = 0; i < 4; i++)
		look(rig, pick(SLOTS), pick(SLOT_PAGES));
}

static void model_process(unsigned int number)
{
	double end = now() + seconds();
	unsigned int slot, page, steps = 0;
	struct rig rig;

	random_seed = seed() * 100 + number;
	rig_open(&rig, NULL);
	rig.pager = pager_random;
	alarm(2 * TEST_SECONDS + 2 * seconds());
	for (slot = 0; slot < SLOTS; slot++)
		map(slot, 0, SLOT_PAGES);
	if (number & 1)
		rig_service(&rig, NULL, 0, HMM_MIRROR_SERVICE_KERNEL);
	for (; now() < end; steps++)
		step(&rig);
	for (slot = 0; slot < SLOTS; slot++)
		for (page = 0; page < SLOT_PAGES; page++)
			if (model[slot][page] != UNMAPPED)
				EXPECT_EQ(host_page_bad(slot, page), 0);
	printf("# process %u: %u steps, %u faults, %llu pages and %llu blocks to VRAM\n", number,
	       steps, rig.faults,
	       (unsigned long long)rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_4K),
	       (unsigned long long)rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M));
	EXPECT_GE(steps, 1);
	rig_close(&rig);
}

TEST(stress_model)
{
	unsigned int i;
	int status;

	printf("# seed %llu\n", (unsigned long long)seed());
	fflush(stdout);
	alarm(2 * TEST_SECONDS + 3 * seconds());
	for (i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		EXPECT_GE(pid, 0);
		if (!pid) {
			model_process(i);
			exit(0);
		}
	}
	for (i = 0; i < PROCESSES; i++) {
		EXPECT_GE(wait(&status), 0);
		EXPECT_EQ(status, 0);
	}
}
