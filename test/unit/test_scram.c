/* SCRAM-SHA-256: the example of RFC 7677 from both sides, both sides against each other, and whatever a peer may get wrong. */
#include "protocol/scram.h"

#include "core/errors.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 7677, section 3. */
#define RFC_CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define RFC_SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_NONCES RFC_CLIENT_NONCE RFC_SERVER_NONCE
#define RFC_CLIENT_FIRST "n,,n=user,r=" RFC_CLIENT_NONCE
#define RFC_SERVER_FIRST "r=" RFC_NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_WITHOUT_PROOF "c=biws,r=" RFC_NONCES
#define RFC_PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_CLIENT_FINAL RFC_WITHOUT_PROOF ",p=" RFC_PROOF
#define RFC_SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

#define CLIENT_NONCE "abcdefghijklmnopqrstuvwx"
#define SERVER_NONCE "ABCDEFGHIJKLMNOPQRSTUVWX"

static struct scram_keys keys_of(const char *password, const char *salt, uint32_t iterations)
{
	struct scram_keys keys;

	assert_int_equal(secret_derive_scram(password, strlen(password), (const uint8_t *)salt,
				 strlen(salt), iterations, &keys),
		0);
	return keys;
}

static struct scram_keys rfc_keys(void)
{
	uint8_t salt[16];
	struct scram_keys keys;
	size_t len;

	assert_int_equal(
		crypto_base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==", 24, salt, sizeof salt, &len), 0);
	assert_int_equal(secret_derive_scram("pencil", 6, salt, len, 4096, &keys), 0);
	return keys;
}

static void assert_message(const struct scram_message *message, const char *expected)
{
	assert_int_equal(message->len, strlen(expected));
	assert_memory_equal(message->text, expected, message->len);
}

/* The messages go through the heap at their exact length, so that a sanitizer sees a read past their end. */
static int server_first(struct scram_server *s, const char *text, size_t len,
	const struct scram_keys *keys, const char *nonce, struct scram_message *ret)
{
	char *copy = malloc(len > 0 ? len : 1);
	int rc;

	memcpy(copy, text, len);
	scram_server_init(s);
	rc = scram_server_first(s, copy, len, keys, nonce, ret);
	free(copy);
	return rc;
}

static int server_final(struct scram_server *s, const char *text, size_t len,
	const struct scram_keys *keys, size_t count, struct scram_message *ret)
{
	char *copy = malloc(len > 0 ? len : 1);
	int rc;

	memcpy(copy, text, len);
	rc = scram_server_final(s, copy, len, keys, count, ret);
	free(copy);
	return rc;
}

static void server_keeps_the_example(void **state)
{
	const struct scram_keys keys = rfc_keys();
	struct scram_keys known = keys;
	struct scram_message out;
	struct scram_server s;

	(void)state;
	known.has_client_key = false;
	memset(known.client_key, 0, sizeof known.client_key);
	assert_int_equal(server_first(&s, RFC_CLIENT_FIRST, strlen(RFC_CLIENT_FIRST), &known,
				 RFC_SERVER_NONCE, &out),
		0);
	assert_message(&out, RFC_SERVER_FIRST);
	assert_int_equal(
		server_final(&s, RFC_CLIENT_FINAL, strlen(RFC_CLIENT_FINAL), &known, 1, &out), 0);
	assert_message(&out, RFC_SERVER_FINAL);
	assert_int_equal(s.state, SCRAM_DONE);
	assert_int_equal(s.matched, 0);
	assert_memory_equal(s.client_key, keys.client_key, sizeof s.client_key); /* recovered */
}

static void client_keeps_the_example(void **state)
{
	const struct scram_keys keys = rfc_keys();
	struct scram_message out;
	struct scram_client c;

	(void)state;
	scram_client_first(&c, RFC_CLIENT_NONCE, &out);
	assert_message(&out, "n,,n=,r=" RFC_CLIENT_NONCE);
	/* the example has a user name, which PostgreSQL's clients leave out: put it where the client signs it */
	c.transcript.len = (size_t)snprintf(
		c.transcript.text, sizeof c.transcript.text, "n=user,r=" RFC_CLIENT_NONCE);

	assert_int_equal(scram_client_continue(&c, RFC_SERVER_FIRST, strlen(RFC_SERVER_FIRST)), 0);
	assert_int_equal(c.iterations, 4096);
	assert_int_equal(c.salt_len, 16);
	assert_memory_equal(c.salt, keys.salt, c.salt_len);
	assert_int_equal(scram_client_final(&c, &keys, &out), 0);
	assert_message(&out, RFC_CLIENT_FINAL);
	assert_int_equal(scram_client_verify(&c, RFC_SERVER_FINAL, strlen(RFC_SERVER_FINAL)), 0);
	assert_int_equal(c.state, SCRAM_DONE);
}

/* Both sides up to and with the client's proof. */
static void meet(struct scram_client *c, const struct scram_keys *client_keys,
	struct scram_server *s, const struct scram_keys *server_keys,
	struct scram_message *ret_final)
{
	struct scram_message out;

