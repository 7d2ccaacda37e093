/* Places: taken, given back, waited for, and called for. */
#include "pool/places.h"

#include "core/clock.h"
#include "core/tally.h"
#include "pool/pool.h"

enum {
	PLACES_LOOK_MS = 4,
	PLACES_EVICT_MS = 20, /* a connection that closes has gone by then */
	/* A reconnect costs as much as many short transactions: the hungry leave others that much time. */
	PLACES_PATIENCE_MS = 50,
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
	return (struct place){pool->database_tally, pool->user_tally, pool->own_tally};
}

static int64_t places_limit(const struct pool *pool, const struct tally *tally)
{
	return tally->kind == TALLY_DATABASE ? pool->config->max_db_connections
					     : pool->config->max_user_connections;
}

/* ---- hunger ---- */

/* One call less, if there is one. */
static bool places_hear(struct tally *tally)
{
	unsigned calls = atomic_load_explicit(&tally->calls, memory_order_relaxed);

	while (calls > 0)
		if (atomic_compare_exchange_weak_explicit(&tally->calls, &calls, calls - 1,
			    memory_order_relaxed, memory_order_relaxed))
			return true;
	return false;
}

static void places_sate(struct places *places)
{
	if (places->has_called) {
		places_hear(places->full);
		tally_give(&places->full->callers);
	}
	if (places->is_hungry)
		tally_give(&places->full->hungry);
	places->has_called = places->is_hungry = false;
}

static void places_hunger(struct core *core, struct pool *pool)
{
	struct places *places = &pool->places;
	const struct lease *oldest = container_of(list_first(&pool->waiters), struct lease, link);
	uint64_t patience_ns = PLACES_PATIENCE_MS * NS_PER_MS;

	if (tally_read(&pool->own_tally->servers) > 0) {
		places_sate(places);
		return;
	}
	if (!places->is_hungry) {
		CHECK(tally_take(&places->full->hungry, 0));
		places->is_hungry = true;
	}
	if (core->now_ns - oldest->since_ns < patience_ns ||
		core->now_ns - places->called_ns < patience_ns)
		return;
	if (places->has_called)
		places_hear(places->full); /* nobody has, or it came to nothing */
	else
		CHECK(tally_take(&places->full->callers, 0));
	CHECK(tally_take(&places->full->calls, 0));
	places->has_called = true;
	places->called_ns = core->now_ns;
}

/* ---- idle connections of others ---- */

/* Closes the connection under that limit that has idled longest on this core. */
static bool places_evict(struct core *core, const struct tally *full)
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

static void places_refuse(struct core *core, struct pool *pool, struct tally *full)
{
	struct places *places = &pool->places;

	if (pool->waiter_count == 0)
		return; /* min_pool_size: the next upkeep tries again */
	places->is_refused = true;
	if (places->full != full)
		places_sate(places);
	places->full = full;
	if (!list_linked(&places->link))
		list_push_back(&core->pools->placeless, &places->link);
	if (!timer_is_set(&places->timer))
		core_timer_set(core, &places->timer, PLACES_LOOK_MS);
	places_hunger(core, pool);
	if (tally_read(&full->servers) < places_limit(pool, full) ||
		core->now_ns - places->evicted_ns < PLACES_EVICT_MS * NS_PER_MS)
		return;
	places->evicted_ns = core->now_ns;
	if (!places_evict(core, full))
		places_send(core, core->index, full);
}

/* The places that are left are for those who have called, while there are any; then for the hungry; then for all. */
static bool places_take_of(struct pool *pool, struct tally *tally)
{
	int64_t limit = places_limit(pool, tally);
	const struct places *places = &pool->places;
	bool has_called = places->has_called && places->full == tally;
	bool is_hungry = places->is_hungry && places->full == tally;

	if (limit > 0 && !has_called && tally_read(&tally->callers) > 0)
		return false;
	if (limit > 0 && !is_hungry && tally_read(&tally->hungry) > 0)
		return false;
	return tally_take(&tally->servers, limit);
}

bool places_take(struct core *core, struct pool *pool)
{
	if (!places_take_of(pool, pool->database_tally)) {
		places_refuse(core, pool, pool->database_tally);
		return false;
	}
	if (!places_take_of(pool, pool->user_tally)) {
		tally_give(&pool->database_tally->servers);
		places_refuse(core, pool, pool->user_tally);
		return false;
	}
	CHECK(tally_take(&pool->own_tally->servers, 0));
	return true;
}

void places_give(struct core *core, const struct place *place)
{
	tally_give(&place->database->servers);
	tally_give(&place->user->servers);
	tally_give(&place->pool->servers);
	list_each(link, &core->pools->placeless)
		pool_wake(core, container_of(link, struct pool, places.link));
}

void places_begin(struct pool *pool)
{
	pool->places.is_refused = false;
}

void places_end(struct core *core, struct pool *pool)
{
	struct places *places = &pool->places;

	if (likely(places->is_refused || !list_linked(&places->link)))
		return;
	places_sate(places);
	list_remove(&places->link);
	core_timer_stop(core, &places->timer);
}

static bool places_yield_to(const struct pool *pool, struct tally *tally)
{
	int64_t limit = places_limit(pool, tally);

	return limit > 0 && (tally_read(&tally->servers) > limit || places_hear(tally));
}

bool places_must_yield(struct pool *pool)
{
	return places_yield_to(pool, pool->database_tally) ||
		places_yield_to(pool, pool->user_tally);
}
