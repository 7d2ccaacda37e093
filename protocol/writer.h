/* writer: composes PostgreSQL messages in a buffer of the caller.
 *
 * Owner: the caller, usually on its stack. Thread: any. Memory: borrows `buf` for the writer's life; allocates nothing.
 * What does not fit sets `overflow` once and for all, and nothing is written after that: compose freely, ask once at the
 * end. Source: PostgreSQL manual, "Message Data Types" (numbers are big-endian).
 */
#ifndef PGRING_PROTOCOL_WRITER_H
#define PGRING_PROTOCOL_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer {
	uint8_t *start, *at, *end;
	uint8_t *length; /* the length field of the message being composed; NULL between messages */
	bool overflow;
};

/* `buf` is borrowed until the last call; `cap` may be 0. */
void writer_init(struct writer *w, void *buf, size_t cap);

void writer_u8(struct writer *w, uint8_t value);
void writer_u16(struct writer *w, uint16_t value);
void writer_u32(struct writer *w, uint32_t value);

/* `bytes` may be NULL if `len` is 0. */
void writer_bytes(struct writer *w, const void *bytes, size_t len);

/* Writes `text` with its terminating NUL. */
void writer_string(struct writer *w, const char *text);

/* Starts a message; type 0 starts one without a type byte (the packets that open a connection). Messages do not nest. */
void writer_begin(struct writer *w, char type);

/* Ends the message by patching its length, which counts itself but not the type byte. */
void writer_finish(struct writer *w);

/* Bytes composed so far; 0 after an overflow, so that half a message is never sent. */
size_t writer_len(const struct writer *w);

#endif
