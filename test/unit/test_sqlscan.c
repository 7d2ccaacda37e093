/* What statements betray by their words: never less than what they may leave, and nothing for those that everybody sends. */
#include "router/sqlscan.h"

#include "core/check.h"
#include "core/rand.h"
#include "pool/traces.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static unsigned traces_of(const char *text)
{
	return sqlscan_traces((const uint8_t *)text, strlen(text)) & ~(unsigned)TRACE_TAKES;
}

static bool may_take(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	return sqlscan_traces(at, strlen(text)) & TRACE_TAKES || sqlscan_calls(at, strlen(text));
}

static void what_may_take_from_a_sequence_is_seen(void **state)
{
	static const char *const takes[] = {"SELECT nextval('s')", "insert INTO t VALUES (1)",
		"UPDATE t SET a = DEFAULT", "DELETE FROM t", "MERGE INTO t USING u ON true",
		"COPY t FROM STDIN", "CALL p", "DO 'BEGIN END'", "EXECUTE p", "SELECT f ()",
		"SELECT \"f\" (1)", "SELECT a.f/* */ (1)", "SELECT 1; SELECT f(lastval())",
		"REFRESH MATERIALIZED VIEW v", "WITH a AS (DELETE FROM t) SELECT 1"},
				 *const others[] = {"", "SELECT 1", "BEGIN", "SELECT lastval()",
					 "SELECT currval('s'), LASTVAL ( )",
					 "SELECT count(*) FROM t",
					 "SELECT a FROM t WHERE b IN (1, 2) AND (c OR d)",
					 "SET a = 1", "FETCH 1 FROM c", "SELECT f, g FROM \"h\"",
					 "SHOW search_path"};

	(void)state;
	for (size_t i = 0; i < array_len(takes); i++)
		if (!may_take(takes[i]))
			fail_msg("%s", takes[i]);
	for (size_t i = 0; i < array_len(others); i++)
		if (may_take(others[i]))
			fail_msg("%s", others[i]);
}

static void a_string_may_take_what_it_asks_for(void **state)
{
	static const char *const takes[] = {"SELECT nextval('s'); SELECT lastval()",
		"INSERT INTO t DEFAULT VALUES; SELECT currval('s')",
		"SELECT NextVal('s'), currval('s')", ";SELECT lastval()",
		"INSERT INTO t DEFAULT VALUES RETURNING currval('s')"},
				 *const asks[] = {"SELECT lastval()", "SELECT currval('s');",
					 "SELECT currval('s'), nextval('s')",
					 "SELECT lastval(); SELECT nextval('s')", ""};

	(void)state;
	for (size_t i = 0; i < array_len(takes); i++)
		assert_true(sqlscan_takes_first((const uint8_t *)takes[i], strlen(takes[i])));
	for (size_t i = 0; i < array_len(asks); i++)
		assert_false(sqlscan_takes_first((const uint8_t *)asks[i], strlen(asks[i])));
}

static void what_everybody_sends_leaves_nothing(void **state)
{
	static const char *const texts[] = {"", ";", "SELECT 1",
		"select * from t where a = 'b;c' limit 1;", "SELECT temp, hold, seed FROM weather",
		"INSERT INTO t (set, reset) VALUES (1) ON CONFLICT DO UPDATE SET a = 1",
		"UPDATE t SET a = b", "DELETE FROM t", "WITH a AS (SELECT 1) SELECT * FROM a",
		"COPY t FROM STDIN", "CREATE TABLE t (a int)", "BEGIN", "COMMIT", "ROLLBACK",
		"SAVEPOINT a", "SHOW work_mem", "EXPLAIN SELECT 1", "TRUNCATE t",
		"SET LOCAL work_mem = '1MB'", "set local my.tenant = 'a'",
		"SET TRANSACTION READ ONLY", "SET CONSTRAINTS ALL DEFERRED",
		"/* SET */ SELECT 1 -- SET", "SELECT 1; ;; \n",
		"SELECT set_config('my.tenant', $1, true)",
		"SELECT pg_catalog.set_config($1, $2 || 'a', TRUE ), 1",
		"SELECT \"set_config\" ( 'a', f('b', 'c,)'), true)",
		"SELECT pg_advisory_xact_lock(1)", "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
		"SELECT asset_config, pg_advisory", "SELECT sets FROM resets",
		"BEGIN; INSERT INTO t VALUES (1); COMMIT", "DECLARE c CURSOR FOR SELECT 1",
		"FETCH 1 FROM c", "SELECT nextval('s')", "SELECT u & 1, U FROM \"u\"", "NOTIFY a",
		"LOCK TABLE t", "VACUUM"};

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++)
		if (traces_of(texts[i]) & ~TRACE_IF_HELD)
			fail_msg("%s: %x", texts[i], traces_of(texts[i]));
}

