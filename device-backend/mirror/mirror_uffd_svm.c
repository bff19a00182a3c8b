// SPDX-License-Identifier: MIT
/*
 * Memory for clSVMAlloc and cl_mem: the mirror's memfd mapped by the host too, at offset = address. Shared from the start:
 * nothing moves, nothing is watched, and the host's own faults never come here.
 *
 * The pager fills holes of it on device faults. A fill that came just after free() would leave a page where the next mapping
 * of the host will be, so the two exclude each other. The pager only tries: it must not wait for a thread that may be
 * waiting for it.
 */
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"

void *mcl_uffd_svm_alloc(struct mcl_mirror *m, size_t size)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	size_t bytes = (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	void *at;

	if (bytes < size || !bytes) {
		errno = ENOMEM;
		return NULL;
	}
	/* The address is the offset, so it has to be known first. */
	at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	/* Another thread may just be unmapping what was here: then the memfd still has pages of that. */
	mcl_uffd_settle(m);
	if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, u->memfd,
		 (off_t)(uintptr_t)at) == MAP_FAILED) {
		munmap(at, bytes);
		return NULL;
	}
	madvise(at, bytes, MADV_DONTFORK);
	return at;
}

void mcl_uffd_svm_free(struct mcl_mirror *m, void *ptr, size_t size)
{
	struct mcl_uffd *u = mcl_uffd_of(m);
	size_t bytes = (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);

	while (atomic_exchange(&u->svm_lock, 1))
		sched_yield();
	/* The address stays taken until the pages are gone: they would be those of the next one who gets it. */
	if (mmap(ptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		mcl_log_warn("cannot reserve %zu bytes while they are freed", bytes);
	mcl_uffd_punch(u, (uint64_t)ptr, (uint64_t)ptr + bytes);
	munmap(ptr, bytes);
	atomic_store(&u->svm_lock, 0);
}

long mcl_uffd_svm_fill(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	struct mcl_vma vma;
	int err;

	if (atomic_exchange(&u->svm_lock, 1))
		return -EAGAIN;
	mcl_uffd_vma(u, start, &vma);
	end = mcl_min64(end, vma.end);
	err = vma.kind == VMA_SHARED_OURS ? mcl_uffd_fill(u, start, end) : -EAGAIN;
	atomic_store(&u->svm_lock, 0);
	/* Not of clSVMAlloc, but mapped in place; grown since, perhaps. */
	if (!err && mcl_uffd_in_place(u, start)) {
		struct mcl_uffd_block *b = mcl_uffd_block(u, start);

		if (b)
			mcl_uffd_set(b, start, end, PAGE_PROMOTED);
		mcl_uffd_map_host(u, start, end);
	}
	return err ? err : (long)((end - start) >> PAGE_SHIFT);
}
