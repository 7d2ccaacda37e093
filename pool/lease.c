/* Taking a server, using it, giving it back, losing it. */
#include "pool/lease.h"

#include "core/clock.h"
#include "core/config.h"
#include "pool/pool.h"
#include "pool/server_cancel.h"
#include "protocol/frame.h"

#include <stdio.h>
#include <string.h>

static bool lease_is_at_rest(const struct lease *lease)
{
	const struct server *server = lease->server;
	const struct pending *pending = &server->pending;

	return pending_empty(pending) && !pending->is_open && !pending->skipping &&
		!lease->is_mid_request && !lease->is_trial && server->status == 'I' &&
		!server->traces.asked && !server->cancel && answers_at_border(server);
}

/* A client that listens goes on without its server as soon as it can. */
static void lease_settle(struct core *core, struct lease *lease)
{
	struct subscriber *subscriber = lease->subscriber;
	struct server *server = lease->server;
	struct traces *traces;

	if (lease->state != LEASE_HELD || lease->keeps || !lease_is_at_rest(lease))
		return;
	traces = &server->traces;
	if (unlikely(traces->suspected)) {
		traces_ask(core, server);
		return;
	}
	if (!(traces->held & TRACE_LISTEN) || traces->unanswered & TRACE_LISTEN)
		return; /* nobody knows to what */
	if (subscriber->count == 0) {
		subscriber_free(core, lease);
	} else {
		if (subscriber->is_moving)
			return;
		if (unlikely(lease->pool->is_paused))
			subscriber_strand(lease);
		if (subscriber->source == SUBSCRIBER_AT_SERVER) {
			subscriber_leave(core, lease);
			return;
		}
		subscriber->server_listens = false;
	}
	if (traces->held == TRACE_LISTEN) { /* what cleans the server ends its listening */
		lease_release(core, lease);
		lease->events->released(core, lease);
		return;
	}
	traces->held &= (uint16_t)~TRACE_LISTEN;
	server_query_hidden(core, server, "UNLISTEN *", HIDDEN_NEEDED);
}

static void lease_listen(struct core *core, struct lease *lease)
{
	struct subscriber *subscriber;

	lease_settle(core, lease);
	subscriber = lease->subscriber;
	if (subscriber && (!chain_empty(&subscriber->ready) || subscriber->is_overrun))
		lease->events->news(core, lease);
}

static void lease_bring_news(struct core *core, struct task *task)
{
	struct lease *lease = container_of(task, struct lease, task);

	if (lease->is_over) {
		lease->is_over = false;
		lease->events->tried(core, lease);
		return;
	}
	if (unlikely(lease->subscriber))
		lease_listen(core, lease);
	if (lease->state != LEASE_HELD)
		return;
	if (lease->is_new) {
		lease->is_new = false;
		lease->events->granted(core, lease);
	} else if (lease->is_blocked && !lease_is_blocked(lease)) {
		lease->events->unblocked(core, lease);
	}
}

void lease_init(struct lease *lease, struct pool *pool, struct stream *sink,
	const struct lease_events *events)
{
	memset(lease, 0, sizeof *lease);
	lease->names = (struct names *)(uintptr_t)&names_none;
	lease->pool = pool;
	lease->sink = sink;
	lease->events = events;
	list_init(&lease->link);
	task_init(&lease->task, lease_bring_news);
}

/* An idle server, rather one that has the client's settings already. */
struct server *lease_choose(struct pool *pool, const struct lease *lease)
{
	struct list *first = list_first(&pool->servers[SERVER_LIST_IDLE]);
	unsigned looked = 0;

	if (!first)
		return NULL;
	list_each(link, &pool->servers[SERVER_LIST_IDLE]) {
		struct server *server = container_of(link, struct server, link);

		if (server->settings == lease->settings)
			return server;
		if (++looked == 8)
			break;
	}
	return container_of(first, struct server, link);
}

bool lease_must_check(struct core *core, const struct server *server)
{
	int64_t interval_ms = core->pools->config->general.healthcheck_interval_ms;

	return interval_ms != CONFIG_UNLIMITED &&
		core->now_ns - server->used_ns > (uint64_t)interval_ms * NS_PER_MS;
}

enum lease_state lease_take(struct core *core, struct lease *lease)
{
	struct pool *pool = lease->pool;
	struct server *server = NULL;

	CHECK(lease->state == LEASE_NONE);
	lease->since_ns = core->now_ns;
	if (list_empty(&pool->waiters))
		server = lease_choose(pool, lease);
	if (server && !lease_must_check(core, server)) {
		lease_grant(core, lease, server);
		return LEASE_HELD;
	}
	lease->state = LEASE_WAITING;
	lease->failed_attempts = 0;
	list_push_back(&pool->waiters, &lease->link);
	pool->waiter_count++;
	pool_wake(core, pool);
	return LEASE_WAITING;
}

static void lease_leave_queue(struct lease *lease)
{
	CHECK(lease->state == LEASE_WAITING && lease->pool->waiter_count > 0);
	list_remove(&lease->link);
	lease->pool->waiter_count--;
	lease->state = LEASE_NONE;
}

