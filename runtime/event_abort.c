// SPDX-License-Identifier: MIT
/* cl_mirrorcl_abort: what ended a command that the device aborted. What is told here was noted when the command completed. */
#include <string.h>

#include "runtime/command.h"
#include "runtime/extensions.h"
#include "runtime/service.h"

static const struct mcl_abort lost = {
	.status = MCL_STATUS_LOST,
	.text = "the device process has died",
	.kernel = "",
};

static cl_abort_reason_mcl reason_of(enum mcl_status status)
{
	switch (status) {
	case MCL_STATUS_LOST:
		return CL_ABORT_DEVICE_LOST_MCL;
	case MCL_STATUS_TRAP:
		return CL_ABORT_EXCEPTION_MCL;
	case MCL_STATUS_RESOURCES:
		return CL_ABORT_STACK_MCL;
	default:
		return CL_ABORT_BAD_ADDRESS_MCL;
	}
}

static cl_abort_access_mcl access_of(const struct mcl_abort *abort)
{
	switch (abort->access) {
	case MCL_ABORT_READ:
		return CL_ABORT_ACCESS_READ_MCL;
	case MCL_ABORT_WRITE:
		return CL_ABORT_ACCESS_WRITE_MCL;
	case MCL_ABORT_EXECUTE:
		return CL_ABORT_ACCESS_EXECUTE_MCL;
	default:
		return CL_ABORT_ACCESS_UNKNOWN_MCL;
	}
}

/* What there is to tell of @event. NULL with *@error: nothing. */
static const struct mcl_abort *find(const char *function, cl_event event, cl_int *error)
{
	const struct mcl_command *cmd = mcl_command_of(event);
	cl_int status;

	mcl_event_poll(event);
	status = atomic_load_explicit(&event->status, memory_order_acquire);
	if (mcl_foreign(event->generation) && status > CL_COMPLETE)
		status = CL_DEVICE_NOT_AVAILABLE;
	if (event->queue && status == CL_DEVICE_NOT_AVAILABLE)
		return &lost;
	if (event->queue && status < 0 && cmd->aborted) {
		if (!cmd->abort)
			*error = mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "there was no memory to note why");
		return cmd->abort;
	}
	*error = mcl_cl_error(function, CL_INVALID_OPERATION,
			      "the device did not abort this command (its status is %d)", status);
	return NULL;
}

cl_int CL_API_CALL clGetEventAbortInfoMCL(cl_event event, cl_abort_info_mcl param_name, size_t param_value_size,
					  void *param_value, size_t *param_value_size_ret)
{
	const struct mcl_abort *abort;
	cl_int error = CL_SUCCESS;

	if (!mcl_object_valid(event, MCL_TYPE_EVENT))
		return MCL_ERR(CL_INVALID_EVENT, "%p is not an event", (void *)event);
	abort = find(__func__, event, &error);
	if (!abort)
		return error;

	switch (param_name) {
	case CL_ABORT_REASON_MCL:
		return MCL_INFO_VALUE(cl_abort_reason_mcl, reason_of(abort->status));
	case CL_ABORT_ACCESS_MCL:
		return MCL_INFO_VALUE(cl_abort_access_mcl, access_of(abort));
	case CL_ABORT_ADDRESS_MCL:
		return MCL_INFO_VALUE(void *, (void *)(uintptr_t)abort->address);
	case CL_ABORT_KERNEL_NAME_MCL:
		return MCL_INFO_STRING(abort->kernel);
	case CL_ABORT_WORK_GROUP_MCL: {
		const size_t group[3] = { abort->group[0], abort->group[1], abort->group[2] };

		return MCL_INFO(group, sizeof(group));
	}
	case CL_ABORT_TEXT_MCL:
		return MCL_INFO_STRING(abort->text);
	}
	return MCL_ERR(CL_INVALID_VALUE, "unknown query 0x%x of an abort", param_name);
}
