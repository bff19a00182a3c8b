/* SPDX-License-Identifier: GPL-2.0-only */
/* The ioctls of /dev/hmm_floor, see hmm_floor.c. Between the benchmark and its module. */
#ifndef HMM_FLOOR_H
#define HMM_FLOOR_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* A range of whole 2 MiB blocks, all in one mapping; @ns is the answer. */
struct hmm_floor {
	__u64 start;
	__u64 size;
	__u64 ns;
};

#define HMM_FLOOR_RANGE_FAULT	_IOWR(0xd4, 0, struct hmm_floor)
#define HMM_FLOOR_MIGRATE	_IOWR(0xd4, 1, struct hmm_floor)

#endif
