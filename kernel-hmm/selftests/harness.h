/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small harness in the manner of kselftest: every test runs in a process of its
 * own with a time limit, and the report is KTAP.
 *
 *   TEST(name) { ... EXPECT_EQ(got, wanted); ... }
 *
 * An EXPECT that fails ends its test at once. SKIP(reason) ends it as not run.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdio.h>
#include <stdlib.h>

/* Limit of a test; HMM_MIRROR_TEST_SECONDS sets another, for kernels that check themselves. */
#define TEST_SECONDS test_seconds()
unsigned int test_seconds(void);

#define ARRAY_SIZE(ARRAY) (sizeof(ARRAY) / sizeof(*(ARRAY)))

#define STATUS_FAIL 1
#define STATUS_SKIP 4

struct test {
	const char *name;
	void (*body)(void);
	struct test *next;
};

void test_add(struct test *test);

#define TEST(NAME)                                                                   \
	static void test_##NAME(void);                                               \
	static struct test entry_##NAME = { #NAME, test_##NAME, NULL };              \
	__attribute__((constructor)) static void add_##NAME(void)                    \
	{                                                                            \
		test_add(&entry_##NAME);                                             \
	}                                                                            \
	static void test_##NAME(void)

#define SKIP(...)                                                                    \
	do {                                                                         \
		printf("# SKIP ");                                                   \
		printf(__VA_ARGS__);                                                 \
		printf("\n");                                                        \
		exit(STATUS_SKIP);                                                   \
	} while (0)

#define EXPECT_OP(A, OP, B)                                                          \
	do {                                                                         \
		long long a_ = (long long)(A), b_ = (long long)(B);                  \
		if (!(a_ OP b_)) {                                                   \
			printf("# %s:%d: %s is %lld, not %s %s (%lld)\n", __FILE__,  \
			       __LINE__, #A, a_, #OP, #B, b_);                       \
			exit(STATUS_FAIL);                                           \
		}                                                                    \
	} while (0)

#define EXPECT_EQ(A, B) EXPECT_OP(A, ==, B)
#define EXPECT_NE(A, B) EXPECT_OP(A, !=, B)
#define EXPECT_GE(A, B) EXPECT_OP(A, >=, B)
#define EXPECT_LE(A, B) EXPECT_OP(A, <=, B)

/* An expression that must be -1 with this errno. */
#define EXPECT_ERRNO(EXPRESSION, ERROR)                                              \
	do {                                                                         \
		errno = 0;                                                           \
		EXPECT_EQ(EXPRESSION, -1);                                           \
		EXPECT_EQ(errno, ERROR);                                             \
	} while (0)

#endif