	scram_client_first(c, CLIENT_NONCE, &out);
	assert_int_equal(server_first(s, out.text, out.len, server_keys, SERVER_NONCE, &out), 0);
	assert_int_equal(scram_client_continue(c, out.text, out.len), 0);
	assert_int_equal(scram_client_final(c, client_keys, ret_final), 0);
}

static void sides_agree(void **state)
{
	static const char *const salts[] = {"s", "sixteen bytes...",
		"sixty-four bytes, the longest salt that pgring takes from others"};
	struct scram_message out;
	struct scram_server s;
	struct scram_client c;

	(void)state;
	for (size_t i = 0; i < array_len(salts); i++) {
		const struct scram_keys keys =
			keys_of("p\xC3\xA4ssword", salts[i], (uint32_t)i + 1);

		meet(&c, &keys, &s, &keys, &out);
		assert_int_equal(server_final(&s, out.text, out.len, &keys, 1, &out), 0);
		assert_int_equal(scram_client_verify(&c, out.text, out.len), 0);
	}
}

static void wrong_password_is_refused(void **state)
{
	const struct scram_keys right = keys_of("right", "salt", 2),
				wrong = keys_of("wrong", "salt", 2);
	struct scram_message out;
	struct scram_server s;
	struct scram_client c;

	(void)state;
	meet(&c, &wrong, &s, &right, &out);
	assert_int_equal(server_final(&s, out.text, out.len, &right, 1, &out), ERR_AUTH);
	assert_int_equal(s.state, SCRAM_FAILED);
	assert_string_equal(s.fault.sqlstate, "28P01");
	assert_string_equal(s.fault.severity, "FATAL");
}

static void any_of_several_passwords_is_good(void **state)
{
	const struct scram_keys keys[] = {keys_of("first", "salt", 2), keys_of("second", "salt", 2),
		keys_of("third", "salt", 2)};
	const struct scram_keys other = keys_of("fourth", "salt", 2);
	struct scram_message out;
	struct scram_server s;
	struct scram_client c;

	(void)state;
	for (size_t i = 0; i < array_len(keys); i++) {
		meet(&c, &keys[i], &s, &keys[0], &out);
		assert_int_equal(
			server_final(&s, out.text, out.len, keys, array_len(keys), &out), 0);
		assert_int_equal(s.matched, i);
		assert_memory_equal(s.client_key, keys[i].client_key, sizeof s.client_key);
		assert_int_equal(scram_client_verify(&c, out.text, out.len), 0);
	}
	meet(&c, &other, &s, &keys[0], &out);
	assert_int_equal(
		server_final(&s, out.text, out.len, keys, array_len(keys), &out), ERR_AUTH);
}

/* What a proxy does that knows no password: the key from the client's proof logs in to the server. */
static void recovered_key_logs_in(void **state)
{
	const struct scram_keys keys = keys_of("pass through", "salt", 3);
	struct scram_keys stored = keys;
	struct scram_message out;
	struct scram_server s;
	struct scram_client c;

	(void)state;
	stored.has_client_key = false;
	memset(stored.client_key, 0, sizeof stored.client_key);
	meet(&c, &keys, &s, &stored, &out);
	assert_int_equal(server_final(&s, out.text, out.len, &stored, 1, &out), 0);

	memcpy(stored.client_key, s.client_key, sizeof stored.client_key);
	stored.has_client_key = true;
	meet(&c, &stored, &s, &keys, &out);
	assert_int_equal(server_final(&s, out.text, out.len, &keys, 1, &out), 0);
	assert_int_equal(scram_client_verify(&c, out.text, out.len), 0);
}

static void mock_users_look_like_others(void **state)
{
	const uint8_t secret[SCRAM_SECRET_BYTES] = {1, 2, 3},
		      other_secret[SCRAM_SECRET_BYTES] = {4};
	struct scram_keys mock, again, other, known;
	struct scram_message first, second, out;
	struct scram_server s;
	struct scram_client c;

	(void)state;
	scram_mock_keys(secret, "nobody", 2, &mock);
	assert_int_equal(mock.salt_len, SECRET_SALT_BYTES);
	scram_mock_keys(secret, "nobody", 2, &again);
	assert_true(secret_same_challenge(&mock, &again));
	scram_mock_keys(secret, "somebody", 2, &other);
	assert_false(secret_same_challenge(&mock, &other));
	scram_mock_keys(other_secret, "nobody", 2, &other);
	assert_false(secret_same_challenge(&mock, &other));

	/* the same challenge again; no password is good for it, not even one whose keys were put there */
	known = keys_of("guess", "x", 2);
	known.is_mock = true;
	memcpy(known.salt, mock.salt, mock.salt_len);
	known.salt_len = mock.salt_len;
	assert_int_equal(
		server_first(&s, "n,,n=,r=" CLIENT_NONCE, 32, &mock, SERVER_NONCE, &first), 0);
	assert_int_equal(
		server_first(&s, "n,,n=,r=" CLIENT_NONCE, 32, &mock, SERVER_NONCE, &second), 0);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.text, second.text, first.len);
	meet(&c, &known, &s, &mock, &out);
	assert_int_equal(server_final(&s, out.text, out.len, &mock, 1, &out), ERR_AUTH);
	meet(&c, &known, &s, &known, &out);
	assert_int_equal(server_final(&s, out.text, out.len, &known, 1, &out), ERR_AUTH);
	assert_string_equal(s.fault.sqlstate, "28P01");
}

