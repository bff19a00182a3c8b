// SPDX-License-Identifier: MIT
/* Kinds and sizes of host memory: where each is served from, and that both sides see the same in it. */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/tests/uffd_fixture.h"

#define PAGES 20ul
#define SIZE (PAGES * PAGE_SIZE)

static struct fixture f;

static struct mcl_counters since(const struct mcl_counters *before)
{
	struct mcl_counters c = fixture_counters(&f);

	for (int i = 0; i < MCL_CAUSE_COUNT; i++) {
		c.cause[i].count -= before->cause[i].count;
		c.cause[i].pages -= before->cause[i].pages;
	}
	return c;
}

/*
 * There and back, of every power of two from a page to 64 MiB: every page once in each direction, in the number of faults
 * that doubling chunks make.
 */
static void sizes(void **state)
{
	char *room = mmap(NULL, 256ul << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)state;
	assert_ptr_not_equal(room, MAP_FAILED);
	/* Aligned, so that chunks are whole. */
	room = (char *)(((uint64_t)room + MCL_BLOCK_SIZE - 1) & ~(MCL_BLOCK_SIZE - 1)) + MCL_BLOCK_SIZE;
	for (uint64_t size = PAGE_SIZE; size <= 64ul << 20; size *= 2) {
		const uint64_t pages = size / PAGE_SIZE;
		struct mcl_counters before, c;
		uint64_t faults;

		assert_ptr_equal(mmap(room, size, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0),
				 room);
		fixture_fill(room, size, 1);
		before = fixture_counters(&f);
		assert_true(fixture_run(&f, TEST_FILL, room, size, 0, 2, NULL));
		c = since(&before);
		/* 64K, 64K, 128K ... 1M in the first block, one for each further block */
		faults = 1;
		for (uint64_t have = 65536; have < size; faults++)
			have += have < MCL_BLOCK_SIZE ? have : MCL_BLOCK_SIZE;
		assert_int_equal(c.cause[MCL_CAUSE_DEVICE_WRITE].pages, pages);
		assert_in_range(c.cause[MCL_CAUSE_DEVICE_WRITE].count, 1, faults);
		assert_int_equal(c.cause[MCL_CAUSE_DEVICE_READ].count, 0);
		assert_int_equal(c.vram_used, size);
		assert_int_equal(fixture_count(&f, room, size, PAGE_VRAM), pages);
		assert_true(fixture_host_has(room, size, 2));
		c = since(&before);
		assert_int_equal(c.cause[MCL_CAUSE_CPU_FAULT].pages, pages);
		assert_in_range(c.cause[MCL_CAUSE_CPU_FAULT].count, 1, faults);
		assert_int_equal(c.vram_used, 0);
	}
}

/* The host has never touched it: zeros on the device, and no page of it costs the host memory before. */
static void fresh(void **state)
{
	uint64_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), sum = 1;

	(void)state;
	assert_true(fixture_run(&f, TEST_SUM, p, SIZE, 0, 0, &sum));
	assert_int_equal(sum, 0);
	assert_int_equal(fixture_count(&f, p, SIZE, PAGE_VRAM), PAGES);
	assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, 3, NULL));
	assert_true(fixture_host_has(p, SIZE, 3));
	munmap(p, SIZE);
}

/* mlock: pages move all the same, and are locked again when they come home. */
static uint64_t locked_kb(void)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");
	unsigned long kb = 0;

	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "VmLck: %lu kB", &kb) == 1)
			break;
	fclose(status);
	return kb;
}

static void locked(void **state)
{
	static const int flags[] = { 0, MLOCK_ONFAULT };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		uint64_t before;

		fixture_fill(p, SIZE, 1);
		before = locked_kb();
		if (syscall(SYS_mlock2, p, SIZE, flags[i])) {
			print_message("no right to lock memory: %s\n", strerror(errno));
			skip();
		}
		assert_true(fixture_device_has(&f, p, SIZE, 1));
		assert_int_equal(fixture_count(&f, p, SIZE, PAGE_VRAM), PAGES);
		assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, 2, NULL));
		assert_true(fixture_host_has(p, SIZE, 2));
		/* The mirror may have locked 2 MiB of addresses of its own for the purpose. */
		assert_int_equal((locked_kb() - before) % 2048, SIZE / 1024);
		assert_in_range(locked_kb() - before, 0, 2048 + SIZE / 1024);
		assert_int_equal(munlock(p, SIZE), 0);
		assert_true(fixture_device_has(&f, p, SIZE, 2));
		assert_true(fixture_host_has(p, SIZE, 2));
		munmap(p, SIZE);
	}
}

