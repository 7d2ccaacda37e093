/* A result that is composed is the result that a client reads. */
#include "admin/rows.h"

#include "core/check.h"
#include "protocol/frame.h"
#include "protocol/reader.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next message of a result: its type, and a reader over its body. */
static uint8_t next_message(const struct rows *rows, size_t *at, struct reader *ret_body)
{
	struct frame frame = {0};

	assert_int_equal(frame_read(frame_from_server, rows->bytes + *at, rows->len - *at, &frame),
		FRAME_DONE);
	assert_true(frame.bytes <= rows->len - *at);
	reader_init(ret_body, rows->bytes + *at + FRAME_HEAD, frame.bytes - FRAME_HEAD);
	*at += frame.bytes;
	return frame.type;
}

/* The next cell is this text, or null. */
static void assert_cell(struct reader *row, const char *expected)
{
	int32_t len = reader_i32(row);

	if (!expected) {
		assert_int_equal(len, -1);
		return;
	}
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(reader_bytes(row, (size_t)len), expected, (size_t)len);
}

static void columns_are_described(void **state)
{
	static const struct rows_column columns[] = {{"name", ROWS_TEXT}, {"", ROWS_INT4},
		{"h\xC3\xA4", ROWS_INT8}, {"avg", ROWS_NUMERIC}};
	static const uint32_t oids[] = {25, 23, 20, 1700}; /* pg_type.dat */
	static const int16_t widths[] = {-1, 4, 8, -1};
	struct rows rows = {0};
	struct reader body;
	size_t at = 0;

	(void)state;
	rows_columns(&rows, columns, array_len(columns));
	assert_int_equal(next_message(&rows, &at, &body), 'T');
	assert_int_equal(reader_u16(&body), array_len(columns));
	for (size_t i = 0; i < array_len(columns); i++) {
		assert_string_equal(reader_cstring(&body), columns[i].name);
		assert_int_equal(reader_u32(&body), 0);
		assert_int_equal(reader_u16(&body), 0);
		assert_int_equal(reader_u32(&body), oids[i]);
		assert_int_equal((int16_t)reader_u16(&body), widths[i]);
		assert_int_equal(reader_i32(&body), -1);
		assert_int_equal(reader_u16(&body), 0);
	}
	assert_true(reader_done(&body));
	assert_int_equal(at, rows.len);
	rows_clear(&rows);
}

/* One row with one cell in binary: what stands in it. */
static void assert_binary(
	enum rows_type type, int64_t number, unsigned scale, const char *bytes, size_t len)
{
	static const uint8_t binary[] = {1};
	const struct rows_column column = {"x", type};
	struct rows rows = {.is_bare = true, .formats = {binary, 1}};
	struct reader body;
	size_t at = 0;

	rows_columns(&rows, &column, 1);
	rows_begin(&rows);
	if (scale > 0)
		rows_decimal(&rows, number, scale);
	else if (type == ROWS_BOOL)
		rows_bool(&rows, number != 0);
	else
		rows_number(&rows, number);
	rows_end(&rows);
	assert_int_equal(next_message(&rows, &at, &body), 'D');
	assert_int_equal(at, rows.len);
	assert_int_equal(reader_u16(&body), 1);
	assert_int_equal(reader_i32(&body), len);
	assert_memory_equal(reader_bytes(&body, len), bytes, len);
	assert_true(reader_done(&body));
	rows_clear(&rows);
}

#define BINARY(type, number, scale, bytes) \
	assert_binary(type, number, scale, bytes, sizeof bytes - 1)

