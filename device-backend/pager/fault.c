// SPDX-License-Identifier: MIT
/*
 * What is done about a fault. On the device: nothing there or no right to it: fail; memory that is shared already: fill it;
 * else move a chunk of it to VRAM, or if it keeps coming back, map it in place. On the CPU: home with it, or map it in
 * place.
 */
#include <errno.h>

#include "mirror/uffd_sys.h"
#include "pager/pager_private.h"

/* Home again within this time after it had moved: a bounce. */
#define BOUNCE_NS 10000000ull
/* Where the address space does not stop changing, or there is no memory: how often to try again, and when. */
#define RETRIES 2000
#define RETRY_NS 50000ull
#define SLOW_RETRY_NS 1000000ull
#define EVENT_BATCH 64
#define SUSPECT_NS 1000000000ull

void mcl_pager_count(struct mcl_pager *p, enum mcl_counter_cause cause, uint64_t pages, uint64_t began_ns)
{
	atomic_fetch_add_explicit(&p->cause[cause].count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->cause[cause].pages, pages, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->cause[cause].ns, p->now_ns() - began_ns, memory_order_relaxed);
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The chunk for a fault at @page, within its extent and block. */
static void choose(struct mcl_pager *p, struct mcl_streams *streams, uint64_t page, const struct mcl_extent *e,
		   uint64_t *start, uint64_t *end, uint64_t *size)
{
	uint64_t most = MCL_BLOCK_SIZE;

	/* Small device memory is not thrown over by one fault. */
	while (most > UNIT_SIZE && most > p->vram_limit / 4)
		most /= 2;
	*size = p->policy.chunk ? min64(p->policy.chunk, most) : mcl_stream_chunk(streams, page, UNIT_SIZE, most);
	*start = max64(page & ~(*size - 1), e->start);
	*end = min64((page & ~(*size - 1)) + *size, e->end);
}

static unsigned int unit_of(uint64_t address)
{
	return (unsigned int)(address / UNIT_SIZE % BLOCK_UNITS);
}

/* Note that the pages of [start, end) have just moved to VRAM. */
static void moved(struct mcl_pager *p, uint64_t start, uint64_t end)
{
	uint64_t now = p->now_ns();

	for (uint64_t at = start; at < end; at = (at | (UNIT_SIZE - 1)) + 1) {
		struct mcl_pager_block *b = mcl_pager_block(p, at, true);

		if (b)
			b->moved_ns[unit_of(at)] = now;
	}
}

/* Map the unit of @page in place. Pages, or -errno as map(). */
static long promote(struct mcl_pager *p, uint64_t page, enum mcl_access access, const struct mcl_extent *e)
{
	uint64_t start = max64(page & ~(UNIT_SIZE - 1), e->start), began = p->now_ns();
	uint64_t end = min64((page & ~(UNIT_SIZE - 1)) + UNIT_SIZE, e->end);
	long n = p->ops->map(p->m, start, end - start, page, access);

	mcl_pager_account(p, start, end, true);
	if (n > 0)
		mcl_pager_count(p, MCL_CAUSE_PROMOTION, (uint64_t)n, began);
	return n;
}

/*
 * The page came home so often soon after it had moved that it is better mapped in place. Where touches of the host wait for
 * the pager that is decided then (bounced()), else now.
 */
static bool bounces(struct mcl_pager *p, uint64_t page, const struct mcl_extent *e)
{
	const struct mcl_pager_block *b = mcl_pager_block(p, page, false);

	return b && p->touches_served && p->policy.promote_after && e->promotable &&
	       b->bounces[page / PAGE_SIZE % BLOCK_PAGES] >= p->policy.promote_after;
}

static bool served(enum mcl_residency r, bool write)
{
	return r == MCL_RES_BOTH ? !write : r != MCL_RES_NONE;
}

/*
 * Answer a device fault on something that the host has and the device may have. Pages or -errno; who waits in [*from, *to)
 * can try again. -EAGAIN: not before *@not_before.
 */
static long answer(struct mcl_pager *p, const struct mcl_fault *f, uint64_t page, const struct mcl_extent *e,
		   uint64_t *from, uint64_t *to, uint64_t *not_before)
{
	uint64_t start, end, size;
	long n;

	choose(p, &p->device_streams, page, e, &start, &end, &size);
	*from = start;
	*to = end;
	if (e->kind == MCL_EXTENT_PAGEABLE) {
		if (!mcl_pager_make_room(p, end - start, not_before))
			return -EAGAIN;
		n = p->ops->migrate(p->m, start, end - start, page);
		mcl_pager_account(p, start, end, true);
		moved(p, start, end);
		/* The page itself would not move. */
		if (n >= 0 && !served(p->ops->residency(p->m, page), f->access == MCL_ACCESS_WRITE))
			n = p->ops->map(p->m, page, PAGE_SIZE, page, f->access);
	} else {
		n = p->ops->map(p->m, start, end - start, page, f->access);
	}
	if (n > 0)
		mcl_stream_done(&p->device_streams, page, end, size);
	return n;
}

/*
 * An access that cannot be served. The report of it may be old: served on another unit's behalf, or its unit was taken away by
 * an abort, and the address may have had another owner since. To make it fail would then hit the next access, a good one.
 * So the first time whoever waits is only told to try again; a report that comes after that is about now.
 */
static bool confirmed(struct mcl_pager *p, uint64_t page)
{
	uint64_t now = p->now_ns();

	for (int i = 0; i < SUSPECTS; i++) {
		if (p->suspects[i].page == page && now - p->suspects[i].ns < SUSPECT_NS) {
			p->suspects[i].ns = 0;
			p->suspects[i].page = UINT64_MAX;
			return true;
		}
	}
	p->suspects[p->next_suspect].page = page;
	p->suspects[p->next_suspect].ns = now;
	p->next_suspect = (p->next_suspect + 1) % SUSPECTS;
	return false;
}

bool mcl_pager_device_fault(struct mcl_pager *p, const struct mcl_fault *f, uint64_t *not_before)
{
	const uint64_t page = f->address & ~(PAGE_SIZE - 1), began = p->now_ns();
	const bool write = f->access == MCL_ACCESS_WRITE;
	const enum mcl_residency there = p->ops->residency(p->m, page);
	uint64_t start = page, end = page + PAGE_SIZE;
	struct mcl_extent e;
	long n;

	*not_before = 0;
	/* Served by what was done for another unit's fault. */
	if (there == MCL_RES_VRAM || (there == MCL_RES_BOTH && !write)) {
		p->ops->replay(p->m, page, PAGE_SIZE);
		return true;
	}
	p->ops->extent(p->m, page, &e);
	if (e.kind == MCL_EXTENT_NONE || (write ? !e.writable : !e.readable)) {
		n = -EFAULT;
	} else if (e.kind == MCL_EXTENT_PAGEABLE && bounces(p, page, &e) &&
		   (n = promote(p, page, f->access, &e)) != -EMFILE) {
		if (n > 0) {
			p->ops->replay(p->m, page & ~(UNIT_SIZE - 1), UNIT_SIZE);
			return true;
		}
	} else {
		n = answer(p, f, page, &e, &start, &end, not_before);
	}
	if (n > 0)
		mcl_pager_count(p, write ? MCL_CAUSE_DEVICE_WRITE : MCL_CAUSE_DEVICE_READ, (uint64_t)n, began);
	switch (n) {
	case -EAGAIN:
	case -EMFILE: /* it cannot be mapped in place, but move; most often it just has */
		return false;
	case -ESRCH: /* the engine is dead */
		return true;
	case -ENOMEM:
		mcl_pager_make_room(p, p->vram_limit, NULL);
		return false;
	default:
		break;
	}
	if (n < 0 && !confirmed(p, page)) {
		/* Readers that wait for the same page are not to fail with the writer: they will not ask again. */
		if (write && e.kind != MCL_EXTENT_NONE && e.readable)
			p->ops->map(p->m, page, PAGE_SIZE, page, MCL_ACCESS_READ);
		p->ops->replay(p->m, page, PAGE_SIZE);
		return true;
	}
	switch (n) {
	case -EOPNOTSUPP:
	case -EINVAL:
	case -EBUSY:
		/* Always, like the report of the kernel's end, which does not know this. */
		mcl_log_write(MCL_LOG_ERROR, "the device cannot %s the memory at %#lx on this mirror: %s",
			      write ? "write" : "read", (unsigned long)f->address,
			      n == -EBUSY ? "another userfaultfd watches it" : "no page of it can be shared or moved");
		break;
	case -EFAULT:
		break;
	default:
		if (n < 0)
			mcl_log_write(MCL_LOG_ERROR, "the device's access to %#lx failed: error %ld",
				      (unsigned long)f->address, -n);
		break;
	}
	if (n < 0)
		p->ops->fail(p->m, f);
	else
		p->ops->replay(p->m, start, end - start);
	return true;
}

/*
 * The CPU touched a page that had moved to VRAM a moment ago. Returns 1: it is mapped in place now; 0: let it go home; -EAGAIN:
 * not yet, see *@not_before.
 */
static int bounced(struct mcl_pager *p, struct mcl_pager_block *b, uint64_t page, uint64_t age, uint64_t *not_before)
{
	const uint64_t hold = p->policy.hold_us * 1000ull;
	uint8_t *count = &b->bounces[page / PAGE_SIZE % BLOCK_PAGES];
	struct mcl_extent e;
	long n = -EMFILE;

	if (age > BOUNCE_NS) {
		*count = 0;
		return 0;
	}
	p->ops->extent(p->m, page, &e);
	if (p->policy.promote_after && *count >= p->policy.promote_after && e.promotable) {
		n = promote(p, page, MCL_ACCESS_READ, &e);
		if (n > 0) {
			p->ops->replay(p->m, page & ~(UNIT_SIZE - 1), UNIT_SIZE);
			return 1;
		}
		if (n == -EAGAIN)
			return -EAGAIN;
	}
	/* Where nothing can be mapped in place, both sides make progress only if each keeps what it gets for a while. */
	if (*count >= (p->policy.promote_after ? p->policy.promote_after : 3) && age < hold) {
		*not_before = b->moved_ns[unit_of(page)] + hold;
		return -EAGAIN;
	}
	*count += *count < UINT8_MAX;
	return 0;
}

bool mcl_pager_host_fault(struct mcl_pager *p, uint64_t page, uint64_t *not_before)
{
	struct mcl_pager_block *b = mcl_pager_block(p, page, true);
	uint64_t began = p->now_ns(), start, end, size;
	long n;

	*not_before = 0;
	if (p->ops->residency(p->m, page) != MCL_RES_VRAM) {
		p->ops->replay(p->m, page, PAGE_SIZE);
		return true;
	}
	if (b) {
		int ret = bounced(p, b, page, began - b->moved_ns[unit_of(page)], not_before);

		if (ret)
			return ret > 0;
	}
	size = p->policy.chunk ? p->policy.chunk : mcl_stream_chunk(&p->host_streams, page, UNIT_SIZE, MCL_BLOCK_SIZE);
	start = page & ~(size - 1);
	end = start + size;
	n = p->ops->evict(p->m, start, end - start);
	mcl_pager_account(p, start, end, false);
	if (n == -EAGAIN)
		return false;
	mcl_stream_done(&p->host_streams, page, end, size);
	if (n > 0)
		mcl_pager_count(p, MCL_CAUSE_CPU_FAULT, (uint64_t)n, began);
	p->ops->replay(p->m, start, end - start);
	return true;
}

void mcl_pager_move(struct mcl_pager *p, uint64_t start, uint64_t size, bool to_host)
{
	uint64_t at = start & ~(PAGE_SIZE - 1), end = (start + size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	unsigned int retries = 0;

	while (at < end) {
		uint64_t stop = min64((at & ~(MCL_BLOCK_SIZE - 1)) + MCL_BLOCK_SIZE, end), began = p->now_ns();
		struct mcl_extent e;
		long n = 0;

		if (to_host) {
			n = p->ops->evict(p->m, at, stop - at);
		} else {
			p->ops->extent(p->m, at, &e);
			stop = min64(stop, e.end);
			if (e.kind == MCL_EXTENT_PAGEABLE) {
				/* Not more than fits: what was asked for last would throw out what was asked for first. */
				if (end - start > p->vram_limit && stop - start > p->vram_limit)
					return;
				mcl_pager_make_room(p, stop - at, NULL);
				n = p->ops->migrate(p->m, at, stop - at, at);
				moved(p, at, stop);
			}
		}
		mcl_pager_account(p, at, stop, !to_host);
		if (n == -EAGAIN && ++retries < RETRIES) {
			mcl_pager_events(p);
			continue;
		}
		if (n > 0)
			mcl_pager_count(p, MCL_CAUSE_REQUEST, (uint64_t)n, began);
		p->ops->replay(p->m, at, stop - at);
		at = stop;
	}
}

/*
 * The host touched pages that were in VRAM, and has them back already. Only what is to be learnt from that is left to do; the
 * mirror has counted it.
 */
static void host_touched(struct mcl_pager *p, const struct mcl_mirror_event *e)
{
	p->touches_served = true;
	for (uint64_t at = e->start; at < e->start + e->size; at += PAGE_SIZE) {
		struct mcl_pager_block *b = mcl_pager_block(p, at, false);
		uint64_t moved_ns = b ? b->moved_ns[unit_of(at)] : 0;
		uint8_t *count = b ? &b->bounces[at / PAGE_SIZE % BLOCK_PAGES] : NULL;

		if (!b)
			at |= MCL_BLOCK_SIZE - PAGE_SIZE;
		else if (e->time > moved_ns + BOUNCE_NS)
			*count = 0;
		else
			*count += *count < UINT8_MAX;
	}
	mcl_pager_account(p, e->start, e->start + e->size, false);
}

/* ---- events ---- */

static void defer(struct mcl_pager *p, const struct mcl_mirror_event *e, uint64_t not_before, uint32_t tries)
{
	if (p->deferred_count == DEFERRED) {
		/* More threads than can be; whoever it was asks again. */
		p->ops->replay(p->m, (e->type == MCL_MEV_DEVICE_FAULT ? e->fault.address : e->start) & ~(PAGE_SIZE - 1),
			       PAGE_SIZE);
		return;
	}
	p->deferred[p->deferred_count].event = *e;
	p->deferred[p->deferred_count].not_before = not_before;
	p->deferred[p->deferred_count++].tries = tries;
}

/* False: again, not before *@not_before. */
static bool handle(struct mcl_pager *p, const struct mcl_mirror_event *e, uint32_t tries, uint64_t *not_before)
{
	bool done = true;

	*not_before = 0;
	switch (e->type) {
	case MCL_MEV_DEVICE_FAULT:
		if (p->frozen)
			done = false;
		else if (tries > RETRIES) {
			mcl_log_write(MCL_LOG_ERROR,
				      "the device's access to %#lx failed: no memory, or no end of changes",
				      (unsigned long)e->fault.address);
			p->ops->fail(p->m, &e->fault);
		} else
			done = mcl_pager_device_fault(p, &e->fault, not_before);
		break;
	case MCL_MEV_CPU_FAULT:
		if (e->waits)
			done = mcl_pager_host_fault(p, e->start, not_before);
		else
			host_touched(p, e);
		break;
	case MCL_MEV_UNMAP:
		mcl_pager_forget(p, e->start, e->start + e->size);
		mcl_pager_account(p, e->start, e->start + e->size, false);
		break;
	}
	return done;
}

int mcl_pager_events(struct mcl_pager *p)
{
	struct mcl_mirror_event events[EVENT_BATCH];
	unsigned int again = p->deferred_count, left = 0;
	int n = p->ops->next_events(p->m, events, EVENT_BATCH);
	uint64_t now = again ? p->now_ns() : 0;

	for (int i = 0; i < n; i++) {
		uint64_t not_before;

		if (!handle(p, &events[i], 0, &not_before))
			defer(p, &events[i], not_before, 1);
	}
	/* What was there before; new ones have been added behind. */
	for (unsigned int i = 0; i < again; i++) {
		const struct mcl_mirror_event event = p->deferred[i].event;
		uint64_t not_before = p->deferred[i].not_before;
		uint32_t tries = p->deferred[i].tries;

		if (not_before <= now && !(p->frozen && event.type == MCL_MEV_DEVICE_FAULT)) {
			if (handle(p, &event, tries, &not_before))
				continue;
			/* Being held back is not failing. And nobody else shall wait for what does not settle. */
			tries += !not_before;
			if (!not_before && tries > 16)
				not_before = p->now_ns() + (tries > 100 ? SLOW_RETRY_NS : RETRY_NS);
		}
		p->deferred[left].event = event;
		p->deferred[left].not_before = not_before;
		p->deferred[left++].tries = tries;
	}
	if (left < again) {
		for (unsigned int i = again; i < p->deferred_count; i++)
			p->deferred[left++] = p->deferred[i];
		p->deferred_count = left;
	}
	return n;
}
