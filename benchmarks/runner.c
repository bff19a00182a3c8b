// SPDX-License-Identifier: MIT
/* One case in one process; see runner.h. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

#define RESULT_FD "3" /* where mirrorcl-bench-case is told to write its number */
#define MAX_ENV 1024

extern char **environ;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A vendor folder with this one driver in it: every loader takes a folder, not every one takes a file. */
static int make_vendor_folder(const struct runner *r, const char *name, const char *icd)
{
	char path[PATH_MAX + 64], target[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", r->folder, name);
	if (mkdir(path, 0700))
		return -errno;
	if (!icd || !realpath(icd, target))
		return 0; /* an empty folder: "no platform" will say it */
	snprintf(path, sizeof(path), "%s/%s/driver.icd", r->folder, name);
	return symlink(target, path) ? -errno : 0;
}

int runner_open(struct runner *r, const struct runner_setup *setup)
{
	const char *tmp = getenv("TMPDIR");
	int err;

	r->setup = *setup;
	snprintf(r->folder, sizeof(r->folder), "%s/mirrorcl-bench.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(r->folder))
		return -errno;
	err = make_vendor_folder(r, "mirrorcl", setup->mirrorcl_icd);
	if (!err)
		err = make_vendor_folder(r, "pocl", setup->pocl_icd);
	if (err)
		remove_tree(r->folder);
	return err;
}

void runner_close(struct runner *r)
{
	remove_tree(r->folder);
}

/* Variables that choose a driver, a cache or a mirror are ours; everything else is the caller's. */
static bool is_ours(const char *entry)
{
	static const char *const names[] = {
		"OCL_ICD_VENDORS=", "OCL_ICD_FILENAMES=",  "OPENCL_VENDOR_PATH=", "OPENCL_LAYERS=",
		"POCL_CACHE_DIR=",  "MIRRORCL_CACHE_DIR=", "MIRRORCL_MIRROR=",	  "MIRRORCL_REPORT=",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strncmp(entry, names[i], strlen(names[i])))
			return true;
	return false;
}

/* Start the case; its number and its standard error go to the two descriptors, which stay the caller's. */
static int start(struct runner *r, enum bench_who who, const char *name, bool warm, const char *cache, int out, int err,
		 pid_t *pid)
{
	char vendors[PATH_MAX + 32], xdg_cache[PATH_MAX + 64], pocl_cache[PATH_MAX + 64], mcl_cache[PATH_MAX + 64],
		mirror[32], begun[32];
	char *env[MAX_ENV], *argv[8];
	posix_spawn_file_actions_t actions;
	unsigned int n = 0, a = 0;
	struct timespec now;
	int ret;

	for (char **e = environ; *e && n < MAX_ENV - 8; e++)
		if (!is_ours(*e))
			env[n++] = *e;
	snprintf(vendors, sizeof(vendors), "OCL_ICD_VENDORS=%s/%s", r->folder,
		 who < WHO_MIRRORCL ? "mirrorcl" : "pocl");
	snprintf(xdg_cache, sizeof(xdg_cache), "XDG_CACHE_HOME=%s", cache);
	snprintf(pocl_cache, sizeof(pocl_cache), "POCL_CACHE_DIR=%s", cache);
	snprintf(mcl_cache, sizeof(mcl_cache), "MIRRORCL_CACHE_DIR=%s", cache);
	snprintf(mirror, sizeof(mirror), "MIRRORCL_MIRROR=%s", bench_who_name(who));
	env[n++] = vendors;
	/* Also for what MirrorCL's compiler, a POCL program itself, may keep: cold must be cold. */
	env[n++] = xdg_cache;
	if (who == WHO_POCL)
		env[n++] = pocl_cache;
	if (who < WHO_MIRRORCL) {
		env[n++] = mcl_cache;
		env[n++] = mirror;
	}
	env[n] = NULL;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(begun, sizeof(begun), "--start=%llu",
		 (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec);
	argv[a++] = (char *)r->setup.case_program;
	argv[a++] = begun;
	argv[a++] = "--result-fd=" RESULT_FD;
	if (warm)
		argv[a++] = "--warm";
	argv[a++] = (char *)name;
	argv[a] = NULL;

	ret = posix_spawn_file_actions_init(&actions);
	if (ret)
		return -ret;
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, atoi(RESULT_FD));
	ret = posix_spawn(pid, argv[0], &actions, NULL, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	return -ret;
}

/* Wait until @pid ends or the limit is over; then it is killed. Its wait status goes to *@status. */
static int wait_for(pid_t pid, unsigned int limit_s, int *status)
{
	struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	int ret = 0, ready;

	if (p.fd < 0)
		return -errno;
	do {
		ready = poll(&p, 1, (int)limit_s * 1000);
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0) {
		kill(pid, SIGKILL);
		ret = -ETIMEDOUT;
	}
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	close(p.fd);
	return ret;
}

/* Memory files, not pipes: whatever the case leaves running cannot keep us waiting for an end of file. */
static size_t read_back(int fd, char *text, size_t size)
{
	off_t end = lseek(fd, 0, SEEK_END);
	off_t from = end > (off_t)size - 1 ? end - (off_t)size + 1 : 0;
	ssize_t n = pread(fd, text, size - 1, from);

	if (n < 0)
		n = 0;
	text[n] = '\0';
	return (size_t)n;
}

static void last_line(int fd, char *why, size_t size)
{
	char text[1024];
	size_t n = read_back(fd, text, sizeof(text));
	char *line;

	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	line = strrchr(text, '\n');
	snprintf(why, size, "%s", line ? line + 1 : text);
}

int runner_run(struct runner *r, enum bench_who who, const char *name, enum runner_mode mode, double *value,
	       double *limit, char *why, size_t why_size)
{
	char cache[PATH_MAX + 32], text[64], *end, *second;
	int out = -1, errors = -1, status = 0, err;
	pid_t pid;

	why[0] = '\0';
	snprintf(cache, sizeof(cache), "%s/cache-%s%s", r->folder, bench_who_name(who),
		 mode == RUN_COLD ? "-cold" : "");
	if (mode == RUN_COLD)
		remove_tree(cache);
	if (mkdir(cache, 0700) && errno != EEXIST)
		return -errno;
	out = memfd_create("result", MFD_CLOEXEC);
	errors = memfd_create("errors", MFD_CLOEXEC);
	if (out < 0 || errors < 0) {
		err = -errno;
		goto done;
	}
	err = start(r, who, name, mode == RUN_WARM, cache, out, errors, &pid);
	if (err)
		goto done;
	err = wait_for(pid, r->setup.time_limit_s, &status);
	if (err) {
		snprintf(why, why_size, "took more than %u s", r->setup.time_limit_s);
		goto done;
	}
	if (status) {
		last_line(errors, why, why_size);
		if (!*why && WIFSIGNALED(status))
			snprintf(why, why_size, "ended by signal %d", WTERMSIG(status));
		err = -ECHILD;
		goto done;
	}
	read_back(out, text, sizeof(text));
	*value = strtod(text, &end);
	*limit = strtod(end, &second);
	if (second == end)
		*limit = NAN;
	if (end == text) {
		snprintf(why, why_size, "gave no number");
		err = -ECHILD;
	}
done:
	if (out >= 0)
		close(out);
	if (errors >= 0)
		close(errors);
	return err;
}
