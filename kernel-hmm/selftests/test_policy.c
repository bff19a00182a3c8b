// SPDX-License-Identifier: GPL-2.0-only
/* What goes back, how much at a time, for what reason, and how it is counted. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "module.h"
#include "rig.h"

#define N 64ul

static uint64_t in_vram(struct rig *rig)
{
	return rig_count(rig, HMM_MIRROR_COUNT_VRAM_PAGES);
}

/* As many pages come home with one that is touched as the registration says. */
TEST(around)
{
	static const uint32_t around[] = { PAGE, 8 * PAGE, 16 * PAGE, 64 * PAGE };
	struct hmm_mirror_register reg = { .around = 3 * PAGE };
	size_t i;

	if (!rig_can_migrate())
		SKIP("this kernel has no DEVICE_PRIVATE");
	EXPECT_ERRNO(ioctl(open(HMM_MIRROR_DEVICE, O_RDWR), HMM_MIRROR_IOC_REGISTER, &reg),
		     EINVAL);
	reg.around = 2 * BLOCK;
	EXPECT_ERRNO(ioctl(open(HMM_MIRROR_DEVICE, O_RDWR), HMM_MIRROR_IOC_REGISTER, &reg),
		     EINVAL);
	for (i = 0; i < ARRAY_SIZE(around); i++) {
		uint64_t pages = around[i] / PAGE;
		struct rig rig;
		void *p;

		reg.around = around[i];
		rig_open(&rig, &reg);
		p = arena_small(0, N * PAGE);
		EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
		EXPECT_EQ(host_check(p + 40 * PAGE, PAGE, 1 + 40 * 512), 0);
		EXPECT_EQ(in_vram(&rig), N - pages);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_4K), pages);
		EXPECT_EQ(host_check(p, N * PAGE, 1), 0);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_FAULTS), N / pages);
		EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_HOME, HMM_MIRROR_CAUSE_CPU,
				    pages < 16 ? HMM_MIRROR_SIZE_4K : HMM_MIRROR_SIZE_64K),
			  pages < 16 ? N : N / 16);
		rig_close(&rig);
	}
}

/* The same by the module's parameter; neighbours stop where the mapping does. */
TEST(around_parameter)
{
	struct rig rig;
	void *p;

	module_reload("around_kb=32");
	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(munmap(p + 18 * PAGE, PAGE), 0);
	EXPECT_EQ(rig_migrate(&rig, p, 16 * PAGE), 16);
	EXPECT_EQ(rig_migrate(&rig, p + 19 * PAGE, 13 * PAGE), 13);
	EXPECT_EQ(host_check(p + 9 * PAGE, PAGE, 1 + 9 * 512), 0);
	EXPECT_EQ(in_vram(&rig), 8 + 13);
	EXPECT_EQ(host_check(p + 20 * PAGE, PAGE, 1 + 20 * 512), 0);
	EXPECT_EQ(in_vram(&rig), 8 + 8);
	rig_close(&rig);
	module_unload_soon();
	EXPECT_ERRNO(module_load("around_kb=3"), EINVAL);
	EXPECT_ERRNO(module_load("around_kb=4096"), EINVAL);
	EXPECT_EQ(module_load(""), 0);
}

/* Without huge pages in VRAM they go there in pieces, and come home so. */
TEST(no_huge_vram)
{
	struct hmm_mirror_info info = { 0 };
	struct rig rig;
	void *h;

	module_reload("huge_vram=0");
	rig_open_vram(&rig, NULL);
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_INFO, &info), 0);
	EXPECT_EQ(info.capabilities & HMM_MIRROR_CAP_HUGE, 0);
	h = arena_huge(0, 2 * BLOCK);
	EXPECT_EQ(rig_migrate(&rig, h, 2 * BLOCK), 2 * 512);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_2M), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_4K), 2 * 512);
	EXPECT_EQ(engine_check(&rig, h, 2 * BLOCK, 1), 0);
	EXPECT_EQ(in_vram(&rig), 2 * 512);
	EXPECT_EQ(host_check(h, PAGE, 1), 0);
	EXPECT_EQ(in_vram(&rig), 2 * 512 - 16);
	EXPECT_EQ(host_check(h, 2 * BLOCK, 1), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_2M), 0);
	EXPECT_EQ(in_vram(&rig), 0);
	rig_close(&rig);
	module_reload("");
}

