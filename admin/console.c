/* The console: finds out what is asked, has the cores gather what is needed, and composes the answer.
 *
 * The columns are PgBouncer's, as its users' dashboards expect them.
 */
#include "admin/console.h"

#include "admin/gather.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/errors.h"
#include "core/options.h"
#include "protocol/sqlstate.h"
#include "router/command.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum console_gathers { CONSOLE_NOTHING, CONSOLE_FIGURES, CONSOLE_CLIENTS, CONSOLE_SERVERS };

enum console_show {
#define SHOW(word, what, help) CONSOLE_SHOW_##word,
#include "admin/shows.def"
	CONSOLE_SHOW_COUNT
};

static const struct {
	const char *word;
	enum console_gathers gathers;
	const char *help;
} console_shows[] = {
#define SHOW(word, what, help) [CONSOLE_SHOW_##word] = {#word, CONSOLE_##what, help},
#include "admin/shows.def"
};

/* Totals of all pools at two moments, stats_period apart. */
struct console {
	struct console_hooks hooks;
	struct timer period;
	struct pool_stats *then, *before; /* by pool */
	uint64_t then_ns, before_ns;
	bool is_sampling;
};

/* A command that waits for figures. */
struct console_wait {
	struct command *command;
	enum console_show show;
};

/* The open_console hangs here rather than in a global, once per control core. */
static struct console *console_of(struct core *core)
{
	return (struct console *)core->admin;
}

/* ---- averages ---- */

static void console_period(struct core *core, struct timer *timer);

static void console_sampled(struct core *core, struct gather *gather)
{
	struct console *console = console_of(core);
	struct pool_stats *oldest;

	console->is_sampling = false;
	oldest = console->before;
	console->before = console->then;
	console->before_ns = console->then_ns;
	console->then = oldest;
	for (size_t i = 0; i < gather->pool_count; i++)
		console->then[i] = gather->pools[i].stats;
	console->then_ns = core->now_ns;
	gather_free(gather);
}

static void console_period(struct core *core, struct timer *timer)
{
	struct console *console = container_of(timer, struct console, period);

	if (!console->is_sampling)
		console->is_sampling =
			gather_start(core, GATHER_FIGURES, console_sampled, NULL) == 0;
	core_timer_set(core, &console->period, core->world->config->general.stats_period_ms);
}

int console_open(struct core *core, const struct console_hooks *hooks)
{
	struct console *console = calloc(1, sizeof *console);
	size_t count = core->world->config->pool_count + 1;

	if (!console)
		return ERR_NO_MEMORY;
	console->hooks = *hooks;
	console->then = calloc(count, sizeof *console->then);
	console->before = calloc(count, sizeof *console->before);
	if (!console->then || !console->before)
		return ERR_NO_MEMORY;
	console->then_ns = console->before_ns = core->now_ns;
	timer_init(&console->period, console_period);
	core->admin = (struct admin *)console;
	core_timer_set(core, &console->period, core->world->config->general.stats_period_ms);
	return 0;
}

void console_close(struct core *core)
{
	struct console *console = console_of(core);

	core_timer_stop(core, &console->period);
	free(console->then);
	free(console->before);
	free(console);
	core->admin = NULL;
}

/* ---- answering ---- */

static void console_send(struct core *core, struct command *command, struct rows *rows)
{
	struct letter letter = {.kind = LETTER_ANSWER, .a = command};

	command->answer = rows_take(rows, &command->answer_len);
	if (mailbox_send(core, command->core, &letter) != 0) {
		log_error(core, "the answer to a console command was lost: core %u does not read",
			command->core);
		free(command->answer);
		free(command->text);
		free(command);
	}
}

static void console_fail(struct core *core, struct command *command, const char *text)
{
	struct fault fault = {"ERROR", SQLSTATE_PROTOCOL_VIOLATION, text, NULL, NULL};
	struct rows rows = {0};

	rows_fault(&rows, 'E', &fault);
	console_send(core, command, &rows);
}

static void console_columns(const struct command *command, struct rows *rows,
	const struct rows_column *columns, size_t count)
{
	if (command->is_simple || command->describes)
		rows_columns(rows, columns, count);
}

/* ---- the shows ---- */

static const char *console_mode(enum pool_mode mode)
{
	return option_find(&option_section_general, "pooler_mode")->words->words[mode];
}

static void show_version(const struct command *command, struct rows *rows)
{
	static const struct rows_column columns[] = {{"version", ROWS_TEXT}};

	console_columns(command, rows, columns, array_len(columns));
	rows_begin(rows);
	rows_text(rows, "pgring " PGRING_VERSION);
	rows_end(rows);
}

