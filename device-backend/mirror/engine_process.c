// SPDX-License-Identifier: MIT
/*
 * The engine as a process with an address space of its own: exec'ed, with a supervisor between it and the host, whose
 * process id stands for both. What the engine does first is in engine/boot_exec.c.
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/control.h"
#include "mirror/engine_process.h"
#include "mirror/uffd_sys.h"

/* Descriptors of the new process: the window, those of the mirror, and for the moment of exec its program. */
#define FD_WINDOW 3
#define FD_MAX (MCL_ENGINE_FIRST_FD + MCL_ENGINE_FDS_MAX + 1)

#define CHILD_STACK 65536

struct launch {
	int fds[FD_MAX]; /* ours that become these there */
	int fd_end; /* the last of them is the program */
	bool sweeps;
	char *argv[5];
	char *envp[1];
	pid_t host; /* parent of the supervisor */
	struct mcl_engine_control *control;
	uint8_t *engine_stack; /* top, for the short time until exec */
	_Atomic uint32_t state; /* futex: LAUNCH_... */
	int err;
};

enum { LAUNCH_PENDING, LAUNCH_RUNNING, LAUNCH_FAILED };

static void lift(int resource)
{
	struct rlimit limit;

	if (mcl_raw(SYS_prlimit64, 0, (uint64_t)resource, 0, (uint64_t)&limit, 0, 0))
		return;
	limit.rlim_cur = limit.rlim_max;
	mcl_raw(SYS_prlimit64, 0, (uint64_t)resource, (uint64_t)&limit, 0, 0, 0);
}

/* The engine until it is exec'ed: on the host's memory, so nothing but system calls. */
static int engine_main(void *arg)
{
	struct launch *l = arg;
	const uint64_t elf = (uint64_t)l->fd_end - 1;
	uint64_t none = 0;
	long err = 0;

	mcl_raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
	/* Limits are the child's own. */
	lift(RLIMIT_AS);
	lift(RLIMIT_FSIZE);
	/* Two passes: a descriptor of ours may be where another one has to go. */
	for (int fd = FD_WINDOW; fd < l->fd_end && err >= 0; fd++) {
		if (l->fds[fd] < l->fd_end)
			err = mcl_raw(SYS_fcntl, (uint64_t)l->fds[fd], F_DUPFD, (uint64_t)l->fd_end, 0, 0, 0);
		if (l->fds[fd] < l->fd_end && err >= 0)
			l->fds[fd] = (int)err;
	}
	for (int fd = FD_WINDOW; fd < l->fd_end && err >= 0; fd++)
		err = mcl_raw(SYS_dup2, (uint64_t)l->fds[fd], (uint64_t)fd, 0, 0, 0, 0);
	if (err >= 0)
		err = mcl_raw(SYS_fcntl, elf, F_SETFD, FD_CLOEXEC, 0, 0, 0);
	if (err >= 0) {
		mcl_raw(SYS_close_range, (uint64_t)l->fd_end, ~0u, 0, 0, 0, 0);
		mcl_raw(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t)&none, 0, 8, 0, 0);
		err = mcl_raw(SYS_execveat, elf, (uint64_t)"", (uint64_t)l->argv, (uint64_t)l->envp, AT_EMPTY_PATH, 0);
	}
	l->err = (int)err;
	mcl_raw(SYS_exit_group, 127, 0, 0, 0, 0, 0);
	__builtin_unreachable();
}

/* Sent to the supervisor when the host's thread ends. Real-time, so nobody else sends it. */
#define PARENT_DIED 63
#define SIGNAL_BIT(signo) (1ull << ((signo) - 1))

#define SWEEPS 100
#define SWEEP_PAUSE_US 20000

