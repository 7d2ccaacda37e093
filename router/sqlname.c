/* Words, names and comments at the beginning of a statement. */
#include "router/sqlname.h"

#include "pool/sqlword.h"

static void sqlname_add(struct sqlname *found, uint8_t c)
{
	if (found->name_len < SQLNAME_BYTES - 1)
		found->name[found->name_len++] = (char)c;
}

/* Takes a name. Returns false if there is none, or one that is not plain. */
static bool sqlname_take(struct sqlword_text *text, struct sqlname *ret_found)
{
	const uint8_t *at = text->at, *end = text->end;

	if (at < end && *at == '"') {
		for (at++; at < end; at++) {
			text->at = at + 1;
			if (*at == '"' && !(end - at >= 2 && at[1] == '"'))
				return ret_found->name_len > 0;
			sqlname_add(ret_found, *at);
			at += *at == '"';
		}
		return false;
	}
	if (at == end || !sqlword_is_start(*at))
		return false;
	for (; at < end && sqlword_is_part(*at); at++) {
		if (*at >= 0x80)
			return false; /* how it is folded depends on the encoding */
		sqlname_add(ret_found, *at >= 'A' && *at <= 'Z' ? (uint8_t)(*at + 32) : *at);
	}
	text->at = at;
	return true;
}

struct sqlname sqlname_find(const uint8_t *bytes, const uint8_t *end)
{
	static const struct sqlname none = {.kind = SQLNAME_NONE};
	struct sqlword_text text = {bytes, end};
	struct sqlname found = {.kind = SQLNAME_DEALLOCATE};

	sqlword_skip_separators(&text);
	if (sqlword_take(&text, "EXECUTE")) {
		sqlword_skip_blanks(&text);
		found.kind = SQLNAME_EXECUTE;
		found.first = (size_t)(text.at - bytes);
		if (!sqlname_take(&text, &found))
			return none;
		found.behind = (size_t)(text.at - bytes);
		return found;
	}
	if (!sqlword_take(&text, "DEALLOCATE"))
		return none;
	sqlword_take(&text, "PREPARE");
	if (sqlword_take(&text, "ALL"))
		return none;
	sqlword_skip_blanks(&text);
	if (!sqlname_take(&text, &found))
		return none;
	sqlword_skip_separators(&text);
	return text.at == end ? found : none;
}
