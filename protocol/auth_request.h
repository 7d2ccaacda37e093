/* auth_request: what a server asks of a client that logs in (message 'R'), written for clients and read from servers.
 *
 * Pure functions; what is read borrows the body. Source: PostgreSQL manual, "Message Formats" (AuthenticationOk and its
 * siblings) and "SASL Authentication".
 */
#ifndef PGRING_PROTOCOL_AUTH_REQUEST_H
#define PGRING_PROTOCOL_AUTH_REQUEST_H

#include "core/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer;

#define AUTH_REQUEST_SCRAM_SHA_256 "SCRAM-SHA-256"
#define AUTH_REQUEST_SCRAM_SHA_256_PLUS "SCRAM-SHA-256-PLUS"

enum { AUTH_REQUEST_SALT_BYTES = 4 };

/* The numbers of the protocol. */
enum auth_request_kind {
	AUTH_REQUEST_OK = 0,
	AUTH_REQUEST_KERBEROS = 2,
	AUTH_REQUEST_CLEARTEXT = 3,
	AUTH_REQUEST_MD5 = 5,
	AUTH_REQUEST_GSS = 7,
	AUTH_REQUEST_GSS_CONTINUE = 8,
	AUTH_REQUEST_SSPI = 9,
	AUTH_REQUEST_SASL = 10,
	AUTH_REQUEST_SASL_CONTINUE = 11,
	AUTH_REQUEST_SASL_FINAL = 12,
};

struct auth_request {
	enum auth_request_kind kind;
	uint8_t salt[AUTH_REQUEST_SALT_BYTES]; /* MD5 */
	bool offers_scram;                     /* SASL: SCRAM-SHA-256 is in the list */
	bool offers_scram_plus;                /* SASL: SCRAM-SHA-256-PLUS is in the list */
	const uint8_t *data;                   /* SASL_CONTINUE, SASL_FINAL, GSS_CONTINUE */
	size_t data_len;
};

/* Returns 0; ERR_UNSUPPORTED for a method that is not in the enum; ERR_PROTOCOL when malformed. */
must_check int auth_request_parse(const void *body, size_t len, struct auth_request *ret);

void auth_request_write_ok(struct writer *w);
void auth_request_write_cleartext(struct writer *w);
void auth_request_write_md5(struct writer *w, const uint8_t salt[AUTH_REQUEST_SALT_BYTES]);

/* `mechanisms` in order of preference. */
void auth_request_write_sasl(struct writer *w, const char *const *mechanisms, size_t count);

void auth_request_write_sasl_continue(struct writer *w, const void *data, size_t len);
void auth_request_write_sasl_final(struct writer *w, const void *data, size_t len);

#endif
