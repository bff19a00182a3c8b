// SPDX-License-Identifier: MIT
/*
 * Shared memory for clSVMAlloc and buffers. On a mirror without faults any host memory will do, so small blocks come from
 * malloc and large ones from mmap. Other mirrors have memory of their own kind, in pages; small blocks are cut from slabs of it
 * by powers of two.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <uthash.h>

#include "engine/host/backend_private.h"
#include "pager/pager.h"

#define PAGE 4096ull
#define DEFAULT_ALIGN 128u
#define LARGE (256ull << 10) /* from here on blocks are mapped, and zero without being touched */
#define HUGE_PAGE (2ull << 20)
#define SLAB_SIZE (2ull << 20)
#define SMALLEST_SHIFT 7u
#define LARGEST_SHIFT 17u

/* A block whose place does not follow from its address and size, because of the alignment asked for. */
struct offset_block {
	void *ptr; /* key */
	void *start;
	uint64_t size; /* of the pages */
	unsigned int shift; /* not 0: cut from a slab */
	UT_hash_handle hh;
};

struct slab {
	struct slab *next;
	void *pages;
};

struct free_block {
	struct free_block *next;
};

struct mcl_svm_pool {
	pthread_mutex_t lock;
	struct slab *slabs;
	struct free_block *free[LARGEST_SHIFT + 1];
	struct offset_block *offset_blocks;
};

int mcl_svm_init(struct mcl_backend *b)
{
	if (!b->ops->faults)
		return 0;
	b->svm = calloc(1, sizeof(*b->svm));
	if (!b->svm)
		return -ENOMEM;
	pthread_mutex_init(&b->svm->lock, NULL);
	return 0;
}

void mcl_svm_destroy(struct mcl_backend *b)
{
	struct mcl_svm_pool *pool = b->svm;
	struct offset_block *o, *tmp;

	if (!pool)
		return;
	while (pool->slabs) {
		struct slab *s = pool->slabs;

		pool->slabs = s->next;
		if (mcl_backend_state(b) != MCL_BACKEND_FORKED)
			b->ops->free(b->mirror, s->pages, SLAB_SIZE);
		free(s);
	}
	HASH_ITER(hh, pool->offset_blocks, o, tmp) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer loses track in uthash */
		HASH_DEL(pool->offset_blocks, o);
		free(o);
	}
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	b->svm = NULL;
}

static uint64_t page_up(uint64_t size)
{
	return (size + PAGE - 1) & ~(PAGE - 1);
}

/* ---- mirrors without faults ---- */

static void *host_alloc(uint64_t size, uint64_t align)
{
	uint8_t *p, *aligned;
	uint64_t extra;
	void *block;

	if (size < LARGE) {
		const int err = posix_memalign(&block, align, size);

		if (err) {
			errno = err;
			return NULL;
		}
		return memset(block, 0, size);
	}
	size = page_up(size);
	if (size >= HUGE_PAGE && align < HUGE_PAGE)
		align = HUGE_PAGE;
	extra = align > PAGE ? align - PAGE : 0;
	if (size + extra < size) {
		errno = ENOMEM;
		return NULL;
	}
	p = mmap(NULL, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		errno = ENOMEM;
		return NULL;
	}
	aligned = (uint8_t *)(((uintptr_t)p + align - 1) & ~(align - 1));
	if (aligned > p)
		munmap(p, (size_t)(aligned - p));
	if (aligned + size < p + size + extra)
		munmap(aligned + size, (size_t)(p + extra - aligned));
	if (size >= HUGE_PAGE)
		madvise(aligned, size, MADV_HUGEPAGE); /* a hint: kernels without it refuse */
	return aligned;
}

static void host_free(void *ptr, uint64_t size)
{
	if (size < LARGE)
		free(ptr);
	else
		munmap(ptr, page_up(size));
}

/* ---- mirrors with memory of their own ---- */

static unsigned int shift_of(uint64_t size)
{
	unsigned int shift = SMALLEST_SHIFT;

	while (shift <= LARGEST_SHIFT && 1ull << shift < size)
		shift++;
	return shift;
}

static bool add_slab(struct mcl_backend *b, unsigned int shift)
{
	struct slab *s = malloc(sizeof(*s));
	uint8_t *pages;

	if (!s)
		return false;
	pages = b->ops->alloc(b->mirror, SLAB_SIZE);
	if (!pages) {
		free(s);
		return false;
	}
	s->pages = pages;
	s->next = b->svm->slabs;
	b->svm->slabs = s;
	for (uint64_t at = SLAB_SIZE; at; at -= 1ull << shift) {
		struct free_block *f = (struct free_block *)(pages + at - (1ull << shift));

		f->next = b->svm->free[shift];
		b->svm->free[shift] = f;
	}
	return true;
}

