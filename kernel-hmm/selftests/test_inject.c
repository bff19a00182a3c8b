// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens when something fails that nearly never does: every such place of the
 * module is made to fail, one by one and all at once. Nobody may lose data for it.
 *
 * HMM_MIRROR_INJECT_SEEDS: with how many seeds all at once; 3 if not set.
 */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

#define FILE_NAME "/sys/kernel/debug/hmm_mirror/inject"
#define N 64ul

static void set(const char *text)
{
	int fd = open(FILE_NAME, O_WRONLY);

	EXPECT_GE(fd, 0);
	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

void need_inject(void)
{
	if (access(FILE_NAME, W_OK))
		SKIP("no %s", FILE_NAME);
	inject_stop();
}

void inject(uint64_t seed, uint64_t period, uint64_t mask)
{
	char text[80];

	snprintf(text, sizeof(text), "%llu %llu %#llx", (unsigned long long)seed,
		 (unsigned long long)period, (unsigned long long)mask);
	set(text);
}

void inject_stop(void)
{
	set("0");
}

/* Without malloc(), which might wait for a lock that somebody holds who is met at a point. */
uint64_t injected(enum point point)
{
	unsigned long long failed;
	unsigned int number;
	char text[4096], *line = text;
	int fd = open(FILE_NAME, O_RDONLY);
	ssize_t size = read(fd, text, sizeof(text) - 1);

	EXPECT_GE(size, 0);
	close(fd);
	text[size] = 0;
	while (sscanf(line, "%u %*s %*u %llu", &number, &failed) == 2 && number != point) {
		line = strchr(line, '\n');
		EXPECT_NE((long)line, 0);
		line++;
	}
	EXPECT_EQ(number, point);
	return failed;
}

/* Nonsense is refused. */
TEST(inject_settings)
{
	static const char * const bad[] = { "", "x", "1", "1 0", "1 0 5", "1 x" };
	int fd;
	size_t i;

	need_inject();
	fd = open(FILE_NAME, O_WRONLY);
	for (i = 1; i < ARRAY_SIZE(bad); i++)
		EXPECT_ERRNO(write(fd, bad[i], strlen(bad[i])), EINVAL);
	close(fd);
}

/* Registering fails at each of its steps, leaves nothing, and works afterwards. */
TEST(inject_register)
{
	struct hmm_mirror_register reg = { 0 };
	unsigned int point;
	int fd;

	need_inject();
	fd = open(HMM_MIRROR_DEVICE, O_RDWR | O_CLOEXEC);
	for (point = POINT_CONTEXT; point <= POINT_NOTIFIER; point++) {
		inject(1, 1, POINTS(point));
		EXPECT_ERRNO(ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg), ENOMEM);
		EXPECT_EQ(injected(point), 1);
	}
	inject_stop();
	EXPECT_EQ(ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg), 0);
}

/* A huge page for which VRAM has no room in a row goes there in pieces. */
TEST(inject_vram_2m)
{
	struct rig rig;
	void *p;
	int i;

	need_inject();
	rig_open_vram(&rig, NULL);
	for (i = 0; i < 3; i++) {
		inject(1, 1, POINTS(POINT_VRAM_2M));
		/* Data, nothing yet, the huge zero page. */
		if (!i) {
			p = arena_huge(0, BLOCK);
		} else {
			p = arena_map(0, BLOCK, PROT_READ, 0);
			EXPECT_EQ(madvise(p, BLOCK, MADV_HUGEPAGE), 0);
		}
		if (i == 2)
			EXPECT_EQ(*(volatile uint64_t *)p, 0);
		EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_4K), (i + 1) * 512);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M), 0);
		inject_stop();
		EXPECT_EQ(engine_read(&rig, p + 300 * PAGE), i ? 0 : 1 + 300 * 512);
		EXPECT_EQ(*(volatile uint64_t *)(p + 4 * PAGE), i ? 0 : 1 + 4 * 512);
		if (i)
			EXPECT_EQ(host_sum(p, BLOCK), 0);
		else
			EXPECT_EQ(host_check(p, BLOCK, 1), 0);
		munmap(p, BLOCK);
	}
	rig_close(&rig);
}

