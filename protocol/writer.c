/* Bounded composition of messages. */
#include "protocol/writer.h"

#include "core/check.h"

#include <string.h>

/* Returns where `len` bytes go, or NULL when they do not fit. */
static uint8_t *take(struct writer *w, size_t len)
{
	uint8_t *at = w->at;

	if (w->overflow || len > (size_t)(w->end - at)) {
		w->overflow = true;
		return NULL;
	}
	w->at += len;
	return at;
}

static void put_u32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

void writer_init(struct writer *w, void *buf, size_t cap)
{
	CHECK(cap <= INT32_MAX); /* so that every length fits its field */
	w->start = buf;
	w->at = buf;
	w->end = w->start + cap;
	w->length = NULL;
	w->overflow = false;
}

void writer_u8(struct writer *w, uint8_t value)
{
	uint8_t *at = take(w, 1);

	if (at != NULL)
		*at = value;
}

void writer_u16(struct writer *w, uint16_t value)
{
	uint8_t *at = take(w, 2);

	if (at != NULL) {
		at[0] = (uint8_t)(value >> 8);
		at[1] = (uint8_t)value;
	}
}

void writer_u32(struct writer *w, uint32_t value)
{
	uint8_t *at = take(w, 4);

	if (at != NULL)
		put_u32(at, value);
}

void writer_bytes(struct writer *w, const void *bytes, size_t len)
{
	uint8_t *at = take(w, len);

	if (at != NULL && len > 0)
		memcpy(at, bytes, len);
}

void writer_string(struct writer *w, const char *text)
{
	writer_bytes(w, text, strlen(text) + 1);
}

void writer_begin(struct writer *w, char type)
{
	CHECK(w->length == NULL);
	if (type != 0)
		writer_u8(w, (uint8_t)type);
	w->length = w->at;
	writer_u32(w, 0);
}

void writer_finish(struct writer *w)
{
	CHECK(w->length != NULL);
	if (!w->overflow)
		put_u32(w->length, (uint32_t)(w->at - w->length));
	w->length = NULL;
}

size_t writer_len(const struct writer *w)
{
	CHECK(w->length == NULL);
	return w->overflow ? 0 : (size_t)(w->at - w->start);
}
