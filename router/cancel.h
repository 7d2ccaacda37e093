/* cancel: cancel requests, from whichever core they arrive on to the server that runs the query.
 *
 * Thread: each function says whose. The number in the key names the core and slot of the client; the rest of the key is compared in
 * constant time by that core. A server to which a cancel is under way is not given to anybody else before it has arrived.
 * Source: PostgreSQL manual, "Canceling Requests in Progress".
 */
#ifndef PGRING_ROUTER_CANCEL_H
#define PGRING_ROUTER_CANCEL_H

#include "core/mailbox.h"
#include "protocol/startup.h"

#include <stddef.h>

/* What LETTER_CANCEL carries. */
struct cancel_letter {
	uint32_t pid;
	uint8_t key[STARTUP_KEY_MAX];
	size_t key_len;
};

/* The size of what router->cancels holds. */
size_t cancel_bytes(void);

/* Passes a request on to the client's core. Any core. A wrong key is ignored, as PostgreSQL does. */
void cancel_request(struct core *core, uint32_t pid, const uint8_t *key, size_t key_len);

/* The handler of LETTER_CANCEL. The client's core. */
void cancel_arrived(struct core *core, const struct letter *letter);

#endif
