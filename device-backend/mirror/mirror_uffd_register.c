// SPDX-License-Identifier: MIT
/*
 * Which host memory is watched: registered with the host's userfaultfd, so that a touch of a page that was taken away, and
 * munmap, mremap and madvise arrive here. Before the first page of a 2 MiB block is taken, the part of the block that
 * belongs to the same mapping is registered, no more: in watched memory the host's first touch of every fresh page costs
 * a round trip. The main thread's stack is registered as a whole, because it grows.
 *
 * Watched memory is also excluded from fork: a child that was not made by fork() of the C library (which brings
 * everything home first) would see zeros where a page is in VRAM; so it sees nothing and fails loudly.
 */
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

int mcl_uffd_watch(struct mcl_uffd *u, struct mcl_uffd_block *b, const struct mcl_vma *vma, uint64_t start,
		   uint64_t end)
{
	int err;

	if (vma->stack) {
		start = vma->start;
		end = vma->end;
	} else {
		start = mcl_max64(vma->start, b->base);
		end = mcl_min64(vma->end, b->base + MCL_BLOCK_SIZE);
	}
	/* Each time, though most often it is done already: what we know of the range may be older than a new mapping in it. */
	err = mcl_uffd_register(u->host_fd, start, end - start, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
	if (err)
		return err;
	mcl_raw_madvise(start, end - start, MADV_DONTFORK);
	b->registered = true;
	return 0;
}

int mcl_uffd_watched(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	/* Undoing a write protection that is not there changes nothing, but checks what has to be checked. */
	return mcl_uffd_protect(u->host_fd, start, end - start, UFFDIO_WRITEPROTECT_MODE_DONTWAKE);
}

void mcl_uffd_unwatch_all(struct mcl_uffd *u)
{
	struct mcl_uffd_block *next;

	for (struct mcl_uffd_block *b = u->blocks; b; b = next) {
		struct mcl_vma vma;

		next = b->next;
		if (!b->registered)
			continue;
		for (uint64_t at = b->base; at < b->base + MCL_BLOCK_SIZE; at = vma.end) {
			uint64_t start, end;

			mcl_uffd_vma(u, at, &vma);
			if (vma.kind != VMA_ANON && vma.kind != VMA_ANON_READ)
				continue;
			start = vma.stack ? vma.start : mcl_max64(vma.start, b->base);
			end = vma.stack ? vma.end : mcl_min64(vma.end, b->base + MCL_BLOCK_SIZE);
			if (!mcl_uffd_unregister(u->host_fd, start, end - start))
				mcl_raw_madvise(start, end - start, MADV_DOFORK);
		}
		b->registered = false;
		mcl_uffd_release(u, b);
	}
}
