/* order: what the console has every core do with the pools of a database, or with a client. A round takes it there.
 *
 * Owner: who starts it; it is freed after obeyed(). Thread: control.
 */
#ifndef PGRING_ADMIN_ORDER_H
#define PGRING_ADMIN_ORDER_H

#include "core/limits.h"
#include "core/round.h"

enum order_kind {
	ORDER_APPLY,       /* look again whether the database is paused (core/tally.h) */
	ORDER_RECONNECT,   /* replace the servers */
	ORDER_KILL,        /* the same as APPLY, and disconnect everybody */
	ORDER_KILL_CLIENT, /* disconnect one client */
};

struct order {
	struct round round;
	enum order_kind kind;
	char database[LIMIT_NAME_BYTES]; /* "": all */
	uint64_t client_id;
	unsigned found; /* clients disconnected */
	/* Runs on control when every core has obeyed. The order is freed after it. */
	void (*obeyed)(struct core *core, struct order *order);
	void *owner;
};

/* Sends a copy off. Returns 0, or ERR_FULL or ERR_NO_MEMORY with nothing sent. */
must_check int order_start(struct core *core, const struct order *order);

#endif
