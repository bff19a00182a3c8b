/* SPDX-License-Identifier: MIT */
/*
 * What this process has mapped at an address, asked of the kernel each time: PROCMAP_QUERY on /proc/self/maps costs about as
 * much as one page copy, and a cache would have to be told about mmap and mprotect, which nobody reports.
 */
#ifndef MCL_HOST_MAPPING_H
#define MCL_HOST_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

struct mcl_host_mapping {
	uint64_t start, end, offset; /* without a mapping: the hole from the address's page on */
	bool exists;
	bool readable, writable, executable, shared;
	uint32_t dev_major, dev_minor;
	uint64_t inode;
	char name[256]; /* as in /proc/self/maps; "/" for a path that does not fit; empty for anonymous memory */
};

/*
 * The mapping of @address. @maps_fd is a descriptor of /proc/self/maps. Uses raw system calls and the stack only, so any
 * thread may call it.
 */
void mcl_host_mapping_find(int maps_fd, uint64_t address, struct mcl_host_mapping *out);

/* The lowest address at which this process can map anything: the sysctl vm.mmap_min_addr, at least one page. Page aligned. */
uint64_t mcl_host_lowest(void);

#endif
