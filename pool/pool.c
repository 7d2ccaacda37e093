/* Pools: who gets which server, and when servers are opened and closed. */
#include "pool/pool.h"

#include "core/clock.h"
#include "core/errors.h"
#include "pool/server_move.h"
#include "protocol/sqlstate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	POOL_UPKEEP_MS = 333,
	POOL_RETRY_MS_MIN = 25,   /* after the first failure in a row; doubles ... */
	POOL_RETRY_MS_MAX = 200,  /* ... up to this */
	POOL_RETRY_MS_IDLE = 500, /* while nobody waits */
	POOL_ATTEMPT_DELAY_MS_MAX = 24 * 3600 * 1000, /* nobody waits for longer */
	POOL_OPEN_AT_ONCE = 16,
	POOL_NAME_TTL_MS = 5000,
	POOL_NAME_PATIENCE_MS = 500, /* how long a lookup is waited for while an address is known */
	POOL_TIMEOUTS_MS = 10000,    /* how often the log has that clients waited too long */
};

static void pool_dispatch(struct core *core, struct task *task);
static void pool_retry(struct core *core, struct timer *timer);
static void pool_waited(struct core *core, struct timer *timer);
static void pool_upkeep(struct core *core, struct timer *timer);

unsigned pool_total(const struct pool *pool)
{
	unsigned total = 0;

	for (int i = 0; i < SERVER_LIST_COUNT; i++)
		total += pool->server_count[i];
	return total;
}

void pool_wake(struct core *core, struct pool *pool)
{
	core_defer(core, &pool->dispatch);
}

static void pool_ask_again(struct core *core, struct timer *timer)
{
	pool_wake(core, container_of(timer, struct pool, ask_again));
}

void pool_init(struct pool *pool)
{
	static const struct params nothing;

	for (int i = 0; i < SERVER_LIST_COUNT; i++)
		list_init(&pool->servers[i]);
	list_init(&pool->cancels);
	list_init(&pool->waiters);
	list_init(&pool->removed);
	channels_init(&pool->channels);
	pool->plain_settings = settings_share(pool, &nothing);
	timer_init(&pool->retry, pool_retry);
	timer_init(&pool->waited, pool_waited);
	timer_init(&pool->upkeep, pool_upkeep);
	timer_init(&pool->ask_again, pool_ask_again);
	task_init(&pool->dispatch, pool_dispatch);
	places_init(pool);
}

/* ---- failing ---- */

/* How many attempts must fail before a client that waits is told. */
static unsigned pool_attempts(const struct core *core, const struct pool *pool)
{
	unsigned attempts = (unsigned)core->pools->config->general.connect_attempts;

	return attempts < pool->address_count ? pool->address_count : attempts;
}

/* When the next attempt may be made. */
static uint64_t pool_retry_ns(const struct core *core, const struct pool *pool)
{
	unsigned attempts = pool_attempts(core, pool), doublings;
	int64_t delay_ms;

	if (pool->failures == 0 || pool->failures < pool->address_count)
		return 0;
	if (pool->failures < attempts) {
		delay_ms = core->pools->config->general.connect_attempt_delay_ms;
		if (delay_ms > POOL_ATTEMPT_DELAY_MS_MAX)
			delay_ms = POOL_ATTEMPT_DELAY_MS_MAX;
	} else if (pool->waiter_count == 0) {
		delay_ms = POOL_RETRY_MS_IDLE;
	} else {
		doublings = pool->failures - attempts;
		delay_ms = (int64_t)POOL_RETRY_MS_MIN << (doublings < 3 ? doublings : 3);
		if (delay_ms > POOL_RETRY_MS_MAX)
			delay_ms = POOL_RETRY_MS_MAX;
	}
	return pool->failed_ns + (uint64_t)delay_ms * NS_PER_MS;
}

static unsigned pool_alive(const struct pool *pool)
{
	return pool_total(pool) - pool->server_count[SERVER_LIST_CLOSING];
}

/* Attempts that were under way together count as one: they tell one thing, and tried one address. */
static void pool_count_failure(
	struct core *core, struct pool *pool, uint64_t began_ns, const struct fault *fault)
{
	bool passes = strcmp(fault->sqlstate, SQLSTATE_CANNOT_CONNECT_NOW) == 0;

