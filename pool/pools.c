/* All pools of a core: made from a configuration, changed to the next one, found by number, and closed. */
#include "pool/pool.h"

#include "core/errors.h"
#include "core/memory.h"
#include "core/snapshot.h"
#include "core/tally.h"
#include "pool/herald.h"
#include "pool/server_cancel.h"
#include "pool/subscriber.h"
#include "protocol/sqlstate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one pool ---- */

static int pools_least(const struct config_pool *config, const struct core *core)
{
	return config->refused
		? 0
		: budget_share(core->index, core->world->worker_count, config->min_pool_size);
}

static bool pools_limited(const struct config_pool *config)
{
	return config->max_db_connections > 0 || config->max_user_connections > 0;
}

static struct pool *pools_new(struct core *core, const struct config *config, size_t index)
{
	const struct config_identity *identity = &config->identities[index];
	struct pool *pool = calloc(1, sizeof *pool);

	CHECK(pool);
	pool_init(pool);
	pool->config = &config->pools[index];
	pool->budget = identity->budget;
	pool->id = pool->budget->id;
	pool->server_epoch = identity->server_epoch;
	pool->database_tally = identity->database_tally;
	pool->user_tally = identity->user_tally;
	pool->own_tally = identity->own_tally;
	pool->herald_tally = identity->herald_tally;
	pool->permits =
		budget_share(core->index, core->world->worker_count, pool->config->pool_size);
	pool->min_size = pools_least(pool->config, core);
	pool->is_paused = pool_must_pause(core, pool);
	pool->is_limited = pools_limited(pool->config);
	budget_publish(core, pool);
	if (pool->min_size > 0)
		pool_wake(core, pool);
	return pool;
}

struct pool *pools_new_single(struct core *core, const struct pool *pool)
{
	struct pool *single = calloc(1, sizeof *single);

	CHECK(single);
	pool_init(single);
	single->config = pool->config;
	single->budget = budget_single(core->world->worker_count);
	CHECK(single->budget);
	single->server_epoch = pool->server_epoch;
	single->database_tally = pool->database_tally;
	single->user_tally = pool->user_tally;
	single->own_tally = pool->herald_tally;
	single->permits = 1;
	single->is_single = true;
	single->is_paused = pool_must_pause(core, single);
	single->is_limited = pools_limited(pool->config);
	return single;
}

/* Closes what is idle or on its way, and what is busy once it is free. */
static void pools_retire_servers(struct core *core, struct pool *pool, const char *reason)
{
	list_each_safe(link, &pool->servers[SERVER_LIST_IDLE])
		server_close(core, container_of(link, struct server, link), reason);
	list_each_safe(opening, &pool->servers[SERVER_LIST_OPENING])
		container_of(opening, struct server, link)->retires = true;
	list_each(busy, &pool->servers[SERVER_LIST_BUSY])
		container_of(busy, struct server, link)->retires = true;
}

static bool pools_same_passwords(const struct config_pool *a, const struct config_pool *b)
{
	if (a->server_password_count != b->server_password_count)
		return false;
	for (size_t i = 0; i < a->server_password_count; i++)
		if (strcmp(a->server_passwords[i], b->server_passwords[i]) != 0)
			return false;
	return true;
}

static void pools_forget_keys(struct pool *pool)
{
	memory_wipe(&pool->scram_keys, sizeof pool->scram_keys);
	pool->scram_password = pool->password = 0;
}

/* Times that count from the past: what is there already gets the new ones, too. */
static void pools_change_times(
	struct core *core, struct pool *pool, const struct config_pool *before)
{
	const struct config_pool *now = pool->config;

	/* checkout_timeout may be over, or, for who comes now, before what the timer was set to for one who is gone */
	if (!list_empty(&pool->waiters) || timer_is_set(&pool->waited))
		core_timer_set(core, &pool->waited, 0);
	if (now->server_lifetime_ms == before->server_lifetime_ms &&
		now->server_lifetime_jitter_ms == before->server_lifetime_jitter_ms)
		return;
	for (unsigned i = 0; i < SERVER_LIST_COUNT; i++)
		list_each(link, &pool->servers[i])
			server_set_expiry(core, container_of(link, struct server, link));
}

