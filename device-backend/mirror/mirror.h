/* SPDX-License-Identifier: MIT */
/*
 * A mirror makes the host's address space appear in the engine. Three implementations stand behind this table: hmm (kernel
 * module), uffd (userfaultfd) and shared (one page table for both). Nothing above knows which one runs; what differs is
 * visible only in .faults and in counters.
 *
 * What the host changed in its address space before it enqueued a command, that command sees, even a mapping in the place of
 * one whose munmap() has not returned yet on another thread. A mirror that has to wait for that does it in the
 * engine, before packets are run (mcl_boot_settle() in engine/control.h).
 *
 * The first group of operations starts and ends an engine; the second, present when .faults is true, is what the pager
 * decides with: it reads batches of device faults and answers each with map, migrate or fail.
 *
 * Does not decide policy (pager/), does not know what a command is (engine/).
 */
#ifndef MCL_MIRROR_H
#define MCL_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "mirror/window.h"
#include "support/log.h"

struct mcl_counters; /* backend.h */
struct mcl_mirror; /* each implementation embeds struct mcl_mirror_base first */

struct mcl_mirror_params {
	const struct mcl_window *window; /* outlives the mirror */
	uint64_t engine_entry; /* address in the window of the engine's entry point, void entry(void) */
	uint64_t engine_stack; /* top of the stack it starts on, 16-byte aligned */
	const void *engine_elf; /* the engine's executable, for mirrors that exec it */
	size_t engine_elf_size;
	uint64_t vram_size; /* bytes; 0 where nothing migrates */
};

/* How the engine touched the address. */
enum mcl_access {
	MCL_ACCESS_READ = 0,
	MCL_ACCESS_WRITE = 1,
};

/* One device fault, as read from the fault buffer. */
struct mcl_fault {
	uint64_t address; /* page aligned if the mirror cannot tell better */
	enum mcl_access access;
	uint32_t unit; /* compute unit, or UINT32_MAX if unknown */
	uint64_t cookie; /* the mirror's own */
};

enum mcl_residency {
	MCL_RES_NONE, /* not mapped on the device */
	MCL_RES_SYSTEM, /* system RAM, mapped in place on the device */
	MCL_RES_VRAM,
	MCL_RES_BOTH, /* read-only copy on the device, original in system RAM */
};

/* Something the host did that changes what the pager believes. */
enum mcl_mirror_event_type {
	MCL_MEV_DEVICE_FAULT,
	MCL_MEV_CPU_FAULT, /* the host touched pages that are in VRAM */
	MCL_MEV_UNMAP, /* munmap, mremap source, MADV_DONTNEED, MADV_FREE ...: range is gone (already served) */
};

struct mcl_mirror_event {
	enum mcl_mirror_event_type type;
	struct mcl_fault fault; /* DEVICE_FAULT */
	uint64_t start, size; /* CPU_FAULT, UNMAP: the range, page aligned */
	bool waits; /* CPU_FAULT: the host thread waits until evict() or map(); else it was served already */
	uint64_t ns; /* time the mirror spent on serving it */
	uint64_t time; /* CPU_FAULT that does not wait: when it was served, ns of CLOCK_MONOTONIC */
};

/* What lies at a host address, and what can be done about it. */
enum mcl_extent_kind {
	MCL_EXTENT_NONE, /* nothing, or nothing that the device may have: fail() */
	MCL_EXTENT_PAGEABLE, /* migrate() or map() */
	MCL_EXTENT_IN_PLACE, /* both sides share it already or get copies: map() only */
};

struct mcl_extent {
	uint64_t start, end; /* same mapping, same rights */
	enum mcl_extent_kind kind;
	bool readable, writable; /* the host's rights */
	bool promotable; /* PAGEABLE: map() works too, else it can only migrate */
};

struct mcl_mirror_ops {
	const char *name; /* "shared", "uffd", "hmm" */
	bool faults; /* device faults, residency and migration exist; the second group is required */

	/*
	 * Whether this mirror can run here, found without side effects. Any thread, no lock. Returns 0 or -errno with
	 * reason and remedy in @why; text in it beside 0 says what limits this mirror here.
	 */
	int (*probe)(struct mcl_reason *why);

	/*
	 * How many of @wanted bytes of device memory there are here. Any thread. NULL: as many as one likes, since system
	 * memory stands for it.
	 */
	uint64_t (*vram_size)(uint64_t wanted);

	/* Make one; nothing runs yet. Undone by destroy(). */
	int (*create)(const struct mcl_mirror_params *params, struct mcl_mirror **out, struct mcl_reason *why);

	/*
	 * Start the engine process. Called once, on a thread that lives as long as the engine (PR_SET_PDEATHSIG fires with
	 * its creator). On success the child's pid; the caller reaps it with waitpid(pid, ..., __WALL).
	 */
	int (*start)(struct mcl_mirror *m, pid_t *pid, struct mcl_reason *why);

	/*
	 * The engine is dead and reaped. All host memory must be plain, complete host memory again when this returns:
	 * pages in VRAM come home, faulting host threads are released. Required if .faults, else NULL. The pager calls it
	 * (mcl_pager_stop()), on its own thread.
	 */
	void (*engine_gone)(struct mcl_mirror *m);

