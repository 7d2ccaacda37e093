/* SASLprep as PostgreSQL does it. That PostgreSQL really hashes these forms is tested with its own hashes in test_secret. */
#include "protocol/saslprep.h"

#include "core/errors.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

/* `expected` NULL: the password is used as it is. */
static void assert_prepared(const char *password, const char *expected)
{
	size_t len = strlen(password), prepared_len;
	struct saslprep_buffer *buffer = malloc(sizeof *buffer);
	char *copy = malloc(len > 0 ? len : 1);
	const char *prepared;

	memcpy(copy, password, len);
	assert_int_equal(saslprep(copy, len, buffer, &prepared, &prepared_len), 0);
	if (expected == NULL) {
		assert_ptr_equal(prepared, copy);
		assert_int_equal(prepared_len, len);
	} else {
		assert_ptr_equal(prepared, buffer->text);
		assert_int_equal(prepared_len, strlen(expected));
		assert_memory_equal(prepared, expected, prepared_len);
	}
	free(copy);
	free(buffer);
}

static void ascii_stays(void **state)
{
	(void)state;
	assert_prepared("", NULL);
	assert_prepared("user", NULL);
	assert_prepared("USER", NULL);
	assert_prepared("\a\x7F ~", NULL); /* even what RFC 4013 prohibits */
}

/* RFC 4013, section 3. */
static void examples_of_the_rfc(void **state)
{
	(void)state;
	assert_prepared("I\xC2\xADX", "IX");   /* U+00AD is mapped to nothing */
	assert_prepared("\xC2\xAA", "a");      /* U+00AA */
	assert_prepared("\xE2\x85\xA8", "IX"); /* U+2168 */
	assert_prepared(
		"\xC3\xA4\a", NULL); /* U+0007 is prohibited beside a letter that is not ASCII */
	assert_prepared("\xD8\xA7"
			"1",
		NULL); /* right-to-left text must end in such a character */
	assert_prepared("\xD8\xA7"
			"1\xD8\xA8",
		"\xD8\xA7"
		"1\xD8\xA8");
	assert_prepared("\xD8\xA7x\xD8\xA8", NULL); /* and have no left-to-right one */
}

static void text_is_mapped_and_normalised(void **state)
{
	(void)state;
	assert_prepared("e\xCC\x81", "\xC3\xA9"); /* e and U+0301 compose */
	assert_prepared("\xC3\xA9", "\xC3\xA9");
	assert_prepared("\xC2\xA0", " ");     /* no-break space */
	assert_prepared("\xE2\x80\x8B", " "); /* zero width space: a space first, nothing second */
	assert_prepared("\xE2\x84\xAB", "\xC3\x85");         /* angstrom sign */
	assert_prepared("\xF0\xAF\xA1\xA8", "\xE3\x9B\xBC"); /* U+2F868, Unicode Corrigendum 4 */
	assert_prepared("\xF0\xAF\xA4\x9F", "\xF0\xA4\x8E\xAB"); /* U+2F91F */
}

static void what_is_prohibited_is_used_raw(void **state)
{
	(void)state;
	assert_prepared("\xC2\xAD", NULL); /* nothing would be left */
	assert_prepared(
		"a\xCD\x80", NULL);        /* U+0340 is prohibited, though its normal form is not */
	assert_prepared("\xC8\xA1", NULL); /* U+0221: not assigned in Unicode 3.2 */
	assert_prepared("\xF0\x9F\x98\x80", NULL); /* U+1F600, an emoji: neither */
	assert_prepared("\xEE\x80\x80", NULL);     /* U+E000: private use */
	assert_prepared("\xEF\xBF\xBD", NULL);     /* U+FFFD */
}

static void invalid_utf8_is_used_raw(void **state)
{
	static const char *const bad[] = {"\x80", "\xC3", "\xC3(", "\xC0\x80", "\xC1\xBF",
		"\xE0\x80\x80", "\xE0\x9F\xBF", "\xE2\x82", "\xED\xA0\x80", "\xED\xBF\xBF",
		"\xF0\x8F\xBF\xBF", "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
		"\xF8\x88\x80\x80\x80", "\xFF", "e\xCC\x81\xFF", "\xC2\xAD\xE2"};

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++)
		assert_prepared(bad[i], NULL);
}

static int prepare_repeated(const char *character, size_t count, size_t *ret_len)
{
	static struct saslprep_buffer buffer;
	size_t len = strlen(character);
	char *text = malloc(len * count);
	const char *prepared;
	int rc;

	for (size_t i = 0; i < count; i++)
		memcpy(text + len * i, character, len);
	rc = saslprep(text, len * count, &buffer, &prepared, ret_len);
	free(text);
	return rc;
}

static void length_is_bounded(void **state)
{
	size_t len;

	(void)state;
	assert_int_equal(prepare_repeated("a", 100000, &len), 0); /* ASCII has no bound */
	assert_int_equal(len, 100000);
	assert_int_equal(prepare_repeated("\xFF", 100000, &len), 0); /* nor has what is used raw */
	assert_int_equal(len, 100000);
	assert_int_equal(prepare_repeated("\xC3\xA9", SASLPREP_CHARACTERS_MAX - 1, &len), 0);
	assert_int_equal(len, 2 * (SASLPREP_CHARACTERS_MAX - 1));
	assert_int_equal(prepare_repeated("\xC3\xA9", SASLPREP_CHARACTERS_MAX, &len), ERR_TOO_LONG);
	assert_int_equal(prepare_repeated("\xC3\xA9", 100000, &len), ERR_TOO_LONG);
	/* the widest four-byte characters fill the buffer */
	assert_int_equal(
		prepare_repeated("\xF0\xA0\x80\x80", SASLPREP_CHARACTERS_MAX - 1, &len), 0);
	assert_int_equal(len, 4 * (SASLPREP_CHARACTERS_MAX - 1));
	/* U+FDFA becomes 18 characters */
	assert_int_equal(prepare_repeated("\xEF\xB7\xBA", SASLPREP_CHARACTERS_MAX / 18, &len), 0);
	assert_int_equal(prepare_repeated("\xEF\xB7\xBA", SASLPREP_CHARACTERS_MAX / 18 + 1, &len),
		ERR_TOO_LONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ascii_stays),
		cmocka_unit_test(examples_of_the_rfc),
		cmocka_unit_test(text_is_mapped_and_normalised),
		cmocka_unit_test(what_is_prohibited_is_used_raw),
		cmocka_unit_test(invalid_utf8_is_used_raw),
		cmocka_unit_test(length_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