/* A huge page for which the system has none comes home in pieces: touched, evicted, trimmed. */
TEST(inject_ram_2m)
{
	struct rig rig;
	void *p;
	int i;

	need_inject();
	rig_open_vram(&rig, NULL);
	for (i = 0; i < 3; i++) {
		p = arena_huge(0, BLOCK);
		EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M), i + 1);
		engine_fill(&rig, p, BLOCK, 40 + i);
		inject(1, 1, POINTS(POINT_RAM_2M));
		if (!i)
			EXPECT_EQ(*(volatile uint64_t *)(p + 4 * PAGE), 40 + 4 * 512);
		else if (i == 1)
			EXPECT_EQ(rig_evict(&rig, p, BLOCK), 512);
		else
			EXPECT_EQ(rig_trim(&rig, PAGE), BLOCK);
		EXPECT_GE(injected(POINT_RAM_2M), 1);
		inject_stop();
		/* The core splits it at the first try; what was not touched yet stays. */
		if (i)
			EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
		EXPECT_EQ(host_check(p, BLOCK, 40 + i), 0);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
		munmap(p, BLOCK);
	}
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_4K), 512);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_EVICT_4K), 1024);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_2M), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_EVICT_2M), 0);
	rig_close(&rig);
}

/*
 * A huge page that a child has as well comes home in pieces, whoever of both wants it, and
 * there is not always memory for one.
 */
TEST(inject_ram_2m_shared)
{
	int i;

	need_inject();
	for (i = 0; i < 4; i++) {
		struct hmm_mirror_range range;
		struct rig rig;
		int status;
		pid_t pid;
		void *p;

		rig_open_vram(&rig, NULL);
		p = arena_huge(0, BLOCK);
		EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M), 1);
		inject(1, 2, POINTS(POINT_RAM_4K));
		pid = fork();
		if (!pid) {
			struct rig own;

			if (i == 1) {
				rig_open(&own, NULL);
				own.pager = pager_mirror_block;
			}
			if (i < 2)
				EXPECT_EQ(host_check(p, BLOCK, 1), 0);
			else
				usleep(100000);
			if (i == 1) {
				engine_fill(&own, p, BLOCK, 1000);
				EXPECT_EQ(host_check(p, BLOCK, 1000), 0);
				rig_close(&own);
			}
			exit(0);
		}
		if (i == 2)
			EXPECT_EQ(host_check(p, BLOCK, 1), 0);
		else if (i == 3)
			rig_range(&rig, HMM_MIRROR_IOC_EVICT, p, BLOCK, 0, &range);
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
		EXPECT_GE(injected(POINT_RAM_4K), 1);
		inject_stop();
		EXPECT_EQ(host_check(p, BLOCK, 1), 0);
		EXPECT_EQ(engine_check(&rig, p, BLOCK, 1), 0);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_2M), 0);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_EVICT_2M), 0);
		rig_close(&rig);
	}
}

/* VRAM of scattered pages: huge folios, which the engine gets page by page. */
TEST(inject_backing)
{
	struct rig rig;
	void *p;

	need_inject();
	rig_open_vram(&rig, NULL);
	p = arena_huge(0, BLOCK);
	inject(1, 1, POINTS(POINT_BACKING));
	EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
	EXPECT_EQ(injected(POINT_BACKING), 1);
	inject_stop();
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M), 1);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_VRAM), 512);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_HUGE), 0);
	rig.pager = pager_none;
	EXPECT_EQ(engine_check(&rig, p, BLOCK, 1), 0);
	engine_fill(&rig, p, BLOCK, 2);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INSERTED_4K), 512);
	EXPECT_EQ(host_check(p, BLOCK, 2), 0);
	rig_close(&rig);
}

/* No memory for what a thread is to be told: it asks again, and is told then. */
TEST(inject_verdict)
{
	struct rig rig;

	need_inject();
	rig_open(&rig, NULL);
	inject(3, 2, POINTS(POINT_VERDICT));
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, ARENA, 8, 0).signal, SIGSEGV);
	EXPECT_EQ(rig.faults, 1 + injected(POINT_VERDICT));
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_FAILED), 1);
	inject_stop();
	rig_close(&rig);
}

