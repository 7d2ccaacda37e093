/* One walk over the words of a text. */
#include "pool/harmless.h"

#include "core/check.h"
#include "pool/sqlword.h"

#include <string.h>

/* May stand before a parenthesis: keywords, types with modifiers, and functions of PostgreSQL's that change nothing. */
static const char *const harmless_calls[] = {"abs", "all", "and", "any", "array", "array_agg", "as",
	"avg", "between", "bit", "by", "case", "cast", "ceil", "char", "char_length", "character",
	"coalesce", "concat", "count", "cross", "current_timestamp", "date_part", "date_trunc",
	"decimal", "dense_rank", "distinct", "else", "except", "exists", "extract", "filter",
	"floor", "from", "generate_series", "greatest", "group", "having", "ilike", "in",
	"intersect", "interval", "is", "join", "json_agg", "jsonb_agg", "jsonb_build_object", "lag",
	"lateral", "lead", "least", "left", "length", "like", "limit", "lower", "materialized",
	"max", "md5", "min", "mod", "not", "now", "nullif", "numeric", "offset", "on", "only", "or",
	"over", "overlay", "partition", "position", "rank", "replace", "right", "round", "row",
	"row_number", "select", "similar", "some", "string_agg", "substr", "substring", "sum",
	"then", "time", "timestamp", "to_char", "trim", "union", "unnest", "upper", "using",
	"values", "varchar", "varying", "when", "where", "with", "within"};

/* May stand nowhere. A lock on rows is a write, too. */
static const char *const harmless_never[] = {"call", "delete", "execute", "insert", "into", "merge",
	"nextval", "setval", "share", "update"};

static bool harmless_among(struct sqlword word, const char *const *others, size_t count)
{
	if (word.len < 2)
		return false;
	for (size_t i = 0; i < count; i++)
		if (others[i][0] == (word.at[0] | 0x20) && others[i][1] == (word.at[1] | 0x20) &&
			sqlword_is(word, others[i]))
			return true;
	return false;
}

static bool harmless_is_called(struct sqlword_text *text)
{
	sqlword_skip_blanks(text);
	return text->at < text->end && *text->at == '(';
}

bool harmless_opens(struct sqlword word)
{
	return harmless_among(word, harmless_calls, array_len(harmless_calls));
}

/* A word, and what stands behind it. `after_dot`: it is a part of a longer name. */
static bool harmless_take_word(struct sqlword_text *text, bool after_dot)
{
	struct sqlword word = sqlword_next(text);

	if (harmless_among(word, harmless_never, array_len(harmless_never)))
		return false;
	if (text->at < text->end && (*text->at == '\'' || *text->at == '&'))
		return false; /* E'..', U&'..': with escapes */
	if (!harmless_is_called(text))
		return true;
	return !after_dot && harmless_opens(word);
}

/* A literal or a quoted name. Backslashes may be escapes, or not: it is not sure. A doubled quote begins the next. */
static bool harmless_take_quoted(struct sqlword_text *text)
{
	const uint8_t *first = text->at;

	text->at = sqlword_skip_quoted(first, text->end);
	if (text->at - first < 2 || text->at[-1] != *first ||
		memchr(first, '\\', (size_t)(text->at - first)))
		return false;
	return *first != '"' || !harmless_is_called(text);
}

/* A number, a parameter, or one character of whatever else. */
static bool harmless_take_other(struct sqlword_text *text)
{
	uint8_t c = *text->at++;

	if (c == '\\' || c == '\0')
		return false;
	if (c == '$' && (text->at == text->end || !sqlword_is_digit(*text->at)))
		return false; /* a literal in dollars */
	if (c == '$' || sqlword_is_digit(c)) {
		while (text->at < text->end && (sqlword_is_digit(*text->at) || *text->at == '.'))
			text->at++;
		return true;
	}
	if (c != ';')
		return true;
	sqlword_skip_blanks(text);
	return text->at == text->end;
}

bool harmless_is(const uint8_t *bytes, size_t len)
{
	static const char *const first[] = {"select", "values", "table", "with"};
	struct sqlword_text text = {bytes, bytes + len}, ahead;
	bool after_dot = false;

	sqlword_skip_blanks(&text);
	ahead = text;
	if (!harmless_among(sqlword_next(&ahead), first, array_len(first)))
		return false;
	while (text.at < text.end) {
		uint8_t c = *text.at;

		if (sqlword_is_start(c)                 ? !harmless_take_word(&text, after_dot)
				: c == '\'' || c == '"' ? !harmless_take_quoted(&text)
							: !harmless_take_other(&text))
			return false;
		after_dot = c == '.';
		sqlword_skip_blanks(&text);
	}
	return true;
}
