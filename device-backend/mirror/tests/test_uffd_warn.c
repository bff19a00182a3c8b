// SPDX-License-Identifier: MIT
/* What this mirror cannot do right is said when a program comes to it, once, and not before. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/futex.h>

#include "mirror/tests/uffd_fixture.h"
#include "mirror/uffd_sys.h"

#define SEED 1000ul
#define STACK (64ul << 10)
#define SIZE (2 * PAGE_SIZE)

static struct fixture f;
static char said[4096]; /* on standard error */

/* Run @fn and return how many lines it had this process write to standard error with @text in them. */
static unsigned int lines_with(const char *text, void (*fn)(void))
{
	const int saved = dup(STDERR_FILENO), file = memfd_create("said", MFD_CLOEXEC);
	unsigned int count = 0;
	ssize_t n;

	assert_true(saved >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
	fn();
	fixture_barrier(&f);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	n = pread(file, said, sizeof(said) - 1, 0);
	assert_true(n >= 0 && write(STDERR_FILENO, said, (size_t)n) == n);
	said[n] = 0;
	for (const char *at = said; (at = strstr(at, text)); at++)
		count++;
	close(file);
	close(saved);
	return count;
}

static void sleep_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* The pager looks at the threads whenever the device comes to memory of the host's. */
static void look(void)
{
	char *p = fixture_make(&f, SIZE, PAGE_HOST, SEED);

	assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, SEED + 1, NULL));
	assert_true(fixture_host_has(p, SIZE, SEED + 1));
	munmap(p, SIZE);
}

/* ---- threads that the C library has not made ---- */

static _Atomic uint32_t end;

/* Without thread-local storage of its own, so nothing of the C library may be used here. */
static int raw_thread(void *arg)
{
	while (!atomic_load(&end))
		mcl_raw(SYS_futex, (uint64_t)&end, FUTEX_WAIT, 0, 0, 0, 0);
	(void)arg;
	return 0;
}

static void look_twice(void)
{
	sleep_ms(1100);
	look();
	sleep_ms(1100);
	look();
}

static void thread_of_nobody(void **state)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			  CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	static _Atomic int32_t word;
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int32_t tid;

	(void)state;
	atomic_store(&end, 0);
	assert_int_equal(lines_with("not made by the C library", look_twice), 0);
	assert_true(clone(raw_thread, stack + STACK, flags, NULL, &word, NULL, &word) > 0);
	/* It may still become one of the C library's. */
	assert_int_equal(lines_with("not made by the C library", look), 0);
	assert_int_equal(lines_with("not made by the C library", look_twice), 1);
	atomic_store(&end, 1);
	syscall(SYS_futex, &end, FUTEX_WAKE, 1, NULL, NULL, 0);
	while ((tid = atomic_load(&word)))
		syscall(SYS_futex, &word, FUTEX_WAIT, tid, NULL, NULL, 0);
	munmap(stack, STACK);
}

/* ---- the first thread's stack ---- */

static void bounce_stack(void)
{
	/* Not in the lowest page of the stack. */
	volatile uint64_t words[4 * PAGE_SIZE / sizeof(uint64_t)];
	volatile uint64_t *word = &words[3 * PAGE_SIZE / sizeof(uint64_t)];

	for (uint64_t i = 0; i < 20; i++) {
		assert_true(fixture_run(&f, TEST_FILL, (const void *)word, 8, 0, i, NULL));
		assert_int_equal(*word, i);
	}
	assert_int_equal(fixture_state(&f, (const void *)word), PAGE_PROMOTED);
}

static void first_stack(void **state)
{
	(void)state;
	assert_int_equal(lines_with("the first thread's stack is mapped in place", bounce_stack), 1);
	assert_int_equal(lines_with("the first thread's stack is mapped in place", bounce_stack), 0);
}

/* ---- memory that is mapped in place and swapped out ---- */

static char *place;
static uint64_t place_size;

/* As the pager does when it has not seen who makes the change. */
static void ask_outcome(void)
{
	mcl_uffd_warn_swapped(mcl_uffd_of(f.m), (uint64_t)place, (uint64_t)place + place_size);
}

static bool all_out(void)
{
	unsigned char resident[64];

	if (mincore(place, place_size, resident))
		return false;
	for (uint64_t i = 0; i < place_size / PAGE_SIZE; i++)
		if (resident[i] & 1)
			return false;
	return true;
}

/* MADV_PAGEOUT leaves alone what two processes map, as this one and the engine do: so memory of the whole machine is asked for. */
static bool page_out(void)
{
	const int fd = open("/sys/fs/cgroup/memory.reclaim", O_WRONLY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < 200 && !all_out(); i++)
		if (write(fd, "64M", 3) < 0)
			sleep_ms(10);
	if (fd >= 0)
		close(fd);
	return all_out();
}

static void swapped(void **state)
{
	(void)state;
	place_size = 16 * PAGE_SIZE;
	place = fixture_make(&f, place_size, PAGE_PROMOTED, SEED);
	assert_int_equal(lines_with("swapped out", ask_outcome), 0);
	if (!getenv("MCL_RECLAIM")) {
		munmap(place, place_size);
		print_message("the machine is not to be disturbed (MCL_RECLAIM is not set)\n");
		skip();
	}
	assert_true(page_out());
	assert_int_equal(lines_with("swapped out", ask_outcome), 1);
	assert_int_equal(lines_with("swapped out", ask_outcome), 0);
	assert_true(fixture_host_has(place, place_size, SEED));
	munmap(place, place_size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(thread_of_nobody, fixture_setup, &f),
		fixture_test(first_stack, fixture_setup, &f),
		fixture_test(swapped, fixture_setup, &f),
	};

	setenv("MIRRORCL_DEBUG", "info", 1);
	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
