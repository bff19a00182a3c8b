// SPDX-License-Identifier: MIT
/* First-fit allocation of offsets; see range.h. */
#include <errno.h>
#include <stdlib.h>

#include "engine/host/range.h"

struct mcl_extent_free {
	struct mcl_extent_free *next;
	uint64_t offset, size;
};

static uint64_t round_up(const struct mcl_range *r, uint64_t size)
{
	return (size + r->granule - 1) & ~(r->granule - 1);
}

int mcl_range_init(struct mcl_range *r, uint64_t offset, uint64_t size, uint64_t granule)
{
	r->granule = granule;
	r->free = calloc(1, sizeof(*r->free));
	if (!r->free)
		return -ENOMEM;
	r->free->offset = offset;
	r->free->size = size;
	pthread_mutex_init(&r->lock, NULL);
	return 0;
}

void mcl_range_destroy(struct mcl_range *r)
{
	while (r->free) {
		struct mcl_extent_free *e = r->free;

		r->free = e->next;
		free(e);
	}
	pthread_mutex_destroy(&r->lock);
}

int mcl_range_alloc(struct mcl_range *r, uint64_t size, uint64_t *out)
{
	struct mcl_extent_free **link;
	int err = -ENOSPC;

	if (!size || round_up(r, size) < size)
		return -ENOSPC;
	size = round_up(r, size);
	pthread_mutex_lock(&r->lock);
	for (link = &r->free; *link; link = &(*link)->next) {
		struct mcl_extent_free *e = *link;

		if (e->size < size)
			continue;
		*out = e->offset;
		e->offset += size;
		e->size -= size;
		if (!e->size) {
			*link = e->next;
			free(e);
		}
		err = 0;
		break;
	}
	pthread_mutex_unlock(&r->lock);
	return err;
}

void mcl_range_free(struct mcl_range *r, uint64_t offset, uint64_t size)
{
	struct mcl_extent_free **link, *before = NULL, *e;

	size = round_up(r, size);
	pthread_mutex_lock(&r->lock);
	for (link = &r->free; *link && (*link)->offset < offset; link = &(*link)->next)
		before = *link;
	e = *link;
	if (before && before->offset + before->size == offset) {
		before->size += size;
		if (e && offset + size == e->offset) {
			before->size += e->size;
			before->next = e->next;
			free(e);
		}
	} else if (e && offset + size == e->offset) {
		e->offset = offset;
		e->size += size;
	} else {
		struct mcl_extent_free *hole = malloc(sizeof(*hole));

		/* Without memory for the record the hole is lost until the window goes: harmless. */
		if (hole) {
			hole->offset = offset;
			hole->size = size;
			hole->next = e;
			*link = hole;
		}
	}
	pthread_mutex_unlock(&r->lock);
}
