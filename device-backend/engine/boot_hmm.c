// SPDX-License-Identifier: MIT
/* The engine's side of the hmm mirror: map the kernel module's view of the host over everything but the window. */
#include <linux/mman.h>

#include "engine/boot_hmm.h"
#include "engine/engine.h"
#include "engine/sys.h"

#define PROT_READ_WRITE 3

int mcl_boot_hmm(struct mcl_engine_control *c)
{
	const struct mcl_engine_boot *boot = &c->boot;
	const int fd = boot->fds[MCL_BOOT_FD_DEVICE];

	for (uint32_t i = 0; i < boot->range_count; i++) {
		const uint64_t start = boot->ranges[i].start;
		long at = mcl_sys6(__NR_mmap, (long)start, (long)boot->ranges[i].size, PROT_READ_WRITE,
				   MAP_SHARED | MAP_FIXED, fd, (long)start);

		if (at < 0)
			return (int)at;
	}
	mcl_sys1(__NR_close, fd);
	return 0;
}
