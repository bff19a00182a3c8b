// SPDX-License-Identifier: MIT
/*
 * The kernel itself reads and writes memory that the device uses: system calls, direct I/O that pins pages, io_uring's
 * registered buffers, other processes. Not a byte is lost, whatever is on its way.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/tests/uffd_fixture.h"

#define PAGES 16ul
#define SIZE (PAGES * PAGE_SIZE)

static struct fixture f;

/* Buffers of system calls in VRAM, for reading and for writing; structures, arrays of pointers, strings. */
static void system_calls(void **state)
{
	char *p = fixture_make(&f, SIZE, PAGE_HOST, 0);
	struct iovec *vectors = (struct iovec *)p;
	struct pollfd *polled = (struct pollfd *)(p + PAGE_SIZE);
	struct timespec *time = (struct timespec *)(p + 2 * PAGE_SIZE);
	char *in = p + 4 * PAGE_SIZE, *out = p + 6 * PAGE_SIZE, *path = p + 8 * PAGE_SIZE - 3;
	struct stat *st = (struct stat *)(p + 9 * PAGE_SIZE);
	struct utsname *name = (struct utsname *)(p + 10 * PAGE_SIZE);
	unsigned char *random = (unsigned char *)p + 12 * PAGE_SIZE;
	int pipes[2], sockets[2], zeros = 0;
	struct sigaction *action = (struct sigaction *)(p + 15 * PAGE_SIZE);

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	for (int round = 0; round < 20; round++) {
		vectors[0] = (struct iovec){ in, 100 };
		vectors[1] = (struct iovec){ in + PAGE_SIZE + 100, 50 };
		memset(in, 'a' + round, 2 * PAGE_SIZE);
		memcpy(path, "/dev/null", 10); /* across two pages */
		polled->fd = pipes[0];
		polled->events = POLLIN;
#define away() mcl_pager_migrate(f.pager, p, SIZE, false)
		away();
		assert_int_equal(writev(pipes[1], vectors, 2), 150);
		away();
		assert_int_equal(poll(polled, 1, 1000), 1);
		away();
		assert_int_equal(read(pipes[0], out + 4000, 150), 150);
		for (int i = 0; i < 150; i++)
			assert_int_equal(out[4000 + i], 'a' + round);
		away();
		assert_int_equal(send(sockets[0], out + 4000, 150, 0), 150);
		away();
		assert_int_equal(recv(sockets[1], in + 4050, 150, MSG_WAITALL), 150);
		for (int i = 0; i < 150; i++)
			assert_int_equal(in[4050 + i], 'a' + round);
		away();
		assert_int_equal(stat(path, st), 0);
		assert_true(S_ISCHR(st->st_mode));
		away();
		assert_int_equal(uname(name), 0);
		assert_string_equal(name->sysname, "Linux");
		memset(random, 0, 2 * PAGE_SIZE);
		away();
		assert_int_equal(syscall(SYS_getrandom, random, 2 * PAGE_SIZE, 0), 2 * PAGE_SIZE);
		for (unsigned int i = 0; i < 2 * PAGE_SIZE; i++)
			zeros += !random[i];
		time->tv_sec = 0;
		time->tv_nsec = 1;
		away();
		assert_int_equal(nanosleep(time, NULL), 0);
		away();
		assert_int_equal(clock_gettime(CLOCK_MONOTONIC, time), 0);
		away();
		assert_int_equal(syscall(SYS_futex, p + 3 * PAGE_SIZE, FUTEX_WAIT, 12345, NULL, NULL, 0), -1);
		assert_int_equal(errno, EAGAIN);
		away();
		assert_int_equal(sigaction(SIGUSR2, NULL, action), 0);
		away();
		assert_int_equal(getrusage(RUSAGE_SELF, (struct rusage *)(p + 3 * PAGE_SIZE)), 0);
#undef away
	}
	assert_in_range(zeros, 1, 20 * 2 * PAGE_SIZE / 100);
	for (int i = 0; i < 2; i++) {
		close(pipes[i]);
		close(sockets[i]);
	}
	munmap(p, SIZE);
}

