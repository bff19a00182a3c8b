// SPDX-License-Identifier: MIT
/* LLVM's C interface: loading it, and what both of its users ask of instructions; see llvm_c.h. */
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

bool mcl_llvm_synchronises(const struct mcl_llvm *llvm, llvm_ref instruction)
{
	switch (llvm->GetInstructionOpcode(instruction)) {
	case LLVM_LOAD:
	case LLVM_STORE:
		return llvm->GetVolatile(instruction) || llvm->GetOrdering(instruction);
	case LLVM_FENCE:
	case LLVM_ATOMIC_CMPXCHG:
	case LLVM_ATOMIC_RMW:
	case LLVM_INVOKE:
	case LLVM_CALLBR:
		return true;
	default:
		return false;
	}
}
