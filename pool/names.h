/* names: the prepared statements of one client, as the client calls them, and its unnamed one.
 *
 * Owner: the client's lease. Thread: the core's. Memory: none before the first statement, then one small block for each.
 * What has been asked for and is not answered yet is noted as if it had been done, and undone if it fails (prepared.h).
 */
#ifndef PGRING_POOL_NAMES_H
#define PGRING_POOL_NAMES_H

#include "pool/statement.h"

enum { NAME_BYTES = 63 }; /* PostgreSQL tells names apart by that many bytes */

struct name {
	struct name *next;
	struct statement *statement;
	struct shape *shape; /* what the client was told when it prepared it; NULL: not known yet */
	uint64_t parsed_ns;  /* when the client prepared it */
	uint32_t hash, serial;
	uint32_t
		batch; /* the pending queue's, in which its Parse or Close was sent; 0 once that is answered */
	bool is_closing; /* its Close is under way: the name is free */
	uint8_t len;
	char text[];
};

struct names {
	struct name **places;
	uint32_t place_count;
	uint32_t count;
	uint32_t serial; /* of the name that was added last */
	uint64_t bytes;  /* of the statements, and the names */
	struct statement *unnamed;
	struct shape *unnamed_shape; /* what the client was told of it; NULL: nothing */
	uint32_t unnamed_serial;     /* counts its changes */
	uint32_t unnamed_batch;      /* as a name's */
	struct name *removed;        /* kept for the texts of errors, while answers are due */
};

/* What a client has that has prepared nothing: shared by all of them, and never written. */
extern const struct names names_none;
/* Makes *names one that may be written. */
void names_own(struct names **names);
/* Forgets all and frees the memory: *names is names_none again. NULL is nothing. */
void names_disown(struct names **names, struct statements *statements);

/* The entry of that name, or NULL. Longer names than NAME_BYTES are cut. */
struct name *names_find(const struct names *names, const char *text, size_t len);
/* Adds a name that is not there. The statement's user moves in. */
struct name *names_add(
	struct names *names, const char *text, size_t len, struct statement *statement);
/* The entry with that hash and serial number, closing or not. */
struct name *names_find_serial(const struct names *names, uint32_t hash, uint32_t serial);
/* Whether what was sent about the name in another batch than this one is not answered yet: nobody knows what the name stands
 * for. */
bool names_is_uncertain(const struct names *names, const char *text, size_t len, uint32_t batch);
/* Any entry for that statement, even a removed one. For the text of an error: it walks them all. */
struct name *names_find_key(const struct names *names, struct hash key);

/* Takes it out of the table. It is kept until names_bury. */
void names_remove(struct names *names, struct name *name);
void names_bury(struct names *names, struct statements *statements);
/* Another statement under the same name. The statement's user moves in. */
void names_replace(struct names *names, struct statements *statements, struct name *name,
	struct statement *statement);
/* The client has sent another unnamed statement, or none; the one before is returned, and so is its user. */
struct statement *names_change_unnamed(
	struct names *names, struct statements *statements, struct statement *statement);
/* The last change was none: it is this one again. The statement's user moves in. */
void names_restore_unnamed(
	struct names *names, struct statements *statements, struct statement *statement);
void names_set_unnamed(
	struct names *names, struct statements *statements, struct statement *statement);
/* Forgets those that were added before the one with that serial number. */
void names_clear_before(struct names *names, uint32_t serial);
/* Forgets all, the unnamed one too, and frees the memory. */
void names_clear(struct names *names, struct statements *statements);

#endif
