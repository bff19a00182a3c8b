// SPDX-License-Identifier: MIT
/* Objects: reference counts, wrong and dead handles, clGet*Info's rules, names of errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/object.h"

static int destroyed;

static void destroy(struct mcl_object *obj)
{
	destroyed++;
	mcl_object_free(obj);
}

static struct mcl_object *create(enum mcl_type type)
{
	struct mcl_object *obj = calloc(1, sizeof(*obj));

	assert_non_null(obj);
	mcl_object_init(obj, type, destroy);
	return obj;
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

	(void)state;
	assert_true(mcl_object_valid(obj, MCL_TYPE_MEM));
	assert_false(mcl_object_valid(obj, MCL_TYPE_EVENT));
	assert_false(mcl_object_valid(NULL, MCL_TYPE_MEM));
	assert_false(mcl_object_valid((void *)8, MCL_TYPE_MEM));
	assert_false(mcl_object_valid((char *)obj + 1, MCL_TYPE_MEM));
	assert_false(mcl_object_valid(&foreign, MCL_TYPE_MEM)); /* another driver's */
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
		cmocka_unit_test(counts), cmocka_unit_test(wrong_handles), cmocka_unit_test(dead_handles),
		cmocka_unit_test(info),	  cmocka_unit_test(error_names),
	};

	return cmocka_run_group_tests_name("object", tests, NULL, NULL);
}
