/* Words of SQL text, and what they betray. */
#include "router/sqlscan.h"

#include "core/check.h"
#include "pool/harmless.h"
#include "pool/sqlword.h"
#include "pool/traces.h"

#include <stdio.h>
#include <string.h>

/* What single words tell only together. Above the bits of enum trace. */
enum {
	SEEN_CREATE_OR_INTO = 1 << 16,
	SEEN_TEMP = 1 << 17,
	SEEN_DECLARE = 1 << 18,
	SEEN_HOLD = 1 << 19,
	SEEN_SEED = 1 << 20,
	SEEN_CONFIG = 1 << 21,
	SEEN_DEFAULT = 1 << 22,
	SEEN_PREPARE = 1 << 23,
};

/* ---- the word a statement begins with ---- */

/* SET and its forms for the transaction alone, which leave nothing. */
static unsigned traces_of_set(struct sqlword_text *text)
{
	struct sqlword word;

	sqlword_skip_blanks(text);
	word = sqlword_next(text);
	if (sqlword_is(word, "LOCAL") || sqlword_is(word, "CONSTRAINTS"))
		return 0;
	if (sqlword_is(word, "TRANSACTION"))
		return 0;
	if (sqlword_is(word, "SEED"))
		return TRACE_SETTINGS | TRACE_SEED;
	return TRACE_SETTINGS | TRACE_PIN;
}

/* UNLISTEN, of one channel or of all. */
static unsigned traces_of_unlisten(struct sqlword_text *text)
{
	sqlword_skip_blanks(text);
	return text->at < text->end && *text->at == '*' ? TRACE_SILENCES : 0;
}

static unsigned traces_of_first_word(struct sqlword_text *text)
{
	static const struct {
		const char *word;
		unsigned traces;
	} rows[] = {
		{"RESET", TRACE_SETTINGS | TRACE_PIN | TRACE_RESETS},
		{"DISCARD", TRACE_EVERYTHING | TRACE_RESETS},
		{"DO", TRACE_EVERYTHING},
		{"CALL", TRACE_EVERYTHING},
		{"LOAD", TRACE_SETTINGS},
		{"CLOSE", TRACE_CURSORS | TRACE_IF_HELD},
		{"DROP", TRACE_TEMP | TRACE_IF_HELD},
		{"LISTEN", TRACE_LISTEN},
		{"UNLISTEN", TRACE_LISTEN | TRACE_IF_HELD},
		{"PREPARE", TRACE_PREPARED | SEEN_PREPARE},
		{"DEALLOCATE", TRACE_PREPARED | TRACE_IF_HELD},
	};
	struct sqlword word;

	sqlword_skip_blanks(text);
	word = sqlword_next(text);
	if (word.len < 2)
		return 0;
	switch (word.at[0] | 0x20) {
	case 's':
		return sqlword_is(word, "SET") ? traces_of_set(text) : 0;
	case 'i': /* INSERT */
	case 'b': /* BEGIN */
	case 'w': /* WITH */
		return 0;
	}
	for (size_t i = 0; i < array_len(rows); i++)
		if (sqlword_is(word, rows[i].word))
			return rows[i].traces |
				(sqlword_is(word, "UNLISTEN") ? traces_of_unlisten(text) : 0);
	return 0;
}

/* ---- words anywhere ---- */

/* Whether the arguments that follow `set_config` end with a plain `true`: then it lasts for the transaction only. */
static bool is_local_config(const uint8_t *at, const uint8_t *end)
{
	struct sqlword_text text = {at, end};
	const uint8_t *last = NULL;
	unsigned depth = 0;

	if (text.at < end && *text.at == '"')
		text.at++;
	sqlword_skip_blanks(&text);
	if (text.at == end || *text.at != '(')
		return false;
	at = text.at;
	do {
		uint8_t c = *at;

		if (c == '\\' || (c == '$' && end - at >= 2 && !sqlword_is_digit(at[1])))
			return false; /* literals of other kinds */
		if (c == '\'' || c == '"') {
			at = sqlword_skip_quoted(at, end);
			continue;
		}
		if (c == ',' && depth == 1)
			last = at + 1;
		depth += c == '(';
		depth -= c == ')';
		at++;
	} while (at < end && depth > 0);
	if (!last || depth > 0)
		return false;
	text = (struct sqlword_text){last, at - 1};
	sqlword_skip_blanks(&text);
	if (!sqlword_is(sqlword_next(&text), "TRUE"))
		return false;
	sqlword_skip_blanks(&text);
	return text.at == text.end;
}

