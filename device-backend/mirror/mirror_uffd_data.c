// SPDX-License-Identifier: MIT
/*
 * Initialised data of programs and libraries: private mappings of files, whose pages the kernel does not let go. They are
 * replaced by anonymous memory with the same contents once, before there is an engine. That takes a copy, and a store
 * between copy and replacement would be lost: so it is done only while this is the only thread, with signals blocked, and not
 * for the objects whose data this code itself uses.
 *
 * Where it is not done, the device gets copies of these pages (mirror_uffd_special.c).
 */
#include <link.h>
#include <signal.h>
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

/*
 * No calls into libraries between copy and replacement: this must not depend on what is being replaced. And the address
 * sanitizer's zones between variables are copied like the rest.
 */
__attribute__((no_sanitize_address, no_sanitize_thread)) static void replace(const struct mcl_vma *vma)
{
	uint64_t size = vma->end - vma->start;
	int prot = PROT_READ | PROT_WRITE | (vma->executable ? PROT_EXEC : 0);
	uint64_t copy =
		(uint64_t)mcl_raw(SYS_mmap, 0, size, (uint64_t)prot, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0);
	const uint64_t *from = (const uint64_t *)vma->start;
	volatile uint64_t *to = (volatile uint64_t *)copy;

	if (copy > USER_END)
		return;
	/* Past the end of the file there is nothing to read; then it stays as it is. */
	if (mcl_raw(SYS_madvise, vma->start, size, MADV_POPULATE_READ, 0, 0, 0)) {
		mcl_raw(SYS_munmap, copy, size, 0, 0, 0, 0);
		return;
	}
	for (uint64_t i = 0; i < size / 8; i++)
		to[i] = from[i];
	mcl_raw(SYS_mremap, copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, vma->start, 0);
}

#define OBJECTS_MAX 1024

struct objects {
	unsigned int count;
	struct mcl_span data[OBJECTS_MAX];
};

static int add_data(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct objects *o = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && p->p_flags & PF_W && o->count < OBJECTS_MAX)
			o->data[o->count++] = (struct mcl_span){ start, start + p->p_memsz, false };
	}
	return 0;
}

void mcl_uffd_replace_data(struct mcl_uffd *u)
{
	struct objects *o = (struct objects *)u->bounce; /* big enough, and nobody uses it yet */
	struct mcl_vma vma;
	sigset_t all, saved;

	_Static_assert(sizeof(*o) <= MCL_BLOCK_SIZE, "fits");
	if (mcl_uffd_tasks_count(u) != 1)
		return;
	dl_iterate_phdr(add_data, o);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	for (unsigned int i = 0; i < o->count; i++) {
		for (uint64_t at = o->data[i].start; at < o->data[i].end; at = vma.end) {
			mcl_uffd_vma(u, at, &vma);
			if (vma.kind == VMA_FILE_WRITE)
				replace(&vma);
		}
	}
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	o->count = 0;
}
