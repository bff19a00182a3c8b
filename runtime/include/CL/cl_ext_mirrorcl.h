/* SPDX-License-Identifier: MIT */
/*
 * MirrorCL's extensions of OpenCL, for programs that want to know, or assert in a test, which pages their kernels move and
 * why a kernel was aborted:
 *
 *	cl_mirrorcl_counters	clGetContextMirrorInfoMCL()	the mirror of a context, and what it has counted
 *	cl_mirrorcl_abort	clGetEventAbortInfoMCL()	what ended a command that the device aborted
 *
 * A platform that has them names them in CL_PLATFORM_EXTENSIONS, its device in CL_DEVICE_EXTENSIONS. No library exports the
 * functions. They are asked for by name:
 *
 *	clGetContextMirrorInfoMCL_fn get = (clGetContextMirrorInfoMCL_fn)
 *		clGetExtensionFunctionAddressForPlatform(platform, "clGetContextMirrorInfoMCL");
 *
 * NULL means that the platform does not have the function. What is returned stays valid as long as the process lives.
 *
 * The values below are passed to, and returned by, these two functions only, never by one of OpenCL itself or of another extension.
 * So they need no block of the numbers that Khronos assigns to vendors, and they have none: they begin with the letters
 * "MC" (0x4D43), far above all blocks that are assigned.
 *
 * Neither a value nor the size of what a query returns will ever change. New queries get new values, and the version of the extension
 * grows; an older driver answers them with CL_INVALID_VALUE.
 */
#ifndef CL_EXT_MIRRORCL_H
#define CL_EXT_MIRRORCL_H

#include <CL/cl.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- cl_mirrorcl_counters ---- */

#define cl_mirrorcl_counters 1
#define CL_MIRRORCL_COUNTERS_EXTENSION_NAME "cl_mirrorcl_counters"
#define CL_MIRRORCL_COUNTERS_EXTENSION_VERSION 0x400000u /* 1.0.0, made as by CL_MAKE_VERSION */

typedef cl_uint cl_mirror_info_mcl;
typedef cl_bitfield cl_mirror_capabilities_mcl;

/* How often something happened, how many bytes it moved or mapped, and how long serving it took. These only ever grow. */
typedef struct cl_mirror_counter_mcl {
	cl_ulong count;
	cl_ulong bytes; /* of whole pages */
	cl_ulong nanoseconds;
} cl_mirror_counter_mcl;

/* cl_mirror_info_mcl: the mirror */
#define CL_MIRROR_NAME_MCL 0x4D430000 /* char[]: "shared", "uffd" or "hmm" */
#define CL_MIRROR_CAPABILITIES_MCL 0x4D430001 /* cl_mirror_capabilities_mcl */

/* cl_mirror_info_mcl: cl_mirror_counter_mcl, by what caused it */
#define CL_MIRROR_DEVICE_READ_MCL 0x4D430010 /* a kernel read a page that the device did not have */
#define CL_MIRROR_DEVICE_WRITE_MCL 0x4D430011 /* a kernel wrote to one, or to one that it might only read */
#define CL_MIRROR_CPU_FAULT_MCL 0x4D430012 /* the host touched a page that was in device memory */
#define CL_MIRROR_PREFETCH_MCL 0x4D430013 /* expected to be touched next */
#define CL_MIRROR_EVICTION_MCL 0x4D430014 /* brought home because device memory was full */
#define CL_MIRROR_REQUEST_MCL 0x4D430015 /* the program asked for it, with clEnqueueSVMMigrateMem and the like */
#define CL_MIRROR_PROMOTION_MCL 0x4D430016 /* went to and fro, and is mapped in place since */

/* cl_mirror_info_mcl: cl_ulong */
#define CL_MIRROR_VRAM_SIZE_MCL 0x4D430020 /* bytes of device memory; 0 on mirrors that do not migrate */
#define CL_MIRROR_VRAM_USED_MCL 0x4D430021 /* bytes in use now */
#define CL_MIRROR_VRAM_PEAK_MCL 0x4D430022 /* the most that ever were */
#define CL_MIRROR_IN_PLACE_MCL 0x4D430023 /* bytes that are mapped in place now */
#define CL_MIRROR_KERNELS_MCL 0x4D430030 /* kernels that have run */
#define CL_MIRROR_WORK_GROUPS_MCL 0x4D430031 /* their work-groups */
#define CL_MIRROR_ABORTS_MCL 0x4D430032 /* kernels that were aborted */

/* cl_mirror_capabilities_mcl */
#define CL_MIRROR_FAULTS_MCL (1 << 0) /* the device has page faults; without them all counters stay 0 */
#define CL_MIRROR_MIGRATES_MCL (1 << 1) /* pages move to device memory and back */

