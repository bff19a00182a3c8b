// SPDX-License-Identifier: MIT
/*
 * Where UFFDIO_COPY reads pages that are on their way to the device: in the staging area, or over a detour, in a buffer
 * into which they were copied before.
 *
 * UFFDIO_COPY reads through this thread's page table, in which the pages have just appeared. Where a processor walks that
 * table itself, this costs next to nothing. In a virtual machine whose hypervisor keeps shadows of page tables, every first
 * access to a page is an exit, several times dearer than the copy. process_vm_readv() finds the pages without the processor's
 * help, and the buffer has been mapped for long: there, copying twice takes half the time. Nobody tells us which machine
 * this is, so both ways are tried and timed.
 */
#include <sys/uio.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#define TRIALS 8u /* at first, of both ways in turn */
#define AGAIN 128u /* and then one in so many is of the other way: the machine may have been moved */

bool mcl_detour_choose(struct mcl_detour *d)
{
	const unsigned int n = d->count++;

	d->buffered = n < TRIALS ? n & 1 : d->ns[1] < d->ns[0];
	if (n >= TRIALS && n % AGAIN == 0)
		d->buffered = !d->buffered;
	return d->buffered;
}

void mcl_detour_took(struct mcl_detour *d, uint64_t ns, uint64_t pages)
{
	uint64_t *mean = &d->ns[d->buffered], each = ns * 16 / pages;

	*mean = *mean ? (3 * *mean + each) / 4 : each;
}

uint64_t mcl_uffd_detour(struct mcl_uffd *u, uint64_t stage, uint64_t size)
{
	const uint64_t pid = (uint64_t)mcl_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
	struct iovec to = { u->bounce, size }, from = { (void *)stage, size };

	/* Forbidden in some containers. */
	if (mcl_raw(SYS_process_vm_readv, pid, (uint64_t)&to, 1, (uint64_t)&from, 1, 0) != (long)size)
		return stage;
	return (uint64_t)u->bounce;
}
