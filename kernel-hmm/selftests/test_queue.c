// SPDX-License-Identifier: GPL-2.0-only
/* The fault queue, and everybody's death while somebody waits in it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

static void nap(int milliseconds)
{
	usleep(milliseconds * 1000);
}

/* Wait until so many faults were counted. */
static void await(struct rig *rig, enum hmm_mirror_count which, uint64_t n)
{
	int i;

	for (i = 0; i < 5000 && rig_count(rig, which) < n; i++)
		nap(1);
	EXPECT_EQ(rig_count(rig, which), n);
}

/* Records come in the order of the faults, say who and when, and several at a time. */
TEST(order)
{
	struct hmm_mirror_fault faults[8];
	struct rig rig;
	uint64_t tid;
	int i;

	rig_open(&rig, NULL);
	tid = engine_do(&rig, ENGINE_TID, 0, 0, 0).value;
	arena_small(0, 8 * PAGE);
	for (i = 0; i < ENGINE_THREADS; i++) {
		engine_start(&rig, i, i & 1 ? ENGINE_WRITE : ENGINE_READ,
			     ARENA + (7 - i) * PAGE + 40, 8, 0);
		await(&rig, HMM_MIRROR_COUNT_FAULTS, i + 1);
	}
	EXPECT_EQ(read(rig.fd, faults, sizeof(faults)), ENGINE_THREADS * sizeof(*faults));
	for (i = 0; i < ENGINE_THREADS; i++) {
		EXPECT_EQ(faults[i].address, ARENA + (7 - i) * PAGE);
		EXPECT_EQ(faults[i].access, i & 1);
		EXPECT_EQ(faults[i].id, i + 1);
		EXPECT_NE(faults[i].time, 0);
		EXPECT_GE(faults[i].time, faults[i ? i - 1 : 0].time);
	}
	EXPECT_EQ(faults[0].unit, tid);
	EXPECT_NE(faults[1].unit, tid);
	EXPECT_ERRNO(read(rig.fd, faults, sizeof(faults)), EAGAIN);
	EXPECT_ERRNO(read(rig.fd, faults, sizeof(*faults) - 1), EINVAL);
	EXPECT_EQ(rig_mirror(&rig, (void *)ARENA, 8 * PAGE, HMM_MIRROR_WRITE), 8);
	for (i = 0; i < ENGINE_THREADS; i++)
		EXPECT_EQ(engine_finish(&rig, i).signal, 0);
	EXPECT_EQ(rig.faults, 0);
	rig_close(&rig);
}

static void *touch_later(void *argument)
{
	struct rig *rig = argument;

	nap(20);
	engine_start(rig, 1, ENGINE_READ, ARENA + PAGE, 8, 0);
	return NULL;
}

/*
 * What poll() promises may be gone when it is read, because another thread has answered: a
 * descriptor that does not block says so, one that blocks waits for the next fault.
 */
TEST(answered_before_read)
{
	struct hmm_mirror_fault fault;
	struct pollfd ready;
	pthread_t thread;
	struct rig rig;

	rig_open(&rig, NULL);
	arena_small(0, 2 * PAGE);
	ready = (struct pollfd){ .fd = rig.fd, .events = POLLIN };
	engine_start(&rig, 0, ENGINE_READ, ARENA, 8, 0);
	EXPECT_EQ(poll(&ready, 1, -1), 1);
	EXPECT_EQ(ready.revents, POLLIN);
	EXPECT_EQ(rig_mirror(&rig, (void *)ARENA, PAGE, 0), 1);
	EXPECT_EQ(poll(&ready, 1, 0), 0);
	EXPECT_ERRNO(read(rig.fd, &fault, sizeof(fault)), EAGAIN);
	EXPECT_EQ(engine_finish(&rig, 0).value, 1);
	EXPECT_EQ(rig.faults, 0);
	fcntl(rig.fd, F_SETFL, 0);
	EXPECT_EQ(pthread_create(&thread, NULL, touch_later, &rig), 0);
	EXPECT_EQ(read(rig.fd, &fault, sizeof(fault)), sizeof(fault));
	EXPECT_EQ(fault.address, ARENA + PAGE);
	pthread_join(thread, NULL);
	EXPECT_EQ(rig_mirror(&rig, (void *)ARENA + PAGE, PAGE, 0), 1);
	fcntl(rig.fd, F_SETFL, O_NONBLOCK);
	EXPECT_EQ(engine_finish(&rig, 1).value, 1 + 512);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_FAULTS), 2);
	rig_close(&rig);
}

