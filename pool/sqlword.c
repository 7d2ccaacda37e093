/* One step over a text at a time. */
#include "pool/sqlword.h"

#include <string.h>
#include <strings.h>

static const uint8_t *sqlword_skip_line(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != '\n' && *at != '\r')
		at++;
	return at;
}

/* These nest. */
static const uint8_t *sqlword_skip_block(const uint8_t *at, const uint8_t *end)
{
	unsigned depth = 0;

	while (at < end) {
		if (end - at >= 2 && at[0] == '/' && at[1] == '*') {
			depth++;
			at += 2;
		} else if (end - at >= 2 && at[0] == '*' && at[1] == '/') {
			at += 2;
			if (--depth == 0)
				break;
		} else {
			at++;
		}
	}
	return at;
}

const uint8_t *sqlword_skip_comment(const uint8_t *at, const uint8_t *end)
{
	if (end - at < 2)
		return at;
	if (at[0] == '-' && at[1] == '-')
		return sqlword_skip_line(at, end);
	return at[0] == '/' && at[1] == '*' ? sqlword_skip_block(at, end) : at;
}

const uint8_t *sqlword_skip_quoted(const uint8_t *at, const uint8_t *end)
{
	uint8_t quote = *at;

	for (at++; at < end; at++)
		if (*at == quote)
			return at + 1;
	return end;
}

const uint8_t *sqlword_skip_dollars(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *tag = at, *body = at + 1;

	while (body < end && *body != '$' && sqlword_is_part(*body))
		body++;
	if (body == end || *body != '$' || sqlword_is_digit(tag[1]))
		return at + 1;
	body++;
	for (at = body; end - at >= body - tag; at++)
		if (*at == '$' && memcmp(at, tag, (size_t)(body - tag)) == 0)
			return at + (body - tag);
	return end;
}

const uint8_t *sqlword_skip_token(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *behind = sqlword_skip_comment(at, end);

	if (behind != at)
		return behind;
	if (*at == '\'' || *at == '"')
		return sqlword_skip_quoted(at, end);
	if (*at == '$')
		return sqlword_skip_dollars(at, end);
	if (!sqlword_is_start(*at))
		return at + 1;
	while (at < end && sqlword_is_part(*at))
		at++;
	return at;
}

void sqlword_skip_blanks(struct sqlword_text *text)
{
	for (;;) {
		const uint8_t *next;

		while (text->at < text->end && sqlword_is_blank(*text->at))
			text->at++;
		next = sqlword_skip_comment(text->at, text->end);
		if (next == text->at)
			return;
		text->at = next;
	}
}

void sqlword_skip_separators(struct sqlword_text *text)
{
	do
		sqlword_skip_blanks(text);
	while (text->at < text->end && *text->at == ';' && text->at++);
}

struct sqlword sqlword_next(struct sqlword_text *text)
{
	struct sqlword word = {text->at, 0};

	if (text->at < text->end && sqlword_is_start(*text->at))
		while (text->at < text->end && sqlword_is_part(*text->at))
			text->at++;
	word.len = (size_t)(text->at - word.at);
	return word;
}

bool sqlword_is(struct sqlword word, const char *other)
{
	return word.len == strlen(other) && sqlword_begins(word, other);
}

bool sqlword_begins(struct sqlword word, const char *other)
{
	size_t len = strlen(other);

	return word.len >= len && strncasecmp((const char *)word.at, other, len) == 0;
}

bool sqlword_take(struct sqlword_text *text, const char *words)
{
	struct sqlword_text ahead = *text;

	while (*words) {
		size_t len = strcspn(words, " ");
		struct sqlword word;

		sqlword_skip_blanks(&ahead);
		word = sqlword_next(&ahead);
		if (word.len != len || strncasecmp((const char *)word.at, words, len) != 0)
			return false;
		words += len;
		words += *words == ' ';
	}
	*text = ahead;
	return true;
}
