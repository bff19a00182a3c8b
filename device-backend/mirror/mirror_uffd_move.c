// SPDX-License-Identifier: MIT
/*
 * Pages on their way: host -> VRAM (take), VRAM -> host (bring).
 *
 * Take. UFFDIO_MOVE detaches the host's page as it is and hangs it into the staging area; from then on a host thread that
 * touches the place waits. It refuses pages that I/O has pinned (-EBUSY), which copying and dropping would lose data of.
 * From the staging area UFFDIO_COPY fills the memfd and maps the page in the engine in one step.
 *
 * Bring. The engine's mapping is write-protected, so the page stands still; it is read into a buffer, removed from the memfd
 * and from the engine, and only then given to the host: nobody ever sees two versions of a page.
 *
 * The host's address space may change at any moment. Whatever is in flight when that happens is delivered where the
 * events say it belongs (mcl_uffd_translate()).
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

/* How long a page that somebody waits for may stay pinned before it counts as one that cannot move. */
#define PIN_RETRIES 100
#define PIN_RETRY_US 100
/* And how long it is remembered that pages of a unit have been pinned so long: each try costs ten milliseconds. */
#define PIN_UNIT_SHIFT 16
#define PIN_MEMORY_NS 1000000000ull
/* From this size on waking a second thread for half of a copy pays. */
#define COPY_IN_TWO (256ull << 10)

void mcl_uffd_punch(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	long err;

	do {
		err = mcl_raw(SYS_fallocate, (uint64_t)u->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start,
			      end - start, 0, 0);
	} while (err == -EINTR);
	if (err)
		mcl_uffd_fatal("cannot remove pages from the mirror", start, (int)err);
}

/* Run @at..@end through the engine's userfaultfd, from @from (0: zeros). Returns where it stopped, *err why. */
static uint64_t fill_engine(struct mcl_uffd *u, uint64_t at, uint64_t end, uint64_t from, uint64_t mode, int *err)
{
	unsigned int retries = 0;

	*err = 0;
	while (at < end) {
		uint64_t done = from ? mcl_uffd_copy(u->engine_fd, at, from, end - at, mode, err) :
				       mcl_uffd_zero(u->engine_fd, at, end - at, mode, err);

		at += done;
		from += from ? done : 0;
		if (at == end)
			break;
		if (*err == -EAGAIN && (done || ++retries < CHANGE_RETRIES))
			continue;
		if (*err == -ESRCH)
			u->engine_dead = true;
		if (!done)
			return at;
	}
	return at;
}

int mcl_uffd_fill(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	uint64_t at = start;
	int err = 0;

	/* What a page that went home from here has left in the engine's page table. */
	if (mcl_uffd_protect(u->engine_fd, start, end - start, UFFDIO_WRITEPROTECT_MODE_DONTWAKE) == -ESRCH)
		u->engine_dead = true;
	while (at < end) {
		at = fill_engine(u, at, end, 0, UFFDIO_ZEROPAGE_MODE_DONTWAKE, &err);
		if (at == end)
			break;
		if (err != -EEXIST)
			return err;
		at += PAGE_SIZE;
	}
	return 0;
}

/* ---- home ---- */

/*
 * Put one page, whose contents are at @from in this thread's memory (@move: in the staging area), where the host now
 * has what was at @to.
 */
static void deliver_page(struct mcl_uffd *u, uint64_t from, uint64_t to, bool move)
{
	for (unsigned int tries = 0;; tries++) {
		uint64_t at = mcl_uffd_translate(u, to);
		int err = 0;

		if (!at)
			return; /* unmapped or discarded on its way: nobody misses it */
		if (move)
			mcl_uffd_move_pages(u->host_fd, at, from, PAGE_SIZE, UFFDIO_MOVE_MODE_DONTWAKE, &err);
		else
			mcl_uffd_copy(u->host_fd, at, from, PAGE_SIZE, UFFDIO_COPY_MODE_DONTWAKE, &err);
		switch (err) {
		case 0:
			return;
		case -EAGAIN: /* something changes; its event says what */
			mcl_uffd_again(u, at, at + PAGE_SIZE);
			continue;
		case -ENOENT: /* no such mapping, although no event says so: it was unmapped before it was watched */
		case -EINVAL:
		case -ESRCH:
			return;
		case -ENOMEM:
			if (tries < 1000) {
				mcl_raw_sleep_us(1000);
				continue;
			}
			/* fall through */
		default:
			mcl_uffd_fatal("cannot give a page back to the host", at, err);
		}
	}
}

