/* What each core adds to a gather. */
#include "admin/gather.h"

#include "core/clock.h"
#include "core/errors.h"
#include "core/tally.h"
#include "net/socket.h"
#include "pool/server_cancel.h"
#include "router/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* PgBouncer's columns of SHOW CLIENTS and SHOW SERVERS, then those that PgDog has beside them. */
#define SOCKET_COLUMNS \
	{"type", ROWS_TEXT}, {"user", ROWS_TEXT}, {"database", ROWS_TEXT}, \
		{"replication", ROWS_TEXT}, {"state", ROWS_TEXT}, {"addr", ROWS_TEXT}, \
		{"port", ROWS_INT4}, {"local_addr", ROWS_TEXT}, {"local_port", ROWS_INT4}, \
		{"connect_time", ROWS_TEXT}, {"request_time", ROWS_TEXT}, {"wait", ROWS_INT4}, \
		{"wait_us", ROWS_INT4}, {"close_needed", ROWS_INT4}, {"ptr", ROWS_TEXT}, \
		{"link", ROWS_TEXT}, {"remote_pid", ROWS_INT4}, {"tls", ROWS_TEXT}, \
		{"application_name", ROWS_TEXT}, {"prepared_statements", ROWS_INT4}, \
		{"id", ROWS_INT8}, {"queries", ROWS_NUMERIC}, {"transactions", ROWS_NUMERIC}, \
		{"bytes_received", ROWS_NUMERIC}, {"bytes_sent", ROWS_NUMERIC}, \
	{ \
		"core", ROWS_INT4 \
	}

const struct rows_column gather_client_columns[] = {
	SOCKET_COLUMNS, {"locked", ROWS_BOOL}, {"pinned", ROWS_TEXT}};
const size_t gather_client_column_count = array_len(gather_client_columns);
const struct rows_column gather_server_columns[] = {SOCKET_COLUMNS, {"pool_id", ROWS_INT8},
	{"client_id", ROWS_INT8}, {"age", ROWS_NUMERIC}, {"rollbacks", ROWS_NUMERIC}};
const size_t gather_server_column_count = array_len(gather_server_columns);

static void gather_visit(struct core *core, struct round *round);
static void gather_returned(struct core *core, struct round *round);

int gather_start(struct core *core, enum gather_what what, const struct rows_formats *formats,
	void (*gathered)(struct core *core, struct gather *gather), void *owner)
{
	struct gather *gather = calloc(1, sizeof *gather);
	int error;

	if (!gather)
		return ERR_NO_MEMORY;
	gather->round.visit = gather_visit;
	gather->round.returned = gather_returned;
	gather->what = what;
	gather->gathered = gathered;
	gather->owner = owner;
	if (formats)
		gather->rows.formats = *formats;
	gather->pool_count = core->world->config->pool_count;
	gather->pools = calloc(gather->pool_count + 1, sizeof *gather->pools);
	gather->cores = calloc(core->world->worker_count, sizeof *gather->cores);
	for (size_t i = 0; gather->pools && i < gather->pool_count; i++)
		gather->pools[i].id = core->world->config->identities[i].budget->id;
	error = gather->pools && gather->cores ? round_start(core, &gather->round) : ERR_NO_MEMORY;
	if (error)
		gather_free(gather);
	return error;
}

void gather_free(struct gather *gather)
{
	rows_clear(&gather->rows);
	free(gather->pools);
	free(gather->cores);
	free(gather);
}

/* Whether the pools are those of the present configuration. */
static bool gather_is_current(struct core *core, const struct gather *gather)
{
	const struct config *config = core->world->config;

	if (gather->pool_count != config->pool_count)
		return false;
	for (size_t i = 0; i < gather->pool_count; i++)
		if (gather->pools[i].id != config->identities[i].budget->id)
			return false;
	return true;
}

static void gather_returned(struct core *core, struct round *round)
{
	struct gather *gather = container_of(round, struct gather, round);

	if (!gather_is_current(core, gather)) {
		/* the configuration has changed meanwhile: once more, with the pools that there are now */
		struct rows_formats formats = gather->rows.formats;

		if (gather_start(core, gather->what, &formats, gather->gathered, gather->owner) ==
			0) {
			gather_free(gather);
			return;
		}
	}
	gather->gathered(core, gather);
}

/* ---- figures of pools ---- */

