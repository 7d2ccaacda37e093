/* tally: what all cores together have of one database, user or pool, and what the console has ordered for a database.
 *
 * The promises that hold for the whole process are counted here, one atomic each, when a client logs in or a server connection
 * is opened; never for a query. A tally is found by its name, so it outlives a configuration that is replaced.
 * Owner: control makes and frees the registry. Thread: control looks tallies up, for the snapshot through which cores reach them
 * (struct config_identity); their counts are anybody's. Memory: a tally lives as long as the registry; there are as many as names
 * that configurations ever had.
 */
#ifndef PGRING_CORE_TALLY_H
#define PGRING_CORE_TALLY_H

#include "core/check.h"
#include "core/limits.h"
#include "core/table.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum tally_kind {
	TALLY_PROCESS,  /* one, without a name */
	TALLY_DATABASE, /* as clients call it */
	TALLY_USER,     /* as clients call it */
	TALLY_POOL,     /* of one pair of them */
	TALLY_HERALD, /* likewise: under the limits, what listens is a pool of its own, so that neither starves for the other */
};

struct tally {
	_Alignas(64) atomic_uint clients;
	atomic_uint servers; /* connections, from before the connect until they are closed */
	atomic_uint placeless, hungry, callers, yielding; /* see pool/places.h */
	atomic_bool is_paused, is_disabled; /* TALLY_DATABASE; is_paused also TALLY_PROCESS: all */
	enum tally_kind kind;
	struct table_link link; /* in the registry */
	char database[LIMIT_NAME_BYTES], user[LIMIT_NAME_BYTES];
};

struct tallies;

/* NULL if out of memory. */
struct tallies *tallies_new(void);
/* NULL is allowed. */
void tallies_free(struct tallies *tallies);

/* The tally of that kind and names; NULL or "" for what the kind has not. It is made if there is none. Ends the process if out
 * of memory. */
struct tally *tallies_get(
	struct tallies *tallies, enum tally_kind kind, const char *database, const char *user);
/* That of the process. Thread: any. */
struct tally *tallies_process(const struct tallies *tallies);

/* One more, unless there are `limit` already; 0 is no limit. The limit is never passed, not for a moment. */
static inline bool tally_take(atomic_uint *count, int64_t limit)
{
	unsigned now = atomic_load_explicit(count, memory_order_relaxed);

	do {
		if (limit > 0 && now >= limit)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		count, &now, now + 1, memory_order_relaxed, memory_order_relaxed));
	return true;
}

static inline void tally_give(atomic_uint *count)
{
	unsigned before = atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);

	CHECK(before > 0);
}

static inline unsigned tally_read(const atomic_uint *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

#endif
