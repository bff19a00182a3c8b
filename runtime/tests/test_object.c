// SPDX-License-Identifier: MIT
/* Objects: reference counts, wrong and dead handles, clGet*Info's rules, names of errors. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "runtime/context.h"

static int destroyed;

static void destroy(struct mcl_object *obj)
{
	destroyed++;
	mcl_object_free(obj);
}

static struct mcl_object *create(enum mcl_type type)
{
	struct mcl_object *obj = mcl_object_alloc(sizeof(*obj) + 100);

	assert_non_null(obj);
	assert_false(mcl_object_valid(obj, type));
	mcl_object_init(obj, type, destroy);
	return obj;
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

/* The application's references together hold one of the runtime's. */
static void counts(void **state)
{
	struct mcl_object *obj = create(MCL_TYPE_EVENT);

	(void)state;
	destroyed = 0;
	assert_int_equal(mcl_object_app_refs(obj), 1);
	mcl_object_retain_app(obj);
	assert_int_equal(mcl_object_app_refs(obj), 2);
	mcl_object_get(obj);
	mcl_object_release_app(obj);
	assert_true(mcl_object_valid(obj, MCL_TYPE_EVENT));
	mcl_object_release_app(obj);
	assert_int_equal(destroyed, 0);
	assert_false(mcl_object_valid(obj, MCL_TYPE_EVENT)); /* only the runtime holds it */
	mcl_object_release_app(obj); /* one too many changes nothing */
	assert_int_equal(mcl_object_app_refs(obj), 0);
	assert_int_equal(destroyed, 0);
	mcl_object_put(obj);
	assert_int_equal(destroyed, 1);
}

static void wrong_handles(void **state)
{
	struct mcl_object *obj = create(MCL_TYPE_MEM);
	struct mcl_object foreign = { .type = MCL_TYPE_MEM, .app_refs = 1 };
	struct mcl_object forged = { .dispatch = &mcl_dispatch, .type = MCL_TYPE_MEM, .app_refs = 1 };
	char *barred = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(mcl_object_valid(obj, MCL_TYPE_MEM));
	assert_false(mcl_object_valid(obj, MCL_TYPE_EVENT));
	assert_false(mcl_object_valid(NULL, MCL_TYPE_MEM));
	assert_false(mcl_object_valid((void *)8, MCL_TYPE_MEM));
	assert_false(mcl_object_valid((char *)obj + 1, MCL_TYPE_MEM));
	assert_false(mcl_object_valid(&foreign, MCL_TYPE_MEM)); /* another driver's */
	assert_false(mcl_object_valid(&forged, MCL_TYPE_MEM));
	/* What cannot be read is not read. */
	assert_true(barred != MAP_FAILED);
	assert_false(mcl_object_valid(barred, MCL_TYPE_MEM));
	assert_false(mcl_object_valid(barred + 4096, MCL_TYPE_PLATFORM));
	munmap(barred, 8192);
	assert_false(mcl_object_valid(barred, MCL_TYPE_MEM));
	assert_false(mcl_object_valid((void *)UINTPTR_MAX, MCL_TYPE_MEM));
	assert_false(mcl_object_valid((void *)(UINTPTR_MAX - 7), MCL_TYPE_MEM));
	assert_false(mcl_object_valid((void *)0x8000000000000000, MCL_TYPE_MEM)); /* no address at all */
	/* The whole of what objects live in, object by object. */
	for (uintptr_t at = (uintptr_t)obj - (1 << 20); at != (uintptr_t)obj + (1 << 20); at += 8)
		assert_int_equal(mcl_object_valid((void *)at, MCL_TYPE_MEM), at == (uintptr_t)obj);
	/* The two objects that are always there, and nothing else is one. */
	assert_true(mcl_object_valid(&mcl_platform, MCL_TYPE_PLATFORM));
	assert_true(mcl_object_valid(&mcl_device, MCL_TYPE_DEVICE));
	assert_false(mcl_object_valid(&mcl_device, MCL_TYPE_PLATFORM));
	assert_false(mcl_object_valid(&mcl_platform, MCL_TYPE_CONTEXT));
	mcl_object_release_app(obj);
}

/* A handle used soon after its release is recognised: its memory and its dispatch pointer are still there. */
static void dead_handles(void **state)
{
	struct mcl_object *dead[100];

	(void)state;
	destroyed = 0;
	for (int i = 0; i < 100; i++) {
		dead[i] = create(MCL_TYPE_KERNEL);
		mcl_object_release_app(dead[i]);
	}
	assert_int_equal(destroyed, 100);
	for (int i = 0; i < 100; i++) {
		assert_ptr_equal(dead[i]->dispatch, &mcl_dispatch);
		assert_int_equal(dead[i]->type, MCL_TYPE_DEAD);
		assert_false(mcl_object_valid(dead[i], MCL_TYPE_KERNEL));
	}
}

