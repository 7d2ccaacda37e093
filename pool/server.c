/* One connection to PostgreSQL: its states, and what each event does in them. server_login.c does the login, answers.c reads the
 * answers. */
#include "pool/server.h"

#include "core/clock.h"
#include "core/errors.h"
#include "pool/lease.h"
#include "pool/pool.h"
#include "pool/server_cancel.h"
#include "pool/server_move.h"
#include "protocol/frame.h"
#include "protocol/sqlstate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TO(name) (1U << SERVER_##name)

static const struct {
	const char *word;
	unsigned next;
	enum server_list list;
} server_states[] = {
#define SERVER_STATE(name, allowed, in, text) [SERVER_##name] = {text, allowed, SERVER_LIST_##in},
#include "pool/server_states.def"
};

static void server_timer(struct core *core, struct timer *timer);
static void server_clean_step(struct core *core, struct server *server);

const char *server_state_name(enum server_state state)
{
	return server_states[state].word;
}

void server_enter(struct core *core, struct server *server, enum server_state next)
{
	struct pool *pool = server->pool;
	enum server_list from = server_states[server->state].list, to = server_states[next].list;

	CHECK(server_states[server->state].next & (1U << next));
	CHECK(next != SERVER_IDLE ||
		(pending_empty(&server->pending) && !server->lease && !server->cancel));
	core_timer_stop(core, &server->timer);
	list_remove(&server->link);
	pool->server_count[from]--;
	if (next == SERVER_IDLE)
		list_push_front(&pool->servers[to], &server->link); /* last in, first out */
	else
		list_push_back(&pool->servers[to], &server->link);
	pool->server_count[to]++;
	server->state = (uint8_t)next;
}

/* ---- opening ---- */

static void server_connected(struct core *core, struct stream *stream)
{
	struct server *server = stream->owner;

	server_enter(core, server, SERVER_LOGIN);
	core_timer_set(core, &server->timer, core->pools->config->general.connect_timeout_ms);
	stream_read(core, stream);
	server_login_start(core, server);
}

static void server_data(
	struct core *core, struct stream *stream, const struct span *spans, unsigned count)
{
	struct server *server = stream->owner;

	if (server->state == SERVER_LOGIN)
		server_login_data(core, server, spans, count);
	else if (server->state != SERVER_CLOSING)
		answers_data(core, server, spans, count);
}

static void server_drained(struct core *core, struct stream *stream)
{
	struct server *server = stream->owner;

	if (server->lease)
		core_defer(core, &server->lease->task);
}

static void server_ended(struct core *core, struct stream *stream, int error)
{
	struct server *server = stream->owner;
	const struct config_pool *config = server->pool->config;
	char text[256];
	struct fault fault = {"FATAL", SQLSTATE_CONNECTION_FAILURE, text, NULL, NULL};

	if (server->state == SERVER_CONNECTING) {
		fault.sqlstate = SQLSTATE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
		snprintf(text, sizeof text, "could not connect to server %s:%u: %s", config->host,
			config->port, strerror(-error));
		server_login_failed(core, server, &fault);
		return;
	}
	snprintf(text, sizeof text, "server %s:%u closed the connection unexpectedly%s%s",
		config->host, config->port, error ? ": " : "", error ? strerror(-error) : "");
	if (server->state == SERVER_LOGIN) {
		server_login_failed(core, server, &fault);
		return;
	}
	if (server->lease)
		lease_lose(core, server, &fault);
	server_close(core, server, text);
}

static void server_closed(struct core *core, struct stream *stream)
{
	struct server *server = stream->owner;
	struct pool *pool = server->pool;
	struct place place = places_of(pool);

	CHECK(server->state == SERVER_CLOSING && !server->lease);
	core_timer_stop(core, &server->timer);
	list_remove(&server->link);
	pool->server_count[SERVER_LIST_CLOSING]--;
	settings_drop(server->settings);
	params_clear(&server->params);
	prepared_free(&server->prepared, &core->pools->statements);
	traces_forget(&server->traces);
	shape_draft_clear(&server->draft);
	answers_forget(server);
	place.yielded = server->yielded;
	if (server->was_moving)
		budget_send_server(core, pool, server->moves_to, server->is_promised, NULL);
	slab_free(&core->pools->servers, server);
	places_give(core, &place);
	pool_server_gone(core, pool);
}

const struct stream_events server_events = {
	.connected = server_connected,
	.data = server_data,
	.drained = server_drained,
	.ended = server_ended,
	.closed = server_closed,
	.released = server_move_released,
};

int server_open(
	struct core *core, struct pool *pool, const struct address *address, const char **ret_why)
{
	struct server *server = slab_alloc(&core->pools->servers);
	int error;

