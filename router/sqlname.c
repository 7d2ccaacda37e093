/* Words, names, types and comments at the beginning of a statement. */
#include "router/sqlname.h"

#include "core/check.h"
#include "pool/sqlword.h"

#include <string.h>

/* ---- names ---- */

/* Words that are no names of statements unless they are quoted: PostgreSQL's keywords that are reserved, or may name types and
 * functions only. */
static const char *const sqlname_reserved[] = {"all", "analyse", "analyze", "and", "any", "array",
	"as", "asc", "asymmetric", "authorization", "binary", "both", "case", "cast", "check",
	"collate", "collation", "column", "concurrently", "constraint", "create", "cross",
	"current_catalog", "current_date", "current_role", "current_schema", "current_time",
	"current_timestamp", "current_user", "default", "deferrable", "desc", "distinct", "do",
	"else", "end", "except", "false", "fetch", "for", "foreign", "freeze", "from", "full",
	"grant", "group", "having", "ilike", "in", "initially", "inner", "intersect", "into", "is",
	"isnull", "join", "lateral", "leading", "left", "like", "limit", "localtime",
	"localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only", "or",
	"order", "outer", "overlaps", "placing", "primary", "references", "returning", "right",
	"select", "session_user", "similar", "some", "symmetric", "system_user", "table",
	"tablesample", "then", "to", "trailing", "true", "union", "unique", "user", "using",
	"variadic", "verbose", "when", "where", "window", "with"};

static bool sqlname_among(struct sqlword word, const char *const *others, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (sqlword_is(word, others[i]))
			return true;
	return false;
}

static void sqlname_add(struct sqlname *found, uint8_t c)
{
	if (found->name_len < SQLNAME_BYTES - 1)
		found->name[found->name_len++] = (char)c;
	else
		found->is_cut = true;
}

static bool sqlname_take_quoted(struct sqlword_text *text, struct sqlname *ret_found)
{
	const uint8_t *at = text->at + 1, *end = text->end;

	for (; at < end; at++) {
		text->at = at + 1;
		if (*at == '"' && !(end - at >= 2 && at[1] == '"'))
			return ret_found->name_len > 0;
		sqlname_add(ret_found, *at);
		at += *at == '"';
	}
	return false;
}

/* Takes a name. Returns false if there is none, or one that is not plain. */
static bool sqlname_take(struct sqlword_text *text, const uint8_t *bytes, struct sqlname *ret_found)
{
	struct sqlword word;

	sqlword_skip_blanks(text);
	ret_found->first = (size_t)(text->at - bytes);
	if (text->at < text->end && *text->at == '"') {
		if (!sqlname_take_quoted(text, ret_found))
			return false;
	} else {
		word = sqlword_next(text);
		if (word.len == 0 ||
			(text->at < text->end && (*text->at == '&' || *text->at == '"')) ||
			sqlname_among(word, sqlname_reserved, array_len(sqlname_reserved)))
			return false;
		for (size_t i = 0; i < word.len; i++) {
			uint8_t c = word.at[i];

			if (c >= 0x80)
				return false; /* how it is folded depends on the encoding */
			sqlname_add(ret_found, c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c);
		}
	}
	ret_found->behind = (size_t)(text->at - bytes);
	return true;
}

/* ---- statements ---- */

static bool sqlname_stands_at(struct sqlword_text *text, uint8_t c)
{
	sqlword_skip_blanks(text);
	return text->at < text->end && *text->at == c;
}

/* Takes what stands in parentheses, with them. Returns false if it has no end, or literals that may be read in two ways. */
static bool sqlname_skip_parentheses(struct sqlword_text *text)
{
	unsigned depth = 0;

	while (text->at < text->end) {
		uint8_t c = *text->at;

		if (c == '\\')
			return false;
		depth += c == '(';
		depth -= c == ')';
		text->at = sqlword_skip_token(text->at, text->end);
		if (depth == 0)
			return true;
	}
	return false;
}

