/* SPDX-License-Identifier: MIT */
/*
 * System calls for the threads that serve page faults: without errno, without cancellation points, nothing outside the
 * caller's stack. Each returns what the kernel returns, a negative errno on failure. And the userfaultfd ioctls as
 * functions that hide their in/out structures.
 */
#ifndef MCL_UFFD_SYS_H
#define MCL_UFFD_SYS_H

#include <errno.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#ifdef __clang_analyzer__ /* which takes assembly for code that writes no memory */
long mcl_raw(long n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);
#else
static inline long mcl_raw(long n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#endif

static inline long mcl_raw_ioctl(int fd, unsigned long request, void *arg)
{
	return mcl_raw(SYS_ioctl, (uint64_t)fd, request, (uint64_t)arg, 0, 0, 0);
}

static inline long mcl_raw_madvise(uint64_t start, uint64_t size, int advice)
{
	return mcl_raw(SYS_madvise, start, size, (uint64_t)advice, 0, 0, 0);
}

static inline void mcl_raw_futex_wake(_Atomic uint32_t *word)
{
	mcl_raw(SYS_futex, (uint64_t)word, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
}

static inline void mcl_raw_futex_wait(_Atomic uint32_t *word, uint32_t expected)
{
	mcl_raw(SYS_futex, (uint64_t)word, FUTEX_WAIT_PRIVATE, expected, 0, 0, 0);
}

static inline void mcl_raw_sleep_us(unsigned int us)
{
	struct timespec t = { .tv_nsec = us * 1000l };

	mcl_raw(SYS_nanosleep, (uint64_t)&t, 0, 0, 0, 0, 0);
}

static inline uint64_t mcl_raw_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/*
 * Each of the following works on [at, at + size) and returns the bytes that were done, from the start; fewer than @size
 * means that *err says what stopped it (a negative errno). -EAGAIN without progress: the address space is changing and an
 * event about it is waiting to be read.
 */
static inline uint64_t mcl_uffd_progress(long ret, int64_t done, uint64_t size, int *err)
{
	if (!ret) {
		*err = 0;
		return size;
	}
	*err = (int)ret;
	if (done > 0)
		return (uint64_t)done;
	if (done < 0)
		*err = (int)done;
	return 0;
}

static inline uint64_t mcl_uffd_copy(int fd, uint64_t to, uint64_t from, uint64_t size, uint64_t mode, int *err)
{
	struct uffdio_copy c = { .dst = to, .src = from, .len = size, .mode = mode };
	long ret = mcl_raw_ioctl(fd, UFFDIO_COPY, &c);

	return mcl_uffd_progress(ret, c.copy, size, err);
}

static inline uint64_t mcl_uffd_zero(int fd, uint64_t at, uint64_t size, uint64_t mode, int *err)
{
	struct uffdio_zeropage z = { .range = { at, size }, .mode = mode };
	long ret = mcl_raw_ioctl(fd, UFFDIO_ZEROPAGE, &z);

	return mcl_uffd_progress(ret, z.zeropage, size, err);
}

/* Map pages that the file has. -EFAULT: it has none there; -EEXIST: mapped already. */
static inline uint64_t mcl_uffd_continue(int fd, uint64_t at, uint64_t size, uint64_t mode, int *err)
{
	struct uffdio_continue c = { .range = { at, size }, .mode = mode };
	long ret = mcl_raw_ioctl(fd, UFFDIO_CONTINUE, &c);

	return mcl_uffd_progress(ret, c.mapped, size, err);
}

static inline uint64_t mcl_uffd_move_pages(int fd, uint64_t to, uint64_t from, uint64_t size, uint64_t mode, int *err)
{
	struct uffdio_move m = { .dst = to, .src = from, .len = size, .mode = mode };
	long ret = mcl_raw_ioctl(fd, UFFDIO_MOVE, &m);

	return mcl_uffd_progress(ret, m.move, size, err);
}

static inline uint64_t mcl_uffd_poison(int fd, uint64_t at, uint64_t size, int *err)
{
	struct uffdio_poison p = { .range = { at, size } };
	long ret = mcl_raw_ioctl(fd, UFFDIO_POISON, &p);

	return mcl_uffd_progress(ret, p.updated, size, err);
}

/* The rest do all or nothing: 0 or a negative errno. */
static inline int mcl_uffd_protect(int fd, uint64_t at, uint64_t size, uint64_t mode)
{
	struct uffdio_writeprotect w = { .range = { at, size }, .mode = mode };

	return (int)mcl_raw_ioctl(fd, UFFDIO_WRITEPROTECT, &w);
}

static inline int mcl_uffd_wake(int fd, uint64_t at, uint64_t size)
{
	struct uffdio_range r = { at, size };

	return (int)mcl_raw_ioctl(fd, UFFDIO_WAKE, &r);
}

static inline int mcl_uffd_register(int fd, uint64_t at, uint64_t size, uint64_t mode)
{
	struct uffdio_register r = { .range = { at, size }, .mode = mode };

	return (int)mcl_raw_ioctl(fd, UFFDIO_REGISTER, &r);
}

static inline int mcl_uffd_unregister(int fd, uint64_t at, uint64_t size)
{
	struct uffdio_range r = { at, size };

	return (int)mcl_raw_ioctl(fd, UFFDIO_UNREGISTER, &r);
}

#endif
