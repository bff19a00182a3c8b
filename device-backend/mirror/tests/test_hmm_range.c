// SPDX-License-Identifier: MIT
/*
 * What the hmm mirror makes of the kernel module's answers, without the module: a seccomp filter hands this thread's ioctls of
 * a range to another thread, which answers from a script. What the real module answers is tested in kernel-hmm/selftests/.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/mirror_hmm.h"

#define DEVICE 4242 /* never open: what the filter lets through fails with EBADF */
#define MAX_CALLS 8

#define BASE 0x10000000ull
#define PAGES(n) ((n) * HMM_PAGE)

/* One ioctl that the mirror is to make, and its answer. */
struct call {
	unsigned long request;
	uint64_t start, size;
	uint32_t flags;
	int error;
	uint64_t done, left;
};

static struct {
	pthread_t thread;
	_Atomic int listener;
	struct call seen[MAX_CALLS], script[MAX_CALLS];
	unsigned int seen_count;
} module = { .listener = -1 };

static struct mcl_hmm hmm;
static struct mcl_mirror *const mirror = (struct mcl_mirror *)&hmm;

/* ---- the other side ---- */

/* The caller waits meanwhile, and has made its script before. */
static int answer(unsigned long request, struct hmm_mirror_range *r)
{
	const unsigned int n = module.seen_count++;

	if (n >= MAX_CALLS)
		return EIO;
	module.seen[n] = (struct call){ .request = request, .start = r->start, .size = r->size, .flags = r->flags };
	r->done = module.script[n].done;
	r->left = module.script[n].left;
	return module.script[n].error;
}

static void *serve(void *arg)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp back;

	(void)arg;
	while (atomic_load(&module.listener) < 0)
		usleep(1000);
	for (;;) {
		memset(&call, 0, sizeof(call));
		if (ioctl(atomic_load(&module.listener), SECCOMP_IOCTL_NOTIF_RECV, &call))
			continue;
		back = (struct seccomp_notif_resp){ .id = call.id };
		back.error = -answer(call.data.args[1], (struct hmm_mirror_range *)call.data.args[2]);
		ioctl(atomic_load(&module.listener), SECCOMP_IOCTL_NOTIF_SEND, &back);
	}
	return NULL;
}

/* From now on. Returns whether that is possible. */
static bool install(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, DEVICE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(*code), code };
	long fd;

	if (pthread_create(&module.thread, NULL, serve, NULL))
		return false;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return false;
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (fd < 0)
		return false;
	atomic_store(&module.listener, (int)fd);
	return true;
}

/* What the module will answer. */
#define SCRIPT(...)                                                                                                    \
	do {                                                                                                           \
		static const struct call calls[] = { __VA_ARGS__ };                                                    \
		memset(module.seen, 0, sizeof(module.seen));                                                           \
		memset(module.script, 0, sizeof(module.script));                                                       \
		memcpy(module.script, calls, sizeof(calls));                                                           \
		module.seen_count = 0;                                                                                 \
	} while (0)

/* That the mirror has asked what the script says, and nothing else. */
static void check_asked(unsigned int count)
{
	assert_int_equal(module.seen_count, count);
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(module.seen[i].request, module.script[i].request);
		assert_int_equal(module.seen[i].start, module.script[i].start);
		assert_int_equal(module.seen[i].size, module.script[i].size);
		assert_int_equal(module.seen[i].flags, module.script[i].flags);
	}
}

static int setup(void **state)
{
	(void)state;
	memset(&hmm, 0, sizeof(hmm));
	atomic_store(&hmm.device_fd, DEVICE);
	hmm.migrates = true;
	return mcl_private_create(&hmm.memory, 1 << 20);
}

static int teardown(void **state)
{
	(void)state;
	mcl_private_destroy(&hmm.memory);
	return 0;
}

#define MAP HMM_MIRROR_IOC_MIRROR
#define MIGRATE HMM_MIRROR_IOC_MIGRATE
#define EVICT HMM_MIRROR_IOC_EVICT
#define HOLD HMM_MIRROR_HOLD