	if (pool->failures > 0 && began_ns < pool->failed_ns)
		return;
	pool->failures++;
	pool->failed_ns = core->now_ns;
	pool->next_address++;
	if (pool->untried > 0)
		pool->untried--;
	if (strcmp(pool->failure_text, fault->message) != 0 || pool->failures == 1)
		log_warn(core, "pool %s/%s: %s", pool->config->database, pool->config->user,
			fault->message);
	snprintf(pool->failure_text, sizeof pool->failure_text, "%s", fault->message);
	snprintf(pool->failure_state, sizeof pool->failure_state, "%s", fault->sqlstate);
	list_each(link, &pool->waiters) {
		struct lease *lease = container_of(link, struct lease, link);

		if (lease->since_ns > began_ns)
			break;
		lease->failed_attempts += !passes;
	}
}

void pool_server_failed(struct core *core, struct pool *pool, uint64_t began_ns,
	const struct fault *fault, bool by_password)
{
	unsigned attempts = pool_attempts(core, pool);
	struct list *link;

	pool_wake(core, pool);
	if (by_password || core->pools->is_draining)
		return;
	pool_count_failure(core, pool, began_ns, fault);
	if (pool_alive(pool) > 0)
		return;
	if (pool->is_asking || pool->coming > 0 || budget_has_idle(core, pool))
		return; /* what another core has connected will do */
	/* A client that is told may stand in the queue again at once: at its end, and with no failed attempt. */
	while ((link = list_first(&pool->waiters))) {
		struct lease *lease = container_of(link, struct lease, link);

		if (lease->failed_attempts < attempts)
			return;
		lease_fail(core, lease, fault);
	}
}

static void pool_retry(struct core *core, struct timer *timer)
{
	pool_wake(core, container_of(timer, struct pool, retry));
}

/* At most one line in POOL_TIMEOUTS_MS: where many wait, many wait too long. */
static void pool_log_timeout(struct core *core, struct pool *pool, const char *what)
{
	pool->timeouts++;
	if (pool->timeouts_logged_ns > 0 &&
		core->now_ns - pool->timeouts_logged_ns < POOL_TIMEOUTS_MS * NS_PER_MS)
		return;
	log_warn(core, "pool %s/%s: %s (%u since the last such line, %u clients wait)",
		pool->config->database, pool->config->user, what, pool->timeouts,
		pool->waiter_count);
	pool->timeouts_logged_ns = core->now_ns;
	pool->timeouts = 0;
}

static void pool_waited(struct core *core, struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, waited);
	int64_t limit_ms = core->pools->config->general.checkout_timeout_ms;
	uint64_t limit_ns = (uint64_t)limit_ms * NS_PER_MS;
	struct fault fault = {"ERROR", SQLSTATE_SYSTEM_ERROR, "checkout timeout", NULL,
		"All server connections of this pool are in use: raise pool_size or "
		"checkout_timeout, "
		"or make transactions shorter."};
	struct list *link;

	if (limit_ms == CONFIG_UNLIMITED)
		return; /* since a reload */
	if (pool->failures > 0) {
		fault.detail = pool->failure_text;
		fault.hint = NULL;
	}
	if (pool->failures > 0 && pool_alive(pool) == pool->server_count[SERVER_LIST_OPENING]) {
		fault.sqlstate = pool->failure_state;
		fault.message = pool->failure_text;
		fault.detail = "The server was tried again until checkout_timeout was over.";
	}
	if (list_linked(&pool->places.link))
		fault.hint = "max_db_connections or max_user_connections is reached: raise it, "
			     "or make transactions shorter.";
	while ((link = list_first(&pool->waiters)) && !pool->is_paused) {
		struct lease *lease = container_of(link, struct lease, link);
		uint64_t since_ns =
			lease->since_ns > pool->resumed_ns ? lease->since_ns : pool->resumed_ns;
		uint64_t waited_ns = core->now_ns - since_ns;

		if (waited_ns < limit_ns) {
			core_timer_set(core, &pool->waited,
				(int64_t)((limit_ns - waited_ns + NS_PER_MS - 1) / NS_PER_MS));
			return;
		}
		core_count(core, METRIC_checkout_timeouts);
		pool->stats.wait_us += waited_ns / NS_PER_US;
		pool_log_timeout(core, pool, fault.message);
		lease_fail(core, lease, &fault);
	}
}

/* ---- opening ---- */