/* Expected bytes as PostgreSQL sends them: SELECT encode(numeric_send(...), 'hex'). */
static void binary_cells_are_postgresqls(void **state)
{
	(void)state;
	BINARY(ROWS_INT4, 258, 0, "\0\0\1\2");
	BINARY(ROWS_INT4, -1, 0, "\377\377\377\377");
	BINARY(ROWS_INT4, INT64_MAX, 0, "\177\377\377\377");
	BINARY(ROWS_INT8, INT64_MIN, 0, "\200\0\0\0\0\0\0\0");
	BINARY(ROWS_INT8, 1, 0, "\0\0\0\0\0\0\0\1");
	BINARY(ROWS_BOOL, 1, 0, "\1");
	BINARY(ROWS_BOOL, 0, 0, "\0");
	BINARY(ROWS_TEXT, 42, 0, "42");
	BINARY(ROWS_NUMERIC, 0, 0, "\0\0\0\0\0\0\0\0");
	BINARY(ROWS_NUMERIC, 7, 0, "\0\1\0\0\0\0\0\0\0\7");
	BINARY(ROWS_NUMERIC, -12345, 0, "\0\2\0\1\100\0\0\0\0\1\011\051");
	BINARY(ROWS_NUMERIC, 123, 1, "\0\2\0\0\0\0\0\1\0\014\013\270"); /* 12.3 */
	BINARY(ROWS_NUMERIC, 5, 1, "\0\1\377\377\0\0\0\1\023\210");     /* 0.5 */
	BINARY(ROWS_NUMERIC, 1, 4, "\0\1\377\377\0\0\0\4\0\1");         /* 0.0001 */
	BINARY(ROWS_NUMERIC, INT64_MAX, 0,
		"\0\5\0\4\0\0\0\0\003\232\015\054\001\160\025\145\026\257");
}

static void decimals_are_written_out(void **state)
{
	static const struct {
		int64_t number;
		unsigned scale;
		const char *text;
	} cases[] = {{0, 1, "0.0"}, {123, 1, "12.3"}, {-123, 1, "-12.3"}, {-3, 1, "-0.3"},
		{1005, 3, "1.005"}, {7, 0, "7"}};
	struct reader body;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct rows rows = {0};
		size_t at = 0;

		rows_begin(&rows);
		rows_decimal(&rows, cases[i].number, cases[i].scale);
		rows_end(&rows);
		assert_int_equal(next_message(&rows, &at, &body), 'D');
		assert_int_equal(reader_u16(&body), 1);
		assert_cell(&body, cases[i].text);
		rows_clear(&rows);
	}
}

static void formats_are_for_columns(void **state)
{
	static const uint8_t codes[] = {0, 1};
	static const struct rows_column columns[] = {
		{"a", ROWS_INT4}, {"b", ROWS_INT4}, {"c", ROWS_INT4}};
	struct rows rows = {.formats = {codes, 2}};
	struct reader body;
	size_t at = 0;

	(void)state;
	rows_columns(&rows, columns, 3);
	rows_begin(&rows);
	for (int i = 0; i < 3; i++)
		rows_number(&rows, 5);
	rows_end(&rows);
	assert_int_equal(next_message(&rows, &at, &body), 'T');
	assert_int_equal(next_message(&rows, &at, &body), 'D');
	assert_int_equal(reader_u16(&body), 3);
	assert_cell(&body, "5");
	assert_int_equal(reader_i32(&body), 4);
	assert_int_equal(reader_i32(&body), 5);
	assert_cell(&body, "5");
	rows_clear(&rows);
}

static void cells_are_what_they_were(void **state)
{
	static const int64_t numbers[] = {0, 1, -1, 42, INT32_MIN, INT64_MAX, INT64_MIN};
	static const char *const texts[] = {"", "x", NULL, "two words", "h\xC3\xA4", NULL};
	struct rows rows = {0};
	struct reader body;
	size_t at = 0;

	(void)state;
	rows_begin(&rows);
	for (size_t i = 0; i < array_len(texts); i++)
		rows_text(&rows, texts[i]);
	for (size_t i = 0; i < array_len(numbers); i++)
		rows_number(&rows, numbers[i]);
	rows_end(&rows);
	assert_int_equal(next_message(&rows, &at, &body), 'D');
	assert_int_equal(reader_u16(&body), array_len(texts) + array_len(numbers));
	for (size_t i = 0; i < array_len(texts); i++)
		assert_cell(&body, texts[i]);
	for (size_t i = 0; i < array_len(numbers); i++) {
		char number[24];

		snprintf(number, sizeof number, "%" PRId64, numbers[i]);
		assert_cell(&body, number);
	}
	assert_true(reader_done(&body));
	assert_int_equal(at, rows.len);
	rows_clear(&rows);
}

