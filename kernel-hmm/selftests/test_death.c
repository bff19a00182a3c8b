// SPDX-License-Identifier: GPL-2.0-only
/* Hosts and engines that end before their time: nobody hangs, nothing is lost or left behind. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "module.h"
#include "rig.h"

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
	rig_await(&rig, HMM_MIRROR_COUNT_FAULTS, 1);
	kill(rig.engine, SIGKILL);
	EXPECT_EQ(waitpid(rig.engine, &status, 0), rig.engine);
	EXPECT_EQ(WTERMSIG(status), SIGKILL);
	EXPECT_ERRNO(read(rig.fd, &fault, sizeof(fault)), EAGAIN);
	EXPECT_EQ(host_check((void *)ARENA, PAGE, 1), 0);
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
	rig_await(&rig, HMM_MIRROR_COUNT_FAULTS, 2);
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

#define N 32ul

enum victim { HOST, ENGINE, BOTH, VICTIMS };

/* Have the engine do something. False: it is dead. */
static bool engine_try(struct rig *rig, enum engine_op op, void *address, uint64_t value)
{
	struct engine_request request = { op, (uint64_t)address, N * PAGE, value };
	struct engine_reply reply;

	if (send(rig->sock[0], &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return false;
	engine_poll(rig, 0, -1);
	if (read(rig->sock[0], &reply, sizeof(reply)) != sizeof(reply))
		return false;
	EXPECT_EQ(reply.signal, 0);
	EXPECT_EQ(reply.value, 0);
	return true;
}

/* What a host does all its life; it ends well if that of its engine does. @engine: its pid. */
static void kill_host(rig_pager pager, pid_t *engine)
{
	uint64_t *ours, *theirs, value, i, now;
	struct rig rig;

	rig_open(&rig, NULL);
	rig.pager = pager;
	ours = arena_small(0, N * PAGE);
	theirs = arena_small(N * PAGE, N * PAGE);
	__atomic_store_n(engine, rig.engine, __ATOMIC_RELEASE);
	for (value = 2;; value++) {
		host_fill(ours, N * PAGE, value);
		if (!engine_try(&rig, ENGINE_CHECK, ours, value) ||
		    !engine_try(&rig, ENGINE_FILL, theirs, value))
			break;
		EXPECT_EQ(host_check(theirs, N * PAGE, value), 0);
		madvise(ours, N * PAGE, MADV_DONTNEED);
	}
	/* What it was writing to was one value or is the next, and what it read is as it was. */
	EXPECT_EQ(waitpid(rig.engine, NULL, 0), rig.engine);
	EXPECT_EQ(host_check(ours, N * PAGE, value), 0);
	for (i = 0; i < N * PAGE / sizeof(*theirs); i++) {
		now = theirs[i] - i;
		EXPECT_GE(now, value - 1);
		EXPECT_LE(now, value);
	}
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
	exit(0);
}

/* Bytes that are in use on device 0, once what is on its way has come home. */
static uint64_t vram_left(void)
{
	struct hmm_mirror_info info;
	int fd = open(HMM_MIRROR_DEVICE, O_RDWR | O_CLOEXEC), i;

	EXPECT_GE(fd, 0);
	for (i = 0; i < 200; i++) {
		EXPECT_EQ(ioctl(fd, HMM_MIRROR_IOC_INFO, &info), 0);
		if (!info.vram_used)
			break;
		usleep(10000);
	}
	close(fd);
	return info.vram_used;
}

/*
 * Life and death at random moments, many times: of the host, of the engine, of both. Where
 * it can be unloaded, the module lets go: nobody has left a reference.
 * HMM_MIRROR_KILLS: how many; 60 if not set.
 */
TEST(kill_at_random)
{
	const char *text = getenv("HMM_MIRROR_KILLS");
	unsigned int seed = 12345, i, j, kills = text ? atoi(text) : 60;
	pid_t *engine = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	EXPECT_NE((long)engine, -1);
	alarm(TEST_SECONDS + kills);
	for (i = 0; i < kills; i++) {
		enum victim victim = i % VICTIMS;
		pid_t host;

		*engine = 0;
		host = fork();
		EXPECT_GE(host, 0);
		if (!host) {
			setpgid(0, 0);
			kill_host(i / VICTIMS & 1 ? pager_mirror : pager_migrate, engine);
		}
		setpgid(host, host);
		/* Others may end while they begin. */
		for (j = 0; victim == ENGINE && j < 20000; j++) {
			if (__atomic_load_n(engine, __ATOMIC_ACQUIRE))
				break;
			usleep(1000);
		}
		usleep(5000 + rand_r(&seed) % 40000);
		if (victim == ENGINE)
			EXPECT_GE(*engine, 1);
		kill(victim == HOST ? host : victim == ENGINE ? *engine : -host, SIGKILL);
		EXPECT_EQ(waitpid(host, &status, 0), host);
		EXPECT_EQ(status, victim == ENGINE ? 0 : SIGKILL);
		kill(-host, SIGKILL);
	}
	EXPECT_EQ(vram_left(), 0);
	if (getenv("HMM_MIRROR_MODULE") && !geteuid())
		module_reload("");
}
