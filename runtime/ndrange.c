/* SPDX-License-Identifier: MIT */
/* Kernel launches: checks, the choice of a local size, and the launch packet. */
#include <errno.h>
#include <stdlib.h>

#include "runtime/command.h"

/* Arguments that are collected on the stack; kernels with more use malloc. */
#define STACK_ARGS 32

/* Work-items of a group when the application leaves the choice to us. */
#define GROUP_ITEMS 256
/* A power of two that is good enough to save the search for a larger divisor. */
#define GOOD_DIVISOR 64

/* The largest divisor of @n up to @limit (>= 1), or a power of two that is nearly as good. */
static uint64_t choose_divisor(uint64_t n, uint64_t limit)
{
	uint64_t power = n & -n, d;

	while (power > limit)
		power >>= 1;
	if (power >= GOOD_DIVISOR || power == limit)
		return power;
	for (d = n < limit ? n : limit; n % d; d--)
		;
	return d;
}

/*
 * A local size for a launch that gives none: wide in the first dimension, where neighbours in memory usually are, and not so
 * large that compute units stay idle.
 */
static void choose_local(const uint64_t global[3], uint64_t max, uint64_t local[3])
{
	uint64_t units = mcl_device_caps()->compute_units, budget = max < GROUP_ITEMS ? max : GROUP_ITEMS, total;

	if (__builtin_mul_overflow(global[0], global[1], &total) || __builtin_mul_overflow(total, global[2], &total))
		total = UINT64_MAX;
	if (budget > total / units)
		budget = total / units ? total / units : 1;
	for (unsigned int i = 0; i < 3; i++) {
		local[i] = choose_divisor(global[i], budget);
		budget /= local[i];
	}
}

/* Check a local size that was given. */
static cl_int check_local(const char *function, cl_kernel kernel, const uint64_t global[3], const uint64_t local[3])
{
	const uint32_t *reqd = kernel->info->reqd_local_size;
	uint64_t max = mcl_device_caps()->max_work_group_size, items = 1;

	for (unsigned int i = 0; i < 3; i++) {
		if (!local[i])
			return mcl_cl_error(function, CL_INVALID_WORK_GROUP_SIZE, "local_work_size[%u] is 0", i);
		if (local[i] > max)
			return mcl_cl_error(function, CL_INVALID_WORK_ITEM_SIZE,
					    "local_work_size[%u] is %llu, the device's limit %llu", i,
					    (unsigned long long)local[i], (unsigned long long)max);
		items *= local[i]; /* no overflow: each is at most max, and items was */
		if (items > max)
			return mcl_cl_error(function, CL_INVALID_WORK_GROUP_SIZE,
					    "the work-group has more than %llu work-items", (unsigned long long)max);
	}
	for (unsigned int i = 0; i < 3; i++) {
		if (reqd[0] && local[i] != reqd[i])
			return mcl_cl_error(function, CL_INVALID_WORK_GROUP_SIZE,
					    "local_work_size[%u] is %llu, the kernel's reqd_work_group_size says %u", i,
					    (unsigned long long)local[i], reqd[i]);
		if (global[i] % local[i])
			return mcl_cl_error(
				function, CL_INVALID_WORK_GROUP_SIZE,
				"global_work_size[%u] (%llu) is not a multiple of local_work_size[%u] (%llu)", i,
				(unsigned long long)global[i], i, (unsigned long long)local[i]);
	}
	return CL_SUCCESS;
}