void lease_cancel_wait(struct core *core, struct lease *lease)
{
	lease_leave_queue(lease);
	budget_publish(core, lease->pool);
}

void lease_end_trial(struct core *core, struct lease *lease)
{
	lease_leave_queue(lease);
	lease->is_over = true;
	core_defer(core, &lease->task);
}

void lease_forget(struct lease *lease)
{
	CHECK(lease->state == LEASE_NONE);
	list_remove(&lease->task.link);
}

static void lease_apply_settings(struct core *core, struct lease *lease)
{
	struct server *server = lease->server;

	settings_compose(core, &server->stream->out, server->settings, lease->settings);
	stream_flush(core, server->stream);
	pending_push(&server->pending, PENDING_QUERY, PENDING_HIDDEN);
	settings_hold(lease->settings);
	settings_drop(server->settings);
	server->settings = lease->settings;
}

void lease_grant(struct core *core, struct lease *lease, struct server *server)
{
	struct pool *pool = lease->pool;

	if (lease->state == LEASE_WAITING) {
		lease_leave_queue(lease);
		pool->stats.wait_us += (core->now_ns - lease->since_ns) / NS_PER_US;
		lease->is_new = true;
		core_defer(core, &lease->task);
	}
	server_enter(core, server, SERVER_LEASED);
	server->lease = lease;
	lease->server = server;
	lease->state = LEASE_HELD;
	lease->since_ns = core->now_ns;
	lease->request_ns = core->now_ns;
	lease->is_mid_request = lease->is_blocked = lease->knows_unnamed = false;
	lease->is_fresh = true;
	lease->owns_sequences = server->user == lease->user;
	lease->has_taken = false;
	server->user = lease->user;
	lease->check = LEASE_UNCHECKED;
	if (lease->keeps)
		server->dirt |= SERVER_DIRT_SESSION;
	pool->stats.assignments++;
	budget_publish(core, pool);
	if (unlikely(server->settings != lease->settings))
		lease_apply_settings(core, lease);
}

void lease_fail(struct core *core, struct lease *lease, const struct fault *fault)
{
	lease_leave_queue(lease);
	budget_publish(core, lease->pool);
	lease->events->failed(core, lease, fault);
}

static struct server *lease_detach(struct core *core, struct lease *lease)
{
	struct server *server = lease->server;

	CHECK(lease->state == LEASE_HELD && server->lease == lease);
	list_remove(&lease->task.link);
	if (unlikely(lease->subscriber)) {
		lease->subscriber->server_listens = false;
		core_defer(core, &lease->task);
	}
	lease->server = NULL;
	lease->state = LEASE_NONE;
	lease->is_new = lease->is_blocked = false;
	server->lease = NULL;
	if (unlikely(!server->stream->reading)) /* it was paused for the sake of a slow client */
		stream_read(core, server->stream);
	return server;
}

void lease_release(struct core *core, struct lease *lease)
{
	struct server *server = lease_detach(core, lease);

	server->used_ns = core->now_ns;
	if (unlikely(server->dirt || server->traces.held || server->settings->is_hasty ||
		    server->cancel))
		server_clean(core, server);
	else
		pool_give(core, server);
}

void lease_answered(struct core *core, struct lease *lease, char status)
{
	struct server *server = lease->server;
	struct pool_stats *stats = &lease->pool->stats;
	bool kept = lease->keeps || status != 'I' || lease->is_mid_request ||
		!pending_empty(&server->pending) || server->pending.is_open;

	if (unlikely(lease->is_trial)) {
		lease->events->answered(core, lease, status, true);
		return;
	}
	if (unlikely(lease->subscriber)) {
		subscriber_answered(core, lease->subscriber, status);
		core_defer(core, &lease->task);
	}
	if (unlikely(server->traces.suspected | server->traces.held) && !kept) {
		kept = true;
		lease->knows_unnamed = false; /* the same as with another server */
		if (server->traces.suspected | server->traces.unanswered)
			traces_ask(core, server);
	}
	stats->queries++;
	lease->queries++;
	server->queries++;
	stats->query_us += (core->now_ns - lease->request_ns) / NS_PER_US;
	lease->request_ns = core->now_ns;
	if (status == 'I') {
		stats->transactions++;
		lease->transactions++;
		server->transactions++;
		stats->transaction_us += (core->now_ns - lease->since_ns) / NS_PER_US;
		lease->since_ns = core->now_ns;
	}
	if (!kept)
		lease_release(core, lease);
	lease->events->answered(core, lease, status, kept);
}

void lease_asked(struct core *core, struct lease *lease)
{
	struct server *server = lease->server;

	traces_answered(core, server);
	if (lease->subscriber && lease->subscriber->count == 0 &&
		!(server->traces.held & TRACE_LISTEN))
		subscriber_free(core, lease);
	if (server->traces.held) {
		if (server->settings != lease->settings)
			lease_apply_settings(core, lease);
		if (lease->is_blocked || lease->subscriber)
			core_defer(core, &lease->task);
		return;
	}
	lease_release(core, lease);
	lease->events->released(core, lease);
}

