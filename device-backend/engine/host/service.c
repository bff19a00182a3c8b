// SPDX-License-Identifier: MIT
/*
 * Host calls: what units ask for because they have no descriptors and no C library. Runs on the service thread. What arrives comes
 * from kernels and is not trusted: nothing here follows a pointer.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/host/backend_private.h"
#include "pager/pager.h"

/* All of it, whatever kind of descriptor it is. Returns bytes written, or -errno if none could be. */
static int64_t write_all(int fd, const char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		const ssize_t n = write(fd, data + done, size - done);

		if (n >= 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			poll(&p, 1, -1);
		} else if (errno != EINTR) {
			return done ? (int64_t)done : -errno;
		}
	}
	return (int64_t)done;
}

/* A single floating-point conversion, nothing else. */
static bool harmless(const char *spec, size_t size)
{
	size_t n = 0;

	if (size < 3 || spec[size - 1] || strlen(spec) != size - 1 || spec[n++] != '%')
		return false;
	n += strspn(spec + n, "-+ #0");
	for (int digits = 0; spec[n] >= '0' && spec[n] <= '9'; n++)
		if (++digits > 6)
			return false;
	if (spec[n] == '.') {
		n++;
		for (int digits = 0; spec[n] >= '0' && spec[n] <= '9'; n++)
			if (++digits > 6)
				return false;
	}
	if (spec[n] == 'l')
		n++;
	return spec[n] && strchr("aAeEfFgG", spec[n]) && n + 2 == size;
}

static void format(struct mcl_hostcall *call)
{
	char spec[64];
	int n;

	call->result = -1;
	if (call->size > sizeof(spec))
		return;
	memcpy(spec, call->data, call->size);
	if (!harmless(spec, call->size))
		return;
	n = snprintf(call->data, sizeof(call->data), spec, call->value);
	if (n < 0)
		return;
	call->result = n;
	call->size = (uint32_t)((size_t)n < sizeof(call->data) ? (size_t)n : sizeof(call->data) - 1);
}

static void serve(struct mcl_backend *b, struct mcl_cu *cu)
{
	struct mcl_hostcall *call = &cu->call;
	const uint32_t size = call->size;

	switch (call->op) {
	case MCL_CALL_WRITE:
		call->result = -EINVAL;
		if ((call->fd == STDOUT_FILENO || call->fd == STDERR_FILENO) && size <= sizeof(call->data))
			call->result = write_all(call->fd, call->data, size);
		break;
	case MCL_CALL_FORMAT:
		format(call);
		break;
	case MCL_CALL_FAULT:
		mcl_fault_report(b, &cu->fault);
		break;
	case MCL_CALL_REFRESH:
	case MCL_CALL_FLUSH:
		pthread_rwlock_rdlock(&b->pager_lock);
		if (b->pager)
			mcl_pager_sync(b->pager, call->op == MCL_CALL_FLUSH);
		pthread_rwlock_unlock(&b->pager_lock);
		break;
	default:
		call->result = -ENOSYS;
		break;
	}
	atomic_store(&call->state, MCL_CALL_DONE);
	syscall(SYS_futex, &call->state, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void mcl_service_calls(struct mcl_backend *b)
{
	for (uint32_t i = 0; i < b->cu_count; i++)
		if (atomic_load(&b->cus[i].call.state) == MCL_CALL_POSTED)
			serve(b, &b->cus[i]);
}
