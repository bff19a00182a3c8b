/* SPDX-License-Identifier: MIT */
/*
 * POCL inside mirrorcl-cc: its library is loaded by name, past the ICD loader, and used only through the public
 * OpenCL API. Never linked into anything that an application loads. Does not know the code object.
 */
#ifndef MCL_POCL_H
#define MCL_POCL_H

#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "support/log.h"

struct pocl {
	const cl_icd_dispatch *cl; /* POCL's functions */
	cl_platform_id platform;
	cl_device_id device;
	cl_context
		context; /* NULL before the first build, which reads the library of built-in functions for all that follow */
	char producer[256]; /* POCL's version, for people */
	char target[128]; /* the processor it compiles for, as it names it */
};

struct pocl_source {
	const char *text;
	size_t size;
	bool il; /* @text is a SPIR-V module */
	const char *options; /* in POCL's form, see options.h */
	uint32_t header_count;
	const char *const *header_names;
	const char *const *header_sources;
};

/*
 * Make this process's environment POCL's: nothing that the caller's POCL_* and OCL_* variables say may matter, and
 * everything it writes goes below @folder. Before pocl_open(), while there is one thread. Returns 0 or -ENOMEM.
 */
int pocl_environment(const char *folder);

/*
 * Load POCL: @library, or if NULL the one that is installed. It stays loaded. Returns 0; -ENOENT: not there or not
 * loadable; -EPROTO: a version whose work-group functions have an unknown calling convention; -EIO: it does not work.
 */
int pocl_open(const char *library, struct pocl *pocl, struct mcl_reason *why);

/*
 * The name that the source gives to a kernel that POCL calls @name: POCL renames every function that is called like a built-in
 * one, such as "max", so that a source may define it.
 */
static inline const char *pocl_public_name(const char *name)
{
	return strncmp(name, "_cl_", 4) == 0 ? name + 4 : name;
}

/* A program that POCL has built but made no code of yet. */
struct pocl_program {
	cl_program program;
	char *kernels; /* "a;b;c", malloc'd */
	/* Of one that is compiled, but not linked: */
	cl_program *parts;
	uint32_t part_count;
};

/*
 * Build a program of @count sources that are compiled one by one and linked: all that can be wrong with it is found here.
 * @check_only: the sources need not make a whole; pocl_link() links them if it is called. @log: the build log, malloc'd, never
 * NULL unless memory is short. Returns 0; -ENOEXEC: a source does not compile, they do not link, or a kernel's name is too long; -EINVAL: POCL does not
 * take the options; -EIO: POCL failed; -ENOMEM.
 */
int pocl_build(struct pocl *pocl, const struct pocl_source *sources, uint32_t count, bool check_only,
	       struct pocl_program *out, char **log, struct mcl_reason *why);

/* Link what was only checked. @log: what the linker says. As pocl_build(). */
int pocl_link(const struct pocl *pocl, struct pocl_program *program, char **log, struct mcl_reason *why);

/*
 * Have POCL generate the code of @program, once: for each kernel for any local size and for those in the environment,
 * except what is there (placeholder.h). @binary: POCL's container, malloc'd. Returns 0, -EIO or -ENOMEM.
 */
int pocl_code(const struct pocl *pocl, const struct pocl_program *program, uint8_t **binary, size_t *binary_size,
	      struct mcl_reason *why);

#endif
