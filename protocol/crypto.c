/* Hashes by wolfCrypt; HMAC, PBKDF2 and base64 on top of them.
 *
 * HMAC is written out here because wolfCrypt's hashes the padded key again for every message: keeping the two states after the
 * key halves the work of PBKDF2.
 */
#include "protocol/crypto.h"

#include "core/errors.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/md5.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/types.h>

#include <string.h>

enum { SHA256_BLOCK_BYTES = 64 };

/* The states after the inner and the outer padded key. */
struct hmac {
	wc_Sha256 inner, outer;
};

/* A hash in software cannot fail on valid arguments, so none of these has a way to say so. */
static void sha256_start(wc_Sha256 *sha)
{
	CHECK(wc_InitSha256_ex(sha, NULL, INVALID_DEVID) == 0);
}

static void sha256_update(wc_Sha256 *sha, const void *data, size_t len)
{
	CHECK(len <= UINT32_MAX);
	if (len > 0)
		CHECK(wc_Sha256Update(sha, data, (word32)len) == 0);
}

static void sha256_copy(wc_Sha256 *from, wc_Sha256 *to)
{
	CHECK(wc_Sha256Copy(from, to) == 0);
}

static void sha256_finish(wc_Sha256 *sha, uint8_t ret[CRYPTO_SHA256_BYTES])
{
	CHECK(wc_Sha256Final(sha, ret) == 0);
	wc_Sha256Free(sha);
	crypto_wipe(sha, sizeof *sha);
}

void crypto_sha256(const void *data, size_t len, uint8_t ret[CRYPTO_SHA256_BYTES])
{
	wc_Sha256 sha;

	sha256_start(&sha);
	sha256_update(&sha, data, len);
	sha256_finish(&sha, ret);
}

static void hmac_start(struct hmac *hmac, const void *key, size_t key_len)
{
	uint8_t pad[SHA256_BLOCK_BYTES] = {0};

	if (key_len > sizeof pad)
		crypto_sha256(key, key_len, pad);
	else if (key_len > 0)
		memcpy(pad, key, key_len);

	for (size_t i = 0; i < sizeof pad; i++)
		pad[i] ^= 0x36;
	sha256_start(&hmac->inner);
	sha256_update(&hmac->inner, pad, sizeof pad);

	for (size_t i = 0; i < sizeof pad; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	sha256_start(&hmac->outer);
	sha256_update(&hmac->outer, pad, sizeof pad);
	crypto_wipe(pad, sizeof pad);
}

/* The HMAC of two byte strings one after the other; `ret` may be one of them. */
static void hmac_of(struct hmac *hmac, const void *first, size_t first_len, const void *second,
	size_t second_len, uint8_t ret[CRYPTO_SHA256_BYTES])
{
	uint8_t inner[CRYPTO_SHA256_BYTES];
	wc_Sha256 sha;

	sha256_copy(&hmac->inner, &sha);
	sha256_update(&sha, first, first_len);
	sha256_update(&sha, second, second_len);
	sha256_finish(&sha, inner);

	sha256_copy(&hmac->outer, &sha);
	sha256_update(&sha, inner, sizeof inner);
	sha256_finish(&sha, ret);
	crypto_wipe(inner, sizeof inner);
}

static void hmac_end(struct hmac *hmac)
{
	wc_Sha256Free(&hmac->inner);
	wc_Sha256Free(&hmac->outer);
	crypto_wipe(hmac, sizeof *hmac);
}

void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
	uint8_t ret[CRYPTO_SHA256_BYTES])
{
	struct hmac hmac;

	hmac_start(&hmac, key, key_len);
	hmac_of(&hmac, data, len, NULL, 0, ret);
	hmac_end(&hmac);
}

