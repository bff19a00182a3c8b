// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module costs, as ratios of times that were measured in the same run: a
 * device fault against a round trip through a socket, moving memory against memcpy(),
 * an invalidation against the same system call without a mirror.
 *
 * Meant for a machine that counts instructions as time, on which two runs agree:
 *
 *   ./dev bench --module
 *
 * Beside some of them stands what the core kernel's calls alone take, without a copy
 * (floor/hmm_floor.c).
 *
 * Every figure is the median of ROUNDS rounds. What is measured is checked by the
 * module's counters or by contents: a row whose work was not done as described ends
 * the program.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../harness.h"
#include "../rig.h"
#include "floor/hmm_floor.h"

#define ROUNDS 3
#define BLOCKS 16ul			/* 32 MiB: what is moved, mirrored or invalidated */
#define SIZE (BLOCKS * BLOCK)
#define PAGES (SIZE / PAGE)
#define FAULTS 512ul
#define TRIPS 500

/*
 * A page table of the engine for single pages is never taken away again, so huge
 * pages get a part of the arena in which there are none.
 */
#define HUGE_PART (ARENA_SIZE / 2)

/* Times of one figure in nanoseconds. */
struct series {
	double ns[ROUNDS];
	int n;
};

static int failed;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void add(struct series *series, double ns)
{
	EXPECT_LE(series->n, ROUNDS - 1);
	series->ns[series->n++] = ns;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const struct series *series)
{
	struct series sorted = *series;

	EXPECT_EQ(series->n, ROUNDS);
	qsort(sorted.ns, ROUNDS, sizeof(*sorted.ns), compare);
	return sorted.ns[ROUNDS / 2];
}

/*
 * One line of the table. @floor: what the core's part of it takes, if that was measured;
 * a mark below it cannot be met.
 */
static void report(const char *what, const struct series *it, const char *base_name,
		   double base, double mark, const struct series *floor)
{
	double ratio = median(it) / base, least = floor && floor->n ? median(floor) / base : 0;
	bool holds = ratio <= mark;

	printf("%-46s %9.1f us %7.3f %5.2f %s", what, median(it) / 1e3, ratio, mark,
	       holds ? "holds " : "MISSED");
	if (least)
		printf(" %7.3f", least);
	else
		printf("       -");
	printf("  of %s%s\n", base_name,
	       !holds && least > mark ? " (the core alone is above)" : "");
	failed |= !holds && least <= mark;
	fflush(stdout);
}

/* ---- yardsticks ---- */

/* A message to another process and back. */
static double round_trip(void)
{
	struct series series = { 0 };
	int pair[2], i, round;
	uint64_t message = 0;
	pid_t pid;

	EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	EXPECT_GE(pid, 0);
	if (!pid) {
		close(pair[0]);
		while (read(pair[1], &message, sizeof(message)) == sizeof(message))
			if (write(pair[1], &message, sizeof(message)) < 0)
				break;
		_exit(0);
	}
	close(pair[1]);
	for (round = 0; round < ROUNDS; round++) {
		double begin = now();

		for (i = 0; i < TRIPS; i++) {
			EXPECT_EQ(write(pair[0], &message, sizeof(message)), sizeof(message));
			EXPECT_EQ(read(pair[0], &message, sizeof(message)), sizeof(message));
		}
		add(&series, (now() - begin) / TRIPS);
	}
	close(pair[0]);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
	return median(&series);
}

/*
 * The same, when the system has ended what it does for itself after its start (it checks
 * its signatures in the background, which doubles a round trip, for longer than a few of
 * them take): it is left alone for a while, and then two in a row agree.
 */
static double settled_round_trip(void)
{
	double before, trip, deadline;

	sleep(10);
	deadline = now() + 20e9;
	trip = round_trip();
	do {
		before = trip;
		trip = round_trip();
		EXPECT_EQ(now() < deadline, 1);
	} while (trip < 0.98 * before || trip > 1.02 * before);
	return trip;
}

