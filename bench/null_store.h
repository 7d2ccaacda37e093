/* null_store: what one connection to the null server has prepared and bound.
 *
 * Owner: its null_session. Thread: one. Memory: null_store_free() frees all of it; a zeroed store
 * is an empty one. Source: PostgreSQL manual, "Frontend/Backend Protocol", "Extended Query".
 */
#ifndef PGRING_BENCH_NULL_STORE_H
#define PGRING_BENCH_NULL_STORE_H

#include "bench/statement.h"
#include "bench/wire.h"

enum { NULL_STORE_PARAMETERS = 64 };

/* A prepared statement; the unnamed one has the name "". */
struct null_prepared {
	struct null_prepared *next;
	char *name, *text; /* one allocation with this */
	struct statement statement;
};

/* A bound statement. */
struct null_portal {
	struct null_portal *next;
	char *name;
	struct statement statement; /* points into `bytes` */
	struct wire_buf bytes;      /* the statement's text, then the parameters' values */
	struct statement_text parameters[NULL_STORE_PARAMETERS];
	bool bound;
};

struct null_store {
	struct null_prepared *unnamed;
	struct null_prepared **named; /* buckets, made with the first one */
	struct null_portal portal;    /* the unnamed one: its buffer is used again */
	struct null_portal *portals;
};

void null_store_free(struct null_store *store);

/* Copies name and text. Replaces the unnamed statement; a named one must not be there yet. */
void null_store_prepare(struct null_store *store, const char *name, const char *text);
/* NULL if there is none. Valid until it is replaced or forgotten. */
struct null_prepared *null_store_prepared(struct null_store *store, const char *name);
/* An empty name: all named ones. */
void null_store_forget(struct null_store *store, struct statement_text name);
void null_store_forget_unnamed(struct null_store *store);

/* Copies the statement's text and the values (NULL_STORE_PARAMETERS at most; `at` is NULL for a
 * NULL). A named portal must not be there yet. */
void null_store_bind(struct null_store *store, const char *name,
	const struct null_prepared *prepared, const struct statement_text *values, uint16_t count);
/* NULL if there is none. */
struct null_portal *null_store_portal(struct null_store *store, const char *name);
void null_store_drop_portal(struct null_store *store, const char *name);
void null_store_drop_portals(struct null_store *store);

#endif