static bool waits_for_pages(const char *pid)
{
	char path[64] = "/proc/", text[64];
	unsigned int k = sizeof("/proc/") - 1;
	long fd, n;

	for (const char *c = pid; *c && k < 30; c++)
		path[k++] = *c;
	memcpy(path + k, "/wchan", sizeof("/wchan"));
	fd = mcl_raw(SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return false;
	n = mcl_raw(SYS_read, (uint64_t)fd, (uint64_t)text, sizeof(text) - 1, 0, 0, 0);
	mcl_raw(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
	text[n > 0 ? n : 0] = 0;
	return !strcmp(text, "handle_userfault");
}

/*
 * The host is dead. A child of its vfork() or posix_spawn() that has not exec'ed yet lives on its memory, and has a copy of
 * its userfaultfd, so a page that it waits for never comes, and it never ends. Nobody else can tell: end it. Returns how
 * many processes are still on this memory.
 */
static unsigned int sweep(uint64_t self, char *buffer, size_t size)
{
	long dir =
		mcl_raw(SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)"/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
	unsigned int others = 0;
	long n;

	while (dir >= 0 && (n = mcl_raw(SYS_getdents64, (uint64_t)dir, (uint64_t)buffer, size, 0, 0, 0)) > 0) {
		for (long at = 0; at < n; at += *(const uint16_t *)(buffer + at + 16)) {
			const char *name = buffer + at + 19;
			uint64_t pid = 0;

			for (const char *c = name; *c >= '0' && *c <= '9'; c++)
				pid = pid * 10 + (uint64_t)(*c - '0');
			if (!pid || pid == self || mcl_raw(SYS_kcmp, self, pid, KCMP_VM, 0, 0, 0))
				continue;
			others++;
			if (waits_for_pages(name))
				mcl_raw(SYS_kill, pid, SIGKILL, 0, 0, 0, 0);
		}
	}
	if (dir >= 0)
		mcl_raw(SYS_close, (uint64_t)dir, 0, 0, 0, 0, 0);
	return others;
}

static void after_the_host(uint64_t engine, bool sweeps)
{
	uint64_t self = (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	char buffer[8192];

	mcl_raw(SYS_kill, engine, SIGKILL, 0, 0, 0, 0);
	for (int i = 0; sweeps && i < SWEEPS && sweep(self, buffer, sizeof(buffer)); i++)
		mcl_raw_sleep_us(SWEEP_PAUSE_US);
	mcl_raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
}

/*
 * Between host and engine. exec() gives every process back its exit signal, and with it a place in the application's
 * wait(); this process, which is only cloned, has none. It is on the host's memory and does nothing but wait for the engine
 * and end like it. Either's death is the other's, and the host's is that of both.
 */
static int supervisor_main(void *arg)
{
	const uint64_t all = ~0ull, wanted = SIGNAL_BIT(SIGCHLD) | SIGNAL_BIT(PARENT_DIED);
	struct launch *l = arg;
	const bool sweeps = l->sweeps;
	int status = 0;
	long pid;

	mcl_raw(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t)&all, 0, 8, 0, 0);
	mcl_raw(SYS_prctl, PR_SET_PDEATHSIG, PARENT_DIED, 0, 0, 0, 0);
	if (mcl_raw(SYS_getppid, 0, 0, 0, 0, 0, 0) != l->host)
		mcl_raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
	mcl_raw(SYS_prctl, PR_SET_NAME, (uint64_t)"mirrorcl-engine", 0, 0, 0, 0);
	l->control->host_pid = (int32_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	l->err = 0;
	pid = clone(engine_main, l->engine_stack, CLONE_VM | CLONE_VFORK | CLONE_UNTRACED | SIGCHLD, l);
	mcl_raw(SYS_close_range, 0, ~0u, 0, 0, 0, 0);
	if (pid < 0 || l->err) {
		l->err = pid < 0 ? -EAGAIN : l->err;
		atomic_store(&l->state, LAUNCH_FAILED);
		mcl_raw_futex_wake(&l->state);
		mcl_raw(SYS_exit_group, 127, 0, 0, 0, 0, 0);
	}
	atomic_store(&l->state, LAUNCH_RUNNING);
	mcl_raw_futex_wake(&l->state);
	/* @l may be gone from here on. */
	while (mcl_raw(SYS_wait4, (uint64_t)pid, (uint64_t)&status, __WALL | WNOHANG, 0, 0, 0) != pid)
		if (mcl_raw(SYS_rt_sigtimedwait, (uint64_t)&wanted, 0, 0, 8, 0, 0) == PARENT_DIED)
			after_the_host((uint64_t)pid, sweeps);
	if (WIFSIGNALED(status)) {
		uint64_t none = 0;
		struct {
			uint64_t handler, flags, restorer, mask;
		} plain = { 0 };

		mcl_raw(SYS_rt_sigaction, (uint64_t)WTERMSIG(status), (uint64_t)&plain, 0, 8, 0, 0);
		mcl_raw(SYS_kill, (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0), (uint64_t)WTERMSIG(status), 0, 0, 0,
			0);
		mcl_raw(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t)&none, 0, 8, 0, 0);
	}
	mcl_raw(SYS_exit_group, (uint64_t)WEXITSTATUS(status), 0, 0, 0, 0, 0);
	__builtin_unreachable();
}

static int spawn(struct mcl_private *memory, struct launch *l, pid_t *pid)
{
	uint8_t *stacks = mcl_private_alloc(memory, 2 * CHILD_STACK, 4096);
	sigset_t all, saved;
	pid_t child;

	if (!stacks)
		return -ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	l->host = getpid();
	l->engine_stack = stacks + 2 * CHILD_STACK;
	atomic_store(&l->state, LAUNCH_PENDING);
	/* No exit signal: the application's wait() and SIGCHLD handler do not meet it. */
	child = clone(supervisor_main, stacks + CHILD_STACK, CLONE_VM | CLONE_UNTRACED, l);
	if (child < 0)
		l->err = -errno;
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	if (child < 0)
		return l->err;
	while (atomic_load(&l->state) == LAUNCH_PENDING) {
		const struct timespec moment = { .tv_nsec = 100000000 };
		siginfo_t info = { 0 };

		syscall(SYS_futex, &l->state, FUTEX_WAIT_PRIVATE, LAUNCH_PENDING, &moment, NULL, 0);
		/* Somebody may kill it before it has said anything. */
		if (!waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) && info.si_pid &&
		    atomic_load(&l->state) == LAUNCH_PENDING) {
			l->err = -ECHILD;
			atomic_store(&l->state, LAUNCH_FAILED);
		}
	}
	if (atomic_load(&l->state) == LAUNCH_FAILED) {
		waitpid(child, NULL, __WALL);
		return l->err;
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

int mcl_engine_process_start(const struct mcl_engine_process *p, pid_t *pid, struct mcl_reason *why)
{
	const struct mcl_window *window = p->params->window;
	char base[24], size[24], window_fd[8];
	struct launch launch = {
		.fd_end = MCL_ENGINE_FIRST_FD + (int)p->fd_count + 1,
		.sweeps = p->sweeps,
		.argv = { (char *)"mirrorcl-engine", base, size, window_fd, NULL },
		.envp = { NULL },
		.control = (void *)(window->base + window->layout.control_offset),
	};
	int err, elf = elf_file(p->params, why);

	if (elf < 0)
		return elf;
	snprintf(base, sizeof(base), "%lx", (unsigned long)window->base);
	snprintf(size, sizeof(size), "%lx", (unsigned long)window->layout.total_size);
	snprintf(window_fd, sizeof(window_fd), "%x", FD_WINDOW);
	launch.fds[FD_WINDOW] = window->memfd;
	memcpy(&launch.fds[MCL_ENGINE_FIRST_FD], p->fds, p->fd_count * sizeof(*p->fds));
	launch.fds[launch.fd_end - 1] = elf;
	err = spawn(p->memory, &launch, pid);
	close(elf);
	return err ? mcl_reason(why, err, "starting the engine: %s", strerror(-err)) : 0;
}
