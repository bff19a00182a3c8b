/* SPDX-License-Identifier: MIT */
/*
 * POCL's program binaries ("poclbin" containers), as clGetProgramInfo(CL_PROGRAM_BINARIES) returns them: kernel
 * metadata and the files of POCL's cache folder. Only reads, only the version that POCL 6.0 writes; does not look
 * into the files.
 */
#ifndef MCL_POCLBIN_H
#define MCL_POCLBIN_H

#include <CL/cl.h>
#include <stddef.h>
#include <stdint.h>

#include "support/log.h"

#define MCL_POCLBIN_VERSION 11

struct poclbin_file {
	char *path; /* from the program's folder, with a leading slash: "/vecadd/0-0-0/vecadd.so" */
	const uint8_t *bytes; /* in the container */
	size_t size;
};

/* POCL's own numbers. */
enum poclbin_arg_type {
	POCLBIN_ARG_VALUE = 0,
	POCLBIN_ARG_POINTER = 1,
	POCLBIN_ARG_IMAGE = 2,
	POCLBIN_ARG_SAMPLER = 3,
	POCLBIN_ARG_PIPE = 4,
};

struct poclbin_arg {
	cl_kernel_arg_access_qualifier access;
	cl_kernel_arg_address_qualifier address;
	cl_kernel_arg_type_qualifier type_qualifier;
	uint32_t type; /* enum poclbin_arg_type */
	uint32_t size;
	char *name, *type_name;
};

enum poclbin_arg_info {
	POCLBIN_HAS_ADDRESS = 1,
	POCLBIN_HAS_ACCESS = 2,
	POCLBIN_HAS_TYPE_NAME = 4,
	POCLBIN_HAS_TYPE_QUALIFIER = 8,
	POCLBIN_HAS_NAME = 16,
	POCLBIN_HAS_ALL = 31,
};

struct poclbin_kernel {
	char *name, *attributes;
	uint32_t arg_count, local_count, file_count;
	uint64_t reqd_local_size[3];
	uint64_t *local_sizes; /* automatic __local variables, bytes */
	struct poclbin_arg *args;
	struct poclbin_file *files;
	uint32_t has_arg_info; /* enum poclbin_arg_info */
	uint32_t preferred_multiple, local_bytes, private_bytes; /* 0: unknown */
};

struct poclbin {
	uint64_t global_size; /* bytes of program-scope variables */
	uint32_t kernel_count, file_count;
	struct poclbin_kernel *kernels;
	struct poclbin_file *files; /* of the program: program.bc, initialiser of program-scope variables */
};

/*
 * Parse @size bytes, which must stay while @out is in use. Undone by poclbin_free().
 * Returns 0; -EBADMSG: not a poclbin, torn or corrupt; -EPROTO: another version; -ENOMEM.
 */
int poclbin_parse(const void *bytes, size_t size, struct poclbin *out, struct mcl_reason *why);
void poclbin_free(struct poclbin *bin);

#endif
