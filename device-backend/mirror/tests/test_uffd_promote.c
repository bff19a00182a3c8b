// SPDX-License-Identifier: MIT
/* Pages that bounce are mapped in place: truly shared from then on, within what the kernel allows in mappings, until a fork. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/tests/uffd_fixture.h"

#define PAGES 16ul
#define SIZE (PAGES * PAGE_SIZE)

static struct fixture f;

static uint64_t mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint64_t count = 0;
	int c;

	assert_non_null(maps);
	while ((c = getc(maps)) != EOF)
		count += c == '\n';
	fclose(maps);
	return count;
}

/*
 * Atomic increments of both sides on the same word from the first touch on, through every bounce and the promotion and for a
 * while after it: not one is lost.
 */
static void atomics(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		_Atomic uint32_t *word = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		uint64_t mine = 0, others = 0;

		for (unsigned int unit = 0; unit < 2; unit++)
			fixture_go(&f, unit, TEST_LOOP_ADD, (void *)word, 4, 4, 0);
		/* A hundred thousand tries are far more than even a busy machine needs. */
		for (int i = 0; i < 100000 && fixture_state(&f, (void *)word) != PAGE_PROMOTED; i++)
			for (int k = 0; k < 100; k++, mine++)
				atomic_fetch_add(word, 1);
		assert_int_equal(fixture_state(&f, (void *)word), PAGE_PROMOTED);
		for (int i = 0; i < 100000; i++, mine++)
			atomic_fetch_add(word, 1);
		for (unsigned int unit = 0; unit < 2; unit++) {
			atomic_store(&fixture_unit(&f, unit)->stop, 1);
			assert_true(fixture_wait(&f, unit, NULL));
			others += atomic_load(&fixture_unit(&f, unit)->rounds);
		}
		assert_int_equal(atomic_load(word), (uint32_t)(mine + others));
		assert_true(others > 0);
		munmap((void *)word, SIZE);
	}
	assert_int_equal(fixture_counters(&f).cause[MCL_CAUSE_PROMOTION].count, 5);
}

/* By turns: every turn is a bounce until the page is promoted; after that there are no faults at all. */
static void turns(void **state)
{
	/* A mapping of its own: neighbours would be mapped in place with it, and stay so. */
	_Atomic uint32_t *word = fixture_make(&f, SIZE, PAGE_HOST, 0);
	struct mcl_counters before, after;

	(void)state;
	for (int part = 0; part < 2; part++) {
		before = fixture_counters(&f);
		fixture_go(&f, 0, TEST_TURNS, (void *)word, 4, 0, 3000);
		for (int i = 0; i < 3000; i++) {
			while (atomic_load(word) & 1)
				;
			atomic_fetch_add(word, 1);
		}
		assert_true(fixture_wait(&f, 0, NULL));
		assert_int_equal(atomic_load(word), 6000 * (part + 1));
	}
	after = fixture_counters(&f);
	assert_int_equal(fixture_state(&f, (void *)word), PAGE_PROMOTED);
	for (int i = 0; i < MCL_CAUSE_COUNT; i++)
		assert_int_equal(after.cause[i].count, before.cause[i].count);
	munmap((void *)word, SIZE);
	fixture_barrier(&f);
	assert_int_equal(fixture_counters(&f).system_pages, 0);
}

/* Never, if the policy says so; the data is right all the same. */
static void never(void **state)
{
	_Atomic uint32_t *word = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	fixture_stop(&f);
	fixture_start_plain(&f, 0);
	fixture_go(&f, 0, TEST_ADD, (void *)word, 4, 0, 2000);
	for (int i = 0; i < 2000; i++)
		atomic_fetch_add(word, 1);
	assert_true(fixture_wait(&f, 0, NULL));
	assert_int_equal(atomic_load(word), 4000);
	assert_int_equal(fixture_counters(&f).cause[MCL_CAUSE_PROMOTION].count, 0);
	munmap((void *)word, SIZE);
}

