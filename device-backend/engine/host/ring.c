// SPDX-License-Identifier: MIT
/*
 * Rings as the runtime sees them: creation, the state of packets, waiting, retiring. How a packet gets in is in submit.c; the
 * protocol with the engine is in command_ring.h.
 *
 * Each ring numbers its own packets from 1 and keeps for each the number it has in the engine's ring. As long as there are
 * enough of those every ring has one of its own; beyond, several share one, and a complete packet that its owner has not
 * retired is copied out of its slot when another ring needs it (keep_results()).
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "engine/host/backend_private.h"
#include "engine/host/submit.h"

#define OWN_RING 0 /* the backend's own packets have the first one for themselves */
#define LOOK_AHEAD 4 /* packets */
/* How long the last groups of a packet are waited for, in limits of polling for a whole one. */
#define OUTWAIT 2

/* ---- creation ---- */

static struct mcl_hw_ring *hw_ring_get(struct mcl_backend *b, uint32_t index)
{
	struct mcl_hw_ring *hw = b->hw[index];

	if (!hw) {
		hw = calloc(1, sizeof(*hw));
		if (!hw)
			return NULL;
		hw->mem = mcl_backend_ring(b, index);
		hw->index = index;
		hw->turns = UINT64_MAX;
		pthread_mutex_init(&hw->lock, NULL);
		b->hw[index] = hw;
	}
	return hw;
}

/* The lowest ring that nobody uses, else the one with the fewest users. */
static uint32_t choose(struct mcl_backend *b)
{
	uint32_t best = OWN_RING + 1;

	if (!b->hw[OWN_RING])
		return OWN_RING;
	for (uint32_t i = OWN_RING + 1; i < MCL_RINGS; i++) {
		if (!b->hw[i] || !b->hw[i]->users)
			return i;
		if (b->hw[i]->users < b->hw[best]->users)
			best = i;
	}
	return best;
}

int mcl_ring_create(struct mcl_backend *b, struct mcl_ring **out)
{
	struct mcl_ring *ring;
	struct mcl_hw_ring *hw;

	if (mcl_backend_state(b) != MCL_BACKEND_ALIVE)
		return -ENODEV;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	pthread_mutex_lock(&b->rings_lock);
	hw = hw_ring_get(b, choose(b));
	if (hw && !hw->users++)
		atomic_fetch_or(&b->control->active[hw->index / 64], 1ull << (hw->index % 64));
	pthread_mutex_unlock(&b->rings_lock);
	if (!hw) {
		free(ring);
		return -ENOMEM;
	}
	ring->backend = b;
	ring->hw = hw;
	ring->next = 1;
	*out = ring;
	return 0;
}

void mcl_ring_destroy(struct mcl_ring *ring)
{
	struct mcl_backend *b;

	if (!ring)
		return;
	b = ring->backend;
	if (mcl_backend_state(b) != MCL_BACKEND_FORKED) {
		mcl_ring_retire(ring, ring->next - 1);
		mcl_aborts_forget(b, ring);
		pthread_mutex_lock(&b->rings_lock);
		if (!--ring->hw->users)
			atomic_fetch_and(&b->control->active[ring->hw->index / 64], ~(1ull << (ring->hw->index % 64)));
		pthread_mutex_unlock(&b->rings_lock);
	}
	free(ring);
}

void mcl_rings_free(struct mcl_backend *b)
{
	for (uint32_t i = 0; i < MCL_RINGS; i++) {
		if (!b->hw[i])
			continue;
		pthread_mutex_destroy(&b->hw[i]->lock);
		free(b->hw[i]);
	}
}

/* ---- slots ---- */

static void release_slot(struct mcl_backend *b, struct mcl_slot_record *r)
{
	if (r->heap_size)
		mcl_range_free(&b->heap, r->heap_offset, r->heap_size);
	r->heap_size = 0;
	r->owner = NULL;
	r->retired = true;
}

