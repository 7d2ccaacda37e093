/* sim_sql: the statements that simulated clients send and simulated servers understand, and the rows that answer them.
 *
 * A statement says who sent it and its number there, so that everybody can tell whose it is: C12.34 VERB a b. Pure functions.
 */
#ifndef PGRING_TEST_SIM_SIM_SQL_H
#define PGRING_TEST_SIM_SIM_SQL_H

#include "test/sim/sim_bytes.h"

#include <stdbool.h>

enum sim_verb {
	SIM_ROWS,     /* a: rows, b: bytes of each */
	SIM_SLEEP,    /* a: ms, then one row of b bytes */
	SIM_SHOW,     /* one row: the session's variable */
	SIM_SET,      /* sets the session's variable to the client's name */
	SIM_SET_NAME, /* sets application_name, which is reported, to n<a> */
	SIM_FAIL,
	SIM_NOTICE,
	SIM_BEGIN,
	SIM_COMMIT,
	SIM_SAVEPOINT,   /* a: its name */
	SIM_ROLLBACK_TO, /* likewise */
	SIM_RELEASE,     /* likewise */
	SIM_ROLLBACK,
	SIM_COPY_IN,
	SIM_COPY_OUT, /* a: rows, b: bytes of each */
	SIM_FUNCTION, /* only as a function call */
	SIM_LISTEN,   /* a: the channel */
	SIM_UNLISTEN_ALL,
	SIM_UNLISTEN, /* a: the channel */
	SIM_NOTIFY,   /* a: the channel */
	SIM_VERB_COUNT
};

struct sim_statement {
	unsigned client, seq;
	enum sim_verb verb;
	unsigned a, b;
	unsigned pad; /* bytes of a comment behind it */
};

/* Appends its text, without NUL. */
void sim_sql_format(struct sim_bytes *target, const struct sim_statement *statement);
/* Reads one from a text of `len` bytes; *ret_used says how many it took. False if there is none. */
bool sim_sql_parse(const char *text, size_t len, struct sim_statement *ret, size_t *ret_used);
bool sim_sql_has_rows(enum sim_verb verb);
bool sim_sql_listens(enum sim_verb verb); /* or unlistens */
bool sim_sql_exits(enum sim_verb verb);   /* it is done in a failed transaction, too */
/* The words of CommandComplete without a number. */
const char *sim_sql_tag(enum sim_verb verb);

/* "C12.34" at the beginning of a text; false if something else stands there. */
bool sim_sql_parse_tag(const char *text, size_t len, unsigned *ret_client, unsigned *ret_seq);

/* What row number `row` of an answer holds: exactly `len` bytes, at least SIM_ROW_LEAST. */
enum { SIM_ROW_LEAST = 32 };
void sim_sql_row(
	struct sim_bytes *target, unsigned client, unsigned seq, unsigned row, unsigned len);
bool sim_sql_row_is(const uint8_t *at, size_t len, unsigned client, unsigned seq, unsigned row);

#endif
