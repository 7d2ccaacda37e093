/* Composing what SHOW answers. PgBouncer's columns in its order, then those that PgDog has beside them, then ours. */
#include "admin/shows.h"

#include "admin/commands.h"
#include "admin/console.h"
#include "admin/gather.h"
#include "admin/stats.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/memory.h"
#include "core/options.h"
#include "core/tally.h"
#include "protocol/sqlstate.h"
#include "router/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHOW_AS_PGBOUNCER "1.26.0" /* whose columns these are */

enum shows_gathers { SHOWS_NOTHING, SHOWS_FIGURES, SHOWS_CLIENTS, SHOWS_SERVERS };

struct show {
	const char *word;
	enum shows_gathers gathers;
	/* Composes the whole result. `gather` is NULL for NOTHING, and when only the columns are asked for. */
	void (*compose)(struct core *core, const struct gather *gather, struct rows *rows);
	const char *help;
};

/* ---- small ones ---- */

static const char *show_mode(enum pool_mode mode)
{
	return option_find(&option_section_general, "pooler_mode")->words->words[mode];
}

static void show_version(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {{"version", ROWS_TEXT}};

	(void)core, (void)gather;
	rows_columns(rows, columns, array_len(columns));
	rows_begin(rows);
	/* agents look for the word, and for the first version in the text, before they believe the rest */
	rows_text(rows, "PgBouncer " SHOW_AS_PGBOUNCER " (pgring " PGRING_VERSION ")");
	rows_end(rows);
}

static void show_config(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {{"key", ROWS_TEXT}, {"value", ROWS_TEXT},
		{"default", ROWS_TEXT}, {"changeable", ROWS_TEXT}};
	struct config_row row;

	(void)gather;
	rows_columns(rows, columns, array_len(columns));
	for (size_t i = 0; config_row_at(core->world->config, i, &row); i++) {
		rows_begin(rows);
		rows_text(rows, row.name);
		rows_text(rows, row.value);
		rows_text(rows, row.default_value);
		rows_text(rows, row.changeable ? "yes" : "no");
		rows_end(rows);
	}
}

static void show_pair(struct rows *rows, const char *key, const char *value)
{
	rows_begin(rows);
	rows_text(rows, key);
	rows_text(rows, value);
	rows_end(rows);
}

static void show_state(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {{"key", ROWS_TEXT}, {"value", ROWS_TEXT}};
	bool is_paused = console_of(core)->is_paused;

	(void)gather;
	rows_columns(rows, columns, array_len(columns));
	show_pair(rows, "active", is_paused ? "no" : "yes");
	show_pair(rows, "paused", is_paused ? "yes" : "no");
	show_pair(rows, "suspended", "no");
}

static void show_clients(struct core *core, const struct gather *gather, struct rows *rows)
{
	(void)core;
	rows_columns(rows, gather_client_columns, gather_client_column_count);
	if (gather)
		rows_append(rows, &gather->rows);
}

static void show_servers(struct core *core, const struct gather *gather, struct rows *rows)
{
	(void)core;
	rows_columns(rows, gather_server_columns, gather_server_column_count);
	if (gather)
		rows_append(rows, &gather->rows);
}

/* ---- databases, pools, users ---- */

static struct tally *show_tally(struct core *core, enum tally_kind kind, const char *name)
{
	return tallies_get(core->world->tallies, kind, kind == TALLY_DATABASE ? name : NULL,
		kind == TALLY_USER ? name : NULL);
}

static void show_database(
	struct core *core, struct rows *rows, const char *name, const struct config_pool *first)
{
	const struct tally *tally = show_tally(core, TALLY_DATABASE, name);

