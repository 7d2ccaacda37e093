/* Stored secrets: hashes made by PostgreSQL itself (15.20), and every way to get their form wrong. */
#include "protocol/secret.h"

#include "core/errors.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "SCRAM-SHA-256$"
#define KEYS \
	"$UjxmfHHp8tYI7oGoEiVKltBKgAJXhODbPaoSS45gkW0=:mYUwOSYgy8r81OTiR0hpgkk5hm00D/dcL1/" \
	"vkk3ln9I="

/* ALTER ROLE u1 PASSWORD ...; SELECT rolpassword FROM pg_authid. */
static const struct {
	const char *password;
	const char *stored;
} made_by_postgresql[] = {
	{"pencil", PREFIX "4096:BUAbInYiJaHH7QbjfBxS0g==" KEYS},
	{"\xD8\xA7"
	 "1",
		PREFIX "4096:G1duMV5Ea5FPtJbPxjma7A==$2ZNo6cLhXhqt/85KL89EFudC1ytprtjhrCzTD2rHz6s=:"
		       "FgN6WibRrejsrW/hWKMhTd7w1fvggrPXMXnBByJ+UwQ="}, /* prohibited: raw */
	{"\xE2\x80\x8B",
		PREFIX "4096:kZyDDCPfI9VLCyJwSeNzZg==$S7MELp/wB9F5EOdcftpMvgM2MCZkwq/ViFokCupc5QI=:"
		       "3udZjheOd481oFNVAHmV3A+4HVJeZJHe/2FKg81kgd0="}, /* a space */
	{" ", PREFIX "4096:kZyDDCPfI9VLCyJwSeNzZg==$S7MELp/wB9F5EOdcftpMvgM2MCZkwq/ViFokCupc5QI=:"
		     "3udZjheOd481oFNVAHmV3A+4HVJeZJHe/2FKg81kgd0="},
	{"\xF0\x9F\x98\x80", PREFIX
		"4096:7QC31h3LwXmoay8PBRG8Dw==$QDb20ydZdm2ZnEZ0Nwde7gCajDINHq1/NTSw0fAOtUI=:"
		"+Mcv0y7u1HRDOFJdKv8NOLRF9+K15el24g7O6bsLy9A="}, /* not assigned in Unicode 3.2: raw */
	{"pencil", "md5760ef1bba4ad56c969b91196de1bed98"},
};

/* Parses text that stands alone on the heap, so that a sanitizer sees a read past its end. */
static int parse(const char *text, size_t len, struct secret *ret)
{
	char *copy = malloc(len > 0 ? len : 1);
	int rc;

	memcpy(copy, text, len);
	rc = secret_parse(copy, len, ret);
	free(copy);
	if (rc == 0)
		ret->plain = text;
	return rc;
}

static void hashes_of_postgresql_are_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(made_by_postgresql); i++) {
		const char *password = made_by_postgresql[i].password;
		const char *stored = made_by_postgresql[i].stored;
		char text[SECRET_SCRAM_SIZE];
		struct secret secret;

		assert_int_equal(parse(stored, strlen(stored), &secret), 0);
		assert_int_equal(
			secret_password_check(&secret, "u1", password, strlen(password)), 0);
		assert_int_equal(secret_password_check(&secret, "u1", "wrong", 5), ERR_AUTH);
		assert_int_equal(secret_password_check(&secret, "u1", "", 0), ERR_AUTH);
		if (secret.kind == SECRET_MD5) {
			assert_int_equal(
				secret_password_check(&secret, "u2", "pencil", 6), ERR_AUTH);
			continue;
		}
		assert_int_equal(secret.kind, SECRET_SCRAM);
		assert_false(secret.scram.has_client_key);
		assert_int_equal(secret_scram_format(&secret.scram, text), strlen(stored));
		assert_string_equal(text, stored);
	}
}

static void forms_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		enum secret_kind kind;
	} rows[] = {
		{"pencil", SECRET_PLAIN},
		{"md5", SECRET_PLAIN},
		{"md5sum", SECRET_PLAIN},
		{"md5760ef1bba4ad56c969b91196de1bed98", SECRET_MD5},
		{"md5760EF1BBA4AD56C969B91196DE1BED98", SECRET_PLAIN},
		{"md5760ef1bba4ad56c969b91196de1bed9", SECRET_PLAIN},
		{"md5760ef1bba4ad56c969b91196de1bed988", SECRET_PLAIN},
		{"md5760ef1bba4ad56c969b91196de1bed9g", SECRET_PLAIN},
		{"MD5760ef1bba4ad56c969b91196de1bed98", SECRET_PLAIN},
		{"SCRAM-SHA-256", SECRET_PLAIN},
		{"SCRAM-SHA-1$4096:x", SECRET_PLAIN},
		{PREFIX "1:QQ==" KEYS, SECRET_SCRAM},
		{PREFIX "10000000:QQ==" KEYS, SECRET_SCRAM},
	};
	struct secret secret;

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		assert_int_equal(parse(rows[i].text, strlen(rows[i].text), &secret), 0);
		assert_int_equal(secret.kind, rows[i].kind);
		if (secret.kind == SECRET_PLAIN)
			assert_int_equal(secret.plain_len, strlen(rows[i].text));
	}
	assert_int_equal(parse("", 0, &secret), ERR_INVALID);
	assert_int_equal(parse("a\0b", 3, &secret), ERR_INVALID);
}

