// SPDX-License-Identifier: MIT
/*
 * Where objects live. Their memory comes from a few regions that are never given back, so that any pointer at all can be
 * asked whether it is an object: what lies in a region may be read, what does not lie in one is none of ours. A slot that was
 * an object keeps its dispatch pointer and a dead tag until it becomes another one.
 *
 * Every region is twice the size of the one before; only the pages in use take memory. Slots come from the stack of
 * their size, or are cut off the newest region. A freed slot waits behind a number of others first, so that late uses of its
 * handle are recognised. Everything costs the same, however many objects there are.
 *
 * No locks: a child of fork() makes and frees objects whatever the parent's other threads were doing.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/object.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

#define FIRST_REGION ((size_t)1 << 20)
#define REGIONS 22 /* 4 TiB */

#define SLOT_UNIT 64 /* a cache line */
#define SIZES 64 /* slots have 1 to that many units */

/* Freed slots wait here, oldest replaced first. */
#define QUARANTINE 256

/*
 * A stack in one word: the address of the slot on top, of whose 47 bits the last six are zero, and a count of changes, which
 * tells apart two visits of the same slot.
 */
#define COUNT_BITS 22
#define TOP_SHIFT (COUNT_BITS - 6)

static struct region {
	_Atomic uintptr_t start; /* 0: not made yet */
	_Atomic size_t used;
} regions[REGIONS];
static _Atomic unsigned int region_count;

static _Atomic uint64_t stacks[SIZES];
static struct mcl_object *_Atomic quarantine[QUARANTINE];
static _Atomic uint32_t quarantine_next;
static _Atomic size_t live;

static size_t region_size(unsigned int i)
{
	return FIRST_REGION << i;
}

static void *map_region(size_t size)
{
#ifdef __SANITIZE_ADDRESS__
	/* The leak checker follows pointers through what it knows as heap only. */
	void *memory = aligned_alloc(SLOT_UNIT, size);

	return memory ? memset(memory, 0, size) : NULL;
#else
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
#endif
}

static void unmap_region(void *memory, size_t size)
{
#ifdef __SANITIZE_ADDRESS__
	(void)size;
	free(memory);
#else
	munmap(memory, size);
#endif
}

/* Make region @i unless another thread does. */
static bool grow(unsigned int i)
{
	uintptr_t none = 0;

	if (i == REGIONS)
		return false;
	if (!atomic_load_explicit(&regions[i].start, memory_order_relaxed)) {
		void *memory = map_region(region_size(i));

		if (!memory)
			return false;
		if (!atomic_compare_exchange_strong(&regions[i].start, &none, (uintptr_t)memory))
			unmap_region(memory, region_size(i));
	}
	atomic_compare_exchange_strong(&region_count, &i, i + 1);
	return true;
}

/* Memory that was never used before. */
static struct mcl_object *cut(size_t size)
{
	for (;;) {
		unsigned int count = atomic_load_explicit(&region_count, memory_order_acquire);

		if (count) {
			struct region *r = &regions[count - 1];
			size_t at = atomic_fetch_add_explicit(&r->used, size, memory_order_relaxed);

			if (at + size <= region_size(count - 1))
				return (struct mcl_object *)(r->start + at);
		}
		if (!grow(count))
			return NULL;
	}
}

static struct mcl_object *top_of(uint64_t stack)
{
	return (struct mcl_object *)(uintptr_t)(stack >> COUNT_BITS << (COUNT_BITS - TOP_SHIFT));
}

static uint64_t with_top(uint64_t stack, uintptr_t slot)
{
	return (uint64_t)slot << TOP_SHIFT | ((stack + 1) & ((1u << COUNT_BITS) - 1));
}

static void push(struct mcl_object *slot)
{
	_Atomic uint64_t *stack = &stacks[slot->units - 1];
	uint64_t old = atomic_load_explicit(stack, memory_order_relaxed);

	do
		atomic_store_explicit(&slot->below, (uintptr_t)top_of(old), memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(stack, &old, with_top(old, (uintptr_t)slot), memory_order_release,
						      memory_order_relaxed));
}

static struct mcl_object *pop(uint32_t units)
{
	_Atomic uint64_t *stack = &stacks[units - 1];
	uint64_t old = atomic_load_explicit(stack, memory_order_acquire);
	struct mcl_object *slot;
	uintptr_t below;

	do {
		slot = top_of(old);
		if (!slot)
			return NULL;
		/* Another thread may have it by now; then this is not what lies below, and the count has moved on. */
		below = atomic_load_explicit(&slot->below, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(stack, &old, with_top(old, below), memory_order_acquire,
							memory_order_acquire));
	return slot;
}

void *mcl_object_alloc(size_t size)
{
	size_t units = (size + SLOT_UNIT - 1) / SLOT_UNIT;
	struct mcl_object *obj;

	if (!units || units > SIZES)
		return NULL;
	obj = pop((uint32_t)units);
	if (obj) {
		ASAN_UNPOISON_MEMORY_REGION(obj + 1, units * SLOT_UNIT - sizeof(*obj));
		memset(obj + 1, 0, size - sizeof(*obj));
	} else {
		obj = cut(units * SLOT_UNIT);
		if (!obj)
			return NULL;
		obj->units = (uint32_t)units;
	}
	atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return obj;
}

void mcl_object_free(struct mcl_object *obj)
{
	uint32_t i = atomic_fetch_add_explicit(&quarantine_next, 1, memory_order_relaxed) % QUARANTINE;

	atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
	atomic_store_explicit(&obj->type, MCL_TYPE_DEAD, memory_order_relaxed);
	ASAN_POISON_MEMORY_REGION(obj + 1, (size_t)obj->units * SLOT_UNIT - sizeof(*obj));
	obj = atomic_exchange_explicit(&quarantine[i], obj, memory_order_acq_rel);
	if (obj)
		push(obj);
}

size_t mcl_object_count(void)
{
	return atomic_load_explicit(&live, memory_order_relaxed);
}

bool mcl_object_memory(uintptr_t address)
{
	unsigned int count = atomic_load_explicit(&region_count, memory_order_acquire);

	for (unsigned int i = 0; i < count; i++) {
		uintptr_t start = atomic_load_explicit(&regions[i].start, memory_order_relaxed);

		if (address - start <= region_size(i) - sizeof(struct mcl_object))
			return true;
	}
	return false;
}
