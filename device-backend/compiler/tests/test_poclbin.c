// SPDX-License-Identifier: MIT
/* POCL's container: a hand-made good one, then torn and damaged ones. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "compiler/poclbin.h"

struct container {
	uint8_t bytes[4096];
	size_t used;
};

static void put(struct container *c, const void *bytes, size_t size)
{
	assert_true(size <= sizeof(c->bytes) - c->used);
	memcpy(c->bytes + c->used, bytes, size);
	c->used += size;
}

static void put32(struct container *c, uint32_t value)
{
	put(c, &value, 4);
}

static void put64(struct container *c, uint64_t value)
{
	put(c, &value, 8);
}

static void put_string(struct container *c, const char *text)
{
	put32(c, (uint32_t)strlen(text));
	put(c, text, strlen(text));
}

/* The fields in the order in which POCL 6.0 writes them. */
static void make_container(struct container *c)
{
	char hash[41] = "HASH";
	size_t kernel, args, files;
	uint64_t size;
	uint32_t size32;

	c->used = 0;
	put(c, "poclbin", 8);
	put64(c, 0x1234); /* device */
	put32(c, MCL_POCLBIN_VERSION);
	put32(c, 1); /* kernels */
	put64(c, 2 | (4ull << 32)); /* flags: size of globals follows; an executable */
	put32(c, 1); /* root entries */
	put(c, hash, sizeof(hash));
	put64(c, 24); /* globals */
	put64(c, 4 + 11 + 4 + 3);
	put_string(c, "/program.bc");
	put_string(c, "abc");

	kernel = c->used;
	put64(c, 0);
	put64(c, 0);
	put32(c, 0);
	put_string(c, "k");
	put32(c, 1); /* arguments */
	put32(c, 2); /* local variables */
	put64(c, 8);
	put64(c, 4);
	put64(c, 1); /* required size */
	put64(c, 16);
	put64(c, 32); /* local variables */
	put_string(c, "attr");
	put32(c, 31);
	put32(c, 6); /* sub-group and work-group facts */
	put32(c, 1);
	put32(c, 2);
	put32(c, 4096);
	put32(c, 8);
	put32(c, 48);
	put32(c, 5);
	put32(c, 6);
	args = c->used;
	put32(c, 0x11A3);
	put32(c, 0x119B);
	put64(c, 1);
	put32(c, POCLBIN_ARG_POINTER);
	put32(c, 8);
	put_string(c, "a");
	put_string(c, "int*");
	size32 = (uint32_t)(c->used - args);
	memcpy(c->bytes + kernel + 16, &size32, 4);
	files = c->used;
	put_string(c, "/k/0-0-0/k.so");
	put_string(c, "ELF?");
	size = c->used - files;
	memcpy(c->bytes + kernel + 8, &size, 8);
	size = c->used - kernel;
	memcpy(c->bytes + kernel, &size, 8);
}

static void good_one_is_read(void **state)
{
	struct container c;
	struct poclbin bin;
	struct poclbin_kernel *k;

	(void)state;
	make_container(&c);
	assert_int_equal(poclbin_parse(c.bytes, c.used, &bin, NULL), 0);
	assert_int_equal(bin.global_size, 24);
	assert_int_equal(bin.file_count, 1);
	assert_string_equal(bin.files[0].path, "/program.bc");
	assert_int_equal(bin.files[0].size, 3);
	assert_int_equal(bin.kernel_count, 1);
	k = &bin.kernels[0];
	assert_string_equal(k->name, "k");
	assert_string_equal(k->attributes, "attr");
	assert_int_equal(k->reqd_local_size[1], 4);
	assert_int_equal(k->local_count, 2);
	assert_int_equal(k->local_sizes[1], 32);
	assert_int_equal(k->preferred_multiple, 8);
	assert_int_equal(k->local_bytes, 48);
	assert_int_equal(k->private_bytes, 5);
	assert_int_equal(k->arg_count, 1);
	assert_string_equal(k->args[0].name, "a");
	assert_string_equal(k->args[0].type_name, "int*");
	assert_int_equal(k->args[0].address, CL_KERNEL_ARG_ADDRESS_GLOBAL);
	assert_int_equal(k->file_count, 1);
	assert_memory_equal(k->files[0].bytes, "ELF?", 4);
	poclbin_free(&bin);
}

static void torn_ones_are_refused(void **state)
{
	struct container c;
	struct poclbin bin;
	struct mcl_reason why;

	(void)state;
	make_container(&c);
	for (size_t n = 0; n < c.used; n++) {
		uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees the end */

		assert_non_null(exact);
		memcpy(exact, c.bytes, n);
		assert_int_equal(poclbin_parse(exact, n, &bin, &why), -EBADMSG);
		assert_true(why.text[0]);
		assert_null(bin.kernels);
		free(exact);
	}
	c.bytes[c.used++] = 0; /* and one byte too many */
	assert_int_equal(poclbin_parse(c.bytes, c.used, &bin, &why), -EBADMSG);
}

static void other_versions_are_refused(void **state)
{
	struct container c;
	struct poclbin bin;
	struct mcl_reason why;

	(void)state;
	make_container(&c);
	c.bytes[16] = 12;
	assert_int_equal(poclbin_parse(c.bytes, c.used, &bin, &why), -EPROTO);
	assert_non_null(strstr(why.text, "version 12"));
	c.bytes[0] = 'P';
	assert_int_equal(poclbin_parse(c.bytes, c.used, &bin, &why), -EBADMSG);
}

static void damaged_ones_do_no_harm(void **state)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	unsigned int refused = 0;
	struct container c;

	(void)state;
	make_container(&c);
	for (size_t i = 0; i < c.used; i++) {
		uint8_t old = c.bytes[i];

		for (size_t v = 0; v < sizeof(values); v++) {
			struct poclbin bin;

			c.bytes[i] = values[v];
			if (poclbin_parse(c.bytes, c.used, &bin, NULL))
				refused++;
			else
				poclbin_free(&bin);
		}
		c.bytes[i] = old;
	}
	assert_true(refused > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_one_is_read),
		cmocka_unit_test(torn_ones_are_refused),
		cmocka_unit_test(other_versions_are_refused),
		cmocka_unit_test(damaged_ones_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