/* One block to another; both are there already. */
static double copy_block(void)
{
	struct series series = { 0 };
	uint8_t *from = arena_small(0, BLOCK), *to = arena_small(BLOCK, BLOCK);
	int round;

	for (round = 0; round < ROUNDS; round++) {
		double begin = now();

		memcpy(to, from, BLOCK);
		add(&series, now() - begin);
		EXPECT_EQ(host_check(to, BLOCK, 1), 0);
	}
	munmap(from, BLOCK);
	munmap(to, BLOCK);
	return median(&series);
}

/* ---- rows ---- */

/* The engine touches one word in each @stride bytes of the range; time per touch. */
static double touch(struct rig *rig, void *address, uint64_t size, uint64_t stride, bool pager)
{
	uint64_t n = size / stride, i;
	double begin = now();

	engine_start(rig, 0, ENGINE_TOUCH, (uint64_t)address, size, stride);
	for (i = 0; pager && i < n; i++) {
		struct hmm_mirror_fault fault;
		struct hmm_mirror_range range;

		EXPECT_EQ(read(rig->fd, &fault, sizeof(fault)), sizeof(fault));
		EXPECT_EQ(rig_range(rig, HMM_MIRROR_IOC_MIRROR, (void *)fault.address, PAGE, 0,
				    &range), 0);
	}
	EXPECT_EQ(engine_finish(rig, 0).signal, 0);
	return (now() - begin) / n;
}

/* Faults on memory that is there; every one is a fault of its own for the pager. */
static void fault_pager(struct rig *rig, struct series *series)
{
	uint8_t *p = arena_small(0, FAULTS * PAGE);
	uint64_t before = rig_count(rig, HMM_MIRROR_COUNT_FAULTS);

	add(series, touch(rig, p, FAULTS * PAGE, PAGE, true));
	EXPECT_EQ(rig_count(rig, HMM_MIRROR_COUNT_FAULTS) - before, FAULTS);
	munmap(p, FAULTS * PAGE);
}

/*
 * The same without a pager: page by page, and one page of each 64 KiB and 2 MiB. Of these
 * there are 64, for the message that starts the engine, a round trip, not to count.
 */
static void fault_served(struct rig *rig, struct series *series, uint64_t stride)
{
	uint64_t size = stride == PAGE ? BLOCK : stride == BLOCK ? 4 * SIZE : SIZE;
	uint64_t before = rig_count(rig, HMM_MIRROR_COUNT_FAULTS);
	uint64_t served = rig_count(rig, HMM_MIRROR_COUNT_SERVED);
	uint8_t *p;

	p = arena_small(0, size);
	rig_service(rig, p, size, HMM_MIRROR_SERVICE_KERNEL);
	add(series, touch(rig, p, size, stride, false));
	EXPECT_EQ(rig_count(rig, HMM_MIRROR_COUNT_FAULTS), before);
	EXPECT_GE(rig_count(rig, HMM_MIRROR_COUNT_SERVED), served + 1);
	rig_service(rig, p, size, HMM_MIRROR_SERVICE_PAGER);
	munmap(p, size);
}

/* MIRROR of blocks that the device page table does not hold; time per block. */
static void mirror(struct rig *rig, struct series *series, bool huge)
{
	uint8_t *p = huge ? arena_huge(HUGE_PART, SIZE) : arena_small(0, SIZE);
	struct hmm_mirror_range range[BLOCKS];
	double begin;
	uint64_t i;

	begin = now();
	for (i = 0; i < BLOCKS; i++)
		rig_range(rig, HMM_MIRROR_IOC_MIRROR, p + i * BLOCK, BLOCK, HMM_MIRROR_WRITE,
			  &range[i]);
	add(series, (now() - begin) / BLOCKS);
	for (i = 0; i < BLOCKS; i++)
		EXPECT_EQ(range[i].done, BLOCK / PAGE);
	EXPECT_EQ(rig_pages(rig, p, SIZE, HMM_MIRROR_PAGE_HUGE), huge ? PAGES : 0);
	munmap(p, SIZE);
}

