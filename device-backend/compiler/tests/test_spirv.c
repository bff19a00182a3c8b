// SPDX-License-Identifier: MIT
/* Modules of a few instructions, written down as words. */
#include <byteswap.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compiler/spirv.h"

#define OP(code, words) ((uint32_t)(words) << 16 | (code))

/* Ids: 1 bool, 2 int, 3 short, 4 long, 5 float; 11 to 15 constants of these types with the numbers 101 to 105; 20 a result. */
static const uint32_t sample[] = {
	0x07230203, 0x00010000, 0,  21,	 0, /* header: ids are below 21 */
	OP(17, 2),  6, /* OpCapability Kernel */
	OP(71, 4),  11,		1,  101, /* OpDecorate %11 SpecId 101 */
	OP(71, 4),  12,		1,  102, OP(71, 4), 13, 1,  103, OP(71, 4), 14,	       1,  104,
	OP(71, 4),  15,		1,  105, OP(71, 4), 12, 44, 4, /* Alignment: no number */
	OP(20, 2),  1, /* OpTypeBool */
	OP(21, 4),  2,		32, 0, /* OpTypeInt */
	OP(21, 4),  3,		16, 0,	 OP(21, 4), 4,	64, 0,	 OP(22, 3), 5,	       32, /* OpTypeFloat */
	OP(48, 3),  1,		11, /* OpSpecConstantTrue */
	OP(50, 4),  2,		12, 7, /* OpSpecConstant */
	OP(50, 4),  3,		13, 8,	 OP(50, 5), 4,	14, 9,	 0,	    OP(50, 4), 5,  15,
	0x3f800000, OP(261, 5), 1,  20,	 12,	    11, /* OpGroupAll */
	OP(253, 1), /* OpReturn */
};

static struct mcl_spirv read_ok(const void *bytes, size_t size)
{
	struct mcl_spirv module;
	struct mcl_reason why;

	assert_int_equal(mcl_spirv_read(bytes, size, &module, &why), 0);
	assert_int_equal(module.count, size / 4);
	return module;
}

static void refused(const void *bytes, size_t size, const char *said)
{
	struct mcl_spirv module;
	struct mcl_reason why;

	assert_int_equal(mcl_spirv_read(bytes, size, &module, &why), -EBADMSG);
	assert_non_null(strstr(why.text, said));
	assert_null(module.words);
}

static void both_byte_orders(void **state)
{
	uint32_t swapped[sizeof(sample) / 4];
	struct mcl_spirv module;

	(void)state;
	for (size_t i = 0; i < sizeof(sample) / 4; i++)
		swapped[i] = bswap_32(sample[i]);
	assert_true(mcl_spirv_is(sample, sizeof(sample)));
	assert_true(mcl_spirv_is(swapped, sizeof(swapped)));
	module = read_ok(swapped, sizeof(swapped));
	assert_memory_equal(module.words, sample, sizeof(sample));
	mcl_spirv_free(&module);
	assert_null(module.words);
}

/* Every prefix, and what is damaged, is refused or read; nothing beyond it is looked at. */
static void damaged(void **state)
{
	uint32_t words[sizeof(sample) / 4];
	struct mcl_spirv module;

	(void)state;
	assert_false(mcl_spirv_is("kernel void f() {}", 18));
	assert_false(mcl_spirv_is(sample, 3));
	refused("kernel void f() {}", 18, "not a SPIR-V module");
	refused(sample, 4, "cut off");
	refused(sample, sizeof(sample) - 1, "cut off");
	refused(sample, 20, "capability Kernel");
	for (size_t size = 0; size < sizeof(sample); size++) {
		uint8_t *exact = malloc(size ? size : 1);

		assert_non_null(exact);
		memcpy(exact, sample, size);
		if (!mcl_spirv_read(exact, size, &module, NULL)) {
			mcl_spirv_constant_size(&module, 101);
			assert_int_equal(mcl_spirv_mend(&module), 0);
			mcl_spirv_free(&module);
		}
		free(exact);
	}
	memcpy(words, sample, sizeof(sample));
	words[5] = OP(17, 0);
	refused(words, sizeof(words), "damaged");
	words[5] = OP(17, 0xffff);
	refused(words, sizeof(words), "damaged");
	words[5] = OP(17, 2);
	words[sizeof(words) / 4 - 1] = OP(54, 1);
	refused(words, sizeof(words), "damaged");
	words[sizeof(words) / 4 - 1] = OP(56, 1);
	refused(words, sizeof(words), "damaged");
	memcpy(words, sample, sizeof(sample));
	words[6] = 1; /* the capability Shader */
	refused(words, sizeof(words), "capability Kernel");
}

