// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kinds of memory and rights to it, mapped in place: files, what drivers and userfaultfd
 * put there, what a child inherits. Most of it is what Linux's own tests of HMM check too;
 * README.rst has the list.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "module.h"
#include "rig.h"

#define N 64ul

/* Untouched pages, the zero page and data in a read-only mapping: all of it is read. */
TEST(read_only_mixture)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_map(0, N * PAGE, PROT_READ | PROT_WRITE, 0);
	EXPECT_EQ(madvise(p, N * PAGE, MADV_NOHUGEPAGE), 0);
	host_fill(p + 2 * PAGE, (N - 2) * PAGE, 5);
	EXPECT_EQ(mprotect(p, N * PAGE, PROT_READ), 0);
	EXPECT_EQ(*(volatile uint64_t *)(p + PAGE), 0);
	EXPECT_EQ(engine_read(&rig, p + 8), 0);
	EXPECT_EQ(engine_read(&rig, p + PAGE + 8), 0);
	EXPECT_EQ(engine_check(&rig, p + 2 * PAGE, (N - 2) * PAGE, 5), 0);
	EXPECT_EQ(rig.faults, N);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), N);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_WRITE), 0);
	rig_close(&rig);
}

/* What the host itself may not read, the engine does not see; the data is as it was. */
TEST(prot_none)
{
	struct hmm_mirror_range range;
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_small(0, N * PAGE);
	EXPECT_EQ(mprotect(p, N * PAGE, PROT_NONE), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_READ, ARENA, 8, 0).signal, SIGSEGV);
	EXPECT_EQ(engine_do(&rig, ENGINE_WRITE, ARENA, 8, 9).signal, SIGSEGV);
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, p, N * PAGE, 0, &range), EFAULT);
	EXPECT_EQ(rig_pages(&rig, p, N * PAGE, HMM_MIRROR_PAGE_PRESENT), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_FAILED), 2);
	EXPECT_EQ(mprotect(p, N * PAGE, PROT_READ), 0);
	EXPECT_EQ(host_check(p, N * PAGE, 1), 0);
	rig_close(&rig);
}

/* Read-only zero pages cannot be written; once they may be, they are replaced. */
TEST(write_when_allowed)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = arena_map(0, N * PAGE, PROT_READ, 0);
	EXPECT_EQ(madvise(p, N * PAGE, MADV_NOHUGEPAGE), 0);
	EXPECT_EQ(engine_read(&rig, p), 0);
	EXPECT_EQ(engine_do(&rig, ENGINE_WRITE, ARENA, 8, 9).signal, SIGSEGV);
	EXPECT_EQ(*(volatile uint64_t *)p, 0);
	EXPECT_EQ(mprotect(p, N * PAGE, PROT_READ | PROT_WRITE), 0);
	engine_fill(&rig, p, N * PAGE, 3);
	EXPECT_EQ(host_check(p, N * PAGE, 3), 0);
	EXPECT_EQ(rig.faults, 2 + N);
	rig_close(&rig);
}

/*
 * A child with a mirror of its own: its device's writes to inherited private memory are
 * not the parent's, be it small or huge, in VRAM or not.
 */
TEST(child_with_mirror)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		bool huge = i & 1, vram = i & 2;
		uint64_t size = huge ? BLOCK : N * PAGE;
		struct rig rig;
		int status;
		pid_t pid;
		void *p;

		if (vram && !rig_can_migrate())
			break;
		rig_open(&rig, NULL);
		p = huge ? arena_huge(0, BLOCK) : arena_small(0, size);
		if (vram)
			EXPECT_EQ(rig_migrate(&rig, p, size), size / PAGE);
		pid = fork();
		if (!pid) {
			struct rig own;

			rig_open(&own, NULL);
			own.pager = pager_mirror_block;
			EXPECT_EQ(host_check(p, size, 1), 0);
			engine_fill(&own, p, size, 1000);
			EXPECT_EQ(own.faults, rig_count(&own, HMM_MIRROR_COUNT_FAULTS));
			EXPECT_GE(own.faults, 1);
			EXPECT_EQ(host_check(p, size, 1000), 0);
			rig_close(&own);
			exit(0);
		}
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
		EXPECT_EQ(host_check(p, size, 1), 0);
		EXPECT_EQ(engine_check(&rig, p, size, 1), 0);
		rig_close(&rig);
	}
}

