/* traces: what a client's session leaves on its server connection beyond a transaction, found out by asking the server.
 *
 * Whoever sends a request says what it may leave (suspected). At the end of the transaction the server is asked, in one query, what
 * is really there: the session's variables, which become the client's settings and follow it to every other server; and what cannot
 * follow, which makes the client keep its server until it is gone (held). A server that is asked takes no request meanwhile.
 * Owner: a server. Thread: the core's. Memory: inline; the texts are malloc, and there only between suspicion and answer.
 */
#ifndef PGRING_POOL_TRACES_H
#define PGRING_POOL_TRACES_H

#include "pool/params.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core;
struct server;

enum {
#define TRACE(name, word, condition, undo) TRACE_BIT_##name,
#include "pool/traces.def"
	TRACE_COUNT
};

enum trace {
#define TRACE(name, word, condition, undo) TRACE_##name = 1 << TRACE_BIT_##name,
#include "pool/traces.def"
	TRACE_ALL = (1 << TRACE_COUNT) - 1,
	/* all that a server can be asked for */
	TRACE_EVERYTHING = TRACE_SETTINGS | TRACE_LOCKS | TRACE_TEMP | TRACE_CURSORS |
		TRACE_LISTEN | TRACE_PREPARED | TRACE_PIN,
	/* it may take a value of a sequence */
	TRACE_TAKES = 1 << 12,
	/* with LISTEN: the session listens to nothing any more, for now */
	TRACE_SILENCES = 1 << 13,
	/* with others: variables get values that the session did not name */
	TRACE_RESETS = 1 << 14,
	/* with others: they can only end by it, so it means nothing unless one is held */
	TRACE_IF_HELD = 1 << 15,
};
_Static_assert(TRACE_COUNT <= 12, "traces and their marks fit into 16 bits");

enum { TRACES_NAMES_MAX = 64, TRACES_RESTORED = 48 };

struct traces {
	uint16_t suspected;  /* since the server was last asked */
	uint16_t held;       /* they keep the client on its server */
	uint16_t asked;      /* the answer is under way */
	uint16_t found;      /* ... and has told of these */
	bool has_failed;     /* ... or was an error */
	uint16_t unanswered; /* asked in vain: it is asked for again with the next question */
	bool resets;         /* suspected: some variable was reset */
	struct params names; /* suspected: variables of the user's own, which no server can list */
	struct params settings; /* asked: what the session has set */
	char **channels;        /* asked: what it listens to */
	unsigned channel_count;
	char restored[TRACES_RESTORED]; /* asked: which subscriber_restore it knows of */
};

/* A request that may leave `traces` (bits of enum trace) is being sent. */
static inline void traces_suspect(struct traces *traces, unsigned suspected)
{
	if (suspected & TRACE_IF_HELD)
		suspected &= traces->held;
	traces->resets |= (suspected & TRACE_RESETS) != 0;
	traces->suspected |= (uint16_t)(suspected & TRACE_EVERYTHING);
	traces->held |= (uint16_t)(suspected & ~TRACE_EVERYTHING & TRACE_ALL);
}

/* ... and which may set a variable of this name. */
void traces_suspect_name(struct traces *traces, const char *name, size_t len);

/* Asks for what is suspected. The server has a client, is in no transaction and owes nothing. */
void traces_ask(struct core *core, struct server *server);
/* A row of the answer: the body of a DataRow. */
void traces_row(struct traces *traces, const uint8_t *body, size_t len);
/* The answer is complete: `held` is true again, and the settings of the server and of its client, if it still has one, are what was
 * found. */
void traces_answered(struct core *core, struct server *server);

/* The next statement that undoes something, or NULL if all is undone; *ret_close: only the end of the connection undoes it. */
const char *traces_undo(struct server *server, bool *ret_close);
void traces_forget(struct traces *traces);

/* The word for one of them, "" for none. Static memory. */
const char *traces_word(unsigned traces);

#endif
