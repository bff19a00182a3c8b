// SPDX-License-Identifier: MIT
/*
 * A compute unit: finds packets, claims groups (claim.c), completes packets, idles. The protocol is in command_ring.h; what a group
 * does is in work.c; what happens when it fails in abort.c.
 */
#include "engine/engine.h"
#include "engine/sys.h"

/* How long a unit stays with a ring that it has emptied: about as long as an enqueue takes. */
#define LINGER_PAUSES 50
/* While the host fills a ring: how long a unit looks away from it, this part of a turn. And how seldom it tries whether it does. */
#define PATIENCE 200
/* What is nearly done: this part of a turn, or less, to go. */
#define SOON 10
#define DOUBT_MIN 16
#define DOUBT_MAX 1024

static uint64_t clock_now(struct mcl_engine_control *c)
{
	struct {
		int64_t s, ns;
	} t;

	if (c->use_tsc)
		return mcl_ticks();
	mcl_sys2(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &t);
	return (uint64_t)t.s * 1000000000 + (uint64_t)t.ns;
}

static inline struct mcl_packet *slot_of(struct mcl_command_ring *ring, uint64_t seq)
{
	return &ring->slots[seq % MCL_RING_SLOTS];
}

static void ring_bell(struct mcl_engine_control *c, uint64_t groups)
{
	uint32_t sleepers;

	atomic_fetch_add(&c->bell.epoch, 1);
	if (atomic_load(&c->bell.spinner))
		groups--;
	sleepers = atomic_load(&c->bell.sleepers);
	if (groups > sleepers)
		groups = sleepers;
	if (groups)
		mcl_futex_wake(&c->bell.epoch, (uint32_t)groups);
}

/* ---- finding work ---- */

/* The oldest packet of a ring, before @end, that has groups to claim. Nothing is claimed yet. */
static bool ring_look(struct mcl_command_ring *ring, uint64_t end, uint64_t *out)
{
	uint64_t head;

again:
	head = atomic_load(&ring->head);
	for (uint64_t seq = head; seq < end; seq++) {
		struct mcl_packet *p = slot_of(ring, seq);
		uint64_t cursor = atomic_load_explicit(&p->cursor, memory_order_acquire);

		if (!mcl_has_tag(cursor, seq)) /* our view of .head is old */
			goto again;
		if (seq != head && p->flags & MCL_PKT_BARRIER)
			return false;
		if (MCL_CURSOR_GROUP(cursor) < p->total) {
			*out = seq;
			return true;
		}
	}
	return false;
}

/* The first ring at or after @from that exists; MCL_RINGS if there is none. */
static uint32_t next_ring(struct mcl_engine_control *c, uint32_t from)
{
	while (from < MCL_RINGS) {
		uint64_t bits = atomic_load_explicit(&c->active[from / 64], memory_order_acquire) >> (from % 64);

		if (bits)
			return from + (uint32_t)__builtin_ctzll(bits);
		from = (from | 63) + 1;
	}
	return MCL_RINGS;
}

/*
 * Each look at .tail takes its cache line from the host, which needs it for the next packet. So while packets come one
 * after the other it is better to let a few of them pile up; when the host waits for each, that only costs time. Which of
 * both it is shows when a unit has waited: more than one packet, or one. @more came after the last look.
 */
static void learn(struct mcl_cu *cu, uint64_t more)
{
	if (more > 1) {
		cu->patient = 1;
		cu->doubt = DOUBT_MIN;
	} else if (cu->patient) {
		cu->patient = 0;
		cu->doubt = cu->doubt < DOUBT_MIN ? DOUBT_MIN : cu->doubt < DOUBT_MAX ? 2 * cu->doubt : DOUBT_MAX;
		cu->retry = cu->doubt;
	} else {
		cu->retry -= cu->retry > 0;
		if (!cu->retry)
			cu->patient = 1;
	}
}

