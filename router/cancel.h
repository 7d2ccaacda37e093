/* cancel: cancel requests, from whichever core they arrive on to the server that runs the query.
 *
 * Thread: each function says whose. The number in the key names the core and slot of the client; the rest of the key is compared in
 * constant time by that core. Who asks is let go once the request has been dealt with, as PostgreSQL does: what its client sends
 * after that is not meant by it (pool/server_cancel.h).
 * Source: PostgreSQL manual, "Canceling Requests in Progress".
 */
#ifndef PGRING_ROUTER_CANCEL_H
#define PGRING_ROUTER_CANCEL_H

#include "core/mailbox.h"

#include <stddef.h>

struct client;
struct core;

/* `asker`, which is CANCELLING, wants that. Its core. A wrong key is ignored, as PostgreSQL does. */
void cancel_request(
	struct core *core, struct client *asker, uint32_t pid, const uint8_t *key, size_t key_len);

/* The handlers of LETTER_CANCEL, on the core of the client that is meant, and of LETTER_CANCELLED. */
void cancel_arrived(struct core *core, const struct letter *letter);
void cancel_returned(struct core *core, const struct letter *letter);

#endif
