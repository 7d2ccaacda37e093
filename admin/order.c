/* Carrying orders out. */
#include "admin/order.h"

#include "core/errors.h"
#include "pool/pool.h"
#include "router/router.h"

#include <stdlib.h>
#include <string.h>

static void order_pool(struct core *core, struct order *order, struct pool *pool)
{
	switch (order->kind) {
	case ORDER_APPLY:
		pool_apply_pause(core, pool);
		return;
	case ORDER_RECONNECT:
		pool_reconnect(core, pool);
		return;
	case ORDER_KILL:
		order->found += router_kill_pool(core, pool);
		pool_kill(core, pool);
		pool_apply_pause(core, pool);
		return;
	case ORDER_KILL_CLIENT:
		break;
	}
	UNREACHABLE();
}

static bool order_means(const struct order *order, const struct pool *pool)
{
	return !order->database[0] || strcmp(order->database, pool->config->database) == 0;
}

/* Sessions that outlive the removal of their database from the configuration. */
static void order_kill_removed(struct core *core, struct order *order)
{
	list_each(link, &core->pools->removed) {
		struct pool *pool = container_of(link, struct pool, removed);

		if (pool->is_single || !order_means(order, pool))
			continue;
		order->found += router_kill_pool(core, pool);
		pool_kill(core, pool);
	}
}

static void order_visit(struct core *core, struct round *round)
{
	struct order *order = container_of(round, struct order, round);

	if (order->kind == ORDER_KILL_CLIENT) {
		order->found += router_kill_client(core, order->client_id);
		return;
	}
	for (size_t i = 0; i < core->pools->count; i++) {
		struct pool *pool = core->pools->items[i];

		if (order_means(order, pool))
			order_pool(core, order, pool);
	}
	if (order->kind == ORDER_KILL)
		order_kill_removed(core, order);
}

static void order_returned(struct core *core, struct round *round)
{
	struct order *order = container_of(round, struct order, round);

	order->obeyed(core, order);
	free(order);
}

int order_start(struct core *core, const struct order *order)
{
	struct order *copy = malloc(sizeof *copy);
	int error;

	if (!copy)
		return ERR_NO_MEMORY;
	*copy = *order;
	copy->round.visit = order_visit;
	copy->round.returned = order_returned;
	error = round_start(core, &copy->round);
	if (error)
		free(copy);
	return error;
}