	rows_begin(rows);
	rows_text(rows, name);
	rows_text(rows, first ? first->host : NULL);
	rows_number(rows, first ? first->port : 0);
	rows_text(rows, first ? first->server_database : NULL);
	rows_text(rows, first && first->database_entry->user ? first->server_user : NULL);
	rows_number(rows, first ? first->pool_size : 0);
	rows_number(rows, first ? first->min_pool_size : 0);
	rows_number(rows, first ? first->reserve_pool_size : 0);
	rows_number(rows, first ? first->server_lifetime_ms / 1000 : 0);
	rows_text(rows, first ? show_mode(first->mode) : NULL);
	rows_text(rows, NULL);
	rows_number(rows, first ? first->max_db_connections : 0);
	rows_number(rows, tally_read(&tally->servers));
	rows_number(rows, first ? first->max_db_client_connections : 0);
	rows_number(rows, tally_read(&tally->clients));
	rows_number(rows, atomic_load(&tally->is_paused));
	rows_number(rows, atomic_load(&tally->is_disabled));
	rows_end(rows);
}

static void show_databases(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {{"name", ROWS_TEXT}, {"host", ROWS_TEXT},
		{"port", ROWS_INT4}, {"database", ROWS_TEXT}, {"force_user", ROWS_TEXT},
		{"pool_size", ROWS_INT4}, {"min_pool_size", ROWS_INT4},
		{"reserve_pool_size", ROWS_INT4}, {"server_lifetime", ROWS_INT4},
		{"pool_mode", ROWS_TEXT}, {"load_balance_hosts", ROWS_TEXT},
		{"max_connections", ROWS_INT4}, {"current_connections", ROWS_INT4},
		{"max_client_connections", ROWS_INT4}, {"current_client_connections", ROWS_INT4},
		{"paused", ROWS_INT4}, {"disabled", ROWS_INT4}};
	const struct config *config = core->world->config;

	rows_columns(rows, columns, array_len(columns));
	for (size_t i = 0; gather && i < config->database_name_count; i++) {
		const struct config_pool *first = NULL;

		for (size_t j = 0; !first && j < config->pool_count; j++)
			if (strcmp(config->pools[j].database, config->database_names[i]) == 0)
				first = &config->pools[j];
		show_database(core, rows, config->database_names[i], first);
	}
}

static const char *show_role(enum database_role role)
{
	return option_find(&option_section_databases, "role")->words->words[role];
}

static void show_pool(struct core *core, struct rows *rows, const struct config_pool *config,
	const struct gather_pool *pool)
{
	const struct tally *database = show_tally(core, TALLY_DATABASE, config->database);

	rows_begin(rows);
	rows_text(rows, config->database);
	rows_text(rows, config->user);
	rows_number(rows, (int64_t)pool->clients_active);
	rows_number(rows, (int64_t)pool->clients_waiting);
	rows_number(rows, (int64_t)pool->cancels_active);
	rows_number(rows, (int64_t)pool->cancels_waiting);
	rows_number(rows, (int64_t)pool->servers_active);
	rows_number(rows, (int64_t)pool->cancels);
	rows_number(rows, (int64_t)pool->servers_cancelled);
	rows_number(rows, (int64_t)pool->servers_idle);
	rows_number(rows, (int64_t)pool->servers_used);
	rows_number(rows, (int64_t)pool->servers_tested);
	rows_number(rows, (int64_t)pool->servers_login);
	rows_number(rows, (int64_t)(pool->wait_us_max / 1000000));
	rows_number(rows, (int64_t)(pool->wait_us_max % 1000000));
	rows_text(rows, show_mode(config->mode));
	rows_text(rows, NULL);
	rows_number(rows, pool->id);
	rows_text(rows, config->host);
	rows_number(rows, config->port);
	rows_number(rows, 0);
	rows_text(rows, show_role(config->role));
	rows_number(rows, (int64_t)pool->servers_in_transaction);
	rows_number(rows, (int64_t)pool->servers_total);
	rows_bool(rows, console_of(core)->is_paused || atomic_load(&database->is_paused));
	rows_bool(rows, !pool->is_failing);
	rows_number(rows, (int64_t)pool->stats.failures);
	rows_number(rows, (int64_t)pool->stats.resyncs);
	rows_number(rows, (int64_t)pool->stats.out_of_sync);
	rows_number(rows, (int64_t)pool->stats.force_closed);
	rows_end(rows);
}

