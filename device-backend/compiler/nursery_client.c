// SPDX-License-Identifier: MIT
/* The application's nursery; see nursery_client.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "compiler/nursery.h"
#include "compiler/nursery_client.h"

/* Two sources that are compiled within that time: there will be a third. */
#define BURST_MS 10000
/* To get ready takes a second, and longer where many do. */
#define ANSWER_MS 30000

/* All under .lock. */
static struct {
	pthread_mutex_t lock;
	int socket; /* -1: there is none */
	struct mcl_spawn_child process;
	char *identity; /* what it was started with */
	size_t identity_size;
	int64_t asked_ms; /* when a compiler was last asked for; 0: never */
	bool useless; /* it did not answer: no more of them in this process */
} nursery = { .lock = PTHREAD_MUTEX_INITIALIZER, .socket = -1 };

static void forget(void)
{
	const int socket = nursery.socket;

	/* In this order: a child of fork() must not close what is somebody else's by now. */
	nursery.socket = -1;
	if (socket >= 0)
		close(socket);
	free(nursery.identity);
	nursery.identity = NULL;
}

/* The nursery is the parent's, whatever another thread of that was doing with it. What was allocated is lost to the child. */
static void after_fork_child(void)
{
	if (nursery.socket >= 0)
		close(nursery.socket);
	pthread_mutex_init(&nursery.lock, NULL);
	nursery.socket = -1;
	nursery.identity = NULL;
	nursery.asked_ms = 0;
	nursery.useless = false;
}

static void install_fork_handler(void)
{
	pthread_atfork(NULL, NULL, after_fork_child);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void stop(bool kill)
{
	if (nursery.socket < 0)
		return;
	forget();
	mcl_spawn_leave(&nursery.process, kill);
}

/* All that a compiler started just now would have from this process and from its file. NULL: no memory. */
static char *identify(const char *program, size_t *size)
{
	struct stat st = { 0 };
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	if (!out)
		return NULL;
	if (stat(program, &st))
		st.st_ino = 0;
	fprintf(out, "%s\n%lu %lu %ld %ld %ld\n%u %u\n", program, (unsigned long)st.st_dev, (unsigned long)st.st_ino,
		(long)st.st_size, (long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec, geteuid(), getegid());
	for (char **entry = environ; entry && *entry; entry++)
		fprintf(out, "%s\n", *entry);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static int start_nursery(const char *program)
{
	char option[32];
	const char *const argv[] = { program, option, NULL };
	int ends[2], fds[MCL_SPAWN_FD_COUNT], err;

	snprintf(option, sizeof(option), "--nursery-fd=%d", MCL_SPAWN_STATUS_FD);
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fds[0] < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		err = -errno;
		goto out;
	}
	fds[1] = fds[2] = fds[0];
	fds[MCL_SPAWN_STATUS_FD] = ends[1];
	err = mcl_spawn_start(argv, fds, &nursery.process, NULL);
	close(ends[1]);
	if (err)
		close(ends[0]);
	else
		nursery.socket = ends[0];
out:
	close(fds[0]);
	return err;
}

/* Have one that was started as this process is now. -EAGAIN: it is too early to tell whether that pays. */
static int have_nursery(const char *program)
{
	const int64_t before = nursery.asked_ms;
	size_t size = 0;
	char *identity;
	int err;

	nursery.asked_ms = now_ms();
	if (nursery.socket < 0 && (!before || nursery.asked_ms - before > BURST_MS))
		return -EAGAIN;
	identity = identify(program, &size);
	if (!identity)
		return -ENOMEM;
	if (nursery.socket >= 0 && size == nursery.identity_size && !memcmp(identity, nursery.identity, size)) {
		free(identity);
		return 0;
	}
	stop(false);
	err = start_nursery(program);
	if (err) {
		free(identity);
		return err;
	}
	nursery.identity = identity;
	nursery.identity_size = size;
	return 0;
}

static int ask(const char *const *argv, const int fds[MCL_SPAWN_FD_COUNT])
{
	struct mcl_nursery_request head = { .magic = MCL_NURSERY_MAGIC };
	union mcl_nursery_control control = { .bytes = { 0 } };
	struct iovec parts[2] = { { &head, sizeof(head) } };
	struct msghdr message = {
		.msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	const int folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *words = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&words, &size);
	int err = folder < 0 ? -errno : 0;

	for (; out && argv[head.argc]; head.argc++)
		fwrite(argv[head.argc], 1, strlen(argv[head.argc]) + 1, out);
	if (!out || fclose(out))
		err = -ENOMEM;
	else if (size > MCL_NURSERY_MAX_WORDS)
		err = -E2BIG;
	if (!err) {
		parts[1] = (struct iovec){ words, size };
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(MCL_NURSERY_FD_COUNT * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, MCL_SPAWN_FD_COUNT * sizeof(int));
		memcpy(CMSG_DATA(&control.header) + MCL_NURSERY_FOLDER * sizeof(int), &folder, sizeof(int));
		if (sendmsg(nursery.socket, &message, MSG_NOSIGNAL) < 0)
			err = -errno;
	}
	free(words);
	if (folder >= 0)
		close(folder);
	return err;
}

/* -EPIPE: it has ended; -ETIMEDOUT. */
static int take_answer(struct mcl_spawn_child *out)
{
	struct mcl_nursery_answer text = { 0 };
	union mcl_nursery_control control;
	struct iovec part = { &text, sizeof(text) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct pollfd p = { .fd = nursery.socket, .events = POLLIN };
	const int64_t deadline = now_ms() + ANSWER_MS;
	struct cmsghdr *c;
	ssize_t n;

	while (poll(&p, 1, (int)(deadline - now_ms() > 0 ? deadline - now_ms() : 0)) <= 0)
		if (now_ms() >= deadline)
			return -ETIMEDOUT;
	n = recvmsg(nursery.socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n != (ssize_t)sizeof(text) || text.magic != MCL_NURSERY_MAGIC)
		return -EPIPE;
	out->pid = text.pid;
	out->pidfd = -1;
	c = CMSG_FIRSTHDR(&message);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&out->pidfd, CMSG_DATA(c), sizeof(out->pidfd));
	return text.pid > 0 ? 0 : -EAGAIN;
}

static int start(const char *const *argv, const int fds[MCL_SPAWN_FD_COUNT], struct mcl_spawn_child *out)
{
	int err = -EPIPE;

	/* It may have ended just now, having been idle. */
	for (int tries = 0; err == -EPIPE && tries < 2; tries++) {
		const bool fresh = nursery.socket < 0;

		err = have_nursery(argv[0]);
		if (!err)
			err = ask(argv, fds);
		if (!err)
			err = take_answer(out);
		if (err != -EPIPE && err != -ETIMEDOUT)
			continue;
		nursery.useless = fresh || err == -ETIMEDOUT;
		stop(err == -ETIMEDOUT);
	}
	return err;
}

int mcl_nursery_start(const char *const *argv, const int fds[MCL_SPAWN_FD_COUNT], struct mcl_spawn_child *out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int subreaper = 0, err = -ENOTSUP;

	pthread_once(&once, install_fork_handler);
	/* Who adopts orphans would find the nursery's children among its own. */
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	if (subreaper || getpid() == 1)
		return -ENOTSUP;
	/* Another thread waits for it: it is getting ready, which it does not do faster for two. */
	if (pthread_mutex_trylock(&nursery.lock))
		return -EBUSY;
	if (!nursery.useless)
		err = start(argv, fds, out);
	pthread_mutex_unlock(&nursery.lock);
	return err;
}
