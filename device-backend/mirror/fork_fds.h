/* SPDX-License-Identifier: MIT */
/*
 * The descriptors that a child of fork() has to let go of: every living mirror's, noted in ordinary memory, because a mirror's
 * own memory does not exist in the child. Does not own them: the mirror closes its own in the parent.
 */
#ifndef MCL_FORK_FDS_H
#define MCL_FORK_FDS_H

#include <stddef.h>

struct mcl_mirror;

#define MCL_FORK_FDS_MAX 11

/*
 * These are @m's descriptors now, at most MCL_FORK_FDS_MAX, -1 for none; instead of what was noted before. With more than
 * 64 mirrors alive the children of further ones keep their descriptors. Any thread.
 */
void mcl_fork_fds_note(const struct mcl_mirror *m, const int *fds, size_t count);

/* @m is going, and its descriptors with it. Any thread. */
void mcl_fork_fds_forget(const struct mcl_mirror *m);

/* The mirrors' forked(): in the child, on its only thread, close @m's. Whatever the parent's other threads were doing. */
void mcl_fork_fds_close(struct mcl_mirror *m);

#endif
