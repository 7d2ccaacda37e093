/* sqlword: words, blanks, comments and literals of SQL text. Pure; it does not parse SQL.
 *
 * Keywords are compared without regard to case. A text may end anywhere.
 * Source: PostgreSQL manual, "Lexical Structure".
 */
#ifndef PGRING_POOL_SQLWORD_H
#define PGRING_POOL_SQLWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is still to be read of a text. */
struct sqlword_text {
	const uint8_t *at, *end;
};

/* Borrowed from the text. */
struct sqlword {
	const uint8_t *at;
	size_t len;
};

static inline bool sqlword_is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool sqlword_is_digit(uint8_t c)
{
	return (uint8_t)(c - '0') < 10;
}

/* What a word begins with, and what it goes on with. */
static inline bool sqlword_is_start(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26 || c == '_' || c >= 0x80;
}

static inline bool sqlword_is_part(uint8_t c)
{
	return sqlword_is_start(c) || sqlword_is_digit(c) || c == '$';
}

/* Behind a comment that begins here, or where it is. */
const uint8_t *sqlword_skip_comment(const uint8_t *at, const uint8_t *end);
/* Behind the next quote of the kind that stands here. Whether a backslash escapes it depends on a setting: it does not here. */
const uint8_t *sqlword_skip_quoted(const uint8_t *at, const uint8_t *end);
/* Behind the dollar-quoted literal that begins here, or behind the dollar. */
const uint8_t *sqlword_skip_dollars(const uint8_t *at, const uint8_t *end);

/* Behind the comment, literal, name, word or single character that begins here; there must be one. */
const uint8_t *sqlword_skip_token(const uint8_t *at, const uint8_t *end);

/* Behind blanks and comments. */
void sqlword_skip_blanks(struct sqlword_text *text);
/* Behind blanks, comments and semicolons. */
void sqlword_skip_separators(struct sqlword_text *text);

/* Takes the word that stands here, of no length if there is none. */
struct sqlword sqlword_next(struct sqlword_text *text);
bool sqlword_is(struct sqlword word, const char *other);
bool sqlword_begins(struct sqlword word, const char *other);
/* Takes these words, separated by one space, if they come next. */
bool sqlword_take(struct sqlword_text *text, const char *words);

#endif
