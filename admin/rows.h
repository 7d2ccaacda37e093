/* rows: a result as messages: RowDescription, DataRow and CommandComplete in one growing piece of memory.
 *
 * Owner: whoever makes it; rows_take hands the memory over. Thread: one at a time. Values are in text format unless rows->formats
 * says otherwise: the extended protocol's client may ask for binary.
 */
#ifndef PGRING_ADMIN_ROWS_H
#define PGRING_ADMIN_ROWS_H

#include "protocol/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types of columns, by their OIDs in PostgreSQL. */
enum rows_type {
	ROWS_TEXT = 25,
	ROWS_INT4 = 23,
	ROWS_INT8 = 20,
	ROWS_NUMERIC = 1700,
	ROWS_BOOL = 16,
};

/* What a Bind message says of the results: none is text, one is for every column. Borrowed bytes, each 0 (text) or 1. */
struct rows_formats {
	const uint8_t *codes;
	uint16_t count;
};

struct rows_column {
	const char *name;
	enum rows_type type;
};

struct rows {
	uint8_t *bytes;
	size_t len, size;
	size_t row; /* where the present row began */
	uint16_t cells;
	bool is_bare; /* no RowDescription: the client has it already */
	struct rows_formats formats;
	const struct rows_column *columns; /* borrowed, of the present result */
	size_t column_count;
};

/* Begins a result. */
void rows_columns(struct rows *rows, const struct rows_column *columns, size_t count);
/* The same without a RowDescription: for rows that will be appended to others. */
void rows_columns_hidden(struct rows *rows, const struct rows_column *columns, size_t count);
void rows_begin(struct rows *rows);
void rows_text(struct rows *rows, const char *text); /* NULL is null */
/* An int4 beyond its bounds is the bound. */
void rows_number(struct rows *rows, int64_t number);
/* number / 10^scale, for a numeric; scale is at most 4. */
void rows_decimal(struct rows *rows, int64_t number, unsigned scale);
void rows_bool(struct rows *rows, bool yes);
void rows_end(struct rows *rows);
void rows_no_data(struct rows *rows);
void rows_empty_query(struct rows *rows);
void rows_complete(struct rows *rows, const char *tag);
void rows_fault(struct rows *rows, char type, const struct fault *fault);
void rows_clear(struct rows *rows);

/* Cuts a result down to what Describe answers: its RowDescription, or NoData if it has none. */
void rows_only_columns(struct rows *rows);

/* Appends what another one has. */
void rows_append(struct rows *rows, const struct rows *others);

/* Hands over the memory (from malloc). */
uint8_t *rows_take(struct rows *rows, size_t *ret_len);

#endif
