/* The console: takes commands apart and finds who does the work: shows.c shows, commands.c changes something.
 *
 * Words, texts and columns are PgBouncer's, as its users' dashboards and scripts expect them.
 */
#include "admin/console.h"

#include "admin/commands.h"
#include "admin/shows.h"
#include "admin/stats.h"
#include "core/errors.h"
#include "protocol/sqlstate.h"
#include "router/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void console_run(struct core *core, struct console_statement *statement);

struct console *console_of(struct core *core)
{
	return (struct console *)core->admin;
}

int console_open(struct core *core, const struct console_hooks *hooks)
{
	struct console *console = calloc(1, sizeof *console);

	if (!console)
		return ERR_NO_MEMORY;
	core->admin = (struct admin *)console;
	console->hooks = *hooks;
	list_init(&console->waiting);
	commands_open(core);
	return stats_open(core);
}

/* Commands that still wait: their clients are gone with the cores. */
static void console_forget(struct console_statement *statement)
{
	struct command *command = statement->command;

	list_remove(&statement->link);
	rows_clear(&statement->rows);
	free(statement);
	command_free(command);
}

void console_close(struct core *core)
{
	struct console *console = console_of(core);
	struct list *link;

	while ((link = list_first(&console->waiting)))
		console_forget(container_of(link, struct console_statement, link));
	commands_close(core);
	stats_close(core);
	free(console);
	core->admin = NULL;
}

/* ---- answering ---- */

/* All statements are done: the answers go to the client. */
static void console_finish(struct core *core, struct console_statement *statement)
{
	struct command *command = statement->command;
	struct letter letter = {.kind = LETTER_ANSWER, .a = command};
	bool shuts_down = statement->shuts_down;
	enum drain_mode how = statement->how;

	if (statement->is_empty && !command->describes)
		rows_empty_query(&statement->rows);
	command->answer = rows_take(&statement->rows, &command->answer_len);
	free(statement);
	if (mailbox_send(core, command->core, &letter) != 0) {
		log_error(core, "the answer to a console command was lost: core %u does not read",
			command->core);
		command_free(command);
	}
	if (shuts_down) /* the cores say goodbye to consoles, too */
		console_of(core)->hooks.shutdown(core, how);
}

static void console_end(struct core *core, struct console_statement *statement)
{
	statement->is_done = true;
	if (!statement->is_inside)
		console_run(core, statement);
}

void console_done(struct core *core, struct console_statement *statement, const char *tag)
{
	if (statement->command->describes)
		rows_only_columns(&statement->rows);
	else
		rows_complete(&statement->rows, tag);
	console_end(core, statement);
}

void console_fail(struct core *core, struct console_statement *statement, const char *sqlstate,
	const char *text)
{
	struct fault fault = {"ERROR", sqlstate, text, NULL, NULL};

	rows_fault(&statement->rows, 'E', &fault);
	statement->command->has_failed = true;
	statement->rest = "";
	console_end(core, statement);
}

void console_failf(struct core *core, struct console_statement *statement, const char *format, ...)
{
	char text[320];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	console_fail(core, statement, SQLSTATE_PROTOCOL_VIOLATION, text);
}

void console_fail_syntax(struct core *core, struct console_statement *statement)
{
	char text[200];

	console_failf(core, statement, "invalid command '%s', use SHOW HELP;",
		words_quote(statement->text, text, sizeof text));
}

/* ---- statements ---- */

static void console_dispatch(struct core *core, struct console_statement *statement)
{
	struct words after;

	if (statement->words.is_bad) {
		console_fail(core, statement, SQLSTATE_PROTOCOL_VIOLATION, "bad arguments");
		return;
	}
	if (!statement->command->is_simple) {
		(void)words_next(statement->rest, &after);
		if (after.count > 0) {
			console_fail(core, statement, SQLSTATE_SYNTAX_ERROR,
				"cannot insert multiple commands into a prepared statement");
			return;
		}
	}
	if (shows_start(core, statement))
		return;
	if (statement->command->describes)
		console_done(core, statement, ""); /* which says that there are no rows */
	else if (!commands_start(core, statement))
		console_fail_syntax(core, statement);
}

/* Works on the command's statements until one has to wait, or none is left. */
static void console_run(struct core *core, struct console_statement *statement)
{
	do {
		statement->text = statement->rest;
		statement->rest = words_next(statement->text, &statement->words);
		if (statement->words.count == 0 && !statement->words.is_bad) {
			if (statement->is_empty && statement->command->describes)
				rows_no_data(&statement->rows);
			console_finish(core, statement);
			return;
		}
		statement->is_empty = statement->is_done = false;
		statement->quiet_looks = 0;
		statement->is_inside = true;
		console_dispatch(core, statement);
		statement->is_inside = false;
	} while (statement->is_done);
}

void console_arrived(struct core *core, const struct letter *letter)
{
	struct command *command = letter->a;
	struct console_statement *statement = calloc(1, sizeof *statement);

	CHECK(statement);
	statement->command = command;
	statement->rest = command->text;
	statement->is_empty = true;
	statement->rows.is_bare = !command->is_simple && !command->describes;
	statement->rows.formats = (struct rows_formats){command->formats, command->format_count};
	list_init(&statement->link);
	console_run(core, statement);
}

void console_cancelled(struct core *core, const struct letter *letter)
{
	list_each(link, &console_of(core)->waiting) {
		struct console_statement *statement =
			container_of(link, struct console_statement, link);
		const struct command *command = statement->command;

		if (command->core == letter->from && command->slot == letter->number &&
			command->generation == (uint32_t)(uintptr_t)letter->a) {
			commands_cancel(core, statement);
			return;
		}
	}
}