/* Whether what follows `set_config` calls it with a name that can be read here, or among the parameters. */
static bool names_its_variable(const uint8_t *at, const uint8_t *end)
{
	struct sqlword_text text = {at, end};

	if (text.at < end && *text.at == '"')
		text.at++;
	sqlword_skip_blanks(&text);
	if (text.at == end || *text.at != '(')
		return true; /* it is not called */
	text.at++;
	sqlword_skip_blanks(&text);
	if (text.at < end && *text.at == '\'') {
		at = sqlword_skip_quoted(text.at, end);
		if (memchr(text.at, '\\', (size_t)(at - text.at)))
			return false;
		text.at = at;
	} else if (end - text.at > 1 && *text.at == '$' && sqlword_is_digit(text.at[1])) {
		for (text.at++; text.at < end && sqlword_is_part(*text.at);)
			text.at++;
	} else {
		return false;
	}
	sqlword_skip_blanks(&text);
	if (end - text.at > 2 && text.at[0] == ':' && text.at[1] == ':') {
		text.at += 2;
		sqlword_skip_blanks(&text);
		sqlword_next(&text);
		sqlword_skip_blanks(&text);
	}
	return text.at < end && *text.at == ',';
}

static unsigned traces_of_set_config(struct sqlword word, const uint8_t *end)
{
	const uint8_t *behind = word.at + word.len;

	if (is_local_config(behind, end))
		return 0;
	return TRACE_SETTINGS | TRACE_PIN | SEEN_CONFIG |
		(names_its_variable(behind, end) ? 0 : TRACE_UNKNOWN);
}

/* A word anywhere, a literal or a comment included. */
static unsigned traces_of_word(struct sqlword word, const uint8_t *end)
{
	switch (word.at[0] | 0x20) {
	case 'c':
		if (sqlword_is(word, "create"))
			return SEEN_CREATE_OR_INTO;
		if (sqlword_is(word, "copy") || sqlword_is(word, "call"))
			return TRACE_TAKES;
		return sqlword_is(word, "currval") ? TRACE_SEQUENCES : 0;
	case 'd':
		if (sqlword_is(word, "delete") || sqlword_is(word, "do"))
			return TRACE_TAKES;
		if (sqlword_is(word, "default"))
			return SEEN_DEFAULT;
		return sqlword_is(word, "declare") ? SEEN_DECLARE : 0;
	case 'e':
		return sqlword_is(word, "execute") ? TRACE_TAKES : 0;
	case 'h':
		return sqlword_is(word, "hold") ? SEEN_HOLD : 0;
	case 'i':
		if (sqlword_is(word, "insert"))
			return TRACE_TAKES;
		return sqlword_is(word, "into") ? SEEN_CREATE_OR_INTO : 0;
	case 'l':
		return sqlword_is(word, "lastval") ? TRACE_SEQUENCES : 0;
	case 'm':
		return sqlword_is(word, "merge") ? TRACE_TAKES : 0;
	case 'p':
		if (word.len > 3 && word.at[2] == '_') {
			if (sqlword_begins(word, "pg_advisory_xact_") ||
				sqlword_begins(word, "pg_try_advisory_xact_"))
				return 0;
			if (sqlword_begins(word, "pg_advisory_") ||
				sqlword_begins(word, "pg_try_advisory_"))
				return TRACE_LOCKS;
			if (sqlword_is(word, "pg_listening_channels"))
				return TRACE_LISTEN;
			return sqlword_is(word, "pg_temp") ? TRACE_TEMP : 0;
		}
		return 0;
	case 'r':
		return sqlword_is(word, "refresh") ? TRACE_TAKES : 0;
	case 's':
		if (sqlword_is(word, "set_config"))
			return traces_of_set_config(word, end);
		if (sqlword_is(word, "seed"))
			return SEEN_SEED;
		return sqlword_is(word, "setseed") ? TRACE_SEED : 0;
	case 't':
		return sqlword_is(word, "temp") || sqlword_is(word, "temporary") ? SEEN_TEMP : 0;
	case 'u': /* U&"..." may spell any name */
		if (sqlword_is(word, "update"))
			return TRACE_TAKES;
		return word.len == 1 && end - word.at > 2 && word.at[1] == '&' && word.at[2] == '"'
			? TRACE_EVERYTHING
			: 0;
	}
	return 0;
}