void mcl_uffd_deliver(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size)
{
	while (size) {
		uint64_t piece = mcl_min64(size, MCL_BLOCK_SIZE), done;
		int err = mcl_uffd_protect(u->engine_fd, from, piece, UFFDIO_WRITEPROTECT_MODE_WP);
		long n;

		if (err == -ESRCH)
			u->engine_dead = true; /* then nothing writes any more */
		else if (err)
			mcl_uffd_fatal("cannot stop the device's stores to a page", from, err);
		for (uint64_t have = 0; have < piece; have += (uint64_t)n) {
			n = mcl_raw(SYS_pread64, (uint64_t)u->memfd, (uint64_t)u->bounce + have, piece - have,
				    from + have, 0, 0);
			if (n == -EINTR)
				n = 0;
			else if (n <= 0)
				mcl_uffd_fatal("cannot read a page of the mirror", from, (int)n);
		}
		mcl_uffd_punch(u, from, from + piece);
		for (done = 0; done < piece;) {
			if (!mcl_uffd_disturbed(u, to + done, to + piece)) {
				done += mcl_uffd_copy(u->host_fd, to + done, (uint64_t)u->bounce + done, piece - done,
						      UFFDIO_COPY_MODE_DONTWAKE, &err);
				if (done == piece)
					break;
				if (err == -EAGAIN) {
					mcl_uffd_again(u, to + done, to + piece);
					continue;
				}
			}
			deliver_page(u, (uint64_t)u->bounce + done, to + done, false);
			done += PAGE_SIZE;
		}
		from += piece;
		to += piece;
		size -= piece;
	}
}

long mcl_uffd_bring(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	long pages = 0;

	for (uint64_t at = start; at < end;) {
		uint64_t stop = mcl_min64(end, mcl_block_down(at) + MCL_BLOCK_SIZE);
		struct mcl_uffd_block *b = mcl_uffd_find(u, at);

		for (; b && b->used && at < stop;) {
			uint64_t run = mcl_uffd_run(b, at, stop);

			if (pages && u->queue.count >= QUEUE_LONG)
				return -EAGAIN;
			if (mcl_uffd_state(u, at) == PAGE_VRAM) {
				mcl_uffd_set(b, at, run, PAGE_HOST);
				mcl_uffd_deliver(u, at, at, run - at);
				pages += (long)((run - at) >> PAGE_SHIFT);
			}
			at = run;
		}
		at = stop;
	}
	return pages;
}

/* ---- away ---- */

/*
 * Pages moved to @stage that cannot stay in VRAM go back to @at. If somebody has mapped something else there meanwhile
 * and used it, what was moved belongs to nobody we could find.
 */
void mcl_uffd_put_back(struct mcl_uffd *u, uint64_t stage, uint64_t at, uint64_t end)
{
	for (; at < end; at += PAGE_SIZE, stage += PAGE_SIZE)
		deliver_page(u, stage, at, true);
}

struct filling {
	uint64_t stage, to;
	uint64_t done; /* bytes from the start that the memfd has now */
};

/* Copy [at, end), whose pages are at @from (0: zeros), into the memfd. Returns where it stopped, *err why. */
static uint64_t fill_range(struct mcl_uffd *u, uint64_t at, uint64_t end, uint64_t from, int *err)
{
	const uint64_t start = at;

	for (;;) {
		at = fill_engine(u, at, end, from ? from + (at - start) : 0, UFFDIO_COPY_MODE_DONTWAKE, err);
		if (at == end || *err != -EEXIST)
			return at;
		/* The memfd has a page that the table does not know: never one with data that counts. */
		mcl_uffd_punch(u, at, at + PAGE_SIZE);
	}
}

/*
 * The same with two threads: the unit that waits for it does not need its processor. What the second one has done stays, as
 * another unit may have stored to it already; if the first one cannot catch up there is no way back.
 */