/* EXPLAIN, its options, and EXECUTE. */
static bool sqlname_take_explain(struct sqlword_text *text)
{
	if (sqlname_stands_at(text, '(')) {
		const uint8_t *first = text->at;

		if (!sqlname_skip_parentheses(text) ||
			memchr(first, '\\', (size_t)(text->at - first)))
			return false;
	} else {
		while (sqlword_take(text, "ANALYZE") || sqlword_take(text, "ANALYSE") ||
			sqlword_take(text, "VERBOSE"))
			continue;
	}
	return sqlword_take(text, "EXECUTE");
}

/* CREATE, what makes a table, and AS EXECUTE. */
static bool sqlname_take_create(struct sqlword_text *text)
{
	const uint8_t *first = text->at;

	if (!sqlword_take(text, "GLOBAL"))
		sqlword_take(text, "LOCAL");
	if (!sqlword_take(text, "TEMP") && !sqlword_take(text, "TEMPORARY"))
		sqlword_take(text, "UNLOGGED");
	if (!sqlword_take(text, "TABLE"))
		return false;
	sqlword_skip_blanks(text);
	while (text->at < text->end && *text->at != ';') {
		if (sqlword_take(text, "AS EXECUTE"))
			return !memchr(first, '\\', (size_t)(text->at - first));
		if (*text->at != '(')
			text->at = sqlword_skip_token(text->at, text->end);
		else if (!sqlname_skip_parentheses(text))
			return false;
		sqlword_skip_blanks(text);
	}
	return false;
}

static enum sqlname_kind sqlname_take_verb(struct sqlword_text *text)
{
	switch (text->at < text->end ? *text->at | 0x20 : 0) {
	case 'd':
		if (!sqlword_take(text, "DEALLOCATE"))
			return SQLNAME_NONE;
		sqlword_take(text, "PREPARE");
		return SQLNAME_DEALLOCATE;
	case 'e':
		if (sqlword_take(text, "EXECUTE"))
			return SQLNAME_EXECUTE;
		return sqlword_take(text, "EXPLAIN") && sqlname_take_explain(text) ? SQLNAME_EXECUTE
										   : SQLNAME_NONE;
	case 'c':
		return sqlword_take(text, "CREATE") && sqlname_take_create(text) ? SQLNAME_EXECUTE
										 : SQLNAME_NONE;
	case 'p':
		return sqlword_take(text, "PREPARE") ? SQLNAME_PREPARE : SQLNAME_NONE;
	}
	return SQLNAME_NONE;
}

struct sqlname sqlname_find(const uint8_t *bytes, const uint8_t *end)
{
	static const struct sqlname none = {.kind = SQLNAME_NONE};
	struct sqlword_text text = {bytes, end};
	struct sqlname found = none;

	sqlword_skip_separators(&text);
	found.kind = sqlname_take_verb(&text);
	if (found.kind == SQLNAME_NONE || !sqlname_take(&text, bytes, &found))
		return none;
	if (found.kind == SQLNAME_PREPARE && !sqlname_stands_at(&text, '(') &&
		!sqlword_take(&text, "AS"))
		return none;
	if (found.kind == SQLNAME_DEALLOCATE) {
		sqlword_skip_separators(&text);
		if (text.at < end)
			return none;
	}
	return found;
}

/* ---- what is prepared ---- */

/* A type's name of up to four words, the longest that is known. */
static bool sqlname_take_type_name(
	struct sqlword_text *text, uint32_t *ret_oid, uint32_t *ret_array)
{
	static const struct {
		const char *words;
		uint32_t oid, array;
	} rows[] = {
#define SQLTYPE(words, oid, array) {words, oid, array},
#include "router/sqltypes.def"
	};
	const uint8_t *behind = NULL;

	for (size_t i = 0; i < array_len(rows); i++) {
		struct sqlword_text ahead = *text;

		if (!sqlword_take(&ahead, rows[i].words) || (behind && ahead.at <= behind))
			continue;
		behind = ahead.at;
		*ret_oid = rows[i].oid;
		*ret_array = rows[i].array;
	}
	if (behind)
		text->at = behind;
	return behind != NULL;
}

