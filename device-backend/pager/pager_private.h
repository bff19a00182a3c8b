/* SPDX-License-Identifier: MIT */
/* The pager, inside. Everything lies in its own private memory; only its thread touches it, except where it says so. */
#ifndef MCL_PAGER_PRIVATE_H
#define MCL_PAGER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "mirror/block_table.h"
#include "mirror/private_memory.h"
#include "pager/pager.h"
#include "support/config.h"

#define PAGE_SIZE 4096ull
#define BLOCK_PAGES (MCL_BLOCK_SIZE / PAGE_SIZE)
#define UNIT_SIZE 65536ull /* moved for a first fault, or mapped in place */
#define BLOCK_UNITS (MCL_BLOCK_SIZE / UNIT_SIZE)
/* What a single instruction of each compute unit may touch has to fit. */
#define VRAM_LEAST (1ull << 20)
#define EVICT_HOLD_NS 20000ull

/* What the pager remembers of a 2 MiB block of addresses (blocks.c). */
struct mcl_pager_block {
	uint64_t base;
	struct mcl_pager_block *next; /* all blocks */
	struct mcl_pager_block *newer, *older; /* by last device fault; only blocks with pages in VRAM */
	bool listed;
	uint64_t touched_ns; /* when a device fault in it was served last */
	uint16_t vram, shared; /* pages, as the mirror counted last */
	uint8_t bounces[BLOCK_PAGES]; /* how often the CPU touched the page soon after it had moved to VRAM */
	uint64_t moved_ns[BLOCK_UNITS]; /* when pages of the unit moved there last */
};

/* Faults that come one after the other through memory (stream.c). */
#define STREAMS 8
struct mcl_streams {
	struct {
		uint64_t end; /* where the next one would be */
		uint64_t size; /* of the last chunk */
		uint64_t used; /* clock of uses, for replacement */
	} s[STREAMS];
	uint64_t clock;
};

enum mcl_request_kind {
	REQUEST_NONE,
	REQUEST_TO_DEVICE,
	REQUEST_TO_HOST,
	REQUEST_REFRESH,
	REQUEST_FLUSH,
	REQUEST_FREEZE, /* everything home, and nothing moves until THAW */
	REQUEST_THAW,
};

/* A request of another thread (request.c). Copied here, because that thread's stack may be in VRAM. */
struct mcl_pager_request {
	_Atomic uint32_t state; /* futex: see request.c */
	enum mcl_request_kind kind;
	uint64_t start, size;
};

#define REQUESTS 64
#define DEFERRED 4096
#define SUSPECTS 64

struct mcl_pager {
	struct mcl_private memory;
	struct mcl_mirror *m;
	const struct mcl_mirror_ops *ops;
	struct mcl_pager_policy policy;
	uint64_t vram_limit; /* bytes */
	uint64_t (*now_ns)(void); /* the monotonic clock; tests have their own */
	uint64_t evict_hold_ns; /* how long a block stays in VRAM at least, after a device fault in it */
	pthread_t thread;
	int wake_fd;
	_Atomic bool stop;
	unsigned int frozen; /* forks in progress */
	bool touches_served; /* the mirror brings pages home by itself when the host touches them */

	struct mcl_block_table table;
	struct mcl_pager_block *blocks, *newest, *oldest;
	struct mcl_streams device_streams, host_streams;

	/* faults that have to be looked at again: the address space was changing, or they are held back */
	unsigned int deferred_count;
	struct {
		struct mcl_mirror_event event;
		uint64_t not_before; /* 0: as soon as possible */
		uint32_t tries;
	} deferred[DEFERRED];

	/* pages whose access is to fail if it is repeated (fault.c) */
	struct {
		uint64_t page, ns;
	} suspects[SUSPECTS];
	unsigned int next_suspect;

	struct mcl_pager_request requests[REQUESTS];
	_Atomic uint32_t requests_free; /* futex */

	/* read by any thread */
	struct {
		_Atomic uint64_t count, pages, ns;
	} cause[MCL_CAUSE_COUNT];
	_Atomic uint64_t vram_pages, vram_peak_pages, shared_pages;
};

/* pager.c */
/* A pager without its thread: who calls this has to call what the thread would. Returns 0 or -errno with the reason. */
int mcl_pager_new(struct mcl_mirror *m, const struct mcl_mirror_params *params, const struct mcl_pager_policy *policy,
		  struct mcl_pager **out, struct mcl_reason *why);
/* Its thread has ended, or never was. */
void mcl_pager_delete(struct mcl_pager *p);
/* What the options say, with what makes no sense replaced, and a warning. */
struct mcl_pager_policy mcl_pager_policy_from(const struct mcl_config *c);

/* blocks.c */
struct mcl_pager_block *mcl_pager_block(struct mcl_pager *p, uint64_t address, bool make);
/* Ask the mirror what [start, end) holds now and correct the books. @touched: a device fault was the reason. */
void mcl_pager_account(struct mcl_pager *p, uint64_t start, uint64_t end, bool touched);
void mcl_pager_account_all(struct mcl_pager *p);
/* What was in [start, end) is gone: what comes there next has a history of its own. */
void mcl_pager_forget(struct mcl_pager *p, uint64_t start, uint64_t end);
/*
 * Evict the blocks that were not faulted for longest until @bytes more fit. False: the next one was faulted only just now; not
 * before *@not_before. A null pointer there: whatever their age.
 */
bool mcl_pager_make_room(struct mcl_pager *p, uint64_t bytes, uint64_t *not_before);

/* stream.c: how much to move for a fault at @page; aligned to itself, includes @page. */
uint64_t mcl_stream_chunk(struct mcl_streams *s, uint64_t page, uint64_t first, uint64_t most);
/* The chunk was [.., end). */
void mcl_stream_done(struct mcl_streams *s, uint64_t page, uint64_t end, uint64_t size);

/* fault.c. False: look at it again later; not before *@not_before, which may be 0. */
bool mcl_pager_device_fault(struct mcl_pager *p, const struct mcl_fault *f, uint64_t *not_before);
bool mcl_pager_host_fault(struct mcl_pager *p, uint64_t page, uint64_t *not_before);
void mcl_pager_count(struct mcl_pager *p, enum mcl_counter_cause cause, uint64_t pages, uint64_t began_ns);
/* Move [start, start+size) because the program asked. */
void mcl_pager_move(struct mcl_pager *p, uint64_t start, uint64_t size, bool to_host);
/* Read and handle what the mirror reports. Returns how many events. */
int mcl_pager_events(struct mcl_pager *p);

/* request.c */
void mcl_pager_ask(struct mcl_pager *p, enum mcl_request_kind kind, uint64_t start, uint64_t size);
void mcl_pager_serve_requests(struct mcl_pager *p);
void mcl_pager_cancel_requests(struct mcl_pager *p);

/* fork.c: freeze every pager of this process around fork(). Any thread. */
void mcl_pager_watch_forks(struct mcl_pager *p);
void mcl_pager_unwatch_forks(struct mcl_pager *p);

#endif
