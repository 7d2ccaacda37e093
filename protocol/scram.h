/* scram: the exchange of SCRAM-SHA-256, as the server that a client logs in to and as the client of a PostgreSQL server.
 *
 * Owner: a login. Thread: that login's core; everything here is fast (a few HMACs), what is slow is secret_derive_scram().
 * Memory: the structs below, which have no pointers into themselves; random bytes come from the caller. Wipe the structs
 * (crypto_wipe) when the login ends.
 * Source: RFC 5802 and RFC 7677; what PostgreSQL does differently (manual, "SASL Authentication"): the user name in the messages
 * is ignored, the start-up packet has it.
 *
 *     client                      server
 *     scram_client_first     ->   scram_server_first
 *     scram_client_continue  <-
 *     scram_client_final     ->   scram_server_final
 *     scram_client_verify    <-
 *
 * Several passwords. A user may have more than one. The challenge has room for one salt, so all candidates of a user must share
 * salt and iteration count: derive the keys of plain passwords with the salt and iterations of the user's first stored hash or,
 * without one, with scram_user_salt(). A stored hash with another salt cannot take part.
 *
 * Users who do not exist get scram_mock_keys(): the same salt every time, as an existing user would, the same work, and a
 * failure that looks like a wrong password.
 *
 * No channel binding yet: SCRAM-SHA-256-PLUS must not be offered, and a client that sends channel-binding data is refused.
 */
#ifndef PGRING_PROTOCOL_SCRAM_H
#define PGRING_PROTOCOL_SCRAM_H

#include "core/check.h"
#include "protocol/crypto.h"
#include "protocol/fault.h"
#include "protocol/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SCRAM_MESSAGE_MAX = 1024, /* PG_MAX_SASL_MESSAGE_LENGTH */
	SCRAM_NONCE_RAW_BYTES = 18,
	SCRAM_NONCE_LEN = CRYPTO_BASE64_LEN(SCRAM_NONCE_RAW_BYTES),
	SCRAM_NONCE_MIN = 16, /* of our own nonces */
	SCRAM_NONCE_MAX = 64,
	SCRAM_PEER_NONCE_MAX = 256,
	/* "r=" both nonces ",s=" salt ",i=" iterations */
	SCRAM_NONCES_MAX = SCRAM_PEER_NONCE_MAX + SCRAM_NONCE_MAX,
	SCRAM_SERVER_FIRST_MAX =
		2 + SCRAM_NONCES_MAX + 3 + SECRET_SALT_LEN_MAX + 3 + SECRET_ITERATIONS_LEN,
	/* RFC 5802's AuthMessage: client-first-bare "," server-first "," client-final-without-proof */
	SCRAM_TRANSCRIPT_MAX = 3 * SCRAM_MESSAGE_MAX,
	SCRAM_SECRET_BYTES = 32,
};
_Static_assert(SCRAM_SERVER_FIRST_MAX <= SCRAM_MESSAGE_MAX, "our own messages keep the bound");

/* A message to send. */
struct scram_message {
	size_t len;
	char text[SCRAM_MESSAGE_MAX];
};

/* What both sides sign. */
struct scram_transcript {
	size_t len;
	char text[SCRAM_TRANSCRIPT_MAX];
};

enum scram_state {
	SCRAM_START,
	SCRAM_CHALLENGED, /* server: the challenge is out; client: it has come */
	SCRAM_PROVEN,     /* client: the proof is out */
	SCRAM_DONE,
	SCRAM_FAILED,
};

/* A nonce in the printable form of the messages, with a NUL, from random bytes. */
void scram_nonce_format(
	const uint8_t raw[SCRAM_NONCE_RAW_BYTES], char ret_nonce[SCRAM_NONCE_LEN + 1]);

/* A salt for a user that looks random, is the same as long as `secret` is, and differs from user to user. `secret` is random,
 * drawn once per process, and used for nothing else. */
