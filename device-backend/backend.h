/* SPDX-License-Identifier: MIT */
/*
 * The device as the runtime sees it: rings that take packets, memory, code. The only header of device-backend/ that
 * runtime/ includes, beside compiler/ and support/. It knows no OpenCL object and shows nothing of mirrors or page faults
 * except counters.
 *
 * Life: mcl_backend_open() starts the device process (the engine) and the threads that serve it; the last
 * mcl_backend_put() ends them. If the engine dies, every unfinished packet completes with MCL_STATUS_LOST and the backend
 * stays dead; a new mcl_backend_open() gets a new engine. After fork() the child's copy is dead from the start.
 *
 * Locks: every function is thread-safe unless it says otherwise; calls on one ring are serialised by the caller (the
 * queue's lock) except mcl_ring_state(), mcl_ring_status(), mcl_ring_wait(), mcl_ring_hurry(), mcl_ring_abort() and
 * mcl_ring_notify(), which need no lock.
 */
#ifndef MCL_BACKEND_H
#define MCL_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler/code_object.h"
#include "support/log.h"

struct mcl_backend;
struct mcl_ring;
struct mcl_program_code;

/* ---- the device ---- */

/* What can be said of the device without starting it. */
struct mcl_backend_caps {
	char mirror[16]; /* which one mcl_backend_open() would take: "shared", "uffd", "hmm"; empty: none can run */
	struct mcl_reason limited; /* why the device is limited or not available; empty if nothing is wrong */
	bool available; /* mcl_backend_open() can be expected to work */
	bool system_svm; /* any host pointer is valid on the device */
	bool svm_atomics;
	uint32_t compute_units;
	uint64_t global_mem_size; /* bytes: system memory */
	uint64_t vram_size; /* bytes; 0 on mirrors that do not migrate */
	uint64_t local_mem_size; /* bytes for one work-group */
	uint64_t max_alloc_size;
	uint64_t max_param_size; /* bytes of all arguments of a kernel */
	uint64_t max_work_group_size;
	uint64_t printf_buffer_size;
	uint64_t max_global_variable_size;
	uint32_t cacheline_size;
	uint64_t cache_size;
	uint32_t clock_mhz;
};

/* Fill @caps. Starts no process and no thread; probes are cached. */
void mcl_backend_query(struct mcl_backend_caps *caps);

/*
 * The living backend of this process, started if there is none. One reference for the caller.
 * Returns 0; -ENODEV: the chosen mirror cannot run here; -ENOMEM, -EAGAIN (process limit) and other -errno of starting
 * the engine. @why says it in a sentence.
 */
int mcl_backend_open(struct mcl_backend **out, struct mcl_reason *why);
struct mcl_backend *mcl_backend_get(struct mcl_backend *b);
/* Drop a reference; the last one stops the engine and its threads. Not from the notify callback. NULL is allowed. */
void mcl_backend_put(struct mcl_backend *b);
/* False once the engine has died, or in the child of a fork. */
bool mcl_backend_alive(const struct mcl_backend *b);

/*
 * Called on the backend's service thread, without locks, each time something happened that mcl_ring_notify() asked for,
 * and once when the engine dies. One callback for a process; set before the first packet. It may call any ring function
 * that does not wait. Spurious calls are allowed.
 */
void mcl_backend_set_notify(struct mcl_backend *b, void (*fn)(void *ctx), void *ctx);

/* Make the notify callback run soon (from any thread), for work that must be done on the service thread. */
void mcl_backend_kick(struct mcl_backend *b);

/* Nanoseconds of the device's clock now, the one that packet timestamps use; equals CLOCK_MONOTONIC to within 1 us or so. */
uint64_t mcl_backend_clock_ns(void);

/* ---- memory ---- */

/*
 * Memory that host and device share at one address, zeroed, @align a power of two (0: the default of 128). Released with
 * mcl_svm_free(). Returns NULL when memory is short (errno ENOMEM). On mirrors with page faults this is memory that is coherent
 * from the start (never migrates by itself unless asked), so atomics between host and device are cheap.
 */
void *mcl_svm_alloc(struct mcl_backend *b, size_t size, size_t align);
void mcl_svm_free(struct mcl_backend *b, void *ptr, size_t size);

/* A hint: move [ptr, ptr+size) to device memory or back. Never fails visibly; does nothing where nothing migrates. */
void mcl_svm_migrate(struct mcl_backend *b, const void *ptr, size_t size, bool to_host);

/* ---- code ---- */

