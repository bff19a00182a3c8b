/* SPDX-License-Identifier: MIT */
/*
 * How a work-group function is called: the convention of POCL 6.0's CPU compiler (MCL_CO_ABI_POCL_6_0), in our words.
 *
 *   void f(uint8_t **args, struct mcl_wg_context *ctx, uint64_t gx, uint64_t gy, uint64_t gz)
 *
 * One call runs every work-item of the group (gx, gy, gz).
 *
 * args[i] is the address of the bytes of argument i: of the value itself, or, for __global and __constant pointers, of
 * eight bytes that hold the pointer. A sampler is eight bytes of value; an image is eight bytes that hold the address of
 * its descriptor. Each __local argument is the address of eight bytes that hold the address of a block of local memory,
 * which the caller provides; after the declared arguments follow, in the same way, the automatic __local variables in the
 * order of the code object's locals table. Values are aligned to their size (up to 128 bytes), local blocks to 128 bytes.
 * The function reads this table and does not write it, so several units may share one where no local memory is involved.
 *
 * The caller sets the default rounding mode, all exceptions masked, denormals kept (MXCSR 0x1f80) before each group.
 *
 * Device printf either calls write(1, ...) at once (as Debian builds POCL) or appends to ctx->printf_buffer, which the
 * caller then writes out after the group; both are served.
 */
#ifndef MCL_WG_ABI_H
#define MCL_WG_ABI_H

#include <stdint.h>

struct mcl_wg_context {
	uint64_t num_groups[3];
	uint64_t global_offset[3];
	uint64_t local_size[3];
	uint64_t printf_buffer; /* address of printf_capacity bytes */
	uint64_t printf_position; /* address of a uint32_t: bytes used */
	uint32_t printf_capacity;
	uint32_t reserved;
	uint64_t global_vars; /* address of the program-scope variables */
	uint32_t work_dim;
	uint32_t reserved2;
};

typedef void mcl_wg_function(uint8_t **args, struct mcl_wg_context *ctx, uint64_t gx, uint64_t gy, uint64_t gz);

#define MCL_WG_LOCAL_ALIGN 128

#endif
