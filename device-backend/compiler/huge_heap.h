/* SPDX-License-Identifier: MIT */
/*
 * malloc() from huge pages, for a process that allocates a lot and ends soon: LLVM fills a hundred megabytes for the smallest
 * kernel, and in small pages their faults are a third of the time. Knows nothing of compilers.
 */
#ifndef MCL_HUGE_HEAP_H
#define MCL_HUGE_HEAP_H

/*
 * From now on malloc() takes from one range that is advised to be transparent huge pages (in the first thread; others have
 * heaps of their own). Where the system has none, or limits the process to less than that range, nothing changes. Not undone.
 */
void mcl_huge_heap_use(void);

/*
 * The same for the programs that this process executes, by means of the C library's own switches in the environment; what is
 * set there already goes first. Returns 0 or -ENOMEM.
 */
int mcl_huge_heap_bequeath(void);

#endif