/* What cannot be done now is tried again; what is wrong fails. */
static void pager_stubborn(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	uint32_t flags = fault->access ? HMM_MIRROR_WRITE : 0;
	void *page = (void *)fault->address;
	struct hmm_mirror_range range;

	switch (rig->faults % 4) {
	case 0:
		rig_range(rig, HMM_MIRROR_IOC_MIGRATE, page, PAGE, 0, &range);
		break;
	case 1:
		rig_range(rig, HMM_MIRROR_IOC_MIGRATE, (void *)(fault->address & -BLOCK), BLOCK,
			  0, &range);
		break;
	case 2:
		if (rig_can_migrate())
			flags = HMM_MIRROR_EXCLUSIVE;
		break;
	}
	while (rig_range(rig, HMM_MIRROR_IOC_MIRROR, page, PAGE, flags, &range)) {
		if (errno == EFAULT || errno == EACCES) {
			rig_fail(rig, page, PAGE);
			return;
		}
		EXPECT_EQ(errno == ENOMEM || errno == EBUSY, 1);
	}
}

static void work(uint64_t seed, bool service)
{
	struct hmm_mirror_service set = {
		.start = ARENA,
		.size = ARENA_SIZE,
		.mode = HMM_MIRROR_SERVICE_KERNEL,
	};
	struct hmm_mirror_trim trim = { .size = 100 * PAGE };
	struct hmm_mirror_range range;
	struct rig rig;
	void *p, *h;
	int i, k;

	rig_open(&rig, NULL);
	rig.pager = pager_stubborn;
	p = arena_small(0, N * PAGE);
	h = arena_huge(BLOCK, BLOCK);
	inject(seed, 4, POINTS_USE);
	while (service && ioctl(rig.fd, HMM_MIRROR_IOC_SERVICE, &set))
		EXPECT_EQ(errno, ENOMEM);
	for (i = 1; i <= 6; i++) {
		int status;
		pid_t pid;

		rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, N * PAGE, 0, &range);
		rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, h, BLOCK, 0, &range);
		engine_fill(&rig, p, N * PAGE, 100 * i);
		engine_fill(&rig, h, BLOCK, 200 * i);
		/* While nobody else has it, and often: it is not always huge when it gets there. */
		for (k = 0; k < 5; k++) {
			rig_range(&rig, HMM_MIRROR_IOC_EVICT, h, BLOCK, 0, &range);
			rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, h, BLOCK, 0, &range);
		}
		EXPECT_EQ(engine_do(&rig, ENGINE_READ, ARENA + 8 * BLOCK, 8, 0).signal, SIGSEGV);
		pid = fork();
		if (!pid) {
			int bad = host_check(p, N * PAGE, 100 * i) || host_check(h, BLOCK, 200 * i);

			host_fill(h, BLOCK, 7);
			_exit(bad);
		}
		if (i & 1)
			ioctl(rig.fd, HMM_MIRROR_IOC_TRIM, &trim);
		else
			rig_range(&rig, HMM_MIRROR_IOC_EVICT, p, 2 * BLOCK, 0, &range);
		EXPECT_EQ(engine_check(&rig, h, BLOCK, 200 * i), 0);
		EXPECT_EQ(host_check(p, N * PAGE, 100 * i), 0);
		EXPECT_EQ(host_check(h, BLOCK, 200 * i), 0);
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
		host_fill(p, N * PAGE, i);
		EXPECT_EQ(engine_check(&rig, p, N * PAGE, i), 0);
		/* Huge again. */
		madvise(h, BLOCK, MADV_DONTNEED);
		host_fill(h, BLOCK, i);
	}
	inject_stop();
	rig_close(&rig);
}

/* Everything fails every few times. All data is right, and every point was met. */
TEST(inject_everything)
{
	const char *seeds = getenv("HMM_MIRROR_INJECT_SEEDS");
	uint64_t failed[POINT_MAX] = { 0 }, seed, last = seeds ? atoll(seeds) : 3;
	unsigned int point;

	need_inject();
	alarm(TEST_SECONDS * (1 + last));
	for (seed = 1; seed <= last; seed++) {
		bool service;

		for (service = false;; service = true) {
			work(seed, service);
			for (point = POINT_PFNS; point < POINT_LINGER; point++)
				failed[point] += injected(point);
			if (service)
				break;
		}
	}
	for (point = POINT_PFNS; point < POINT_LINGER; point++) {
		if (point >= POINT_EXCLUSIVE && point != POINT_PAGE_TABLE &&
		    point != POINT_VERDICT && point != POINT_SERVICE && !rig_can_migrate())
			continue;
		if (!failed[point])
			printf("# point %u never failed\n", point);
		EXPECT_GE(failed[point], 1);
	}
}
