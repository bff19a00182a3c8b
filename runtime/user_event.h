/* SPDX-License-Identifier: MIT */
/* User events: events that the application completes. */
#ifndef MCL_USER_EVENT_H
#define MCL_USER_EVENT_H

#include "runtime/event.h"

struct mcl_user_event {
	struct _cl_event event; /* first; event.lock is the lock below */
	pthread_mutex_t lock;
	pthread_cond_t set; /* the status became final */
};

static inline struct mcl_user_event *mcl_user_event_of(cl_event event)
{
	return (struct mcl_user_event *)event;
}

/*
 * Give the event its final status, unless it has one: wakes waiters, releases or terminates commands, calls callbacks.
 * No locks held. Returns false if it was final already.
 */
bool mcl_user_event_set(cl_event event, cl_int status);

#endif
