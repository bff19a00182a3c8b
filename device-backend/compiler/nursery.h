/* SPDX-License-Identifier: MIT */
/*
 * mirrorcl-cc as the nursery of an application's companions (serve.h): it has POCL and POCL's library of built-in functions in
 * memory, which takes longer than most programs do, and forks a compiler for each program that comes.
 *
 * Both ends are of one build of MirrorCL (the application's is nursery_client.c), hence plain structures, over a SOCK_SEQPACKET
 * socket. A request has the command line behind it, each word with its terminator, and with it the five descriptors of enum
 * mcl_nursery_fd. The answer has a pidfd of the compiler with it, if the kernel has them.
 */
#ifndef MCL_NURSERY_H
#define MCL_NURSERY_H

#include <stdint.h>
#include <sys/socket.h>

#include "compiler/spawn.h"

#define MCL_NURSERY_MAGIC 0x3153524eu
#define MCL_NURSERY_IDLE_S 10
#define MCL_NURSERY_MAX_WORDS 65536u /* bytes of a command line */

enum mcl_nursery_fd {
	/* The first are those of struct mcl_spawn. */
	MCL_NURSERY_FOLDER = MCL_SPAWN_FD_COUNT, /* where the application is */
	MCL_NURSERY_FD_COUNT,
};

struct mcl_nursery_request {
	uint32_t magic;
	uint32_t argc;
};

struct mcl_nursery_answer {
	uint32_t magic;
	int32_t pid;
};

/* Room for descriptors beside a message. */
union mcl_nursery_control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(MCL_NURSERY_FD_COUNT * sizeof(int))];
};

/*
 * Answer until nobody has asked for a while, or the other end is closed. @become is called in a new process, with its descriptors
 * in their places, for a command line that ends with NULL; what it returns is that process's exit status. Returns 0.
 */
int mcl_nursery_serve(int socket, int (*become)(int argc, char **argv, void *ctx), void *ctx);

#endif
