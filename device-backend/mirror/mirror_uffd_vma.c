// SPDX-License-Identifier: MIT
/* What the host's mappings are to this mirror. */
#include <string.h>

#include "mirror/host_mapping.h"
#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

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

void mcl_uffd_vma(struct mcl_uffd *u, uint64_t address, struct mcl_vma *out)
{
	struct mcl_host_mapping m;

	mcl_host_mapping_find(u->maps_fd, address, &m);
	*out = (struct mcl_vma){
		.start = m.start,
		.end = m.end,
		.offset = m.offset,
		.readable = m.readable,
		.writable = m.writable,
		.executable = m.executable,
		.shared = m.shared,
		.dev_major = m.dev_major,
		.dev_minor = m.dev_minor,
		.inode = m.inode,
	};
	if (!m.exists)
		return;
	out->kind = kind_of(u, out, m.name);
	clip(u, address, out);
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
