/* sqlname: the statements of SQL that name a prepared statement. Pure; it recognises their plain forms and nothing else.
 *
 * Source: PostgreSQL manual, PREPARE, EXECUTE, DEALLOCATE, EXPLAIN, CREATE TABLE AS; "Lexical Structure" for names and comments.
 */
#ifndef PGRING_ROUTER_SQLNAME_H
#define PGRING_ROUTER_SQLNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sqlname_kind {
	SQLNAME_NONE,
	SQLNAME_DEALLOCATE, /* the only statement of its text; DEALLOCATE ALL names none */
	SQLNAME_EXECUTE, /* the first of its text; or in its place EXPLAIN, or CREATE TABLE AS, of one */
	SQLNAME_PREPARE, /* the first of its text, up to AS or its types */
};

enum { SQLNAME_BYTES = 64 };

struct sqlname {
	enum sqlname_kind kind;
	char name[SQLNAME_BYTES]; /* as PostgreSQL understands it: folded, unquoted, cut */
	size_t name_len;
	size_t first, behind; /* where it stands in the text */
	bool is_cut;
};

/* Looks at a text; `end` is behind its last byte. */
struct sqlname sqlname_find(const uint8_t *text, const uint8_t *end);

enum { SQLNAME_TYPES = 32 };

struct sqlname_prepare {
	size_t statement; /* where it begins; it goes to the end of the text */
	uint16_t type_count;
	uint32_t types[SQLNAME_TYPES];
};

/* Reads on in a text in which a PREPARE was found. Returns false if that is not the only statement, or anything in it might mean
 * something else in a Parse message with these types. What is wrong with the statement itself is not seen. */
bool sqlname_read_prepare(const uint8_t *text, const uint8_t *end, const struct sqlname *found,
	struct sqlname_prepare *ret_prepare);

/* Whether what stands behind the name of an EXECUTE is nothing but constants that can be read as they stand. */
bool sqlname_has_constants(const uint8_t *text, const uint8_t *end);

#endif
