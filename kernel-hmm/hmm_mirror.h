/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * hmm_mirror: a device's view of a process, kept in step by the kernel.
 *
 * A *host* process opens /dev/hmm_mirror and registers its address space. An
 * *engine*, another process that plays the device, maps the descriptor which
 * HMM_MIRROR_IOC_ENGINE returns. The file offset of that mapping is the host's
 * address. What the engine may reach is in a *device page table* that the module
 * keeps; the engine's own page table is only a cache of it. An access to an
 * address that the device page table does not hold is a *device fault*: the
 * engine's thread sleeps, the fault is read from the host's descriptor by the
 * *pager* (a thread of the host), and one of these answers lets it go on:
 *
 *   MIRROR    map the host's pages where they are
 *   MIGRATE   move them to device memory (VRAM) first
 *   REPLAY    nothing; the engine tries again
 *   FAIL      the access is an error: the engine's thread gets SIGSEGV
 *
 * Whatever the host does to its address space (munmap, mprotect, fork, reclaim,
 * exit ...) takes the pages concerned away from the engine before it happens. A
 * page in VRAM comes back by itself when the host touches it.
 *
 * Calling sequence of the host:
 *
 *   fd = open("/dev/hmm_mirror", O_RDWR | O_CLOEXEC | O_NONBLOCK);
 *   ioctl(fd, HMM_MIRROR_IOC_INFO, &info);          what is there
 *   ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg);       once
 *   engine_fd = ioctl(fd, HMM_MIRROR_IOC_ENGINE);   hand it to the engine
 *   while (poll(fd) > 0)
 *           if (read(fd, faults, sizeof(faults)) > 0)
 *                   ioctl(fd, HMM_MIRROR_IOC_MIRROR, &range);
 *
 * or, to hear of what the host does as well, with HMM_MIRROR_REGISTER_EVENTS in
 * reg.flags and struct hmm_mirror_event instead of struct hmm_mirror_fault.
 *
 * and of the engine:
 *
 *   mmap(addr, size, PROT_READ | PROT_WRITE, MAP_SHARED, engine_fd, addr);
 *
 * Rules for every ioctl:
 *
 *  - Structures may grow at the end. A caller's smaller one is taken as if
 *    the rest were zero; a larger one is taken if the rest is zero (else
 *    E2BIG). What is returned is cut to the caller's size.
 *  - Members called pad and unknown flags must be zero, else EINVAL.
 *  - start and size are bytes and multiples of the page size; the range must
 *    not be empty and not leave the user's part of the address space (EINVAL).
 *  - EPERM: the caller is not the process that registered (a child of fork, or
 *    one the descriptor was passed to). ENXIO: nothing is registered yet, or the
 *    process ended. EFAULT: the structure cannot be read or written, or a range
 *    holds an address that is not mapped. EINTR: a fatal signal.
 *  - All ioctls may sleep and may be called by several threads at once.
 */
#ifndef _UAPI_HMM_MIRROR_H
#define _UAPI_HMM_MIRROR_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define HMM_MIRROR_DEVICE "/dev/hmm_mirror"

/* Counts up when a caller can no longer use the old meaning of something. */
#define HMM_MIRROR_VERSION 1

/* What the module can do on this kernel (struct hmm_mirror_info.capabilities). */
#define HMM_MIRROR_CAP_MIRROR	(1ULL << 0)	/* map in place */
#define HMM_MIRROR_CAP_MIGRATE	(1ULL << 1)	/* VRAM; else the kernel lacks DEVICE_PRIVATE */
#define HMM_MIRROR_CAP_HUGE	(1ULL << 2)	/* pages of 2 MiB in VRAM */
#define HMM_MIRROR_CAP_SERVICE	(1ULL << 3)	/* faults can be served without a pager */
#define HMM_MIRROR_CAP_EVENTS	(1ULL << 4)	/* HMM_MIRROR_REGISTER_EVENTS */
#define HMM_MIRROR_CAP_EXCLUSIVE (1ULL << 5)	/* HMM_MIRROR_EXCLUSIVE works */

