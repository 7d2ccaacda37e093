/* The primitives against the published vectors. */
#include "protocol/crypto.h"

#include "core/errors.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

/* Compares with a digest that is given in hexadecimal. */
static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
	static const char digits[] = "0123456789abcdef";

	assert_true(strlen(hex) <= 2 * len);
	for (size_t i = 0; 2 * i < strlen(hex); i++) {
		assert_int_equal(digits[bytes[i] >> 4], hex[2 * i]);
		assert_int_equal(digits[bytes[i] & 15], hex[2 * i + 1]);
	}
}

/* FIPS 180-4 examples. */
static void sha256_vectors(void **state)
{
	uint8_t digest[CRYPTO_SHA256_BYTES];

	(void)state;
	crypto_sha256("", 0, digest);
	assert_hex(digest, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	crypto_sha256("abc", 3, digest);
	assert_hex(digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	crypto_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, digest);
	assert_hex(digest, 32, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void assert_hmac(
	const uint8_t *key, size_t key_len, const void *data, size_t len, const char *hex)
{
	uint8_t mac[CRYPTO_SHA256_BYTES];

	crypto_hmac_sha256(key, key_len, data, len, mac);
	assert_hex(mac, sizeof mac, hex);
}

/* RFC 4231, section 4, test cases 1 to 7 (of case 5 the first 128 bits are given). */
static void hmac_vectors(void **state)
{
	static const char larger_data[] =
		"This is a test using a larger than block-size key and a larger than block-size "
		"data. The key needs to be hashed before being used by the HMAC algorithm.";
	uint8_t key[131], data[50];

	(void)state;
	memset(key, 0x0b, 20);
	assert_hmac(key, 20, "Hi There", 8,
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	assert_hmac((const uint8_t *)"Jefe", 4, "what do ya want for nothing?", 28,
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	memset(data, 0xdd, sizeof data);
	assert_hmac(key, 20, data, sizeof data,
		"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	for (uint8_t i = 0; i < 25; i++)
		key[i] = i + 1;
	memset(data, 0xcd, sizeof data);
	assert_hmac(key, 25, data, sizeof data,
		"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
	memset(key, 0x0c, 20);
	assert_hmac(key, 20, "Test With Truncation", 20, "a3b6167473100ee06e0c796c2955552b");
	memset(key, 0xaa, sizeof key);
	assert_hmac(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
		"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	assert_hmac(key, sizeof key, larger_data, sizeof larger_data - 1,
		"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
	/* around the length of a block, which the RFC leaves out; computed with another implementation */
	assert_hmac(key, 63, "x", 1,
		"4f17645dd45ee57c684ba39da29e8e1cbb2ff4e027c4585a2e1dccee69d157d0");
	assert_hmac(key, 64, "x", 1,
		"ce3c639dcb9d8baae5d44c3b8b5e233faab4d1860e07489af5c84f213998bd79");
	assert_hmac(key, 65, "x", 1,
		"c2b9a0a013df029c7d812c5ac18388feef0194ee64fcc5f321d149c06137caa3");
	assert_hmac(
		key, 0, "x", 1, "4cbc96099a6467ce002461f10549b4898265ebe6188b45efacc44293516e62c4");
}

/* The vectors of RFC 6070 with SHA-256 as the hash, and those of RFC 7914, section 11 (their first block). */
static void pbkdf2_vectors(void **state)
{
	static const struct {
		const char *password;
		size_t password_len;
		const char *salt;
		size_t salt_len;
		uint32_t iterations;
		const char *hex;
	} rows[] = {
		{"password", 8, "salt", 4, 1,
			"120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"},
		{"password", 8, "salt", 4, 2,
			"ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"},
		{"password", 8, "salt", 4, 4096,
			"c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"},
		{"passwordPASSWORDpassword", 24, "saltSALTsaltSALTsaltSALTsaltSALTsalt", 36, 4096,
			"348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1"},
		{"pass\0word", 9, "sa\0lt", 5, 4096, "89b69d0516f829893c696226650a8687"},
		{"passwd", 6, "salt", 4, 1,
			"55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"},
		{"Password", 8, "NaCl", 4, 80000,
			"4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"},
	};
	uint8_t key[CRYPTO_SHA256_BYTES];

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		crypto_pbkdf2_hmac_sha256(rows[i].password, rows[i].password_len, rows[i].salt,
			rows[i].salt_len, rows[i].iterations, key);
		assert_hex(key, sizeof key, rows[i].hex);
	}
}

/* RFC 1321, appendix A.5. */
static void md5_vectors(void **state)
{
	char hex[CRYPTO_MD5_HEX_LEN + 1];

	(void)state;
	crypto_md5_hex(NULL, 0, NULL, 0, hex);
	assert_string_equal(hex, "d41d8cd98f00b204e9800998ecf8427e");
	crypto_md5_hex("abc", 3, NULL, 0, hex);
	assert_string_equal(hex, "900150983cd24fb0d6963f7d28e17f72");
	crypto_md5_hex("message", 7, " digest", 7, hex);
	assert_string_equal(hex, "f96b697d7cb7938d525a2f31aaf161d0");
}

/* RFC 4648, section 10, both ways. */
static void base64_vectors(void **state)
{
	static const char *const rows[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
		{"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"}, {"\xFB\xFF\xBF", "+/+/"}};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		size_t bytes = strlen(rows[i][0]), digits = strlen(rows[i][1]), len = 99;
		char *text = malloc(digits + 1);
		uint8_t *data = malloc(bytes + 1);

		assert_int_equal(CRYPTO_BASE64_LEN(bytes), digits);
		assert_int_equal(
			crypto_base64_encode(rows[i][0], bytes, text, digits, &len), ERR_TOO_LONG);
		assert_int_equal(len, 99);
		assert_int_equal(
			crypto_base64_encode(rows[i][0], bytes, text, digits + 1, &len), 0);
		assert_string_equal(text, rows[i][1]);
		assert_int_equal(len, digits);

		assert_int_equal(crypto_base64_decode(text, digits, data, bytes, &len), 0);
		assert_int_equal(len, bytes);
		assert_memory_equal(data, rows[i][0], bytes);
		if (bytes > 0)
			assert_int_equal(crypto_base64_decode(text, digits, data, bytes - 1, &len),
				ERR_TOO_LONG);
		for (size_t cut = 0; cut < digits; cut++) {
			int rc = crypto_base64_decode(text, cut, data, bytes, &len);

			assert_int_equal(rc, cut % 4 == 0 ? 0 : ERR_INVALID);
		}
		free(data);
		free(text);
	}
}

static void base64_is_strict(void **state)
{
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg=a", "=",
		"====", "Z===", "Zg==Zg==", "Zm9v\n", "Zm9 ", " m9v", "Zm9-", "Zm9_",
		"Zh==", "Zm9=", "Zg==\n", "Zm\0v"};
	uint8_t data[16];
	size_t len = 99;

	(void)state;
	for (size_t i = 0; i < array_len(bad) - 1; i++)
		assert_int_equal(
			crypto_base64_decode(bad[i], strlen(bad[i]), data, sizeof data, &len),
			ERR_INVALID);
	assert_int_equal(crypto_base64_decode(bad[array_len(bad) - 1], 4, data, sizeof data, &len),
		ERR_INVALID);
	assert_int_equal(len, 99);
}

/* Every byte value in every place survives, and every digit is told from its neighbours. */
static void base64_round_trips(void **state)
{
	uint8_t data[CRYPTO_SHA256_BYTES], back[CRYPTO_SHA256_BYTES];
	char text[CRYPTO_BASE64_LEN(sizeof data) + 1];
	size_t len, back_len;

	(void)state;
	for (unsigned value = 0; value < 256; value++) {
		for (size_t size = 0; size <= sizeof data; size++) {
			for (size_t i = 0; i < size; i++)
				data[i] = (uint8_t)(value + 37 * i);
			assert_int_equal(
				crypto_base64_encode(data, size, text, sizeof text, &len), 0);
			assert_int_equal(
				crypto_base64_decode(text, len, back, sizeof back, &back_len), 0);
			assert_int_equal(back_len, size);
			assert_memory_equal(back, data, size);
		}
	}
}

static void equal_looks_at_every_byte(void **state)
{
	uint8_t a[33] = {0}, b[33] = {0};

	(void)state;
	assert_true(crypto_equal(a, b, sizeof a));
	assert_true(crypto_equal("x", "y", 0));
	for (size_t i = 0; i < sizeof a; i++) {
		for (unsigned bit = 1; bit < 256; bit <<= 1) {
			b[i] = (uint8_t)bit;
			assert_false(crypto_equal(a, b, sizeof a));
		}
		b[i] = 0;
	}
}

static void wipe_overwrites(void **state)
{
	uint8_t secret[40], zero[40] = {0};

	(void)state;
	memset(secret, 7, sizeof secret);
	crypto_wipe(secret, sizeof secret);
	assert_memory_equal(secret, zero, sizeof zero);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_vectors),
		cmocka_unit_test(hmac_vectors),
		cmocka_unit_test(pbkdf2_vectors),
		cmocka_unit_test(md5_vectors),
		cmocka_unit_test(base64_vectors),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(base64_round_trips),
		cmocka_unit_test(equal_looks_at_every_byte),
		cmocka_unit_test(wipe_overwrites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
