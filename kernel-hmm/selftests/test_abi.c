// SPDX-License-Identifier: GPL-2.0-only
/* What the ioctls promise about their arguments and their callers. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

static int device(void)
{
	int fd = open(HMM_MIRROR_DEVICE, O_RDWR | O_CLOEXEC);

	EXPECT_GE(fd, 0);
	return fd;
}

/* What the module says about itself is consistent. */
TEST(info)
{
	struct hmm_mirror_info info;
	int fd = device();

	memset(&info, 0xff, sizeof(info));
	EXPECT_EQ(ioctl(fd, HMM_MIRROR_IOC_INFO, &info), 0);
	EXPECT_EQ(info.version, HMM_MIRROR_VERSION);
	EXPECT_GE(info.devices, 1);
	EXPECT_NE(info.capabilities & HMM_MIRROR_CAP_MIRROR, 0);
	EXPECT_EQ(info.fault_size, sizeof(struct hmm_mirror_fault));
	EXPECT_EQ(!!(info.capabilities & HMM_MIRROR_CAP_MIGRATE), !!info.vram_size);
}

/* Everything but INFO and REGISTER needs a registration. */
TEST(unregistered)
{
	struct hmm_mirror_range range = { .start = ARENA, .size = PAGE };
	struct hmm_mirror_counters counters;
	struct hmm_mirror_fault fault;
	int fd = device();

	EXPECT_ERRNO(ioctl(fd, HMM_MIRROR_IOC_MIRROR, &range), ENXIO);
	EXPECT_ERRNO(ioctl(fd, HMM_MIRROR_IOC_ENGINE), ENXIO);
	EXPECT_ERRNO(ioctl(fd, HMM_MIRROR_IOC_COUNTERS, &counters), ENXIO);
	EXPECT_ERRNO(read(fd, &fault, sizeof(fault)), ENXIO);
	EXPECT_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0,
		     ENODEV);
}

/* A process registers once, with arguments that make sense. */
TEST(register_arguments)
{
	struct hmm_mirror_register reg = { .device = 1000 };
	int fd = device(), other = device();

	EXPECT_ERRNO(ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg), EINVAL);
	reg = (struct hmm_mirror_register){ .flags = 1ull << 63 };
	EXPECT_ERRNO(ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg), EINVAL);
	reg = (struct hmm_mirror_register){ .queue_size = 1 << 30 };
	EXPECT_ERRNO(ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg), EINVAL);
	EXPECT_ERRNO(ioctl(fd, HMM_MIRROR_IOC_REGISTER, NULL), EFAULT);
	reg = (struct hmm_mirror_register){ 0 };
	EXPECT_EQ(ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg), 0);
	EXPECT_ERRNO(ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg), EBUSY);
	EXPECT_ERRNO(ioctl(other, HMM_MIRROR_IOC_REGISTER, &reg), EBUSY);
	/* Not for ever. */
	close(fd);
	EXPECT_EQ(ioctl(other, HMM_MIRROR_IOC_REGISTER, &reg), 0);
}

/* Ranges and padding are checked. */
TEST(range_arguments)
{
	static const struct {
		uint64_t start, size;
		uint32_t flags, pad;
	} bad[] = {
		{ ARENA, 0, 0, 0 },
		{ ARENA + 1, PAGE, 0, 0 },
		{ ARENA, PAGE + 1, 0, 0 },
		{ ARENA, -PAGE, 0, 0 },
		{ -PAGE, PAGE, 0, 0 },
		{ -PAGE, 2 * PAGE, 0, 0 },
		{ 1ull << 63, PAGE, 0, 0 },
		{ ARENA, 1ull << 63, 0, 0 },
		{ ARENA, PAGE, 0x80000000, 0 },
		{ ARENA, PAGE, 0, 1 },
	};
	static const unsigned long requests[] = {
		HMM_MIRROR_IOC_MIRROR,
		HMM_MIRROR_IOC_MIGRATE,
		HMM_MIRROR_IOC_EVICT,
		HMM_MIRROR_IOC_REPLAY,
	};
	struct hmm_mirror_range range;
	struct rig rig;
	size_t i, j;

	rig_open(&rig, NULL);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		for (j = 0; j < ARRAY_SIZE(requests); j++) {
			range = (struct hmm_mirror_range){
				.start = bad[i].start,
				.size = bad[i].size,
				.flags = bad[i].flags,
				.pad = bad[i].pad,
			};
			EXPECT_ERRNO(ioctl(rig.fd, requests[j], &range), EINVAL);
		}
	}
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_MIRROR, NULL), EFAULT);
	EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIGRATE, (void *)ARENA, PAGE,
			       HMM_MIRROR_WRITE, &range), EINVAL);
	rig_close(&rig);
}

