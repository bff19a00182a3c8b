// SPDX-License-Identifier: MIT
/*
 * Device stores to host memory whose pages can be neither moved nor shared: private mappings of files, pages that I/O has
 * pinned. The device works on a copy; a second one, the twin, keeps what the copy was like at first. When a kernel ends
 * (control->flush), the bytes that differ are written to the host's page.
 *
 * So the two sides see each other's stores at the borders of kernels only, and of two stores to the same byte in one
 * kernel's time either may win; stores to different bytes never hurt each other.
 */
#include <string.h>
#include <sys/uio.h>

#include "engine/control.h"
#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#define RUNS_MAX 64

static void set_flush(struct mcl_uffd *u)
{
	struct mcl_engine_control *control = (void *)(u->window.base + u->window.layout.control_offset);

	atomic_store(&control->flush, u->twin_count != 0);
}

/* The twin's memory for one more page, or NULL. */
static uint8_t *make_room(struct mcl_uffd *u)
{
	if (u->twin_count == TWINS_MAX)
		return NULL;
	if (!u->twins[u->twin_count].data)
		u->twins[u->twin_count].data = mcl_private_alloc(&u->memory, PAGE_SIZE, PAGE_SIZE);
	return u->twins[u->twin_count].data;
}

static bool read_page(struct mcl_uffd *u, uint64_t page, uint8_t *out)
{
	return mcl_raw(SYS_pread64, (uint64_t)u->memfd, (uint64_t)out, PAGE_SIZE, page, 0, 0) == (long)PAGE_SIZE;
}

long mcl_uffd_twin(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	long pages = 0;

	for (uint64_t page = start; page < end; page += PAGE_SIZE) {
		struct mcl_uffd_block *b = mcl_uffd_find(u, page);
		uint8_t *twin;

		if (mcl_uffd_state(u, page) != PAGE_SNAPSHOT)
			continue;
		twin = make_room(u);
		/* The engine's page is write-protected until now, so it stands still. */
		if (!twin || !read_page(u, page, twin))
			break;
		u->twins[u->twin_count++].page = page;
		mcl_uffd_set(b, page, page + PAGE_SIZE, PAGE_TWIN);
		if (mcl_uffd_protect(u->engine_fd, page, PAGE_SIZE, UFFDIO_WRITEPROTECT_MODE_DONTWAKE) == -ESRCH)
			u->engine_dead = true;
		pages++;
	}
	set_flush(u);
	return pages ? pages : -EOPNOTSUPP;
}

/* Write the bytes of @now that differ from @twin to the host's @page. */
static void write_back(struct mcl_uffd *u, uint64_t page, const uint8_t *now, const uint8_t *twin)
{
	const uint64_t pid = (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	struct iovec local[RUNS_MAX], remote[RUNS_MAX];
	unsigned int i = 0, runs;
	long n;

	while (i < PAGE_SIZE) {
		uint64_t bytes = 0;

		for (runs = 0; i < PAGE_SIZE && runs < RUNS_MAX; runs++) {
			unsigned int first;

			while (i < PAGE_SIZE && now[i] == twin[i])
				i++;
			for (first = i; i < PAGE_SIZE && now[i] != twin[i];)
				i++;
			if (first == i)
				break;
			local[runs] = (struct iovec){ (void *)(now + first), i - first };
			remote[runs] = (struct iovec){ (void *)(page + first), i - first };
			bytes += i - first;
		}
		if (!runs)
			return;
		n = mcl_uffd_proxy_call(u, SYS_process_vm_writev, pid, (uint64_t)local, runs, (uint64_t)remote, runs,
					0);
		if (n != (long)bytes) {
			mcl_log_write(
				MCL_LOG_ERROR,
				"what the device stored at %#lx is lost: the host has unmapped or protected it while "
				"a kernel ran",
				(unsigned long)page);
			return;
		}
	}
}

void mcl_uffd_twins_flush(struct mcl_uffd *u)
{
	for (unsigned int i = 0; i < u->twin_count; i++) {
		uint64_t page = u->twins[i].page;

		if (mcl_uffd_state(u, page) != PAGE_TWIN || !read_page(u, page, u->bounce))
			continue;
		if (!memcmp(u->bounce, u->twins[i].data, PAGE_SIZE))
			continue;
		write_back(u, page, u->bounce, u->twins[i].data);
		memcpy(u->twins[i].data, u->bounce, PAGE_SIZE);
	}
}

void mcl_uffd_twins_forget(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	for (unsigned int i = 0; i < u->twin_count; i++)
		if (u->twins[i].page >= start && u->twins[i].page < end)
			u->twins[i].page = 0; /* never in the mirror */
}

void mcl_uffd_twins_drop(struct mcl_uffd *u)
{
	if (!u->twin_count)
		return;
	/* Another kernel may still be storing. */
	for (unsigned int i = 0; i < u->twin_count; i++)
		if (mcl_uffd_state(u, u->twins[i].page) == PAGE_TWIN)
			mcl_uffd_protect(u->engine_fd, u->twins[i].page, PAGE_SIZE, UFFDIO_WRITEPROTECT_MODE_WP);
	mcl_uffd_twins_flush(u);
	for (unsigned int i = 0; i < u->twin_count; i++) {
		uint64_t page = u->twins[i].page;

		if (mcl_uffd_state(u, page) != PAGE_TWIN)
			continue;
		mcl_uffd_punch(u, page, page + PAGE_SIZE);
		mcl_uffd_set(mcl_uffd_find(u, page), page, page + PAGE_SIZE, PAGE_HOST);
	}
	u->twin_count = 0;
	set_flush(u);
}