static void malformed_hashes_are_refused(void **state)
{
	static const struct {
		const char *text;
		int err;
	} rows[] = {
		{PREFIX, ERR_INVALID},
		{PREFIX "4096", ERR_INVALID},
		{PREFIX "4096:QQ==", ERR_INVALID},
		{PREFIX ":QQ==" KEYS, ERR_INVALID},
		{PREFIX "0:QQ==" KEYS, ERR_INVALID},
		{PREFIX "04096:QQ==" KEYS, ERR_INVALID},
		{PREFIX "-1:QQ==" KEYS, ERR_INVALID},
		{PREFIX "+1:QQ==" KEYS, ERR_INVALID},
		{PREFIX " 1:QQ==" KEYS, ERR_INVALID},
		{PREFIX "1 :QQ==" KEYS, ERR_INVALID},
		{PREFIX "0x10:QQ==" KEYS, ERR_INVALID},
		{PREFIX "10000001:QQ==" KEYS, ERR_TOO_LONG},
		{PREFIX "4294967297:QQ==" KEYS, ERR_TOO_LONG},
		{PREFIX "99999999999999999999999999:QQ==" KEYS, ERR_TOO_LONG},
		{PREFIX "4096:" KEYS, ERR_INVALID},
		{PREFIX "4096:QQ=" KEYS, ERR_INVALID},
		{PREFIX "4096:Q!==" KEYS, ERR_INVALID},
		{PREFIX "4096:QQ==" KEYS "=", ERR_INVALID},
		{PREFIX "4096:QQ==" KEYS " ", ERR_INVALID},
		{PREFIX "4096:QQ==" KEYS ":", ERR_INVALID},
		{PREFIX "4096:QQ==$QQ==:QQ==", ERR_INVALID},
	};
	char text[512];
	struct secret secret = {.plain_len = 4711};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++)
		assert_int_equal(parse(rows[i].text, strlen(rows[i].text), &secret), rows[i].err);
	/* a salt of 64 bytes is taken, one of 66 is not */
	snprintf(text, sizeof text, PREFIX "4096:%.88s%s",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAAAAA",
		KEYS);
	assert_int_equal(parse(text, strlen(text), &secret), ERR_TOO_LONG);
	assert_int_equal(secret.plain_len, 4711);
	memcpy(strchr(text, '$') + 6 + 86, "==", 2);
	assert_int_equal(parse(text, strlen(text), &secret), 0);
	assert_int_equal(secret.scram.salt_len, SECRET_SALT_MAX);
}

static void every_truncation_of_a_hash_is_refused(void **state)
{
	const char *stored = made_by_postgresql[0].stored;
	struct secret secret;

	(void)state;
	for (size_t len = sizeof PREFIX - 1; len < strlen(stored); len++)
		assert_int_equal(parse(stored, len, &secret), ERR_INVALID);
}

/* The largest hash fits the buffer that the header promises. */
static void largest_hash_round_trips(void **state)
{
	char text[SECRET_SCRAM_SIZE];
	struct scram_keys keys = {.iterations = SECRET_ITERATIONS_MAX, .salt_len = SECRET_SALT_MAX};
	struct secret secret;
	size_t len;

	(void)state;
	memset(keys.salt, 0xFF, sizeof keys.salt);
	memset(keys.stored_key, 0xFE, sizeof keys.stored_key);
	memset(keys.server_key, 0xFD, sizeof keys.server_key);
	len = secret_scram_format(&keys, text);
	assert_int_equal(len, SECRET_SCRAM_SIZE - 1);
	assert_int_equal(strlen(text), len);
	assert_int_equal(parse(text, len, &secret), 0);
	assert_true(secret_same_challenge(&secret.scram, &keys));
	assert_memory_equal(secret.scram.stored_key, keys.stored_key, sizeof keys.stored_key);
	assert_memory_equal(secret.scram.server_key, keys.server_key, sizeof keys.server_key);
}

