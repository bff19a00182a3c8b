// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module itself: coming, going, its parameters. HMM_MIRROR_MODULE names the file
 * to load; the tests leave the module loaded with its default parameters.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "module.h"
#include "rig.h"

#define N 32ul

/* In use, it does not go; nonsense is refused. */
TEST(busy)
{
	struct rig rig;

	need_module();
	rig_open(&rig, NULL);
	EXPECT_ERRNO(module_unload(), EWOULDBLOCK);
	rig_close(&rig);
	module_unload_soon();
	EXPECT_ERRNO(module_load("devices=0"), EINVAL);
	EXPECT_ERRNO(module_load("devices=17"), EINVAL);
	EXPECT_ERRNO(module_load("vram_mb=0"), EINVAL);
	EXPECT_EQ(module_load(""), 0);
}

/* Pages that are still in VRAM when the module goes come home, huge ones too. */
TEST(unload_with_pages)
{
	struct hmm_mirror_counters counters;
	struct rig rig;
	void *p, *h;

	need_module();
	if (!rig_can_migrate())
		SKIP("this kernel has no DEVICE_PRIVATE");
	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	h = arena_huge(BLOCK, BLOCK);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	EXPECT_EQ(rig_migrate(&rig, h, BLOCK), 512);
	engine_fill(&rig, p, N * PAGE, 300);
	engine_fill(&rig, h, BLOCK, 400);
	engine_start(&rig, 0, ENGINE_EXIT, 0, 0, 0);
	EXPECT_EQ(waitpid(rig.engine, NULL, 0), rig.engine);
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_COUNTERS, &counters), 0);
	EXPECT_EQ(counters.value[HMM_MIRROR_COUNT_VRAM_PAGES], N + 512);
	close(rig.engine_fd);
	close(rig.fd);
	module_unload_soon();
	EXPECT_EQ(host_check(p, N * PAGE, 300), 0);
	EXPECT_EQ(host_check(h, BLOCK, 400), 0);
	EXPECT_EQ(module_load(""), 0);
}

/* VRAM has an end: what does not fit stays. */
TEST(vram_full)
{
	struct hmm_mirror_range range;
	struct rig rig;
	void *p, *h;

	module_reload("vram_mb=4");
	if (!rig_can_migrate())
		SKIP("this kernel has no DEVICE_PRIVATE");
	rig_open(&rig, NULL);
	p = arena_small(0, PAGE);
	h = arena_huge(BLOCK, 2 * BLOCK);
	EXPECT_EQ(rig_migrate(&rig, p, PAGE), 1);
	/* One block for the huge page; the other has 511 pages for its 512. */
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, h, 2 * BLOCK, 0, &range), 0);
	EXPECT_EQ(range.done, 512);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_NO_VRAM), 512);
	engine_fill(&rig, h, 2 * BLOCK, 1);
	/* With room for all of it in pieces, a huge page is split. */
	EXPECT_EQ(rig_evict(&rig, p, PAGE), 1);
	EXPECT_EQ(rig_migrate(&rig, p, PAGE), 1);
	EXPECT_EQ(rig_evict(&rig, h, BLOCK), 512);
	EXPECT_EQ(rig_migrate(&rig, h + BLOCK, BLOCK), 512);
	EXPECT_EQ(host_check(h, 2 * BLOCK, 1), 0);
	rig_close(&rig);
	module_reload("");
}

