// SPDX-License-Identifier: MIT
/* What lies in VRAM, by blocks of 2 MiB in the order of their last device fault, and what goes when there is no room. */
#include "mirror/uffd_sys.h"
#include "pager/pager_private.h"

#define EVICT_HOLD_MOST_NS 5000000ull

struct mcl_pager_block *mcl_pager_block(struct mcl_pager *p, uint64_t address, bool make)
{
	void **slot = mcl_block_slot(&p->table, &p->memory, address, make);

	if (!slot)
		return NULL;
	if (!*slot && make) {
		struct mcl_pager_block *b = mcl_private_alloc(&p->memory, sizeof(*b), 8);

		if (!b)
			return NULL;
		b->base = address & ~(MCL_BLOCK_SIZE - 1);
		b->next = p->blocks;
		p->blocks = b;
		*slot = b;
	}
	return *slot;
}

static void unlist(struct mcl_pager *p, struct mcl_pager_block *b)
{
	if (!b->listed)
		return;
	*(b->newer ? &b->newer->older : &p->newest) = b->older;
	*(b->older ? &b->older->newer : &p->oldest) = b->newer;
	b->newer = b->older = NULL;
	b->listed = false;
}

static void list_newest(struct mcl_pager *p, struct mcl_pager_block *b)
{
	unlist(p, b);
	b->older = p->newest;
	*(p->newest ? &p->newest->newer : &p->oldest) = b;
	p->newest = b;
	b->listed = true;
}

static void account_block(struct mcl_pager *p, struct mcl_pager_block *b, bool touched)
{
	uint64_t vram, shared;

	p->ops->count(p->m, b->base, &vram, &shared);
	atomic_fetch_add_explicit(&p->vram_pages, vram - b->vram, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->shared_pages, shared - b->shared, memory_order_relaxed);
	b->vram = (uint16_t)vram;
	b->shared = (uint16_t)shared;
	if (touched)
		b->touched_ns = p->now_ns();
	if (!vram)
		unlist(p, b);
	else if (touched || !b->listed)
		list_newest(p, b);
}

void mcl_pager_account_all(struct mcl_pager *p)
{
	for (struct mcl_pager_block *b = p->blocks; b; b = b->next)
		account_block(p, b, false);
}

void mcl_pager_account(struct mcl_pager *p, uint64_t start, uint64_t end, bool touched)
{
	uint64_t now;

	/* A big munmap; there are fewer blocks than that. */
	if (end - start > 256 * MCL_BLOCK_SIZE) {
		mcl_pager_account_all(p);
		return;
	}
	for (uint64_t base = start & ~(MCL_BLOCK_SIZE - 1); base < end; base += MCL_BLOCK_SIZE) {
		struct mcl_pager_block *b = mcl_pager_block(p, base, touched);

		if (b)
			account_block(p, b, touched);
	}
	now = atomic_load_explicit(&p->vram_pages, memory_order_relaxed);
	if (now > atomic_load_explicit(&p->vram_peak_pages, memory_order_relaxed))
		atomic_store_explicit(&p->vram_peak_pages, now, memory_order_relaxed);
}

static void forget_block(struct mcl_pager_block *b, uint64_t start, uint64_t end)
{
	for (uint64_t i = 0; i < BLOCK_PAGES; i++)
		if (b->base + i * PAGE_SIZE >= start && b->base + i * PAGE_SIZE < end)
			b->bounces[i] = 0;
}

void mcl_pager_forget(struct mcl_pager *p, uint64_t start, uint64_t end)
{
	if (end - start > 256 * MCL_BLOCK_SIZE) {
		for (struct mcl_pager_block *b = p->blocks; b; b = b->next)
			forget_block(b, start, end);
		return;
	}
	for (uint64_t base = start & ~(MCL_BLOCK_SIZE - 1); base < end; base += MCL_BLOCK_SIZE) {
		struct mcl_pager_block *b = mcl_pager_block(p, base, false);

		if (b)
			forget_block(b, start, end);
	}
}

/*
 * When units of the device evict each other's pages before these have been used, nobody gets on. So a block stays for a
 * while, and longer if that turns out not to be enough: on a busy machine a unit may have to wait for a processor.
 */
static void adapt_hold(struct mcl_pager *p, uint64_t age)
{
	if (age < 2 * p->evict_hold_ns)
		p->evict_hold_ns = 2 * p->evict_hold_ns < EVICT_HOLD_MOST_NS ? 2 * p->evict_hold_ns :
									       EVICT_HOLD_MOST_NS;
	else if (age > 64 * p->evict_hold_ns)
		p->evict_hold_ns = EVICT_HOLD_NS;
}

bool mcl_pager_make_room(struct mcl_pager *p, uint64_t bytes, uint64_t *not_before)
{
	while (p->oldest &&
	       atomic_load_explicit(&p->vram_pages, memory_order_relaxed) * PAGE_SIZE + bytes > p->vram_limit) {
		struct mcl_pager_block *b = p->oldest;
		uint64_t began = p->now_ns(), age = began - b->touched_ns;
		long n;

		if (not_before && age < p->evict_hold_ns) {
			*not_before = b->touched_ns + p->evict_hold_ns;
			return false;
		}
		n = p->ops->evict(p->m, b->base, MCL_BLOCK_SIZE);
		mcl_pager_account(p, b->base, b->base + MCL_BLOCK_SIZE, false);
		p->ops->replay(p->m, b->base, MCL_BLOCK_SIZE);
		if (n <= 0)
			return true; /* the address space is changing; a little too much for a moment is no harm */
		mcl_pager_count(p, MCL_CAUSE_EVICTION, (uint64_t)n, began);
		adapt_hold(p, age);
	}
	return true;
}