static void what_leaves_something_is_seen(void **state)
{
	static const struct {
		const char *text;
		unsigned traces;
	} rows[] = {
		{"SET work_mem = '1MB'", TRACE_SETTINGS},
		{"set session role = a", TRACE_SETTINGS},
		{"-- c\n/* /* */ */ ; Set\tx TO y", TRACE_SETTINGS},
		{"SET/**/x=1", TRACE_SETTINGS},
		{"RESET ALL", TRACE_SETTINGS | TRACE_RESETS},
		{"SET a TO DEFAULT", TRACE_SETTINGS | TRACE_RESETS},
		{"DISCARD ALL", TRACE_EVERYTHING | TRACE_RESETS},
		{"DO $$ x $$", TRACE_EVERYTHING},
		{"CALL p()", TRACE_EVERYTHING},
		{"SELECT 1; SET a = 1", TRACE_SETTINGS},
		{"BEGIN;SET a = 1;COMMIT", TRACE_SETTINGS},
		{"SELECT ';'; SET a = 1", TRACE_SETTINGS},
		{"SELECT $a$;$b$;$a$; SET a = 1", TRACE_SETTINGS},
		{"SELECT \";\" /* ; */; SET a = 1", TRACE_SETTINGS},
		{"SELECT E'\\';'; SET a = 1; --'", TRACE_SETTINGS},
		{"SELECT $1; SET a = 1", TRACE_SETTINGS},
		{"SELECT set_config('a', 'b', false)", TRACE_SETTINGS},
		{"SELECT set_config('a', 'b', $1)", TRACE_SETTINGS},
		{"SELECT set_config('a', 'b', true or false)", TRACE_SETTINGS},
		{"SELECT set_config('a', 'true')", TRACE_SETTINGS},
		{"SELECT set_config('a', 'b', 'true')", TRACE_SETTINGS},
		{"SELECT set_config($$a$$, ',', true)", TRACE_SETTINGS},
		{"SELECT set_config('a', 'b', true), set_config('a', 'b', false)", TRACE_SETTINGS},
		{"SELECT \"set_config\"('a', 'b', false)", TRACE_SETTINGS},
		{"SELECT set_config", TRACE_SETTINGS},
		{"SELECT U&\"s\\0065t_config\"('a', 'b', false)", TRACE_EVERYTHING},
		{"SELECT set_config('seed', '0.5', false)", TRACE_SETTINGS | TRACE_SEED},
		{"SET seed = 0.5", TRACE_SEED},
		{"SELECT set_config('a.' || 'b', 'c', false)", TRACE_SETTINGS | TRACE_UNKNOWN},
		{"SELECT set_config(name, value, false) FROM t", TRACE_UNKNOWN},
		{"SELECT \"set_config\" ( E'a\\x2eb', 'c', false)", TRACE_UNKNOWN},
		{"SELECT set_config(setting_name => 'a.b', new_value => 'c')", TRACE_UNKNOWN},
		{"SELECT set_config('a''b', 'c', false)", TRACE_UNKNOWN},
		{"PREPARE s AS SELECT set_config('a.b', 'c', false)", TRACE_UNKNOWN},
		{"SELECT 1; PREPARE s AS SELECT pg_advisory_lock(1)", TRACE_UNKNOWN},
		{"SELECT setseed(0.5)", TRACE_SEED},
		{"SELECT pg_advisory_lock(1)", TRACE_LOCKS},
		{"SELECT PG_TRY_ADVISORY_LOCK_SHARED(1)", TRACE_LOCKS},
		{"SELECT pg_advisory_unlock_all()", TRACE_LOCKS},
		{"CREATE TEMP TABLE t (a int)", TRACE_TEMP},
		{"CREATE OR REPLACE TEMPORARY VIEW v AS SELECT 1", TRACE_TEMP},
		{"CREATE /* c */ GLOBAL TEMP TABLE t ()", TRACE_TEMP},
		{"SELECT 1 INTO TEMP t", TRACE_TEMP},
		{"CREATE TABLE pg_temp.t ()", TRACE_TEMP},
		{"DECLARE c CURSOR WITH HOLD FOR SELECT 1", TRACE_CURSORS},
		{"LISTEN a", TRACE_LISTEN},
		{"PREPARE s AS SELECT 1", TRACE_PREPARED},
		{"SELECT lastval()", TRACE_SEQUENCES},
		{"SELECT CurrVal('s')", TRACE_SEQUENCES},
		{"CLOSE c", TRACE_CURSORS | TRACE_IF_HELD},
		{"DROP TABLE t", TRACE_TEMP | TRACE_IF_HELD},
		{"SELECT 1; DROP TABLE t", TRACE_TEMP},
		{"DEALLOCATE ALL", TRACE_PREPARED | TRACE_IF_HELD},
		{"UNLISTEN *", TRACE_LISTEN | TRACE_IF_HELD | TRACE_SILENCES},
		{"UNLISTEN a", TRACE_LISTEN | TRACE_IF_HELD},
		{"SELECT 1; UNLISTEN /* all */ *;", TRACE_LISTEN | TRACE_SILENCES},
		{"DROP TABLE t /* setseed */", TRACE_TEMP | TRACE_SEED},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++)
		if ((traces_of(rows[i].text) & rows[i].traces) != rows[i].traces)
			fail_msg("%s: %x lacks %x", rows[i].text, traces_of(rows[i].text),
				rows[i].traces);
	assert_int_equal(traces_of("SELECT 1; DROP TABLE t") & TRACE_IF_HELD, 0);
	assert_int_equal(traces_of("DROP TABLE t /* setseed */") & TRACE_IF_HELD, 0);
}