static void show_help(const struct command *command, struct rows *rows)
{
	struct fault notice = {
		"NOTICE", SQLSTATE_SUCCESSFUL_COMPLETION, "Console usage", NULL, NULL};
	char text[2048];
	size_t len = 0;

	(void)command;
	for (size_t i = 0; i < CONSOLE_SHOW_COUNT; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "\n\tSHOW %-10s %s",
			console_shows[i].word, console_shows[i].help);
	snprintf(text + len, sizeof text - len,
		"\n\tSHUTDOWN        let transactions end, then stop");
	notice.detail = text;
	rows_fault(rows, 'N', &notice);
}

static void show_config(struct core *core, const struct command *command, struct rows *rows)
{
	static const struct rows_column columns[] = {{"key", ROWS_TEXT}, {"value", ROWS_TEXT},
		{"default", ROWS_TEXT}, {"changeable", ROWS_TEXT}};
	struct config_row row;

	console_columns(command, rows, columns, array_len(columns));
	for (size_t i = 0; config_row_at(core->world->config, i, &row); i++) {
		rows_begin(rows);
		rows_text(rows, row.name);
		rows_text(rows, row.value);
		rows_text(rows, row.default_value);
		/* nothing is changed by reload before RELOAD exists */
		rows_text(rows, "no");
		rows_end(rows);
	}
}

static void show_databases(struct core *core, const struct command *command,
	const struct gather *gather, struct rows *rows)
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

	console_columns(command, rows, columns, array_len(columns));
	for (size_t i = 0; gather && i < config->database_name_count; i++) {
		const struct config_pool *first = NULL;
		uint64_t servers = 0, clients = 0;

		for (size_t j = 0; j < config->pool_count; j++) {
			if (strcmp(config->pools[j].database, config->database_names[i]) != 0)
				continue;
			if (!first)
				first = &config->pools[j];
			servers += gather->pools[j].servers_total;
			clients +=
				gather->pools[j].clients_active + gather->pools[j].clients_waiting;
		}
		rows_begin(rows);
		rows_text(rows, config->database_names[i]);
		rows_text(rows, first ? first->host : NULL);
		rows_number(rows, first ? first->port : 0);
		rows_text(rows, first ? first->server_database : NULL);
		rows_text(rows, first && first->database_entry->user ? first->server_user : NULL);
		rows_number(rows, first ? first->pool_size : 0);
		rows_number(rows, first ? first->min_pool_size : 0);
		rows_number(rows, 0);
		rows_number(rows, first ? first->server_lifetime_ms / 1000 : 0);
		rows_text(rows, first ? console_mode(first->mode) : NULL);
		rows_text(rows, NULL);
		rows_number(rows, 0);
		rows_number(rows, (int64_t)servers);
		rows_number(rows, 0);
		rows_number(rows, (int64_t)clients);
		rows_number(rows, 0);
		rows_number(rows, first && first->refused);
		rows_end(rows);
	}
}

static void show_pools(struct core *core, const struct command *command,
	const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {{"database", ROWS_TEXT}, {"user", ROWS_TEXT},
		{"cl_active", ROWS_INT4}, {"cl_waiting", ROWS_INT4},
		{"cl_active_cancel_req", ROWS_INT4}, {"cl_waiting_cancel_req", ROWS_INT4},
		{"sv_active", ROWS_INT4}, {"sv_active_cancel", ROWS_INT4},
		{"sv_being_canceled", ROWS_INT4}, {"sv_idle", ROWS_INT4}, {"sv_used", ROWS_INT4},
		{"sv_tested", ROWS_INT4}, {"sv_login", ROWS_INT4}, {"maxwait", ROWS_INT4},
		{"maxwait_us", ROWS_INT4}, {"pool_mode", ROWS_TEXT},
		{"load_balance_hosts", ROWS_TEXT}};
	const struct config *config = core->world->config;

	console_columns(command, rows, columns, array_len(columns));
	for (size_t i = 0; gather && i < config->pool_count; i++) {
		const struct gather_pool *pool = &gather->pools[i];

		rows_begin(rows);
		rows_text(rows, config->pools[i].database);
		rows_text(rows, config->pools[i].user);
		rows_number(rows, (int64_t)pool->clients_active);
		rows_number(rows, (int64_t)pool->clients_waiting);
		rows_number(rows, 0);
		rows_number(rows, 0);
		rows_number(rows, (int64_t)pool->servers_active);
		rows_number(rows, 0);
		rows_number(rows, 0);
		rows_number(rows, (int64_t)pool->servers_idle);
		rows_number(rows, 0);
		rows_number(rows, (int64_t)pool->servers_tested);
		rows_number(rows, (int64_t)pool->servers_login);
		rows_number(rows, (int64_t)(pool->wait_us_max / 1000000));
		rows_number(rows, (int64_t)(pool->wait_us_max % 1000000));
		rows_text(rows, console_mode(config->pools[i].mode));
		rows_text(rows, NULL);
		rows_end(rows);
	}
}

