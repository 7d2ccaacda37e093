/* Which core a client goes to: counts stay within a tenth of their mean, and who accepts keeps what does not change that. */
#include "core/load.h"

#include "core/core.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

enum { CORES = 4 };

static struct world world;
static struct load *const loads = world.loads;
static struct core cores[CORES];

static int scene_open(void **state)
{
	(void)state;
	memset((void *)&world, 0, sizeof world);
	memset((void *)cores, 0, sizeof cores);
	world.worker_count = CORES;
	for (unsigned i = 0; i < CORES; i++) {
		cores[i].world = &world;
		cores[i].index = i;
	}
	return 0;
}

static void have(unsigned core, unsigned clients)
{
	while (clients-- > 0)
		load_add(&world, core);
}

static void who_accepts_keeps_it_if_none_has_less(void **state)
{
	(void)state;
	assert_int_equal(load_choose(&cores[2]), 2);
	assert_int_not_equal(load_choose(&cores[2]), 2);
	assert_int_equal(load_choose(&cores[0]), 0);
}

static void one_core_that_accepts_all_spreads_them(void **state)
{
	(void)state;
	for (unsigned count = 1; count <= 2000; count++) {
		double mean = (double)count / CORES;

		load_choose(&cores[3]);
		for (unsigned i = 0; i < CORES; i++) {
			assert_true(loads[i].clients <= mean * 1.1 + 1);
			assert_true(loads[i].clients >= mean * 0.9 - 1);
		}
	}
}

static void a_few_clients_more_of_many_are_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CORES; i++)
		have(i, 1000);
	have(1, 20);
	assert_int_equal(load_choose(&cores[1]), 1);
	have(1, 20);
	assert_int_not_equal(load_choose(&cores[1]), 1);
}

static void a_core_with_bulk_gets_fewer(void **state)
{
	(void)state;
	loads[0].busy = 900;
	loads[1].busy = loads[2].busy = loads[3].busy = 100;
	for (unsigned i = 0; i < 400; i++)
		load_choose(&cores[i % CORES]);
	for (unsigned i = 1; i < CORES; i++)
		assert_true(loads[0].clients * 5 < loads[i].clients * 4);
}

#define IN_A_SCENE(test) cmocka_unit_test_setup(test, scene_open)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_SCENE(who_accepts_keeps_it_if_none_has_less),
		IN_A_SCENE(one_core_that_accepts_all_spreads_them),
		IN_A_SCENE(a_few_clients_more_of_many_are_nothing),
		IN_A_SCENE(a_core_with_bulk_gets_fewer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