/* See what the host has added. Returns whether there is anything that was not seen before. */
static bool see_more(struct mcl_engine_control *c, struct mcl_cu *cu, struct mcl_command_ring *ring, uint64_t seen)
{
	const uint64_t tail = atomic_load(&ring->tail);

	if (tail == seen)
		return false;
	learn(cu, tail - seen);
	if (c->boot.settle)
		mcl_boot_settle(c);
	while (seen < tail && !atomic_compare_exchange_weak(&ring->seen, &seen, tail))
		;
	return true;
}

enum look {
	LOOK_FOR_WORK, /* all that there is */
	LOOK_SEEN, /* only what has been seen already */
	LOOK_BEYOND, /* all that there is, but not in order to run it: .seen stays */
};

static bool ring_find(struct mcl_engine_control *c, struct mcl_cu *cu, struct mcl_command_ring *ring, enum look how,
		      uint64_t *seq)
{
	const uint64_t seen = atomic_load(&ring->seen);

	if (how == LOOK_BEYOND)
		return ring_look(ring, atomic_load(&ring->tail), seq);
	if (ring_look(ring, seen, seq))
		return true;
	return how == LOOK_FOR_WORK && see_more(c, cu, ring, seen) && ring_look(ring, atomic_load(&ring->seen), seq);
}

static bool look(struct mcl_engine_control *c, struct mcl_cu *cu, enum look how, uint32_t first, uint32_t *ring,
		 uint64_t *seq)
{
	for (uint32_t r = next_ring(c, first); r < MCL_RINGS; r = next_ring(c, r + 1))
		if (ring_find(c, cu, mcl_ring_at(c, r), how, seq)) {
			*ring = r;
			return true;
		}
	for (uint32_t r = next_ring(c, 0); r < first; r = next_ring(c, r + 1))
		if (ring_find(c, cu, mcl_ring_at(c, r), how, seq)) {
			*ring = r;
			return true;
		}
	return false;
}

/* ---- doing it ---- */

/* Move .head over what is complete, and call for help if what comes next is too much for this unit alone. */
static void advance(struct mcl_engine_control *c, struct mcl_command_ring *ring)
{
	uint64_t head = atomic_load(&ring->head);

	for (;;) {
		struct mcl_packet *p = slot_of(ring, head);

		/* What has not been seen is found by looking, and help with it is called for then. */
		if (head >= atomic_load(&ring->seen))
			return;
		if (!(atomic_load(&p->state) & MCL_PKT_COMPLETE)) {
			uint64_t total = p->total;

			if (total > 1 && mcl_has_tag(atomic_load(&p->cursor), head))
				ring_bell(c, (total < c->cu_count ? total : c->cu_count) - 1);
			return;
		}
		if (atomic_compare_exchange_strong(&ring->head, &head, head + 1))
			head++;
	}
}

/* A host thread sleeps until packet @seq or an earlier one is complete: wake it. */
static void wake_waiter(struct mcl_command_ring *ring, uint64_t seq)
{
	const uint64_t wanted = atomic_load(&ring->wanted);

	if (!wanted || seq + 1 < wanted)
		return;
	atomic_store(&ring->wanted, 0);
	atomic_fetch_add(&ring->done_epoch, 1);
	mcl_futex_wake(&ring->done_epoch, INT32_MAX);
}

static void complete(struct mcl_engine_control *c, struct mcl_command_ring *ring, struct mcl_packet *p, uint64_t seq)
{
	uint32_t state;

	atomic_store_explicit(&p->end, clock_now(c), memory_order_relaxed);
	state = atomic_fetch_or(&p->state, MCL_PKT_COMPLETE);
	/* The host may reuse the slot once .head has passed it: p is gone from here on. */
	advance(c, ring);
	wake_waiter(ring, seq);
	if (state & MCL_PKT_NOTIFY) {
		atomic_store(&c->host_bell.notify, 1);
		mcl_host_bell(c);
	}
}

/* A counter that only this unit writes. */
static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* The packet after next: its lines come from the host's cache while the next one runs. */
static void prefetch(struct mcl_command_ring *ring, uint64_t seq)
{
	const uint8_t *p = (const uint8_t *)slot_of(ring, seq);

	if (seq >= atomic_load_explicit(&ring->seen, memory_order_relaxed))
		return;
	mcl_prefetch_to_write(p);
	__builtin_prefetch(p + 64);
	__builtin_prefetch(p + 128);
	__builtin_prefetch(p + 192);
}

