/* What the null server understands of a query text. */
#include "bench/statement.h"

#include "bench/wire.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { OID_INT8 = 20, OID_TEXT = 25 };

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* Behind white space and comments. */
static const char *skip_space(const char *at, const char *end)
{
	while (at < end) {
		if (isspace((unsigned char)*at)) {
			at++;
		} else if (end - at >= 2 && at[0] == '/' && at[1] == '*') {
			const char *close = memmem(at + 2, (size_t)(end - at - 2), "*/", 2);

			at = close ? close + 2 : end;
		} else if (end - at >= 2 && at[0] == '-' && at[1] == '-') {
			const char *line = memchr(at, '\n', (size_t)(end - at));

			at = line ? line + 1 : end;
		} else {
			break;
		}
	}
	return at;
}

static struct statement_text read_word(const char **at, const char *end)
{
	struct statement_text word;

	word.at = skip_space(*at, end);
	for (*at = word.at; *at < end && is_word(**at);)
		++*at;
	word.len = (uint32_t)(*at - word.at);
	return word;
}

bool statement_text_is(struct statement_text text, const char *word)
{
	return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

/* The first semicolon outside quotes, or end. */
static const char *statement_end(const char *at, const char *end)
{
	char quote = 0;

	for (; at < end; at++) {
		if (quote)
			quote = *at == quote ? 0 : quote;
		else if (*at == '\'' || *at == '"')
			quote = *at;
		else if (*at == ';')
			break;
	}
	return at;
}

static struct statement_text digits(const char *at, const char *end)
{
	struct statement_text number = {.at = at};

	while (at + number.len < end && isdigit((unsigned char)at[number.len]))
		number.len++;
	return number;
}

/* The next number at or behind *at; moves behind it. An empty text if there is none. */
static struct statement_text next_digits(const char **at, const char *end)
{
	struct statement_text number;

	while (*at < end && !isdigit((unsigned char)**at))
		++*at;
	number = digits(*at, end);
	*at += number.len;
	return number;
}

static uint64_t next_number(const char **at, const char *end)
{
	struct statement_text number = next_digits(at, end);
	uint64_t value = 0;

	for (uint32_t i = 0; i < number.len && value < UINT64_MAX / 100; i++)
		value = value * 10 + (uint64_t)(number.at[i] - '0');
	return value;
}

/* `$1::int8 AS name`; NULL if it is anything else than the small grammar. */
static const char *read_column(const char *at, const char *end, struct statement_column *column)
{
	struct statement_text word;

	*column = (struct statement_column){.name = {"?column?", 8}, .type = OID_TEXT};
	at = skip_space(at, end);
	if (at == end)
		return NULL;
	if (*at == '$') {
		word = digits(at + 1, end);
		column->parameter = (uint16_t)strtol(at + 1, NULL, 10);
		if (word.len == 0 || word.len > 3 || column->parameter == 0)
			return NULL;
		at = word.at + word.len;
	} else if (isdigit((unsigned char)*at)) {
		column->value = digits(at, end);
		column->type = OID_INT8;
		at += column->value.len;
	} else if (*at == '\'') {
		const char *quote = memchr(at + 1, '\'', (size_t)(end - at - 1));

		if (!quote)
			return NULL;
		column->value = (struct statement_text){at + 1, (uint32_t)(quote - at - 1)};
		at = quote + 1;
	} else {
		return NULL;
	}
	if (end - at >= 2 && at[0] == ':' && at[1] == ':') {
		at += 2;
		word = read_word(&at, end);
		column->type =
			word.len > 3 && strncasecmp(word.at, "int", 3) == 0 ? OID_INT8 : OID_TEXT;
	}
	at = skip_space(at, end);
	if (at < end && is_word(*at)) {
		word = read_word(&at, end);
		column->name = statement_text_is(word, "AS") ? read_word(&at, end) : word;
		at = skip_space(at, end);
	}
	return at;
}

static bool read_select_list(const char *at, const char *end, struct statement *statement)
{
	statement->column_count = statement->parameter_count = 0;
	for (;;) {
		struct statement_column *column = &statement->columns[statement->column_count];

		at = read_column(at, end, column);
		if (!at)
			return false;
		if (column->parameter > statement->parameter_count)
			statement->parameter_count = column->parameter;
		if (++statement->column_count == STATEMENT_COLUMNS_MAX)
			return false;
		if (at == end)
			return true;
		if (*at++ != ',')
			return false;
	}
}

static void one_column(struct statement *statement, const char *name, struct statement_text value)
{
	statement->column_count = 1;
	statement->parameter_count = 0;
	statement->columns[0] = (struct statement_column){
		.name = {name, (uint32_t)strlen(name)},
		.value = value.len ? value : (struct statement_text){"1", 1},
		.type = OID_TEXT,
	};
}

static void read_bulk(
	struct statement *statement, enum statement_kind kind, const char *at, const char *end)
{
	uint64_t bytes;

	statement->kind = kind;
	statement->rows = next_number(&at, end);
	bytes = next_number(&at, end);
	if (bytes < WIRE_ROW_MIN)
		bytes = WIRE_ROW_MIN;
	statement->row_bytes = bytes > WIRE_ROW_MAX ? WIRE_ROW_MAX : (uint32_t)bytes;
	snprintf(statement->tag, sizeof statement->tag, "%s %llu",
		kind == STATEMENT_BULK ? "SELECT" : "COPY", (unsigned long long)statement->rows);
	one_column(statement, "bulk", (struct statement_text){0});
}

static const char *find(const char *at, const char *end, const char *word)
{
	size_t len = strlen(word);

	for (; (size_t)(end - at) >= len; at++)
		if (strncasecmp(at, word, len) == 0)
			return at;
	return NULL;
}

static void read_select(struct statement *statement, const char *at, const char *end)
{
	const char *bulk;

	statement->kind = STATEMENT_ROW;
	snprintf(statement->tag, sizeof statement->tag, "%s", "SELECT 1");
	if (read_select_list(at, end, statement))
		return;
	bulk = find(at, end, "bulk");
	if (bulk)
		read_bulk(statement, STATEMENT_BULK, bulk, end);
	else
		one_column(statement, "echo", next_digits(&at, end));
}

static void read_copy(struct statement *statement, const char *at, const char *end)
{
	const char *bulk = find(at, end, "bulk");

	if (find(at, end, "STDIN")) {
		statement->kind = STATEMENT_COPY_IN;
		statement->numbered = bulk != NULL;
	} else {
		read_bulk(statement, STATEMENT_COPY_OUT, bulk ? bulk : at, end);
	}
}

/* SET [SESSION | LOCAL] name { = | TO } value */
static void read_set(struct statement *statement, const char *at, const char *end)
{
	struct statement_text word = read_word(&at, end);

	statement->kind = STATEMENT_SET;
	snprintf(statement->tag, sizeof statement->tag, "%s", "SET");
	if (statement_text_is(word, "SESSION") || statement_text_is(word, "LOCAL"))
		word = read_word(&at, end);
	statement->name = word;
	at = skip_space(at, end);
	if (at < end && *at == '=')
		at++;
	else if (!statement_text_is(read_word(&at, end), "TO"))
		statement->name.len = 0; /* SET TRANSACTION and the like */
	at = skip_space(at, end);
	while (end > at && isspace((unsigned char)end[-1]))
		end--;
	if (end - at >= 2 && *at == '\'' && end[-1] == '\'') {
		at++;
		end--;
	}
	statement->value = (struct statement_text){at, (uint32_t)(end - at)};
}

static void read_forget(struct statement *statement, const char *at, const char *end)
{
	statement->kind = STATEMENT_FORGET;
	statement->name = read_word(&at, end);
	if (statement_text_is(statement->name, "PREPARE"))
		statement->name = read_word(&at, end);
	if (statement_text_is(statement->name, "ALL")) {
		statement->name.len = 0;
		memcpy(statement->tag + strlen(statement->tag), " ALL", sizeof " ALL");
	}
}

static const struct word {
	const char *word;
	enum statement_kind kind;
	const char *tag; /* NULL: the word itself */
} words[] = {
	{"BEGIN", STATEMENT_BEGIN, NULL},
	{"START", STATEMENT_BEGIN, "START TRANSACTION"},
	{"COMMIT", STATEMENT_COMMIT, NULL},
	{"END", STATEMENT_COMMIT, "COMMIT"},
	{"ROLLBACK", STATEMENT_ROLLBACK, NULL},
	{"ABORT", STATEMENT_ROLLBACK, "ROLLBACK"},
	{"INSERT", STATEMENT_OTHER, "INSERT 0 1"},
	{"UPDATE", STATEMENT_OTHER, "UPDATE 1"},
	{"DELETE", STATEMENT_OTHER, "DELETE 1"},
	{"TRUNCATE", STATEMENT_OTHER, "TRUNCATE TABLE"},
	{"FAIL", STATEMENT_FAIL, NULL},
};

static void read_other(struct statement *statement, struct statement_text word)
{
	const char *tag = NULL;

	statement->kind = STATEMENT_OTHER;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (statement_text_is(word, words[i].word)) {
			statement->kind = words[i].kind;
			tag = words[i].tag ? words[i].tag : words[i].word;
		}
	}
	if (tag) {
		snprintf(statement->tag, sizeof statement->tag, "%s", tag);
		return;
	}
	snprintf(statement->tag, sizeof statement->tag, "%.*s", word.len > 20 ? 20 : (int)word.len,
		word.at);
	for (char *c = statement->tag; *c; c++)
		*c = (char)toupper((unsigned char)*c);
}

