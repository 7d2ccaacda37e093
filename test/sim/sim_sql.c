/* Statements and rows. */
#include "test/sim/sim_sql.h"

#include "core/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *word, *tag;
	bool has_rows;
} verbs[] = {
	[SIM_ROWS] = {"SELECT", "SELECT", true},
	[SIM_SLEEP] = {"SLEEP", "SELECT", true},
	[SIM_SHOW] = {"SHOW", "SHOW", true},
	[SIM_SET] = {"SET mine", "SET", false},
	[SIM_SET_NAME] = {"SET name", "SET", false},
	[SIM_FAIL] = {"FAIL", "FAIL", false},
	[SIM_NOTICE] = {"NOTICE", "NOTICE", false},
	[SIM_BEGIN] = {"BEGIN", "BEGIN", false},
	[SIM_COMMIT] = {"COMMIT", "COMMIT", false},
	[SIM_SAVEPOINT] = {"SAVEPOINT", "SAVEPOINT", false},
	[SIM_ROLLBACK_TO] = {"ROLLBACK TO", "ROLLBACK", false},
	[SIM_RELEASE] = {"RELEASE", "RELEASE", false},
	[SIM_ROLLBACK] = {"ROLLBACK", "ROLLBACK", false},
	[SIM_COPY_IN] = {"COPY in", "COPY", false},
	[SIM_COPY_OUT] = {"COPY out", "COPY", false},
	[SIM_FUNCTION] = {"FUNCTION", "FUNCTION", false},
	[SIM_LISTEN] = {"LISTEN", "LISTEN", false},
	[SIM_UNLISTEN_ALL] = {"UNLISTEN *", "UNLISTEN", false},
	[SIM_UNLISTEN] = {"UNLISTEN", "UNLISTEN", false},
	[SIM_NOTIFY] = {"NOTIFY", "NOTIFY", false},
};

void sim_sql_format(struct sim_bytes *target, const struct sim_statement *statement)
{
	char text[128];
	int len = snprintf(text, sizeof text,
		statement->verb == SIM_ROLLBACK
			? "/*C%u.%u*/ %s /*%u %u %u:" /* the pooler knows it */
			: "/*C%u.%u*/ %s %u %u /*%u:",
		statement->client, statement->seq, verbs[statement->verb].word, statement->a,
		statement->b, statement->pad);

	sim_bytes_add(target, text, (size_t)len);
	for (unsigned i = 0; i < statement->pad; i++)
		sim_bytes_add(target, &"abcdefghijklmnopqrstuvwxyz"[(statement->seq + i) % 26], 1);
	sim_bytes_add(target, "*/;", 3);
}

/* Reads "word number", advancing *at. */
static bool sql_number(const char **at, const char *end, unsigned *ret)
{
	const char *start = *at;
	unsigned value = 0;

	while (*at < end && **at >= '0' && **at <= '9')
		value = value * 10 + (unsigned)(*(*at)++ - '0');
	*ret = value;
	return *at > start;
}

static bool sql_word(const char **at, const char *end, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(end - *at) < len || memcmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool sql_tag(const char **at, const char *end, unsigned *ret_client, unsigned *ret_seq)
{
	return sql_word(at, end, "C") && sql_number(at, end, ret_client) &&
		sql_word(at, end, ".") && sql_number(at, end, ret_seq);
}

bool sim_sql_parse_tag(const char *text, size_t len, unsigned *ret_client, unsigned *ret_seq)
{
	return sql_tag(&text, text + len, ret_client, ret_seq);
}

bool sim_sql_parse(const char *text, size_t len, struct sim_statement *ret, size_t *ret_used)
{
	const char *at = text, *end = text + len;

	if (!sql_word(&at, end, "/*") || !sql_tag(&at, end, &ret->client, &ret->seq) ||
		!sql_word(&at, end, "*/ "))
		return false;
	for (int verb = 0; verb < SIM_VERB_COUNT; verb++) {
		if (!sql_word(&at, end, verbs[verb].word))
			continue;
		ret->verb = (enum sim_verb)verb;
		if (!sql_word(&at, end, verb == SIM_ROLLBACK ? " /*" : " ") ||
			!sql_number(&at, end, &ret->a) || !sql_word(&at, end, " ") ||
			!sql_number(&at, end, &ret->b) ||
			!sql_word(&at, end, verb == SIM_ROLLBACK ? " " : " /*") ||
			!sql_number(&at, end, &ret->pad) || !sql_word(&at, end, ":"))
			return false;
		if ((size_t)(end - at) < (size_t)ret->pad + 3)
			return false;
		for (unsigned i = 0; i < ret->pad; i++)
			if (at[i] != "abcdefghijklmnopqrstuvwxyz"[(ret->seq + i) % 26])
				return false;
		at += ret->pad;
		if (!sql_word(&at, end, "*/;"))
			return false;
		*ret_used = (size_t)(at - text);
		return true;
	}
	return false;
}

bool sim_sql_has_rows(enum sim_verb verb)
{
	return verbs[verb].has_rows;
}

bool sim_sql_listens(enum sim_verb verb)
{
	return verb == SIM_LISTEN || verb == SIM_UNLISTEN || verb == SIM_UNLISTEN_ALL;
}

bool sim_sql_exits(enum sim_verb verb)
{
	return verb == SIM_COMMIT || verb == SIM_ROLLBACK || verb == SIM_ROLLBACK_TO;
}

const char *sim_sql_tag(enum sim_verb verb)
{
	return verbs[verb].tag;
}

static uint8_t row_byte(unsigned client, unsigned seq, unsigned row, unsigned i)
{
	return (uint8_t)(' ' + (client * 31 + seq * 7 + row * 3 + i) % 90);
}

static unsigned row_head(char head[SIM_ROW_LEAST], unsigned client, unsigned seq, unsigned row)
{
	return (unsigned)snprintf(head, SIM_ROW_LEAST, "C%u.%u.%u:", client, seq, row);
}

void sim_sql_row(
	struct sim_bytes *target, unsigned client, unsigned seq, unsigned row, unsigned len)
{
	char head[SIM_ROW_LEAST];
	unsigned head_len = row_head(head, client, seq, row);

	CHECK(len >= SIM_ROW_LEAST);
	sim_bytes_add(target, head, head_len);
	for (unsigned i = head_len; i < len; i++) {
		uint8_t byte = row_byte(client, seq, row, i);

		sim_bytes_add(target, &byte, 1);
	}
}

bool sim_sql_row_is(const uint8_t *at, size_t len, unsigned client, unsigned seq, unsigned row)
{
	char head[SIM_ROW_LEAST];
	unsigned head_len = row_head(head, client, seq, row);

	if (len < head_len || memcmp(at, head, head_len) != 0)
		return false;
	for (unsigned i = head_len; i < len; i++)
		if (at[i] != row_byte(client, seq, row, i))
			return false;
	return true;
}
