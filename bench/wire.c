/* PostgreSQL messages for the bench programs. */
#include "bench/wire.h"

#include "bench/child.h"

#include <stdlib.h>

void wire_reserve(struct wire_buf *buf, size_t more)
{
	size_t cap = buf->cap ? buf->cap : 512;

	while (cap - buf->len < more)
		cap *= 2;
	if (cap == buf->cap)
		return;
	buf->bytes = realloc(buf->bytes, cap);
	if (!buf->bytes)
		child_fail("out of memory");
	buf->cap = cap;
}

void wire_free(struct wire_buf *buf)
{
	free(buf->bytes);
	*buf = (struct wire_buf){0};
}

const uint8_t *wire_read_bytes(struct wire_reader *reader, size_t len)
{
	static const uint8_t zeros[8];
	const uint8_t *at = reader->at;

	if (reader->bad || (size_t)(reader->end - at) < len) {
		reader->bad = true;
		return zeros;
	}
	reader->at += len;
	return at;
}

uint16_t wire_read_u16(struct wire_reader *reader)
{
	return wire_get_u16(wire_read_bytes(reader, 2));
}

uint32_t wire_read_u32(struct wire_reader *reader)
{
	return wire_get_u32(wire_read_bytes(reader, 4));
}

const char *wire_read_text(struct wire_reader *reader)
{
	const uint8_t *zero = NULL;
	const char *text = (const char *)reader->at;

	if (!reader->bad && reader->at < reader->end)
		zero = memchr(reader->at, 0, (size_t)(reader->end - reader->at));
	if (!zero) {
		reader->bad = true;
		return "";
	}
	reader->at = zero + 1;
	return text;
}

static void write_number(uint8_t *digits, uint64_t number)
{
	for (int i = WIRE_ROW_DIGITS; i-- > 0; number /= 10)
		digits[i] = (uint8_t)('0' + number % 10);
}

/* The text number after this one. */
static void next_number(uint8_t *digits)
{
	for (int i = WIRE_ROW_DIGITS; i-- > 0;) {
		if (digits[i]++ < '9')
			return;
		digits[i] = '0';
	}
}

void wire_rows_init(struct wire_rows *rows, char type, uint32_t value_bytes, size_t block_bytes)
{
	struct wire_buf row = {0};

	*rows = (struct wire_rows){0};
	wire_begin(&row, type);
	if (type == 'D') {
		wire_u16(&row, 1);
		wire_u32(&row, value_bytes);
	}
	rows->digits = row.len;
	wire_reserve(&row, value_bytes);
	for (uint32_t i = 0; i < value_bytes; i++) /* 23 divides no buffer size */
		row.bytes[row.len++] = (uint8_t)('a' + i % 23);
	if (type == 'd')
		row.bytes[row.len - 1] = '\n';
	wire_end(&row);

	rows->message = row.len;
	rows->in_block = (uint32_t)(block_bytes > row.len ? block_bytes / row.len : 1);
	rows->block = malloc(rows->message * rows->in_block);
	if (!rows->block)
		child_fail("out of memory");
	for (uint32_t i = 0; i < rows->in_block; i++)
		memcpy(rows->block + i * rows->message, row.bytes, row.len);
	wire_free(&row);
	wire_rows_number(rows, 1);
}

void wire_rows_free(struct wire_rows *rows)
{
	free(rows->block);
	*rows = (struct wire_rows){0};
}

void wire_rows_number(struct wire_rows *rows, uint64_t first)
{
	uint8_t number[WIRE_ROW_DIGITS];

	write_number(number, first);
	for (uint32_t i = 0; i < rows->in_block; i++) {
		memcpy(rows->block + i * rows->message + rows->digits, number, sizeof number);
		next_number(number);
	}
	rows->first = first;
}

ptrdiff_t wire_rows_check(struct wire_rows *rows, const uint8_t *bytes, size_t len)
{
	const uint8_t *at = bytes, *end = bytes + len;
	const uint8_t *row = rows->block; /* the first of the block is the one that is due */

	while (at < end) {
		size_t take = rows->message - rows->offset;

		if (rows->offset == 0 && *at != *row)
			break;
		if (take > (size_t)(end - at))
			take = (size_t)(end - at);
		if (memcmp(at, row + rows->offset, take) != 0)
			return -1;
		at += take;
		rows->offset += take;
		if (rows->offset == rows->message) {
			rows->offset = 0;
			rows->seen++;
			next_number(rows->block + rows->digits);
		}
	}
	return at - bytes;
}
