/* password_message: what a client answers to a request for authentication (message 'p'), read from clients and written to
 * servers. The message's meaning depends on what was asked, so there is one function for each.
 *
 * Pure functions; what is read borrows the body, and a password in it is the caller's to wipe.
 * Source: PostgreSQL manual, "Message Formats" (PasswordMessage, SASLInitialResponse, SASLResponse).
 */
#ifndef PGRING_PROTOCOL_PASSWORD_MESSAGE_H
#define PGRING_PROTOCOL_PASSWORD_MESSAGE_H

#include "core/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer;

/* Bounds of the body, to be applied before it is waited for; PostgreSQL's own. */
enum {
	PASSWORD_MESSAGE_CLEARTEXT_MAX = 65535, /* PG_MAX_AUTH_TOKEN_LENGTH */
	PASSWORD_MESSAGE_SASL_MAX = 1024,       /* PG_MAX_SASL_MESSAGE_LENGTH */
};

/* Reads a password or an MD5 response. Returns 0; ERR_PROTOCOL unless the body is one NUL-terminated string; ERR_AUTH if it is
 * empty, which PostgreSQL never accepts. *ret_len does not count the NUL. */
must_check int password_message_read(
	const void *body, size_t len, const char **ret_password, size_t *ret_len);

struct password_message_sasl {
	const char *mechanism;
	/* NULL if the client sent no initial response: answer with an empty SASLContinue */
	const uint8_t *data;
	size_t data_len;
};

/* Reads a SASLInitialResponse. Returns 0 or ERR_PROTOCOL. */
must_check int password_message_read_sasl_initial(
	const void *body, size_t len, struct password_message_sasl *ret);

/* Reads a SASLResponse: the body is the data. Returns 0, or ERR_PROTOCOL if it is longer than PASSWORD_MESSAGE_SASL_MAX. */
must_check int password_message_read_sasl(
	const void *body, size_t len, const uint8_t **ret_data, size_t *ret_len);

/* Writes a password, or an MD5 response. */
void password_message_write(struct writer *w, const char *password);

void password_message_write_sasl_initial(
	struct writer *w, const char *mechanism, const void *data, size_t len);
void password_message_write_sasl(struct writer *w, const void *data, size_t len);

#endif
