/* The client's answers to PostgreSQL's authentication requests. */
#include "bench/signin.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/coding.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/md5.h>
#include <wolfssl/wolfcrypt/pwdbased.h>
#include <wolfssl/wolfcrypt/sha256.h>

enum {
	REQUEST_OK = 0,
	REQUEST_CLEAR_TEXT = 3,
	REQUEST_MD5 = 5,
	REQUEST_SASL = 10,
	REQUEST_SASL_CONTINUE = 11,
	REQUEST_SASL_FINAL = 12,
	HASH = 32,
	TEXT = 512,
};

static void put_password(struct wire_buf *out, const char *text)
{
	wire_begin(out, 'p');
	wire_text(out, text);
	wire_end(out);
}

/* 32 hexadecimal digits of MD5(first second). */
static void md5_hex(
	const void *first, size_t first_len, const void *second, size_t second_len, char *ret_hex)
{
	wc_Md5 md5;
	uint8_t digest[16];

	wc_InitMd5(&md5);
	wc_Md5Update(&md5, first, (word32)first_len);
	wc_Md5Update(&md5, second, (word32)second_len);
	wc_Md5Final(&md5, digest);
	for (int i = 0; i < 16; i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static void answer_md5(
	const char *user, const char *password, const uint8_t *salt, struct wire_buf *out)
{
	char inner[33], outer[36] = "md5";

	md5_hex(password, strlen(password), user, strlen(user), inner);
	md5_hex(inner, 32, salt, 4, outer + 3);
	put_password(out, outer);
}

static void hmac(const uint8_t *key, const void *text, size_t len, uint8_t *ret_digest)
{
	Hmac mac;

	wc_HmacInit(&mac, NULL, INVALID_DEVID);
	wc_HmacSetKey(&mac, WC_SHA256, key, HASH);
	wc_HmacUpdate(&mac, text, (word32)len);
	wc_HmacFinal(&mac, ret_digest);
	wc_HmacFree(&mac);
}

/* SaltedPassword of RFC 5802; the last one is remembered. */
static const uint8_t *salted_password(
	const char *password, const uint8_t *salt, word32 salt_len, int iterations)
{
	static uint8_t key[HASH], last_salt[TEXT];
	static word32 last_len;
	static int last_iterations;

	if (salt_len == last_len && iterations == last_iterations &&
		memcmp(salt, last_salt, salt_len) == 0)
		return key;
	wc_PBKDF2(key, (const uint8_t *)password, (int)strlen(password), salt, (int)salt_len,
		iterations, HASH, WC_SHA256);
	memcpy(last_salt, salt, salt_len);
	last_len = salt_len;
	last_iterations = iterations;
	return key;
}

static void start_scram(struct signin *signin, struct wire_buf *out)
{
	uint8_t nonce[18];
	char text[32];
	word32 len = sizeof text - 1;

	if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce)
		abort();
	Base64_Encode_NoNl(nonce, sizeof nonce, (byte *)text, &len);
	text[len] = 0;
	snprintf(signin->client_first, sizeof signin->client_first, "n=,r=%s", text);
	signin->asked = true;
	wire_begin(out, 'p');
	wire_text(out, "SCRAM-SHA-256");
	wire_u32(out, (uint32_t)strlen(signin->client_first) + 3);
	wire_bytes(out, "n,,", 3);
	wire_bytes(out, signin->client_first, strlen(signin->client_first));
	wire_end(out);
}

/* r=NONCE,s=SALT,i=COUNT: answers with the proof. */
static int continue_scram(
	struct signin *signin, const char *password, const char *server_first, struct wire_buf *out)
{
	char nonce[128], salt_text[128], last[TEXT], all[3 * TEXT];
	uint8_t salt[128], client_key[HASH], stored_key[HASH], mac[HASH], server_key[HASH];
	word32 salt_len = sizeof salt, proof_len = 64;
	const uint8_t *salted;
	int iterations, len, all_len;

	if (sscanf(server_first, "r=%127[^,],s=%127[^,],i=%d", nonce, salt_text, &iterations) !=
			3 ||
		strncmp(nonce, signin->client_first + 5, strlen(signin->client_first) - 5) != 0 ||
		Base64_Decode((byte *)salt_text, (word32)strlen(salt_text), salt, &salt_len) != 0)
		return -1;
	salted = salted_password(password, salt, salt_len, iterations);
	hmac(salted, "Client Key", 10, client_key);
	hmac(salted, "Server Key", 10, server_key);
	wc_Sha256Hash(client_key, HASH, stored_key);

	len = snprintf(last, sizeof last, "c=biws,r=%s", nonce);
	all_len = snprintf(all, sizeof all, "%s,%s,%s", signin->client_first, server_first, last);
	if (all_len >= (int)sizeof all)
		return -1;
	hmac(stored_key, all, (size_t)all_len, mac);
	for (int i = 0; i < HASH; i++)
		client_key[i] ^= mac[i]; /* now the proof */
	hmac(server_key, all, (size_t)all_len, signin->server_signature);

	memcpy(last + len, ",p=", 3);
	Base64_Encode_NoNl(client_key, HASH, (byte *)last + len + 3, &proof_len);
	wire_begin(out, 'p');
	wire_bytes(out, last, (size_t)len + 3 + proof_len);
	wire_end(out);
	return 0;
}

static int finish_scram(struct signin *signin, const char *server_final)
{
	uint8_t signature[64];
	word32 len = sizeof signature;

	if (strncmp(server_final, "v=", 2) != 0 ||
		Base64_Decode((const byte *)server_final + 2, (word32)strlen(server_final) - 2,
			signature, &len) != 0 ||
		len != HASH || memcmp(signature, signin->server_signature, HASH) != 0)
		return -1;
	signin->proven = true;
	return 0;
}

int signin_answer(struct signin *signin, const char *user, const char *password,
	struct wire_reader body, struct wire_buf *out)
{
	uint32_t request = wire_read_u32(&body);
	size_t len = (size_t)(body.end - body.at);
	char text[TEXT];

	if (body.bad || len >= sizeof text)
		return -1;
	memcpy(text, body.at, len);
	text[len] = 0;
	switch (request) {
	case REQUEST_OK:
		return signin->asked && !signin->proven ? -1 : 1;
	case REQUEST_CLEAR_TEXT:
		put_password(out, password);
		return 0;
	case REQUEST_MD5:
		if (len != 4)
			return -1;
		answer_md5(user, password, body.at, out);
		return 0;
	case REQUEST_SASL:
		start_scram(signin, out);
		return 0;
	case REQUEST_SASL_CONTINUE:
		return signin->asked ? continue_scram(signin, password, text, out) : -1;
	case REQUEST_SASL_FINAL:
		return signin->asked ? finish_scram(signin, text) : -1;
	default:
		return -1;
	}
}