static void advance_free(struct mcl_hw_ring *hw)
{
	while (hw->free_before < hw->next && hw->records[hw->free_before % MCL_RING_SLOTS].retired)
		hw->free_before++;
}

static bool packet_result(const struct mcl_packet *p, int backend_state, bool times, struct mcl_packet_result *out)
{
	struct mcl_packet *packet = (struct mcl_packet *)p;
	const bool complete = atomic_load_explicit(&packet->state, memory_order_acquire) & MCL_PKT_COMPLETE;
	const uint64_t start = atomic_load_explicit(&packet->start, memory_order_relaxed);

	out->start_ns = times ? mcl_clock_ns(start) : 0;
	out->end_ns = 0;
	out->status = MCL_STATUS_OK;
	if (complete) {
		const uint64_t end = atomic_load_explicit(&packet->end, memory_order_relaxed);

		mcl_tsan_acquire(packet);
		out->state = MCL_PACKET_COMPLETE;
		out->status = atomic_load_explicit(&packet->status, memory_order_relaxed);
		out->end_ns = times ? mcl_clock_ns(end) : 0;
		/* Two conversions may differ by some nanoseconds. */
		if (out->end_ns < out->start_ns)
			out->end_ns = out->start_ns;
	} else if (backend_state != MCL_BACKEND_ALIVE) {
		out->state = MCL_PACKET_COMPLETE;
		out->status = MCL_STATUS_LOST;
		out->end_ns = mcl_backend_clock_ns();
		if (!out->start_ns)
			out->start_ns = out->end_ns;
	} else {
		out->state = start ? MCL_PACKET_RUNNING : MCL_PACKET_QUEUED;
	}
	return out->state == MCL_PACKET_COMPLETE;
}

/* Make room in a shared ring: results of complete packets move to their owners' books. Under hw->lock. */
static void keep_results(struct mcl_backend *b, struct mcl_hw_ring *hw)
{
	for (uint64_t seq = hw->free_before; seq < hw->next; seq++) {
		struct mcl_slot_record *r = &hw->records[seq % MCL_RING_SLOTS];
		struct mcl_ring_entry *e;

		if (r->retired)
			continue;
		e = &r->owner->entries[r->local_seq % MCL_RING_SLOTS];
		if (!packet_result(&hw->mem->slots[seq % MCL_RING_SLOTS], mcl_backend_state(b), true, &e->result))
			continue;
		atomic_store_explicit(&e->kept, true, memory_order_release);
		release_slot(b, r);
	}
	advance_free(hw);
}

bool mcl_slot_available(struct mcl_ring *ring)
{
	struct mcl_hw_ring *hw = ring->hw;

	if (ring->next - ring->retired > MCL_RING_SLOTS)
		return false;
	if (hw->next - hw->free_before < MCL_RING_SLOTS)
		return true;
	keep_results(ring->backend, hw);
	return hw->next - hw->free_before < MCL_RING_SLOTS;
}

void mcl_ring_retire(struct mcl_ring *ring, uint64_t seq)
{
	struct mcl_hw_ring *hw = ring->hw;

	if (seq <= ring->retired || mcl_backend_state(ring->backend) == MCL_BACKEND_FORKED)
		return;
	if (seq >= ring->next)
		seq = ring->next - 1;
	pthread_mutex_lock(&hw->lock);
	for (uint64_t s = ring->retired + 1; s <= seq; s++) {
		struct mcl_ring_entry *e = &ring->entries[s % MCL_RING_SLOTS];

		if (!atomic_load_explicit(&e->kept, memory_order_relaxed))
			release_slot(
				ring->backend,
				&hw->records[atomic_load_explicit(&e->hw_seq, memory_order_relaxed) % MCL_RING_SLOTS]);
	}
	ring->retired = seq;
	advance_free(hw);
	pthread_mutex_unlock(&hw->lock);
}

/* ---- looking and waiting ---- */

