/* reader: takes a message body apart, never past its end.
 *
 * Owner: the caller, usually on its stack. Thread: any. Memory: borrows the body; what it hands out points into it.
 * A read that goes past the end sets `bad` once and for all; from then on every read yields 0 or NULL. Read everything,
 * ask once with reader_done(). Source: PostgreSQL manual, "Message Data Types" (numbers are big-endian).
 */
#ifndef PGRING_PROTOCOL_READER_H
#define PGRING_PROTOCOL_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
	const uint8_t *at, *end;
	bool bad;
};

/* `body` is borrowed; it may be NULL if `len` is 0. */
void reader_init(struct reader *r, const void *body, size_t len);

uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
int32_t reader_i32(struct reader *r);

/* The next `len` bytes, borrowed from the body; NULL when there are fewer. */
const uint8_t *reader_bytes(struct reader *r, size_t len);

/* The next NUL-terminated string, borrowed from the body; NULL when no NUL follows. */
const char *reader_cstring(struct reader *r);

/* Bytes not yet read; 0 after a bad read. */
size_t reader_left(const struct reader *r);

/* Whether everything was read, and nothing past the end. */
bool reader_done(const struct reader *r);

#endif