static void a_whole_result_is_one_run_of_messages(void **state)
{
	static const struct rows_column columns[] = {{"n", ROWS_INT8}, {"t", ROWS_TEXT}};
	enum { ROWS = 3000 };
	struct rows rows = {0};
	struct reader body;
	size_t at = 0;

	(void)state;
	rows_columns(&rows, columns, array_len(columns));
	for (int64_t i = 0; i < ROWS; i++) {
		rows_begin(&rows);
		rows_number(&rows, i);
		rows_text(&rows, i % 3 ? "text" : NULL);
		rows_end(&rows);
	}
	rows_complete(&rows, "SHOW");

	assert_int_equal(next_message(&rows, &at, &body), 'T');
	for (int64_t i = 0; i < ROWS; i++) {
		char number[24];

		snprintf(number, sizeof number, "%" PRId64, i);
		assert_int_equal(next_message(&rows, &at, &body), 'D');
		assert_int_equal(reader_u16(&body), 2);
		assert_cell(&body, number);
		assert_cell(&body, i % 3 ? "text" : NULL);
		assert_true(reader_done(&body));
	}
	assert_int_equal(next_message(&rows, &at, &body), 'C');
	assert_string_equal(reader_cstring(&body), "SHOW");
	assert_true(reader_done(&body));
	assert_int_equal(at, rows.len);
	rows_clear(&rows);
}

static void small_messages_are_whole(void **state)
{
	struct rows rows = {0};
	struct reader body;
	size_t at = 0;

	(void)state;
	rows_no_data(&rows);
	rows_empty_query(&rows);
	rows_begin(&rows); /* a row without cells */
	rows_end(&rows);
	rows_columns(&rows, NULL, 0);
	rows_complete(&rows, "");
	assert_int_equal(next_message(&rows, &at, &body), 'n');
	assert_int_equal(next_message(&rows, &at, &body), 'I');
	assert_int_equal(next_message(&rows, &at, &body), 'D');
	assert_int_equal(reader_u16(&body), 0);
	assert_true(reader_done(&body));
	assert_int_equal(next_message(&rows, &at, &body), 'T');
	assert_int_equal(reader_u16(&body), 0);
	assert_true(reader_done(&body));
	assert_int_equal(next_message(&rows, &at, &body), 'C');
	assert_string_equal(reader_cstring(&body), "");
	assert_int_equal(at, rows.len);
	rows_clear(&rows);
}

static void large_cells_are_whole(void **state)
{
	(void)state;
	for (size_t len = 1; len < 1000000; len = 3 * len + 1) {
		char *text = malloc(len + 1);
		struct rows rows = {0};
		struct reader body;
		size_t at = 0;

		memset(text, 'x', len);
		text[len] = '\0';
		rows_begin(&rows);
		rows_text(&rows, text);
		rows_text(&rows, "behind");
		rows_end(&rows);
		assert_int_equal(next_message(&rows, &at, &body), 'D');
		assert_int_equal(reader_u16(&body), 2);
		assert_cell(&body, text);
		assert_cell(&body, "behind");
		assert_true(reader_done(&body));
		rows_clear(&rows);
		free(text);
	}
}

static void faults_are_read_as_faults(void **state)
{
	static char long_text[10000];
	const struct fault faults[] = {
		{"ERROR", "42601", "syntax error", "near this", "Write it right."},
		{"ERROR", "42601", "syntax error", NULL, NULL},
		{"FATAL", "XX000", long_text, long_text, long_text},
	};
	struct rows rows = {0};
	size_t at = 0;

	(void)state;
	memset(long_text, 'x', sizeof long_text - 1);
	for (size_t i = 0; i < array_len(faults); i++)
		rows_fault(&rows, i % 2 ? 'N' : 'E', &faults[i]);
	for (size_t i = 0; i < array_len(faults); i++) {
		struct fault_fields fields;
		struct reader body;
		size_t start = at;

		assert_int_equal(next_message(&rows, &at, &body), i % 2 ? 'N' : 'E');
		assert_int_equal(fault_read(rows.bytes + start + FRAME_HEAD,
					 at - start - FRAME_HEAD, &fields),
			0);
		assert_string_equal(fields.severity, faults[i].severity);
		assert_string_equal(fields.sqlstate, faults[i].sqlstate);
		assert_memory_equal(fields.message, faults[i].message, strlen(fields.message));
		assert_true(i == 2 || strlen(fields.message) == strlen(faults[i].message));
	}
	assert_int_equal(at, rows.len);
	rows_clear(&rows);
}

