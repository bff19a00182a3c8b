/* SPDX-License-Identifier: MIT */
/*
 * Which processor native code was compiled for, in words that another machine can check without LLVM: the
 * instruction-set extensions that were there, as the processor reports them. Code runs where every one of them is
 * present. Does not name the processor; mirrorcl-cc adds LLVM's name for people (" cpu=znver3").
 */
#ifndef MCL_TARGET_H
#define MCL_TARGET_H

#include <stdbool.h>

/* This machine, as one word without spaces ("x86_64:fed8320b.07808101..."). Never fails; constant; thread-safe. */
const char *mcl_target_here(void);

/*
 * Whether code whose target string is @target (mcl_target_here() of the compiling machine, then anything after a
 * space) runs here.
 */
bool mcl_target_runs_here(const char *target);

#endif
