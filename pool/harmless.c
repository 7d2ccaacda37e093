/* One walk over the words of a text. */
#include "pool/harmless.h"

#include "core/check.h"

#include <string.h>

struct words {
	const uint8_t *at, *end;
	const uint8_t *word; /* the present one */
	size_t len;
};

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

static bool harmless_is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool harmless_is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool words_equal(const uint8_t *word, size_t len, const char *other)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = word[i] >= 'A' && word[i] <= 'Z' ? word[i] | 0x20 : word[i];

		if (c != (uint8_t)other[i])
			return false;
	}
	return other[len] == '\0';
}

static bool words_among(const uint8_t *word, size_t len, const char *const *others, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (words_equal(word, len, others[i]))
			return true;
	return false;
}

/* Behind blanks and comments. Returns false for a comment without end, or with another inside. */
static bool words_skip_blanks(struct words *words)
{
	while (words->at < words->end) {
		const uint8_t *at = words->at;

		if (*at == ' ' || (*at >= '\t' && *at <= '\r')) {
			words->at++;
		} else if (at + 1 < words->end && at[0] == '-' && at[1] == '-') {
			while (words->at < words->end && *words->at != '\n' && *words->at != '\r')
				words->at++;
		} else if (at + 1 < words->end && at[0] == '/' && at[1] == '*') {
			for (at += 2;; at++) {
				if (at + 1 >= words->end || (at[0] == '/' && at[1] == '*'))
					return false;
				if (at[0] == '*' && at[1] == '/')
					break;
			}
			words->at = at + 2;
		} else {
			break;
		}
	}
	return true;
}

/* Behind a literal or a quoted name. Backslashes may be escapes, or not: it is not sure. */
static bool words_skip_quoted(struct words *words)
{
	uint8_t quote = *words->at++;

	for (; words->at < words->end; words->at++) {
		if (*words->at == '\\')
			return false;
		if (*words->at == quote) {
			words->at++;
			return true; /* a doubled one begins the next */
		}
	}
	return false;
}

/* A word, and what stands behind it. `after_dot`: it is a part of a longer name. */
static bool words_take(struct words *words, bool after_dot)
{
	words->word = words->at;
	while (words->at < words->end &&
		(harmless_is_letter(*words->at) || harmless_is_digit(*words->at) ||
			*words->at == '$'))
		words->at++;
	words->len = (size_t)(words->at - words->word);
	if (words_among(words->word, words->len, harmless_never, array_len(harmless_never)))
		return false;
	if (words->at < words->end && (*words->at == '\'' || *words->at == '&'))
		return false; /* E'..', U&'..': with escapes */
	if (!words_skip_blanks(words))
		return false;
	if (words->at >= words->end || *words->at != '(')
		return true;
	return !after_dot &&
		words_among(words->word, words->len, harmless_calls, array_len(harmless_calls));
}

static bool words_take_quoted(struct words *words)
{
	bool is_name = *words->at == '"';

	if (!words_skip_quoted(words) || !words_skip_blanks(words))
		return false;
	return !is_name || words->at >= words->end || *words->at != '(';
}

/* A number, a parameter, or one character of whatever else. */
static bool words_take_other(struct words *words)
{
	uint8_t c = *words->at;

	if (c == '\\' || c == '\0')
		return false;
	if (c == '$' && (words->at + 1 >= words->end || !harmless_is_digit(words->at[1])))
		return false; /* a literal in dollars */
	words->at++;
	if (c == '$' || harmless_is_digit(c)) {
		while (words->at < words->end &&
			(harmless_is_digit(*words->at) || *words->at == '.'))
			words->at++;
		return true;
	}
	if (c != ';')
		return true;
	return words_skip_blanks(words) && words->at == words->end;
}

bool harmless_is(const uint8_t *text, size_t len)
{
	static const char *const first[] = {"select", "values", "table", "with"};
	struct words words = {.at = text, .end = text + len};
	bool after_dot = false;

	if (!words_skip_blanks(&words) || words.at == words.end || !harmless_is_letter(*words.at))
		return false;
	if (!words_take(&words, false) ||
		!words_among(words.word, words.len, first, array_len(first)))
		return false;
	while (words_skip_blanks(&words)) {
		uint8_t c;

		if (words.at == words.end)
			return true;
		c = *words.at;
		if (harmless_is_letter(c)               ? !words_take(&words, after_dot)
				: c == '\'' || c == '"' ? !words_take_quoted(&words)
							: !words_take_other(&words))
			return false;
		after_dot = c == '.';
	}
	return false;
}
