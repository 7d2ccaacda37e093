/* What a server has: against a simple model of the same, and its log. */
#include "pool/prepared.h"

#include "core/rand.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

enum { KEYS = 100 };

static struct hash key_of(unsigned i)
{
	return (struct hash){i * 3, i}; /* several in one place */
}

static void it_behaves_like_the_model(void **state)
{
	struct prepared prepared = {0};
	struct statements statements;
	uint64_t used[KEYS] = {0}, clock = 0; /* 0: not there */
	struct rand chance = {{1, 2, 3, 4}};

	(void)state;
	statements_init(&statements, (const uint8_t *)"0123456789abcdef");
	for (unsigned round = 0; round < 100000; round++) {
		unsigned i = (unsigned)rand_below(&chance, KEYS), oldest = KEYS, count = 0;
		struct prepared_entry *entry = prepared_find(&prepared, key_of(i));

		assert_int_equal(entry != NULL, used[i] != 0);
		switch (rand_below(&chance, 4)) {
		case 0:
		case 1:
			if (entry)
				prepared_touch(&prepared, entry);
			else
				prepared_add(&prepared, key_of(i));
			used[i] = ++clock;
			break;
		case 2:
			if (entry)
				prepared_remove(&prepared, entry);
			used[i] = 0;
			break;
		default: /* evicted, and then gone or used after all */
			if (!entry)
				break;
			prepared_evict(&prepared, entry);
			assert_ptr_equal(prepared_find(&prepared, key_of(i)), entry);
			assert_int_equal(entry->parsed_ns, 0);
			used[i] = rand_below(&chance, 2) ? ++clock : 0;
			if (used[i])
				prepared_touch(&prepared, entry);
			else
				prepared_remove(&prepared, entry);
		}
		for (unsigned j = 0; j < KEYS; j++) {
			count += used[j] != 0;
			if (used[j] && (oldest == KEYS || used[j] < used[oldest]))
				oldest = j;
		}
		assert_int_equal(prepared.count, count);
		if (count > 0)
			assert_true(hash_equal(prepared_oldest(&prepared)->key, key_of(oldest)));
	}
	prepared_forget(&prepared);
	assert_int_equal(prepared.count, 0);
	for (unsigned i = 0; i < KEYS; i++)
		assert_null(prepared_find(&prepared, key_of(i)));
	prepared_free(&prepared, &statements);
	statements_free(&statements);
}

static void what_was_altered_is_in_doubt(void **state)
{
	struct prepared prepared = {0};
	struct statements statements;

	(void)state;
	statements_init(&statements, (const uint8_t *)"0123456789abcdef");
	for (unsigned i = 0; i < KEYS; i++) {
		struct prepared_entry *entry = prepared_add(&prepared, key_of(i));

		entry->parsed_ns = 1;
		entry->is_altered = i % 3 == 0;
		prepared.altered += entry->is_altered;
	}
	prepared_remove(&prepared, prepared_find(&prepared, key_of(3)));
	prepared_evict(&prepared, prepared_find(&prepared, key_of(6)));
	prepared_doubt_altered(&prepared);
	assert_int_equal(prepared.altered, 0);
	for (unsigned i = 0; i < KEYS; i++)
		if (i != 3)
			assert_int_equal(
				prepared_find(&prepared, key_of(i))->parsed_ns, i % 3 != 0);
	prepared_free(&prepared, &statements);
	statements_free(&statements);
}

static void the_log_keeps_its_order(void **state)
{
	struct prepared prepared = {0};
	struct statements statements;
	uint32_t in = 0, out = 0;

	(void)state;
	statements_init(&statements, (const uint8_t *)"0123456789abcdef");
	for (unsigned round = 1; round < 200; round++) {
		for (unsigned i = 0; i < round; i++)
			prepared_log(&prepared, &(struct prepared_record){.name_serial = in++});
		for (unsigned i = 0; i < round - round / 8; i++) {
			assert_int_equal(prepared_log_head(&prepared)->name_serial, out);
			assert_int_equal(prepared_log_pop(&prepared).name_serial, out++);
		}
	}
	assert_int_equal(prepared.log_count, in - out);
	prepared_log(&prepared,
		&(struct prepared_record){.statement = statement_share(&statements, 0, "x", 1)});
	prepared_free(&prepared, &statements); /* drops it */
	statements_free(&statements);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_behaves_like_the_model),
		cmocka_unit_test(what_was_altered_is_in_doubt),
		cmocka_unit_test(the_log_keeps_its_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