void crypto_pbkdf2_hmac_sha256(const void *password, size_t password_len, const void *salt,
	size_t salt_len, uint32_t iterations, uint8_t ret[CRYPTO_SHA256_BYTES])
{
	static const uint8_t first_block[4] = {0, 0, 0, 1};
	uint8_t u[CRYPTO_SHA256_BYTES];
	struct hmac hmac;

	CHECK(iterations >= 1);
	hmac_start(&hmac, password, password_len);
	hmac_of(&hmac, salt, salt_len, first_block, sizeof first_block, u);
	memcpy(ret, u, sizeof u);
	for (uint32_t i = 1; i < iterations; i++) {
		hmac_of(&hmac, u, sizeof u, NULL, 0, u);
		for (size_t b = 0; b < sizeof u; b++)
			ret[b] ^= u[b];
	}
	hmac_end(&hmac);
	crypto_wipe(u, sizeof u);
}

void crypto_md5_hex(const void *first, size_t first_len, const void *second, size_t second_len,
	char ret_hex[CRYPTO_MD5_HEX_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[CRYPTO_MD5_HEX_LEN / 2];
	wc_Md5 md5;

	CHECK(first_len <= UINT32_MAX && second_len <= UINT32_MAX);
	CHECK(wc_InitMd5_ex(&md5, NULL, INVALID_DEVID) == 0);
	if (first_len > 0)
		CHECK(wc_Md5Update(&md5, first, (word32)first_len) == 0);
	if (second_len > 0)
		CHECK(wc_Md5Update(&md5, second, (word32)second_len) == 0);
	CHECK(wc_Md5Final(&md5, digest) == 0);
	wc_Md5Free(&md5);
	crypto_wipe(&md5, sizeof md5);

	for (size_t i = 0; i < sizeof digest; i++) {
		ret_hex[2 * i] = digits[digest[i] >> 4];
		ret_hex[2 * i + 1] = digits[digest[i] & 15];
	}
	ret_hex[CRYPTO_MD5_HEX_LEN] = '\0';
	crypto_wipe(digest, sizeof digest);
}

int crypto_base64_encode(const void *data, size_t len, char *ret_text, size_t cap, size_t *ret_len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *in = data;
	char *out = ret_text;

	if (len > SIZE_MAX / 2 || cap <= CRYPTO_BASE64_LEN(len))
		return ERR_TOO_LONG;
	for (; len > 0; out += 4) {
		size_t part = len < 3 ? len : 3;
		uint32_t bits = (uint32_t)in[0] << 16;

		if (part > 1)
			bits |= (uint32_t)in[1] << 8;
		if (part > 2)
			bits |= in[2];
		out[0] = digits[bits >> 18];
		out[1] = digits[bits >> 12 & 63];
		out[2] = part > 1 ? digits[bits >> 6 & 63] : '=';
		out[3] = part > 2 ? digits[bits & 63] : '=';
		in += part;
		len -= part;
	}
	*out = '\0';
	*ret_len = (size_t)(out - ret_text);
	return 0;
}

/* The value of a base64 digit, or -1. */
static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int crypto_base64_decode(
	const char *text, size_t len, uint8_t *ret_data, size_t cap, size_t *ret_len)
{
	size_t out = 0, padding = 0;

	if (len % 4 != 0)
		return ERR_INVALID;
	if (len > 0 && text[len - 1] == '=')
		padding = text[len - 2] == '=' ? 2 : 1;
	if (CRYPTO_BASE64_BYTES(len) - padding > cap)
		return ERR_TOO_LONG;

	for (size_t at = 0; at < len; at += 4) {
		size_t part = at + 4 == len ? 3 - padding : 3; /* bytes in these four characters */
		uint32_t bits = 0;

		for (size_t i = 0; i < 4; i++) {
			int value = i <= part ? digit_value(text[at + i]) : 0;

			if (value < 0)
				return ERR_INVALID;
			bits = bits << 6 | (uint32_t)value;
		}
		if ((bits & (0xFFFFFFu >> 8 * part)) != 0)
			return ERR_INVALID; /* bits that stand for nothing */
		for (size_t i = 0; i < part; i++)
			ret_data[out++] = (uint8_t)(bits >> (16 - 8 * i));
	}
	*ret_len = out;
	return 0;
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t difference = 0;

	for (size_t i = 0; i < len; i++)
		difference |= x[i] ^ y[i];
	return difference == 0;
}

void crypto_wipe(void *secret, size_t len)
{
	explicit_bzero(secret, len);
}
