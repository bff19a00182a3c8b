/* SPDX-License-Identifier: MIT */
/*
 * A mirror for tests of the pager's policy: no pages, no engine, no time of its own. It remembers where each page would be,
 * notes every call, reports the events that a test gives it, and fails when a test says so.
 */
#ifndef MCL_FAKE_MIRROR_H
#define MCL_FAKE_MIRROR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pager/pager_private.h"

/* The host's memory, as far as tests do not say otherwise: one pageable extent. */
#define FAKE_BASE 0x40000000ull
#define FAKE_SIZE (256ull << 20)
#define UNIT (64ull << 10)
#define BLOCK MCL_BLOCK_SIZE

enum fake_op {
	FAKE_MAP,
	FAKE_MIGRATE,
	FAKE_EVICT,
	FAKE_REPLAY,
	FAKE_FAIL,
	FAKE_REFRESH,
	FAKE_FLUSH,
	FAKE_HOME,
	FAKE_GONE,
	FAKE_OPS
};

struct fake_call {
	enum fake_op op;
	uint64_t start, size, address;
	enum mcl_access access;
};

#define FAKE_CALLS 65536
#define FAKE_EVENTS 8192
#define FAKE_EXTENTS 8

struct fake {
	struct mcl_mirror_base base;
	int event_fd;
	uint8_t residency[FAKE_SIZE / PAGE_SIZE]; /* enum mcl_residency */

	/* Tried in order; then the one of FAKE_BASE. */
	struct mcl_extent extents[FAKE_EXTENTS];
	unsigned int extent_count;

	unsigned int call_count;
	struct fake_call calls[FAKE_CALLS];
	unsigned int ops[FAKE_OPS]; /* how many of each */

	/* The next @times calls of an operation return .ret and do nothing. */
	struct {
		unsigned int times;
		long ret;
	} refuse[FAKE_OPS];

	pthread_mutex_t lock; /* of the events: the test reports, the pager reads, which may have a thread of its own */
	unsigned int event_count, event_next;
	struct mcl_mirror_event events[FAKE_EVENTS];
	int keep_out_error;
};

extern struct fake fake;
extern struct mcl_pager *pager;

/* What the pager's clock says; nothing but tests moves it. */
extern uint64_t fake_now_ns;

/* cmocka's set-up and tear-down: an empty mirror, a pager without a thread, promote_after 3, hold 50 us, VRAM 1 GiB. */
int fake_setup(void **state);
int fake_teardown(void **state);
/* Start again with another policy. @vram: 0 for 1 GiB. */
void fake_restart(uint64_t chunk, uint32_t promote_after, uint32_t hold_us, uint64_t vram);

/* Report an event; the pager sees it at its next mcl_pager_events(). */
void fake_report(enum mcl_mirror_event_type type, uint64_t address, uint64_t size, enum mcl_access access, bool waits);
/* Report a fault and let the pager see to it, once. */
void fake_device(uint64_t address, enum mcl_access access);
void fake_host(uint64_t address);

void fake_refuse(enum fake_op op, unsigned int times, long ret);
void fake_forget_calls(void);
enum mcl_residency fake_residency(uint64_t address);
/* How many pages of [start, start + size) are there. */
uint64_t fake_pages(uint64_t start, uint64_t size, enum mcl_residency where);

/* The last call of its kind must have been about [start, start + size). */
#define assert_last(op, start, size) fake_assert_last((op), (start), (size), __FILE__, __LINE__)
void fake_assert_last(enum fake_op op, uint64_t start, uint64_t size, const char *file, int line);
/* A cause's counters. */
#define assert_cause(cause, events, pages) fake_assert_cause((cause), (events), (pages), __FILE__, __LINE__)
void fake_assert_cause(enum mcl_counter_cause cause, uint64_t count, uint64_t pages, const char *file, int line);
/* All causes together: nothing was counted that the test did not ask for. */
#define assert_counted(events) fake_assert_counted((events), __FILE__, __LINE__)
void fake_assert_counted(uint64_t count, const char *file, int line);

#endif
