/* SPDX-License-Identifier: MIT */
/*
 * Inside the engine: what its files share with each other. Freestanding, no C library, no thread-local storage: a unit
 * finds itself by its stack.
 */
#ifndef MCL_ENGINE_H
#define MCL_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/control.h"

/* The signal that takes a unit out of a packet that failed on another unit. Real-time, so nothing else uses it. */
#define MCL_ABORT_SIGNAL 40

extern struct mcl_engine_image mcl_image;

static inline struct mcl_engine_control *mcl_control(void)
{
	return (struct mcl_engine_control *)mcl_image.control;
}

/* The unit that this code runs on, on its ordinary or its signal stack. */
static inline struct mcl_cu *mcl_self(void)
{
	struct mcl_engine_control *c = mcl_control();
	uint64_t sp = (uint64_t)__builtin_frame_address(0);

	return (struct mcl_cu *)c->cus + (sp - c->stacks) / c->cu_stride;
}

static inline struct mcl_command_ring *mcl_ring_at(struct mcl_engine_control *c, uint32_t index)
{
	return (struct mcl_command_ring *)c->rings + index;
}

static inline uint64_t mcl_ticks(void)
{
	return __builtin_ia32_rdtsc();
}

static inline void mcl_relax(void)
{
	__builtin_ia32_pause();
}

/*
 * start.S: run fn(arg), on a stack of its own if the guard has one, so that an abort makes this return 1 instead of 0. What fn()
 * does to its stack is found when it returns, if not before: by the instruction at mcl_guard_smashed, which cannot be executed.
 */
int mcl_guarded(struct mcl_guard *guard, void (*fn)(void *), void *arg);
_Noreturn void mcl_guard_smashed(void);
/* start.S: where aborted code goes on; the guard's address in rdi. */
extern const char mcl_guard_landing[];
/* start.S: end the guarded call now, from within it. */
_Noreturn void mcl_guard_leave(struct mcl_guard *guard);
/* start.S: clone() a thread that runs fn(arg) on @stack and never returns. Returns its id or a negative errno. */
long mcl_thread_start(unsigned long flags, uint64_t stack, void (*fn)(void *), void *arg);
/* start.S: the signal handler's entry, and the way back from it. */
void mcl_signal_entry(int signo, void *info, void *context);
void mcl_signal_return(void);

/* abort.c: catch the signals of failing kernels; once in each thread for the stack, once for the process. */
long mcl_signals_install(void);
long mcl_signals_thread(struct mcl_cu *cu);
void mcl_signal_handle(int signo, void *info, void *context);
/*
 * The unit's guarded call was cut short. Fail packet @p if this unit is the one that faulted: set its status, claim what
 * nobody has claimed yet, interrupt the other units that run it, report it. Returns the number of groups so claimed.
 */
uint64_t mcl_abort_packet(struct mcl_cu *cu, struct mcl_packet *p);

/* work.c: run groups [first, first + count) of a packet. Called through mcl_guarded(). */
struct mcl_work {
	struct mcl_cu *cu;
	struct mcl_packet *packet;
	uint64_t first, count;
	uint8_t **args; /* KERNEL: argument table of this unit */
	struct mcl_work *self;
	uint64_t end; /* first + count */
	struct mcl_wg_context context;
};
/* Get ready for @w->packet, outside the guard (touches only the window). */
void mcl_work_prepare(struct mcl_work *w);
void mcl_work_run(void *work);

/* claim.c: groups of a packet for one unit to run. */
struct mcl_claim {
	uint64_t first, count; /* the groups */
	uint64_t from, taken; /* what they count as: groups [from, from + taken) of the packet's cursor */
};
/* How many groups a unit takes at once. */
uint64_t mcl_pace_begin(const struct mcl_engine_control *c, struct mcl_cu *cu, const struct mcl_packet *p);
/* The @count groups of the last claim took @ticks. Returns the new pace. */
uint64_t mcl_pace_learn(const struct mcl_engine_control *c, uint64_t most, uint64_t count, uint64_t ticks);
/* Remember for the next launch: @count groups, not 0, took @ticks in all. */
void mcl_pace_end(struct mcl_cu *cu, const struct mcl_packet *p, uint64_t count, uint64_t ticks);
/* Claim at most @most groups of packet @seq, or a range of it. Returns false if there are none left. */
bool mcl_claim(struct mcl_engine_control *c, struct mcl_cu *cu, struct mcl_packet *p, uint64_t seq, uint64_t most,
	       struct mcl_claim *out);

static inline bool mcl_has_tag(uint64_t cursor, uint64_t seq)
{
	return (cursor ^ MCL_CURSOR_TAG(seq)) >> MCL_CURSOR_GROUP_BITS == 0;
}

/* unit.c: a compute unit's life. */
_Noreturn void mcl_unit_main(struct mcl_cu *cu);

/* hostcall.c: ask the host's service thread. */
void mcl_hostcall(struct mcl_cu *cu, uint32_t op);
void mcl_host_bell(struct mcl_engine_control *c);
long mcl_kernel_write(int fd, const void *data, size_t size);

/* format.c */
int mcl_kernel_snprintf(char *out, size_t size, const char *format, ...);

/* string.c */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