/**
 * struct hmm_mirror_info - HMM_MIRROR_IOC_INFO: what is there
 * @version:        (out) HMM_MIRROR_VERSION of the module
 * @devices:        (out) number of devices; each has its own VRAM
 * @capabilities:   (out) HMM_MIRROR_CAP_*
 * @vram_size:      (out) bytes of VRAM of each device
 * @vram_used:      (out) bytes in use on device 0, by anybody
 * @queue_max:      (out) largest queue_size that REGISTER takes
 * @fault_size:     (out) bytes of one record that read() returns
 * @event_size:     (out) ... with HMM_MIRROR_REGISTER_EVENTS
 * @pad:            (out) zero
 * @vram_quota_max: (out) bytes of VRAM that a registration gets at most (the module's
 *                  parameter quota_mb; vram_size if that is not set)
 *
 * Needs no registration; any process may ask.
 */
struct hmm_mirror_info {
	__u32 version;
	__u32 devices;
	__u64 capabilities;
	__u64 vram_size;
	__u64 vram_used;
	__u32 queue_max;
	__u32 fault_size;
	__u32 event_size;
	__u32 pad;
	__u64 vram_quota_max;
};

/* read() also tells what the host did with pages: struct hmm_mirror_event. */
#define HMM_MIRROR_REGISTER_EVENTS	(1ULL << 0)

/**
 * struct hmm_mirror_register - HMM_MIRROR_IOC_REGISTER: mirror the caller
 * @device:         (in) whose VRAM to use, less than info.devices
 * @queue_size:     (in) faults that can be outstanding; 0 for 256. Further ones
 *                  wait and are counted (HMM_MIRROR_COUNT_OVERFLOW).
 * @vram_quota:     (in) bytes of VRAM that may be used; 0 for the most there is,
 *                  which info.vram_quota_max limits in any case. Rounded down
 *                  to pages. Memory of children that share pages counts too.
 * @flags:          (in) HMM_MIRROR_REGISTER_*
 * @around:         (in) bytes that come home together when the host touches a
 *                  4 KiB page in VRAM: a power of 2 from 4096 to 2 MiB, aligned to
 *                  itself; 0 for the module's parameter around_kb. A 2 MiB page of
 *                  VRAM comes as a whole in any case.
 * @pad:            (in) must be zero
 *
 * A process may be registered with several devices, through a descriptor each;
 * then every device has its own page table, queue and counters.
 *
 * Errors: EBUSY: this descriptor is registered already, or this process is through
 * another one, for that device. EINVAL: no such device, queue_size above
 * info.queue_max, or a bad around. ELOOP: the caller is itself an engine. ENOMEM.
 */
struct hmm_mirror_register {
	__u32 device;
	__u32 queue_size;
	__u64 vram_quota;
	__u64 flags;
	__u32 around;
	__u32 pad;
};

/* The engine needs the page writable, not only readable (MIRROR). */
#define HMM_MIRROR_WRITE	(1U << 0)
/* Only what is there now: absent pages are skipped, not faulted in (MIRROR). */
#define HMM_MIRROR_PRESENT	(1U << 1)
/* Leave the faults waiting, for a REPLAY that follows (MIRROR, MIGRATE). */
#define HMM_MIRROR_HOLD		(1U << 2)
/*
 * The engine gets the page for itself until the host touches it, as a device needs
 * for atomics that the bus does not carry (MIRROR). Implies HMM_MIRROR_WRITE.
 */
#define HMM_MIRROR_EXCLUSIVE	(1U << 3)
/* Why (MIRROR, MIGRATE, EVICT): for counters and traces. */
#define HMM_MIRROR_CAUSE_SHIFT	8
#define HMM_MIRROR_CAUSE_MASK	(0xfU << HMM_MIRROR_CAUSE_SHIFT)
#define HMM_MIRROR_CAUSE(cause)	((__u32)(cause) << HMM_MIRROR_CAUSE_SHIFT)

