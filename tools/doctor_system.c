// SPDX-License-Identifier: MIT
/* What the machine and this process's limits offer; see doctor.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "support/config.h"
#include "units.h"

#define LEAST_MEMORY (512ull << 20)
#define LEAST_MAPPINGS 65530 /* Linux's default */

/* The text after "@key:" in the first line of @path that begins so; false if there is none. */
static bool proc_value(const char *path, const char *key, char *value, size_t size)
{
	FILE *f = fopen(path, "re");
	char line[512];
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (!colon || strncmp(line, key, strlen(key)) != 0)
			continue;
		colon++;
		colon += strspn(colon, " \t");
		colon[strcspn(colon, "\n")] = '\0';
		snprintf(value, size, "%s", colon);
		found = true;
	}
	fclose(f);
	return found;
}

/* The number that a file holds, or -1. */
static long long file_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long long n;

	if (!f)
		return -1;
	if (fscanf(f, "%lld", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

static void check_processor(struct doctor *d)
{
	char model[128] = "unknown model";
	struct utsname kernel;
	cpu_set_t set;
	int usable = 0;

	proc_value("/proc/cpuinfo", "model name", model, sizeof(model));
	if (!sched_getaffinity(0, sizeof(set), &set))
		usable = CPU_COUNT(&set);
	doctor_add(d, "processor", DOCTOR_OK, "%s; %d processors usable of %ld", model, usable,
		   sysconf(_SC_NPROCESSORS_ONLN));
	if (usable == 1)
		doctor_remedy(
			doctor_add(d, "processor", DOCTOR_WARN,
				   "with one processor, host and kernels take turns: programs in which they wait for "
				   "each other are slow"),
			"give this process more processors");
	if (!uname(&kernel))
		doctor_add(d, "kernel", DOCTOR_OK, "%s %s", kernel.sysname, kernel.release);
}

/* The smallest memory limit of the control groups above us that can be seen; UINT64_MAX if none. */
static uint64_t group_limit(void)
{
	uint64_t least = UINT64_MAX;
	char group[400], path[512];

	if (!proc_value("/proc/self/cgroup", "0", group, sizeof(group)))
		return least;
	/* The line is "0::/a/b": what follows the first colon begins with the second. */
	memmove(group, group + (group[0] == ':'), strlen(group));
	for (;;) {
		char *slash = strrchr(group, '/');
		long long limit;

		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
		limit = file_number(path);
		if (limit >= 0 && (uint64_t)limit < least)
			least = (uint64_t)limit;
		if (!slash)
			return least;
		*slash = '\0';
	}
}

static void check_memory(struct doctor *d)
{
	char value[64], text[32];
	uint64_t available = 0, limit = group_limit();

	if (proc_value("/proc/meminfo", "MemAvailable", value, sizeof(value)))
		available = strtoull(value, NULL, 10) << 10;
	doctor_add(d, "memory", available >= LEAST_MEMORY ? DOCTOR_OK : DOCTOR_WARN, "%s available",
		   format_bytes((double)available, text, sizeof(text)));
	if (limit != UINT64_MAX)
		doctor_add(d, "memory", limit >= LEAST_MEMORY ? DOCTOR_OK : DOCTOR_WARN,
			   "a control group allows %s for programs and their devices together",
			   format_bytes((double)limit, text, sizeof(text)));
}

static void check_limits(struct doctor *d)
{
	struct rlimit limit;
	long long mappings = file_number("/proc/sys/vm/max_map_count");
	char text[32];
	bool fine = true;

	if (!getrlimit(RLIMIT_AS, &limit) && limit.rlim_cur != RLIM_INFINITY) {
		doctor_remedy(
			doctor_add(d, "limits", DOCTOR_WARN,
				   "the address space is limited to %s: device memory counts against it, and the uffd "
				   "mirror needs an unlimited one",
				   format_bytes((double)limit.rlim_cur, text, sizeof(text))),
			"ulimit -v unlimited");
		fine = false;
	}
	if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY) {
		doctor_remedy(doctor_add(d, "limits", DOCTOR_WARN,
					 "files may not grow beyond %s: memory shared with the device is such a file",
					 format_bytes((double)limit.rlim_cur, text, sizeof(text))),
			      "ulimit -f unlimited");
		fine = false;
	}
	if (mappings >= 0 && mappings < LEAST_MAPPINGS) {
		doctor_remedy(
			doctor_add(d, "limits", DOCTOR_WARN,
				   "a process may have only %lld memory mappings: the uffd mirror shares fewer pages in "
				   "place",
				   mappings),
			"sysctl vm.max_map_count=%d", LEAST_MAPPINGS);
		fine = false;
	}
	if (fine)
		doctor_add(d, "limits", DOCTOR_OK, "address space and files unlimited, %lld memory mappings", mappings);
}

static void check_seccomp(struct doctor *d)
{
	char value[16] = "0";

	proc_value("/proc/self/status", "Seccomp", value, sizeof(value));
	if (value[0] == '2')
		doctor_add(d, "seccomp", DOCTOR_OK,
			   "a filter is active, as in containers: some mirrors may be forbidden, see below");
	else
		doctor_add(d, "seccomp", DOCTOR_OK, "no filter");
}

/* A userfaultfd that also sees the kernel's own accesses; -errno. */
static int full_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC), device, err;

	if (fd >= 0)
		return fd;
	err = -errno;
	device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return errno == ENOENT ? err : -errno;
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
	err = -errno;
	close(device);
	return fd >= 0 ? fd : err;
}

static void check_userfaultfd(struct doctor *d)
{
	int fd = full_userfaultfd();
	struct doctor_finding *f;

	if (fd >= 0) {
		close(fd);
		doctor_add(d, "userfaultfd", DOCTOR_OK, "accesses of programs and of the kernel can be caught");
		return;
	}
	f = doctor_add(d, "userfaultfd", DOCTOR_WARN,
		       "%s: no uffd mirror, so device page faults and migration need the kernel module", strerror(-fd));
	doctor_remedy(f, "nothing, if the shared mirror is enough; else see the line about the uffd mirror");
}

static void check_module(struct doctor *d)
{
	static const char device[] = "/dev/hmm_mirror";
	struct stat st;

	if (stat(device, &st)) {
		doctor_add(d, "kernel module", DOCTOR_OK, "not loaded (optional): no hmm mirror");
		return;
	}
	if (access(device, R_OK | W_OK))
		doctor_remedy(doctor_add(d, "kernel module", DOCTOR_WARN, "%s is there, but: %s", device,
					 strerror(errno)),
			      "join the group that owns %s", device);
	else
		doctor_add(d, "kernel module", DOCTOR_OK, "%s is there", device);
}

void doctor_check_system(struct doctor *d)
{
	check_processor(d);
	check_memory(d);
	check_limits(d);
	check_seccomp(d);
	check_userfaultfd(d);
	check_module(d);
}
