/* The commands: their arguments are checked here, orders take them to the cores. Semantics, tags and texts are PgBouncer's. */
#include "admin/commands.h"

#include "admin/console.h"
#include "admin/gather.h"
#include "admin/order.h"
#include "admin/reload.h"
#include "core/config.h"
#include "core/tally.h"
#include "protocol/sqlstate.h"
#include "router/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	WORDS_MANY = 1000,
	COMMANDS_LOOK_MS = 20, /* how soon a waiting command sees what it waits for */
};

struct command_row {
	const char *word;
	unsigned from, to;
	void (*run)(struct core *core, struct console_statement *statement);
	const char *usage, *help;
};

static void commands_look(struct core *core, struct timer *timer);

void commands_open(struct core *core)
{
	timer_init(&console_of(core)->look, commands_look);
}

void commands_close(struct core *core)
{
	core_timer_stop(core, &console_of(core)->look);
}

/* ---- help for all of them ---- */

static const char *command_argument(const struct console_statement *statement)
{
	return statement->words.word[1];
}

static struct tally *command_tally(struct core *core, const char *database)
{
	return tallies_get(
		core->world->tallies, database[0] ? TALLY_DATABASE : TALLY_PROCESS, database, NULL);
}

/* Whether the command's argument is a database, or there is none. Otherwise the client has its error; `verb` is for it. */
static bool command_has_database(
	struct core *core, struct console_statement *statement, const char *verb)
{
	const char *name = command_argument(statement);
	const struct config *config = core->world->config;

	if (statement->words.count == 1 || config_has_database(config, name))
		return true;
	if (strcmp(name, config->admin.name) == 0)
		console_failf(core, statement, "cannot %s admin db: %s", verb, name);
	else
		console_failf(core, statement, "no such database: %s", name);
	return false;
}

static void command_log(struct core *core, const struct console_statement *statement)
{
	if (statement->words.count > 1)
		log_info(core, "console: %s '%s'", (const char *)statement->work,
			command_argument(statement));
	else
		log_info(core, "console: %s", (const char *)statement->work);
}

static void command_obeyed(struct core *core, struct order *order)
{
	struct console_statement *statement = order->owner;

	console_done(core, statement, statement->work);
}

/* Sends an order about the command's database and logs the command. Returns false if the client has an error instead. */
static bool command_order(struct core *core, struct console_statement *statement,
	enum order_kind kind, void (*obeyed)(struct core *core, struct order *order))
{
	struct order order = {.kind = kind, .owner = statement, .obeyed = obeyed};

	if (statement->words.count > 1)
		memcpy(order.database, command_argument(statement), sizeof order.database);
	if (order_start(core, &order) != 0) {
		console_fail(core, statement, SQLSTATE_INSUFFICIENT_RESOURCES,
			"pgring is too busy to obey now: try again");
		return false;
	}
	command_log(core, statement);
	return true;
}

/* ---- commands that wait for the cores to come to rest ---- */

static bool command_is_pause(const struct console_statement *statement)
{
	return strcmp(statement->work, "PAUSE") == 0;
}

static bool command_is_paused(struct core *core, const char *database)
{
	return atomic_load(&command_tally(core, database)->is_paused);
}

/* Whether what a command waits for has come. */
static bool command_is_over(
	struct core *core, struct console_statement *statement, const struct gather *gather)
{
	const char *database = command_argument(statement);
	uint64_t left = 0;

	for (size_t i = 0; i < gather->pool_count; i++) {
		const struct gather_pool *pool = &gather->pools[i];

		if (database[0] && strcmp(core->world->config->pools[i].database, database) != 0)
			continue;
		left += command_is_pause(statement) ? pool->servers_total + pool->servers_closing
						    : pool->servers_retiring;
	}
	/* a server that moves between cores may be seen by neither of them: it will have arrived by the next look */
	statement->quiet_looks = left == 0 ? statement->quiet_looks + 1 : 0;
	return statement->quiet_looks > 1 || (left == 0 && core->world->worker_count == 1);
}