/* The pool is in the new configuration, too. */
static void pools_change(
	struct core *core, struct pool *pool, const struct config *config, size_t index)
{
	const struct config_pool *before = pool->config, *now = &config->pools[index];
	unsigned cores = core->world->worker_count;

	pool->config = now;
	pool->is_limited = pools_limited(now);
	pool->permits += budget_share(core->index, cores, now->pool_size) -
		budget_share(core->index, cores, before->pool_size);
	pool->min_size += pools_least(now, core) - pools_least(before, core);
	if (now->min_pool_size == 0)
		pool->min_size = 0; /* some of it may have gone to other cores */
	pools_change_times(core, pool, before);
	budget_restore_reserve(core, pool);
	if (pool->server_epoch != config->identities[index].server_epoch ||
		!pools_same_passwords(before, now)) {
		pool->server_epoch = config->identities[index].server_epoch;
		pool_forget_addresses(pool);
		pool->failures = 0;
		pools_forget_keys(pool);
		settings_doubt(pool);
		pools_retire_servers(core, pool, "its server was changed in the configuration");
	}
	pool_retire_idle(core, pool);
	budget_publish(core, pool);
	pool_wake(core, pool);
}

/* What the pool's herald has follows. */
static void pools_change_herald(
	struct core *core, struct herald *herald, const struct config *config, size_t index)
{
	pools_change(core, herald->own, config, index);
	herald->own->permits = 1;
	herald->own->min_size = 0;
	if (herald->lease.state == LEASE_HELD && herald->lease.server->retires)
		herald_renew(core, herald);
}

const char *pools_removal(const struct config *config, const struct pool *pool)
{
	return config_has_database(config, pool->config->database)
		? "the user's access to the database was removed from the configuration of pgring"
		: "the database was removed from the configuration of pgring";
}

/* `config` is the one that does not have it any more. */
static void pools_remove(struct core *core, struct pool *pool, const struct config *config)
{
	struct fault fault = {
		"FATAL", SQLSTATE_ADMIN_SHUTDOWN, pools_removal(config, pool), NULL, NULL};
	struct list *link;

	if (pool->herald)
		herald_end(core, pool->herald);
	pool->is_removed = true;
	pool->snapshot = snapshot_take(core);
	pool->permits = pool->min_size = 0;
	list_push_back(&core->pools->removed, &pool->removed);
	pools_retire_servers(core, pool, "it was removed from the configuration");
	while ((link = list_first(&pool->waiters)))
		lease_fail(core, container_of(link, struct lease, link), &fault);
	pool_wake(core, pool);
}

void pools_remove_single(struct core *core, struct pool *single)
{
	pools_remove(core, single, core->pools->config);
}

void pools_free(struct core *core, struct pool *pool)
{
	CHECK(pool->waiter_count == 0 && pool_total(pool) == 0 && pool->client_count == 0);
	core_timer_stop(core, &pool->retry);
	core_timer_stop(core, &pool->waited);
	core_timer_stop(core, &pool->upkeep);
	core_timer_stop(core, &pool->ask_again);
	places_begin(pool);
	places_end(core, pool);
	list_remove(&pool->dispatch.link);
	list_remove(&pool->removed);
	settings_drop(pool->plain_settings);
	table_free(&pool->settings);
	pools_forget_keys(pool);
	channels_free(&pool->channels);
	if (pool->is_single)
		free(pool->budget);
	snapshot_drop(core, pool->snapshot);
	free(pool);
}

/* ---- all of them ---- */

/* The table from number to pool: open addressing, at most half full. */
static void pools_index(struct pools *pools)
{
	uint32_t slots = 8;

	while (slots < pools->count * 2)
		slots *= 2;
	free(pools->by_id);
	pools->by_id = calloc(slots, sizeof(struct pool *));
	CHECK(pools->by_id);
	pools->by_id_mask = slots - 1;
	for (size_t i = 0; i < pools->count; i++) {
		uint32_t at = pools->items[i]->id & pools->by_id_mask;

		while (pools->by_id[at])
			at = (at + 1) & pools->by_id_mask;
		pools->by_id[at] = pools->items[i];
	}
}

