/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the module share. One noun per file:
 *
 *   main.c      the module, the device node and its ioctls
 *   context.c   a registered process: life, notifier, invalidation
 *   account.c   what its pages in VRAM are charged to; counters
 *   table.c     the device page table
 *   mirror.c    filling it from the host's page table
 *   exclusive.c ... with pages that the host may not touch meanwhile
 *   queue.c     device faults that wait for an answer
 *   event.c     what the host did with pages, for the pager's books
 *   service.c   ... and which of them do not wait
 *   engine.c    the engine's mapping: a cache of the device page table
 *   device.c    the devices
 *   vram.c      ... and their memory: pages, quota
 *   migrate.c   moving pages to VRAM, ranges either way
 *   home.c      ... and bringing them home
 *   copy.c      ... their contents
 *   trim.c      choosing what goes back
 *   debugfs.c   what root can see
 *   inject.c    failures on purpose
 *
 * Locks, outermost first:
 *
 *   mmap_lock or VMA lock   of one process, host or engine; with an engine's, a host's is
 *                           tried for, never waited for
 *   hm_family               (mutex) who is host, who is engine
 *   context.install         (mutex) building the engine's page table
 *   context.lock            (mutex) the device page table and everything in the
 *                           engine's page table that is copied from it
 *   i_mmap_rwsem, page table locks, queue.lock, events.lock, vram.lock (spin)
 *
 *   service.lock            (spin) the ranges of in-kernel service; nothing within
 *
 * context.lock is taken in notifier callbacks, thus in reclaim: nothing may be
 * allocated while it is held.
 */
#ifndef HM_INTERNAL_H
#define HM_INTERNAL_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/interval_tree.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/migrate.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "compat.h"
#include "hmm_mirror.h"
#include "inject.h"

#define HM_BLOCK_PAGES	((unsigned long)HPAGE_PMD_NR)
#define HM_BLOCK_SIZE	((unsigned long)HPAGE_PMD_SIZE)

/* A unit of 64 KiB. */
#define HM_UNIT_PAGES		16UL

#define HM_DEVICES_MAX		16
#define HM_QUEUE_DEFAULT	256
#define HM_QUEUE_MAX		4096
/* Ranges that in-kernel service may be set for, one by one. */
#define HM_SERVICE_MAX		4096

struct dentry;
struct hm_context;
struct hm_region;
struct hm_vram;

/* ---- account.c ---- */

struct hm_move {
	atomic64_t count;
	atomic64_t ns;
};

struct hm_moves {
	struct hm_move move[HMM_MIRROR_WAY_MAX][HMM_MIRROR_CAUSE_MAX][HMM_MIRROR_SIZE_MAX];
};

/* What one call moved or mapped, in units of each size. */
struct hm_tally {
	unsigned long units[HMM_MIRROR_SIZE_MAX];
	unsigned long next;		/* the page after the last one */
	unsigned long run;		/* ... pages up to it, in a row, since a 64 KiB boundary */
};

/* Touches or unmappings of pages that follow each other. */
struct hm_event {
	u32 type;
	u32 count;			/* 0: unused */
	unsigned long first, last;	/* pages */
	u64 time, pages, ns;
};

struct hm_events {
	spinlock_t lock;		/* everything below */
	const struct mm_struct *mm;	/* whose; only compared; NULL once that has ended */
	struct hm_event *ring;		/* NULL: nobody asked for them, or nobody reads them */
	unsigned int size;		/* of the ring; 0: nobody asked for them */
	unsigned int head, count;
	struct hm_event more[2];	/* what finds the ring full: touches, unmappings */
};

/*
 * One per registration; every folio in VRAM holds a reference, so that a touch
 * or a free is counted whoever still maps it.
 */
struct hm_account {
	struct kref ref;
	unsigned int device;
	struct hm_vram *vram;
	unsigned long around;		/* pages that come home together */
	long quota;			/* pages */
	atomic_long_t used;		/* pages */
	atomic64_t count[HMM_MIRROR_COUNT_MAX];
	struct hm_events events;
	struct hm_moves moves;
};

struct hm_account *hm_account_alloc(unsigned int device, u64 quota, u32 around);
void hm_account_put(struct hm_account *account);
bool hm_account_charge(struct hm_account *account, long pages);
void hm_account_moves(struct hm_account *account, enum hmm_mirror_way way,
		      enum hmm_mirror_cause cause, const struct hm_tally *tally, u64 ns);