/* mlockall(MCL_FUTURE) for memory that comes later. */
static void all_locked(void **state)
{
	char *p;

	(void)state;
	if (mlockall(MCL_FUTURE | MCL_ONFAULT))
		skip();
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fixture_fill(p, SIZE, 4);
	assert_true(fixture_device_has(&f, p, SIZE, 4));
	assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, 5, NULL));
	assert_true(fixture_host_has(p, SIZE, 5));
	munlockall();
	munmap(p, SIZE);
}

/* Executable memory moves with its rights: code runs after a visit to the device. */
static void executable(void **state)
{
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 }; /* mov $42, %eax; ret */
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	union {
		void *data;
		int (*run)(void);
	} at;

	(void)state;
	memcpy(p, code, sizeof(code));
	/* Its own page, too: a neighbour that the host has just stored to may stay behind. */
	assert_true(fixture_run(&f, TEST_FILL, p + 64, SIZE - 64, 0, 1, NULL));
	assert_int_equal(fixture_state(&f, p), PAGE_VRAM);
	at.data = p;
	assert_int_equal(at.run(), 42);
	/* Mapped in place it is executable, too. */
	for (int i = 0; fixture_state(&f, p) != PAGE_PROMOTED; i++) {
		assert_true(i < 1000);
		assert_true(fixture_run(&f, TEST_FILL, p + 64, 8, 0, 1, NULL));
		assert_int_equal(at.run(), 42);
	}
	assert_int_equal(at.run(), 42);
	munmap(p, SIZE);
}

/* Read-only: a copy that the host's first store drops, at once, again and again. */
static void read_only(void **state)
{
	uint64_t *p = fixture_make(&f, SIZE, PAGE_COPY, 7);

	(void)state;
	assert_false(fixture_run(&f, TEST_FILL, p, 8, 0, 1, NULL));
	for (uint64_t i = 1; i < 10; i++) {
		assert_int_equal(mprotect(p, SIZE, PROT_READ | PROT_WRITE), 0);
		fixture_fill(p, SIZE, i);
		assert_int_equal(mprotect(p, SIZE, PROT_READ), 0);
		assert_true(fixture_device_has(&f, p, SIZE, i));
		assert_int_equal(fixture_count(&f, p, SIZE, PAGE_COPY), PAGES);
	}
	munmap(p, SIZE);
}

/* A store that the host makes while a kernel polls a copy is seen by that kernel. */
static void copy_is_dropped_under_a_reader(void **state)
{
	uint64_t *p = fixture_make(&f, SIZE, PAGE_COPY, 7);

	(void)state;
	fixture_go(&f, 0, TEST_LOOP_SUM, p, 8, 0, 0);
	while (fixture_unit(&f, 0)->result != 7)
		usleep(100);
	assert_int_equal(mprotect(p, SIZE, PROT_READ | PROT_WRITE), 0);
	p[0] = 99;
	while (fixture_unit(&f, 0)->result != 99)
		usleep(100);
	atomic_store(&fixture_unit(&f, 0)->stop, 1);
	assert_true(fixture_wait(&f, 0, NULL));
	munmap(p, SIZE);
}

/* .rodata, .data, .bss and thread-local data of this program. */
static const uint64_t constants[1024] = { [0] = 1, [1] = 2, [1023] = 1024 };
static uint64_t initialised[1024] = { [0] = 5, [1023] = 6 };
static uint64_t zeros[1024];
static _Thread_local uint64_t mine[64];

static void sections(void **state)
{
	uint64_t sum;

	(void)state;
	assert_true(fixture_run(&f, TEST_SUM, constants, sizeof(constants), 0, 0, &sum));
	assert_int_equal(sum, 1027);
	assert_false(fixture_run(&f, TEST_FILL, constants, 8, 0, 0, NULL));
	assert_true(fixture_run(&f, TEST_SUM, initialised, sizeof(initialised), 0, 0, &sum));
	assert_int_equal(sum, 11);
	assert_true(fixture_run(&f, TEST_FILL, initialised, sizeof(initialised), 0, 100, NULL));
	assert_true(fixture_host_has(initialised, sizeof(initialised), 100));
	initialised[3] = 8;
	assert_true(fixture_run(&f, TEST_SUM, &initialised[3], 8, 0, 0, &sum));
	assert_int_equal(sum, 8);
	assert_true(fixture_run(&f, TEST_FILL, zeros, sizeof(zeros), 0, 1, NULL));
	assert_true(fixture_host_has(zeros, sizeof(zeros), 1));
	mine[0] = 17;
	assert_true(fixture_run(&f, TEST_SUM, mine, 8, 0, 0, &sum));
	assert_int_equal(sum, 17);
	assert_true(fixture_run(&f, TEST_FILL, mine, sizeof(mine), 0, 3, NULL));
	assert_true(fixture_host_has(mine, sizeof(mine), 3));
}

