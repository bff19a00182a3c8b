/* SPDX-License-Identifier: MIT */
/*
 * Command queues, commands and events: runtime/queue.c, command.c, event.c. A command is what an enqueue call makes; its event
 * is embedded in it whether or not the application asked for one.
 */
#ifndef MCL_QUEUE_H
#define MCL_QUEUE_H

#include "runtime/context.h"

/*
 * Every clEnqueue* begins with this: checks the queue handle, the wait list (count and pointer agree, valid events, same
 * context) and that the device is alive. Returns CL_SUCCESS or the error, already reported for @function.
 */
cl_int mcl_enqueue_check(const char *function, cl_command_queue queue, cl_uint num_events, const cl_event *wait_list);

struct mcl_ndrange; /* runtime/ndrange.h */

#endif