static void pool_resolved(struct core *core, struct resolve *resolve)
{
	struct pool *pool = resolve->owner;

	if (!pool) { /* the pool has another server meanwhile */
		free(resolve);
		return;
	}
	pool->resolve = NULL;
	if (resolve->error && pool->address_count > 0 && pool->failures == 0) {
		log_warn(core,
			"could not resolve the host name \"%s\": %s; its last address is used",
			resolve->host, resolve->reason);
		pool->resolved_ns = core->now_ns;
		pool_wake(core, pool);
	} else if (resolve->error) {
		char text[400];
		struct fault fault = {"FATAL", SQLSTATE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
			text, NULL, NULL};

		snprintf(text, sizeof text, "could not resolve the host name \"%s\": %s",
			resolve->host, resolve->reason);
		pool_server_failed(core, pool, pool->resolving_ns, &fault, false);
	} else {
		memcpy(pool->addresses, resolve->addresses, sizeof pool->addresses);
		pool->address_count = resolve->count;
		pool->untried = resolve->count;
		pool->resolved_ns = core->now_ns;
		pool_wake(core, pool);
	}
	free(resolve);
}

void pool_forget_addresses(struct pool *pool)
{
	pool->address_count = 0;
	if (pool->resolve)
		pool->resolve->owner = NULL;
	pool->resolve = NULL;
}

/* Puts the server's addresses into the pool. Returns 0, ERR_FULL if they are still being looked up, or another error. */
static int pool_find_addresses(struct core *core, struct pool *pool)
{
	const struct config_pool *config = pool->config;
	struct resolve *resolve;
	int error;

	if (pool->resolve) {
		/* a name server that says nothing: what was known is better than that */
		return pool->address_count > 0 &&
				core->now_ns - pool->resolving_ns >=
					POOL_NAME_PATIENCE_MS * NS_PER_MS
			? 0
			: ERR_FULL;
	}
	/* A name whose addresses have all failed may mean another server by now. */
	if (pool->address_count > 0 &&
		(pool->resolved_ns == 0 ||
			(core->now_ns - pool->resolved_ns < POOL_NAME_TTL_MS * NS_PER_MS &&
				(pool->untried > 0 || pool->failures == 0))))
		return 0;
	if (config->host[0] == '/')
		error = address_unix(config->host, config->port, &pool->addresses[0]);
	else
		error = address_numeric(config->host, config->port, &pool->addresses[0]);
	if (error != ERR_INVALID) {
		pool->address_count = error ? 0 : 1;
		return error;
	}
	resolve = calloc(1, sizeof *resolve);
	CHECK(resolve);
	snprintf(resolve->host, sizeof resolve->host, "%s", config->host);
	resolve->port = config->port;
	resolve->owner = pool;
	resolve->resolved = pool_resolved;
	error = resolve_start(core, resolve);
	if (error) {
		free(resolve);
		core_timer_set(core, &pool->retry, POOL_RETRY_MS_MIN);
		return error;
	}
	pool->resolve = resolve;
	pool->resolving_ns = core->now_ns;
	if (pool->address_count > 0)
		core_timer_set(core, &pool->retry, POOL_NAME_PATIENCE_MS);
	return ERR_FULL;
}

static bool pool_open_one(struct core *core, struct pool *pool)
{
	struct fault fault = {
		"FATAL", SQLSTATE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, NULL, NULL, NULL};
	const char *why;
	int error = pool_find_addresses(core, pool);

	if (error == ERR_FULL)
		return false;
	if (error) {
		fault.message = "the path of the server's unix socket is too long";
		pool_server_failed(core, pool, core->now_ns, &fault, false);
		return false;
	}
	pool_keep_up(core, pool);
	if (!places_take(core, pool))
		return false;
	if (server_open(core, pool, &pool->addresses[pool->next_address % pool->address_count],
		    &why) != 0) {
		struct place place = places_of(pool);

		places_give(core, &place);
		fault.message = why;
		pool_server_failed(core, pool, core->now_ns, &fault, false);
		return false;
	}
	return true;
}

/* What the pool keeps open of itself. */
static int pool_least(const struct pool *pool)
{
	return pool->min_size < pool->permits ? pool->min_size : pool->permits;
}

