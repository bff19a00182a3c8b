// SPDX-License-Identifier: MIT
/*
 * Which groups of a packet a unit runs next, and how many. The protocol is in command_ring.h. Runs nothing itself.
 *
 * Every claim passes cache lines from unit to unit, which costs as much as many small groups do, and begins somewhere else in
 * memory, which the processor has to notice before it fetches ahead. So a unit takes few groups at first; twice as many each time
 * they took less than a QUICK part of a turn, half as many each time they took longer. What it has learned of a kernel it
 * keeps for its next launch.
 */
#include "engine/engine.h"

#define PACE_FIRST 64
#define PACE_MAX 8192
/* At the beginning of a launch: it may have other arguments than the last, and take much longer. */
#define PACE_AGAIN 1024
#define QUICK 5
/* A range takes this part of a turn at least, so that claiming it does not count... */
#define RANGE_PART 100
/* ... and there are this many for each unit, for the last ones to be finished are what the others wait for. */
#define UNIT_RANGES 8

static struct mcl_pace *pace_of(struct mcl_cu *cu, uint64_t entry)
{
	/* Entries are 16 bytes apart at least. */
	return &cu->pace[(entry / 16) % MCL_PACES];
}

static uint64_t groups_in(const struct mcl_pace *pace, uint64_t ticks)
{
	return ticks * 1024 / pace->ticks;
}

uint64_t mcl_pace_begin(const struct mcl_engine_control *c, struct mcl_cu *cu, const struct mcl_packet *p)
{
	const struct mcl_pace *pace;
	uint64_t most;

	if (p->op != MCL_OP_KERNEL)
		return PACE_FIRST;
	pace = pace_of(cu, p->kernel.entry);
	if (pace->entry != p->kernel.entry)
		return PACE_FIRST;
	most = groups_in(pace, c->slice_ticks / QUICK);
	return most < PACE_FIRST ? PACE_FIRST : most > PACE_AGAIN ? PACE_AGAIN : most;
}

uint64_t mcl_pace_learn(const struct mcl_engine_control *c, uint64_t most, uint64_t count, uint64_t ticks)
{
	if (ticks * QUICK > c->slice_ticks)
		return count > 2 * PACE_FIRST ? count / 2 : PACE_FIRST;
	return count >= most && most < PACE_MAX ? 2 * most : most;
}

void mcl_pace_end(struct mcl_cu *cu, const struct mcl_packet *p, uint64_t count, uint64_t ticks)
{
	if (p->op == MCL_OP_KERNEL)
		*pace_of(cu, p->kernel.entry) = (struct mcl_pace){
			.entry = p->kernel.entry,
			.ticks = ticks < UINT64_MAX / 1024 ? ticks * 1024 / count + 1 : UINT64_MAX,
		};
}

/* ---- ranges ---- */

/* What a unit that has run the kernel before makes of a packet of @total groups. */
static uint64_t choose_grain(const struct mcl_engine_control *c, const struct mcl_pace *pace, uint64_t total)
{
	uint64_t grain = groups_in(pace, c->slice_ticks / RANGE_PART);

	if (grain * MCL_RANGES < total)
		grain = (total + MCL_RANGES - 1) / MCL_RANGES;
	if (grain > PACE_FIRST && grain > groups_in(pace, c->slice_ticks / QUICK))
		return MCL_GRAIN_IN_ORDER;
	return grain && total / grain >= (uint64_t)c->cu_count * UNIT_RANGES ? grain : MCL_GRAIN_IN_ORDER;
}

/* Groups of a range of packet @seq, for all units alike: the first to ask decides. 0: the packet is gone. */
static uint64_t grain_of(const struct mcl_engine_control *c, struct mcl_cu *cu, struct mcl_packet *p, uint64_t seq)
{
	const struct mcl_pace *pace = pace_of(cu, p->kernel.entry);
	uint64_t grain = atomic_load(&p->grain), mine = MCL_GRAIN_IN_ORDER;

	if (!mcl_has_tag(grain, seq))
		return 0;
	if (MCL_CURSOR_GROUP(grain))
		return MCL_CURSOR_GROUP(grain);
	if (c->cu_count > 1 && pace->entry == p->kernel.entry)
		mine = choose_grain(c, pace, p->total);
	/* Another packet in this slot has another tag. */
	if (atomic_compare_exchange_strong(&p->grain, &grain, MCL_CURSOR_TAG(seq) | mine))
		return mine;
	return mcl_has_tag(grain, seq) ? MCL_CURSOR_GROUP(grain) : 0;
}

/*
 * The processor that this runs on, as the kernel numbers them; in the limit of a segment, where the vDSO finds it too. A
 * kernel without it leaves 0.
 */
static uint32_t processor(void)
{
	uint32_t number = 0;

	__asm__("lsl %1, %0" : "+r"(number) : "r"(0x7b) : "cc");
	return number & 0xfff;
}

static bool take(struct mcl_packet *p, uint64_t range)
{
	const uint64_t bit = 1ull << (range % 64);
	_Atomic uint64_t *const word = &p->taken[range / 64];

	return !(atomic_load_explicit(word, memory_order_relaxed) & bit) && !(atomic_fetch_or(word, bit) & bit);
}

/*
 * One of @ranges ranges; there is one left for each claim. First those of this processor's part, in their order, then what
 * others would come to last.
 */
static uint64_t take_range(const struct mcl_engine_control *c, struct mcl_packet *p, uint64_t ranges)
{
	const uint64_t part = processor() % c->cu_count;
	const uint64_t begin = ranges * part / c->cu_count, end = ranges * (part + 1) / c->cu_count;

	for (uint64_t r = begin; r < end; r++)
		if (take(p, r))
			return r;
	for (;;)
		for (uint64_t r = ranges; r-- > 0;)
			if (take(p, r))
				return r;
}

/* ---- claiming ---- */

/*
 * In order. Small pieces towards the end; with few groups one for each unit, so that groups that wait for each other are all in
 * flight.
 */
static uint64_t piece(const struct mcl_engine_control *c, uint64_t left, uint64_t most)
{
	const uint64_t piece = left / (8ull * c->cu_count);

	return piece < 1 ? 1 : piece > most ? most : piece;
}

bool mcl_claim(struct mcl_engine_control *c, struct mcl_cu *cu, struct mcl_packet *p, uint64_t seq, uint64_t most,
	       struct mcl_claim *out)
{
	uint64_t cursor = atomic_load_explicit(&p->cursor, memory_order_acquire);

	for (;;) {
		const uint64_t group = MCL_CURSOR_GROUP(cursor), total = p->total, left = total - group;
		uint64_t grain = MCL_GRAIN_IN_ORDER, count = 1;

		if (!mcl_has_tag(cursor, seq) || group >= total)
			return false;
		if (p->flags & MCL_PKT_ANY_ORDER) {
			grain = grain_of(c, cu, p, seq);
			if (!grain)
				return false;
		}
		if (grain != MCL_GRAIN_IN_ORDER)
			count = left < grain ? left : grain;
		else if (p->op == MCL_OP_KERNEL)
			count = piece(c, left, most);
		if (!atomic_compare_exchange_weak(&p->cursor, &cursor, cursor + count))
			continue;
		out->from = out->first = group;
		out->taken = out->count = count;
		if (grain != MCL_GRAIN_IN_ORDER) {
			out->first = grain * take_range(c, p, (total + grain - 1) / grain);
			out->count = total - out->first < grain ? total - out->first : grain;
		}
		return true;
	}
}