static void client_first_is_checked(void **state)
{
	static const struct {
		const char *text;
		int rc;
		const char *sqlstate, *message;
	} rows[] = {
		{"n,,n=,r=" CLIENT_NONCE, 0, NULL, NULL},
		{"y,,n=,r=" CLIENT_NONCE, 0, NULL, NULL},
		{"n,,n=a=2Cb=3D,r=x", 0, NULL, NULL},
		{"n,,n=,r=x,a=ext,Z=", 0, NULL, NULL},
		{"p=tls-server-end-point,,n=,r=x", ERR_UNSUPPORTED, "08P01",
			"malformed SCRAM message"},
		{"n,a=admin,n=,r=x", ERR_UNSUPPORTED, "0A000",
			"client uses authorization identity, but it is not supported"},
		{"n,,m=ext,n=,r=x", ERR_UNSUPPORTED, "0A000",
			"client requires an unsupported SCRAM extension"},
		{"", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"x,,n=,r=x", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"N,,n=,r=x", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n;,n=,r=x", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,x,n=,r=x", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,,", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,,n=", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,,r=x", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,,r=x,n=", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,,n,r=x", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,,n=,r=", ERR_PROTOCOL, "08P01", "non-printable characters in SCRAM nonce"},
		{"n,,n=,r=a b", ERR_PROTOCOL, "08P01", "non-printable characters in SCRAM nonce"},
		{"n,,n=,r=\x7F", ERR_PROTOCOL, "08P01", "non-printable characters in SCRAM nonce"},
		{"n,,n=,r=\xC3\xA4", ERR_PROTOCOL, "08P01",
			"non-printable characters in SCRAM nonce"},
		{"n,,n=,r=x,", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,,n=,r=x,,", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,,n=,r=x,9=x", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,,n=,r=x,ab", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
		{"n,,n=,r=x,m=x", ERR_PROTOCOL, "08P01", "malformed SCRAM message"},
	};
	const struct scram_keys keys = keys_of("x", "salt", 1);
	struct scram_message out;
	struct scram_server s;

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		int rc = server_first(
			&s, rows[i].text, strlen(rows[i].text), &keys, SERVER_NONCE, &out);

		assert_int_equal(rc, rows[i].rc);
		assert_int_equal(s.state, rc == 0 ? SCRAM_CHALLENGED : SCRAM_FAILED);
		if (rc < 0) {
			assert_string_equal(s.fault.sqlstate, rows[i].sqlstate);
			assert_string_equal(s.fault.message, rows[i].message);
		}
	}
	assert_int_equal(
		server_first(&s, "n,,n=,r=x\0", 10, &keys, SERVER_NONCE, &out), ERR_PROTOCOL);
}

