/* sqlscan: what can be told of SQL text by looking at its words. Pure; it does not parse SQL.
 *
 * Whatever it says errs to one side: a trace is suspected rather than missed, a statement is OTHER rather than misread. It sees
 * words wherever they stand, in literals and comments too. What it cannot see is what a function does by itself.
 */
#ifndef PGRING_ROUTER_SQLSCAN_H
#define PGRING_ROUTER_SQLSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The traces (enum trace) that executing the text may leave on its server. The text is a string of one or more statements, without
 * its final NUL. */
unsigned sqlscan_traces(const uint8_t *text, size_t len);

/* Whether the text calls a function that may take a value of a sequence, which its traces do not tell. */
bool sqlscan_calls(const uint8_t *text, size_t len);

/* Whether a text that asks for the last value of a sequence may have taken one before that, in the same statement or in another. */
bool sqlscan_takes_first(const uint8_t *text, size_t len);

/* Whether the text begins with the roll-back of the transaction; in a failed one a COMMIT is that, too. */
bool sqlscan_rolls_back(const uint8_t *text, size_t len, bool has_failed);
/* Whether one of its statements is a ROLLBACK, be it to a savepoint, and one behind that a LISTEN or UNLISTEN. */
bool sqlscan_listens_behind_rollback(const uint8_t *text, size_t len, bool has_failed);
/* Whether it begins with a ROLLBACK of any kind. */
bool sqlscan_is_rollback(const uint8_t *text, size_t len);
/* Whether one of its statements is RESET ALL. */
bool sqlscan_resets_all(const uint8_t *text, size_t len);

enum sqlscan_kind {
	SQLSCAN_OTHER,
	SQLSCAN_BEGIN,    /* in a form that sqlscan_write_begin can repeat */
	SQLSCAN_COMMIT,   /* COMMIT or END, no more than WORK or TRANSACTION behind it */
	SQLSCAN_ROLLBACK, /* ROLLBACK or ABORT, likewise */
};

/* How a transaction begins. */
struct sqlscan_begin {
	uint8_t isolation; /* 0 the default; else 1 + place in "SERIALIZABLE, REPEATABLE READ, ..." */
	uint8_t access;    /* 0 the default, 1 READ WRITE, 2 READ ONLY */
	uint8_t deferrable; /* 0 the default, 1 DEFERRABLE, 2 NOT DEFERRABLE */
	bool is_start;      /* START TRANSACTION, which has a tag of its own */
};

/* What a text of exactly one statement is; SQLSCAN_BEGIN fills *ret_begin. */
enum sqlscan_kind sqlscan_kind(const uint8_t *text, size_t len, struct sqlscan_begin *ret_begin);

enum { SQLSCAN_BEGIN_BYTES = 128 };
/* Writes the statement, with its final NUL. Returns the bytes written, the NUL included. */
size_t sqlscan_write_begin(const struct sqlscan_begin *begin, char ret_text[SQLSCAN_BEGIN_BYTES]);

/* Finds the next thing between *at and `end` that may be the name of a variable of the user's own, like app.tenant. Returns
 * false if there is none; else *ret_name has its *ret_len bytes (borrowed, its quotes included) and *at is behind it. */
bool sqlscan_next_name(
	const uint8_t **at, const uint8_t *end, const uint8_t **ret_name, size_t *ret_len);

#endif
