/* Errors and notices: what is written is valid at every size, what is read is checked at every byte. */
#include "protocol/fault.h"

#include "core/errors.h"
#include "protocol/reader.h"
#include "protocol/sqlstate.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 5 };

/* Reads a message that fault_write() composed. */
static struct fault_fields read_back(const uint8_t *message, size_t len, char type)
{
	struct fault_fields fields;
	struct reader r;

	reader_init(&r, message, len);
	assert_int_equal(reader_u8(&r), type);
	assert_int_equal(reader_u32(&r), len - 1);
	assert_int_equal(fault_read(message + HEADER_BYTES, len - HEADER_BYTES, &fields), 0);
	return fields;
}

static void bytes_are_those_of_postgresql(void **state)
{
	static const char expected[] = "E\0\0\0\x3E"
				       "SFATAL\0VFATAL\0C28000\0Mno such user\0Dthe detail\0"
				       "Hthe hint\0";
	const struct fault fault = {"FATAL", SQLSTATE_INVALID_AUTHORIZATION_SPECIFICATION,
		"no such user", "the detail", "the hint"};
	uint8_t buf[256];
	size_t len = fault_write(buf, sizeof buf, 'E', &fault);

	(void)state;
	assert_int_equal(len, sizeof expected); /* the literal's own NUL is the terminator */
	assert_memory_equal(buf, expected, len);
}

static void round_trip(void **state)
{
	const struct fault whole = {
		"ERROR", SQLSTATE_SYSTEM_ERROR, "checkout timeout", "a detail", "a hint"};
	const struct fault bare = {"WARNING", SQLSTATE_WARNING, "", NULL, NULL};
	struct fault_fields fields;
	uint8_t buf[512];

	(void)state;
	fields = read_back(buf, fault_write(buf, sizeof buf, 'E', &whole), 'E');
	assert_string_equal(fields.severity, "ERROR");
	assert_string_equal(fields.severity_plain, "ERROR");
	assert_string_equal(fields.sqlstate, "58000");
	assert_string_equal(fields.message, "checkout timeout");
	assert_string_equal(fields.detail, "a detail");
	assert_string_equal(fields.hint, "a hint");
	assert_null(fields.where);

	fields = read_back(buf, fault_write(buf, sizeof buf, 'N', &bare), 'N');
	assert_string_equal(fields.severity, "WARNING");
	assert_string_equal(fields.message, "");
	assert_null(fields.detail);
	assert_null(fields.hint);
}

/* Whether `text` is a beginning of `whole` that does not end inside of a UTF-8 character. */
static void assert_cut_well(const char *text, const char *whole)
{
	size_t len = strlen(text);

	assert_memory_equal(text, whole, len);
	assert_true((whole[len] & 0xC0) != 0x80);
}

static void every_size_is_valid(void **state)
{
	/* characters of one to four bytes */
	static const char text[] = "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x90\x98"
				   "b\xC3\xB6\xE2\x82\xAC\xF0\x9F\x90\x98";
	const struct fault fault = {
		"a severity beyond any that exists", "not one", text, text, text};
	size_t whole;
	uint8_t large[512];

	(void)state;
	whole = fault_write(large, sizeof large, 'E', &fault);
	for (size_t cap = FAULT_BYTES_MIN; cap <= whole; cap++) {
		uint8_t *buf = malloc(cap);
		size_t len = fault_write(buf, cap, 'E', &fault);
		struct fault_fields fields;

		assert_true(len <= cap);
		assert_true(
			len + 3 + 3 >= cap); /* wastes at most a cut character or a field's frame */
		fields = read_back(buf, len, 'E');
		assert_string_equal(fields.sqlstate, "XX000");
		assert_int_equal(strlen(fields.severity), 15);
		assert_cut_well(fields.message, text);
		if (fields.detail != NULL) {
			assert_string_equal(
				fields.message, text); /* the detail never takes from it */
			assert_cut_well(fields.detail, text);
		}
		if (fields.hint != NULL) {
			assert_string_equal(fields.detail, text);
			assert_cut_well(fields.hint, text);
		}
		if (cap == whole)
			assert_string_equal(fields.hint, text);
		free(buf);
	}
}

static void long_texts_are_cut(void **state)
{
	char text[5000];
	const struct fault fault = {"ERROR", SQLSTATE_INTERNAL_ERROR, text, text, NULL};
	struct fault_fields fields;
	uint8_t buf[256];

	(void)state;
	memset(text, '\x80', sizeof text); /* not UTF-8 at all */
	text[sizeof text - 1] = '\0';
	fields = read_back(buf, fault_write(buf, sizeof buf, 'E', &fault), 'E');
	assert_in_range(strlen(fields.message), 200, 256);
	assert_null(fields.detail);
}

static const char every_field[] =
	"SERREUR\0VERROR\0C42601\0Mm\0Dd\0Hh\0P1\0p2\0qselect\0Ww\0ss\0tt\0"
	"cc\0dd\0nn\0Ff.c\0L12\0Rr\0?unknown\0";