/* The stack of the thread that waits for the operation. */
static void stack(void **state)
{
	volatile uint64_t local[1024];
	uint64_t sum;

	(void)state;
	for (int turn = 0; turn < 20; turn++) {
		for (int i = 0; i < 1024; i++)
			local[i] = (uint64_t)turn;
		assert_true(fixture_run(&f, TEST_SUM, (void *)local, sizeof(local), 0, 0, &sum));
		assert_int_equal(sum, 1024 * turn);
		assert_true(fixture_run(&f, TEST_FILL, (void *)local, sizeof(local), 0, 55, NULL));
		assert_true(fixture_host_has((void *)local, sizeof(local), 55));
	}
}

/* Deeper than it was when the device came to it first: the mapping grows below. */
static uint64_t deep(unsigned int depth)
{
	volatile uint64_t local[512];

	local[0] = depth;
	if (depth)
		local[1] = deep(depth - 1);
	else if (!fixture_run(&f, TEST_FILL, (void *)local, 8, 0, 1234, NULL))
		return 0;
	return depth ? local[1] : local[0];
}

static void stack_grows(void **state)
{
	(void)state;
	assert_int_equal(deep(2), 1234);
	assert_int_equal(deep(100), 1234);
	assert_int_equal(deep(1000), 1234);
}

/* Files: shared ones are the same memory on both sides, while both run; private ones are private, and up to date. */
static void file_shared(void **state)
{
	int fd = fixture_file(SIZE, 1);
	uint64_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), word;

	(void)state;
	assert_true(fixture_device_has(&f, p, SIZE, 1));
	assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, 2, NULL));
	assert_true(fixture_host_has(p, SIZE, 2));
	assert_int_equal(pread(fd, &word, 8, 8), 8);
	assert_int_equal(word, 3);
	word = 77;
	assert_int_equal(pwrite(fd, &word, 8, 0), 8);
	fixture_go(&f, 0, TEST_LOOP_SUM, p, 8, 0, 0);
	while (fixture_unit(&f, 0)->result != 77)
		usleep(100);
	p[0] = 78;
	while (fixture_unit(&f, 0)->result != 78)
		usleep(100);
	atomic_store(&fixture_unit(&f, 0)->stop, 1);
	assert_true(fixture_wait(&f, 0, NULL));
	/* Read-only: not to be written by the device either. */
	assert_int_equal(mprotect(p, SIZE, PROT_READ), 0);
	assert_false(fixture_run(&f, TEST_FILL, p, 8, 0, 1, NULL));
	assert_int_equal(p[0], 78);
	/* Unmapped: the next operation faults. */
	munmap(p, SIZE);
	assert_false(fixture_run(&f, TEST_SUM, p, 8, 0, 0, NULL));
	close(fd);
}

static void file_private(void **state)
{
	int fd = fixture_file(SIZE, 1);
	uint64_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), word;

	(void)state;
	assert_true(fixture_device_has(&f, p, SIZE, 1));
	assert_true(fixture_run(&f, TEST_FILL, p, PAGE_SIZE, 0, 9, NULL));
	assert_true(fixture_host_has(p, PAGE_SIZE, 9));
	assert_int_equal(pread(fd, &word, 8, 0), 8);
	assert_int_equal(word, 1);
	/* Stores of both to different words of a page that is a twin: neither is lost. */
	for (uint64_t i = 0; i < 20; i++) {
		p[2 * i] = i;
		assert_true(fixture_run(&f, TEST_FILL, &p[2 * i + 1], 8, 0, 100 + i, NULL));
	}
	for (uint64_t i = 0; i < 20; i++) {
		assert_int_equal(p[2 * i], i);
		assert_int_equal(p[2 * i + 1], 100 + i);
	}
	/* A page of it that the file does not have: the host would get SIGBUS, so the device does. */
	assert_int_equal(ftruncate(fd, SIZE - 4 * PAGE_SIZE), 0);
	assert_false(fixture_run(&f, TEST_SUM, p + (SIZE - PAGE_SIZE) / 8, 8, 0, 0, NULL));
	munmap(p, SIZE);
	close(fd);
}

