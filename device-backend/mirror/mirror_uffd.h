/* SPDX-License-Identifier: MIT */
/*
 * The userfaultfd mirror, inside. mirror_uffd.c has the overview; README-uffd.md says what this mirror cannot do.
 *
 * Who runs what: every function here is called by the pager's thread, unless it says otherwise, so nothing but the
 * counters and the lock of SVM memory is shared between threads.
 */
#ifndef MCL_MIRROR_UFFD_H
#define MCL_MIRROR_UFFD_H

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "mirror/block_table.h"
#include "mirror/mirror.h"
#include "mirror/private_memory.h"

#define PAGE_SIZE 4096ull
#define PAGE_SHIFT 12
#define BLOCK_PAGES 512u
#define USER_END 0x7ffffffff000ull

static inline uint64_t mcl_page_down(uint64_t x)
{
	return x & ~(PAGE_SIZE - 1);
}

static inline uint64_t mcl_block_down(uint64_t x)
{
	return x & ~(MCL_BLOCK_SIZE - 1);
}

static inline uint64_t mcl_min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t mcl_max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- state of pages (mirror_uffd_state.c) ---- */

enum mcl_page_state {
	PAGE_HOST, /* the host's alone, or nobody's: not in the mirror memfd, a device access faults */
	PAGE_VRAM, /* in the memfd alone: the host has nothing there, a CPU access faults */
	PAGE_PROMOTED, /* in the memfd (or a hole in it), which the host maps too */
	PAGE_COPY, /* the memfd has a read-only copy; the host's page is write-protected, so its first store tells */
	PAGE_SNAPSHOT, /* the memfd has a read-only copy of something that cannot be watched; dropped when a kernel starts */
	PAGE_TWIN, /* likewise, but the device may store to it; what it stored is written back when a kernel ends */
};

struct mcl_uffd_block {
	uint64_t base;
	struct mcl_uffd_block *next, *prev; /* all blocks in use */
	uint16_t used; /* pages whose state is not PAGE_HOST */
	uint8_t page[BLOCK_PAGES];
};

/* ---- host mappings (mirror_uffd_vma.c) ---- */

enum mcl_vma_kind {
	VMA_NONE, /* nothing there */
	VMA_OWN, /* the mirror's or the pager's own memory: the device may have a copy to read */
	VMA_SYSTEM, /* data of the libraries that this code itself uses: the device may have a copy */
	VMA_ANON, /* private anonymous, readable and writable: pages move */
	VMA_ANON_READ, /* private anonymous, read-only */
	VMA_SHARED_OURS, /* the mirror's memfd at offset = address: SVM memory and promoted pages */
	VMA_FILE_READ, /* private mapping of a file, read-only */
	VMA_FILE_WRITE, /* private mapping of a file, writable (.data) */
	VMA_FILE_SHARED,
	VMA_OTHER, /* vdso, devices, huge pages, other people's userfaultfd ... */
};

struct mcl_vma {
	uint64_t start, end, offset;
	enum mcl_vma_kind kind;
	bool readable, writable, executable, shared;
	bool watched; /* of files[]: the host's changes are reported */
	uint32_t dev_major, dev_minor;
	uint64_t inode;
};

/* ---- the mirror ---- */

struct mcl_span {
	uint64_t start, end;
	bool copy; /* of a keep-out: VMA_SYSTEM, not VMA_OWN */
};

/* Events of the host's userfaultfd that were read but not handled yet: one for each thread, at most, and a few changes. */
#define QUEUE_SIZE 65536u
/* With so many the pager goes back to handling them, whatever it is at. */
#define QUEUE_LONG 1024u
/* How often an operation that meets changes elsewhere is tried at once. */
#define CHANGE_RETRIES 1000u
#define SEQUENCE reserved3 /* of a message in it that is a change: its number, in the order of reading */
struct mcl_uffd_queue {
	unsigned int count;
	struct uffd_msg msgs[QUEUE_SIZE];
};