/*
 * @mine groups of packet @seq have been run. @quick: the last ones took so little time that what others are still running should be
 * done soon as well.
 */
static void hand_in(struct mcl_engine_control *c, struct mcl_cu *cu, struct mcl_command_ring *ring,
		    struct mcl_packet *p, uint64_t seq, uint64_t mine, bool quick)
{
	const bool kernel = p->op == MCL_OP_KERNEL, last = MCL_CURSOR_GROUP(atomic_load(&p->cursor)) >= p->total;

	if (atomic_fetch_add(&p->done, mine) + mine != p->total) {
		/* The slot may be another packet's by now. A thread takes a while to wake up. */
		if (last && quick)
			wake_waiter(ring, seq);
		return;
	}
	if (kernel)
		count(&cu->kernels, 1);
	if (atomic_load(&c->flush))
		mcl_hostcall(cu, MCL_CALL_FLUSH);
	complete(c, ring, p, seq);
}

static void run_packet(struct mcl_engine_control *c, struct mcl_cu *cu, uint32_t index, uint64_t seq)
{
	struct mcl_command_ring *ring = mcl_ring_at(c, index);
	struct mcl_packet *p = slot_of(ring, seq);
	struct mcl_work work = { .cu = cu, .packet = p };
	const uint64_t began = mcl_ticks();
	uint64_t then = began, now = began, took = 0, most = mcl_pace_begin(c, cu, p), mine = 0, other_seq;
	struct mcl_claim claim;
	enum look how = LOOK_SEEN;
	uint32_t other_ring;

	prefetch(ring, seq + 2);
	if (cu->last_ring != index) {
		atomic_fetch_add(&c->bell.turns, 1);
		cu->last_ring = index;
		how = LOOK_BEYOND;
	}
	/* Before the claim, so that whoever fails this packet finds us. */
	atomic_store_explicit(&cu->packet, MCL_CU_PACKET(index, seq), memory_order_relaxed);
	while (mcl_claim(c, cu, p, seq, most, &claim)) {
		work.first = claim.first;
		work.count = claim.count;
		if (claim.from == 0)
			atomic_store_explicit(&p->start, c->use_tsc && !mine ? began : clock_now(c),
					      memory_order_relaxed);
		if ((how == LOOK_BEYOND || atomic_load(&c->bell.sleepers)) &&
		    look(c, cu, how, index, &other_ring, &other_seq))
			ring_bell(c, 1);
		how = LOOK_SEEN;
		if (!mine && atomic_load(&c->refresh))
			mcl_hostcall(cu, MCL_CALL_REFRESH);
		if (!mine)
			mcl_work_prepare(&work);
		mine += claim.taken;
		if (mcl_guarded(&cu->guard, mcl_work_run, &work))
			mine += mcl_abort_packet(cu, p);
		else if (p->op == MCL_OP_KERNEL)
			count(&cu->groups, work.count);
		now = mcl_ticks();
		took = now - then;
		most = mcl_pace_learn(c, most, claim.count, took);
		if (claim.from + claim.taken >= p->total || now - began > c->slice_ticks)
			break;
		then = now;
	}
	/* Let other rings have a turn. */
	cu->next_ring = index + 1 < MCL_RINGS ? index + 1 : 0;
	atomic_store_explicit(&cu->packet, MCL_CU_NONE, memory_order_relaxed);
	if (!mine)
		return;
	mcl_pace_end(cu, p, mine, now - began);
	hand_in(c, cu, ring, p, seq, mine, took < c->slice_ticks / SOON);
}

/* Poll for a while. Returns whether the bell rang. */
static bool spin(struct mcl_engine_control *c, uint32_t epoch)
{
	const uint64_t began = mcl_ticks(), budget = mcl_spin_begin(&c->bell.spin);
	uint64_t polled = 0;
	bool rang;

	while (!(rang = atomic_load_explicit(&c->bell.epoch, memory_order_relaxed) != epoch) && polled < budget) {
		mcl_relax();
		polled = mcl_ticks() - began;
	}
	mcl_spin_end(&c->bell.spin, rang);
	return rang;
}

