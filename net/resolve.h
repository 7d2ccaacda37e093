/* resolve: host names to addresses, on a thread that may wait for a name server: an errand of core/jobs.h.
 *
 * Owner: the caller, until its callback ran. Thread: the core's.
 */
#ifndef PGRING_NET_RESOLVE_H
#define PGRING_NET_RESOLVE_H

#include "core/jobs.h"
#include "net/address.h"

enum { RESOLVE_MAX = 8 };

struct resolve {
	struct job job;
	/* Runs once, on a later turn. `error` is 0, or ERR_RESOLVE with `reason` saying what the resolver said. Then the
	 * caller owns the struct again. */
	void (*resolved)(struct core *core, struct resolve *resolve);
	void *owner;
	char host[256];
	char key[272]; /* host and port */
	uint16_t port;
	int error;
	const char *reason;
	struct address addresses[RESOLVE_MAX];
	unsigned count;
};

/* Fill in host, port, resolved and owner first. Returns 0, or ERR_FULL with nothing started. */
must_check int resolve_start(struct core *core, struct resolve *resolve);

#endif
