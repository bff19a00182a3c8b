/* SPDX-License-Identifier: MIT */
/*
 * The hmm mirror, inside. mirror_hmm.c has the overview; kernel-hmm/hmm_mirror.h is the manual of what it asks.
 *
 * Every function is called by the pager's thread, unless it says otherwise.
 */
#ifndef MCL_MIRROR_HMM_H
#define MCL_MIRROR_HMM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel-hmm/hmm_mirror.h"
#include "mirror/block_table.h"
#include "mirror/mirror.h"
#include "mirror/private_memory.h"

#define HMM_PAGE 4096ull
#define HMM_BLOCK_PAGES (MCL_BLOCK_SIZE / HMM_PAGE)
#define HMM_USER_END 0x7ffffffff000ull

/* Ranges that are never moved, and ranges of files that the kernel serves alone. */
#define HMM_KEEP_OUT_MAX 8
#define HMM_SERVICED_MAX 64

struct mcl_hmm_span {
	uint64_t start, end;
};

/* A block of which pages have been moved, to be brought home in the end. */
struct mcl_hmm_block {
	uint64_t base;
	struct mcl_hmm_block *next;
};

struct mcl_hmm {
	struct mcl_mirror_base base;
	struct mcl_private memory;
	struct mcl_mirror_params params;
	bool migrates;
	int maps_fd;

	pthread_mutex_t lock; /* device_fd, of threads that allocate or free beside the pager */
	_Atomic int device_fd; /* -1 once the engine is gone */

	struct mcl_hmm_span keep_out[HMM_KEEP_OUT_MAX];
	unsigned int keep_out_count;
	struct mcl_hmm_span serviced[HMM_SERVICED_MAX];
	unsigned int serviced_count;

	struct mcl_block_table table;
	struct mcl_hmm_block *blocks;
};

static inline struct mcl_hmm *mcl_hmm_of(struct mcl_mirror *m)
{
	return (struct mcl_hmm *)m;
}

/* ---- mirror_hmm_probe.c ---- */

/* As mcl_mirror_ops.probe(). A note in @why beside 0: works, with that limit. */
int mcl_hmm_probe(struct mcl_reason *why);
/* Open the device and check what it can do. The descriptor or -errno. Any thread. */
int mcl_hmm_open(struct hmm_mirror_info *info, struct mcl_reason *why);

/* ---- mirror_hmm_range.c: what the pager decides with ---- */

void mcl_hmm_extent(struct mcl_mirror *m, uint64_t address, struct mcl_extent *out);
long mcl_hmm_map(struct mcl_mirror *m, uint64_t start, uint64_t size, uint64_t address, enum mcl_access access);
long mcl_hmm_migrate(struct mcl_mirror *m, uint64_t start, uint64_t size, uint64_t address);
long mcl_hmm_evict(struct mcl_mirror *m, uint64_t start, uint64_t size);
void mcl_hmm_count(struct mcl_mirror *m, uint64_t base, uint64_t *vram, uint64_t *shared);
void mcl_hmm_replay(struct mcl_mirror *m, uint64_t start, uint64_t size);
void mcl_hmm_fail(struct mcl_mirror *m, const struct mcl_fault *fault);
enum mcl_residency mcl_hmm_residency(struct mcl_mirror *m, uint64_t address);
/* Bring home what was ever moved. */
void mcl_hmm_evict_all(struct mcl_hmm *h);
/* Who serves faults in [start, start + size): the kernel alone, in place, or the pager. Any thread. Returns 0 or -errno. */
int mcl_hmm_service(struct mcl_hmm *h, uint64_t start, uint64_t size, bool kernel);
/* The host has unmapped [start, end): what is mapped there next is not what was. */
void mcl_hmm_unmapped(struct mcl_hmm *h, uint64_t start, uint64_t end);

#endif
