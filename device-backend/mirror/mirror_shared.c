// SPDX-License-Identifier: MIT
/*
 * The shared mirror: the engine is a process of its own on the host's page table, as a device with ATS and PASID would be.
 * Everything the host has mapped is there, at once and coherent; nothing faults, nothing migrates.
 *
 * The child is made with clone(CLONE_VM) but without CLONE_THREAD, CLONE_SIGHAND and CLONE_FILES: it has its own signal
 * handlers, descriptors and death. No exit signal, so the application's wait() never meets it; CLONE_UNTRACED, so a
 * debugger's breakpoints in shared code do not kill it. The C library is not told: the child runs no C library code.
 */
#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mirror/mirror.h"

#define PAGE 4096ull

struct shared_mirror {
	struct mcl_mirror_base base;
	struct mcl_mirror_params params;
};

static int shared_probe(struct mcl_reason *why)
{
	(void)why;
	return 0;
}

static int shared_create(const struct mcl_mirror_params *params, struct mcl_mirror **out, struct mcl_reason *why)
{
	struct shared_mirror *m = calloc(1, sizeof(*m));

	if (!m)
		return mcl_reason(why, -ENOMEM, "out of memory");
	m->base.ops = &mcl_mirror_shared;
	m->params = *params;
	*out = (struct mcl_mirror *)m;
	return 0;
}

/* The child starts at @entry on @stack and never comes back here. */
static long spawn(unsigned long flags, uint64_t stack, uint64_t entry)
{
	register unsigned long parent_tid __asm__("rdx") = 0;
	register unsigned long child_tid __asm__("r10") = 0;
	register unsigned long tls __asm__("r8") = 0;
	register uint64_t target __asm__("r9") = entry;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "jmp *%%r9\n"
			 "1:"
			 : "=a"(ret)
			 : "a"(__NR_clone), "D"(flags), "S"(stack), "r"(parent_tid), "r"(child_tid), "r"(tls),
			   "r"(target)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}

static int shared_start(struct mcl_mirror *mirror, pid_t *pid, struct mcl_reason *why)
{
	const struct shared_mirror *m = (const struct shared_mirror *)mirror;
	const long ret = spawn(CLONE_VM | CLONE_UNTRACED, m->params.engine_stack, m->params.engine_entry);

	if (ret < 0)
		return mcl_reason(why, (int)ret, "cannot start the device process (clone: %s)%s", strerror((int)-ret),
				  ret == -EAGAIN ? "; the limit on processes (ulimit -u) may be reached" : "");
	*pid = (pid_t)ret;
	return 0;
}

static void shared_destroy(struct mcl_mirror *mirror)
{
	free(mirror);
}

static uint64_t round_up(size_t size)
{
	return ((uint64_t)size + PAGE - 1) & ~(PAGE - 1);
}

static void *shared_alloc(struct mcl_mirror *mirror, size_t size)
{
	void *p = MAP_FAILED;

	(void)mirror;
	if (round_up(size) >= size)
		p = mmap(NULL, round_up(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		errno = ENOMEM;
		return NULL;
	}
	return p;
}

static void shared_free(struct mcl_mirror *mirror, void *ptr, size_t size)
{
	(void)mirror;
	munmap(ptr, round_up(size));
}

const struct mcl_mirror_ops mcl_mirror_shared = {
	.name = "shared",
	.faults = false,
	.probe = shared_probe,
	.create = shared_create,
	.start = shared_start,
	.destroy = shared_destroy,
	.alloc = shared_alloc,
	.free = shared_free,
};