void hm_tally_page(struct hm_tally *tally, unsigned long index);
void hm_tally_run(struct hm_tally *tally, unsigned long index, unsigned long n);
u64 hm_tally_pages(const struct hm_tally *tally);
struct hm_moves *hm_device_moves(unsigned int device);
void hm_moves_get(struct hm_moves *moves, enum hmm_mirror_way way, enum hmm_mirror_cause cause,
		  enum hmm_mirror_size size, struct hmm_mirror_move *out);
const char *hm_way_name(enum hmm_mirror_way way);
const char *hm_cause_name(enum hmm_mirror_cause cause);

static inline void hm_count(struct hm_account *account, enum hmm_mirror_count which, u64 n)
{
	atomic64_add(n, &account->count[which]);
}

/* ---- event.c ---- */

int hm_events_init(struct hm_events *events, struct mm_struct *mm, unsigned int size);
void hm_events_close(struct hm_events *events);
void hm_event_add(struct hm_account *account, const struct mm_struct *mm, u32 type,
		  unsigned long first, unsigned long last, u64 pages, u64 ns);
bool hm_event_next(struct hm_account *account, struct hmm_mirror_event *record);

/* ---- table.c ---- */

/* An entry: page frame and flags. Zero is absent. */
#define HM_PTE_VALID	BIT_ULL(63)
#define HM_PTE_WRITE	BIT_ULL(62)
#define HM_PTE_VRAM	BIT_ULL(61)
#define HM_PTE_EXCLUSIVE BIT_ULL(58)	/* the host has no access; writable, never huge */
#define HM_PTE_HUGE	BIT_ULL(59)	/* only in answers of hm_table_lookup() */
#define HM_PTE_PFN	(BIT_ULL(52) - 1)

/* Indices are page numbers. */
struct hm_table {
	struct xarray regions;		/* of 64 blocks */
	struct hm_region *last;		/* that was looked at, or NULL */
};

void hm_table_init(struct hm_table *table);
void hm_table_destroy(struct hm_table *table);
int hm_table_reserve(struct hm_table *table, unsigned long index, bool small);
int hm_table_store(struct hm_table *table, unsigned long index, u64 entry);
int hm_table_store_run(struct hm_table *table, unsigned long index, const unsigned long *entries,
		       unsigned long n, unsigned long present);
int hm_table_store_huge(struct hm_table *table, unsigned long index, u64 entry);
u64 hm_table_lookup(struct hm_table *table, unsigned long index);
bool hm_table_has(struct hm_table *table, unsigned long first, unsigned long last);
unsigned long hm_table_clear(struct hm_table *table, unsigned long first, unsigned long last,
			     bool unmap, unsigned long *from, unsigned long *to);

/* ---- queue.c ---- */

struct hm_queue {
	spinlock_t lock;		/* everything below */
	struct list_head free;
	struct list_head unread;	/* for the pager, in order of arrival */
	struct list_head given;		/* read, not answered */
	struct list_head verdicts;	/* failures that their threads have not met yet */
	struct hlist_head *hash;	/* unread and given, by page */
	struct hm_fault *slots;
	unsigned int size;		/* of slots */
	unsigned int hash_bits;
	unsigned int starved;		/* threads that wait for a free record */
	u64 next_id;
	wait_queue_head_t readers;
	wait_queue_head_t waiters;	/* engine threads */
	atomic_t generation;		/* counts answers */
};

int hm_queue_init(struct hm_queue *queue, unsigned int size);
void hm_queue_destroy(struct hm_queue *queue);
int hm_queue_wait(struct hm_context *ctx, unsigned long index, bool write, int generation,
		  bool interruptible);
void hm_queue_answer(struct hm_context *ctx, unsigned long first, unsigned long last, int result);
bool hm_queue_take_verdict(struct hm_queue *queue, unsigned long index);
ssize_t hm_queue_read(struct hm_context *ctx, char __user *buffer, size_t size, bool nonblock);

/* ---- service.c ---- */

struct hm_service {
	spinlock_t lock;		/* everything below */
	struct rb_root_cached root;
	unsigned int ranges;		/* in root */
};

