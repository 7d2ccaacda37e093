/* keys: the SCRAM keys of the users in the configuration, derived when a user first logs in and kept.
 *
 * One table for each configuration. Owner: the core's router, and whatever login or derivation still uses it after a reload, by
 * count. Thread: that core's; the derivation itself runs on a job thread. Every core derives for itself, which costs a
 * millisecond once, and shares nothing.
 */
#ifndef PGRING_ROUTER_KEYS_H
#define PGRING_ROUTER_KEYS_H

#include "core/core.h"
#include "protocol/secret.h"

/* Who stands behind the users of the configuration: admin.user and admin.stats_user. */
enum { KEYS_CONSOLE = 2 };

struct keys;

/* All candidates of one user: they share salt and iterations. */
struct keys_of_user {
	struct scram_keys *items; /* NULL until derived */
	size_t count;
	bool is_deriving;
	struct list waiters; /* of keys_wait */
};

/* Somebody who waits for a derivation; stands in its owner. */
struct keys_wait {
	struct list link;
	void (*derived)(struct core *core, struct keys_wait *wait);
};

struct config;

/* A table for the users of a configuration, with one holder. What `before`, of the configuration `config_before`, has derived for
 * users that are the same is taken over; both may be NULL. */
struct keys *keys_open(
	const struct config *config, const struct keys *before, const struct config *config_before);
struct keys *keys_hold(struct keys *keys);
/* One holder less; the last one wipes and frees it. NULL is allowed. */
void keys_drop(struct keys *keys);

/* The keys of user number `index`, whose secrets these are; the last KEYS_CONSOLE numbers are the console's. Returns them, or NULL:
 * then `wait` is told when to ask again. A user without any secret that SCRAM can use has count 0. */
const struct keys_of_user *keys_get(struct core *core, struct keys *keys, size_t index,
	const char *user, const char *const *secrets, size_t count, struct keys_wait *wait);

#endif
