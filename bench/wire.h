/* wire: PostgreSQL messages for the bench programs: writing them, and the numbered rows of the bulk
 * measurements.
 *
 * Thread: any, no shared state. Memory: a wire_buf owns its bytes (wire_free). Running out of
 * memory ends the program: these are tools, and they are bounded. Source: PostgreSQL manual,
 * chapter "Frontend/Backend Protocol", "Message Formats".
 */
#ifndef PGRING_BENCH_WIRE_H
#define PGRING_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	WIRE_PROTOCOL_3_0 = 3 << 16,
	WIRE_CANCEL = 80877102,
	WIRE_SSL = 80877103,
	WIRE_GSSENC = 80877104,
	WIRE_CORE_SHIFT =
		20, /* pgring: a process id is that many bits of the client, and 1 + its core above */
};

/* Bytes to be sent: [sent, len) is still to go. */
struct wire_buf {
	uint8_t *bytes;
	size_t len, cap, sent;
	size_t message; /* where the message being written has its length word */
};

/* Makes room for `more` bytes behind len. */
void wire_reserve(struct wire_buf *buf, size_t more);
void wire_free(struct wire_buf *buf);

static inline void wire_clear(struct wire_buf *buf)
{
	buf->len = buf->sent = 0;
}

static inline size_t wire_unsent(const struct wire_buf *buf)
{
	return buf->len - buf->sent;
}

static inline void wire_bytes(struct wire_buf *buf, const void *bytes, size_t len)
{
	if (buf->cap - buf->len < len)
		wire_reserve(buf, len);
	memcpy(buf->bytes + buf->len, bytes, len);
	buf->len += len;
}

static inline void wire_byte(struct wire_buf *buf, char value)
{
	wire_bytes(buf, &value, 1);
}

static inline void wire_u16(struct wire_buf *buf, uint16_t value)
{
	uint16_t big = __builtin_bswap16(value);

	wire_bytes(buf, &big, sizeof big);
}

static inline void wire_u32(struct wire_buf *buf, uint32_t value)
{
	uint32_t big = __builtin_bswap32(value);

	wire_bytes(buf, &big, sizeof big);
}

/* With its terminating zero byte. */
static inline void wire_text(struct wire_buf *buf, const char *text)
{
	wire_bytes(buf, text, strlen(text) + 1);
}

/* Starts a message of this type; 0 is the startup packet's kind, which has no type byte. */
static inline void wire_begin(struct wire_buf *buf, char type)
{
	if (type)
		wire_byte(buf, type);
	buf->message = buf->len;
	wire_u32(buf, 0);
}

/* Ends it: fills in its length. */
static inline void wire_end(struct wire_buf *buf)
{
	uint32_t big = __builtin_bswap32((uint32_t)(buf->len - buf->message));

	memcpy(buf->bytes + buf->message, &big, sizeof big);
}

/* A message without a body. */
static inline void wire_empty(struct wire_buf *buf, char type)
{
	wire_begin(buf, type);
	wire_end(buf);
}

static inline uint16_t wire_get_u16(const uint8_t *at)
{
	uint16_t big;

	memcpy(&big, at, sizeof big);
	return __builtin_bswap16(big);
}

static inline uint32_t wire_get_u32(const uint8_t *at)
{
	uint32_t big;

	memcpy(&big, at, sizeof big);
	return __builtin_bswap32(big);
}

/* A body being read: takes from [at, end); `bad` once something was missing, and then everything
 * reads as zero or "". */
struct wire_reader {
	const uint8_t *at, *end;
	bool bad;
};

uint16_t wire_read_u16(struct wire_reader *reader);
uint32_t wire_read_u32(struct wire_reader *reader);
/* Borrowed from the body, with its terminating zero byte. */
const char *wire_read_text(struct wire_reader *reader);
/* Borrowed from the body. */
const uint8_t *wire_read_bytes(struct wire_reader *reader, size_t len);

enum {
	WIRE_ROW_DIGITS = 10,
	WIRE_ROW_MIN = WIRE_ROW_DIGITS + 1,
	WIRE_ROW_MAX = 64 << 20,
};

/* A run of bulk rows: DataRow ('D', one column) or CopyData ('d'), each with its number (from 1)
 * in its first ten digits and a filler that depends on the position, so that a row that is lost,
 * doubled, reordered or torn is noticed. */
struct wire_rows {
	uint8_t *block; /* `in_block` whole messages one after the other */
	size_t message; /* bytes of one */
	size_t digits;  /* where the number stands in a message */
	uint32_t in_block;
	uint64_t first; /* the number of the block's first row */
	uint64_t seen;  /* reader: whole rows so far */
	size_t offset;  /* reader: bytes of the current row already seen */
};

/* type 'D' or 'd', value_bytes within WIRE_ROW_MIN..WIRE_ROW_MAX; for a block of about
 * block_bytes (at least one row). */
void wire_rows_init(struct wire_rows *rows, char type, uint32_t value_bytes, size_t block_bytes);
void wire_rows_free(struct wire_rows *rows);

/* Writer: numbers the block's rows from `first` on. */
void wire_rows_number(struct wire_rows *rows, uint64_t first);

/* Reader: checks that `bytes` continue the run, until they end or a message of another type
 * begins. Returns how many belong to the run, or -1 if a row is not the one that was due. */
ptrdiff_t wire_rows_check(struct wire_rows *rows, const uint8_t *bytes, size_t len);

#endif
