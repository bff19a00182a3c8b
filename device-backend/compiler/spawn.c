// SPDX-License-Identifier: MIT
/*
 * A child process inside a process that is not ours; see spawn.h.
 *
 * posix_spawn, never fork: the host may be huge, and a fork would copy its page tables and run its atfork handlers.
 * The end of the child is learnt from a pidfd, which works whoever reaps the child; where the kernel has none, from
 * the end of the status pipe. The outcome is learnt from the status byte; the wait status goes to another parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compiler/spawn.h"

/* After SIGTERM, mirrorcl-cc has this long to remove its temporary files; then comes SIGKILL. */
#define GRACE_MS 1000
#define FOREVER INT64_MAX
#define LAUNCH_STACK (128 << 10)

/*
 * The thread sanitizer takes clone() for fork(), whatever its flags, and then finds its own state used twice. It does
 * not know the function by its other name.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

struct child {
	pid_t pid;
	int pidfd; /* -1: the kernel has none */
	int log, status; /* our ends of the pipes; -1 once at their end */
	struct mcl_spawn_result *result;
	size_t log_capacity;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * The environment without what was meant for the application alone. The strings are shared. A setuid program's caller says
 * nothing: once the program is root for good, the compiler would not know any more that it has to be careful with PATH, TMPDIR
 * and what POCL, LLVM and the dynamic linker read.
 */
static char **child_environment(void)
{
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	size_t count = 0, used = 0;
	char **env;

	if (getauxval(AT_SECURE)) {
		env = calloc(2, sizeof(*env));
		if (env)
			env[0] = path;
		return env;
	}

	while (environ && environ[count])
		count++;
	env = calloc(count + 1, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < count && environ[i]; i++)
		if (strncmp(environ[i], "LD_PRELOAD=", 11) != 0 && strncmp(environ[i], "LD_AUDIT=", 9) != 0)
			env[used++] = environ[i];
	return env;
}

static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t all, none;
	int err;

	sigfillset(&all);
	sigemptyset(&none);
	err = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	if (!err)
		err = posix_spawnattr_setpgroup(attr, 0);
	if (!err)
		err = posix_spawnattr_setsigdefault(attr, &all);
	if (!err)
		err = posix_spawnattr_setsigmask(attr, &none);
	return err;
}

struct launch {
	struct child *child;
	const char *path;
	char *const *argv, *const *env;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attr;
	int err;
};

/* In a process of its own that shares memory and descriptors with ours, whose thread waits until it has ended. */
static int launch(void *arg)
{
	struct launch *l = arg;

	l->err = pidfd_spawn(&l->child->pidfd, l->path, l->actions, l->attr, l->argv, l->env);
	if (l->err == ENOSYS) {
		l->child->pidfd = -1;
		l->err = posix_spawn(&l->child->pid, l->path, l->actions, l->attr, l->argv, l->env);
	}
	return 0;
}

/*
 * Have the child started by a process between, which ends at once and sends no SIGCHLD: so the application's own
 * wait() never meets a child that it did not make. Signals are blocked, for the one between must run none of the
 * application's handlers.
 */
static int launch_orphan(struct launch *l)
{
	void *stack = mmap(NULL, LAUNCH_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	sigset_t all, old;
	pid_t between;

	if (stack == MAP_FAILED)
		return ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	l->err = EAGAIN;
	between = clone(launch, (char *)stack + LAUNCH_STACK, CLONE_VM | CLONE_VFORK | CLONE_FILES, l);
	if (between < 0)
		l->err = errno;
	else
		while (waitpid(between, NULL, __WALL) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	munmap(stack, LAUNCH_STACK);
	return l->err;
}

/* Start the child with @fds as its descriptors. Returns 0 or a positive error. */
static int start(struct child *c, const char *const *argv, const int fds[MCL_SPAWN_FD_COUNT])
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	char **env = child_environment();
	int err;

	if (!env)
		return ENOMEM;
	err = posix_spawn_file_actions_init(&actions);
	if (err)
		goto out_free;
	err = posix_spawnattr_init(&attr);
	if (err)
		goto out_actions;
	err = set_attributes(&attr);
	for (int i = 0; !err && i < MCL_SPAWN_FD_COUNT; i++)
		err = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	if (!err)
		err = posix_spawn_file_actions_addclosefrom_np(&actions, MCL_SPAWN_FD_COUNT);
	if (err)
		goto out_attr;
	err = launch_orphan(&(struct launch){ c, argv[0], (char *const *)argv, env, &actions, &attr, 0 });
	if (!err && c->pidfd >= 0)
		c->pid = pidfd_getpid(c->pidfd);
out_attr:
	posix_spawnattr_destroy(&attr);
out_actions:
	posix_spawn_file_actions_destroy(&actions);
out_free:
	free(env);
	return err;
}

/* Take what is in the log pipe; beyond the limit it is thrown away, but still read, or the child would block. */
static void read_log(struct child *c)
{
	struct mcl_spawn_result *r = c->result;
	char block[16384];

	while (c->log >= 0) {
		ssize_t n = read(c->log, block, sizeof(block));
		size_t room = MCL_SPAWN_LOG_LIMIT - r->log_size;
		size_t take = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close_fd(&c->log);
			return;
		}
		take = take < room ? take : room;
		if (r->log_size + take + 1 > c->log_capacity) {
			size_t capacity = (r->log_size + take + 1) * 2;
			char *grown = realloc(r->log, capacity);

			if (!grown)
				continue; /* a log with a hole is better than no build */
			r->log = grown;
			c->log_capacity = capacity;
		}
		memcpy(r->log + r->log_size, block, take);
		r->log_size += take;
		r->log[r->log_size] = '\0';
	}
}