/* ---- direct I/O ---- */

/* What block @version of the file is like; written and read in whole. */
static void stamp(uint64_t *words, uint64_t version)
{
	for (uint64_t i = 0; i < SIZE / 8; i++)
		words[i] = version << 32 | i;
}

static bool stamped(const uint64_t *words, uint64_t version)
{
	for (uint64_t i = 0; i < SIZE / 8; i++)
		if (words[i] != (version << 32 | i)) {
			print_error("word %lu is %#lx, not of version %lu\n", (unsigned long)i, (unsigned long)words[i],
				    (unsigned long)version);
			return false;
		}
	return true;
}

#define VERSIONS 8ul

static int direct_file(void)
{
	char path[] = "/var/tmp/mcl-direct-XXXXXX";
	uint64_t *words = malloc(SIZE);
	int fd = mkostemp(path, O_CLOEXEC), direct;

	assert_true(fd >= 0);
	for (uint64_t v = 0; v < VERSIONS; v++) {
		stamp(words, v);
		assert_int_equal(pwrite(fd, words, SIZE, (off_t)(v * SIZE)), SIZE);
	}
	assert_int_equal(fsync(fd), 0);
	close(fd);
	direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	unlink(path);
	free(words);
	return direct;
}

/* Read again and again into pages that the device wants all the time; and written from them. */
static void direct(void **state)
{
	uint64_t *p = fixture_make(&f, SIZE, PAGE_HOST, 0);
	int fd = direct_file();

	(void)state;
	if (fd < 0) {
		print_message("no direct I/O on this file system\n");
		skip();
	}
	for (uint64_t i = 0; i < 200; i++) {
		uint64_t version = i % VERSIONS;

		/* The device starts on the pages at any moment of the transfer, before it or after it. */
		fixture_go(&f, 0, i & 1 ? TEST_SUM : TEST_LOOP_SUM, p, SIZE, 0, 0);
		if (i % 3)
			usleep((unsigned int)(i * 7 % 300));
		assert_int_equal(pread(fd, p, SIZE, (off_t)(version * SIZE)), SIZE);
		atomic_store(&fixture_unit(&f, 0)->stop, 1);
		assert_true(fixture_wait(&f, 0, NULL));
		assert_true(stamped(p, version));
		assert_true(fixture_run(&f, TEST_SUM, p, SIZE, 0, 0, NULL));
		if (i % 4 == 3) {
			stamp(p, version);
			assert_true(fixture_run(&f, TEST_FILL, p, 8, 0, version << 32, NULL));
			assert_int_equal(pwrite(fd, p, SIZE, (off_t)(version * SIZE)), SIZE);
		}
	}
	close(fd);
	munmap(p, SIZE);
}

/* ---- io_uring ---- */

struct ring {
	int fd;
	char *sq, *cq;
	struct io_uring_params params;
	struct io_uring_sqe *sqes;
};

static bool ring_open(struct ring *r)
{
	size_t size;

	memset(r, 0, sizeof(*r));
	r->fd = (int)syscall(SYS_io_uring_setup, 8, &r->params);
	if (r->fd < 0)
		return false;
	assert_true(r->params.features & IORING_FEAT_SINGLE_MMAP);
	size = r->params.cq_off.cqes + r->params.cq_entries * sizeof(struct io_uring_cqe);
	r->sq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->cq = r->sq;
	r->sqes = mmap(NULL, r->params.sq_entries * sizeof(*r->sqes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		       r->fd, IORING_OFF_SQES);
	assert_ptr_not_equal(r->sq, MAP_FAILED);
	assert_ptr_not_equal(r->sqes, MAP_FAILED);
	return true;
}

static void ring_post(struct ring *r, int fd, void *buffer, uint64_t offset)
{
	_Atomic uint32_t *tail = (_Atomic uint32_t *)(r->sq + r->params.sq_off.tail);
	uint32_t mask = *(uint32_t *)(r->sq + r->params.sq_off.ring_mask), at = atomic_load(tail) & mask;

	r->sqes[at] = (struct io_uring_sqe){
		.opcode = IORING_OP_READ_FIXED,
		.fd = fd,
		.addr = (uint64_t)buffer,
		.len = SIZE,
		.off = offset,
	};
	((uint32_t *)(r->sq + r->params.sq_off.array))[at] = at;
	atomic_fetch_add(tail, 1);
	assert_int_equal(syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0), 1);
}

