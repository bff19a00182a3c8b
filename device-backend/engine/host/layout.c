// SPDX-License-Identifier: MIT
/* The window's layout, and everything in it that must be there before the engine starts. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/host/backend_private.h"
#include "engine/host/query.h"
#include "support/config.h"

#define PAGE 4096ull
#define MIB (1ull << 20)
#define PAGE_UP(x) (((x) + PAGE - 1) & ~(PAGE - 1))

#define HEAP_SIZE (32 * MIB)
#define HEAP_GRANULE 1024u
#define SLICE_US 1000u

/* All of it is sparse; the second is for processes with a limit on their address space. */
static const struct {
	uint64_t code_size;
	/* Below a unit's stack frames may be so large that they do not end in the gap; what else goes wrong goes wrong in small steps. */
	uint64_t gaps[MCL_GAPS];
} variants[] = {
	{ 256 * MIB, { 24 * MIB, MIB, MIB } },
	{ 32 * MIB, { 256 << 10, 64 << 10, 64 << 10 } },
};

static uint64_t stride_of(const uint64_t *gaps)
{
	uint64_t stride = MCL_CU_REST_SIZE;

	for (unsigned int i = 0; i < MCL_GAPS; i++)
		stride += gaps[i];
	return stride;
}

static uint64_t place(uint64_t *end, uint64_t size)
{
	const uint64_t at = *end;

	*end += PAGE_UP(size);
	return at;
}

static void make_layout(struct mcl_window_layout *l, uint32_t cus, uint64_t image, unsigned int variant)
{
	const uint64_t stride = stride_of(variants[variant].gaps);
	uint64_t end = 0;

	l->control_size = sizeof(struct mcl_engine_control) + cus * sizeof(struct mcl_cu) +
			  MCL_RINGS * sizeof(struct mcl_command_ring);
	l->control_offset = place(&end, l->control_size);
	l->image_size = image;
	l->image_offset = place(&end, l->image_size);
	l->heap_size = HEAP_SIZE;
	l->heap_offset = place(&end, l->heap_size);
	l->code_size = variants[variant].code_size;
	l->code_offset = place(&end, l->code_size);
	l->stacks_size = cus * stride;
	l->stacks_offset = place(&end, l->stacks_size);
	l->total_size = end;
}

/* The next @size bytes. */
static uint64_t take(uint64_t *at, uint64_t size)
{
	const uint64_t start = *at;

	*at += size;
	return start;
}

static int make_gap(struct mcl_cu *cu, enum mcl_gap gap, uint64_t *at, const uint64_t *gaps)
{
	cu->gaps[gap].start = take(at, gaps[gap]);
	cu->gaps[gap].size = gaps[gap];
	return mprotect((void *)(uintptr_t)cu->gaps[gap].start, gaps[gap], PROT_NONE) ? -errno : 0;
}

static int fill_unit(struct mcl_engine_control *c, struct mcl_cu *cu, uint32_t index, const uint64_t *gaps)
{
	uint64_t at = c->stacks + index * c->cu_stride;
	int err;

	cu->index = index;
	atomic_store(&cu->packet, MCL_CU_NONE);
	err = make_gap(cu, MCL_GAP_BELOW, &at, gaps);
	cu->stack_low = take(&at, MCL_CU_STACK_SIZE);
	cu->stack_top = at;
	cu->guard.stack = at;
	err = err ? err : make_gap(cu, MCL_GAP_ABOVE, &at, gaps);
	cu->local_memory = take(&at, MCL_CU_LOCAL_SIZE);
	err = err ? err : make_gap(cu, MCL_GAP_LOCAL, &at, gaps);
	cu->args = take(&at, MCL_CU_ARGS_SIZE);
	cu->printf_buffer = take(&at, MCL_CU_PRINTF_SIZE);
	cu->signal_stack = take(&at, MCL_CU_SIGNAL_STACK_SIZE);
	at += MCL_CU_ENGINE_STACK_SIZE;
	cu->engine_stack_top = at;
	return err;
}

