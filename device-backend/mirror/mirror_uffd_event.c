// SPDX-License-Identifier: MIT
/*
 * What the two userfaultfds report.
 *
 * The host's: touches of pages that are away, stores to copied pages, first touches of fresh watched pages, and changes of
 * the address space. A thread that changes it waits only until its report is read, so everything that is read is kept in a
 * queue, and changes are handled before faults: a fault may be about the world after the change.
 *
 * The engine's: faults of its units, handed to the pager as they are.
 */
#include <string.h>

#include "engine/boot_uffd.h"
#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#define READ_BATCH 32
#define WORD(name) (&u->words[MCL_BOOT_WORD_##name])
/* Watched memory that the host touches for the first time: so many bytes are made at once, more if it goes on. */
#define FRESH_FIRST 65536ull

/*
 * MADV_FREE lets the kernel take pages some time, until they are stored to; what is in VRAM is just kept, then. It cannot be
 * told from MADV_DONTNEED in its report, and is reported even where it is about to fail, as it does on what is mapped in place.
 */
static void drop_lazy(struct mcl_uffd *u)
{
	const struct uffd_msg *m = &u->queue.msgs[u->queue.count - 1];

	if (m->event == UFFD_EVENT_REMOVE && m->arg.remove.start >= mcl_page_down(u->lazy.start) &&
	    m->arg.remove.end <= mcl_page_down(u->lazy.end + PAGE_SIZE - 1))
		u->queue.count--;
}

void mcl_uffd_drain(struct mcl_uffd *u)
{
	const unsigned int before = u->queue.count;
	const uint32_t was_busy = atomic_load(WORD(BUSY));
	const uint64_t one = 1;

	/* Before anything is read, whatever it will be: the thread that it lets go may look at this next. */
	atomic_store(WORD(BUSY), 1);
	while (u->queue.count < QUEUE_SIZE) {
		bool changing = mcl_uffd_watched(u, u->probe, u->probe + PAGE_SIZE) == -EAGAIN;
		uint64_t room = mcl_min64(QUEUE_SIZE - u->queue.count, changing ? 1 : READ_BATCH);
		long n;

		/* One at a time then, so that each is looked for before it is read. */
		if (changing)
			mcl_uffd_early(u);
		n = mcl_raw(SYS_read, (uint64_t)u->host_fd, (uint64_t)&u->queue.msgs[u->queue.count],
			    room * sizeof(struct uffd_msg), 0, 0, 0);
		if (n == -EINTR)
			continue;
		if (n <= 0) {
			/* Most callers are in the middle of something; whoever polls next must not sleep over this. */
			if (u->queue.count > before)
				mcl_raw(SYS_write, (uint64_t)u->again_fd, (uint64_t)&one, sizeof(one), 0, 0, 0);
			if (!mcl_uffd_changing(u))
				atomic_store(WORD(BUSY), was_busy);
			return;
		}
		u->queue.count += (unsigned int)(n / (long)sizeof(struct uffd_msg));
		if (changing)
			drop_lazy(u);
	}
	mcl_uffd_fatal("too many threads touch memory of the userfaultfd mirror at once", 0, 0);
}

/* How @m changes the range: false if it does not concern it. */
static bool range_of(const struct uffd_msg *m, uint64_t *start, uint64_t *end)
{
	switch (m->event) {
	case UFFD_EVENT_UNMAP:
	case UFFD_EVENT_REMOVE:
		*start = m->arg.remove.start;
		*end = m->arg.remove.end;
		return true;
	case UFFD_EVENT_REMAP:
		*start = m->arg.remap.from;
		*end = m->arg.remap.from + m->arg.remap.len;
		return true;
	default:
		return false;
	}
}

uint64_t mcl_uffd_translate(struct mcl_uffd *u, uint64_t address)
{
	for (unsigned int i = 0; i < u->queue.count; i++) {
		const struct uffd_msg *m = &u->queue.msgs[i];
		uint64_t start, end;

		if (!range_of(m, &start, &end) || address < start || address >= end)
			continue;
		if (m->event != UFFD_EVENT_REMAP)
			return 0;
		address += m->arg.remap.to - start;
	}
	return address;
}