void scram_user_salt(const uint8_t secret[SCRAM_SECRET_BYTES], const char *user,
	uint8_t ret_salt[SECRET_SALT_BYTES]);

/* Keys for a user who does not exist: no proof is ever good. `iterations` is what existing users have. */
void scram_mock_keys(const uint8_t secret[SCRAM_SECRET_BYTES], const char *user,
	uint32_t iterations, struct scram_keys *ret);

/* One login of a client. */
struct scram_server {
	enum scram_state state;
	char gs2_flag;                /* 'n' or 'y', as the client-first-message said */
	uint16_t nonce_at, nonce_len; /* both nonces together, in the transcript */
	struct scram_transcript transcript;
	size_t matched; /* SCRAM_DONE: which of the keys the proof was good for */
	/* SCRAM_DONE: recovered from the proof; logs in to a server that has the same keys */
	uint8_t client_key[CRYPTO_SHA256_BYTES];
	struct fault fault; /* SCRAM_FAILED: why, for the client; static texts */
};

void scram_server_init(struct scram_server *s);

/* Reads the client-first-message and composes the challenge. `keys` is any one of the user's candidates (its salt and iterations
 * are sent); `nonce` is what scram_nonce_format() gives, fresh for each login.
 * Returns 0; or ERR_PROTOCOL, ERR_UNSUPPORTED (channel binding, an authorization identity, a mandatory extension) or ERR_TOO_LONG,
 * with s->fault filled. */
must_check int scram_server_first(struct scram_server *s, const void *message, size_t len,
	const struct scram_keys *keys, const char *nonce, struct scram_message *ret);

/* Reads the client-final-message, checks its proof against all `count` candidates (at least one; the time does not depend on
 * which of them is good) and composes the last message. The candidates share a salt and iteration count, those of the challenge.
 * Returns 0 with s->matched and s->client_key filled; ERR_AUTH if no candidate is good, ERR_PROTOCOL or ERR_UNSUPPORTED, with
 * s->fault filled. */
must_check int scram_server_final(struct scram_server *s, const void *message, size_t len,
	const struct scram_keys *keys, size_t count, struct scram_message *ret);

/* One login to a server. */
struct scram_client {
	enum scram_state state;
	uint16_t nonce_len; /* ours; then both nonces together */
	char nonce[SCRAM_PEER_NONCE_MAX];
	uint32_t iterations; /* from SCRAM_CHALLENGED on: what the keys must be derived with */
	uint8_t salt[SECRET_SALT_MAX];
	size_t salt_len;
	uint8_t server_signature[CRYPTO_SHA256_BYTES]; /* what the server must prove it knows */
	struct scram_transcript transcript;
	struct fault fault; /* SCRAM_FAILED: why, for the log; static texts */
};

/* Composes the client-first-message. `nonce` as in scram_server_first(). */
void scram_client_first(struct scram_client *c, const char *nonce, struct scram_message *ret);

/* Reads the challenge. On success c->salt and c->iterations say which keys are needed; compare with secret_same_challenge() or
 * derive them (SLOW) on a job thread.
 * Returns 0; or ERR_PROTOCOL (malformed, or not our nonce), ERR_UNSUPPORTED or ERR_TOO_LONG (a salt or an iteration count above
 * the bounds of secret.h), with c->fault filled. */
must_check int scram_client_continue(struct scram_client *c, const void *message, size_t len);

/* Composes the client-final-message. `keys` are borrowed for the call.
 * Returns 0, or ERR_INVALID, changing nothing, if the keys are for another salt or iteration count, or have no client key. */
must_check int scram_client_final(
	struct scram_client *c, const struct scram_keys *keys, struct scram_message *ret);

/* Reads the last message: only a server that knows the ServerKey can have signed it.
 * Returns 0; or ERR_AUTH (the server reports an error, or its signature is wrong) or ERR_PROTOCOL, with c->fault filled. */
must_check int scram_client_verify(struct scram_client *c, const void *message, size_t len);

#endif
