// SPDX-License-Identifier: MIT
/* Copies, fills and shared memory. */
#include <errno.h>

#include "device.h"

static struct device d;

static int setup(void **state)
{
	(void)state;
	device_open(&d);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	device_close(&d);
	return 0;
}

static void run_copy(const struct mcl_copy *copy)
{
	uint64_t seq;

	assert_int_equal(mcl_ring_copy(d.ring, copy, MCL_PACKET_BARRIER, &seq), 0);
	assert_int_equal(device_finish(d.ring, seq), MCL_STATUS_OK);
}

/* Every size around the piece that a unit copies at a time, with guards on both sides. */
static void copies_runs_of_bytes(void **state)
{
	const size_t sizes[] = { 1, 7, 63, 64, 65, 4095, 1 << 20, (1 << 20) + 1, (3 << 20) - 5 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const size_t n = sizes[i];
		uint8_t *src = malloc(n), *dst = malloc(n + 2);
		const struct mcl_copy copy = { .dst = dst + 1, .src = src, .region = { n, 1, 1 } };

		for (size_t k = 0; k < n; k++)
			src[k] = (uint8_t)(k * 7 + k / 251);
		memset(dst, 0xaa, n + 2);
		run_copy(&copy);
		assert_memory_equal(dst + 1, src, n);
		assert_int_equal(dst[0], 0xaa);
		assert_int_equal(dst[n + 1], 0xaa);
		free(src);
		free(dst);
	}
}

/* A box in a box, rows long and short: only the box is written. */
static void copies_boxes(void **state)
{
	enum { X = 100, Y = 40, Z = 9 };
	static const uint64_t regions[][3] = {
		{ 10, 5, 3 }, { 100, 5, 3 }, { 1, 40, 9 }, { 100, 40, 9 }, { 100, 40, 2 }
	};
	uint8_t *src = malloc(X * Y * Z), *dst = malloc(X * Y * Z);

	(void)state;
	for (int i = 0; i < X * Y * Z; i++)
		src[i] = (uint8_t)(i * 13 + i / 256);
	for (size_t r = 0; r < ARRAY_SIZE(regions); r++) {
		const uint64_t *n = regions[r];
		const struct mcl_copy copy = {
			.dst = dst,
			.src = src,
			.region = { n[0], n[1], n[2] },
			.dst_row = X,
			.dst_slice = X * Y,
			.src_row = X,
			.src_slice = X * Y,
		};

		memset(dst, 0, X * Y * Z);
		run_copy(&copy);
		for (uint64_t z = 0; z < Z; z++)
			for (uint64_t y = 0; y < Y; y++)
				for (uint64_t x = 0; x < X; x++) {
					const uint64_t at = (z * Y + y) * X + x;
					const bool inside = x < n[0] && y < n[1] && z < n[2];

					assert_int_equal(dst[at], inside ? src[at] : 0);
				}
	}
	free(src);
	free(dst);
}

static void fills_with_patterns(void **state)
{
	uint8_t pattern[128], *dst = malloc((3 << 20) + 2);
	uint64_t seq;

	(void)state;
	for (int i = 0; i < 128; i++)
		pattern[i] = (uint8_t)(i + 1);
	for (uint32_t p = 1; p <= 128; p *= 2) {
		const uint64_t size = (2ull << 20) + 3 * p;

		memset(dst, 0, (3 << 20) + 2);
		assert_int_equal(mcl_ring_fill(d.ring, dst + 1, size, pattern, p, MCL_PACKET_BARRIER, &seq), 0);
		assert_int_equal(device_finish(d.ring, seq), MCL_STATUS_OK);
		for (uint64_t i = 0; i < size; i++)
			if (dst[i + 1] != pattern[i % p])
				fail_msg("pattern of %u bytes: wrong byte %lu", p, i);
		assert_int_equal(dst[0], 0);
		assert_int_equal(dst[size + 1], 0);
	}
	free(dst);
}

/* Zeroed, aligned as asked, and the device's as well as the host's. */
static void shared_memory_is_zeroed_and_aligned(void **state)
{
	static const size_t sizes[] = { 1, 100, 4096, 200000, 262144, 5000000 };
	static const size_t aligns[] = { 0, 128, 4096, 65536, 2 << 20 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
		for (size_t a = 0; a < ARRAY_SIZE(aligns); a++) {
			const size_t align = aligns[a] ? aligns[a] : 128;
			uint64_t seq;
			uint8_t *p = mcl_svm_alloc(d.b, sizes[s], aligns[a]);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % align, 0);
			for (size_t i = 0; i < sizes[s]; i++)
				if (p[i])
					fail_msg("byte %zu of %zu is not zero", i, sizes[s]);
			assert_int_equal(mcl_ring_fill(d.ring, p, sizes[s], "\x5a", 1, 0, &seq), 0);
			assert_int_equal(device_finish(d.ring, seq), MCL_STATUS_OK);
			assert_int_equal(p[0], 0x5a);
			assert_int_equal(p[sizes[s] - 1], 0x5a);
			mcl_svm_free(d.b, p, sizes[s]);
		}
}

static void impossible_sizes_fail(void **state)
{
	(void)state;
	errno = 0;
	assert_null(mcl_svm_alloc(d.b, SIZE_MAX - 4096, 0));
	assert_int_equal(errno, ENOMEM);
	assert_null(mcl_svm_alloc(d.b, 1ull << 60, 0));
	assert_null(mcl_svm_alloc(d.b, 0, 0));
	assert_null(mcl_svm_alloc(d.b, 16, 3));
}

static void ten_thousand_blocks(void **state)
{
	enum { N = 10000 };
	static uint64_t *blocks[N];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		blocks[i] = mcl_svm_alloc(d.b, 64 + i % 1000, 0);
		assert_non_null(blocks[i]);
		*blocks[i] = i;
	}
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(*blocks[i], i);
		mcl_svm_free(d.b, blocks[i], 64 + i % 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_runs_of_bytes),	 cmocka_unit_test(copies_boxes),
		cmocka_unit_test(fills_with_patterns),	 cmocka_unit_test(shared_memory_is_zeroed_and_aligned),
		cmocka_unit_test(impossible_sizes_fail), cmocka_unit_test(ten_thousand_blocks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
