/* Frames at the bounds of every message, and the same frames however the bytes come. */
#include "protocol/frame.h"

#include "core/rand.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

/* The table again, as rows. */
struct message {
	const struct frame_rule *rules;
	uint8_t type;
	const char *name;
	uint64_t least, most; /* bytes of the body */
	enum frame_how how;
};

static const struct message messages[] = {
#define CLIENT_MESSAGE(type, name, least, most, how) \
	{frame_from_client, type, "client " #name, least, most, FRAME_##how},
#define SERVER_MESSAGE(type, name, least, most, how) \
	{frame_from_server, type, "server " #name, least, most, FRAME_##how},
#include "protocol/messages.def"
};

static void put_head(uint8_t head[FRAME_HEAD], uint8_t type, uint64_t length)
{
	head[0] = type;
	for (unsigned i = 0; i < 4; i++)
		head[1 + i] = (uint8_t)(length >> (24 - 8 * i));
}

static void assert_frame(const struct message *m, uint64_t body, enum frame_result expected)
{
	uint8_t head[FRAME_HEAD];
	struct frame frame;
	enum frame_result found;

	put_head(head, m->type, body + 4);
	found = frame_read(m->rules, head, sizeof head, &frame);
	if (found != expected)
		fail_msg("%s with a body of %llu bytes", m->name, (unsigned long long)body);
	assert_int_equal(frame.type, m->type);
	assert_int_equal(frame.how, m->how);
	assert_int_equal(frame.bytes, body + FRAME_HEAD); /* also of a bad one: for the message */
}

static void bounds_are_what_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(messages); i++) {
		const struct message *m = &messages[i];

		assert_true(m->least <= m->most);
		assert_frame(m, m->least, FRAME_DONE);
		assert_frame(m, m->most, FRAME_DONE);
		assert_frame(m, m->least + (m->most - m->least) / 2, FRAME_DONE);
		assert_frame(m, m->most + 1, FRAME_BAD);
		if (m->least > 0)
			assert_frame(m, m->least - 1, FRAME_BAD);
	}
}

/* Every length that is no length, among them those at which a sum of 32 bits wraps. */
static void impossible_lengths_are_bad(void **state)
{
	static const uint32_t lengths[] = {0, 1, 2, 3, 0x40000000, INT32_MAX,
		(uint32_t)INT32_MAX + 1, UINT32_MAX - 5, UINT32_MAX - 4, UINT32_MAX - 3,
		UINT32_MAX - 1, UINT32_MAX};

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		for (size_t i = 0; i < array_len(lengths); i++) {
			uint8_t head[FRAME_HEAD];
			struct frame frame;

			put_head(head, (uint8_t)type, lengths[i]);
			assert_int_equal(frame_read(frame_from_client, head, sizeof head, &frame),
				FRAME_BAD);
			assert_int_equal(frame.type, type);
			assert_int_equal(frame_read(frame_from_server, head, sizeof head, &frame),
				FRAME_BAD);
		}
	}
}

static bool is_listed(const struct frame_rule *rules, unsigned type)
{
	for (size_t i = 0; i < array_len(messages); i++)
		if (messages[i].rules == rules && messages[i].type == type)
			return true;
	return false;
}

static void unknown_types_are_bad(void **state)
{
	static const struct frame_rule *const both[] = {frame_from_client, frame_from_server};

	(void)state;
	for (size_t i = 0; i < array_len(both); i++) {
		for (unsigned type = 0; type < 256; type++) {
			for (uint64_t body = 0; body < 300; body++) {
				uint8_t head[FRAME_HEAD];
				struct frame frame;

				if (is_listed(both[i], type))
					continue;
				put_head(head, (uint8_t)type, body + 4);
				assert_int_equal(
					frame_read(both[i], head, sizeof head, &frame), FRAME_BAD);
				assert_int_equal(frame.type, type);
				assert_int_equal(frame.how, FRAME_UNKNOWN);
			}
		}
	}
}

/* What does not come from the table: the manual's "Message Formats", and PostgreSQL's limits (libpq/libpq.h: 10000 and
 * 0x3ffffffe, which count the length itself). */
static void bounds_are_those_of_postgresql(void **state)
{
	static const struct {
		char type;
		uint64_t most;
	} client[] = {{'Q', 0x3ffffffe}, {'P', 0x3ffffffe}, {'B', 0x3ffffffe}, {'F', 0x3ffffffe},
		{'d', 0x3ffffffe}, {'C', 10000}, {'D', 10000}, {'E', 10000}, {'S', 10000},
		{'X', 10000}, {'c', 10000}, {'f', 10000}};
	static const struct {
		char type;
		uint32_t exactly;
	} server[] = {
		{'1', 4}, {'2', 4}, {'3', 4}, {'I', 4}, {'n', 4}, {'s', 4}, {'c', 4}, {'Z', 5}};

	(void)state;
	for (size_t i = 0; i < array_len(client); i++)
		assert_int_equal(
			frame_from_client[(uint8_t)client[i].type].most, client[i].most + 1);
	for (size_t i = 0; i < array_len(server); i++) {
		assert_int_equal(
			frame_from_server[(uint8_t)server[i].type].least, server[i].exactly + 1);
		assert_int_equal(
			frame_from_server[(uint8_t)server[i].type].most, server[i].exactly + 1);
	}
	/* but for Flush: PostgreSQL reads one with a body, and answers it with an error that no client could be told to wait for */
	assert_int_equal(frame_from_client['H'].most, FRAME_HEAD);
	/* the least that each has by its format */
	assert_true(frame_from_client['Q'].least <= 1 + 4 + 1);
	assert_true(frame_from_client['P'].least <= 1 + 4 + 4);
	assert_true(frame_from_client['B'].least <= 1 + 4 + 8);
	assert_true(frame_from_client['E'].least <= 1 + 4 + 5);
	assert_true(frame_from_client['D'].least <= 1 + 4 + 2);
	assert_true(frame_from_client['C'].least <= 1 + 4 + 2);
	assert_true(frame_from_server['K'].most >= 1 + 4 + 4 + 256);
}