/* Threads on one page are one record; a write that joins a read is told again. */
TEST(merge)
{
	struct hmm_mirror_fault fault;
	struct rig rig;
	int i;

	rig_open(&rig, NULL);
	arena_small(0, PAGE);
	engine_start(&rig, 0, ENGINE_READ, ARENA, 8, 0);
	await(&rig, HMM_MIRROR_COUNT_FAULTS, 1);
	engine_start(&rig, 1, ENGINE_READ, ARENA + 8, 8, 0);
	await(&rig, HMM_MIRROR_COUNT_MERGED, 1);
	EXPECT_EQ(read(rig.fd, &fault, sizeof(fault)), sizeof(fault));
	EXPECT_EQ(fault.access, HMM_MIRROR_ACCESS_READ);
	engine_start(&rig, 2, ENGINE_READ, ARENA + 16, 8, 0);
	await(&rig, HMM_MIRROR_COUNT_MERGED, 2);
	engine_start(&rig, 3, ENGINE_WRITE, ARENA + 24, 8, 99);
	await(&rig, HMM_MIRROR_COUNT_MERGED, 3);
	EXPECT_EQ(read(rig.fd, &fault, sizeof(fault)), sizeof(fault));
	EXPECT_EQ(fault.access, HMM_MIRROR_ACCESS_WRITE);
	EXPECT_EQ(fault.id, 1);
	EXPECT_EQ(rig_mirror(&rig, (void *)ARENA, PAGE, HMM_MIRROR_WRITE), 1);
	for (i = 0; i < ENGINE_THREADS; i++)
		EXPECT_EQ(engine_finish(&rig, i).signal, 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_FAULTS), 1);
	EXPECT_EQ(rig.faults, 0);
	EXPECT_EQ(*(uint64_t *)(ARENA + 24), 99);
	rig_close(&rig);
}

/* A queue of one: the others wait for their turn, nobody is lost. */
TEST(overflow)
{
	const struct hmm_mirror_register reg = { .queue_size = 1 };
	struct rig rig;
	int i;

	rig_open(&rig, &reg);
	arena_small(0, ENGINE_THREADS * PAGE);
	for (i = 0; i < ENGINE_THREADS; i++)
		engine_start(&rig, i, ENGINE_WRITE, ARENA + i * PAGE, 8, 70 + i);
	await(&rig, HMM_MIRROR_COUNT_OVERFLOW, ENGINE_THREADS - 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_FAULTS), 1);
	for (i = 0; i < ENGINE_THREADS; i++)
		EXPECT_EQ(engine_finish(&rig, i).signal, 0);
	EXPECT_EQ(rig.faults, ENGINE_THREADS);
	for (i = 0; i < ENGINE_THREADS; i++)
		EXPECT_EQ(*(uint64_t *)(ARENA + i * PAGE), 70 + i);
	rig_close(&rig);
}

/* REPLAY makes the engine ask again. */
TEST(replay)
{
	struct hmm_mirror_range range;
	struct rig rig;
	int i;

	rig_open(&rig, NULL);
	arena_small(0, PAGE);
	rig.pager = pager_ignore;
	engine_start(&rig, 0, ENGINE_READ, ARENA, 8, 0);
	for (i = 1; i <= 5; i++) {
		EXPECT_EQ(engine_poll(&rig, 0, 100), false);
		EXPECT_EQ(rig.faults, i);
		EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_REPLAY, (void *)ARENA, PAGE, 0,
				    &range), 0);
	}
	rig.pager = pager_mirror;
	EXPECT_EQ(engine_finish(&rig, 0).value, 1);
	EXPECT_EQ(rig.last.id, 6);
	rig_close(&rig);
}

/* FAIL reaches every thread that waits, once, and none that comes later. */
TEST(fail_all)
{
	struct rig rig;
	int i;

	rig_open(&rig, NULL);
	rig.pager = pager_ignore;
	for (i = 0; i < ENGINE_THREADS; i++)
		engine_start(&rig, i, ENGINE_READ, ARENA + i * 8, 8, 0);
	await(&rig, HMM_MIRROR_COUNT_MERGED, ENGINE_THREADS - 1);
	rig_fail(&rig, (void *)ARENA, PAGE);
	for (i = 0; i < ENGINE_THREADS; i++) {
		struct engine_reply reply = engine_finish(&rig, i);

		EXPECT_EQ(reply.signal, SIGSEGV);
		EXPECT_EQ(reply.address, ARENA + i * 8);
	}
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_FAILED), ENGINE_THREADS);
	arena_small(0, PAGE);
	rig.pager = pager_mirror;
	EXPECT_EQ(engine_read(&rig, (void *)ARENA), 1);
	rig_close(&rig);
}

/* An engine is killed while it waits; its record does not stay. */
TEST(engine_killed)
{
	struct hmm_mirror_fault fault;
	struct rig rig;
	int status;

	rig_open(&rig, NULL);
	arena_small(0, PAGE);
	rig.pager = pager_ignore;
	engine_start(&rig, 0, ENGINE_READ, ARENA, 8, 0);
	await(&rig, HMM_MIRROR_COUNT_FAULTS, 1);
	kill(rig.engine, SIGKILL);
	EXPECT_EQ(waitpid(rig.engine, &status, 0), rig.engine);
	EXPECT_EQ(WTERMSIG(status), SIGKILL);
	EXPECT_ERRNO(read(rig.fd, &fault, sizeof(fault)), EAGAIN);
	EXPECT_EQ(host_check((void *)ARENA, PAGE, 1), 0);
}