static void *slab_alloc(struct mcl_backend *b, unsigned int shift)
{
	struct mcl_svm_pool *pool = b->svm;
	struct free_block *f = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->free[shift] || add_slab(b, shift)) {
		f = pool->free[shift];
		pool->free[shift] = f->next;
	}
	pthread_mutex_unlock(&pool->lock);
	return f ? memset(f, 0, 1ull << shift) : NULL;
}

static void slab_free(struct mcl_backend *b, void *ptr, unsigned int shift)
{
	struct mcl_svm_pool *pool = b->svm;
	struct free_block *f = ptr;

	pthread_mutex_lock(&pool->lock);
	f->next = pool->free[shift];
	pool->free[shift] = f;
	pthread_mutex_unlock(&pool->lock);
}

/* What mcl_svm_free() cannot tell from the size alone goes into the books. */
static void *remember(struct mcl_backend *b, void *start, uint64_t size, unsigned int shift, uint64_t align)
{
	struct offset_block *o = start ? malloc(sizeof(*o)) : NULL;

	if (!o) {
		if (start && shift)
			slab_free(b, start, shift);
		else if (start)
			b->ops->free(b->mirror, start, size);
		errno = ENOMEM;
		return NULL;
	}
	o->start = start;
	o->size = size;
	o->shift = shift;
	o->ptr = (void *)(((uintptr_t)start + align - 1) & ~(align - 1));
	pthread_mutex_lock(&b->svm->lock);
	HASH_ADD_PTR(b->svm->offset_blocks, ptr, o);
	pthread_mutex_unlock(&b->svm->lock);
	return o->ptr;
}

/* Slabs are page aligned, so a block is aligned to its size, or to a page if that is less. */
static void *mirror_alloc(struct mcl_backend *b, uint64_t size, uint64_t align)
{
	const unsigned int shift = shift_of(size), align_shift = shift_of(align);
	uint64_t total;

	if (align <= PAGE && shift <= LARGEST_SHIFT) {
		if (align_shift <= shift)
			return slab_alloc(b, shift);
		return remember(b, slab_alloc(b, align_shift), size, align_shift, align);
	}
	if (align <= PAGE)
		return b->ops->alloc(b->mirror, size);
	if (__builtin_add_overflow(size, align, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return remember(b, b->ops->alloc(b->mirror, total), total, 0, align);
}

static void mirror_free(struct mcl_backend *b, void *ptr, uint64_t size)
{
	const unsigned int shift = shift_of(size);
	struct offset_block *o;

	pthread_mutex_lock(&b->svm->lock);
	HASH_FIND_PTR(b->svm->offset_blocks, &ptr, o);
	if (o)
		HASH_DEL(b->svm->offset_blocks, o);
	pthread_mutex_unlock(&b->svm->lock);
	if (o && o->shift)
		slab_free(b, o->start, o->shift);
	else if (o)
		b->ops->free(b->mirror, o->start, o->size);
	else if (shift <= LARGEST_SHIFT)
		slab_free(b, ptr, shift);
	else
		b->ops->free(b->mirror, ptr, size);
	free(o);
}

/* ---- both ---- */

void *mcl_svm_alloc(struct mcl_backend *b, size_t size, size_t align)
{
	if (!size || align & (align - 1)) {
		errno = EINVAL;
		return NULL;
	}
	if (align < DEFAULT_ALIGN)
		align = DEFAULT_ALIGN;
	if (mcl_backend_state(b) == MCL_BACKEND_FORKED || size > INT64_MAX || align > INT64_MAX / 2) {
		errno = ENOMEM;
		return NULL;
	}
	return b->ops->faults ? mirror_alloc(b, size, align) : host_alloc(size, align);
}

void mcl_svm_free(struct mcl_backend *b, void *ptr, size_t size)
{
	if (!ptr)
		return;
	if (!b->ops->faults)
		host_free(ptr, size);
	else if (mcl_backend_state(b) != MCL_BACKEND_FORKED)
		mirror_free(b, ptr, size);
}

void mcl_svm_migrate(struct mcl_backend *b, const void *ptr, size_t size, bool to_host)
{
	if (!size || mcl_backend_state(b) != MCL_BACKEND_ALIVE)
		return;
	pthread_rwlock_rdlock(&b->pager_lock);
	if (b->pager)
		mcl_pager_migrate(b->pager, ptr, size, to_host);
	pthread_rwlock_unlock(&b->pager_lock);
}
