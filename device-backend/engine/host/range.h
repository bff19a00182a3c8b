/* SPDX-License-Identifier: MIT */
/*
 * Which parts of a range of offsets are in use: first fit, free neighbours merge. Keeps its books outside the range, so the
 * range itself is never touched. For the few, large blocks of code and arguments, not for many small ones.
 */
#ifndef MCL_RANGE_H
#define MCL_RANGE_H

#include <pthread.h>
#include <stdint.h>

struct mcl_range {
	pthread_mutex_t lock;
	struct mcl_extent_free *free; /* sorted by offset */
	uint64_t granule;
};

/* [offset, offset + size) is free; blocks are multiples of @granule (a power of two). Returns 0 or -ENOMEM. */
int mcl_range_init(struct mcl_range *r, uint64_t offset, uint64_t size, uint64_t granule);
void mcl_range_destroy(struct mcl_range *r);

/* Take @size bytes; @out gets the offset. Returns 0 or -ENOSPC: no such hole. */
int mcl_range_alloc(struct mcl_range *r, uint64_t size, uint64_t *out);
/* Give back what was taken, with the same size. */
void mcl_range_free(struct mcl_range *r, uint64_t offset, uint64_t size);

#endif
