// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocations that fail, each once: the first of an operation, then the second, until it has
 * no more of them (fail-nth of the kernel's own fault injection, on kernels that have it; see
 * test_inject.c for the module's). The operation does without, or says so; nobody loses data
 * for it, and the next try works.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

#define N 20ul
#define MOST 1000u

static int nth;

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY);

	EXPECT_GE(fd, 0);
	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Every allocation may fail, silently; which one, each thread says itself. */
static void need_fail_nth(void)
{
	nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth < 0 || access("/sys/kernel/debug/failslab", F_OK) ||
	    access("/sys/kernel/debug/fail_page_alloc", F_OK))
		SKIP("this kernel has no fault injection");
	put("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	put("/sys/kernel/debug/failslab/verbose", "0");
	put("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	put("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	put("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	put("/sys/kernel/debug/fail_page_alloc/verbose", "0");
}

/* Let the @n-th allocation from now on fail; 0: none. */
static void fail_nth(unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	EXPECT_EQ(pwrite(nth, text, length, 0), length);
}

/* Whether it came to that; and no more of it. */
static bool has_failed(void)
{
	char text[16] = "";

	EXPECT_GE(pread(nth, text, sizeof(text) - 1, 0), 1);
	fail_nth(0);
	return !atoi(text);
}

/* Registering; and an account that outlives it, with whatever it was made of. */
TEST(fail_register)
{
	struct hmm_mirror_register reg = {
		.queue_size = 4096,
		.flags = HMM_MIRROR_REGISTER_EVENTS,
	};
	unsigned int n = 0, refused = 0;
	bool failed;

	need_fail_nth();
	do {
		struct hmm_mirror_range range = { .start = ARENA, .size = 2 * PAGE };
		int fd = open(HMM_MIRROR_DEVICE, O_RDWR | O_CLOEXEC), ret, error;

		EXPECT_LE(++n, MOST);
		fail_nth(n);
		ret = ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg);
		error = errno;
		failed = has_failed();
		if (ret) {
			EXPECT_EQ(failed, true);
			EXPECT_EQ(error, ENOMEM);
			refused++;
			EXPECT_EQ(ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg), 0);
		}
		arena_small(0, 2 * PAGE);
		if (rig_can_migrate())
			EXPECT_EQ(ioctl(fd, HMM_MIRROR_IOC_MIGRATE, &range), 0);
		close(fd);
		EXPECT_EQ(munmap((void *)ARENA, 2 * PAGE), 0);
	} while (failed);
	EXPECT_GE(refused, 3);
	printf("# %u allocations, %u of them indispensable\n", n - 1, refused);
}

/* What is to be done, and what has to be before. */
struct operation {
	const char *name;
	bool huge, moved, untouched, service;
	int (*run)(struct rig *rig, void *p, uint64_t size);
};

static int do_mirror(struct rig *rig, void *p, uint64_t size)
{
	struct hmm_mirror_range range;

	return rig_range(rig, HMM_MIRROR_IOC_MIRROR, p, size, HMM_MIRROR_WRITE, &range);
}

static int do_exclusive(struct rig *rig, void *p, uint64_t size)
{
	struct hmm_mirror_range range;

	return rig_range(rig, HMM_MIRROR_IOC_MIRROR, p, size, HMM_MIRROR_EXCLUSIVE, &range);
}

static int do_migrate(struct rig *rig, void *p, uint64_t size)
{
	struct hmm_mirror_range range;

	return rig_range(rig, HMM_MIRROR_IOC_MIGRATE, p, size, 0, &range);
}

static int do_evict(struct rig *rig, void *p, uint64_t size)
{
	struct hmm_mirror_range range;

	return rig_range(rig, HMM_MIRROR_IOC_EVICT, p, size, 0, &range);
}

static int do_trim(struct rig *rig, void *p, uint64_t size)
{
	struct hmm_mirror_trim trim = { .size = size };

	(void)p;
	return ioctl(rig->fd, HMM_MIRROR_IOC_TRIM, &trim);
}

static int do_query(struct rig *rig, void *p, uint64_t size)
{
	uint8_t pages[BLOCK / PAGE];
	struct hmm_mirror_query query = {
		.start = (uint64_t)p,
		.size = size,
		.pages = (uint64_t)pages,
		.flags = HMM_MIRROR_QUERY_HOST,
	};

	return ioctl(rig->fd, HMM_MIRROR_IOC_QUERY, &query);
}

static int do_service(struct rig *rig, void *p, uint64_t size)
{
	struct hmm_mirror_service service = {
		.start = (uint64_t)p,
		.size = size,
		.mode = HMM_MIRROR_SERVICE_KERNEL,
	};

	return ioctl(rig->fd, HMM_MIRROR_IOC_SERVICE, &service);
}

/* The host's own touch: whatever fails, it comes to its end. */
static int do_touch(struct rig *rig, void *p, uint64_t size)
{
	(void)rig;
	*(volatile uint64_t *)(p + size - PAGE) += 0;
	return 0;
}