static void constant_sizes(void **state)
{
	static const uint32_t sizes[] = { 1, 4, 2, 8, 4 };
	uint32_t words[sizeof(sample) / 4];
	struct mcl_spirv module = read_ok(sample, sizeof(sample));

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(mcl_spirv_constant_size(&module, 101 + i), sizes[i]);
	assert_int_equal(mcl_spirv_constant_size(&module, 4), 0); /* only an alignment */
	assert_int_equal(mcl_spirv_constant_size(&module, 0), 0);
	mcl_spirv_free(&module);
	/* The type of a constant is not there. */
	memcpy(words, sample, sizeof(sample));
	for (size_t i = 5; i < sizeof(sample) / 4; i++)
		words[i] = words[i] == OP(22, 3) ? OP(19, 3) : words[i];
	module = read_ok(words, sizeof(words));
	assert_int_equal(mcl_spirv_constant_size(&module, 105), 0);
	mcl_spirv_free(&module);
}

static struct mcl_spirv_constant constant(uint32_t id, uint32_t size, const void *value)
{
	struct mcl_spirv_constant c = { .id = id, .size = size };

	memcpy(c.value, value, size);
	return c;
}

/* The constants get their values, and no other word changes. */
static void specialized(void **state)
{
	const struct mcl_spirv_constant constants[] = {
		constant(101, 1, "\0"),
		constant(102, 4, &(int32_t){ -5 }),
		constant(103, 2, &(int16_t){ -6 }),
		constant(104, 8, &(uint64_t){ 0x1122334455667788 }),
		constant(105, 4, &(float){ 2.0f }),
		constant(104, 4, &(uint32_t){ 1 }), /* of another size: not this one */
		constant(106, 4, &(uint32_t){ 1 }), /* nobody's */
	};
	uint32_t expected[sizeof(sample) / 4];
	struct mcl_spirv module = read_ok(sample, sizeof(sample));

	(void)state;
	for (size_t i = 0; i < sizeof(constants) / sizeof(*constants); i++)
		mcl_spirv_specialize(&module, &constants[i]);
	memcpy(expected, sample, sizeof(sample));
	for (size_t i = 5; i + 4 < sizeof(sample) / 4; i++) {
		if (expected[i] == OP(48, 3))
			expected[i] = OP(49, 3);
		else if (expected[i] == OP(50, 4) && expected[i + 2] == 12)
			expected[i + 3] = 0xfffffffb;
		else if (expected[i] == OP(50, 4) && expected[i + 2] == 13)
			expected[i + 3] = 0xfffa;
		else if (expected[i] == OP(50, 4) && expected[i + 2] == 15)
			expected[i + 3] = 0x40000000;
		else if (expected[i] == OP(50, 5))
			expected[i + 3] = 0x55667788, expected[i + 4] = 0x11223344;
	}
	assert_memory_equal(module.words, expected, sizeof(expected));
	/* And back: any value but zero is true. */
	mcl_spirv_specialize(&module, &(struct mcl_spirv_constant){ .id = 101, .size = 1, .value = { 4 } });
	assert_int_equal(mcl_spirv_constant_size(&module, 101), 1);
	for (size_t i = 5; i < sizeof(sample) / 4; i++)
		assert_int_not_equal(module.words[i], OP(49, 3));
	mcl_spirv_free(&module);
}