/* Fill in sizes. *nothing: there is not a single work-item. */
static cl_int set_sizes(const char *function, cl_kernel kernel, cl_uint work_dim, const size_t *offset,
			const size_t *global_size, const size_t *local_size, struct mcl_launch *launch, bool *nothing)
{
	const uint32_t *reqd = kernel->info->reqd_local_size;
	uint64_t global[3] = { 1, 1, 1 };
	cl_int err;

	*nothing = !global_size;
	for (cl_uint i = 0; i < work_dim && global_size; i++) {
		global[i] = global_size[i];
		if (!global[i])
			*nothing = true;
		launch->global_offset[i] = offset ? offset[i] : 0;
		if (launch->global_offset[i] > SIZE_MAX - global[i])
			return mcl_cl_error(function, CL_INVALID_GLOBAL_OFFSET,
					    "global_work_offset[%u] + global_work_size[%u] is too large", i, i);
	}
	if (*nothing)
		return CL_SUCCESS;
	for (cl_uint i = 0; i < 3; i++)
		launch->local_size[i] = 1;
	if (local_size) {
		for (cl_uint i = 0; i < work_dim; i++)
			launch->local_size[i] = local_size[i];
	} else if (reqd[0]) {
		for (cl_uint i = 0; i < 3; i++)
			launch->local_size[i] = reqd[i];
	} else {
		choose_local(global, mcl_device_caps()->max_work_group_size, launch->local_size);
	}
	err = check_local(function, kernel, global, launch->local_size);
	if (err)
		return err;
	for (cl_uint i = 0; i < 3; i++)
		launch->num_groups[i] = global[i] / launch->local_size[i];
	launch->work_dim = work_dim;
	return CL_SUCCESS;
}

/* A kernel does not keep its memory objects. The handle may be another object's by now, but then the address differs. */
static bool still_there(const struct mcl_kernel_arg *arg)
{
	return mcl_object_valid(arg->mem, MCL_TYPE_MEM) && arg->mem->data == *(uint8_t *const *)arg->value;
}

/* kernel->lock held. */
static cl_int collect_args(const char *function, cl_kernel kernel, struct mcl_arg *args, cl_mem *mems,
			   uint32_t *mem_count)
{
	uint64_t local = kernel->info->local_bytes;

	if (kernel->unset_args) {
		for (uint32_t i = 0; i < kernel->info->arg_count; i++)
			if (!kernel->args[i].set)
				return mcl_cl_error(function, CL_INVALID_KERNEL_ARGS, "argument %u is not set", i);
	}
	for (uint32_t i = 0; i < kernel->info->arg_count; i++) {
		const struct mcl_kernel_arg *arg = &kernel->args[i];

		args[i].value = arg->value;
		args[i].size = arg->size;
		if (arg->mem) {
			if (!still_there(arg))
				return mcl_cl_error(function, CL_INVALID_KERNEL_ARGS,
						    "argument %u: the memory object %p has been released", i,
						    (void *)arg->mem);
			mems[(*mem_count)++] = arg->mem;
		}
		if (kernel->arg_info[i].kind == MCL_CO_ARG_LOCAL) {
			args[i].value = NULL;
			local += arg->size;
		}
	}
	if (local > mcl_device_caps()->local_mem_size)
		return mcl_cl_error(function, CL_OUT_OF_RESOURCES,
				    "a work-group needs %llu bytes of local memory, the device has %llu",
				    (unsigned long long)local, (unsigned long long)mcl_device_caps()->local_mem_size);
	return CL_SUCCESS;
}

/* The kernel's code, which the first launch may have to wait for. */
static cl_int prepare(const char *function, cl_command_queue queue, cl_kernel kernel, struct mcl_launch *launch,
		      struct mcl_variant_use *use)
{
	struct mcl_reason why = { "" };
	int err;

	/* A dead device is for the enqueue to report. In the child of a fork the build's locks may be held for ever. */
	if (!mcl_backend_alive(queue->context->backend))
		return CL_SUCCESS;
	err = mcl_build_prepare(kernel->build, launch, use, &why);
	if (!err)
		return CL_SUCCESS;
	return mcl_cl_error(function,
			    err == -ENOMEM ? CL_OUT_OF_HOST_MEMORY :
			    err == -ENODEV ? CL_DEVICE_NOT_AVAILABLE :
					     CL_INVALID_PROGRAM_EXECUTABLE,
			    "kernel '%.100s' has no code: %s", mcl_co_string(kernel->build->co, kernel->info->name),
			    why.text);
}

