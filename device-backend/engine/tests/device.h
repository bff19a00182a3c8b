/* SPDX-License-Identifier: MIT */
/* What the tests of the engine share: an open device with kernels.cl loaded. For one translation unit each. */
#ifndef MCL_TEST_DEVICE_H
#define MCL_TEST_DEVICE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend.h"

struct device {
	struct mcl_backend *b;
	struct mcl_code_object *co;
	struct mcl_program_code *code;
	struct mcl_ring *ring;
};

#define ARG(x) ((struct mcl_arg){ .value = &(x), .size = sizeof(x) })
#define LOCAL(bytes) ((struct mcl_arg){ .value = NULL, .size = (bytes) })
#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

static inline void device_open(struct device *d)
{
	struct mcl_reason why = { "" };

	if (mcl_backend_open(&d->b, &why))
		fail_msg("open: %s", why.text);
	if (mcl_code_object_open(MCL_TEST_CODE, &d->co, &why))
		fail_msg("code object: %s", why.text);
	if (mcl_program_load(d->b, d->co, &d->code, &why))
		fail_msg("load: %s", why.text);
	assert_int_equal(mcl_ring_create(d->b, &d->ring), 0);
}

static inline void device_close(struct device *d)
{
	mcl_ring_destroy(d->ring);
	mcl_program_unload(d->code);
	mcl_code_object_put(d->co);
	mcl_backend_put(d->b);
}

static inline uint32_t device_kernel(const struct device *d, const char *name)
{
	const struct mcl_co_kernel *k = mcl_co_find_kernel(d->co, name);

	if (!k)
		fail_msg("no kernel %s", name);
	return (uint32_t)(k - d->co->kernels);
}

/* One dimension. Returns what mcl_ring_launch() does. */
static inline int device_launch(struct device *d, struct mcl_ring *ring, const char *kernel, uint64_t groups,
				uint64_t local, const struct mcl_arg *args, uint32_t flags, uint64_t *seq)
{
	const struct mcl_launch launch = {
		.code = d->code,
		.kernel = device_kernel(d, kernel),
		.work_dim = 1,
		.num_groups = { groups, 1, 1 },
		.local_size = { local, 1, 1 },
		.args = args,
	};

	return mcl_ring_launch(ring, &launch, flags, seq, NULL);
}

/* Wait, at most 20 s, retire; the status. */
static inline enum mcl_status device_finish(struct mcl_ring *ring, uint64_t seq)
{
	struct mcl_packet_result result;

	assert_int_equal(mcl_ring_wait(ring, seq, 20000000000ull), 0);
	mcl_ring_state(ring, seq, &result);
	assert_int_equal(result.state, MCL_PACKET_COMPLETE);
	mcl_ring_retire(ring, seq);
	return result.status;
}

static inline enum mcl_status device_run(struct device *d, const char *kernel, uint64_t groups, uint64_t local,
					 const struct mcl_arg *args)
{
	uint64_t seq;

	assert_int_equal(device_launch(d, d->ring, kernel, groups, local, args, MCL_PACKET_BARRIER, &seq), 0);
	return device_finish(d->ring, seq);
}

#endif