static int32_t ring_wait(struct ring *r)
{
	_Atomic uint32_t *head = (_Atomic uint32_t *)(r->cq + r->params.cq_off.head);
	_Atomic uint32_t *tail = (_Atomic uint32_t *)(r->cq + r->params.cq_off.tail);
	uint32_t mask = *(uint32_t *)(r->cq + r->params.cq_off.ring_mask);
	int32_t result;

	while (atomic_load(head) == atomic_load(tail))
		assert_true(syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) >= 0 ||
			    errno == EINTR);
	result = ((struct io_uring_cqe *)(r->cq + r->params.cq_off.cqes))[atomic_load(head) & mask].res;
	atomic_fetch_add(head, 1);
	return result;
}

/*
 * Registered buffers stay pinned for as long as the ring lives: whatever state their pages were in when they were registered,
 * what is read into them is seen by the host at once and by the next kernel, and kernels' stores are what is there afterwards.
 */
static void registered(void **state)
{
	static const enum mcl_page_state states[] = { PAGE_HOST, PAGE_VRAM, PAGE_PROMOTED };
	int fd = direct_file();
	struct ring r;

	(void)state;
	if (fd < 0)
		skip();
	for (unsigned int k = 0; k < 3; k++) {
		uint64_t *p = fixture_make(&f, SIZE, states[k], 0);
		struct iovec buffer = { p, SIZE };

		if (!ring_open(&r)) {
			print_message("no io_uring here: %s\n", strerror(errno));
			skip();
		}
		assert_int_equal(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &buffer, 1), 0);
		for (uint64_t i = 0; i < 40; i++) {
			uint64_t version = i % VERSIONS;

			fixture_go(&f, 0, TEST_LOOP_SUM, p, SIZE, 0, 0);
			ring_post(&r, fd, p, version * SIZE);
			if (i % 2)
				usleep((unsigned int)(i * 11 % 300));
			assert_int_equal(ring_wait(&r), SIZE);
			atomic_store(&fixture_unit(&f, 0)->stop, 1);
			assert_true(fixture_wait(&f, 0, NULL));
			assert_true(stamped(p, version));
			assert_true(fixture_device_has(&f, p, SIZE, version << 32));
			assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, i, NULL));
			assert_true(fixture_host_has(p, SIZE, i));
		}
		munmap(r.sq, r.params.cq_off.cqes + r.params.cq_entries * sizeof(struct io_uring_cqe));
		munmap(r.sqes, r.params.sq_entries * sizeof(*r.sqes));
		close(r.fd);
		munmap(p, SIZE);
	}
	close(fd);
}

/* ---- other processes ---- */