static void nonces_and_messages_are_bounded(void **state)
{
	const struct scram_keys keys = keys_of("x", "salt", 1);
	char text[SCRAM_MESSAGE_MAX + 1];
	struct scram_message out;
	struct scram_server s;

	(void)state;
	memset(text, 'x', sizeof text);
	memcpy(text, "n,,n=,r=", 8);
	assert_int_equal(
		server_first(&s, text, 8 + SCRAM_PEER_NONCE_MAX, &keys, SERVER_NONCE, &out), 0);
	assert_int_equal(
		server_first(&s, text, 8 + SCRAM_PEER_NONCE_MAX + 1, &keys, SERVER_NONCE, &out),
		ERR_TOO_LONG);
	memcpy(text, "n,,n=", 5); /* a long user name and the longest message */
	memset(text + 5, 'u', sizeof text - 5);
	memcpy(text + SCRAM_MESSAGE_MAX - 4, ",r=y", 4);
	assert_int_equal(server_first(&s, text, SCRAM_MESSAGE_MAX, &keys, SERVER_NONCE, &out), 0);
	memcpy(text + SCRAM_MESSAGE_MAX - 3, ",r=yz", 4);
	assert_int_equal(server_first(&s, text, SCRAM_MESSAGE_MAX + 1, &keys, SERVER_NONCE, &out),
		ERR_PROTOCOL);
}

