/* words: the console's language: statements with semicolons between, each a few words.
 *
 * A word is what stands between blanks; in "double quotes" (names) or 'single quotes' (values) it may hold anything, a quote
 * being written twice. `=` outside of quotes is a word of its own. Comments are blanks; one with dashes begins only where a word
 * could, for the sake of names. Pure; memory: the caller's.
 */
#ifndef PGRING_ADMIN_WORDS_H
#define PGRING_ADMIN_WORDS_H

#include "core/limits.h"

#include <stdbool.h>

enum { WORDS_MAX = 6 };

struct words {
	char word[WORDS_MAX][LIMIT_NAME_BYTES]; /* those that there are not are "" */
	unsigned count; /* also of those behind WORDS_MAX, which are not kept */
	bool is_bad;    /* a word is too long, or a quote or comment is not closed */
};

/* Takes the first statement of `text` apart, empty ones left out; count is 0 if there is none. Returns what follows it. */
const char *words_next(const char *text, struct words *ret_words);

/* Copies at most `size` - 1 bytes of the first statement of `text`, its blanks at both ends left out, and no part of a UTF-8
 * character: for messages. Returns `ret_text`. */
const char *words_quote(const char *text, char *ret_text, int size);

#endif
