/* console: the commands of the admin database.
 *
 * Thread: control. A command arrives by letter from the client's core, its statements are worked on one after the other, and the
 * answers to all of them go back there.
 */
#ifndef PGRING_ADMIN_CONSOLE_H
#define PGRING_ADMIN_CONSOLE_H

#include "admin/rows.h"
#include "admin/words.h"
#include "core/core.h"
#include "core/list.h"
#include "router/router.h"

struct command;
struct stats;

/* What the console asks of the service. */
struct console_hooks {
	/* Again while it is under way: at once. */
	void (*shutdown)(struct core *core, enum drain_mode mode);
	bool (*is_stopping)(struct core *core);
	/* Reads the configuration again, as reload_start() does. */
	int (*reload)(struct core *core,
		void (*done)(struct core *core, void *owner, const char *why), void *owner,
		char *why);
};

must_check int console_open(struct core *core, const struct console_hooks *hooks);
void console_close(struct core *core);

/* The handlers of LETTER_COMMAND and LETTER_COMMAND_CANCEL. */
void console_arrived(struct core *core, const struct letter *letter);
void console_cancelled(struct core *core, const struct letter *letter);

/* For admin/ only. */

struct console {
	struct console_hooks hooks;
	struct stats *stats;
	struct list waiting; /* of statements that wait for the cores to come to rest */
	struct timer look;   /* when to look whether they have */
	bool is_looking;
	bool is_paused; /* PAUSE without a name */
};

/* The console hangs on its core, control, rather than being global. */
struct console *console_of(struct core *core);

/* One statement of a command. */
struct console_statement {
	struct command *command;
	const char *text, *rest; /* of the command: where it begins, and what follows it */
	struct words words;
	struct rows rows;     /* the answers so far */
	struct list link;     /* in console->waiting */
	const void *work;     /* of who works on it */
	unsigned quiet_looks; /* in a row */
	bool is_done, is_inside, is_empty;
	bool shuts_down; /* once the answer is on its way */
	enum drain_mode how;
};

/* Each statement ends with one of these. The next one follows. */
void console_done(struct core *core, struct console_statement *statement, const char *tag);
/* The rest of the command is not looked at. */
void console_fail(struct core *core, struct console_statement *statement, const char *sqlstate,
	const char *text);
void console_failf(struct core *core, struct console_statement *statement, const char *format, ...)
	printf_like(3, 4);
/* PgBouncer's answer to what is no command. */
void console_fail_syntax(struct core *core, struct console_statement *statement);

#endif