static void check(struct rig *rig, const struct operation *op, void *p, uint64_t size)
{
	uint64_t value = op->untouched ? 0 : 1;

	/* Untouched memory is all zeroes, not counted up. */
	if (op->untouched) {
		EXPECT_EQ(engine_read(rig, p), 0);
		EXPECT_EQ(host_sum(p, size), 0);
		return;
	}
	EXPECT_EQ(engine_check(rig, p, PAGE, value), 0);
	EXPECT_EQ(host_check(p, size, value), 0);
	EXPECT_EQ(engine_check(rig, p + size - PAGE, PAGE,
			       value + (size - PAGE) / 8), 0);
}

static unsigned int fail_each(const struct operation *op)
{
	uint64_t size = op->huge ? BLOCK : N * PAGE;
	unsigned int n = 0;
	struct rig rig;
	bool failed;

	rig_open(&rig, NULL);
	do {
		int ret, error;
		void *p;

		EXPECT_LE(++n, MOST);
		if (op->untouched)
			p = arena_map(0, size, PROT_READ | PROT_WRITE, 0);
		else
			p = op->huge ? arena_huge(0, size) : arena_small(0, size);
		if (op->moved)
			EXPECT_EQ(rig_migrate(&rig, p, size), size / PAGE);
		fail_nth(n);
		ret = op->run(&rig, p, size);
		error = errno;
		failed = has_failed();
		if (ret) {
			EXPECT_EQ(failed, true);
			/* The core says that of a page which it could not make. */
			EXPECT_EQ(error == ENOMEM || (op->untouched && error == EFAULT), true);
			/* Once more. */
			EXPECT_EQ(op->run(&rig, p, size), 0);
		}
		check(&rig, op, p, size);
		EXPECT_EQ(munmap(p, size), 0);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
	} while (failed);
	rig_close(&rig);
	printf("# %s: %u allocations\n", op->name, n - 1);
	return n - 1;
}

TEST(fail_mirror)
{
	static const struct operation operations[] = {
		{ .name = "MIRROR", .run = do_mirror },
		{ .name = "MIRROR of 2 MiB", .run = do_mirror, .huge = true },
		{ .name = "MIRROR of untouched memory", .run = do_mirror, .untouched = true },
		{ .name = "QUERY", .run = do_query },
		{ .name = "SERVICE", .run = do_service },
	};
	unsigned int i;

	need_fail_nth();
	for (i = 0; i < ARRAY_SIZE(operations); i++)
		EXPECT_GE(fail_each(&operations[i]), 1);
}

TEST(fail_migrate)
{
	static const struct operation operations[] = {
		{ .name = "MIGRATE", .run = do_migrate },
		{ .name = "MIGRATE of 2 MiB", .run = do_migrate, .huge = true },
		{ .name = "MIGRATE of untouched memory", .run = do_migrate, .untouched = true },
		{ .name = "EVICT", .run = do_evict, .moved = true },
		{ .name = "EVICT of 2 MiB", .run = do_evict, .moved = true, .huge = true },
		{ .name = "TRIM", .run = do_trim, .moved = true },
		{ .name = "TRIM of 2 MiB", .run = do_trim, .moved = true, .huge = true },
		{ .name = "touch", .run = do_touch, .moved = true },
		{ .name = "touch of 2 MiB", .run = do_touch, .moved = true, .huge = true },
		{ .name = "exclusive", .run = do_exclusive },
	};
	unsigned int i;

	need_fail_nth();
	if (!rig_can_migrate())
		SKIP("this kernel has no DEVICE_PRIVATE");
	for (i = 0; i < ARRAY_SIZE(operations); i++)
		EXPECT_GE(fail_each(&operations[i]), 1);
}

/* The engine's own faults: served in the kernel, or by a pager, with a page table to build. */
static void fail_engine(bool service)
{
	uint64_t left = 0;
	unsigned int n = 0;
	struct rig rig;

	rig_open(&rig, NULL);
	if (service)
		rig_service(&rig, (void *)ARENA, ARENA_SIZE, HMM_MIRROR_SERVICE_KERNEL);
	do {
		struct engine_reply reply;
		/* Where the engine has no page table yet. */
		uint64_t *p = arena_small(2 * n * BLOCK, PAGE);

		EXPECT_LE(++n, 200);
		reply = engine_do(&rig, ENGINE_FAIL, (uint64_t)p, 8, n);
		EXPECT_EQ(reply.signal, 0);
		left = reply.value;
		EXPECT_EQ(*p, 2);
		EXPECT_EQ(munmap(p, PAGE), 0);
	} while (!left);
	EXPECT_GE(n, 2);
	printf("# a fault served by the %s: %u allocations\n", service ? "kernel" : "pager", n - 1);
	rig_close(&rig);
}

TEST(fail_engine)
{
	need_fail_nth();
	fail_engine(false);
	fail_engine(true);
}
