// SPDX-License-Identifier: MIT
/* cl_mirrorcl_counters: the mirror that a context runs on, and what it has counted. Counts nothing itself. */
#include <string.h>

#include "runtime/context.h"
#include "runtime/extensions.h"

#define PAGE 4096u /* the counters' unit */

/* The backend's name of a counter, or MCL_CAUSE_COUNT if @param_name is none of them. */
static enum mcl_counter_cause cause_of(cl_mirror_info_mcl param_name)
{
	switch (param_name) {
	case CL_MIRROR_DEVICE_READ_MCL:
		return MCL_CAUSE_DEVICE_READ;
	case CL_MIRROR_DEVICE_WRITE_MCL:
		return MCL_CAUSE_DEVICE_WRITE;
	case CL_MIRROR_CPU_FAULT_MCL:
		return MCL_CAUSE_CPU_FAULT;
	case CL_MIRROR_PREFETCH_MCL:
		return MCL_CAUSE_PREFETCH;
	case CL_MIRROR_EVICTION_MCL:
		return MCL_CAUSE_EVICTION;
	case CL_MIRROR_REQUEST_MCL:
		return MCL_CAUSE_REQUEST;
	case CL_MIRROR_PROMOTION_MCL:
		return MCL_CAUSE_PROMOTION;
	}
	return MCL_CAUSE_COUNT;
}

static cl_mirror_capabilities_mcl capabilities(const struct mcl_backend_mirror *mirror)
{
	return (mirror->faults ? CL_MIRROR_FAULTS_MCL : 0u) | (mirror->vram_size ? CL_MIRROR_MIGRATES_MCL : 0u);
}

cl_int CL_API_CALL clGetContextMirrorInfoMCL(cl_context context, cl_mirror_info_mcl param_name, size_t param_value_size,
					     void *param_value, size_t *param_value_size_ret)
{
	const enum mcl_counter_cause cause = cause_of(param_name);
	struct mcl_backend_mirror mirror;
	struct mcl_counters counters;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		return MCL_ERR(CL_INVALID_CONTEXT, "%p is not a live context", (void *)context);
	mcl_backend_mirror(context->backend, &mirror);
	mcl_backend_counters(context->backend, &counters);

	if (cause != MCL_CAUSE_COUNT) {
		const cl_mirror_counter_mcl counter = {
			.count = counters.cause[cause].count,
			.bytes = counters.cause[cause].pages * PAGE,
			.nanoseconds = counters.cause[cause].ns,
		};

		return MCL_INFO(&counter, sizeof(counter));
	}
	switch (param_name) {
	case CL_MIRROR_NAME_MCL:
		return MCL_INFO_STRING(mirror.name);
	case CL_MIRROR_CAPABILITIES_MCL:
		return MCL_INFO_VALUE(cl_mirror_capabilities_mcl, capabilities(&mirror));
	case CL_MIRROR_VRAM_SIZE_MCL:
		return MCL_INFO_VALUE(cl_ulong, mirror.vram_size);
	case CL_MIRROR_VRAM_USED_MCL:
		return MCL_INFO_VALUE(cl_ulong, counters.vram_used);
	case CL_MIRROR_VRAM_PEAK_MCL:
		return MCL_INFO_VALUE(cl_ulong, counters.vram_peak);
	case CL_MIRROR_IN_PLACE_MCL:
		return MCL_INFO_VALUE(cl_ulong, counters.system_pages * PAGE);
	case CL_MIRROR_KERNELS_MCL:
		return MCL_INFO_VALUE(cl_ulong, counters.kernels);
	case CL_MIRROR_WORK_GROUPS_MCL:
		return MCL_INFO_VALUE(cl_ulong, counters.groups);
	case CL_MIRROR_ABORTS_MCL:
		return MCL_INFO_VALUE(cl_ulong, counters.aborts);
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown mirror query 0x%x", param_name);
}
