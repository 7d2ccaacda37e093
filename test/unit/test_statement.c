/* Texts of statements: one object for equal ones, counted, and bounded when nobody uses them. */
#include "pool/statement.h"

#include "core/limits.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t key[HASH_KEY_BYTES] = "0123456789abcdef";

static struct statement *share(struct statements *statements, uint64_t context, const char *text)
{
	return statement_share(statements, context, text, strlen(text));
}

static void equal_texts_are_one(void **state)
{
	struct statements statements;
	struct statement *a, *b, *c, *d;

	(void)state;
	statements_init(&statements, key);
	a = share(&statements, 1, "SELECT 1");
	b = share(&statements, 1, "SELECT 1");
	c = share(&statements, 1, "SELECT 2");
	d = share(&statements, 2, "SELECT 1");
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_ptr_not_equal(a, d);
	assert_false(hash_equal(a->key, d->key));
	assert_int_equal(a->users, 2);
	assert_int_equal(statements.table.count, 3);
	assert_int_equal(statements.bytes, 24);
	assert_memory_equal(d->body, "SELECT 1", 8);
	statement_drop(&statements, a);
	statement_drop(&statements, b);
	assert_ptr_equal(share(&statements, 1, "SELECT 1"), a); /* still kept */
	statement_drop(&statements, a);
	statement_drop(&statements, c);
	statement_drop(&statements, d);
	statement_drop(&statements, NULL);
	statements_free(&statements);
}

static void the_key_is_the_same_in_every_table(void **state)
{
	struct statements one, other;
	struct statement *a, *b;

	(void)state;
	statements_init(&one, key);
	statements_init(&other, key);
	a = share(&one, 7, "SELECT $1");
	b = share(&other, 7, "SELECT $1");
	assert_true(hash_equal(a->key, b->key));
	statement_drop(&one, a);
	statement_drop(&other, b);
	statements_free(&one);
	statements_free(&other);
}

static void unused_ones_are_bounded(void **state)
{
	struct statements statements;
	char text[32];

	(void)state;
	statements_init(&statements, key);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(text, sizeof text, "SELECT %u", i);
		statement_drop(&statements, share(&statements, 0, text));
	}
	assert_true(statements.table.count <= 2000);
	assert_true(statements.bytes <= 1 << 20);
	statements_free(&statements);
}

static void used_ones_are_bounded(void **state)
{
	enum { ONE = 16 << 20 };
	struct statement *held[LIMIT_STATEMENTS_BYTES / ONE];
	struct statements statements;
	char *text = calloc(1, ONE);

	(void)state;
	statements_init(&statements, key);
	for (unsigned i = 0; i < LIMIT_STATEMENTS_BYTES / ONE; i++) {
		text[0] = (char)i;
		held[i] = statement_share(&statements, 0, text, ONE);
		assert_non_null(held[i]);
	}
	assert_null(share(&statements, 0, "one more"));
	assert_ptr_equal(statement_share(&statements, 0, text, ONE), held[15]);
	statement_drop(&statements, held[15]);
	for (unsigned i = 0; i < LIMIT_STATEMENTS_BYTES / ONE; i++)
		statement_drop(&statements, held[i]);
	assert_int_equal(statements.bytes, 0); /* too large to be kept */
	statements_free(&statements);
	free(text);
}

static void names_are_found_in_texts(void **state)
{
	struct hash hash = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)}, found;
	char name[STATEMENT_NAME_BYTES], text[128];

	(void)state;
	statement_name(hash, name);
	assert_string_equal(name, "pgring_0123456789abcdeffedcba9876543210");
	snprintf(text, sizeof text, "prepared statement \"%s\" does not exist", name);
	assert_true(statement_name_find(text, &found));
	assert_true(hash_equal(hash, found));
	snprintf(text, sizeof text, "pgring_ \"pgring_%s\"", name);
	assert_true(statement_name_find(text, &found));
	assert_true(hash_equal(hash, found));
	assert_false(statement_name_find("pgring_0123456789abcdeffedcba987654321", &found));
	assert_false(statement_name_find("pgring_0123456789ABCDEFfedcba9876543210", &found));
	assert_false(statement_name_find("", &found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_texts_are_one),
		cmocka_unit_test(the_key_is_the_same_in_every_table),
		cmocka_unit_test(unused_ones_are_bounded),
		cmocka_unit_test(used_ones_are_bounded),
		cmocka_unit_test(names_are_found_in_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
