/* sqlstate: the five-character codes of errors, by name: SQLSTATE_PROTOCOL_VIOLATION is "08P01".
 *
 * Static memory. Source: PostgreSQL manual, appendix "PostgreSQL Error Codes"; the rows are in sqlstates.def.
 */
#ifndef PGRING_PROTOCOL_SQLSTATE_H
#define PGRING_PROTOCOL_SQLSTATE_H

#include <stdbool.h>

#define SQLSTATE_LEN 5

#define SQLSTATE(name, code, meaning) \
	static const char SQLSTATE_##name[SQLSTATE_LEN + 1] __attribute__((unused)) = code; \
	_Static_assert(sizeof(code) == SQLSTATE_LEN + 1, "an SQLSTATE has five characters");
#include "protocol/sqlstates.def"

/* Whether `code` (borrowed, NUL-terminated) has the form of an SQLSTATE: five digits or upper-case letters. */
bool sqlstate_is_valid(const char *code);

/* What the code means when pgring sends it; NULL if pgring never does. `code` is borrowed and NUL-terminated. */
const char *sqlstate_meaning(const char *code);

/* Row `index` of the table, for the manual. Returns false past the last row, leaving the rest untouched. */
bool sqlstate_row(
	unsigned index, const char **ret_name, const char **ret_code, const char **ret_meaning);

#endif