/* TRIM brings the least recently used home, no more than it is told. */
TEST(trim)
{
	struct hmm_mirror_trim trim = { .size = 100 };
	struct rig rig;
	void *h;

	rig_open_vram(&rig, NULL);
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_TRIM, &trim), EINVAL);
	EXPECT_EQ(rig_trim(&rig, BLOCK), 0);
	h = arena_huge(0, 4 * BLOCK);
	EXPECT_EQ(rig_migrate(&rig, h, 4 * BLOCK), 4 * 512);
	rig.pager = pager_none;
	/* Used in the order 0 1 2 3, then 0 again: but that is no fault. */
	EXPECT_EQ(engine_check(&rig, h, 4 * BLOCK, 1), 0);
	EXPECT_EQ(rig_trim(&rig, PAGE), BLOCK);
	EXPECT_EQ(rig_pages(&rig, h, BLOCK, HMM_MIRROR_PAGE_PRESENT), 0);
	EXPECT_EQ(rig_pages(&rig, h + BLOCK, 3 * BLOCK, HMM_MIRROR_PAGE_VRAM), 3 * 512);
	/* 1 is used again: 2 and 3 are older now. */
	EXPECT_EQ(mprotect(h + BLOCK, BLOCK, PROT_READ), 0);
	rig.pager = pager_mirror_block;
	EXPECT_EQ(engine_read(&rig, h + BLOCK), 1 + 512 * 512);
	EXPECT_EQ(rig_pages(&rig, h + BLOCK, 3 * BLOCK, HMM_MIRROR_PAGE_VRAM), 3 * 512);
	EXPECT_EQ(rig_trim(&rig, 2 * BLOCK), 2 * BLOCK);
	EXPECT_EQ(rig_pages(&rig, h + BLOCK, 3 * BLOCK, HMM_MIRROR_PAGE_VRAM), 512);
	EXPECT_EQ(rig_pages(&rig, h + BLOCK, BLOCK, HMM_MIRROR_PAGE_VRAM), 512);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_EVICT_2M), 3);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_HOME, HMM_MIRROR_CAUSE_TRIM,
			    HMM_MIRROR_SIZE_2M), 3);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_FAULTS), 0);
	EXPECT_EQ(host_check(h, 4 * BLOCK, 1), 0);
	EXPECT_EQ(in_vram(&rig), 0);
	rig_close(&rig);
}

/* Small pages, by the page; a child that shares them keeps its data. */
TEST(trim_small)
{
	int go[2], status;
	struct rig rig;
	void *p;
	pid_t pid;
	char c;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ(rig_trim(&rig, 10 * PAGE), 10 * PAGE);
	EXPECT_EQ(in_vram(&rig), N - 10);
	engine_fill(&rig, p, N * PAGE, 20);
	EXPECT_EQ(pipe(go), 0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		EXPECT_EQ(read(go[0], &c, 1), 0);
		EXPECT_EQ(host_check(p, N * PAGE, 20), 0);
		_exit(0);
	}
	close(go[0]);
	EXPECT_EQ(rig_trim(&rig, 1ull << 40), (N - 10) * PAGE);
	EXPECT_EQ(in_vram(&rig), 0);
	close(go[1]);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(host_check(p, N * PAGE, 20), 0);
	rig_close(&rig);
}

/* TRIM is for one's own pages only. */
TEST(trim_others)
{
	int ready[2], go[2], status;
	struct rig rig;
	void *p;
	pid_t pid;
	char c;

	if (!rig_can_migrate())
		SKIP("this kernel has no DEVICE_PRIVATE");
	EXPECT_EQ(pipe(ready), 0);
	EXPECT_EQ(pipe(go), 0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		rig_open(&rig, NULL);
		p = arena_small(0, N * PAGE);
		EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
		EXPECT_EQ(write(ready[1], "x", 1), 1);
		EXPECT_EQ(read(go[0], &c, 1), 0);
		EXPECT_EQ(in_vram(&rig), N);
		EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_EVICT_4K), 0);
		rig_close(&rig);
		exit(0);
	}
	EXPECT_EQ(read(ready[0], &c, 1), 1);
	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ(rig_trim(&rig, 1ull << 30), N * PAGE);
	rig_close(&rig);
	close(go[1]);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

