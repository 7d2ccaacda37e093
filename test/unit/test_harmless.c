/* What may be executed in vain. What is doubtful may not. */
#include "pool/harmless.h"

#include "core/check.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static bool judge(const char *text, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* so that a sanitizer sees who reads too far */
	bool result;

	memcpy(copy, text, len);
	result = harmless_is(copy, len);
	free(copy);
	return result;
}

static void harmless(void **state)
{
	static const char *const texts[] = {
		"SELECT 1",
		"select * from t where a = $1 and b in (1, $2)",
		" /* who */ SELECT a -- why\n FROM t",
		"SELECT count(*), max(a), coalesce(b, 'it''s') FROM \"T\" GROUP BY 2",
		"SELECT a::numeric(10,2), b::varchar (3) FROM t WHERE (a, b) = (1, '2') ;  ",
		"WITH x AS (SELECT 1), y AS MATERIALIZED (SELECT 2) SELECT * FROM x",
		"VALUES (1), (2)",
		"TABLE t",
		"SELECT a, \"update\" FROM t WHERE b = 'INSERT INTO' LIMIT $1 OFFSET 1.5",
		"SELECT EXISTS (SELECT FROM t WHERE x @> ARRAY[1,2])",
		"SELECT /* /* */ pay(1) */ 1",
		"SELECT /* PostgreSQL refuses it",
	};

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		if (!judge(texts[i], strlen(texts[i])))
			print_error("%s\n", texts[i]);
		assert_true(judge(texts[i], strlen(texts[i])));
	}
}

static void not_harmless(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"INSERT INTO t VALUES (1) RETURNING *",
		"UPDATE t SET a = 1 RETURNING *",
		"WITH w AS (DELETE FROM t RETURNING *) SELECT * FROM w",
		"WITH w AS (\tUpdate t SET a = 1 RETURNING *) SELECT * FROM w",
		"SELECT pay(1)",
		"SELECT pay (1)",
		"SELECT pay/**/(1)",
		"SELECT pay--\n(1)",
		"SELECT \"pay\"(1)",
		"SELECT \"count\" (1)",
		"SELECT mine.count(1)",
		"SELECT mine . count(1)",
		"SELECT count(pay(1))",
		"SELECT p\xc3\xa4y(1)",
		"SELECT * FROM t FOR UPDATE",
		"SELECT * FROM t FOR NO KEY UPDATE",
		"SELECT * FROM t FOR SHARE",
		"SELECT * INTO u FROM t",
		"SELECT 1; SELECT pay(1)",
		"SELECT nextval('s')",
		"SELECT E'\\'' || pay(1) || ''",
		"SELECT '\\' || pay(1) || '\\'",
		"SELECT $$ $$ || pay(1)",
		"SELECT $a$ ' $a$ || pay(1) || $a$ ' $a$",
		"SELECT U&'d!0061' UESCAPE '!'",
		"SELECT 'open",
		"SELECT \"open",
		"SELECT /* /* */ */ pay(1)",
		"(SELECT 1)",
		"EXPLAIN ANALYZE SELECT 1",
		"CALL p(1)",
		"FETCH c",
		"EXECUTE s",
		"SHOW x",
	};

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		if (judge(texts[i], strlen(texts[i])))
			print_error("%s\n", texts[i]);
		assert_false(judge(texts[i], strlen(texts[i])));
	}
	assert_false(judge("SELECT 1\0, pay", 14));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(harmless),
		cmocka_unit_test(not_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