/* An incomplete head tells nothing and changes nothing. */
static void half_a_head_is_not_read(void **state)
{
	(void)state;
	for (size_t len = 0; len < FRAME_HEAD; len++) {
		uint8_t head[FRAME_HEAD];
		struct frame frame;

		memset(head, 0xFF, sizeof head); /* bad, were it whole */
		memset(&frame, 0x5A, sizeof frame);
		assert_int_equal(frame_read(frame_from_client, head, len, &frame), FRAME_MORE);
		assert_int_equal(frame.type, 0x5A);
		assert_int_equal(frame.bytes, 0x5A5A5A5A);
	}
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(messages); i++) {
		const uint64_t bodies[] = {messages[i].least, messages[i].most};

		for (size_t j = 0; j < array_len(bodies); j++) {
			uint8_t written[FRAME_HEAD], expected[FRAME_HEAD];
			struct frame frame;

			frame_write(written, messages[i].type, (uint32_t)bodies[j]);
			put_head(expected, messages[i].type, bodies[j] + 4);
			assert_memory_equal(written, expected, sizeof written);
			assert_int_equal(frame_u32(written + 1), bodies[j] + 4);
			assert_int_equal(
				frame_read(messages[i].rules, written, sizeof written, &frame),
				FRAME_DONE);
			assert_int_equal(frame.bytes, bodies[j] + FRAME_HEAD);
		}
	}
}

/* ---- splits ---- */

enum { FRAMES_MAX = 64, BYTES_MAX = 4096 };

struct walk {
	struct frame frames[FRAMES_MAX];
	unsigned count;
	uint8_t head[FRAME_HEAD];
	size_t have;   /* bytes of an incomplete head */
	uint32_t left; /* bytes of the body to come */
};

/* Walks the bytes that came next. */
static void walk_on(struct walk *walk, const uint8_t *at, size_t len)
{
	while (len > 0) {
		struct frame *frame = &walk->frames[walk->count];
		size_t n = walk->left < len ? walk->left : len;

		if (n == 0) {
			walk->head[walk->have++] = *at++;
			len--;
			switch (frame_read(frame_from_server, walk->head, walk->have, frame)) {
			case FRAME_MORE:
				continue;
			case FRAME_BAD:
				fail_msg("a good frame is bad at a split");
				continue;
			case FRAME_DONE:
				break;
			}
			walk->left = frame->bytes - FRAME_HEAD;
			walk->have = 0;
			walk->count++;
			assert_true(walk->count < FRAMES_MAX);
			continue;
		}
		walk->left -= (uint32_t)n;
		at += n;
		len -= n;
	}
}

static size_t compose(
	uint8_t *bytes, struct rand *rand, struct frame *ret_frames, unsigned *ret_count)
{
	size_t len = 0;

	*ret_count = 0;
	for (;;) {
		const struct message *m = &messages[rand_below(rand, array_len(messages))];
		uint64_t spread = m->most - m->least < 60 ? m->most - m->least : 60;
		uint32_t body = (uint32_t)(m->least + rand_below(rand, spread + 1));

		if (m->rules != frame_from_server)
			continue;
		if (len + FRAME_HEAD + body > BYTES_MAX || *ret_count == FRAMES_MAX - 2)
			return len;
		frame_write(bytes + len, m->type, body);
		memset(bytes + len + FRAME_HEAD, 'Z', body); /* looks like a message itself */
		ret_frames[(*ret_count)++] =
			(struct frame){m->type, (uint8_t)m->how, body + FRAME_HEAD};
		len += FRAME_HEAD + body;
	}
}

static void assert_walked(const struct walk *walk, const struct frame *frames, unsigned count)
{
	assert_int_equal(walk->count, count);
	assert_int_equal(walk->left, 0);
	assert_int_equal(walk->have, 0);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(walk->frames[i].type, frames[i].type);
		assert_int_equal(walk->frames[i].how, frames[i].how);
		assert_int_equal(walk->frames[i].bytes, frames[i].bytes);
	}
}

static void frames_are_the_same_at_every_split(void **state)
{
	struct rand rand = {{71, 72, 73, 74}};

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		static uint8_t bytes[BYTES_MAX];
		struct frame frames[FRAMES_MAX];
		unsigned count;
		size_t len = compose(bytes, &rand, frames, &count);

		for (size_t at = 0; at <= len; at++) {
			struct walk walk = {.count = 0};

			walk_on(&walk, bytes, at);
			walk_on(&walk, bytes + at, len - at);
			assert_walked(&walk, frames, count);
		}
		for (size_t piece = 1; piece < 20; piece++) {
			struct walk walk = {.count = 0};

			for (size_t at = 0; at < len; at += piece)
				walk_on(&walk, bytes + at, len - at < piece ? len - at : piece);
			assert_walked(&walk, frames, count);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_are_what_the_table_says),
		cmocka_unit_test(impossible_lengths_are_bad),
		cmocka_unit_test(unknown_types_are_bad),
		cmocka_unit_test(bounds_are_those_of_postgresql),
		cmocka_unit_test(half_a_head_is_not_read),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(frames_are_the_same_at_every_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
