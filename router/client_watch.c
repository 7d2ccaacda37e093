/* The limits on a session's time. Each has a moment from which it counts; the client's timer is left alone as long as it fires
 * before the first of them is over, looks, and is set anew: work that goes on costs no timer. */
#include "router/client.h"

#include "core/clock.h"
#include "protocol/sqlstate.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum watch_cause { WATCH_IDLE, WATCH_IDLE_IN_TRANSACTION, WATCH_QUERY, WATCH_TRANSACTION };

/* Which of [general]'s options each is, and what its client is told. */
static const struct watch_row {
	const char *option;
	size_t place;
	const char *sqlstate, *message;
	enum core_metric metric;
} watch_rows[] = {
#define WATCH_ROW(option, sqlstate, message, metric) \
	{ \
#option, offsetof(struct config_general, option##_ms), sqlstate, message, \
			METRIC_##metric \
	}
	[WATCH_IDLE] = WATCH_ROW(client_idle_timeout, SQLSTATE_IDLE_SESSION_TIMEOUT,
		"disconnecting idle client", idle_timeouts),
	[WATCH_IDLE_IN_TRANSACTION] =
		WATCH_ROW(client_idle_in_transaction_timeout, SQLSTATE_IDLE_SESSION_TIMEOUT,
			"disconnecting idle in transaction client", idle_timeouts),
	[WATCH_QUERY] =
		WATCH_ROW(query_timeout, SQLSTATE_SYSTEM_ERROR, "query timeout", query_timeouts),
	[WATCH_TRANSACTION] = WATCH_ROW(transaction_timeout, SQLSTATE_TRANSACTION_TIMEOUT,
		"transaction timeout", transaction_timeouts),
#undef WATCH_ROW
};

struct watch {
	enum watch_cause cause;
	uint64_t due_ns;  /* UINT64_MAX: never */
	uint64_t look_ns; /* when to look again at the latest */
};

static int64_t watch_limit_ms(const struct core *core, enum watch_cause cause)
{
	const char *general = (const char *)&core->router->config->general;
	int64_t limit_ms;

	memcpy(&limit_ms, general + watch_rows[cause].place, sizeof limit_ms);
	return limit_ms;
}

static void watch_add(
	const struct core *core, struct watch *watch, enum watch_cause cause, uint64_t since)
{
	int64_t limit_ms = watch_limit_ms(core, cause);
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

static void watch_look(const struct core *core, struct watch *watch, enum watch_cause cause)
{
	struct watch other = {cause, UINT64_MAX, watch->look_ns};

	watch_add(core, &other, cause, core->now_ns);
	watch->look_ns = other.look_ns;
}

static uint64_t watch_later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* What will be over first. */
static struct watch watch_next(const struct core *core, const struct client *client)
{
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
			watch_add(core, &watch, WATCH_TRANSACTION, lease->since_ns);
		if (!pending_empty(pending)) {
			watch_add(core, &watch, WATCH_QUERY,
				watch_later(since, lease->server->used_ns));
			/* Of an answer without ReadyForQuery nobody tells. */
			watch_look(core, &watch, is_open ? WATCH_IDLE_IN_TRANSACTION : WATCH_IDLE);
			return watch;
		}
		since = watch_later(since, lease->server->used_ns);
	}
	watch_add(core, &watch, is_open ? WATCH_IDLE_IN_TRANSACTION : WATCH_IDLE, since);
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
	struct watch watch = watch_next(core, client);
	const struct watch_row *row = &watch_rows[watch.cause];
	struct fault fault = {"FATAL", row->sqlstate, row->message, NULL, NULL};
	char detail[96];

	if (watch.due_ns > core->now_ns) {
		watch_set(core, client, &watch);
		return;
	}
	core_count(core, row->metric);
	snprintf(detail, sizeof detail, "%s of %lldms expired", row->option,
		(long long)watch_limit_ms(core, watch.cause));
	fault.detail = detail;
	if (client->lease.state == LEASE_HELD && !pending_empty(&client->lease.server->pending))
		client->lease.is_mid_request = true; /* so that its server is closed */
	client_fatal(core, client, &fault);
}
