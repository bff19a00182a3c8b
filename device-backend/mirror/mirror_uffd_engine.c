// SPDX-License-Identifier: MIT
/*
 * The engine process of this mirror: exec'ed, with an address space of its own. The boot protocol is in
 * engine/control.h (arguments, window) and engine/boot_uffd.h (mirror, userfaultfd, service thread).
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/boot_uffd.h"
#include "engine/control.h"
#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

/* Descriptors of the new process. */
enum { FD_WINDOW = 3, FD_MIRROR, FD_SOCKET, FD_ELF, FD_END };

#define START_TIMEOUT_MS 20000
#define CHILD_STACK 65536

struct launch {
	int fds[FD_END]; /* ours that become FD_... there; above FD_END all of them */
	char *argv[5];
	char *envp[1];
	pid_t parent;
	int err;
};

static void lift(int resource)
{
	struct rlimit limit;

	if (!getrlimit(resource, &limit) && limit.rlim_cur != limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(resource, &limit);
	}
}

/* Between vfork and exec: on the parent's memory, so nothing but system calls. */
static int child_main(void *arg)
{
	struct launch *l = arg;
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != l->parent)
		_exit(0);
	/* Limits are the child's own. */
	lift(RLIMIT_AS);
	lift(RLIMIT_FSIZE);
	for (int fd = FD_WINDOW; fd < FD_END; fd++)
		if (dup2(l->fds[fd], fd) < 0)
			goto err;
	if (fcntl(FD_ELF, F_SETFD, FD_CLOEXEC))
		goto err;
	close_range(FD_END, ~0u, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_execveat, FD_ELF, "", l->argv, l->envp, AT_EMPTY_PATH);
err:
	l->err = errno;
	_exit(127);
}

/* A descriptor above those that the child uses, so that dup2 there never overwrites one that is still needed. */
static int high_fd(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_END);
}

static int spawn(struct launch *l, pid_t *pid)
{
	sigset_t all, saved;
	char *stack;
	pid_t child;

	stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	l->parent = getpid();
	l->err = 0;
	/* No exit signal: the application's wait() and SIGCHLD handler do not meet the engine. */
	child = clone(child_main, stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | CLONE_UNTRACED, l);
	if (child < 0)
		l->err = errno;
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	munmap(stack, CHILD_STACK);
	if (child < 0)
		return -l->err;
	if (l->err) {
		waitpid(child, NULL, __WALL);
		return -l->err;
	}
	*pid = child;
	return 0;
}

static int elf_file(const struct mcl_mirror_params *params, struct mcl_reason *why)
{
	/* MFD_EXEC says that executing it is meant; kernels before 6.3 do not know the flag. */
	int fd = memfd_create("mirrorcl-engine", MFD_CLOEXEC | MFD_EXEC);
	size_t done = 0;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("mirrorcl-engine", MFD_CLOEXEC);
	if (fd < 0)
		return mcl_reason(why, -errno, "memfd_create for the engine: %s%s", strerror(errno),
				  errno == EACCES ? " (sysctl vm.memfd_noexec forbids it)" : "");
	while (done < params->engine_elf_size) {
		ssize_t n = write(fd, (const char *)params->engine_elf + done, params->engine_elf_size - done);

		if (n <= 0) {
			int err = -errno;

			close(fd);
			return mcl_reason(why, err, "writing the engine: %s", strerror(-err));
		}
		done += (size_t)n;
	}
	return fd;
}

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
	boot->kind = MCL_BOOT_EXEC;
	boot->fd_count = MCL_BOOT_UFFD_FDS;
	boot->fds[MCL_BOOT_FD_MIRROR] = FD_MIRROR;
	boot->fds[MCL_BOOT_FD_SOCKET] = FD_SOCKET;
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
	char base[24], size[24], window_fd[8];
	struct launch launch = { .argv = { (char *)"mirrorcl-engine", base, size, window_fd, NULL }, .envp = { NULL } };
	int sockets[2] = { -1, -1 }, elf, err;

	fill_boot(u, &control->boot);
	snprintf(base, sizeof(base), "%lx", (unsigned long)u->window.base);
	snprintf(size, sizeof(size), "%lx", (unsigned long)u->window.layout.total_size);
	snprintf(window_fd, sizeof(window_fd), "%x", FD_WINDOW);

	elf = elf_file(&u->params, why);
	if (elf < 0)
		return elf;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets)) {
		err = mcl_reason(why, -errno, "socketpair: %s", strerror(errno));
		goto out;
	}
	launch.fds[FD_WINDOW] = high_fd(u->window.memfd);
	launch.fds[FD_MIRROR] = high_fd(u->memfd);
	launch.fds[FD_SOCKET] = high_fd(sockets[1]);
	launch.fds[FD_ELF] = high_fd(elf);
	if (launch.fds[FD_WINDOW] < 0 || launch.fds[FD_MIRROR] < 0 || launch.fds[FD_SOCKET] < 0 ||
	    launch.fds[FD_ELF] < 0) {
		err = mcl_reason(why, -EMFILE, "no file descriptors left to start the engine");
		goto out_close;
	}
	err = spawn(&launch, pid);
	if (err) {
		mcl_reason(why, err, "starting the engine: %s", strerror(-err));
		goto out_close;
	}
	close(launch.fds[FD_SOCKET]);
	launch.fds[FD_SOCKET] = -1;
	close(sockets[1]);
	sockets[1] = -1;
	u->socket = sockets[0];
	sockets[0] = -1;
	err = receive_uffd(u, *pid, why);
	if (!err && epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, u->engine_fd, &event)) {
		err = mcl_reason(why, -errno, "epoll_ctl: %s", strerror(errno));
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, __WALL);
	}
out_close:
	for (int fd = FD_WINDOW; fd < FD_END; fd++)
		if (launch.fds[fd] >= 0)
			close(launch.fds[fd]);
out:
	for (int i = 0; i < 2; i++)
		if (sockets[i] >= 0)
			close(sockets[i]);
	close(elf);
	return err;
}