/* Moves are counted by way, cause and size; mapping is one of the ways. */
TEST(moves)
{
	const uint32_t prefetch = HMM_MIRROR_CAUSE(HMM_MIRROR_CAUSE_PREFETCH);
	const uint32_t thrash = HMM_MIRROR_CAUSE(HMM_MIRROR_CAUSE_THRASH);
	struct hmm_mirror_range range;
	struct rig rig;
	void *p, *h;

	rig_open_vram(&rig, NULL);
	p = arena_small(0, N * PAGE);
	h = arena_huge(BLOCK, BLOCK);
	/* 8 pages, then 16 from a boundary on, then 8. */
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p + 8 * PAGE, 32 * PAGE, prefetch,
			    &range), 0);
	EXPECT_EQ(range.done, 32);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, h, BLOCK, prefetch, &range), 0);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_TO_VRAM, HMM_MIRROR_CAUSE_PREFETCH,
			    HMM_MIRROR_SIZE_4K), 16);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_TO_VRAM, HMM_MIRROR_CAUSE_PREFETCH,
			    HMM_MIRROR_SIZE_64K), 1);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_TO_VRAM, HMM_MIRROR_CAUSE_PREFETCH,
			    HMM_MIRROR_SIZE_2M), 1);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_MAPPED, HMM_MIRROR_CAUSE_PREFETCH,
			    HMM_MIRROR_SIZE_2M), 1);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_EVICT, h, BLOCK, thrash, &range), 0);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_HOME, HMM_MIRROR_CAUSE_THRASH,
			    HMM_MIRROR_SIZE_2M), 1);
	EXPECT_EQ(rig_mirror(&rig, h, BLOCK, thrash), 512);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_MAPPED, HMM_MIRROR_CAUSE_THRASH,
			    HMM_MIRROR_SIZE_2M), 1);
	EXPECT_EQ(host_check(p + 16 * PAGE, PAGE, 1 + 16 * 512), 0);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_HOME, HMM_MIRROR_CAUSE_CPU,
			    HMM_MIRROR_SIZE_64K), 1);
	rig_service(&rig, NULL, 0, HMM_MIRROR_SERVICE_KERNEL);
	arena_small(3 * BLOCK, 32 * PAGE);
	EXPECT_EQ(engine_read(&rig, (void *)ARENA + 3 * BLOCK), 1);
	EXPECT_EQ(engine_read(&rig, (void *)ARENA + 3 * BLOCK + 16 * PAGE), 1 + 16 * 512);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_MAPPED, HMM_MIRROR_CAUSE_SERVICE,
			    HMM_MIRROR_SIZE_64K), 2);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_TO_VRAM, HMM_MIRROR_CAUSE_REQUEST,
			    HMM_MIRROR_SIZE_2M), 0);
	/* The module's own causes are not the caller's. */
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, PAGE,
			       HMM_MIRROR_CAUSE(HMM_MIRROR_CAUSE_CPU), &range), EINVAL);
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_REPLAY, p, PAGE, thrash, &range), EINVAL);
	rig_close(&rig);
}

