// SPDX-License-Identifier: MIT
/*
 * MADV_FREE and MADV_DONTNEED of several threads at the same moment, each on memory of its own. Their reports are alike, so this is
 * about telling them apart: what MADV_DONTNEED was for is zeros at once, and MADV_FREE takes nothing that was stored
 * after it, nor anything at all where it fails.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "mirror/tests/uffd_fixture.h"

#define THREADS 3
#define TIMES 200u
#define SIZE (2 * PAGE_SIZE)
#define SEED 1000000ul

static struct fixture f;

struct discarder {
	pthread_t thread;
	char *p;
	uint64_t seed; /* what is there */
	bool in_place, frees, drops;
};

static bool is_zero(const char *p)
{
	for (uint64_t i = 0; i < SIZE; i += PAGE_SIZE) {
		const uint64_t word = *(const volatile uint64_t *)(p + i);

		if (word) {
			fprintf(stderr, "the word at %p is %lu after MADV_DONTNEED\n", (const void *)(p + i),
				(unsigned long)word);
			return false;
		}
	}
	return true;
}

static bool free_pages(struct discarder *d)
{
	if (d->in_place)
		return madvise(d->p, SIZE, MADV_FREE) && errno == EINVAL && fixture_host_has(d->p, SIZE, d->seed);
	if (madvise(d->p, SIZE, MADV_FREE))
		return false;
	fixture_fill(d->p, SIZE, ++d->seed);
	return true;
}

static void *discard_main(void *arg)
{
	struct discarder *d = arg;

	for (unsigned int i = 0; i < TIMES; i++) {
		if (d->frees && !free_pages(d))
			return d;
		if (d->drops) {
			if (madvise(d->p, SIZE, MADV_DONTNEED) || !is_zero(d->p))
				return d;
			fixture_fill(d->p, SIZE, ++d->seed);
		}
		if (!fixture_host_has(d->p, SIZE, d->seed))
			return d;
	}
	return NULL;
}

/* Let every thread do what of @frees and @drops, two bits for each, is set. */
static void discard(enum mcl_page_state state, unsigned int frees, unsigned int drops)
{
	struct discarder d[THREADS];

	for (unsigned int i = 0; i < THREADS; i++)
		d[i] = (struct discarder){
			.p = fixture_make(&f, SIZE, state, SEED + i),
			.seed = SEED + i,
			.in_place = state == PAGE_PROMOTED,
			.frees = frees >> i & 1,
			.drops = drops >> i & 1,
		};
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&d[i].thread, NULL, discard_main, &d[i]), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(d[i].thread, &failed);
		assert_null(failed);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		assert_true(fixture_host_has(d[i].p, SIZE, d[i].seed));
		assert_true(fixture_device_has(&f, d[i].p, SIZE, d[i].seed));
		munmap(d[i].p, SIZE);
	}
}

static void in_place_frees(void **state)
{
	(void)state;
	discard(PAGE_PROMOTED, 7, 0);
}

static void in_place_drops(void **state)
{
	(void)state;
	discard(PAGE_PROMOTED, 0, 7);
}

static void in_place_both(void **state)
{
	(void)state;
	discard(PAGE_PROMOTED, 7, 6);
}

/* Memory that the device has had. */
static void moving_frees(void **state)
{
	(void)state;
	discard(PAGE_VRAM, 7, 0);
}

static void moving_both(void **state)
{
	(void)state;
	discard(PAGE_VRAM, 3, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(in_place_frees, fixture_setup_eager, &f),
		fixture_test(in_place_drops, fixture_setup_eager, &f),
		fixture_test(in_place_both, fixture_setup_eager, &f),
		fixture_test(moving_frees, fixture_setup, &f),
		fixture_test(moving_both, fixture_setup, &f),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