static void look(struct mcl_ring *ring, uint64_t seq, bool times, struct mcl_packet_result *out)
{
	struct mcl_ring_entry *e = &ring->entries[seq % MCL_RING_SLOTS];
	const int state = mcl_backend_state(ring->backend);
	uint64_t hw_seq;

	if (state == MCL_BACKEND_FORKED) {
		*out = (struct mcl_packet_result){ .state = MCL_PACKET_COMPLETE, .status = MCL_STATUS_LOST };
		return;
	}
	hw_seq = atomic_load_explicit(&e->hw_seq, memory_order_relaxed);
	/* Who looks at many packets does so in their order. */
	__builtin_prefetch(&ring->hw->mem->slots[(hw_seq + LOOK_AHEAD) % MCL_RING_SLOTS]);
	packet_result(&ring->hw->mem->slots[hw_seq % MCL_RING_SLOTS], state, times, out);
	/* If the slot was taken from us meanwhile, what we read may be its next packet's. */
	if (atomic_load_explicit(&e->kept, memory_order_acquire))
		*out = e->result;
}

void mcl_ring_state(struct mcl_ring *ring, uint64_t seq, struct mcl_packet_result *out)
{
	look(ring, seq, true, out);
}

void mcl_ring_status(struct mcl_ring *ring, uint64_t seq, struct mcl_packet_result *out)
{
	look(ring, seq, false, out);
}

/* Complete, as cheaply as can be. */
static bool is_complete(struct mcl_ring *ring, uint64_t seq)
{
	struct mcl_ring_entry *e = &ring->entries[seq % MCL_RING_SLOTS];
	struct mcl_packet *p;

	if (mcl_backend_state(ring->backend) != MCL_BACKEND_ALIVE)
		return true;
	p = &ring->hw->mem->slots[atomic_load_explicit(&e->hw_seq, memory_order_relaxed) % MCL_RING_SLOTS];
	if (atomic_load(&p->state) & MCL_PKT_COMPLETE) {
		mcl_tsan_acquire(p);
		return true;
	}
	return atomic_load_explicit(&e->kept, memory_order_acquire);
}

static long futex_wait(_Atomic uint32_t *word, uint32_t expected, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout, NULL, 0);
}

/* Poll for a while. Returns whether the packet is complete. */
static bool spin(struct mcl_ring *ring, uint64_t seq)
{
	struct mcl_spin *const s = &ring->backend->spin;
	const uint64_t began = __rdtsc(), budget = mcl_spin_begin(s);
	uint64_t polled = 0;
	bool done;

	while (!(done = is_complete(ring, seq)) && polled < budget) {
		_mm_pause();
		polled = __rdtsc() - began;
	}
	mcl_spin_end(s, done);
	return done;
}

/* After a wake-up: poll for the last groups of the packet, if all are claimed. Returns whether it is complete. */
static bool outwait(struct mcl_ring *ring, uint64_t seq)
{
	const uint64_t limit = atomic_load_explicit(&ring->backend->spin.limit, memory_order_relaxed),
		       began = __rdtsc();
	struct mcl_ring_entry *e = &ring->entries[seq % MCL_RING_SLOTS];
	struct mcl_packet *p;
	bool claimed;

	/* The lock keeps the slot from being given to another packet in between. */
	pthread_mutex_lock(&ring->hw->lock);
	p = &ring->hw->mem->slots[atomic_load_explicit(&e->hw_seq, memory_order_relaxed) % MCL_RING_SLOTS];
	claimed = atomic_load_explicit(&e->kept, memory_order_relaxed) ||
		  MCL_CURSOR_GROUP(atomic_load(&p->cursor)) >= p->total;
	pthread_mutex_unlock(&ring->hw->lock);
	if (!claimed)
		return false;
	do {
		if (is_complete(ring, seq))
			return true;
		_mm_pause();
	} while (__rdtsc() - began < OUTWAIT * limit);
	return false;
}

/* Have whoever completes packet @hw_seq, or a later one, wake us. */
static void want(struct mcl_command_ring *mem, uint64_t hw_seq)
{
	uint64_t wanted = atomic_load(&mem->wanted);

	while (!wanted || wanted > hw_seq + 1)
		if (atomic_compare_exchange_weak(&mem->wanted, &wanted, hw_seq + 1))
			break;
}

