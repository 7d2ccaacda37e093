/* settings: the session parameters that a client asked for when it started, as one shared set.
 *
 * Clients of a pool that ask for the same share one object, so that "has this server my settings?" is a comparison of pointers. A
 * set is tried on a server before its first client is let in; what the server then reports is kept with it.
 * Owner: the pool, by count of users (clients, and servers that have it applied). Thread: the core's.
 */
#ifndef PGRING_POOL_SETTINGS_H
#define PGRING_POOL_SETTINGS_H

#include "core/hash.h"
#include "core/table.h"
#include "net/chain.h"
#include "pool/params.h"

struct pool;

struct settings {
	struct table_link link; /* by a hash of `wanted` */
	struct pool *pool;
	uint64_t context; /* settings_context, or 0 while nobody has asked */
	unsigned users;
	bool is_hasty;          /* it has timeouts that could strike a query of pgring's own */
	bool is_tried;          /* a server took it, and `reported` is filled */
	struct params wanted;   /* empty: what a server has of itself */
	struct params reported; /* all that a server with this set reports */
};

/* The pool's set with these values; one more user. `wanted` is copied if it is new. */
struct settings *settings_share(struct pool *pool, const struct params *wanted);
void settings_hold(struct settings *settings);
/* One user less; the last one frees it. NULL is allowed. */
void settings_drop(struct settings *settings);

/* None has been tried any more: the servers' own values may have changed. */
void settings_doubt(struct pool *pool);

/* A number for what of them may change what the text of a statement means, under a key of the process. Not 0. */
uint64_t settings_context(struct settings *settings, const uint8_t key[HASH_KEY_BYTES]);

/* Appends one Query message that turns a server with `present` into one with `wanted`. Its values are quoted so that they mean the
 * same whatever standard_conforming_strings is. */
void settings_compose(struct core *core, struct chain *chain, const struct settings *present,
	const struct settings *wanted);

#endif
