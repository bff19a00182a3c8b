// SPDX-License-Identifier: MIT
/*
 * Where every page is: one byte for each page, in blocks of 2 MiB. A block that is not there is all PAGE_HOST.
 */
#include <string.h>

#include "mirror/mirror_uffd.h"

static struct mcl_uffd_block **slot_of(struct mcl_uffd *u, uint64_t address, bool make)
{
	return (struct mcl_uffd_block **)mcl_block_slot(&u->table, &u->memory, address, make);
}

struct mcl_uffd_block *mcl_uffd_find(struct mcl_uffd *u, uint64_t address)
{
	struct mcl_uffd_block **slot = slot_of(u, address, false);

	return slot ? *slot : NULL;
}

struct mcl_uffd_block *mcl_uffd_block(struct mcl_uffd *u, uint64_t address)
{
	struct mcl_uffd_block **slot = slot_of(u, address, true);
	struct mcl_uffd_block *b;

	if (!slot || *slot)
		return slot ? *slot : NULL;
	b = u->free_blocks;
	if (b)
		u->free_blocks = b->next;
	else
		b = mcl_private_alloc(&u->memory, sizeof(*b), 8);
	if (!b)
		return NULL;
	memset(b, 0, sizeof(*b));
	b->base = mcl_block_down(address);
	b->next = u->blocks;
	if (b->next)
		b->next->prev = b;
	u->blocks = b;
	*slot = b;
	return b;
}

void mcl_uffd_release(struct mcl_uffd *u, struct mcl_uffd_block *b)
{
	if (b->used)
		return;
	if (b->next)
		b->next->prev = b->prev;
	if (b->prev)
		b->prev->next = b->next;
	else
		u->blocks = b->next;
	*slot_of(u, b->base, false) = NULL;
	b->next = u->free_blocks;
	u->free_blocks = b;
}

static unsigned int index_of(uint64_t address)
{
	return (unsigned int)(address >> PAGE_SHIFT) & (BLOCK_PAGES - 1);
}

enum mcl_page_state mcl_uffd_state(struct mcl_uffd *u, uint64_t address)
{
	struct mcl_uffd_block *b = mcl_uffd_find(u, address);

	return b ? b->page[index_of(address)] : PAGE_HOST;
}

void mcl_uffd_set(struct mcl_uffd_block *b, uint64_t start, uint64_t end, enum mcl_page_state state)
{
	for (uint64_t at = start; at < end; at += PAGE_SIZE) {
		uint8_t *page = &b->page[index_of(at)];

		b->used += (state != PAGE_HOST) - (*page != PAGE_HOST);
		*page = state;
	}
}

uint64_t mcl_uffd_run(struct mcl_uffd_block *b, uint64_t start, uint64_t end)
{
	uint8_t state = b->page[index_of(start)];
	uint64_t at = start + PAGE_SIZE;

	while (at < end && b->page[index_of(at)] == state)
		at += PAGE_SIZE;
	return at;
}

void mcl_uffd_purge(struct mcl_uffd *u, uint64_t start, uint64_t end, bool mapped)
{
	struct mcl_uffd_block *next;

	/* Long ranges are common (a big free), blocks are few: go through those that exist. */
	if (end - start > 64 * MCL_BLOCK_SIZE) {
		for (struct mcl_uffd_block *b = u->blocks; b; b = next) {
			next = b->next;
			if (b->base < end && b->base + MCL_BLOCK_SIZE > start)
				mcl_uffd_purge(u, mcl_max64(start, b->base), mcl_min64(end, b->base + MCL_BLOCK_SIZE),
					       mapped);
		}
		return;
	}
	for (uint64_t at = start; at < end;) {
		uint64_t stop = mcl_min64(end, mcl_block_down(at) + MCL_BLOCK_SIZE);
		struct mcl_uffd_block *b = mcl_uffd_find(u, at);

		for (; b && b->used && at < stop;) {
			uint64_t run = mcl_uffd_run(b, at, stop);

			if (b->page[index_of(at)] != PAGE_HOST) {
				if (b->page[index_of(at)] == PAGE_TWIN)
					mcl_uffd_twins_forget(u, at, run);
				mcl_uffd_punch(u, at, run);
				if (!mapped || b->page[index_of(at)] != PAGE_PROMOTED)
					mcl_uffd_set(b, at, run, PAGE_HOST);
			}
			at = run;
		}
		at = stop;
	}
}

void mcl_uffd_count(struct mcl_uffd *u, uint64_t base, uint64_t *vram, uint64_t *shared)
{
	struct mcl_uffd_block *b = mcl_uffd_find(u, base);

	*vram = *shared = 0;
	for (unsigned int i = 0; b && b->used && i < BLOCK_PAGES; i++) {
		*vram += b->page[i] == PAGE_VRAM;
		*shared += b->page[i] == PAGE_PROMOTED;
	}
}
