// SPDX-License-Identifier: MIT
/* A build without a mirror that faults has nothing to page; see CMakeLists.txt. */
#include <errno.h>

#include "pager/pager.h"

int mcl_pager_start(struct mcl_mirror *m, const struct mcl_mirror_params *params, struct mcl_pager **out,
		    struct mcl_reason *why)
{
	(void)m;
	(void)params;
	(void)out;
	return mcl_reason(why, -ENOSYS, "this build has no pager");
}

void mcl_pager_stop(struct mcl_pager *p)
{
	(void)p;
}

void mcl_pager_counters(const struct mcl_pager *p, struct mcl_counters *out)
{
	(void)p;
	(void)out;
}

void mcl_pager_migrate(struct mcl_pager *p, const void *ptr, size_t size, bool to_host)
{
	(void)p;
	(void)ptr;
	(void)size;
	(void)to_host;
}

void mcl_pager_sync(struct mcl_pager *p, bool ended)
{
	(void)p;
	(void)ended;
}