static void shared_anonymous(void **state)
{
	uint64_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	fixture_fill(p, SIZE, 1);
	assert_true(fixture_device_has(&f, p, SIZE, 1));
	assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, 2, NULL));
	assert_true(fixture_host_has(p, SIZE, 2));
	/* Rights that come back. */
	assert_int_equal(mprotect(p, SIZE, PROT_READ), 0);
	assert_true(fixture_device_has(&f, p, SIZE, 2));
	assert_int_equal(mprotect(p, SIZE, PROT_READ | PROT_WRITE), 0);
	assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, 3, NULL));
	assert_true(fixture_host_has(p, SIZE, 3));
	munmap(p, SIZE);
	assert_false(fixture_run(&f, TEST_SUM, p, 8, 0, 0, NULL));
}

/* ---- what is not served: a fault of the device, and the reason on standard error ---- */

static FILE *captured;
static int saved_stderr;

static void capture(void)
{
	fflush(stderr);
	captured = tmpfile();
	saved_stderr = dup(STDERR_FILENO);
	dup2(fileno(captured), STDERR_FILENO);
}

static bool said(const char *what)
{
	char text[4096];
	size_t n;

	fflush(stderr);
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	rewind(captured);
	n = fread(text, 1, sizeof(text) - 1, captured);
	fclose(captured);
	text[n] = 0;
	if (!strstr(text, what))
		print_error("said: %s\n", text);
	return strstr(text, what) != NULL;
}

static void kernel_pages(void **state)
{
	char *vdso = (char *)getauxval(AT_SYSINFO_EHDR);

	(void)state;
	if (!vdso)
		skip();
	capture();
	assert_false(fixture_run(&f, TEST_SUM, vdso, 8, 0, 0, NULL));
	assert_true(said("no page of it can be shared or moved"));
}

static void huge_pages(void **state)
{
	char *p = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	(void)state;
	if (p == MAP_FAILED) {
		print_message("no huge pages are reserved here\n");
		skip();
	}
	p[0] = 1;
	capture();
	assert_false(fixture_run(&f, TEST_SUM, p, 8, 0, 0, NULL));
	assert_true(said("no page of it can be shared or moved"));
	assert_int_equal(p[0], 1);
	munmap(p, 2 << 20);
}

static void other_watcher(void **state)
{
	struct uffdio_api api = { .api = UFFD_API };
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register r = { .range = { (uint64_t)p, SIZE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY);

	(void)state;
	fixture_fill(p, SIZE, 1);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, UFFDIO_API, &api), 0);
	assert_int_equal(ioctl(fd, UFFDIO_REGISTER, &r), 0);
	capture();
	assert_false(fixture_run(&f, TEST_SUM, p, 8, 0, 0, NULL));
	assert_true(said("another userfaultfd watches it"));
	/* When it is gone, the memory is as good as any. */
	close(fd);
	assert_true(fixture_device_has(&f, p, SIZE, 1));
	assert_true(fixture_host_has(p, SIZE, 1));
	munmap(p, SIZE);
}

/* The other order: memory that the device has used cannot be watched by somebody else, who gets an error. */
static void other_watcher_late(void **state)
{
	struct uffdio_api api = { .api = UFFD_API };
	char *p = fixture_make(&f, SIZE, PAGE_VRAM, 1);
	struct uffdio_register r = { .range = { (uint64_t)p, SIZE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, UFFDIO_API, &api), 0);
	assert_int_equal(ioctl(fd, UFFDIO_REGISTER, &r), -1);
	assert_int_equal(errno, EBUSY);
	close(fd);
	assert_true(fixture_host_has(p, SIZE, 1));
	munmap(p, SIZE);
}

/* PROT_NONE is nothing for the device, and write-only is as readable as the processor makes it. */
static void no_rights(void **state)
{
	char *p = fixture_make(&f, SIZE, PAGE_HOST, 1);

	(void)state;
	assert_int_equal(mprotect(p, SIZE, PROT_NONE), 0);
	assert_false(fixture_run(&f, TEST_SUM, p, 8, 0, 0, NULL));
	assert_false(fixture_run(&f, TEST_FILL, p, 8, 0, 0, NULL));
	assert_int_equal(mprotect(p, SIZE, PROT_READ | PROT_WRITE), 0);
	assert_true(fixture_device_has(&f, p, SIZE, 1));
	munmap(p, SIZE);
}

#define test(t) fixture_test(t, fixture_setup_eager, &f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(sizes),
		test(fresh),
		test(locked),
		test(all_locked),
		test(executable),
		test(read_only),
		test(copy_is_dropped_under_a_reader),
		test(sections),
		test(stack),
		test(stack_grows),
		test(file_shared),
		test(file_private),
		test(shared_anonymous),
		test(kernel_pages),
		test(huge_pages),
		test(other_watcher),
		test(other_watcher_late),
		test(no_rights),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
