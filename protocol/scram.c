/* SCRAM-SHA-256, both sides.
 *
 *   server: START -> CHALLENGED -> DONE          client: START -> CHALLENGED -> PROVEN -> DONE
 *             \----------\-------> FAILED                   \---------\---------\-----> FAILED
 */
#include "protocol/scram.h"

#include "core/errors.h"
#include "protocol/sqlstate.h"

#include <stdio.h>
#include <string.h>

/* A message being read: attributes `x=value` with commas between them. */
struct attributes {
	const char *at, *end;
	bool more; /* a comma came last, so another attribute must follow */
};

static const char unreadable[] = "The message is empty, too long, or has a NUL in it.";

static int fail(enum scram_state *state, struct fault *fault, int err, const char *sqlstate,
	const char *message, const char *detail);
static int malformed(enum scram_state *state, struct fault *fault, const char *detail);
static bool attributes_init(struct attributes *a, const char *message, size_t len);
static bool read_attribute(struct attributes *a, char name, const char **ret, size_t *ret_len);
static bool read_any_attribute(
	struct attributes *a, char *ret_name, const char **ret, size_t *ret_len);
static bool is_printable(const char *text, size_t len);
static void transcript_add(struct scram_transcript *t, const char *text, size_t len);
static int server_read_first(struct scram_server *s, struct attributes *a, const char **ret_nonce,
	size_t *ret_nonce_len);
static int server_read_final(
	struct scram_server *s, struct attributes *a, uint8_t ret_proof[CRYPTO_SHA256_BYTES]);
static bool server_check_proof(struct scram_server *s, const uint8_t proof[CRYPTO_SHA256_BYTES],
	const struct scram_keys *keys, size_t count);
static int client_read_challenge(struct scram_client *c, struct attributes *a);
static void message_add(struct scram_message *m, const char *text, size_t len);
static void message_add_base64(struct scram_message *m, const void *bytes, size_t len);
static void sign(const uint8_t key[CRYPTO_SHA256_BYTES], const struct scram_transcript *t,
	uint8_t ret[CRYPTO_SHA256_BYTES]);

void scram_nonce_format(
	const uint8_t raw[SCRAM_NONCE_RAW_BYTES], char ret_nonce[SCRAM_NONCE_LEN + 1])
{
	size_t len;
	int rc = crypto_base64_encode(
		raw, SCRAM_NONCE_RAW_BYTES, ret_nonce, SCRAM_NONCE_LEN + 1, &len);

	CHECK(rc == 0 && len == SCRAM_NONCE_LEN);
}

void scram_user_salt(const uint8_t secret[SCRAM_SECRET_BYTES], const char *user,
	uint8_t ret_salt[SECRET_SALT_BYTES])
{
	uint8_t digest[CRYPTO_SHA256_BYTES];

	_Static_assert((int)SECRET_SALT_BYTES <= (int)CRYPTO_SHA256_BYTES,
		"a digest is enough for a salt");
	crypto_hmac_sha256(secret, SCRAM_SECRET_BYTES, user, strlen(user), digest);
	memcpy(ret_salt, digest, SECRET_SALT_BYTES);
}

void scram_mock_keys(const uint8_t secret[SCRAM_SECRET_BYTES], const char *user,
	uint32_t iterations, struct scram_keys *ret)
{
	*ret = (struct scram_keys){
		.iterations = iterations, .salt_len = SECRET_SALT_BYTES, .is_mock = true};
	scram_user_salt(secret, user, ret->salt);
}

void scram_server_init(struct scram_server *s)
{
	*s = (struct scram_server){.state = SCRAM_START};
}

