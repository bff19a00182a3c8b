/* SPDX-License-Identifier: MIT */
/*
 * Running the compiler proper in a child of mirrorcl-cc: whatever happens to it (a crash in LLVM, a kill, Ctrl-C),
 * the temporary folder goes away and the outcome is an exit status with a sentence.
 */
#ifndef MCL_SUPERVISE_H
#define MCL_SUPERVISE_H

/* Runs in the child. @folder is private and temporary. Returns an enum mcl_verdict. */
typedef int (*mcl_work)(const char *folder, void *ctx);

/*
 * In the parent, after @work ended with MCL_VERDICT_OK and before the folder is removed. Returns an enum mcl_verdict.
 */
typedef int (*mcl_deliver)(const char *folder, void *ctx);

/*
 * Returns the verdict. A deadly signal to this process (INT, TERM, HUP, QUIT) ends the child, cleans up and then ends
 * this process by the same signal.
 */
int mcl_supervise(mcl_work work, mcl_deliver deliver, void *ctx);

#endif
