// SPDX-License-Identifier: MIT
/* PROCMAP_QUERY, and where mappings may begin; see host_mapping.h. */
#include <linux/fs.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "mirror/host_mapping.h"
#include "mirror/uffd_sys.h"

#define PAGE 4096ull
#define USER_END 0x7ffffffff000ull
#define LOOK_UPS 1000
#define DEFAULT_LOWEST 65536ul

/*
 * Newer kernels answer without stopping those who change mappings, and can miss one that is just being merged with its
 * neighbour. A system call that does stop them knows whether there is anything.
 */
static bool really_nothing(uint64_t address)
{
	unsigned char resident;

	return mcl_raw(SYS_mincore, address & ~(PAGE - 1), PAGE, (uint64_t)&resident, 0, 0, 0) == -ENOMEM;
}

static void look_up(int maps_fd, uint64_t address, struct mcl_host_mapping *out)
{
	struct procmap_query q = {
		.size = sizeof(q),
		.query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
		.query_addr = address,
		.vma_name_addr = (uint64_t)out->name,
		.vma_name_size = sizeof(out->name),
	};
	long err = mcl_raw_ioctl(maps_fd, PROCMAP_QUERY, &q);
	bool path = err == -ENAMETOOLONG || err == -E2BIG;

	memset(out, 0, offsetof(struct mcl_host_mapping, name));
	if (path) {
		/* All that matters is that it is none of the short special names. */
		q.vma_name_addr = q.vma_name_size = 0;
		err = mcl_raw_ioctl(maps_fd, PROCMAP_QUERY, &q);
	}
	if (err || q.vma_start > address) {
		out->start = address & ~(PAGE - 1);
		out->end = err ? USER_END : q.vma_start;
		return;
	}
	out->exists = true;
	if (path)
		memcpy(out->name, "/", 2);
	else if (!q.vma_name_size)
		out->name[0] = 0;
	out->name[sizeof(out->name) - 1] = 0;
	out->start = q.vma_start;
	out->end = q.vma_end;
	out->offset = q.vma_offset;
	out->readable = q.vma_flags & PROCMAP_QUERY_VMA_READABLE;
	out->writable = q.vma_flags & PROCMAP_QUERY_VMA_WRITABLE;
	out->executable = q.vma_flags & PROCMAP_QUERY_VMA_EXECUTABLE;
	out->shared = q.vma_flags & PROCMAP_QUERY_VMA_SHARED;
	out->dev_major = q.dev_major;
	out->dev_minor = q.dev_minor;
	out->inode = q.inode;
}

void mcl_host_mapping_find(int maps_fd, uint64_t address, struct mcl_host_mapping *out)
{
	for (int tries = 0; tries < LOOK_UPS; tries++) {
		look_up(maps_fd, address, out);
		if (out->exists || really_nothing(address))
			return;
		mcl_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
}

uint64_t mcl_host_lowest(void)
{
	FILE *f = fopen("/proc/sys/vm/mmap_min_addr", "re");
	unsigned long lowest = DEFAULT_LOWEST;

	if (f) {
		if (fscanf(f, "%lu", &lowest) != 1)
			lowest = DEFAULT_LOWEST;
		fclose(f);
	}
	return lowest < PAGE ? PAGE : (lowest + PAGE - 1) & ~(PAGE - 1);
}
