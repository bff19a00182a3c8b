// SPDX-License-Identifier: MIT
/* What /proc tells of the threads of this process: which there are, and what each is doing. */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#define TASKS "/proc/self/task/"

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

static int32_t parse_tid(const char *name)
{
	int32_t tid = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		tid = tid * 10 + *name - '0';
	return *name ? 0 : tid;
}

static uint64_t parse_decimal(const char **at)
{
	uint64_t value = 0;

	for (; **at >= '0' && **at <= '9'; (*at)++)
		value = value * 10 + (uint64_t)(**at - '0');
	return value;
}

void mcl_uffd_each_task(struct mcl_uffd *u, void (*fn)(struct mcl_uffd *u, int32_t tid))
{
	const uint64_t dir = (uint64_t)u->tasks_fd;
	long n;

	u->task_count = 0;
	mcl_raw(SYS_lseek, dir, 0, 0 /* SEEK_SET */, 0, 0, 0);
	while ((n = mcl_raw(SYS_getdents64, dir, (uint64_t)u->scratch, sizeof(u->scratch), 0, 0, 0)) > 0) {
		for (long at = 0; at < n;) {
			const struct linux_dirent64 *d = (const struct linux_dirent64 *)(u->scratch + at);
			int32_t tid = parse_tid(d->d_name);

			if (tid)
				fn(u, tid);
			at += d->d_reclen;
		}
	}
}

uint64_t mcl_uffd_youngest(struct mcl_uffd *u)
{
	char text[128];
	long n = mcl_raw(SYS_pread64, (uint64_t)u->loadavg_fd, (uint64_t)text, sizeof(text) - 1, 0, 0, 0);
	const char *at = text;

	text[n > 0 ? n : 0] = 0;
	for (const char *c = text; *c; c++)
		if (*c == ' ')
			at = c + 1;
	return parse_decimal(&at);
}

static uint64_t parse_hex(const char **at)
{
	uint64_t value = 0;
	const char *c = *at;

	while (*c == ' ')
		c++;
	if (c[0] == '0' && c[1] == 'x')
		c += 2;
	for (;; c++) {
		if (*c >= '0' && *c <= '9')
			value = value << 4 | (uint64_t)(*c - '0');
		else if (*c >= 'a' && *c <= 'f')
			value = value << 4 | (uint64_t)(*c - 'a' + 10);
		else
			break;
	}
	*at = c;
	return value;
}

bool mcl_uffd_task_text(int32_t tid, const char *file, char *text, size_t size)
{
	char path[64] = TASKS, digits[12];
	int n = 0, k = sizeof(TASKS) - 1;
	long fd, got;

	for (; tid; tid /= 10)
		digits[n++] = (char)('0' + tid % 10);
	while (n)
		path[k++] = digits[--n];
	while (*file)
		path[k++] = *file++;
	path[k] = 0;
	fd = mcl_raw(SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return false;
	got = mcl_raw(SYS_read, (uint64_t)fd, (uint64_t)text, size - 1, 0, 0, 0);
	mcl_raw(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
	text[got > 0 ? got : 0] = 0;
	return got > 0;
}

uint64_t mcl_uffd_task_syscall(int32_t tid, uint64_t *arg)
{
	char text[256];
	const char *at = text;
	uint64_t nr;

	/* "running", or the number and its arguments in hexadecimal; -1: in none, it waits for a fault to be served */
	if (!mcl_uffd_task_text(tid, "/syscall", text, sizeof(text)))
		return MCL_TASK_ELSEWHERE;
	if (text[0] < '0' || text[0] > '9')
		return text[0] == 'r' ? MCL_TASK_RUNS : MCL_TASK_ELSEWHERE;
	nr = parse_decimal(&at);
	for (int i = 0; i < 6; i++)
		arg[i] = parse_hex(&at);
	return nr;
}

uint64_t mcl_uffd_task_time(int32_t tid)
{
	/* The kernel's number for the clock of one thread (clock_getres(2), pthread_getcpuclockid(3)). */
	const uint64_t clock = ~(uint64_t)(uint32_t)tid << 3 | 6;
	struct timespec t;

	if (mcl_raw(SYS_clock_gettime, clock, (uint64_t)&t, 0, 0, 0, 0))
		return UINT64_MAX;
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

bool mcl_uffd_task_reports(int32_t tid)
{
	char where[64];

	return mcl_uffd_task_text(tid, "/wchan", where, sizeof(where)) &&
	       !strcmp(where, "userfaultfd_event_wait_completion");
}
