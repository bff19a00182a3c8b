/* SPDX-License-Identifier: MIT */
/*
 * Finding out which of several functions of a kernel is the fastest, from launches that have to be made anyway: they
 * take turns, the device's clock measures, and after a few each the fastest stays. Pure logic: no locks, no clock.
 *
 * What disturbs a launch only makes it longer, so the shortest time of each counts. Launches with page faults do not.
 */
#ifndef MCL_TRIAL_H
#define MCL_TRIAL_H

#include "backend.h"

struct mcl_trial {
	uint32_t candidates; /* a bit for each enum mcl_variant that is still in */
	uint32_t turn;
	uint64_t groups; /* size of the launches that are compared */
	uint32_t ignored; /* launches in a row that did not count */
	struct {
		uint32_t count;
		double best, worst; /* ns for one work-group */
	} of[MCL_VARIANT_COUNT];
};

/* @candidates must not be empty. */
void mcl_trial_begin(struct mcl_trial *t, uint32_t candidates);

/* Whose turn it is. */
enum mcl_variant mcl_trial_next(struct mcl_trial *t);

/*
 * @variant took @ns for @groups work-groups; @disturbed: something else is known to have cost time. Returns the fastest,
 * or -1: not known yet.
 */
int mcl_trial_note(struct mcl_trial *t, enum mcl_variant variant, uint64_t ns, uint64_t groups, bool disturbed);

#endif