void hm_service_init(struct hm_service *service);
void hm_service_destroy(struct hm_service *service);
int hm_service_set(struct hm_service *service, unsigned long first, unsigned long last, bool on);
bool hm_service_covers(struct hm_service *service, unsigned long first, unsigned long last);

/* ---- context.c ---- */

struct hm_context {
	struct kref ref;		/* host's file, engines' files */
	struct mmu_interval_notifier notifier;
	struct mm_struct *mm;
	struct list_head family;	/* hm_hosts */
	struct mutex install;		/* building the engine's page table */
	struct mutex lock;		/* table, dead, and the engine's entries */
	bool dead;			/* under lock: the mm went, or the host's file */
	bool zapped;			/* ... and the engine lost every page */
	struct hm_table table;
	struct hm_queue queue;
	struct hm_service service;
	unsigned int device;
	pid_t pid;			/* only to be shown */
	struct dentry *debugfs;
	struct hm_account *account;
	struct address_space *mapping;	/* of the engines' inode */
	struct file *engine;		/* kept for its inode; not a user's */
};

extern struct mutex hm_family;
extern struct list_head hm_hosts;

struct hm_context *hm_context_create(const struct hmm_mirror_register *reg);
void hm_context_detach(struct hm_context *ctx);
void hm_context_put(struct hm_context *ctx);
bool hm_context_is_host(struct mm_struct *mm);

/* ---- mirror.c ---- */

int hm_mirror_range(struct hm_context *ctx, unsigned long first, unsigned long last, u32 flags,
		    u64 *done);
int hm_mirror_fault(struct hm_context *ctx, unsigned long index, bool write);
bool hm_mirror_fault_try(struct hm_context *ctx, unsigned long index, bool write);
int hm_mirror_peek(struct hm_context *ctx, unsigned long first, unsigned long n, u8 *pages);
void hm_mirror_explain(struct hm_context *ctx, unsigned long first, unsigned long npages,
		       u8 *results);

/* ---- exclusive.c ---- */

int hm_exclusive_range(struct hm_context *ctx, unsigned long first, unsigned long last,
		       enum hmm_mirror_cause cause, u64 *done);

/* ---- engine.c ---- */

int hm_engine_create(struct hm_context *ctx);
int hm_engine_fd(struct hm_context *ctx);
void hm_engine_shoot_down(struct hm_context *ctx, unsigned long first, unsigned long last);
bool hm_engine_is_mapped_by(struct mm_struct *mm);

/* ---- main.c: the module's parameters ---- */

u64 hm_vram_size(void);
u64 hm_vram_quota_max(void);
bool hm_vram_huge(void); /* pages of 2 MiB may go to VRAM as such */
unsigned int hm_around_default(void);

/* ---- debugfs.c and inject.c ---- */

void hm_debugfs_init(unsigned int devices);
void hm_debugfs_exit(void);
void hm_debugfs_add(struct hm_context *ctx);
void hm_debugfs_remove(struct hm_context *ctx);
void hm_inject_init(struct dentry *folder);

/* ---- device.c, vram.c, migrate.c, home.c and trim.c: only with DEVICE_PRIVATE ---- */

#ifdef CONFIG_DEVICE_PRIVATE
/* What the core wants to know about a window, and what became of it, in one allocation. */
struct hm_window {
	unsigned long src[HPAGE_PMD_NR];
	unsigned long dst[HPAGE_PMD_NR];
	u8 results[HPAGE_PMD_NR];
	bool alone;	/* mmap_lock and the VMA's are held for writing */
};

/* Pages at @i of a window that the core treats as one; @src is what it says about them. */
static inline unsigned long hm_step(unsigned long src)
{
	return src & MIGRATE_PFN_COMPOUND ? HM_BLOCK_PAGES : 1;
}

int hm_vram_init(unsigned int devices, unsigned long megabytes);
void hm_vram_exit(void);
struct hm_vram *hm_vram_get(unsigned int device);
u64 hm_vram_used(unsigned int device);
void *hm_vram_owner(struct hm_vram *vram);
struct page *hm_vram_backing(struct page *page);
struct page *hm_vram_run(struct page *page, unsigned long *n);
struct page *hm_vram_alloc(struct hm_account *account, unsigned int order);
bool hm_vram_has_room(struct hm_account *account, long pages);
void hm_vram_release(struct page *page);
void hm_vram_yield(struct page *page);
void hm_vram_resume(struct page *page, struct hm_account *account);
void hm_vram_touch(unsigned long pfn);
void hm_vram_seen(struct page *page, unsigned long index);
unsigned long hm_vram_frames(struct hm_vram *vram, unsigned long *first);

