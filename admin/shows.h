/* shows: what the console shows.
 *
 * Thread: control.
 */
#ifndef PGRING_ADMIN_SHOWS_H
#define PGRING_ADMIN_SHOWS_H

#include "core/core.h"

#include <stdbool.h>

struct console_statement;

/* Works on a statement, if it is a SHOW (or a SELECT, which means the same). Returns false if it is not. */
bool shows_start(struct core *core, struct console_statement *statement);

#endif