/* The next word, wherever it stands: in a name, a literal or a comment, too. Returns false if there is none. */
static inline bool next_word(const uint8_t **at, const uint8_t *end, struct sqlword *ret_word)
{
	while (*at < end && !sqlword_is_start(**at))
		(*at)++;
	if (*at == end)
		return false;
	ret_word->at = *at;
	do
		(*at)++;
	while (*at < end && sqlword_is_part(**at));
	ret_word->len = (size_t)(*at - ret_word->at);
	return true;
}

static unsigned traces_of_words(const uint8_t *at, const uint8_t *end)
{
	struct sqlword word;
	unsigned seen = 0;

	while (next_word(&at, end, &word))
		seen |= traces_of_word(word, end);
	if ((seen & SEEN_TEMP) && (seen & SEEN_CREATE_OR_INTO))
		seen |= TRACE_TEMP;
	if ((seen & SEEN_HOLD) && (seen & SEEN_DECLARE))
		seen |= TRACE_CURSORS;
	if ((seen & SEEN_SEED) && (seen & SEEN_CONFIG))
		seen |= TRACE_SEED;
	return seen & (TRACE_ALL | TRACE_TAKES | SEEN_DEFAULT);
}

/* ---- several statements ---- */

/* The semicolon that ends the statement, or `end`. */
static const uint8_t *find_end(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != ';')
		at = sqlword_skip_token(at, end);
	return at;
}

/* The first words of all statements. A backslash in a literal may or may not escape its end: then any word may begin one. */
static unsigned traces_of_first_words(const uint8_t *at, const uint8_t *end)
{
	unsigned traces = 0;

	if (memchr(at, '\\', (size_t)(end - at)))
		return TRACE_EVERYTHING;
	while (at < end) {
		struct sqlword_text text = {at, end};

		traces |= traces_of_first_word(&text) & ~TRACE_IF_HELD;
		at = find_end(at, end);
		at += at < end;
	}
	return traces;
}

unsigned sqlscan_traces(const uint8_t *text, size_t len)
{
	struct sqlword_text statement = {text, text + len};
	const uint8_t *end = text + len, *more = memchr(text, ';', len);
	unsigned traces, others, takes;

	while (more && more < end && (sqlword_is_blank(*more) || *more == ';'))
		more++;
	traces = more && more < end ? traces_of_first_words(text, end)
				    : traces_of_first_word(&statement);
	others = traces_of_words(text, end);
	if ((others & SEEN_DEFAULT) && (traces & TRACE_SETTINGS))
		traces |= TRACE_RESETS;
	takes = others & TRACE_TAKES;
	others &= TRACE_ALL;
	if ((traces & SEEN_PREPARE) && others) /* EXECUTE will not betray it */
		others |= TRACE_UNKNOWN;
	traces &= TRACE_ALL | TRACE_SILENCES | TRACE_RESETS | TRACE_IF_HELD;
	return takes | (others ? (traces | others) & ~TRACE_IF_HELD : traces);
}

/* ---- sequences ---- */

/* Whether what stands before a parenthesis may be a function that takes a value of a sequence. */
static bool is_call(const uint8_t *begin, const uint8_t *parenthesis)
{
	const uint8_t *at = parenthesis, *behind;
	struct sqlword word;

	while (at > begin && sqlword_is_blank(at[-1]))
		if (*--at == '\n')
			return true; /* there may be a comment before it */
	if (at == begin)
		return false;
	if (!sqlword_is_part(at[-1])) /* an operator; or a name in quotes, or a comment */
		return at[-1] == '"' || at[-1] == '/';
	behind = at;
	while (at > begin && sqlword_is_part(at[-1]))
		at--;
	word = (struct sqlword){at, (size_t)(behind - at)};
	if (at > begin && at[-1] == '.')
		return true; /* somebody's own may be called like one of PostgreSQL's */
	return !sqlword_is(word, "lastval") && !sqlword_is(word, "currval") &&
		!harmless_opens(word);
}