	if (!server) {
		*ret_why = "too many server connections on one core";
		return ERR_NO_SLOT;
	}
	server->pool = pool;
	server->address = *address;
	server->state = SERVER_CONNECTING;
	server->status = 'I';
	server->pending.batch = 1;
	server->password = pool->password;
	server->epoch = pool->server_epoch;
	server->reconnects = pool->reconnects;
	server->id = core->index + 1 + core->pools->next_id++ * core->world->worker_count;
	server->opened_ns = core->now_ns;
	list_init(&server->link);
	timer_init(&server->timer, server_timer);
	error = stream_connect(core, &server->address, &server_events, server, &server->stream);
	if (error) {
		*ret_why = error_text(error);
		slab_free(&core->pools->servers, server);
		return error;
	}
	list_push_back(&pool->servers[SERVER_LIST_OPENING], &server->link);
	pool->server_count[SERVER_LIST_OPENING]++;
	core_timer_set(core, &server->timer, core->pools->config->general.connect_timeout_ms);
	return 0;
}

void server_adopted(struct core *core, struct server *server)
{
	struct pool *pool = server->pool;

	list_init(&server->link);
	timer_init(&server->timer, server_timer);
	server->lease = NULL;
	server->gather = (struct server_gather){0};
	server->is_promised = false;
	server->state = SERVER_IDLE;
	list_push_back(&pool->servers[SERVER_LIST_IDLE], &server->link);
	pool->server_count[SERVER_LIST_IDLE]++;
	stream_read(core, server->stream);
	pool_keep_up(core, pool);
	if (pool->is_paused || server->reconnects != pool->reconnects)
		server_close(core, server, "its pool was paused or reconnected meanwhile");
}

/* When it has to make room for a new one: its configured life, give or take the jitter. */
static uint64_t server_expiry(struct core *core, const struct server *server)
{
	const struct config_pool *config = server->pool->config;
	int64_t life = config->server_lifetime_ms, jitter = config->server_lifetime_jitter_ms;

	if (life == CONFIG_UNLIMITED || life > INT64_MAX / (int64_t)(4 * NS_PER_MS))
		return UINT64_MAX;
	if (jitter > life)
		jitter = life;
	if (jitter > 0)
		life += (int64_t)rand_below(&core->rand, 2 * (uint64_t)jitter + 1) - jitter;
	return server->opened_ns + (uint64_t)life * NS_PER_MS;
}

void server_set_expiry(struct core *core, struct server *server)
{
	server->expires_ns = server_expiry(core, server);
}

void server_login_done(struct core *core, struct server *server)
{
	struct pool *pool = server->pool;

	server_login_end(server);
	server->expires_ns = server_expiry(core, server);
	server->settings = pool->plain_settings;
	settings_hold(server->settings);
	core_count(core, METRIC_connects);
	pool->stats.connects++;
	pool->stats.connect_us += (core->now_ns - server->opened_ns) / NS_PER_US;
	pool_server_ready(core, server);
}

void server_login_failed(struct core *core, struct server *server, const struct fault *fault)
{
	struct pool *pool = server->pool;
	uint64_t began_ns = server->opened_ns;
	bool is_refused = strcmp(fault->sqlstate, SQLSTATE_INVALID_PASSWORD) == 0;
	bool by_password = is_refused && server->password + 1 < pool->config->server_password_count;

	core_count(core, METRIC_connect_failures);
	pool->stats.failures++;
	if (is_refused && server->password == pool->password)
		pool->password =
			by_password ? server->password + 1 : 0; /* the next one may be good */
	server_close(core, server, fault->message);
	pool_server_failed(core, pool, began_ns, fault, by_password);
}

/* ---- closing ---- */

void server_close(struct core *core, struct server *server, const char *reason)
{
	static const uint8_t terminate[] = {'X', 0, 0, 0, 4};
	bool polite = server->state == SERVER_IDLE;

	if (server->state == SERVER_CLOSING)
		return;
	CHECK(!server->lease);
	server->was_moving = server->state == SERVER_MOVING;
	snprintf(server->reason, sizeof server->reason, "%s", reason);
	log_debug(core, "server connection %llu to %s:%u closes: %s",
		(unsigned long long)server->id, server->pool->config->host,
		server->pool->config->port, server->reason);
	server_login_end(server);
	server_cancel_closing(core, server);
	server_enter(core, server, SERVER_CLOSING);
	if (polite)
		stream_send(core, server->stream, terminate, sizeof terminate);
	stream_close(core, server->stream, polite ? STREAM_FLUSHED : STREAM_AT_ONCE);
}

void server_force_close(struct core *core, struct server *server, const char *reason)
{
	core_count(core, METRIC_force_closed);
	server->pool->stats.force_closed++;
	server_cancel_orphan(core, server);
	server_close(core, server, reason);
}

static void server_timer(struct core *core, struct timer *timer)
{
	struct server *server = container_of(timer, struct server, timer);
	const struct config_pool *config = server->pool->config;
	char text[160];
	struct fault fault = {"FATAL", SQLSTATE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, text,
		NULL, "Check that the server is up and reachable, or raise connect_timeout."};

	switch ((enum server_state)server->state) {
	case SERVER_CONNECTING:
	case SERVER_LOGIN:
		snprintf(text, sizeof text,
			"connect timeout: server %s:%u did not let us in in time", config->host,
			config->port);
		server_login_failed(core, server, &fault);
		return;
	case SERVER_CHECKING:
		server_close(core, server, "healthcheck timeout");
		return;
	case SERVER_CLEANING:
		server_force_close(core, server, "could not be cleaned within rollback_timeout");
		return;
	case SERVER_IDLE:
	case SERVER_LEASED:
	case SERVER_MOVING:
	case SERVER_CLOSING:
	case SERVER_STATE_COUNT:
		break;
	}
	UNREACHABLE();
}

