/* SPDX-License-Identifier: MIT */
/*
 * Program and kernel objects. Lock order: kernel->lock, then program->lock, then the lock of variant.h.
 *
 * A program has a build: what one successful clBuildProgram made and placed in the engine. Kernels and packets in flight
 * hold the build, not the program, so that it lives until the last of them ends.
 */
#ifndef MCL_PROGRAM_H
#define MCL_PROGRAM_H

#include <pthread.h>

#include "backend.h"
#include "compiler/compiler.h"
#include "compiler/spirv.h"
#include "runtime/context.h"
#include "runtime/source.h"

/* ---- builds: build.c ---- */

struct mcl_variants;
struct mcl_shape;

/* What a launch is to tell of the function that it ran; see variant.h. */
struct mcl_variant_use {
	struct mcl_shape *shape; /* NULL: nothing is to be told */
	enum mcl_variant variant;
	uint64_t groups;
	uint64_t faults; /* of the device, before the launch */
};

/* What one successful build made. Kernels and packets in flight keep it alive. */
struct mcl_build {
	_Atomic uint32_t refs;
	struct mcl_code_object *co;
	struct mcl_program_code *code;
	struct mcl_source *source; /* NULL: made from a binary, which is whole */
	struct mcl_variants *variants; /* NULL: likewise */
};

/*
 * Have @source checked and described, or find the description in the cache: the code of its kernels comes when they are
 * launched (variant.h). As mcl_compile().
 */
int mcl_build_compile(struct mcl_source *source, struct mcl_code_object **co, char **log, struct mcl_reason *why);

/*
 * Place @co in the engine. @source may be NULL (made from a binary). References to both are taken. As mcl_program_load().
 */
int mcl_build_create(cl_context context, struct mcl_code_object *co, struct mcl_source *source, struct mcl_build **out,
		     struct mcl_reason *why);
struct mcl_build *mcl_build_get(struct mcl_build *build);
void mcl_build_put(struct mcl_build *build); /* no locks held; NULL is allowed */

/* @co, or if that is only a description of @source, all of it, compiled now. A reference. As mcl_compile(). */
int mcl_build_whole(struct mcl_code_object *co, const struct mcl_source *source, struct mcl_code_object **out,
		    struct mcl_reason *why);

/*
 * Make sure that the kernel can be launched, and choose the function: see mcl_variants_prepare(). No locks held.
 */
int mcl_build_prepare(struct mcl_build *build, struct mcl_launch *launch, struct mcl_variant_use *use,
		      struct mcl_reason *why);

/* ---- programs: program.c, program_il.c, program_build.c, program_info.c ---- */

enum mcl_origin {
	MCL_ORIGIN_SOURCE,
	MCL_ORIGIN_IL,
	MCL_ORIGIN_BINARY,
	MCL_ORIGIN_LINK, /* clLinkProgram */
};

struct _cl_program {
	struct mcl_object obj;
	cl_context context; /* runtime reference */
	enum mcl_origin origin;
	char *source; /* concatenated, with a terminator; NULL unless MCL_ORIGIN_SOURCE */
	size_t source_size; /* without the terminator */
	void *il; /* SPIR-V, as it was given; NULL unless MCL_ORIGIN_IL */
	size_t il_size;
	pthread_mutex_t lock; /* everything below */
	struct mcl_spirv_constant *constants; /* of .il, for the builds to come */
	uint32_t constant_count;
	/* What the program is, and what CL_PROGRAM_BINARIES gives away: one of these, or none yet. */
	struct mcl_code_object *binary; /* an executable, given or built */
	struct mcl_source *compiled; /* a compiled object or a library, given or made; kept if it is given, then built */
	char *options; /* of the last build, compilation or link; NULL: none yet */
	char *log; /* likewise */
	cl_build_status status;
	cl_program_binary_type binary_type;
	struct mcl_build *build; /* NULL until built */
	uint32_t kernel_count; /* attached kernel objects: a rebuild is refused while not zero */
};

/* A program without source or binary yet. Takes a reference to @context. NULL when memory is short. */
cl_program mcl_program_create(cl_context context, enum mcl_origin origin);

/*
 * Begin building, compiling or linking: status becomes CL_BUILD_IN_PROGRESS, the previous executable goes.
 * CL_INVALID_OPERATION while kernels are attached or another build runs; CL_OUT_OF_HOST_MEMORY.
 */
cl_int mcl_program_begin(const char *function, cl_program program, const char *options);

/*
 * End it. @log (malloc'd or NULL) is taken over; if it is empty, @why stands in for it. @binary, @compiled and @build
 * (references, or NULL) are taken over. @status CL_BUILD_SUCCESS or CL_BUILD_ERROR.
 */
void mcl_program_end(cl_program program, cl_build_status status, cl_program_binary_type type,
		     struct mcl_code_object *binary, struct mcl_source *compiled, struct mcl_build *build, char *log,
		     const struct mcl_reason *why);

/*
 * The module of a program of MCL_ORIGIN_IL with its specialization constants as they are set now; mcl_spirv_free() undoes
 * it. No locks held. Returns 0 or -ENOMEM.
 */
int mcl_program_module(cl_program program, struct mcl_spirv *module, struct mcl_reason *why);

/* The check of the device list that build, compile and link share. */
cl_int mcl_program_check_devices(const char *function, cl_uint num_devices, const cl_device_id *devices);

/* ---- kernels: kernel.c, kernel_arg.c, kernel_info.c ---- */

struct mcl_kernel_arg {
	bool set;
	bool is_svm; /* set by clSetKernelArgSVMPointer */
	/* While set to a cl_mem, else NULL. No reference: the application may release it, and then it must go. */
	cl_mem mem;
	size_t size; /* of the value, or of local memory */
	void *value; /* points into the kernel's value storage; a pointer argument's holds the address. NULL for local */
	bool owns_value; /* the compiler does not know the type's size (a structure): .value is malloc'd when it is set */
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
	size_t values_size;
	/* clSetKernelExecInfo */
	bool fine_grain_system;
	void **svm_pointers;
	size_t svm_pointer_count;
};

/*
 * A kernel object for entry @index of @build, whose reference count the caller guarantees; called with program->lock held.
 * NULL when memory is short.
 */
cl_kernel mcl_kernel_create(cl_program program, struct mcl_build *build, uint32_t index);

#endif