/*
 * Why pages were moved or mapped. A caller may give those up to ROOM (EINVAL for
 * others); the rest are the module's own words.
 */
enum hmm_mirror_cause {
	HMM_MIRROR_CAUSE_REQUEST,	/* the program asked for it, or nothing was said */
	HMM_MIRROR_CAUSE_FAULT,		/* an answer to a device fault */
	HMM_MIRROR_CAUSE_PREFETCH,	/* before anybody asked */
	HMM_MIRROR_CAUSE_THRASH,	/* the page had moved too often */
	HMM_MIRROR_CAUSE_ROOM,		/* to make room for others */
	HMM_MIRROR_CAUSE_CPU,		/* the host touched it */
	HMM_MIRROR_CAUSE_TRIM,		/* TRIM found it to be the least recently used */
	HMM_MIRROR_CAUSE_PEER,		/* another device wants it */
	HMM_MIRROR_CAUSE_UNLOAD,	/* the module goes */
	HMM_MIRROR_CAUSE_SERVICE,	/* the faulting thread served itself */
	HMM_MIRROR_CAUSE_MAX,
};

/* What became of a page (struct hmm_mirror_range.results, MIGRATE). */
enum hmm_mirror_result {
	HMM_MIRROR_RESULT_HOLE,		/* nothing is mapped there */
	HMM_MIRROR_RESULT_MOVED,	/* it is in VRAM now */
	HMM_MIRROR_RESULT_WAS,		/* ... and was there before */
	HMM_MIRROR_RESULT_KIND,		/* memory of a kind that does not move: shared, a
					 * file's own page, or not readable
					 */
	HMM_MIRROR_RESULT_BUSY,		/* pinned, shared in a way that forbids it, or in use */
	HMM_MIRROR_RESULT_NO_VRAM,	/* VRAM is full, or the quota reached */
	HMM_MIRROR_RESULT_ABSENT,	/* swapped out, or changing; MIRROR brings it in */
};

/**
 * struct hmm_mirror_range - MIRROR, MIGRATE, EVICT, REPLAY: a range of the host
 * @start:          (in) first address
 * @size:           (in) bytes
 * @flags:          (in) MIRROR: HMM_MIRROR_WRITE, or HMM_MIRROR_EXCLUSIVE, or
 *                  HMM_MIRROR_PRESENT with or without HMM_MIRROR_WRITE; MIRROR and
 *                  MIGRATE: HMM_MIRROR_HOLD; MIRROR, MIGRATE and EVICT:
 *                  HMM_MIRROR_CAUSE(); else zero
 * @pad:            (in) must be zero
 * @done:           (out) pages, of the system's page size: mapped (MIRROR),
 *                  moved to VRAM (MIGRATE), brought back (EVICT), else zero
 * @left:           (out) pages that were asked for and not done; for MIGRATE also
 *                  holes, and pages that were in VRAM before
 * @results:        (in) MIGRATE: address of an array of one byte per page, which is
 *                  filled with enum hmm_mirror_result if anything was tried; or 0.
 *                  With it, @size is at most 1 GiB.
 *
 * MIRROR makes pages present in the device page table, where they are, and
 * replays the faults in the range. It stops at the first address that cannot be
 * mapped. If anything was done it returns 0, and @left tells; else:
 *   EFAULT: not mapped in the host, or memory that no device may have
 *   EACCES: mapped, without the right that is needed
 *   EBUSY:  the host kept changing the range for a second
 *   ENOMEM
 *
 * With HMM_MIRROR_EXCLUSIVE, the host's own access is taken away as well: its next
 * touch takes the page back from the engine, and the engine faults again. Pages that
 * the engine has in VRAM, or exclusively already, stay as they are. Errors besides:
 *   EOPNOTSUPP: not private anonymous memory, or HMM_MIRROR_CAP_EXCLUSIVE is missing
 *
 * MIGRATE moves anonymous pages of the range to VRAM, those without a page yet and
 * the process's own copies of a file's pages included, maps them and replays the
 * faults in the range. Best effort: pages
 * that are pinned, shared or being used stay where they are, as does everything
 * when VRAM or the quota is full; they count as @left and are not mapped. What is
 * in another device's VRAM comes home first. 2 MiB pages move as such, if VRAM has
 * 2 MiB in a row; everything else moves as 4 KiB pages, as the core kernel wants it.
 * Returns 0 unless nothing could be tried:
 *   EFAULT: not mapped in the host
 *   EOPNOTSUPP: HMM_MIRROR_CAP_MIGRATE is missing
 *   ENOMEM
 *
 * EVICT brings pages of the range home. What was never in VRAM is not counted at
 * all; @left counts pages that could not be moved. Errors as for MIGRATE.
 *
 * REPLAY lets all engine threads that wait in the range try again. No errors of
 * its own.
 */
