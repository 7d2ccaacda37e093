/* router: the client side of one core: its sessions, and what they share.
 *
 * Owner: the core. Thread: that core's.
 */
#ifndef PGRING_ROUTER_ROUTER_H
#define PGRING_ROUTER_ROUTER_H

#include "core/config.h"
#include "core/core.h"
#include "core/slab.h"
#include "net/listener.h"
#include "router/held.h"

struct keys;
struct pool;
struct tally;

/* How urgent a shutdown is, from the most patient. */
enum drain_mode {
	DRAIN_CLIENTS, /* no new clients; those who are there stay as long as they like */
	DRAIN_SERVERS, /* idle and waiting clients go, transactions end first */
	DRAIN_GENTLE, /* the same, but who waits is served, unless paused, and all until shutdown_timeout */
	DRAIN_NOW,
};

struct router {
	const struct config *config;
	struct slab clients;
	struct task trim; /* gives back what a crowd has left behind in `clients` */
	struct held_core held;
	struct keys *keys; /* SCRAM keys of users, once derived */
	const char *admin_password;
	uint64_t next_id;
	struct tally *everybody; /* clients of all cores */
	unsigned console_count;  /* of the clients */
	bool has_timeouts;       /* some timeout of requests or idleness is configured */
	bool is_draining;
	enum drain_mode drain; /* while it drains */
	struct timer drain_timer;
};

/* Gives a core its router. `admin_password` must live as long as the router. Returns 0 or ERR_NO_MEMORY. */
must_check int router_open(
	struct core *core, const struct config *config, const char *admin_password);
/* All clients must be gone. */
void router_close(struct core *core);

/* Changes to another configuration, after pools_apply() and before snapshot_switch(): clients of pools that are gone end, between
 * two transactions; all others stay. */
void router_apply(struct core *core, const struct config *config, const char *admin_password);
/* A client whose pool is gone, between two transactions. */
struct client;
void router_dismiss_removed(struct core *core, struct client *client);

/* A new connection: it goes to the core that has least to do, before its first byte is read. */
void router_accept(struct core *core, struct listener *listener, int fd);
/* The handler of LETTER_CLIENT. */
void router_adopt(struct core *core, const struct letter *letter);

/* No new clients; those who are there go as `mode` says. */
void router_drain(struct core *core, enum drain_mode mode);
/* Whether only consoles are left. They stay as long as another core has clients: they may want to hurry it. */
bool router_quiet(const struct core *core);
/* Whether clients that have nothing under way are sent away. */
static inline bool router_dismisses(const struct router *router)
{
	return unlikely(router->is_draining) && router->drain != DRAIN_CLIENTS;
}
bool router_idle(const struct core *core);

/* Orders of the console: disconnects the clients of a pool; one client, by its id. Return how many. */
unsigned router_kill_pool(struct core *core, const struct pool *pool);
unsigned router_kill_client(struct core *core, uint64_t id);

#endif