/* The counters of STATS in PgBouncer's order: name of the total, name of the average, field, and what the average is over. */
#define STATS_ROWS \
	STAT("total_server_assignment_count", "avg_server_assignment_count", assignments, \
		PER_SECOND) \
	STAT("total_xact_count", "avg_xact_count", transactions, PER_SECOND) \
	STAT("total_query_count", "avg_query_count", queries, PER_SECOND) \
	STAT("total_received", "avg_recv", received, PER_SECOND) \
	STAT("total_sent", "avg_sent", sent, PER_SECOND) \
	STAT("total_xact_time", "avg_xact_time", transaction_us, PER_TRANSACTION) \
	STAT("total_query_time", "avg_query_time", query_us, PER_QUERY) \
	STAT("total_wait_time", "avg_wait_time", wait_us, PER_SECOND) \
	STAT("total_client_parse_count", "avg_client_parse_count", parses, PER_SECOND) \
	STAT("total_server_parse_count", "avg_server_parse_count", parses, PER_SECOND) \
	STAT("total_bind_count", "avg_bind_count", binds, PER_SECOND) \
	STAT("total_client_login_count", "avg_client_login_count", logins, PER_SECOND)

enum stats_average { PER_SECOND, PER_TRANSACTION, PER_QUERY };

static int64_t show_average(
	const struct pool_stats *delta, uint64_t value, enum stats_average over, uint64_t ns)
{
	switch (over) {
	case PER_SECOND:
		return ns ? (int64_t)((double)value * (double)NS_PER_S / (double)ns) : 0;
	case PER_TRANSACTION:
		return delta->transactions ? (int64_t)(value / delta->transactions) : 0;
	case PER_QUERY:
		return delta->queries ? (int64_t)(value / delta->queries) : 0;
	}
	UNREACHABLE();
}

static void show_stats(struct core *core, const struct command *command,
	const struct gather *gather, struct rows *rows)
{
#define STAT(total, average, field, over) {total, ROWS_NUMERIC},
	static const struct rows_column totals[] = {{"database", ROWS_TEXT}, STATS_ROWS};
#undef STAT
#define STAT(total, average, field, over) {average, ROWS_NUMERIC},
	static const struct rows_column averages[] = {STATS_ROWS};
#undef STAT
	struct rows_column columns[array_len(totals) + array_len(averages)];
	const struct console *console = console_of(core);
	const struct config *config = core->world->config;
	uint64_t ns = console->then_ns - console->before_ns;

	memcpy(columns, totals, sizeof totals);
	memcpy(columns + array_len(totals), averages, sizeof averages);
	console_columns(command, rows, columns, array_len(columns));
	for (size_t i = 0; gather && i < config->database_name_count; i++) {
		struct pool_stats sum = {0}, delta = {0};

		for (size_t j = 0; j < config->pool_count; j++) {
			if (strcmp(config->pools[j].database, config->database_names[i]) != 0)
				continue;
#define STAT(total, average, field, over) sum.field += gather->pools[j].stats.field;
			STATS_ROWS
#undef STAT
#define STAT(total, average, field, over) \
	delta.field += console->then[j].field - console->before[j].field;
			STATS_ROWS
#undef STAT
		}
		rows_begin(rows);
		rows_text(rows, config->database_names[i]);
#define STAT(total, average, field, over) rows_number(rows, (int64_t)sum.field);
		STATS_ROWS
#undef STAT
#define STAT(total, average, field, over) \
	rows_number(rows, show_average(&delta, delta.field, over, ns));
		STATS_ROWS
#undef STAT
		rows_end(rows);
	}
}

/* `gather` is NULL when only the columns are asked for. */
static void console_show(
	struct core *core, struct command *command, enum console_show show, struct gather *gather)
{
	struct rows rows = {0};

	switch (show) {
	case CONSOLE_SHOW_VERSION:
		show_version(command, &rows);
		break;
	case CONSOLE_SHOW_HELP:
		show_help(command, &rows);
		break;
	case CONSOLE_SHOW_CONFIG:
		show_config(core, command, &rows);
		break;
	case CONSOLE_SHOW_DATABASES:
		show_databases(core, command, gather, &rows);
		break;
	case CONSOLE_SHOW_POOLS:
		show_pools(core, command, gather, &rows);
		break;
	case CONSOLE_SHOW_STATS:
		show_stats(core, command, gather, &rows);
		break;
	case CONSOLE_SHOW_CLIENTS:
	case CONSOLE_SHOW_SERVERS:
		console_columns(command, &rows, gather_socket_columns, gather_socket_column_count);
		if (gather)
			rows_append(&rows, &gather->rows);
		break;
	case CONSOLE_SHOW_COUNT:
		UNREACHABLE();
	}
	if (command->describes)
		rows_only_columns(&rows);
	else
		rows_complete(&rows, "SHOW");
	console_send(core, command, &rows);
}

