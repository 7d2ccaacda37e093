/* server_cancel: cancel requests to servers, each on a connection of its own.
 *
 *   QUEUED -> CONNECTING -> SENT -> CLOSING -> freed, or QUEUED again for who came too late for this one
 *
 * Owner: the server; once that is closed, nobody. Thread: the core's. Memory: a slot of the core's slab of cancels.
 * A request means the query that runs when it comes. It is not sent before that query runs (queries of pgring's own may precede
 * it), nor after its end; from its coming until it is over the server's client sends nothing new (lease_is_blocked) and nobody else
 * gets the server, so what is on its way to the server can hit nothing else. A pool of one core has LIMIT_CANCELS such connections
 * at once, the others wait. PostgreSQL closes the connection once the signal is sent.
 * Source: PostgreSQL manual, "Canceling Requests in Progress".
 */
#ifndef PGRING_POOL_SERVER_CANCEL_H
#define PGRING_POOL_SERVER_CANCEL_H

#include "core/core.h"

struct pool;
struct server;
struct server_cancel;

/* Somebody who asked for it. */
struct server_cancel_wait {
	struct list link;
	uint32_t
		serial; /* how many ReadyForQuery the server has sent when the query that is meant runs */
	/* The request has been dealt with, or was not needed any more: `wait` is its owner's again. */
	void (*over)(struct core *core, struct server_cancel_wait *wait);
};

/* The size of one, for the slab. */
size_t server_cancel_bytes(void);

/* Has the server cancel what it does for its client. `wait`, of which `over` is filled in, is lent until over() is called, which
 * is not from inside this call. Returns false if it does nothing that could be cancelled; then over() is not called. */
bool server_cancel_ask(struct core *core, struct server *server, struct server_cancel_wait *wait);

/* The server is about to be closed in the middle of something that it would go on with. */
void server_cancel_orphan(struct core *core, struct server *server);

/* How many requests to the server wait, and how many are under way. */
void server_cancel_count(const struct server *server, uint64_t *waiting, uint64_t *active);

/* Siblings in this folder: an answer is complete and counted; the server closes. */
void server_cancel_answered(struct core *core, struct server *server);
void server_cancel_closing(struct core *core, struct server *server);

#endif
