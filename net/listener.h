/* listener: a listening socket as one core sees it. All cores accept on the same descriptor; the kernel picks one.
 *
 * Owner: the core's net, until it is stopped. Thread: the core's. The descriptor is the main thread's, closed after
 * the cores ended.
 */
#ifndef PGRING_NET_LISTENER_H
#define PGRING_NET_LISTENER_H

#include "net/net.h"

struct listener {
	int fd;
	unsigned slot;
	bool armed, stopping;
	bool narrows; /* cancelled, to go on one by one */
	bool is_full; /* it was said that nobody can be accepted */
	struct timer retry;
	/* A connection, whose descriptor is the callee's. */
	void (*accepted)(struct core *core, struct listener *listener, int fd);
};

/* Starts accepting. Returns 0, ERR_FULL or ERR_NO_MEMORY. */
must_check int listener_start(
	struct core *core, int fd, void (*accepted)(struct core *, struct listener *, int));

/* Stops all listeners of the core; connections that were accepted already still arrive. */
void listener_stop_all(struct core *core);
/* Whether no accept is in flight any more. */
bool listener_all_stopped(const struct core *core);

/* For the loop. */
void listener_complete(struct core *core, const struct ring_completion *completion);
void listener_free_all(struct core *core);

#endif
