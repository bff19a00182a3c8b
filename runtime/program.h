/* SPDX-License-Identifier: MIT */
/* Program and kernel objects. Lock order: program before kernel. */
#ifndef MCL_PROGRAM_H
#define MCL_PROGRAM_H

#include <pthread.h>

#include "backend.h"
#include "compiler/compiler.h"
#include "runtime/context.h"

/* What one successful build made. Kernels and packets in flight keep it alive while the program is rebuilt. */
struct mcl_build {
	_Atomic uint32_t refs;
	struct mcl_code_object *co;
	struct mcl_program_code *code;
	struct _cl_program *program; /* not a reference */
};
struct mcl_build *mcl_build_get(struct mcl_build *build);
void mcl_build_put(struct mcl_build *build);

struct _cl_program {
	struct mcl_object obj;
	cl_context context; /* runtime reference */
	pthread_mutex_t lock; /* everything below */
	char *source; /* concatenated; NULL when made from a binary */
	size_t source_size;
	struct mcl_code_object *binary; /* from clCreateProgramWithBinary, until built */
	char *options;
	char *log;
	cl_build_status status;
	cl_program_binary_type binary_type;
	struct mcl_build *build; /* NULL until built */
	uint32_t kernel_count; /* attached kernel objects: a rebuild is refused while not zero */
};

struct mcl_kernel_arg {
	bool set;
	bool is_svm; /* set by clSetKernelArgSVMPointer */
	cl_mem mem; /* runtime reference while set to a cl_mem, else NULL */
	size_t size; /* of the value, or of local memory */
	void *value; /* points into the kernel's value storage */
};

struct _cl_kernel {
	struct mcl_object obj;
	cl_program program; /* runtime reference */
	struct mcl_build *build; /* reference */
	uint32_t index; /* in build->co->kernels */
	const struct mcl_co_kernel *info;
	const struct mcl_co_arg *arg_info;
	pthread_mutex_t lock; /* args and everything below */
	uint32_t unset_args; /* how many are not set yet */
	struct mcl_kernel_arg *args;
	uint8_t *values; /* storage of all values, each aligned to its size up to 128 */
	/* clSetKernelExecInfo */
	bool fine_grain_system;
	void **svm_pointers;
	size_t svm_pointer_count;
};

#endif