static void many_cells_are_counted(void **state)
{
	enum { CELLS = 1600 }; /* PostgreSQL's limit of columns */
	struct rows rows = {0};
	struct reader body;
	size_t at = 0;

	(void)state;
	rows_begin(&rows);
	for (unsigned i = 0; i < CELLS; i++)
		rows_number(&rows, 7);
	rows_end(&rows);
	assert_int_equal(next_message(&rows, &at, &body), 'D');
	assert_int_equal(reader_u16(&body), CELLS);
	for (unsigned i = 0; i < CELLS; i++)
		assert_cell(&body, "7");
	assert_true(reader_done(&body));
	rows_clear(&rows);
}

/* As an answer to Describe: the columns if there are some, else NoData. */
static void only_the_columns_of_a_result(void **state)
{
	static const struct rows_column columns[] = {{"n", ROWS_INT8}, {"t", ROWS_TEXT}};
	struct rows rows = {0}, expected = {0};

	(void)state;
	rows_columns(&expected, columns, array_len(columns));
	rows_columns(&rows, columns, array_len(columns));
	rows_begin(&rows);
	rows_end(&rows);
	rows_complete(&rows, "SHOW");
	rows_only_columns(&rows);
	assert_int_equal(rows.len, expected.len);
	assert_memory_equal(rows.bytes, expected.bytes, expected.len);
	rows_only_columns(&rows);
	assert_int_equal(rows.len, expected.len);
	rows_clear(&rows);
	rows_clear(&expected);

	rows_only_columns(&rows); /* of nothing */
	assert_int_equal(rows.len, FRAME_HEAD);
	assert_int_equal(rows.bytes[0], 'n');
	rows_clear(&rows);
	rows_complete(&rows, "RELOAD");
	rows_only_columns(&rows);
	assert_int_equal(rows.len, FRAME_HEAD);
	assert_memory_equal(rows.bytes, "n\0\0\0\4", FRAME_HEAD);
	rows_clear(&rows);
}

/* The rows of several makers, each with its own, in the order in which they are appended. */
static void results_are_appended_and_handed_over(void **state)
{
	struct rows all = {0}, one = {0}, nothing = {0};
	struct reader body;
	uint8_t *bytes;
	size_t len, at = 0;

	(void)state;
	for (int64_t i = 0; i < 10; i++) {
		rows_append(&all, &nothing);
		rows_begin(&one);
		rows_number(&one, i);
		rows_end(&one);
		rows_append(&all, &one);
		rows_clear(&one);
		assert_null(one.bytes);
		assert_int_equal(one.len, 0);
	}
	bytes = rows_take(&all, &len);
	assert_null(all.bytes);
	assert_int_equal(all.len, 0);
	rows_no_data(&all); /* it starts anew */
	assert_int_equal(all.len, FRAME_HEAD);
	rows_clear(&all);

	one = (struct rows){.bytes = bytes, .len = len};
	for (int64_t i = 0; i < 10; i++) {
		char digit[2] = {(char)('0' + i), 0};

		assert_int_equal(next_message(&one, &at, &body), 'D');
		assert_int_equal(reader_u16(&body), 1);
		assert_cell(&body, digit);
	}
	assert_int_equal(at, len);
	free(bytes);

	bytes = rows_take(&nothing, &len);
	assert_null(bytes);
	assert_int_equal(len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_described),
		cmocka_unit_test(binary_cells_are_postgresqls),
		cmocka_unit_test(decimals_are_written_out),
		cmocka_unit_test(formats_are_for_columns),
		cmocka_unit_test(cells_are_what_they_were),
		cmocka_unit_test(a_whole_result_is_one_run_of_messages),
		cmocka_unit_test(small_messages_are_whole),
		cmocka_unit_test(large_cells_are_whole),
		cmocka_unit_test(faults_are_read_as_faults),
		cmocka_unit_test(many_cells_are_counted),
		cmocka_unit_test(only_the_columns_of_a_result),
		cmocka_unit_test(results_are_appended_and_handed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