	/* After engine_gone(). Frees everything. */
	void (*destroy)(struct mcl_mirror *m);

	/* Memory for clSVMAlloc and cl_mem: page-aligned, zeroed, valid on both sides. NULL and errno on failure. */
	void *(*alloc)(struct mcl_mirror *m, size_t size);
	void (*free)(struct mcl_mirror *m, void *ptr, size_t size);

	/*
	 * ---- second group: .faults only. All of it is called by the pager's one thread, so none of it needs a lock; what
	 * is said to come from any thread is the exception. -EAGAIN from any of them: the host's address space is changing,
	 * read next_events() and ask again.
	 */

	/* [start, start+size) of the host belongs to the pager: never take it. Before start(). Returns 0 or -ENOSPC. */
	int (*keep_out)(struct mcl_mirror *m, uint64_t start, uint64_t size);

	/* Readable when next_events() would return something. */
	int (*event_fd)(struct mcl_mirror *m);

	/* Read up to @max events without blocking. Returns how many, or -errno. */
	int (*next_events)(struct mcl_mirror *m, struct mcl_mirror_event *events, unsigned int max);

	/* What the host has at @address. */
	void (*extent)(struct mcl_mirror *m, uint64_t address, struct mcl_extent *out);

	/*
	 * Make [start, start+size) (page aligned, within one extent) present on the device in place, shared with the host;
	 * pages in VRAM become shared where they are. @address is the page that somebody waits for.
	 * Returns the number of pages mapped, or -errno: -EFAULT: the host has no such mapping or not that right;
	 * -EOPNOTSUPP: memory of a kind that this mirror cannot serve; -EMFILE: no room for more mappings, migrate instead.
	 */
	long (*map)(struct mcl_mirror *m, uint64_t start, uint64_t size, uint64_t address, enum mcl_access access);

	/*
	 * Move pages of the range (within one PAGEABLE extent) to VRAM. Best effort: pages that cannot move
	 * (pinned, shared ...) stay; the faulting one is then mapped in place by the caller. Returns pages moved, or -errno.
	 */
	long (*migrate)(struct mcl_mirror *m, uint64_t start, uint64_t size, uint64_t address);

	/* Bring pages of the range home from VRAM. Returns pages moved, or -errno. */
	long (*evict)(struct mcl_mirror *m, uint64_t start, uint64_t size);

	/* How many pages of the 2 MiB block at @base (aligned) are in VRAM, and how many became shared by map(). */
	void (*count)(struct mcl_mirror *m, uint64_t base, uint64_t *vram, uint64_t *shared);

	/*
	 * Let everything that waits for pages of the range, on either side, try again. map(), migrate() and evict() leave
	 * that to the caller, so that what it counts is counted before anybody can look.
	 */
	void (*replay)(struct mcl_mirror *m, uint64_t start, uint64_t size);

	/*
	 * A kernel is about to start (control->refresh): drop what the host may have changed unnoticed since the last one.
	 * NULL if the mirror never sets that flag.
	 */
	void (*refresh)(struct mcl_mirror *m);

	/* A kernel has ended (control->flush): what it stored to copies of host memory goes to the host. NULL likewise. */
	void (*flush)(struct mcl_mirror *m);

	/*
	 * Before fork(): bring everything home, pages mapped in place too, and touch nothing until the next map or migrate.
	 * NULL where fork() needs no help.
	 */
	void (*home)(struct mcl_mirror *m);

	/* In the child of a fork, on its only thread: let go of descriptors; nothing else of the mirror exists there. */
	void (*forked)(struct mcl_mirror *m);

	/* There is nothing at this address: the access fails for good and the engine aborts that kernel. */
	void (*fail)(struct mcl_mirror *m, const struct mcl_fault *fault);

	/* Where the page at @address is. */
	enum mcl_residency (*residency)(struct mcl_mirror *m, uint64_t address);

	/*
	 * Add to @out what the mirror counts itself because it serves it without the pager, and set what it knows better
	 * (VRAM in use). Any thread, no lock, between start() and engine_gone(). NULL if there is nothing.
	 */
	void (*counters)(struct mcl_mirror *m, struct mcl_counters *out);
};

struct mcl_mirror_base {
	const struct mcl_mirror_ops *ops;
};

extern const struct mcl_mirror_ops mcl_mirror_shared;
extern const struct mcl_mirror_ops mcl_mirror_uffd;
extern const struct mcl_mirror_ops mcl_mirror_hmm;

/*
 * The mirror that MIRRORCL_MIRROR asks for; `auto` is hmm when its device is there, else shared. Returns NULL with the
 * reason and remedy when the asked one is unknown or cannot run here.
 */
const struct mcl_mirror_ops *mcl_mirror_choose(struct mcl_reason *why);

/* Every implementation that is compiled in, for `mirrorcl doctor`; NULL terminated. */
extern const struct mcl_mirror_ops *const mcl_mirrors[];

#endif