static uint64_t fill_in_two(struct mcl_uffd *u, uint64_t at, uint64_t end, uint64_t from, int *err)
{
	uint64_t half = mcl_page_down((at + end) / 2), done;
	struct uffdio_copy second = {
		.dst = half,
		.src = from + (half - at),
		.len = end - half,
		.mode = UFFDIO_COPY_MODE_DONTWAKE,
	};
	long ret;

	mcl_uffd_proxy_post(u, SYS_ioctl, (uint64_t)u->engine_fd, UFFDIO_COPY, (uint64_t)&second);
	done = fill_range(u, at, half, from, err);
	ret = mcl_uffd_proxy_wait(u);
	for (int tries = 0; done < half && *err == -ENOMEM && tries < 1000; tries++) {
		mcl_raw_sleep_us(1000);
		done = fill_range(u, done, half, from + (done - at), err);
	}
	if (done == half) {
		half += ret ? (second.copy > 0 ? (uint64_t)second.copy : 0) : end - half;
		return fill_range(u, half, end, from + (half - at), err);
	}
	if (*err != -ESRCH)
		mcl_uffd_fatal("cannot move pages to the device", done, *err);
	mcl_uffd_punch(u, half, end);
	return done;
}

static int fill_part(struct mcl_uffd *u, uint64_t offset, uint64_t part, bool present, void *arg)
{
	struct filling *f = arg;
	uint64_t at = f->to + offset, end = at + part, from = f->stage + offset;
	const uint64_t began = mcl_raw_now_ns();
	int err = 0;

	if (present && mcl_detour_choose(&u->detour))
		from = mcl_uffd_detour(u, from, part);
	if (present && part >= COPY_IN_TWO)
		at = fill_in_two(u, at, end, from, &err);
	else
		at = fill_range(u, at, end, present ? from : 0, &err);
	if (present && !err)
		mcl_detour_took(&u->detour, mcl_raw_now_ns() - began, part >> PAGE_SHIFT);
	f->done = at - f->to;
	return at == end ? 0 : err;
}

static bool pinned_lately(struct mcl_uffd *u, uint64_t at)
{
	uint64_t unit = at >> PIN_UNIT_SHIFT;

	return u->pinned[unit % PINNED_MAX].unit == unit &&
	       mcl_raw_now_ns() - u->pinned[unit % PINNED_MAX].ns < PIN_MEMORY_NS;
}

static void note_pinned(struct mcl_uffd *u, uint64_t at)
{
	uint64_t unit = at >> PIN_UNIT_SHIFT;

	u->pinned[unit % PINNED_MAX].unit = unit;
	u->pinned[unit % PINNED_MAX].ns = mcl_raw_now_ns();
}

/* What MOVE did not take at @at, and why: try harder if somebody waits for this page. True: it moved after all. */
static bool move_harder(struct mcl_uffd *u, int *kind, uint64_t base, uint64_t at, bool wanted, int err)
{
	uint64_t stage = mcl_uffd_staging(u, *kind) + (at - base);

	if (err == -EINVAL && *kind < STAGING_LOCKED) {
		/* Perhaps the host has locked it in memory. */
		int locked = *kind == STAGING_EXEC ? STAGING_LOCKED_EXEC : STAGING_LOCKED;
		uint64_t area = mcl_uffd_staging(u, locked);

		if (area)
			*kind = locked;
		return false;
	}
	if (err != -EBUSY || !wanted)
		return false;
	/* Shared with a child since a fork: a store ends that. Or pinned by I/O, which may end soon. */
	mcl_uffd_proxy_call(u, SYS_madvise, at, PAGE_SIZE, MADV_POPULATE_WRITE, 0, 0, 0);
	for (int i = 0; i < PIN_RETRIES; i++) {
		if (mcl_uffd_disturbed(u, at, at + PAGE_SIZE))
			return false;
		if (mcl_uffd_move_pages(u->host_fd, stage, at, PAGE_SIZE, UFFDIO_MOVE_MODE_DONTWAKE, &err))
			return true;
		if (err == -EAGAIN) {
			mcl_uffd_again(u, at, at + PAGE_SIZE);
			continue;
		}
		if (err != -EBUSY || pinned_lately(u, at))
			return false;
		mcl_raw_sleep_us(PIN_RETRY_US);
	}
	note_pinned(u, at);
	return false;
}

/*
 * Move what can be moved from the front of [start, end), of which @start is watched, as far as is known. Returns where that ended;
 * *err why, if before @end.
 */