/* Opens what waiters and min_pool_size ask for, as far as there are permits; other cores are asked for the rest. */
static void pool_grow(struct core *core, struct pool *pool)
{
	int total = (int)pool_total(pool), room = pool_room(pool);
	int on_the_way = (int)(pool->server_count[SERVER_LIST_OPENING] + pool->coming);
	int wanted = (int)pool->waiter_count - on_the_way;
	bool is_stuck;
	uint64_t retry_ns;

	if (core->pools->is_draining || pool->is_removed || pool->is_paused)
		return;
	if (unlikely(room < 0))
		pool_retire_idle(core, pool);
	if (wanted < 0)
		wanted = 0;
	/* its permits are of no use to it now, but what another core has connected already is */
	is_stuck = pool->permits > 0 &&
		(pool->failures > 0 || (pool->is_limited && !places_left(pool)));
	if (pool->permits < 0)
		budget_ask(core, pool, (unsigned)-pool->permits, false);
	else if (wanted > 0 && is_stuck)
		budget_ask(core, pool, (unsigned)wanted, true);
	else if (wanted > 0 && wanted > room)
		budget_ask(core, pool, (unsigned)(wanted - (room > 0 ? room : 0)), false);
	if (wanted > room && pool->failures == 0) {
		budget_use_reserve(core, pool, (unsigned)on_the_way);
		room = pool_room(pool);
	}
	if (wanted < pool_least(pool) - total)
		wanted = pool_least(pool) - total;
	if (wanted > room)
		wanted = room;
	if (wanted > POOL_OPEN_AT_ONCE)
		wanted = POOL_OPEN_AT_ONCE;
	if (wanted <= 0)
		return;
	retry_ns = pool_retry_ns(core, pool);
	if (core->now_ns < retry_ns) {
		core_timer_set(core, &pool->retry,
			(int64_t)((retry_ns - core->now_ns + NS_PER_MS - 1) / NS_PER_MS));
		return;
	}
	if (pool->failures > 0) {
		if (pool->server_count[SERVER_LIST_OPENING] > 0)
			return;
		wanted = 1; /* one at a time to see whether it is back */
	}
	while (wanted-- > 0 && pool_open_one(core, pool))
		;
}

static void pool_dispatch(struct core *core, struct task *task)
{
	struct pool *pool = container_of(task, struct pool, dispatch);
	struct list *link;

	while ((link = list_first(&pool->waiters))) {
		struct lease *lease = container_of(link, struct lease, link);
		struct server *server = lease_choose(pool, lease);

		if (!server)
			break;
		if (!lease_must_check(core, server))
			lease_grant(core, lease, server);
		else if (pool->server_count[SERVER_LIST_OPENING] < pool->waiter_count)
			server_check(core, server);
		else
			break;
	}
	budget_publish(core, pool); /* that clients wait is seen before other cores are asked */
	places_begin(pool);
	pool_grow(core, pool);
	places_end(core, pool);
	budget_restore_reserve(core, pool);
	budget_publish(core, pool);
	link = list_first(&pool->waiters);
	if (unlikely(pool->is_removed)) {
		if (pool->client_count == 0 && pool_total(pool) == 0 && !pool->resolve &&
			pool->cancel_count == 0)
			pools_free(core, pool);
		return;
	}
	if (link && !pool->is_paused && !timer_is_set(&pool->waited) &&
		core->pools->config->general.checkout_timeout_ms != CONFIG_UNLIMITED)
		core_timer_set(
			core, &pool->waited, core->pools->config->general.checkout_timeout_ms);
}

/* ---- news of servers ---- */

void pool_settings_tried(struct core *core, struct pool *pool, struct settings *settings)
{
	settings->is_tried = true;
	list_each_safe(link, &pool->waiters) {
		struct lease *lease = container_of(link, struct lease, link);

		if (lease->is_trial && lease->settings == settings)
			lease_end_trial(core, lease);
	}
}

/* What servers of a pool report of themselves, on its way to another core. */
struct pool_plain {
	uint32_t pool_id, server_epoch;
	struct params reported;
};

/* Every core lets its clients in without a server of its own, once one core has had one. */
static void pool_tell_plain(struct core *core, struct pool *pool)
{
	for (unsigned to = 0; to < core->world->worker_count; to++) {
		struct letter letter = {.kind = LETTER_PLAIN};
		struct pool_plain *plain;

		if (to == core->index)
			continue;
		plain = calloc(1, sizeof *plain);
		CHECK(plain);
		plain->pool_id = pool->id;
		plain->server_epoch = pool->server_epoch;
		params_copy(&plain->reported, &pool->plain_settings->reported);
		letter.a = plain;
		if (mailbox_send(core, to, &letter) != 0) { /* it finds out by itself */
			params_clear(&plain->reported);
			free(plain);
		}
	}
}

void pool_plain_arrived(struct core *core, const struct letter *letter)
{
	struct pool_plain *plain = letter->a;
	struct pool *pool = pools_find(core, plain->pool_id);

	if (pool && pool->server_epoch == plain->server_epoch && !pool->plain_settings->is_tried) {
		params_copy(&pool->plain_settings->reported, &plain->reported);
		pool_settings_tried(core, pool, pool->plain_settings);
	}
	params_clear(&plain->reported);
	free(plain);
}

