/* SPDX-License-Identifier: MIT */
/*
 * The application's end of its nursery (nursery.h). A program that compiles a single source never has one; one that goes on
 * compiling starts it with the second, and it ends by itself when nothing has been compiled for a while.
 */
#ifndef MCL_NURSERY_CLIENT_H
#define MCL_NURSERY_CLIENT_H

#include "compiler/spawn.h"

/*
 * As mcl_spawn_start(), from the nursery. Thread-safe. Returns 0, or -errno if it has to be done by mcl_spawn_start(): there is
 * none, it is being asked, it does not answer, the command line is too long.
 */
int mcl_nursery_start(const char *const *argv, const int fds[MCL_SPAWN_FD_COUNT], struct mcl_spawn_child *out);

#endif