/* A child that asks for the words of its parent's memory in some way; what it got, or -1. */
static long peek(int way, const void *address)
{
	const pid_t parent = getpid();
	long result[2] = { 0 };
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct iovec local = { &result[0], 8 }, remote = { (void *)address, 8 };
		char path[64], c;

		/* The fork has brought everything home; wait until it is away again. */
		if (read(fds[0], &c, 1) != 1)
			_exit(1);
		switch (way) {
		case 0:
			result[1] = process_vm_readv(parent, &local, 1, &remote, 1, 0);
			break;
		case 1:
			snprintf(path, sizeof(path), "/proc/%d/mem", parent);
			result[1] = pread(open(path, O_RDONLY | O_CLOEXEC), &result[0], 8, (off_t)(uintptr_t)address);
			break;
		case 2:
			if (ptrace(PTRACE_SEIZE, parent, NULL, NULL) || ptrace(PTRACE_INTERRUPT, parent, NULL, NULL) ||
			    waitpid(parent, NULL, __WALL) != parent)
				_exit(2);
			errno = 0;
			result[0] = ptrace(PTRACE_PEEKDATA, parent, (void *)address, NULL);
			result[1] = errno ? -1 : 8;
			ptrace(PTRACE_DETACH, parent, NULL, NULL);
			break;
		}
		if (write(fds[1], result, sizeof(result)) != sizeof(result))
			_exit(3);
		_exit(0);
	}
	mcl_pager_migrate(f.pager, address, PAGE_SIZE, false);
	assert_int_equal(fixture_state(&f, address), PAGE_VRAM);
	assert_int_equal(write(fds[1], "x", 1), 1);
	/* Its answer must not be mistaken for that. */
	usleep(1000);
	assert_int_equal(waitpid(pid, &(int){ 0 }, 0), pid);
	while (read(fds[0], result, sizeof(result)) != sizeof(result))
		if (errno != EINTR)
			return -1;
	close(fds[0]);
	close(fds[1]);
	return result[1] == 8 ? result[0] : -1;
}

/*
 * process_vm_readv() waits for the page as the program itself would. Debuggers get an error, as README-uffd.md says: not
 * zeros. None of them disturbs the page.
 */
static void observers(void **state)
{
	uint64_t *p = fixture_make(&f, SIZE, PAGE_VRAM, 4711);
	long way[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		way[i] = peek(i, p);
		assert_true(fixture_device_has(&f, p, SIZE, 4711));
		assert_true(fixture_host_has(p, SIZE, 4711));
	}
	assert_int_equal(way[0], 4711);
	assert_true(way[1] == 4711 || way[1] == -1);
	assert_true(way[2] == 4711 || way[2] == -1);
	print_message("/proc/PID/mem %s, ptrace %s\n", way[1] < 0 ? "failed" : "worked",
		      way[2] < 0 ? "failed" : "worked");
	munmap(p, SIZE);
}

/* ---- many at once ---- */

static void *churn(void *arg)
{
	uint64_t *p = arg, *copy = malloc(SIZE);
	int fds[2];
	bool good = copy && !pipe(fds);

	for (uint64_t i = 0; good && i < 100; i++) {
		for (uint64_t done = 0; done < SIZE; done += PAGE_SIZE) {
			fixture_fill(p, PAGE_SIZE, i);
			good &= write(fds[1], p, PAGE_SIZE) == (ssize_t)PAGE_SIZE;
			good &= read(fds[0], (char *)copy + done, PAGE_SIZE) == (ssize_t)PAGE_SIZE;
			good &= !memcmp(copy + done / 8, p, PAGE_SIZE);
		}
	}
	close(fds[0]);
	close(fds[1]);
	free(copy);
	return good ? p : NULL;
}

/* Threads pass pages through pipes while units of the device read the same pages. */
static void pipes_beside(void **state)
{
	char *p = fixture_make(&f, 4 * SIZE, PAGE_HOST, 0);
	pthread_t threads[4];

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		fixture_go(&f, i, TEST_LOOP_SUM, p + i * SIZE, SIZE, PAGE_SIZE, 0);
		assert_int_equal(pthread_create(&threads[i], NULL, churn, p + i * SIZE), 0);
	}
	for (unsigned int i = 0; i < 4; i++) {
		void *good;

		pthread_join(threads[i], &good);
		assert_non_null(good);
	}
	for (unsigned int i = 0; i < 4; i++) {
		atomic_store(&fixture_unit(&f, i)->stop, 1);
		assert_true(fixture_wait(&f, i, NULL));
	}
	munmap(p, 4 * SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(system_calls, fixture_setup, &f), fixture_test(direct, fixture_setup, &f),
		fixture_test(registered, fixture_setup, &f),   fixture_test(observers, fixture_setup, &f),
		fixture_test(pipes_beside, fixture_setup, &f),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
