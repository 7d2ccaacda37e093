/* Places: taken, given back, waited for, and called for. */
#include "pool/places.h"

#include "core/clock.h"
#include "core/tally.h"
#include "pool/pool.h"

enum {
	PLACES_LOOK_MS = 4,   /* also what a letter takes that looks for an idle connection */
	PLACES_EVICT_MS = 20, /* a connection that closes has gone by then */
	/* A reconnect costs as much as many short transactions: the hungry leave others that much time. */
	PLACES_PATIENCE_MS = 50,
	PLACES_HOLD_MS =
		100, /* what a pool keeps at least for which the other limit has no place */
	PLACES_HOLD_MS_MAX = 10000,
};

static void places_look(struct core *core, struct timer *timer)
{
	pool_wake(core, container_of(timer, struct pool, places.timer));
}

void places_init(struct pool *pool)
{
	list_init(&pool->places.link);
	timer_init(&pool->places.timer, places_look);
}

struct place places_of(const struct pool *pool)
{
	return (struct place){pool->database_tally, pool->user_tally, pool->own_tally, NULL};
}

static struct tally *places_tally(const struct pool *pool, int which)
{
	return which == PLACES_DATABASE ? pool->database_tally : pool->user_tally;
}

static int64_t places_limit(const struct pool *pool, int which)
{
	return which == PLACES_DATABASE ? pool->config->max_db_connections
					: pool->config->max_user_connections;
}

/* ---- claims ---- */

static void places_sate(struct pool *pool, int which)
{
	struct claim *claim = &pool->places.claims[which];

	if (claim->has_called)
		tally_give(&places_tally(pool, which)->callers);
	if (claim->is_hungry)
		tally_give(&places_tally(pool, which)->hungry);
	claim->has_called = claim->is_hungry = false;
}

static void places_unclaim(struct pool *pool, int which)
{
	struct claim *claim = &pool->places.claims[which];

	places_sate(pool, which);
	if (claim->is_made)
		tally_give(&places_tally(pool, which)->placeless);
	claim->is_made = false;
}

/* A pool is hungry once, whichever of its cores it is that got in first. */
static void places_find_hunger(struct pool *pool)
{
	struct places *places = &pool->places;
	bool has_servers = tally_read(&pool->own_tally->servers) > 0;

	if (!places->is_hungry && !has_servers) {
		places->is_hungry = tally_take(&pool->own_tally->hungry, 1);
	} else if (places->is_hungry && has_servers) {
		for (int which = 0; which < PLACES_LIMITS; which++)
			places_sate(pool, which);
		tally_give(&pool->own_tally->hungry);
		places->is_hungry = false;
	}
}

static void places_claim(struct core *core, struct pool *pool, int which)
{
	struct claim *claim = &pool->places.claims[which];
	struct tally *tally = places_tally(pool, which);
	const struct lease *oldest = container_of(list_first(&pool->waiters), struct lease, link);

	if (!claim->is_made) {
		CHECK(tally_take(&tally->placeless, 0));
		claim->is_made = true;
	}
	if (!pool->places.is_hungry)
		return;
	if (!claim->is_hungry) {
		CHECK(tally_take(&tally->hungry, 0));
		claim->is_hungry = true;
	}
	if (!claim->has_called &&
		core->now_ns - oldest->since_ns >= PLACES_PATIENCE_MS * NS_PER_MS) {
		CHECK(tally_take(&tally->callers, 0));
		claim->has_called = true;
	}
}

/* ---- places of one limit ---- */

static void places_wake_all(struct core *core)
{
	list_each(link, &core->pools->placeless)
		pool_wake(core, container_of(link, struct pool, places.link));
}

/* Gives back what is kept of that limit. */
static void places_let_go(struct core *core, struct pool *pool, int which)
{
	struct claim *claim = &pool->places.claims[which];

	if (!claim->is_held)
		return;
	claim->is_held = false;
	tally_give(&places_tally(pool, which)->servers);
	places_wake_all(core);
}

/* As long as the client had waited for it, so that it waits for a few of the longest transactions at most; and not for ever,
 * because those under this limit are not to wait for those under the other. */
