/* herald: the one server connection of a pool that listens, for the clients of all cores.
 *
 * It is there while some client of the pool listens, beside the pool's servers, and lives on one core, the pool's home. Its server
 * comes from a pool of its own, of one: so it is connected, and connected again, as any other.
 *
 *   no connection --granted--> listens to what is in `todo`, one query at a time --lost, paused--> no connection
 *
 * Owner: the pool on its home core. Thread: that core's. Memory: malloc.
 */
#ifndef PGRING_POOL_HERALD_H
#define PGRING_POOL_HERALD_H

#include "pool/channels.h"
#include "pool/lease.h"
#include "pool/tiding.h"

struct herald {
	struct pool *pool; /* whose it is */
	struct pool *own;  /* its server's */
	struct lease lease;
	struct channels channels;
	struct list todo;  /* of channels: to be listened to, or no longer */
	struct list asked; /* of channels: in the query under way */
	struct list askers,
		answers; /* tidings: to be answered behind the next query; behind the one under way */
	bool is_busy;    /* a query is under way */
	struct timer retry;
	struct task work;     /* on todo */
	struct task deliver;  /* what was heard */
	struct tiding **news; /* by core: what was heard in this completion; NULL: nothing */
};

/* The core on which the pool's herald lives. */
unsigned herald_home(const struct core *core, const struct pool *pool);
/* A WANTED, UNWANTED or ASKED has come for the pool; it is taken over. */
void herald_asked(struct core *core, struct pool *pool, struct tiding *tiding);
/* Gives up its connection, if it has one, and waits for a new one. */
void herald_renew(struct core *core, struct herald *herald);
/* Ends it. The pool has none then. */
void herald_end(struct core *core, struct herald *herald);
/* Tidings can be sent again. */
void herald_resume_all(struct core *core);

#endif