void lease_hidden(struct core *core, struct lease *lease)
{
	if (lease->events->hidden)
		lease->events->hidden(core, lease);
	else if (lease->is_blocked || lease->subscriber)
		core_defer(core, &lease->task);
}

/* Sends a request that fails whatever state the server is in: no server parses two statements at once, nor is this word one. */
void lease_send_failing(
	struct core *core, struct server *server, enum pending_kind kind, unsigned flags)
{
	static const char parse[] = "\0;SELECT;SELECT\0\0", query[] = "refused";
	const char *body = kind == PENDING_QUERY ? query : parse;
	size_t len = kind == PENDING_QUERY ? sizeof query : sizeof parse;
	uint8_t head[FRAME_HEAD];

	pending_push(&server->pending, kind, flags);
	frame_write(head, kind == PENDING_QUERY ? CLIENT_QUERY : CLIENT_PARSE, (uint32_t)len);
	stream_send(core, server->stream, head, sizeof head);
	stream_send(core, server->stream, body, len);
}

/* Whether nothing is under way for the client. What pgring has asked itself may be: it is answered in any case. */
static bool lease_is_in_step(const struct server *server)
{
	const struct pending *pending = &server->pending;

	return !pending->skipping && !pending->is_open && pending_is_own(pending) &&
		(!pending_empty(pending) || answers_at_border(server));
}

/* Ends what the client has begun, so that a ReadyForQuery follows all that is still to come. */
static void lease_resync(struct core *core, struct server *server)
{
	static const uint8_t copy_fail[] = {'f', 0, 0, 0, 5, 0}, sync[] = {'S', 0, 0, 0, 4};

	server->is_out_of_sync = true;
	if (server->pending.copying) {
		stream_send(core, server->stream, copy_fail, sizeof copy_fail);
		pending_push_copy_end(&server->pending);
	}
	/* An error, so that the Sync does not commit what the client has not. */
	lease_send_failing(core, server, PENDING_PARSE, PENDING_HIDDEN);
	stream_send(core, server->stream, sync, sizeof sync);
	pending_push(&server->pending, PENDING_SYNC, PENDING_HIDDEN);
}

void lease_abandon(struct core *core, struct lease *lease)
{
	enum connection_recovery recovery = core->pools->config->general.connection_recovery;
	bool is_mid_request = lease->is_mid_request;
	struct server *server = lease_detach(core, lease);
	bool is_hopeless = is_mid_request || server->pending.is_doubtful;
	bool is_out_of_sync = is_hopeless || !lease_is_in_step(server);
	const char *objection = NULL;

	if (is_out_of_sync) {
		core_count(core, METRIC_out_of_sync);
		server->pool->stats.out_of_sync++;
	}
	if (is_hopeless)
		objection = "its client left in the middle of a request";
	else if (is_out_of_sync && recovery != RECOVERY_RECOVER)
		objection = "its client left before the answer";
	else if (server->status != 'I' && recovery == RECOVERY_DROP)
		objection = "its client left in a transaction";
	if (objection) {
		server_force_close(core, server, objection);
		return;
	}
	if (is_out_of_sync)
		lease_resync(core, server);
	server_clean(core, server);
}

void lease_lose(struct core *core, struct server *server, const struct fault *fault)
{
	struct lease_loss loss = {
		.fault = fault,
		.pending = &server->pending,
		.is_mid_message = lease_is_mid_message(server->lease),
		.status = server->status,
		.held = server->traces.held | server->traces.suspected | server->traces.asked,
	};
	struct lease *lease = server->lease;

	core_count(core, METRIC_servers_lost);
	lease_prepared_lost(core, server);
	(void)lease_detach(core, lease);
	lease->events->lost(core, lease, &loss);
}

bool lease_is_blocked(struct lease *lease)
{
	lease->is_blocked = unlikely(!pending_has_room(&lease->server->pending)) ||
		unlikely(lease->server->traces.asked || lease->server->cancel) ||
		unlikely(lease->subscriber && subscriber_is_leaving(lease->subscriber)) ||
		unlikely(stream_is_full(lease->server->stream));
	return lease->is_blocked;
}

static const uint8_t lease_flush[] = {'H', 0, 0, 0, 4};

void lease_hurry(struct core *core, struct lease *lease)
{
	if (!pending_has_room(&lease->server->pending))
		stream_send(core, lease->server->stream, lease_flush, sizeof lease_flush);
}

void lease_watch(struct core *core, struct lease *lease)
{
	stream_send(core, lease->server->stream, lease_flush, sizeof lease_flush);
	lease->is_blocked = true;
}

void lease_refuse(
	struct core *core, struct lease *lease, enum pending_kind kind, enum lease_refusal refusal)
{
	bool has_ready = kind == PENDING_QUERY || kind == PENDING_FUNCTION;

	lease_begin(core, lease);
	lease_send_failing(core, lease->server, has_ready ? PENDING_QUERY : PENDING_PARSE,
		PENDING_REFUSED | (unsigned)refusal << PENDING_REASON_SHIFT);
}
