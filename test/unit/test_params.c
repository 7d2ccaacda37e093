/* A server's parameters: the last value counts, names have no case, copies are copies. */
#include "pool/params.h"

#include "core/check.h"
#include "core/rand.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

static void what_was_set_is_got(void **state)
{
	struct params params = {0};
	char name[] = "TimeZone", value[] = "UTC";

	(void)state;
	assert_null(params_get(&params, "TimeZone"));
	params_set(&params, name, value);
	memset(name, 'x', sizeof name - 1); /* the texts were copied */
	memset(value, 'x', sizeof value - 1);
	assert_string_equal(params_get(&params, "TimeZone"), "UTC");
	assert_null(params_get(&params, "Time"));
	assert_null(params_get(&params, "TimeZones"));
	assert_null(params_get(&params, ""));

	params_set(&params, "empty", "");
	assert_string_equal(params_get(&params, "empty"), "");
	params_set(&params, "TimeZone", "Europe/Vienna");
	assert_string_equal(params_get(&params, "TimeZone"), "Europe/Vienna");
	assert_int_equal(params.count, 2);
	params_clear(&params);
	assert_null(params_get(&params, "TimeZone"));
	params_clear(&params);
}

/* guc.c, guc_name_compare: 'A' to 'Z' only. */
static void names_have_no_case(void **state)
{
	struct params params = {0};

	(void)state;
	params_set(&params, "DateStyle", "ISO, MDY");
	params_set(&params, "datestyle", "SQL");
	params_set(&params, "DATESTYLE", "ISO, DMY");
	assert_int_equal(params.count, 1);
	assert_string_equal(params.items[0].name, "DateStyle"); /* as it was first said */
	assert_string_equal(params_get(&params, "dateStyle"), "ISO, DMY");
	params_clear(&params);
}

/* Clients get them in the order in which the server first said them. */
static void the_order_stays(void **state)
{
	static const char *const names[] = {"b", "a", "c", "a", "B", "d", "C"};
	static const char *const expected[] = {"b", "a", "c", "d"};
	struct params params = {0};

	(void)state;
	for (size_t i = 0; i < array_len(names); i++)
		params_set(&params, names[i], "x");
	assert_int_equal(params.count, array_len(expected));
	for (size_t i = 0; i < array_len(expected); i++)
		assert_string_equal(params.items[i].name, expected[i]);
	params_clear(&params);
}

/* A value that is set to itself must not be read after it was freed. */
static void a_value_may_be_set_to_itself(void **state)
{
	struct params params = {0};

	(void)state;
	params_set(&params, "a", "value");
	params_set(&params, "a", params_get(&params, "a"));
	params_set(&params, params.items[0].name, "other");
	params_set(&params, "b", params_get(&params, "a"));
	assert_string_equal(params_get(&params, "a"), "other");
	assert_string_equal(params_get(&params, "b"), "other");
	params_clear(&params);
}

static void a_copy_replaces_and_is_its_own(void **state)
{
	struct params source = {0}, target = {0};

	(void)state;
	params_set(&source, "a", "1");
	params_set(&source, "b", "2");
	params_set(&target, "b", "old");
	params_set(&target, "z", "old");
	params_copy(&target, &source);
	assert_int_equal(target.count, 2);
	assert_null(params_get(&target, "z"));
	params_set(&source, "a", "changed");
	assert_string_equal(params_get(&target, "a"), "1");
	assert_string_equal(params_get(&target, "b"), "2");
	params_clear(&source);
	assert_string_equal(params_get(&target, "a"), "1");
	params_copy(&target, &source); /* of nothing */
	assert_int_equal(target.count, 0);
	params_clear(&target);
}

static void random_operations(void **state)
{
	enum { NAMES = 20, STEPS = 50000 };
	struct rand rand = {{81, 82, 83, 84}};
	unsigned values[NAMES] = {0}, present = 0;
	struct params params = {0};

	(void)state;
	for (unsigned step = 1; step <= STEPS; step++) {
		unsigned i = (unsigned)rand_below(&rand, NAMES);
		char name[16], value[16];

		snprintf(name, sizeof name, rand_next(&rand) & 1 ? "name_%u" : "Name_%u", i);
		snprintf(value, sizeof value, "%u", step);
		params_set(&params, name, value);
		present += values[i] == 0;
		values[i] = step;
		if (rand_below(&rand, 500) == 0) {
			struct params copy = {0};

			params_copy(&copy, &params);
			params_clear(&params);
			params = copy;
		}
		assert_int_equal(params.count, present);
		i = (unsigned)rand_below(&rand, NAMES);
		snprintf(name, sizeof name, "nAME_%u", i);
		snprintf(value, sizeof value, "%u", values[i]);
		if (values[i])
			assert_string_equal(params_get(&params, name), value);
		else
			assert_null(params_get(&params, name));
	}
	params_clear(&params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_set_is_got),
		cmocka_unit_test(names_have_no_case),
		cmocka_unit_test(the_order_stays),
		cmocka_unit_test(a_value_may_be_set_to_itself),
		cmocka_unit_test(a_copy_replaces_and_is_its_own),
		cmocka_unit_test(random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
