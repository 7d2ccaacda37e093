/* Names lead to one tally each, and a limit holds whatever several threads do at once. */
#include "core/tally.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

enum { THREADS = 4, ROUNDS = 20000, LIMIT = 3 };

static void a_name_is_one_tally(void **state)
{
	struct tallies *tallies = tallies_new();
	struct tally *shop;

	(void)state;
	assert_non_null(tallies);
	shop = tallies_get(tallies, TALLY_DATABASE, "shop", NULL);
	assert_ptr_equal(tallies_get(tallies, TALLY_DATABASE, "shop", ""), shop);
	assert_ptr_not_equal(tallies_get(tallies, TALLY_USER, NULL, "shop"), shop);
	assert_ptr_not_equal(tallies_get(tallies, TALLY_DATABASE, "Shop", NULL), shop);
	assert_ptr_not_equal(tallies_get(tallies, TALLY_POOL, "a", "bc"),
		tallies_get(tallies, TALLY_POOL, "ab", "c"));
	assert_int_equal((uintptr_t)shop % 64, 0);
	tallies_free(tallies);
}

static void many_names_are_found_again(void **state)
{
	enum { NAMES = 3000 };
	static struct tally *found[NAMES];
	struct tallies *tallies = tallies_new();
	char name[32];

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < NAMES; i++) {
			struct tally *tally;

			snprintf(name, sizeof name, "database %d", i);
			tally = tallies_get(tallies, TALLY_DATABASE, name, NULL);
			if (round == 0)
				found[i] = tally;
			assert_ptr_equal(tally, found[i]);
			assert_string_equal(tally->database, name);
		}
	}
	tallies_free(tallies);
}

static void a_limit_of_none_is_no_limit(void **state)
{
	atomic_uint count = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_true(tally_take(&count, 0));
	assert_false(tally_take(&count, 100));
	tally_give(&count);
	assert_true(tally_take(&count, 100));
	assert_false(tally_take(&count, 50));
	assert_int_equal(tally_read(&count), 100);
}

struct contest {
	atomic_uint count, inside, most, taken;
};

static void *contend(void *argument)
{
	struct contest *contest = argument;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned now, most;

		if (!tally_take(&contest->count, LIMIT))
			continue;
		now = atomic_fetch_add(&contest->inside, 1) + 1;
		most = atomic_load(&contest->most);
		while (now > most && !atomic_compare_exchange_weak(&contest->most, &most, now))
			;
		atomic_fetch_add(&contest->taken, 1);
		atomic_fetch_sub(&contest->inside, 1);
		tally_give(&contest->count);
	}
	return NULL;
}

static void a_limit_holds_for_all_threads(void **state)
{
	struct contest contest = {0};
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, contend, &contest), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(atomic_load(&contest.most) <= LIMIT);
	assert_true(atomic_load(&contest.taken) >= ROUNDS);
	assert_int_equal(tally_read(&contest.count), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_one_tally),
		cmocka_unit_test(many_names_are_found_again),
		cmocka_unit_test(a_limit_of_none_is_no_limit),
		cmocka_unit_test(a_limit_holds_for_all_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
