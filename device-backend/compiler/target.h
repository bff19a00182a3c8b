/* SPDX-License-Identifier: MIT */
/*
 * Which processor native code was compiled for, in words that another machine can check without LLVM: the
 * instruction-set extensions that were there, as the processor reports them. Code runs where every one of them is
 * present. Does not name the processor; mirrorcl-cc adds LLVM's name for people (" cpu=znver3").
 *
 * That processor is the one here, or one that MIRRORCL_TARGET_CPU names, so that one program cache serves several machines.
 */
#ifndef MCL_TARGET_H
#define MCL_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#define MCL_TARGET_WORDS 9

/* A processor that is known by name. */
struct mcl_target {
	const char *name; /* LLVM's, too */
	const char *builtins; /* POCL's library of built-in functions for it: its variant */
	uint32_t words[MCL_TARGET_WORDS]; /* as target.c's mask */
};

/* The one that MIRRORCL_TARGET_CPU names; NULL: code is made for this machine. Thread-safe. */
const struct mcl_target *mcl_target_chosen(void);

/* This machine, whatever is chosen: in the form below. */
const char *mcl_target_machine(void);

/* What code is made for: this machine or the chosen target, as one word without spaces ("x86_64:fed8320b.07808101..."). Never fails; constant; thread-safe. */
const char *mcl_target_here(void);

/*
 * Whether code whose target string is @target (mcl_target_here() of the compiling machine, then anything after a
 * space) runs here.
 */
bool mcl_target_runs_here(const char *target);

#endif
