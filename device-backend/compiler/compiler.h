/* SPDX-License-Identifier: MIT */
/*
 * From OpenCL C or SPIR-V to a code object: what the runtime asks of the compiler side. The compiler itself (POCL and LLVM)
 * runs in a process of its own, mirrorcl-cc; this side only looks in the on-disk cache, spawns it and checks what
 * comes back. Does not load code (engine/) and knows no cl_program.
 */
#ifndef MCL_COMPILER_H
#define MCL_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler/code_object.h"
#include "support/log.h"

enum mcl_compile_part {
	MCL_COMPILE_WHOLE,
	MCL_COMPILE_DESCRIPTION, /* of a program with a single kernel this is whole, too */
	MCL_COMPILE_KERNEL,
	MCL_COMPILE_CHECK, /* only compile: the sources need not make a whole, and the code object is empty */
};

/* One source of a program of several, which is compiled for itself and linked to the others. */
struct mcl_compile_unit {
	const char *source;
	size_t source_size;
	const char *options; /* NULL counts as "" */
	uint32_t header_count;
	const char *const *header_names;
	const char *const *header_sources;
};

/* A compiler process that reads a program once and makes its code kernel by kernel: see session.h. Thread-safe. */
struct mcl_session;
struct mcl_session *mcl_session_create(void); /* starts nothing; NULL when memory is short */
void mcl_session_free(struct mcl_session *session); /* never waits for the process; NULL is allowed */

struct mcl_compile_request {
	struct mcl_session *session; /* for parts: of this source, options and headers only. NULL: a process each time */
	const char *source; /* OpenCL C or a SPIR-V module, @source_size bytes, need not be terminated */
	size_t source_size;
	const char *options; /* as given to clBuildProgram; NULL means none */
	/* Headers for #include by name (clCompileProgram); may be none. */
	uint32_t header_count;
	const char *const *header_names;
	const char *const *header_sources;
	/* Further sources that are linked to it. */
	uint32_t more_count;
	const struct mcl_compile_unit *more;
	/*
	 * Everything at once, or a part: the description of the program without code, or the code of one kernel. What is
	 * wrong with a source shows in its description.
	 */
	enum mcl_compile_part part;
	const char *kernel; /* MCL_COMPILE_KERNEL: its name */
	bool jam; /* with local sizes: let work-items share loops (MCL_CO_JAMMED); no code if that changes nothing */
	bool cached_only; /* start no compiler */
	/*
	 * Local sizes to specialise work-group functions for, beside the generic ones that are always there.
	 * A zero size ends nothing: an entry of {0,0,0} is ignored. Of one kernel only these are made, if there are any.
	 */
	uint32_t local_size_count;
	const uint32_t (*local_sizes)[3];
};

/*
 * Compile, or find in the cache. Thread-safe; blocks for as long as the compiler runs.
 *
 * @out: on success a code object that the caller puts with mcl_code_object_put().
 * @log: if not NULL, receives the build log (warnings too), malloc'd, never NULL on return; the caller frees it.
 *
 * Returns 0; -EINVAL: @options are malformed (log says which); -ENOEXEC: the source does not compile (log);
 * -ENOENT: mirrorcl-cc cannot be found; -EPROTO: it answered with an unknown version; -ETIMEDOUT: it hung and was
 * killed; -ECHILD: it crashed; -ENODATA: not in the cache, and it is not to be compiled; -ENOMEM. @why gets one sentence in every case.
 */
int mcl_compile(const struct mcl_compile_request *req, struct mcl_code_object **out, char **log,
		struct mcl_reason *why);

#endif
