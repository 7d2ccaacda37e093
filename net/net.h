/* net: what one core has of sockets: the ring, the streams, the listeners, and the lists of streams that want something.
 *
 * Owner: the core. Thread: that core's. Only net/ looks inside; others use stream.h, listener.h and loop.h.
 */
#ifndef PGRING_NET_NET_H
#define PGRING_NET_NET_H

#include "core/core.h"
#include "core/limits.h"
#include "core/slab.h"
#include "net/ring.h"

struct piece;
struct listener;

/* What was freed and waits to be used again. */
struct spares {
	struct piece *first;
	unsigned count;
	unsigned least; /* there were never fewer since chain_trim */
};

struct net {
	struct ring *ring;
	struct slab streams;
	struct spares pieces, blocks;
	struct timer trim_timer;
	bool is_rationed;    /* what is received in a turn is bounded more tightly than usual */
	bool wants_ration;   /* the router says so (stream_ration) */
	uint64_t heap_bytes; /* of pieces in memory of their own: what slow peers have not read */
	struct list dirty;   /* streams with bytes to send and no send in flight */
	struct list starved; /* streams whose receive found no buffer, oldest first */
	struct list holders; /* streams whose queue holds receive buffers, oldest first */
	struct listener *listeners[LIMIT_LISTENERS];
	unsigned listener_count;
	uint64_t wake_count; /* what the eventfd's read fills */
	struct span spans[LIMIT_SPANS];
};

#endif
