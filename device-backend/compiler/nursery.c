// SPDX-License-Identifier: MIT
/* Forking compilers; see nursery.h. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/nursery.h"
#include "compiler/verdict.h"

struct order {
	struct mcl_nursery_request head;
	char words[MCL_NURSERY_MAX_WORDS];
};

/* Returns the size of the words behind the request, or -1: there is none, or no good one. Descriptors are -1 where there are none. */
static ssize_t receive(int socket, struct order *order, int fds[MCL_NURSERY_FD_COUNT])
{
	union mcl_nursery_control control;
	struct iovec part = { order, sizeof(*order) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c;
	ssize_t n;

	for (int i = 0; i < MCL_NURSERY_FD_COUNT; i++)
		fds[i] = -1;
	while ((n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	if (n <= (ssize_t)sizeof(order->head) || order->head.magic != MCL_NURSERY_MAGIC ||
	    fds[MCL_NURSERY_FD_COUNT - 1] < 0 || message.msg_flags & MSG_TRUNC)
		return -1;
	n -= (ssize_t)sizeof(order->head);
	return order->words[n - 1] ? -1 : n;
}

/* In the new process. */
static int begin(struct order *order, ssize_t size, const int fds[MCL_NURSERY_FD_COUNT],
		 int (*become)(int argc, char **argv, void *ctx), void *ctx)
{
	char **argv = calloc(order->head.argc + (size_t)1, sizeof(*argv)), *word = order->words;

	/* A process group of its own: the nursery's ends with the nursery. */
	setpgid(0, 0);
	for (uint32_t i = 0; argv && i < order->head.argc && word < order->words + size; i++) {
		argv[i] = word;
		word += strlen(word) + 1;
	}
	/* They were received behind these, the nursery's own. */
	for (int i = 0; i < MCL_SPAWN_FD_COUNT; i++)
		if (dup2(fds[i], i) < 0)
			return MCL_VERDICT_ENVIRONMENT;
	if (!argv || fchdir(fds[MCL_NURSERY_FOLDER]))
		return MCL_VERDICT_ENVIRONMENT;
	for (int i = 0; i < MCL_NURSERY_FD_COUNT; i++)
		close(fds[i]);
	return become((int)order->head.argc, argv, ctx);
}

static bool answer(int socket, pid_t pid)
{
	const struct mcl_nursery_answer text = { .magic = MCL_NURSERY_MAGIC, .pid = pid };
	union mcl_nursery_control control = { .bytes = { 0 } };
	struct iovec part = { (void *)&text, sizeof(text) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	const int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
	bool ok;

	if (pidfd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(pidfd));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(pidfd));
		memcpy(CMSG_DATA(&control.header), &pidfd, sizeof(pidfd));
	}
	ok = sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(text);
	if (pidfd >= 0)
		close(pidfd);
	return ok;
}

int mcl_nursery_serve(int socket, int (*become)(int argc, char **argv, void *ctx), void *ctx)
{
	static struct order order;
	struct pollfd wait = { .fd = socket, .events = POLLIN };
	bool wanted = true;

	while (wanted) {
		const int ready = poll(&wait, 1, MCL_NURSERY_IDLE_S * 1000);
		int fds[MCL_NURSERY_FD_COUNT];
		ssize_t size;
		pid_t child;

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (ready < 0 && errno == EINTR)
			continue;
		size = ready > 0 ? receive(socket, &order, fds) : 0;
		if (ready <= 0)
			break;
		fflush(NULL);
		child = size < 0 ? -1 : fork();
		if (child == 0) {
			const int status = begin(&order, size, fds, become, ctx);

			fflush(NULL);
			_exit(status);
		}
		for (int i = 0; i < MCL_NURSERY_FD_COUNT; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		wanted = size >= 0 && answer(socket, child);
	}
	return MCL_VERDICT_OK;
}
