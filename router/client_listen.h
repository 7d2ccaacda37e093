/* client_listen: when a client that listens gets its notifications.
 *
 * As from PostgreSQL: between two answers, and not within a transaction. What it does not read waits (pool/subscriber.h) until
 * there is too much of it; then its session ends.
 * Owner: the client. Thread: the core's.
 */
#ifndef PGRING_ROUTER_CLIENT_LISTEN_H
#define PGRING_ROUTER_CLIENT_LISTEN_H

#include "router/client.h"

/* Something is ready for it, or too much: the event of its lease. */
void client_listen_news(struct core *core, struct lease *lease);
/* A ReadyForQuery has gone to it; it has read what was queued. */
void client_listen_answered(struct core *core, struct client *client);
void client_listen_drained(struct core *core, struct client *client);
/* Ends the session if too much waits. Returns whether it did. */
bool client_listen_ends(struct core *core, struct client *client);

#endif