struct pool *pools_find(const struct core *core, uint32_t id)
{
	const struct pools *pools = core->pools;

	for (uint32_t at = id & pools->by_id_mask; pools->by_id[at];
		at = (at + 1) & pools->by_id_mask)
		if (pools->by_id[at]->id == id)
			return pools->by_id[at];
	return NULL;
}

void pools_apply(struct core *core, const struct config *config)
{
	struct pools *pools = core->pools;
	struct pool **before = pools->items;
	size_t count_before = pools->count;
	struct pool **items = calloc(config->pool_count + 1, sizeof(struct pool *));

	CHECK(items);
	for (size_t i = 0; i < config->pool_count; i++)
		items[i] = count_before > 0 ? pools_find(core, config->identities[i].budget->id)
					    : NULL;
	for (size_t i = 0; i < config->pool_count; i++)
		if (items[i])
			items[i]->is_kept = true;
	for (size_t i = 0; i < count_before; i++)
		if (!before[i]->is_kept)
			pools_remove(core, before[i], config);
	/* from here on `removed` pools hold the old configuration */
	for (size_t i = 0; i < config->pool_count; i++) {
		if (items[i]) {
			items[i]->is_kept = false;
			pools_change(core, items[i], config, i);
			if (items[i]->herald)
				pools_change_herald(core, items[i]->herald, config, i);
		} else {
			items[i] = pools_new(core, config, i);
		}
	}
	free(before);
	pools->items = items;
	pools->count = config->pool_count;
	pools->config = config;
	pools_index(pools);
}

int pools_open(struct core *core, const struct config *config)
{
	struct pools *pools = calloc(1, sizeof *pools);

	if (!pools)
		return ERR_NO_MEMORY;
	core->pools = pools;
	list_init(&pools->removed);
	list_init(&pools->placeless);
	budget_open(core);
	statements_init(&pools->statements, core->world->secret);
	tiding_open(core);
	if (slab_init(&pools->servers, sizeof(struct server), LIMIT_SLOTS) != 0 ||
		slab_init(&pools->cancels, server_cancel_bytes(), LIMIT_SLOTS) != 0 ||
		slab_init(&pools->subscribers, sizeof(struct subscriber), LIMIT_SLOTS) != 0)
		return ERR_NO_MEMORY;
	pools_apply(core, config);
	return 0;
}

static void pools_drain_one(struct core *core, struct pool *pool)
{
	core_timer_stop(core, &pool->retry);
	core_timer_stop(core, &pool->upkeep);
	list_each_safe(link, &pool->servers[SERVER_LIST_IDLE])
		server_close(
			core, container_of(link, struct server, link), "pgring is shutting down");
	list_each_safe(opening, &pool->servers[SERVER_LIST_OPENING])
		server_close(core, container_of(opening, struct server, link),
			"pgring is shutting down");
}

void pools_drain(struct core *core)
{
	struct pools *pools = core->pools;

	pools->is_draining = true;
	for (size_t i = 0; i < pools->count; i++)
		if (pools->items[i]->herald)
			herald_end(core, pools->items[i]->herald);
	for (size_t i = 0; i < pools->count; i++)
		pools_drain_one(core, pools->items[i]);
	list_each_safe(link, &pools->removed)
		pools_drain_one(core, container_of(link, struct pool, removed));
}

bool pools_idle(const struct core *core)
{
	return core->pools->servers.live == 0 && core->pools->cancels.live == 0 &&
		list_empty(&core->pools->outbox) && tiding_idle(core);
}

void pools_close(struct core *core)
{
	struct pools *pools = core->pools;

	list_each_safe(link, &pools->removed)
		pools_free(core, container_of(link, struct pool, removed));
	for (size_t i = 0; i < pools->count; i++)
		pools_free(core, pools->items[i]);
	tiding_close(core);
	slab_destroy(&pools->servers);
	slab_destroy(&pools->cancels);
	slab_destroy(&pools->subscribers);
	statements_free(&pools->statements);
	free(pools->by_id);
	free(pools->items);
	free(pools);
	core->pools = NULL;
}
