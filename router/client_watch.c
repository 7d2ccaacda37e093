/* The limits on a session's time. Each has a moment from which it counts; the client's timer is left alone as long as it fires
 * before the first of them is over, looks, and is set anew: work that goes on costs no timer. */
#include "router/client.h"

#include "core/clock.h"
#include "protocol/sqlstate.h"

#include <stdio.h>

enum watch_cause { WATCH_IDLE, WATCH_IDLE_IN_TRANSACTION, WATCH_QUERY, WATCH_TRANSACTION };

struct watch {
	enum watch_cause cause;
	uint64_t due_ns;  /* UINT64_MAX: never */
	uint64_t look_ns; /* when to look again at the latest */
};

static void watch_add(struct watch *watch, enum watch_cause cause, int64_t limit_ms, uint64_t since)
{
	uint64_t due_ns;

	if (limit_ms <= 0 || limit_ms > INT64_C(1) << 40) /* 34 years; CONFIG_UNLIMITED, too */
		return;
	due_ns = since + (uint64_t)limit_ms * NS_PER_MS;
	if (due_ns < watch->due_ns) {
		watch->cause = cause;
		watch->due_ns = due_ns;
	}
	if (due_ns < watch->look_ns)
		watch->look_ns = due_ns;
}

static void watch_look(struct watch *watch, uint64_t now_ns, int64_t limit_ms)
{
	struct watch other = {WATCH_IDLE, UINT64_MAX, watch->look_ns};

	watch_add(&other, WATCH_IDLE, limit_ms, now_ns);
	watch->look_ns = other.look_ns;
}

static uint64_t watch_later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* What will be over first. */
static struct watch watch_next(const struct core *core, const struct client *client)
{
	const struct config_general *general = &core->router->config->general;
	const struct lease *lease = &client->lease;
	const struct pending *pending;
	uint64_t since = watch_later(client->heard_ns, lease->request_ns);
	struct watch watch = {WATCH_IDLE, UINT64_MAX, UINT64_MAX};
	bool is_open = client->status != 'I';

	if (lease->state == LEASE_WAITING)
		return watch; /* checkout_timeout is the pool's */
	if (lease->state == LEASE_HELD) {
		pending = &lease->server->pending;
		is_open |= pending->is_open;
		if (is_open || !pending_empty(pending))
			watch_add(&watch, WATCH_TRANSACTION, general->transaction_timeout_ms,
				lease->since_ns);
		if (!pending_empty(pending)) {
			watch_add(&watch, WATCH_QUERY, general->query_timeout_ms,
				watch_later(since, lease->server->used_ns));
			/* Of an answer without ReadyForQuery nobody tells. */
			watch_look(&watch, core->now_ns,
				is_open ? general->client_idle_in_transaction_timeout_ms
					: general->client_idle_timeout_ms);
			return watch;
		}
		since = watch_later(since, lease->server->used_ns);
	}
	if (is_open)
		watch_add(&watch, WATCH_IDLE_IN_TRANSACTION,
			general->client_idle_in_transaction_timeout_ms, since);
	else
		watch_add(&watch, WATCH_IDLE, general->client_idle_timeout_ms, since);
	return watch;
}

static void watch_set(struct core *core, struct client *client, const struct watch *watch)
{
	uint64_t left_ns = watch->look_ns > core->now_ns ? watch->look_ns - core->now_ns : 0;

	if (watch->look_ns == UINT64_MAX)
		return;
	core_timer_hasten(core, &client->timer, (int64_t)((left_ns + NS_PER_MS - 1) / NS_PER_MS));
}

void client_watch(struct core *core, struct client *client)
{
	struct watch watch;

	if (likely(!core->router->has_timeouts) || client->state != CLIENT_READY)
		return;
	watch = watch_next(core, client);
	watch_set(core, client, &watch);
}

void client_watch_over(struct core *core, struct client *client)
{
	const struct config_general *general = &core->router->config->general;
	struct watch watch = watch_next(core, client);
	struct fault fault = {"FATAL", SQLSTATE_IDLE_SESSION_TIMEOUT, NULL, NULL, NULL};
	const char *option = NULL;
	int64_t limit_ms = 0;
	char detail[96];

	if (watch.due_ns > core->now_ns) {
		watch_set(core, client, &watch);
		return;
	}
	switch (watch.cause) {
	case WATCH_IDLE:
		fault.message = "disconnecting idle client";
		option = "client_idle_timeout";
		limit_ms = general->client_idle_timeout_ms;
		core_count(core, METRIC_idle_timeouts);
		break;
	case WATCH_IDLE_IN_TRANSACTION:
		fault.message = "disconnecting idle in transaction client";
		option = "client_idle_in_transaction_timeout";
		limit_ms = general->client_idle_in_transaction_timeout_ms;
		core_count(core, METRIC_idle_timeouts);
		break;
	case WATCH_QUERY:
		fault.sqlstate = SQLSTATE_SYSTEM_ERROR;
		fault.message = "query timeout";
		option = "query_timeout";
		limit_ms = general->query_timeout_ms;
		core_count(core, METRIC_query_timeouts);
		break;
	case WATCH_TRANSACTION:
		fault.sqlstate = SQLSTATE_TRANSACTION_TIMEOUT;
		fault.message = "transaction timeout";
		option = "transaction_timeout";
		limit_ms = general->transaction_timeout_ms;
		core_count(core, METRIC_transaction_timeouts);
		break;
	}
	snprintf(detail, sizeof detail, "%s of %lldms expired", option, (long long)limit_ms);
	fault.detail = detail;
	if (client->lease.state == LEASE_HELD && !pending_empty(&client->lease.server->pending))
		client->lease.is_mid_request = true; /* so that its server is closed */
	client_fatal(core, client, &fault);
}
