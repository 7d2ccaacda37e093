/* crypto: the few primitives that logging in needs. The only door to wolfCrypt outside of the TLS filter.
 *
 * Pure functions on the caller's memory; temporaries that held secrets are wiped. Thread: any, unless said otherwise.
 * Sources: FIPS 180-4 (SHA-256), RFC 2104 (HMAC), RFC 8018 section 5.2 (PBKDF2), RFC 1321 (MD5), RFC 4648 section 4 (base64).
 */
#ifndef PGRING_PROTOCOL_CRYPTO_H
#define PGRING_PROTOCOL_CRYPTO_H

#include "core/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CRYPTO_SHA256_BYTES = 32,
	CRYPTO_MD5_HEX_LEN = 32,
};

/* The lengths of base64 without a NUL, and the most bytes that so many characters can hold. */
#define CRYPTO_BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)
#define CRYPTO_BASE64_BYTES(len) ((len) / 4 * 3)

void crypto_sha256(const void *data, size_t len, uint8_t ret[CRYPTO_SHA256_BYTES]);

void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
	uint8_t ret[CRYPTO_SHA256_BYTES]);

/* One block of PBKDF2 with HMAC-SHA-256, which is the Hi() of SCRAM (RFC 5802, section 2.2). `iterations` is at least 1.
 * SLOW: about 0.6 us per iteration, so more than 2 ms for PostgreSQL's default. Only job threads may call it, never a core. */
void crypto_pbkdf2_hmac_sha256(const void *password, size_t password_len, const void *salt,
	size_t salt_len, uint32_t iterations, uint8_t ret[CRYPTO_SHA256_BYTES]);

/* MD5 of two byte strings one after the other, in lower-case hexadecimal with a NUL. Only for PostgreSQL's md5 logins. */
void crypto_md5_hex(const void *first, size_t first_len, const void *second, size_t second_len,
	char ret_hex[CRYPTO_MD5_HEX_LEN + 1]);

/* Writes CRYPTO_BASE64_LEN(len) characters and a NUL.
 * Returns 0, or ERR_TOO_LONG if `cap` does not suffice, with nothing written. */
must_check int crypto_base64_encode(
	const void *data, size_t len, char *ret_text, size_t cap, size_t *ret_len);

/* Decodes `len` characters. Strict: no white space, padding where it must be and nowhere else, unused bits zero.
 * Returns 0, ERR_INVALID, or ERR_TOO_LONG if the result does not fit `cap`; `ret_data` may be changed on failure. */
must_check int crypto_base64_decode(
	const char *text, size_t len, uint8_t *ret_data, size_t cap, size_t *ret_len);

/* Whether `len` bytes are equal, in a time that does not depend on where they differ. */
bool crypto_equal(const void *a, const void *b, size_t len);

/* Overwrites a secret; the compiler does not remove it. */
void crypto_wipe(void *secret, size_t len);

#endif
