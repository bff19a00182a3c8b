/* SPDX-License-Identifier: MIT */
/* What a process holds, and the test that many lives of something leave none of it behind. */
#ifndef CONFORMANCE_USAGE_H
#define CONFORMANCE_USAGE_H

/*
 * Run @body @times times and assert that the process afterwards holds no more heap, resident memory, descriptors, threads,
 * child processes and mappings than before. What leaks, leaks in every quarter of the runs; a cache that fills or a
 * background thread that wakes up does so in one: it is the least growth of a quarter that counts.
 */
void conf_lifetimes(const char *name, void (*body)(void), int times);

#endif