bool mcl_uffd_disturbed(struct mcl_uffd *u, uint64_t from, uint64_t to)
{
	for (unsigned int i = 0; i < u->queue.count; i++) {
		const struct uffd_msg *m = &u->queue.msgs[i];
		uint64_t start, end;

		if (!range_of(m, &start, &end))
			continue;
		if (start < to && end > from)
			return true;
		if (m->event == UFFD_EVENT_REMAP && m->arg.remap.to < to && m->arg.remap.to + m->arg.remap.len > from)
			return true;
	}
	return false;
}

bool mcl_uffd_moving(struct mcl_uffd *u, uint64_t from, uint64_t to)
{
	for (unsigned int i = 0; i < u->queue.count; i++) {
		const struct uffd_msg *m = &u->queue.msgs[i];

		if (m->event == UFFD_EVENT_REMAP && m->arg.remap.from < to &&
		    m->arg.remap.from + m->arg.remap.len > from)
			return true;
	}
	return false;
}

bool mcl_uffd_changing(struct mcl_uffd *u)
{
	for (unsigned int i = 0; i < u->queue.count; i++)
		if (u->queue.msgs[i].event != UFFD_EVENT_PAGEFAULT)
			return true;
	return false;
}

static void forget_event(struct mcl_uffd *u, unsigned int i)
{
	u->queue.count--;
	memmove(&u->queue.msgs[i], &u->queue.msgs[i + 1], (u->queue.count - i) * sizeof(struct uffd_msg));
}

static bool unmap_within(const struct uffd_msg *m, uint64_t start, uint64_t end)
{
	return m->event == UFFD_EVENT_UNMAP && m->arg.remove.start >= start && m->arg.remove.end <= end;
}

bool mcl_uffd_own_unmap(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	uint64_t parts = 0;

	for (unsigned int i = u->queue.count; i-- > 0;) {
		const struct uffd_msg *m = &u->queue.msgs[i];

		if (m->event == UFFD_EVENT_UNMAP && m->arg.remove.start == start && m->arg.remove.end == end) {
			forget_event(u, i);
			return true;
		}
		if (unmap_within(m, start, end))
			parts += m->arg.remove.end - m->arg.remove.start;
	}
	/* There is one for each mapping, and mprotect() may have made several of what was one. */
	if (parts != end - start)
		return false;
	for (unsigned int i = u->queue.count; i-- > 0;)
		if (unmap_within(&u->queue.msgs[i], start, end))
			forget_event(u, i);
	return true;
}

bool mcl_uffd_own_remap(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size)
{
	for (unsigned int i = u->queue.count; i-- > 0;) {
		const struct uffd_msg *m = &u->queue.msgs[i];

		if (m->event == UFFD_EVENT_REMAP && m->arg.remap.from == from && m->arg.remap.to == to &&
		    m->arg.remap.len == size) {
			forget_event(u, i);
			return true;
		}
	}
	return false;
}

/* ---- changes of the host's address space ---- */

/*
 * MADV_DONTNEED and the like: reported before the kernel does it, and done at some time after we have read it. So the pages that
 * the host still has there are dropped now; else one of them could be taken to VRAM just before and live on.
 */
static void drop_host_pages(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	uint64_t stage = mcl_uffd_staging(u, STAGING_PLAIN);

	for (uint64_t at = start; stage && at < end;) {
		uint64_t stop = mcl_min64(end, mcl_block_down(at) + MCL_BLOCK_SIZE);
		struct mcl_uffd_block *b = mcl_uffd_find(u, at);
		int err;

		while (b && at < stop) {
			uint64_t to = stage + (at - b->base);

			if (mcl_uffd_state(u, at) != PAGE_HOST) {
				at += PAGE_SIZE;
				continue;
			}
			at += mcl_uffd_move_pages(u->staging_fd, to, at, stop - at,
						  UFFDIO_MOVE_MODE_DONTWAKE | UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES, &err);
			if (at < stop && err != -EAGAIN)
				at += PAGE_SIZE; /* shared, locked ...: nor could it be taken to VRAM */
			mcl_raw_madvise(stage, MCL_BLOCK_SIZE, MADV_DONTNEED);
		}
		at = stop;
	}
	mcl_uffd_staging_close(u);
}

