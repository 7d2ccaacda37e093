/* command: what a console client asks, on its way to control and back.
 *
 * Made by the client's core, moved to control (LETTER_COMMAND), answered there, moved back (LETTER_ANSWER) and freed
 * by the core that made it.
 */
#ifndef PGRING_ROUTER_COMMAND_H
#define PGRING_ROUTER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command {
	uint16_t core;             /* whose client it is */
	uint16_t format_count;     /* of the columns, as in Bind */
	uint32_t slot, generation; /* the client */
	char *text;                /* malloc */
	uint8_t *formats;          /* each 0 or 1; malloc */
	bool is_simple;  /* a Query, not Parse and Execute: the answer has its RowDescription */
	bool describes;  /* wants only the RowDescription */
	bool only_looks; /* the client is admin.stats_user */
	bool has_failed; /* there is an ErrorResponse in the answer */
	uint8_t *answer; /* messages, without ReadyForQuery; malloc */
	size_t answer_len;
};

/* Frees it with what it holds. NULL is allowed. */
void command_free(struct command *command);

#endif