/* Larger structures are fine as long as what is unknown is zero; smaller ones too. */
TEST(sizes)
{
	struct {
		struct hmm_mirror_info info;
		uint64_t more[4];
	} info;
	struct {
		struct hmm_mirror_register reg;
		uint64_t more;
	} reg = { .more = 1 };
	uint32_t version[2] = { 0, 12345 };
	int fd = device();

	memset(&info, 0xff, sizeof(info));
	EXPECT_EQ(ioctl(fd, _IOR(HMM_MIRROR_IOC_BASE, 0, char[sizeof(info)]), &info), 0);
	EXPECT_EQ(info.more[3], 0);
	EXPECT_EQ(ioctl(fd, _IOR(HMM_MIRROR_IOC_BASE, 0, uint32_t), version), 0);
	EXPECT_EQ(version[0], HMM_MIRROR_VERSION);
	EXPECT_EQ(version[1], 12345);
	EXPECT_ERRNO(ioctl(fd, _IOW(HMM_MIRROR_IOC_BASE, 1, char[sizeof(reg)]), &reg), E2BIG);
	reg.more = 0;
	EXPECT_EQ(ioctl(fd, _IOW(HMM_MIRROR_IOC_BASE, 1, char[sizeof(reg)]), &reg), 0);
}

/* Unknown requests are ENOTTY, whatever they look like. */
TEST(unknown)
{
	struct rig rig;
	unsigned int nr;
	char buffer[256] = { 0 };

	rig_open(&rig, NULL);
	for (nr = 0x0d; nr < 0x100; nr++) {
		EXPECT_ERRNO(ioctl(rig.fd, _IO(HMM_MIRROR_IOC_BASE, nr)), ENOTTY);
		EXPECT_ERRNO(ioctl(rig.fd, _IOWR(HMM_MIRROR_IOC_BASE, nr, char[64]), buffer),
			     ENOTTY);
	}
	EXPECT_ERRNO(ioctl(rig.fd, _IOR(HMM_MIRROR_IOC_BASE, 3, char[40]), buffer), ENOTTY);
	EXPECT_ERRNO(ioctl(rig.fd, _IOR('H', 0, struct hmm_mirror_info), buffer), ENOTTY);
	EXPECT_ERRNO(ioctl(rig.engine_fd, HMM_MIRROR_IOC_INFO, buffer), ENOTTY);
	rig_close(&rig);
}

/* The descriptor is of no use to a child. */
TEST(other_process)
{
	struct rig rig;
	int status;
	pid_t pid;

	rig_open(&rig, NULL);
	arena_small(0, PAGE);
	pid = fork();
	if (!pid) {
		struct hmm_mirror_range range;
		struct hmm_mirror_fault fault;

		EXPECT_ERRNO(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, (void *)ARENA, PAGE, 0,
				       &range), EPERM);
		EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_ENGINE), EPERM);
		EXPECT_ERRNO(read(rig.fd, &fault, sizeof(fault)), EPERM);
		_exit(0);
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	rig_close(&rig);
}

/* The last page that a process can have, whatever the depth of its page tables. */
static uint64_t last_page(struct rig *rig)
{
	struct hmm_mirror_range range;
	uint64_t last = 1ull << 47;

	if (!rig_range(rig, HMM_MIRROR_IOC_REPLAY, (void *)last, PAGE, 0, &range))
		last = 1ull << 56;
	EXPECT_EQ(rig_range(rig, HMM_MIRROR_IOC_REPLAY, (void *)(last - 2 * PAGE), PAGE, 0,
			    &range), 0);
	EXPECT_ERRNO(rig_range(rig, HMM_MIRROR_IOC_REPLAY, (void *)(last - PAGE), PAGE, 0,
			       &range), EINVAL);
	return last - 2 * PAGE;
}

/* How an engine may map; a host may not, and an engine is no host. */
TEST(engine_mapping)
{
	struct engine_reply reply;
	struct rig rig;
	uint64_t last;
	int status;
	pid_t pid;

	rig_open(&rig, NULL);
	last = last_page(&rig);
	EXPECT_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, rig.engine_fd, 0) == MAP_FAILED ?
		     -1 : 0, EDEADLK);
	pid = fork();
	if (!pid) {
		void *p;

		p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, rig.engine_fd, 0);
		EXPECT_EQ(p == MAP_FAILED && errno == EINVAL, 1);
		p = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, rig.engine_fd, 0);
		EXPECT_EQ(p == MAP_FAILED && errno == EPERM, 1);
		/* Addresses that no host has. */
		p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, rig.engine_fd, 1ull << 62);
		EXPECT_EQ(p == MAP_FAILED && errno == EINVAL, 1);
		p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, rig.engine_fd, last);
		EXPECT_EQ(p == MAP_FAILED && errno == EINVAL, 1);
		p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, rig.engine_fd, last);
		EXPECT_NE((long)p, -1);
		p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, rig.engine_fd, 0);
		EXPECT_NE((long)p, -1);
		EXPECT_ERRNO(mprotect(p, PAGE, PROT_EXEC), EACCES);
		EXPECT_EQ(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED, 1);
		_exit(0);
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	reply = engine_do(&rig, ENGINE_REGISTER, 0, 0, 0);
	EXPECT_EQ(reply.value, ELOOP);
	rig_close(&rig);
}

/* The descriptor gives memory to nobody by itself: system calls see no engine memory. */
TEST(query_arguments)
{
	struct hmm_mirror_query query = { .start = ARENA, .size = PAGE, .pages = 8 };
	struct hmm_mirror_service service = { .start = ARENA, .size = PAGE, .mode = 2 };
	struct rig rig;

	rig_open(&rig, NULL);
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_QUERY, &query), EFAULT);
	query.size = (1ull << 30) + PAGE;
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_QUERY, &query), EINVAL);
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_SERVICE, &service), EINVAL);
	service.mode = 0;
	service.pad = 1;
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_SERVICE, &service), EINVAL);
	rig_close(&rig);
}