int scram_server_first(struct scram_server *s, const void *message, size_t len,
	const struct scram_keys *keys, const char *nonce, struct scram_message *ret)
{
	struct attributes a;
	const char *client_nonce;
	size_t client_nonce_len, nonce_len = strlen(nonce);
	char iterations[16];
	int rc;

	CHECK(s->state == SCRAM_START);
	CHECK(nonce_len >= SCRAM_NONCE_MIN && nonce_len <= SCRAM_NONCE_MAX);
	CHECK(is_printable(nonce, nonce_len));
	CHECK(keys->salt_len >= 1 && keys->salt_len <= SECRET_SALT_MAX);
	CHECK(keys->iterations >= 1 && keys->iterations <= SECRET_ITERATIONS_MAX);

	if (!attributes_init(&a, message, len))
		return malformed(&s->state, &s->fault, unreadable);
	rc = server_read_first(s, &a, &client_nonce, &client_nonce_len);
	if (rc < 0)
		return rc;

	ret->len = 0;
	message_add(ret, "r=", 2);
	message_add(ret, client_nonce, client_nonce_len);
	message_add(ret, nonce, nonce_len);
	message_add(ret, ",s=", 3);
	message_add_base64(ret, keys->salt, keys->salt_len);
	snprintf(iterations, sizeof iterations, ",i=%u", keys->iterations);
	message_add(ret, iterations, strlen(iterations));

	transcript_add(&s->transcript, ",", 1);
	s->nonce_at = (uint16_t)(s->transcript.len + 2);
	s->nonce_len = (uint16_t)(client_nonce_len + nonce_len);
	transcript_add(&s->transcript, ret->text, ret->len);
	s->state = SCRAM_CHALLENGED;
	return 0;
}

/* gs2-header client-first-message-bare; the latter goes to the transcript. */
static int server_read_first(
	struct scram_server *s, struct attributes *a, const char **ret_nonce, size_t *ret_nonce_len)
{
	const char *value;
	size_t value_len;
	char name;

	s->gs2_flag = *a->at;
	if (s->gs2_flag == 'p')
		return fail(&s->state, &s->fault, ERR_UNSUPPORTED, SQLSTATE_PROTOCOL_VIOLATION,
			"malformed SCRAM message",
			"The client selected SCRAM-SHA-256 without channel binding, but the SCRAM "
			"message "
			"includes channel binding data.");
	if ((s->gs2_flag != 'n' && s->gs2_flag != 'y') || a->end - a->at < 3 || a->at[1] != ',')
		return malformed(&s->state, &s->fault, "Unexpected channel-binding flag.");
	if (a->at[2] == 'a')
		return fail(&s->state, &s->fault, ERR_UNSUPPORTED, SQLSTATE_FEATURE_NOT_SUPPORTED,
			"client uses authorization identity, but it is not supported", NULL);
	if (a->at[2] != ',')
		return malformed(
			&s->state, &s->fault, "Unexpected attribute in client-first-message.");
	a->at += 3;

	transcript_add(&s->transcript, a->at, (size_t)(a->end - a->at));
	if (a->at < a->end && *a->at == 'm')
		return fail(&s->state, &s->fault, ERR_UNSUPPORTED, SQLSTATE_FEATURE_NOT_SUPPORTED,
			"client requires an unsupported SCRAM extension", NULL);
	if (!read_attribute(a, 'n', &value, &value_len))
		return malformed(
			&s->state, &s->fault, "Expected attribute \"n\" with the user name.");
	if (!read_attribute(a, 'r', ret_nonce, ret_nonce_len))
		return malformed(&s->state, &s->fault, "Expected attribute \"r\" with the nonce.");
	if (*ret_nonce_len == 0 || !is_printable(*ret_nonce, *ret_nonce_len))
		return fail(&s->state, &s->fault, ERR_PROTOCOL, SQLSTATE_PROTOCOL_VIOLATION,
			"non-printable characters in SCRAM nonce", NULL);
	if (*ret_nonce_len > SCRAM_PEER_NONCE_MAX)
		return fail(&s->state, &s->fault, ERR_TOO_LONG, SQLSTATE_PROTOCOL_VIOLATION,
			"SCRAM nonce is too long", NULL);
	while (a->more) {
		if (!read_any_attribute(a, &name, &value, &value_len) || name == 'm')
			return malformed(&s->state, &s->fault,
				"Malformed extension in client-first-message.");
	}
	return 0;
}

int scram_server_final(struct scram_server *s, const void *message, size_t len,
	const struct scram_keys *keys, size_t count, struct scram_message *ret)
{
	uint8_t proof[CRYPTO_SHA256_BYTES], signature[CRYPTO_SHA256_BYTES];
	struct attributes a;
	int rc;

	CHECK(s->state == SCRAM_CHALLENGED);
	CHECK(count >= 1);
	for (size_t i = 1; i < count; i++)
		CHECK(secret_same_challenge(&keys[0], &keys[i]));

	if (!attributes_init(&a, message, len))
		return malformed(&s->state, &s->fault, unreadable);
	rc = server_read_final(s, &a, proof);
	if (rc < 0)
		return rc;
	if (!server_check_proof(s, proof, keys, count))
		return fail(&s->state, &s->fault, ERR_AUTH, SQLSTATE_INVALID_PASSWORD,
			"password authentication failed", NULL);

	sign(keys[s->matched].server_key, &s->transcript, signature);
	ret->len = 0;
	message_add(ret, "v=", 2);
	message_add_base64(ret, signature, sizeof signature);
	s->state = SCRAM_DONE;
	return 0;
}

