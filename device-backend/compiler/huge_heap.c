// SPDX-License-Identifier: MIT
/*
 * Huge pages for the heap; see huge_heap.h.
 *
 * The C library reads its switches when a program starts, and this one has started: so the heap is made to grow at once by what
 * is needed as a rule, and that range is advised. It is only address space until it is used. What comes after it is in small
 * pages.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compiler/huge_heap.h"

#define HUGE_PAGE (2ul << 20)
/* Twice what a kernel of ten lines takes. */
#define ROOM (256ul << 20)
/* More than the heap of a process has left when it begins. */
#define PIECE (1ul << 20)
#define USUAL_PAD (128 << 10)
/* The most that the C library accepts: larger pieces are mapped, and given back when they are freed. */
#define MAP_THRESHOLD (32 << 20)
/* For a linker: a few megabytes, of which it needs no more than that. */
#define SWITCHES "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=67108864"

void mcl_huge_heap_use(void)
{
	void *volatile piece; /* or the compiler would leave both calls out */
	uintptr_t begin, end;

	/* A limit that is in the way must not be met by malloc(), which would go elsewhere for good. */
	if (sbrk((intptr_t)(ROOM + 2 * PIECE)) == (void *)-1)
		return;
	sbrk(-(intptr_t)(ROOM + 2 * PIECE));
	if (!mallopt(M_MMAP_THRESHOLD, MAP_THRESHOLD) || !mallopt(M_TRIM_THRESHOLD, 2 * ROOM) ||
	    !mallopt(M_TOP_PAD, ROOM))
		return;
	begin = ((uintptr_t)sbrk(0) + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	piece = malloc(PIECE);
	free(piece);
	mallopt(M_TOP_PAD, USUAL_PAD);
	end = (uintptr_t)sbrk(0) & ~(HUGE_PAGE - 1);
	if (begin < end)
		madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}

int mcl_huge_heap_bequeath(void)
{
	const char *old = getenv("GLIBC_TUNABLES");
	char *value;
	int err;

	if (asprintf(&value, SWITCHES "%s%s", old && *old ? ":" : "", old ? old : "") < 0)
		return -ENOMEM;
	err = setenv("GLIBC_TUNABLES", value, 1) ? -ENOMEM : 0;
	free(value);
	return err;
}
