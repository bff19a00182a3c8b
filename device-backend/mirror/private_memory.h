/* SPDX-License-Identifier: MIT */
/*
 * Memory that a mirror must never take away: state, buffers and stacks of the threads that serve page faults. If such a
 * thread touched a page that lies in VRAM it would wait for itself.
 *
 * One address range, reserved at once and made usable piece by piece, so that "never to be taken" is one comparison.
 * Nothing is given back before the whole arena goes.
 *
 * Threads started here have their stack, control block and static thread-local storage in the arena and block all
 * signals. They must not call malloc or stdio, nor touch anything of the application.
 */
#ifndef MCL_PRIVATE_MEMORY_H
#define MCL_PRIVATE_MEMORY_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct mcl_private {
	uint64_t start, end; /* the reservation */
	uint64_t next; /* first free byte */
	uint64_t usable; /* end of the part that is mapped read-write */
};

/* Reserve @size bytes (a multiple of 2 MiB). Excluded from fork. Returns 0 or -errno of mmap. */
int mcl_private_create(struct mcl_private *p, size_t size);
void mcl_private_destroy(struct mcl_private *p);

/* Zeroed memory, @align a power of two. Not thread-safe. NULL when the reservation or the system's memory is used up. */
void *mcl_private_alloc(struct mcl_private *p, size_t size, size_t align);

/* Start a thread as described above. Returns 0 or -errno. Join it with pthread_join(). */
int mcl_private_thread(struct mcl_private *p, const char *name, void *(*fn)(void *), void *arg, pthread_t *out);

#endif
