/* SPDX-License-Identifier: MIT */
/*
 * The window: the one address range that belongs to the engine, at the same address in host and engine. One sparse memfd
 * backs it, mapped by both, so everything in it (engine image, command rings, argument blocks, stacks, kernel code) is
 * shared memory that never faults through a mirror. The host reserves the range, so nothing of the host's is ever there.
 *
 * Layout is fixed at creation (struct mcl_window_layout); what is inside each part belongs to engine/.
 * Executable parts are mapped read-execute in the window; they are written through mcl_window_alias() (W^X).
 */
#ifndef MCL_WINDOW_H
#define MCL_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "support/log.h"

/* Conventional base; another is taken when something (a sanitizer's heap, say) is already there. */
#define MCL_WINDOW_BASE 0x600000000000ull

/* Offsets and sizes in bytes, all multiples of 4096. */
struct mcl_window_layout {
	uint64_t image_offset, image_size; /* the engine's own code (RX) and data (RW), as its program headers say */
	uint64_t control_offset, control_size; /* struct mcl_engine_control and rings: RW */
	uint64_t heap_offset, heap_size; /* large argument blocks and the like: RW */
	uint64_t code_offset, code_size; /* kernel code: RX by default, data pages RW */
	uint64_t stacks_offset, stacks_size; /* stacks and local memory of the compute units: RW */
	uint64_t total_size;
};

struct mcl_window {
	uint64_t base;
	int memfd;
	struct mcl_window_layout layout;
};

/*
 * Reserve and map the window of @layout in this process (excluded from fork with MADV_DONTFORK). Code and image are mapped
 * PROT_NONE until their owner maps them. Returns 0, -ENOMEM, or the -errno of memfd_create, ftruncate, mmap.
 */
int mcl_window_create(const struct mcl_window_layout *layout, struct mcl_window *out, struct mcl_reason *why);
void mcl_window_destroy(struct mcl_window *w);

/* A second, writable mapping of [offset, offset+size) for loading code; munmap() it afterwards. NULL and errno on failure. */
void *mcl_window_alias(const struct mcl_window *w, uint64_t offset, uint64_t size);

#endif
