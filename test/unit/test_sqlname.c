/* Which texts name a prepared statement, and how PostgreSQL reads the name. */
#include "router/sqlname.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
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

static void execute_is_found_behind_other_words(void **state)
{
	static const struct {
		const char *before, *behind;
	} texts[] = {
		{"EXPLAIN EXECUTE ", "(1)"},
		{"explain analyze verbose execute ", ""},
		{"EXPLAIN (COSTS OFF, format 'x)') EXECUTE ", ";"},
		{"CREATE TABLE t AS EXECUTE ", " WITH NO DATA"},
		{"CREATE TEMP TABLE IF NOT EXISTS \"as execute u\".t (a, b) AS /* c */ EXECUTE ",
			"(1)"},
		{"create unlogged table t with (a = 'as execute u') on commit drop as execute ",
			""},
		{"CREATE GLOBAL TEMPORARY TABLE $t AS EXECUTE ", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		char text[200];
		struct sqlname found;

		snprintf(text, sizeof text, "%sName%s", texts[i].before, texts[i].behind);
		found = find(text);
		assert_int_equal(found.kind, SQLNAME_EXECUTE);
		assert_int_equal(found.first, strlen(texts[i].before));
		assert_int_equal(found.behind, found.first + 4);
		assert_memory_equal(found.name, "name", 4);
	}
}

static bool reads(const char *text, struct sqlname *ret_found, struct sqlname_prepare *ret_prepare)
{
	size_t len = strlen(text);
	uint8_t *copy = malloc(len ? len : 1);
	bool result = false;

	assert_non_null(copy);
	memcpy(copy, text, len);
	*ret_found = sqlname_find(copy, copy + len);
	if (ret_found->kind == SQLNAME_PREPARE)
		result = sqlname_read_prepare(copy, copy + len, ret_found, ret_prepare);
	free(copy);
	return result;
}

static void prepare_is_read(void **state)
{
	static const struct {
		const char *text, *name, *statement;
		uint32_t types[3];
	} texts[] = {
		{"PREPARE s AS SELECT 1", "s", "SELECT 1", {0}},
		{" ;prepare S as-- c\n select 1 ; ;", "s", "select 1 ; ;", {0}},
		{"PREPARE\"S t\"AS(SELECT 1)", "S t", "(SELECT 1)", {0}},
		{"PREPARE s (int) AS VALUES ($1)", "s", "VALUES ($1)", {23}},
		{"PREPARE s(INT4,Text [ ],time /* c */ with time zone) AS TABLE x", "s", "TABLE x",
			{23, 1009, 1266}},
		{"PREPARE s(time, timestamp with time zone[], double precision)as/**/WITH a AS "
		 "(SELECT 1) TABLE a",
			"s", "WITH a AS (SELECT 1) TABLE a", {1083, 1185, 701}},
		{"PREPARE s AS INSERT INTO t SELECT ';'", "s", "INSERT INTO t SELECT ';'", {0}},
		{"PREPARE s AS SELECT $$;$$, \";\" /* ; */; -- ;", "s",
			"SELECT $$;$$, \";\" /* ; */; -- ;", {0}},
		{"PREPARE s AS SELECT E'\\'' ;", "s", "SELECT E'\\'' ;", {0}},
		{"PREPARE transaction AS SELECT 1", "transaction", "SELECT 1", {0}},
	};
	struct sqlname_prepare prepare;
	struct sqlname found;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		assert_true(reads(texts[i].text, &found, &prepare));
		assert_int_equal(found.name_len, strlen(texts[i].name));
		assert_memory_equal(found.name, texts[i].name, found.name_len);
		assert_string_equal(texts[i].text + prepare.statement, texts[i].statement);
		for (unsigned n = 0; n < 3; n++)
			assert_int_equal(
				n < prepare.type_count ? prepare.types[n] : 0, texts[i].types[n]);
	}
}

