/* Composing results. */
#include "admin/rows.h"

#include "core/check.h"
#include "protocol/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *rows_room(struct rows *rows, size_t len)
{
	uint8_t *at;

	if (rows->len + len > rows->size) {
		rows->size = 2 * (rows->len + len) + 512;
		rows->bytes = realloc(rows->bytes, rows->size);
		CHECK(rows->bytes);
	}
	at = rows->bytes + rows->len;
	rows->len += len;
	return at;
}

static void rows_bytes(struct rows *rows, const void *bytes, size_t len)
{
	memcpy(rows_room(rows, len), bytes, len);
}

static void rows_u32(struct rows *rows, uint32_t value)
{
	uint8_t bytes[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
		(uint8_t)value};

	rows_bytes(rows, bytes, sizeof bytes);
}

static void rows_u16(struct rows *rows, uint16_t value)
{
	uint8_t bytes[] = {(uint8_t)(value >> 8), (uint8_t)value};

	rows_bytes(rows, bytes, sizeof bytes);
}

static void rows_open(struct rows *rows, uint8_t type)
{
	rows->row = rows->len;
	frame_write(rows_room(rows, FRAME_HEAD), type, 0);
}

static void rows_close(struct rows *rows)
{
	uint8_t *at = rows->bytes + rows->row;

	frame_write(at, at[0], (uint32_t)(rows->len - rows->row - FRAME_HEAD));
}

/* Whether the client wants a column in binary. */
static bool rows_is_binary(const struct rows *rows, size_t column)
{
	const struct rows_formats *formats = &rows->formats;

	if (formats->count == 0)
		return false;
	if (formats->count == 1)
		return formats->codes[0] == 1;
	return column < formats->count && formats->codes[column] == 1;
}

static uint16_t rows_width(enum rows_type type)
{
	switch (type) {
	case ROWS_INT4:
		return 4;
	case ROWS_INT8:
		return 8;
	case ROWS_BOOL:
		return 1;
	case ROWS_TEXT:
	case ROWS_NUMERIC:
		return UINT16_MAX;
	}
	UNREACHABLE();
}

void rows_columns_hidden(struct rows *rows, const struct rows_column *columns, size_t count)
{
	rows->columns = columns;
	rows->column_count = count;
}

void rows_columns(struct rows *rows, const struct rows_column *columns, size_t count)
{
	rows_columns_hidden(rows, columns, count);
	if (rows->is_bare)
		return;
	rows_open(rows, SERVER_ROW_DESCRIPTION);
	rows_u16(rows, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		rows_bytes(rows, columns[i].name, strlen(columns[i].name) + 1);
		rows_u32(rows, 0); /* of no table ... */
		rows_u16(rows, 0); /* ... so no column of one */
		rows_u32(rows, columns[i].type);
		rows_u16(rows, rows_width(columns[i].type));
		rows_u32(rows, UINT32_MAX); /* no type modifier */
		rows_u16(rows, rows_is_binary(rows, i));
	}
	rows_close(rows);
}

void rows_begin(struct rows *rows)
{
	rows_open(rows, SERVER_DATA_ROW);
	rows_u16(rows, 0);
	rows->cells = 0;
}

void rows_text(struct rows *rows, const char *text)
{
	rows->cells++;
	if (!text) {
		rows_u32(rows, UINT32_MAX);
		return;
	}
	rows_u32(rows, (uint32_t)strlen(text));
	rows_bytes(rows, text, strlen(text));
}

/* PostgreSQL's numeric_send: groups of four decimal digits around the point. Source: src/backend/utils/adt/numeric.c. */
static void rows_numeric(struct rows *rows, int64_t number, unsigned scale)
{
	static const uint64_t powers[] = {1, 10, 100, 1000, 10000};
	uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	uint16_t groups[8], fraction = (uint16_t)(rest % powers[scale] * powers[4 - scale]);
	unsigned count = 0;

	for (rest /= powers[scale]; rest > 0; rest /= 10000)
		groups[count++] = (uint16_t)(rest % 10000); /* the lowest first */
	rows_u32(rows, 8 + 2 * (count + (fraction > 0)));
	rows_u16(rows, (uint16_t)(count + (fraction > 0)));
	/* zero has no groups, and power 0 */
	rows_u16(rows,
		(uint16_t)(number == 0 ? 0 : count - 1)); /* the first group's power of 10000 */
	rows_u16(rows, number < 0 ? 0x4000 : 0);
	rows_u16(rows, (uint16_t)scale);
	while (count > 0)
		rows_u16(rows, groups[--count]);
	if (fraction > 0)
		rows_u16(rows, fraction);
}