static uint64_t places_hold_ns(const struct pool *pool, const struct claim *claim)
{
	const struct lease *oldest = container_of(list_first(&pool->waiters), struct lease, link);
	uint64_t since_ns =
		oldest->since_ns > pool->resumed_ns ? oldest->since_ns : pool->resumed_ns;
	uint64_t hold_ns = claim->held_ns > since_ns ? claim->held_ns - since_ns : 0;

	if (hold_ns < PLACES_HOLD_MS * NS_PER_MS)
		return PLACES_HOLD_MS * NS_PER_MS;
	return hold_ns < PLACES_HOLD_MS_MAX * NS_PER_MS ? hold_ns : PLACES_HOLD_MS_MAX * NS_PER_MS;
}

/* A place of this limit is in hand, and the other limit has none. It is kept for a pool that calls for the other. */
static void places_hold(struct core *core, struct pool *pool, int which)
{
	struct claim *claim = &pool->places.claims[which];
	bool is_called = pool->places.claims[PLACES_LIMITS - 1 - which].has_called;

	if (is_called && !claim->is_vain) {
		if (!claim->is_held) {
			places_unclaim(pool, which);
			claim->is_held = true;
			claim->held_ns = core->now_ns;
		}
		if (core->now_ns - claim->held_ns < places_hold_ns(pool, claim))
			return;
		claim->is_vain = true;
	}
	if (claim->is_held) {
		places_let_go(core, pool, which);
		return;
	}
	tally_give(&places_tally(pool, which)->servers);
	if (claim->is_made && core->now_ns - claim->refused_ns > PLACES_HOLD_MS * NS_PER_MS) {
		places_unclaim(pool, which);
		claim->is_vain = true;
	}
}

static void places_leave(struct core *core, struct pool *pool)
{
	struct places *places = &pool->places;

	for (int which = 0; which < PLACES_LIMITS; which++) {
		places_let_go(core, pool, which);
		places_unclaim(pool, which);
		places->claims[which].is_vain = false;
	}
	if (places->is_hungry)
		tally_give(&pool->own_tally->hungry);
	places->is_hungry = false;
	list_remove(&places->link);
	core_timer_stop(core, &places->timer);
}

/* ---- idle connections of others ---- */

/* Closes the connection under that limit that has idled longest on this core. */
static bool places_evict(struct core *core, struct tally *full)
{
	struct pools *pools = core->pools;
	struct pool *victim = NULL;
	uint64_t longest_ns = UINT64_MAX;

	for (size_t i = 0; i < pools->count; i++) {
		struct pool *pool = pools->items[i];
		struct list *idle = &pool->servers[SERVER_LIST_IDLE];
		const struct server *server;

		if ((pool->database_tally != full && pool->user_tally != full) || list_empty(idle))
			continue;
		server = container_of(idle->prev, struct server, link);
		if (server->idle_ns >= longest_ns)
			continue;
		longest_ns = server->idle_ns;
		victim = pool;
	}
	if (!victim)
		return false;
	core_count(core, METRIC_evictions);
	CHECK(tally_take(&full->yielding, 0));
	container_of(victim->servers[SERVER_LIST_IDLE].prev, struct server, link)->yielded = full;
	return pool_close_idle(core, victim, "another pool under the same limit needs its place");
}

static void places_send(struct core *core, uint32_t origin, struct tally *full)
{
	unsigned next = (core->index + 1) % core->world->worker_count;
	struct letter letter = {.kind = LETTER_EVICT, .number = origin, .a = full};

	if (next != origin && mailbox_send(core, next, &letter) != 0)
		core_count(core, METRIC_letters_delayed); /* it is asked again soon */
}

void places_evict_asked(struct core *core, const struct letter *letter)
{
	if (!places_evict(core, letter->a))
		places_send(core, letter->number, letter->a);
}

/* ---- taking and giving ---- */

/* Wants an idle connection under that limit closed. */
static void places_want(struct core *core, struct pool *pool, int which)
{
	struct claim *claim = &pool->places.claims[which];
	struct tally *tally = places_tally(pool, which);
	uint64_t since_ns = core->now_ns - claim->evicted_ns;

	if (tally_read(&tally->servers) < places_limit(pool, which) || pool->is_asking ||
		pool->coming > 0 || since_ns < PLACES_LOOK_MS * NS_PER_MS ||
		(since_ns < PLACES_EVICT_MS * NS_PER_MS && tally_read(&tally->yielding) > 0))
		return;
	claim->evicted_ns = core->now_ns;
	if (!places_evict(core, tally))
		places_send(core, core->index, tally);
}