/* ... and its writes to shared memory are. */
TEST(child_with_mirror_shared)
{
	int status;
	pid_t pid;
	void *p;

	p = mmap((void *)ARENA, N * PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	EXPECT_EQ((uint64_t)p, ARENA);
	host_fill(p, N * PAGE, 1);
	pid = fork();
	if (!pid) {
		struct rig own;

		rig_open(&own, NULL);
		EXPECT_EQ(host_check(p, N * PAGE, 1), 0);
		engine_fill(&own, p, N * PAGE, 1000);
		EXPECT_EQ(own.faults, N);
		rig_close(&own);
		exit(0);
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(host_check(p, N * PAGE, 1000), 0);
}

/* A file of a disk file system, shared: read, and written through. */
TEST(file_shared)
{
	char name[] = "/tmp/hmm-mirror-XXXXXX";
	int fd = mkstemp(name);
	uint64_t word;
	struct rig rig;
	unsigned int i;
	void *p;

	unlink(name);
	rig_open(&rig, NULL);
	for (i = 0; i < N * 512; i++) {
		word = 10 + i;
		EXPECT_EQ(write(fd, &word, 8), 8);
	}
	p = mmap((void *)ARENA, N * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	EXPECT_EQ((uint64_t)p, ARENA);
	EXPECT_EQ(engine_check(&rig, p, N * PAGE, 10), 0);
	EXPECT_EQ(rig.faults, N);
	EXPECT_EQ(engine_do(&rig, ENGINE_WRITE, ARENA, 8, 1).signal, SIGSEGV);
	p = mmap((void *)ARENA, N * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	EXPECT_EQ((uint64_t)p, ARENA);
	engine_fill(&rig, p, N * PAGE, 77);
	for (i = 0; i < N; i++) {
		EXPECT_EQ(pread(fd, &word, 8, i * PAGE), 8);
		EXPECT_EQ(word, 77 + i * 512);
	}
	EXPECT_EQ(fsync(fd), 0);
	engine_fill(&rig, p, N * PAGE, 78);
	EXPECT_EQ(host_check(p, N * PAGE, 78), 0);
	rig_close(&rig);
}

/* The same addresses again and again, with other memory each time. */
TEST(read_repeatedly)
{
	enum { TIMES = 64 };
	struct rig rig;
	uint64_t i;

	rig_open(&rig, NULL);
	for (i = 1; i <= TIMES; i++) {
		void *p = arena_small(0, 8 * PAGE);

		host_fill(p, 8 * PAGE, i);
		EXPECT_EQ(engine_check(&rig, p, 8 * PAGE, i), 0);
		EXPECT_EQ(munmap(p, 8 * PAGE), 0);
	}
	EXPECT_EQ(rig.faults, TIMES * 8);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_INVALIDATED), TIMES * 8);
	rig_close(&rig);
}

static void *unmap_soon(void *argument)
{
	usleep((uintptr_t)argument);
	munmap((void *)ARENA + N / 2 * PAGE, N / 2 * PAGE);
	return NULL;
}

/* Half of the memory is unmapped while the engine reads: all of it, or SIGSEGV there. */
TEST(teardown)
{
	unsigned int seed = 7, i, complete = 0;
	struct rig rig;

	rig_open(&rig, NULL);
	rig.pager = pager_mirror;
	for (i = 0; i < 40; i++) {
		void *p = arena_small(0, N * PAGE);
		struct engine_reply reply;
		pthread_t thread;

		EXPECT_EQ(pthread_create(&thread, NULL, unmap_soon,
					 (void *)(uintptr_t)(rand_r(&seed) % 20000)), 0);
		reply = engine_do(&rig, ENGINE_CHECK, ARENA, N * PAGE, 1);
		if (reply.signal) {
			EXPECT_EQ(reply.signal, SIGSEGV);
			EXPECT_GE(reply.address, ARENA + N / 2 * PAGE);
			EXPECT_LE(reply.address, ARENA + N * PAGE - 1);
		} else {
			EXPECT_EQ(reply.value, 0);
			complete++;
		}
		pthread_join(thread, NULL);
		EXPECT_EQ(host_check(p, N / 2 * PAGE, 1), 0);
		munmap(p, N * PAGE);
	}
	printf("# %u of %u were read to the end\n", complete, i);
	rig_close(&rig);
}

/* Pages that a driver put into a mapping, with references (VM_MIXEDMAP). */
TEST(mixed_map)
{
	struct io_uring_params params = { 0 };
	struct rig rig;
	uint32_t *p;
	int fd;

	fd = syscall(SYS_io_uring_setup, 4, &params);
	if (fd < 0)
		SKIP("no io_uring");
	rig_open(&rig, NULL);
	/* Where the kernel wants it, so that the engine of the rig does not reach it. */
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	EXPECT_NE((long)p, -1);
	EXPECT_EQ(p[params.sq_off.ring_entries / 4], 4);
	EXPECT_EQ(rig_mirror(&rig, p, PAGE, HMM_MIRROR_PRESENT), 1);
	EXPECT_EQ(rig_pages(&rig, p, PAGE, HMM_MIRROR_PAGE_PRESENT | HMM_MIRROR_PAGE_WRITE), 1);
	EXPECT_EQ(munmap(p, PAGE), 0);
	EXPECT_EQ(rig_pages(&rig, p, PAGE, HMM_MIRROR_PAGE_PRESENT), 0);
	rig_close(&rig);
}

/* What there is, without making it: holes, rights, the zero page, two devices' memory. */
TEST(snapshot)
{
	const struct hmm_mirror_register second = { .device = 1 };
	struct hmm_mirror_query query = { .start = ARENA, .size = 7 * PAGE };
	struct rig rig, other;
	uint8_t pages[7];
	void *p;

	module_reload("devices=2");
	rig_open_vram(&rig, NULL);
	rig_open(&other, &second);
	p = arena_map(0, 7 * PAGE, PROT_NONE, 0);
	EXPECT_EQ(madvise(p, 7 * PAGE, MADV_NOHUGEPAGE), 0);
	EXPECT_EQ(munmap(p + PAGE, PAGE), 0);
	EXPECT_EQ(mprotect(p + 2 * PAGE, 5 * PAGE, PROT_READ | PROT_WRITE), 0);
	EXPECT_EQ(*(volatile uint64_t *)(p + 2 * PAGE), 0);
	host_fill(p + 3 * PAGE, 2 * PAGE, 1);
	EXPECT_EQ(mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ), 0);
	EXPECT_EQ(rig_migrate(&rig, p + 5 * PAGE, PAGE), 1);
	EXPECT_EQ(rig_migrate(&other, p + 6 * PAGE, PAGE), 1);
	EXPECT_EQ(rig_mirror(&rig, p, 7 * PAGE, HMM_MIRROR_PRESENT), 4);
	query.pages = (uint64_t)pages;
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_QUERY, &query), 0);
	EXPECT_EQ(pages[0], 0);
	EXPECT_EQ(pages[1], 0);
	EXPECT_EQ(pages[2], HMM_MIRROR_PAGE_PRESENT);
	EXPECT_EQ(pages[3], HMM_MIRROR_PAGE_PRESENT);
	EXPECT_EQ(pages[4], HMM_MIRROR_PAGE_PRESENT | HMM_MIRROR_PAGE_WRITE);
	EXPECT_EQ(pages[5], HMM_MIRROR_PAGE_PRESENT | HMM_MIRROR_PAGE_WRITE |
			    HMM_MIRROR_PAGE_VRAM);
	EXPECT_EQ(pages[6], 0);
	EXPECT_EQ(rig_count(&other, HMM_MIRROR_COUNT_VRAM_PAGES), 1);
	rig_close(&other);
	rig_close(&rig);
	module_reload("");
}

