// SPDX-License-Identifier: MIT
/* Trials; see trial.h. */
#include <string.h>

#include "runtime/trial.h"

/* After so many launches each a clear difference decides, and after so many any difference does. */
#define FEW 3
#define MANY 8
#define CLEAR 1.25
/* Rather a launch with page faults, or of another size, than none. */
#define MAX_IGNORED 40

void mcl_trial_begin(struct mcl_trial *t, uint32_t candidates)
{
	memset(t, 0, sizeof(*t));
	t->candidates = candidates;
}

enum mcl_variant mcl_trial_next(struct mcl_trial *t)
{
	do
		t->turn = (t->turn + 1) % MCL_VARIANT_COUNT;
	while (!(t->candidates & 1u << t->turn));
	return (enum mcl_variant)t->turn;
}

/* Within a factor of two: caches and the number of units make more groups not just more of the same. */
static bool comparable(const struct mcl_trial *t, uint64_t groups)
{
	return groups <= 2 * t->groups && t->groups <= 2 * groups;
}

/* Of those that have been measured, as @one has been. */
static enum mcl_variant fastest(const struct mcl_trial *t, enum mcl_variant one)
{
	enum mcl_variant best = one;

	for (enum mcl_variant i = 0; i < MCL_VARIANT_COUNT; i++)
		if (t->candidates & 1u << i && t->of[i].count && t->of[i].best < t->of[best].best)
			best = i;
	return best;
}

int mcl_trial_note(struct mcl_trial *t, enum mcl_variant variant, uint64_t ns, uint64_t groups, bool disturbed)
{
	const double each = (double)ns / (double)groups;
	enum mcl_variant best;

	if (!(t->candidates & 1u << variant))
		return -1;
	if ((disturbed || (t->groups && !comparable(t, groups))) && t->ignored < MAX_IGNORED) {
		t->ignored++;
		return -1;
	}
	if (!comparable(t, groups)) {
		/* The first, or the program launches another size now: from the start. */
		const uint32_t turn = t->turn;

		mcl_trial_begin(t, t->candidates);
		t->turn = turn;
		t->groups = groups;
	}
	t->ignored = 0;
	if (!t->of[variant].count++)
		t->of[variant].best = t->of[variant].worst = each;
	else if (each < t->of[variant].best)
		t->of[variant].best = each;
	else if (each > t->of[variant].worst)
		t->of[variant].worst = each;

	best = fastest(t, variant);
	for (enum mcl_variant i = 0; i < MCL_VARIANT_COUNT; i++) {
		if (i == best || !(t->candidates & 1u << i))
			continue;
		/* Out: clearly slower, every time, or slower after all. */
		if (t->of[i].count >= FEW && t->of[best].count >= FEW && t->of[i].best > t->of[best].worst &&
		    t->of[i].best > CLEAR * t->of[best].best)
			t->candidates &= ~(1u << i);
		else if (t->of[i].count >= MANY && t->of[best].count >= MANY)
			t->candidates &= ~(1u << i);
	}
	return t->candidates == 1u << best ? (int)best : -1;
}
