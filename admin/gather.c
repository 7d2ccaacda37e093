/* What each core adds to a gather. */
#include "admin/gather.h"

#include "core/clock.h"
#include "core/errors.h"
#include "router/client.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* PgBouncer's columns of SHOW CLIENTS and SHOW SERVERS. */
const struct rows_column gather_socket_columns[] = {
	{"type", ROWS_TEXT},
	{"user", ROWS_TEXT},
	{"database", ROWS_TEXT},
	{"replication", ROWS_TEXT},
	{"state", ROWS_TEXT},
	{"addr", ROWS_TEXT},
	{"port", ROWS_INT4},
	{"local_addr", ROWS_TEXT},
	{"local_port", ROWS_INT4},
	{"connect_time", ROWS_TEXT},
	{"request_time", ROWS_TEXT},
	{"wait", ROWS_INT4},
	{"wait_us", ROWS_INT4},
	{"close_needed", ROWS_INT4},
	{"ptr", ROWS_TEXT},
	{"link", ROWS_TEXT},
	{"remote_pid", ROWS_INT4},
	{"tls", ROWS_TEXT},
	{"application_name", ROWS_TEXT},
	{"prepared_statements", ROWS_INT4},
	{"id", ROWS_INT8},
};
const size_t gather_socket_column_count = array_len(gather_socket_columns);

int gather_start(struct core *core, enum gather_what what,
	void (*gathered)(struct core *core, struct gather *gather), void *owner)
{
	struct gather *gather = calloc(1, sizeof *gather);
	struct letter letter = {.kind = LETTER_GATHER, .a = gather};
	int error;

	if (!gather)
		return ERR_NO_MEMORY;
	gather->what = what;
	gather->gathered = gathered;
	gather->owner = owner;
	gather->pool_count = core->world->config->pool_count;
	gather->pools = calloc(gather->pool_count + 1, sizeof *gather->pools);
	if (!gather->pools) {
		free(gather);
		return ERR_NO_MEMORY;
	}
	error = mailbox_send(core, 0, &letter);
	if (error)
		gather_free(gather);
	return error;
}

void gather_free(struct gather *gather)
{
	rows_clear(&gather->rows);
	free(gather->pools);
	free(gather);
}

static void gather_stats(struct pool_stats *sum, const struct pool_stats *part)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)part;

	_Static_assert(sizeof *sum % sizeof *to == 0, "pool_stats is made of counters only");
	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += from[i];
}

static void gather_figures(struct core *core, struct gather *gather)
{
	uint32_t at = 0;
	struct client *client;

	for (size_t i = 0; i < core->pools->count; i++) {
		const struct pool *pool = core->pools->items[i];
		struct gather_pool *sum = &gather->pools[i];
		struct list *oldest = list_first(&pool->waiters);

		gather_stats(&sum->stats, &pool->stats);
		sum->clients_waiting += pool->waiter_count;
		sum->servers_active += pool->server_count[SERVER_LIST_BUSY];
		sum->servers_idle += pool->server_count[SERVER_LIST_IDLE];
		sum->servers_total += pool_total(pool);
		list_each(link, &pool->servers[SERVER_LIST_OPENING]) {
			const struct server *server = container_of(link, struct server, link);

			if (server->state == SERVER_CONNECTING || server->state == SERVER_LOGIN)
				sum->servers_login++;
			else
				sum->servers_tested++;
		}
		if (oldest) {
			const struct lease *lease = container_of(oldest, struct lease, link);
			uint64_t us = (core->now_ns - lease->since_ns) / NS_PER_US;

			if (us > sum->wait_us_max)
				sum->wait_us_max = us;
		}
	}
	while ((client = slab_next(&core->router->clients, &at))) {
		if (client->state == CLIENT_READY) {
			gather->clients++;
			if (client->lease.state != LEASE_WAITING)
				gather->pools[client->pool->config->index].clients_active++;
		} else if (client->state != CLIENT_CLOSING && client->state != CLIENT_CONSOLE) {
			gather->logging_in++;
		}
	}
	for (size_t i = 0; i < METRIC_COUNT; i++)
		gather->metrics[i] += core->metrics[i];
}

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

