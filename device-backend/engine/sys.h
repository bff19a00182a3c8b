/* SPDX-License-Identifier: MIT */
/*
 * System calls without a C library, for the engine's own code only (never for the host side). Each returns what the kernel
 * returns: a negative errno on failure.
 */
#ifndef MCL_ENGINE_SYS_H
#define MCL_ENGINE_SYS_H

#include <stdatomic.h>
#include <stdint.h>

#include <asm/unistd.h>
#include <linux/futex.h>

#ifdef __clang_analyzer__ /* which takes assembly for code that writes no memory */
long mcl_sys6(long n, long a, long b, long c, long d, long e, long f);
#else
static inline long mcl_sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#endif

#define mcl_sys0(n) mcl_sys6(n, 0, 0, 0, 0, 0, 0)
#define mcl_sys1(n, a) mcl_sys6(n, (long)(a), 0, 0, 0, 0, 0)
#define mcl_sys2(n, a, b) mcl_sys6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define mcl_sys3(n, a, b, c) mcl_sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define mcl_sys4(n, a, b, c, d) mcl_sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

/* The window is shared memory: futexes in it are never private. */
static inline long mcl_futex_wait(_Atomic uint32_t *word, uint32_t expected)
{
	return mcl_sys4(__NR_futex, word, FUTEX_WAIT, expected, 0);
}

static inline long mcl_futex_wake(_Atomic uint32_t *word, uint32_t count)
{
	return mcl_sys3(__NR_futex, word, FUTEX_WAKE, count);
}

static inline _Noreturn void mcl_exit_group(int status)
{
	for (;;)
		mcl_sys1(__NR_exit_group, status);
}

#endif