/* The packets before @hw_seq are waited for: no unit shall let more pile up. */
static void hurry(struct mcl_command_ring *mem, uint64_t hw_seq)
{
	if (atomic_load_explicit(&mem->wait, memory_order_relaxed) < hw_seq)
		atomic_store_explicit(&mem->wait, hw_seq, memory_order_release);
}

void mcl_ring_hurry(struct mcl_ring *ring)
{
	struct mcl_command_ring *mem = ring->hw->mem;

	if (mcl_backend_state(ring->backend) == MCL_BACKEND_ALIVE)
		hurry(mem, atomic_load_explicit(&mem->tail, memory_order_relaxed));
}

int mcl_ring_wait(struct mcl_ring *ring, uint64_t seq, uint64_t timeout_ns)
{
	struct mcl_command_ring *mem = ring->hw->mem;
	uint64_t deadline = UINT64_MAX;
	bool done;

	if (is_complete(ring, seq))
		return 0;
	hurry(mem, atomic_load_explicit(&ring->entries[seq % MCL_RING_SLOTS].hw_seq, memory_order_relaxed) + 1);
	if (!timeout_ns)
		return -ETIMEDOUT;
	if (atomic_load_explicit(&ring->backend->spin.limit, memory_order_relaxed) && spin(ring, seq))
		return 0;
	if (timeout_ns != UINT64_MAX) {
		deadline = mcl_backend_clock_ns() + timeout_ns;
		if (deadline < timeout_ns)
			deadline = UINT64_MAX;
	}
	for (;;) {
		struct timespec left, *timeout = NULL;
		uint32_t epoch;

		if (deadline != UINT64_MAX) {
			const uint64_t now = mcl_backend_clock_ns();

			if (now >= deadline)
				return is_complete(ring, seq) ? 0 : -ETIMEDOUT;
			left.tv_sec = (time_t)((deadline - now) / 1000000000u);
			left.tv_nsec = (long)((deadline - now) % 1000000000u);
			timeout = &left;
		}
		epoch = atomic_load(&mem->done_epoch);
		want(mem, atomic_load_explicit(&ring->entries[seq % MCL_RING_SLOTS].hw_seq, memory_order_relaxed));
		done = is_complete(ring, seq);
		if (!done)
			futex_wait(&mem->done_epoch, epoch, timeout);
		if (done || is_complete(ring, seq) || outwait(ring, seq))
			return 0;
	}
}

bool mcl_ring_notify(struct mcl_ring *ring, uint64_t seq)
{
	struct mcl_ring_entry *e = &ring->entries[seq % MCL_RING_SLOTS];
	struct mcl_packet *p;
	bool complete;

	if (mcl_backend_state(ring->backend) == MCL_BACKEND_FORKED)
		return true;
	/* The lock keeps the slot from being given to another packet in between. */
	pthread_mutex_lock(&ring->hw->lock);
	p = &ring->hw->mem->slots[atomic_load_explicit(&e->hw_seq, memory_order_relaxed) % MCL_RING_SLOTS];
	complete = atomic_load_explicit(&e->kept, memory_order_relaxed) ||
		   (atomic_fetch_or(&p->state, MCL_PKT_NOTIFY) & MCL_PKT_COMPLETE);
	pthread_mutex_unlock(&ring->hw->lock);
	return complete || mcl_backend_state(ring->backend) != MCL_BACKEND_ALIVE;
}

void mcl_rings_wake_all(struct mcl_backend *b)
{
	pthread_mutex_lock(&b->rings_lock);
	for (uint32_t i = 0; i < MCL_RINGS; i++) {
		struct mcl_command_ring *mem = mcl_backend_ring(b, i);

		if (!b->hw[i])
			continue;
		atomic_fetch_add(&mem->done_epoch, 1);
		syscall(SYS_futex, &mem->done_epoch, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	}
	pthread_mutex_unlock(&b->rings_lock);
}
