// SPDX-License-Identifier: MIT
/* Loading LLVM's C interface; see llvm_c.h. */
#include <dlfcn.h>

#include "compiler/llvm_c.h"

bool mcl_llvm_load(struct mcl_llvm *llvm)
{
	void *library = dlopen(MCL_LLVM_LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return false;
#define GET(result, name, arguments)                                                                                   \
	*(void **)&llvm->name = dlsym(library, "LLVM" #name);                                                          \
	if (!llvm->name)                                                                                               \
		return false;
	MCL_LLVM_FUNCTIONS(GET)
#undef GET
	return true;
}
