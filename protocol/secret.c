/* Stored secrets: parsing, deriving, printing, checking. */
#include "protocol/secret.h"

#include "core/errors.h"
#include "protocol/saslprep.h"

#include <stdio.h>
#include <string.h>

#define MD5_PREFIX "md5"
#define SCRAM_PREFIX "SCRAM-SHA-256$"

static bool is_md5(const char *text, size_t len);
static int parse_scram(const char *text, size_t len, struct scram_keys *ret);

int secret_parse(const char *text, size_t len, struct secret *ret)
{
	struct secret secret = {0};
	int rc;

	if (len == 0 || memchr(text, 0, len) != NULL)
		return ERR_INVALID;

	if (len >= sizeof SCRAM_PREFIX - 1 &&
		memcmp(text, SCRAM_PREFIX, sizeof SCRAM_PREFIX - 1) == 0) {
		secret.kind = SECRET_SCRAM;
		rc = parse_scram(text + sizeof SCRAM_PREFIX - 1, len - (sizeof SCRAM_PREFIX - 1),
			&secret.scram);
		if (rc < 0) {
			crypto_wipe(&secret, sizeof secret);
			return rc;
		}
	} else if (is_md5(text, len)) {
		secret.kind = SECRET_MD5;
		memcpy(secret.md5, text, len);
	} else {
		secret.kind = SECRET_PLAIN;
		secret.plain = text;
		secret.plain_len = len;
	}
	*ret = secret;
	crypto_wipe(&secret, sizeof secret);
	return 0;
}

static bool is_md5(const char *text, size_t len)
{
	if (len != SECRET_MD5_LEN || memcmp(text, MD5_PREFIX, 3) != 0)
		return false;
	for (size_t i = 3; i < len; i++) {
		if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
			return false;
	}
	return true;
}

/* Cuts the text before `separator` off the front of what is left. */
static bool cut(const char **at, const char *end, char separator, const char **ret, size_t *ret_len)
{
	const char *found = memchr(*at, separator, (size_t)(end - *at));

	if (found == NULL)
		return false;
	*ret = *at;
	*ret_len = (size_t)(found - *at);
	*at = found + 1;
	return true;
}

int secret_parse_iterations(const char *text, size_t len, uint32_t *ret)
{
	uint32_t value = 0;

	if (len == 0 || text[0] == '0')
		return ERR_INVALID;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return ERR_INVALID;
		if (value <= SECRET_ITERATIONS_MAX)
			value = value * 10 + (uint32_t)(text[i] - '0');
	}
	if (value > SECRET_ITERATIONS_MAX)
		return ERR_TOO_LONG;
	*ret = value;
	return 0;
}

static bool parse_key(const char *text, size_t len, uint8_t key[CRYPTO_SHA256_BYTES])
{
	size_t key_len;
	int rc = crypto_base64_decode(text, len, key, CRYPTO_SHA256_BYTES, &key_len);

	return rc == 0 && key_len == CRYPTO_SHA256_BYTES;
}

/* `text` is what follows the prefix: <iterations>:<salt>$<StoredKey>:<ServerKey> */
static int parse_scram(const char *text, size_t len, struct scram_keys *ret)
{
	const char *at = text, *end = text + len, *iterations, *salt, *stored_key;
	size_t iterations_len, salt_len, stored_key_len;
	int rc;

	if (!cut(&at, end, ':', &iterations, &iterations_len) ||
		!cut(&at, end, '$', &salt, &salt_len) ||
		!cut(&at, end, ':', &stored_key, &stored_key_len))
		return ERR_INVALID;

	rc = secret_parse_iterations(iterations, iterations_len, &ret->iterations);
	if (rc < 0)
		return rc;
	rc = crypto_base64_decode(salt, salt_len, ret->salt, sizeof ret->salt, &ret->salt_len);
	if (rc < 0)
		return rc;
	if (ret->salt_len == 0 || !parse_key(stored_key, stored_key_len, ret->stored_key) ||
		!parse_key(at, (size_t)(end - at), ret->server_key))
		return ERR_INVALID;
	return 0;
}

int secret_derive_scram(const char *password, size_t password_len, const uint8_t *salt,
	size_t salt_len, uint32_t iterations, struct scram_keys *ret)
{
	uint8_t salted_password[CRYPTO_SHA256_BYTES];
	struct saslprep_buffer buffer;
	const char *prepared;
	size_t prepared_len;
	int rc;

	CHECK(salt_len >= 1 && salt_len <= SECRET_SALT_MAX);
	CHECK(iterations >= 1 && iterations <= SECRET_ITERATIONS_MAX);
	rc = saslprep(password, password_len, &buffer, &prepared, &prepared_len);
	if (rc < 0)
		return rc;

	memmove(ret->salt, salt, salt_len);
	ret->salt_len = salt_len;
	ret->iterations = iterations;
	crypto_pbkdf2_hmac_sha256(
		prepared, prepared_len, salt, salt_len, iterations, salted_password);
	crypto_hmac_sha256(
		salted_password, sizeof salted_password, "Client Key", 10, ret->client_key);
	crypto_hmac_sha256(
		salted_password, sizeof salted_password, "Server Key", 10, ret->server_key);
	crypto_sha256(ret->client_key, sizeof ret->client_key, ret->stored_key);
	ret->has_client_key = true;
	ret->is_mock = false;

	if (prepared == buffer.text)
		crypto_wipe(&buffer, prepared_len);
	crypto_wipe(salted_password, sizeof salted_password);
	return 0;
}

