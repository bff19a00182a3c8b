// SPDX-License-Identifier: MIT
/* The window's reservation; see window.h. What lies inside is engine/'s business. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mirror/window.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#if defined(__SANITIZE_THREAD__)
#define MCL_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MCL_TSAN
#endif
#endif

/*
 * Where the window may be. The first is the conventional one; 0 leaves it to the kernel. Code that is built with the thread
 * sanitizer can only touch what that considers application memory.
 */
static const uint64_t bases[] = {
#ifndef MCL_TSAN
	MCL_WINDOW_BASE,
	0x500000000000ull,
	0x400000000000ull,
	0x300000000000ull,
	0x200000000000ull,
	0x180000000000ull,
#endif
	0,
};

/*
 * Sanitizers intercept mmap(), and abort or lie when the address is outside of what they think an application uses. An
 * application that is built with one may load a library that is not, so ours go straight to the kernel.
 */
static void *map(void *addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
#ifdef MCL_TSAN
	return mmap(addr, size, prot, flags, fd, (off_t)offset);
#else
	return (void *)syscall(SYS_mmap, addr, size, prot, flags, fd, offset);
#endif
}

static void unmap(void *addr, uint64_t size)
{
#ifdef MCL_TSAN
	munmap(addr, size);
#else
	syscall(SYS_munmap, addr, size);
#endif
}

static int make_memfd(uint64_t size, struct mcl_reason *why)
{
	struct rlimit limit;
	int fd, err;

	/* Exceeding it would not only fail but also raise SIGXFSZ. */
	if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size)
		return mcl_reason(why, -EFBIG,
				  "the limit on file sizes (ulimit -f) is below the %" PRIu64
				  " MiB that the device's window needs; raise it",
				  size >> 20);
	fd = memfd_create("mirrorcl-window", MFD_CLOEXEC | MFD_EXEC);
	if (fd < 0 && errno == EINVAL) /* kernels before 6.3 do not know MFD_EXEC */
		fd = memfd_create("mirrorcl-window", MFD_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		return mcl_reason(why, err, "cannot create the device's window (memfd_create: %s)%s", strerror(-err),
				  err == -EACCES ? "; the sysctl vm.memfd_noexec forbids executable ones" : "");
	}
	if (ftruncate(fd, (off_t)size)) {
		err = -errno;
		close(fd);
		return mcl_reason(why, err, "cannot size the device's window to %" PRIu64 " MiB: %s", size >> 20,
				  strerror(-err));
	}
	return fd;
}

static void *reserve(uint64_t size)
{
	for (size_t i = 0; i < sizeof(bases) / sizeof(*bases); i++) {
		void *const hint = (void *)(uintptr_t)bases[i];
		void *p = map(hint, size, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (hint ? MAP_FIXED_NOREPLACE : 0), -1, 0);

		if (p == MAP_FAILED)
			continue;
		if (!hint || p == hint)
			return p;
		unmap(p, size); /* a kernel or a sanitizer that took the address for a hint */
	}
	return NULL;
}

int mcl_window_create(const struct mcl_window_layout *layout, struct mcl_window *out, struct mcl_reason *why)
{
	const struct {
		uint64_t offset, size;
		int prot;
	} parts[] = {
		{ layout->image_offset, layout->image_size, PROT_NONE },
		{ layout->control_offset, layout->control_size, PROT_READ | PROT_WRITE },
		{ layout->heap_offset, layout->heap_size, PROT_READ | PROT_WRITE },
		{ layout->code_offset, layout->code_size, PROT_NONE },
		{ layout->stacks_offset, layout->stacks_size, PROT_READ | PROT_WRITE },
	};
	uint8_t *base = NULL;
	int fd, err;

	fd = make_memfd(layout->total_size, why);
	if (fd < 0)
		return fd;
	base = reserve(layout->total_size);
	if (!base) {
		err = mcl_reason(why, -ENOMEM,
				 "cannot reserve %" PRIu64 " MiB of addresses for the device's window (ulimit -v?)",
				 layout->total_size >> 20);
		goto err_fd;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (!parts[i].size)
			continue;
		if (map(base + parts[i].offset, parts[i].size, parts[i].prot, MAP_SHARED | MAP_FIXED, fd,
			parts[i].offset) == MAP_FAILED) {
			err = -errno;
			mcl_reason(why, err, "cannot map the device's window: %s", strerror(-err));
			goto err_map;
		}
	}
	/* A child of fork() has no device; its writes must not reach the parent's. */
	if (madvise(base, layout->total_size, MADV_DONTFORK)) {
		err = mcl_reason(why, -errno, "cannot keep the device's window from forks: %s", strerror(errno));
		goto err_map;
	}
	out->base = (uintptr_t)base;
	out->memfd = fd;
	out->layout = *layout;
	return 0;

err_map:
	unmap(base, layout->total_size);
err_fd:
	close(fd);
	return err;
}

void mcl_window_destroy(struct mcl_window *w)
{
	unmap((void *)(uintptr_t)w->base, w->layout.total_size);
	close(w->memfd);
	w->base = 0;
	w->memfd = -1;
}

void *mcl_window_alias(const struct mcl_window *w, uint64_t offset, uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, w->memfd, (off_t)offset);

	return p == MAP_FAILED ? NULL : p;
}