static void prepare_of_other_forms_is_not_read(void **state)
{
	static const char *const texts[] = {"PREPARE s AS", "PREPARE s", "PREPARE s AS SELECTS",
		"PREPARE TRANSACTION 'x'", "PREPARE select AS SELECT 1", "PREPARE s AS SHOW x",
		"PREPARE s AS CREATE TABLE x (a int)", "PREPARE s AS SELECT 1; SELECT 2",
		"PREPARE s AS SELECT 1 INTO t", "PREPARE s AS WITH a AS (SELECT 1) SELECT 2 into t",
		"PREPARE s AS SELECT E'\\';' ; SELECT 2", "PREPARE s () AS SELECT 1",
		"PREPARE s (varchar(5)) AS SELECT 1", "PREPARE s (\"int\") AS SELECT 1",
		"PREPARE s (pg_catalog.int4) AS SELECT 1", "PREPARE s (int,) AS SELECT 1",
		"PREPARE s (int AS SELECT 1", "PREPARE s (int[2]) AS SELECT 1",
		"PREPARE s (int) SELECT 1", "PREPARE U&\"s\" AS SELECT 1",
		"PREPARE \xc3\x84 AS SELECT 1"};
	static const char long_name[] =
		"PREPARE "
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa AS TABLE t";
	struct sqlname_prepare prepare;
	struct sqlname found;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_false(reads(texts[i], &found, &prepare));
	assert_false(reads(long_name, &found, &prepare));
	assert_true(found.is_cut);
}

static void constants_are_told_from_the_rest(void **state)
{
	static const char *const constants[] = {"", "()", "(1, 'a', NULL)",
		" (-1.5::int, 'it''s (')", "(true) ; SELECT f()"},
				 *const others[] = {"(a)", "(f('x'))", "('a' || 'b')", "(E'\\'a')",
					 "($$a$$)", "(\"a\")", "((1))", "(current_user)"};

	(void)state;
	for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++)
		assert_true(sqlname_has_constants((const uint8_t *)constants[i],
			(const uint8_t *)constants[i] + strlen(constants[i])));
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_false(sqlname_has_constants((const uint8_t *)others[i],
			(const uint8_t *)others[i] + strlen(others[i])));
}

static void anything_else_is_left_alone(void **state)
{
	static const char *const texts[] = {"", " ", "DEALLOCATE", "DEALLOCATE ", "DEALLOCATE ALL",
		"DEALLOCATE PREPARE ALL", "DEALLOCATE s t", "DEALLOCATE s; SELECT 1",
		"DEALLOCATES s", "DEALLOCATE 1s", "DEALLOCATE $1", "DEALLOCATE \"s",
		"DEALLOCATE \"\"", "DEALLOCATE U&\"s\"", "DEALLOCATE \xc3\x84", "DEALLOCATE s.t",
		"SELECT 1", "/* DEALLOCATE s", "-- DEALLOCATE s", "DEALLOCATE s'",
		"EXPLAIN DEALLOCATE s", "EXPLAIN (a EXECUTE s", "EXPLAIN (a '\\') EXECUTE s",
		"EXPLAIN SELECT 1; EXECUTE s", "CREATE TABLE t (a) AS SELECT 1",
		"CREATE TABLE t; SELECT 1 AS EXECUTE s", "CREATE TABLE t (as execute s",
		"CREATE VIEW v AS EXECUTE s", "EXECUTE select", "EXECUTE U&\"s\"",
		"DEALLOCATE table", "PREPARE"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_int_equal(find(texts[i]).kind, SQLNAME_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deallocate_is_recognised),
		cmocka_unit_test(execute_is_recognised),
		cmocka_unit_test(execute_is_found_behind_other_words),
		cmocka_unit_test(prepare_is_read),
		cmocka_unit_test(prepare_of_other_forms_is_not_read),
		cmocka_unit_test(constants_are_told_from_the_rest),
		cmocka_unit_test(anything_else_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
