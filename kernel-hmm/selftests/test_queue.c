// SPDX-License-Identifier: GPL-2.0-only
/* The fault queue. */
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
		rig_await(&rig, HMM_MIRROR_COUNT_FAULTS, i + 1);
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
	rig_await(&rig, HMM_MIRROR_COUNT_FAULTS, 1);
	engine_start(&rig, 1, ENGINE_READ, ARENA + 8, 8, 0);
	rig_await(&rig, HMM_MIRROR_COUNT_MERGED, 1);
	EXPECT_EQ(read(rig.fd, &fault, sizeof(fault)), sizeof(fault));
	EXPECT_EQ(fault.access, HMM_MIRROR_ACCESS_READ);
	engine_start(&rig, 2, ENGINE_READ, ARENA + 16, 8, 0);
	rig_await(&rig, HMM_MIRROR_COUNT_MERGED, 2);
	engine_start(&rig, 3, ENGINE_WRITE, ARENA + 24, 8, 99);
	rig_await(&rig, HMM_MIRROR_COUNT_MERGED, 3);
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
	rig_await(&rig, HMM_MIRROR_COUNT_OVERFLOW, ENGINE_THREADS - 1);
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
	rig_await(&rig, HMM_MIRROR_COUNT_MERGED, ENGINE_THREADS - 1);
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
