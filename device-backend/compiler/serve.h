/* SPDX-License-Identifier: MIT */
/*
 * mirrorcl-cc as a companion of one application for one program: the source is read and checked once, and code is made
 * kernel by kernel as the application asks, in a fork of the process for each, so that a crash costs one kernel. Ends
 * when nobody has asked for a while or the other end of the socket is closed.
 *
 * Both ends are of one build of MirrorCL (the host side is session.c), hence plain structures:
 *   once   struct mcl_serve_answer, the description of the program as code object
 *   then   struct mcl_serve_request, name of the kernel   ->   struct mcl_serve_answer, code object
 * A program that is only compiled (clCompileProgram) answers with an empty code object first; the next request has no name and
 * .link set: it is linked, and its description is the answer.
 * What is said of a job is on standard error when its answer comes.
 */
#ifndef MCL_SERVE_H
#define MCL_SERVE_H

#include <stdint.h>

#define MCL_SERVE_MAGIC 0x3153434du
#define MCL_SERVE_IDLE_S 5

struct mcl_serve_request {
	uint32_t magic;
	uint32_t name_size; /* bytes that follow, without a terminator */
	uint32_t local_size[3]; /* zeros: the generic function */
	uint32_t jam;
	uint32_t link; /* link it, and describe it */
};

struct mcl_serve_answer {
	uint32_t magic;
	uint32_t verdict; /* enum mcl_verdict */
	uint64_t size; /* of the code object that follows; 0: none */
};

#define MCL_SERVE_MAX_NAME 65536u
#define MCL_SERVE_MAX_CODE (1ull << 30)

struct mcl_translation;

/* Tell that there will be no more than this. */
void mcl_serve_verdict(int socket, int verdict);

/*
 * Answer until the end. @t is built, or only checked; then @link, called with @ctx, links it, says what there is to be said, and
 * returns an enum mcl_verdict. Returns one.
 */
int mcl_serve(int socket, struct mcl_translation *t, const char *folder, int (*link)(void *ctx), void *ctx);

#endif
