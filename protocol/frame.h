/* frame: where messages begin and end, and whether they may be what they say.
 *
 * Pure functions. Source: PostgreSQL manual, "Message Formats"; the table is messages.def. A frame is the whole message: its type
 * byte, four bytes of length (which count themselves) and the body.
 */
#ifndef PGRING_PROTOCOL_FRAME_H
#define PGRING_PROTOCOL_FRAME_H

#include "core/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAME_HEAD = 5 };

enum client_message {
#define CLIENT_MESSAGE(type, name, least, most, how) CLIENT_##name = (type),
#define SERVER_MESSAGE(type, name, least, most, how)
#include "protocol/messages.def"
};

enum server_message {
#define CLIENT_MESSAGE(type, name, least, most, how)
#define SERVER_MESSAGE(type, name, least, most, how) SERVER_##name = (type),
#include "protocol/messages.def"
};

enum frame_how { FRAME_UNKNOWN, FRAME_PASS, FRAME_PEEK, FRAME_OWN };

struct frame_rule {
	uint32_t least, most; /* bytes of the frame */
	uint8_t how;          /* enum frame_how; FRAME_UNKNOWN: there is no such message */
};

/* By type byte. */
extern const struct frame_rule frame_from_client[256];
extern const struct frame_rule frame_from_server[256];

enum frame_result { FRAME_DONE, FRAME_MORE, FRAME_BAD };

struct frame {
	uint8_t type;
	uint8_t how;
	uint32_t bytes; /* of the whole frame */
};

static inline uint32_t frame_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Reads the head of a frame from `len` bytes. FRAME_DONE: *ret is filled (the body may not be there yet). FRAME_MORE: the head is
 * incomplete. FRAME_BAD: an unknown type or a length out of its bounds; *ret says which, for the message. */
static inline enum frame_result frame_read(
	const struct frame_rule rules[256], const uint8_t *at, size_t len, struct frame *ret)
{
	const struct frame_rule *rule;
	uint32_t length;

	if (len < FRAME_HEAD)
		return FRAME_MORE;
	rule = &rules[at[0]];
	length = frame_u32(at + 1);
	ret->type = at[0];
	ret->how = rule->how;
	ret->bytes = length + 1;
	if (unlikely(rule->how == FRAME_UNKNOWN || length >= UINT32_MAX ||
		    ret->bytes < rule->least || ret->bytes > rule->most))
		return FRAME_BAD;
	return FRAME_DONE;
}

/* Composes the head of a frame whose body has `body` bytes. */
static inline void frame_write(uint8_t *at, uint8_t type, uint32_t body)
{
	uint32_t length = body + 4;

	at[0] = type;
	at[1] = (uint8_t)(length >> 24);
	at[2] = (uint8_t)(length >> 16);
	at[3] = (uint8_t)(length >> 8);
	at[4] = (uint8_t)length;
}

#endif