#define FINAL "c=biws,r=" CLIENT_NONCE SERVER_NONCE
#define PROOF ",p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static void client_final_is_checked(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{FINAL PROOF, ERR_AUTH}, /* well-formed, but the proof is wrong */
		{FINAL ",a=ext,b=" PROOF, ERR_AUTH},
		{"", ERR_PROTOCOL},
		{FINAL, ERR_PROTOCOL},
		{FINAL ",", ERR_PROTOCOL},
		{FINAL ",p=", ERR_PROTOCOL},
		{FINAL ",p=AAAA", ERR_PROTOCOL},
		{FINAL ",p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", ERR_PROTOCOL},
		{FINAL PROOF ",", ERR_PROTOCOL},
		{FINAL PROOF ",a=x", ERR_PROTOCOL},
		{FINAL ",m=ext" PROOF, ERR_PROTOCOL},
		{FINAL "x" PROOF, ERR_PROTOCOL},
		{"c=eSws,r=" CLIENT_NONCE SERVER_NONCE PROOF,
			ERR_PROTOCOL}, /* 'y', but 'n' was said */
		{"c=biw,r=" CLIENT_NONCE SERVER_NONCE PROOF, ERR_PROTOCOL},
		{"c=,r=" CLIENT_NONCE SERVER_NONCE PROOF, ERR_PROTOCOL},
		{"r=" CLIENT_NONCE SERVER_NONCE PROOF, ERR_PROTOCOL},
		{"c=biws,r=" CLIENT_NONCE PROOF, ERR_PROTOCOL},
		{"c=biws,r=" CLIENT_NONCE "ABCDEFGHIJKLMNOPQRSTUVWY" PROOF, ERR_PROTOCOL},
		{"c=biws,r=" PROOF, ERR_PROTOCOL},
		{"c=biws" PROOF, ERR_PROTOCOL},
	};
	const struct scram_keys keys = keys_of("x", "salt", 1);
	struct scram_message out;
	struct scram_server s;

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		assert_int_equal(
			server_first(&s, "n,,n=,r=" CLIENT_NONCE, 32, &keys, SERVER_NONCE, &out),
			0);
		assert_int_equal(
			server_final(&s, rows[i].text, strlen(rows[i].text), &keys, 1, &out),
			rows[i].rc);
		assert_int_equal(s.state, SCRAM_FAILED);
		assert_string_equal(s.fault.sqlstate, rows[i].rc == ERR_AUTH ? "28P01" : "08P01");
	}
	/* the flag 'y' needs its own header in the final message */
	assert_int_equal(
		server_first(&s, "y,,n=,r=" CLIENT_NONCE, 32, &keys, SERVER_NONCE, &out), 0);
	assert_int_equal(
		server_final(&s, FINAL PROOF, strlen(FINAL PROOF), &keys, 1, &out), ERR_PROTOCOL);
	assert_int_equal(
		server_first(&s, "y,,n=,r=" CLIENT_NONCE, 32, &keys, SERVER_NONCE, &out), 0);
	assert_int_equal(server_final(&s, "c=eSws,r=" CLIENT_NONCE SERVER_NONCE PROOF,
				 strlen(FINAL PROOF), &keys, 1, &out),
		ERR_AUTH);
}

static int client_continue(struct scram_client *c, const char *text, size_t len)
{
	struct scram_message out;
	char *copy = malloc(len > 0 ? len : 1);
	int rc;

	memcpy(copy, text, len);
	scram_client_first(c, CLIENT_NONCE, &out);
	rc = scram_client_continue(c, copy, len);
	free(copy);
	return rc;
}