static void a_variable_that_is_named_is_known(void **state)
{
	static const char *const texts[] = {"SELECT set_config('a.b', 'c', false)",
		"SELECT pg_catalog.set_config ( 'a.b' , 'c', $1)",
		"SELECT set_config($1, $2, false)", "SELECT set_config($12::text, $2, false)",
		"SELECT set_config('a.b'::text, $2, false)", "SELECT set_config FROM t",
		"PREPARE s AS SELECT 1", "DEALLOCATE s"};

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++)
		if (traces_of(texts[i]) & TRACE_UNKNOWN)
			fail_msg("%s: %x", texts[i], traces_of(texts[i]));
}

/* Whatever stands before and behind it in other statements, a statement leaves what it leaves. */
static void neighbours_hide_nothing(void **state)
{
	static const char *const words[] = {"SELECT 1", "SELECT 'a;'", "SELECT ''''",
		"SELECT $x$;$x$", "SELECT $$'$$", "/*;'*/", "--;'\n", "SELECT \"'\"",
		"SELECT \"\"\"\"", "BEGIN", "UPDATE t SET a = 1", "SELECT $1", "SELECT a$b$c"};
	static const struct {
		const char *text;
		unsigned traces;
	} rows[] = {{"SET a = 1", TRACE_SETTINGS}, {"CREATE TEMP TABLE t ()", TRACE_TEMP},
		{"DO 'x'", TRACE_EVERYTHING}, {"LISTEN a", TRACE_LISTEN},
		{"RESET a", TRACE_SETTINGS}};
	struct rand chance;
	char text[1024];

	(void)state;
	rand_init(&chance);
	for (unsigned round = 0; round < 20000; round++) {
		size_t row = rand_below(&chance, array_len(rows)), at = rand_below(&chance, 6),
		       len = 0;

		for (size_t i = 0; i < 6; i++)
			len += (size_t)snprintf(text + len, sizeof text - len, "%s%s;",
				rand_below(&chance, 2) ? "" : " \n",
				i == at ? rows[row].text
					: words[rand_below(&chance, array_len(words))]);
		if ((traces_of(text) & rows[row].traces) != rows[row].traces)
			fail_msg("%s", text);
	}
}

