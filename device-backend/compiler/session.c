// SPDX-License-Identifier: MIT
/* Companions of an application; see session.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "compiler/nursery_client.h"
#include "compiler/serve.h"
#include "compiler/session.h"
#include "compiler/spawn.h"
#include "support/config.h"

/* Each is a process with LLVM in it. */
#define MAX_ALIVE 2

struct mcl_session {
	pthread_mutex_t lock; /* all but the next two */
	struct mcl_session *next; /* of those alive, the latest first; under alive_lock */
	bool listed;
	struct mcl_spawn_child child;
	int socket, log; /* -1: no companion */
	bool unlinked; /* it has compiled the program, but not linked it */
	off_t log_read;
};

static pthread_mutex_t alive_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mcl_session *alive;

/* A child of fork() has nothing to do with its parent's companions. */
static void after_fork_child(void)
{
	pthread_mutex_init(&alive_lock, NULL);
	alive = NULL;
}

static void install_fork_handler(void)
{
	pthread_atfork(NULL, NULL, after_fork_child);
}

struct mcl_session *mcl_session_create(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct mcl_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_once(&once, install_fork_handler);
	pthread_mutex_init(&s->lock, NULL);
	s->socket = s->log = -1;
	return s;
}

/* s->lock held, or the last reference. */
static void stop(struct mcl_session *s, bool at_once)
{
	if (s->socket < 0)
		return;
	close(s->socket);
	close(s->log);
	s->socket = s->log = -1;
	mcl_spawn_leave(&s->child, at_once);
}

static void unlist(struct mcl_session *s)
{
	pthread_mutex_lock(&alive_lock);
	for (struct mcl_session **at = &alive; s->listed && *at; at = &(*at)->next) {
		if (*at == s) {
			*at = s->next;
			break;
		}
	}
	s->listed = false;
	pthread_mutex_unlock(&alive_lock);
}

void mcl_session_free(struct mcl_session *s)
{
	if (!s)
		return;
	unlist(s);
	stop(s, false);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* @s is the latest now; beyond the limit the oldest that nobody uses goes. */
static void list(struct mcl_session *s)
{
	struct mcl_session **oldest = NULL;
	uint32_t count = 0;

	unlist(s);
	pthread_mutex_lock(&alive_lock);
	s->next = alive;
	s->listed = true;
	alive = s;
	for (struct mcl_session **at = &s->next; *at; at = &(*at)->next)
		if (++count >= MAX_ALIVE)
			oldest = at;
	if (oldest && pthread_mutex_trylock(&(*oldest)->lock) == 0) {
		struct mcl_session *old = *oldest;

		*oldest = old->next;
		old->listed = false;
		stop(old, false);
		pthread_mutex_unlock(&old->lock);
	}
	pthread_mutex_unlock(&alive_lock);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0, -EPIPE: the companion has gone, -ETIMEDOUT. @deadline 0: none. */
static int receive_all(int socket, void *bytes, size_t size, int64_t deadline)
{
	while (size) {
		struct pollfd p = { .fd = socket, .events = POLLIN };
		const int64_t left = deadline ? deadline - now_ms() : 60000;
		ssize_t n;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)(left < 60000 ? left : 60000)) <= 0)
			continue;
		/* Under the session's lock, on purpose: a companion serves one at a time, and only who wants it waits. */
		/* NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection) */
		n = recv(socket, bytes, size, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return -EPIPE;
		bytes = (uint8_t *)bytes + n;
		size -= (size_t)n;
	}
	return 0;
}

/* The next answer. As mcl_session_run(), and -EPIPE: there is none, not even the beginning of one. */
static int receive(struct mcl_session *s, int *verdict, uint8_t **code, size_t *size)
{
	const uint32_t timeout_s = mcl_config()->cc_timeout_s;
	const int64_t deadline = timeout_s ? now_ms() + (int64_t)timeout_s * 1000 : 0;
	struct mcl_serve_answer answer;
	int err = receive_all(s->socket, &answer, sizeof(answer), deadline);

	if (err)
		return err;
	if (answer.magic != MCL_SERVE_MAGIC || answer.size > MCL_SERVE_MAX_CODE)
		return -EPIPE;
	*size = answer.size;
	*code = malloc(answer.size + 1);
	if (!*code)
		return -ENOMEM;
	err = receive_all(s->socket, *code, *size, deadline);
	if (err) {
		free(*code);
		*code = NULL;
		return err;
	}
	*verdict = (int)answer.verdict;
	return 0;
}

