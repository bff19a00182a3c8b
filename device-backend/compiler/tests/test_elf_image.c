// SPDX-License-Identifier: MIT
/*
 * Shared objects to images: one that runs, and those that the device could not run. The objects are elf_*.c beside
 * this file.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "compiler/elf_image.h"
#include "compiler/file.h"
#include "compiler/target.h"
#include "compiler/tests/loader.h"

/* The object that CMake built as @name; -DELF_FOLDER says where. */
static void *read_object(const char *name, size_t *size)
{
	char path[4096];
	void *bytes;

	snprintf(path, sizeof(path), "%s/%s.so", ELF_FOLDER, name);
	if (mcl_file_read(path, &bytes, size))
		fail_msg("cannot read %s", path);
	return bytes;
}

static void a_good_object_runs(void **state)
{
	struct mcl_co_variant v = { .flags = MCL_CO_ANY_LOCAL_SIZE };
	struct mcl_co_kernel k = { .variant_count = 1 };
	struct mcl_co_writer w;
	struct mcl_code_object *co;
	struct mcl_reason why = { .text = "" };
	uint64_t result[8] = { 0 }, *slot = result;
	uint8_t *args[] = { (uint8_t *)&slot }, *bytes;
	size_t size;
	void *object = read_object("elf_good", &size);

	(void)state;
	mcl_co_writer_init(&w);
	w.header.target = mcl_co_writer_string(&w, mcl_target_machine());
	if (mcl_elf_image_add(&w, object, size, "entry", &v.image, &v.entry, &why))
		fail_msg("%s", why.text);
	free(object);
	mcl_co_writer_append(&w, &w.variants, &v, sizeof(v));
	k.name = mcl_co_writer_string(&w, "k");
	mcl_co_writer_append(&w, &w.kernels, &k, sizeof(k));
	assert_int_equal(mcl_co_writer_finish(&w, &bytes, &size), 0);
	mcl_co_writer_free(&w);
	if (mcl_code_object_parse(bytes, size, &co, &why))
		fail_msg("%s", why.text);
	free(bytes);
	assert_true(size < 8192); /* symbol tables and the like stay behind */
	run_range(co, 0, NULL, args, 1, 1);
	assert_int_equal(result[0], 42); /* read-only data */
	assert_int_equal(result[1], 7); /* data, through a relocated pointer */
	assert_int_equal(result[2], 0); /* zeroed data */
	assert_int_equal(result[3], 5); /* a table of functions */
	assert_int_equal(result[4], 0x0101010101010101); /* memset */
	assert_int_equal(result[5], 42); /* memcpy */
	assert_int_equal(result[6], 0); /* a weak function that is not there */
	assert_int_equal(result[7], 99); /* writable data is writable */
	mcl_code_object_put(co);
}

static void refuse(const char *name, const char *entry, int err, const char *words)
{
	struct mcl_co_writer w;
	struct mcl_reason why = { .text = "" };
	uint32_t image;
	uint64_t offset;
	size_t size;
	void *object = read_object(name, &size);

	mcl_co_writer_init(&w);
	assert_int_equal(mcl_elf_image_add(&w, object, size, entry, &image, &offset, &why), err);
	if (!strstr(why.text, words))
		fail_msg("%s gives '%s', without '%s'", name, why.text, words);
	mcl_co_writer_free(&w);
	free(object);
}

static void what_the_device_cannot_run_is_refused(void **state)
{
	(void)state;
	refuse("elf_undefined", "entry", -ENOTSUP, "'no_such_function'");
	refuse("elf_tls", "entry", -ENOTSUP, "thread-local");
	refuse("elf_constructor", "entry", -ENOTSUP, "constructor");
	refuse("elf_ifunc", "entry", -ENOTSUP, "");
	refuse("elf_good", "another_entry", -EBADMSG, "'another_entry'");
}

/* Whatever is in the file: a sentence or an image that the reader of code objects then judges, never a crash. */
static void damaged_objects_do_no_harm(void **state)
{
	unsigned int refused = 0;
	size_t size;
	uint8_t *object = read_object("elf_good", &size), *copy = malloc(size);
	uint32_t seed = 1;

	(void)state;
	assert_non_null(copy);
	for (size_t n = 0; n < size; n += n < 4096 ? 61 : 997) {
		struct mcl_co_writer w;
		uint32_t image;
		uint64_t offset;

		mcl_co_writer_init(&w);
		memcpy(copy, object, n);
		assert_int_not_equal(mcl_elf_image_add(&w, copy, n, "entry", &image, &offset, NULL), 0);
		mcl_co_writer_free(&w);
	}
	for (int round = 0; round < 4000; round++) {
		struct mcl_co_writer w;
		uint32_t image;
		uint64_t offset;
		size_t at;

		memcpy(copy, object, size);
		seed = seed * 1664525 + 1013904223;
		/* Mostly the headers at both ends: they are what is interpreted. */
		at = round % 2 ? (seed >> 8) % 1024 : size - 1 - (seed >> 8) % (size < 4096 ? size : 4096);
		copy[at] = (uint8_t)(seed >> 24);
		mcl_co_writer_init(&w);
		refused += mcl_elf_image_add(&w, copy, size, "entry", &image, &offset, NULL) != 0;
		mcl_co_writer_free(&w);
	}
	assert_true(refused > 300);
	free(copy);
	free(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_object_runs),
		cmocka_unit_test(what_the_device_cannot_run_is_refused),
		cmocka_unit_test(damaged_objects_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
