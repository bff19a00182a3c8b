/* SPDX-License-Identifier: MIT */
/*
 * The code object: what mirrorcl-cc makes of an OpenCL program, what the cache stores, what clGetProgramInfo returns
 * as the program's binary and what the loader places in the engine's window.
 *
 * Format (all integers little endian, all offsets from the start of the file, every table 8-byte aligned):
 *
 *   header | kernels | variants | arguments | local sizes | images | segments | relocations | strings | image data
 *
 * An *image* is one position-independent piece of native code: a block of memory of .mem_size bytes made of
 * page-aligned segments, with relocations that the loader applies. A *kernel* has one or more *variants* (the generic
 * work-group function, or one specialised for a local size), each an entry point in an image.
 *
 * A *partial* code object describes all kernels but has no variants for some, or all, of them: the compiler makes a
 * kernel's code when the kernel is used, and each piece is a code object of its own. The program's binary is always whole.
 *
 * The digest in the header is SHA-256 over everything after the header, so a torn or corrupt file is never used.
 * Version or ABI unknown: refused by mcl_code_object_parse() with a sentence that says so.
 */
#ifndef MCL_CODE_OBJECT_H
#define MCL_CODE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/log.h"

#define MCL_CO_MAGIC "MCLCODE" /* 8 bytes with the terminating zero */
#define MCL_CO_VERSION 3
/*
 * Calling convention of the work-group functions: that of POCL 6.0's CPU compiler,
 *   void f(uint8_t **args, struct mcl_wg_context *, uint64_t gx, uint64_t gy, uint64_t gz)
 * (engine/wg_abi.h has the context). A POCL with another layout gets another number here.
 */
#define MCL_CO_ABI_POCL_6_0 60

#define MCL_CO_MAX_KERNELS 65536
#define MCL_CO_MAX_ARGS 4096

struct mcl_co_table {
	uint64_t offset; /* bytes from the start of the file */
	uint32_t count;
	uint32_t reserved; /* zero */
};

struct mcl_co_header {
	char magic[8];
	uint32_t version;
	uint32_t abi;
	uint64_t size; /* of the whole file, bytes */
	uint8_t digest[32];
	uint64_t global_size; /* bytes of program-scope variables; 0: none */
	uint32_t global_init; /* variant that initialises them (one work-item), or UINT32_MAX */
	uint32_t target; /* string: the processor it was compiled for, as POCL names it */
	uint32_t producer; /* string: compiler and version, for people */
	uint32_t options; /* string: build options */
	struct mcl_co_table kernels, variants, args, locals, images, segments, relocs;
	uint64_t strings_offset, strings_size; /* NUL-terminated strings; a string field is an offset into this */
	uint64_t data_offset, data_size; /* image bytes */
};

enum mcl_co_kernel_flags {
	MCL_CO_ARG_INFO = 1, /* names and types of arguments are known */
	MCL_CO_ANY_ORDER = 2, /* no work-group can notice in which order they run (order.h) */
};

struct mcl_co_kernel {
	uint32_t name, attributes; /* strings */
	uint32_t first_arg, arg_count;
	uint32_t first_local, local_count; /* automatic __local variables: entries (bytes) of the locals table */
	uint32_t first_variant, variant_count; /* the generic one first; none: the code is elsewhere */
	uint32_t reqd_local_size[3]; /* reqd_work_group_size, or zeros */
	uint32_t vec_hint; /* string: vec_type_hint, or empty */
	uint64_t local_bytes, private_bytes; /* static use: CL_KERNEL_LOCAL_MEM_SIZE, CL_KERNEL_PRIVATE_MEM_SIZE */
	uint32_t preferred_multiple; /* of the work-group size */
	uint32_t flags; /* enum mcl_co_kernel_flags */
};

enum mcl_co_variant_flags {
	MCL_CO_ANY_LOCAL_SIZE = 1, /* generic: reads the local size from the context; .local_size is zero */
	MCL_CO_ZERO_OFFSET = 2, /* only for a global offset of zero in every dimension */
	MCL_CO_SMALL_GRID = 4, /* only if offset + global size < MCL_CO_SMALL_GRID_LIMIT in every dimension */
	MCL_CO_JAMMED =
		8, /* work-items share inner loops (jam.h): the same results, sometimes much faster, sometimes slower */
};

/*
 * In work-items: POCL's grid_width_specialization_limit, with which it compares the largest num_groups[d] *
 * local_size[d]; the compiler may then assume that global ids fit 16 bits.
 */
