/* Walks the frames of any bytes, as client's and as server's, in one piece and in pieces whose sizes come from the input. Both find
 * the same frames, each within its bounds, and together they are all the bytes up to the first bad one. */
#include "protocol/frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAMES_MAX = 4096 };

struct walk {
	const struct frame_rule *rules;
	struct frame frames[FRAMES_MAX];
	unsigned count;
	bool is_bad;
	uint8_t head[FRAME_HEAD];
	size_t have;     /* bytes of an incomplete head */
	uint32_t left;   /* bytes of the present frame that are still to come */
	uint64_t walked; /* bytes of the frames, as far as they came */
};

static void walk_init(struct walk *walk, const struct frame_rule *rules)
{
	walk->rules = rules;
	walk->count = 0;
	walk->is_bad = false;
	walk->have = 0;
	walk->left = 0;
	walk->walked = 0;
}

/* One more byte of a head. */
static void walk_head(struct walk *walk, uint8_t byte)
{
	struct frame frame = {0};

	walk->head[walk->have++] = byte;
	switch (frame_read(walk->rules, walk->head, walk->have, &frame)) {
	case FRAME_MORE:
		CHECK(walk->have < FRAME_HEAD);
		return;
	case FRAME_BAD:
		walk->is_bad = true;
		break;
	case FRAME_DONE:
		CHECK(frame.how != FRAME_UNKNOWN && frame.bytes >= FRAME_HEAD);
		CHECK(frame.bytes >= walk->rules[frame.type].least);
		CHECK(frame.bytes <= walk->rules[frame.type].most);
		walk->left = frame.bytes - FRAME_HEAD;
		break;
	}
	CHECK(walk->have == FRAME_HEAD && frame.type == walk->head[0]);
	CHECK(frame.bytes == frame_u32(walk->head + 1) + 1);
	walk->frames[walk->count++ % FRAMES_MAX] = frame;
	walk->have = 0;
	walk->walked += FRAME_HEAD;
}

/* The bytes that came next. */
static void walk_on(struct walk *walk, const uint8_t *at, size_t len)
{
	while (len > 0 && !walk->is_bad) {
		size_t n = walk->left < len ? walk->left : len;

		if (n == 0) {
			walk_head(walk, *at++);
			len--;
			continue;
		}
		walk->left -= (uint32_t)n;
		walk->walked += n;
		at += n;
		len -= n;
	}
}

/* The same without a byte of state: heads are read where they are. */
static void walk_whole(struct walk *walk, const uint8_t *at, const uint8_t *end)
{
	while (at < end && !walk->is_bad) {
		struct frame frame = {0};
		uint8_t head[FRAME_HEAD];
		enum frame_result found = frame_read(walk->rules, at, (size_t)(end - at), &frame);

		CHECK((found == FRAME_MORE) == (end - at < FRAME_HEAD));
		if (found == FRAME_MORE)
			return;
		walk->frames[walk->count++ % FRAMES_MAX] = frame;
		walk->is_bad = found == FRAME_BAD;
		if (walk->is_bad)
			return;
		frame_write(head, frame.type, frame.bytes - FRAME_HEAD);
		CHECK(memcmp(head, at, sizeof head) == 0);
		at += frame.bytes < (size_t)(end - at) ? frame.bytes : (size_t)(end - at);
	}
}

static void compare(const struct frame_rule *rules, const uint8_t *data, size_t size, uint8_t piece)
{
	static struct walk whole, pieces;
	const uint8_t *sizes = data;

	walk_init(&whole, rules);
	walk_whole(&whole, data, data + size);
	walk_init(&pieces, rules);
	for (size_t at = 0; at < size;) {
		size_t len = 1 +
			*sizes++ % (piece + 1U); /* the bytes themselves say where they are split */

		if (len > size - at)
			len = size - at;
		walk_on(&pieces, data + at, len);
		at += len;
	}
	CHECK(whole.count == pieces.count && whole.is_bad == pieces.is_bad);
	CHECK(pieces.is_bad || pieces.walked + pieces.have == size);
	for (unsigned i = 0; i < whole.count && i < FRAMES_MAX; i++) {
		CHECK(whole.frames[i].type == pieces.frames[i].type);
		CHECK(whole.frames[i].how == pieces.frames[i].how);
		CHECK(whole.frames[i].bytes == pieces.frames[i].bytes);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	compare(frame_from_client, data + 1, size - 1, data[0]);
	compare(frame_from_server, data + 1, size - 1, data[0]);
	return 0;
}
