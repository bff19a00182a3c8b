// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody without privileges who has the descriptor calls every ioctl with every kind
 * of nonsense. Each call succeeds or fails with an errno that the interface names, in
 * bounded time; nobody's memory changes but where the caller pointed.
 *
 * HMM_MIRROR_FUZZ_CALLS: how many; 4000 if not set.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

#define N 64ul
#define SCRATCH (ARENA + 256 * BLOCK)
#define SCRATCH_SIZE (ARENA_SIZE / PAGE)

static unsigned int fuzz_seed;

static unsigned int pick(unsigned int n)
{
	return rand_r(&fuzz_seed) % n;
}

/* A word that means something to somebody. */
static uint64_t word(void)
{
	static const uint64_t words[] = {
		0, 1, 2, 7, 8, 255, 4095, 4096, 8192, BLOCK - 4096, BLOCK, BLOCK + 4096, ARENA_SIZE,
		ARENA, ARENA + PAGE, ARENA + 1, ARENA + BLOCK, ARENA + 4 * BLOCK, SCRATCH,
		0x7fffffff, 0x80000000, 0xffffffff, 1ull << 32, 1ull << 40, 0x7fffffffe000,
		0x7ffffffff000, 0x800000000000, 0xffff800000000000, 0xffffffff81000000,
		-4096ull, -1ull, 1ull << 63,
	};

	if (!pick(8))
		return ((uint64_t)rand_r(&fuzz_seed) << 32 | rand_r(&fuzz_seed)) >> pick(64);
	return words[pick(ARRAY_SIZE(words))];
}

static bool named(int error)
{
	static const int named[] = {
		EINVAL, EFAULT, EACCES, EBUSY, ENOMEM, ENOTTY, E2BIG, ENXIO, EPERM, EOPNOTSUPP,
		ENOSPC,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(named); i++)
		if (error == named[i])
			return true;
	return false;
}

/* Sizes that would take for ever, though legally, are no part of this. */
static bool too_long(unsigned int nr, const uint64_t *argument)
{
	return nr == _IOC_NR(HMM_MIRROR_IOC_MIRROR) && argument[1] > ARENA_SIZE;
}

static void call(struct rig *rig)
{
	static const unsigned long known[] = {
		HMM_MIRROR_IOC_INFO, HMM_MIRROR_IOC_REGISTER, HMM_MIRROR_IOC_ENGINE,
		HMM_MIRROR_IOC_MIRROR, HMM_MIRROR_IOC_MIGRATE, HMM_MIRROR_IOC_EVICT,
		HMM_MIRROR_IOC_REPLAY, HMM_MIRROR_IOC_FAIL, HMM_MIRROR_IOC_SERVICE,
		HMM_MIRROR_IOC_QUERY, HMM_MIRROR_IOC_COUNTERS, HMM_MIRROR_IOC_TRIM,
		HMM_MIRROR_IOC_MOVES,
	};
	static uint64_t argument[2048];
	unsigned long command = known[pick(ARRAY_SIZE(known))];
	unsigned int nr = _IOC_NR(command), i;
	uint64_t where;
	int ret;

	for (i = 0; i < 16; i++)
		argument[i] = pick(3) ? 0 : word();
	if (pick(8)) {
		/* Somewhere in the arena, so that something happens. */
		argument[0] = ARENA + pick(1024) * PAGE;
		argument[1] = (1 + pick(600)) * PAGE;
		argument[2] = pick(3) ? 0 : pick(4) | HMM_MIRROR_CAUSE(pick(6));
	}
	if (nr == _IOC_NR(HMM_MIRROR_IOC_QUERY))
		argument[2] = pick(2) ? SCRATCH : word();
	if (nr == _IOC_NR(HMM_MIRROR_IOC_MIGRATE) && !pick(2))
		argument[5] = pick(2) ? SCRATCH : word();
	/* Where it might be written to is nobody's, or scratch. */
	for (i = 2; i <= 5; i += 3)
		if (argument[i] >= ARENA && argument[i] < SCRATCH)
			argument[i] = SCRATCH;
	if (too_long(nr, argument))
		return;
	if (!pick(4))
		command = (command & ~((unsigned long)_IOC_SIZEMASK << _IOC_SIZESHIFT)) |
			  (unsigned long)pick(pick(2) ? 64 : _IOC_SIZEMASK) << _IOC_SIZESHIFT;
	if (!pick(16))
		command ^= 1ul << pick(32);
	where = pick(16) ? (uint64_t)argument : word();
	if (where >= ARENA && where < SCRATCH)
		where = SCRATCH;
	errno = 0;
	ret = ioctl(rig->fd, command, where);
	if (ret < 0 && !named(errno)) {
		printf("# command %#lx: errno %d\n", command, errno);
		exit(STATUS_FAIL);
	}
	if (ret > 0)
		close(ret);
}