/* client-final-message-without-proof ",p=" proof; the former goes to the transcript. */
static int server_read_final(
	struct scram_server *s, struct attributes *a, uint8_t ret_proof[CRYPTO_SHA256_BYTES])
{
	const char *message = a->at;
	const char *binding = s->gs2_flag == 'n' ? "biws" : "eSws"; /* base64 of "n,,", "y,," */
	const char *value, *without_proof_end;
	size_t value_len;
	char name;

	if (!read_attribute(a, 'c', &value, &value_len) || value_len != 4 ||
		memcmp(value, binding, 4) != 0)
		return fail(&s->state, &s->fault, ERR_PROTOCOL, SQLSTATE_PROTOCOL_VIOLATION,
			"unexpected SCRAM channel-binding attribute in client-final-message", NULL);
	if (!read_attribute(a, 'r', &value, &value_len) || value_len != s->nonce_len ||
		!crypto_equal(value, s->transcript.text + s->nonce_at, value_len))
		return fail(&s->state, &s->fault, ERR_PROTOCOL, SQLSTATE_PROTOCOL_VIOLATION,
			"invalid SCRAM response", "Nonce does not match.");
	do {
		without_proof_end = a->at - 1;
		if (!read_any_attribute(a, &name, &value, &value_len) || name == 'm')
			return malformed(&s->state, &s->fault,
				"Malformed extension in client-final-message.");
	} while (name != 'p');
	if (a->more)
		return malformed(
			&s->state, &s->fault, "Garbage found at the end of client-final-message.");
	if (crypto_base64_decode(value, value_len, ret_proof, CRYPTO_SHA256_BYTES, &value_len) <
			0 ||
		value_len != CRYPTO_SHA256_BYTES)
		return malformed(&s->state, &s->fault, "Malformed proof in client-final-message.");

	transcript_add(&s->transcript, ",", 1);
	transcript_add(&s->transcript, message, (size_t)(without_proof_end - message));
	return 0;
}

/* ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage); the proof is good if H(ClientKey) is StoredKey. */
static bool server_check_proof(struct scram_server *s, const uint8_t proof[CRYPTO_SHA256_BYTES],
	const struct scram_keys *keys, size_t count)
{
	uint8_t client_key[CRYPTO_SHA256_BYTES], stored_key[CRYPTO_SHA256_BYTES];
	bool found = false;

	for (size_t k = 0; k < count; k++) {
		sign(keys[k].stored_key, &s->transcript, client_key);
		for (size_t i = 0; i < sizeof client_key; i++)
			client_key[i] ^= proof[i];
		crypto_sha256(client_key, sizeof client_key, stored_key);
		if (crypto_equal(stored_key, keys[k].stored_key, sizeof stored_key) &&
			!keys[k].is_mock && !found) {
			found = true;
			s->matched = k;
			memcpy(s->client_key, client_key, sizeof client_key);
		}
	}
	crypto_wipe(client_key, sizeof client_key);
	return found;
}

void scram_client_first(struct scram_client *c, const char *nonce, struct scram_message *ret)
{
	size_t nonce_len = strlen(nonce);

	CHECK(nonce_len >= SCRAM_NONCE_MIN && nonce_len <= SCRAM_NONCE_MAX);
	CHECK(is_printable(nonce, nonce_len));
	*c = (struct scram_client){.state = SCRAM_START, .nonce_len = (uint16_t)nonce_len};
	memcpy(c->nonce, nonce, nonce_len);

	ret->len = 0;
	message_add(ret, "n,,n=,r=", 8);
	message_add(ret, nonce, nonce_len);
	transcript_add(&c->transcript, ret->text + 3, ret->len - 3);
}

