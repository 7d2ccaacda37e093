/* A client's names: found, cut as PostgreSQL cuts them, closed, taken back, forgotten. */
#include "pool/names.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct statements statements;

static int start(void **state)
{
	(void)state;
	statements_init(&statements, (const uint8_t *)"0123456789abcdef");
	return 0;
}

/* Nobody may have been forgotten. */
static int finish(void **state)
{
	(void)state;
	statements_free(&statements);
	return 0;
}

static struct name *add(struct names *names, const char *name, const char *text)
{
	return names_add(
		names, name, strlen(name), statement_share(&statements, 0, text, strlen(text)));
}

static struct name *find(const struct names *names, const char *name)
{
	return names_find(names, name, strlen(name));
}

static void many_names(void **state)
{
	struct names names = {0};
	char name[32];

	(void)state;
	assert_null(find(&names, "0"));
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "s%u", i);
		assert_null(find(&names, name));
		assert_non_null(add(&names, name, i % 2 ? "SELECT 1" : "SELECT 2"));
	}
	assert_int_equal(names.count, 10000);
	for (unsigned i = 0; i < 10000; i += 3) {
		snprintf(name, sizeof name, "s%u", i);
		names_remove(&names, find(&names, name));
	}
	names_bury(&names, &statements);
	for (unsigned i = 0; i < 10000; i++) {
		struct name *found;

		snprintf(name, sizeof name, "s%u", i);
		found = find(&names, name);
		assert_int_equal(found != NULL, i % 3 != 0);
		if (found)
			assert_memory_equal(
				found->statement->body, i % 2 ? "SELECT 1" : "SELECT 2", 8);
	}
	names_clear(&names, &statements);
	assert_int_equal(names.count, 0);
	assert_int_equal(names.bytes, 0);
	assert_null(find(&names, "s1"));
}

static void names_are_cut(void **state)
{
	struct names names = {0};
	char name[80];

	(void)state;
	memset(name, 'n', sizeof name);
	names_add(&names, name, 70, statement_share(&statements, 0, "x", 1));
	assert_non_null(names_find(&names, name, 63));
	assert_non_null(names_find(&names, name, 80));
	assert_null(names_find(&names, name, 62));
	names_clear(&names, &statements);
}

static void a_closing_name_is_free_and_uncertain(void **state)
{
	struct names names = {0};
	struct name *old = add(&names, "s", "SELECT 1"), *new;

	(void)state;
	old->is_closing = true;
	old->batch = 3;
	assert_null(find(&names, "s"));
	assert_true(names_is_uncertain(&names, "s", 1, 4));
	assert_false(names_is_uncertain(&names, "s", 1, 3));
	assert_false(names_is_uncertain(&names, "t", 1, 4));
	new = add(&names, "s", "SELECT 2");
	assert_ptr_equal(find(&names, "s"), new);
	assert_ptr_equal(names_find_serial(&names, old->hash, old->serial), old);
	names_remove(&names, old);
	assert_ptr_equal(find(&names, "s"), new);
	assert_ptr_equal(names_find_key(&names, old->statement->key), old); /* until it is buried */
	names_bury(&names, &statements);
	assert_ptr_equal(names_find_key(&names, new->statement->key), new);
	names_clear(&names, &statements);
}

static void what_came_later_stays(void **state)
{
	struct names names = {0};
	uint32_t serial;

	(void)state;
	add(&names, "a", "SELECT 1");
	add(&names, "b", "SELECT 1");
	serial = add(&names, "c", "SELECT 1")->serial;
	names_clear_before(&names, serial);
	assert_null(find(&names, "a"));
	assert_null(find(&names, "b"));
	assert_non_null(find(&names, "c"));
	names_clear(&names, &statements);
}

static void another_statement_under_the_name(void **state)
{
	struct names names = {0};
	struct name *name = add(&names, "s", "SELECT 1");

	(void)state;
	names_replace(&names, &statements, name, statement_share(&statements, 5, "SELECT 22", 9));
	assert_int_equal(find(&names, "s")->statement->context, 5);
	names_set_unnamed(&names, &statements, statement_share(&statements, 0, "x", 1));
	names_set_unnamed(&names, &statements, statement_share(&statements, 0, "y", 1));
	assert_int_equal(names.unnamed_serial, 2);
	names_clear(&names, &statements);
	assert_null(names.unnamed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(many_names, start, finish),
		cmocka_unit_test_setup_teardown(names_are_cut, start, finish),
		cmocka_unit_test_setup_teardown(
			a_closing_name_is_free_and_uncertain, start, finish),
		cmocka_unit_test_setup_teardown(what_came_later_stays, start, finish),
		cmocka_unit_test_setup_teardown(another_statement_under_the_name, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
