/* ErrorResponse and NoticeResponse. */
#include "protocol/fault.h"

#include "core/errors.h"
#include "protocol/reader.h"
#include "protocol/sqlstate.h"
#include "protocol/writer.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	SEVERITY_BYTES_MAX = 15,
	/* type, length, S, V and C with their NULs, M's type and NUL, terminator */
	FIXED_BYTES = 1 + 4 + 2 * (1 + SEVERITY_BYTES_MAX + 1) + (1 + SQLSTATE_LEN + 1) + 2 + 1,
};
_Static_assert(FAULT_BYTES_MIN >= FIXED_BYTES, "the least message must fit");

static const struct {
	uint8_t type;
	size_t at;
} slots[] = {
#define SLOT(type, field) \
	{ \
		type, offsetof(struct fault_fields, field) \
	}
	SLOT('S', severity),
	SLOT('V', severity_plain),
	SLOT('C', sqlstate),
	SLOT('M', message),
	SLOT('D', detail),
	SLOT('H', hint),
	SLOT('P', position),
	SLOT('p', internal_position),
	SLOT('q', internal_query),
	SLOT('W', where),
	SLOT('s', schema),
	SLOT('t', table),
	SLOT('c', column),
	SLOT('d', data_type),
	SLOT('n', constraint),
	SLOT('F', file),
	SLOT('L', line),
	SLOT('R', routine),
#undef SLOT
};
_Static_assert(array_len(slots) == sizeof(struct fault_fields) / sizeof(char *), "one for each");

static size_t cut(const char *text, size_t max);
static void write_field(struct writer *w, char type, const char *text, size_t max);
static bool write_rest(struct writer *w, char type, const char *text);
static const char **slot(struct fault_fields *fields, uint8_t type);

size_t fault_write(uint8_t *buf, size_t cap, char type, const struct fault *fault)
{
	const char *sqlstate = fault->sqlstate;
	struct writer w;
	bool whole;

	CHECK(cap >= FAULT_BYTES_MIN);
	CHECK(type == 'E' || type == 'N');
	if (sqlstate == NULL || !sqlstate_is_valid(sqlstate))
		sqlstate = SQLSTATE_INTERNAL_ERROR;

	writer_init(&w, buf, cap);
	writer_begin(&w, type);
	write_field(&w, 'S', fault->severity, SEVERITY_BYTES_MAX);
	write_field(&w, 'V', fault->severity, SEVERITY_BYTES_MAX);
	write_field(&w, 'C', sqlstate, SQLSTATE_LEN);
	whole = write_rest(&w, 'M', fault->message);
	if (whole && fault->detail != NULL)
		whole = write_rest(&w, 'D', fault->detail);
	if (whole && fault->hint != NULL)
		whole = write_rest(&w, 'H', fault->hint);
	if (whole && fault->routine != NULL)
		(void)write_rest(&w, 'R', fault->routine);
	writer_u8(&w, 0);
	writer_finish(&w);
	CHECK(!w.overflow);
	return writer_len(&w);
}

int fault_read(const void *body, size_t len, struct fault_fields *ret)
{
	struct fault_fields fields = {
		.severity = "ERROR", .sqlstate = SQLSTATE_INTERNAL_ERROR, .message = ""};
	struct reader r;
	uint8_t type;

	reader_init(&r, body, len);
	while ((type = reader_u8(&r)) != 0) {
		const char *text = reader_cstring(&r);
		const char **field = slot(&fields, type);

		if (text != NULL && field != NULL)
			*field = text;
	}
	if (!reader_done(&r) || !sqlstate_is_valid(fields.sqlstate))
		return ERR_PROTOCOL;
	*ret = fields;
	return 0;
}

size_t fault_rewrite(uint8_t *buf, size_t cap, const void *body, size_t len, const char *message,
	uint32_t position)
{
	char digits[16];
	struct reader r;
	struct writer w;
	uint8_t type;

	snprintf(digits, sizeof digits, "%u", position);
	reader_init(&r, body, len);
	writer_init(&w, buf, cap);
	writer_begin(&w, 'E');
	while ((type = reader_u8(&r)) != 0) {
		const char *text = reader_cstring(&r);

		CHECK(text);
		if (type == 'P' && position == 0)
			continue;
		writer_u8(&w, type);
		writer_string(&w, type == 'M' ? message : type == 'P' ? digits : text);
	}
	writer_u8(&w, 0);
	writer_finish(&w);
	CHECK(!w.overflow);
	return writer_len(&w);
}

/* Writes a field into what is left of the buffer, less its type, its NUL and the message's terminator. Returns whether all of
 * the text was written; once it was not, there is no point in the fields that follow. */
static bool write_rest(struct writer *w, char type, const char *text)
{
	size_t left = (size_t)(w->end - w->at);

	if (left < 1 + 1 + 1)
		return false;
	left -= 3;
	if (type != 'M' && cut(text, left) == 0 && text[0] != '\0')
		return false; /* nothing of it fits: leave it out */
	write_field(w, type, text, left);
	return strnlen(text, left + 1) <= left;
}

static void write_field(struct writer *w, char type, const char *text, size_t max)
{
	writer_u8(w, (uint8_t)type);
	writer_bytes(w, text, cut(text, max));
	writer_u8(w, 0);
}

/* The length of `text` in at most `max` bytes without half a UTF-8 character at its end. */
static size_t cut(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len <= max)
		return len;
	len = max;
	/* text[len] is the first byte left out; if it continues a character, that goes as a whole */
	for (unsigned back = 0; back < 3 && len > 0 && (text[len] & 0xC0) == 0x80; back++)
		len--;
	if ((text[len] & 0xC0) == 0x80)
		return max; /* not UTF-8: any border is as good */
	return len;
}

static const char **slot(struct fault_fields *fields, uint8_t type)
{
	for (size_t i = 0; i < array_len(slots); i++) {
		if (slots[i].type == type)
			return (const char **)(void *)((char *)fields + slots[i].at);
	}
	return NULL;
}