static void idle(struct mcl_engine_control *c, struct mcl_cu *cu, uint32_t epoch)
{
	uint32_t nobody = 0;

	if (atomic_load_explicit(&c->bell.spin.limit, memory_order_relaxed) &&
	    atomic_compare_exchange_strong(&c->bell.spinner, &nobody, cu->index + 1)) {
		const bool rang = spin(c, epoch);

		atomic_store(&c->bell.spinner, 0);
		if (rang || atomic_load(&c->bell.epoch) != epoch)
			return;
	}
	atomic_fetch_add(&c->bell.sleepers, 1);
	mcl_futex_wait(&c->bell.epoch, epoch);
	atomic_fetch_sub(&c->bell.sleepers, 1);
}

/*
 * The ring that this unit worked on last is empty. Whoever fills it may be about to do it again, and need not ring as long as
 * nobody has turned away. Returns whether there is reason to look again.
 */
static bool linger(struct mcl_engine_control *c, struct mcl_cu *cu)
{
	const uint32_t epoch = atomic_load(&c->bell.epoch);
	struct mcl_command_ring *ring;
	uint64_t seen;

	if (cu->last_ring == MCL_RINGS || !atomic_load_explicit(&c->bell.spin.limit, memory_order_relaxed))
		return false;
	ring = mcl_ring_at(c, cu->last_ring);
	seen = atomic_load(&ring->seen);
	for (int i = 0; i < LINGER_PAUSES; i++) {
		if (atomic_load(&ring->tail) != seen || atomic_load(&c->bell.epoch) != epoch)
			return true;
		mcl_relax();
	}
	return false;
}

/* From the ring that this unit worked on last, so that packets pile up there, until somebody waits for them. */
static void look_away(struct mcl_engine_control *c, struct mcl_cu *cu)
{
	const uint64_t began = mcl_ticks(), most = c->slice_ticks / PATIENCE;
	const uint32_t epoch = atomic_load_explicit(&c->bell.epoch, memory_order_relaxed);
	struct mcl_command_ring *ring = mcl_ring_at(c, cu->last_ring);
	const uint64_t seen = atomic_load(&ring->seen);

	/* On a machine with one processor the host would not get on meanwhile. */
	if (!atomic_load_explicit(&c->bell.spin.limit, memory_order_relaxed))
		return;
	while (atomic_load_explicit(&ring->wait, memory_order_relaxed) <= seen &&
	       atomic_load_explicit(&c->bell.epoch, memory_order_relaxed) == epoch && mcl_ticks() - began < most)
		mcl_relax();
}

_Noreturn void mcl_unit_main(struct mcl_cu *cu)
{
	struct mcl_engine_control *c = mcl_control();

	atomic_store(&cu->packet, MCL_CU_NONE);
	if (mcl_signals_thread(cu))
		mcl_exit_group(1);
	atomic_store(&cu->tid, (uint32_t)mcl_sys0(__NR_gettid));
	cu->last_ring = MCL_RINGS;
	for (;;) {
		uint32_t ring, epoch;
		uint64_t seq;

		if (cu->patient && cu->last_ring != MCL_RINGS && !look(c, cu, LOOK_SEEN, cu->next_ring, &ring, &seq))
			look_away(c, cu);
		if (look(c, cu, LOOK_FOR_WORK, cu->next_ring, &ring, &seq)) {
			run_packet(c, cu, ring, seq);
			continue;
		}
		if (linger(c, cu))
			continue;
		epoch = atomic_load(&c->bell.epoch);
		atomic_fetch_add(&c->bell.turns, 1);
		cu->last_ring = MCL_RINGS;
		if (look(c, cu, LOOK_FOR_WORK, cu->next_ring, &ring, &seq))
			run_packet(c, cu, ring, seq);
		else
			idle(c, cu, epoch);
	}
}
