/* SPDX-License-Identifier: MIT */
/*
 * Inside the host side of the backend: what its files share. See backend.h for what they do together.
 *
 * Lock order: open lock (backend.c) -> rings_lock -> mcl_hw_ring.lock -> range locks. pager_lock, kill_lock and aborts_lock are
 * taken alone.
 */
#ifndef MCL_BACKEND_PRIVATE_H
#define MCL_BACKEND_PRIVATE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "backend.h"
#include "engine/control.h"
#include "engine/host/range.h"
#include "mirror/mirror.h"
#include "mirror/window.h"

#define MCL_LOCAL_MEM_SIZE (512ull << 10) /* promised to the application */
#define MCL_MAX_PARAM_SIZE 4096ull
#define MCL_MAX_ARG_BLOCK (256ull << 10)
#define MCL_MAX_GLOBAL_VARIABLE_SIZE (64ull << 10)

enum mcl_backend_state {
	MCL_BACKEND_ALIVE,
	MCL_BACKEND_DEAD, /* the engine is reaped; the window is still there */
	MCL_BACKEND_FORKED, /* this is a forked child's copy: no window, no threads */
};

/* What the host remembers of the packet in a slot. */
struct mcl_slot_record {
	struct mcl_ring *owner;
	uint64_t local_seq;
	uint64_t heap_offset, heap_size; /* argument block in the window's heap; size 0: none */
	const struct mcl_program_code *code; /* KERNEL */
	uint32_t kernel; /* index, or UINT32_MAX: initialiser of program-scope variables */
	bool retired;
};

/* A command ring of the engine; one or more struct mcl_ring submit to it. */
struct mcl_hw_ring {
	struct mcl_command_ring *mem;
	uint32_t index, users; /* users: under rings_lock */
	pthread_mutex_t lock; /* the rest; records of packets in flight may be read without */
	uint64_t next; /* sequence number of the next packet */
	uint64_t free_before; /* slots of packets before this may be used again */
	uint64_t head; /* mem->head as read last */
	uint64_t turns; /* bell.turns before mem->head was last read for the bell; UINT64_MAX: says nothing */
	struct mcl_slot_record records[MCL_RING_SLOTS];
};

/* A packet of a ring that is not retired. The slot itself may be gone (.kept) when several rings share one. */
struct mcl_ring_entry {
	_Atomic uint64_t hw_seq;
	_Atomic bool kept;
	struct mcl_packet_result result; /* valid once .kept */
};

struct mcl_ring {
	struct mcl_backend *backend;
	struct mcl_hw_ring *hw;
	uint64_t next, retired; /* own numbers, from 1: next to submit, and all up to .retired are retired */
	struct mcl_ring_entry entries[MCL_RING_SLOTS];
};

struct mcl_backend {
	struct mcl_backend *next; /* all of this process; under the open lock */
	uint32_t refs; /* under the open lock */
	_Atomic int state; /* enum mcl_backend_state */
	struct mcl_window window;
	struct mcl_engine_control *control;
	struct mcl_cu *cus;
	uint32_t cu_count;
	uint32_t wake_most; /* sleeping units that an enqueue wakes (submit.c) */
	struct mcl_spin spin; /* of threads in mcl_ring_wait() */
	const struct mcl_mirror_ops *ops;
	struct mcl_mirror *mirror;
	struct mcl_mirror_params params;

	pthread_rwlock_t pager_lock; /* .pager, .final */
	struct mcl_pager *pager; /* NULL: none, or not any more */
	struct mcl_counters final; /* what the pager had counted when it ended */

	/* threads: see threads.c */
	pthread_t reaper, service;
	bool service_started;
	sem_t started; /* the reaper has tried to start the engine */
	int start_error;
	struct mcl_reason start_why;
	pthread_mutex_t kill_lock; /* .pid, .reaped */
	pid_t pid;
	bool reaped;
	_Atomic bool closing;

	_Atomic(void (*)(void *)) notify_fn;
	_Atomic(void *) notify_ctx;

	pthread_mutex_t rings_lock; /* hw[], users */
	struct mcl_hw_ring *hw[MCL_RINGS]; /* made when first used */
	struct mcl_ring *own; /* for the backend's own packets */
	pthread_mutex_t own_lock;

	struct mcl_range heap, code; /* of the window; offsets relative to the window */

	pthread_mutex_t programs_lock;
	struct mcl_program_code *programs; /* loaded */

	pthread_mutex_t aborts_lock;
	struct mcl_abort_note *aborts; /* that nobody has asked for yet */

	struct mcl_svm_pool *svm; /* small blocks on mirrors with faults; NULL otherwise */
};

static inline int mcl_backend_state(const struct mcl_backend *b)
{
	return atomic_load_explicit(&((struct mcl_backend *)b)->state, memory_order_acquire);
}