struct hmm_mirror_range {
	__u64 start;
	__u64 size;
	__u32 flags;
	__u32 pad;
	__u64 done;
	__u64 left;
	__u64 results;
};

/**
 * struct hmm_mirror_fail - HMM_MIRROR_IOC_FAIL: there is nothing at this address
 * @start:          (in) first address
 * @size:           (in) bytes
 *
 * Every engine thread that waits in the range gets SIGSEGV with its address.
 * Threads that come later are new faults.
 */
struct hmm_mirror_fail {
	__u64 start;
	__u64 size;
};

/* Faults go to the pager; this is how every range starts. */
#define HMM_MIRROR_SERVICE_PAGER	0
/* The faulting thread maps the page in place itself; no record is queued. */
#define HMM_MIRROR_SERVICE_KERNEL	1

/**
 * struct hmm_mirror_service - HMM_MIRROR_IOC_SERVICE: who answers faults
 * @start:          (in) first address
 * @size:           (in) bytes; with @start 0 and @size 0, everything
 * @mode:           (in) HMM_MIRROR_SERVICE_*
 * @pad:            (in) must be zero
 *
 * An address that the kernel cannot serve is a fault for the pager after all. The
 * setting belongs to addresses, not to what is mapped there: unmapping does not
 * undo it. Errors: ENOMEM. ENOSPC: there are 4096 separate ranges
 * with in-kernel service already; one call for everything starts anew.
 */
struct hmm_mirror_service {
	__u64 start;
	__u64 size;
	__u32 mode;
	__u32 pad;
};

/* One byte of HMM_MIRROR_IOC_QUERY: what the device page table holds. */
#define HMM_MIRROR_PAGE_PRESENT	(1U << 0)
#define HMM_MIRROR_PAGE_WRITE	(1U << 1)
#define HMM_MIRROR_PAGE_VRAM	(1U << 2)
#define HMM_MIRROR_PAGE_HUGE	(1U << 3)	/* part of a 2 MiB entry */
#define HMM_MIRROR_PAGE_EXCLUSIVE (1U << 4)	/* the host has no access meanwhile */

/*
 * Look in the host's page table, too: a page in VRAM that the device page table
 * does not hold (after fork or mprotect) is HMM_MIRROR_PAGE_VRAM alone.
 */
#define HMM_MIRROR_QUERY_HOST	(1U << 0)

/**
 * struct hmm_mirror_query - HMM_MIRROR_IOC_QUERY: where pages are
 * @start:          (in) first address
 * @size:           (in) bytes, at most 1 GiB
 * @pages:          (in) address of an array of one byte per page, filled with
 *                  HMM_MIRROR_PAGE_*; 0 for a page that the engine would fault on
 * @flags:          (in) HMM_MIRROR_QUERY_HOST or zero
 * @pad:            (in) must be zero
 *
 * The answer may be outdated when it arrives.
 */
