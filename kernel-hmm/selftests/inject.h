/* SPDX-License-Identifier: GPL-2.0-only */
/* Failures on purpose: the module's file inject in debugfs (../inject.h has the points). */
#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>
#include <stdint.h>

enum point {
	POINT_CONTEXT, POINT_ACCOUNT, POINT_QUEUE, POINT_ENGINE, POINT_NOTIFIER, POINT_PFNS,
	POINT_TABLE, POINT_CHANGED, POINT_STORE, POINT_EXCLUSIVE, POINT_PAGE_TABLE,
	POINT_VERDICT, POINT_SERVICE, POINT_WINDOW, POINT_SETUP, POINT_VRAM_2M, POINT_VRAM_4K,
	POINT_BACKING, POINT_RAM_2M, POINT_RAM_4K, POINT_LINGER, POINT_TARRY,
	POINT_MAX
};

#define POINTS(POINT) (1ull << (POINT))
/* All where something fails, but those of registering. */
#define POINTS_USE (POINTS(POINT_LINGER) - POINTS(POINT_PFNS))

/* End the test as skipped if there is no such file. */
void need_inject(void);
/* Fail at one of @period passages of the points in @mask. */
void inject(uint64_t seed, uint64_t period, uint64_t mask);
void inject_stop(void);
/* How often that point has failed since. */
uint64_t injected(enum point point);

#endif
