// SPDX-License-Identifier: MIT
/*
 * The host changes its address space under pages in every state: what is gone is gone on both sides, what stays keeps its
 * words on both sides, and what is new is zero on both sides.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/boot_uffd.h"
#include "mirror/tests/uffd_fixture.h"

#define PAGES 24ul
#define SIZE (PAGES * PAGE_SIZE)
#define SEED 1000000ul
#define WORDS (PAGE_SIZE / 8)

static struct fixture f;

#define for_each_state(s) for (enum mcl_page_state s = PAGE_HOST; s <= PAGE_TWIN; s++)

static bool anonymous(enum mcl_page_state s)
{
	return s != PAGE_SNAPSHOT && s != PAGE_TWIN;
}

/* Names the state in which something failed. */
#define check(s, condition)                                                                                            \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			fail_msg("%s (state %s)", #condition, fixture_state_name(s));                                  \
	} while (0)

/* Both sides have it. */
static void both_have(enum mcl_page_state s, const void *p, uint64_t pages, uint64_t seed)
{
	check(s, fixture_device_has(&f, p, pages * PAGE_SIZE, seed));
	check(s, fixture_host_has(p, pages * PAGE_SIZE, seed));
	check(s, fixture_device_has(&f, p, pages * PAGE_SIZE, seed));
}

static void both_see_zeros(enum mcl_page_state s, const void *p, uint64_t pages)
{
	uint64_t sum = 1;

	check(s, fixture_run(&f, TEST_SUM, p, pages * PAGE_SIZE, 0, 0, &sum) && !sum);
	for (uint64_t i = 0; i < pages * WORDS; i++)
		check(s, !((const volatile uint64_t *)p)[i]);
	check(s, fixture_run(&f, TEST_SUM, p, pages * PAGE_SIZE, 0, 0, &sum) && !sum);
}

static void device_faults(enum mcl_page_state s, const void *p)
{
	check(s, !fixture_run(&f, TEST_SUM, p, 8, 0, 0, NULL));
	check(s, fixture_unit(&f, 0)->fault_address == (uint64_t)p);
	check(s, !fixture_run(&f, TEST_FILL, p, 8, 0, 0, NULL));
}