/* ---- the host keeps changing the range ---- */

/* The fault is not answered, and not failed either: it is to be answered again. */
static void busy_is_for_later(void **state)
{
	(void)state;
	SCRIPT({ MAP, BASE, PAGES(1), HOLD, EBUSY, 0, 0 });
	assert_int_equal(mcl_hmm_map(mirror, BASE, PAGES(1), BASE, MCL_ACCESS_READ), -EAGAIN);
	check_asked(1);
	SCRIPT({ MIGRATE, BASE, PAGES(16), HOLD, EBUSY, 0, 0 });
	assert_int_equal(mcl_hmm_migrate(mirror, BASE, PAGES(16), BASE), -EAGAIN);
	check_asked(1);
	assert_null(hmm.blocks);
	SCRIPT({ EVICT, BASE, PAGES(16), 0, EBUSY, 0, 0 });
	assert_int_equal(mcl_hmm_evict(mirror, BASE, PAGES(16)), -EAGAIN);
	check_asked(1);
}

/* Around the page may be what changes all the time: the page itself is worth another try. */
static void busy_around_the_page(void **state)
{
	const uint64_t page = BASE + PAGES(3);

	(void)state;
	SCRIPT({ MAP, BASE, PAGES(16), HOLD | HMM_MIRROR_WRITE, EBUSY, 0, 0 },
	       { MAP, BASE + PAGES(3), PAGES(1), HOLD | HMM_MIRROR_WRITE, 0, 1, 0 });
	assert_int_equal(mcl_hmm_map(mirror, BASE, PAGES(16), page + 8, MCL_ACCESS_WRITE), 1);
	check_asked(2);
	SCRIPT({ MAP, BASE, PAGES(16), HOLD, EBUSY, 0, 0 }, { MAP, BASE + PAGES(3), PAGES(1), HOLD, EBUSY, 0, 0 });
	assert_int_equal(mcl_hmm_map(mirror, BASE, PAGES(16), page + 8, MCL_ACCESS_READ), -EAGAIN);
	check_asked(2);
}

/* Nothing moved, and what was in VRAM cannot be mapped again yet. With pages moved, that is progress. */
static void busy_after_a_move(void **state)
{
	(void)state;
	SCRIPT({ MIGRATE, BASE, PAGES(16), HOLD, 0, 0, 16 },
	       { MAP, BASE, PAGES(16), HOLD | HMM_MIRROR_PRESENT, EBUSY, 0, 0 });
	assert_int_equal(mcl_hmm_migrate(mirror, BASE, PAGES(16), BASE), -EAGAIN);
	check_asked(2);
	SCRIPT({ MIGRATE, BASE, PAGES(16), HOLD, 0, 4, 12 },
	       { MAP, BASE, PAGES(16), HOLD | HMM_MIRROR_PRESENT, EBUSY, 0, 0 });
	assert_int_equal(mcl_hmm_migrate(mirror, BASE, PAGES(16), BASE), 4);
	check_asked(2);
}

/* ---- other answers ---- */

static void errors(void **state)
{
	static const struct {
		int from, map, migrate, evict;
	} cases[] = {
		{ EFAULT, -EFAULT, -EFAULT, 0 },
		{ EACCES, -EFAULT, -EFAULT, 0 },
		{ ENOMEM, -ENOMEM, -ENOMEM, -ENOMEM },
		{ EOPNOTSUPP, -EOPNOTSUPP, 0, 0 },
		/* The engine, or the process, is gone. */
		{ EBADF, -ESRCH, -ESRCH, -ESRCH },
		{ ENXIO, -ESRCH, -ESRCH, -ESRCH },
		{ EPERM, -ESRCH, -ESRCH, -ESRCH },
		{ EINTR, -ESRCH, -ESRCH, -ESRCH },
	};

	(void)state;
	SCRIPT({ 0 });
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		module.script[0].error = cases[i].from;
		module.seen_count = 0;
		assert_int_equal(mcl_hmm_map(mirror, BASE, PAGES(1), BASE, MCL_ACCESS_READ), cases[i].map);
		module.seen_count = 0;
		assert_int_equal(mcl_hmm_migrate(mirror, BASE, PAGES(1), BASE), cases[i].migrate);
		module.seen_count = 0;
		assert_int_equal(mcl_hmm_evict(mirror, BASE, PAGES(1)), cases[i].evict);
		assert_int_equal(module.seen_count, 1);
	}
	assert_null(hmm.blocks);
}

