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

static void order_visit(struct core *core, struct round *round)
{
	struct order *order = container_of(round, struct order, round);

	if (order->kind == ORDER_KILL_CLIENT) {
		order->found += router_kill_client(core, order->client_id);
		return;
	}
	for (size_t i = 0; i < core->pools->count; i++) {
		struct pool *pool = core->pools->items[i];

		if (!order->database[0] || strcmp(order->database, pool->config->database) == 0)
			order_pool(core, order, pool);
	}
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
