/* The console's commands are taken apart as people mean them. */
#include "admin/words.h"

#include "core/check.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static void assert_words(const char *text, unsigned count, const char *const *expected)
{
	struct words words;

	(void)words_next(text, &words);
	assert_int_equal(words.count, count);
	assert_false(words.is_bad);
	for (unsigned i = 0; i < WORDS_MAX; i++)
		assert_string_equal(words.word[i], i < count ? expected[i] : "");
}

#define WORDS(text, ...) \
	do { \
		static const char *const expected_[] = {__VA_ARGS__}; \
		assert_words(text, array_len(expected_), expected_); \
	} while (0)

static void words_are_found(void **state)
{
	(void)state;
	assert_words("", 0, NULL);
	assert_words(" ;\n; ", 0, NULL);
	WORDS("PAUSE", "PAUSE");
	WORDS("\t pause  shop ;", "pause", "shop");
	WORDS("pause \"my \"\"own\"\" db;\"", "pause", "my \"own\" db;");
	WORDS("set a=b", "set", "a", "=", "b");
	WORDS("SET key = 'it''s; so'", "SET", "key", "=", "it's; so");
	WORDS("kill '' x", "kill", "", "x");
	WORDS("; ; show a;show b", "show", "a");
	assert_words("-- a\n;/* b; */", 0, NULL);
	WORDS("-- a\n-- b\n show -- c", "show");
	WORDS("/* a /* b */ c */show/**/x/* ; */ y", "show", "x", "y");
	WORDS("pause a--b a-b \"/*c*/\" '--d'", "pause", "a--b", "a-b", "/*c*/", "--d");
	WORDS("a / * - -", "a", "/", "*", "-", "-");
}

static void statements_follow_each_other(void **state)
{
	const char *at = " a 1;; \"b;\" ;c";
	struct words words;
	static const char *const firsts[] = {"a", "b;", "c"};

	(void)state;
	for (size_t i = 0; i < array_len(firsts); i++) {
		at = words_next(at, &words);
		assert_string_equal(words.word[0], firsts[i]);
	}
	at = words_next(at, &words);
	assert_int_equal(words.count, 0);
	assert_int_equal(*at, '\0');
}

static void what_is_wrong_is_bad(void **state)
{
	static const char *const texts[] = {"pause \"db", "set x = 'y", "kill \"\"\"",
		"pause 0123456789012345678901234567890123456789012345678901234567890123"};
	struct words words;

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		(void)words_next(texts[i], &words);
		assert_true(words.is_bad);
	}
	(void)words_next(
		"pause 012345678901234567890123456789012345678901234567890123456789012", &words);
	assert_false(words.is_bad);
	assert_int_equal(strlen(words.word[1]), 63);
}

static void more_words_are_only_counted(void **state)
{
	struct words words;

	(void)state;
	(void)words_next("a b c d e f g h", &words);
	assert_int_equal(words.count, 8);
	assert_string_equal(words.word[WORDS_MAX - 1], "f");
}

static void quotes_are_whole_characters(void **state)
{
	char text[8];

	(void)state;
	assert_string_equal(words_quote(" ; a b ; c", text, sizeof text), "a b");
	assert_string_equal(words_quote("", text, sizeof text), "");
	assert_string_equal(words_quote("abcdefghij", text, sizeof text), "abcdefg");
	assert_string_equal(
		words_quote("abcde\xC3\xA4\xC3\xA4", text, sizeof text), "abcde\xC3\xA4");
	assert_string_equal(words_quote("abcdef\xC3\xA4", text, sizeof text), "abcdef");
	assert_string_equal(words_quote("abcd\xE2\x82\xACx\xE2\x82\xAC", text, sizeof text),
		"abcd\xE2\x82\xAC");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_found),
		cmocka_unit_test(statements_follow_each_other),
		cmocka_unit_test(what_is_wrong_is_bad),
		cmocka_unit_test(more_words_are_only_counted),
		cmocka_unit_test(quotes_are_whole_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
