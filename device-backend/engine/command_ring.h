/* SPDX-License-Identifier: MIT */
/*
 * The command rings: plain memory in the window through which the host hands packets to the engine. This header is the
 * contract between engine/ (freestanding) and engine/host/; it knows neither mirrors nor OpenCL.
 *
 * A ring has MCL_RING_SLOTS packets. Sequence numbers only grow; packet s lies in slot s % MCL_RING_SLOTS. The host
 * writes a packet and moves .tail; the engine completes packets in any order and moves .head over the completed prefix.
 * A slot is written again only when its packet is complete, retired by its owner, and behind .head.
 *
 * Claiming. A packet is a number of groups (of work-items, of rows to copy ...). A compute unit takes [n, n + chunk) by
 * compare-and-swap on .cursor, whose upper bits are a tag made of the sequence number. Before the host rewrites a slot it
 * sets the cursor to MCL_CURSOR_INVALID, and a finished packet's cursor stands at its end, so a unit with a stale view of
 * the slot can never claim from its successor. Groups are therefore claimed in increasing order, each once. Whoever makes
 * .done reach .total completes the packet.
 *
 * Any order. Where no group can notice when others run (MCL_PKT_ANY_ORDER), what is claimed from .cursor is only a number of
 * groups. Which ones is found in .taken, a bit for each range of .grain groups: those that the unit's processor is likely to
 * have had the last time come first, since it may still have their data in its caches. .grain carries the same tag as
 * .cursor, and is set by the first unit that claims; it says MCL_GRAIN_IN_ORDER where it does not pay.
 *
 * Order. A unit looks at a ring's packets from .head on. It passes packets whose groups are all claimed, and stops at
 * a packet with MCL_PKT_BARRIER that is not at .head: everything before it must complete first.
 *
 * Batches. Units go by .seen, the .tail that one of them read last, and read .tail again only when they find nothing below it.
 * So while the host is ahead, it and the engine do not pass the cache line with .tail to and fro for every packet. Between
 * reading .tail and moving .seen the engine asks its mirror to settle, where that has something to settle (control.h,
 * mcl_boot_settle()): one look at the host's address space serves all packets that were enqueued before it.
 * A unit that is faster than the host looks away for some microseconds before it reads .tail, so that several packets pile up;
 * but not past a packet that the host has said in .wait that it waits for. Should the one not see the other, the time ends it.
 *
 * Who wakes whom. All of the following use sequentially consistent accesses (Dekker's pattern: each side first writes,
 * then reads what the other writes, so at least one of them sees the other).
 *
 *  - Unit that finds no work: polls .tail of the ring that it worked on last for a moment; e = bell.epoch; bell.turns++; look
 *    again; none: .sleepers++; futex wait while bell.epoch == e; .sleepers--. One idle unit at a time holds .spinner and
 *    polls bell.epoch for a while before that.
 *  - Unit that claims from another ring than last time: bell.turns++ before the claim, and after it looks at all rings up
 *    to .tail; if there is anything to claim it rings for one more unit.
 *  - Host, after moving .tail: if the packet is a barrier and .head has not reached it, nothing: the unit that moves .head
 *    to it, having completed its last predecessor, then looks at the ring again, or turns away from it and then looks.
 *    Otherwise bell.epoch++, and futex wake for as many sleepers as there are groups (one less if somebody spins, and not all
 *    units, if there are as many as processors: the host is on one of those).
 *    Nor does the host read .head for every barrier: as long as bell.turns is what it was before .head was read last, and
 *    the newest packet of that moment was not complete then, the unit that completes it has not turned away since,
 *    and will look.
 *  - Unit that completes a packet: moves .head, and if the next packet has more groups than it can run itself, rings the
 *    bell as the host does.
 *  - Unit that claimed something while others sleep: looks whether there is more to claim anywhere, below .seen, and if so
 *    rings for one sleeper. So one waking is enough to get, in the end, as many as there is work for.
 *  - Host waiting for packet s: e = .done_epoch; .wanted = min(.wanted, s + 1), where 0 counts as infinite; packet complete?
 *    if not, futex wait while .done_epoch == e. Unit that completes packet s: state |= COMPLETE; if .wanted is not 0 and
 *    not above s + 1: .wanted = 0, .done_epoch++, futex wake all. So who waits for the last of many packets costs no system
 *    call for each of them. A waiter that wakes too early says again what it wants. A unit that finds all groups of packet s
 *    claimed, and those of others nearly done, wakes the waiters already then; they poll for the rest.
 *  - How long to poll: when both sides are on one processor, because another program has the rest, each delays the other by
 *    as long as it polls. So each polls for long only as long as that pays (struct mcl_spin).
 *  - Notification: NOTIFY and COMPLETE are bits of one word, set by atomic or: exactly one side sees both.
 */