bool sqlscan_calls(const uint8_t *text, size_t len)
{
	const uint8_t *at = text, *end = text + len;

	while ((at = memchr(at, '(', (size_t)(end - at)))) {
		if (is_call(text, at))
			return true;
		at++;
	}
	return false;
}

bool sqlscan_takes_first(const uint8_t *text, size_t len)
{
	const uint8_t *at = text, *end = text + len, *asks = end;
	struct sqlword word;

	while (asks == end && next_word(&at, end, &word))
		if (sqlword_is(word, "lastval") || sqlword_is(word, "currval"))
			asks = word.at;
	/* If there are statements before it, any of them may. */
	return memchr(text, ';', (size_t)(asks - text)) ||
		traces_of_words(text, asks) & TRACE_TAKES ||
		sqlscan_calls(text, (size_t)(asks - text));
}

/* ---- transactions ---- */

static const char *const isolations[] = {
	"SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED", "READ UNCOMMITTED"};

static bool take_once(struct sqlword_text *text, const char *words, uint8_t *field, unsigned value)
{
	if (*field || !sqlword_take(text, words))
		return false;
	*field = (uint8_t)value;
	return true;
}

static bool take_mode(struct sqlword_text *text, struct sqlscan_begin *begin)
{
	for (unsigned i = 0; i < array_len(isolations); i++) {
		char words[40];

		snprintf(words, sizeof words, "ISOLATION LEVEL %s", isolations[i]);
		if (take_once(text, words, &begin->isolation, i + 1))
			return true;
	}
	return take_once(text, "READ WRITE", &begin->access, 1) ||
		take_once(text, "READ ONLY", &begin->access, 2) ||
		take_once(text, "DEFERRABLE", &begin->deferrable, 1) ||
		take_once(text, "NOT DEFERRABLE", &begin->deferrable, 2);
}

/* Nothing but blanks, or semicolons, follows. */
static bool is_over(struct sqlword_text *text)
{
	sqlword_skip_separators(text);
	return text->at == text->end;
}

static bool take_begin(struct sqlword_text *text, struct sqlscan_begin *begin)
{
	bool is_first = true;

	memset(begin, 0, sizeof *begin);
	begin->is_start = sqlword_take(text, "START TRANSACTION");
	if (!begin->is_start) {
		if (!sqlword_take(text, "BEGIN"))
			return false;
		if (!sqlword_take(text, "WORK"))
			sqlword_take(text, "TRANSACTION");
	}
	while (!is_over(text)) {
		if (text->at[-1] == ';')
			return false; /* another statement */
		if (!is_first && *text->at == ',')
			text->at++;
		if (!take_mode(text, begin))
			return false;
		is_first = false;
	}
	return true;
}

enum sqlscan_kind sqlscan_kind(const uint8_t *text, size_t len, struct sqlscan_begin *ret_begin)
{
	struct sqlword_text at = {text, text + len};
	enum sqlscan_kind kind;

	sqlword_skip_blanks(&at);
	if (at.at == at.end)
		return SQLSCAN_OTHER;
	switch (*at.at | 0x20) {
	case 'b':
	case 's':
		return take_begin(&at, ret_begin) ? SQLSCAN_BEGIN : SQLSCAN_OTHER;
	case 'c':
	case 'e':
		kind = SQLSCAN_COMMIT;
		if (!sqlword_take(&at, "COMMIT") && !sqlword_take(&at, "END"))
			return SQLSCAN_OTHER;
		break;
	case 'r':
	case 'a':
		kind = SQLSCAN_ROLLBACK;
		if (!sqlword_take(&at, "ROLLBACK") && !sqlword_take(&at, "ABORT"))
			return SQLSCAN_OTHER;
		break;
	default:
		return SQLSCAN_OTHER;
	}
	if (!sqlword_take(&at, "WORK"))
		sqlword_take(&at, "TRANSACTION");
	return is_over(&at) ? kind : SQLSCAN_OTHER;
}

