/* Markers: read as they were written, and by no other process; and notifications, well-formed or not. */
#include "pool/marker.h"

#include "core/core.h"
#include "protocol/frame.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static struct world world, other_world = {.secret = {1}};
static struct core core = {.world = &world}, other = {.world = &other_world};

static void round_trip(void **state)
{
	const struct marker markers[] = {
		{0, 0, 0, 0}, {1, 2, 3, 4}, {255, 0xfffff, UINT32_MAX, UINT32_MAX}};
	struct marker found;
	char text[MARKER_BYTES], broken[MARKER_BYTES + 2];

	(void)state;
	for (size_t i = 0; i < array_len(markers); i++) {
		marker_write(&core, &markers[i], text);
		assert_true(marker_read(&core, text, &found));
		assert_memory_equal(&found, &markers[i], sizeof found);
		assert_false(marker_read(&other, text, &found));
		for (size_t at = 0; at < strlen(text); at++) {
			memcpy(broken, text, sizeof text);
			broken[at] = broken[at] == '5' ? '6' : '5';
			assert_false(marker_read(&core, broken, &found));
			broken[at] = '\0';
			assert_false(marker_read(&core, broken, &found));
		}
		memcpy(broken, text, sizeof text);
		memcpy(broken + strlen(text), " ", 2);
		assert_false(marker_read(&core, broken, &found));
	}
	assert_false(marker_read(&core, "", &found));
	assert_false(marker_read(&core, "hello", &found));
}

static void notifications(void **state)
{
	static const uint8_t good[] = "A\0\0\0\20\0\0\1\2news\0hi";
	static const uint8_t nothing[] = "A\0\0\0\12\0\0\1\2\0";
	struct marker_notification found;
	uint8_t bad[sizeof good];

	(void)state;
	assert_int_equal(marker_find(good, sizeof good, &found), 0);
	assert_string_equal(found.channel, "news");
	assert_int_equal(found.channel_len, 4);
	assert_string_equal(found.payload, "hi");
	assert_int_equal(marker_find(nothing, sizeof nothing, &found), 0);
	assert_string_equal(found.payload, "");
	for (size_t len = FRAME_HEAD; len < sizeof good; len++)
		assert_int_not_equal(marker_find(good, len, &found), 0);
	memcpy(bad, good, sizeof good);
	bad[sizeof good - 1] = 'x';
	assert_int_not_equal(marker_find(bad, sizeof bad, &found), 0);
	memset(bad + FRAME_HEAD + 4, 'x', sizeof bad - FRAME_HEAD - 4);
	bad[sizeof bad - 1] = '\0';
	assert_int_not_equal(marker_find(bad, sizeof bad, &found), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(notifications),
	};

	return cmocka_run_group_tests_name("marker", tests, NULL, NULL);
}
