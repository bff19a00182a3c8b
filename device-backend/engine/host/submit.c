// SPDX-License-Identifier: MIT
/* How packets get into a ring. The protocol is in command_ring.h, the calling convention of kernels in wg_abi.h. */
#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#include "engine/host/backend_private.h"
#include "engine/host/submit.h"

#define VALUE_ALIGN_MAX 128u
#define WRITE_AHEAD 4 /* packets */
#define ANY_ORDER_GROUPS 64u /* fewer are gone before it pays */
#define SLOTS_AT_ONCE 64u /* memory for so many is asked for at once */

/* A slot taken, not yet visible to the engine. Holds hw->lock. */
struct submission {
	struct mcl_ring *ring;
	struct mcl_hw_ring *hw;
	struct mcl_packet *packet;
	struct mcl_slot_record *record;
	uint64_t seq; /* of the engine's ring */
	bool any_order; /* MCL_PKT_ANY_ORDER */
};

/* The engine's cache has what is to be written soon. */
static void prefetch(struct mcl_hw_ring *hw)
{
	const uint8_t *p = (const uint8_t *)&hw->mem->slots[(hw->next + WRITE_AHEAD) % MCL_RING_SLOTS];

	mcl_prefetch_to_write(p);
	mcl_prefetch_to_write(p + 64);
	mcl_prefetch_to_write(p + 128);
	mcl_prefetch_to_write(p + 192);
}

/*
 * Slots that are used for the first time have no memory yet. A page fault for every fourth packet, in the host and then in the
 * engine, would delay its start by more than all the rest does. What the host has got, the engine maps 64 KiB at a time.
 */
static void populate(struct mcl_hw_ring *hw)
{
	struct mcl_packet *slots = hw->mem->slots;

	_Static_assert(MCL_RING_SLOTS % SLOTS_AT_ONCE == 0, "the ring is made of whole parts");
	if (hw->next < MCL_RING_SLOTS && hw->next % SLOTS_AT_ONCE == 0)
		madvise(&slots[hw->next], SLOTS_AT_ONCE * sizeof(*slots), MADV_POPULATE_WRITE); /* a hint */
}