/* What became of every page of a MIGRATE. */
TEST(results)
{
	uint8_t results[N + 2];
	struct hmm_mirror_range range = { .start = ARENA, .size = N * PAGE };
	const struct hmm_mirror_register reg = { .vram_quota = 40 * PAGE };
	struct iovec iov;
	struct rig rig;
	unsigned int i;
	int fds[2];
	void *p;

	rig_open_vram(&rig, &reg);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, 2 * PAGE), 2);
	EXPECT_EQ(pipe(fds), 0);
	iov = (struct iovec){ p + 3 * PAGE, PAGE };
	EXPECT_EQ(vmsplice(fds[1], &iov, 1, 0), PAGE);
	EXPECT_EQ(munmap(p + 5 * PAGE, 2 * PAGE), 0);
	EXPECT_EQ(mmap(p + 6 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 6 * PAGE, 1);
	EXPECT_EQ(mprotect(p + 8 * PAGE, PAGE, PROT_NONE), 0);
	memset(results, 77, sizeof(results));
	range.results = (uint64_t)(results + 1);
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_MIGRATE, &range), 0);
	EXPECT_EQ(range.done, 38);
	EXPECT_EQ(range.left, N - 38);
	EXPECT_EQ(results[0], 77);
	EXPECT_EQ(results[N + 1], 77);
	for (i = 0; i < N; i++) {
		uint8_t wanted = i < 2 ? HMM_MIRROR_RESULT_WAS :
				 i == 3 ? HMM_MIRROR_RESULT_BUSY :
				 i == 5 ? HMM_MIRROR_RESULT_HOLE :
				 i == 6 || i == 8 ? HMM_MIRROR_RESULT_KIND :
				 i < 44 ? HMM_MIRROR_RESULT_MOVED : HMM_MIRROR_RESULT_NO_VRAM;

		if (results[i + 1] != wanted)
			printf("# page %u\n", i);
		EXPECT_EQ(results[i + 1], wanted);
	}
	/* Swapped out: as if absent, till it is mapped. */
	EXPECT_EQ(rig_evict(&rig, p, N * PAGE), 40);
	madvise(p + 10 * PAGE, PAGE, MADV_PAGEOUT);
	range.start = ARENA + 10 * PAGE;
	range.size = PAGE;
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_MIGRATE, &range), 0);
	if (!range.done) {
		EXPECT_EQ(results[1], HMM_MIRROR_RESULT_ABSENT);
		EXPECT_EQ(rig_mirror(&rig, p + 10 * PAGE, PAGE, 0), 1);
		EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_MIGRATE, &range), 0);
		EXPECT_EQ(range.done, 1);
		EXPECT_EQ(results[1], HMM_MIRROR_RESULT_MOVED);
	}
	range.results = 8;
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_MIGRATE, &range), EFAULT);
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_EVICT, &range), EINVAL);
	range.results = (uint64_t)results;
	range.size = (1 << 30) + PAGE;
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_MIGRATE, &range), EINVAL);
	close(fds[0]);
	close(fds[1]);
	rig_close(&rig);
}

/* One process, two devices: pages go from one's memory to the other's. */
TEST(two_devices)
{
	const struct hmm_mirror_register second = { .device = 1 };
	uint8_t results[N];
	struct hmm_mirror_range range = {
		.start = ARENA,
		.size = N * PAGE,
		.results = (uint64_t)results,
	};
	struct rig rig, other;
	void *p, *h;
	int fd;

	module_reload("devices=4");
	rig_open_vram(&rig, NULL);
	fd = open(HMM_MIRROR_DEVICE, O_RDWR | O_CLOEXEC);
	EXPECT_ERRNO(ioctl(fd, HMM_MIRROR_IOC_REGISTER, &(struct hmm_mirror_register){ 0 }),
		     EBUSY);
	close(fd);
	rig_open(&other, &second);
	p = arena_small(0, N * PAGE);
	h = arena_huge(BLOCK, BLOCK);
	/* In place on both at once. */
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 1), 0);
	EXPECT_EQ(engine_check(&other, p, N * PAGE, 1), 0);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), N);
	EXPECT_EQ(rig_pages(&other, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), N);
	/* To one: the other has it no longer, and gets it in place when it asks. */
	EXPECT_EQ(rig_migrate(&other, p, N * PAGE), N);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), 0);
	engine_fill(&other, p, N * PAGE, 50);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 50), 0);
	EXPECT_EQ(in_vram(&other), 0);
	/* To the other, straight away. */
	EXPECT_EQ(rig_migrate(&other, p, N * PAGE), N);
	EXPECT_EQ(rig_migrate(&other, h, BLOCK), 512);
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_MIGRATE, &range), 0);
	EXPECT_EQ(range.done, N);
	EXPECT_EQ(results[0], HMM_MIRROR_RESULT_MOVED);
	EXPECT_EQ(rig_migrate(&rig, h, BLOCK), 512);
	EXPECT_EQ(in_vram(&rig), N + 512);
	EXPECT_EQ(in_vram(&other), 0);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_HOME, HMM_MIRROR_CAUSE_PEER,
			    HMM_MIRROR_SIZE_2M), 1);
	EXPECT_EQ(rig_moves(&rig, HMM_MIRROR_WAY_HOME, HMM_MIRROR_CAUSE_PEER,
			    HMM_MIRROR_SIZE_64K), N / 16);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 50), 0);
	EXPECT_EQ(host_check(p, N * PAGE, 50), 0);
	EXPECT_EQ(host_check(h, BLOCK, 1), 0);
	rig_close(&other);
	rig_close(&rig);
	module_reload("");
}