static cl_int enqueue(const char *function, cl_command_queue queue, cl_kernel kernel, cl_command_type type,
		      cl_uint work_dim, const size_t *offset, const size_t *global_size, const size_t *local_size,
		      cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	struct mcl_arg stack_args[STACK_ARGS], *args = stack_args;
	cl_mem stack_mems[STACK_ARGS], *mems = stack_mems;
	struct mcl_launch launch = { 0 };
	struct mcl_request req = {
		.function = function,
		.queue = queue,
		.type = type,
		.num_events = num_events,
		.wait_list = wait_list,
		.event = event,
	};
	bool nothing;
	cl_int err;

	err = mcl_enqueue_check(function, queue, num_events, wait_list);
	if (err)
		return err;
	if (!mcl_object_valid(kernel, MCL_TYPE_KERNEL))
		return mcl_cl_error(function, CL_INVALID_KERNEL, "%p is not a kernel", (void *)kernel);
	if (kernel->program->context != queue->context)
		return mcl_cl_error(function, CL_INVALID_CONTEXT, "queue and kernel are of different contexts");
	if (work_dim < 1 || work_dim > 3)
		return mcl_cl_error(function, CL_INVALID_WORK_DIMENSION, "work_dim is %u", work_dim);
	err = set_sizes(function, kernel, work_dim, offset, global_size, local_size, &launch, &nothing);
	if (err)
		return err;
	launch.kernel = kernel->index;
	if (!nothing) {
		err = prepare(function, queue, kernel, &launch, &req.use);
		if (err)
			return err;
	}
	if (kernel->info->arg_count > STACK_ARGS) {
		args = malloc(kernel->info->arg_count * sizeof(*args));
		mems = malloc(kernel->info->arg_count * sizeof(cl_mem));
		if (!args || !mems) {
			err = mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "out of memory for the arguments");
			goto out;
		}
	}
	pthread_mutex_lock(&kernel->lock);
	err = collect_args(function, kernel, args, mems, &req.mem_count);
	if (err) {
		pthread_mutex_unlock(&kernel->lock);
		goto out;
	}
	req.args_lock = &kernel->lock;
	req.payload.kind = MCL_COMMAND_NOP;
	if (!nothing) {
		launch.code = kernel->build->code;
		launch.args = args;
		req.payload.kind = MCL_COMMAND_LAUNCH;
		req.payload.launch = &launch;
		req.payload.arg_count = kernel->info->arg_count;
		req.build = kernel->build;
		req.mems = mems;
	} else {
		req.mem_count = 0;
	}
	err = mcl_command_enqueue(&req);
out:
	if (args != stack_args)
		free(args);
	if (mems != stack_mems)
		free(mems);
	return err;
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint work_dim,
			      const size_t *global_work_offset, const size_t *global_work_size,
			      const size_t *local_work_size, cl_uint num_events, const cl_event *wait_list,
			      cl_event *event)
{
	return enqueue(__func__, queue, kernel, CL_COMMAND_NDRANGE_KERNEL, work_dim, global_work_offset,
		       global_work_size, local_work_size, num_events, wait_list, event);
}

cl_int clEnqueueTask(cl_command_queue queue, cl_kernel kernel, cl_uint num_events, const cl_event *wait_list,
		     cl_event *event)
{
	const size_t one = 1;

	return enqueue(__func__, queue, kernel, CL_COMMAND_TASK, 1, NULL, &one, &one, num_events, wait_list, event);
}

cl_int clEnqueueNativeKernel(cl_command_queue queue, void(CL_CALLBACK *user_func)(void *), void *args, size_t cb_args,
			     cl_uint num_mem_objects, const cl_mem *mem_list, const void **args_mem_loc,
			     cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	cl_int err = mcl_enqueue_check(__func__, queue, num_events, wait_list);

	(void)event;
	if (err)
		return err;
	if (!user_func)
		return MCL_ERR(CL_INVALID_VALUE, "user_func is NULL");
	if ((!args && (cb_args || num_mem_objects)) || (args && !cb_args))
		return MCL_ERR(CL_INVALID_VALUE, "args is %p, cb_args %zu, num_mem_objects %u", args, cb_args,
			       num_mem_objects);
	if ((num_mem_objects && (!mem_list || !args_mem_loc)) || (!num_mem_objects && (mem_list || args_mem_loc)))
		return MCL_ERR(CL_INVALID_VALUE, "num_mem_objects is %u, mem_list %p, args_mem_loc %p", num_mem_objects,
			       (const void *)mem_list, (const void *)args_mem_loc);
	return MCL_ERR(CL_INVALID_OPERATION,
		       "the device does not run native kernels (CL_DEVICE_EXECUTION_CAPABILITIES)");
}