static void remapped(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size)
{
	uint64_t end = from + size;

	mcl_uffd_cut_tail(u, from, size);
	mcl_uffd_purge(u, to, to + size, false);
	for (uint64_t at = from; at < end;) {
		uint64_t stop = mcl_min64(end, mcl_block_down(at) + MCL_BLOCK_SIZE);
		struct mcl_uffd_block *b = mcl_uffd_find(u, at);

		for (; b && b->used && at < stop;) {
			uint64_t run = mcl_uffd_run(b, at, stop), new = mcl_uffd_translate(u, to + (at - from));
			enum mcl_page_state state = mcl_uffd_state(u, at);

			mcl_uffd_set(b, at, run, PAGE_HOST);
			if (state == PAGE_VRAM) {
				mcl_uffd_deliver(u, at, to + (at - from), run - at);
			} else if (state == PAGE_PROMOTED && new) {
				mcl_uffd_demote(u, at, to + (at - from), run - at);
			} else if (state != PAGE_HOST) {
				mcl_uffd_punch(u, at, run);
			}
			at = run;
		}
		at = stop;
	}
}

static bool handle_change(struct mcl_uffd *u, const struct uffd_msg *m, struct mcl_mirror_event *out)
{
	uint64_t start, end, began = mcl_raw_now_ns();

	if (!range_of(m, &start, &end))
		return false;
	switch (m->event) {
	case UFFD_EVENT_UNMAP:
		mcl_uffd_purge(u, start, end, false);
		mcl_uffd_files_unmapped(u, start, end);
		break;
	case UFFD_EVENT_REMOVE: /* of a shared mapping: it remains, and so do its pages */
		mcl_uffd_purge(u, start, end, true);
		drop_host_pages(u, start, end);
		break;
	case UFFD_EVENT_REMAP:
		remapped(u, start, m->arg.remap.to, m->arg.remap.len);
		mcl_uffd_files_unmapped(u, start, end);
		break;
	}
	*out = (struct mcl_mirror_event){
		.type = MCL_MEV_UNMAP,
		.start = start,
		.size = end - start,
		.ns = mcl_raw_now_ns() - began,
	};
	return true;
}

/* ---- faults of the host ---- */

/* A page that is neither away nor present: fresh memory. False: it must wait for a change to be reported. */
static bool give_fresh(struct mcl_uffd *u, uint64_t page)
{
	struct mcl_uffd_block *b = mcl_uffd_find(u, page);
	uint64_t size = page == u->fresh_end ? mcl_min64(2 * u->fresh_size, MCL_BLOCK_SIZE) : FRESH_FIRST;
	uint64_t end = (page & ~(size - 1)) + size, done;
	int err;

	end = mcl_min64(end, USER_END);
	if (b)
		end = mcl_uffd_run(b, page, end);
	if (mcl_uffd_disturbed(u, page, end))
		end = page + PAGE_SIZE;
	/* As many as are missing in a row; one if the mapping ends before that. */
	done = mcl_uffd_copy(u->host_fd, page, (uint64_t)u->zeros, end - page, 0, &err);
	if (!done && err == -ENOENT && end > page + PAGE_SIZE)
		done = mcl_uffd_copy(u->host_fd, page, (uint64_t)u->zeros, PAGE_SIZE, 0, &err);
	if (!done && err == -EAGAIN)
		return false;
	u->fresh_end = page + done;
	u->fresh_size = size;
	if (!done && err == -ENOMEM)
		mcl_raw_sleep_us(1000);
	/* Whatever it was, the host thread tries again. */
	mcl_uffd_wake(u->host_fd, page, PAGE_SIZE);
	return true;
}