static void gather_stats(struct pool_stats *sum, const struct pool_stats *part)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)part;

	_Static_assert(sizeof *sum % sizeof *to == 0, "pool_stats is made of counters only");
	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += from[i];
}

/* Idle for so long that it will be tested before a client gets it. */
static bool gather_is_used(struct core *core, const struct server *server)
{
	return server->state == SERVER_IDLE && lease_must_check(core, server);
}

static void gather_pool_server(
	struct core *core, const struct server *server, struct gather_pool *sum)
{
	sum->servers_retiring += server->retires;
	switch ((enum server_state)server->state) {
	case SERVER_CONNECTING:
	case SERVER_LOGIN:
		sum->servers_login++;
		break;
	case SERVER_MOVING:
		sum->servers_idle++;
		break;
	case SERVER_IDLE:
		if (gather_is_used(core, server))
			sum->servers_used++;
		else
			sum->servers_idle++;
		break;
	case SERVER_CHECKING:
		sum->servers_tested++;
		break;
	case SERVER_CLEANING:
		if (server->cancel && server->status == 'I')
			sum->servers_cancelled++;
		else
			sum->servers_tested++;
		break;
	case SERVER_LEASED:
		sum->servers_active++;
		if (server->status != 'I' && pending_empty(&server->pending))
			sum->servers_in_transaction++;
		break;
	case SERVER_CLOSING:
	case SERVER_STATE_COUNT:
		sum->servers_closing++;
		return; /* as good as gone */
	}
	sum->servers_total++;
	server_cancel_count(server, &sum->cancels_waiting, &sum->cancels_active);
}

static void gather_pool(struct core *core, const struct pool *pool, struct gather_pool *sum)
{
	struct list *oldest = list_first(&pool->waiters);

	gather_stats(&sum->stats, &pool->stats);
	sum->clients_waiting += pool->waiter_count;
	sum->is_failing |= pool->failures > 0;
	sum->cancels += pool->cancel_connections;
	for (unsigned i = 0; i < SERVER_LIST_COUNT; i++)
		list_each(link, &pool->servers[i])
			gather_pool_server(core, container_of(link, struct server, link), sum);
	if (oldest) {
		const struct lease *lease = container_of(oldest, struct lease, link);
		uint64_t us = (core->now_ns - lease->since_ns) / NS_PER_US;

		if (us > sum->wait_us_max)
			sum->wait_us_max = us;
	}
}

/* ---- figures of cores ---- */

static void gather_slab(struct gather_memory *memory, const struct slab *slab)
{
	memory->used = slab->live;
	memory->spare = slab_spare(slab);
}

static void gather_memory(struct core *core, struct gather_memory *memory)
{
	const struct mailboxes *boxes = &core->world->boxes;
	const struct ring *ring = core->net->ring;
	uint32_t at = 0;
	struct stream *stream;

	gather_slab(&memory[MEMORY_CLIENTS], &core->router->clients);
	gather_slab(&memory[MEMORY_SERVERS], &core->pools->servers);
	gather_slab(&memory[MEMORY_STREAMS], &core->net->streams);
	gather_slab(&memory[MEMORY_CANCELS], &core->pools->cancels);
	gather_slab(&memory[MEMORY_SUBSCRIBERS], &core->pools->subscribers);
	memory[MEMORY_POOLS].used = core->pools->count;
	list_each(link, &core->pools->removed)
		memory[MEMORY_POOLS].used++;
	memory[MEMORY_BUFFERS].spare = ring_buffers_free(ring);
	memory[MEMORY_BUFFERS].used = ring_buffers_all(ring) - ring_buffers_free(ring);
	memory[MEMORY_BLOCKS].spare = core->net->blocks.count;
	while ((stream = slab_next(&core->net->streams, &at)))
		memory[MEMORY_OUTPUT].used += stream->out.bytes;
	memory[MEMORY_STATEMENTS].used = statements_bytes(&core->pools->statements);
	if (core->index != 0)
		return;
	memory[MEMORY_MAILBOXES].used = (uint64_t)boxes->member_count * boxes->member_count;
	memory[MEMORY_LOGS].used = boxes->member_count;
}

/* Where the pools of this core's configuration stand in the gather. NULL: nowhere. The caller frees it. */
static struct gather_pool **gather_map(struct core *core, struct gather *gather)
{
	struct gather_pool **map = calloc(core->pools->count + 1, sizeof(struct gather_pool *));

