// SPDX-License-Identifier: MIT
/* Which way pages are read on their way to the device: the choice, by what both are said to take; and the reading itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mirror/mirror_uffd.h"

/* @rounds choices when the ways take so long. Returns how many were buffered. */
static unsigned int choose(struct mcl_detour *d, unsigned int rounds, uint64_t direct_ns, uint64_t buffered_ns)
{
	unsigned int buffered = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		const bool chosen = mcl_detour_choose(d);

		buffered += chosen;
		mcl_detour_took(d, (chosen ? buffered_ns : direct_ns) * 512, 512);
	}
	return buffered;
}

static void faster(void **state)
{
	struct mcl_detour direct = { 0 }, buffered = { 0 };

	(void)state;
	/* Both are tried. */
	assert_int_equal(choose(&direct, 8, 300, 400), 4);
	assert_int_equal(choose(&buffered, 8, 300, 200), 4);
	/* Then it is the faster one, but for a look at the other now and then. */
	assert_int_equal(choose(&direct, 1024, 300, 400), 8);
	assert_int_equal(choose(&buffered, 1024, 300, 200), 1024 - 8);
}

/* A machine that becomes another, by live migration say, is noticed. */
static void changes(void **state)
{
	struct mcl_detour d = { 0 };

	(void)state;
	assert_int_equal(choose(&d, 1024, 300, 400), 4 + 7);
	choose(&d, 2048, 3000, 400);
	assert_in_range(choose(&d, 128, 3000, 400), 126, 128);
}

/* A slow moment of one way does not decide for ever. */
static void outlier(void **state)
{
	struct mcl_detour d = { 0 };

	(void)state;
	choose(&d, 8, 300, 200);
	choose(&d, 1, 0, 5000);
	choose(&d, 4096, 300, 200);
	assert_in_range(choose(&d, 128, 300, 200), 126, 128);
}

static void reads(void **state)
{
	enum { PAGES = 5 };
	struct mcl_uffd *u = calloc(1, sizeof(*u));
	uint8_t *pages = aligned_alloc(PAGE_SIZE, PAGES * PAGE_SIZE), *bounce = calloc(PAGES, PAGE_SIZE);

	(void)state;
	assert_true(u && pages && bounce);
	for (unsigned int i = 0; i < PAGES * PAGE_SIZE; i++)
		pages[i] = (uint8_t)(i * 7 + i / PAGE_SIZE);
	u->bounce = bounce;
	assert_int_equal(mcl_uffd_detour(u, (uint64_t)pages, PAGES * PAGE_SIZE), (uint64_t)bounce);
	assert_memory_equal(bounce, pages, PAGES * PAGE_SIZE);
	/* What cannot be read like this is left where it is. */
	assert_int_equal(mcl_uffd_detour(u, PAGE_SIZE, PAGE_SIZE), PAGE_SIZE);
	free(bounce);
	free(pages);
	free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faster),
		cmocka_unit_test(changes),
		cmocka_unit_test(outlier),
		cmocka_unit_test(reads),
	};

	return cmocka_run_group_tests_name("detour", tests, NULL, NULL);
}
