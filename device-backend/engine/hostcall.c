// SPDX-License-Identifier: MIT
/*
 * What a unit cannot do itself, because it has no descriptors and no C library: it writes the request into its mailbox and waits
 * until the host's service thread has answered. Also the bell of that thread.
 */
#include "engine/engine.h"
#include "engine/sys.h"

void mcl_host_bell(struct mcl_engine_control *c)
{
	atomic_fetch_add(&c->host_bell.epoch, 1);
	if (atomic_load(&c->host_bell.asleep))
		mcl_futex_wake(&c->host_bell.epoch, 1);
}

void mcl_hostcall(struct mcl_cu *cu, uint32_t op)
{
	struct mcl_engine_control *c = mcl_control();
	struct mcl_hostcall *call = &cu->call;

	call->op = op;
	atomic_store(&call->state, MCL_CALL_POSTED);
	atomic_store(&c->host_bell.calls, 1);
	mcl_host_bell(c);
	while (atomic_load(&call->state) != MCL_CALL_DONE)
		mcl_futex_wait(&call->state, MCL_CALL_POSTED);
	atomic_store(&call->state, MCL_CALL_IDLE);
}

/* From a kernel: an abort that arrives meanwhile must not leave the mailbox half used. */
static void kernel_call(struct mcl_cu *cu, uint32_t op)
{
	struct mcl_engine_control *c = mcl_control();
	const uint64_t packet = atomic_load(&cu->packet);
	struct mcl_packet *p;

	atomic_store(&cu->in_call, 1);
	mcl_hostcall(cu, op);
	atomic_store(&cu->in_call, 0);
	p = &mcl_ring_at(c, (uint32_t)(packet >> 48))->slots[packet % MCL_RING_SLOTS];
	if (atomic_load(&p->status)) {
		cu->fault.signo = MCL_ABORT_SIGNAL;
		mcl_guard_leave(&cu->guard);
	}
}

/* write() as kernels know it: one request of at most MCL_CALL_DATA bytes. */
long mcl_kernel_write(int fd, const void *data, size_t size)
{
	struct mcl_cu *cu = mcl_self();

	if ((fd != 1 && fd != 2) || !size)
		return size ? -1 : 0;
	if (size > MCL_CALL_DATA)
		size = MCL_CALL_DATA;
	memcpy(cu->call.data, data, size);
	cu->call.fd = fd;
	cu->call.size = (uint32_t)size;
	kernel_call(cu, MCL_CALL_WRITE);
	return cu->call.result;
}

long mcl_format_double(const char *spec, uint32_t spec_size, double value, char *out, size_t size);

/* @spec is a format of one double; see hostcall service for what is let through. Returns the length, or -1. */
long mcl_format_double(const char *spec, uint32_t spec_size, double value, char *out, size_t size)
{
	struct mcl_cu *cu = mcl_self();
	uint32_t n;

	memcpy(cu->call.data, spec, spec_size);
	cu->call.size = spec_size;
	cu->call.value = value;
	kernel_call(cu, MCL_CALL_FORMAT);
	if (cu->call.result < 0)
		return -1;
	n = cu->call.size;
	if (n > size)
		n = (uint32_t)size;
	memcpy(out, cu->call.data, n);
	return cu->call.result;
}
