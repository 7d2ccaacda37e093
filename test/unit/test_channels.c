/* Channels: found by name and by nothing else, in the order in which they came. */
#include "pool/channels.h"

#include "core/core.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct world world;
static struct core core = {.world = &world};

static struct channel *find(const struct channels *channels, const char *name)
{
	return channels_find(&core, channels, name, strlen(name));
}

static void many(void **state)
{
	struct channels channels;
	unsigned number = 0;
	char name[CHANNEL_BYTES];

	(void)state;
	channels_init(&channels);
	assert_null(find(&channels, "c0"));
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "c%u", i);
		assert_null(find(&channels, name));
		assert_string_equal(channels_add(&core, &channels, name, strlen(name))->name, name);
	}
	for (unsigned i = 0; i < 5000; i += 2) {
		snprintf(name, sizeof name, "c%u", i);
		channels_remove(&channels, find(&channels, name));
	}
	assert_int_equal(channels.table.count, 2500);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "c%u", i);
		assert_int_equal(find(&channels, name) != NULL, i % 2);
	}
	list_each(link, &channels.all) {
		snprintf(name, sizeof name, "c%u", 2 * number++ + 1);
		assert_string_equal(container_of(link, struct channel, all)->name, name);
	}
	assert_int_equal(number, 2500);
	channels_free(&channels);
	assert_null(find(&channels, "c1"));
}

static void alike(void **state)
{
	struct channels channels;
	struct channel *lower, *upper, *shorter;

	(void)state;
	channels_init(&channels);
	lower = channels_add(&core, &channels, "name", 4);
	upper = channels_add(&core, &channels, "Name", 4);
	shorter = channels_add(&core, &channels, "name", 3);
	assert_ptr_equal(find(&channels, "name"), lower);
	assert_ptr_equal(find(&channels, "Name"), upper);
	assert_ptr_equal(find(&channels, "nam"), shorter);
	assert_null(find(&channels, "name "));
	channels_free(&channels);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many),
		cmocka_unit_test(alike),
	};

	return cmocka_run_group_tests_name("channels", tests, NULL, NULL);
}