int scram_client_continue(struct scram_client *c, const void *message, size_t len)
{
	struct attributes a;
	int rc;

	CHECK(c->state == SCRAM_START);
	if (!attributes_init(&a, message, len))
		return malformed(&c->state, &c->fault, unreadable);
	rc = client_read_challenge(c, &a);
	if (rc < 0)
		return rc;
	transcript_add(&c->transcript, ",", 1);
	transcript_add(&c->transcript, message, len);
	c->state = SCRAM_CHALLENGED;
	return 0;
}

/* "r=" nonce ",s=" salt ",i=" iterations [extensions] */
static int client_read_challenge(struct scram_client *c, struct attributes *a)
{
	const char *value;
	size_t len;
	char name;
	int rc;

	if (*a->at == 'm')
		return fail(&c->state, &c->fault, ERR_UNSUPPORTED, SQLSTATE_FEATURE_NOT_SUPPORTED,
			"server requires an unsupported SCRAM extension", NULL);
	if (!read_attribute(a, 'r', &value, &len) || !is_printable(value, len))
		return malformed(&c->state, &c->fault, "Expected attribute \"r\" with the nonce.");
	if (len <= c->nonce_len || !crypto_equal(value, c->nonce, c->nonce_len))
		return fail(&c->state, &c->fault, ERR_PROTOCOL, SQLSTATE_PROTOCOL_VIOLATION,
			"invalid SCRAM response", "Nonce does not match.");
	if (len > sizeof c->nonce)
		return fail(&c->state, &c->fault, ERR_TOO_LONG, SQLSTATE_PROTOCOL_VIOLATION,
			"SCRAM nonce is too long", NULL);
	memcpy(c->nonce, value, len);
	c->nonce_len = (uint16_t)len;

	if (!read_attribute(a, 's', &value, &len))
		return malformed(&c->state, &c->fault, "Expected attribute \"s\" with the salt.");
	rc = crypto_base64_decode(value, len, c->salt, sizeof c->salt, &c->salt_len);
	if (rc == ERR_TOO_LONG)
		return fail(&c->state, &c->fault, rc, SQLSTATE_PROTOCOL_VIOLATION,
			"SCRAM salt is too long", NULL);
	if (rc < 0 || c->salt_len == 0)
		return malformed(&c->state, &c->fault, "Invalid salt.");

	if (!read_attribute(a, 'i', &value, &len))
		return malformed(
			&c->state, &c->fault, "Expected attribute \"i\" with the iteration count.");
	rc = secret_parse_iterations(value, len, &c->iterations);
	if (rc == ERR_TOO_LONG)
		return fail(&c->state, &c->fault, rc, SQLSTATE_PROTOCOL_VIOLATION,
			"SCRAM iteration count is too high", NULL);
	if (rc < 0)
		return malformed(&c->state, &c->fault, "Invalid iteration count.");
	while (a->more) {
		if (!read_any_attribute(a, &name, &value, &len) || name == 'm')
			return malformed(&c->state, &c->fault,
				"Malformed extension in server-first-message.");
	}
	return 0;
}

int scram_client_final(
	struct scram_client *c, const struct scram_keys *keys, struct scram_message *ret)
{
	uint8_t proof[CRYPTO_SHA256_BYTES];

	CHECK(c->state == SCRAM_CHALLENGED);
	if (!keys->has_client_key || keys->iterations != c->iterations ||
		keys->salt_len != c->salt_len || memcmp(keys->salt, c->salt, c->salt_len) != 0)
		return ERR_INVALID;

	ret->len = 0;
	message_add(ret, "c=biws,r=", 9);
	message_add(ret, c->nonce, c->nonce_len);
	transcript_add(&c->transcript, ",", 1);
	transcript_add(&c->transcript, ret->text, ret->len);

	sign(keys->stored_key, &c->transcript, proof);
	for (size_t i = 0; i < sizeof proof; i++)
		proof[i] ^= keys->client_key[i];
	message_add(ret, ",p=", 3);
	message_add_base64(ret, proof, sizeof proof);
	sign(keys->server_key, &c->transcript, c->server_signature);
	c->state = SCRAM_PROVEN;
	return 0;
}

