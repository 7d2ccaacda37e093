/* pool: the server connections of one (database, user) pair on one core, and the clients that wait for one.
 *
 * Owner: the core. Thread: that core's. Each core has its permits of the configured size, which move between cores (budget.h).
 * A pool outlives the configuration that made it: it changes with each new one, and if that has it no longer it is freed when
 * its last client and server are gone. Several connections are opened at once when several clients wait. Idle servers are used
 * last in, first out; waiters are served first in, first out.
 *
 * When the server cannot be reached and the pool has no other connection, a client that waits is told why, by the first attempt
 * that failed and had begun after the client's wait did: what it hears is never older than its wait. With several addresses, or
 * connect_attempts, it takes that many attempts. 57P03 (the server starts, stops or recovers) fails nobody before checkout_timeout:
 * it passes by itself. While somebody waits, attempts follow each other within POOL_RETRY_MS_MAX, so that a dead server's reason
 * comes soon and a server that is back is found soon.
 */
#ifndef PGRING_POOL_POOL_H
#define PGRING_POOL_POOL_H

#include "core/config.h"
#include "core/slab.h"
#include "net/resolve.h"
#include "pool/budget.h"
#include "pool/channels.h"
#include "pool/lease.h"
#include "pool/places.h"
#include "pool/server.h"
#include "pool/settings.h"
#include "pool/tiding.h"
#include "protocol/secret.h"

/* Counters of the console's STATS; times in microseconds. */
struct pool_stats {
	uint64_t assignments, transactions, queries, received, sent;
	uint64_t transaction_us, query_us, wait_us, logins;
	uint64_t parses, binds; /* of clients */
	uint64_t server_parses; /* that a server has done, for clients or of pgring's own */
	uint64_t connects, connect_us, failures; /* of server connections */
	uint64_t rollbacks, out_of_sync, resyncs, cleaned, force_closed;
};

struct herald;
struct snapshot;

enum { POOL_ADDRESSES = RESOLVE_MAX };

struct pool {
	const struct config_pool *config;
	struct budget *budget;
	uint32_t id, server_epoch, reconnects;
	int permits; /* servers that this core may have; negative: owed, because pool_size was lowered */
	int min_size;    /* this core's part of min_pool_size */
	unsigned coming; /* servers that other cores have promised */
	bool is_asking;  /* another core is asked for servers */
	uint64_t
		offered_ns; /* since when the client of another core waits that last got something from here */
	uint32_t offered_to; /* ... and its core */
	uint64_t compared_ns;
	struct list servers[SERVER_LIST_COUNT];
	unsigned server_count[SERVER_LIST_COUNT];
	/* What holds over all cores. */
	struct tally *database_tally, *user_tally, *own_tally, *herald_tally;
	bool is_limited; /* it has max_db_connections or max_user_connections */
	struct places places;
	bool is_paused;      /* the console holds the clients: no server is given out or opened */
	uint64_t resumed_ns; /* when the last pause ended */
	struct list waiters; /* of leases, oldest first */
	unsigned waiter_count;
	unsigned client_count;
	struct table settings;           /* of struct settings */
	struct settings *plain_settings; /* what servers have of themselves */

	struct resolve *resolve; /* under way ... */
	uint64_t resolving_ns;   /* ... since when */
	struct address addresses[POOL_ADDRESSES];
	unsigned address_count, next_address;
	unsigned untried; /* of the addresses, since the name was looked up */
	uint64_t resolved_ns;

	struct scram_keys scram_keys; /* of the last login, for the next */
	size_t scram_password;        /* which password they are of */
	size_t password;              /* the one that was good */

	uint64_t
		stale_ns; /* when a server last refused a statement because the catalog had changed */

	struct list cancels;         /* server_cancels that wait for their connection */
	unsigned cancel_connections; /* open */
	unsigned cancel_count;       /* in all */

	struct channels channels; /* that clients of this core listen to */
	struct herald *herald;    /* listens to them; on the pool's home core only */
	bool is_single;           /* a herald's, of one server */

