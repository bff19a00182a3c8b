// SPDX-License-Identifier: MIT
/*
 * What the groups of a packet do: call a work-group function, copy, fill. Runs under a guard (mcl_guarded), since any access
 * to the host's memory may fail for good.
 */
#include "engine/engine.h"
#include "engine/sys.h"

#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_FLAGS 0x3fu /* sticky exception flags */

/*
 * The packet's argument table, or, if local memory is among the arguments, this unit's copy of it with its own
 * blocks filled in. The host has checked that everything fits.
 */
static uint8_t **arguments(struct mcl_cu *cu, const struct mcl_packet_kernel *k)
{
	const struct mcl_local_block *blocks = (const struct mcl_local_block *)k->locals;
	uint64_t *table = (uint64_t *)cu->args, *slots = table + MCL_CU_MAX_ARGS;
	uint64_t where = cu->local_memory;

	if (!k->local_count)
		return (uint8_t **)k->args;
	memcpy(table, (const void *)k->args, k->arg_count * sizeof(*table));
	for (uint32_t i = 0; i < k->local_count; i++) {
		const uint64_t index = blocks[i].index;

		slots[index] = where;
		table[index] = (uint64_t)&slots[index];
		where += (blocks[i].size + MCL_WG_LOCAL_ALIGN - 1) & ~(uint64_t)(MCL_WG_LOCAL_ALIGN - 1);
	}
	return (uint8_t **)table;
}

void mcl_work_prepare(struct mcl_work *w)
{
	const struct mcl_packet_kernel *k = &w->packet->kernel;
	struct mcl_cu *cu = w->cu;

	if (w->packet->op != MCL_OP_KERNEL)
		return;
	w->args = arguments(cu, k);
	w->context = k->context;
	w->context.printf_buffer = cu->printf_buffer;
	w->context.printf_position = (uint64_t)&cu->printf_position;
	w->context.printf_capacity = MCL_CU_PRINTF_SIZE;
	cu->printf_position = 0;
}

static inline void default_rounding(void)
{
	uint32_t mxcsr;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	if ((mxcsr & ~MXCSR_FLAGS) != MXCSR_DEFAULT) {
		mxcsr = MXCSR_DEFAULT;
		__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	}
}

static void flush_printf(struct mcl_cu *cu)
{
	const char *data = (const char *)cu->printf_buffer;
	uint32_t left = cu->printf_position < MCL_CU_PRINTF_SIZE ? cu->printf_position : (uint32_t)MCL_CU_PRINTF_SIZE;

	cu->printf_position = 0;
	while (left) {
		const long n = mcl_kernel_write(1, data, left);

		if (n <= 0)
			break;
		data += n;
		left -= (uint32_t)n;
	}
}

static void run_kernel(struct mcl_work *w)
{
	mcl_wg_function *const fn = (mcl_wg_function *)w->packet->kernel.entry;
	const uint64_t nx = w->context.num_groups[0], ny = w->context.num_groups[1];
	uint64_t x = w->first % nx, y = w->first / nx % ny, z = w->first / nx / ny, group = w->first;

	/* Once: kernels put it back themselves, and one that was aborted before it did has ended its run of groups. */
	default_rounding();
	w->self = w;
	w->end = group + w->count;
	do {
		/* Somebody else failed this packet; also closes the gap between arming the guard and here. */
		if (atomic_load(&w->packet->status))
			return;
		atomic_store_explicit(&w->cu->group, group, memory_order_relaxed);
		fn(w->args, &w->context, x, y, z);
		/* It may have overwritten what it restores. So where this loop is, and its end, are not kept on this stack. */
		if (w->self != w)
			mcl_guard_smashed();
		group = atomic_load_explicit(&w->cu->group, memory_order_relaxed) + 1;
		if (w->cu->printf_position)
			flush_printf(w->cu);
		if (++x == nx) {
			x = 0;
			if (++y == ny) {
				y = 0;
				z++;
			}
		}
	} while (group < w->end);
}

static void run_copy(const struct mcl_packet_copy *copy, uint64_t group)
{
	uint8_t *dst = (uint8_t *)copy->dst;
	const uint8_t *src = (const uint8_t *)copy->src;
	uint64_t first, last;

	if (copy->linear_bytes) {
		const uint64_t at = group * MCL_COPY_PIECE, left = copy->linear_bytes - at;

		memcpy(dst + at, src + at, left < MCL_COPY_PIECE ? left : MCL_COPY_PIECE);
		return;
	}
	first = group * copy->rows_per_group;
	last = first + copy->rows_per_group;
	if (last > copy->rows * copy->slices)
		last = copy->rows * copy->slices;
	for (uint64_t i = first; i < last; i++) {
		const uint64_t slice = i / copy->rows, row = i % copy->rows;

		memcpy(dst + slice * copy->dst_slice + row * copy->dst_row,
		       src + slice * copy->src_slice + row * copy->src_row, copy->row_bytes);
	}
}

static void run_fill(const struct mcl_packet_fill *fill, uint64_t group)
{
	const uint64_t at = group * MCL_COPY_PIECE;
	const uint64_t left = fill->size - at < MCL_COPY_PIECE ? fill->size - at : MCL_COPY_PIECE;
	uint8_t *dst = (uint8_t *)fill->dst + at;
	uint64_t done = 0;
	bool same = true;

	for (uint32_t i = 1; i < sizeof(fill->pattern); i++)
		same = same && fill->pattern[i] == fill->pattern[0];
	if (same) {
		memset(dst, fill->pattern[0], left);
		return;
	}
	for (; left - done >= sizeof(fill->pattern); done += sizeof(fill->pattern)) {
		memcpy(dst + done, fill->pattern, 64);
		memcpy(dst + done + 64, fill->pattern + 64, 64);
	}
	memcpy(dst + done, fill->pattern, left - done);
}

/* Seldom: a code object with data pages was loaded or is going away. */
static void run_protect(struct mcl_packet *p)
{
	const long err = mcl_sys3(__NR_mprotect, p->protect.address, p->protect.size, p->protect.prot);
	int32_t ok = 0;

	if (err)
		atomic_compare_exchange_strong(&p->status, &ok, (int32_t)err);
}

void mcl_work_run(void *work)
{
	struct mcl_work *w = work;
	struct mcl_packet *p = w->packet;

	if (p->op == MCL_OP_KERNEL) {
		run_kernel(w);
		return;
	}
	for (uint64_t group = w->first; group < w->first + w->count; group++) {
		if (atomic_load(&p->status))
			return;
		atomic_store_explicit(&w->cu->group, group, memory_order_relaxed);
		if (p->op == MCL_OP_COPY)
			run_copy(&p->copy, group);
		else if (p->op == MCL_OP_FILL)
			run_fill(&p->fill, group);
		else if (p->op == MCL_OP_PROTECT)
			run_protect(p);
	}
}