/* A hole in memory that is mapped in place. False: as above. */
static bool fill_hole(struct mcl_uffd *u, uint64_t page)
{
	int err;

	mcl_uffd_zero(u->host_fd, page, PAGE_SIZE, UFFDIO_ZEROPAGE_MODE_DONTWAKE, &err);
	if (err == -EAGAIN)
		return false;
	if (err == -ENOMEM)
		mcl_raw_sleep_us(1000);
	mcl_uffd_wake(u->host_fd, page, PAGE_SIZE);
	return true;
}

/* Memory mapped in place that mremap() has made longer where it is: it is in place, too. */
static bool grown(struct mcl_uffd *u, uint64_t page)
{
	struct mcl_uffd_block *b;
	struct mcl_vma vma;

	mcl_uffd_vma(u, page, &vma);
	if (vma.kind != VMA_SHARED_OURS)
		return false;
	b = mcl_uffd_block(u, page);
	if (b)
		mcl_uffd_set(b, page, page + PAGE_SIZE, PAGE_PROMOTED);
	return true;
}

/* 1: an event for the pager; 0: done; -EAGAIN: not yet. */
static int handle_fault(struct mcl_uffd *u, const struct uffd_msg *m, struct mcl_mirror_event *out)
{
	uint64_t page = mcl_page_down(m->arg.pagefault.address);

	switch (mcl_uffd_state(u, page)) {
	case PAGE_VRAM:
		*out = (struct mcl_mirror_event){
			.type = MCL_MEV_CPU_FAULT,
			.start = page,
			.size = PAGE_SIZE,
			.waits = true,
		};
		return 1;
	case PAGE_COPY:
		mcl_uffd_drop_copy(u, page);
		return 0;
	case PAGE_PROMOTED:
		return fill_hole(u, page) ? 0 : -EAGAIN;
	case PAGE_HOST:
		if (grown(u, page))
			return fill_hole(u, page) ? 0 : -EAGAIN;
		break;
	case PAGE_SNAPSHOT:
	case PAGE_TWIN:
		break;
	}
	if (m->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
		/* The copy that this protection was for is gone. */
		int err = mcl_uffd_protect(u->host_fd, page, PAGE_SIZE, 0);

		if (err == -EAGAIN)
			return -EAGAIN;
		if (err)
			mcl_uffd_wake(u->host_fd, page, PAGE_SIZE);
		return 0;
	}
	return give_fresh(u, page) ? 0 : -EAGAIN;
}

/* ---- the engine ---- */

static unsigned int engine_faults(struct mcl_uffd *u, struct mcl_mirror_event *events, unsigned int max)
{
	struct uffd_msg msgs[READ_BATCH];
	long n = mcl_raw(SYS_read, (uint64_t)u->engine_fd, (uint64_t)msgs,
			 (max < READ_BATCH ? max : READ_BATCH) * sizeof(struct uffd_msg), 0, 0, 0);
	unsigned int count = 0;

	for (long i = 0; i < n / (long)sizeof(struct uffd_msg); i++) {
		if (msgs[i].event != UFFD_EVENT_PAGEFAULT)
			continue;
		events[count++] = (struct mcl_mirror_event){
			.type = MCL_MEV_DEVICE_FAULT,
			.fault = {
				.address = msgs[i].arg.pagefault.address,
				.access = msgs[i].arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE ? MCL_ACCESS_WRITE :
												MCL_ACCESS_READ,
				.unit = UINT32_MAX,
				.cookie = msgs[i].arg.pagefault.flags,
			},
		};
	}
	return count;
}

