/* shape: what a client has been told of a statement: the types of its parameters, and the columns of its result.
 *
 * PostgreSQL holds on to both for as long as the statement lives. So does pgring: a statement that is parsed anew gets the types
 * that its client knows, and a result of other columns than the client knows is refused. Two shapes are the same if types of
 * parameters, and names, types and type modifiers of columns are; that is what PostgreSQL compares.
 * Owner: the core's statements. Thread: the core's. Memory: one block for each that somebody knows, shared and counted.
 * Source: PostgreSQL manual, "Message Formats"; RevalidateCachedQuery in its plancache.c.
 */
#ifndef PGRING_POOL_SHAPE_H
#define PGRING_POOL_SHAPE_H

#include "core/hash.h"
#include "core/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shape {
	struct table_link link; /* by its hash, which is the same on every core and never 0 */
	uint32_t users;
	uint16_t type_count;
	bool has_rows;
	uint8_t types[]; /* of the parameters, as in a Parse message */
};

struct shapes {
	struct table table;
	uint64_t bytes; /* of all */
};

/* A description that is being read: its second half follows. */
struct shape_draft {
	uint8_t *types; /* NULL: none */
	uint16_t type_count;
	bool has_types; /* ParameterDescription has come */
};

/* Notes the body of a ParameterDescription. One that is malformed counts as none. */
void shape_draft_types(struct shape_draft *draft, const uint8_t *body, size_t len);
/* Ends the draft with the body of a RowDescription, or NULL for NoData. Returns the shape's hash, or 0 if the description makes
 * no sense. The draft is still to be cleared. */
uint64_t shape_draft_hash(const struct shape_draft *draft, const uint8_t key[HASH_KEY_BYTES],
	const uint8_t *body, size_t len);
void shape_draft_clear(struct shape_draft *draft);

/* The shape of that hash, one more user. */
struct shape *shape_share(
	struct shapes *shapes, uint64_t hash, bool has_rows, const struct shape_draft *draft);
struct shape *shape_hold(struct shape *shape);
/* One user less. NULL is allowed. */
void shape_drop(struct shapes *shapes, struct shape *shape);

/* All shapes must be without users. */
void shapes_free(struct shapes *shapes);
/* Bytes of memory it holds. */
uint64_t shapes_bytes(const struct shapes *shapes);

#endif
