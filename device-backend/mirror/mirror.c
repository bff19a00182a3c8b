// SPDX-License-Identifier: MIT
/* Which mirrors exist and which one runs; see mirror.h. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mirror/mirror.h"
#include "support/config.h"

const struct mcl_mirror_ops *const mcl_mirrors[] = {
#ifdef MCL_HAVE_HMM
	&mcl_mirror_hmm,
#endif
#ifdef MCL_HAVE_UFFD
	&mcl_mirror_uffd,
#endif
	&mcl_mirror_shared,
	NULL,
};

static const struct mcl_mirror_ops *find(const char *name)
{
	for (const struct mcl_mirror_ops *const *m = mcl_mirrors; *m; m++)
		if (!strcmp((*m)->name, name))
			return *m;
	return NULL;
}

const struct mcl_mirror_ops *mcl_mirror_choose(struct mcl_reason *why)
{
	const char *const name = mcl_config()->mirror;
	const struct mcl_mirror_ops *ops;

	if (!strcmp(name, "auto")) {
		ops = find("hmm");
		if (ops && !ops->probe(why))
			return ops;
		if (why)
			why->text[0] = 0;
		ops = &mcl_mirror_shared;
	} else {
		ops = find(name);
	}
	if (!ops) {
		if (!strcmp(name, "hmm"))
			mcl_reason(
				why, -ENODEV,
				"MIRRORCL_MIRROR=hmm: this build has no support for the kernel module; use auto, uffd or shared");
		else if (!strcmp(name, "uffd"))
			mcl_reason(why, -ENODEV,
				   "MIRRORCL_MIRROR=uffd: this build has no userfaultfd mirror; use auto or shared");
		else
			mcl_reason(why, -ENODEV, "MIRRORCL_MIRROR=%s: no such mirror; use auto, hmm, uffd or shared",
				   name);
		return NULL;
	}
	return ops->probe(why) ? NULL : ops;
}
