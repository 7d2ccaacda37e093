/* A hash table of things with links. */
#include "core/table.h"

#include "core/check.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

struct thing {
	struct table_link link;
	bool is_seen;
};

enum { THINGS = 1000 };

/* Each hash stands for three things, and all of them share one chain. */
static uint64_t hash_of(size_t i)
{
	return (uint64_t)(i / 3) << 32 | i / 3;
}

static size_t count_of(const struct table *table, uint64_t hash)
{
	size_t count = 0;

	table_each(link, table, hash) {
		assert_true(link->hash == hash);
		count++;
	}
	return count;
}

static void finds_all_of_a_hash(void **state)
{
	static struct thing things[THINGS];
	struct table table = {0};

	(void)state;
	assert_null(table_find(&table, 7));
	assert_null(table_walk(&table, NULL));
	assert_int_equal(table_bytes(&table), 0);
	for (size_t i = 0; i < THINGS; i++) {
		table_add(&table, &things[i].link, hash_of(i));
		assert_int_equal(count_of(&table, hash_of(i)), i % 3 + 1);
	}
	assert_null(table_find(&table, hash_of(THINGS + 3)));
	for (size_t i = 0; i < THINGS; i += 3) {
		table_remove(&table, &things[i].link);
		assert_int_equal(count_of(&table, hash_of(i)), i + 1 < THINGS ? 2 : 0);
	}
	for (size_t i = 0; i < THINGS; i++)
		if (i % 3 != 0)
			table_remove(&table, &things[i].link);
	table_free(&table);
}

static void walks_each_once(void **state)
{
	static struct thing things[THINGS];
	struct table table = {0};
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < THINGS; i++)
		table_add(&table, &things[i].link, i * UINT64_C(0x9e3779b97f4a7c15));
	table_each_of_all(link, &table) {
		struct thing *thing = container_of(link, struct thing, link);

		assert_false(thing->is_seen);
		thing->is_seen = true;
		count++;
	}
	assert_int_equal(count, THINGS);
	/* about as many chains as things */
	assert_in_range(table_bytes(&table), THINGS * sizeof(void *), 2 * THINGS * sizeof(void *));
	for (size_t i = 0; i < THINGS; i++)
		table_remove(&table, &things[i].link);
	table_free(&table);
	assert_int_equal(table_bytes(&table), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_all_of_a_hash),
		cmocka_unit_test(walks_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