	unsigned failures;  /* in a row */
	uint64_t failed_ns; /* when the last of them was counted */
	char failure_text[256], failure_state[6];
	uint64_t timeouts_logged_ns; /* when checkout_timeouts were last in the log, ... */
	unsigned timeouts;           /* ... and how many there were since */
	struct timer retry, waited, upkeep, ask_again;
	struct task dispatch;
	struct pool_stats stats;
	bool is_kept;    /* while a configuration is applied */
	bool is_removed; /* from the configuration: it lives until nobody uses it */
	struct list removed;
	struct snapshot *snapshot; /* REMOVED: `config` is in that one */
};

struct pools {
	const struct config *config;
	struct pool **items; /* by config_pool.index */
	size_t count;
	struct pool **by_id;
	uint32_t by_id_mask;
	struct list removed;   /* pools */
	struct list placeless; /* pools that have waiters and no place for a server (places.h) */
	struct list outbox;    /* of budget_parcel */
	struct timer outbox_timer;
	struct slab servers, cancels, subscribers;
	struct tiding_outbox tidings;
	uint32_t tiding_serial;
	struct statements statements;
	uint64_t next_id;
	bool is_draining;
};

/* Makes the pools of a core; the configuration has its identities (budget_assign). Returns 0 or ERR_NO_MEMORY. */
must_check int pools_open(struct core *core, const struct config *config);
/* Changes to another configuration: pools that stay keep their clients, and their servers if those are the same; pools that are
 * gone let their clients finish what they are doing. Before snapshot_switch(), so that what is left can hold the old one. */
void pools_apply(struct core *core, const struct config *config);
/* What clients of a pool are told that this configuration no longer has. */
const char *pools_removal(const struct config *config, const struct pool *pool);
/* By its number in every configuration; NULL if this core does not have it. */
struct pool *pools_find(const struct core *core, uint32_t id);
/* Closes all servers; pools_idle tells when they are gone. */
void pools_drain(struct core *core);
bool pools_idle(const struct core *core);
void pools_close(struct core *core);

/* Servers of the pool, those that are being opened or closed included. */
unsigned pool_total(const struct pool *pool);
/* Permits that are not used; negative while servers are being given up. */
static inline int pool_room(const struct pool *pool)
{
	return pool->permits - (int)pool_total(pool);
}

/* Serves waiters, and opens connections for those that cannot be served. Runs later in this turn. */
void pool_wake(struct core *core, struct pool *pool);

/* Siblings in this folder. */
void pool_init(struct pool *pool);
/* It has servers, or is about to: their times are looked at from now on. */
void pool_keep_up(struct core *core, struct pool *pool);
/* Whether the console has paused its database, or everything. */
bool pool_must_pause(const struct core *core, const struct pool *pool);
/* Its server is another one now: what is known of the old one's addresses, or being looked up, is of no use. */
void pool_forget_addresses(struct pool *pool);
/* Closes idle servers that there are no permits for any more. */
void pool_retire_idle(struct core *core, struct pool *pool);
/* Closes the server that has idled longest. Returns false if none is idle. */
bool pool_close_idle(struct core *core, struct pool *pool, const char *reason);
void pools_free(struct core *core, struct pool *pool);
/* A pool of one server, beside that of `pool`; and to let it go, once its server is gone. */
struct pool *pools_new_single(struct core *core, const struct pool *pool);
void pools_remove_single(struct core *core, struct pool *single);

/* A server took these settings and their `reported` is filled: who waited only to try them need not wait any more. */
void pool_settings_tried(struct core *core, struct pool *pool, struct settings *settings);
/* The handler of LETTER_PLAIN. */
void pool_plain_arrived(struct core *core, const struct letter *letter);
/* Orders of the console. To look again whether the pool is paused (core/tally.h): its servers close when they are free, and
 * clients wait, without checkout_timeout, until it is not. */
void pool_apply_pause(struct core *core, struct pool *pool);
/* To replace each server when it is free. */
void pool_reconnect(struct core *core, struct pool *pool);
/* To close all servers at once. No client may have one. */
void pool_kill(struct core *core, struct pool *pool);

/* News from the pool's servers. */
void pool_server_ready(struct core *core, struct server *server);
/* An attempt failed that began at `began_ns`; another is made at once if it was for the password and there is another one. */
void pool_server_failed(struct core *core, struct pool *pool, uint64_t began_ns,
	const struct fault *fault, bool by_password);
void pool_server_gone(struct core *core, struct pool *pool);
/* A server is free, clean and in step. */
void pool_give(struct core *core, struct server *server);

#endif
