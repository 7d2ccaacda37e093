/* console: the commands of the admin database.
 *
 * Thread: control. A command arrives by letter from the client's core, and its answer goes back there.
 */
#ifndef PGRING_ADMIN_CONSOLE_H
#define PGRING_ADMIN_CONSOLE_H

#include "core/core.h"

struct console;

/* What the console asks of the service. */
struct console_hooks {
	void (*shutdown)(struct core *core);
};

must_check int console_open(struct core *core, const struct console_hooks *hooks);
void console_close(struct core *core);

/* The handler of LETTER_COMMAND. */
void console_arrived(struct core *core, const struct letter *letter);

#endif