static void read_status(struct child *c)
{
	unsigned char byte;

	while (c->status >= 0) {
		ssize_t n = read(c->status, &byte, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			close_fd(&c->status);
		else
			c->result->verdict = byte;
	}
}

static void signal_group(const struct child *c, int sig)
{
	if (c->pid > 0)
		kill(-c->pid, sig);
	if (c->pidfd >= 0)
		pidfd_send_signal(c->pidfd, sig, NULL, 0);
}

/* Serve the pipes until the child has ended or @deadline (FOREVER: none) is over. Returns whether it has ended. */
static bool serve(struct child *c, int64_t deadline)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = c->pidfd, .events = POLLIN },
			{ .fd = c->status, .events = POLLIN },
			{ .fd = c->log, .events = POLLIN },
		};
		int64_t left = deadline == FOREVER ? -1 : deadline - now_ms();

		if (deadline != FOREVER && left < 0)
			return false;
		if (left > 60000)
			left = 60000; /* poll() takes an int */
		if (poll(fds, 3, (int)left) < 0 && errno != EINTR)
			return false;
		read_log(c);
		read_status(c);
		if (c->pidfd >= 0 ? fds[0].revents != 0 : c->status < 0) {
			read_log(c); /* written between the first read and its end */
			read_status(c);
			return true;
		}
	}
}

/*
 * The child has been given to another parent, unless this process is the one that adopts orphans: then it is ours to
 * reap.
 */
static void reap(const struct child *c)
{
	siginfo_t info;

	if (c->pidfd >= 0) {
		while (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED) < 0 && errno == EINTR)
			;
		return;
	}
	/* Its status pipe is closed, so it is about to end. */
	for (int i = 0; i < GRACE_MS && waitpid(c->pid, NULL, WNOHANG) == 0; i += 10)
		poll(NULL, 0, 10);
}

/* Their end is moved up, out of the way of the numbers that the child wants its descriptors at. */
static int make_pipe(int *ours, int *theirs)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ours = ends[0];
	*theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, MCL_SPAWN_FD_COUNT);
	close(ends[1]);
	if (*theirs < 0 || fcntl(*ours, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int not_started(const char *path, int err, struct mcl_reason *why)
{
	mcl_reason(why, err, "cannot start the compiler %.200s: %s", path, strerror(-err));
	return err == -EACCES || err == -ENOTDIR || err == -ENOEXEC ? -ENOENT : err;
}

int mcl_spawn_run(const struct mcl_spawn *spawn, struct mcl_spawn_result *result, struct mcl_reason *why)
{
	struct child c = { .pidfd = -1, .log = -1, .status = -1, .result = result };
	int fds[MCL_SPAWN_FD_COUNT] = { -1, -1, -1, -1 }, err;
	bool ended;

	*result = (struct mcl_spawn_result){ .verdict = -1 };
	err = make_pipe(&c.log, &fds[2]);
	if (!err)
		err = make_pipe(&c.status, &fds[MCL_SPAWN_STATUS_FD]);
	for (int i = 0; !err && i < 2; i++) {
		fds[i] = fcntl(i == 0 ? spawn->input : spawn->output, F_DUPFD_CLOEXEC, MCL_SPAWN_FD_COUNT);
		if (fds[i] < 0)
			err = -errno;
	}
	if (!err)
		err = -start(&c, spawn->argv, fds);
	for (int i = 0; i < MCL_SPAWN_FD_COUNT; i++)
		close_fd(&fds[i]); /* the child's ends: only so do we see their end */
	if (err) {
		err = not_started(spawn->argv[0], err, why);
		goto out;
	}

	ended = serve(&c, spawn->timeout_s ? now_ms() + (int64_t)spawn->timeout_s * 1000 : FOREVER);
	if (!ended) {
		err = mcl_reason(why, -ETIMEDOUT, "the compiler did not end within %u seconds and was killed",
				 spawn->timeout_s);
		signal_group(&c, SIGTERM);
		if (!serve(&c, now_ms() + GRACE_MS)) {
			signal_group(&c, SIGKILL);
			serve(&c, now_ms() + GRACE_MS);
		}
	}
	reap(&c);
out:
	close_fd(&c.log);
	close_fd(&c.status);
	close_fd(&c.pidfd);
	return err;
}

int mcl_spawn_start(const char *const *argv, const int fds[MCL_SPAWN_FD_COUNT], struct mcl_spawn_child *out,
		    struct mcl_reason *why)
{
	struct child c = { .pidfd = -1 };
	int high[MCL_SPAWN_FD_COUNT], err = 0;

	/* Out of the way of the numbers that they are to get. */
	for (int i = 0; i < MCL_SPAWN_FD_COUNT; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, MCL_SPAWN_FD_COUNT);
		if (high[i] < 0 && !err)
			err = -errno;
	}
	if (!err)
		err = -start(&c, argv, high);
	for (int i = 0; i < MCL_SPAWN_FD_COUNT; i++)
		close_fd(&high[i]);
	if (err)
		return not_started(argv[0], err, why);
	*out = (struct mcl_spawn_child){ .pid = c.pid, .pidfd = c.pidfd };
	return 0;
}

void mcl_spawn_leave(struct mcl_spawn_child *child, bool kill)
{
	struct child c = { .pid = child->pid, .pidfd = child->pidfd };
	struct pollfd end = { .fd = child->pidfd, .events = POLLIN };
	int subreaper = 0;

	if (kill) {
		signal_group(&c, SIGTERM);
		if (c.pidfd < 0 || poll(&end, 1, GRACE_MS) <= 0)
			signal_group(&c, SIGKILL);
	}
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	if (c.pidfd >= 0 && (subreaper || getpid() == 1))
		reap(&c);
	close_fd(&c.pidfd);
}