static void group_all(void **state)
{
	static const uint32_t instead[] = {
		OP(168, 4), 1, 21, 11, /* OpLogicalNot */
		OP(262, 5), 1, 22, 12, 21, /* OpGroupAny */
		OP(168, 4), 1, 20, 22, OP(253, 1),
	};
	const size_t before = sizeof(sample) / 4 - 6;
	struct mcl_spirv module = read_ok(sample, sizeof(sample));

	(void)state;
	assert_int_equal(mcl_spirv_mend(&module), 0);
	assert_int_equal(module.count, sizeof(sample) / 4 + 8);
	assert_memory_equal(module.words, sample, 3 * 4);
	assert_int_equal(module.words[3], 23);
	assert_memory_equal(&module.words[4], &sample[4], (before - 4) * 4);
	assert_memory_equal(&module.words[before], instead, sizeof(instead));
	/* Nothing is left to be mended. */
	assert_int_equal(mcl_spirv_mend(&module), 0);
	assert_int_equal(module.count, sizeof(sample) / 4 + 8);
	mcl_spirv_free(&module);
}

/* %20 = printf(%9, float, int, float), with OpenCL.std as %8; %10 is the other float. */
static const uint32_t printing[] = {
	0x07230203, 0x00010000, 0,	    21,		0,	   OP(17, 2), 6,  OP(11, 5), 8,
	0x6e65704f, 0x732e4c43, 0x00006474, /* OpExtInstImport "OpenCL.std" */
	OP(5, 3),   5,		9, /* OpName: no value of that type */
	OP(21, 4),  2,		32,	    0,		OP(22, 3), 5,	      32, /* OpTypeFloat */
	OP(43, 4),  5,		7,	    0x40000000, /* OpConstant */
	OP(43, 4),  5,		10,	    0x3f800000, OP(43, 4), 2,	      12, 3,	     OP(12, 9),
	2,	    20,		8,	    184,	9,	   7,	      12, 10, /* OpExtInst printf */
	OP(12, 8),  2,		19,	    8,		183,	   9,	      7,  12, /* another one of the set */
	OP(253, 1),
};

static void printed_floats(void **state)
{
	static const uint32_t expected[] = {
		0x07230203, 0x00010000, 0,	    24,		0,	    OP(17, 2),	6,	    OP(17, 2),
		10, /* OpCapability Float64 */
		OP(11, 5),  8,		0x6e65704f, 0x732e4c43, 0x00006474, OP(5, 3),	5,	    9,
		OP(21, 4),  2,		32,	    0,		OP(22, 3),  5,		32,	    OP(22, 3),
		21,	    64,		OP(43, 4),  5,		7,	    0x40000000, OP(43, 4),  5,
		10,	    0x3f800000, OP(43, 4),  2,		12,	    3,		OP(115, 4), 21,
		22,	    7, /* OpFConvert */
		OP(115, 4), 21,		23,	    10,		OP(12, 9),  2,		20,	    8,
		184,	    9,		22,	    12,		23,	    OP(12, 8),	2,	    19,
		8,	    183,	9,	    7,		12,	    OP(253, 1),
	};
	struct mcl_spirv module = read_ok(printing, sizeof(printing));

	(void)state;
	assert_int_equal(mcl_spirv_mend(&module), 0);
	assert_int_equal(module.count, sizeof(expected) / 4);
	assert_memory_equal(module.words, expected, sizeof(expected));
	/* It needs no more. */
	assert_int_equal(mcl_spirv_mend(&module), 0);
	assert_int_equal(module.count, sizeof(expected) / 4);
	mcl_spirv_free(&module);
}

/* Ids that are too large for the module are nobody's. */
static void lying_bound(void **state)
{
	uint32_t words[sizeof(printing) / 4];
	struct mcl_spirv module;

	(void)state;
	memcpy(words, printing, sizeof(printing));
	for (uint32_t bound = 0; bound < 22; bound++) {
		words[3] = bound;
		module = read_ok(words, sizeof(words));
		assert_int_equal(mcl_spirv_mend(&module), 0);
		mcl_spirv_free(&module);
	}
	words[3] = UINT32_MAX;
	module = read_ok(words, sizeof(words));
	assert_int_equal(mcl_spirv_mend(&module), 0);
	assert_memory_equal(module.words, words, sizeof(words));
	mcl_spirv_free(&module);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_byte_orders), cmocka_unit_test(damaged),	 cmocka_unit_test(constant_sizes),
		cmocka_unit_test(specialized),	    cmocka_unit_test(group_all), cmocka_unit_test(printed_floats),
		cmocka_unit_test(lying_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