static void show_pools(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {{"database", ROWS_TEXT}, {"user", ROWS_TEXT},
		{"cl_active", ROWS_INT4}, {"cl_waiting", ROWS_INT4},
		{"cl_active_cancel_req", ROWS_INT4}, {"cl_waiting_cancel_req", ROWS_INT4},
		{"sv_active", ROWS_INT4}, {"sv_active_cancel", ROWS_INT4},
		{"sv_being_canceled", ROWS_INT4}, {"sv_idle", ROWS_INT4}, {"sv_used", ROWS_INT4},
		{"sv_tested", ROWS_INT4}, {"sv_login", ROWS_INT4}, {"maxwait", ROWS_INT4},
		{"maxwait_us", ROWS_INT4}, {"pool_mode", ROWS_TEXT},
		{"load_balance_hosts", ROWS_TEXT}, {"id", ROWS_INT8}, {"addr", ROWS_TEXT},
		{"port", ROWS_NUMERIC}, {"shard", ROWS_NUMERIC}, {"role", ROWS_TEXT},
		{"sv_idle_xact", ROWS_NUMERIC}, {"sv_total", ROWS_NUMERIC}, {"paused", ROWS_BOOL},
		{"healthy", ROWS_BOOL}, {"errors", ROWS_NUMERIC}, {"re_synced", ROWS_NUMERIC},
		{"out_of_sync", ROWS_NUMERIC}, {"force_closed", ROWS_NUMERIC}};

	rows_columns(rows, columns, array_len(columns));
	for (size_t i = 0; gather && i < gather->pool_count; i++)
		show_pool(core, rows, &core->world->config->pools[i], &gather->pools[i]);
}

static void show_optional(struct rows *rows, int64_t number)
{
	if (number == CONFIG_UNSET)
		rows_text(rows, "");
	else
		rows_number(rows, number);
}

static void show_user(struct core *core, struct rows *rows, const struct config_user *user)
{
	const struct config_general *general = &core->world->config->general;
	const struct tally *tally = show_tally(core, TALLY_USER, user->name);

	rows_begin(rows);
	rows_text(rows, user->name);
	show_optional(rows, user->pool_size);
	show_optional(rows, user->reserve_pool_size);
	rows_text(rows,
		user->pooler_mode == CONFIG_UNSET ? NULL
						  : show_mode((enum pool_mode)user->pooler_mode));
	rows_number(rows,
		user->max_user_connections == CONFIG_UNSET ? general->max_user_connections
							   : user->max_user_connections);
	rows_number(rows, tally_read(&tally->servers));
	rows_number(rows,
		user->max_user_client_connections == CONFIG_UNSET
			? general->max_user_client_connections
			: user->max_user_client_connections);
	rows_number(rows, tally_read(&tally->clients));
	rows_end(rows);
}

/* Whether an entry before it has the same name. */
static bool show_is_repeated(const struct config *config, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(config->users[i].name, config->users[index].name) == 0)
			return true;
	return false;
}

static void show_users(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {{"name", ROWS_TEXT}, {"pool_size", ROWS_TEXT},
		{"reserve_pool_size", ROWS_TEXT}, {"pool_mode", ROWS_TEXT},
		{"max_user_connections", ROWS_INT4}, {"current_connections", ROWS_INT4},
		{"max_user_client_connections", ROWS_INT4},
		{"current_client_connections", ROWS_INT4}};
	const struct config *config = core->world->config;

	rows_columns(rows, columns, array_len(columns));
	for (size_t i = 0; gather && i < config->user_count; i++)
		if (!show_is_repeated(config, i))
			show_user(core, rows, &config->users[i]);
}

/* ---- lists, memory, cores ---- */

static void show_item(struct rows *rows, const char *list, uint64_t items)
{
	rows_begin(rows);
	rows_text(rows, list);
	rows_number(rows, (int64_t)items);
	rows_end(rows);
}

