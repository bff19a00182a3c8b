/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A rig: the calling process as host, a child as engine, and a pager that runs
 * while the host waits for the engine. The engine maps the device over the *arena*,
 * a range that is empty in both at first and has the same addresses in both.
 *
 * Everything that cannot fail in a working system ends the test if it does.
 */
#ifndef RIG_H
#define RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../hmm_mirror.h"

#define ARENA 0x100000000000ull
#define ARENA_SIZE (1ull << 30)

#define PAGE 4096ul
#define BLOCK (512 * PAGE)
#define ENGINE_THREADS 4

/* What the engine does with [address, address + size). */
enum engine_op {
	ENGINE_READ,	/* one 64-bit word; its value is returned */
	ENGINE_WRITE,	/* one 64-bit word */
	ENGINE_FILL,	/* word i of the range becomes value + i */
	ENGINE_CHECK,	/* returns how many words are not value + i */
	ENGINE_ADD,	/* value times: atomically add 1 to the word */
	ENGINE_BUMP,	/* add value to the word with one instruction that reads, then writes */
	ENGINE_SPRAY,	/* value times: add 1 to a random word of the range */
	ENGINE_TOUCH,	/* reads one word in each value bytes */
	ENGINE_TID,	/* the thread's id */
	ENGINE_REGISTER,/* try to become a host; returns errno */
	ENGINE_FAIL,	/* add 1 to the word; the value-th allocation of the kernel meanwhile */
			/* fails; returns how many were left until that: 0, it has failed */
	ENGINE_EXIT,
};

struct engine_request {
	enum engine_op op;
	uint64_t address, size, value;
};

struct engine_reply {
	int signal;	/* 0, or the signal that ended the operation */
	uint64_t address;	/* ... and its address */
	uint64_t value;
};

struct rig;

/* Answers one fault. */
typedef void (*rig_pager)(struct rig *rig, const struct hmm_mirror_fault *fault);

struct rig {
	int fd;
	int engine_fd;
	pid_t engine;
	int sock[ENGINE_THREADS];
	rig_pager pager;
	unsigned int faults;		/* that the pager read */
	struct hmm_mirror_fault last;
};

/* @reg may be NULL. */
void rig_open(struct rig *rig, const struct hmm_mirror_register *reg);
/* End the engine, close the descriptors, check that nothing stayed in VRAM. */
void rig_close(struct rig *rig);

/* Pagers. */
void pager_mirror(struct rig *rig, const struct hmm_mirror_fault *fault);	/* its page */
void pager_mirror_block(struct rig *rig, const struct hmm_mirror_fault *fault);	/* its 2 MiB */
void pager_migrate(struct rig *rig, const struct hmm_mirror_fault *fault);
void pager_migrate_block(struct rig *rig, const struct hmm_mirror_fault *fault);
void pager_none(struct rig *rig, const struct hmm_mirror_fault *fault);	/* no fault may come */
void pager_ignore(struct rig *rig, const struct hmm_mirror_fault *fault);

/* Start an operation on an engine thread; wait for its reply while serving faults. */
void engine_start(struct rig *rig, unsigned int thread, enum engine_op op, uint64_t address,
		  uint64_t size, uint64_t value);
struct engine_reply engine_finish(struct rig *rig, unsigned int thread);
/* Serve faults for some milliseconds. Returns whether @thread has replied. */
bool engine_poll(struct rig *rig, unsigned int thread, int milliseconds);
/* The same for the faults that are there now. */
bool engine_step(struct rig *rig, unsigned int thread);
struct engine_reply engine_do(struct rig *rig, enum engine_op op, uint64_t address,
			      uint64_t size, uint64_t value);

/* The usual ones; they must not end by a signal. */
uint64_t engine_read(struct rig *rig, const void *address);
void engine_write(struct rig *rig, void *address, uint64_t value);
void engine_fill(struct rig *rig, void *address, uint64_t size, uint64_t value);
uint64_t engine_check(struct rig *rig, const void *address, uint64_t size, uint64_t value);

/* The same on the host. */
void host_fill(void *address, uint64_t size, uint64_t value);
uint64_t host_check(const void *address, uint64_t size, uint64_t value);

void host_spray(void *address, uint64_t size, uint64_t times, unsigned int seed);
uint64_t host_sum(const void *address, uint64_t size);

/* Map anonymous memory at an offset of the arena; flags as for mmap, or 0. */
void *arena_map(uint64_t offset, uint64_t size, int prot, int flags);
/* ... of ordinary pages, or of huge ones, touched. */
void *arena_small(uint64_t offset, uint64_t size);
void *arena_huge(uint64_t offset, uint64_t size);

int rig_range(struct rig *rig, unsigned long request, void *address, uint64_t size,
	      uint32_t flags, struct hmm_mirror_range *out);
uint64_t rig_mirror(struct rig *rig, void *address, uint64_t size, uint32_t flags);
uint64_t rig_migrate(struct rig *rig, void *address, uint64_t size);
uint64_t rig_evict(struct rig *rig, void *address, uint64_t size);
/* Bytes that came home. */
uint64_t rig_trim(struct rig *rig, uint64_t size);
/* Units of that kind so far. */
uint64_t rig_moves(struct rig *rig, enum hmm_mirror_way way, enum hmm_mirror_cause cause,
		   enum hmm_mirror_size size);
void rig_fail(struct rig *rig, void *address, uint64_t size);
void rig_service(struct rig *rig, void *address, uint64_t size, uint32_t mode);
uint64_t rig_count(struct rig *rig, enum hmm_mirror_count which);
/* Wait until it is that many. */
void rig_await(struct rig *rig, enum hmm_mirror_count which, uint64_t n);
/* How many pages of the range have all of these HMM_MIRROR_PAGE_* in the table. */
uint64_t rig_pages(struct rig *rig, void *address, uint64_t size, uint8_t flags);
bool rig_can_migrate(void);
/* rig_open(), or skip the test without device memory. */
void rig_open_vram(struct rig *rig, const struct hmm_mirror_register *reg);

#endif