struct hmm_mirror_query {
	__u64 start;
	__u64 size;
	__u64 pages;
	__u32 flags;
	__u32 pad;
};

/* Places in struct hmm_mirror_counters.value. Pages are 4 KiB pages. */
enum hmm_mirror_count {
	HMM_MIRROR_COUNT_FAULTS,	/* device faults queued for the pager */
	HMM_MIRROR_COUNT_MERGED,	/* ... that joined one already queued */
	HMM_MIRROR_COUNT_OVERFLOW,	/* ... that found the queue full and waited */
	HMM_MIRROR_COUNT_FAILED,	/* engine threads that got SIGSEGV */
	HMM_MIRROR_COUNT_SERVED,	/* faults served in the kernel */
	HMM_MIRROR_COUNT_INSERTED_4K,	/* entries given to the engine, 4 KiB */
	HMM_MIRROR_COUNT_INSERTED_2M,	/* ... 2 MiB */
	HMM_MIRROR_COUNT_MIRRORED_4K,	/* entries made in the device page table */
	HMM_MIRROR_COUNT_MIRRORED_2M,
	HMM_MIRROR_COUNT_INVALIDATIONS,	/* callbacks of the host that found entries */
	HMM_MIRROR_COUNT_INVALIDATED,	/* pages they took away */
	HMM_MIRROR_COUNT_TO_VRAM_4K,	/* pages moved by MIGRATE */
	HMM_MIRROR_COUNT_TO_VRAM_2M,	/* ... folios */
	HMM_MIRROR_COUNT_CPU_FAULTS,	/* touches of VRAM pages by the host */
	HMM_MIRROR_COUNT_CPU_4K,	/* pages they brought back */
	HMM_MIRROR_COUNT_CPU_2M,	/* ... folios */
	HMM_MIRROR_COUNT_EVICT_4K,	/* pages brought back by EVICT */
	HMM_MIRROR_COUNT_EVICT_2M,	/* ... folios */
	HMM_MIRROR_COUNT_STAYED,	/* pages that MIGRATE could not move */
	HMM_MIRROR_COUNT_NO_VRAM,	/* ... for lack of VRAM or quota */
	HMM_MIRROR_COUNT_VRAM_PAGES,	/* pages in VRAM now */
	HMM_MIRROR_COUNT_NS_TO_VRAM,	/* nanoseconds spent in MIGRATE */
	HMM_MIRROR_COUNT_NS_CPU,	/* ... in bringing pages back for the host */
	HMM_MIRROR_COUNT_NS_EVICT,
	HMM_MIRROR_COUNT_SERVED_WRITE,	/* of _SERVED: faults that were writes */
	HMM_MIRROR_COUNT_SERVED_PAGES,	/* pages mapped by _SERVED */
	HMM_MIRROR_COUNT_SERVED_PAGES_WRITE, /* ... by _SERVED_WRITE */
	HMM_MIRROR_COUNT_NS_SERVED,	/* nanoseconds spent in _SERVED */
	HMM_MIRROR_COUNT_NS_SERVED_WRITE, /* ... in _SERVED_WRITE */
	HMM_MIRROR_COUNT_MAX,
};

/**
 * struct hmm_mirror_counters - HMM_MIRROR_IOC_COUNTERS: what happened so far
 * @value:          (out) by enum hmm_mirror_count, since registration
 *
 * Newer modules may have more; by the rules above the caller's size decides.
 */
struct hmm_mirror_counters {
	__u64 value[HMM_MIRROR_COUNT_MAX];
};

/* What was done to pages. */
enum hmm_mirror_way {
	HMM_MIRROR_WAY_TO_VRAM,		/* moved there */
	HMM_MIRROR_WAY_HOME,		/* moved to system memory */
	HMM_MIRROR_WAY_MAPPED,		/* entered in the device page table, where they are */
	HMM_MIRROR_WAY_EXCLUSIVE,	/* ... for the engine alone */
	HMM_MIRROR_WAY_MAX,
};

