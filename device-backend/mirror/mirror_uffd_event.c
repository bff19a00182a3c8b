// SPDX-License-Identifier: MIT
/*
 * What the two userfaultfds report.
 *
 * The host's: touches of pages that are away, stores to copied pages, first touches of fresh watched pages, and changes of
 * the address space. They come from the queue (mirror_uffd_queue.c), and changes are handled before faults: a fault may be about
 * the world after the change.
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
/* So many changes are handled before faults get their turn. */
#define CHANGES_AT_ONCE 16u

/* ---- changes of the host's address space ---- */

/*
 * MADV_DONTNEED and the like: reported before the kernel does it, and done at some time after we have read it. So the pages that
 * the host still has there are dropped now; else one of them could be taken to VRAM just before and live on.
 */
static void drop_host_pages(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end;) {
		uint64_t stop = mcl_min64(end, mcl_block_down(at) + MCL_BLOCK_SIZE);
		struct mcl_uffd_block *b = mcl_uffd_find(u, at);
		int kind = STAGING_PLAIN;

		/* What has come there since is not meant: if it has changed again, that is still to be handled. */
		while (b && at < stop && !mcl_uffd_disturbed(u, at, stop)) {
			uint64_t stage = mcl_uffd_staging(u, kind);
			int err = -EINVAL;

			if (mcl_uffd_state(u, at) != PAGE_HOST) {
				at += PAGE_SIZE;
				continue;
			}
			if (stage)
				at += mcl_uffd_move_pages(u->host_fd, stage + (at - b->base), at, stop - at,
							  UFFDIO_MOVE_MODE_DONTWAKE | UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES,
							  &err);
			if (at == stop)
				break;
			if (err == -EAGAIN) {
				mcl_uffd_again(u, at, stop);
			} else if (err == -EINVAL && kind < STAGING_COUNT - 1) {
				kind++; /* of other memory, perhaps */
			} else {
				at += PAGE_SIZE; /* pinned, or nothing that could be taken to VRAM either */
				kind = STAGING_PLAIN;
			}
		}
		mcl_uffd_staging_close(u);
		at = stop;
	}
}

static void remapped(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size)
{
	uint64_t end = from + size;

	/* To bring a page there may need more reports to be read, and the next may be of a munmap() of what is empty now. */
	u->moving = (struct mcl_span){ from, end, false };
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
	u->moving = (struct mcl_span){ 0 };
}