/* A thread that makes system calls which may wait for events that the pager's thread has to read (mirror_uffd_proxy.c). */
struct mcl_uffd_proxy {
	pthread_t thread;
	bool started;
	_Atomic uint32_t go; /* futex: 0 idle, 1 a call is posted, 2 end */
	_Atomic int32_t tid;
	long nr, ret;
	uint64_t args[6];
};

/* Where host pages go through on their way (mirror_uffd_staging.c): MOVE wants the same rights at both ends. */
enum { STAGING_PLAIN, STAGING_EXEC, STAGING_LOCKED, STAGING_LOCKED_EXEC, STAGING_COUNT };

/* A thread whose control block is mapped in place; its end needs attention. */
#define EXITS_MAX 256
struct mcl_uffd_exit {
	int pidfd; /* 0: free */
	int32_t tid;
	uint64_t tid_at;
};

/* Whether pages are read faster over a detour on this machine (mirror_uffd_detour.c). */
struct mcl_detour {
	unsigned int count; /* choices so far */
	bool buffered; /* the last one */
	uint64_t ns[2]; /* running means, sixteenths of a nanosecond for a page; 0: not tried yet */
};

/* What a thread was seen to do (mirror_uffd_early.c). */
enum mcl_look_state {
	LOOK_RUNS, /* it ran, or was not looked at: not known */
	LOOK_ELSEWHERE, /* it slept, not to have a report read */
	LOOK_WAITS, /* for the report of a change to be read, and that has not been since */
};
struct mcl_uffd_look {
	uint64_t time; /* its processor time then */
	int32_t tid;
	uint8_t state; /* enum mcl_look_state */
	bool again; /* look once more, even if it still waits */
	bool advises, frees; /* madvise(); MADV_FREE, else the pages are to go at once */
	uint64_t start, end; /* of whole pages; of madvise() and munmap() */
};

/* A thread and its processor time when a report was read (mirror_uffd_outcome.c). */
struct mcl_uffd_passing {
	uint64_t time;
	int32_t tid;
};

/* What has been said already (mirror_uffd_warn.c). */
enum mcl_uffd_warning {
	WARNED_THREAD = 1,
	WARNED_STACK = 2,
	WARNED_SWAPPED = 4,
};

#define POISON_MAX 256
#define FILES_MAX 512
#define TWINS_MAX 32768
#define KEEP_OUT_MAX 32
#define TASKS_MAX 32768
#define HELD_MAX 1024
#define UNLISTED_MAX 64
#define PINNED_MAX 256

struct mcl_uffd {
	struct mcl_mirror_base base;
	struct mcl_private memory; /* everything, this structure too */
	struct mcl_window window;
	struct mcl_mirror_params params;
	uint64_t low, window_end, high; /* the mirror covers [low, window.base) and [window_end, high) */
	uint64_t stack_low, stack_high; /* the first thread's stack is in there, however far it grows */

	int memfd, host_fd, engine_fd, socket, maps_fd, pagemap_fd, loadavg_fd, tasks_fd, epoll_fd, again_fd;
	uint32_t memfd_major, memfd_minor;
	uint64_t memfd_inode;
	bool engine_dead; /* its userfaultfd answers -ESRCH */
	uint32_t map_limit;

	struct mcl_block_table table;
	struct mcl_uffd_block *blocks, *free_blocks;

	struct mcl_span keep_out[KEEP_OUT_MAX];
	unsigned int keep_out_count;

	/* pages with thread control blocks, refreshed before pages are taken (mirror_uffd_tasks.c) */
	unsigned int task_count;
	struct {
		int32_t tid;
		uint64_t head; /* of its list of robust futexes */
		uint64_t start, end; /* never to be taken */
	} tasks[TASKS_MAX];
	uint64_t heads[TASKS_MAX]; /* as they were when the lists were begun to be followed (mirror_uffd_robust.c) */
	/* pages with robust mutexes that are held, likewise (mirror_uffd_robust.c) */
	unsigned int held_count;
	uint64_t held[HELD_MAX];

