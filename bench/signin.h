/* signin: the client's answers to PostgreSQL's authentication requests: clear text, MD5,
 * SCRAM-SHA-256.
 *
 * Thread: one. Memory: none of its own; the derived key of the last salt is kept, so that a
 * measurement of logins measures the pooler's arithmetic and not the generator's. Sources:
 * PostgreSQL manual, "Authentication" messages; RFC 5802, RFC 7677.
 */
#ifndef PGRING_BENCH_SIGNIN_H
#define PGRING_BENCH_SIGNIN_H

#include "bench/wire.h"

/* A dialogue that is not finished. Zeroed at the start of a login. */
struct signin {
	char client_first[64]; /* SCRAM: client-first-message-bare */
	uint8_t server_signature[32];
	bool proven; /* SCRAM: the server has shown that it knows the password */
	bool asked;  /* SCRAM was begun */
};

/* Answers one Authentication message (its body). Returns 1 when the server let us in, 0 when the
 * dialogue goes on (an answer may be in `out`), -1 when it cannot: an unknown method, or a
 * server that proves nothing. */
int signin_answer(struct signin *signin, const char *user, const char *password,
	struct wire_reader body, struct wire_buf *out);

#endif
