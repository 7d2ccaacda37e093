/* sim_bytes: a growing queue of bytes, and PostgreSQL messages written into it.
 *
 * Owner: whoever it stands in. Memory: malloc, freed by sim_bytes_free.
 */
#ifndef PGRING_TEST_SIM_SIM_BYTES_H
#define PGRING_TEST_SIM_SIM_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct sim_bytes {
	uint8_t *memory;
	size_t begin, len, size;
	size_t message; /* where the message being written begins, counted from `memory` */
};

static inline const uint8_t *sim_bytes_at(const struct sim_bytes *bytes)
{
	return bytes->memory + bytes->begin;
}

void sim_bytes_add(struct sim_bytes *bytes, const void *at, size_t len);
void sim_bytes_add_u16(struct sim_bytes *bytes, uint16_t value);
void sim_bytes_add_u32(struct sim_bytes *bytes, uint32_t value);
/* With its NUL. */
void sim_bytes_add_string(struct sim_bytes *bytes, const char *text);
/* Drops the first bytes. */
void sim_bytes_take(struct sim_bytes *bytes, size_t len);
void sim_bytes_free(struct sim_bytes *bytes);

/* A message with type byte (0: without) and length. */
void sim_bytes_begin(struct sim_bytes *bytes, char type);
void sim_bytes_end(struct sim_bytes *bytes);
/* A message without a body, and one with a single string. */
void sim_bytes_message(struct sim_bytes *bytes, char type);
void sim_bytes_message_string(struct sim_bytes *bytes, char type, const char *text);

#endif
