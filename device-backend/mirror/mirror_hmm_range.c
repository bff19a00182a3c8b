// SPDX-License-Identifier: MIT
/*
 * Faults and ranges: what the pager decides is one ioctl here. The kernel keeps the books; nothing is remembered but which
 * blocks have been moved at all, and which ranges the kernel serves alone.
 */
#include <string.h>

#include "mirror/host_mapping.h"
#include "mirror/mirror_hmm.h"
#include "mirror/uffd_sys.h"

static uint64_t page_down(uint64_t x)
{
	return x & ~(HMM_PAGE - 1);
}

static int fd_of(const struct mcl_hmm *h)
{
	return atomic_load_explicit(&h->device_fd, memory_order_relaxed);
}

/* The last block of all is a page short, and the kernel would refuse all of it. */
static uint64_t clip(uint64_t start, uint64_t size)
{
	return size < HMM_USER_END - start ? size : HMM_USER_END - start;
}

/* One of the range ioctls. Pages done, or -errno; *left may be NULL. */
static long range(struct mcl_hmm *h, unsigned long request, uint64_t start, uint64_t size, uint32_t flags,
		  uint64_t *left)
{
	struct hmm_mirror_range r = { .start = start, .size = clip(start, size), .flags = flags };
	long err = mcl_raw_ioctl(fd_of(h), request, &r);

	if (left)
		*left = r.left;
	switch (err) {
	case 0:
		return (long)r.done;
	case -EACCES:
		return -EFAULT;
	case -EBADF: /* the engine is gone */
	case -ENXIO:
	case -EPERM:
	case -EINTR:
		return -ESRCH;
	case -EBUSY: /* the host has been changing the range all the time */
		return -EAGAIN;
	default:
		return err;
	}
}

static void remember(struct mcl_hmm *h, uint64_t start, uint64_t end)
{
	for (uint64_t base = start & ~(MCL_BLOCK_SIZE - 1); base < end; base += MCL_BLOCK_SIZE) {
		void **slot = mcl_block_slot(&h->table, &h->memory, base, true);
		struct mcl_hmm_block *b;

		if (!slot || *slot)
			continue;
		b = mcl_private_alloc(&h->memory, sizeof(*b), 8);
		if (!b)
			return; /* then it comes home when the host touches it, or never */
		b->base = base;
		b->next = h->blocks;
		h->blocks = b;
		*slot = b;
	}
}

void mcl_hmm_evict_all(struct mcl_hmm *h)
{
	for (struct mcl_hmm_block *b = h->blocks; b; b = b->next)
		range(h, HMM_MIRROR_IOC_EVICT, b->base, MCL_BLOCK_SIZE, 0, NULL);
}

/* ---- service by the kernel alone ---- */

int mcl_hmm_service(struct mcl_hmm *h, uint64_t start, uint64_t size, bool kernel)
{
	struct hmm_mirror_service s = {
		.start = start,
		.size = size,
		.mode = kernel ? HMM_MIRROR_SERVICE_KERNEL : HMM_MIRROR_SERVICE_PAGER,
	};

	return (int)mcl_raw_ioctl(fd_of(h), HMM_MIRROR_IOC_SERVICE, &s);
}

/* Faults in a mapping that does not move are not worth a trip to the pager each. */
static void serve_alone(struct mcl_hmm *h, const struct mcl_host_mapping *m)
{
	if (!h->migrates || h->serviced_count == HMM_SERVICED_MAX)
		return;
	for (unsigned int i = 0; i < h->serviced_count; i++)
		if (h->serviced[i].start <= m->start && h->serviced[i].end >= m->end)
			return;
	if (!mcl_hmm_service(h, m->start, m->end - m->start, true))
		h->serviced[h->serviced_count++] = (struct mcl_hmm_span){ m->start, m->end };
}

void mcl_hmm_unmapped(struct mcl_hmm *h, uint64_t start, uint64_t end)
{
	for (unsigned int i = 0; i < h->serviced_count;) {
		const struct mcl_hmm_span s = h->serviced[i];

		if (s.start >= end || s.end <= start) {
			i++;
			continue;
		}
		/* All of it: what is left of the mapping asks again. */
		mcl_hmm_service(h, s.start, s.end - s.start, false);
		h->serviced[i] = h->serviced[--h->serviced_count];
	}
}

/* ---- the host's mappings ---- */

/* Private anonymous memory moves; what the kernel puts there itself (vdso ...) has a name of its own. */
static bool moves(const struct mcl_host_mapping *m)
{
	if (m->shared || m->inode || m->dev_major || m->dev_minor)
		return false;
	return !m->name[0] || !strcmp(m->name, "[heap]") || !strcmp(m->name, "[stack]") ||
	       !strncmp(m->name, "[anon:", 6);
}

/* Part of a mapping may be kept out: give the part around @address. */
static bool kept_out(const struct mcl_hmm *h, uint64_t address, struct mcl_host_mapping *m)
{
	bool inside = false;

	for (unsigned int i = 0; i < h->keep_out_count; i++) {
		const struct mcl_hmm_span *k = &h->keep_out[i];

		if (m->start >= k->end || m->end <= k->start)
			continue;
		if (address < k->start) {
			m->end = k->start;
		} else if (address >= k->end) {
			m->start = k->end;
		} else {
			m->start = m->start > k->start ? m->start : k->start;
			m->end = m->end < k->end ? m->end : k->end;
			inside = true;
		}
	}
	return inside;
}