/* Four devices; a page in one's VRAM that another wants comes home first. */
TEST(devices)
{
	const struct hmm_mirror_register second = { .device = 3 };
	struct hmm_mirror_info info;
	struct rig rig;
	int status;
	pid_t pid;
	void *p;

	module_reload("devices=4 vram_mb=8");
	if (!rig_can_migrate())
		SKIP("this kernel has no DEVICE_PRIVATE");
	rig_open(&rig, NULL);
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_INFO, &info), 0);
	EXPECT_EQ(info.devices, 4);
	EXPECT_EQ(info.vram_size, 8 << 20);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, N * PAGE), N);
	engine_fill(&rig, p, N * PAGE, 600);
	pid = fork();
	if (!pid) {
		struct rig other;

		close(rig.fd);
		close(rig.engine_fd);
		rig_open(&other, &second);
		EXPECT_EQ(engine_check(&other, p, N * PAGE, 600), 0);
		EXPECT_EQ(rig_pages(&other, p, N * PAGE, HMM_MIRROR_PAGE_VRAM), 0);
		EXPECT_EQ(rig_migrate(&other, p, N * PAGE), N);
		engine_fill(&other, p, N * PAGE, 700);
		EXPECT_EQ(host_check(p, N * PAGE, 700), 0);
		rig_close(&other);
		exit(0);
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 600), 0);
	EXPECT_EQ(host_check(p, N * PAGE, 600), 0);
	rig_close(&rig);
	module_reload("");
}

#define GROUP "/sys/fs/cgroup/hmm-mirror-test"

static void group_write(const char *file, long long value)
{
	char name[128], text[32];
	int fd;

	snprintf(name, sizeof(name), GROUP "/%s", file);
	snprintf(text, sizeof(text), "%lld", value);
	fd = open(name, O_WRONLY);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static long long group_read(const char *file)
{
	char name[128], text[32] = "";
	int fd;

	snprintf(name, sizeof(name), GROUP "/%s", file);
	fd = open(name, O_RDONLY);
	EXPECT_GE(fd, 0);
	EXPECT_GE(read(fd, text, sizeof(text) - 1), 2);
	close(fd);
	return atoll(text);
}

/* The calling process moves to a memory cgroup of its own, without swap or limit. */
static void join_group(void)
{
	int fd;

	need_module();
	fd = open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY);
	if (fd < 0 || write(fd, "+memory", 7) != 7 || (mkdir(GROUP, 0755) && errno != EEXIST))
		SKIP("no memory cgroups");
	close(fd);
	group_write("memory.max", 1ll << 40);
	group_write("memory.swap.max", 0);
	group_write("cgroup.procs", getpid());
}

/* A memory cgroup at its limit does not keep pages from coming home. */
TEST(cgroup_limit)
{
	struct rig rig;
	void *p;

	/* Whatever the test before has left. */
	module_reload("");
	join_group();
	if (!rig_can_migrate())
		SKIP("this kernel has no DEVICE_PRIVATE");
	rig_open(&rig, NULL);
	p = arena_small(0, 4096 * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, 4096 * PAGE), 4096);
	/* The pages in VRAM are charged; hardly anything more can be. */
	EXPECT_GE(group_read("memory.current"), 4096 * PAGE);
	group_write("memory.max", group_read("memory.current") + (2 << 20));
	EXPECT_EQ(host_check(p, 4096 * PAGE, 1), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_CPU_4K), 4096);
	rig_close(&rig);
}

/*
 * The OOM killer takes a host whose memory is mirrored and in VRAM, while its engine
 * uses it. Others, and the next host, go on.
 */
TEST(out_of_memory)
{
	int status;
	pid_t host;

	need_module();
	host = fork();
	if (!host) {
		struct rig rig;
		uint64_t offset;
		void *p;

		join_group();
		rig_open(&rig, NULL);
		p = arena_small(0, 2048 * PAGE);
		rig_mirror(&rig, p, 1024 * PAGE, HMM_MIRROR_WRITE);
		if (rig_can_migrate())
			rig_migrate(&rig, p + 1024 * PAGE, 1024 * PAGE);
		engine_start(&rig, 0, ENGINE_SPRAY, (uint64_t)p, 2048 * PAGE, 1ull << 40);
		group_write("memory.max", group_read("memory.current") + (8 << 20));
		p = arena_map(4 * BLOCK, ARENA_SIZE / 2, PROT_READ | PROT_WRITE, 0);
		for (offset = 0; offset < ARENA_SIZE / 2; offset += PAGE)
			*(volatile uint64_t *)(p + offset) = 1;
		exit(0);
	}
	EXPECT_EQ(waitpid(host, &status, 0), host);
	EXPECT_EQ(WIFSIGNALED(status), 1);
	EXPECT_EQ(WTERMSIG(status), SIGKILL);
}