/* Promotion takes mappings. The nearer their number is to the kernel's limit, the larger the parts; past half of it, none. */
static void map_limit(void **state)
{
	struct mcl_uffd *u = mcl_uffd_of(f.m);
	const uint64_t now = mappings(), wanted = u->map_limit / 2 + 200;
	const uint64_t size = (wanted + 2) * PAGE_SIZE;
	char *fence, *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	_Atomic uint32_t *word = (_Atomic uint32_t *)p;
	struct mcl_counters c;

	(void)state;
	/* Each second page readable: that many mappings. */
	fence = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(fence, MAP_FAILED);
	for (uint64_t i = 1; i < wanted - now; i += 2)
		assert_int_equal(mprotect(fence + i * PAGE_SIZE, PAGE_SIZE, PROT_READ), 0);
	assert_true(mappings() > u->map_limit / 2);
	fixture_go(&f, 0, TEST_ADD, p, 4, 0, 3000);
	for (int i = 0; i < 3000; i++)
		atomic_fetch_add(word, 1);
	assert_true(fixture_wait(&f, 0, NULL));
	assert_int_equal(atomic_load(word), 6000);
	c = fixture_counters(&f);
	assert_int_equal(c.cause[MCL_CAUSE_PROMOTION].count, 0);
	munmap(fence, size);
	/* With room again they are promoted again, once that is noticed. */
	u->maps_estimate = 0;
	for (int i = 0; i < 1000 && fixture_state(&f, p) != PAGE_PROMOTED; i++) {
		assert_true(fixture_run(&f, TEST_ADD, p, 4, 0, 1, NULL));
		atomic_fetch_add(word, 1);
	}
	assert_int_equal(fixture_state(&f, p), PAGE_PROMOTED);
	munmap(p, SIZE);
}

/* Many scattered promotions stay below the limit: the program's own mmap still works. */
static void scattered(void **state)
{
	const uint64_t size = 512ul << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)state;
	fixture_stop(&f);
	fixture_start_plain(&f, 1);
	for (uint64_t at = 0; at < size; at += 512ul << 10) {
		volatile uint64_t *word = (volatile uint64_t *)(p + at);

		for (int i = 0; i < 3; i++) {
			assert_true(fixture_run(&f, TEST_FILL, (void *)word, 8, 0, at + (uint64_t)i, NULL));
			assert_int_equal(*word, at + (uint64_t)i);
		}
	}
	assert_true(fixture_counters(&f).cause[MCL_CAUSE_PROMOTION].count > 100);
	assert_true(mappings() < mcl_uffd_of(f.m)->map_limit / 2 + 1000);
	for (uint64_t at = 0; at < size; at += 512ul << 10)
		assert_int_equal(*(volatile uint64_t *)(p + at), at + 2);
	munmap(p, size);
}

/* ---- threads that wait for a process-shared futex there ---- */

struct waiter {
	_Atomic uint32_t *word;
	_Atomic int32_t tid;
	long ret;
	int way;
};

static void *wait_for_word(void *arg)
{
	struct waiter *w = arg;
	struct futex_waitv v = { .val = 0, .uaddr = (uint64_t)w->word, .flags = FUTEX_32 };

	atomic_store(&w->tid, (int32_t)gettid());
	do {
		switch (w->way) {
		case 0:
			w->ret = syscall(SYS_futex, w->word, FUTEX_WAIT, 0, NULL, NULL, 0);
			break;
		case 1:
			w->ret = syscall(SYS_futex_waitv, &v, 1, 0, NULL, 0);
			break;
		case 2:
			w->ret = syscall(455 /* futex_wait */, w->word, 0ul, ~0u & 0xffffffffu, 2 /* 32 bits */, NULL,
					 0);
			break;
		}
	} while (!atomic_load(w->word) && (w->ret >= 0 || errno == EINTR));
	return NULL;
}

static void until_asleep(int32_t tid)
{
	char path[64], text[64];

	for (;;) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%d/wchan", tid);
		file = fopen(path, "re");
		if (file && fgets(text, sizeof(text), file) && !strncmp(text, "futex", 5)) {
			fclose(file);
			return;
		}
		if (file)
			fclose(file);
		usleep(500);
	}
}