	CHECK(map);
	for (size_t i = 0; i < gather->pool_count; i++) {
		const struct pool *pool = pools_find(core, gather->pools[i].id);

		if (pool)
			map[pool->config->index] = &gather->pools[i];
	}
	return map;
}

static void gather_clients_of(
	struct core *core, struct gather_pool *const *map, struct gather_core *sum)
{
	struct gather_pool *pool;
	uint32_t at = 0;
	struct client *client;

	while ((client = slab_next(&core->router->clients, &at))) {
		sum->memory[MEMORY_INPUT].used += client->in.bytes;
		switch ((enum client_state)client->state) {
		case CLIENT_READY:
			sum->clients++;
			pool = client->pool->is_removed ? NULL : map[client->pool->config->index];
			if (pool && client->lease.state != LEASE_WAITING)
				pool->clients_active++;
			break;
		case CLIENT_CONSOLE:
			sum->consoles++;
			break;
		case CLIENT_STARTUP:
		case CLIENT_DERIVING:
		case CLIENT_AUTH:
		case CLIENT_SETTLING:
		case CLIENT_CANCELLING:
			sum->logging_in++;
			break;
		case CLIENT_CLOSING:
		case CLIENT_STATE_COUNT:
			break;
		}
	}
}

static void gather_figures(struct core *core, struct gather *gather)
{
	struct gather_core *sum = &gather->cores[core->index];
	struct gather_pool **map = gather_map(core, gather);

#define MEMORY(symbol, name, bytes, text) gather->memory_bytes[MEMORY_##symbol] = bytes;
#include "admin/memories.def"
	gather_memory(core, sum->memory);
	gather_clients_of(core, map, sum);
	for (size_t i = 0; i < core->pools->count; i++) {
		const struct pool *pool = core->pools->items[i];

		if (map[i])
			gather_pool(core, pool, map[i]);
		sum->servers += pool_total(pool) - pool->server_count[SERVER_LIST_CLOSING];
		sum->waiting += pool->waiter_count;
		sum->lookups += pool->resolve != NULL;
		sum->memory[MEMORY_SETTINGS].used += pool->settings.count;
	}
	memcpy(sum->metrics, core->metrics, sizeof sum->metrics);
	sum->busy_ns = clock_thread_ns();
	sum->at_ns = core->now_ns;
	free(map);
}

/* ---- rows ---- */

static void gather_time(struct core *core, struct rows *rows, uint64_t then_ns)
{
	uint64_t wall_ns = clock_wall_ns() - (core->now_ns - then_ns);
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	char text[40];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
	rows_text(rows, text);
}

/* Objects are told apart, and linked to each other, by such names. */
static void gather_name(struct rows *rows, const struct core *core, char kind, uint64_t id)
{
	char text[40];

	snprintf(text, sizeof text, "%c%u-%llu", kind, core->index, (unsigned long long)id);
	rows_text(rows, text);
}

static void gather_address(struct rows *rows, const struct address *address, uint16_t port)
{
	char text[ADDRESS_TEXT];

	rows_text(rows, address_text(address, text));
	rows_number(rows, port);
}

/* Our end of it. */
static void gather_local(struct rows *rows, const struct stream *stream)
{
	struct address local;

	socket_local(stream->fd, &local);
	gather_address(rows, &local, address_port(&local));
}

static const char *gather_client_user(const struct core *core, const struct client *client)
{
	if (client->pool)
		return client->pool->config->user;
	return client->state == CLIENT_CONSOLE ? core->router->config->admin.user : "(nouser)";
}

static const char *gather_client_database(const struct core *core, const struct client *client)
{
	if (client->pool)
		return client->pool->config->database;
	return client->state == CLIENT_CONSOLE ? core->router->config->admin.name : "(nodb)";
}

