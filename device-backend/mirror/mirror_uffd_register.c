// SPDX-License-Identifier: MIT
/*
 * Which host memory is watched: registered with the host's userfaultfd, so that a touch of a page that was taken away, and
 * munmap, mremap and madvise arrive here. Before the first page of a mapping is taken, all of the mapping is registered: to
 * register a part would split it, and mremap() works on one mapping only. The price is that the host's first touch
 * of fresh memory in there costs a round trip (give_fresh() makes many pages for one).
 *
 * Watched memory is also excluded from fork: a child that was not made by fork() of the C library (which brings
 * everything home first) would see zeros where a page is in VRAM; so it sees nothing and fails loudly.
 */
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

int mcl_uffd_watch(struct mcl_uffd *u, const struct mcl_vma *vma)
{
	uint64_t size = vma->end - vma->start;
	/* Each time, though most often it is done already: what we know of the range may be older than a new mapping in it. */
	int err =
		mcl_uffd_register(u->host_fd, vma->start, size, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);

	if (err)
		return err;
	mcl_raw_madvise(vma->start, size, MADV_DONTFORK);
	/*
	 * The host may have unmapped it since, and another thread mapped something there, which would then be missing in a
	 * child: nothing that is not watched is ever given back to fork. The report of that cannot have been read yet.
	 */
	if (mcl_uffd_changing_now(u))
		mcl_raw_madvise(vma->start, size, MADV_DOFORK);
	return 0;
}

int mcl_uffd_probe_init(struct mcl_uffd *u, struct mcl_reason *why)
{
	void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err;

	if (page == MAP_FAILED)
		return mcl_reason(why, -ENOMEM, "out of memory");
	u->probe = (uint64_t)page;
	madvise(page, PAGE_SIZE, MADV_DONTFORK);
	*(volatile char *)page = 1;
	u->keep_out[u->keep_out_count++] = (struct mcl_span){ u->probe, u->probe + PAGE_SIZE, false };
	err = mcl_uffd_register(u->host_fd, u->probe, PAGE_SIZE,
				UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
	return err ? mcl_reason(why, err, "cannot watch memory of this process") : 0;
}

int mcl_uffd_watched(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	/* Undoing a write protection that is not there changes nothing, but checks what has to be checked. */
	return mcl_uffd_protect(u->host_fd, start, end - start, UFFDIO_WRITEPROTECT_MODE_DONTWAKE);
}

void mcl_uffd_unwatch_all(struct mcl_uffd *u)
{
	unsigned int retries = 0;
	struct mcl_vma vma;

	for (uint64_t at = u->low; at < u->high; at = vma.end) {
		mcl_uffd_vma(u, at, &vma);
		/* Untouched by either side: it has been made longer since it was mapped in place. */
		if (vma.kind == VMA_SHARED_OURS && mcl_uffd_in_place(u, vma.start)) {
			mcl_uffd_demote_empty(u, vma.start, vma.end - vma.start);
			mcl_uffd_vma(u, at, &vma);
			if (vma.kind == VMA_SHARED_OURS && retries++ < 100) {
				vma.end = at; /* it has just changed: look again */
				continue;
			}
		}
		if ((vma.kind != VMA_ANON && vma.kind != VMA_ANON_READ) ||
		    mcl_uffd_watched(u, vma.start, vma.start + PAGE_SIZE) == -ENOENT)
			continue;
		if (!mcl_uffd_unregister(u->host_fd, vma.start, vma.end - vma.start))
			mcl_raw_madvise(vma.start, vma.end - vma.start, MADV_DOFORK);
		else if (retries++ < 100)
			vma.end = at; /* it has just changed: look again */
	}
}