static bool handle_change(struct mcl_uffd *u, const struct uffd_msg *m, struct mcl_mirror_event *out)
{
	uint64_t start, end, began = mcl_raw_now_ns();

	if (!mcl_uffd_event_range(m, &start, &end))
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
	unsigned int tries = 0;
	int err;

	end = mcl_min64(end, USER_END);
	if (b)
		end = mcl_uffd_run(b, page, end);
	if (mcl_uffd_disturbed(u, page, end))
		end = page + PAGE_SIZE;
	do {
		/* As many as are missing in a row; one if the mapping ends before that. */
		done = mcl_uffd_copy(u->host_fd, page, (uint64_t)u->zeros, end - page, 0, &err);
		if (!done && err == -ENOENT && end > page + PAGE_SIZE)
			done = mcl_uffd_copy(u->host_fd, page, (uint64_t)u->zeros, PAGE_SIZE, 0, &err);
	} while (!done && err == -EAGAIN && tries++ < CHANGE_RETRIES && mcl_uffd_again(u, page, end));
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

/* Memory that is mapped in place: a hole, or @there, a page that is not in the host's page table. False: as above. */
static bool fill_hole(struct mcl_uffd *u, uint64_t page, bool there)
{
	unsigned int tries = 0;
	int err;

	if (there) {
		if (!mcl_uffd_map_host(u, page, page + PAGE_SIZE))
			return false;
		mcl_uffd_wake(u->host_fd, page, PAGE_SIZE);
		return true;
	}
	do {
		mcl_uffd_zero(u->host_fd, page, PAGE_SIZE, UFFDIO_ZEROPAGE_MODE_DONTWAKE, &err);
	} while (err == -EAGAIN && tries++ < CHANGE_RETRIES && mcl_uffd_again(u, page, page + PAGE_SIZE));
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
	const bool there = m->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR;
	uint64_t page = mcl_page_down(m->arg.pagefault.address);

	/* It may be about the world after a change that is still to be handled. */
	if (mcl_uffd_disturbed(u, page, page + PAGE_SIZE))
		return -EAGAIN;
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
		return fill_hole(u, page, there) ? 0 : -EAGAIN;
	case PAGE_HOST:
		if (grown(u, page))
			return fill_hole(u, page, there) ? 0 : -EAGAIN;
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
	unsigned int count = 0, changes = 0, faults = 0;

	mcl_uffd_staging_clean(u);
	mcl_uffd_exits_ended(u);
	mcl_uffd_drain(u);
	/* Changes first, in their order. Handling one may read more, at the end of the queue; and so without end. */
	for (unsigned int i = 0; i < u->queue.count && count < max && changes < CHANGES_AT_ONCE;) {
		struct uffd_msg msg = u->queue.msgs[i];

		if (msg.event == UFFD_EVENT_PAGEFAULT) {
			i++;
			continue;
		}
		mcl_uffd_event_forget(u, i);
		count += handle_change(u, &msg, &events[count]);
		u->changes_handled = msg.SEQUENCE;
		changes++;
	}
	/* Those that are there now; what is put back comes behind them. */
	for (unsigned int i = 0; i < u->queue.count; i++)
		faults += u->queue.msgs[i].event == UFFD_EVENT_PAGEFAULT;
	for (unsigned int i = 0; faults && i < u->queue.count && count < max;) {
		struct uffd_msg msg = u->queue.msgs[i];
		int ret;

		if (msg.event != UFFD_EVENT_PAGEFAULT) {
			i++;
			continue;
		}
		faults--;
		mcl_uffd_event_forget(u, i);
		ret = handle_fault(u, &msg, &events[count]);
		if (ret > 0)
			count++;
		else if (ret == -EAGAIN)
			u->queue.msgs[u->queue.count++] = msg;
	}
	if (u->queue.count) {
		/* A change is in progress: let its thread run, then look again. */
		mcl_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		mcl_uffd_ring(u);
	}
	return count;
}

/* ---- settling: for threads that make memory; the engine does the same (boot_uffd.c) before it runs packets ---- */

void mcl_uffd_settle(struct mcl_mirror *m)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	uint32_t ticket, done;

	if (!atomic_load(WORD(POLLING)) || (!mcl_uffd_changing_now(u) && !atomic_load(WORD(BUSY))))
		return;
	ticket = atomic_fetch_add(WORD(WANTED), 1) + 1;
	mcl_uffd_ring(u);
	while (atomic_load(WORD(POLLING))) {
		done = atomic_load(WORD(DONE));
		if ((int32_t)(done - ticket) >= 0)
			return;
		mcl_raw(SYS_futex, (uint64_t)WORD(DONE), FUTEX_WAIT, done, 0, 0, 0);
	}
}

static void settled(struct mcl_uffd *u, uint32_t wanted)
{
	if ((int32_t)(wanted - atomic_load(WORD(DONE))) <= 0)
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
		if (!mcl_uffd_changing_now(u))
			settled(u, wanted);
	}
	/* Where there is always some thread that changes something, that moment does not come; but there was one in between. */
	if ((int32_t)(u->changes_handled - u->quiet_after) >= 0)
		settled(u, u->quiet_wanted);
	if (wanted != atomic_load(WORD(DONE)))
		mcl_uffd_ring(u);

	if (!u->engine_dead && count < max)
		count += engine_faults(u, events + count, max - count);
	return (int)count;
}
