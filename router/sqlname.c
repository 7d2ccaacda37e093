/* Words, names and comments at the beginning of a statement. */
#include "router/sqlname.h"

#include <string.h>
#include <strings.h>

static bool sqlname_continues(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '$' || c >= 0x80;
}

bool sqlname_is_word(const uint8_t *at, const uint8_t *end, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(end - at) >= len && strncasecmp((const char *)at, word, len) == 0 &&
		(at + len == end || !sqlname_continues(at[len]));
}

static const uint8_t *sqlname_skip_comment(const uint8_t *at, const uint8_t *end)
{
	unsigned depth = 1;

	for (at += 2; at < end && depth > 0; at++) {
		if (end - at >= 2 && at[0] == '*' && at[1] == '/')
			depth--, at++;
		else if (end - at >= 2 && at[0] == '/' && at[1] == '*')
			depth++, at++;
	}
	return at;
}

const uint8_t *sqlname_skip_blanks(const uint8_t *at, const uint8_t *end, bool with_semicolons)
{
	for (;;) {
		if (at < end &&
			(*at == ' ' || (*at >= '\t' && *at <= '\r') ||
				(with_semicolons && *at == ';')))
			at++;
		else if (end - at >= 2 && at[0] == '-' && at[1] == '-')
			while (at < end && *at != '\n' && *at != '\r')
				at++;
		else if (end - at >= 2 && at[0] == '/' && at[1] == '*')
			at = sqlname_skip_comment(at, end);
		else
			return at;
	}
}

static void sqlname_add(struct sqlname *found, uint8_t c)
{
	if (found->name_len < SQLNAME_BYTES - 1)
		found->name[found->name_len++] = (char)c;
}

/* Reads a name. Returns what is behind it, or NULL if there is none, or one that is not plain. */
static const uint8_t *sqlname_read(const uint8_t *at, const uint8_t *end, struct sqlname *ret_found)
{
	if (at < end && *at == '"') {
		for (at++; at < end; at++) {
			if (*at == '"' && !(end - at >= 2 && at[1] == '"'))
				return ret_found->name_len > 0 ? at + 1 : NULL;
			sqlname_add(ret_found, *at);
			at += *at == '"';
		}
		return NULL;
	}
	if (at == end || (*at >= '0' && *at <= '9') || *at == '$')
		return NULL;
	for (; at < end && sqlname_continues(*at); at++) {
		if (*at >= 0x80)
			return NULL; /* how it is folded depends on the encoding */
		sqlname_add(ret_found, *at >= 'A' && *at <= 'Z' ? (uint8_t)(*at + 32) : *at);
	}
	return ret_found->name_len > 0 ? at : NULL;
}

struct sqlname sqlname_find(const uint8_t *text, const uint8_t *end)
{
	static const struct sqlname none = {.kind = SQLNAME_NONE};
	const uint8_t *at = sqlname_skip_blanks(text, end, true);
	struct sqlname found = {.kind = SQLNAME_DEALLOCATE};

	if (sqlname_is_word(at, end, "EXECUTE")) {
		at = sqlname_skip_blanks(at + strlen("EXECUTE"), end, false);
		found.kind = SQLNAME_EXECUTE;
		found.first = (size_t)(at - text);
		at = sqlname_read(at, end, &found);
		if (!at)
			return none;
		found.behind = (size_t)(at - text);
		return found;
	}
	if (!sqlname_is_word(at, end, "DEALLOCATE"))
		return none;
	at = sqlname_skip_blanks(at + strlen("DEALLOCATE"), end, false);
	if (sqlname_is_word(at, end, "PREPARE"))
		at = sqlname_skip_blanks(at + strlen("PREPARE"), end, false);
	if (sqlname_is_word(at, end, "ALL"))
		return none;
	at = sqlname_read(at, end, &found);
	if (!at || sqlname_skip_blanks(at, end, true) != end)
		return none;
	return found;
}