int scram_client_verify(struct scram_client *c, const void *message, size_t len)
{
	struct attributes a;
	uint8_t signature[CRYPTO_SHA256_BYTES];
	const char *value;
	size_t value_len;
	char name;

	CHECK(c->state == SCRAM_PROVEN);
	if (!attributes_init(&a, message, len))
		return malformed(&c->state, &c->fault, unreadable);
	if (read_attribute(&a, 'e', &value, &value_len))
		return fail(&c->state, &c->fault, ERR_AUTH, SQLSTATE_INVALID_PASSWORD,
			"the server reported an error in the SCRAM exchange", NULL);
	if (!read_attribute(&a, 'v', &value, &value_len) ||
		crypto_base64_decode(value, value_len, signature, sizeof signature, &value_len) <
			0 ||
		value_len != sizeof signature)
		return malformed(&c->state, &c->fault, "Invalid server signature.");
	while (a.more) {
		if (!read_any_attribute(&a, &name, &value, &value_len) || name == 'm')
			return malformed(&c->state, &c->fault,
				"Malformed extension in server-final-message.");
	}
	if (!crypto_equal(signature, c->server_signature, sizeof signature))
		return fail(&c->state, &c->fault, ERR_AUTH, SQLSTATE_INVALID_PASSWORD,
			"incorrect server signature", NULL);
	c->state = SCRAM_DONE;
	return 0;
}

static int fail(enum scram_state *state, struct fault *fault, int err, const char *sqlstate,
	const char *message, const char *detail)
{
	*state = SCRAM_FAILED;
	*fault = (struct fault){
		.severity = "FATAL", .sqlstate = sqlstate, .message = message, .detail = detail};
	return err;
}

static int malformed(enum scram_state *state, struct fault *fault, const char *detail)
{
	return fail(state, fault, ERR_PROTOCOL, SQLSTATE_PROTOCOL_VIOLATION,
		"malformed SCRAM message", detail);
}

static bool attributes_init(struct attributes *a, const char *message, size_t len)
{
	if (len == 0 || len > SCRAM_MESSAGE_MAX || memchr(message, 0, len) != NULL)
		return false;
	a->at = message;
	a->end = message + len;
	a->more = true;
	return true;
}

/* Reads the attribute that must come next. Changes nothing if another one does. */
static bool read_attribute(struct attributes *a, char name, const char **ret, size_t *ret_len)
{
	char found;

	if (a->at == a->end || *a->at != name)
		return false;
	return read_any_attribute(a, &found, ret, ret_len);
}

static bool read_any_attribute(
	struct attributes *a, char *ret_name, const char **ret, size_t *ret_len)
{
	const char *at = a->at, *comma;
	char name;

	if (!a->more || a->end - at < 2 || at[1] != '=')
		return false;
	name = at[0];
	if (!(name >= 'A' && name <= 'Z') && !(name >= 'a' && name <= 'z'))
		return false;
	at += 2;
	comma = memchr(at, ',', (size_t)(a->end - at));
	*ret_name = name;
	*ret = at;
	*ret_len = (size_t)((comma != NULL ? comma : a->end) - at);
	a->more = comma != NULL;
	a->at = comma != NULL ? comma + 1 : a->end;
	return true;
}

/* RFC 5802: printable = %x21-2B / %x2D-7E */
static bool is_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] < 0x21 || text[i] > 0x7E || text[i] == ',')
			return false;
	}
	return true;
}

/* The bounds of the messages keep their sum within the transcript. */
static void transcript_add(struct scram_transcript *t, const char *text, size_t len)
{
	CHECK(len <= sizeof t->text - t->len);
	memcpy(t->text + t->len, text, len);
	t->len += len;
}

static void message_add(struct scram_message *m, const char *text, size_t len)
{
	CHECK(len <= sizeof m->text - m->len);
	memcpy(m->text + m->len, text, len);
	m->len += len;
}

static void message_add_base64(struct scram_message *m, const void *bytes, size_t len)
{
	char text[CRYPTO_BASE64_LEN(SECRET_SALT_MAX) + 1];
	size_t text_len;
	int rc = crypto_base64_encode(bytes, len, text, sizeof text, &text_len);

	CHECK(rc == 0);
	message_add(m, text, text_len);
}

static void sign(const uint8_t key[CRYPTO_SHA256_BYTES], const struct scram_transcript *t,
	uint8_t ret[CRYPTO_SHA256_BYTES])
{
	crypto_hmac_sha256(key, CRYPTO_SHA256_BYTES, t->text, t->len, ret);
}
