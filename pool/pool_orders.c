/* What the console orders a pool to do. */
#include "core/tally.h"
#include "pool/herald.h"
#include "pool/pool.h"
#include "pool/subscriber.h"

static void pool_close_list(
	struct core *core, struct pool *pool, enum server_list which, const char *reason)
{
	list_each_safe(link, &pool->servers[which])
		server_close(core, container_of(link, struct server, link), reason);
}

/* Those that nobody has to wait for. One that is being checked or cleaned closes when it is given back. */
static void pool_close_unused(struct core *core, struct pool *pool, const char *reason)
{
	pool_close_list(core, pool, SERVER_LIST_IDLE, reason);
	list_each_safe(link, &pool->servers[SERVER_LIST_OPENING]) {
		struct server *server = container_of(link, struct server, link);

		if (server->state == SERVER_CONNECTING || server->state == SERVER_LOGIN)
			server_close(core, server, reason);
	}
}

bool pool_must_pause(const struct core *core, const struct pool *pool)
{
	const struct tally *all = tallies_process(core->world->tallies);

	return atomic_load(&all->is_paused) || atomic_load(&pool->database_tally->is_paused);
}

void pool_apply_pause(struct core *core, struct pool *pool)
{
	bool was_paused = pool->is_paused;

	pool->is_paused = pool_must_pause(core, pool);
	if (pool->is_paused) {
		core_timer_stop(core, &pool->waited);
		pool_close_unused(core, pool, "the pool is paused");
	} else if (was_paused) {
		pool->resumed_ns = core->now_ns;
		pool_wake(core, pool);
	}
	if (pool->is_paused)
		subscriber_paused(core, pool);
	if (pool->herald) {
		pool_apply_pause(core, pool->herald->own);
		if (pool->is_paused)
			herald_renew(core, pool->herald);
	}
}

void pool_reconnect(struct core *core, struct pool *pool)
{
	pool->reconnects++; /* for those that are on their way between cores */
	for (unsigned i = 0; i < SERVER_LIST_COUNT; i++)
		list_each(link, &pool->servers[i])
			container_of(link, struct server, link)->retires = true;
	pool->address_count = 0; /* the name may mean another server now */
	pool_close_unused(core, pool, "RECONNECT");
	pool_wake(core, pool);
	if (pool->herald) {
		pool_reconnect(core, pool->herald->own);
		herald_renew(core, pool->herald);
	}
}

void pool_kill(struct core *core, struct pool *pool)
{
	CHECK(list_empty(&pool->servers[SERVER_LIST_BUSY]));
	pool_close_list(core, pool, SERVER_LIST_OPENING, "KILL");
	pool_close_list(core, pool, SERVER_LIST_IDLE, "KILL");
}
