/* SPDX-License-Identifier: MIT */
/*
 * How an engine that was exec'ed (uffd mirror) comes to the point where one that was cloned (shared mirror) starts:
 * window mapped, nothing else of its own left, on the engine's stack, about to run the entry point.
 *
 * The engine's ELF entry point is mcl_boot_exec (boot_uffd.c). It finds a socket at descriptor 3, receives struct
 * mcl_boot_exec and two descriptors (window memfd, mirror memfd), then
 *	1. maps every part of the window except its own image, which exec has mapped already;
 *	2. moves to .engine_stack and unmaps everything outside the window;
 *	3. maps the mirror memfd over all of the rest (offset = address), registers it with a userfaultfd of its own and
 *	   sends that descriptor back;
 *	4. starts a service thread in boot_uffd.c (raw clone, stack in its .bss) that maps files on the host's request;
 *	5. calls .engine_entry, the same `void entry(void)` that the shared mirror starts.
 * Anything that fails ends the process with status 120 + step; the host reports it.
 *
 * Freestanding, like everything in the engine. Does not touch control memory.
 */
#ifndef MCL_BOOT_UFFD_H
#define MCL_BOOT_UFFD_H

#include <stdint.h>

#include "mirror/window.h"

#define MCL_BOOT_SOCKET 3
#define MCL_BOOT_MAGIC 0x6d636c626f6f7431ull

struct mcl_boot_exec {
	uint64_t magic; /* MCL_BOOT_MAGIC */
	uint64_t engine_entry, engine_stack;
	uint64_t window_base;
	struct mcl_window_layout layout;
	uint64_t low, high; /* the mirror covers [low, window) and [window end, high) */
};

/* What the service thread is asked on the socket, one datagram each, answered with the int64_t result or -errno. */
enum mcl_boot_op {
	MCL_BOOT_MAP_FILE = 1, /* mmap the passed descriptor at .start, MAP_SHARED | MAP_FIXED, .prot, .offset */
	MCL_BOOT_MAP_MIRROR = 2, /* the mirror again at .start (after MAP_FILE), registered again */
	MCL_BOOT_PROTECT = 3, /* mprotect of a part of the window */
};

struct mcl_boot_request {
	uint32_t op, prot;
	uint64_t start, size, offset;
};

/*
 * For the abort path, in the signal handler, only in an engine that was exec'ed: the access at @address has failed for
 * good (SIGBUS); forget it, so that a later access asks again. Never in the shared mirror: it would drop host memory.
 */
void mcl_boot_forget_fault(uint64_t address);

#endif
