// SPDX-License-Identifier: MIT
/* The engine of this mirror: started by engine_process.c, then greeted as engine/boot_uffd.h says. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/boot_uffd.h"
#include "engine/control.h"
#include "mirror/engine_process.h"
#include "mirror/mirror_uffd.h"

/* Descriptors of the new process. */
enum { FD_MIRROR = MCL_ENGINE_FIRST_FD, FD_SOCKET, FD_HOST, FD_AGAIN, FD_END };

#define START_TIMEOUT_MS 20000

/* The first message of the engine: its userfaultfd. */
static int receive_uffd(struct mcl_uffd *u, pid_t pid, struct mcl_reason *why)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	int64_t result = 0;
	struct iovec iov = { .iov_base = &result, .iov_len = sizeof(result) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct pollfd fd = { .fd = u->socket, .events = POLLIN };
	struct cmsghdr *c;
	int ready, status = 0;
	ssize_t n;

	do {
		ready = poll(&fd, 1, START_TIMEOUT_MS);
	} while (ready < 0 && errno == EINTR);
	n = ready > 0 ? recvmsg(u->socket, &msg, MSG_CMSG_CLOEXEC) : -1;
	c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (n == (ssize_t)sizeof(result) && !result && c && c->cmsg_type == SCM_RIGHTS) {
		memcpy(&u->engine_fd, CMSG_DATA(c), sizeof(int));
		return 0;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, __WALL);
	if (n == (ssize_t)sizeof(result) && result)
		return mcl_reason(why, (int)result, "the engine cannot mirror the host's memory: %s",
				  strerror((int)-result));
	if (!ready)
		return mcl_reason(why, -ETIMEDOUT, "the engine did not start within %d s", START_TIMEOUT_MS / 1000);
	if (WIFEXITED(status))
		return mcl_reason(why, -ECHILD, "the engine ended at its start with status %d", WEXITSTATUS(status));
	return mcl_reason(why, -ECHILD, "the engine was killed at its start (signal %d)", WTERMSIG(status));
}

static void fill_boot(struct mcl_uffd *u, struct mcl_engine_boot *boot)
{
	const uint64_t parts[2][2] = { { u->low, u->window.base }, { u->window_end, u->high } };

	memset(boot, 0, sizeof(*boot));
	boot->kind = MCL_BOOT_UFFD;
	boot->fd_count = MCL_BOOT_UFFD_FDS;
	boot->fds[MCL_BOOT_FD_MIRROR] = FD_MIRROR;
	boot->fds[MCL_BOOT_FD_SOCKET] = FD_SOCKET;
	boot->fds[MCL_BOOT_FD_HOST] = FD_HOST;
	boot->fds[MCL_BOOT_FD_AGAIN] = FD_AGAIN;
	boot->settle = 1;
	u->words = boot->words;
	for (int i = 0; i < 2; i++) {
		if (parts[i][0] >= parts[i][1])
			continue;
		boot->ranges[boot->range_count].start = parts[i][0];
		boot->ranges[boot->range_count].size = parts[i][1] - parts[i][0];
		boot->range_count++;
	}
}

int mcl_uffd_start(struct mcl_mirror *m, pid_t *pid, struct mcl_reason *why)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	struct mcl_engine_control *control = (void *)(u->window.base + u->window.layout.control_offset);
	struct epoll_event event = { .events = EPOLLIN };
	int sockets[2], fds[FD_END - MCL_ENGINE_FIRST_FD], err;
	const struct mcl_engine_process process = {
		.params = &u->params,
		.memory = &u->memory,
		.fds = fds,
		.fd_count = FD_END - MCL_ENGINE_FIRST_FD,
		.sweeps = true,
	};

	fill_boot(u, &control->boot);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return mcl_reason(why, -errno, "socketpair: %s", strerror(errno));
	fds[FD_MIRROR - MCL_ENGINE_FIRST_FD] = u->memfd;
	fds[FD_SOCKET - MCL_ENGINE_FIRST_FD] = sockets[1];
	fds[FD_HOST - MCL_ENGINE_FIRST_FD] = u->host_fd;
	fds[FD_AGAIN - MCL_ENGINE_FIRST_FD] = u->again_fd;
	err = mcl_engine_process_start(&process, pid, why);
	close(sockets[1]);
	if (err) {
		close(sockets[0]);
		return err;
	}
	u->socket = sockets[0];
	err = receive_uffd(u, *pid, why);
	if (!err && epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, u->engine_fd, &event)) {
		err = mcl_reason(why, -errno, "epoll_ctl: %s", strerror(errno));
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, __WALL);
	}
	return err;
}
