// SPDX-License-Identifier: MIT
/*
 * The engine's side of the userfaultfd mirror: map the mirror's memfd over everything but the window, have it watched, hand
 * the userfaultfd to the host. Afterwards one thread here maps files over parts of it when the host asks; pages come and
 * go without this process doing anything.
 */
#include <asm/ioctl.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>

#include "engine/boot_uffd.h"
#include "engine/engine.h"
#include "engine/sys.h"

#define PROT_READ_WRITE 3
#define O_CLOEXEC_NONBLOCK (02000000 | 04000)
#define SOL_SOCKET_NR 1
#define SCM_RIGHTS_NR 1
#define MSG_NOSIGNAL_BIT 0x4000
#define PAGE 4096ull
#define EINVAL_NR 22
#define EAGAIN_NR 11

/* <sys/socket.h> belongs to the C library. */
struct iovec {
	void *base;
	uint64_t size;
};

struct control_message {
	uint64_t size;
	int32_t level, type;
	int32_t fd, pad;
};

struct message {
	void *name;
	uint32_t name_size, pad0;
	struct iovec *iov;
	uint64_t iov_count;
	void *control;
	uint64_t control_size;
	int32_t flags, pad1;
};

static struct {
	int socket, mirror, uffd, host, again;
	uint8_t stack[8192] __attribute__((aligned(4096)));
} service;

static long send_result(int64_t result, int fd)
{
	struct control_message control = {
		.size = sizeof(control) - sizeof(control.pad),
		.level = SOL_SOCKET_NR,
		.type = SCM_RIGHTS_NR,
		.fd = fd,
	};
	struct iovec iov = { &result, sizeof(result) };
	struct message msg = { .iov = &iov, .iov_count = 1 };

	if (fd >= 0) {
		msg.control = &control;
		msg.control_size = sizeof(control);
	}
	return mcl_sys3(__NR_sendmsg, service.socket, &msg, MSG_NOSIGNAL_BIT);
}

static long watch(uint64_t start, uint64_t size)
{
	struct uffdio_register r = {
		.range = { start, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};

	return mcl_sys3(__NR_ioctl, service.uffd, UFFDIO_REGISTER, &r);
}

static long map_mirror(uint64_t start, uint64_t size)
{
	long at = mcl_sys6(__NR_mmap, (long)start, (long)size, PROT_READ_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
			   service.mirror, (long)start);

	return at < 0 ? at : watch(start, size);
}

static long make_uffd(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_MISSING_SHMEM |
			    UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_POISON | UFFD_FEATURE_EXACT_ADDRESS,
	};
	/* Kernels fault on the device in user mode only; that needs no privilege. */
	long fd = mcl_sys1(__NR_userfaultfd, O_CLOEXEC_NONBLOCK | UFFD_USER_MODE_ONLY);
	long err;

	if (fd < 0)
		return fd;
	service.uffd = (int)fd;
	err = mcl_sys3(__NR_ioctl, fd, UFFDIO_API, &api);
	return err;
}

static long serve(const struct mcl_boot_request *r, int fd)
{
	long at;

	switch (r->op) {
	case MCL_BOOT_MAP_FILE:
		at = mcl_sys6(__NR_mmap, (long)r->start, (long)r->size, r->prot, MAP_SHARED | MAP_FIXED, fd,
			      (long)r->offset);
		return at < 0 ? at : 0;
	case MCL_BOOT_MAP_MIRROR:
		return map_mirror(r->start, r->size);
	default:
		return -EINVAL_NR;
	}
}

static void service_main(void *arg)
{
	uint64_t all = ~0ull;

	(void)arg;
	mcl_sys4(__NR_rt_sigprocmask, 0 /* SIG_BLOCK */, &all, 0, 8);
	for (;;) {
		struct mcl_boot_request request = { 0 };
		struct control_message control = { .fd = -1 };
		struct iovec iov = { &request, sizeof(request) };
		struct message msg = {
			.iov = &iov,
			.iov_count = 1,
			.control = &control,
			.control_size = sizeof(control),
		};
		long n = mcl_sys3(__NR_recvmsg, service.socket, &msg, 0);
		long ret;

		if (n == -4) /* EINTR */
			continue;
		/* The host closed its end: it does not want an engine any more. */
		if (n <= 0)
			mcl_exit_group(0);
		ret = n == (long)sizeof(request) ? serve(&request, control.fd) : -EINVAL_NR;
		if (control.fd >= 0)
			mcl_sys1(__NR_close, control.fd);
		send_result(ret, -1);
	}
}

int mcl_boot_uffd(struct mcl_engine_control *c)
{
	const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	const struct mcl_engine_boot *boot = &c->boot;
	uint64_t end = 0;
	long err;

	service.mirror = boot->fds[MCL_BOOT_FD_MIRROR];
	service.socket = boot->fds[MCL_BOOT_FD_SOCKET];
	service.host = boot->fds[MCL_BOOT_FD_HOST];
	service.again = boot->fds[MCL_BOOT_FD_AGAIN];
	for (uint32_t i = 0; i < boot->range_count; i++)
		if (boot->ranges[i].start + boot->ranges[i].size > end)
			end = boot->ranges[i].start + boot->ranges[i].size;
	/* Here, where the host's limit on file sizes has been lifted. */
	err = mcl_sys2(__NR_ftruncate, service.mirror, end);
	if (!err)
		err = make_uffd();
	for (uint32_t i = 0; !err && i < boot->range_count; i++)
		err = map_mirror(boot->ranges[i].start, boot->ranges[i].size);
	if (!err)
		err = mcl_thread_start(flags, (uint64_t)service.stack + sizeof(service.stack), service_main, NULL);
	if (err < 0) {
		send_result(err, -1);
		return (int)err;
	}
	err = send_result(0, service.uffd);
	if (err < 0)
		return (int)err;
	/* From here on the host's copy is the only one, and faults end when the host ends. */
	return 0;
}

/* Protecting nothing is an error, but one that comes after the one we ask for. */
static bool changing(void)
{
	struct uffdio_writeprotect nothing = { .mode = 0 };

	return mcl_sys3(__NR_ioctl, service.host, UFFDIO_WRITEPROTECT, &nothing) == -EAGAIN_NR;
}

void mcl_boot_settle(struct mcl_engine_control *c)
{
	_Atomic uint32_t *const words = c->boot.words;
	uint64_t one = 1;
	uint32_t ticket, done;

	if (!changing() && !atomic_load(&words[MCL_BOOT_WORD_BUSY]))
		return;
	ticket = atomic_fetch_add(&words[MCL_BOOT_WORD_WANTED], 1) + 1;
	mcl_sys3(__NR_write, service.again, &one, sizeof(one));
	while (atomic_load(&words[MCL_BOOT_WORD_POLLING])) {
		done = atomic_load(&words[MCL_BOOT_WORD_DONE]);
		if ((int32_t)(done - ticket) >= 0)
			return;
		mcl_futex_wait(&words[MCL_BOOT_WORD_DONE], done);
	}
}

void mcl_boot_forget_fault(uint64_t address)
{
	const struct mcl_engine_control *c = mcl_control();
	uint64_t page = address & ~(PAGE - 1);

	if (page < c->window_base || page >= c->window_base + c->window_size)
		mcl_sys3(__NR_madvise, page, PAGE, MADV_DONTNEED);
}