unsigned int mcl_uffd_host_events(struct mcl_uffd *u, struct mcl_mirror_event *events, unsigned int max)
{
	unsigned int count = 0, faults;

	mcl_uffd_staging_clean(u);
	mcl_uffd_exits_ended(u);
	mcl_uffd_drain(u);
	/* Changes first, in their order. Handling one may read more, at the end of the queue. */
	for (unsigned int i = 0; i < u->queue.count && count < max;) {
		struct uffd_msg msg = u->queue.msgs[i];

		if (msg.event == UFFD_EVENT_PAGEFAULT) {
			i++;
			continue;
		}
		forget_event(u, i);
		count += handle_change(u, &msg, &events[count]);
	}
	faults = u->queue.count;
	for (unsigned int i = 0; i < faults && count < max; i++) {
		struct uffd_msg msg = u->queue.msgs[0];
		int ret;

		forget_event(u, 0);
		ret = msg.event == UFFD_EVENT_PAGEFAULT ? handle_fault(u, &msg, &events[count]) : -EAGAIN;
		if (ret > 0)
			count++;
		else if (ret == -EAGAIN)
			u->queue.msgs[u->queue.count++] = msg;
	}
	if (u->queue.count) {
		uint64_t one = 1;

		/* A change is in progress: let its thread run, then look again. */
		mcl_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		mcl_raw(SYS_write, (uint64_t)u->again_fd, (uint64_t)&one, sizeof(one), 0, 0, 0);
	}
	return count;
}

/* ---- settling: for threads that make memory; the engine does the same (boot_uffd.c) before it runs packets ---- */

static bool changing_now(struct mcl_uffd *u)
{
	return mcl_uffd_watched(u, u->probe, u->probe + PAGE_SIZE) == -EAGAIN;
}

void mcl_uffd_settle(struct mcl_mirror *m)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	uint32_t ticket, done;
	uint64_t one = 1;

	if (!atomic_load(WORD(POLLING)) || (!changing_now(u) && !atomic_load(WORD(BUSY))))
		return;
	ticket = atomic_fetch_add(WORD(WANTED), 1) + 1;
	mcl_raw(SYS_write, (uint64_t)u->again_fd, (uint64_t)&one, sizeof(one), 0, 0, 0);
	while (atomic_load(WORD(POLLING))) {
		done = atomic_load(WORD(DONE));
		if ((int32_t)(done - ticket) >= 0)
			return;
		mcl_raw(SYS_futex, (uint64_t)WORD(DONE), FUTEX_WAIT, done, 0, 0, 0);
	}
}

static void settled(struct mcl_uffd *u, uint32_t wanted)
{
	if (wanted == atomic_load(WORD(DONE)))
		return;
	atomic_store(WORD(DONE), wanted);
	mcl_raw(SYS_futex, (uint64_t)WORD(DONE), FUTEX_WAKE, INT32_MAX, 0, 0, 0);
}

void mcl_uffd_settle_end(struct mcl_uffd *u)
{
	atomic_store(WORD(POLLING), 0);
	settled(u, atomic_load(WORD(WANTED)) + 1);
}

int mcl_uffd_next_events(struct mcl_mirror *m, struct mcl_mirror_event *events, unsigned int max)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	uint64_t again;
	uint32_t wanted;
	unsigned int count;

	/* In this order: a ticket that is drawn after the look at it leaves the descriptor readable. */
	mcl_raw(SYS_read, (uint64_t)u->again_fd, (uint64_t)&again, sizeof(again), 0, 0, 0);
	wanted = atomic_load(WORD(WANTED));
	atomic_store(WORD(POLLING), 1);
	atomic_store(WORD(BUSY), 1);
	count = mcl_uffd_host_events(u, events, max);
	if (!mcl_uffd_changing(u)) {
		/* What was read later, by a system call that this led to, is seen here as well. */
		atomic_store(WORD(BUSY), 0);
		if (!changing_now(u))
			settled(u, wanted);
	}
	if (wanted != atomic_load(WORD(DONE))) {
		uint64_t one = 1;

		mcl_raw(SYS_write, (uint64_t)u->again_fd, (uint64_t)&one, sizeof(one), 0, 0, 0);
	}

	if (!u->engine_dead && count < max)
		count += engine_faults(u, events + count, max - count);
	return (int)count;
}
