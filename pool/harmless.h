/* harmless: whether executing a statement in vain changes nothing. Pure; it looks at words and does not parse SQL.
 *
 * Whatever it is not sure of is not harmless. What it cannot see are functions behind views, operators, casts and policies.
 * Source: PostgreSQL manual, "Lexical Structure" and "SELECT".
 */
#ifndef PGRING_POOL_HARMLESS_H
#define PGRING_POOL_HARMLESS_H

#include "pool/sqlword.h"

/* Whether the text is one SELECT (VALUES, TABLE, WITH) that changes no data, takes no locks on rows and calls no function but
 * some of PostgreSQL's own. */
bool harmless_is(const uint8_t *text, size_t len);

/* Whether the word, if a parenthesis follows it, is a keyword or such a function. */
bool harmless_opens(struct sqlword word);

#endif
