/* SPDX-License-Identifier: MIT */
/* Command queues: creation, information, release; see queue.h. Flush, finish and waiting are in wait.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "runtime/command.h"
#include "runtime/service.h"

#define HOST_PROPERTIES (CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE)
#define DEVICE_PROPERTIES (CL_QUEUE_ON_DEVICE | CL_QUEUE_ON_DEVICE_DEFAULT)

/* The backend has no rings for more. */
#define MAX_QUEUES 256

static void destroy(struct mcl_object *obj)
{
	cl_command_queue q = (cl_command_queue)obj;
	cl_context context = q->context;

	mcl_service_remove_queue(q);
	mcl_ring_destroy(q->ring);
	while (q->free) {
		struct mcl_command *cmd = q->free;

		q->free = cmd->next;
		mcl_object_free(&cmd->event.obj);
	}
	pthread_cond_destroy(&q->progress);
	pthread_mutex_destroy(&q->lock);
	free(q->property_list);
	mcl_object_free(obj);
	mcl_object_put(&context->obj);
}

static cl_int check_properties(const char *function, cl_command_queue_properties properties)
{
	if (properties & ~(cl_command_queue_properties)(HOST_PROPERTIES | DEVICE_PROPERTIES))
		return mcl_cl_error(function, CL_INVALID_VALUE, "unknown queue properties 0x%llx",
				    (unsigned long long)properties);
	if ((properties & CL_QUEUE_ON_DEVICE_DEFAULT) && !(properties & CL_QUEUE_ON_DEVICE))
		return mcl_cl_error(function, CL_INVALID_VALUE,
				    "CL_QUEUE_ON_DEVICE_DEFAULT without CL_QUEUE_ON_DEVICE");
	if ((properties & CL_QUEUE_ON_DEVICE) && !(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE))
		return mcl_cl_error(function, CL_INVALID_VALUE,
				    "CL_QUEUE_ON_DEVICE without CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE");
	if (properties & CL_QUEUE_ON_DEVICE)
		return mcl_cl_error(function, CL_INVALID_QUEUE_PROPERTIES, "the device has no on-device queues");
	return CL_SUCCESS;
}

/* @list has @bytes bytes, terminator included; 0: none was given. */
static cl_command_queue create(const char *function, cl_context context, cl_device_id device,
			       cl_command_queue_properties properties, const cl_queue_properties *list, size_t bytes,
			       cl_int *err)
{
	cl_command_queue q;
	int ret;

	*err = check_properties(function, properties);
	if (*err)
		return NULL;
	if (!mcl_backend_alive(context->backend)) {
		*err = mcl_cl_error(function, CL_OUT_OF_RESOURCES, "the device process of this context has died");
		return NULL;
	}
	q = mcl_object_alloc(sizeof(*q));
	if (!q)
		goto err_memory;
	if (bytes) {
		q->property_list = malloc(bytes);
		if (!q->property_list)
			goto err_free;
		memcpy(q->property_list, list, bytes);
		q->property_list_bytes = bytes;
	}
	mcl_service_attach(context->backend);
	ret = mcl_ring_create(context->backend, &q->ring);
	if (ret) {
		*err = mcl_cl_error(function, ret == -ENOMEM ? CL_OUT_OF_HOST_MEMORY : CL_OUT_OF_RESOURCES,
				    "no command ring: %s", strerror(-ret));
		free(q->property_list);
		mcl_object_free(&q->obj);
		return NULL;
	}
	mcl_object_init(&q->obj, MCL_TYPE_QUEUE, destroy);
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->progress, NULL);
	mcl_object_get(&context->obj);
	q->context = context;
	q->device = device;
	q->properties = properties;
	q->out_of_order = properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
	q->profiling = properties & CL_QUEUE_PROFILING_ENABLE;
	q->generation = atomic_load(&mcl_fork_generation);
	mcl_service_add_queue(q);
	return q;

err_free:
	mcl_object_free(&q->obj);
err_memory:
	*err = mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "out of memory for a queue");
	return NULL;
}

static cl_int check_device(const char *function, cl_context context, cl_device_id device)
{
	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT))
		return mcl_cl_error(function, CL_INVALID_CONTEXT, "%p is not a context", (void *)context);
	if (!mcl_object_valid(device, MCL_TYPE_DEVICE))
		return mcl_cl_error(function, CL_INVALID_DEVICE, "%p is not a device of this platform", (void *)device);
	return CL_SUCCESS;
}

cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id device, cl_command_queue_properties properties,
				      cl_int *errcode_ret)
{
	cl_command_queue q = NULL;
	cl_int err = check_device(__func__, context, device);

	if (!err)
		q = create(__func__, context, device, properties, NULL, 0, &err);
	if (errcode_ret)
		*errcode_ret = err;
	return q;
}

/* Read the property list. @bytes: its size with the terminator. */
static cl_int read_list(const char *function, const cl_queue_properties *list, cl_command_queue_properties *properties,
			size_t *bytes)
{
	bool have_properties = false, have_size = false;
	size_t i = 0;

	*properties = 0;
	*bytes = 0;
	if (!list)
		return CL_SUCCESS;
	for (; list[i]; i += 2) {
		bool *have;

		if (list[i] == CL_QUEUE_PROPERTIES) {
			have = &have_properties;
			*properties = list[i + 1];
		} else if (list[i] == CL_QUEUE_SIZE) {
			have = &have_size;
		} else {
			return mcl_cl_error(function, CL_INVALID_VALUE, "unknown queue property 0x%llx",
					    (unsigned long long)list[i]);
		}
		if (*have)
			return mcl_cl_error(function, CL_INVALID_VALUE, "queue property 0x%llx is given twice",
					    (unsigned long long)list[i]);
		*have = true;
	}
	if (have_size && !(*properties & CL_QUEUE_ON_DEVICE))
		return mcl_cl_error(function, CL_INVALID_VALUE, "CL_QUEUE_SIZE is only for queues on the device");
	*bytes = (i + 1) * sizeof(*list);
	return CL_SUCCESS;
}

cl_command_queue clCreateCommandQueueWithProperties(cl_context context, cl_device_id device,
						    const cl_queue_properties *properties, cl_int *errcode_ret)
{
	cl_command_queue_properties bits = 0;
	cl_command_queue q = NULL;
	size_t bytes = 0;
	cl_int err;

	err = check_device(__func__, context, device);
	if (!err)
		err = read_list(__func__, properties, &bits, &bytes);
	if (!err)
		q = create(__func__, context, device, bits, properties, bytes, &err);
	if (errcode_ret)
		*errcode_ret = err;
	return q;
}

cl_int clSetDefaultDeviceCommandQueue(cl_context context, cl_device_id device, cl_command_queue queue)
{
	cl_int err = check_device(__func__, context, device);

	(void)queue;
	return err ? err : MCL_ERR(CL_INVALID_OPERATION, "the device has no on-device queues");
}

cl_int clSetCommandQueueProperty(cl_command_queue queue, cl_command_queue_properties properties, cl_bool enable,
				 cl_command_queue_properties *old_properties)
{
	(void)properties;
	(void)enable;
	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return MCL_ERR(CL_INVALID_COMMAND_QUEUE, "%p is not a command queue", (void *)queue);
	if (old_properties)
		*old_properties = queue->properties;
	return MCL_ERR(CL_INVALID_OPERATION, "properties of a queue are fixed when it is made (since OpenCL 1.1)");
}

cl_int clRetainCommandQueue(cl_command_queue queue)
{
	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return MCL_ERR(CL_INVALID_COMMAND_QUEUE, "%p is not a command queue", (void *)queue);
	mcl_object_retain_app(&queue->obj);
	return CL_SUCCESS;
}

/* The application is done with the queue, but commands are under way: from now on the service thread collects them. */
static void abandon(cl_command_queue q)
{
	struct mcl_batch batch = { 0 };
	struct mcl_command *cmd;

	pthread_mutex_lock(&q->lock);
	q->released = true;
	mcl_schedule_collect(q, true, &batch);
	DL_FOREACH(q->pushed, cmd)
		mcl_schedule_notify(cmd, &batch);
	pthread_mutex_unlock(&q->lock);
	mcl_batch_finish(&batch);
}

cl_int clReleaseCommandQueue(cl_command_queue queue)
{
	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return MCL_ERR(CL_INVALID_COMMAND_QUEUE, "%p is not a command queue", (void *)queue);
	if (mcl_foreign(queue->generation))
		return CL_SUCCESS; /* a child of fork(): the ring and the locks are the parent's */
	mcl_object_get(&queue->obj);
	mcl_object_release_app(&queue->obj);
	if (!mcl_object_app_refs(&queue->obj))
		abandon(queue);
	mcl_object_put(&queue->obj);
	return CL_SUCCESS;
}