/*
 * A waiter keeps its page from being mapped in place; while it waits in a page that is, the page's end makes it look again.
 * In either order nobody sleeps for ever.
 */
static void futexes(void **state)
{
	(void)state;
	fixture_stop(&f);
	fixture_start_plain(&f, 1);
	for (int way = 0; way < 3; way++) {
		for (int first = 0; first < 2; first++) {
			char *p = fixture_make(&f, 2 * PAGE_SIZE, first ? PAGE_PROMOTED : PAGE_HOST, 0);
			struct waiter w = { .word = (_Atomic uint32_t *)(p + 64), .way = way };
			pthread_t thread;
			pid_t pid;

			atomic_store(w.word, 0);
			assert_int_equal(pthread_create(&thread, NULL, wait_for_word, &w), 0);
			while (!atomic_load(&w.tid))
				usleep(100);
			until_asleep(atomic_load(&w.tid));
			if (first) {
				/* The page comes home for the fork, and its waiter has to go on waiting. */
				pid = fork();
				if (!pid)
					_exit(0);
				assert_int_equal(waitpid(pid, NULL, 0), pid);
				until_asleep(atomic_load(&w.tid));
				assert_int_equal(fixture_state(&f, p), PAGE_HOST);
			} else {
				for (int i = 0; i < 20; i++) {
					assert_true(fixture_run(&f, TEST_ADD, p, 4, 0, 1, NULL));
					*(volatile uint32_t *)p += 1;
				}
				assert_int_not_equal(fixture_state(&f, p), PAGE_PROMOTED);
			}
			atomic_store(w.word, 1);
			assert_int_equal(syscall(SYS_futex, w.word, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
			pthread_join(thread, NULL);
			munmap(p, 2 * PAGE_SIZE);
		}
	}
}

/* ---- the first thread's stack ---- */

static uint64_t dive(unsigned int depth)
{
	volatile uint64_t local[512];

	local[0] = depth;
	local[511] = depth ? dive(depth - 1) : 1;
	return local[511] + (local[0] != depth);
}

/*
 * It may be several mappings by now, which touch each other. Its name is no help: the kernel gives that to the one with the
 * program's arguments, and shows none for a part that is mapped in place.
 */
static uint64_t lowest_of_stack(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long low, high, before = 0, chain = 0;
	char line[256];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &low, &high) != 2)
			continue;
		if (low != before)
			chain = low;
		before = high;
		if ((uint64_t)line >= low && (uint64_t)line < high)
			break;
	}
	fclose(maps);
	assert_in_range((uint64_t)line, chain, before - 1);
	return chain;
}

/* Its lowest pages bounce; it still grows when it has to. */
static void stack_grows(void **state)
{
	volatile uint64_t here = 0;

	(void)state;
	fixture_stop(&f);
	fixture_start_plain(&f, 1);
	for (int step = 0; step < 30; step++) {
		uint64_t low = lowest_of_stack();

		for (int i = 0; i < 6; i++) {
			for (uint64_t at = low; at < low + 4 * PAGE_SIZE; at += PAGE_SIZE) {
				uint64_t sum;

				assert_true(fixture_run(&f, TEST_SUM, (void *)at, 8, 0, 0, &sum));
				assert_int_equal(*(volatile uint64_t *)at, sum);
			}
		}
		assert_int_equal(dive(40u * (unsigned int)(step + 1)), 1);
	}
	assert_true(fixture_run(&f, TEST_FILL, (void *)&here, 8, 0, 7, NULL));
	assert_int_equal(here, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(atomics, fixture_setup, &f),     fixture_test(turns, fixture_setup, &f),
		fixture_test(never, fixture_setup, &f),	      fixture_test(map_limit, fixture_setup, &f),
		fixture_test(scattered, fixture_setup, &f),   fixture_test(futexes, fixture_setup, &f),
		fixture_test(stack_grows, fixture_setup, &f),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