static enum sqlscan_kind kind_of(const char *text, struct sqlscan_begin *begin)
{
	return sqlscan_kind((const uint8_t *)text, strlen(text), begin);
}

static void transactions_are_known_by_their_form(void **state)
{
	static const struct {
		const char *text;
		enum sqlscan_kind kind;
		const char *again;
	} rows[] = {
		{"BEGIN", SQLSCAN_BEGIN, "BEGIN"},
		{" begin work ; ", SQLSCAN_BEGIN, "BEGIN"},
		{"/* a */ BEGIN -- b", SQLSCAN_BEGIN, "BEGIN"},
		{"Begin Transaction;;", SQLSCAN_BEGIN, "BEGIN"},
		{"START TRANSACTION READ ONLY", SQLSCAN_BEGIN, "START TRANSACTION READ ONLY"},
		{"BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE NOT DEFERRABLE", SQLSCAN_BEGIN,
			"BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE NOT DEFERRABLE"},
		{"BEGIN deferrable, read only, isolation /**/ level repeatable read", SQLSCAN_BEGIN,
			"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY DEFERRABLE"},
		{"BEGIN ISOLATION LEVEL READ COMMITTED", SQLSCAN_BEGIN,
			"BEGIN ISOLATION LEVEL READ COMMITTED"},
		{"BEGIN ISOLATION LEVEL READ UNCOMMITTED", SQLSCAN_BEGIN,
			"BEGIN ISOLATION LEVEL READ UNCOMMITTED"},
		{"START", 0, NULL},
		{"START WORK", 0, NULL},
		{"BEGIN,", 0, NULL},
		{"BEGIN, READ ONLY", 0, NULL},
		{"BEGIN READ ONLY,", 0, NULL},
		{"BEGIN READ ONLY READ WRITE", 0, NULL},
		{"BEGIN; SELECT 1", 0, NULL},
		{"BEGIN;READ ONLY", 0, NULL},
		{"BEGINS", 0, NULL},
		{"BEGIN nonsense", 0, NULL},
		{"BEGIN ISOLATION LEVEL", 0, NULL},
		{"BEGIN ATOMIC", 0, NULL},
		{"BEGIN 1", 0, NULL},
		{"BEGIN;;,", 0, NULL},
		{"COMMIT", SQLSCAN_COMMIT, NULL},
		{"end work;", SQLSCAN_COMMIT, NULL},
		{"Commit Transaction", SQLSCAN_COMMIT, NULL},
		{"ROLLBACK", SQLSCAN_ROLLBACK, NULL},
		{"abort work", SQLSCAN_ROLLBACK, NULL},
		{"ROLLBACK TRANSACTION -- a", SQLSCAN_ROLLBACK, NULL},
		{"COMMIT AND CHAIN", 0, NULL},
		{"COMMIT PREPARED 'a'", 0, NULL},
		{"ROLLBACK TO a", 0, NULL},
		{"COMMIT; SELECT 1", 0, NULL},
		{"COMMITS", 0, NULL},
		{"COMMIT WORK WORK", 0, NULL},
		{"SELECT 1", 0, NULL},
		{"", 0, NULL},
		{";COMMIT", 0, NULL},
		{"/*", 0, NULL},
		{"SET a = 1", 0, NULL},
		{"CREATE", 0, NULL},
		{"ALTER", 0, NULL},
		{"EXPLAIN", 0, NULL},
	};
	struct sqlscan_begin begin;
	char again[SQLSCAN_BEGIN_BYTES];

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		if (kind_of(rows[i].text, &begin) != rows[i].kind)
			fail_msg("%s", rows[i].text);
		if (!rows[i].again)
			continue;
		assert_int_equal(sqlscan_write_begin(&begin, again), strlen(rows[i].again) + 1);
		assert_string_equal(again, rows[i].again);
		assert_int_equal(kind_of(again, &begin), SQLSCAN_BEGIN);
	}
}

