/* SPDX-License-Identifier: MIT */
/*
 * The part of LLVM's C interface that jam.c and order.c use, taken from the libLLVM that POCL uses, at run time: building MirrorCL
 * needs no LLVM headers, and running it needs no LLVM that POCL does not bring. Declared in our words.
 */
#ifndef MCL_LLVM_C_H
#define MCL_LLVM_C_H

#include <stdbool.h>
#include <stddef.h>

/* POCL 6.0 of Debian 13. The interface is stable, but what the passes do to metadata was checked with this one only. */
#define MCL_LLVM_LIBRARY "libLLVM.so.18.1"

/* LLVM's numbers. */
enum llvm_opcode {
	LLVM_BR = 2,
	LLVM_ALLOCA = 26,
	LLVM_LOAD = 27,
	LLVM_STORE = 28,
	LLVM_PHI = 44,
	LLVM_CALL = 45,
	LLVM_FENCE = 55,
	LLVM_ATOMIC_CMPXCHG = 56,
	LLVM_ATOMIC_RMW = 57,
	LLVM_INVOKE = 5,
	LLVM_CALLBR = 67,
};

typedef void *llvm_ref; /* LLVM's handles, all opaque */

/* X(result, name without "LLVM", arguments) */
#define MCL_LLVM_FUNCTIONS(X)                                                                                          \
	X(llvm_ref, ContextCreate, (void))                                                                             \
	X(void, ContextDispose, (llvm_ref))                                                                            \
	X(llvm_ref, CreateMemoryBufferWithMemoryRangeCopy, (const char *, size_t, const char *))                       \
	X(void, DisposeMemoryBuffer, (llvm_ref))                                                                       \
	X(void, DisposeModule, (llvm_ref))                                                                             \
	X(llvm_ref, GetNamedFunction, (llvm_ref, const char *))                                                        \
	X(llvm_ref, IsAFunction, (llvm_ref))                                                                           \
	X(llvm_ref, GetGlobalContext, (void))                                                                          \
	X(int, CreateMemoryBufferWithContentsOfFile, (const char *, llvm_ref *, char **))                              \
	X(int, ParseBitcodeInContext2, (llvm_ref, llvm_ref, llvm_ref *))                                               \
	X(int, WriteBitcodeToFile, (llvm_ref, const char *))                                                           \
	X(int, VerifyModule, (llvm_ref, int, char **))                                                                 \
	X(llvm_ref, GetFirstFunction, (llvm_ref))                                                                      \
	X(llvm_ref, GetNextFunction, (llvm_ref))                                                                       \
	X(llvm_ref, GetFirstBasicBlock, (llvm_ref))                                                                    \
	X(llvm_ref, GetNextBasicBlock, (llvm_ref))                                                                     \
	X(llvm_ref, GetBasicBlockTerminator, (llvm_ref))                                                               \
	X(llvm_ref, GetFirstInstruction, (llvm_ref))                                                                   \
	X(llvm_ref, GetNextInstruction, (llvm_ref))                                                                    \
	X(int, GetInstructionOpcode, (llvm_ref))                                                                       \
	X(unsigned int, GetNumSuccessors, (llvm_ref))                                                                  \
	X(llvm_ref, GetSuccessor, (llvm_ref, unsigned int))                                                            \
	X(int, GetVolatile, (llvm_ref))                                                                                \
	X(int, GetOrdering, (llvm_ref))                                                                                \
	X(llvm_ref, GetCalledValue, (llvm_ref))                                                                        \
	X(const char *, GetValueName2, (llvm_ref, size_t *))                                                           \
	X(unsigned int, GetMDKindID, (const char *, unsigned int))                                                     \
	X(llvm_ref, GetMetadata, (llvm_ref, unsigned int))                                                             \
	X(void, SetMetadata, (llvm_ref, unsigned int, llvm_ref))                                                       \
	X(unsigned int, GetMDNodeNumOperands, (llvm_ref))                                                              \
	X(void, GetMDNodeOperands, (llvm_ref, llvm_ref *))                                                             \
	X(const char *, GetMDString, (llvm_ref, unsigned int *))                                                       \
	X(llvm_ref, MDStringInContext2, (llvm_ref, const char *, size_t))                                              \
	X(llvm_ref, MDNodeInContext2, (llvm_ref, llvm_ref *, size_t))                                                  \
	X(llvm_ref, TemporaryMDNode, (llvm_ref, llvm_ref *, size_t))                                                   \
	X(void, MetadataReplaceAllUsesWith, (llvm_ref, llvm_ref))                                                      \
	X(llvm_ref, MetadataAsValue, (llvm_ref, llvm_ref))                                                             \
	X(llvm_ref, ValueAsMetadata, (llvm_ref))                                                                       \
	X(llvm_ref, Int32TypeInContext, (llvm_ref))                                                                    \
	X(llvm_ref, ConstInt, (llvm_ref, unsigned long long, int))                                                     \
	X(void, InitializeX86TargetInfo, (void))                                                                       \
	X(void, InitializeX86Target, (void))                                                                           \
	X(void, InitializeX86TargetMC, (void))                                                                         \
	X(const char *, GetTarget, (llvm_ref))                                                                         \
	X(int, GetTargetFromTriple, (const char *, llvm_ref *, char **))                                               \
	X(llvm_ref, CreateTargetMachine, (llvm_ref, const char *, const char *, const char *, int, int, int))          \
	X(llvm_ref, CreatePassBuilderOptions, (void))                                                                  \
	X(void, PassBuilderOptionsSetSLPVectorization, (llvm_ref, int))                                                \
	X(llvm_ref, RunPasses, (llvm_ref, const char *, llvm_ref, llvm_ref))

#define MCL_LLVM_MEMBER(result, name, arguments) result(*name) arguments;
struct mcl_llvm {
	MCL_LLVM_FUNCTIONS(MCL_LLVM_MEMBER)
};
#undef MCL_LLVM_MEMBER

/* Load the library, if nobody has yet, and find all functions. It is never unloaded. Returns whether all are there. */
bool mcl_llvm_load(struct mcl_llvm *llvm);

/*
 * Whether @instruction by itself is a way for work-items to notice each other: an atomic or volatile access, a fence. Calls that
 * may go on elsewhere count as such, ordinary ones are for the caller to judge.
 */
bool mcl_llvm_synchronises(const struct mcl_llvm *llvm, llvm_ref instruction);

#endif