/* A page of hugetlbfs is one entry, writable or not. */
TEST(hugetlb_entry)
{
	struct rig rig;
	void *p;

	rig_open(&rig, NULL);
	p = mmap((void *)ARENA, BLOCK, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0);
	if (p == MAP_FAILED)
		SKIP("no pages reserved in /proc/sys/vm/nr_hugepages");
	host_fill(p, BLOCK, 1);
	EXPECT_EQ(rig_mirror(&rig, p, BLOCK, HMM_MIRROR_PRESENT), 512);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_HUGE | HMM_MIRROR_PAGE_WRITE), 512);
	EXPECT_EQ(mprotect(p, BLOCK, PROT_READ), 0);
	EXPECT_EQ(rig_mirror(&rig, p, BLOCK, HMM_MIRROR_PRESENT), 512);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_HUGE), 512);
	EXPECT_EQ(rig_pages(&rig, p, BLOCK, HMM_MIRROR_PAGE_WRITE), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_MIRRORED_2M), 2);
	EXPECT_EQ(engine_check(&rig, p, BLOCK, 1), 0);
	EXPECT_EQ(munmap(p, BLOCK), 0);
	rig_close(&rig);
}

struct filler {
	int uffd, stop[2];
	unsigned int filled;
};

static void *fill_missing(void *argument)
{
	static uint64_t pages[1024];
	struct filler *filler = argument;
	struct pollfd fds[2] = {
		{ .fd = filler->uffd, .events = POLLIN },
		{ .fd = filler->stop[0], .events = POLLIN },
	};
	/* A page within, whose address is one's. */
	uint64_t *page = (void *)(((uint64_t)pages + PAGE - 1) & -PAGE);
	struct uffd_msg message;

	while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
		struct uffdio_copy copy = { .len = PAGE };

		if (read(filler->uffd, &message, sizeof(message)) != sizeof(message))
			break;
		copy.dst = message.arg.pagefault.address & -PAGE;
		copy.src = (uint64_t)page;
		host_fill(page, PAGE, 500 + (copy.dst - ARENA) / 8);
		if (!ioctl(filler->uffd, UFFDIO_COPY, &copy))
			filler->filled++;
	}
	return NULL;
}

