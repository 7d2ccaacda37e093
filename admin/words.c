/* Taking console commands apart. */
#include "admin/words.h"

#include <ctype.h>
#include <string.h>

static bool words_is_blank(char c)
{
	return isspace((unsigned char)c) || c == '\0';
}

/* Behind the comment that begins at `at`, or `at`. One in stars may hold others, as PostgreSQL's. */
static const char *words_comment(const char *at, struct words *words)
{
	unsigned depth = 0;

	if (at[0] == '-' && at[1] == '-')
		return at + strcspn(at, "\n");
	if (at[0] != '/' || at[1] != '*')
		return at;
	do {
		if (at[0] == '/' && at[1] == '*') {
			depth++;
			at += 2;
		} else if (at[0] == '*' && at[1] == '/') {
			depth--;
			at += 2;
		} else if (*at) {
			at++;
		} else {
			words->is_bad = true;
			return at;
		}
	} while (depth > 0);
	return at;
}

/* Where the next word or semicolon stands. */
static const char *words_skip(const char *at, struct words *words)
{
	const char *before;

	do {
		before = at;
		while (*at && (words_is_blank(*at) || (*at == ';' && words->count == 0)))
			at++;
		at = words_comment(at, words);
	} while (at != before);
	return at;
}

/* One byte more of the present word. */
static void words_add(struct words *words, unsigned *len, char c)
{
	if (words->count < WORDS_MAX) {
		if (*len + 1 < LIMIT_NAME_BYTES)
			words->word[words->count][(*len)++] = c;
		else
			words->is_bad = true;
	}
}

/* A quoted word, or part of one. Returns what follows the closing quote. */
static const char *words_quoted(const char *at, struct words *words, unsigned *len)
{
	char quote = *at++;

	for (; *at; at++) {
		if (*at == quote && at[1] == quote)
			at++;
		else if (*at == quote)
			return at + 1;
		words_add(words, len, *at);
	}
	words->is_bad = true;
	return at;
}

static const char *words_word(const char *at, struct words *words)
{
	unsigned len = 0;

	if (*at == '=') {
		words_add(words, &len, *at++);
	} else if (*at == '"' || *at == '\'') {
		at = words_quoted(at, words, &len);
	} else {
		for (; !words_is_blank(*at) && *at != ';' && *at != '=' &&
			(at[0] != '/' || at[1] != '*');
			at++)
			words_add(words, &len, *at);
	}
	words->count++;
	return at;
}

const char *words_next(const char *text, struct words *ret_words)
{
	memset(ret_words, 0, sizeof *ret_words);
	for (;;) {
		text = words_skip(text, ret_words);
		if (*text == '\0' || *text == ';')
			return text;
		text = words_word(text, ret_words);
	}
}

const char *words_quote(const char *text, char *ret_text, int size)
{
	struct words words;
	const char *end;
	int len;

	while (words_is_blank(*text) || *text == ';') {
		if (*text == '\0')
			break;
		text++;
	}
	end = words_next(text, &words);
	while (end > text && (words_is_blank(end[-1]) || end[-1] == ';'))
		end--;
	len = end - text < size ? (int)(end - text) : size - 1;
	if (text + len < end)
		while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
			len--;
	memcpy(ret_text, text, (size_t)len);
	ret_text[len] = '\0';
	return ret_text;
}
