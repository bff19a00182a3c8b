// SPDX-License-Identifier: MIT
/* The child and its folder; see supervise.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/huge_heap.h"
#include "compiler/supervise.h"
#include "compiler/verdict.h"
#include "compiler/work_folder.h"

static void run_child(pid_t parent, const sigset_t *old_mask, const char *folder, mcl_work work, void *ctx)
{
	struct rlimit no_core = { 0, 0 };
	int verdict;

	/* A process group of its own, so that the linkers that POCL starts can be ended with it. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(MCL_VERDICT_CRASHED);
	setrlimit(RLIMIT_CORE, &no_core); /* a crash is a failed build, not a file in the user's folder */
	sigprocmask(SIG_SETMASK, old_mask, NULL);
	mcl_huge_heap_use();
	verdict = work(folder, ctx);
	fflush(NULL);
	_exit(verdict); /* LLVM's destructors would only cost time */
}

/*
 * Wait for @child; a deadly signal meanwhile is returned in *@caught and ends the child. What it started and left behind, a
 * linker for example, ends before it is reaped. Returns its wait status.
 */
static int wait_for(pid_t child, const sigset_t *mask, int *caught)
{
	siginfo_t info = { 0 };
	int status;

	*caught = 0;
	for (;;) {
		int sig;

		if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child) {
			kill(-child, SIGKILL);
			waitpid(child, &status, 0);
			return status;
		}
		sig = sigwaitinfo(mask, NULL);
		if (sig > 0 && sig != SIGCHLD && !*caught) {
			*caught = sig;
			kill(-child, SIGKILL);
			kill(child, SIGKILL); /* in case it has no group yet */
		}
	}
}

int mcl_supervise(mcl_work work, mcl_deliver deliver, void *ctx)
{
	static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD };
	struct mcl_work_folder folder;
	sigset_t mask, old_mask;
	int status, caught, verdict;
	pid_t child, self = getpid();

	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(watched) / sizeof(*watched); i++)
		sigaddset(&mask, watched[i]);
	sigprocmask(SIG_BLOCK, &mask, &old_mask);
	signal(SIGCHLD, SIG_DFL); /* ignored SIGCHLD would reap the child for us */
	if (mcl_work_folder_make(&folder))
		return MCL_VERDICT_ENVIRONMENT;

	fflush(NULL);
	child = fork();
	if (child == 0)
		run_child(self, &old_mask, folder.path, work, ctx);
	if (child < 0) {
		fprintf(stderr, "mirrorcl-cc: cannot start the compiler: %s\n", strerror(errno));
		verdict = MCL_VERDICT_ENVIRONMENT;
		goto out;
	}
	status = wait_for(child, &mask, &caught);
	if (caught) {
		verdict = MCL_VERDICT_CRASHED;
	} else if (WIFEXITED(status)) {
		verdict = WEXITSTATUS(status);
		if (verdict == MCL_VERDICT_OK)
			verdict = deliver(folder.path, ctx);
	} else {
		fprintf(stderr, "mirrorcl-cc: the compiler crashed (%s)\n", strsignal(WTERMSIG(status)));
		verdict = MCL_VERDICT_CRASHED;
	}
out:
	mcl_work_folder_remove(&folder);
	if (child > 0 && caught) {
		signal(caught, SIG_DFL);
		sigprocmask(SIG_SETMASK, &old_mask, NULL);
		raise(caught);
	}
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	return verdict;
}