/* Memory that userfaultfd fills: the engine's fault waits for it, since 7.3. */
TEST(userfaultfd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { ARENA, N * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct filler filler = { 0 };
	struct engine_reply reply;
	pthread_t thread;
	struct rig rig;
	void *p;

	filler.uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (filler.uffd < 0)
		SKIP("no userfaultfd");
	rig_open(&rig, NULL);
	p = arena_map(0, N * PAGE, PROT_READ | PROT_WRITE, 0);
	EXPECT_EQ(pipe(filler.stop), 0);
	EXPECT_EQ(ioctl(filler.uffd, UFFDIO_API, &api), 0);
	EXPECT_EQ(ioctl(filler.uffd, UFFDIO_REGISTER, &reg), 0);
	EXPECT_EQ(pthread_create(&thread, NULL, fill_missing, &filler), 0);
	reply = engine_do(&rig, ENGINE_CHECK, ARENA, N * PAGE, 500);
	if (reply.signal)
		EXPECT_EQ(rig_can_migrate(), false);
	else
		EXPECT_EQ(filler.filled, N);
	EXPECT_EQ(write(filler.stop[1], "x", 1), 1);
	pthread_join(thread, NULL);
	close(filler.uffd);
	if (reply.signal)
		SKIP("hmm_range_fault() of this kernel holds mmap_lock");
	EXPECT_EQ(reply.value, 0);
	EXPECT_EQ(host_check(p, N * PAGE, 500), 0);
	rig_close(&rig);
}