/* A block, and what a context has there. */
struct hm_vram_oldest {
	u64 stamp;		/* of its last use */
	unsigned long *pfns;	/* room for a block's */
	unsigned long n;	/* page frames there */
	bool whole;		/* it is a huge page, of which there is the first */
	unsigned long index;	/* ... and where the host had that last */
};

bool hm_vram_oldest(struct hm_account *account, struct hm_vram_oldest *oldest, unsigned long most);
struct hm_vram *hm_vram_peer(struct hm_vram *vram, unsigned int *number);

/* ... copy.c */

#define HM_COPY_PAGES 16

/* Pages to be copied together. */
struct hm_copy {
	unsigned int n;
	struct page *to[HM_COPY_PAGES];
	struct page *from[HM_COPY_PAGES];
};

void hm_copy_pages(struct page *to, struct page *from, unsigned long n);
void hm_copy_add(struct hm_copy *copy, struct page *to, struct page *from);
void hm_copy_flush(struct hm_copy *copy);

int hm_migrate_range(struct hm_context *ctx, unsigned long first, unsigned long last,
		     enum hmm_mirror_cause cause, u8 __user *results, u64 *done, u64 *left);
int hm_evict_range(struct hm_context *ctx, unsigned long first, unsigned long last,
		   enum hmm_mirror_cause cause, u64 *done, u64 *left);
void hm_tally_moved(const unsigned long *src, const unsigned long *dst, unsigned long first,
		    unsigned long npages, u8 *results, struct hm_tally *tally);
void hm_count_moved(struct hm_account *account, const struct hm_tally *tally,
		    enum hmm_mirror_count small, enum hmm_mirror_count huge, u64 *done);

/* ... home.c */

/* What is to come home, in a range of at most a block, and what did. */
struct hm_home {
	struct hm_account *account;	/* counts it */
	struct hm_vram *vram;		/* where it is */
	struct vm_area_struct *vma;
	unsigned long start, end;
	enum hmm_mirror_cause cause;
	unsigned long *src, *dst;	/* room for what the core says of each page */
	u64 done, left;			/* pages that came, and that had to stay */
};

int hm_window_to_ram(struct hm_home *home, bool alone);
vm_fault_t hm_migrate_to_ram(struct vm_fault *vmf);
unsigned long hm_evict_pfns(unsigned long pfn, unsigned long npages);
unsigned long hm_evict_list(struct hm_account *account, struct hm_window *window,
			    unsigned long npfns, enum hmm_mirror_cause cause);

/* ... trim.c */

int hm_trim(struct hm_context *ctx, u64 want, u64 *done);
#else
static inline int hm_vram_init(unsigned int devices, unsigned long megabytes)
{
	return 0;
}

static inline void hm_vram_exit(void)
{
}

static inline struct hm_vram *hm_vram_get(unsigned int device)
{
	return NULL;
}

static inline u64 hm_vram_used(unsigned int device)
{
	return 0;
}

static inline void *hm_vram_owner(struct hm_vram *vram)
{
	return NULL;
}

static inline struct page *hm_vram_backing(struct page *page)
{
	return page;
}

static inline void hm_vram_touch(unsigned long pfn)
{
}

static inline void hm_vram_seen(struct page *page, unsigned long index)
{
}

static inline unsigned long hm_vram_frames(struct hm_vram *vram, unsigned long *first)
{
	*first = 0;
	return 0;
}

static inline int hm_migrate_range(struct hm_context *ctx, unsigned long first, unsigned long last,
				   enum hmm_mirror_cause cause, u8 __user *results, u64 *done,
				   u64 *left)
{
	return -EOPNOTSUPP;
}

static inline int hm_evict_range(struct hm_context *ctx, unsigned long first, unsigned long last,
				 enum hmm_mirror_cause cause, u64 *done, u64 *left)
{
	return -EOPNOTSUPP;
}

static inline int hm_trim(struct hm_context *ctx, u64 want, u64 *done)
{
	return -EOPNOTSUPP;
}
#endif

#endif
