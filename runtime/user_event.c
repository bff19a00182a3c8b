/* SPDX-License-Identifier: MIT */
/* User events; see user_event.h. */
#include <stdlib.h>

#include "runtime/command.h"
#include "runtime/service.h"
#include "runtime/user_event.h"

static void destroy(struct mcl_object *obj)
{
	struct mcl_user_event *user = (struct mcl_user_event *)obj;
	cl_context context = user->event.context;

	pthread_cond_destroy(&user->set);
	pthread_mutex_destroy(&user->lock);
	mcl_object_free(obj);
	mcl_object_put(&context->obj);
}

cl_event clCreateUserEvent(cl_context context, cl_int *errcode_ret)
{
	struct mcl_user_event *user = NULL;
	cl_int err = CL_SUCCESS;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT)) {
		err = MCL_ERR(CL_INVALID_CONTEXT, "%p is not a context", (void *)context);
		goto out;
	}
	user = mcl_object_alloc(sizeof(*user));
	if (!user) {
		err = MCL_ERR(CL_OUT_OF_HOST_MEMORY, "out of memory for an event");
		goto out;
	}
	mcl_service_attach(context->backend);
	mcl_object_init(&user->event.obj, MCL_TYPE_EVENT, destroy);
	pthread_mutex_init(&user->lock, NULL);
	pthread_cond_init(&user->set, NULL);
	mcl_object_get(&context->obj);
	user->event.context = context;
	user->event.type = CL_COMMAND_USER;
	user->event.generation = atomic_load(&mcl_fork_generation);
	user->event.lock = &user->lock;
	atomic_init(&user->event.status, CL_SUBMITTED);
out:
	if (errcode_ret)
		*errcode_ret = err;
	return user ? &user->event : NULL;
}

bool mcl_user_event_set(cl_event event, cl_int status)
{
	struct mcl_user_event *user = mcl_user_event_of(event);
	struct mcl_batch batch = { 0 };

	pthread_mutex_lock(&user->lock);
	if (mcl_event_done(event)) {
		pthread_mutex_unlock(&user->lock);
		return false;
	}
	mcl_event_finish(event, status, &batch);
	pthread_cond_broadcast(&user->set);
	pthread_mutex_unlock(&user->lock);
	mcl_batch_finish(&batch);
	return true;
}

cl_int clSetUserEventStatus(cl_event event, cl_int execution_status)
{
	bool set;

	if (!mcl_object_valid(event, MCL_TYPE_EVENT))
		return MCL_ERR(CL_INVALID_EVENT, "%p is not an event", (void *)event);
	if (event->queue)
		return MCL_ERR(CL_INVALID_EVENT, "the event belongs to a command, it is not a user event");
	if (execution_status > CL_COMPLETE)
		return MCL_ERR(CL_INVALID_VALUE, "the status %d is neither CL_COMPLETE nor negative", execution_status);
	if (mcl_foreign(event->generation))
		return MCL_ERR(CL_INVALID_OPERATION, "the event was made before a fork()");
	/* What runs because of it may release the event. */
	mcl_object_get(&event->obj);
	set = mcl_user_event_set(event, execution_status);
	mcl_object_put(&event->obj);
	if (!set)
		return MCL_ERR(CL_INVALID_OPERATION, "the status of the event has been set before");
	return CL_SUCCESS;
}