static void derived_keys_have_a_client_key(void **state)
{
	struct scram_keys keys, other;
	uint8_t digest[CRYPTO_SHA256_BYTES];

	(void)state;
	assert_int_equal(secret_derive_scram("pencil", 6, (const uint8_t *)"salt", 4, 1, &keys), 0);
	assert_true(keys.has_client_key);
	assert_false(keys.is_mock);
	assert_int_equal(keys.iterations, 1);
	crypto_sha256(keys.client_key, sizeof keys.client_key, digest);
	assert_memory_equal(digest, keys.stored_key, sizeof digest);

	other = keys;
	assert_int_equal(
		secret_derive_scram("pencil", 6, other.salt, other.salt_len, 1, &other), 0);
	assert_memory_equal(other.stored_key, keys.stored_key, sizeof keys.stored_key);
	assert_true(secret_same_challenge(&keys, &other));
	other.iterations = 2;
	assert_false(secret_same_challenge(&keys, &other));
	other.iterations = 1;
	other.salt[3] ^= 1;
	assert_false(secret_same_challenge(&keys, &other));
	other.salt[3] ^= 1;
	other.salt_len = 3;
	assert_false(secret_same_challenge(&keys, &other));
}

/* md5(md5('pencil' || 'u1') || '\x01020304'), computed with another implementation. */
static void md5_exchange(void **state)
{
	static const uint8_t salt[SECRET_MD5_SALT_BYTES] = {1, 2, 3, 4};
	static const uint8_t other_salt[SECRET_MD5_SALT_BYTES] = {1, 2, 3, 5};
	static const char *const stored[] = {"pencil", "md5760ef1bba4ad56c969b91196de1bed98"};
	char response[SECRET_MD5_LEN + 1];
	struct secret secret;

	(void)state;
	for (size_t i = 0; i < array_len(stored); i++) {
		assert_int_equal(parse(stored[i], strlen(stored[i]), &secret), 0);
		assert_int_equal(secret_md5_response(&secret, "u1", salt, response), 0);
		assert_string_equal(response, "md5432a1fbd555f6824ec86984416170758");
		assert_int_equal(secret_md5_check(&secret, "u1", salt, response), 0);
		assert_int_equal(secret_md5_check(&secret, "u1", other_salt, response), ERR_AUTH);
		assert_int_equal(secret_md5_check(&secret, "u1", salt, ""), ERR_AUTH);
		assert_int_equal(secret_md5_check(&secret, "u1", salt, "pencil"), ERR_AUTH);
		response[SECRET_MD5_LEN - 1] ^= 1;
		assert_int_equal(secret_md5_check(&secret, "u1", salt, response), ERR_AUTH);
	}
	assert_int_equal(secret_md5_check(&secret, "u1", salt, stored[1]), ERR_AUTH);

	assert_int_equal(
		parse(made_by_postgresql[0].stored, strlen(made_by_postgresql[0].stored), &secret),
		0);
	assert_int_equal(secret_md5_response(&secret, "u1", salt, response), ERR_UNSUPPORTED);
	assert_int_equal(secret_md5_check(&secret, "u1", salt, response), ERR_UNSUPPORTED);
}

static void plain_text_is_compared_whole(void **state)
{
	struct secret secret;

	(void)state;
	assert_int_equal(parse("pencil", 6, &secret), 0);
	assert_int_equal(secret_password_check(&secret, "u1", "pencil", 6), 0);
	assert_int_equal(secret_password_check(&secret, "u1", "pencil2", 7), ERR_AUTH);
	assert_int_equal(secret_password_check(&secret, "u1", "penci", 5), ERR_AUTH);
	assert_int_equal(secret_password_check(&secret, "u1", "Pencil", 6), ERR_AUTH);
	assert_int_equal(secret_password_check(&secret, "u1", "", 0), ERR_AUTH);
}

/* SASLprep has a bound where SCRAM has none: said as an error, not hashed as something else. */
static void too_long_passwords_are_refused(void **state)
{
	const char *stored = made_by_postgresql[0].stored;
	struct scram_keys keys = {.iterations = 4711};
	struct secret secret;
	char password[8192];

	(void)state;
	for (size_t i = 0; i < sizeof password; i += 2)
		memcpy(password + i, "\xC3\xA9", 2);
	assert_int_equal(secret_derive_scram(
				 password, sizeof password, (const uint8_t *)"salt", 4, 1, &keys),
		ERR_TOO_LONG);
	assert_int_equal(keys.iterations, 4711);
	assert_int_equal(parse(stored, strlen(stored), &secret), 0);
	assert_int_equal(
		secret_password_check(&secret, "u1", password, sizeof password), ERR_TOO_LONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_of_postgresql_are_good),
		cmocka_unit_test(forms_are_told_apart),
		cmocka_unit_test(malformed_hashes_are_refused),
		cmocka_unit_test(every_truncation_of_a_hash_is_refused),
		cmocka_unit_test(largest_hash_round_trips),
		cmocka_unit_test(derived_keys_have_a_client_key),
		cmocka_unit_test(md5_exchange),
		cmocka_unit_test(plain_text_is_compared_whole),
		cmocka_unit_test(too_long_passwords_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
