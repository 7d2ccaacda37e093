/* places: max_db_connections and max_user_connections, promises over all pools and all cores.
 *
 * A server connection holds a place from before its connect until its descriptor is closed; it keeps it when it moves between
 * cores. Places are counted in tallies (core/tally.h), so the promise is never broken for a moment.
 * When no place is left, a pool with waiters has the connection closed that has idled longest in any pool under the same limit: of
 * its own core, or else of another, which a letter looks for from core to core. When all are busy and the pool has no connection
 * on any core, it is hungry: places that become free are for the hungry. When its client has waited long enough it calls for one:
 * whoever is next given back a connection under that limit closes it, and its place is for those who have called. So nobody starves. Pools without a place look
 * again whenever one is given back on their core, and every few milliseconds for those of the others.
 *
 * Owner: the core. Thread: that core's. Nothing here runs for a query unless the pool has a limit.
 */
#ifndef PGRING_POOL_PLACES_H
#define PGRING_POOL_PLACES_H

#include "core/mailbox.h"
#include "core/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct core;
struct pool;
struct tally;

/* A pool that could not have a place. */
struct places {
	struct list link;    /* in pools->placeless, while it has waiters */
	struct tally *full;  /* whose limit was reached */
	struct timer timer;  /* to look again */
	uint64_t evicted_ns; /* when it last wanted an idle connection closed ... */
	uint64_t called_ns;  /* ... and when it last called for a busy one */
	bool is_refused;     /* at this dispatch */
	bool is_hungry;      /* counted in full->hungry */
	bool has_called; /* counted in full->callers, and in full->calls until somebody has heard it */
};

/* What one connection is counted in. */
struct place {
	struct tally *database, *user, *pool;
};

void places_init(struct pool *pool);

/* A place for one more connection of the pool, or false; then, if somebody waits, the pool will be woken to look again. */
bool places_take(struct core *core, struct pool *pool);
/* The connection is closed. */
void places_give(struct core *core, const struct place *place);
struct place places_of(const struct pool *pool);

/* Around what may take places: a pool that was not refused meanwhile no longer waits for one. */
void places_begin(struct pool *pool);
void places_end(struct core *core, struct pool *pool);

/* Whether a connection that has become free is to be closed: others call for its place, or there are more than allowed. */
bool places_must_yield(struct pool *pool);

/* The handler of LETTER_EVICT. */
void places_evict_asked(struct core *core, const struct letter *letter);

#endif