static uint64_t move_out(struct mcl_uffd *u, int *kind, uint64_t base, uint64_t start, uint64_t end, uint64_t wanted,
			 int *err)
{
	unsigned int retries = 0;
	uint64_t at = start;

	*err = 0;
	while (at < end) {
		uint64_t area = mcl_uffd_staging(u, *kind);
		int used = *kind;

		if (!area) {
			*err = -ENOMEM;
			return at;
		}
		if (mcl_uffd_disturbed(u, at, end)) {
			*err = -EAGAIN;
			return at;
		}
		at += mcl_uffd_move_pages(u->host_fd, area + (at - base), at, end - at,
					  UFFDIO_MOVE_MODE_DONTWAKE | UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES, err);
		if (at == end)
			return at;
		if (*err == -EAGAIN && ++retries < CHANGE_RETRIES) {
			if (mcl_uffd_again(u, at, end))
				continue;
			return at;
		}
		/* One staging area for one run of pages. */
		if (*err == -EINVAL && at > start)
			return at;
		if (move_harder(u, kind, base, at, at == wanted, *err)) {
			at += PAGE_SIZE;
			continue;
		}
		if (*kind != used)
			continue;
		return at;
	}
	return at;
}

/* One run of host pages. Returns pages taken; *stop where to go on. */
static long take_run(struct mcl_uffd *u, struct mcl_uffd_block *b, const struct mcl_vma *vma, uint64_t start,
		     uint64_t end, uint64_t address, uint64_t *stop, int *err)
{
	int kind = vma->executable ? STAGING_EXEC : STAGING_PLAIN, fill_err;
	struct filling f = { .to = start };
	unsigned int tries = 0;
	uint64_t moved, stage;

	*stop = start;
	/*
	 * The mapping in which @start is, is watched, and MOVE takes from one mapping only. Should it be replaced before that,
	 * MOVE fails with -EAGAIN, and the report says so.
	 */
	while ((*err = mcl_uffd_watched(u, start, start + PAGE_SIZE))) {
		if (*err != -EAGAIN || ++tries == CHANGE_RETRIES || !mcl_uffd_again(u, start, end)) {
			*err = -EAGAIN;
			return 0;
		}
	}
	moved = move_out(u, &kind, b->base, start, end, address, err);
	*stop = moved;
	if (moved == start)
		return 0;
	stage = mcl_uffd_staging(u, kind) + (start - b->base);
	f.stage = stage;
	if (mcl_uffd_tasks_appeared(u, start, moved, stage)) {
		/* Without its page, which is known now. */
		*stop = start;
		*err = u->unlisted_count == UNLISTED_MAX ? -EAGAIN : -ERESTART;
		return 0;
	}
	fill_err = mcl_uffd_each_part(u, stage, moved - start, fill_part, &f);
	mcl_uffd_set(b, start, start + f.done, PAGE_VRAM);
	if (fill_err) {
		mcl_uffd_put_back(u, stage + f.done, start + f.done, moved);
		*err = fill_err;
		moved = start + f.done;
	}
	*stop = moved;
	return (long)(f.done >> PAGE_SHIFT);
}

static long take(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t start, uint64_t end, uint64_t address)
{
	struct mcl_uffd_block *b;
	long pages = 0;
	int err;

	b = mcl_uffd_block(u, start);
	if (!b)
		return -ENOMEM;
	mcl_uffd_tasks_begin(u);
	mcl_uffd_robust_refresh(u);
	err = mcl_uffd_watch(u, vma);
	if (err) {
		mcl_uffd_release(u, b);
		return err;
	}
	/* Copies from when this memory was read-only; checking below would undo their protection. */
	for (uint64_t at = start; at < end; at += PAGE_SIZE)
		if (mcl_uffd_state(u, at) == PAGE_COPY)
			mcl_uffd_drop_copy(u, at);
	for (uint64_t at = start; at < end;) {
		uint64_t run = mcl_uffd_run(b, at, end), until, before;

		/* What is known of the mapping is old then. */
		if (mcl_uffd_disturbed(u, at, end))
			return pages ? pages : -EAGAIN;
		if (mcl_uffd_state(u, at) != PAGE_HOST) {
			at = run;
			continue;
		}
		run = mcl_uffd_tasks_next_known(u, at, run, &until);
		if (run == at) {
			at = until;
			continue;
		}
		before = at;
		pages += take_run(u, b, vma, at, run, address, &at, &err);
		if (at == run || err == -ERESTART)
			continue;
		if (err == -EAGAIN || err == -ESRCH || err == -ENOMEM)
			return pages ? pages : err;
		/* A page that does not move, whatever is the matter; the next may. */
		if (at == before)
			at += PAGE_SIZE;
	}
	return pages;
}

long mcl_uffd_take(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t start, uint64_t end, uint64_t address)
{
	long pages = take(u, vma, start, end, address);

	mcl_uffd_staging_close(u);
	return pages;
}