/* Slots are zeroed and nobody else's, in whatever number, and each is used again. */
static void memory(void **state)
{
	enum { COUNT = 20000, SIZE = 300 };
	static struct mcl_object *objects[2][COUNT];
	size_t before = mcl_object_count(), common = 0;

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < COUNT; i++) {
			struct mcl_object *obj = objects[round][i] = mcl_object_alloc(SIZE);

			assert_non_null(obj);
			for (size_t at = sizeof(*obj); at < SIZE; at++)
				assert_int_equal(((char *)obj)[at], 0);
			memset(obj + 1, i, SIZE - sizeof(*obj));
			mcl_object_init(obj, MCL_TYPE_EVENT, destroy);
		}
		assert_int_equal(mcl_object_count(), before + COUNT);
		for (int i = 0; i < COUNT; i++) {
			assert_true(mcl_object_valid(objects[round][i], MCL_TYPE_EVENT));
			assert_int_equal(((char *)objects[round][i])[SIZE - 1], (char)i);
		}
		for (int i = 0; i < COUNT; i++)
			mcl_object_release_app(objects[round][i]);
		assert_int_equal(mcl_object_count(), before);
	}
	for (int round = 0; round < 2; round++)
		qsort(objects[round], COUNT, sizeof(void *), by_address);
	for (int i = 0, j = 0; i < COUNT && j < COUNT;) {
		if (objects[0][i] == objects[1][j])
			common++;
		if (objects[0][i] < objects[1][j])
			i++;
		else
			j++;
	}
	assert_in_range(common, COUNT - 256, COUNT);
	assert_null(mcl_object_alloc(4097));
	assert_null(mcl_object_alloc(SIZE_MAX));
}

static void *churn(void *arg)
{
	enum { HELD = 40, ROUNDS = 50000 };
	struct mcl_object *held[HELD] = { 0 };
	unsigned int at = 0;

	/* Each writes its name into what it holds: a slot that two threads hold would show. */
	for (int i = 0; i < ROUNDS; i++, at = (at + 7) % HELD) {
		void **body;

		if (held[at]) {
			body = (void **)(held[at] + 1);
			if (body[0] != arg || body[1] != held[at])
				return "a slot has two owners";
			body[0] = NULL;
			mcl_object_free(held[at]);
		}
		held[at] = mcl_object_alloc(64 + (unsigned int)i % 3 * 64);
		if (!held[at])
			return "out of memory";
		body = (void **)(held[at] + 1);
		if (body[0])
			return "a slot is not empty";
		body[0] = arg;
		body[1] = held[at];
	}
	for (at = 0; at < HELD; at++)
		if (held[at])
			mcl_object_free(held[at]);
	return NULL;
}

static void threads(void **state)
{
	size_t before = mcl_object_count();
	pthread_t thread[4];
	char names[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, churn, &names[i]), 0);
	for (int i = 0; i < 4; i++) {
		void *complaint;

		assert_int_equal(pthread_join(thread[i], &complaint), 0);
		if (complaint)
			fail_msg("%s", (const char *)complaint);
	}
	assert_int_equal(mcl_object_count(), before);
}

static void info(void **state)
{
	uint64_t value = 0x1122334455667788, out = 0;
	size_t size = 0;

	(void)state;
	assert_int_equal(mcl_info("f", &value, 8, 0, NULL, &size), CL_SUCCESS);
	assert_int_equal(size, 8);
	assert_int_equal(mcl_info("f", &value, 8, 7, &out, &size), CL_INVALID_VALUE);
	assert_int_equal(out, 0);
	assert_int_equal(mcl_info("f", &value, 8, 9, &out, NULL), CL_SUCCESS);
	assert_true(out == value);
	/* A size without a buffer is not an error. */
	assert_int_equal(mcl_info("f", &value, 8, 1, NULL, &size), CL_SUCCESS);
	/* An empty value. */
	assert_int_equal(mcl_info("f", NULL, 0, 0, &out, &size), CL_SUCCESS);
	assert_int_equal(size, 0);
}

static void error_names(void **state)
{
	(void)state;
	assert_string_equal(mcl_cl_error_name(CL_INVALID_VALUE), "CL_INVALID_VALUE");
	assert_string_equal(mcl_cl_error_name(CL_SUCCESS), "CL_SUCCESS");
	assert_string_equal(mcl_cl_error_name(12345), "unknown error");
	/* Every code of the ranges that OpenCL 3.0 uses has a name, but for the one gap. */
	for (cl_int code = CL_KERNEL_ARG_INFO_NOT_AVAILABLE; code <= 0; code++)
		assert_string_not_equal(mcl_cl_error_name(code), "unknown error");
	for (cl_int code = CL_MAX_SIZE_RESTRICTION_EXCEEDED; code <= CL_INVALID_VALUE; code++)
		assert_string_not_equal(mcl_cl_error_name(code), "unknown error");
	assert_int_equal(MCL_ERR(CL_INVALID_VALUE, "%d", 1), CL_INVALID_VALUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),      cmocka_unit_test(wrong_handles), cmocka_unit_test(dead_handles),
		cmocka_unit_test(memory),      cmocka_unit_test(threads),	cmocka_unit_test(info),
		cmocka_unit_test(error_names),
	};

	return cmocka_run_group_tests_name("object", tests, NULL, NULL);
}