/* Behind the end of a file, say: the page that was touched lies beyond where it stopped. */
static void map_that_stops(void **state)
{
	(void)state;
	SCRIPT({ MAP, BASE, PAGES(16), HOLD, 0, 2, 14 }, { MAP, BASE + PAGES(5), PAGES(1), HOLD, 0, 1, 0 });
	assert_int_equal(mcl_hmm_map(mirror, BASE, PAGES(16), BASE + PAGES(5), MCL_ACCESS_READ), 3);
	check_asked(2);
	SCRIPT({ MAP, BASE, PAGES(16), HOLD, 0, 2, 14 }, { MAP, BASE + PAGES(5), PAGES(1), HOLD, EFAULT, 0, 0 });
	assert_int_equal(mcl_hmm_map(mirror, BASE, PAGES(16), BASE + PAGES(5), MCL_ACCESS_READ), -EFAULT);
	check_asked(2);
	SCRIPT({ MAP, BASE, PAGES(16), HOLD, 0, 6, 10 });
	assert_int_equal(mcl_hmm_map(mirror, BASE, PAGES(16), BASE + PAGES(5), MCL_ACCESS_READ), 6);
	check_asked(1);
}

/* Blocks that were moved come home in the end, each once. */
static void moved_blocks_come_home(void **state)
{
	static const uint64_t block = 64 * MCL_BLOCK_SIZE;

	(void)state;
	SCRIPT({ MIGRATE, 64 * MCL_BLOCK_SIZE, MCL_BLOCK_SIZE, HOLD, 0, 512, 0 },
	       { MIGRATE, 65 * MCL_BLOCK_SIZE - PAGES(1), PAGES(2), HOLD, 0, 2, 0 });
	assert_int_equal(mcl_hmm_migrate(mirror, block, MCL_BLOCK_SIZE, block), 512);
	assert_int_equal(mcl_hmm_migrate(mirror, block + MCL_BLOCK_SIZE - PAGES(1), PAGES(2), block), 2);
	check_asked(2);
	SCRIPT({ EVICT, 65 * MCL_BLOCK_SIZE, MCL_BLOCK_SIZE, 0, 0, 1, 0 },
	       { EVICT, 64 * MCL_BLOCK_SIZE, MCL_BLOCK_SIZE, 0, 0, 512, 0 });
	mcl_hmm_evict_all(&hmm);
	check_asked(2);
}

/* The kernel refuses a range that ends behind the last page; the last block is a page short. */
static void last_block(void **state)
{
	const uint64_t block = HMM_USER_END & ~(MCL_BLOCK_SIZE - 1);

	(void)state;
	SCRIPT({ EVICT, HMM_USER_END & ~(MCL_BLOCK_SIZE - 1), MCL_BLOCK_SIZE - PAGES(1), 0, 0, 7, 0 });
	assert_int_equal(mcl_hmm_evict(mirror, block, MCL_BLOCK_SIZE), 7);
	check_asked(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(busy_is_for_later, setup, teardown),
		cmocka_unit_test_setup_teardown(busy_around_the_page, setup, teardown),
		cmocka_unit_test_setup_teardown(busy_after_a_move, setup, teardown),
		cmocka_unit_test_setup_teardown(errors, setup, teardown),
		cmocka_unit_test_setup_teardown(map_that_stops, setup, teardown),
		cmocka_unit_test_setup_teardown(moved_blocks_come_home, setup, teardown),
		cmocka_unit_test_setup_teardown(last_block, setup, teardown),
	};

	if (!install()) {
		printf("skipped: no seccomp filter can hand system calls to another thread here (%s)\n",
		       strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests_name("hmm_range", tests, NULL, NULL);
}
