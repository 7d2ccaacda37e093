/* Stored secrets, base64 and SASLprep: a SCRAM hash that is accepted prints as it was read, so there is one form of each. */
#include "protocol/secret.h"

#include "protocol/saslprep.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_secret(const char *text, size_t len)
{
	const uint8_t salt[SECRET_MD5_SALT_BYTES] = {1, 2, 3, 4};
	char md5[SECRET_MD5_LEN + 1], scram[SECRET_SCRAM_SIZE];
	struct secret secret;

	if (secret_parse(text, len, &secret) < 0)
		return;
	if (secret.kind == SECRET_SCRAM) {
		CHECK(secret.scram.iterations >= 1 &&
			secret.scram.iterations <= SECRET_ITERATIONS_MAX);
		CHECK(secret_scram_format(&secret.scram, scram) == len);
		CHECK(memcmp(scram, text, len) == 0);
		return;
	}
	CHECK(secret_md5_response(&secret, "user", salt, md5) == 0);
	CHECK(secret_md5_check(&secret, "user", salt, md5) == 0);
	if (secret.kind == SECRET_PLAIN)
		CHECK(secret_password_check(&secret, "user", text, len) == 0);
}

static void read_base64(const char *text, size_t len)
{
	uint8_t *bytes = malloc(CRYPTO_BASE64_BYTES(len) + 1);
	char *again = malloc(len + 1);
	size_t bytes_len, again_len;

	if (crypto_base64_decode(text, len, bytes, CRYPTO_BASE64_BYTES(len), &bytes_len) == 0) {
		CHECK(crypto_base64_encode(bytes, bytes_len, again, len + 1, &again_len) == 0);
		CHECK(again_len == len && memcmp(again, text, len) == 0);
	}
	free(again);
	free(bytes);
}

static void prepare(const char *text, size_t len)
{
	static struct saslprep_buffer buffer;
	const char *prepared;
	size_t prepared_len;

	if (saslprep(text, len, &buffer, &prepared, &prepared_len) < 0)
		return;
	CHECK(prepared == text ? prepared_len == len : prepared == buffer.text);
	CHECK(prepared_len <= (prepared == text ? len : sizeof buffer.text));
	CHECK(prepared_len > 0 || len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;

	if (size == 0)
		return 0;
	if (data[0] == '=')
		read_base64(text + 1, size - 1);
	else if (data[0] == 0xFF)
		prepare(text + 1, size - 1);
	else
		read_secret(text, size);
	return 0;
}