/* `is_free`: of which limits a place is in hand. */
static void places_refuse(struct core *core, struct pool *pool, const bool *is_free)
{
	struct places *places = &pool->places;

	places->is_refused = true;
	if (!list_linked(&places->link))
		list_push_back(&core->pools->placeless, &places->link);
	if (!timer_is_set(&places->timer))
		core_timer_set(core, &places->timer, PLACES_LOOK_MS);
	places_find_hunger(pool);
	for (int which = 0; which < PLACES_LIMITS; which++) {
		struct claim *claim = &places->claims[which];

		if (is_free[which])
			continue;
		if (is_free[PLACES_LIMITS - 1 - which])
			claim->is_vain = false;
		if (claim->is_vain)
			continue;
		claim->refused_ns = core->now_ns;
		places_claim(core, pool, which);
		places_want(core, pool, which);
	}
	for (int which = 0; which < PLACES_LIMITS; which++)
		if (is_free[which])
			places_hold(core, pool, which);
}

/* The places that are left are for those who have called, while there are any; then for the hungry; then for all whose clients
 * wait; then for min_pool_size. */
static bool places_take_of(struct pool *pool, int which)
{
	const struct claim *claim = &pool->places.claims[which];
	struct tally *tally = places_tally(pool, which);
	int64_t limit = places_limit(pool, which);

	if (limit > 0 &&
		((!claim->has_called && tally_read(&tally->callers) > 0) ||
			(!claim->is_hungry && tally_read(&tally->hungry) > 0) ||
			(pool->waiter_count == 0 && tally_read(&tally->placeless) > 0)))
		return false;
	return tally_take(&tally->servers, limit);
}

bool places_take(struct core *core, struct pool *pool)
{
	struct claim *claims = pool->places.claims;
	bool is_free[PLACES_LIMITS];

	for (int which = 0; which < PLACES_LIMITS; which++)
		is_free[which] = claims[which].is_held || places_take_of(pool, which);
	if (likely(is_free[PLACES_DATABASE] && is_free[PLACES_USER])) {
		CHECK(tally_take(&pool->own_tally->servers, 0));
		claims[PLACES_DATABASE].is_held = claims[PLACES_USER].is_held = false;
		return true;
	}
	if (pool->waiter_count > 0) {
		places_refuse(core, pool, is_free);
		return false;
	}
	/* for min_pool_size: the next upkeep tries again */
	for (int which = 0; which < PLACES_LIMITS; which++)
		if (is_free[which] && !claims[which].is_held)
			tally_give(&places_tally(pool, which)->servers);
	return false;
}

void places_give(struct core *core, const struct place *place)
{
	tally_give(&place->database->servers);
	tally_give(&place->user->servers);
	tally_give(&place->pool->servers);
	if (place->yielded)
		tally_give(&place->yielded->yielding); /* after its place: see places_yield_to() */
	places_wake_all(core);
}

void places_begin(struct pool *pool)
{
	pool->places.is_refused = false;
}

void places_end(struct core *core, struct pool *pool)
{
	if (unlikely(!pool->places.is_refused && list_linked(&pool->places.link)))
		places_leave(core, pool);
}

bool places_left(const struct pool *pool)
{
	for (int which = 0; which < PLACES_LIMITS; which++) {
		const struct tally *tally = places_tally(pool, which);
		int64_t limit = places_limit(pool, which);

		if (limit > 0 &&
			(tally_read(&tally->servers) >= limit || tally_read(&tally->hungry) > 0))
			return false;
	}
	return true;
}

/* As many yield as places are missing for all who have called. */
static bool places_yield_to(const struct pool *pool, int which)
{
	struct tally *tally = places_tally(pool, which);
	int64_t limit = places_limit(pool, which), missing;
	unsigned yielding = tally_read(&tally->yielding);

	if (limit == 0)
		return false;
	missing = (int64_t)tally_read(&tally->servers) + tally_read(&tally->callers) - limit;
	while (yielding < missing)
		if (atomic_compare_exchange_weak_explicit(&tally->yielding, &yielding, yielding + 1,
			    memory_order_relaxed, memory_order_relaxed))
			return true;
	return false;
}

struct tally *places_must_yield(struct pool *pool)
{
	for (int which = 0; which < PLACES_LIMITS; which++)
		if (places_yield_to(pool, which))
			return places_tally(pool, which);
	return NULL;
}