static void gather_client(struct core *core, struct gather *gather, struct client *client)
{
	struct rows *rows = &gather->rows;
	const struct lease *lease = &client->lease;
	bool is_waiting = client->pool && lease->state == LEASE_WAITING;
	uint64_t wait_us = is_waiting ? (core->now_ns - lease->since_ns) / NS_PER_US : 0;
	const char *application =
		lease->settings ? params_get(&lease->settings->wanted, "application_name") : NULL;

	rows_begin(rows);
	rows_text(rows, "C");
	rows_text(rows, gather_client_user(core, client));
	rows_text(rows, gather_client_database(core, client));
	rows_text(rows, "none");
	rows_text(rows, client_state_name(client));
	gather_address(rows, client_peer(client), address_port(client_peer(client)));
	gather_local(rows, client->stream);
	gather_time(core, rows, client->connected_ns);
	gather_time(core, rows, client->request_ns);
	rows_number(rows, (int64_t)(wait_us / 1000000));
	rows_number(rows, (int64_t)(wait_us % 1000000));
	rows_number(rows, 0);
	gather_name(rows, core, 'c', client->id);
	if (client->pool && lease->state == LEASE_HELD)
		gather_name(rows, core, 's', lease->server->id);
	else
		rows_text(rows, "");
	rows_number(rows, socket_peer_pid(client->stream->fd));
	rows_text(rows, "");
	rows_text(rows, application ? application : "");
	rows_number(rows, lease->names ? lease->names->count : 0);
	rows_number(rows, (int64_t)client->id);
	rows_number(rows, (int64_t)lease->queries);
	rows_number(rows, (int64_t)lease->transactions);
	rows_number(rows, (int64_t)client->stream->received);
	rows_number(rows, (int64_t)client->stream->sent);
	rows_number(rows, core->index);
	rows_bool(rows, lease->state == LEASE_HELD && (lease->keeps || lease->server->traces.held));
	rows_text(rows, lease->state == LEASE_HELD ? traces_word(lease->server->traces.held) : "");
	rows_end(rows);
}

static void gather_server(struct core *core, struct gather *gather, struct server *server)
{
	struct rows *rows = &gather->rows;
	const char *application = params_get(&server->params, "application_name");
	const struct client *client = server->lease && !server->pool->is_single
		? container_of(server->lease, struct client, lease)
		: NULL;

	rows_begin(rows);
	rows_text(rows, "S");
	rows_text(rows, server->pool->config->user);
	rows_text(rows, server->pool->config->database);
	rows_text(rows, "none");
	rows_text(rows,
		gather_is_used(core, server) ? "used"
					     : server_state_name((enum server_state)server->state));
	gather_address(rows, &server->address, server->pool->config->port);
	gather_local(rows, server->stream);
	gather_time(core, rows, server->opened_ns);
	gather_time(core, rows, server->used_ns ? server->used_ns : server->opened_ns);
	rows_number(rows, 0);
	rows_number(rows, 0);
	rows_number(rows, server->retires);
	gather_name(rows, core, 's', server->id);
	if (client)
		gather_name(rows, core, 'c', client->id);
	else
		rows_text(rows, "");
	rows_number(rows, (int64_t)server->pid);
	rows_text(rows, "");
	rows_text(rows, application ? application : "");
	rows_number(rows, (int64_t)server->prepared.count);
	rows_number(rows, (int64_t)server->id);
	rows_number(rows, (int64_t)server->queries);
	rows_number(rows, (int64_t)server->transactions);
	rows_number(rows, (int64_t)server->stream->received);
	rows_number(rows, (int64_t)server->stream->sent);
	rows_number(rows, core->index);
	rows_number(rows, server->pool->id);
	if (client)
		rows_number(rows, (int64_t)client->id);
	else
		rows_text(rows, NULL);
	rows_number(rows, (int64_t)((core->now_ns - server->opened_ns) / NS_PER_MS));
	rows_number(rows, (int64_t)server->rollbacks);
	rows_end(rows);
}

static void gather_visit(struct core *core, struct round *round)
{
	struct gather *gather = container_of(round, struct gather, round);
	uint32_t at = 0;
	struct client *client;
	struct server *server;

	switch (gather->what) {
	case GATHER_FIGURES:
		gather_figures(core, gather);
		return;
	case GATHER_CLIENTS:
		rows_columns_hidden(
			&gather->rows, gather_client_columns, gather_client_column_count);
		while ((client = slab_next(&core->router->clients, &at)))
			if (client->state != CLIENT_CLOSING)
				gather_client(core, gather, client);
		return;
	case GATHER_SERVERS:
		rows_columns_hidden(
			&gather->rows, gather_server_columns, gather_server_column_count);
		while ((server = slab_next(&core->pools->servers, &at)))
			if (server->state != SERVER_CLOSING)
				gather_server(core, gather, server);
		return;
	}
}