static inline struct mcl_command_ring *mcl_backend_ring(struct mcl_backend *b, uint32_t index)
{
	return (struct mcl_command_ring *)(uintptr_t)b->control->rings + index;
}

/* ---- layout.c: the window and what is in it before the engine starts ---- */
int mcl_layout_create(struct mcl_backend *b, struct mcl_reason *why);

/* ---- image.c: the engine's own program ---- */
struct mcl_engine_file {
	const uint8_t *bytes;
	size_t size;
	uint64_t memory; /* bytes of the window it needs, whole pages */
};
int mcl_image_open(struct mcl_engine_file *out, struct mcl_reason *why);
/*
 * Copy the program to window.layout.image_offset, relocated, and add its parts to control->maps. *@image: address of its struct
 * mcl_engine_image in the window. Protects this process's mapping as well.
 */
int mcl_image_load(const struct mcl_engine_file *file, struct mcl_backend *b, uint64_t *image, struct mcl_reason *why);

/* ---- threads.c: the two threads of a backend ---- */
int mcl_threads_start(struct mcl_backend *b, struct mcl_reason *why);
void mcl_threads_stop(struct mcl_backend *b);
/* If the engine has died and the reaper has not got round to it yet, wait until it has. */
void mcl_threads_settle(struct mcl_backend *b);

/* ---- service.c: what the service thread does for the units ---- */
void mcl_service_calls(struct mcl_backend *b);

/* ---- fault_report.c ---- */
void mcl_fault_report(struct mcl_backend *b, const struct mcl_cu_fault *fault);

/* ---- abort_note.c: what mcl_ring_abort() will answer ---- */
/* @abort, malloc'd, belongs to the list from here on. Before the packet is complete. */
void mcl_abort_keep(struct mcl_backend *b, const struct mcl_ring *ring, uint64_t seq, struct mcl_abort *abort);
void mcl_aborts_forget(struct mcl_backend *b, const struct mcl_ring *ring); /* the ring goes */
void mcl_aborts_free(struct mcl_backend *b); /* the backend goes */

/* ---- clock.c: the engine's clock ---- */
/* Whether the engine may use the TSC as its clock. */
bool mcl_clock_use_tsc(void);
uint64_t mcl_clock_ticks_per_us(void);
/* A time stamp of the engine in ns of mcl_backend_clock_ns(); 0 stays 0. */
uint64_t mcl_clock_ns(uint64_t ticks);
void mcl_clock_init(void);

/* ---- ring.c ---- */
/* For mcl_backend_put(): all rings and records. */
void mcl_rings_free(struct mcl_backend *b);
/* Wake every thread in mcl_ring_wait(): the state has changed. */
void mcl_rings_wake_all(struct mcl_backend *b);

/* ---- submit.c ---- */
/* Run one work-item of a work-group function at @entry, with no arguments, and wait. Returns its status or -ENODEV ... */
int mcl_submit_initializer(struct mcl_backend *b, const struct mcl_program_code *code, uint64_t entry, uint64_t vars);
/* Change the protection of [offset, offset + size) of the window in the engine, and wait. */
int mcl_submit_protect(struct mcl_backend *b, uint64_t offset, uint64_t size, int prot);

/* ---- loader.c ---- */
/* A code object in the window. */
struct mcl_loaded {
	struct mcl_loaded *next;
	struct mcl_code_object *co;
	uint64_t offset, size; /* all images, in the window */
	uint64_t *image_base; /* address of each image */
};

/* More functions for a kernel. */
struct mcl_piece {
	struct mcl_piece *next;
	const struct mcl_loaded *loaded;
	const struct mcl_co_kernel *kernel; /* of that code object */
};

struct mcl_program_code {
	struct mcl_backend *backend;
	struct mcl_program_code *next, *prev; /* under programs_lock */
	struct mcl_loaded first; /* describes the kernels; with code or without */
	_Atomic(struct mcl_loaded *) more; /* newest first */
	_Atomic(struct mcl_piece *) *pieces; /* one list for each kernel, newest first */
	void *vars; /* program-scope variables, NULL if none */
	uint64_t vars_size;
};

/* Entry point for a launch: the variant that it wishes for, or one that fits. 0: none does. */
uint64_t mcl_program_entry(const struct mcl_program_code *code, const struct mcl_launch *launch);

/* ---- svm.c ---- */
int mcl_svm_init(struct mcl_backend *b);
void mcl_svm_destroy(struct mcl_backend *b);

/* ---- thread sanitizer: it sees only the host's half of the protocol ---- */
#if defined(__SANITIZE_THREAD__)
#define MCL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MCL_TSAN 1
#endif
#endif
#ifdef MCL_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define mcl_tsan_acquire(p) __tsan_acquire(p)
#define mcl_tsan_release(p) __tsan_release(p)
#else
#define mcl_tsan_acquire(p) ((void)(p))
#define mcl_tsan_release(p) ((void)(p))
#endif

#endif
