// SPDX-License-Identifier: MIT
/*
 * Reading code objects: a good one, and every kind of bad one. Run it under the address sanitizer to see reads out of
 * bounds.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "compiler/tests/sample.h"

/* Follow everything that a user may follow, so that a bad index shows. */
static uint64_t walk(const struct mcl_code_object *co)
{
	uint64_t sum = strlen(mcl_co_string(co, co->header->target)) + strlen(mcl_co_string(co, co->header->options));

	for (uint32_t i = 0; i < co->header->kernels.count; i++) {
		const struct mcl_co_kernel *k = &co->kernels[i];

		sum += strlen(mcl_co_string(co, k->name)) + strlen(mcl_co_string(co, k->attributes)) +
		       strlen(mcl_co_string(co, k->vec_hint));
		for (uint32_t j = 0; j < k->arg_count; j++)
			sum += strlen(mcl_co_string(co, co->args[k->first_arg + j].name)) +
			       strlen(mcl_co_string(co, co->args[k->first_arg + j].type_name));
		for (uint32_t j = 0; j < k->local_count; j++)
			sum += co->locals[k->first_local + j];
		for (uint32_t j = 0; j < k->variant_count; j++) {
			const struct mcl_co_variant *v = &co->variants[k->first_variant + j];
			const struct mcl_co_image *image = &co->images[v->image];

			assert_true(v->entry < image->mem_size);
			for (uint32_t s = 0; s < image->segment_count; s++) {
				const struct mcl_co_segment *segment = &co->segments[image->first_segment + s];

				assert_true(segment->mem_offset + segment->mem_size <= image->mem_size);
				for (uint64_t b = 0; b < segment->data_size; b++)
					sum += co->data[segment->data_offset + b];
			}
			for (uint32_t r = 0; r < image->reloc_count; r++)
				assert_true(co->relocs[image->first_reloc + r].where + 8 <= image->mem_size);
		}
	}
	return sum;
}

static void good_one_is_read(void **state)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	size_t size;
	uint8_t *bytes = make_sample(0, &size);
	const struct mcl_co_kernel *k;

	(void)state;
	assert_int_equal(mcl_code_object_parse(bytes, size, &co, &why), 0);
	free(bytes); /* it has its own copy */
	assert_int_equal(co->header->kernels.count, 2);
	k = mcl_co_find_kernel(co, "add");
	assert_non_null(k);
	assert_int_equal(k->arg_count, 2);
	assert_int_equal(co->args[k->first_arg].kind, MCL_CO_ARG_POINTER);
	assert_string_equal(mcl_co_string(co, co->args[k->first_arg].type_name), "int*");
	assert_int_equal(co->variants[k->first_variant + 1].local_size[0], 64);
	assert_ptr_equal(mcl_co_find_kernel(co, "nop"), &co->kernels[1]);
	assert_null(mcl_co_find_kernel(co, "ad"));
	assert_string_equal(mcl_co_string(co, co->header->options), "-DX");
	assert_true(walk(co) > 0);

	assert_ptr_equal(mcl_code_object_get(co), co);
	mcl_code_object_put(co);
	assert_int_equal(co->header->kernels.count, 2);
	mcl_code_object_put(co);
	mcl_code_object_put(NULL);
}

static void every_truncation_is_refused(void **state)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	size_t size;
	uint8_t *bytes = make_sample(0, &size);

	(void)state;
	for (size_t n = 0; n < size; n++) {
		assert_int_equal(mcl_code_object_parse(bytes, n, &co, &why), -EBADMSG);
		assert_null(co);
		assert_true(why.text[0]);
	}
	free(bytes);
}

/* The digest covers everything after the header. */
static void every_flipped_bit_behind_the_header_is_found(void **state)
{
	struct mcl_code_object *co;
	size_t size;
	uint8_t *bytes = make_sample(0, &size);

	(void)state;
	for (size_t i = sizeof(struct mcl_co_header); i < size; i++) {
		bytes[i] ^= 1u << (i % 8);
		assert_int_equal(mcl_code_object_parse(bytes, size, &co, NULL), -EBADMSG);
		bytes[i] ^= 1u << (i % 8);
	}
	assert_int_equal(mcl_code_object_parse(bytes, size, &co, NULL), 0);
	mcl_code_object_put(co);
	free(bytes);
}