static void commands_looked(struct core *core, struct gather *gather)
{
	struct console *console = console_of(core);
	struct list waiting, *link;

	console->is_looking = false;
	list_init(&waiting);
	list_splice_back(&waiting, &console->waiting);
	while ((link = list_pop_front(&waiting))) {
		struct console_statement *statement =
			container_of(link, struct console_statement, link);

		if (command_is_pause(statement) &&
			!command_is_paused(core, command_argument(statement)))
			console_fail(core, statement, SQLSTATE_QUERY_CANCELED,
				"the pause was ended by RESUME");
		else if (command_is_over(core, statement, gather))
			console_done(core, statement, statement->work);
		else
			list_push_back(&console->waiting, link);
	}
	gather_free(gather);
	if (!list_empty(&console->waiting))
		core_timer_set(core, &console->look, COMMANDS_LOOK_MS);
}

static void commands_look(struct core *core, struct timer *timer)
{
	struct console *console = container_of(timer, struct console, look);

	if (console->is_looking || list_empty(&console->waiting))
		return;
	console->is_looking = gather_start(core, GATHER_FIGURES, NULL, commands_looked, NULL) == 0;
	if (!console->is_looking)
		core_timer_set(core, &console->look, COMMANDS_LOOK_MS);
}

static void command_wait(struct core *core, struct order *order)
{
	struct console *console = console_of(core);
	struct console_statement *statement = order->owner;

	list_push_back(&console->waiting, &statement->link);
	if (!console->is_looking)
		commands_look(core, &console->look);
}

/* ---- PAUSE and RESUME ---- */

static bool command_set_pause(struct core *core, const char *database, bool is_paused)
{
	if (!database[0])
		console_of(core)->is_paused = is_paused;
	return atomic_exchange(&command_tally(core, database)->is_paused, is_paused);
}

static void command_pause(struct core *core, struct console_statement *statement)
{
	if (console_of(core)->is_paused) {
		console_failf(core, statement, "already suspended/paused");
		return;
	}
	if (!command_has_database(core, statement, "pause"))
		return;
	command_set_pause(core, command_argument(statement), true);
	if (!command_order(core, statement, ORDER_APPLY, command_wait))
		command_set_pause(core, command_argument(statement), false);
}

/* RESUME without a name when not everything is paused: ends the pauses of single databases, like those that KILL leaves behind.
 * Returns false if there is none. */
static bool command_resume_single(struct core *core, struct console_statement *statement)
{
	const struct config *config = core->world->config;
	bool *were_paused = calloc(config->database_name_count + 1, sizeof *were_paused);
	bool any = false;

	CHECK(were_paused);
	for (size_t i = 0; i < config->database_name_count; i++)
		any |= were_paused[i] = command_set_pause(core, config->database_names[i], false);
	if (any && !command_order(core, statement, ORDER_APPLY, command_obeyed))
		for (size_t i = 0; i < config->database_name_count; i++)
			if (were_paused[i])
				command_set_pause(core, config->database_names[i], true);
	free(were_paused);
	return any;
}

static void command_resume(struct core *core, struct console_statement *statement)
{
	const char *database = command_argument(statement);

	if (!command_has_database(core, statement, "resume"))
		return;
	if (!command_set_pause(core, database, false)) {
		if (!database[0] && command_resume_single(core, statement))
			return;
		if (console_of(core)->hooks.is_stopping(core))
			console_failf(core, statement, "pooler is shutting down");
		else if (database[0])
			console_failf(core, statement, "database %s is not paused", database);
		else
			console_failf(core, statement, "pooler is not paused/suspended");
		return;
	}
	if (!command_order(core, statement, ORDER_APPLY, command_obeyed))
		command_set_pause(core, database, true);
}

static void command_nothing(struct core *core, struct order *order)
{
	(void)core, (void)order;
}