size_t sqlscan_write_begin(const struct sqlscan_begin *begin, char ret_text[SQLSCAN_BEGIN_BYTES])
{
	static const char *const access[] = {"", " READ WRITE", " READ ONLY"},
				 *const deferrable[] = {"", " DEFERRABLE", " NOT DEFERRABLE"};
	int len;

	CHECK(begin->isolation <= array_len(isolations) && begin->access < array_len(access) &&
		begin->deferrable < array_len(deferrable));
	len = snprintf(ret_text, SQLSCAN_BEGIN_BYTES, "%s%s%s%s%s",
		begin->is_start ? "START TRANSACTION" : "BEGIN",
		begin->isolation ? " ISOLATION LEVEL " : "",
		begin->isolation ? isolations[begin->isolation - 1] : "", access[begin->access],
		deferrable[begin->deferrable]);
	CHECK(len > 0 && len < SQLSCAN_BEGIN_BYTES);
	return (size_t)len + 1;
}

/* ---- roll-backs ---- */

bool sqlscan_rolls_back(const uint8_t *text, size_t len, bool has_failed)
{
	struct sqlword_text at = {text, text + len};
	struct sqlscan_begin begin;
	enum sqlscan_kind kind;

	sqlword_skip_separators(&at);
	kind = sqlscan_kind(at.at, (size_t)(find_end(at.at, at.end) - at.at), &begin);
	return kind == SQLSCAN_ROLLBACK || (has_failed && kind == SQLSCAN_COMMIT);
}

static bool is_rollback(struct sqlword word, bool has_failed)
{
	return sqlword_is(word, "ROLLBACK") || sqlword_is(word, "ABORT") ||
		(has_failed && (sqlword_is(word, "COMMIT") || sqlword_is(word, "END")));
}

/* The first word of the next statement; *at is behind the statement then. Returns false if there is none. */
static bool next_statement(const uint8_t **at, const uint8_t *end, struct sqlword *ret_word,
	struct sqlword_text *ret_rest)
{
	struct sqlword_text text = {*at, end};

	sqlword_skip_separators(&text);
	*at = find_end(text.at, end);
	if (text.at == end)
		return false;
	*ret_word = sqlword_next(&text);
	*ret_rest = (struct sqlword_text){text.at, *at > text.at ? *at : text.at};
	return true;
}

bool sqlscan_listens_behind_rollback(const uint8_t *text, size_t len, bool has_failed)
{
	const uint8_t *at = text, *end = text + len;
	struct sqlword_text rest;
	struct sqlword word;
	bool is_behind = false;

	while (next_statement(&at, end, &word, &rest)) {
		if (is_behind && (sqlword_is(word, "LISTEN") || sqlword_is(word, "UNLISTEN")))
			return true;
		is_behind |= is_rollback(word, has_failed);
	}
	return false;
}

bool sqlscan_is_rollback(const uint8_t *text, size_t len)
{
	const uint8_t *at = text;
	struct sqlword_text rest;
	struct sqlword word;

	return next_statement(&at, text + len, &word, &rest) && is_rollback(word, false);
}

bool sqlscan_resets_all(const uint8_t *text, size_t len)
{
	const uint8_t *at = text, *end = text + len;
	struct sqlword_text rest;
	struct sqlword word;

	while (next_statement(&at, end, &word, &rest)) {
		if (!sqlword_is(word, "RESET"))
			continue;
		sqlword_skip_blanks(&rest);
		if (sqlword_is(sqlword_next(&rest), "ALL"))
			return true;
	}
	return false;
}

/* ---- names ---- */

/* One part of a name, in quotes or not. Returns NULL if there is none. */
static const uint8_t *name_part(const uint8_t *at, const uint8_t *end)
{
	bool is_quoted = at < end && *at == '"';

	at += is_quoted;
	if (at == end || !sqlword_is_start(*at))
		return NULL;
	while (at < end && sqlword_is_part(*at))
		at++;
	if (is_quoted && (at == end || *at++ != '"'))
		return NULL;
	return at;
}

bool sqlscan_next_name(
	const uint8_t **at, const uint8_t *end, const uint8_t **ret_name, size_t *ret_len)
{
	while (*at < end) {
		const uint8_t *start = *at, *behind = name_part(start, end), *next;
		unsigned parts = 1;

		if (!behind) {
			*at = start + 1;
			continue;
		}
		while (behind < end && *behind == '.' && (next = name_part(behind + 1, end))) {
			behind = next;
			parts++;
		}
		*at = behind;
		if (parts > 1) {
			*ret_name = start;
			*ret_len = (size_t)(behind - start);
			return true;
		}
	}
	return false;
}
