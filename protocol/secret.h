/* secret: what is stored for a user: a password in plain text, or a hash of one that PostgreSQL would store.
 *
 * Forms: plain text; `md5` and 32 hexadecimal digits of MD5(password, user); `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:
 * <ServerKey>`. Pure functions on the caller's memory. Source: PostgreSQL manual, "pg_authid" (rolpassword); RFC 5802, section 3.
 *
 * struct secret and struct scram_keys hold secrets: wipe them (crypto_wipe) when they are dropped, and never log them.
 */
#ifndef PGRING_PROTOCOL_SECRET_H
#define PGRING_PROTOCOL_SECRET_H

#include "core/check.h"
#include "protocol/crypto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SECRET_SALT_BYTES = 16, /* of the salts that PostgreSQL and pgring make */
	SECRET_SALT_MAX = 64,   /* of the salts that pgring takes from others */
	SECRET_ITERATIONS_DEFAULT = 4096,
	/* PostgreSQL allows any int. A server that asked for two thousand million would hold a job thread for twenty minutes;
	 * ten million, which is about six seconds, is sixteen times what anyone recommends today. */
	SECRET_ITERATIONS_MAX = 10 * 1000 * 1000,

	SECRET_MD5_LEN = 3 + CRYPTO_MD5_HEX_LEN,
	SECRET_MD5_SALT_BYTES = 4,

	/* The longest `SCRAM-SHA-256$...`: prefix and iterations, salt, two keys; each with what follows it, at last the NUL. */
	SECRET_SCRAM_PREFIX_LEN = 14,
	SECRET_ITERATIONS_LEN = 8,
	SECRET_SALT_LEN_MAX = CRYPTO_BASE64_LEN(SECRET_SALT_MAX),
	SECRET_KEY_LEN = CRYPTO_BASE64_LEN(CRYPTO_SHA256_BYTES),
	SECRET_HEAD_SIZE = SECRET_SCRAM_PREFIX_LEN + SECRET_ITERATIONS_LEN + 1,
	SECRET_SCRAM_SIZE = SECRET_HEAD_SIZE + SECRET_SALT_LEN_MAX + 1 + 2 * (SECRET_KEY_LEN + 1),
};

/* Keys of one password for one salt and iteration count (RFC 5802, section 3). */
struct scram_keys {
	uint32_t iterations;
	uint8_t salt[SECRET_SALT_MAX];
	size_t salt_len;
	uint8_t stored_key[CRYPTO_SHA256_BYTES];
	uint8_t server_key[CRYPTO_SHA256_BYTES];
	uint8_t client_key[CRYPTO_SHA256_BYTES];
	bool has_client_key; /* known from a password or from a proof, not from a stored hash */
	bool is_mock;        /* of a user who does not exist: no proof is ever good */
};

enum secret_kind { SECRET_PLAIN, SECRET_MD5, SECRET_SCRAM };

struct secret {
	enum secret_kind kind;
	const char *plain; /* SECRET_PLAIN: borrowed, without NUL */
	size_t plain_len;
	char md5[SECRET_MD5_LEN + 1]; /* SECRET_MD5 */
	struct scram_keys scram;      /* SECRET_SCRAM */
};

/* Tells which form `text` (borrowed as long as *ret is used) has. What starts like a SCRAM hash and is not one is an error,
 * because nobody means it as a password; "md5" without 32 lower-case digits is plain text, as in PostgreSQL.
 * Returns 0, or ERR_INVALID: empty, has a NUL, or a malformed SCRAM hash; ERR_TOO_LONG: a SCRAM hash with a salt above
 * SECRET_SALT_MAX bytes or more than SECRET_ITERATIONS_MAX iterations. */
must_check int secret_parse(const char *text, size_t len, struct secret *ret);

/* Derives all keys from a password. `salt_len` is 1..SECRET_SALT_MAX, `iterations` 1..SECRET_ITERATIONS_MAX. `salt` may be part
 * of *ret.
 * SLOW (crypto_pbkdf2_hmac_sha256): only job threads may call it.
 * Returns 0, or ERR_TOO_LONG or ERR_NO_MEMORY (saslprep). */
must_check int secret_derive_scram(const char *password, size_t password_len, const uint8_t *salt,
	size_t salt_len, uint32_t iterations, struct scram_keys *ret);

/* Reads an iteration count: a positive decimal number without sign or leading zero (RFC 5802: posit-number).
 * Returns 0, ERR_INVALID, or ERR_TOO_LONG above SECRET_ITERATIONS_MAX. */
must_check int secret_parse_iterations(const char *text, size_t len, uint32_t *ret);

/* Whether two sets of keys belong to the same salt and iteration count, so that a proof for one can be checked with the other. */
bool secret_same_challenge(const struct scram_keys *a, const struct scram_keys *b);

/* Prints `SCRAM-SHA-256$...` with a NUL, as PostgreSQL stores it. Returns its length. */
size_t secret_scram_format(const struct scram_keys *keys, char ret_text[SECRET_SCRAM_SIZE]);

/* Computes `md5` + MD5(password, user), as PostgreSQL stores it. */
void secret_md5_format(const char *password, size_t password_len, const char *user,
	char ret_text[SECRET_MD5_LEN + 1]);

/* Computes a client's answer to an MD5 request: `md5` + MD5(hex digits of the stored hash, salt).
 * Returns 0, or ERR_UNSUPPORTED for a SCRAM hash. */
must_check int secret_md5_response(const struct secret *secret, const char *user,
	const uint8_t salt[SECRET_MD5_SALT_BYTES], char ret_text[SECRET_MD5_LEN + 1]);

/* Checks a client's answer (NUL-terminated) to an MD5 request, in constant time.
 * Returns 0, ERR_AUTH if it is wrong, ERR_UNSUPPORTED for a SCRAM hash. */
must_check int secret_md5_check(const struct secret *secret, const char *user,
	const uint8_t salt[SECRET_MD5_SALT_BYTES], const char *response);

/* Checks a password that a client sent in plain text against any form of secret, in constant time.
 * SLOW for a SCRAM hash: only job threads may call it then.
 * Returns 0, ERR_AUTH if it is wrong, or what secret_derive_scram() returns. */
must_check int secret_password_check(
	const struct secret *secret, const char *user, const char *password, size_t password_len);

#endif