const char *statement_read(const char *text, const char *end, struct statement *ret_statement)
{
	struct statement *statement = ret_statement;
	struct statement_text word;
	const char *at = skip_space(text, end);
	const char *next = statement_end(at, end);

	if (next < end)
		end = next++;
	while (end > at && isspace((unsigned char)end[-1]))
		end--;
	statement->kind = STATEMENT_EMPTY;
	statement->column_count = statement->parameter_count = 0;
	statement->numbered = false;
	statement->name = statement->value = (struct statement_text){0};
	statement->tag[0] = 0;
	if (at == end)
		return next;

	word = read_word(&at, end);
	if (statement_text_is(word, "SELECT")) {
		read_select(statement, at, end);
	} else if (statement_text_is(word, "BULK")) {
		read_bulk(statement, STATEMENT_BULK, at, end);
	} else if (statement_text_is(word, "COPYOUT")) {
		read_bulk(statement, STATEMENT_COPY_OUT, at, end);
	} else if (statement_text_is(word, "COPYIN")) {
		statement->kind = STATEMENT_COPY_IN;
	} else if (statement_text_is(word, "COPY")) {
		read_copy(statement, at, end);
	} else if (statement_text_is(word, "SET")) {
		read_set(statement, at, end);
	} else if (statement_text_is(word, "SHOW")) {
		statement->kind = STATEMENT_ROW;
		snprintf(statement->tag, sizeof statement->tag, "%s", "SHOW");
		one_column(statement, "setting", (struct statement_text){"on", 2});
	} else {
		read_other(statement, word);
		if (statement_text_is(word, "DISCARD") || statement_text_is(word, "DEALLOCATE"))
			read_forget(statement, at, end);
	}
	return next;
}
