/* SPDX-License-Identifier: MIT */
/* For tests: a userfaultfd mirror, its pager and the device process of test_engine.h in this process. */
#ifndef MCL_UFFD_FIXTURE_H
#define MCL_UFFD_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "mirror/mirror.h"
#include "mirror/mirror_uffd.h"
#include "mirror/tests/test_engine.h"
#include "pager/pager.h"

struct fixture {
	struct mcl_window window;
	struct mcl_mirror *m;
	struct mcl_pager *pager;
	pid_t pid;
};

/* Ends the process with status 77 and the reason if this mirror is not permitted here. */
void fixture_require(void);
/* @vram: 0 for the default. Aborts on failure. */
void fixture_start(struct fixture *f, const struct mcl_pager_policy *policy, uint64_t vram);
/* Kill the engine, reap it, and let the pager bring everything home. */
void fixture_kill(struct fixture *f);
void fixture_stop(struct fixture *f);
/* Start with growing chunks, and pages mapped in place after @promote_after bounces (0: never). */
void fixture_start_plain(struct fixture *f, uint32_t promote_after);

/* The same for cmocka, whose state is a struct fixture then: mapped in place after three bounces, or after one. */
int fixture_setup(void **state);
int fixture_setup_eager(void **state);
int fixture_teardown(void **state);
/* A test that finds the fixture @f started. */
#define fixture_test(test, setup, f) cmocka_unit_test_prestate_setup_teardown(test, setup, fixture_teardown, f)

struct mcl_counters fixture_counters(const struct fixture *f);

struct test_unit *fixture_unit(const struct fixture *f, unsigned int unit);
/*
 * Start an operation on a unit; @stride 0: 8. Operations are what kernels are to the real engine: before one, the mirror
 * settles and drops old copies; when one ends (fixture_wait()), stores to copies are written back.
 */
void fixture_go(struct fixture *f, unsigned int unit, enum test_op op, const void *address, uint64_t size,
		uint64_t stride, uint64_t value);
/* Wait for its end. True: done; false: it faulted. Aborts after 30 seconds. */
bool fixture_wait(struct fixture *f, unsigned int unit, uint64_t *result);
/* Both, on unit 0. */
bool fixture_run(struct fixture *f, enum test_op op, const void *address, uint64_t size, uint64_t stride,
		 uint64_t value, uint64_t *result);

/* When this returns, the pager has handled everything that was reported before. */
void fixture_barrier(struct fixture *f);
/* The state of the page at @p; steady only if nothing touches it. */
enum mcl_page_state fixture_state(struct fixture *f, const void *p);
/* How many pages of [p, p + size) are in @state. */
uint64_t fixture_count(struct fixture *f, const void *p, uint64_t size, enum mcl_page_state state);
/* The words of [p, p + size) become seed, seed + 1 ...; by the host. */
void fixture_fill(void *p, uint64_t size, uint64_t seed);
/* Whether they are that: as the host sees them, and as the device does. */
bool fixture_host_has(const void *p, uint64_t size, uint64_t seed);
bool fixture_device_has(struct fixture *f, const void *p, uint64_t size, uint64_t seed);

/*
 * Make a range of two pages or more in which every page is in @state and the words are seed, seed + 1 ...: anonymous memory
 * for PAGE_HOST, PAGE_VRAM, PAGE_PROMOTED (writable) and PAGE_COPY (read-only); a private mapping of a file for
 * PAGE_SNAPSHOT and PAGE_TWIN. The policy must promote (promote_after != 0) for PAGE_PROMOTED. With a page that is not
 * mapped on either side. Asserts.
 */
void *fixture_make(struct fixture *f, uint64_t size, enum mcl_page_state state, uint64_t seed);
const char *fixture_state_name(enum mcl_page_state state);
/* Descriptor of a new file of @size on disk, deleted already, filled as fixture_fill() does. */
int fixture_file(uint64_t size, uint64_t seed);

#endif
