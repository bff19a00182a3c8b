// SPDX-License-Identifier: MIT
/*
 * What the host has mapped at an address, asked of the kernel each time: PROCMAP_QUERY on /proc/self/maps costs about as
 * much as one page copy, and a cache would have to be told about mmap and mprotect, which nobody reports.
 */
#include <linux/fs.h>
#include <string.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#define LOOK_UPS 1000

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static enum mcl_vma_kind anonymous_kind(const struct mcl_vma *v, const char *name)
{
	/* vdso, vvar and friends are in brackets too; only these are plain memory. */
	if (name[0] && strcmp(name, "[heap]") && strcmp(name, "[stack]") && !has_prefix(name, "[anon:"))
		return VMA_OTHER;
	if (!v->readable)
		return VMA_OTHER;
	return v->writable ? VMA_ANON : VMA_ANON_READ;
}

static enum mcl_vma_kind kind_of(struct mcl_uffd *u, const struct mcl_vma *v, const char *name)
{
	if (!v->inode && !v->dev_major && !v->dev_minor)
		return v->shared ? VMA_OTHER : anonymous_kind(v, name);
	if (v->shared && v->inode == u->memfd_inode && v->dev_major == u->memfd_major && v->dev_minor == u->memfd_minor)
		return v->offset == v->start ? VMA_SHARED_OURS : VMA_OTHER;
	if (has_prefix(name, "/dev/") && !has_prefix(name, "/dev/shm/") && !has_prefix(name, "/dev/zero"))
		return VMA_OTHER;
	if (has_prefix(name, "/anon_hugepage") || has_prefix(name, "anon_inode:") || has_prefix(name, "socket:"))
		return VMA_OTHER;
	if (v->shared)
		return VMA_FILE_SHARED;
	return v->writable ? VMA_FILE_WRITE : VMA_FILE_READ;
}

/* A mapping may be merged from memory that is kept out and memory that is not: give the part around @address. */
static void clip(struct mcl_uffd *u, uint64_t address, struct mcl_vma *v)
{
	for (unsigned int i = 0; i < u->keep_out_count; i++) {
		const struct mcl_span *k = &u->keep_out[i];
		uint64_t start = v->start;

		if (v->start >= k->end || v->end <= k->start)
			continue;
		if (address < k->start) {
			v->end = k->start;
			continue;
		}
		v->start = mcl_max64(v->start, address >= k->end ? k->end : k->start);
		v->offset += v->inode ? v->start - start : 0;
		if (address < k->end) {
			v->end = mcl_min64(v->end, k->end);
			v->kind = k->copy && v->readable ? VMA_SYSTEM : VMA_OWN;
		}
	}
}

/*
 * Newer kernels answer without stopping those who change mappings, and can miss one that is just being merged with its
 * neighbour. A system call that does stop them knows whether there is anything.
 */
static bool really_nothing(uint64_t address)
{
	unsigned char resident;

	return mcl_raw(SYS_mincore, mcl_page_down(address), PAGE_SIZE, (uint64_t)&resident, 0, 0, 0) == -ENOMEM;
}

static void look_up(struct mcl_uffd *u, uint64_t address, struct mcl_vma *out)
{
	char name[256] = "";
	struct procmap_query q = {
		.size = sizeof(q),
		.query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
		.query_addr = address,
		.vma_name_addr = (uint64_t)name,
		.vma_name_size = sizeof(name),
	};
	long err = mcl_raw_ioctl(u->maps_fd, PROCMAP_QUERY, &q);

	bool path = err == -ENAMETOOLONG || err == -E2BIG;

	if (path) {
		/* All that matters is that it is none of the short special names. */
		q.vma_name_addr = q.vma_name_size = 0;
		err = mcl_raw_ioctl(u->maps_fd, PROCMAP_QUERY, &q);
	}
	memset(out, 0, sizeof(*out));
	if (err || q.vma_start > address) {
		out->start = mcl_page_down(address);
		out->end = err ? USER_END : q.vma_start;
		return;
	}
	if (!q.vma_name_size)
		name[0] = 0;
	name[sizeof(name) - 1] = 0;
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
	out->kind = kind_of(u, out, path ? "/" : name);
	clip(u, address, out);
}

void mcl_uffd_vma(struct mcl_uffd *u, uint64_t address, struct mcl_vma *out)
{
	for (int tries = 0; tries < LOOK_UPS; tries++) {
		look_up(u, address, out);
		if (out->kind != VMA_NONE || really_nothing(address))
			return;
		mcl_raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
}

uint64_t mcl_uffd_count_maps(struct mcl_uffd *u)
{
	uint64_t count = 0;
	long n;

	mcl_raw(SYS_lseek, (uint64_t)u->maps_fd, 0, 0 /* SEEK_SET */, 0, 0, 0);
	while ((n = mcl_raw(SYS_read, (uint64_t)u->maps_fd, (uint64_t)u->scratch, sizeof(u->scratch), 0, 0, 0)) > 0)
		for (long i = 0; i < n; i++)
			count += u->scratch[i] == '\n';
	return count;
}