static void challenge_is_checked(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{"r=" CLIENT_NONCE "y,s=QUJD,i=4096", 0},
		{"r=" CLIENT_NONCE "y,s=QUJD,i=10000000,a=ext", 0},
		{"m=ext,r=" CLIENT_NONCE "y,s=QUJD,i=4096", ERR_UNSUPPORTED},
		{"r=" CLIENT_NONCE ",s=QUJD,i=4096", ERR_PROTOCOL}, /* nothing of the server's */
		{"r=" SERVER_NONCE CLIENT_NONCE ",s=QUJD,i=4096", ERR_PROTOCOL},
		{"r=abc,s=QUJD,i=4096", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y\xFF,s=QUJD,i=4096", ERR_PROTOCOL},
		{"", ERR_PROTOCOL},
		{"e=other-error", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,s=,i=4096", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,s=QUJ,i=4096", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,i=4096,s=QUJD", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,s=QUJD", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,s=QUJD,i=", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,s=QUJD,i=0", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,s=QUJD,i=-1", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,s=QUJD,i=4096x", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,s=QUJD,i=4096,", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,s=QUJD,i=4096,m=x", ERR_PROTOCOL},
		{"r=" CLIENT_NONCE "y,s=QUJD,i=10000001", ERR_TOO_LONG},
		{"r=" CLIENT_NONCE "y,s=QUJD,i=4294967296", ERR_TOO_LONG},
		{"r=" CLIENT_NONCE "y,s="
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		 "AAAAAAA"
		 ",i=1",
			ERR_TOO_LONG},
	};
	char text[SCRAM_MESSAGE_MAX + 1];
	struct scram_client c;

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		assert_int_equal(
			client_continue(&c, rows[i].text, strlen(rows[i].text)), rows[i].rc);
		assert_int_equal(c.state, rows[i].rc == 0 ? SCRAM_CHALLENGED : SCRAM_FAILED);
		if (rows[i].rc < 0)
			assert_true(c.fault.message[0] != '\0');
	}
	assert_int_equal(client_continue(&c, "r=" CLIENT_NONCE "y,s=QUJD,i=1\0", 39), ERR_PROTOCOL);

	memset(text, 'x', sizeof text);
	memcpy(text, "r=" CLIENT_NONCE, 26);
	memcpy(text + 2 + SCRAM_PEER_NONCE_MAX, ",s=QUJD,i=1", 11);
	assert_int_equal(client_continue(&c, text, 2 + SCRAM_PEER_NONCE_MAX + 11), 0);
	text[2 + SCRAM_PEER_NONCE_MAX] = 'x';
	memcpy(text + 3 + SCRAM_PEER_NONCE_MAX, ",s=QUJD,i=1", 11);
	assert_int_equal(client_continue(&c, text, 3 + SCRAM_PEER_NONCE_MAX + 11), ERR_TOO_LONG);
	memcpy(text, "r=" CLIENT_NONCE "y,s=QUJD,i=1,x=", 41);
	memset(text + 41, 'x', sizeof text - 41);
	assert_int_equal(client_continue(&c, text, SCRAM_MESSAGE_MAX), 0);
	assert_int_equal(client_continue(&c, text, SCRAM_MESSAGE_MAX + 1), ERR_PROTOCOL);
}

static void keys_for_another_challenge_are_not_used(void **state)
{
	const struct scram_keys good = keys_of("x", "ABC", 2);
	struct scram_keys keys = good;
	struct scram_message out;
	struct scram_client c;

	(void)state;
	assert_int_equal(client_continue(&c, "r=" CLIENT_NONCE "y,s=QUJD,i=2", 38), 0);
	keys.iterations = 3;
	assert_int_equal(scram_client_final(&c, &keys, &out), ERR_INVALID);
	keys = good;
	keys.salt[0] ^= 1;
	assert_int_equal(scram_client_final(&c, &keys, &out), ERR_INVALID);
	keys = good;
	keys.salt_len = 2;
	assert_int_equal(scram_client_final(&c, &keys, &out), ERR_INVALID);
	keys = good;
	keys.has_client_key = false; /* a stored hash alone cannot log in */
	assert_int_equal(scram_client_final(&c, &keys, &out), ERR_INVALID);
	assert_int_equal(c.state, SCRAM_CHALLENGED);
	assert_int_equal(scram_client_final(&c, &good, &out), 0);
}

static void server_must_prove_itself(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{"e=invalid-proof", ERR_AUTH},
		{"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
			ERR_AUTH}, /* not its signature */
		{"", ERR_PROTOCOL},
		{"v=", ERR_PROTOCOL},
		{"v=AAAA", ERR_PROTOCOL},
		{"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ERR_PROTOCOL},
		{"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,", ERR_PROTOCOL},
		{"x=AAAA", ERR_PROTOCOL},
	};
	const struct scram_keys keys = keys_of("x", "salt", 1);
	struct scram_message out;
	struct scram_server s;
	struct scram_client c;

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		size_t len = strlen(rows[i].text);
		char *copy = malloc(len > 0 ? len : 1);

		memcpy(copy, rows[i].text, len);
		meet(&c, &keys, &s, &keys, &out);
		assert_int_equal(scram_client_verify(&c, copy, len), rows[i].rc);
		assert_int_equal(c.state, SCRAM_FAILED);
		free(copy);
	}
}