static bool sqlname_take_type(struct sqlword_text *text, uint32_t *ret_oid)
{
	uint32_t array;

	if (!sqlname_take_type_name(text, ret_oid, &array))
		return false;
	if (sqlname_stands_at(text, '[')) {
		text->at++;
		if (!sqlname_stands_at(text, ']'))
			return false;
		text->at++;
		*ret_oid = array;
	}
	return true;
}

static bool sqlname_take_types(struct sqlword_text *text, struct sqlname_prepare *prepare)
{
	if (!sqlname_stands_at(text, '('))
		return true;
	do {
		text->at++;
		if (prepare->type_count == SQLNAME_TYPES ||
			!sqlname_take_type(text, &prepare->types[prepare->type_count++]))
			return false;
	} while (sqlname_stands_at(text, ','));
	return sqlname_stands_at(text, ')') && text->at++;
}

/* SELECT ... INTO makes a table, which only a Parse message lets be prepared. */
static bool sqlname_has_into(struct sqlword_text text)
{
	while (text.at < text.end) {
		if (!sqlword_is_start(*text.at))
			text.at++;
		else if (sqlword_is(sqlword_next(&text), "INTO"))
			return true;
	}
	return false;
}

static bool sqlname_is_preparable(struct sqlword_text text)
{
	static const char *const writes[] = {"INSERT", "UPDATE", "DELETE", "MERGE"},
				 *const reads[] = {"SELECT", "VALUES", "TABLE", "WITH"};
	struct sqlword_text ahead = text;
	struct sqlword word = sqlword_next(&ahead);

	if (sqlname_among(word, writes, array_len(writes)))
		return true;
	if (text.at == text.end ||
		(*text.at != '(' && !sqlname_among(word, reads, array_len(reads))))
		return false;
	return !sqlname_has_into(text);
}

/* Whether no other statement follows. */
static bool sqlname_is_alone(struct sqlword_text text)
{
	const uint8_t *more = memchr(text.at, ';', (size_t)(text.end - text.at));

	if (!more)
		return true;
	while (more < text.end && (sqlword_is_blank(*more) || *more == ';'))
		more++;
	if (more == text.end)
		return true;
	if (memchr(text.at, '\\', (size_t)(text.end - text.at)))
		return false; /* it may hide the end of a literal, or not */
	while (text.at < text.end && *text.at != ';')
		text.at = sqlword_skip_token(text.at, text.end);
	sqlword_skip_separators(&text);
	return text.at == text.end;
}

bool sqlname_read_prepare(const uint8_t *bytes, const uint8_t *end, const struct sqlname *found,
	struct sqlname_prepare *ret_prepare)
{
	struct sqlword_text text = {bytes + found->behind, end};
	struct sqlname_prepare prepare = {0};

	CHECK(found->kind == SQLNAME_PREPARE);
	if (found->is_cut) /* PostgreSQL says so */
		return false;
	if (!sqlname_take_types(&text, &prepare) || !sqlword_take(&text, "AS"))
		return false;
	sqlword_skip_blanks(&text);
	prepare.statement = (size_t)(text.at - bytes);
	if (!sqlname_is_preparable(text) || !sqlname_is_alone(text))
		return false;
	*ret_prepare = prepare;
	return true;
}

bool sqlname_has_constants(const uint8_t *at, const uint8_t *end)
{
	static const char *const constants[] = {"NULL", "TRUE", "FALSE"};
	struct sqlword_text text = {at, end};

	if (memchr(at, '\\', (size_t)(end - at)))
		return false;
	sqlword_skip_blanks(&text);
	if (text.at < end && *text.at == '(')
		text.at++;
	for (; text.at < end && *text.at != ';'; sqlword_skip_blanks(&text)) {
		uint8_t c = *text.at;

		if (c == '\'')
			text.at = sqlword_skip_quoted(text.at, end);
		else if (end - text.at > 2 && c == ':' && text.at[1] == ':' &&
			sqlword_is_start(text.at[2]))
			text.at = sqlword_skip_token(text.at + 2, end);
		else if (sqlword_is_digit(c) || (c && strchr(".,+-)", c)))
			text.at++;
		else if (!sqlname_among(sqlword_next(&text), constants, array_len(constants)))
			return false;
	}
	return true;
}