static void names_of_variables_are_found(void **state)
{
	static const char text[] =
		"SET my.tenant = 'a.b'; x, .y z. \"Q\".\"r\" a.b.c 1.5 d.1 \"e.f\"";
	static const char *const names[] = {"my.tenant", "a.b", "\"Q\".\"r\"", "a.b.c", "e.f"};
	const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text), *name;
	size_t len;

	(void)state;
	for (size_t i = 0; i < array_len(names); i++) {
		assert_true(sqlscan_next_name(&at, end, &name, &len));
		assert_int_equal(len, strlen(names[i]));
		assert_memory_equal(name, names[i], len);
	}
	assert_false(sqlscan_next_name(&at, end, &name, &len));
}

static void roll_backs_are_seen(void **state)
{
	static const struct {
		const char *text;
		bool first, first_failed, behind, behind_failed, is, resets;
	} rows[] = {
		{"ROLLBACK; UNLISTEN *; RESET ALL;", true, true, true, true, true, true},
		{"/* a */ abort work;\nLISTEN a", true, true, true, true, true, false},
		{"ROLLBACK TO s; UNLISTEN a", false, false, true, true, true, false},
		{"SELECT 'ROLLBACK;'; LISTEN a", false, false, false, false, false, false},
		{"LISTEN a; ROLLBACK", false, false, false, false, false, false},
		{"COMMIT; LISTEN a", false, true, false, true, false, false},
		{"COMMIT AND CHAIN; LISTEN a", false, false, false, true, false, false},
		{"ROLLBACK", true, true, false, false, true, false},
		{"RESET /* b */ all", false, false, false, false, false, true},
		{"RESET allowed", false, false, false, false, false, false},
		{"", false, false, false, false, false, false},
		{";", false, false, false, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		const uint8_t *text = (const uint8_t *)rows[i].text;
		size_t len = strlen(rows[i].text);

		assert_int_equal(sqlscan_rolls_back(text, len, false), rows[i].first);
		assert_int_equal(sqlscan_rolls_back(text, len, true), rows[i].first_failed);
		assert_int_equal(sqlscan_listens_behind_rollback(text, len, false), rows[i].behind);
		assert_int_equal(
			sqlscan_listens_behind_rollback(text, len, true), rows[i].behind_failed);
		assert_int_equal(sqlscan_is_rollback(text, len), rows[i].is);
		assert_int_equal(sqlscan_resets_all(text, len), rows[i].resets);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_may_take_from_a_sequence_is_seen),
		cmocka_unit_test(a_string_may_take_what_it_asks_for),
		cmocka_unit_test(roll_backs_are_seen),
		cmocka_unit_test(what_everybody_sends_leaves_nothing),
		cmocka_unit_test(what_leaves_something_is_seen),
		cmocka_unit_test(a_variable_that_is_named_is_known),
		cmocka_unit_test(neighbours_hide_nothing),
		cmocka_unit_test(transactions_are_known_by_their_form),
		cmocka_unit_test(names_of_variables_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
