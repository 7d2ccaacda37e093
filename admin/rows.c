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

void rows_columns(struct rows *rows, const struct rows_column *columns, size_t count)
{
	rows_open(rows, SERVER_ROW_DESCRIPTION);
	rows_u16(rows, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		uint16_t width = columns[i].type == ROWS_INT4 ? 4
			: columns[i].type == ROWS_INT8        ? 8
							      : UINT16_MAX;

		rows_bytes(rows, columns[i].name, strlen(columns[i].name) + 1);
		rows_u32(rows, 0); /* of no table ... */
		rows_u16(rows, 0); /* ... so no column of one */
		rows_u32(rows, columns[i].type);
		rows_u16(rows, width);
		rows_u32(rows, UINT32_MAX); /* no type modifier */
		rows_u16(rows, 0);          /* text */
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

void rows_number(struct rows *rows, int64_t number)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRId64, number);
	rows_text(rows, text);
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
