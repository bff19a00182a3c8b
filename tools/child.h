/* SPDX-License-Identifier: MIT */
/* A function in a process of its own, so that what it loads and breaks is not our problem. */
#ifndef MCL_TOOLS_CHILD_H
#define MCL_TOOLS_CHILD_H

#include <stddef.h>

/*
 * Fork; in the child run fn(arg) with standard output and standard error going to @output (at most @size - 1 bytes, from
 * the beginning, terminated) and exit with its return value. Waits at most @limit_s seconds, then kills it. Call it while
 * this process has one thread. Returns the exit status; -ETIMEDOUT; -ECHILD: a signal ended it; other -errno of starting it.
 */
int child_run(int (*fn)(void *arg), void *arg, unsigned int limit_s, char *output, size_t size);

#endif