cl_int clGetCommandQueueInfo(cl_command_queue queue, cl_command_queue_info param_name, size_t param_value_size,
			     void *param_value, size_t *param_value_size_ret)
{
	union {
		cl_context context;
		cl_device_id device;
		cl_uint count;
		cl_command_queue_properties properties;
		cl_command_queue queue;
	} value;
	const void *data = &value;
	size_t size;

	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return MCL_ERR(CL_INVALID_COMMAND_QUEUE, "%p is not a command queue", (void *)queue);
	switch (param_name) {
	case CL_QUEUE_CONTEXT:
		value.context = queue->context;
		size = sizeof(value.context);
		break;
	case CL_QUEUE_DEVICE:
		value.device = queue->device;
		size = sizeof(value.device);
		break;
	case CL_QUEUE_REFERENCE_COUNT:
		value.count = mcl_object_app_refs(&queue->obj);
		size = sizeof(value.count);
		break;
	case CL_QUEUE_PROPERTIES:
		value.properties = queue->properties;
		size = sizeof(value.properties);
		break;
	case CL_QUEUE_PROPERTIES_ARRAY:
		data = queue->property_list;
		size = queue->property_list_bytes;
		break;
	case CL_QUEUE_SIZE:
		return MCL_ERR(CL_INVALID_COMMAND_QUEUE, "CL_QUEUE_SIZE is only for queues on the device");
	case CL_QUEUE_DEVICE_DEFAULT:
		value.queue = NULL;
		size = sizeof(value.queue);
		break;
	default:
		return MCL_ERR(CL_INVALID_VALUE, "param_name 0x%x is unknown", param_name);
	}
	return mcl_info(__func__, data, size, param_value_size, param_value, param_value_size_ret);
}

cl_int mcl_enqueue_check(const char *function, cl_command_queue queue, cl_uint num_events, const cl_event *wait_list)
{
	if (!mcl_object_valid(queue, MCL_TYPE_QUEUE))
		return mcl_cl_error(function, CL_INVALID_COMMAND_QUEUE, "%p is not a command queue", (void *)queue);
	if (__builtin_expect(num_events || wait_list, 0)) {
		if (!num_events || !wait_list)
			return mcl_cl_error(function, CL_INVALID_EVENT_WAIT_LIST,
					    "num_events_in_wait_list is %u, event_wait_list is %p", num_events,
					    (const void *)wait_list);
		for (cl_uint i = 0; i < num_events; i++) {
			if (!mcl_object_valid(wait_list[i], MCL_TYPE_EVENT))
				return mcl_cl_error(function, CL_INVALID_EVENT_WAIT_LIST,
						    "event_wait_list[%u] (%p) is not an event", i,
						    (void *)wait_list[i]);
			if (wait_list[i]->context != queue->context)
				return mcl_cl_error(function, CL_INVALID_CONTEXT,
						    "event_wait_list[%u] is of another context", i);
		}
	}
	if (mcl_foreign(queue->generation))
		return mcl_cl_error(function, CL_DEVICE_NOT_AVAILABLE, "the queue was made before a fork()");
	if (!mcl_backend_alive(queue->context->backend))
		return mcl_cl_error(function, CL_DEVICE_NOT_AVAILABLE, "the device process has died");
	return CL_SUCCESS;
}

void mcl_queue_reclaim(bool notify)
{
	cl_command_queue queues[MAX_QUEUES];
	unsigned int count = mcl_service_queues(queues, MAX_QUEUES);

	for (unsigned int i = 0; i < count; i++) {
		struct mcl_batch batch = { 0 };
		struct mcl_command *cmd;

		pthread_mutex_lock(&queues[i]->lock);
		mcl_schedule_collect(queues[i], true, &batch);
		if (notify)
			DL_FOREACH(queues[i]->pushed, cmd)
				mcl_schedule_notify(cmd, &batch);
		pthread_mutex_unlock(&queues[i]->lock);
		mcl_batch_finish(&batch);
		mcl_object_put(&queues[i]->obj);
	}
}
