/* SPDX-License-Identifier: MIT */
/*
 * A device process for the tests of the userfaultfd mirror: no command rings, no kernels, just units that touch memory
 * when told to. It boots as the real engine does (engine/boot_uffd.c). Shared by test_engine.c and uffd_fixture.c.
 */
#ifndef MCL_TEST_ENGINE_H
#define MCL_TEST_ENGINE_H

#include <stdatomic.h>
#include <stdint.h>

#include "engine/control.h"

#define TEST_BASE 0x600000000000ull
#define TEST_CONTROL_SIZE (1ull << 20)
#define TEST_IMAGE_OFFSET (1ull << 20)
#define TEST_IMAGE_SIZE (1ull << 20)
#define TEST_STACKS_OFFSET (2ull << 20)
#define TEST_STACK_SIZE 65536ull
#define TEST_UNITS 4u
#define TEST_STACKS_SIZE (TEST_UNITS * 2 * TEST_STACK_SIZE)
#define TEST_TOTAL_SIZE (TEST_STACKS_OFFSET + TEST_STACKS_SIZE)

enum test_op {
	TEST_SUM = 1, /* result = sum of the 64-bit words at address, address + stride ... below address + size */
	TEST_FILL, /* store value there, value + 1 to the next ... */
	TEST_COPY, /* size bytes from value to address, in 64-bit words */
	TEST_ADD, /* value times: atomic add 1 to the 32-bit word at address */
	TEST_TURNS, /* value times: wait until the 32-bit word at address is odd, then add 1 */
	TEST_CHASE, /* follow 64-bit pointers from address until null; result = how many */
	TEST_LOOP_FILL, /* as FILL, again and again until .stop */
	TEST_LOOP_SUM,
	TEST_COMPARE, /* result = how many bytes from address are as FILL would make them, up to size */
	TEST_LOOP_ADD, /* as ADD with value 1 to one word in every stride, again and again until .stop */
};

enum test_state { TEST_IDLE, TEST_GO, TEST_DONE, TEST_FAULTED };

struct test_unit {
	struct mcl_guard guard;
	_Atomic uint32_t state; /* futex */
	_Atomic uint32_t stop;
	uint32_t op;
	uint64_t address, size, stride, value;
	uint64_t result;
	_Atomic uint64_t rounds; /* of the loops */
	uint64_t fault_address;
	int32_t fault_signal;
} __attribute__((aligned(4096)));

struct test_control {
	struct mcl_engine_control control; /* .boot only */
	struct test_unit units[TEST_UNITS];
};

_Static_assert(sizeof(struct test_control) <= TEST_CONTROL_SIZE, "control fits");

#endif
