/* SPDX-License-Identifier: MIT */
/*
 * Which function of a kernel was found to be the fastest for a local size, in this run or an earlier one, or how often finding
 * that out was begun in vain: one small file beside the compiled programs. It is a table of fixed size with one slot for each hash value, so it never grows and
 * needs no cleaning; a kernel that loses its slot to another is measured again. Only a hint: what is read is checked,
 * errors mean nothing.
 */
#ifndef MCL_CHOICES_H
#define MCL_CHOICES_H

#include "runtime/program.h"

/* What was chosen, or -1: not known, or there is no cache. */
int mcl_choice_load(const struct mcl_source *source, const char *kernel, const uint64_t local[3]);

/* Remember. */
void mcl_choice_store(const struct mcl_source *source, const char *kernel, const uint64_t local[3],
		      enum mcl_variant choice);

#define MCL_CHOICE_MAX_ATTEMPTS 8u

/*
 * How often functions for the size were begun, since something was chosen last: by runs that ended before they had chosen.
 * 0 to MCL_CHOICE_MAX_ATTEMPTS; 0, too, where nothing is known.
 */
unsigned int mcl_choice_attempts(const struct mcl_source *source, const char *kernel, const uint64_t local[3]);

/* Remember that this was attempt number @attempts, at most the maximum. Takes the place of what was chosen. */
void mcl_choice_attempt(const struct mcl_source *source, const char *kernel, const uint64_t local[3],
			unsigned int attempts);

#endif
