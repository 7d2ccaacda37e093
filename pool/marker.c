/* Markers, and the messages in which they come. */
#include "pool/marker.h"

#include "core/core.h"
#include "core/errors.h"
#include "core/hash.h"
#include "protocol/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t marker_tag(const struct core *core, const struct marker *marker)
{
	return hash_keyed(core->world->secret, marker, sizeof *marker).b;
}

void marker_write(const struct core *core, const struct marker *marker, char ret_text[MARKER_BYTES])
{
	int len = snprintf(ret_text, MARKER_BYTES, "%016llx %x %x %x %x",
		(unsigned long long)marker_tag(core, marker), marker->core, marker->slot,
		marker->generation, marker->turn);

	CHECK(len > 0 && len < MARKER_BYTES);
}

/* It is one if it would be written so. */
bool marker_read(const struct core *core, const char *text, struct marker *ret_marker)
{
	struct marker marker;
	char written[MARKER_BYTES];
	unsigned long numbers[5];
	const char *at = text;

	for (unsigned i = 0; i < array_len(numbers); i++) {
		char *end;

		numbers[i] = strtoul(at, &end, 16);
		at = end;
	}
	marker = (struct marker){(uint32_t)numbers[1], (uint32_t)numbers[2], (uint32_t)numbers[3],
		(uint32_t)numbers[4]};
	marker_write(core, &marker, written);
	if (strcmp(text, written) != 0)
		return false;
	*ret_marker = marker;
	return true;
}

int marker_find(const uint8_t *message, size_t len, struct marker_notification *ret_notification)
{
	const uint8_t *end = message + len, *channel = message + FRAME_HEAD + 4, *nul;
	struct marker_notification found;

	if (len < FRAME_HEAD + 4 + 2 || end[-1] != '\0')
		return ERR_INVALID;
	nul = memchr(channel, '\0', (size_t)(end - channel));
	if (nul + 1 == end)
		return ERR_INVALID;
	found.channel = (const char *)channel;
	found.channel_len = (size_t)(nul - channel);
	found.payload = (const char *)nul + 1;
	*ret_notification = found;
	return 0;
}
