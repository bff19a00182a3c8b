// SPDX-License-Identifier: MIT
/*
 * mirrorcl run: a program with MirrorCL as the only OpenCL platform it sees, and at its end the table of what moved.
 *
 * The caller's environment wins: OCL_ICD_VENDORS is set only if it was not, and MIRRORCL_* only where an option asks.
 * The program keeps our process group, terminal and descriptors; signals sent to us reach it and its end becomes ours, be it
 * an exit status or a signal, so that `mirrorcl run --` can be put before any command.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "locate.h"
#include "report.h"
#include "support/config.h"

/* As env(1) and the shells have it. */
enum { EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

struct run_arguments {
	const char *mirror, *compute_units, *vram, *report;
	bool quiet;
	char **command;
};

static bool is_mirror(const char *name)
{
	static const char *const names[] = { "auto", "hmm", "uffd", "shared" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct run_arguments *a = state->input;
	uint64_t size;
	char *end;

	switch (key) {
	case 'm':
		if (!is_mirror(arg))
			argp_error(state, "there is no mirror '%s': auto, hmm, uffd or shared", arg);
		a->mirror = arg;
		return 0;
	case 'c':
		if (*arg < '0' || *arg > '9' || strtoul(arg, &end, 10) > UINT16_MAX || *end)
			argp_error(state, "'%s' is not a number of compute units", arg);
		a->compute_units = arg;
		return 0;
	case 'v':
		if (mcl_parse_size(arg, &size))
			argp_error(state, "'%s' is not a size (examples: 512M, 2G)", arg);
		a->vram = arg;
		return 0;
	case 'r':
		a->report = arg;
		return 0;
	case 'q':
		a->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		a->command = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!a->command)
			argp_error(state, "which program?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int set_or(const char *name, const char *value)
{
	return value && setenv(name, value, 1) ? -errno : 0;
}

/* For the program; ours is not looked at again. */
static int set_environment(const struct run_arguments *a, const char *report)
{
	const char *vendors = getenv("OCL_ICD_VENDORS");
	struct mcl_reason why;
	char folder[PATH_MAX];
	int err;

	if (!vendors || !*vendors) {
		err = locate_vendors(folder, sizeof(folder), &why);
		if (err) {
			fprintf(stderr, "mirrorcl run: %s\n", why.text);
			return err;
		}
		err = set_or("OCL_ICD_VENDORS", folder);
		if (err)
			return err;
	}
	err = set_or("MIRRORCL_MIRROR", a->mirror);
	if (!err)
		err = set_or("MIRRORCL_COMPUTE_UNITS", a->compute_units);
	if (!err)
		err = set_or("MIRRORCL_VRAM", a->vram);
	if (!err)
		err = set_or("MIRRORCL_REPORT", report);
	return err;
}

/* Signals that we pass on. Not those that stop or fault a process, and not those the terminal sends to the whole group. */
static void forwarded_signals(sigset_t *set)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGWINCH };

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaddset(set, signals[i]);
}

static pid_t start(char **command, const sigset_t *mask, void (*on_child)(int))
{
	pid_t pid = fork();
	int err;

	if (pid)
		return pid;
	signal(SIGCHLD, on_child);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(command[0], command);
	err = errno;
	fprintf(stderr, "mirrorcl run: %s: %s\n", command[0], strerror(err));
	_exit(err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

/* Until the program has ended: its wait status. */
static int wait_for(pid_t pid)
{
	sigset_t set;
	int status;

	forwarded_signals(&set);
	sigaddset(&set, SIGCHLD);
	for (;;) {
		siginfo_t info;

		if (sigwaitinfo(&set, &info) < 0)
			continue;
		if (info.si_signo != SIGCHLD) {
			/* The kernel's own (terminal keys, alarms) went to the whole group, or are not for the program. */
			if (info.si_code <= 0)
				kill(pid, info.si_signo);
			continue;
		}
		while (waitpid(pid, &status, WNOHANG | WUNTRACED) == pid) {
			if (!WIFSTOPPED(status))
				return status;
			/* Ctrl-Z: stop with it, so that the shell sees a stopped job; go on with it. */
			kill(getpid(), SIGSTOP);
			kill(pid, SIGCONT);
		}
	}
}

/* End as the program ended. */
static int end_like(int status)
{
	const struct rlimit no_core = { 0, 0 };
	sigset_t set;

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	/* The program has dumped its core if it was to; ours would overwrite it. */
	setrlimit(RLIMIT_CORE, &no_core);
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

static void print_report(const char *path, const char *program, int status)
{
	int count = report_print(path, stderr);

	if (!count && WIFSIGNALED(status))
		fprintf(stderr, "\n%s was ended by signal %d (%s) and left no report\n", program, WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else if (!count || count == -ENOENT)
		fprintf(stderr, "\n%s opened no MirrorCL device\n", program);
	else if (count == -EBADMSG)
		fprintf(stderr, "mirrorcl run: the report %s is not understood\n", path);
	else if (count < 0)
		fprintf(stderr, "mirrorcl run: cannot read the report %s: %s\n", path, strerror(-count));
}

/*
 * Make the empty file that the program's report goes to; @path (PATH_MAX bytes) stays empty when none is wanted: the caller
 * has chosen another one, or nobody would look at it.
 */
static int make_report(const struct run_arguments *a, char *path)
{
	const char *theirs = getenv("MIRRORCL_REPORT"), *folder = getenv("TMPDIR");
	int fd;

	if (a->report) {
		fd = open(a->report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		/* The program may work in another folder. */
		if (fd < 0 || !realpath(a->report, path)) {
			fprintf(stderr, "mirrorcl run: %s: %s\n", a->report, strerror(errno));
			*path = '\0';
			return TOOL_TROUBLE;
		}
		close(fd);
		return 0;
	}
	if (a->quiet || (theirs && *theirs))
		return 0;
	snprintf(path, PATH_MAX, "%s/mirrorcl-report-XXXXXX.json", folder && *folder ? folder : "/tmp");
	fd = mkstemps(path, strlen(".json"));
	if (fd < 0) {
		fprintf(stderr, "mirrorcl run: %s: %s\n", path, strerror(errno));
		*path = '\0';
		return TOOL_TROUBLE;
	}
	close(fd);
	return 0;
}

int command_run(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "mirror", 'm', "MIRROR", 0, "How the device sees host memory: auto, hmm, uffd or shared", 0 },
		{ "compute-units", 'c', "N", 0, "Number of compute units; 0: one for each processor", 0 },
		{ "vram", 'v', "SIZE", 0, "Size of device memory (suffixes K, M, G); 0: a quarter of system memory",
		  0 },
		{ "report", 'r', "FILE", 0, "Keep the report in FILE (replaced), one JSON object a line", 0 },
		{ "quiet", 'q', NULL, 0, "Print no table at the end", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		options,
		parse,
		"-- CMD [ARGUMENT...]",
		"Run an OpenCL program with MirrorCL as the only platform it sees, and print on standard error what faulted and "
		"migrated, and why."
		"\vOptions set MIRRORCL_* variables; all others of mirrorcl(7) work as well. OCL_ICD_VENDORS and MIRRORCL_REPORT are "
		"left alone if you have set them.\n\n"
		"Exit status: that of CMD; 126 when it cannot be run, 127 when it is not found, 2 for a mistake here. When a "
		"signal ends CMD, the same signal ends this program.",
		NULL,
		NULL,
		NULL
	};
	struct run_arguments a = { 0 };
	char report[PATH_MAX] = "";
	sigset_t blocked, before;
	void (*on_child)(int);
	int status;
	pid_t pid;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &a);
	if (make_report(&a, report) || set_environment(&a, *report ? report : NULL))
		goto trouble;

	/* Blocked before there is a child, so that no signal is lost. */
	forwarded_signals(&blocked);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	/* If we were started with it ignored, nobody would tell us of the end. */
	on_child = signal(SIGCHLD, SIG_DFL);
	pid = start(a.command, &before, on_child);
	if (pid < 0) {
		fprintf(stderr, "mirrorcl run: cannot start a process: %s\n", strerror(errno));
		goto trouble;
	}
	status = wait_for(pid);
	if (!a.quiet && *report)
		print_report(report, a.command[0], status);
	if (*report && !a.report)
		unlink(report);
	return end_like(status);

trouble:
	if (*report && !a.report)
		unlink(report);
	return TOOL_TROUBLE;
}
