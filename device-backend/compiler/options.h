/* SPDX-License-Identifier: MIT */
/*
 * Build options, as clBuildProgram takes them: checked against what OpenCL defines and put into the form that POCL
 * 6.0 understands. Knows no compiler; both the host side (which must name a bad option) and mirrorcl-cc use it.
 */
#ifndef MCL_OPTIONS_H
#define MCL_OPTIONS_H

#include <stddef.h>

#include "support/log.h"

struct mcl_options {
	/* For POCL's clBuildProgram. */
	char *text;
	/*
	 * OpenCL C to put before the source: macros whose values POCL's own splitting would damage (it drops quotes),
	 * and the version macro of a language version that is translated. Empty or whole lines, ended by a #line for
	 * the source's first.
	 */
	char *prolog;
	/* -I folders in order, as given. */
	char **include_dirs;
	size_t include_dir_count;
};

/*
 * Split and check @text (NULL counts as ""). White space separates options; single and double quotes group, a
 * backslash takes the next quote, backslash or white space as it is. Undone by mcl_options_free(). Returns 0; -EINVAL
 * with the offending option in @why; -ENOMEM.
 */
int mcl_options_parse(const char *text, struct mcl_options *out, struct mcl_reason *why);
void mcl_options_free(struct mcl_options *options);

#endif