static void gather_client(struct core *core, struct gather *gather, struct client *client)
{
	struct rows *rows = &gather->rows;
	bool is_waiting = client->state == CLIENT_READY && client->lease.state == LEASE_WAITING;
	uint64_t wait_us = is_waiting ? (core->now_ns - client->lease.since_ns) / NS_PER_US : 0;
	const char *application =
		client->settings ? params_get(&client->settings->wanted, "application_name") : NULL;
	char text[ADDRESS_TEXT];

	rows_begin(rows);
	rows_text(rows, "C");
	rows_text(rows,
		client->pool                              ? client->pool->config->user
			: client->state == CLIENT_CONSOLE ? core->world->config->admin.user
							  : "");
	rows_text(rows,
		client->pool                              ? client->pool->config->database
			: client->state == CLIENT_CONSOLE ? core->world->config->admin.name
							  : "");
	rows_text(rows, "none");
	rows_text(rows, client_state_name(client));
	rows_text(rows, address_text(&client->peer, text));
	rows_number(rows, address_port(&client->peer));
	rows_text(rows, "");
	rows_number(rows, core->world->config->general.port);
	gather_time(core, rows, client->connected_ns);
	gather_time(core, rows, client->request_ns);
	rows_number(rows, (int64_t)(wait_us / 1000000));
	rows_number(rows, (int64_t)(wait_us % 1000000));
	rows_number(rows, 0);
	gather_name(rows, core, 'c', client->id);
	if (client->pool && client->lease.state == LEASE_HELD)
		gather_name(rows, core, 's', client->lease.server->id);
	else
		rows_text(rows, "");
	rows_number(rows, 0);
	rows_text(rows, "");
	rows_text(rows, application ? application : "");
	rows_number(rows, 0);
	rows_number(rows, (int64_t)client->id);
	rows_end(rows);
}

static void gather_server(struct core *core, struct gather *gather, struct server *server)
{
	struct rows *rows = &gather->rows;
	const char *application = params_get(&server->params, "application_name");
	char text[ADDRESS_TEXT];

	rows_begin(rows);
	rows_text(rows, "S");
	rows_text(rows, server->pool->config->user);
	rows_text(rows, server->pool->config->database);
	rows_text(rows, "none");
	rows_text(rows, server_state_name((enum server_state)server->state));
	rows_text(rows, address_text(&server->address, text));
	rows_number(rows, server->pool->config->port);
	rows_text(rows, "");
	rows_number(rows, 0);
	gather_time(core, rows, server->opened_ns);
	gather_time(core, rows, server->used_ns ? server->used_ns : server->opened_ns);
	rows_number(rows, 0);
	rows_number(rows, 0);
	rows_number(rows, server->retires);
	gather_name(rows, core, 's', server->id);
	if (server->lease)
		gather_name(rows, core, 'c', container_of(server->lease, struct client, lease)->id);
	else
		rows_text(rows, "");
	rows_number(rows, (int64_t)server->pid);
	rows_text(rows, "");
	rows_text(rows, application ? application : "");
	rows_number(rows, 0);
	rows_number(rows, (int64_t)server->id);
	rows_end(rows);
}

static void gather_add(struct core *core, struct gather *gather)
{
	uint32_t at = 0;
	struct client *client;
	struct server *server;

	switch (gather->what) {
	case GATHER_FIGURES:
		gather_figures(core, gather);
		return;
	case GATHER_CLIENTS:
		while ((client = slab_next(&core->router->clients, &at)))
			if (client->state != CLIENT_CLOSING)
				gather_client(core, gather, client);
		return;
	case GATHER_SERVERS:
		while ((server = slab_next(&core->pools->servers, &at)))
			gather_server(core, gather, server);
		return;
	}
}

void gather_arrived(struct core *core, const struct letter *letter)
{
	struct gather *gather = letter->a;
	struct letter next = {.kind = LETTER_GATHER, .a = gather};
	unsigned to;

	gather_add(core, gather);
	gather->next = core->index + 1;
	to = gather->next;
	if (to == core->world->worker_count) {
		next.kind = LETTER_GATHERED;
		to = core->world->control;
	}
	while (mailbox_send(core, to, &next) != 0) {
		core_count(core,
			METRIC_letters_delayed); /* only control starts gathers, few at a time */
		sched_yield();
	}
}

void gather_returned(struct core *core, const struct letter *letter)
{
	struct gather *gather = letter->a;

	gather->gathered(core, gather);
}
