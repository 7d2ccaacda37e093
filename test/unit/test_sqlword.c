/* Words, blanks, comments and literals; also where the text ends in the middle of one. */
#include "pool/sqlword.h"

#include "core/check.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

/* What is left of the text behind what `behind` skips; in a block of its own, so that a sanitizer sees who reads too far. */
static size_t left(const char *string, const uint8_t *(*behind)(const uint8_t *, const uint8_t *))
{
	size_t len = strlen(string), count;
	uint8_t *copy = malloc(len);
	const uint8_t *at;

	memcpy(copy, string, len);
	at = behind(copy, copy + len);
	assert_in_range(at - copy, 0, len);
	count = (size_t)(copy + len - at);
	free(copy);
	return count;
}

static void comments_and_literals(void **state)
{
	(void)state;
	assert_int_equal(left("-- a\nb", sqlword_skip_comment), 2);
	assert_int_equal(left("--", sqlword_skip_comment), 0);
	assert_int_equal(left("-", sqlword_skip_comment), 1);
	assert_int_equal(left("a--", sqlword_skip_comment), 3);
	assert_int_equal(left("/**/a", sqlword_skip_comment), 1);
	assert_int_equal(left("/*/ a", sqlword_skip_comment), 0);
	assert_int_equal(left("/* /* */ a */bc", sqlword_skip_comment), 2);
	assert_int_equal(left("/* /* */", sqlword_skip_comment), 0);
	assert_int_equal(left("/*", sqlword_skip_comment), 0);
	assert_int_equal(left("/", sqlword_skip_comment), 1);
	assert_int_equal(left("'a\"b'c", sqlword_skip_quoted), 1);
	assert_int_equal(left("\"a'b\"", sqlword_skip_quoted), 0);
	assert_int_equal(left("'", sqlword_skip_quoted), 0);
	assert_int_equal(left("'a\\'b", sqlword_skip_quoted), 1);
	assert_int_equal(left("$$a$$b", sqlword_skip_dollars), 1);
	assert_int_equal(left("$a$ $$ $b$ $a$bc", sqlword_skip_dollars), 2);
	assert_int_equal(left("$a$ $a", sqlword_skip_dollars), 0);
	assert_int_equal(left("$1$1$", sqlword_skip_dollars), 4);
	assert_int_equal(left("$", sqlword_skip_dollars), 0);
}

static bool takes(const char *string, const char *words, const char *rest)
{
	const uint8_t *bytes = (const uint8_t *)string;
	struct sqlword_text text = {bytes, bytes + strlen(string)};
	bool is_taken = sqlword_take(&text, words);

	assert_string_equal((const char *)text.at, rest);
	return is_taken;
}

static void words(void **state)
{
	(void)state;
	assert_true(takes("BEGIN", "BEGIN", ""));
	assert_true(takes(" /* a */ read--\n\tOnly;", "READ ONLY", ";"));
	assert_false(takes(" read", "READ ONLY", " read"));
	assert_false(takes("readonly", "READ ONLY", "readonly"));
	assert_false(takes("BEGINS", "BEGIN", "BEGINS"));
	assert_false(takes("begin$", "BEGIN", "begin$"));
	assert_false(takes("begin\xc3\xa4", "BEGIN", "begin\xc3\xa4"));
	assert_false(takes("", "BEGIN", ""));
	assert_true(sqlword_begins((struct sqlword){(const uint8_t *)"PG_TRY_x", 8}, "pg_try"));
	assert_false(sqlword_begins((struct sqlword){(const uint8_t *)"PG_TRY_x", 3}, "pg_try"));
	assert_false(sqlword_is((struct sqlword){(const uint8_t *)"SETS", 4}, "SET"));
}

static void separators(void **state)
{
	const uint8_t *bytes = (const uint8_t *)" ;/*;*/; ; -- ;\n;a;";
	struct sqlword_text text = {bytes, bytes + strlen((const char *)bytes)};

	(void)state;
	sqlword_skip_separators(&text);
	assert_string_equal((const char *)text.at, "a;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comments_and_literals),
		cmocka_unit_test(words),
		cmocka_unit_test(separators),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