static void show_lists(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {{"list", ROWS_TEXT}, {"items", ROWS_INT4}};
	const struct config *config = core->world->config;
	uint64_t users = 0, clients = 0, logging_in = 0, servers = 0, spare_clients = 0;
	uint64_t spare_servers = 0, lookups = 0;

	rows_columns(rows, columns, array_len(columns));
	if (!gather)
		return;
	for (unsigned i = 0; i < core->world->worker_count; i++) {
		const struct gather_core *one = &gather->cores[i];

		clients += one->clients + one->consoles;
		logging_in += one->logging_in;
		servers += one->servers;
		lookups += one->lookups;
		spare_clients += one->memory[MEMORY_CLIENTS].spare;
		spare_servers += one->memory[MEMORY_SERVERS].spare;
	}
	for (size_t i = 0; i < config->user_count; i++)
		users += !show_is_repeated(config, i);
	show_item(rows, "databases", config->database_name_count);
	show_item(rows, "users", users);
	show_item(rows, "peers", 0);
	show_item(rows, "pools", config->pool_count);
	show_item(rows, "peer_pools", 0);
	show_item(rows, "free_clients", spare_clients);
	show_item(rows, "used_clients", clients);
	show_item(rows, "login_clients", logging_in);
	show_item(rows, "free_servers", spare_servers);
	show_item(rows, "used_servers", servers);
	show_item(rows, "dns_names", 0); /* names are kept with the pools that use them */
	show_item(rows, "dns_zones", 0);
	show_item(rows, "dns_queries", lookups);
	show_item(rows, "dns_pending", lookups);
}

static void show_memory(
	struct rows *rows, const char *name, uint64_t bytes, uint64_t used, uint64_t spare)
{
	rows_begin(rows);
	rows_text(rows, name);
	rows_number(rows, (int64_t)bytes);
	rows_number(rows, (int64_t)used);
	rows_number(rows, (int64_t)spare);
	rows_number(rows, (int64_t)(bytes * (used + spare)));
	rows_end(rows);
}

static void show_mem(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {{"name", ROWS_TEXT}, {"size", ROWS_INT8},
		{"used", ROWS_INT8}, {"free", ROWS_INT8}, {"memtotal", ROWS_INT8}};
	static const char *const names[] = {
#define MEMORY(symbol, name, bytes, text) [MEMORY_##symbol] = name,
#include "admin/memories.def"
	};
	struct memory_figures figures;
	uint64_t sum = 0;

	rows_columns(rows, columns, array_len(columns));
	if (!gather)
		return;
	for (int kind = 0; kind < MEMORY_KIND_COUNT; kind++) {
		uint64_t used = 0, spare = 0;

		for (unsigned i = 0; i < core->world->worker_count; i++) {
			used += gather->cores[i].memory[kind].used;
			spare += gather->cores[i].memory[kind].spare;
		}
		show_memory(rows, names[kind], gather->memory_bytes[kind], used, spare);
		sum += gather->memory_bytes[kind] * (used + spare);
	}
	memory_read(&figures);
	/* configurations, names of statements, keys, counters of other threads; what moves meanwhile may be counted twice */
	show_memory(rows, "other", 1, figures.allocated > sum ? figures.allocated - sum : 0, 0);
	show_memory(rows, "allocated", 1, figures.allocated, 0);
	show_memory(rows, "resident", 1, figures.resident, 0);
}

static void show_cores(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {
		{"core", ROWS_INT4},
		{"clients", ROWS_INT4},
		{"login_clients", ROWS_INT4},
		{"servers", ROWS_INT4},
		{"waiting", ROWS_INT4},
		{"busy", ROWS_NUMERIC},
		{"cpu_time", ROWS_NUMERIC},
		{"turn_time", ROWS_NUMERIC},
#define METRIC(name, text) {#name, ROWS_NUMERIC},
#include "core/metrics.def"
	};

	rows_columns(rows, columns, array_len(columns));
	for (unsigned i = 0; gather && i < core->world->worker_count; i++) {
		const struct gather_core *one = &gather->cores[i];
		uint64_t turns = one->metrics[METRIC_loop_turns];

		rows_begin(rows);
		rows_number(rows, i);
		rows_number(rows, (int64_t)(one->clients + one->consoles));
		rows_number(rows, (int64_t)one->logging_in);
		rows_number(rows, (int64_t)one->servers);
		rows_number(rows, (int64_t)one->waiting);
		rows_decimal(rows, stats_busy(core, i), 1); /* percent of the last period */
		rows_number(rows, (int64_t)(one->busy_ns / NS_PER_US));
		rows_decimal(rows, (int64_t)(turns ? one->busy_ns / turns : 0), 3);
		for (size_t j = 0; j < METRIC_COUNT; j++)
			rows_number(rows, (int64_t)one->metrics[j]);
		rows_end(rows);
	}
}