static int start(struct mcl_session *s, const char *const *argv, int input, struct mcl_reason *why)
{
	int fds[MCL_SPAWN_FD_COUNT], ends[2] = { -1, -1 }, err;

	s->log = memfd_create("mirrorcl-log", MFD_CLOEXEC);
	s->log_read = 0;
	if (s->log < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		err = mcl_reason(why, -errno, "cannot talk to the compiler: %s", strerror(errno));
		goto out;
	}
	if (lseek(input, 0, SEEK_SET) < 0) {
		err = mcl_reason(why, -errno, "cannot hand the program to the compiler: %s", strerror(errno));
		goto out;
	}
	fds[0] = input;
	fds[1] = fds[2] = s->log;
	fds[MCL_SPAWN_STATUS_FD] = ends[1];
	err = mcl_nursery_start(argv, fds, &s->child);
	if (err)
		err = mcl_spawn_start(argv, fds, &s->child, why);
out:
	if (ends[1] >= 0)
		close(ends[1]);
	if (err) {
		if (ends[0] >= 0)
			close(ends[0]);
		if (s->log >= 0)
			close(s->log);
		s->log = -1;
		return err;
	}
	s->socket = ends[0];
	list(s);
	return 0;
}

static bool request_kernel(struct mcl_session *s, const struct mcl_compile_request *req)
{
	struct mcl_serve_request r = { .magic = MCL_SERVE_MAGIC, .jam = req->jam };
	const size_t name_size = strlen(req->kernel);

	r.name_size = (uint32_t)name_size;
	if (req->local_size_count)
		memcpy(r.local_size, req->local_sizes[0], sizeof(r.local_size));
	return name_size <= MCL_SERVE_MAX_NAME && send(s->socket, &r, sizeof(r), MSG_NOSIGNAL) == (ssize_t)sizeof(r) &&
	       send(s->socket, req->kernel, name_size, MSG_NOSIGNAL) == (ssize_t)name_size;
}

static bool request_link(struct mcl_session *s)
{
	const struct mcl_serve_request r = { .magic = MCL_SERVE_MAGIC, .link = true };

	return send(s->socket, &r, sizeof(r), MSG_NOSIGNAL) == (ssize_t)sizeof(r);
}

/* What was written to the log since the last time. */
static char *take_log(struct mcl_session *s)
{
	const off_t end = lseek(s->log, 0, SEEK_END);
	size_t size = end > s->log_read ? (size_t)(end - s->log_read) : 0;
	char *text;

	if (size > MCL_SPAWN_LOG_LIMIT)
		size = MCL_SPAWN_LOG_LIMIT;
	text = calloc(1, size + 1);
	if (text && pread(s->log, text, size, s->log_read) < 0)
		text[0] = '\0';
	s->log_read = end;
	return text;
}

/* The description has come, of which nothing is wanted but that the kernel can be asked for. As receive(). */
static int go_on(struct mcl_session *s, const struct mcl_compile_request *req, int *verdict, uint8_t **code,
		 size_t *size)
{
	free(*code);
	*code = NULL;
	*verdict = -1;
	free(take_log(s));
	return request_kernel(s, req) ? receive(s, verdict, code, size) : -EPIPE;
}

/* Ask the companion that is there. As receive(), and -EPIPE as well if this is for a new one. */
static int ask(struct mcl_session *s, const struct mcl_compile_request *req, int *verdict, uint8_t **code, size_t *size)
{
	const bool kernel = req->part == MCL_COMPILE_KERNEL;
	int err;

	if (!s->unlinked)
		return kernel && request_kernel(s, req) ? receive(s, verdict, code, size) : -EPIPE;
	if (req->part == MCL_COMPILE_CHECK || !request_link(s))
		return -EPIPE;
	s->unlinked = false;
	err = receive(s, verdict, code, size);
	return err || *verdict || !kernel ? err : go_on(s, req, verdict, code, size);
}

/* Have a new one do it. */
static int ask_new(struct mcl_session *s, const struct mcl_compile_request *req, const char *const *argv, int input,
		   int *verdict, uint8_t **code, size_t *size, struct mcl_reason *why)
{
	int err = start(s, argv, input, why);

	if (err)
		return err;
	s->unlinked = req->part == MCL_COMPILE_CHECK;
	err = receive(s, verdict, code, size);
	return err || *verdict || req->part != MCL_COMPILE_KERNEL ? err : go_on(s, req, verdict, code, size);
}

int mcl_session_run(struct mcl_session *s, const struct mcl_compile_request *req, const char *const *argv, int input,
		    int *verdict, uint8_t **code, size_t *size, char **log, struct mcl_reason *why)
{
	bool fresh = false;
	int err = -EPIPE;

	*verdict = -1;
	*code = NULL;
	pthread_mutex_lock(&s->lock);
	if (s->socket >= 0) {
		err = ask(s, req, verdict, code, size);
		/* It has been idle perhaps, and gone: that is no failure. */
		if (err == -EPIPE)
			stop(s, false);
	}
	if (s->socket < 0) {
		fresh = true;
		err = ask_new(s, req, argv, input, verdict, code, size, why);
	}
	if (s->socket >= 0) {
		*log = take_log(s);
		if (err == -ETIMEDOUT)
			mcl_reason(why, err, "the compiler did not end within %u seconds and was killed",
				   mcl_config()->cc_timeout_s);
		else if (err == -EPIPE && fresh)
			err = 0; /* no verdict: it crashed */
		else if (err)
			mcl_reason(why, err, "no memory for the compiler's code");
		if (err || *verdict < 0)
			stop(s, true);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}