/* Every message of a good login, cut anywhere, is refused or at least never accepted as a login. */
static void truncation_never_logs_in(void **state)
{
	const struct scram_keys keys = keys_of("x", "salt", 1);
	struct scram_message first, challenge, final, last, out;
	struct scram_server s, s_at_final;
	struct scram_client c;

	(void)state;
	scram_client_first(&c, CLIENT_NONCE, &first);
	assert_int_equal(
		server_first(&s, first.text, first.len, &keys, SERVER_NONCE, &challenge), 0);
	s_at_final = s;
	assert_int_equal(scram_client_continue(&c, challenge.text, challenge.len), 0);
	assert_int_equal(scram_client_final(&c, &keys, &final), 0);
	assert_int_equal(server_final(&s, final.text, final.len, &keys, 1, &last), 0);

	for (size_t len = 0; len < first.len; len++) {
		/* a shorter nonce is still one */
		int rc = server_first(&s, first.text, len, &keys, SERVER_NONCE, &out);

		assert_int_equal(rc, len > strlen("n,,n=,r=") ? 0 : ERR_PROTOCOL);
	}
	for (size_t len = 0; len < final.len; len++) {
		s = s_at_final;
		assert_int_equal(server_final(&s, final.text, len, &keys, 1, &out), ERR_PROTOCOL);
	}
	for (size_t len = 0; len < challenge.len - 1; len++)
		assert_int_equal(client_continue(&c, challenge.text, len), ERR_PROTOCOL);
	for (size_t len = 0; len < last.len; len++) {
		meet(&c, &keys, &s, &keys, &out);
		assert_int_equal(scram_client_verify(&c, last.text, len), ERR_PROTOCOL);
	}
}

/* No single changed byte of the client's last message is accepted. */
static void every_changed_byte_is_refused(void **state)
{
	const struct scram_keys keys = keys_of("x", "salt", 1);
	struct scram_server s, s_at_final;
	struct scram_message final, out;
	struct scram_client c;

	(void)state;
	scram_client_first(&c, CLIENT_NONCE, &out);
	assert_int_equal(
		server_first(&s_at_final, out.text, out.len, &keys, SERVER_NONCE, &out), 0);
	assert_int_equal(scram_client_continue(&c, out.text, out.len), 0);
	assert_int_equal(scram_client_final(&c, &keys, &final), 0);
	for (size_t i = 0; i < final.len; i++) {
		for (unsigned bit = 1; bit < 256; bit <<= 1) {
			struct scram_message changed = final;

			changed.text[i] ^= (char)bit;
			s = s_at_final;
			assert_true(
				server_final(&s, changed.text, changed.len, &keys, 1, &out) < 0);
		}
	}
	s = s_at_final;
	assert_int_equal(server_final(&s, final.text, final.len, &keys, 1, &out), 0);
}

static void nonce_is_printable(void **state)
{
	uint8_t raw[SCRAM_NONCE_RAW_BYTES];
	char nonce[SCRAM_NONCE_LEN + 1];

	(void)state;
	memset(raw, 0xFF, sizeof raw);
	scram_nonce_format(raw, nonce);
	assert_string_equal(nonce, "////////////////////////");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_keeps_the_example),
		cmocka_unit_test(client_keeps_the_example),
		cmocka_unit_test(sides_agree),
		cmocka_unit_test(wrong_password_is_refused),
		cmocka_unit_test(any_of_several_passwords_is_good),
		cmocka_unit_test(recovered_key_logs_in),
		cmocka_unit_test(mock_users_look_like_others),
		cmocka_unit_test(client_first_is_checked),
		cmocka_unit_test(nonces_and_messages_are_bounded),
		cmocka_unit_test(client_final_is_checked),
		cmocka_unit_test(challenge_is_checked),
		cmocka_unit_test(keys_for_another_challenge_are_not_used),
		cmocka_unit_test(server_must_prove_itself),
		cmocka_unit_test(truncation_never_logs_in),
		cmocka_unit_test(every_changed_byte_is_refused),
		cmocka_unit_test(nonce_is_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