/* Sizes of what was moved or mapped at a time. */
enum hmm_mirror_size {
	HMM_MIRROR_SIZE_4K,		/* a page */
	HMM_MIRROR_SIZE_64K,		/* 16 pages, aligned, together */
	HMM_MIRROR_SIZE_2M,		/* a huge page, or a 2 MiB entry */
	HMM_MIRROR_SIZE_MAX,
};

/**
 * struct hmm_mirror_move - a line of struct hmm_mirror_moves
 * @count:          units of that size
 * @bytes:          their sum
 * @ns:             nanoseconds spent on them. The time of a call that moved several
 *                  sizes is divided by bytes; of one that moved nothing, it is lost.
 */
struct hmm_mirror_move {
	__u64 count;
	__u64 bytes;
	__u64 ns;
};

/**
 * struct hmm_mirror_moves - HMM_MIRROR_IOC_MOVES: what was moved and mapped, and why
 * @move:           (out) by enum hmm_mirror_way, _cause and _size, since registration
 *
 * Totals of a device, over all registrations, are in debugfs: hmm_mirror/vramN.
 */
struct hmm_mirror_moves {
	struct hmm_mirror_move move[HMM_MIRROR_WAY_MAX][HMM_MIRROR_CAUSE_MAX]
				   [HMM_MIRROR_SIZE_MAX];
};

/**
 * struct hmm_mirror_trim - HMM_MIRROR_IOC_TRIM: bring the least recently used home
 * @size:           (in) bytes of this registration's VRAM to make free
 * @done:           (out) bytes that came home. Less than @size if there was no more, or
 *                  some is pinned or in use; more by less than 2 MiB if the last was a
 *                  huge page.
 *
 * Goes by 2 MiB blocks of VRAM, those first that no engine has faulted on for longest.
 * Pages that children of the host share come home as well. EINVAL: size is no multiple
 * of the page size. EOPNOTSUPP: HMM_MIRROR_CAP_MIGRATE is missing. ENOMEM.
 */
struct hmm_mirror_trim {
	__u64 size;
	__u64 done;
};

/* How the engine touched the address. */
#define HMM_MIRROR_ACCESS_READ	0
#define HMM_MIRROR_ACCESS_WRITE	1

/**
 * struct hmm_mirror_fault - one record of read(); answered by the ioctls above
 * @address:        page that the engine touched
 * @id:             counts up with every record of this registration
 * @time:           when, nanoseconds of CLOCK_MONOTONIC
 * @access:         HMM_MIRROR_ACCESS_*
 * @unit:           the engine's thread that touched it first (its tid in the
 *                  reader's pid namespace, 0 if it has none there)
 *
 * read() returns whole records, as many as there are and fit; it waits for the
 * first one unless the descriptor is O_NONBLOCK (EAGAIN). That should be used with
 * poll(): a record that is there may be gone when it is to be read, because another
 * thread has answered it, or its threads have died. Touches of one page are
 * one record until it is answered; if a write joins a read that was given out
 * already, the page is given out again. EINVAL: room for less than one record.
 * ENXIO and EPERM as for ioctls; poll() says POLLHUP when the process ended.
 */
struct hmm_mirror_fault {
	__u64 address;
	__u64 id;
	__u64 time;
	__u32 access;
	__u32 unit;
};

/* What a struct hmm_mirror_event is about. */
#define HMM_MIRROR_EVENT_FAULT	0	/* the engine waits for an answer */
#define HMM_MIRROR_EVENT_TOUCH	1	/* the host touched pages in VRAM: they came home */
#define HMM_MIRROR_EVENT_UNMAP	2	/* the host gave pages up that were mirrored */

