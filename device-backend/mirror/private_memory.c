// SPDX-License-Identifier: MIT
/* An arena outside the reach of mirrors; see private_memory.h. */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "mirror/private_memory.h"

#define GROW_STEP (2ull << 20)
#define STACK_SIZE (256ull << 10)
#define GUARD_SIZE 4096ull

int mcl_private_create(struct mcl_private *p, size_t size)
{
	/* One step more, to align; the rest of it stays unused, which costs nothing. */
	void *at = mmap(NULL, size + GROW_STEP, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	madvise(at, size + GROW_STEP, MADV_DONTFORK);
	p->start = (uint64_t)at;
	p->end = (uint64_t)at + size + GROW_STEP;
	p->next = p->usable = (p->start + GROW_STEP - 1) & ~(GROW_STEP - 1);
	return 0;
}

void mcl_private_destroy(struct mcl_private *p)
{
	if (p->start)
		munmap((void *)p->start, p->end - p->start);
	p->start = p->end = 0;
}

void *mcl_private_alloc(struct mcl_private *p, size_t size, size_t align)
{
	uint64_t at = (p->next + align - 1) & ~(align - 1);
	uint64_t end = at + size;

	if (end < at || end > p->end)
		return NULL;
	if (end > p->usable) {
		uint64_t usable = (end + GROW_STEP - 1) & ~(GROW_STEP - 1);

		if (usable > p->end)
			usable = p->end;
		if (mprotect((void *)p->usable, usable - p->usable, PROT_READ | PROT_WRITE))
			return NULL;
		p->usable = usable;
	}
	p->next = end;
	return (void *)at;
}

int mcl_private_thread(struct mcl_private *p, const char *name, void *(*fn)(void *), void *arg, pthread_t *out)
{
	char *stack = mcl_private_alloc(p, STACK_SIZE + GUARD_SIZE, 4096);
	pthread_attr_t attr;
	sigset_t all, saved;
	int err;

	if (!stack)
		return -ENOMEM;
	if (mprotect(stack, GUARD_SIZE, PROT_NONE))
		return -errno;
	/* A child of fork() gets it all the same: there the C library tidies up the control blocks of threads that are gone. */
	if (madvise(stack, STACK_SIZE + GUARD_SIZE, MADV_DOFORK))
		return -errno;
	err = pthread_attr_init(&attr);
	if (err)
		return -err;
	err = pthread_attr_setstack(&attr, stack + GUARD_SIZE, STACK_SIZE);
	if (!err) {
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &saved);
		err = pthread_create(out, &attr, fn, arg);
		pthread_sigmask(SIG_SETMASK, &saved, NULL);
	}
	pthread_attr_destroy(&attr);
	if (!err)
		pthread_setname_np(*out, name);
	return -err;
}