void commands_pause_all(struct core *core, bool is_paused)
{
	struct order order = {.kind = ORDER_APPLY, .obeyed = command_nothing};

	if (command_set_pause(core, "", is_paused) == is_paused) {
		log_warn(core,
			is_paused ? "everything is paused already"
				  : "nothing to resume: there is no PAUSE of everything");
	} else if (order_start(core, &order) != 0) {
		command_set_pause(core, "", !is_paused);
		log_error(core, "too busy to obey the signal now: send it again");
	}
}

void commands_cancel(struct core *core, struct console_statement *statement)
{
	const char *database = command_argument(statement);
	struct order order = {.kind = ORDER_APPLY, .obeyed = command_nothing};

	list_remove(&statement->link);
	if (command_is_pause(statement) && command_set_pause(core, database, false)) {
		memcpy(order.database, database, sizeof order.database);
		if (order_start(core, &order) != 0)
			command_set_pause(core, database, true);
		log_info(core, "console: PAUSE was cancelled");
	}
	console_fail(core, statement, SQLSTATE_QUERY_CANCELED,
		"canceling statement due to user request");
}

/* ---- the others, in the order of the table ---- */

static void command_set_disabled(
	struct core *core, struct console_statement *statement, const char *verb, bool is_disabled)
{
	if (!command_has_database(core, statement, verb))
		return;
	atomic_store(&command_tally(core, command_argument(statement))->is_disabled, is_disabled);
	(void)command_order(core, statement, ORDER_APPLY, command_obeyed);
}

/* PgDog's: a pause that nobody waits for. */
static void command_maintenance(struct core *core, struct console_statement *statement)
{
	struct words *words = &statement->words;
	bool is_on = strcasecmp(words->word[1], "ON") == 0, was_on;

	if (!is_on && strcasecmp(words->word[1], "OFF") != 0) {
		console_fail_syntax(core, statement);
		return;
	}
	memmove(words->word[1], words->word[2], sizeof words->word[1]);
	words->count--;
	if (!command_has_database(core, statement, is_on ? "pause" : "resume"))
		return;
	was_on = command_set_pause(core, command_argument(statement), is_on);
	if (!command_order(core, statement, ORDER_APPLY, command_obeyed))
		command_set_pause(core, command_argument(statement), was_on);
	else
		log_info(core, "console: maintenance is %s", is_on ? "on" : "off");
}

static void command_disable(struct core *core, struct console_statement *statement)
{
	command_set_disabled(core, statement, "disable", true);
}

static void command_enable(struct core *core, struct console_statement *statement)
{
	command_set_disabled(core, statement, "enable", false);
}

static void command_kill(struct core *core, struct console_statement *statement)
{
	const struct config *config = core->world->config;
	const char *database = command_argument(statement);

	if (console_of(core)->is_paused) {
		console_failf(core, statement, "already suspended/paused");
		return;
	}
	if (!command_has_database(core, statement, "kill"))
		return;
	for (size_t i = 0; i < config->database_name_count; i++)
		if (!database[0] || strcmp(config->database_names[i], database) == 0)
			atomic_store(
				&command_tally(core, config->database_names[i])->is_paused, true);
	(void)command_order(core, statement, ORDER_KILL, command_obeyed);
}

static void command_client_killed(struct core *core, struct order *order)
{
	if (order->found > 0)
		command_obeyed(core, order);
	else
		console_failf(core, order->owner, "client not found");
}

static void command_kill_client(struct core *core, struct console_statement *statement)
{
	const char *text = command_argument(statement);
	char *end;
	struct order order = {.kind = ORDER_KILL_CLIENT,
		.client_id = strtoull(text, &end, 10),
		.obeyed = command_client_killed,
		.owner = statement};

	if (end == text || *end != '\0') {
		console_failf(core, statement, "invalid client pointer supplied");
		return;
	}
	command_log(core, statement);
	if (order_start(core, &order) != 0)
		console_fail(core, statement, SQLSTATE_INSUFFICIENT_RESOURCES,
			"pgring is too busy to obey now: try again");
}