/*
 * Ask for one value of @context. The size rules are those of clGetContextInfo(): @param_value may be NULL, and
 * @param_value_size_ret, if not NULL, receives the bytes of the value. Nothing is allocated, the caller owns its memory.
 * May be called from any thread at any time, event callbacks included.
 *
 * The counters are those of the context's device process, counted since that was started. Contexts that exist at the same time share
 * it, and so the counters: take differences. Whatever a kernel caused is counted when its event is complete; so is what
 * the host caused when the access that did it is over. The device also reads the program's stack, heap or data where a
 * kernel's arguments point there, and moves neighbours of the page that was touched, so expect somewhat more than the pages
 * that a kernel names, unless these lie in a mapping of their own. Values that are asked for one after the other may differ by what
 * happened in between.
 * When the device has died the counters stay as they were; in the child of a fork() they are 0.
 *
 * Returns CL_SUCCESS, or
 *	CL_INVALID_CONTEXT	@context is not a live context of this platform
 *	CL_INVALID_VALUE	@param_name is unknown, or @param_value is not NULL and @param_value_size too small
 */
typedef cl_int CL_API_CALL clGetContextMirrorInfoMCL_t(cl_context context, cl_mirror_info_mcl param_name,
						       size_t param_value_size, void *param_value,
						       size_t *param_value_size_ret);
typedef clGetContextMirrorInfoMCL_t *clGetContextMirrorInfoMCL_fn;

/* ---- cl_mirrorcl_abort ---- */

#define cl_mirrorcl_abort 1
#define CL_MIRRORCL_ABORT_EXTENSION_NAME "cl_mirrorcl_abort"
#define CL_MIRRORCL_ABORT_EXTENSION_VERSION 0x400000u /* 1.0.0 */

typedef cl_uint cl_abort_info_mcl;
typedef cl_uint cl_abort_reason_mcl;
typedef cl_uint cl_abort_access_mcl;

/* cl_abort_info_mcl */
#define CL_ABORT_REASON_MCL 0x4D430100 /* cl_abort_reason_mcl */
#define CL_ABORT_ACCESS_MCL 0x4D430101 /* cl_abort_access_mcl */
#define CL_ABORT_ADDRESS_MCL 0x4D430102 /* void *: what was accessed; NULL, too, where the access is unknown */
#define CL_ABORT_KERNEL_NAME_MCL 0x4D430103 /* char[]; "" if it was no kernel, or is not known */
#define CL_ABORT_WORK_GROUP_MCL 0x4D430104 /* size_t[3]: the work-group that failed first; zeros if it was no kernel */
#define CL_ABORT_TEXT_MCL 0x4D430105 /* char[]: one sentence for people, as it is printed to standard error */

/* cl_abort_reason_mcl */
#define CL_ABORT_BAD_ADDRESS_MCL 0x4D430110 /* nothing is there, or not with that right */
#define CL_ABORT_EXCEPTION_MCL 0x4D430111 /* division by zero, illegal instruction, misaligned access */
#define CL_ABORT_STACK_MCL 0x4D430112 /* private memory did not fit */
#define CL_ABORT_DEVICE_LOST_MCL 0x4D430113 /* the device process died */

/* cl_abort_access_mcl */
#define CL_ABORT_ACCESS_UNKNOWN_MCL 0x4D430120 /* none, or the processor does not tell the address */
#define CL_ABORT_ACCESS_READ_MCL 0x4D430121
#define CL_ABORT_ACCESS_WRITE_MCL 0x4D430122
#define CL_ABORT_ACCESS_EXECUTE_MCL 0x4D430123

/*
 * Ask what ended the command of @event, whose status is negative. Sizes, ownership and threads as above. The answers stay the same
 * until the event is released for the last time.
 *
 * Returns CL_SUCCESS, or
 *	CL_INVALID_EVENT	@event is not a live event of this platform
 *	CL_INVALID_OPERATION	the device did not abort it: it is a user event, is not complete yet, was completed well, or
 *				was terminated for another reason (an event that it waited for failed, the device refused it)
 *	CL_OUT_OF_HOST_MEMORY	it was aborted, and there was no memory left to note why
 *	CL_INVALID_VALUE	@param_name is unknown, or @param_value is not NULL and @param_value_size too small
 */
typedef cl_int CL_API_CALL clGetEventAbortInfoMCL_t(cl_event event, cl_abort_info_mcl param_name,
						    size_t param_value_size, void *param_value,
						    size_t *param_value_size_ret);
typedef clGetEventAbortInfoMCL_t *clGetEventAbortInfoMCL_fn;

#ifdef __cplusplus
}
#endif

#endif
