/* SPDX-License-Identifier: MIT */
/* For tests: a userfaultfd mirror, its pager and the device process of test_engine.h in this process. */
#ifndef MCL_UFFD_FIXTURE_H
#define MCL_UFFD_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "mirror/mirror.h"
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
struct mcl_counters fixture_counters(const struct fixture *f);

struct test_unit *fixture_unit(const struct fixture *f, unsigned int unit);
/* Start an operation on a unit; @stride 0: 8. */
void fixture_go(struct fixture *f, unsigned int unit, enum test_op op, const void *address, uint64_t size,
		uint64_t stride, uint64_t value);
/* Wait for its end. True: done; false: it faulted. Aborts after 30 seconds. */
bool fixture_wait(struct fixture *f, unsigned int unit, uint64_t *result);
/* Both, on unit 0. */
bool fixture_run(struct fixture *f, enum test_op op, const void *address, uint64_t size, uint64_t stride,
		 uint64_t value, uint64_t *result);

#endif
