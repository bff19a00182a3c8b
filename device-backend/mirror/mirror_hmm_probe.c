// SPDX-License-Identifier: MIT
/* Can this mirror run here? Each thing that may be missing has its own sentence and remedy. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "mirror/mirror_hmm.h"

/* The first kernel of which the module builds; see kernel-hmm/compat.h. */
#define LEAST_MAJOR 6
#define LEAST_MINOR 12

static int no_device(struct mcl_reason *why, int err)
{
	struct utsname name;
	int major = 0, minor = 0;

	if (err != ENOENT && err != ENXIO && err != ENODEV)
		return mcl_reason(why, -err, "%s: %s", HMM_MIRROR_DEVICE, strerror(err));
	if (!uname(&name) && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	    (major < LEAST_MAJOR || (major == LEAST_MAJOR && minor < LEAST_MINOR)))
		return mcl_reason(
			why, -ENODEV,
			"the running kernel (%s) is too old for the kernel module hmm_mirror; it needs Linux %d.%d "
			"or later, and one with CONFIG_DEVICE_PRIVATE (Debian's 7.3, trixie-backports) to migrate",
			name.release, LEAST_MAJOR, LEAST_MINOR);
	return mcl_reason(
		why, -ENODEV,
		"there is no %s: the kernel module hmm_mirror is not loaded; build and load it (kernel-hmm/ with "
		"dkms, then modprobe hmm_mirror), or try it in a virtual machine (./dev vm)",
		HMM_MIRROR_DEVICE);
}

int mcl_hmm_open(struct hmm_mirror_info *info, struct mcl_reason *why)
{
	int fd = open(HMM_MIRROR_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return mcl_reason(
			why, -EACCES,
			"this user may not open %s: become a member of the group that owns it, or give access "
			"with a udev rule (KERNEL==\"hmm_mirror\", GROUP=\"render\", MODE=\"0660\")",
			HMM_MIRROR_DEVICE);
	if (fd < 0)
		return no_device(why, errno);
	if (ioctl(fd, HMM_MIRROR_IOC_INFO, info)) {
		err = -errno;
		close(fd);
		return mcl_reason(why, err, "%s is not the kernel module's: %s", HMM_MIRROR_DEVICE, strerror(-err));
	}
	if (info->version != HMM_MIRROR_VERSION || !(info->capabilities & HMM_MIRROR_CAP_MIRROR)) {
		close(fd);
		return mcl_reason(
			why, -EPROTO,
			"the loaded kernel module hmm_mirror speaks version %u of its interface, this library "
			"version %u; install both from the same release",
			info->version, HMM_MIRROR_VERSION);
	}
	return fd;
}

int mcl_hmm_probe(struct mcl_reason *why)
{
	struct hmm_mirror_info info;
	struct rlimit limit;
	struct utsname name;
	int fd = mcl_hmm_open(&info, why);

	if (fd < 0)
		return fd;
	close(fd);
	if (sysconf(_SC_PAGESIZE) != (long)HMM_PAGE)
		return mcl_reason(why, -ENOTSUP, "the hmm mirror knows pages of 4 KiB only");
	if (!getrlimit(RLIMIT_AS, &limit) && limit.rlim_max != RLIM_INFINITY)
		return mcl_reason(
			why, -ENOMEM,
			"the address space is limited (ulimit -v), and the device needs to map all of it; lift the "
			"limit or use MIRRORCL_MIRROR=shared");
	if (!(info.capabilities & HMM_MIRROR_CAP_MIGRATE) && why) {
		if (uname(&name))
			name.release[0] = 0;
		mcl_reason(
			why, 0,
			"memory stays in system RAM: the running kernel (%s) lacks CONFIG_DEVICE_PRIVATE; boot one that "
			"has it (Debian's 7.3, trixie-backports) to migrate",
			name.release);
	}
	return 0;
}
