/* statement: the texts of prepared statements, each once per core.
 *
 * A statement is what a Parse message says behind its name (text and parameter types), together with the context in which it is
 * meant: settings that may change what the same text means make another statement. Its key is a keyed hash of all that, the
 * same on every core of the process; the server knows it by that key.
 * Owner: the core's pools. Thread: the core's. Memory: one block each, shared and counted; some that nobody uses are kept.
 */
#ifndef PGRING_POOL_STATEMENT_H
#define PGRING_POOL_STATEMENT_H

#include "core/hash.h"
#include "core/list.h"
#include "core/table.h"
#include "pool/shape.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core;

struct statement {
	struct table_link link; /* by the first half of its key */
	struct list unused;     /* in statements->unused while it has no users */
	struct hash key;
	uint64_t context;
	uint32_t users;
	uint32_t len;
	uint16_t traces; /* what executing it may leave (enum trace), once is_scanned */
	bool is_scanned;
	bool executes;  /* it is SQL's EXECUTE of another one, once is_scanned */
	uint8_t body[]; /* of a Parse message, behind the name */
};

struct statements {
	uint8_t key[HASH_KEY_BYTES];
	struct table table;
	uint64_t bytes; /* of all statements */
	struct list unused;
	uint32_t unused_count;
	uint64_t unused_bytes;
	struct shapes shapes; /* what clients know of them */
	uint8_t *scratch;     /* for a message that came in pieces */
	size_t scratch_size;
};

/* "pgring_" and the key in hexadecimal digits, and a NUL. */
enum { STATEMENT_NAME_PREFIX = 7, STATEMENT_NAME_BYTES = STATEMENT_NAME_PREFIX + 32 + 1 };
extern const char statement_name_prefix[STATEMENT_NAME_PREFIX + 1];

void statements_init(struct statements *statements, const uint8_t key[HASH_KEY_BYTES]);
/* All statements must be without users. */
void statements_free(struct statements *statements);

/* The statement with this body, one more user. The body is copied if it is new. NULL when it may not be kept: the core has
 * LIMIT_STATEMENTS_BYTES already. */
struct statement *statement_share(
	struct statements *statements, uint64_t context, const void *body, size_t len);
/* The same of a body that is in pieces. */
struct statement_piece {
	const void *bytes;
	size_t len;
};
struct statement *statement_share_pieces(struct statements *statements, uint64_t context,
	const struct statement_piece *pieces, size_t count);
void statement_hold(struct statements *statements, struct statement *statement);
/* One user less. NULL is allowed. */
void statement_drop(struct statements *statements, struct statement *statement);

/* Writes the server's name for a key. */
void statement_name(struct hash key, char ret_name[STATEMENT_NAME_BYTES]);
/* Finds such a name in a text, and its key. Returns false if there is none. */
bool statement_name_find(const char *text, struct hash *ret_key);

/* Bytes of memory it holds. */
uint64_t statements_bytes(const struct statements *statements);

/* Memory for `len` bytes that holds until the next call. */
uint8_t *statements_scratch(struct statements *statements, size_t len);

#endif
