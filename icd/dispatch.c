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
const cl_icd_dispatch mcl_dispatch = {
#define MCL_ENTRY(name) .name = name,
#define MCL_FOREIGN(name, function) .name = (void *)function,
#include "icd/entry_points.def"
#undef MCL_FOREIGN
#undef MCL_ENTRY
#ifdef CL_ICD2_TAG_KHR
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
	.clGetPlatformIDs = (clGetPlatformIDs_t *)CL_ICD2_TAG_KHR,
	.clUnloadCompiler = (clUnloadCompiler_t *)CL_ICD2_TAG_KHR,
#pragma GCC diagnostic pop
#endif
};

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