static void init_spin(struct mcl_spin *spin, uint64_t us)
{
	atomic_store(&spin->limit, us * mcl_clock_ticks_per_us());
}

static int fill_control(struct mcl_backend *b, const uint64_t *gaps)
{
	const struct mcl_window_layout *const l = &b->window.layout;
	struct mcl_engine_control *const c = b->control;
	const uint64_t at = b->window.base + l->control_offset + sizeof(*c);
	/* On one processor whoever spins keeps the other side from working. */
	const uint32_t processors = mcl_query_processors();
	const uint64_t spin_us = processors > 1 ? mcl_config()->spin_us : 0;
	int err;

	c->window_base = b->window.base;
	c->window_size = l->total_size;
	c->cus = at;
	c->rings = at + b->cu_count * sizeof(struct mcl_cu);
	c->stacks = b->window.base + l->stacks_offset;
	c->cu_stride = stride_of(gaps);
	c->cu_count = b->cu_count;
	init_spin(&c->bell.spin, spin_us);
	init_spin(&b->spin, spin_us);
	b->wake_most = b->cu_count > 1 && b->cu_count >= processors ? b->cu_count - 1 : b->cu_count;
	c->slice_ticks = SLICE_US * mcl_clock_ticks_per_us();
	c->use_tsc = mcl_clock_use_tsc();
	c->host_pid = getpid();
	c->boot.kind = MCL_BOOT_SHARED;
	b->cus = (struct mcl_cu *)(uintptr_t)c->cus;
	for (uint32_t i = 0; i < b->cu_count; i++) {
		err = fill_unit(c, &b->cus[i], i, gaps);
		if (err)
			return err;
	}
	/* Kernel code: readable and executable, written through an alias only. */
	c->maps[0].offset = l->code_offset;
	c->maps[0].size = l->code_size;
	c->maps[0].prot = PROT_READ | PROT_EXEC;
	c->map_count = 1;
	if (mprotect((void *)(uintptr_t)(b->window.base + l->code_offset), l->code_size, PROT_READ | PROT_EXEC))
		return -errno;
	c->magic = MCL_CONTROL_MAGIC;
	return 0;
}

int mcl_layout_create(struct mcl_backend *b, struct mcl_reason *why)
{
	const unsigned int count = sizeof(variants) / sizeof(*variants);
	struct mcl_engine_file file;
	struct mcl_window_layout layout;
	unsigned int v;
	uint64_t image;
	int err;

	err = mcl_image_open(&file, why);
	if (err)
		return err;
	for (v = 0; v < count; v++) {
		make_layout(&layout, b->cu_count, file.memory, v);
		err = mcl_window_create(&layout, &b->window, why);
		if (err != -ENOMEM)
			break;
	}
	if (err)
		return err;
	b->control = (struct mcl_engine_control *)(uintptr_t)(b->window.base + layout.control_offset);
	/* cppcheck-suppress arrayIndexOutOfBounds ; a loop that ran to its end left an error */
	err = fill_control(b, variants[v].gaps);
	if (err) {
		mcl_reason(why, err, "cannot set up the device's window: %s", strerror(-err));
		goto err_window;
	}
	err = mcl_image_load(&file, b, &image, why);
	if (err)
		goto err_window;
	b->control->image = image;
	err = mcl_range_init(&b->heap, layout.heap_offset, layout.heap_size, HEAP_GRANULE);
	if (err)
		goto err_memory;
	err = mcl_range_init(&b->code, layout.code_offset, layout.code_size, PAGE);
	if (err)
		goto err_heap;
	b->params.window = &b->window;
	b->params.engine_entry = ((const struct mcl_engine_image *)(uintptr_t)image)->entry;
	b->params.engine_stack = b->cus[0].engine_stack_top;
	b->params.engine_elf = file.bytes;
	b->params.engine_elf_size = file.size;
	return 0;

err_heap:
	mcl_range_destroy(&b->heap);
err_memory:
	mcl_reason(why, err, "out of memory");
err_window:
	mcl_window_destroy(&b->window);
	return err;
}
