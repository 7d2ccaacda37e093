/* Queues of bytes. */
#include "test/sim/sim_bytes.h"

#include "core/check.h"

#include <stdlib.h>
#include <string.h>

void sim_bytes_add(struct sim_bytes *bytes, const void *at, size_t len)
{
	if (len == 0)
		return;
	if (bytes->begin + bytes->len + len > bytes->size) {
		bytes->size = 2 * (bytes->begin + bytes->len + len) + 256;
		bytes->memory = realloc(bytes->memory, bytes->size);
		CHECK(bytes->memory);
	}
	memcpy(bytes->memory + bytes->begin + bytes->len, at, len);
	bytes->len += len;
}

void sim_bytes_add_u16(struct sim_bytes *bytes, uint16_t value)
{
	uint8_t at[] = {(uint8_t)(value >> 8), (uint8_t)value};

	sim_bytes_add(bytes, at, sizeof at);
}

void sim_bytes_add_u32(struct sim_bytes *bytes, uint32_t value)
{
	sim_bytes_add_u16(bytes, (uint16_t)(value >> 16));
	sim_bytes_add_u16(bytes, (uint16_t)value);
}

void sim_bytes_add_string(struct sim_bytes *bytes, const char *text)
{
	sim_bytes_add(bytes, text, strlen(text) + 1);
}

void sim_bytes_take(struct sim_bytes *bytes, size_t len)
{
	CHECK(len <= bytes->len);
	bytes->begin += len;
	bytes->len -= len;
	if (bytes->len == 0) {
		bytes->begin = 0;
	} else if (bytes->begin > 4096 && bytes->begin > bytes->len) {
		memmove(bytes->memory, bytes->memory + bytes->begin, bytes->len);
		bytes->begin = 0;
	}
}

void sim_bytes_free(struct sim_bytes *bytes)
{
	free(bytes->memory);
	*bytes = (struct sim_bytes){0};
}

void sim_bytes_begin(struct sim_bytes *bytes, char type)
{
	if (type)
		sim_bytes_add(bytes, &type, 1);
	bytes->message = bytes->begin + bytes->len;
	sim_bytes_add_u32(bytes, 0);
}

void sim_bytes_end(struct sim_bytes *bytes)
{
	uint32_t len = (uint32_t)(bytes->begin + bytes->len - bytes->message);

	for (int i = 0; i < 4; i++)
		bytes->memory[bytes->message + (size_t)i] = (uint8_t)(len >> (24 - 8 * i));
}

void sim_bytes_message(struct sim_bytes *bytes, char type)
{
	sim_bytes_begin(bytes, type);
	sim_bytes_end(bytes);
}

void sim_bytes_message_string(struct sim_bytes *bytes, char type, const char *text)
{
	sim_bytes_begin(bytes, type);
	sim_bytes_add_string(bytes, text);
	sim_bytes_end(bytes);
}