/* ---- queries of pgring's own ---- */

void server_query_hidden(
	struct core *core, struct server *server, const char *text, enum pending_hidden kind)
{
	uint8_t head[FRAME_HEAD];
	size_t len = strlen(text) + 1;

	frame_write(head, CLIENT_QUERY, (uint32_t)len);
	stream_send(core, server->stream, head, sizeof head);
	stream_send(core, server->stream, text, len);
	pending_push(&server->pending, PENDING_QUERY,
		PENDING_HIDDEN | (unsigned)kind << PENDING_REASON_SHIFT);
}

void server_check(struct core *core, struct server *server)
{
	core_count(core, METRIC_health_checks);
	server_enter(core, server, SERVER_CHECKING);
	core_timer_set(core, &server->timer, core->pools->config->general.healthcheck_timeout_ms);
	server_query_hidden(core, server, ";", HIDDEN_NEEDED);
}

/* Timeouts that a client has set must hit neither the cleaning nor the next client. */
static void server_unset_timeouts(struct server *server)
{
	if (server->settings->is_hasty)
		server->traces.held |= TRACE_SETTINGS;
}

void server_clean(struct core *core, struct server *server)
{
	server_enter(core, server, SERVER_CLEANING);
	server->is_reset = false;
	server_unset_timeouts(server);
	core_timer_set(core, &server->timer, core->pools->config->general.rollback_timeout_ms);
	server_clean_step(core, server);
}

/* A statement timeout that strikes at the very end of a statement fails the next one in PostgreSQL (disable_statement_timeout and
 * ProcessInterrupts in its postgres.c). Behind what takes the client's timeouts away, an empty query takes what is left of them. */
static void server_undo(struct core *core, struct server *server, const char *undo)
{
	core_count(core, METRIC_cleaned);
	server->pool->stats.cleaned++;
	server_query_hidden(core, server, undo, HIDDEN_NEEDED);
	server_query_hidden(core, server, ";", HIDDEN_NEEDED);
	if (strcmp(undo, "DISCARD ALL") == 0)
		prepared_forget(&server->prepared);
}

/* One thing at a time, each once the answer to the one before has come. */
static void server_clean_step(struct core *core, struct server *server)
{
	bool must_close = server->traces.held & TRACE_SEED;
	const char *undo;

	if (!pending_empty(&server->pending) || !answers_at_border(server))
		return;
	if (server->cancel)
		return; /* a late one must hit neither the cleaning nor the next client */
	if (server->is_out_of_sync) {
		core_count(core, METRIC_resyncs);
		server->pool->stats.resyncs++;
		server->is_out_of_sync = false;
	}
	if (server->traces.asked) { /* the client left before the answer */
		traces_answered(core, server);
		server_unset_timeouts(server);
	}
	if (server->status != 'I') {
		core_count(core, METRIC_rollbacks);
		server->pool->stats.rollbacks++;
		server->rollbacks++;
		server_query_hidden(core, server, "ROLLBACK", HIDDEN_NEEDED);
		return;
	}
	if (server->dirt && !server->is_reset) {
		server->is_reset = true;
		server_undo(core, server, "DISCARD ALL");
		return;
	}
	if (!server->is_reset && (undo = traces_undo(server, &must_close))) {
		server_undo(core, server, undo);
		return;
	}
	if (must_close) {
		server_force_close(core, server, "its client left what only its end undoes");
		return;
	}
	if (server->is_reset) {
		traces_forget(&server->traces);
		settings_drop(server->settings);
		server->settings = server->pool->plain_settings;
		settings_hold(server->settings);
	}
	server->dirt = 0;
	CHECK(server->prepared.log_count == 0);
	pool_give(core, server);
}

void server_cancelled(struct core *core, struct server *server)
{
	if (server->state == SERVER_CLEANING)
		server_clean_step(core, server);
	else if (server->lease && (server->lease->is_blocked || server->lease->subscriber))
		core_defer(core, &server->lease->task);
}

void server_ready(struct core *core, struct server *server, bool hidden)
{
	switch ((enum server_state)server->state) {
	case SERVER_CHECKING:
		if (pending_empty(&server->pending))
			pool_give(core, server);
		return;
	case SERVER_CLEANING:
		server_clean_step(core, server);
		return;
	case SERVER_LEASED:
		if (!hidden || server->lease->is_trial)
			lease_answered(core, server->lease, server->status);
		else if (server->traces.asked)
			lease_asked(core, server->lease);
		else
			lease_hidden(core, server->lease);
		return;
	case SERVER_CONNECTING:
	case SERVER_LOGIN:
	case SERVER_IDLE:
	case SERVER_MOVING:
	case SERVER_CLOSING:
	case SERVER_STATE_COUNT:
		break;
	}
	UNREACHABLE();
}
