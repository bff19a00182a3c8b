// SPDX-License-Identifier: MIT
/*
 * The dispatch table that every object's first word points to. No slot is empty: what MirrorCL does not have answers
 * with the error that the specification names (unsupported.c).
 */
#include <string.h>

#include "icd/dispatch.h"
#include "icd/unsupported.h"

/*
 * Under cl_khr_icd 2.0 the tag in two slots that no loader calls through says that the loader may keep a table of its
 * own. Loaders of version 1 use the rest of this one.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
const cl_icd_dispatch mcl_dispatch = {
#define MCL_ENTRY(name) .name = name,
#define MCL_FOREIGN(name, function) .name = (void *)function,
#include "icd/entry_points.def"
#undef MCL_FOREIGN
#undef MCL_ENTRY
#ifdef CL_API_SUFFIX__VERSION_3_1
	.clGetKernelSuggestedLocalWorkSize = (void *)mcl_no_suggested_local_size,
#endif
#ifdef CL_ICD2_TAG_KHR
	/* Instead of what the list above says. */
	.clGetPlatformIDs = (clGetPlatformIDs_t *)CL_ICD2_TAG_KHR,
	.clUnloadCompiler = (clUnloadCompiler_t *)CL_ICD2_TAG_KHR,
#endif
};
#pragma GCC diagnostic pop

void *mcl_entry_point(const char *name)
{
	static const struct {
		const char *name;
		void *function;
	} entries[] = {
#define MCL_ENTRY(name) { #name, (void *)name },
#define MCL_FOREIGN(name, function)
#include "icd/entry_points.def"
#undef MCL_FOREIGN
#undef MCL_ENTRY
	};

	for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++)
		if (!strcmp(entries[i].name, name))
			return entries[i].function;
	return NULL;
}