#define MCL_CO_SMALL_GRID_LIMIT 0xffff

struct mcl_co_variant {
	uint32_t image;
	uint32_t flags;
	uint64_t entry; /* offset in the image's memory */
	uint32_t local_size[3];
	uint32_t reserved;
};

enum mcl_co_arg_kind {
	MCL_CO_ARG_VALUE = 0, /* bytes copied at clSetKernelArg time */
	MCL_CO_ARG_POINTER = 1, /* __global or __constant */
	MCL_CO_ARG_LOCAL = 2, /* __local pointer; the size is given at clSetKernelArg time */
	MCL_CO_ARG_IMAGE = 3,
	MCL_CO_ARG_SAMPLER = 4,
};

struct mcl_co_arg {
	uint32_t name, type_name; /* strings; empty if unknown */
	uint32_t kind;
	uint32_t size; /* bytes of the value; 8 for pointers; 0: not known (structures, samplers) */
	uint32_t address, access; /* cl_kernel_arg_address_qualifier, cl_kernel_arg_access_qualifier */
	uint64_t type_qualifier; /* cl_kernel_arg_type_qualifier */
};

struct mcl_co_image {
	uint64_t mem_size; /* bytes to reserve, a multiple of 4096 */
	uint32_t first_segment, segment_count;
	uint32_t first_reloc, reloc_count;
};

enum mcl_co_prot {
	MCL_CO_READ = 1,
	MCL_CO_WRITE = 2,
	MCL_CO_EXEC = 4,
};

struct mcl_co_segment {
	uint64_t mem_offset, mem_size; /* page aligned start, any size; the rest is zero */
	uint64_t data_offset, data_size; /* bytes in the file's data area (relative to data_offset of the header) */
	uint32_t prot;
	uint32_t reserved;
};

/* What a relocation's 64-bit word becomes. */
enum mcl_co_symbol {
	MCL_CO_SYM_BASE = 0, /* image base + addend */
	MCL_CO_SYM_MEMCPY,
	MCL_CO_SYM_MEMSET,
	MCL_CO_SYM_MEMMOVE,
	MCL_CO_SYM_SNPRINTF,
	MCL_CO_SYM_WRITE,
	MCL_CO_SYM_COUNT
};

struct mcl_co_reloc {
	uint64_t where; /* offset in the image's memory of the 64-bit word */
	uint64_t addend;
	uint32_t symbol; /* enum mcl_co_symbol */
	uint32_t reserved;
};

/*
 * A parsed, checked, reference-counted code object in memory. Every table entry has been checked against the bounds,
 * so users may follow its indices freely. Immutable after parsing.
 */
struct mcl_code_object {
	const uint8_t *bytes;
	size_t size;
	const struct mcl_co_header *header;
	const struct mcl_co_kernel *kernels;
	const struct mcl_co_variant *variants;
	const struct mcl_co_arg *args;
	const uint64_t *locals;
	const struct mcl_co_image *images;
	const struct mcl_co_segment *segments;
	const struct mcl_co_reloc *relocs;
	const char *strings;
	const uint8_t *data;
	/* private */
	_Atomic uint32_t refs;
};

/*
 * Check @size bytes and wrap them. The bytes are copied. Returns 0; -EBADMSG: not a code object, corrupt or out of
 * bounds; -EPROTO: another format version or ABI; -ENOEXEC: compiled for a processor that this one is not; -ENOMEM.
 */
int mcl_code_object_parse(const void *bytes, size_t size, struct mcl_code_object **out, struct mcl_reason *why);

/*
 * The same for a file. It is read, not mapped: a mapped file that someone truncates would kill the process with
 * SIGBUS. Also returns -errno of open, fstat, read.
 */
int mcl_code_object_open(const char *path, struct mcl_code_object **out, struct mcl_reason *why);

struct mcl_code_object *mcl_code_object_get(struct mcl_code_object *co);
void mcl_code_object_put(struct mcl_code_object *co); /* NULL is allowed */

static inline const char *mcl_co_string(const struct mcl_code_object *co, uint32_t offset)
{
	return co->strings + offset;
}

/* Whether every kernel has code. */
bool mcl_co_whole(const struct mcl_code_object *co);

/* The kernel called @name, or NULL. */
const struct mcl_co_kernel *mcl_co_find_kernel(const struct mcl_code_object *co, const char *name);

#endif