/* What servers report changes when they are upgraded: sets that were tried on the old one are tried again. */
static void pool_note_plain(struct core *core, struct pool *pool, const struct server *server)
{
	struct settings *plain = pool->plain_settings;
	const char *before = params_get(&plain->reported, "server_version");
	const char *now = params_get(&server->params, "server_version");

	if (before && now && strcmp(before, now) != 0)
		settings_doubt(pool);
	if (plain->is_tried && before && now && strcmp(before, now) == 0)
		return;
	params_copy(&plain->reported, &server->params);
	pool_settings_tried(core, pool, plain);
	pool_tell_plain(core, pool);
}

void pool_server_ready(struct core *core, struct server *server)
{
	struct pool *pool = server->pool;

	if (pool->failures > 0)
		log_info(core, "pool %s/%s: the server is back", pool->config->database,
			pool->config->user);
	pool->failures = 0;
	pool->password = server->password;
	pool_note_plain(core, pool, server);
	pool_give(core, server);
	pool_wake(core, pool); /* others may wait for the news that it works */
}

static void pool_consider_growing(struct core *core, struct pool *pool)
{
	if (pool->waiter_count > 0 || (int)pool_total(pool) < pool_least(pool) || pool->is_removed)
		pool_wake(core, pool);
}

void pool_server_gone(struct core *core, struct pool *pool)
{
	budget_restore_reserve(core, pool);
	budget_publish(core, pool);
	pool_consider_growing(core, pool);
}

bool pool_close_idle(struct core *core, struct pool *pool, const char *reason)
{
	struct list *idle = &pool->servers[SERVER_LIST_IDLE];

	if (list_empty(idle))
		return false;
	server_close(core, container_of(idle->prev, struct server, link), reason);
	return true;
}

void pool_retire_idle(struct core *core, struct pool *pool)
{
	int surplus = (int)pool_alive(pool) - (pool->permits > 0 ? pool->permits : 0);

	while (surplus-- > 0 && pool_close_idle(core, pool, "pool_size was lowered"))
		;
}

void pool_give(struct core *core, struct server *server)
{
	struct pool *pool = server->pool;
	struct list *waiter = list_first(&pool->waiters);

	server->idle_ns = server->used_ns = core->now_ns;
	server_enter(core, server, SERVER_IDLE);
	if (pool->is_limited && server->transactions > 0) /* a new one is for who waits for it */
		server->yielded = places_must_yield(pool);
	if (unlikely(server->retires || core->pools->is_draining || pool->is_paused ||
		    core->now_ns >= server->expires_ns || (int)pool_alive(pool) > pool->permits ||
		    server->yielded)) {
		server_close(core, server,
			"server_lifetime is over, its pool is changed, paused or closed, or "
			"others wait for its place");
		return;
	}
	if (waiter) {
		int to = budget_more_urgent(core, pool);

		if (likely(to < 0))
			lease_grant(core, container_of(waiter, struct lease, link), server);
		else
			server_move(core, server, (unsigned)to, false);
	} else {
		budget_publish(core, pool);
	}
}

/* ---- upkeep ---- */

void pool_keep_up(struct core *core, struct pool *pool)
{
	if (!timer_is_set(&pool->upkeep))
		core_timer_set(core, &pool->upkeep, POOL_UPKEEP_MS);
}

static void pool_upkeep(struct core *core, struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, upkeep);
	int64_t idle_ms = pool->config->idle_timeout_ms;
	int total = (int)pool_total(pool);

	/* the last used stand in front: the longest idle come last */
	list_each_safe(link, &pool->servers[SERVER_LIST_IDLE]) {
		struct server *server = container_of(link, struct server, link);

		if (core->now_ns >= server->expires_ns) {
			server_close(core, server, "server_lifetime is over");
		} else if (idle_ms != CONFIG_UNLIMITED && total > pool_least(pool) &&
			core->now_ns - server->idle_ns > (uint64_t)idle_ms * NS_PER_MS) {
			server_close(core, server, "idle_timeout is over");
			total--;
		}
	}
	budget_restore_reserve(core, pool);
	budget_publish(core, pool);
	pool_consider_growing(core, pool);
	if (pool_total(pool) > 0 || pool_least(pool) > 0)
		core_timer_set(core, &pool->upkeep, POOL_UPKEEP_MS);
}
