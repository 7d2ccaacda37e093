/* statement: what the null server understands of a query text: its kind, its command tag, its
 * result columns.
 *
 * Pure: no state, no allocation; a struct statement points into the text it was read from.
 *
 *   SELECT item, ...       one row; item is $n, an integer or 'text', each with an optional ::type
 *                          and an optional AS name
 *   any other SELECT       one row, one column: the first number in the text, or 1
 *   bulk rows=N size=S     N rows of one column of S bytes; also SELECT bulk(N, S): two numbers
 *                          behind the word count
 *   copyout N S            the same as CopyData; also COPY (SELECT bulk(N, S)) TO STDOUT
 *   copyin                 takes CopyData; also COPY ... FROM STDIN; with the word bulk the rows'
 *                          contents are checked
 *   BEGIN, COMMIT, SET, SHOW, RESET, DISCARD, DEALLOCATE, DML ...: what PostgreSQL would say
 *   fail                   an error
 */
#ifndef PGRING_BENCH_STATEMENT_H
#define PGRING_BENCH_STATEMENT_H

#include <stdbool.h>
#include <stdint.h>

enum { STATEMENT_COLUMNS_MAX = 8 };

enum statement_kind {
	STATEMENT_EMPTY,
	STATEMENT_ROW,
	STATEMENT_BULK,
	STATEMENT_COPY_OUT,
	STATEMENT_COPY_IN,
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_SET,
	STATEMENT_FORGET, /* drops the prepared statements */
	STATEMENT_FAIL,
	STATEMENT_OTHER,
};

struct statement_text {
	const char *at;
	uint32_t len;
};

struct statement_column {
	struct statement_text name;
	struct statement_text value; /* where it is not a parameter */
	uint16_t parameter;          /* from 1; 0: a literal */
	uint32_t type;               /* its OID */
};

struct statement {
	enum statement_kind kind;
	char tag[24];
	struct statement_column columns[STATEMENT_COLUMNS_MAX];
	uint16_t column_count;
	uint16_t parameter_count;
	uint64_t rows;                     /* BULK, COPY_OUT */
	uint32_t row_bytes;                /* BULK, COPY_OUT: of the value */
	bool numbered;                     /* COPY_IN: the rows are numbered bulk rows */
	struct statement_text name, value; /* SET; FORGET of one statement */
};

/* Reads the statement at `text`. Returns where the next one of the same query text begins (`end`
 * after the last). */
const char *statement_read(const char *text, const char *end, struct statement *ret_statement);

/* Equal up to case. */
bool statement_text_is(struct statement_text text, const char *word);

#endif