bool secret_same_challenge(const struct scram_keys *a, const struct scram_keys *b)
{
	if (a->iterations != b->iterations || a->salt_len != b->salt_len)
		return false;
	return memcmp(a->salt, b->salt, a->salt_len) == 0;
}

size_t secret_scram_format(const struct scram_keys *keys, char ret_text[SECRET_SCRAM_SIZE])
{
	const struct {
		const uint8_t *bytes;
		size_t len;
		char after;
	} parts[] = {
		{keys->salt, keys->salt_len, '$'},
		{keys->stored_key, sizeof keys->stored_key, ':'},
		{keys->server_key, sizeof keys->server_key, '\0'},
	};
	size_t len, part_len;

	CHECK(keys->iterations >= 1 && keys->iterations <= SECRET_ITERATIONS_MAX);
	CHECK(keys->salt_len <= SECRET_SALT_MAX);
	len = (size_t)snprintf(ret_text, SECRET_SCRAM_SIZE, SCRAM_PREFIX "%u:", keys->iterations);
	for (size_t i = 0; i < array_len(parts); i++) {
		int rc = crypto_base64_encode(parts[i].bytes, parts[i].len, ret_text + len,
			SECRET_SCRAM_SIZE - len, &part_len);

		CHECK(rc == 0); /* and a NUL was written, so there is room for what comes after */
		len += part_len;
		ret_text[len++] = parts[i].after;
	}
	return len - 1;
}

void secret_md5_format(const char *password, size_t password_len, const char *user,
	char ret_text[SECRET_MD5_LEN + 1])
{
	memcpy(ret_text, MD5_PREFIX, 3);
	crypto_md5_hex(password, password_len, user, strlen(user), ret_text + 3);
}

int secret_md5_response(const struct secret *secret, const char *user,
	const uint8_t salt[SECRET_MD5_SALT_BYTES], char ret_text[SECRET_MD5_LEN + 1])
{
	char stored[SECRET_MD5_LEN + 1];

	switch (secret->kind) {
	case SECRET_PLAIN:
		secret_md5_format(secret->plain, secret->plain_len, user, stored);
		break;
	case SECRET_MD5:
		memcpy(stored, secret->md5, sizeof stored);
		break;
	case SECRET_SCRAM:
		return ERR_UNSUPPORTED;
	}
	memcpy(ret_text, MD5_PREFIX, 3);
	crypto_md5_hex(stored + 3, CRYPTO_MD5_HEX_LEN, salt, SECRET_MD5_SALT_BYTES, ret_text + 3);
	crypto_wipe(stored, sizeof stored);
	return 0;
}

int secret_md5_check(const struct secret *secret, const char *user,
	const uint8_t salt[SECRET_MD5_SALT_BYTES], const char *response)
{
	char expected[SECRET_MD5_LEN + 1];
	int rc = secret_md5_response(secret, user, salt, expected);

	if (rc < 0)
		return rc;
	if (strlen(response) != SECRET_MD5_LEN || !crypto_equal(expected, response, SECRET_MD5_LEN))
		rc = ERR_AUTH;
	crypto_wipe(expected, sizeof expected);
	return rc;
}

/* Compares digests, so that the time tells nothing about the stored password's length either. */
static int plain_check(const struct secret *secret, const char *password, size_t password_len)
{
	uint8_t stored[CRYPTO_SHA256_BYTES], given[CRYPTO_SHA256_BYTES];

	crypto_sha256(secret->plain, secret->plain_len, stored);
	crypto_sha256(password, password_len, given);
	return crypto_equal(stored, given, sizeof stored) ? 0 : ERR_AUTH;
}

int secret_password_check(
	const struct secret *secret, const char *user, const char *password, size_t password_len)
{
	const uint8_t *stored_key = secret->scram.stored_key;
	char md5[SECRET_MD5_LEN + 1];
	struct scram_keys keys;
	int rc = ERR_AUTH;

	switch (secret->kind) {
	case SECRET_PLAIN:
		return plain_check(secret, password, password_len);
	case SECRET_MD5:
		secret_md5_format(password, password_len, user, md5);
		return crypto_equal(md5, secret->md5, SECRET_MD5_LEN) ? 0 : ERR_AUTH;
	case SECRET_SCRAM:
		rc = secret_derive_scram(password, password_len, secret->scram.salt,
			secret->scram.salt_len, secret->scram.iterations, &keys);
		if (rc < 0)
			return rc;
		if (!crypto_equal(keys.stored_key, stored_key, sizeof keys.stored_key))
			rc = ERR_AUTH;
		crypto_wipe(&keys, sizeof keys);
		break;
	}
	return rc;
}