/* ---- finding out what is asked for ---- */

static void show_help(struct core *core, const struct gather *gather, struct rows *rows);

static const struct show shows[] = {
#define SHOW(word, what, function, help) {word, SHOWS_##what, function, help},
#include "admin/shows.def"
};

/* What drivers and tools ask of any server. */
static const struct show_setting {
	const char *name, *value;
} show_settings[] = {
#define SETTING(name, value) {name, value},
#include "admin/settings.def"
};

static void show_help(struct core *core, const struct gather *gather, struct rows *rows)
{
	struct fault notice = {
		"NOTICE", SQLSTATE_SUCCESSFUL_COMPLETION, "Console usage", NULL, NULL};
	char text[3072];
	size_t len = 0;

	(void)core, (void)gather;
	for (size_t i = 0; i < array_len(shows); i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "\n\tSHOW %-14s  %s",
			shows[i].word, shows[i].help);
	commands_help(text + len, sizeof text - len);
	notice.detail = text;
	rows_fault(rows, 'N', &notice);
}

static void shows_finish(
	struct core *core, struct console_statement *statement, const struct gather *gather)
{
	const struct show *show = statement->work;

	show->compose(core, gather, &statement->rows);
	console_done(core, statement, "SHOW");
}

static void shows_gathered(struct core *core, struct gather *gather)
{
	shows_finish(core, gather->owner, gather);
	gather_free(gather);
}

static void shows_begin(
	struct core *core, struct console_statement *statement, const struct show *show)
{
	static const enum gather_what what[] = {[SHOWS_FIGURES] = GATHER_FIGURES,
		[SHOWS_CLIENTS] = GATHER_CLIENTS,
		[SHOWS_SERVERS] = GATHER_SERVERS};

	statement->work = show;
	if (show->gathers == SHOWS_NOTHING || statement->command->describes)
		shows_finish(core, statement, NULL);
	else if (gather_start(core, what[show->gathers], &statement->rows.formats, shows_gathered,
			 statement) != 0)
		console_fail(core, statement, SQLSTATE_INSUFFICIENT_RESOURCES,
			"pgring is too busy to answer now: try again");
}

static void shows_setting(
	struct core *core, struct console_statement *statement, const struct show_setting *setting)
{
	struct rows_column column = {setting->name, ROWS_TEXT};

	rows_columns(&statement->rows, &column, 1);
	rows_begin(&statement->rows);
	rows_text(&statement->rows, setting->value);
	rows_end(&statement->rows);
	console_done(core, statement, "SHOW");
}

bool shows_start(struct core *core, struct console_statement *statement)
{
	const struct words *words = &statement->words;

	if (strcasecmp(words->word[0], "SHOW") != 0 && strcasecmp(words->word[0], "SELECT") != 0)
		return false;
	for (size_t i = 0; words->count == 2 && i < array_len(shows); i++) {
		if (strcasecmp(words->word[1], shows[i].word) == 0) {
			shows_begin(core, statement, &shows[i]);
			return true;
		}
	}
	for (size_t i = 0; words->count == 2 && i < array_len(show_settings); i++) {
		if (strcasecmp(words->word[1], show_settings[i].name) == 0) {
			shows_setting(core, statement, &show_settings[i]);
			return true;
		}
	}
	console_fail_syntax(core, statement);
	return true;
}