/*
 * Place a code object in the engine's window, relocate it, seal it, initialise its program-scope variables.
 * Takes its own reference to @co. Returns 0; -ENOMEM: no memory or no room in the window; -EBADMSG: bad relocation;
 * -ENODEV: backend dead.
 */
int mcl_program_load(struct mcl_backend *b, struct mcl_code_object *co, struct mcl_program_code **out,
		     struct mcl_reason *why);
/* The caller guarantees that no packet in flight uses it. NULL is allowed. */
void mcl_program_unload(struct mcl_program_code *code);

/* Kinds of functions that a kernel may have, which do the same and differ in speed. */
enum mcl_variant {
	MCL_VARIANT_GENERIC, /* for any local size and offset, or for the one that the source demands */
	MCL_VARIANT_SPECIALISED, /* for one local size, without a global offset */
	MCL_VARIANT_JAMMED, /* the same, with loops that work-items share */
	MCL_VARIANT_COUNT,
};

/*
 * Add the functions in @co, another build of the same program or of a part of it, to a loaded program, for later
 * launches. @co may be partial (code_object.h), and so may what the program was loaded with.
 * May be called from any thread while kernels run. Returns as mcl_program_load().
 */
int mcl_program_add_variants(struct mcl_program_code *code, struct mcl_code_object *co, struct mcl_reason *why);

/* ---- packets ---- */

/* How a packet ended. Negative values abort the event with the CL code in the comment. */
enum mcl_status {
	MCL_STATUS_OK = 0,
	MCL_STATUS_LOST = -1, /* the engine died: CL_DEVICE_NOT_AVAILABLE */
	MCL_STATUS_FAULT = -2, /* bad address: CL_OUT_OF_RESOURCES */
	MCL_STATUS_TRAP = -3, /* illegal instruction, division by zero, misaligned: CL_OUT_OF_RESOURCES */
	MCL_STATUS_RESOURCES = -4, /* stack or local memory did not fit: CL_OUT_OF_RESOURCES */
};

enum mcl_packet_state {
	MCL_PACKET_QUEUED,
	MCL_PACKET_RUNNING,
	MCL_PACKET_COMPLETE,
};

/* What is known of a packet; times are mcl_backend_clock_ns(), 0 until they happened. */
struct mcl_packet_result {
	enum mcl_packet_state state;
	enum mcl_status status;
	uint64_t start_ns, end_ns;
};

enum mcl_packet_flags {
	MCL_PACKET_BARRIER = 1, /* starts after every earlier packet of its ring has completed */
};

/*
 * A ring: packets start in order of submission, and with MCL_PACKET_BARRIER on each of them they also run one after the
 * other, without the host in between. Packets of different rings are independent. There may be more rings than the engine
 * has; then some share one, which may delay but never reorders.
 * Returns 0, -ENOMEM, -ENODEV (dead).
 */
int mcl_ring_create(struct mcl_backend *b, struct mcl_ring **out);
/* The caller has seen every packet complete. NULL is allowed. */
void mcl_ring_destroy(struct mcl_ring *ring);

struct mcl_arg {
	const void *
		value; /* @size bytes, copied; a pointer argument's value is the address itself (8 bytes). NULL for LOCAL */
	size_t size; /* for LOCAL: bytes of local memory */
};

struct mcl_launch {
	struct mcl_program_code *code;
	uint32_t kernel; /* index in the code object's kernel table */
	uint32_t work_dim;
	uint64_t global_offset[3];
	uint64_t num_groups[3]; /* >= 1 each */
	uint64_t local_size[3]; /* >= 1 each */
	const struct mcl_arg *args; /* one for each argument of the kernel */
	enum mcl_variant variant; /* a wish; one that is there and fits is taken anyway */
};

/*
 * Every submission: on success *@seq is the packet's number in this ring and the packet may already run.
 * Returns 0; -EAGAIN: the ring is full: retire completed packets, wait for the oldest, try again (with none of its own
 * in flight, on a ring that shares: the notify callback runs when there is room); -ENODEV: backend dead; -E2BIG:
 * arguments or group count too large, or no function for this local size; -ENOSPC: local memory needed exceeds the device's; -ENOMEM.
 */
int mcl_ring_launch(struct mcl_ring *ring, const struct mcl_launch *launch, uint32_t flags, uint64_t *seq,
		    struct mcl_reason *why);

/* A box copy: @region[0] bytes a row, rows, slices; strides in bytes. Overlap within one packet is undefined. */
struct mcl_copy {
	void *dst;
	const void *src;
	uint64_t region[3];
	uint64_t dst_row, dst_slice, src_row, src_slice;
};
int mcl_ring_copy(struct mcl_ring *ring, const struct mcl_copy *copy, uint32_t flags, uint64_t *seq);