void mcl_hmm_extent(struct mcl_mirror *mirror, uint64_t address, struct mcl_extent *out)
{
	struct mcl_hmm *h = mcl_hmm_of(mirror);
	struct mcl_host_mapping m;
	bool kept;

	mcl_host_mapping_find(h->maps_fd, address, &m);
	kept = kept_out(h, address, &m);
	*out = (struct mcl_extent){
		.start = m.start,
		.end = m.end,
		.kind = MCL_EXTENT_NONE,
		.readable = m.readable,
		.writable = m.writable,
	};
	if (!m.exists || (!m.readable && !m.writable))
		return;
	if (h->migrates && !kept && moves(&m)) {
		out->kind = MCL_EXTENT_PAGEABLE;
		out->promotable = true;
		return;
	}
	out->kind = MCL_EXTENT_IN_PLACE;
	if (!kept)
		serve_alone(h, &m);
}

/* ---- answers ---- */

long mcl_hmm_map(struct mcl_mirror *m, uint64_t start, uint64_t size, uint64_t address, enum mcl_access access)
{
	const uint32_t flags = HMM_MIRROR_HOLD | (access == MCL_ACCESS_WRITE ? HMM_MIRROR_WRITE : 0);
	const uint64_t page = page_down(address);
	struct mcl_hmm *h = mcl_hmm_of(m);
	long n = range(h, HMM_MIRROR_IOC_MIRROR, start, size, flags, NULL), one;

	if (n > 0 && start + (uint64_t)n * HMM_PAGE > page)
		return n;
	if (size == HMM_PAGE)
		return n;
	/* It stopped before that page (beyond the end of a file, say), which may be all right. */
	one = range(h, HMM_MIRROR_IOC_MIRROR, page, HMM_PAGE, flags, NULL);
	return one < 0 ? one : one + (n > 0 ? n : 0);
}

long mcl_hmm_migrate(struct mcl_mirror *m, uint64_t start, uint64_t size, uint64_t address)
{
	struct mcl_hmm *h = mcl_hmm_of(m);
	uint64_t left = 0;
	long n = range(h, HMM_MIRROR_IOC_MIGRATE, start, size, HMM_MIRROR_HOLD, &left), there;

	(void)address;
	if (n == -EOPNOTSUPP)
		return 0;
	if (n < 0)
		return n;
	remember(h, start, start + size);
	if (!left)
		return n;
	/*
	 * What was in VRAM before and lost its entry (fork, mprotect) is made present again, beside what had to stay. That
	 * counts only where nothing else was done: most of it may have been present all the time.
	 */
	there = range(h, HMM_MIRROR_IOC_MIRROR, start, size, HMM_MIRROR_HOLD | HMM_MIRROR_PRESENT, NULL);
	return n ? n : there;
}

long mcl_hmm_evict(struct mcl_mirror *m, uint64_t start, uint64_t size)
{
	long n = range(mcl_hmm_of(m), HMM_MIRROR_IOC_EVICT, start, size, 0, NULL);

	/* Nothing mapped, or a kernel that never moved anything. */
	return n == -EFAULT || n == -EOPNOTSUPP ? 0 : n;
}

static bool query(struct mcl_hmm *h, uint64_t start, uint64_t size, uint8_t *pages, uint32_t flags)
{
	struct hmm_mirror_query q = {
		.start = start, .size = clip(start, size), .pages = (uint64_t)pages, .flags = flags
	};

	return !mcl_raw_ioctl(fd_of(h), HMM_MIRROR_IOC_QUERY, &q);
}

void mcl_hmm_count(struct mcl_mirror *m, uint64_t base, uint64_t *vram, uint64_t *shared)
{
	struct mcl_hmm *h = mcl_hmm_of(m);
	void **moved = mcl_block_slot(&h->table, &h->memory, base, false);
	uint8_t pages[HMM_BLOCK_PAGES] = { 0 };

	*vram = *shared = 0;
	/* Pages stay in VRAM that the device lost (fork, mprotect): only the host's page table knows. */
	if (!query(h, base, MCL_BLOCK_SIZE, pages, moved && *moved ? HMM_MIRROR_QUERY_HOST : 0))
		return;
	for (unsigned int i = 0; i < HMM_BLOCK_PAGES; i++) {
		if (pages[i] & HMM_MIRROR_PAGE_VRAM)
			(*vram)++;
		else if (pages[i] & HMM_MIRROR_PAGE_PRESENT)
			(*shared)++;
	}
}

void mcl_hmm_replay(struct mcl_mirror *m, uint64_t start, uint64_t size)
{
	range(mcl_hmm_of(m), HMM_MIRROR_IOC_REPLAY, start, size, 0, NULL);
}

void mcl_hmm_fail(struct mcl_mirror *m, const struct mcl_fault *fault)
{
	struct hmm_mirror_fail f = { .start = page_down(fault->address), .size = HMM_PAGE };

	mcl_raw_ioctl(fd_of(mcl_hmm_of(m)), HMM_MIRROR_IOC_FAIL, &f);
}

enum mcl_residency mcl_hmm_residency(struct mcl_mirror *m, uint64_t address)
{
	uint8_t page = 0;

	if (!query(mcl_hmm_of(m), page_down(address), HMM_PAGE, &page, 0) || !(page & HMM_MIRROR_PAGE_PRESENT))
		return MCL_RES_NONE;
	if (!(page & HMM_MIRROR_PAGE_WRITE))
		return MCL_RES_BOTH;
	return page & HMM_MIRROR_PAGE_VRAM ? MCL_RES_VRAM : MCL_RES_SYSTEM;
}
