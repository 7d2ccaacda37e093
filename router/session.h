/* session: what makes a client's session one, although its transactions run on servers that others use in between.
 *
 * Owner: the client. Thread: the core's. It looks at requests before they are sent: transactions that have only begun need no
 * server, and what a request may leave on its server is noted there (pool/traces.h). In session mode there is nothing to do.
 */
#ifndef PGRING_ROUTER_SESSION_H
#define PGRING_ROUTER_SESSION_H

#include "router/client.h"

/* Deals with a Query of a client without a server: begins a transaction, or ends one that has only begun. Returns whether it did,
 * and then has answered. `text` is the statement; its end may be missing. */
bool session_answers(struct core *core, struct client *client, const uint8_t *text, size_t len);

/* The client that has only begun a transaction has got a server: begins it there. Before the first request is sent. */
void session_begin(struct core *core, struct client *client);
/* The first request of the transaction could not be sent: it is aborted. Returns the transaction's status. */
char session_abort(struct client *client);

/* What session_note may say instead of a refusal. */
enum {
	SESSION_WAITS = -1, /* until the answers to what was sent before have come */
	SESSION_RESTORES =
		-2, /* what the client listens to must be brought to the server first: subscriber_restore */
};

/* A request is about to be sent to the server: notes what it may leave there. `body` are the first bytes of the message's body, of
 * which `is_whole` says whether they are all. Returns 0; or why the request must be refused (enum lease_refusal); or one of the
 * above, and then nothing is noted yet. */
must_check int session_note(struct core *core, struct client *client, uint8_t type,
	const uint8_t *body, size_t len, bool is_whole);

#endif
