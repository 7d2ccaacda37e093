/* places: max_db_connections and max_user_connections, promises over all pools and all cores.
 *
 * A server connection holds a place from before its connect until its descriptor is closed; it keeps it when it moves between
 * cores. Places are counted in tallies (core/tally.h), so the promise is not broken for a moment.
 * When no place is left, a pool with waiters first gets what its other cores have idle (budget.h). If they have nothing, the
 * connection is closed that has idled longest in any pool under the same limit: of its own core, or else of another, which a
 * letter looks for from core to core. When all are busy and the pool has no connection on any core, it is hungry: places that
 * become free are for the hungry. When its client has waited long enough it calls: connections under that limit that become
 * free are closed, as many as there are callers without a place, and those places are for the callers. A caller that is short
 * under both limits keeps a place of one while it calls for the other, as long as it had waited for it. So nobody starves.
 * Nothing is remembered that could be lost: who yields is decided by what is counted at that moment, and a pool without a place
 * looks again whenever one is given back on its core, and every few milliseconds for those of the others.
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

enum { PLACES_DATABASE, PLACES_USER, PLACES_LIMITS };

/* What a pool that could not have a place wants of one limit. */
struct claim {
	bool is_made;    /* counted in the tally's placeless */
	bool is_hungry;  /* counted in its hungry, for all cores of the pool */
	bool has_called; /* is_hungry, and counted in its callers */
	bool is_held; /* instead: one of its places is kept, and counted in the tally's servers */
	bool is_vain; /* one was kept long enough; not made again while the other limit has no place */
	uint64_t held_ns;    /* since when it is kept */
	uint64_t refused_ns; /* when this limit last had no place */
	uint64_t evicted_ns; /* when it last wanted an idle connection closed */
};

/* A pool that could not have a place. */
struct places {
	struct list link;   /* in pools->placeless, while it has waiters */
	struct timer timer; /* to look again */
	struct claim claims[PLACES_LIMITS];
	bool is_refused; /* at this dispatch */
	bool is_hungry; /* the one of the pool's cores that may be: counted in its own tally's hungry */
};

/* What one connection is counted in. */
struct place {
	struct tally *database, *user, *pool;
	struct tally *yielded; /* it is closed for the sake of others under that limit; or NULL */
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

/* Whether the limits leave room for one more connection of the pool, as it stands; nothing is taken. */
bool places_left(const struct pool *pool);

/* Whether a connection that a client has given back is to be closed, because others call for its place or there are more than
 * allowed: the limit's tally, for its place's `yielded`, or NULL. */
struct tally *places_must_yield(struct pool *pool);

/* The handler of LETTER_EVICT. */
void places_evict_asked(struct core *core, const struct letter *letter);

#endif