/* A waiting engine thread can be interrupted by a signal and goes on waiting. */
TEST(engine_signalled)
{
	struct rig rig;

	rig_open(&rig, NULL);
	arena_small(0, PAGE);
	rig.pager = pager_ignore;
	engine_start(&rig, 0, ENGINE_READ, ARENA, 8, 0);
	EXPECT_EQ(engine_poll(&rig, 0, 100), false);
	EXPECT_EQ(rig.faults, 1);
	kill(rig.engine, SIGSTOP);
	nap(20);
	kill(rig.engine, SIGCONT);
	nap(20);
	rig.pager = pager_mirror;
	EXPECT_EQ(rig_mirror(&rig, (void *)ARENA, PAGE, 0), 1);
	EXPECT_EQ(engine_finish(&rig, 0).value, 1);
	rig_close(&rig);
}

/* The host closes its descriptor: an engine that waits, and one that reads, gets SIGBUS. */
TEST(host_closes)
{
	struct rig rig;
	struct engine_reply reply;

	rig_open(&rig, NULL);
	arena_small(0, 2 * PAGE);
	EXPECT_EQ(engine_read(&rig, (void *)ARENA), 1);
	rig.pager = pager_ignore;
	engine_start(&rig, 1, ENGINE_READ, ARENA + PAGE, 8, 0);
	await(&rig, HMM_MIRROR_COUNT_FAULTS, 2);
	close(rig.fd);
	EXPECT_EQ(read(rig.sock[1], &reply, sizeof(reply)), sizeof(reply));
	EXPECT_EQ(reply.signal, SIGBUS);
	engine_start(&rig, 0, ENGINE_READ, ARENA, 8, 0);
	EXPECT_EQ(read(rig.sock[0], &reply, sizeof(reply)), sizeof(reply));
	EXPECT_EQ(reply.signal, SIGBUS);
	EXPECT_EQ(host_check((void *)ARENA, 2 * PAGE, 1), 0);
}

/* Nothing reads faults of a host that died; poll says so, and so does mmap. */
TEST(host_killed)
{
	int sock[2], status, shared[2];
	struct engine_reply reply;
	pid_t host;

	/* A host in a child; its engine is the grandchild, which outlives it. */
	EXPECT_EQ(pipe(shared), 0);
	EXPECT_EQ(pipe(sock), 0);
	host = fork();
	if (!host) {
		struct hmm_mirror_register reg = { 0 };
		int fd = open(HMM_MIRROR_DEVICE, O_RDWR), engine;

		EXPECT_EQ(ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg), 0);
		engine = ioctl(fd, HMM_MIRROR_IOC_ENGINE);
		EXPECT_GE(engine, 0);
		arena_small(0, PAGE);
		if (!fork()) {
			volatile uint64_t *word;
			pid_t reader;

			close(fd);
			munmap((void *)ARENA, PAGE);
			word = mmap((void *)ARENA, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED,
				    engine, ARENA);
			EXPECT_EQ((uint64_t)word, ARENA);
			/* The mapping is not inherited: a thread's worth of process. */
			reader = vfork();
			if (!reader) {
				(void)*word;
				_exit(0);
			}
			waitpid(reader, &status, 0);
			memset(&reply, 0, sizeof(reply));
			reply.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
			reply.value = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, engine, ARENA) ==
				      MAP_FAILED ? errno : 0;
			(void)!write(sock[1], &reply, sizeof(reply));
			_exit(0);
		}
		struct pollfd pfd = { .fd = fd, .events = POLLIN };

		EXPECT_EQ(poll(&pfd, 1, 10000), 1);
		(void)!write(shared[1], "x", 1);
		pause();
	}
	char c;

	EXPECT_EQ(read(shared[0], &c, 1), 1);
	kill(host, SIGKILL);
	EXPECT_EQ(waitpid(host, &status, 0), host);
	EXPECT_EQ(read(sock[0], &reply, sizeof(reply)), sizeof(reply));
	EXPECT_EQ(reply.signal, SIGBUS);
	EXPECT_EQ(reply.value, ENXIO);
}

/*
 * Life and death at random moments, many times; the log tells if anything is wrong.
 * HMM_MIRROR_KILLS: how many; 60 if not set.
 */
TEST(kill_at_random)
{
	const char *value = getenv("HMM_MIRROR_KILLS");
	unsigned int seed = 12345, i, kills = value ? atoi(value) : 60;

	alarm(TEST_SECONDS + kills);
	for (i = 0; i < kills; i++) {
		pid_t host = fork();

		if (!host) {
			struct rig rig;
			void *p;

			setpgid(0, 0);
			rig_open(&rig, NULL);
			p = arena_small(0, 64 * PAGE);
			rig.pager = i & 1 ? pager_mirror : pager_migrate;
			for (;;) {
				engine_fill(&rig, p, 64 * PAGE, i);
				host_fill(p, 64 * PAGE, i);
				madvise(p, 64 * PAGE, MADV_DONTNEED);
			}
		}
		setpgid(host, host);
		usleep(5000 + rand_r(&seed) % 40000);
		/* The host alone, or all of them. */
		kill(i % 3 ? host : -host, SIGKILL);
		waitpid(host, NULL, 0);
		kill(-host, SIGKILL);
	}
}
