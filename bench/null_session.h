/* null_session: one connection to the null server, from the startup packet on: bytes in, answers
 * out. No sockets here.
 *
 * Owner: the null server's connection, which embeds it. Thread: one. Memory: what the client
 * prepared or bound; freed by null_session_end(). Source: PostgreSQL manual, "Frontend/Backend
 * Protocol", "Message Flow".
 *
 *   STARTUP -> READY <-> COPY_IN
 *                    <-> BULK      rows are being sent: null_session_pump(), nothing is read
 *   any of them -> CLOSED          by Terminate, a cancel request or a violation of the protocol
 */
#ifndef PGRING_BENCH_NULL_SESSION_H
#define PGRING_BENCH_NULL_SESSION_H

#include "bench/null_store.h"
#include "bench/wire.h"

enum null_session_phase {
	NULL_SESSION_STARTUP,
	NULL_SESSION_READY,
	NULL_SESSION_COPY_IN,
	NULL_SESSION_BULK,
	NULL_SESSION_CLOSED,
};

/* What all sessions of a server share. */
struct null_session_shared {
	uint64_t wrong_every; /* every so many answers one is made wrong; 0: none */
	uint64_t answers, queries;
	uint32_t last_id;
};

/* Rows on their way out. */
struct null_session_bulk {
	struct wire_rows rows;
	uint64_t numbered; /* rows put into a block so far */
	uint64_t total;
	size_t block_len, block_sent;
	char tag[24];
	bool copy, simple;
};

struct null_session {
	enum null_session_phase phase;
	struct null_session_shared *shared;
	struct wire_buf *out; /* where answers go; lent by the caller */
	char transaction;     /* as ReadyForQuery says it */
	bool skip_to_sync;    /* an error in the extended protocol */
	bool copy_simple; /* COPY IN came as a simple query: CopyDone ends it with ReadyForQuery */
	bool copy_numbered;
	uint64_t copy_rows;
	uint64_t skip_bytes;   /* of a message whose contents do not matter */
	struct wire_rows copy; /* its block is made with the first row */
	struct null_store store;
	struct null_session_bulk *bulk; /* in phase BULK */
};

/* `session` is zeroed; `shared` and `out` must outlive it. */
void null_session_start(
	struct null_session *session, struct null_session_shared *shared, struct wire_buf *out);
void null_session_end(struct null_session *session);

/* Handles one message, or a part of CopyData, at the start of `bytes` (borrowed). Returns the
 * bytes taken, 0 if more have to come first. Not in the phases BULK and CLOSED. */
size_t null_session_take(struct null_session *session, const uint8_t *bytes, size_t len);

/* In phase BULK: the next rows to be sent (at least one byte), owned by the session. When all
 * have been sent, *ret_len is 0, the end of the answer is in `out` and the phase is READY again. */
const uint8_t *null_session_rows(struct null_session *session, size_t *ret_len);
/* So many of them have been sent. */
void null_session_rows_sent(struct null_session *session, size_t len);

#endif