static int begin(struct mcl_ring *ring, struct submission *s)
{
	struct mcl_backend *b = ring->backend;
	struct mcl_hw_ring *hw = ring->hw;

	if (mcl_backend_state(b) != MCL_BACKEND_ALIVE)
		return -ENODEV;
	pthread_mutex_lock(&hw->lock);
	while (!mcl_slot_available(ring)) {
		/*
		 * A ring that is full of its own packets: its owner retires some, complete or not yet. When it is other
		 * rings' packets that are in the way, the caller has nothing of its own to wait for: have the callback run
		 * when the oldest of them is complete.
		 */
		if (ring->next - ring->retired > MCL_RING_SLOTS || hw->next - hw->free_before < MCL_RING_SLOTS ||
		    !(atomic_fetch_or(&hw->mem->slots[hw->free_before % MCL_RING_SLOTS].state, MCL_PKT_NOTIFY) &
		      MCL_PKT_COMPLETE)) {
			pthread_mutex_unlock(&hw->lock);
			return -EAGAIN;
		}
	}
	/* The unit that completed the slot's last packet may not have come to moving .head yet. */
	while (hw->next - hw->head >= MCL_RING_SLOTS) {
		hw->head = atomic_load(&hw->mem->head);
		if (hw->next - hw->head < MCL_RING_SLOTS)
			break;
		if (mcl_backend_state(b) != MCL_BACKEND_ALIVE) {
			pthread_mutex_unlock(&hw->lock);
			return -ENODEV;
		}
		sched_yield();
	}
	s->ring = ring;
	s->hw = hw;
	s->seq = hw->next;
	s->packet = &hw->mem->slots[s->seq % MCL_RING_SLOTS];
	s->record = &hw->records[s->seq % MCL_RING_SLOTS];
	s->record->heap_size = 0;
	s->record->code = NULL;
	s->any_order = false;
	populate(hw);
	prefetch(hw);
	/* Before anything else in it is written. */
	atomic_store_explicit(&s->packet->cursor, MCL_CURSOR_INVALID, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	return 0;
}

static void cancel(struct submission *s)
{
	pthread_mutex_unlock(&s->hw->lock);
}

/*
 * If there is a unit for every processor, this thread is in the way of one of them. To wake all would put two on one
 * processor, and they stay there for milliseconds while this thread sleeps and leaves the other idle. So the last is
 * left to the first unit that claims something and sees that there is more.
 */
static void ring_bell(const struct mcl_backend *b, uint64_t groups)
{
	struct mcl_engine_control *const c = b->control;
	uint32_t sleepers;

	atomic_fetch_add(&c->bell.epoch, 1);
	if (atomic_load(&c->bell.spinner))
		groups--;
	sleepers = atomic_load(&c->bell.sleepers);
	if (groups > sleepers)
		groups = sleepers;
	if (groups > b->wake_most)
		groups = b->wake_most;
	if (groups)
		syscall(SYS_futex, &c->bell.epoch, FUTEX_WAKE, (int)groups, NULL, NULL, 0);
}

/* Whether a unit has to be told of packet @seq, .tail being past it already. Under hw->lock. */
static bool needs_bell(struct mcl_engine_control *c, struct mcl_hw_ring *hw, uint64_t seq, uint32_t flags)
{
	uint64_t turns;

	if (!(flags & MCL_PKT_BARRIER))
		return true;
	turns = atomic_load(&c->bell.turns);
	if (turns == hw->turns)
		return false;
	hw->head = atomic_load(&hw->mem->head);
	/* Complete already: the unit that did it may have turned away before .turns was read. */
	hw->turns = hw->head > seq ? UINT64_MAX : turns;
	return hw->head == seq;
}

static void commit(struct submission *s, enum mcl_packet_op op, uint64_t total, uint32_t flags, uint64_t *seq)
{
	struct mcl_engine_control *c = s->ring->backend->control;
	struct mcl_ring *ring = s->ring;
	struct mcl_packet *p = s->packet;
	struct mcl_ring_entry *e = &ring->entries[ring->next % MCL_RING_SLOTS];

	p->op = op;
	p->flags = (flags & MCL_PACKET_BARRIER ? MCL_PKT_BARRIER : 0) | (s->any_order ? MCL_PKT_ANY_ORDER : 0);
	p->total = total;
	atomic_store_explicit(&p->done, 0, memory_order_relaxed);
	if (s->any_order) {
		atomic_store_explicit(&p->grain, MCL_CURSOR_TAG(s->seq), memory_order_relaxed);
		for (uint32_t i = 0; i < MCL_RANGES / 64; i++)
			atomic_store_explicit(&p->taken[i], 0, memory_order_relaxed);
	}
	atomic_store_explicit(&p->status, 0, memory_order_relaxed);
	atomic_store_explicit(&p->start, 0, memory_order_relaxed);
	atomic_store_explicit(&p->end, 0, memory_order_relaxed);
	atomic_store_explicit(&p->state, 0, memory_order_relaxed);
	s->record->owner = ring;
	s->record->local_seq = ring->next;
	s->record->retired = false;
	atomic_store_explicit(&e->hw_seq, s->seq, memory_order_relaxed);
	atomic_store_explicit(&e->kept, false, memory_order_relaxed);
	*seq = ring->next++;
	mcl_tsan_release(p);
	atomic_store_explicit(&p->cursor, MCL_CURSOR_TAG(s->seq), memory_order_release);
	s->hw->next = s->seq + 1;
	atomic_store(&s->hw->mem->tail, s->seq + 1);
	if (needs_bell(c, s->hw, s->seq, flags & MCL_PACKET_BARRIER ? MCL_PKT_BARRIER : 0))
		ring_bell(s->ring->backend, total);
	pthread_mutex_unlock(&s->hw->lock);
}

/* ---- launches ---- */

static uint64_t value_align(uint64_t size)
{
	uint64_t align = 8;

	while (align < size && align < VALUE_ALIGN_MAX)
		align *= 2;
	return align;
}

static uint64_t align_up(uint64_t at, uint64_t align)
{
	return (at + align - 1) & ~(align - 1);
}

/* The argument block of a launch: table of addresses, table of local blocks, values. */
struct block {
	uint64_t entries, locals; /* numbers of them */
	uint64_t local_bytes; /* asked for */
	uint64_t locals_at, values_at, size; /* bytes */
};

/* An image argument is a descriptor, which the kernel gets the address of. */
static bool by_address(const struct mcl_co_arg *info, const struct mcl_arg *arg)
{
	return info->kind == MCL_CO_ARG_IMAGE && arg->size > sizeof(uint64_t);
}

static int measure(const struct mcl_code_object *co, const struct mcl_co_kernel *k, const struct mcl_arg *args,
		   struct block *b, struct mcl_reason *why)
{
	const struct mcl_co_arg *info = co->args + k->first_arg;
	uint64_t values = 0;

	memset(b, 0, sizeof(*b));
	b->entries = (uint64_t)k->arg_count + k->local_count;
	for (uint32_t i = 0; i < k->arg_count; i++) {
		if (info[i].kind == MCL_CO_ARG_LOCAL) {
			b->locals++;
			if (__builtin_add_overflow(b->local_bytes, args[i].size, &b->local_bytes))
				b->local_bytes = UINT64_MAX / 2;
			continue;
		}
		if (args[i].size > MCL_MAX_ARG_BLOCK)
			return mcl_reason(why, -E2BIG, "argument %u has %zu bytes; the limit is %llu", i, args[i].size,
					  MCL_MAX_ARG_BLOCK);
		values = align_up(values, value_align(args[i].size)) + args[i].size;
		if (by_address(&info[i], &args[i]))
			values = align_up(values, 8) + 8;
	}
	for (uint32_t i = 0; i < k->local_count; i++)
		if (__builtin_add_overflow(b->local_bytes, co->locals[k->first_local + i], &b->local_bytes))
			b->local_bytes = UINT64_MAX / 2;
	b->locals += k->local_count;
	if (b->local_bytes > MCL_LOCAL_MEM_SIZE)
		return mcl_reason(why, -ENOSPC, "a work-group needs %" PRIu64 " bytes of local memory; there are %llu",
				  b->local_bytes, MCL_LOCAL_MEM_SIZE);
	b->locals_at = b->entries * sizeof(uint64_t);
	b->values_at = align_up(b->locals_at + b->locals * sizeof(struct mcl_local_block), VALUE_ALIGN_MAX);
	b->size = b->values_at + values;
	/* Each local block may be rounded up to its alignment; the units' local memory has as much to spare. */
	if (b->entries > MCL_CU_MAX_ARGS || b->size > MCL_MAX_ARG_BLOCK ||
	    b->locals * MCL_WG_LOCAL_ALIGN > MCL_CU_LOCAL_SIZE - MCL_LOCAL_MEM_SIZE)
		return mcl_reason(why, -E2BIG, "too many or too large kernel arguments");
	return 0;
}

static void fill_block(uint8_t *at, const struct block *b, const struct mcl_code_object *co,
		       const struct mcl_co_kernel *k, const struct mcl_arg *args)
{
	const struct mcl_co_arg *info = co->args + k->first_arg;
	uint64_t *table = (uint64_t *)at;
	struct mcl_local_block *local = (struct mcl_local_block *)(at + b->locals_at);
	uint64_t value = b->values_at;

	for (uint32_t i = 0; i < k->arg_count; i++) {
		if (info[i].kind == MCL_CO_ARG_LOCAL) {
			table[i] = 0;
			*local++ = (struct mcl_local_block){ .index = i, .size = args[i].size };
			continue;
		}
		value = align_up(value, value_align(args[i].size));
		table[i] = (uintptr_t)(at + value);
		if (args[i].value)
			memcpy(at + value, args[i].value, args[i].size);
		else
			memset(at + value, 0, args[i].size);
		value += args[i].size;
		if (by_address(&info[i], &args[i])) {
			value = align_up(value, 8);
			memcpy(at + value, &table[i], sizeof(table[i]));
			table[i] = (uintptr_t)(at + value);
			value += 8;
		}
	}
	for (uint32_t i = 0; i < k->local_count; i++) {
		table[k->arg_count + i] = 0;
		*local++ = (struct mcl_local_block){
			.index = k->arg_count + i,
			.size = co->locals[k->first_local + i],
		};
	}
}

int mcl_ring_launch(struct mcl_ring *ring, const struct mcl_launch *l, uint32_t flags, uint64_t *seq,
		    struct mcl_reason *why)
{
	struct mcl_backend *b = ring->backend;
	const struct mcl_code_object *co = l->code->first.co;
	const struct mcl_co_kernel *k = &co->kernels[l->kernel];
	struct mcl_packet_kernel *pk;
	struct submission s;
	struct block block;
	uint64_t entry, total, heap = 0;
	uint8_t *at;
	int err;

	if (mcl_backend_state(b) != MCL_BACKEND_ALIVE)
		return mcl_reason(why, -ENODEV, "the device process has ended");
	if (__builtin_mul_overflow(l->num_groups[0], l->num_groups[1], &total) ||
	    __builtin_mul_overflow(total, l->num_groups[2], &total) || total >= MCL_CURSOR_MAX_GROUPS)
		return mcl_reason(why, -E2BIG, "more than %llu work-groups", MCL_CURSOR_MAX_GROUPS - 1);
	entry = mcl_program_entry(l->code, l);
	if (!entry)
		return mcl_reason(why, -E2BIG, "the program has no code for this local size");
	err = measure(co, k, l->args, &block, why);
	if (err)
		return err;
	err = begin(ring, &s);
	if (err)
		return mcl_reason(why, err, err == -EAGAIN ? "the ring is full" : "the device process has ended");
	at = s.packet->inline_args;
	if (block.size > MCL_PACKET_INLINE) {
		if (mcl_range_alloc(&b->heap, block.size, &heap)) {
			err = ring->next - 1 > ring->retired ? -EAGAIN : -ENOMEM;
			cancel(&s);
			return mcl_reason(why, err, "no room for %" PRIu64 " bytes of arguments", block.size);
		}
		s.record->heap_offset = heap;
		s.record->heap_size = block.size;
		at = (uint8_t *)(uintptr_t)(b->window.base + heap);
	}
	fill_block(at, &block, co, k, l->args);
	pk = &s.packet->kernel;
	pk->entry = entry;
	pk->args = (uintptr_t)at;
	pk->locals = (uintptr_t)(at + block.locals_at);
	pk->arg_count = (uint32_t)block.entries;
	pk->local_count = (uint32_t)block.locals;
	memset(&pk->context, 0, sizeof(pk->context));
	for (int i = 0; i < 3; i++) {
		pk->context.num_groups[i] = l->num_groups[i];
		pk->context.global_offset[i] = l->global_offset[i];
		pk->context.local_size[i] = l->local_size[i];
	}
	pk->context.work_dim = l->work_dim;
	pk->context.global_vars = (uintptr_t)l->code->vars;
	s.record->code = l->code;
	s.record->kernel = l->kernel;
	s.any_order = k->flags & MCL_CO_ANY_ORDER && total >= ANY_ORDER_GROUPS;
	commit(&s, MCL_OP_KERNEL, total, flags, seq);
	return 0;
}

/* ---- copies and the like ---- */

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

int mcl_ring_copy(struct mcl_ring *ring, const struct mcl_copy *c, uint32_t flags, uint64_t *seq)
{
	struct mcl_packet_copy *p;
	struct submission s;
	uint64_t rows, total, bytes, linear = 0;
	int err;

	if (__builtin_mul_overflow(c->region[1], c->region[2], &rows) ||
	    __builtin_mul_overflow(rows, c->region[0], &bytes) || rows >= MCL_CURSOR_MAX_GROUPS)
		return -E2BIG;
	if (!bytes)
		return mcl_ring_nop(ring, flags, seq);
	/* Rows that touch each other on both sides are one long row. */
	if (rows == 1 || (c->dst_row == c->region[0] && c->src_row == c->region[0] &&
			  (c->region[2] == 1 ||
			   (c->dst_slice == c->dst_row * c->region[1] && c->src_slice == c->src_row * c->region[1]))))
		linear = bytes;
	err = begin(ring, &s);
	if (err)
		return err;
	p = &s.packet->copy;
	p->dst = (uintptr_t)c->dst;
	p->src = (uintptr_t)c->src;
	p->row_bytes = c->region[0];
	p->rows = c->region[1];
	p->slices = c->region[2];
	p->dst_row = c->dst_row;
	p->dst_slice = c->dst_slice;
	p->src_row = c->src_row;
	p->src_slice = c->src_slice;
	p->linear_bytes = linear;
	p->rows_per_group = c->region[0] < MCL_COPY_PIECE ? MCL_COPY_PIECE / c->region[0] : 1;
	total = linear ? divide_up(linear, MCL_COPY_PIECE) : divide_up(rows, p->rows_per_group);
	commit(&s, MCL_OP_COPY, total, flags, seq);
	return 0;
}

int mcl_ring_fill(struct mcl_ring *ring, void *dst, uint64_t size, const void *pattern, uint32_t pattern_size,
		  uint32_t flags, uint64_t *seq)
{
	struct mcl_packet_fill *p;
	struct submission s;
	int err;

	if (!pattern_size || pattern_size > sizeof(p->pattern) || pattern_size & (pattern_size - 1))
		return -E2BIG;
	if (!size)
		return mcl_ring_nop(ring, flags, seq);
	err = begin(ring, &s);
	if (err)
		return err;
	p = &s.packet->fill;
	p->dst = (uintptr_t)dst;
	p->size = size;
	for (uint32_t i = 0; i < sizeof(p->pattern); i += pattern_size)
		memcpy(p->pattern + i, pattern, pattern_size);
	commit(&s, MCL_OP_FILL, divide_up(size, MCL_COPY_PIECE), flags, seq);
	return 0;
}

int mcl_ring_nop(struct mcl_ring *ring, uint32_t flags, uint64_t *seq)
{
	struct submission s;
	const int err = begin(ring, &s);

	if (!err)
		commit(&s, MCL_OP_NOP, 1, flags, seq);
	return err;
}

/* ---- the backend's own packets ---- */

/* Under b->own_lock. */
static int wait_own(struct mcl_backend *b, uint64_t seq)
{
	struct mcl_packet_result result;

	mcl_ring_wait(b->own, seq, UINT64_MAX);
	mcl_ring_state(b->own, seq, &result);
	mcl_ring_retire(b->own, seq);
	return result.status == MCL_STATUS_LOST && mcl_backend_state(b) != MCL_BACKEND_ALIVE ? -ENODEV :
											       (int)result.status;
}

int mcl_submit_initializer(struct mcl_backend *b, const struct mcl_program_code *code, uint64_t entry, uint64_t vars)
{
	struct mcl_packet_kernel *pk;
	struct submission s;
	uint64_t seq;
	int err;

	pthread_mutex_lock(&b->own_lock);
	err = begin(b->own, &s);
	if (!err) {
		pk = &s.packet->kernel;
		memset(s.packet->inline_args, 0, sizeof(uint64_t));
		memset(pk, 0, sizeof(*pk));
		pk->entry = entry;
		pk->args = (uintptr_t)s.packet->inline_args;
		for (int i = 0; i < 3; i++)
			pk->context.num_groups[i] = pk->context.local_size[i] = 1;
		pk->context.work_dim = 3;
		pk->context.global_vars = vars;
		s.record->code = code;
		s.record->kernel = UINT32_MAX;
		commit(&s, MCL_OP_KERNEL, 1, MCL_PACKET_BARRIER, &seq);
		err = wait_own(b, seq);
	}
	pthread_mutex_unlock(&b->own_lock);
	return err;
}

int mcl_submit_protect(struct mcl_backend *b, uint64_t offset, uint64_t size, int prot)
{
	struct submission s;
	uint64_t seq;
	int err;

	pthread_mutex_lock(&b->own_lock);
	err = begin(b->own, &s);
	if (!err) {
		s.packet->protect.address = b->window.base + offset;
		s.packet->protect.size = size;
		s.packet->protect.prot = (uint32_t)prot;
		commit(&s, MCL_OP_PROTECT, 1, MCL_PACKET_BARRIER, &seq);
		err = wait_own(b, seq);
	}
	pthread_mutex_unlock(&b->own_lock);
	return err;
}
