/* command: one statement of a console client on its way to control and back.
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
	uint32_t slot, generation; /* the client */
	char *text;
	bool is_simple;  /* a Query, not Parse and Execute: the answer has its RowDescription */
	bool describes;  /* wants only the RowDescription */
	uint8_t *answer; /* messages, without ReadyForQuery; malloc */
	size_t answer_len;
	void *state; /* of control, between its steps */
};

#endif
