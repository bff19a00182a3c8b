/* SPDX-License-Identifier: MIT */
/*
 * The pager: consumes device page faults of a mirror that has them, and decides what moves where and in which units:
 * chunk size, promotion of pages that bounce, eviction when device memory is full. It is policy only: how a page moves is
 * the mirror's business (mirror/mirror.h), what a command is nobody's here.
 *
 * One thread does everything, in order; that thread and all of its memory lie outside what a mirror may take away.
 *
 * Use, by the backend:
 *	ops->create(), ops->start()		on the thread that lives as long as the engine
 *	mcl_pager_start()			before the engine can touch host memory: its first fault waits until then
 *	...
 *	engine dead and reaped
 *	mcl_pager_stop()			calls ops->engine_gone(): every page is home again when it returns
 *	ops->destroy()
 */
#ifndef MCL_PAGER_H
#define MCL_PAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "mirror/mirror.h"
#include "support/log.h"

struct mcl_pager;

/* What tests and experiments may fix; the process's options otherwise. */
struct mcl_pager_policy {
	uint64_t chunk; /* bytes moved for a fault, a power of two from 4 KiB to 2 MiB; 0: 64 KiB, doubling in sequences */
	uint32_t promote_after; /* a page that came home so often soon after it had moved is mapped in place; 0: never */
	uint32_t hold_us; /* how long a page that just moved stays on the device at least, if it cannot be mapped in place */
};

/*
 * Start the pager of @m, whose ops->faults is true. @params: as given to create(); vram_size is the limit, 0 means a
 * quarter of system memory. Returns 0; -ENOMEM; -EAGAIN (thread limit).
 */
int mcl_pager_start(struct mcl_mirror *m, const struct mcl_mirror_params *params, struct mcl_pager **out,
		    struct mcl_reason *why);
/* The same with a given policy. */
int mcl_pager_start_with(struct mcl_mirror *m, const struct mcl_mirror_params *params,
			 const struct mcl_pager_policy *policy, struct mcl_pager **out, struct mcl_reason *why);

/* The engine is dead and reaped: bring every page home, release waiting threads, end the thread, free. NULL is allowed. */
void mcl_pager_stop(struct mcl_pager *p);

/* Fill the faulting and migrating part of @out (cause[], vram_*, system_pages). Any thread, no lock. */
void mcl_pager_counters(const struct mcl_pager *p, struct mcl_counters *out);

/*
 * The program asked: move the pages of [ptr, ptr+size) to device memory, or home. Returns when it is done, best effort.
 * Any thread but the pager's own; not in a signal handler.
 */
void mcl_pager_migrate(struct mcl_pager *p, const void *ptr, size_t size, bool to_host);

/*
 * The engine asks (MCL_CALL_REFRESH, MCL_CALL_FLUSH). @ended: a kernel has ended, write back what it stored to copies of host
 * memory; else a kernel is about to start, drop copies that may be old. Threads as mcl_pager_migrate().
 */
void mcl_pager_sync(struct mcl_pager *p, bool ended);

#endif