/* Fill @size bytes with a pattern of @pattern_size bytes (1 to 128, a power of two that divides @size). */
int mcl_ring_fill(struct mcl_ring *ring, void *dst, uint64_t size, const void *pattern, uint32_t pattern_size,
		  uint32_t flags, uint64_t *seq);

/* Nothing but an entry in the order: markers and barriers. */
int mcl_ring_nop(struct mcl_ring *ring, uint32_t flags, uint64_t *seq);

/*
 * A packet that has been submitted and not yet retired. After it is seen COMPLETE everything it wrote is visible to the
 * caller and its printf output is on stdout.
 */
void mcl_ring_state(struct mcl_ring *ring, uint64_t seq, struct mcl_packet_result *out);

/*
 * The engine may let packets pile up for some microseconds when nobody waits for them: do not. What mcl_ring_wait() does by
 * itself; for those who look again and again.
 */
void mcl_ring_hurry(struct mcl_ring *ring);

/* The same as mcl_ring_state() without the times, which are 0: they are dearer than all the rest. */
void mcl_ring_status(struct mcl_ring *ring, uint64_t seq, struct mcl_packet_result *out);

/*
 * Wait until packet @seq is complete or the engine is dead (then it is complete, LOST). Spins MIRRORCL_SPIN_US, then
 * sleeps. @timeout_ns: UINT64_MAX waits for ever. Returns 0 or -ETIMEDOUT.
 */
int mcl_ring_wait(struct mcl_ring *ring, uint64_t seq, uint64_t timeout_ns);

/* Ask for the notify callback when @seq is complete. Returns true if it already is (no callback will come). */
bool mcl_ring_notify(struct mcl_ring *ring, uint64_t seq);

/* What a kernel, a copy or a fill did to be aborted. */
enum mcl_abort_access {
	MCL_ABORT_UNKNOWN, /* no access, or the processor does not tell the address */
	MCL_ABORT_READ,
	MCL_ABORT_WRITE,
	MCL_ABORT_EXECUTE,
};

struct mcl_abort {
	enum mcl_status status;
	enum mcl_abort_access access;
	uint64_t address; /* 0 if the access is unknown */
	uint64_t group[3]; /* the work-group that failed first */
	char text[1024]; /* what was printed of it */
	char kernel[]; /* its name; empty if it was no kernel */
};

/*
 * What is known of packet @seq, which was seen COMPLETE with a status other than OK and LOST, and is not retired. The caller frees
 * it; asked again there is nothing. NULL: there was no memory to note it.
 */
struct mcl_abort *mcl_ring_abort(struct mcl_ring *ring, uint64_t seq);

/* Give the slots of all packets up to and including @seq back; each of them was seen COMPLETE. */
void mcl_ring_retire(struct mcl_ring *ring, uint64_t seq);

/* ---- counters ---- */

enum mcl_counter_cause {
	MCL_CAUSE_DEVICE_READ, /* device fault on a read */
	MCL_CAUSE_DEVICE_WRITE,
	MCL_CAUSE_CPU_FAULT, /* host touched a page that was in VRAM */
	MCL_CAUSE_PREFETCH,
	MCL_CAUSE_EVICTION, /* VRAM full */
	MCL_CAUSE_REQUEST, /* the program asked (clEnqueueSVMMigrateMem ...) */
	MCL_CAUSE_PROMOTION, /* page that bounced, now mapped in place */
	MCL_CAUSE_COUNT
};

struct mcl_counters {
	struct {
		uint64_t count; /* events */
		uint64_t pages; /* 4 KiB pages moved or mapped by them */
		uint64_t ns; /* time spent serving them */
	} cause[MCL_CAUSE_COUNT];
	uint64_t kernels, groups; /* work done */
	uint64_t aborts; /* kernels that ended in FAULT or TRAP */
	uint64_t vram_used, vram_peak; /* bytes */
	uint64_t system_pages; /* mapped in place now */
};

/* A consistent-enough snapshot, since the backend was opened. Cheap. */
void mcl_backend_counters(const struct mcl_backend *b, struct mcl_counters *out);

/* The mirror that @b runs on, which need not be the one that mcl_backend_query() would choose now. */
struct mcl_backend_mirror {
	const char *name; /* static */
	bool faults; /* the device has page faults */
	uint64_t vram_size; /* bytes; 0: pages do not migrate */
};
void mcl_backend_mirror(const struct mcl_backend *b, struct mcl_backend_mirror *out);

/* Stable short name of a cause for tables and JSON ("device-read", ...). */
const char *mcl_cause_name(enum mcl_counter_cause cause);

#endif
