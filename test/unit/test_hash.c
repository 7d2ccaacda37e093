/* SipHash-2-4 with 128 bits: the reference implementation's vectors. */
#include "core/hash.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static void vectors_of_the_reference(void **state)
{
	static const struct {
		size_t len;
		uint8_t out[16];
	} vectors[] = {
		{0,
			{0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14,
				0xc7, 0x55, 0x02, 0x93}},
		{1,
			{0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11,
				0x9b, 0x22, 0xfc, 0x45}},
		{15,
			{0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11, 0x7e, 0x08, 0xec, 0x0f,
				0x97, 0xcf, 0xc3, 0xd9}},
	};
	uint8_t key[HASH_KEY_BYTES], bytes[16];

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		key[i] = bytes[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		struct hash hash = hash_keyed(key, bytes, vectors[i].len);

		assert_memory_equal(&hash, vectors[i].out, sizeof hash);
	}
}

static void every_bit_counts(void **state)
{
	uint8_t key[HASH_KEY_BYTES] = {0}, bytes[40] = {0};

	(void)state;
	for (size_t len = 1; len <= sizeof bytes; len++) {
		struct hash plain = hash_keyed(key, bytes, len);

		assert_false(hash_equal(plain, hash_keyed(key, bytes, len - 1)));
		for (size_t bit = 0; bit < 8 * len; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
			assert_false(hash_equal(plain, hash_keyed(key, bytes, len)));
			bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		for (size_t bit = 0; bit < 128; bit++) {
			key[bit / 8] ^= (uint8_t)(1U << bit % 8);
			assert_false(hash_equal(plain, hash_keyed(key, bytes, len)));
			key[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_the_reference),
		cmocka_unit_test(every_bit_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
