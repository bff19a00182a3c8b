/* SPDX-License-Identifier: MIT */
/*
 * Running mirrorcl-cc from inside an application, whatever the application does with signals, descriptors and
 * children. Knows nothing of what is compiled.
 */
#ifndef MCL_SPAWN_H
#define MCL_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/log.h"

/* The child's descriptors: standard input and output are the caller's, then the log (2) and the status (3). */
#define MCL_SPAWN_STATUS_FD 3
#define MCL_SPAWN_FD_COUNT 4

struct mcl_spawn {
	const char *const *argv; /* argv[0] is the program's path; NULL terminated */
	int input, output; /* become descriptors 0 and 1 */
	uint32_t timeout_s; /* 0: none */
};

struct mcl_spawn_result {
	char *log; /* what the child wrote to standard error, at most MCL_SPAWN_LOG_LIMIT bytes; the caller frees it; NULL: none */
	size_t log_size;
	int verdict; /* the byte that came over the status descriptor, or -1 */
};

#define MCL_SPAWN_LOG_LIMIT (4u << 20)

/*
 * Run to the end. The child has default signal handlers, an empty signal mask, no other descriptors, a process group
 * of its own and the environment without LD_PRELOAD and LD_AUDIT, which are meant for the application.
 *
 * Works with SIGCHLD ignored. The application's own wait() does not meet this child, nor does a SIGCHLD come of it.
 *
 * Returns 0: it ended, see @result; -ETIMEDOUT: it was killed after timeout_s; -ENOENT: there is no such program, or
 * it cannot be executed; -ENOMEM, -EMFILE, -EAGAIN and the like. @result->log is valid in each case.
 */
int mcl_spawn_run(const struct mcl_spawn *spawn, struct mcl_spawn_result *result, struct mcl_reason *why);

/* A child that is left to itself. */
struct mcl_spawn_child {
	int pid, pidfd; /* pidfd is -1 where the kernel has none */
};

/* Start a child of the same kind, with @fds as its descriptors, and do not wait for it. Returns 0 or as mcl_spawn_run(). */
int mcl_spawn_start(const char *const *argv, const int fds[MCL_SPAWN_FD_COUNT], struct mcl_spawn_child *out,
		    struct mcl_reason *why);

/*
 * Forget it. It must have been told to end (the caller closed what it listens to), and is only waited for where this process
 * adopts orphans; @kill: it may hang, so end it.
 */
void mcl_spawn_leave(struct mcl_spawn_child *child, bool kill);

#endif
