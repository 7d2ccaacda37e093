/* Bounded reading of message bodies. */
#include "protocol/reader.h"

#include <string.h>

void reader_init(struct reader *r, const void *body, size_t len)
{
	static const uint8_t nothing[1];

	r->at = len > 0 ? body : nothing;
	r->end = r->at + len;
	r->bad = false;
}

const uint8_t *reader_bytes(struct reader *r, size_t len)
{
	const uint8_t *at = r->at;

	if (r->bad || len > (size_t)(r->end - at)) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	return at;
}

uint8_t reader_u8(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 1);

	return at == NULL ? 0 : at[0];
}

uint16_t reader_u16(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 2);

	return at == NULL ? 0 : (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t reader_u32(struct reader *r)
{
	const uint8_t *at = reader_bytes(r, 4);

	if (at == NULL)
		return 0;
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

int32_t reader_i32(struct reader *r)
{
	return (int32_t)reader_u32(r);
}

const char *reader_cstring(struct reader *r)
{
	const uint8_t *nul = r->bad ? NULL : memchr(r->at, 0, (size_t)(r->end - r->at));
	const uint8_t *at = r->at;

	if (nul == NULL) {
		r->bad = true;
		return NULL;
	}
	r->at = nul + 1;
	return (const char *)at;
}

size_t reader_left(const struct reader *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->at);
}

bool reader_done(const struct reader *r)
{
	return !r->bad && r->at == r->end;
}