#ifndef MCL_COMMAND_RING_H
#define MCL_COMMAND_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/wg_abi.h"

#define MCL_RINGS 256
#define MCL_RING_SLOTS 256u

#define MCL_PACKET_INLINE 640 /* bytes of argument block inside a packet */

/* Cursor: 24 bits of the sequence number, 40 bits of the next group. */
#define MCL_CURSOR_GROUP_BITS 40
#define MCL_CURSOR_MAX_GROUPS ((1ull << MCL_CURSOR_GROUP_BITS) - 1)
#define MCL_CURSOR_TAG(seq) ((uint64_t)(seq) << MCL_CURSOR_GROUP_BITS)
#define MCL_CURSOR_GROUP(cursor) ((cursor) & MCL_CURSOR_MAX_GROUPS)
#define MCL_CURSOR_INVALID MCL_CURSOR_MAX_GROUPS /* past the end of every packet */

enum mcl_packet_op {
	MCL_OP_NOP,
	MCL_OP_KERNEL,
	MCL_OP_COPY,
	MCL_OP_FILL,
	MCL_OP_PROTECT, /* change the protection of a part of the window's code area in the engine */
};

enum {
	MCL_PKT_BARRIER = 1,
	MCL_PKT_ANY_ORDER = 2, /* of a kernel: its groups may start in any order */
};

/* .grain: 0 with the packet's tag is "not decided". */
#define MCL_GRAIN_IN_ORDER MCL_CURSOR_MAX_GROUPS
#define MCL_RANGES 256u /* at most, in one packet */

/* Bits of mcl_packet.state. */
enum {
	MCL_PKT_COMPLETE = 1,
	MCL_PKT_NOTIFY = 2,
};

/* A __local argument or automatic variable: entry .index of the argument table gets .size bytes of local memory. */
struct mcl_local_block {
	uint64_t index;
	uint64_t size;
};

struct mcl_packet_kernel {
	uint64_t entry; /* mcl_wg_function in the window */
	uint64_t args; /* address of .arg_count addresses, as wg_abi.h says; entries of local blocks are zero */
	uint64_t locals; /* address of .local_count struct mcl_local_block */
	uint32_t arg_count, local_count;
	struct mcl_wg_context context; /* the printf fields are filled in by each unit */
};

/* A box copy; each group copies .rows_per_group rows of .row_bytes, or if .linear_bytes is not 0 a piece of one row. */
struct mcl_packet_copy {
	uint64_t dst, src;
	uint64_t row_bytes, rows, slices; /* rows of a slice */
	uint64_t dst_row, dst_slice, src_row, src_slice; /* strides, bytes */
	uint64_t linear_bytes; /* not 0: one run of that many bytes, in pieces of MCL_COPY_PIECE */
	uint64_t rows_per_group;
};

#define MCL_COPY_PIECE (1ull << 20)

/* Pieces of MCL_COPY_PIECE bytes; the pattern is repeated to fill 128 bytes. */
struct mcl_packet_fill {
	uint64_t dst, size;
	uint8_t pattern[128];
};

struct mcl_packet_protect {
	uint64_t address, size;
	uint32_t prot; /* PROT_* */
};