/* Blocks to VRAM, and back because the host touches them; times per block. */
static void migrate(struct rig *rig, struct series *to, struct series *back, bool huge)
{
	volatile uint8_t *p = huge ? arena_huge(HUGE_PART, SIZE) : arena_small(0, SIZE);
	struct hmm_mirror_range range[BLOCKS];
	uint64_t i, faults;
	double begin;

	begin = now();
	for (i = 0; i < BLOCKS; i++)
		rig_range(rig, HMM_MIRROR_IOC_MIGRATE, (uint8_t *)p + i * BLOCK, BLOCK, 0,
			  &range[i]);
	add(to, (now() - begin) / BLOCKS);
	for (i = 0; i < BLOCKS; i++)
		EXPECT_GE(range[i].done, BLOCK / PAGE - 4);
	EXPECT_GE(rig_pages(rig, (void *)p, SIZE, HMM_MIRROR_PAGE_VRAM), PAGES - 4);

	faults = rig_count(rig, HMM_MIRROR_COUNT_CPU_FAULTS);
	begin = now();
	for (i = 0; i < SIZE; i += PAGE)
		(void)p[i];
	add(back, (now() - begin) / BLOCKS);
	EXPECT_GE(rig_count(rig, HMM_MIRROR_COUNT_CPU_FAULTS) - faults, huge ? BLOCKS : BLOCKS * 2);
	EXPECT_EQ(rig_count(rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
	EXPECT_EQ(host_check((void *)p, SIZE, 1), 0);
	munmap((void *)p, SIZE);
}

/* ---- the core alone ---- */

static int floor_fd = -1;

static void floor_do(unsigned long request, void *p, struct series *series)
{
	struct hmm_floor floor = { .start = (uint64_t)p, .size = SIZE };

	EXPECT_EQ(ioctl(floor_fd, request, &floor), 0);
	add(series, floor.ns / (double)BLOCKS);
}

static void floor_mirror(struct series *series, bool huge)
{
	uint8_t *p = huge ? arena_huge(HUGE_PART, SIZE) : arena_small(0, SIZE);

	floor_do(HMM_FLOOR_RANGE_FAULT, p, series);
	munmap(p, SIZE);
}

/* Moves nothing, but there is device memory in between, and copies of both ways. */
static void floor_migrate(struct series *to, struct series *back, bool huge)
{
	volatile uint8_t *p = huge ? arena_huge(HUGE_PART, SIZE) : arena_small(0, SIZE);
	double begin;
	uint64_t i;

	floor_do(HMM_FLOOR_MIGRATE, (void *)p, to);
	begin = now();
	for (i = 0; i < SIZE; i += PAGE)
		(void)p[i];
	add(back, (now() - begin) / BLOCKS);
	munmap((void *)p, SIZE);
}

/* mprotect() of 32 MiB, mirrored and in the engine's hands, and not. */
static void invalidate(struct rig *rig, struct series *series, bool huge, bool mirrored)
{
	uint8_t *p = huge ? arena_huge(HUGE_PART, SIZE) : arena_small(0, SIZE);
	uint64_t before = rig_count(rig, HMM_MIRROR_COUNT_INVALIDATED);
	double begin;

	if (mirrored) {
		EXPECT_EQ(rig_mirror(rig, p, SIZE, HMM_MIRROR_WRITE), PAGES);
		touch(rig, p, SIZE, PAGE, false);
	}
	begin = now();
	EXPECT_EQ(mprotect(p, SIZE, PROT_READ), 0);
	add(series, now() - begin);
	EXPECT_EQ(rig_count(rig, HMM_MIRROR_COUNT_INVALIDATED) - before, mirrored ? PAGES : 0);
	munmap(p, SIZE);
}

/* The whole of fork's and exit's debris settles in the first round of each. */
int main(void)
{
	struct series pager = { 0 }, served[3] = { 0 }, mirrored[2] = { 0 };
	struct series ask[2] = { 0 }, away[2] = { 0 }, home[2] = { 0 };
	struct series to[2] = { 0 }, back[2] = { 0 }, plain[2] = { 0 }, invalidated[2] = { 0 };
	static const uint64_t strides[] = { PAGE, 16 * PAGE, BLOCK };
	double trip, copy;
	struct rig rig;
	int i, round;

	setvbuf(stdout, NULL, _IOLBF, 0);
	floor_fd = open("/dev/hmm_floor", O_RDWR | O_CLOEXEC);
	trip = settled_round_trip();
	/* Before this process has a mirror. */
	for (i = 0; floor_fd >= 0 && i < 2; i++)
		for (round = 0; round < ROUNDS; round++) {
			floor_mirror(&ask[i], i);
			floor_migrate(&away[i], &home[i], i);
		}
	rig_open(&rig, NULL);
	/* touch() waits for each fault. */
	EXPECT_EQ(fcntl(rig.fd, F_SETFL, 0), 0);
	copy = copy_block();
	printf("yardsticks: socketpair round trip %.1f us, memcpy of 2 MiB %.1f us\n\n", trip / 1e3,
	       copy / 1e3);
	printf("%-46s %12s %7s %5s        %7s\n", "", "time", "ratio", "mark", "core");

	for (round = 0; round < ROUNDS; round++)
		fault_pager(&rig, &pager);
	report("device fault, 4 KiB, through the pager", &pager, "a round trip", trip, 1.3, NULL);
	for (i = 0; i < 3; i++)
		for (round = 0; round < ROUNDS; round++)
			fault_served(&rig, &served[i], strides[i]);
	report("... served in the kernel, page by page", &served[0], "a round trip", trip, 0.5,
	       NULL);
	report("... one page of each 64 KiB", &served[1], "a round trip", trip, 0.5, NULL);
	report("... one page of each 2 MiB", &served[2], "a round trip", trip, 0.5, NULL);

	for (i = 0; i < 2; i++)
		for (round = 0; round < ROUNDS; round++)
			mirror(&rig, &mirrored[i], i);
	report("MIRROR of 2 MiB, 4 KiB pages", &mirrored[0], "memcpy", copy, 0.5, &ask[0]);
	report("MIRROR of 2 MiB, a huge page", &mirrored[1], "memcpy", copy, 0.1, &ask[1]);

	if (rig_can_migrate()) {
		for (i = 0; i < 2; i++) {
			struct series cold[2] = { 0 };

			migrate(&rig, &cold[0], &cold[1], i);
			for (round = 0; round < ROUNDS; round++)
				migrate(&rig, &to[i], &back[i], i);
		}
		report("MIGRATE of 2 MiB, a huge page", &to[1], "memcpy", copy, 1.15, &away[1]);
		report("MIGRATE of 2 MiB, 4 KiB pages", &to[0], "memcpy", copy, 5, &away[0]);
		report("host touches 2 MiB in VRAM, a huge page", &back[1], "memcpy", copy, 3,
		       &home[1]);
		report("host touches 2 MiB in VRAM, 4 KiB pages", &back[0], "memcpy", copy, 8,
		       &home[0]);
	}

	for (i = 0; i < 2; i++)
		for (round = 0; round < ROUNDS; round++) {
			invalidate(&rig, &plain[i], i, false);
			invalidate(&rig, &invalidated[i], i, true);
		}
	report("mprotect of 32 MiB in the engine's hands, 4 KiB pages", &invalidated[0],
	       "unmirrored", median(&plain[0]), 1.5, NULL);
	report("mprotect of 32 MiB in the engine's hands, huge pages", &invalidated[1],
	       "unmirrored", median(&plain[1]), 1.5, NULL);
	rig_close(&rig);
	return failed;
}
