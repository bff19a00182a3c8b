/* SPDX-License-Identifier: MIT */
/*
 * Starting the engine as a process with an address space of its own, for mirrors that need one.
 *
 * exec() gives every process an exit signal, and with it a place in the application's wait(); so a supervisor, which is only
 * cloned and has none, stands between engine and host. Either's death is the other's, and the host's is that of both.
 *
 * Does not know what the mirror's descriptors are: control->boot says that to the mirror's own boot code.
 */
#ifndef MCL_ENGINE_PROCESS_H
#define MCL_ENGINE_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "mirror/mirror.h"
#include "mirror/private_memory.h"

#define MCL_ENGINE_FIRST_FD 4 /* what the first of .fds is called in the engine; the others follow */
#define MCL_ENGINE_FDS_MAX 4

struct mcl_engine_process {
	const struct mcl_mirror_params *params;
	struct mcl_private *memory; /* the supervisor's stack comes from there and stays in use as long as it lives */
	const int *fds; /* stay the caller's */
	unsigned int fd_count;
	/*
	 * The host's memory is watched by a userfaultfd: when the host is dead, end what waits for pages of it (a child of
	 * vfork() that has not exec'ed yet), since nobody will bring them.
	 */
	bool sweeps;
};

/*
 * As mcl_mirror_ops.start(): called once, on a thread that lives as long as the engine. control->boot is filled in. The
 * engine may still fail after this has returned 0: control->ready says so, or its death.
 */
int mcl_engine_process_start(const struct mcl_engine_process *p, pid_t *pid, struct mcl_reason *why);

#endif
