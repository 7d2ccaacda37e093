/* Which texts name a prepared statement, and how PostgreSQL reads the name. */
#include "router/sqlname.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

/* In memory of exactly that size, so that a sanitizer sees who reads on. */
static struct sqlname find(const char *text)
{
	size_t len = strlen(text);
	uint8_t *copy = malloc(len + 1);
	struct sqlname found;

	assert_non_null(copy);
	memcpy(copy, text, len);
	copy = realloc(copy, len ? len : 1);
	found = sqlname_find(copy, copy + len);
	free(copy);
	return found;
}

static void deallocate_is_recognised(void **state)
{
	static const struct {
		const char *text, *name;
	} texts[] = {
		{"DEALLOCATE s", "s"},
		{"deallocate PREPARE S;", "s"},
		{" ;/* a /* b */ c */ DEALLOCATE -- x\n s -- y", "s"},
		{"DEALLOCATE \"S\"\"T\" ; ;", "S\"T"},
		{"DEALLOCATE\"s\"", "s"},
		{"DEALLOCATE _pg3_0", "_pg3_0"},
		{"DEALLOCATE prepare_1", "prepare_1"},
		{"DEALLOCATE \"all\"", "all"},
		{"DEALLOCATE a$1", "a$1"},
		{"DEALLOCATE "
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct sqlname found = find(texts[i].text);

		assert_int_equal(found.kind, SQLNAME_DEALLOCATE);
		assert_int_equal(found.name_len, strlen(texts[i].name));
		assert_memory_equal(found.name, texts[i].name, found.name_len);
	}
}

static void execute_is_recognised(void **state)
{
	struct sqlname found = find(" /* x */ Execute  S (1); SELECT 2");

	(void)state;
	assert_int_equal(found.kind, SQLNAME_EXECUTE);
	assert_int_equal(found.name_len, 1);
	assert_int_equal(found.name[0], 's');
	assert_int_equal(found.first, 18);
	assert_int_equal(found.behind, 19);
	found = find("EXECUTE\"a\"\"B\"");
	assert_int_equal(found.kind, SQLNAME_EXECUTE);
	assert_int_equal(found.name_len, 3);
	assert_memory_equal(found.name, "a\"B", 3);
	assert_int_equal(found.first, 7);
	assert_int_equal(found.behind, 13);
	assert_int_equal(find("EXECUTES s").kind, SQLNAME_NONE);
	assert_int_equal(find("EXECUTE").kind, SQLNAME_NONE);
	assert_int_equal(find("EXECUTE \"s").kind, SQLNAME_NONE);
}

static void anything_else_is_left_alone(void **state)
{
	static const char *const texts[] = {"", " ", "DEALLOCATE", "DEALLOCATE ", "DEALLOCATE ALL",
		"DEALLOCATE PREPARE ALL", "DEALLOCATE s t", "DEALLOCATE s; SELECT 1",
		"DEALLOCATES s", "DEALLOCATE 1s", "DEALLOCATE $1", "DEALLOCATE \"s",
		"DEALLOCATE \"\"", "DEALLOCATE U&\"s\"", "DEALLOCATE \xc3\x84", "DEALLOCATE s.t",
		"SELECT 1", "/* DEALLOCATE s", "-- DEALLOCATE s", "DEALLOCATE s'",
		"EXPLAIN DEALLOCATE s"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_int_equal(find(texts[i]).kind, SQLNAME_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deallocate_is_recognised),
		cmocka_unit_test(execute_is_recognised),
		cmocka_unit_test(anything_else_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
