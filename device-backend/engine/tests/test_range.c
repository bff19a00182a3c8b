// SPDX-License-Identifier: MIT
/* First-fit allocation of offsets: no overlap, and everything comes back as one piece. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/host/range.h"

enum { START = 1 << 20, SIZE = 1 << 20, GRANULE = 4096, BLOCKS = SIZE / GRANULE };

static void whole_range_is_usable_again(struct mcl_range *r)
{
	uint64_t at;

	assert_int_equal(mcl_range_alloc(r, SIZE, &at), 0);
	assert_int_equal(at, START);
	mcl_range_free(r, at, SIZE);
}

/* Sizes are rounded up to the granule; what does not fit is refused. */
static void refuses_what_does_not_fit(void **state)
{
	struct mcl_range r;
	uint64_t a, b;

	(void)state;
	assert_int_equal(mcl_range_init(&r, START, SIZE, GRANULE), 0);
	assert_int_equal(mcl_range_alloc(&r, 0, &a), -ENOSPC);
	assert_int_equal(mcl_range_alloc(&r, SIZE + 1, &a), -ENOSPC);
	assert_int_equal(mcl_range_alloc(&r, UINT64_MAX, &a), -ENOSPC);
	assert_int_equal(mcl_range_alloc(&r, 1, &a), 0);
	assert_int_equal(mcl_range_alloc(&r, 1, &b), 0);
	assert_int_equal(b - a, GRANULE);
	assert_int_equal(mcl_range_alloc(&r, SIZE - GRANULE, &b), -ENOSPC);
	mcl_range_free(&r, a, 1);
	mcl_range_free(&r, a + GRANULE, 1);
	whole_range_is_usable_again(&r);
	mcl_range_destroy(&r);
}

/* Whatever the order of freeing, holes merge. */
static void holes_merge_in_any_order(void **state)
{
	struct mcl_range r;
	uint64_t at[BLOCKS], none;

	(void)state;
	srand(1);
	assert_int_equal(mcl_range_init(&r, START, SIZE, GRANULE), 0);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < BLOCKS; i++) {
			assert_int_equal(mcl_range_alloc(&r, GRANULE, &at[i]), 0);
			assert_int_equal(at[i], START + i * GRANULE);
		}
		assert_int_equal(mcl_range_alloc(&r, 1, &none), -ENOSPC);
		for (int i = BLOCKS; i; i--) {
			const int k = rand() % i;

			mcl_range_free(&r, at[k], GRANULE);
			at[k] = at[i - 1];
		}
		whole_range_is_usable_again(&r);
	}
	mcl_range_destroy(&r);
}

/* Random sizes and times: no two blocks that are in use overlap. */
static void blocks_never_overlap(void **state)
{
	static uint8_t used[BLOCKS];
	struct {
		uint64_t at, size;
	} live[64] = { { 0, 0 } };
	struct mcl_range r;
	int allocated = 0;

	(void)state;
	srand(2);
	assert_int_equal(mcl_range_init(&r, START, SIZE, GRANULE), 0);
	for (int i = 0; i < 20000; i++) {
		const int k = rand() % 64;

		if (live[k].size) {
			for (uint64_t b = 0; b < live[k].size; b += GRANULE)
				used[(live[k].at - START + b) / GRANULE] = 0;
			mcl_range_free(&r, live[k].at, live[k].size);
			live[k].size = 0;
			continue;
		}
		live[k].size = 1 + (uint64_t)rand() % (20 * GRANULE);
		if (mcl_range_alloc(&r, live[k].size, &live[k].at)) {
			live[k].size = 0;
			continue;
		}
		allocated++;
		for (uint64_t b = 0; b < live[k].size; b += GRANULE) {
			assert_in_range(live[k].at + b, START, START + SIZE - 1);
			assert_int_equal(used[(live[k].at - START + b) / GRANULE], 0);
			used[(live[k].at - START + b) / GRANULE] = 1;
		}
	}
	assert_true(allocated > 5000);
	for (int k = 0; k < 64; k++)
		if (live[k].size)
			mcl_range_free(&r, live[k].at, live[k].size);
	whole_range_is_usable_again(&r);
	mcl_range_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(holes_merge_in_any_order),
		cmocka_unit_test(blocks_never_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
