/* commands: what the console changes: pauses, reconnects, kills, shuts down.
 *
 * Thread: control. What concerns the cores is an order that goes round all of them; the client gets its answer when every core
 * has obeyed, and, where the command says so, has come to rest.
 */
#ifndef PGRING_ADMIN_COMMANDS_H
#define PGRING_ADMIN_COMMANDS_H

#include "core/core.h"

#include <stdbool.h>

struct rows;
struct console_statement;

void commands_open(struct core *core);
void commands_close(struct core *core);

/* Works on a statement. Returns false if there is no such command. */
bool commands_start(struct core *core, struct console_statement *statement);

/* The client of a waiting statement wants to wait no longer. A pause is taken back. */
void commands_cancel(struct core *core, struct console_statement *statement);

/* PAUSE and RESUME without a name, by signal: nobody waits for the answer, the log has it. */
void commands_pause_all(struct core *core, bool is_paused);

/* The list of commands, for SHOW HELP. Returns how long it is. */
size_t commands_help(char *ret_text, size_t size);

#endif