/* A registration gets no more VRAM than the administrator wants. */
TEST(quota_parameter)
{
	const struct hmm_mirror_register greedy = { .vram_quota = 1ull << 40 };
	struct hmm_mirror_range range;
	struct hmm_mirror_info info;
	struct rig rig;
	void *p;

	module_reload("quota_mb=1");
	rig_open_vram(&rig, &greedy);
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_INFO, &info), 0);
	EXPECT_EQ(info.vram_quota_max, 1 << 20);
	p = arena_small(0, 300 * PAGE);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, p, 300 * PAGE, 0, &range), 0);
	EXPECT_EQ(range.done, 256);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_NO_VRAM), 44);
	rig_close(&rig);
	module_reload("");
}

/* Ranges of in-kernel service are bounded, and one call for all makes room again. */
TEST(service_ranges)
{
	struct hmm_mirror_service service = { .size = PAGE, .mode = HMM_MIRROR_SERVICE_KERNEL };
	struct rig rig;
	int i;

	rig_open(&rig, NULL);
	for (i = 0; i < 4096; i++) {
		service.start = ARENA + i * 2 * PAGE;
		EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_SERVICE, &service), 0);
	}
	service.start = ARENA + i * 2 * PAGE;
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_SERVICE, &service), ENOSPC);
	rig_service(&rig, NULL, 0, HMM_MIRROR_SERVICE_PAGER);
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_SERVICE, &service), 0);
	rig_close(&rig);
}

/* A line of a file in debugfs, as a number after the words; -1 if there is none. */
static long long line(const char *file, const char *words)
{
	char name[128], text[16384], *p;
	ssize_t got;
	int fd;

	snprintf(name, sizeof(name), "/sys/kernel/debug/hmm_mirror/%s", file);
	fd = open(name, O_RDONLY);
	if (fd < 0)
		return -1;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	EXPECT_GE(got, 0);
	text[got] = '\0';
	p = strstr(text, words);
	return p ? atoll(p + strlen(words)) : -1;
}

/* The files in debugfs say the same, and those of a registration go with it. */
TEST(debugfs)
{
	struct rig rig;
	char name[32];
	void *p;
	int i;

	module_reload("");
	if (line("vram0", "size ") < 0)
		SKIP("no debugfs");
	rig_open_vram(&rig, NULL);
	p = arena_huge(0, BLOCK);
	EXPECT_EQ(rig_migrate(&rig, p, BLOCK), 512);
	EXPECT_EQ(line("vram0", "size "), 256 << 20);
	EXPECT_EQ(line("vram0", "used "), BLOCK);
	EXPECT_EQ(line("vram0", "to-vram   request      2M   "), 1);
	for (i = 1; i < 1000; i++) {
		snprintf(name, sizeof(name), "contexts/%d", i);
		if (line(name, "pid ") == getpid())
			break;
	}
	EXPECT_LE(i, 999);
	EXPECT_EQ(line(name, "vram_pages "), 512);
	EXPECT_EQ(line(name, "to_vram_2m "), 1);
	EXPECT_EQ(line(name, "queue "), 256);
	rig_close(&rig);
	EXPECT_EQ(line(name, "pid "), -1);
	EXPECT_EQ(line("vram0", "used "), 0);
	EXPECT_EQ(line("vram0", "home      request      2M   "), -1);
}
