/* The clients of one core as a whole. */
#include "router/router.h"

#include "core/errors.h"
#include "core/tally.h"
#include "net/socket.h"
#include "protocol/sqlstate.h"
#include "router/client.h"
#include "router/keys.h"

#include <stdlib.h>

static void router_trim(struct core *core, struct task *task);
static void router_drain_over(struct core *core, struct timer *timer);

static bool router_limits_time(const struct config_general *general)
{
	return general->client_idle_timeout_ms != CONFIG_UNLIMITED ||
		general->client_idle_in_transaction_timeout_ms != CONFIG_UNLIMITED ||
		general->query_timeout_ms != CONFIG_UNLIMITED ||
		general->transaction_timeout_ms != CONFIG_UNLIMITED;
}

int router_open(struct core *core, const struct config *config, const char *admin_password)
{
	struct router *router = calloc(1, sizeof *router);

	if (!router)
		return ERR_NO_MEMORY;
	core->router = router;
	router->config = config;
	router->everybody = tallies_process(core->world->tallies);
	router->admin_password = admin_password;
	router->has_timeouts = router_limits_time(&config->general);
	router->keys = keys_open(config, NULL, NULL);
	held_open(&router->held);
	task_init(&router->trim, router_trim);
	timer_init(&router->drain_timer, router_drain_over);
	return slab_init(&router->clients, sizeof(struct client), LIMIT_SLOTS);
}

static void router_trim(struct core *core, struct task *task)
{
	(void)task;
	slab_trim(&core->router->clients);
}

void router_close(struct core *core)
{
	core_timer_stop(core, &core->router->drain_timer);
	list_remove(&core->router->trim.link);
	held_close(core);
	slab_destroy(&core->router->clients);
	keys_drop(core->router->keys);
	free(core->router);
	core->router = NULL;
}

void router_accept(struct core *core, struct listener *listener, int fd)
{
	struct letter letter = {.kind = LETTER_CLIENT, .number = (uint32_t)fd};
	unsigned to = load_choose(core);

	(void)listener;
	if (to != core->index && !core->router->is_draining && mailbox_send(core, to, &letter) == 0)
		return;
	if (to != core->index) {
		load_remove(core->world, to);
		load_add(core->world, core->index);
	}
	client_open(core, fd);
}

void router_adopt(struct core *core, const struct letter *letter)
{
	if (core->router->is_draining) { /* this core may have said already that it is done */
		load_remove(core->world, core->index);
		socket_close((int)letter->number);
		return;
	}
	client_open(core, (int)letter->number);
}

static bool router_is_busy(const struct client *client)
{
	return client->state == CLIENT_READY && client->lease.state != LEASE_NONE &&
		(client->status != 'I' || client->lease.state == LEASE_WAITING ||
			!pending_empty(&client->lease.server->pending));
}

/* ---- another configuration ---- */

void router_dismiss_removed(struct core *core, struct client *client)
{
	client_fatal_text(core, client, SQLSTATE_ADMIN_SHUTDOWN,
		pools_removal(core->router->config, client->pool));
}

void router_apply(struct core *core, const struct config *config, const char *admin_password)
{
	struct router *router = core->router;
	struct keys *keys_before = router->keys;
	uint32_t at = 0;
	struct client *client;

	router->keys = keys_open(config, keys_before, router->config);
	keys_drop(keys_before);
	router->config = config;
	router->admin_password = admin_password;
	router->has_timeouts = router_limits_time(&config->general);
	while ((client = slab_next(&router->clients, &at))) {
		if (client->state != CLIENT_READY)
			continue;
		if (client->pool->is_removed && !router_is_busy(client))
			router_dismiss_removed(core, client);
		else
			client_follow_mode(client);
		client_watch(core, client);
	}
}

/* ---- shutting down ---- */

static const struct fault router_waited = {
	"FATAL", SQLSTATE_ADMIN_SHUTDOWN, "server shutting down", NULL, NULL};

/* Waits for a server, and is not to get one. */
static bool router_waits_in_vain(const struct router *router, const struct client *client)
{
	return client->state == CLIENT_READY && client->lease.state == LEASE_WAITING &&
		(router->drain == DRAIN_SERVERS || client->pool->is_paused);
}

static void router_dismiss(struct core *core, bool everybody)
{
	uint32_t at = 0;
	struct client *client;

	while ((client = slab_next(&core->router->clients, &at))) {
		if (client->state == CLIENT_CLOSING || client->state == CLIENT_CONSOLE)
			continue;
		if (client->state == CLIENT_CANCELLING) {
			if (everybody)
				client_drop(core, client, "pgring is shutting down");
			continue;
		}
		if (router_waits_in_vain(core->router, client))
			client_fatal(core, client, &router_waited);
		else if (everybody || !router_is_busy(client))
			client_fatal_text(
				core, client, SQLSTATE_ADMIN_SHUTDOWN, "pgring is shutting down");
	}
}

static void router_dismiss_consoles(struct core *core)
{
	uint32_t at = 0;
	struct client *client;

	while ((client = slab_next(&core->router->clients, &at)))
		if (client->state == CLIENT_CONSOLE && !client->command)
			client_fatal_text(
				core, client, SQLSTATE_ADMIN_SHUTDOWN, "pgring is shutting down");
}

static void router_drain_over(struct core *core, struct timer *timer)
{
	(void)timer;
	log_warn(core, "shutdown_timeout is over: closing the clients that are still busy");
	router_dismiss(core, true);
	router_dismiss_consoles(core);
}

void router_drain(struct core *core, enum drain_mode mode)
{
	struct router *router = core->router;

	if (router->is_draining && mode < router->drain)
		return;
	router->is_draining = true;
	router->drain = mode;
	if (mode != DRAIN_CLIENTS)
		router_dismiss(core, mode == DRAIN_NOW);
	if (mode >= DRAIN_GENTLE)
		router_dismiss_consoles(core);
	if (mode == DRAIN_GENTLE && router->config->general.shutdown_timeout_ms != CONFIG_UNLIMITED)
		core_timer_set(
			core, &router->drain_timer, router->config->general.shutdown_timeout_ms);
	else
		core_timer_stop(core, &router->drain_timer);
}

bool router_quiet(const struct core *core)
{
	return core->router->clients.live == core->router->console_count;
}

/* ---- orders of the console ---- */

static void router_kill(struct core *core, struct client *client)
{
	client_fatal_text(core, client, SQLSTATE_ADMIN_SHUTDOWN, "admin forced disconnect");
}

unsigned router_kill_pool(struct core *core, const struct pool *pool)
{
	uint32_t at = 0;
	unsigned killed = 0;
	struct client *client;

	while ((client = slab_next(&core->router->clients, &at))) {
		if (client->pool != pool || client->state == CLIENT_CLOSING)
			continue;
		router_kill(core, client);
		killed++;
	}
	return killed;
}

unsigned router_kill_client(struct core *core, uint64_t id)
{
	uint32_t at = 0;
	struct client *client;

	while ((client = slab_next(&core->router->clients, &at))) {
		if (client->id != id || client->state == CLIENT_CLOSING)
			continue;
		router_kill(core, client);
		return 1;
	}
	return 0;
}

bool router_idle(const struct core *core)
{
	return core->router->clients.live == 0;
}