/**
 * struct hmm_mirror_event - one record of read() with HMM_MIRROR_REGISTER_EVENTS
 * @type:           HMM_MIRROR_EVENT_*
 * @access:         FAULT: HMM_MIRROR_ACCESS_*
 * @start:          FAULT: page that the engine touched; else first address
 * @size:           bytes
 * @time:           when, nanoseconds of CLOCK_MONOTONIC; of several, the last
 * @id:             FAULT: as in struct hmm_mirror_fault
 * @unit:           FAULT: likewise
 * @count:          how many events this record stands for
 * @pages:          TOUCH: pages that came home
 * @ns:             TOUCH: nanoseconds that it took
 *
 * TOUCH and UNMAP have happened and wait for nobody: they are for the pager's
 * books. So they do not make the descriptor readable for poll(), but are returned
 * before the faults. UNMAP is munmap(),
 * mremap(), MADV_DONTNEED and the like, reclaim too, of pages in the device page
 * table, and munmap() of addresses with HMM_MIRROR_SERVICE_KERNEL.
 *
 * There are as many records for them as for faults. Events of one type that touch
 * are one record; when the records are used up, further ones of a type are one
 * record over all their addresses. None is lost.
 */
struct hmm_mirror_event {
	__u32 type;
	__u32 access;
	__u64 start;
	__u64 size;
	__u64 time;
	__u64 id;
	__u32 unit;
	__u32 count;
	__u64 pages;
	__u64 ns;
};

#define HMM_MIRROR_IOC_BASE	0xd3

#define HMM_MIRROR_IOC_INFO	_IOR(HMM_MIRROR_IOC_BASE, 0x00, struct hmm_mirror_info)
#define HMM_MIRROR_IOC_REGISTER	_IOW(HMM_MIRROR_IOC_BASE, 0x01, struct hmm_mirror_register)
/*
 * Returns a new descriptor (close-on-exec) for the engine to map, or EMFILE,
 * ENFILE, ENOMEM. All of them show the same device page table.
 *
 * mmap() of it: MAP_SHARED (EINVAL), not PROT_EXEC (EPERM); the offset is the host's
 * address, and no part of the mapping may be beyond what a process can have (EINVAL).
 * EDEADLK: the caller is a registered host. ENXIO: the host ended. The
 * mapping is not inherited by fork and cannot be read through ptrace.
 */
#define HMM_MIRROR_IOC_ENGINE	_IO(HMM_MIRROR_IOC_BASE, 0x02)
#define HMM_MIRROR_IOC_MIRROR	_IOWR(HMM_MIRROR_IOC_BASE, 0x03, struct hmm_mirror_range)
#define HMM_MIRROR_IOC_MIGRATE	_IOWR(HMM_MIRROR_IOC_BASE, 0x04, struct hmm_mirror_range)
#define HMM_MIRROR_IOC_EVICT	_IOWR(HMM_MIRROR_IOC_BASE, 0x05, struct hmm_mirror_range)
#define HMM_MIRROR_IOC_REPLAY	_IOWR(HMM_MIRROR_IOC_BASE, 0x06, struct hmm_mirror_range)
#define HMM_MIRROR_IOC_FAIL	_IOW(HMM_MIRROR_IOC_BASE, 0x07, struct hmm_mirror_fail)
#define HMM_MIRROR_IOC_SERVICE	_IOW(HMM_MIRROR_IOC_BASE, 0x08, struct hmm_mirror_service)
#define HMM_MIRROR_IOC_QUERY	_IOWR(HMM_MIRROR_IOC_BASE, 0x09, struct hmm_mirror_query)
#define HMM_MIRROR_IOC_COUNTERS	_IOR(HMM_MIRROR_IOC_BASE, 0x0a, struct hmm_mirror_counters)
#define HMM_MIRROR_IOC_TRIM	_IOWR(HMM_MIRROR_IOC_BASE, 0x0b, struct hmm_mirror_trim)
#define HMM_MIRROR_IOC_MOVES	_IOR(HMM_MIRROR_IOC_BASE, 0x0c, struct hmm_mirror_moves)

#endif