	uint64_t head_in_block; /* offset of a thread's list of robust futexes in its control block */
	uint64_t youngest; /* process or thread of the machine, when the tasks were looked at */
	bool task_headless; /* a thread was seen whose robust list, and so its control block, is not known */
	/* Pages with such blocks, found among pages that were taken, until the next are. Never to be taken either. */
	unsigned int unlisted_count;
	struct mcl_span unlisted[UNLISTED_MAX];
	uint64_t task_exempt; /* page that may be taken all the same, on its way to be mapped in place */
	struct mcl_uffd_exit exits[EXITS_MAX];

	uint64_t staging_reserve[STAGING_COUNT]; /* what is mapped for it, twice the size */
	bool staging_used[STAGING_COUNT]; /* there may be pages in it */
	bool staging_open[STAGING_COUNT]; /* accessible just now */
	uint64_t staging[STAGING_COUNT]; /* MCL_BLOCK_SIZE each, aligned to it; 0: not made yet */
	uint64_t probe; /* a watched page of our own: asking about it tells whether the address space is changing */
	uint8_t *bounce; /* MCL_BLOCK_SIZE */
	struct mcl_detour detour;
	uint8_t *zeros; /* MCL_BLOCK_SIZE that nobody writes, so it costs no memory */
	struct mcl_uffd_queue queue;
	uint32_t changes_read, changes_handled; /* how many, and the last one's number; they are handled in order */
	uint64_t read_ns; /* when the last was read */
	/* When change .quiet_after had been read nothing was changing; .quiet_wanted is what WANTED was then. */
	uint32_t quiet_after, quiet_wanted;
	struct mcl_uffd_proxy proxy;
	struct mcl_span moving; /* the host has moved that, and not all of its pages have been brought where it is now */
	unsigned int look_count;
	bool looked; /* some of these may be LOOK_WAITS */
	struct mcl_uffd_look looks[TASKS_MAX];
	struct mcl_uffd_passing passing[TASKS_MAX];

	_Atomic uint32_t *words; /* for mcl_uffd_settle(), any thread and the engine: MCL_BOOT_WORD_... */
	_Atomic uint32_t words_before[4]; /* as long as there is no engine */

	_Atomic uint32_t svm_lock; /* 0 or 1; see mcl_uffd_svm_free() */
	unsigned int poison_count; /* pages made to fail since the last refresh; the access may never have come */
	uint64_t poisoned[POISON_MAX];
	unsigned int file_count;
	struct mcl_vma files[FILES_MAX]; /* shared mappings that the engine has too (mirror_uffd_file.c) */
	uint64_t snapshot_pages; /* PAGE_SNAPSHOT and PAGE_TWIN, at least */
	unsigned int twin_count;
	struct {
		uint64_t page;
		uint8_t *data; /* as the device got it; kept for the next twin */
	} twins[TWINS_MAX];

	struct {
		uint64_t unit, ns;
	} pinned[PINNED_MAX]; /* memory that I/O holds, and when that was found (mirror_uffd_move.c) */
	uint64_t fresh_end, fresh_size; /* where the host's first touches went on last, and in what steps */
	uint64_t promoted_runs, runs_counted, maps_estimate;
	unsigned int warned; /* enum mcl_uffd_warning */
	uint64_t warn_look_ns; /* when threads are to be looked at again (mirror_uffd_warn.c) */
	char scratch[32768]; /* directory entries, text of /proc files */
};

static inline struct mcl_uffd *mcl_uffd_of(struct mcl_mirror *m)
{
	return (struct mcl_uffd *)m;
}

/* Something that cannot be undone went wrong with the host's memory: say so and abort() rather than go on with wrong data. */
_Noreturn void mcl_uffd_fatal(const char *what, uint64_t address, int err);

/* mirror_uffd_limits.c: fill in .low, .high, .map_limit, .stack_*. In create(). */
void mcl_uffd_read_limits(struct mcl_uffd *u);

