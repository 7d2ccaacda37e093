/* SCRAM: a client against our server side, a server against our client side. The first byte chooses; the input's second message, if
 * any, follows a NUL, which no message may contain. Nobody without the keys may get in. */
#include "core/check.h"
#include "protocol/scram.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENT_NONCE "abcdefghijklmnopqrstuvwx"
#define SERVER_NONCE "ABCDEFGHIJKLMNOPQRSTUVWX"

static struct scram_keys some_keys(void)
{
	struct scram_keys keys = {.iterations = 4096, .salt_len = 3, .has_client_key = true};

	memset(keys.salt, 'A', keys.salt_len);
	memset(keys.client_key, 1, sizeof keys.client_key);
	memset(keys.server_key, 2, sizeof keys.server_key);
	crypto_sha256(keys.client_key, sizeof keys.client_key, keys.stored_key);
	return keys;
}

static void attack_server(const char *first, size_t first_len, const char *final, size_t final_len)
{
	const struct scram_keys keys[2] = {some_keys(), some_keys()};
	struct scram_message out;
	struct scram_server s;

	scram_server_init(&s);
	if (scram_server_first(&s, first, first_len, keys, SERVER_NONCE, &out) < 0) {
		CHECK(s.state == SCRAM_FAILED && s.fault.message != NULL);
		return;
	}
	CHECK(out.len <= SCRAM_SERVER_FIRST_MAX && s.transcript.len > out.len);
	CHECK(scram_server_final(&s, final, final_len, keys, array_len(keys), &out) < 0);
	CHECK(s.state == SCRAM_FAILED && s.fault.message != NULL);
}

static void attack_client(const char *first, size_t first_len, const char *final, size_t final_len)
{
	struct scram_keys keys = some_keys();
	struct scram_message out;
	struct scram_client c;

	scram_client_first(&c, CLIENT_NONCE, &out);
	if (scram_client_continue(&c, first, first_len) < 0) {
		CHECK(c.state == SCRAM_FAILED && c.fault.message != NULL);
		return;
	}
	CHECK(c.iterations >= 1 && c.iterations <= SECRET_ITERATIONS_MAX);
	CHECK(c.salt_len >= 1 && c.salt_len <= SECRET_SALT_MAX);
	keys.iterations = c.iterations; /* the derivation is too slow for a fuzzer */
	keys.salt_len = c.salt_len;
	memcpy(keys.salt, c.salt, c.salt_len);
	CHECK(scram_client_final(&c, &keys, &out) == 0);
	CHECK(scram_client_verify(&c, final, final_len) < 0);
	CHECK(c.state == SCRAM_FAILED && c.fault.message != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul, *rest;
	size_t first_len, final_len;
	char *first, *final;

	if (size == 0)
		return 0;
	rest = data + 1;
	nul = memchr(rest, 0, size - 1);
	first_len = nul == NULL ? size - 1 : (size_t)(nul - rest);
	final_len = nul == NULL ? 0 : size - 1 - first_len - 1;
	first = malloc(first_len + 1); /* each alone on the heap */
	final = malloc(final_len + 1);
	memcpy(first, rest, first_len);
	if (final_len > 0)
		memcpy(final, nul + 1, final_len);
	if (data[0] & 1)
		attack_server(first, first_len, final, final_len);
	else
		attack_client(first, first_len, final, final_len);
	free(first);
	free(final);
	return 0;
}
