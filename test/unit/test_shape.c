/* What a client is told of a statement: which descriptions are the same, and how long they are kept. */
#include "pool/shape.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static const uint8_t key[HASH_KEY_BYTES] = "0123456789abcdef";

/* A column: name, table, number, type, length, modifier, format. */
#define COLUMN(name, table, type, modifier, format) \
	name "\0\0\0\0" table "\0\1\0\0\0" type "\0\4\377\377\377" modifier "\0" format
#define SIZED(text) (const uint8_t *)(text), sizeof(text) - 1

static uint64_t hash(const uint8_t *types, size_t types_len, const uint8_t *body, size_t len)
{
	struct shape_draft draft = {0};
	uint64_t value;

	shape_draft_types(&draft, types, types_len);
	value = shape_draft_hash(&draft, key, body, len);
	shape_draft_clear(&draft);
	return value;
}

static void what_makes_a_shape(void **state)
{
	uint64_t one = hash(
		SIZED("\0\1\0\0\0\x17"), SIZED("\0\1" COLUMN("a", "\1", "\x17", "\xff", "\0")));

	(void)state;
	assert_true(one != 0);
	/* another table, and another format, are the same */
	assert_true(one ==
		hash(SIZED("\0\1\0\0\0\x17"),
			SIZED("\0\1" COLUMN("a", "\2", "\x17", "\xff", "\1"))));
	/* another type, name, modifier, parameter; a column more; no result */
	assert_true(one !=
		hash(SIZED("\0\1\0\0\0\x17"),
			SIZED("\0\1" COLUMN("a", "\1", "\x14", "\xff", "\0"))));
	assert_true(one !=
		hash(SIZED("\0\1\0\0\0\x17"),
			SIZED("\0\1" COLUMN("b", "\1", "\x17", "\xff", "\0"))));
	assert_true(one !=
		hash(SIZED("\0\1\0\0\0\x17"),
			SIZED("\0\1" COLUMN("a", "\1", "\x17", "\xfe", "\0"))));
	assert_true(one !=
		hash(SIZED("\0\1\0\0\0\x14"),
			SIZED("\0\1" COLUMN("a", "\1", "\x17", "\xff", "\0"))));
	assert_true(
		one != hash(SIZED("\0\0"), SIZED("\0\1" COLUMN("a", "\1", "\x17", "\xff", "\0"))));
	assert_true(one !=
		hash(SIZED("\0\1\0\0\0\x17"),
			SIZED("\0\2" COLUMN("a", "\1", "\x17", "\xff", "\0")
					COLUMN("b", "\1", "\x17", "\xff", "\0"))));
	assert_true(one != hash(SIZED("\0\1\0\0\0\x17"), NULL, 0));
	/* no columns are not the same as no result */
	assert_true(hash(SIZED("\0\0"), SIZED("\0\0")) != hash(SIZED("\0\0"), NULL, 0));
	assert_true(hash(SIZED("\0\0"), NULL, 0) == hash(SIZED("\0\0"), NULL, 0));
}

static void what_makes_no_sense(void **state)
{
	static const char body[] = "\0\1" COLUMN("a", "\1", "\x17", "\xff", "\0");

	(void)state;
	for (size_t len = 0; len < sizeof body - 1; len++)
		assert_true(hash(SIZED("\0\0"), (const uint8_t *)body, len) == 0);
	assert_true(hash(SIZED("\0\0"), (const uint8_t *)body, sizeof body) == 0);
	assert_true(hash(SIZED("\0\0"), (const uint8_t *)body, sizeof body - 1) != 0);
	assert_true(hash(SIZED("\0\1\0\0\0"), (const uint8_t *)body, sizeof body - 1) == 0);
	assert_true(hash(SIZED("\0"), NULL, 0) == 0);
}

static void kept_while_somebody_knows_them(void **state)
{
	struct shapes shapes = {0};
	struct shape_draft draft = {0};
	struct shape *some[500];

	(void)state;
	shape_draft_types(&draft, SIZED("\0\2\0\0\0\x17\0\0\0\x19"));
	for (unsigned i = 0; i < 500; i++)
		some[i] = shape_share(&shapes, 1 + i * 7919, i % 2, &draft);
	assert_int_equal(shapes.table.count, 500);
	for (unsigned i = 0; i < 500; i += 2)
		assert_ptr_equal(shape_share(&shapes, 1 + i * 7919, i % 2, &draft), some[i]);
	assert_int_equal(shapes.table.count, 500);
	assert_int_equal(some[3]->type_count, 2);
	assert_memory_equal(some[3]->types, "\0\0\0\x17\0\0\0\x19", 8);
	assert_true(some[3]->has_rows && !some[4]->has_rows);
	for (unsigned i = 0; i < 500; i++)
		shape_drop(&shapes, some[i]);
	assert_int_equal(shapes.table.count, 250);
	for (unsigned i = 0; i < 500; i += 2)
		shape_drop(&shapes, some[i]);
	shape_drop(&shapes, NULL);
	assert_int_equal(shapes.table.count, 0);
	assert_true(shapes.bytes == 0);
	shape_draft_clear(&draft);
	shapes_free(&shapes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_makes_a_shape),
		cmocka_unit_test(what_makes_no_sense),
		cmocka_unit_test(kept_while_somebody_knows_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