static void console_gathered(struct core *core, struct gather *gather)
{
	struct console_wait *wait = gather->owner;

	console_show(core, wait->command, wait->show, gather);
	free(wait);
	gather_free(gather);
}

static void console_start_show(struct core *core, struct command *command, enum console_show show)
{
	static const enum gather_what what[] = {[CONSOLE_FIGURES] = GATHER_FIGURES,
		[CONSOLE_CLIENTS] = GATHER_CLIENTS,
		[CONSOLE_SERVERS] = GATHER_SERVERS};
	enum console_gathers gathers = console_shows[show].gathers;
	struct console_wait *wait;

	if (gathers == CONSOLE_NOTHING || command->describes) {
		console_show(core, command, show, NULL);
		return;
	}
	wait = malloc(sizeof *wait);
	CHECK(wait);
	*wait = (struct console_wait){command, show};
	if (gather_start(core, what[gathers], console_gathered, wait) != 0) {
		free(wait);
		console_fail(core, command, "pgring is too busy to answer now: try again");
	}
}

/* ---- the commands ---- */

/* The next word of a command, upper-cased, into `word`; the rest behind it. */
static const char *console_word(const char *text, char *word, size_t size)
{
	size_t len = 0;

	while (isspace((unsigned char)*text))
		text++;
	while (*text && !isspace((unsigned char)*text) && *text != ';') {
		if (len + 1 < size)
			word[len++] = (char)toupper((unsigned char)*text);
		text++;
	}
	word[len] = '\0';
	while (isspace((unsigned char)*text) || *text == ';')
		text++;
	return text;
}

static void console_complete(struct core *core, struct command *command, const char *tag)
{
	struct rows rows = {0};

	rows_complete(&rows, tag);
	console_send(core, command, &rows);
}

static void console_run_show(struct core *core, struct command *command, const char *rest)
{
	char word[64], text[160];

	rest = console_word(rest, word, sizeof word);
	for (size_t i = 0; i < CONSOLE_SHOW_COUNT; i++) {
		if (strcmp(word, console_shows[i].word) == 0 && *rest == '\0') {
			console_start_show(core, command, (enum console_show)i);
			return;
		}
	}
	snprintf(text, sizeof text, "invalid command 'SHOW %.60s', use SHOW HELP;", word);
	console_fail(core, command, text);
}

/* What drivers set of their own accord when they connect; it means nothing here. */
static bool console_is_driver_setting(const char *word)
{
	static const char *const settings[] = {"CLIENT_ENCODING", "EXTRA_FLOAT_DIGITS", "DATESTYLE",
		"TIMEZONE", "APPLICATION_NAME", "STANDARD_CONFORMING_STRINGS", "INTERVALSTYLE"};
	size_t len = strcspn(word, "=");

	for (size_t i = 0; i < array_len(settings); i++)
		if (strlen(settings[i]) == len && strncmp(settings[i], word, len) == 0)
			return true;
	return false;
}

static void console_run_set(struct core *core, struct command *command, const char *rest)
{
	char word[64], text[160];

	(void)console_word(rest, word, sizeof word);
	if (console_is_driver_setting(word)) {
		console_complete(core, command, "SET");
		return;
	}
	snprintf(text, sizeof text,
		"SET %.60s: options cannot be changed here yet, edit the file and restart", word);
	console_fail(core, command, text);
}

void console_arrived(struct core *core, const struct letter *letter)
{
	struct command *command = letter->a;
	struct rows rows = {0};
	char word[64], text[160];
	const char *rest = console_word(command->text, word, sizeof word);

	if (strcmp(word, "SHOW") == 0) {
		console_run_show(core, command, rest);
	} else if (command->describes) {
		rows_no_data(&rows);
		console_send(core, command, &rows);
	} else if (strcmp(word, "SHUTDOWN") == 0 && *rest == '\0') {
		console_complete(core, command, "SHUTDOWN");
		console_of(core)->hooks.shutdown(core);
	} else if (strcmp(word, "SET") == 0) {
		console_run_set(core, command, rest);
	} else if (*word == '\0') {
		rows_empty_query(&rows);
		console_send(core, command, &rows);
	} else {
		snprintf(text, sizeof text, "invalid command '%.60s', use SHOW HELP;", word);
		console_fail(core, command, text);
	}
}