/* With the digest made right again, a change reaches the checks of every field; what passes them is safe to walk. */
static void signed_nonsense_is_refused_or_safe(void **state)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	unsigned int refused = 0, taken = 0;
	size_t size;
	uint8_t *bytes = make_sample(0, &size);

	(void)state;
	for (size_t i = 0; i < size; i++) {
		uint8_t old = bytes[i];

		for (size_t v = 0; v < sizeof(values); v++) {
			struct mcl_code_object *co;
			int err;

			bytes[i] = values[v];
			sign_sample(bytes, size);
			err = mcl_code_object_parse(bytes, size, &co, NULL);
			assert_true(err == 0 || err == -EBADMSG || err == -EPROTO || err == -ENOEXEC);
			if (err == 0) {
				walk(co);
				mcl_code_object_put(co);
			}
			err ? refused++ : taken++;
		}
		bytes[i] = old;
	}
	assert_true(refused > 500);
	assert_true(taken > 500); /* unchanged bytes and free fields */
	free(bytes);
}

/* Two changes at once, at random but repeatable places. */
static void random_pairs_are_refused_or_safe(void **state)
{
	size_t size;
	uint8_t *bytes = make_sample(0, &size), *copy = malloc(size);
	uint32_t seed = 1;

	(void)state;
	assert_non_null(copy);
	for (int round = 0; round < 20000; round++) {
		struct mcl_code_object *co;

		memcpy(copy, bytes, size);
		for (int i = 0; i < 2; i++) {
			seed = seed * 1664525 + 1013904223;
			copy[(seed >> 8) % size] = (uint8_t)(seed >> 3);
		}
		sign_sample(copy, size);
		if (mcl_code_object_parse(copy, size, &co, NULL) == 0) {
			walk(co);
			mcl_code_object_put(co);
		}
	}
	free(copy);
	free(bytes);
}

static void other_versions_and_processors_are_told_apart(void **state)
{
	struct mcl_code_object *co;
	struct mcl_reason why;
	size_t size;
	uint8_t *bytes = make_sample(0, &size);
	struct mcl_co_header *h = (struct mcl_co_header *)bytes;
	char *target;

	(void)state;
	h->version = MCL_CO_VERSION + 1;
	assert_int_equal(mcl_code_object_parse(bytes, size, &co, &why), -EPROTO);
	assert_non_null(strstr(why.text, "version 3"));
	/* The version is believed even where nothing else of the header is there. */
	assert_int_equal(mcl_code_object_parse(bytes, 16, &co, &why), -EPROTO);
	h->version = MCL_CO_VERSION;
	h->abi = 71;
	assert_int_equal(mcl_code_object_parse(bytes, size, &co, &why), -EPROTO);
	assert_non_null(strstr(why.text, "71"));
	h->abi = MCL_CO_ABI_POCL_6_0;

	target = (char *)bytes + h->strings_offset + h->target;
	assert_int_equal(strncmp(target, "x86_64:", 7), 0);
	memcpy(target + 7, "ffffffff", 8); /* instructions that no processor has all of */
	sign_sample(bytes, size);
	assert_int_equal(mcl_code_object_parse(bytes, size, &co, &why), -ENOEXEC);
	memcpy(target + 7, "00000000", 8); /* an older processor: fine */
	sign_sample(bytes, size);
	assert_int_equal(mcl_code_object_parse(bytes, size, &co, &why), 0);
	mcl_code_object_put(co);
	memcpy(target, "arm64_", 6);
	sign_sample(bytes, size);
	assert_int_equal(mcl_code_object_parse(bytes, size, &co, &why), -ENOEXEC);
	free(bytes);
}

static void files_are_opened(void **state)
{
	char path[] = "/tmp/mcl-test-XXXXXX";
	struct mcl_code_object *co;
	struct mcl_reason why;
	size_t size;
	uint8_t *bytes = make_sample(5000, &size);
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(mcl_code_object_open(path, &co, &why), -EBADMSG); /* empty */
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(mcl_code_object_open(path, &co, &why), 0);
	/* It does not notice that the file goes away under it. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_true(walk(co) > 0);
	mcl_code_object_put(co);
	close(fd);
	unlink(path);
	assert_int_equal(mcl_code_object_open(path, &co, &why), -ENOENT);
	assert_non_null(strstr(why.text, path));
	assert_int_equal(mcl_code_object_open("/tmp", &co, &why), -EBADMSG);
	assert_int_equal(mcl_code_object_open("/dev/zero", &co, &why), -EBADMSG);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_one_is_read),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_flipped_bit_behind_the_header_is_found),
		cmocka_unit_test(signed_nonsense_is_refused_or_safe),
		cmocka_unit_test(random_pairs_are_refused_or_safe),
		cmocka_unit_test(other_versions_and_processors_are_told_apart),
		cmocka_unit_test(files_are_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