/* mirror_uffd_probe.c. Any thread. */
int mcl_uffd_probe(struct mcl_reason *why);
/* A new userfaultfd of this process that handles faults in kernel mode too, or -errno. */
int mcl_uffd_open(uint64_t features, struct mcl_reason *why);

/* mirror_uffd_state.c */
struct mcl_uffd_block *mcl_uffd_find(struct mcl_uffd *u, uint64_t address); /* NULL: all its pages are PAGE_HOST */
struct mcl_uffd_block *mcl_uffd_block(struct mcl_uffd *u, uint64_t address); /* made if need be; NULL: out of memory */
void mcl_uffd_release(struct mcl_uffd *u, struct mcl_uffd_block *b); /* if there is nothing left to know about it */
enum mcl_page_state mcl_uffd_state(struct mcl_uffd *u, uint64_t address);
/* [start, end) within one block that exists. */
void mcl_uffd_set(struct mcl_uffd_block *b, uint64_t start, uint64_t end, enum mcl_page_state state);
/* End of the run of pages from @start that have the state of the first, at most @end, within one block. */
uint64_t mcl_uffd_run(struct mcl_uffd_block *b, uint64_t start, uint64_t end);
/* How many pages of the block at @base are PAGE_VRAM and PAGE_PROMOTED. */
void mcl_uffd_count(struct mcl_uffd *u, uint64_t base, uint64_t *vram, uint64_t *shared);
/*
 * The contents of [start, end) are gone: forget its pages, here and in the memfd. @mapped: the mappings are still there, so
 * promoted pages stay promoted, as holes.
 */
void mcl_uffd_purge(struct mcl_uffd *u, uint64_t start, uint64_t end, bool mapped);

/* mirror_uffd_vma.c */
/* The mapping that covers @address, or VMA_NONE up to the next one. */
void mcl_uffd_vma(struct mcl_uffd *u, uint64_t address, struct mcl_vma *out);
/* Number of mappings of this process, now and roughly. */
uint64_t mcl_uffd_count_maps(struct mcl_uffd *u);

