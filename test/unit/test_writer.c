/* What the writer composes, the reader takes apart; neither leaves its bounds. */
#include "protocol/writer.h"

#include "protocol/reader.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static void compose(struct writer *w)
{
	writer_begin(w, 'T');
	writer_u8(w, 0xA1);
	writer_u16(w, 0xB2B3);
	writer_u32(w, 0xC4C5C6C7);
	writer_bytes(w, "xyz", 3);
	writer_bytes(w, NULL, 0);
	writer_string(w, "name");
	writer_string(w, "");
	writer_finish(w);
	writer_begin(w, 0);
	writer_u32(w, 80877103);
	writer_finish(w);
}

/* One message with a type byte, then one without. */
static const uint8_t composed[] = {'T', 0, 0, 0, 20, 0xA1, 0xB2, 0xB3, 0xC4, 0xC5, 0xC6, 0xC7, 'x',
	'y', 'z', 'n', 'a', 'm', 'e', 0, 0, 0, 0, 0, 8, 4, 210, 22, 47};

static void messages_have_their_bytes(void **state)
{
	uint8_t buf[64];
	struct writer w;

	(void)state;
	writer_init(&w, buf, sizeof buf);
	compose(&w);
	assert_false(w.overflow);
	assert_int_equal(writer_len(&w), sizeof composed);
	assert_memory_equal(buf, composed, sizeof composed);
}

/* The buffers are on the heap and of the exact size, so that a sanitizer sees a write or read past the end. */
static void every_smaller_buffer_overflows(void **state)
{
	(void)state;
	for (size_t cap = 0; cap <= sizeof composed; cap++) {
		uint8_t *buf = malloc(cap + 1);
		struct writer w;

		buf[cap] = 0x5A;
		writer_init(&w, buf, cap);
		compose(&w);
		assert_int_equal(w.overflow, cap < sizeof composed);
		assert_int_equal(writer_len(&w), cap < sizeof composed ? 0 : sizeof composed);
		assert_int_equal(buf[cap], 0x5A);
		free(buf);
	}
}

static void overflow_is_for_good(void **state)
{
	uint8_t buf[4] = {1, 2, 3, 4};
	struct writer w;

	(void)state;
	writer_init(&w, buf, sizeof buf);
	writer_bytes(&w, "12345", 5);
	assert_true(w.overflow);
	writer_u8(&w, 9); /* would fit */
	assert_true(w.overflow);
	assert_int_equal(writer_len(&w), 0);
	assert_int_equal(buf[0], 1);
}

static void reader_takes_it_apart(void **state)
{
	struct reader r;

	(void)state;
	reader_init(&r, composed, sizeof composed);
	assert_int_equal(reader_u8(&r), 'T');
	assert_int_equal(reader_u32(&r), 20);
	assert_int_equal(reader_u8(&r), 0xA1);
	assert_int_equal(reader_u16(&r), 0xB2B3);
	assert_int_equal(reader_i32(&r), (int32_t)0xC4C5C6C7);
	assert_memory_equal(reader_bytes(&r, 3), "xyz", 3);
	assert_string_equal(reader_cstring(&r), "name");
	assert_string_equal(reader_cstring(&r), "");
	assert_false(reader_done(&r));
	assert_int_equal(reader_left(&r), 8);
	assert_int_equal(reader_u32(&r), 8);
	assert_int_equal(reader_u32(&r), 80877103);
	assert_true(reader_done(&r));
	assert_int_equal(reader_left(&r), 0);
}

static bool read_all(const uint8_t *body, size_t len)
{
	struct reader r;

	reader_init(&r, body, len);
	reader_u8(&r);
	reader_u32(&r);
	reader_u8(&r);
	reader_u16(&r);
	reader_u32(&r);
	reader_bytes(&r, 3);
	reader_cstring(&r);
	reader_cstring(&r);
	reader_bytes(&r, 8);
	return reader_done(&r);
}

static void every_truncation_is_bad(void **state)
{
	(void)state;
	for (size_t len = 0; len <= sizeof composed; len++) {
		uint8_t *body = malloc(len > 0 ? len : 1);

		memcpy(body, composed, len);
		assert_int_equal(read_all(body, len), len == sizeof composed);
		free(body);
	}
}

static void bad_is_for_good(void **state)
{
	static const uint8_t body[] = {1, 2, 3};
	struct reader r;

	(void)state;
	reader_init(&r, body, sizeof body);
	assert_int_equal(reader_u32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(reader_u8(&r), 0); /* there is one, but it may not be read any more */
	assert_null(reader_bytes(&r, 0));
	assert_null(reader_cstring(&r));
	assert_int_equal(reader_left(&r), 0);
	assert_false(reader_done(&r));

	reader_init(&r, body, sizeof body);
	assert_null(reader_cstring(&r)); /* no NUL */
	assert_true(r.bad);

	reader_init(&r, body, sizeof body);
	assert_null(reader_bytes(&r, SIZE_MAX));
	assert_true(r.bad);

	reader_init(&r, NULL, 0);
	assert_true(reader_done(&r));
	assert_non_null(reader_bytes(&r, 0));
	assert_null(reader_cstring(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_have_their_bytes),
		cmocka_unit_test(every_smaller_buffer_overflows),
		cmocka_unit_test(overflow_is_for_good),
		cmocka_unit_test(reader_takes_it_apart),
		cmocka_unit_test(every_truncation_is_bad),
		cmocka_unit_test(bad_is_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
