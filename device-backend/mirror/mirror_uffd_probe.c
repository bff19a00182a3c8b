// SPDX-License-Identifier: MIT
/*
 * Can this mirror run here? It needs a userfaultfd that also handles faults of system calls, and kernel features up to
 * UFFDIO_MOVE (6.8) and PROCMAP_QUERY (6.11). Each thing that may be missing has its own sentence and remedy.
 */
#include <fcntl.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#define NEEDED_FEATURES                                                                                                \
	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |                       \
	 UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_SIGBUS | UFFD_FEATURE_THREAD_ID |        \
	 UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_POISON | UFFD_FEATURE_MOVE | UFFD_FEATURE_MINOR_SHMEM)

static int kernel_reason(struct mcl_reason *why, const char *what, const char *version)
{
	struct utsname name;

	if (uname(&name))
		name.release[0] = 0;
	return mcl_reason(why, -ENOTSUP, "the running kernel (%s) has no %s; it needs Linux %s or later", name.release,
			  what, version);
}

int mcl_uffd_open(uint64_t features, struct mcl_reason *why)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	int err = errno, dev;

	if (fd < 0 && err == ENOSYS)
		return mcl_reason(
			why, -ENOSYS,
			"userfaultfd is missing: the kernel was built without CONFIG_USERFAULTFD, or a seccomp "
			"filter hides it");
	if (fd < 0 && err == EPERM) {
		/* The system call wants a capability; the device file wants its own permission bits only. */
		dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
		if (dev < 0 && geteuid() == 0)
			return mcl_reason(
				why, -EPERM,
				"userfaultfd is not permitted: a container or seccomp filter forbids it; allow it "
				"there (CAP_SYS_PTRACE, a seccomp profile with userfaultfd, or /dev/userfaultfd)");
		if (dev < 0)
			return mcl_reason(
				why, -EPERM,
				"userfaultfd is not permitted for this user: give access to /dev/userfaultfd (a udev "
				"rule: KERNEL==\"userfaultfd\", GROUP=\"video\", MODE=\"0660\"), or CAP_SYS_PTRACE, or "
				"sysctl vm.unprivileged_userfaultfd=1");
		fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
		err = errno;
		close(dev);
	}
	if (fd < 0)
		return mcl_reason(why, -err, "userfaultfd: %s", strerror(err));
	if (ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return kernel_reason(why, "userfaultfd with UFFDIO_MOVE", "6.8");
	}
	return fd;
}

int mcl_uffd_probe(struct mcl_reason *why)
{
	struct procmap_query query = { .size = sizeof(query), .query_addr = (uint64_t)&query };
	struct rlimit limit;
	int fd, ret;

	if (sysconf(_SC_PAGESIZE) != (long)PAGE_SIZE)
		return mcl_reason(why, -ENOTSUP, "the userfaultfd mirror knows pages of 4 KiB only");
	if (!getrlimit(RLIMIT_AS, &limit) && limit.rlim_max != RLIM_INFINITY)
		return mcl_reason(
			why, -ENOMEM,
			"the address space is limited (ulimit -v), and the device needs to map all of it; lift the "
			"limit or use MIRRORCL_MIRROR=shared");
	if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_max != RLIM_INFINITY)
		return mcl_reason(
			why, -EFBIG,
			"the size of files is limited (ulimit -f), which forbids the mirror's memory file; lift the "
			"limit or use MIRRORCL_MIRROR=shared");
	fd = mcl_uffd_open(NEEDED_FEATURES, why);
	if (fd < 0)
		return fd;
	close(fd);
	/* The engine has no files to open: it makes its own one, for which no right is needed, by the system call. */
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return mcl_reason(why, -errno,
				  "the userfaultfd system call fails (%s), which the device process needs even where "
				  "/dev/userfaultfd is there: a container or seccomp filter forbids it; allow it there",
				  strerror(errno));
	close(fd);
	fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return mcl_reason(why, -errno, "/proc is not mounted, which the userfaultfd mirror needs");
	ret = ioctl(fd, PROCMAP_QUERY, &query);
	close(fd);
	if (ret)
		return kernel_reason(why, "PROCMAP_QUERY", "6.11");
	return 0;
}
