/* The table of SQLSTATEs. */
#include "protocol/sqlstate.h"

#include "core/check.h"

#include <string.h>

static const struct {
	const char *name, *code, *meaning;
} rows[] = {
#define SQLSTATE(name, code, meaning) {#name, code, meaning},
#include "protocol/sqlstates.def"
};

bool sqlstate_is_valid(const char *code)
{
	for (unsigned i = 0; i < SQLSTATE_LEN; i++) {
		if (!(code[i] >= '0' && code[i] <= '9') && !(code[i] >= 'A' && code[i] <= 'Z'))
			return false;
	}
	return code[SQLSTATE_LEN] == '\0';
}

const char *sqlstate_meaning(const char *code)
{
	for (unsigned i = 0; i < array_len(rows); i++) {
		if (strcmp(rows[i].code, code) == 0)
			return rows[i].meaning;
	}
	return NULL;
}

bool sqlstate_row(
	unsigned index, const char **ret_name, const char **ret_code, const char **ret_meaning)
{
	if (index >= array_len(rows))
		return false;
	*ret_name = rows[index].name;
	*ret_code = rows[index].code;
	*ret_meaning = rows[index].meaning;
	return true;
}