/* mirror_uffd_register.c */
/* Watch all of @vma, VMA_ANON or VMA_ANON_READ. Returns 0 or -errno; -EBUSY: another userfaultfd does already. */
int mcl_uffd_watch(struct mcl_uffd *u, const struct mcl_vma *vma);
int mcl_uffd_probe_init(struct mcl_uffd *u, struct mcl_reason *why);
/* Whether [start, end) is still watched: 0; -EAGAIN: something is changing; -ENOENT: it is not. */
int mcl_uffd_watched(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* Stop watching everything. Only when every page is PAGE_HOST. */
void mcl_uffd_unwatch_all(struct mcl_uffd *u);

/* mirror_uffd_proc.c */
/* Call @fn for each thread of this process, after setting .task_count to 0. */
void mcl_uffd_each_task(struct mcl_uffd *u, void (*fn)(struct mcl_uffd *u, int32_t tid));
/* What "/<tid>/<file>" says, of at most @size - 1 characters. */
bool mcl_uffd_task_text(int32_t tid, const char *file, char *text, size_t size);
/* The system call that a thread sleeps in, with its six arguments, or one of these. */
#define MCL_TASK_RUNS UINT64_MAX /* it runs, or is about to: what it does cannot be seen */
#define MCL_TASK_ELSEWHERE (UINT64_MAX - 1) /* it sleeps, but in no system call; or there is no such thread */
uint64_t mcl_uffd_task_syscall(int32_t tid, uint64_t *arg);
/* Processor time that a thread has had, in nanoseconds; UINT64_MAX: it has ended. */
uint64_t mcl_uffd_task_time(int32_t tid);
/* Whether a thread sleeps until the host's userfaultfd has been read: for the report of what it changes. */
bool mcl_uffd_task_reports(int32_t tid);
/* The number of the youngest process or thread of the machine; 0 if that cannot be had. */
uint64_t mcl_uffd_youngest(struct mcl_uffd *u);

/* mirror_uffd_tasks.c: pages that the kernel reads and writes for exiting threads; faults there cannot wait. */
void mcl_uffd_tasks_refresh(struct mcl_uffd *u);
/* How many threads there are. Before the first refresh. */
unsigned int mcl_uffd_tasks_count(struct mcl_uffd *u);
/* First page at or after @start, before @end, that must not be taken, or @end; *@until is where that part ends. */
uint64_t mcl_uffd_tasks_next(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t *until);
/* The thread whose control block is, or begins, in @page; or task_count. */
unsigned int mcl_uffd_task_at(struct mcl_uffd *u, uint64_t page);
/* A refresh, before pages are moved. */
void mcl_uffd_tasks_begin(struct mcl_uffd *u);
/*
 * The pages of [start, end) have been moved to @stage. Is the control block of a thread among them that has been made since?
 * Then they are put back, and should the thread have ended meanwhile, that is made up for.
 */
bool mcl_uffd_tasks_appeared(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t stage);

/* As mcl_uffd_tasks_next(), and what has appeared since the last refresh before pages are moved. */
uint64_t mcl_uffd_tasks_next_known(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t *until);
/* Whether @page was not taken, when the last ones were, for a block that is not in the list. It will be there soon, or ended. */
bool mcl_uffd_tasks_unlisted(struct mcl_uffd *u, uint64_t page);

/* mirror_uffd_exits.c: the ends of threads whose control block is mapped in place, or was away for a moment. */
/* glibc's struct pthread: the thread id lies 16 bytes before the list head. Checked against the id itself. */
#define MCL_TID_BEFORE_HEAD 16
/* Map such a page in place. Pages or -errno. After a refresh. */
long mcl_uffd_exits_promote(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t page);
/*
 * Have the end of thread @tid noticed, whose id is at @tid_at. 0; -ESRCH: it has ended; another error: that is not
 * possible.
 */
long mcl_uffd_exit_watch(struct mcl_uffd *u, int32_t tid, uint64_t tid_at);
/*
 * The page at @tid_at was away for a moment, in which a thread may have ended. If the thread whose id is there is gone (or is
 * @dead), the id goes as well, as the kernel would have had it; if it is alive, its end is waited for, since that may have
 * begun already. Whoever joins it looks again.
 */
void mcl_uffd_exit_settle(struct mcl_uffd *u, uint64_t tid_at, int32_t dead);
/* See to threads that ended. */
void mcl_uffd_exits_ended(struct mcl_uffd *u);
/* The same, once, after everything has come home; then no end matters any more. */
void mcl_uffd_exits_forget(struct mcl_uffd *u);

/* mirror_uffd_robust.c: the same for pages with robust mutexes that some thread holds. */
/* After mcl_uffd_tasks_refresh(), where pages may come home. */
void mcl_uffd_robust_refresh(struct mcl_uffd *u);
bool mcl_uffd_robust_held(struct mcl_uffd *u, uint64_t page);
/* Map such a page in place. Pages or -errno; -EOPNOTSUPP: it is none, or that is not possible. */
long mcl_uffd_robust_promote(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t page);

/* mirror_uffd_futex.c: threads that wait for shared futexes. They are queued under the identity of the page. */
/*
 * Whether a thread waits for one in [start, end) other than @except. Mapping in place would change the identity. The pages
 * must be away, so that no thread can start to wait now.
 */
bool mcl_uffd_futex_waited(struct mcl_uffd *u, uint64_t start, uint64_t end, uint64_t except);
/*
 * Pages at [to, to + size), mapped from the memfd at @from, have just ceased to be: make threads that wait for futexes in
 * them look again, so that they wait under the new identity.
 */
void mcl_uffd_futex_requeue(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size);

/* mirror_uffd_staging.c */
int mcl_uffd_staging_init(struct mcl_uffd *u, struct mcl_reason *why);
/* The staging area of a kind, made on first use, usable until it is closed; 0 if that fails. */
uint64_t mcl_uffd_staging(struct mcl_uffd *u, int kind);
void mcl_uffd_staging_close(struct mcl_uffd *u);
/* Free what is left in it of pages that were copied on; when nobody waits for that. */
void mcl_uffd_staging_clean(struct mcl_uffd *u);
/*
 * Which parts of a staging area at [stage, ...) hold a page: calls @fn for each part, present or not, until it returns
 * something but 0. Returns that, or -errno.
 */
int mcl_uffd_each_part(struct mcl_uffd *u, uint64_t stage, uint64_t size,
		       int (*fn)(struct mcl_uffd *u, uint64_t offset, uint64_t part, bool present, void *arg),
		       void *arg);

/* mirror_uffd_move.c */
/* Pages moved to @stage go back to [at, end), or where that is by now. */
void mcl_uffd_put_back(struct mcl_uffd *u, uint64_t stage, uint64_t at, uint64_t end);
/* Take PAGE_HOST pages of [start, end), within one block and VMA_ANON @vma, to VRAM. Returns pages or -errno. */
long mcl_uffd_take(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t start, uint64_t end, uint64_t address);
/* Bring the PAGE_VRAM pages of [start, end) home. Returns pages; -EAGAIN: not all, there are many events to be handled. */
long mcl_uffd_bring(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* The contents of [from, from + size) of the memfd become the host's pages at @to, which is watched and empty. */
void mcl_uffd_deliver(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size);
/* Remove [start, end) from the memfd and from the engine. */
void mcl_uffd_punch(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* Fill the holes of [start, end) in the memfd and map all of it in the engine. 0 or -errno. */
int mcl_uffd_fill(struct mcl_uffd *u, uint64_t start, uint64_t end);

/* mirror_uffd_detour.c */
/* Choose the way for some pages: true: by mcl_uffd_detour(). And what they took then, copied on and all. */
bool mcl_detour_choose(struct mcl_detour *d);
void mcl_detour_took(struct mcl_detour *d, uint64_t ns, uint64_t pages);
/*
 * Copy the pages at [stage, stage + size), all present, @size at most MCL_BLOCK_SIZE, into u->bounce. Returns where to read
 * them: there, or if that is not permitted at @stage.
 */
uint64_t mcl_uffd_detour(struct mcl_uffd *u, uint64_t stage, uint64_t size);

/* mirror_uffd_promote.c */
/*
 * Map [start, end), all PAGE_VRAM, within one block and VMA_ANON @vma, over the host's memory. Pages or -errno; -EMFILE:
 * some thread waits for a futex there, other than @futex, so it has to stay as it is.
 */
long mcl_uffd_promote(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t start, uint64_t end, uint64_t futex);
/*
 * Put those pages of [start, end), PAGE_PROMOTED, that the memfd has into the host's page table; wakes nobody. False: there are
 * changes of the address space without end, or of just that.
 */
bool mcl_uffd_map_host(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* Make host pages at [to, ...) anonymous again that are mapped from [from, from + size) of the memfd. */
void mcl_uffd_demote(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size);
/* The same where the memfd has no pages. */
void mcl_uffd_demote_empty(struct mcl_uffd *u, uint64_t to, uint64_t size);
/*
 * The host has moved [from, from + size), mapped in place up to its end, with mremap(), and made it longer: what is behind
 * @size at the new place becomes fresh memory of its own. It would be more of the memfd, that is, somebody else's pages.
 * Before the host can touch it, if possible. Without effect if there is no such thing.
 */
void mcl_uffd_cut_tail(struct mcl_uffd *u, uint64_t from, uint64_t size);
/* Whether [start, ...), VMA_SHARED_OURS, has been mapped in place, or grown out of that; else it is SVM memory. */
bool mcl_uffd_in_place(struct mcl_uffd *u, uint64_t start);
/* Largest number of bytes that should be promoted at once, given how many mappings there are; 0: none. */
uint64_t mcl_uffd_promote_unit(struct mcl_uffd *u);

/* mirror_uffd_special.c: memory that is neither pageable nor shared already. */
long mcl_uffd_map_special(struct mcl_uffd *u, const struct mcl_vma *vma, uint64_t start, uint64_t end, uint64_t address,
			  enum mcl_access access);
/* Drop all snapshots and twins: a kernel starts. */
void mcl_uffd_drop_snapshots(struct mcl_uffd *u);
/* The host stored to a PAGE_COPY page, or the engine's copy must go for another reason. */
void mcl_uffd_drop_copy(struct mcl_uffd *u, uint64_t page);

/* mirror_uffd_file.c */
/* Have the engine map the same file as VMA_FILE_SHARED @vma. Pages or -errno. */
long mcl_uffd_file_map(struct mcl_uffd *u, const struct mcl_vma *vma);
/* Undo that for mappings that the host does not have like that any more. */
void mcl_uffd_files_refresh(struct mcl_uffd *u);
/* Undo it for what is in [start, end): the host has changed something there. */
void mcl_uffd_files_unmapped(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* The access to @page was made to fail. */
void mcl_uffd_note_poison(struct mcl_uffd *u, uint64_t page);
void mcl_uffd_clear_poison(struct mcl_uffd *u);
/* There are so many more PAGE_SNAPSHOT pages. */
void mcl_uffd_note_snapshots(struct mcl_uffd *u, uint64_t pages);

/* mirror_uffd_twin.c */
/* Let the device store to the PAGE_SNAPSHOT pages of [start, end). Pages or -errno. */
long mcl_uffd_twin(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* Write back what the device has stored. */
void mcl_uffd_twins_flush(struct mcl_uffd *u);
/* The pages of [start, end) are gone. */
void mcl_uffd_twins_forget(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* Write back what the device has stored, and forget the copies. */
void mcl_uffd_twins_drop(struct mcl_uffd *u);

/* mirror_uffd_data.c: make .data pageable, if this is the only thread. In create(). */
void mcl_uffd_replace_data(struct mcl_uffd *u);

/*
 * mirror_uffd_early.c: cut the device off from what is being unmapped, before that is read. Before each single report while
 * the address space changes.
 */
void mcl_uffd_early(struct mcl_uffd *u);
/* What is known of the thread whose report this is, which has just been read. */
enum mcl_reporter {
	REPORTER_UNSEEN,
	REPORTER_FREES, /* MADV_FREE */
	REPORTER_OTHER,
};
enum mcl_reporter mcl_uffd_reporter(struct mcl_uffd *u, const struct uffd_msg *m);
/* Nothing is changing: so no thread waits. */
void mcl_uffd_none_waits(struct mcl_uffd *u);

/*
 * mirror_uffd_outcome.c: a REMOVE report of [start, end) has just been read, of a thread that was not seen. True: its pages are gone;
 * false: there are some still, and will be: it was MADV_FREE, or failed. Waits for that, a few milliseconds at most
 * if processors are not short. Meanwhile nothing else is read.
 */
bool mcl_uffd_emptied(struct mcl_uffd *u, uint64_t start, uint64_t end);

/* mirror_uffd_warn.c: each says its sentence once, if it is true. */
/* A thread was not made by the C library. After a refresh that has found threads without a list of robust futexes. */
void mcl_uffd_warn_threads(struct mcl_uffd *u);
/* [start, end) has been mapped in place. With MIRRORCL_DEBUG=info only. */
void mcl_uffd_warn_stack(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* [start, end) is taken for emptied, because the host's page table has nothing there: it may have been swapped out. */
void mcl_uffd_warn_swapped(struct mcl_uffd *u, uint64_t start, uint64_t end);

/* mirror_uffd_queue.c */
/*
 * Read what the host's userfaultfd has to say into the queue: all of it, or up to a change of the address space. Not more, for
 * a thread may make one after the other without end, each as soon as the last has been read.
 */
void mcl_uffd_drain(struct mcl_uffd *u);
/*
 * Something about [start, end) met -EAGAIN. Reads what is being changed. True: not that, so try again at once, before the next
 * change begins: a thread that makes one after the other must not keep the pager from everything else.
 */
bool mcl_uffd_again(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* Where @address has gone according to the events in the queue: 0 if it has been unmapped or discarded. */
uint64_t mcl_uffd_translate(struct mcl_uffd *u, uint64_t address);
/* Whether a change of the address space was read that is not handled yet: no page may be taken before it is. */
bool mcl_uffd_changing(struct mcl_uffd *u);
/* Whether a mremap() of something in [start, end) has been read and is not, or not fully, handled yet. */
bool mcl_uffd_moving(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* Whether the queue has an event that changes something in [start, end). */
bool mcl_uffd_disturbed(struct mcl_uffd *u, uint64_t start, uint64_t end);
/* Remove the unmap events of just [start, end) that a call of ours has caused. Returns whether there were any. */
bool mcl_uffd_own_unmap(struct mcl_uffd *u, uint64_t start, uint64_t end);
bool mcl_uffd_own_remap(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size);
/* Whether some thread is changing the address space and that is not read yet. */
bool mcl_uffd_changing_now(struct mcl_uffd *u);
/* Make the pager look at its events again soon. */
void mcl_uffd_ring(struct mcl_uffd *u);
/* What range a change concerns. False: @m is none. */
bool mcl_uffd_event_range(const struct uffd_msg *m, uint64_t *start, uint64_t *end);
/* Remove message @i. */
void mcl_uffd_event_forget(struct mcl_uffd *u, unsigned int i);

/* mirror_uffd_event.c */
/* Read events and handle them. Returns those that are the pager's to handle, at most @max. */
unsigned int mcl_uffd_host_events(struct mcl_uffd *u, struct mcl_mirror_event *events, unsigned int max);
/* Any thread: wait until every change made before has been handled. */
void mcl_uffd_settle(struct mcl_mirror *m);
/* The pager ends: nobody waits any more. */
void mcl_uffd_settle_end(struct mcl_uffd *u);
int mcl_uffd_next_events(struct mcl_mirror *m, struct mcl_mirror_event *events, unsigned int max);

/* mirror_uffd_proxy.c */
int mcl_uffd_proxy_start(struct mcl_uffd *u);
void mcl_uffd_proxy_stop(struct mcl_uffd *u);
/* Make a system call that may wait for the host's userfaultfd to be read; reads it meanwhile. Returns as the kernel does. */
long mcl_uffd_proxy_call(struct mcl_uffd *u, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			 uint64_t f);

/* Begin a call that waits for nobody, and get its result later. */
void mcl_uffd_proxy_post(struct mcl_uffd *u, long nr, uint64_t a, uint64_t b, uint64_t c);
long mcl_uffd_proxy_wait(struct mcl_uffd *u);
/* Map the memfd over [start, start + size) unless that is not watched any more or changing: -EAGAIN. */
long mcl_uffd_proxy_map(struct mcl_uffd *u, uint64_t start, uint64_t size, int prot);
/* Move the mapping [from, from + size) over [to, to + size), with the same exception unless @always. */
long mcl_uffd_proxy_move(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size, bool always);

/* mirror_uffd_engine.c: the engine process. On the thread that lives as long as the engine. */
int mcl_uffd_start(struct mcl_mirror *m, pid_t *pid, struct mcl_reason *why);

/* mirror_uffd_svm.c: memory for clSVMAlloc. Any thread. */
void *mcl_uffd_svm_alloc(struct mcl_mirror *m, size_t size);
void mcl_uffd_svm_free(struct mcl_mirror *m, void *ptr, size_t size);
/* Fill part of memory that is shared already; -EAGAIN while some thread frees such memory. */
long mcl_uffd_svm_fill(struct mcl_uffd *u, uint64_t start, uint64_t end);

#endif
