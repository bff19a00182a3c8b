/* SPDX-License-Identifier: MIT */
/*
 * From OpenCL C to a code object: what the runtime asks of the compiler side. The compiler itself (POCL and LLVM)
 * runs in a process of its own, mirrorcl-cc; this side only looks in the on-disk cache, spawns it and checks what
 * comes back. Does not load code (engine/) and knows no cl_program.
 */
#ifndef MCL_COMPILER_H
#define MCL_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#include "compiler/code_object.h"
#include "support/log.h"

struct mcl_compile_request {
	const char *source; /* OpenCL C, @source_size bytes, need not be terminated */
	size_t source_size;
	const char *options; /* as given to clBuildProgram; NULL means none */
	/* Headers for #include by name (clCompileProgram); may be none. */
	uint32_t header_count;
	const char *const *header_names;
	const char *const *header_sources;
	/*
	 * Local sizes to specialise work-group functions for, beside the generic ones that are always there.
	 * A zero size ends nothing: an entry of {0,0,0} is ignored.
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
 * killed; -ECHILD: it crashed; -ENOMEM. @why gets one sentence in every case.
 */
int mcl_compile(const struct mcl_compile_request *req, struct mcl_code_object **out, char **log,
		struct mcl_reason *why);

#endif