void rows_decimal(struct rows *rows, int64_t number, unsigned scale)
{
	static const int64_t powers[] = {1, 10, 100, 1000, 10000};
	char text[48];

	CHECK(scale < array_len(powers));
	if (rows_is_binary(rows, rows->cells)) {
		rows->cells++;
		rows_numeric(rows, number, scale);
		return;
	}
	if (scale == 0)
		snprintf(text, sizeof text, "%" PRId64, number);
	else
		snprintf(text, sizeof text, "%s%" PRId64 ".%0*" PRId64, number < 0 ? "-" : "",
			number / powers[scale] * (number < 0 ? -1 : 1), (int)scale,
			number % powers[scale] * (number < 0 ? -1 : 1));
	rows_text(rows, text);
}

void rows_number(struct rows *rows, int64_t number)
{
	enum rows_type type =
		rows->cells < rows->column_count ? rows->columns[rows->cells].type : ROWS_INT8;
	char text[24];

	if (type == ROWS_INT4)
		number = number > INT32_MAX ? INT32_MAX : number < INT32_MIN ? INT32_MIN : number;
	if (type == ROWS_TEXT || !rows_is_binary(rows, rows->cells)) {
		snprintf(text, sizeof text, "%" PRId64, number);
		rows_text(rows, text);
	} else if (type == ROWS_NUMERIC) {
		rows_decimal(rows, number, 0);
	} else {
		rows->cells++;
		rows_u32(rows, type == ROWS_INT4 ? 4 : 8);
		if (type != ROWS_INT4)
			rows_u32(rows, (uint32_t)((uint64_t)number >> 32));
		rows_u32(rows, (uint32_t)number);
	}
}

void rows_bool(struct rows *rows, bool yes)
{
	uint8_t byte = yes;

	if (!rows_is_binary(rows, rows->cells)) {
		rows_text(rows, yes ? "t" : "f");
		return;
	}
	rows->cells++;
	rows_u32(rows, 1);
	rows_bytes(rows, &byte, 1);
}

void rows_end(struct rows *rows)
{
	uint8_t *at = rows->bytes + rows->row + FRAME_HEAD;

	at[0] = (uint8_t)(rows->cells >> 8);
	at[1] = (uint8_t)rows->cells;
	rows_close(rows);
}

void rows_no_data(struct rows *rows)
{
	rows_open(rows, SERVER_NO_DATA);
}

void rows_empty_query(struct rows *rows)
{
	rows_open(rows, SERVER_EMPTY_QUERY);
}

void rows_complete(struct rows *rows, const char *tag)
{
	rows_open(rows, SERVER_COMMAND_COMPLETE);
	rows_bytes(rows, tag, strlen(tag) + 1);
	rows_close(rows);
}

void rows_fault(struct rows *rows, char type, const struct fault *fault)
{
	uint8_t message[4096];
	size_t len = fault_write(message, sizeof message, type, fault);

	rows_bytes(rows, message, len);
}

void rows_only_columns(struct rows *rows)
{
	if (rows->len > 0 && rows->bytes[0] == SERVER_ROW_DESCRIPTION) {
		rows->len = frame_u32(rows->bytes + 1) + 1;
	} else {
		rows->len = 0;
		rows_no_data(rows);
	}
}

void rows_append(struct rows *rows, const struct rows *others)
{
	if (others->len > 0)
		rows_bytes(rows, others->bytes, others->len);
}

void rows_clear(struct rows *rows)
{
	free(rows->bytes);
	*rows = (struct rows){0};
}

uint8_t *rows_take(struct rows *rows, size_t *ret_len)
{
	uint8_t *bytes = rows->bytes;

	*ret_len = rows->len;
	*rows = (struct rows){0};
	return bytes;
}
