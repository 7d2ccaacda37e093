/* marker: a notification of pgring's own, by which two connections that listen find the same place in PostgreSQL's one order of
 * notifications.
 *
 * A client's server sends it and hears it, and the herald hears it: what came before is delivered from the one, what comes behind
 * from the other, so that nothing is lost, doubled or out of order. It names the subscriber, and carries a tag that only
 * this process can make. Pure.
 */
#ifndef PGRING_POOL_MARKER_H
#define PGRING_POOL_MARKER_H

#include "core/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core;

#define MARKER_CHANNEL "pgring_listener"
enum { MARKER_BYTES = 64 };

struct marker {
	uint32_t core, slot, generation; /* of the subscriber */
	uint32_t turn;                   /* of its moves */
};

/* The payload, with its final NUL. */
void marker_write(
	const struct core *core, const struct marker *marker, char ret_text[MARKER_BYTES]);
/* Whether the text is one of this process. */
bool marker_read(const struct core *core, const char *text, struct marker *ret_marker);

/* A NotificationResponse, head included. The texts are borrowed from it. */
struct marker_notification {
	const char *channel, *payload;
	size_t channel_len;
};
/* Returns 0, or ERR_INVALID. */
must_check int marker_find(
	const uint8_t *message, size_t len, struct marker_notification *ret_notification);

#endif
