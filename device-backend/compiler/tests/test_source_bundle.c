// SPDX-License-Identifier: MIT
/* Bundles: what is written is read again; what is damaged or lies is refused. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "compiler/digest.h"
#include "compiler/source_bundle.h"

static const char *const names[] = { "a.h", "sub/b.h" }, *const texts[] = { "#define A 1\n", "" };
static const struct mcl_compile_unit units[] = {
	{ "kernel\0k", 8, "-DX='a b'", 2, names, texts },
	{ "", 0, NULL, 0, NULL, NULL },
};

static uint8_t *write_units(uint32_t count, size_t *size)
{
	uint8_t *bytes;

	assert_int_equal(mcl_bundle_write(units, count, MCL_BUNDLE_LIBRARY, &bytes, size), 0);
	return bytes;
}

/* Parse a copy that ends where its memory does, for the sanitizers. */
static int parse(const uint8_t *bytes, size_t size, struct mcl_bundle *out)
{
	struct mcl_reason why = { "" };
	uint8_t *copy = malloc(size ? size : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	err = mcl_bundle_parse(copy, size, out, &why);
	free(copy);
	assert_true(!err == !why.text[0]);
	if (err)
		assert_null(out->units);
	return err;
}

static void sign(uint8_t *bytes, size_t size)
{
	struct mcl_bundle_header *header = (struct mcl_bundle_header *)bytes;
	struct mcl_digest digest;

	mcl_digest_begin(&digest);
	mcl_digest_bytes(&digest, header + 1, size - sizeof(*header));
	mcl_digest_end(&digest, header->digest);
}

static void round_trip(void **state)
{
	struct mcl_bundle bundle;
	size_t size;
	uint8_t *bytes = write_units(2, &size);

	(void)state;
	assert_true(mcl_bundle_is(bytes, size));
	assert_int_equal(parse(bytes, size, &bundle), 0);
	free(bytes);
	assert_int_equal(bundle.kind, MCL_BUNDLE_LIBRARY);
	assert_int_equal(bundle.unit_count, 2);
	assert_int_equal(bundle.units[0].source_size, 8);
	assert_memory_equal(bundle.units[0].source, "kernel\0k", 9);
	assert_string_equal(bundle.units[0].options, "-DX='a b'");
	assert_int_equal(bundle.units[0].header_count, 2);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(bundle.units[0].header_names[i], names[i]);
		assert_string_equal(bundle.units[0].header_sources[i], texts[i]);
	}
	assert_int_equal(bundle.units[1].source_size, 0);
	assert_string_equal(bundle.units[1].source, "");
	assert_string_equal(bundle.units[1].options, "");
	assert_int_equal(bundle.units[1].header_count, 0);
	mcl_bundle_free(&bundle);
	mcl_bundle_free(&bundle);
}

/* Cut short, prolonged, or with any one byte changed. */
static void damage(void **state)
{
	struct mcl_bundle bundle;
	size_t size;
	uint8_t *bytes = write_units(2, &size);

	(void)state;
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(parse(bytes, cut, &bundle), -EBADMSG);
	for (size_t i = 0; i < size; i++) {
		const int expected = i / 4 == offsetof(struct mcl_bundle_header, version) / 4 ? -EPROTO : -EBADMSG;

		bytes[i] ^= 0x40;
		if (offsetof(struct mcl_bundle_header, unit_count) <= i && i < sizeof(struct mcl_bundle_header))
			assert_int_not_equal(parse(bytes, size, &bundle), 0); /* not under the digest */
		else
			assert_int_equal(parse(bytes, size, &bundle), expected);
		bytes[i] ^= 0x40;
	}
	assert_int_equal(parse(bytes, size, &bundle), 0);
	mcl_bundle_free(&bundle);
	free(bytes);
}

/* Nonsense with a digest that is right: whatever it is taken for, nothing outside is touched. */
static void lies(void **state)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	struct mcl_bundle bundle;
	size_t size, refused = 0;
	uint8_t *bytes = write_units(2, &size);

	(void)state;
	for (size_t i = sizeof(struct mcl_bundle_header); i < size; i++) {
		const uint8_t was = bytes[i];

		for (size_t j = 0; j < sizeof(values); j++) {
			bytes[i] = values[j];
			sign(bytes, size);
			if (parse(bytes, size, &bundle))
				refused++;
			else
				mcl_bundle_free(&bundle);
		}
		bytes[i] = was;
	}
	assert_true(refused > size); /* sizes, counts and terminators are most of it */
	/* Fewer units than there are, or more. */
	for (uint32_t count = 0; count < 4; count++) {
		((struct mcl_bundle_header *)bytes)->unit_count = count;
		sign(bytes, size);
		assert_int_equal(parse(bytes, size, &bundle), count == 2 ? 0 : -EBADMSG);
		mcl_bundle_free(&bundle);
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(damage),
		cmocka_unit_test(lies),
	};

	return cmocka_run_group_tests_name("source bundle", tests, NULL, NULL);
}