static void all_fields_are_read(void **state)
{
	struct fault_fields f;

	(void)state;
	assert_int_equal(fault_read(every_field, sizeof every_field, &f), 0);
	assert_string_equal(f.severity, "ERREUR");
	assert_string_equal(f.severity_plain, "ERROR");
	assert_string_equal(f.sqlstate, "42601");
	assert_string_equal(f.message, "m");
	assert_string_equal(f.detail, "d");
	assert_string_equal(f.hint, "h");
	assert_string_equal(f.position, "1");
	assert_string_equal(f.internal_position, "2");
	assert_string_equal(f.internal_query, "select");
	assert_string_equal(f.where, "w");
	assert_string_equal(f.schema, "s");
	assert_string_equal(f.table, "t");
	assert_string_equal(f.column, "c");
	assert_string_equal(f.data_type, "d");
	assert_string_equal(f.constraint, "n");
	assert_string_equal(f.file, "f.c");
	assert_string_equal(f.line, "12");
	assert_string_equal(f.routine, "r");
}

static void every_truncation_is_bad(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof every_field; len++) {
		char *body = malloc(len > 0 ? len : 1);
		struct fault_fields fields = {.message = "untouched"};

		memcpy(body, every_field, len);
		assert_int_equal(fault_read(body, len, &fields), ERR_PROTOCOL);
		assert_string_equal(fields.message, "untouched");
		free(body);
	}
}

static void malformed_is_bad(void **state)
{
	struct fault_fields fields;

	(void)state;
	assert_int_equal(fault_read("Mx\0\0more", 8, &fields), ERR_PROTOCOL);
	assert_int_equal(fault_read("C4260\0", 7, &fields), ERR_PROTOCOL);
	assert_int_equal(fault_read("C426011\0", 9, &fields), ERR_PROTOCOL);
	assert_int_equal(fault_read("C4260a\0", 8, &fields), ERR_PROTOCOL);
}

static void absent_fields_have_stand_ins(void **state)
{
	struct fault_fields fields;

	(void)state;
	assert_int_equal(fault_read("", 1, &fields), 0);
	assert_string_equal(fields.severity, "ERROR");
	assert_string_equal(fields.sqlstate, "XX000");
	assert_string_equal(fields.message, "");
	assert_null(fields.severity_plain);
}

static void an_error_is_told_in_other_words(void **state)
{
	static const char body[] = "SERROR\0VERROR\0C42P05\0Mold text\0P12\0Xunknown\0Rroutine\0",
			  moved[] = "SERROR\0VERROR\0C42P05\0Mnew\0P1234567\0Xunknown\0Rroutine\0",
			  placeless[] = "SERROR\0VERROR\0C42P05\0Mold text\0Xunknown\0Rroutine\0";
	uint8_t message[sizeof body + 3 + FAULT_REWRITE_MORE];
	size_t len;

	(void)state;
	len = fault_rewrite(message, sizeof message, body, sizeof body, "new", 1234567);
	assert_int_equal(len, 5 + sizeof moved);
	assert_int_equal(message[0], 'E');
	assert_int_equal(message[4], 4 + sizeof moved);
	assert_memory_equal(message + 5, moved, sizeof moved);
	len = fault_rewrite(message, sizeof message, body, sizeof body, "old text", 0);
	assert_int_equal(len, 5 + sizeof placeless);
	assert_memory_equal(message + 5, placeless, sizeof placeless);
}

static void sqlstates_are_well_formed_and_unique(void **state)
{
	const char *name, *code, *meaning, *other_name, *other_code;
	unsigned rows = 0;

	(void)state;
	for (; sqlstate_row(rows, &name, &code, &meaning); rows++) {
		assert_true(sqlstate_is_valid(code));
		assert_string_equal(sqlstate_meaning(code), meaning);
		for (unsigned i = 0; i < rows; i++) {
			assert_true(sqlstate_row(i, &other_name, &other_code, &meaning));
			assert_string_not_equal(name, other_name);
			assert_string_not_equal(code, other_code);
		}
	}
	assert_true(rows > 20);
	assert_string_equal(SQLSTATE_PROTOCOL_VIOLATION, "08P01");
	assert_null(sqlstate_meaning("ZZZZZ"));
	assert_false(sqlstate_is_valid(""));
	assert_false(sqlstate_is_valid("08p01"));
	assert_false(sqlstate_is_valid("08P011"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_those_of_postgresql),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(every_size_is_valid),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(all_fields_are_read),
		cmocka_unit_test(every_truncation_is_bad),
		cmocka_unit_test(malformed_is_bad),
		cmocka_unit_test(absent_fields_have_stand_ins),
		cmocka_unit_test(an_error_is_told_in_other_words),
		cmocka_unit_test(sqlstates_are_well_formed_and_unique),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
