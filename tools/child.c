// SPDX-License-Identifier: MIT
/* A function in a process of its own; see child.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

int child_run(int (*fn)(void *arg), void *arg, unsigned int limit_s, char *output, size_t size)
{
	/* A memory file, not a pipe: a process that the child leaves behind cannot keep us waiting. */
	int fd = memfd_create("output", MFD_CLOEXEC), status, ret;
	struct pollfd p = { .fd = -1, .events = POLLIN };
	ssize_t n;
	pid_t pid;

	output[0] = '\0';
	if (fd < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	if (!pid) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		ret = fn(arg);
		fflush(NULL);
		/* With its exit handlers: they are part of what is tried. */
		exit(ret);
	}
	p.fd = pidfd_open(pid, 0);
	do {
		ret = p.fd < 0 ? -1 : poll(&p, 1, (int)limit_s * 1000);
	} while (ret < 0 && errno == EINTR);
	if (ret <= 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (p.fd >= 0)
		close(p.fd);
	n = pread(fd, output, size - 1, 0);
	output[n > 0 ? n : 0] = '\0';
	close(fd);
	if (ret <= 0)
		return -ETIMEDOUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}
