// SPDX-License-Identifier: MIT
/* What this machine and this process allow: where mappings may begin, how many there may be, where the stack will grow. */
#include <pthread.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mirror/host_mapping.h"
#include "mirror/mirror_uffd.h"

#define DEFAULT_MAP_LIMIT 65530
#define STACK_GAP (128ull << 20) /* the kernel leaves at least that for the stack */

static unsigned long read_number(const char *path, unsigned long otherwise)
{
	FILE *f = fopen(path, "re");
	unsigned long value = otherwise;

	if (f) {
		if (fscanf(f, "%lu", &value) != 1)
			value = otherwise;
		fclose(f);
	}
	return value;
}

/* The top of it has the program's name. What else is mapped down there, if anything, is taken for a part of it. */
static void find_stack(struct mcl_uffd *u)
{
	struct rlimit limit;
	uint64_t size = STACK_GAP;

	if (!getrlimit(RLIMIT_STACK, &limit) && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur > size)
		size = limit.rlim_cur;
	u->stack_high = mcl_page_down(getauxval(AT_EXECFN)) + PAGE_SIZE;
	u->stack_low = u->stack_high > size ? u->stack_high - size : 0;
}

/* Of the C library's own making, so it is asked for. */
static void find_head(struct mcl_uffd *u)
{
	uint64_t head = 0;
	size_t size;

	if (!syscall(SYS_get_robust_list, 0, &head, &size) && head > (uint64_t)pthread_self())
		u->head_in_block = head - (uint64_t)pthread_self();
}

void mcl_uffd_read_limits(struct mcl_uffd *u)
{
	u->low = mcl_host_lowest();
	u->high = USER_END;
	u->map_limit = (uint32_t)read_number("/proc/sys/vm/max_map_count", DEFAULT_MAP_LIMIT);
	find_stack(u);
	find_head(u);
}
