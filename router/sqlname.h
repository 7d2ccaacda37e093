/* sqlname: the statements of SQL that name a prepared statement. Pure; it recognises their plain forms and nothing else.
 *
 * Source: PostgreSQL manual, PREPARE, EXECUTE, DEALLOCATE; "Lexical Structure" for names and comments.
 */
#ifndef PGRING_ROUTER_SQLNAME_H
#define PGRING_ROUTER_SQLNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sqlname_kind { SQLNAME_NONE, SQLNAME_DEALLOCATE, SQLNAME_EXECUTE };

enum { SQLNAME_BYTES = 64 };

struct sqlname {
	enum sqlname_kind kind;
	char name[SQLNAME_BYTES]; /* as PostgreSQL understands it: folded, unquoted, cut */
	size_t name_len;
	size_t first, behind; /* where it stands in the text */
};

/* Looks at a text; `end` is behind its last byte. DEALLOCATE is the only statement of its text, EXECUTE the first; DEALLOCATE ALL
 * names none. */
struct sqlname sqlname_find(const uint8_t *text, const uint8_t *end);

#endif