/* All of it; then other memory at the same place. */
static void unmap(void **state)
{
	(void)state;
	for_each_state(s)
	{
		char *p = fixture_make(&f, SIZE, s, SEED);

		assert_int_equal(munmap(p, SIZE), 0);
		device_faults(s, p);
		device_faults(s, p + SIZE - PAGE_SIZE);
		assert_ptr_equal(mmap(p, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				 p);
		both_see_zeros(s, p, PAGES);
		munmap(p, SIZE);
	}
}

/* One page in the middle; its neighbours stay. */
static void unmap_middle(void **state)
{
	(void)state;
	for_each_state(s)
	{
		char *p = fixture_make(&f, SIZE, s, SEED);

		assert_int_equal(munmap(p + 7 * PAGE_SIZE, PAGE_SIZE), 0);
		device_faults(s, p + 7 * PAGE_SIZE);
		both_have(s, p, 7, SEED);
		both_have(s, p + 8 * PAGE_SIZE, PAGES - 8, SEED + 8 * WORDS);
		munmap(p, SIZE);
	}
}

/* New memory over it in one step. */
static void map_over(void **state)
{
	(void)state;
	for_each_state(s)
	{
		char *p = fixture_make(&f, SIZE, s, SEED);

		assert_ptr_equal(mmap(p + PAGE_SIZE, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				 p + PAGE_SIZE);
		both_see_zeros(s, p + PAGE_SIZE, 3);
		both_have(s, p, 1, SEED);
		both_have(s, p + 4 * PAGE_SIZE, PAGES - 4, SEED + 4 * WORDS);
		munmap(p, SIZE);
	}
}

/* Moved elsewhere: the words go along, the old place is empty. */
static void move(void **state)
{
	(void)state;
	for_each_state(s)
	{
		char *p = fixture_make(&f, SIZE, s, SEED);
		char *to = mmap(NULL, SIZE + 2 * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		to += PAGE_SIZE;
		check(s, mremap(p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
		device_faults(s, p);
		both_have(s, to, PAGES, SEED);
		munmap(to, SIZE);
	}
}

/* A part of it is moved. Where that is one of several mappings in place, it works or fails, but nothing is lost. */
static void move_part(void **state)
{
	(void)state;
	for_each_state(s)
	{
		char *p = fixture_make(&f, SIZE, s, SEED), *at = p + 5 * PAGE_SIZE;
		char *to = mmap(NULL, 5 * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		void *moved = mremap(at, 3 * PAGE_SIZE, 3 * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to);

		check(s, moved == to || (moved == MAP_FAILED && errno == EFAULT && s == PAGE_PROMOTED));
		both_have(s, p, 5, SEED);
		both_have(s, p + 8 * PAGE_SIZE, PAGES - 8, SEED + 8 * WORDS);
		both_have(s, moved == to ? to : at, 3, SEED + 5 * WORDS);
		if (moved == to)
			device_faults(s, at);
		munmap(p, SIZE);
		munmap(to, 3 * PAGE_SIZE);
	}
}

/* MREMAP_DONTUNMAP: the words go, the old mapping stays, and is empty. */
static void move_and_keep(void **state)
{
	(void)state;
	for_each_state(s)
	{
		char *p, *to;

		if (!anonymous(s))
			continue;
		p = fixture_make(&f, SIZE, s, SEED);
		to = mremap(p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		check(s, to != MAP_FAILED);
		both_have(s, to, PAGES, SEED);
		both_see_zeros(s, p, PAGES);
		if (s != PAGE_COPY) {
			/* They have nothing to do with each other any more. */
			fixture_fill(p, SIZE, 5);
			both_have(s, to, PAGES, SEED);
			both_have(s, p, PAGES, 5);
		}
		munmap(p, SIZE);
		munmap(to, SIZE);
	}
}

/* The same, and the old mapping goes at once: before the pager has come to what has moved. Many times, as it is a race. */
static void move_and_unmap(void **state)
{
	static const enum mcl_page_state states[] = { PAGE_VRAM, PAGE_PROMOTED };

	(void)state;
	for (unsigned int i = 0; i < 60; i++) {
		enum mcl_page_state s = states[i % 2];
		char *p = fixture_make(&f, 4 * PAGE_SIZE, s, SEED);
		char *to = mremap(p, 4 * PAGE_SIZE, 4 * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

		check(s, to != MAP_FAILED);
		assert_int_equal(munmap(p, 4 * PAGE_SIZE), 0);
		both_have(s, to, 4, SEED);
		device_faults(s, p);
		munmap(to, 4 * PAGE_SIZE);
	}
}

/* realloc's way: grown in place or moved, then cut. */
static void grow_and_shrink(void **state)
{
	(void)state;
	for_each_state(s)
	{
		char *p, *q;

		if (!anonymous(s))
			continue;
		p = fixture_make(&f, SIZE, s, SEED);
		q = mremap(p, SIZE, 2 * SIZE, MREMAP_MAYMOVE);
		check(s, q != MAP_FAILED);
		both_have(s, q, PAGES, SEED);
		both_see_zeros(s, q + SIZE, PAGES);
		check(s, mremap(q, 2 * SIZE, SIZE / 2, 0) == q);
		both_have(s, q, PAGES / 2, SEED);
		device_faults(s, q + SIZE / 2);
		munmap(q, SIZE / 2);
	}
}

/* MADV_DONTNEED: zeros, or the file again. The pages beside keep what they have. */
static void dontneed(void **state)
{
	(void)state;
	for_each_state(s)
	{
		char *p = fixture_make(&f, SIZE, s, SEED), *at = p + 2 * PAGE_SIZE;

		assert_int_equal(madvise(at, 5 * PAGE_SIZE, MADV_DONTNEED), 0);
		if (anonymous(s))
			both_see_zeros(s, at, 5);
		else
			both_have(s, at, 5, SEED + 2 * WORDS);
		both_have(s, p, 2, SEED);
		both_have(s, p + 7 * PAGE_SIZE, PAGES - 7, SEED + 7 * WORDS);
		munmap(p, SIZE);
	}
}

/* MADV_FREE: the old words or zeros, page by page; what is stored afterwards stays. Refused for what is mapped in place. */
static void lazy_free(void **state)
{
	(void)state;
	for_each_state(s)
	{
		char *p;

		if (!anonymous(s) || s == PAGE_COPY)
			continue;
		p = fixture_make(&f, SIZE, s, SEED);
		if (madvise(p, SIZE, MADV_FREE)) {
			check(s, errno == EINVAL && s == PAGE_PROMOTED);
			both_have(s, p, PAGES, SEED);
		} else {
			check(s, s != PAGE_PROMOTED);
			for (uint64_t i = 0; i < PAGES; i++) {
				uint64_t first = *(volatile uint64_t *)(p + i * PAGE_SIZE);

				check(s, !first || first == SEED + i * WORDS);
			}
			fixture_fill(p, SIZE, 77);
			both_have(s, p, PAGES, 77);
		}
		munmap(p, SIZE);
	}
}

/* Rights: what is written, or refused, on the device after mprotect. Words survive in every case. */
static void protect(void **state)
{
	(void)state;
	for_each_state(s)
	{
		char *p = fixture_make(&f, SIZE, s, SEED);

		/* Into VRAM and home again, so that no state hides from the question. */
		assert_int_equal(mprotect(p, SIZE, PROT_READ), 0);
		check(s, fixture_host_has(p, SIZE, SEED));
		check(s, fixture_device_has(&f, p, SIZE, SEED));
		if (s != PAGE_PROMOTED) /* README: not while they are */
			check(s, !fixture_run(&f, TEST_FILL, p, 8, 0, 1, NULL));
		both_have(s, p, PAGES, SEED);
		assert_int_equal(mprotect(p, SIZE, PROT_NONE), 0);
		assert_int_equal(mprotect(p, SIZE, PROT_READ | PROT_WRITE), 0);
		both_have(s, p, PAGES, SEED);
		check(s, fixture_run(&f, TEST_FILL, p, SIZE, 0, 9, NULL));
		both_have(s, p, PAGES, 9);
		fixture_fill(p, SIZE, 10);
		both_have(s, p, PAGES, 10);
		munmap(p, SIZE);
	}
}

/* brk: trimmed, the device has nothing there; grown again, zeros. */
static void trim(void **state)
{
	static const enum mcl_page_state states[] = { PAGE_HOST, PAGE_VRAM, PAGE_PROMOTED };

	(void)state;
	for (unsigned int k = 0; k < 3; k++) {
		enum mcl_page_state s = states[k];
		char *end = sbrk(0), *p = (char *)(((uint64_t)end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1));

		assert_int_equal(brk(p + SIZE), 0);
		fixture_fill(p, SIZE, SEED);
		if (s == PAGE_VRAM)
			check(s, fixture_run(&f, TEST_FILL, p, SIZE, 0, SEED, NULL));
		for (int i = 0; s == PAGE_PROMOTED && fixture_count(&f, p, SIZE, s) != PAGES; i++) {
			check(s, i < 1000);
			check(s, fixture_run(&f, TEST_FILL, p, SIZE, 0, SEED, NULL));
			for (uint64_t page = 0; page < PAGES; page++)
				*(volatile uint64_t *)(p + page * PAGE_SIZE) = SEED + page * WORDS;
		}
		check(s, fixture_count(&f, p, SIZE, s) == PAGES);
		assert_int_equal(brk(p + SIZE / 2), 0);
		device_faults(s, p + SIZE / 2);
		both_have(s, p, PAGES / 2, SEED);
		assert_int_equal(brk(p + SIZE), 0);
		both_see_zeros(s, p + SIZE / 2, PAGES / 2);
		both_have(s, p, PAGES / 2, SEED);
		assert_int_equal(brk(end), 0);
		device_faults(s, p + PAGE_SIZE);
	}
}

/* MADV_REMOVE makes a hole in the file: zeros for everyone who maps it. */
static void remove_range(void **state)
{
	char *p, *alias;
	int fd;

	(void)state;
	fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	alias = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, SEED, NULL));
	assert_true(fixture_host_has(alias, SIZE, SEED));
	assert_int_equal(madvise(p + PAGE_SIZE, 2 * PAGE_SIZE, MADV_REMOVE), 0);
	both_see_zeros(PAGE_HOST, p + PAGE_SIZE, 2);
	both_see_zeros(PAGE_HOST, alias + PAGE_SIZE, 2);
	both_have(PAGE_HOST, alias, 1, SEED);
	assert_true(fixture_run(&f, TEST_FILL, p, SIZE, 0, 8, NULL));
	both_have(PAGE_HOST, alias, PAGES, 8);
	munmap(p, SIZE);
	munmap(alias, SIZE);
	close(fd);
}

/* A mapping of a GiB of which the device has a page here and there goes at once, with all of them. */
static void big_unmap(void **state)
{
	const uint64_t size = 1ull << 30, step = size / 64;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	for (uint64_t at = 0; at < size; at += step)
		assert_true(fixture_run(&f, TEST_FILL, p + at, 8, 0, SEED, NULL));
	assert_int_equal(munmap(p, size), 0);
	device_faults(PAGE_VRAM, p);
	device_faults(PAGE_VRAM, p + size - step);
	assert_int_equal(fixture_counters(&f).vram_used, 0);
}

/*
 * Who waits for changes to be handled has drawn a ticket and made a descriptor readable. Handling events for another reason, as
 * when everything goes home, must leave that readable: else the pager would go to sleep over the ticket.
 */
static void tickets(void **state)
{
	struct mcl_uffd *u;
	struct mcl_mirror_params params = { .window = &f.window };
	struct mcl_mirror_event events[4];
	struct mcl_reason why;
	struct mcl_mirror *m;
	const uint64_t one = 1;
	struct pollfd fd = { .events = POLLIN };

	(void)state;
	/* One without a pager, so that nobody else looks. */
	assert_int_equal(mcl_mirror_uffd.create(&params, &m, &why), 0);
	u = mcl_uffd_of(m);
	fd.fd = mcl_mirror_uffd.event_fd(m);
	assert_int_equal(atomic_fetch_add(&u->words[MCL_BOOT_WORD_WANTED], 1), 0);
	assert_int_equal(write(u->again_fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(mcl_uffd_host_events(u, events, 4), 0);
	assert_int_equal(poll(&fd, 1, 0), 1);
	assert_int_equal(mcl_mirror_uffd.next_events(m, events, 4), 0);
	assert_int_equal(atomic_load(&u->words[MCL_BOOT_WORD_DONE]), 1);
	assert_int_equal(poll(&fd, 1, 0), 0);
	mcl_mirror_uffd.destroy(m);
}

/*
 * The highest addresses that there are: the units and blocks that the pager thinks in end behind them. Both sides take turns, as
 * often as it takes to get all of it mapped in place and once more.
 */
static void highest(void **state)
{
	char *p = mmap((void *)(USER_END - SIZE), SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	(void)state;
	if (p == MAP_FAILED)
		skip(); /* without randomisation the stack is there, and every test does this */
	assert_true((uint64_t)p == USER_END - SIZE);
	alarm(60);
	assert_true(fixture_run(&f, TEST_FILL, p, PAGE_SIZE, 0, SEED, NULL));
	assert_int_equal(*(volatile uint64_t *)(p + SIZE - PAGE_SIZE), 0); /* fresh, and watched */
	for (uint64_t i = 0; fixture_count(&f, p, SIZE, PAGE_PROMOTED) < PAGES || i < 3; i++) {
		assert_true(i < 1000);
		for (uint64_t at = 0; at < SIZE; at += PAGE_SIZE) {
			assert_true(fixture_run(&f, TEST_FILL, p + at, PAGE_SIZE, 0, SEED + i, NULL));
			assert_true(fixture_host_has(p + at, PAGE_SIZE, SEED + i));
			fixture_fill(p + at, PAGE_SIZE, SEED + i + 1);
			assert_true(fixture_device_has(&f, p + at, PAGE_SIZE, SEED + i + 1));
		}
	}
	alarm(0);
	munmap(p, SIZE);
	device_faults(PAGE_PROMOTED, p + SIZE - PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(unmap, fixture_setup_eager, &f),
		fixture_test(unmap_middle, fixture_setup_eager, &f),
		fixture_test(map_over, fixture_setup_eager, &f),
		fixture_test(move, fixture_setup_eager, &f),
		fixture_test(move_part, fixture_setup_eager, &f),
		fixture_test(move_and_keep, fixture_setup_eager, &f),
		fixture_test(move_and_unmap, fixture_setup_eager, &f),
		fixture_test(grow_and_shrink, fixture_setup_eager, &f),
		fixture_test(dontneed, fixture_setup_eager, &f),
		fixture_test(lazy_free, fixture_setup_eager, &f),
		fixture_test(protect, fixture_setup_eager, &f),
		fixture_test(trim, fixture_setup_eager, &f),
		fixture_test(remove_range, fixture_setup_eager, &f),
		fixture_test(big_unmap, fixture_setup_eager, &f),
		fixture_test(tickets, fixture_setup_eager, &f),
		fixture_test(highest, fixture_setup_eager, &f),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