static void fuzz(unsigned int seed, unsigned int calls)
{
	struct rig rig;
	unsigned int i;
	void *p, *h;

	fuzz_seed = seed;
	rig_open(&rig, NULL);
	if (!geteuid()) {
		EXPECT_EQ(setgroups(0, NULL), 0);
		EXPECT_EQ(setresgid(65534, 65534, 65534), 0);
		EXPECT_EQ(setresuid(65534, 65534, 65534), 0);
		EXPECT_ERRNO(open(HMM_MIRROR_DEVICE, O_RDWR), EACCES);
	}
	/* The last page of the scratch memory is not there. */
	p = arena_map(SCRATCH - ARENA, SCRATCH_SIZE, PROT_READ | PROT_WRITE, 0);
	p = arena_small(0, N * PAGE);
	h = arena_huge(BLOCK, BLOCK);
	arena_map(3 * BLOCK, BLOCK, PROT_READ, 0);
	arena_map(4 * BLOCK, PAGE, PROT_NONE, 0);
	for (i = 0; i < calls; i++) {
		call(&rig);
		if (i % 200)
			continue;
		/* The engine is there, and everybody sees what they should. */
		rig.pager = pager_mirror;
		rig_service(&rig, NULL, 0, HMM_MIRROR_SERVICE_PAGER);
		EXPECT_EQ(engine_check(&rig, p, N * PAGE, 1), 0);
		EXPECT_EQ(host_check(h, BLOCK, 1), 0);
	}
	EXPECT_EQ(host_check(p, N * PAGE, 1), 0);
	EXPECT_EQ(engine_check(&rig, h, BLOCK, 1), 0);
	rig_close(&rig);
}

TEST(fuzz)
{
	const char *calls = getenv("HMM_MIRROR_FUZZ_CALLS");

	alarm(TEST_SECONDS + (calls ? atoi(calls) / 20 : 0));
	fuzz(1, calls ? atoi(calls) : 4000);
}

/* On a descriptor that is not registered, and in a child of the host. */
TEST(fuzz_outsider)
{
	struct rig rig, none = { 0 };
	unsigned int i;
	int status;
	pid_t pid;

	fuzz_seed = 3;
	rig_open(&rig, NULL);
	arena_small(0, N * PAGE);
	pid = fork();
	if (!pid) {
		uint64_t faults[8];

		none.fd = open(HMM_MIRROR_DEVICE, O_RDWR | O_CLOEXEC);
		for (i = 0; i < 1000; i++) {
			struct hmm_mirror_range range;

			EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, (void *)word(),
					       word(), 0, &range), EPERM);
			call(&rig);
			if (pick(2))
				call(&none);
			EXPECT_ERRNO(read(rig.fd, faults, sizeof(faults)), EPERM);
		}
		_exit(0);
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(host_check((void *)ARENA, N * PAGE, 1), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_TO_VRAM_4K), 0);
	rig_close(&rig);
}