struct mcl_packet {
	/*
	 * What changes while it is in flight. One cache line, as is the next part as far as possible: in a burst of small
	 * packets the time goes into passing these lines from host to engine and back.
	 */
	_Atomic uint64_t cursor __attribute__((aligned(64))); /* claimed here */
	_Atomic uint64_t done; /* counted and published here */
	_Atomic uint32_t state;
	_Atomic int32_t status; /* enum mcl_status; not 0 stops further groups */
	_Atomic uint64_t start, end; /* engine clock; 0 until it happened */
	/* constant while the packet is in flight */
	uint64_t total __attribute__((aligned(64))); /* groups */
	uint32_t op, flags;
	union {
		struct mcl_packet_kernel kernel;
		struct mcl_packet_copy copy;
		struct mcl_packet_fill fill;
		struct mcl_packet_protect protect;
	};
	uint8_t inline_args[MCL_PACKET_INLINE] __attribute__((aligned(128)));
	/* MCL_PKT_ANY_ORDER only, and apart: small packets do without this line */
	_Atomic uint64_t grain __attribute__((aligned(128))); /* groups of a range, tagged */
	_Atomic uint64_t taken[MCL_RANGES / 64];
};

struct mcl_command_ring {
	_Atomic uint64_t tail __attribute__((aligned(64))); /* host: next sequence number to submit */
	_Atomic uint64_t head __attribute__((aligned(64))); /* engine: oldest packet that is not complete */
	_Atomic uint64_t seen; /* engine: packets before this may be run; not before .head, not after .tail */
	_Atomic uint64_t wait __attribute__((aligned(64))); /* host: packets before this are waited for */
	_Atomic uint32_t done_epoch __attribute__((aligned(64))); /* futex of waiting host threads */
	_Atomic uint64_t wanted; /* 1 + the oldest packet that a sleeping host thread waits for, or 0 */
	struct mcl_packet slots[MCL_RING_SLOTS] __attribute__((aligned(4096)));
};

/*
 * Bring a cache line here in order to write it. The builtin asks for it like this only where the compiler may take the
 * instruction for granted; processors without it do nothing.
 */
static inline void mcl_prefetch_to_write(const void *p)
{
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
}

/*
 * How long it pays to poll before sleeping: all of the limit, until what was waited for has failed to come in time
 * MCL_SPIN_MISSES times in a row; then hardly at all, and every now and then the limit is tried again. One success is
 * enough to go back: programs that wait for a short and a long time by turns gain by the short ones more than the long ones
 * cost. Races between its users do no harm.
 */
struct mcl_spin {
	_Atomic uint64_t limit; /* ticks; 0: never poll */
	_Atomic uint32_t misses; /* in a row, at most MCL_SPIN_MISSES */
	_Atomic uint32_t since_full;
};

#define MCL_SPIN_MISSES 3u
#define MCL_SPIN_SHORT 32u /* part of the limit that is polled when it does not pay */
#define MCL_SPIN_RETRY 13u /* waits until the limit is tried again; odd, as short and long waits often come by turns */

static inline uint64_t mcl_spin_begin(struct mcl_spin *s)
{
	const uint64_t limit = atomic_load_explicit(&s->limit, memory_order_relaxed);
	uint32_t since;

	if (atomic_load_explicit(&s->misses, memory_order_relaxed) < MCL_SPIN_MISSES)
		return limit;
	since = (atomic_load_explicit(&s->since_full, memory_order_relaxed) + 1) % MCL_SPIN_RETRY;
	atomic_store_explicit(&s->since_full, since, memory_order_relaxed);
	return since ? limit / MCL_SPIN_SHORT : limit;
}

static inline void mcl_spin_end(struct mcl_spin *s, bool paid)
{
	const uint32_t misses = atomic_load_explicit(&s->misses, memory_order_relaxed);

	if (paid && misses)
		atomic_store_explicit(&s->misses, 0, memory_order_relaxed);
	else if (!paid && misses < MCL_SPIN_MISSES)
		atomic_store_explicit(&s->misses, misses + 1, memory_order_relaxed);
}

_Static_assert(sizeof(struct mcl_packet) == 1024, "slots are 1 KiB");

#endif
