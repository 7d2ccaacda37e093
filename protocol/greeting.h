/* greeting: what a server says between the login and the first query, written for clients and read from servers.
 *
 * Pure functions; what is read borrows the body (what follows a message's length). Source: PostgreSQL manual, "Message Formats"
 * (NegotiateProtocolVersion, BackendKeyData, ParameterStatus, ReadyForQuery).
 */
#ifndef PGRING_PROTOCOL_GREETING_H
#define PGRING_PROTOCOL_GREETING_H

#include "core/check.h"
#include "protocol/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct startup;
struct writer;

/* Whether the client must be told, before its login, that it does not get all it asked for. */
bool greeting_must_negotiate(const struct startup *s);

/* NegotiateProtocolVersion: the version agreed on and the protocol options that are not known. */
void greeting_write_negotiate(struct writer *w, const struct startup *s);

/* BackendKeyData. `key_len` is STARTUP_KEY_MIN..STARTUP_KEY_MAX, and 4 for a client that speaks less than 3.2. */
void greeting_write_key(struct writer *w, uint32_t pid, const uint8_t *key, size_t key_len);

/* ParameterStatus. */
void greeting_write_parameter(struct writer *w, const char *name, const char *value);

/* ReadyForQuery; `status` is 'I', 'T' or 'E'. */
void greeting_write_ready(struct writer *w, char status);

struct greeting_negotiate {
	uint16_t minor;      /* the newest minor version the server speaks */
	uint32_t count;      /* protocol options it does not know */
	struct reader names; /* read their names with reader_cstring() */
};

/* Returns 0, or ERR_PROTOCOL: malformed, or not protocol 3. A server that sends a bare minor version is understood. */
must_check int greeting_read_negotiate(
	const void *body, size_t len, struct greeting_negotiate *ret);

struct greeting_key {
	uint32_t pid;
	const uint8_t *key;
	size_t key_len; /* STARTUP_KEY_MIN..STARTUP_KEY_MAX */
};

/* Returns 0 or ERR_PROTOCOL. */
must_check int greeting_read_key(const void *body, size_t len, struct greeting_key *ret);

/* Returns 0 or ERR_PROTOCOL. */
must_check int greeting_read_parameter(
	const void *body, size_t len, const char **ret_name, const char **ret_value);

/* Returns 0, or ERR_PROTOCOL if the body is not one of 'I', 'T', 'E'. */
must_check int greeting_read_ready(const void *body, size_t len, char *ret_status);

#endif