static void command_reconnect(struct core *core, struct console_statement *statement)
{
	if (command_has_database(core, statement, "reconnect"))
		(void)command_order(core, statement, ORDER_RECONNECT, command_obeyed);
}

static void command_reloaded(struct core *core, void *owner, const char *why)
{
	struct console_statement *statement = owner;

	if (why)
		console_fail(core, statement, SQLSTATE_CONFIG_FILE_ERROR, why);
	else
		console_done(core, statement, statement->work);
}

static void command_reload(struct core *core, struct console_statement *statement)
{
	char why[RELOAD_TEXT];

	command_log(core, statement);
	if (console_of(core)->hooks.reload(core, command_reloaded, statement, why) != 0)
		console_fail(core, statement, SQLSTATE_CONFIG_FILE_ERROR, why);
}

/* Whether SET names a parameter that means nothing here. */
static bool command_sets_nothing(const struct console_statement *statement)
{
	static const char *const names[] = {
#define SETTING(name, value) name,
#include "admin/settings.def"
	};

	for (size_t i = 0; i < array_len(names); i++)
		if (strcasecmp(command_argument(statement), names[i]) == 0)
			return true;
	return false;
}

static void command_set(struct core *core, struct console_statement *statement)
{
	char text[160];

	if (command_sets_nothing(statement)) {
		console_done(core, statement, "SET");
		return;
	}
	snprintf(text, sizeof text,
		"SET %s: options cannot be changed here yet, edit the file and RELOAD",
		command_argument(statement));
	console_failf(core, statement, "%s", text);
}

static void command_shutdown(struct core *core, struct console_statement *statement)
{
	const char *how = command_argument(statement);
	enum drain_mode mode = DRAIN_GENTLE;

	if (strcasecmp(how, "WAIT_FOR_SERVERS") == 0) {
		mode = DRAIN_SERVERS;
	} else if (strcasecmp(how, "WAIT_FOR_CLIENTS") == 0) {
		mode = DRAIN_CLIENTS;
	} else if (*how) {
		console_fail_syntax(core, statement);
		return;
	}
	command_log(core, statement);
	statement->shuts_down = true;
	statement->how = mode;
	console_done(core, statement, "SHUTDOWN");
}

static void command_suspend(struct core *core, struct console_statement *statement)
{
	console_fail(core, statement, SQLSTATE_FEATURE_NOT_SUPPORTED,
		"SUSPEND is not supported: PAUSE holds the clients, SHUTDOWN WAIT_FOR_CLIENTS lets "
		"them finish");
}

static void command_wait_close(struct core *core, struct console_statement *statement)
{
	if (command_has_database(core, statement, "wait in"))
		(void)command_order(core, statement, ORDER_APPLY, command_wait);
}

/* ---- finding them ---- */

static const struct command_row command_rows[] = {
#define COMMAND(word, from, to, function, usage, help) {word, from, to, function, usage, help},
#include "admin/commands.def"
};

bool commands_start(struct core *core, struct console_statement *statement)
{
	unsigned arguments = statement->words.count - 1;

	for (size_t i = 0; i < array_len(command_rows); i++) {
		const struct command_row *row = &command_rows[i];

		if (strcasecmp(statement->words.word[0], row->word) != 0)
			continue;
		if (statement->command->only_looks &&
			(row->run != command_set || !command_sets_nothing(statement)))
			console_fail(core, statement, SQLSTATE_INSUFFICIENT_PRIVILEGE,
				"admin access needed");
		else if (arguments == 0 &&
			(row->run == command_disable || row->run == command_enable))
			console_failf(core, statement, "a database is required");
		else if (arguments < row->from || arguments > row->to)
			console_fail_syntax(core, statement);
		else {
			statement->work = row->word;
			row->run(core, statement);
		}
		return true;
	}
	return false;
}

size_t commands_help(char *ret_text, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < array_len(command_rows); i++)
		len += (size_t)snprintf(ret_text + len, size - len, "\n\t%s  %s",
			command_rows[i].usage, command_rows[i].help);
	CHECK(len < size);
	return len;
}
