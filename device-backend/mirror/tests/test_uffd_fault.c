// SPDX-License-Identifier: MIT
/* Device faults and what they move: data and counts. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/tests/uffd_fixture.h"

#define PAGE 4096ul

static struct fixture f;

static void start(uint64_t chunk)
{
	const struct mcl_pager_policy policy = { .chunk = chunk, .promote_after = 3, .hold_us = 50 };

	fixture_start(&f, &policy, 0);
}

static uint64_t *make(size_t pages)
{
	uint64_t *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	for (size_t i = 0; i < pages * PAGE / 8; i++)
		p[i] = i * 3 + 1;
	return p;
}

static uint64_t expected_sum(size_t pages)
{
	uint64_t n = pages * PAGE / 8;

	return 3 * (n * (n - 1) / 2) + n;
}

/* Sixteen pages read by the device with 4 KiB chunks: sixteen read faults, sixteen pages, nothing else. */
static void test_read_counts(void **state)
{
	uint64_t *p, sum;
	struct mcl_counters c;

	(void)state;
	start(4096);
	p = make(16);
	assert_true(fixture_run(&f, TEST_SUM, p, 16 * PAGE, 0, 0, &sum));
	assert_int_equal(sum, expected_sum(16));
	c = fixture_counters(&f);
	assert_int_equal(c.cause[MCL_CAUSE_DEVICE_READ].count, 16);
	assert_int_equal(c.cause[MCL_CAUSE_DEVICE_READ].pages, 16);
	assert_int_equal(c.cause[MCL_CAUSE_DEVICE_WRITE].count, 0);
	assert_int_equal(c.cause[MCL_CAUSE_CPU_FAULT].count, 0);
	assert_int_equal(c.vram_used, 16 * PAGE);
	munmap(p, 16 * PAGE);
}

/* The host reads what the device wrote: each page comes home once. */
static void test_touch_back(void **state)
{
	uint64_t *p, i;
	struct mcl_counters c;

	(void)state;
	start(4096);
	p = make(16);
	assert_true(fixture_run(&f, TEST_FILL, p, 16 * PAGE, 0, 1000, NULL));
	for (i = 0; i < 16 * PAGE / 8; i++)
		assert_int_equal(p[i], 1000 + i);
	c = fixture_counters(&f);
	assert_int_equal(c.cause[MCL_CAUSE_DEVICE_WRITE].count, 16);
	assert_int_equal(c.cause[MCL_CAUSE_CPU_FAULT].count, 16);
	assert_int_equal(c.cause[MCL_CAUSE_CPU_FAULT].pages, 16);
	assert_int_equal(c.vram_used, 0);
	assert_int_equal(c.vram_peak, 16 * PAGE);
	munmap(p, 16 * PAGE);
}

/* The engine's death brings everything home. */
static void test_death(void **state)
{
	uint64_t *p, i;

	(void)state;
	start(65536);
	p = make(64);
	assert_true(fixture_run(&f, TEST_FILL, p, 64 * PAGE, 0, 7, NULL));
	fixture_kill(&f);
	for (i = 0; i < 64 * PAGE / 8; i++)
		assert_int_equal(p[i], 7 + i);
	munmap(p, 64 * PAGE);
}

/* Addresses that the host does not have fail, again and again, and work once there is something. */
static void test_unknown(void **state)
{
	/* Far from where threads that have just been started get their stacks. */
	void *const far = (void *)0x200000000000;
	uint64_t *p, sum;

	(void)state;
	start(4096);
	p = mmap(far, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(p, far);
	munmap(p, PAGE);
	for (int i = 0; i < 3; i++) {
		assert_false(fixture_run(&f, TEST_SUM, p, PAGE, 0, 0, NULL));
		assert_int_equal(fixture_unit(&f, 0)->fault_address, (uintptr_t)p);
	}
	assert_false(fixture_run(&f, TEST_SUM, NULL, 8, 0, 0, NULL));
	assert_ptr_equal(
		mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), p);
	p[5] = 55;
	assert_true(fixture_run(&f, TEST_SUM, p, PAGE, 0, 0, &sum));
	assert_int_equal(sum, 55);
	munmap(p, PAGE);
}

/* A container that forbids the system call, even if /dev/userfaultfd is there: said before anything is started. */
static void test_forbidden(void **state)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	struct mcl_reason why;
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
			_exit(77);
		if (mcl_mirror_uffd.probe(&why) != -EPERM)
			_exit(1);
		_exit(strstr(why.text, "seccomp") ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status == 77 << 8)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(test_read_counts, NULL, &f), fixture_test(test_touch_back, NULL, &f),
		fixture_test(test_death, NULL, &f),	  fixture_test(test_unknown, NULL, &f),
		cmocka_unit_test(test_forbidden),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
