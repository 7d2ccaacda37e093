/* Unit tests of pool/budget: shares and identities, and the order in which a core says that it waits and looks for spare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/errors.h"
#include "test/unit/pool_scene.h"

enum { CORES = 2, POOR = 1, RICH = 0 };

static struct pool_scene scene; /* of the poor core */

static struct {
	unsigned woken;
	uint64_t oldest_when_asked;
} seen;

static struct config *config_of(int64_t pool_size)
{
	static const struct config_user user = {.name = "u"};
	struct config *config = config_new();
	struct config_pool *pool;

	assert_non_null(config);
	pool = config_alloc(config, sizeof *pool);
	assert_non_null(pool);
	*pool = (struct config_pool){.database = "d",
		.user = "u",
		.host = "127.0.0.1",
		.port = 5432,
		.server_database = "d",
		.server_user = "u",
		.pool_size = pool_size,
		.user_entry = &user};
	assert_int_equal(config_set_pools(config, pool, 1), 0);
	return config;
}

static void note_wake(struct core *core, unsigned member)
{
	const struct budget *budget = scene.config->identities[0].budget;

	(void)core;
	assert_int_equal(member, RICH);
	seen.woken++;
	seen.oldest_when_asked = atomic_load(&budget->lines[POOR].oldest_ns);
}

static int open_scene(void **state)
{
	(void)state;
	memset(&scene, 0, sizeof scene);
	memset(&seen, 0, sizeof seen);
	/* one permit: the first core's */
	pool_scene_open(&scene, config_of(1), CORES, POOR, note_wake);
	return 0;
}

static int close_scene(void **state)
{
	(void)state;
	pool_scene_close(&scene);
	return 0;
}

/* Who waits must be seen before it looks for spare: else a core that gets something to spare in between sees nobody, and is not
 * seen itself. */
static void a_core_says_that_it_waits_before_it_looks(void **state)
{
	struct pool *pool = scene.core.pools->items[0];
	struct budget *budget = scene.config->identities[0].budget;
	struct lease lease;

	(void)state;
	assert_int_equal(pool->permits, 0);
	atomic_store(&budget->lines[RICH].spare, 1);
	atomic_store(&scene.world.boxes.members[RICH].sleeping, true);
	lease_init(&lease, pool, NULL, NULL);
	lease.settings = pool->plain_settings;
	assert_int_equal(lease_take(&scene.core, &lease), LEASE_WAITING);
	core_run_ready(&scene.core);
	assert_int_equal(seen.woken, 1);
	assert_true(pool->is_asking);
	assert_true(seen.oldest_when_asked == lease.since_ns);
	lease_cancel_wait(&scene.core, &lease);
	assert_true(atomic_load(&budget->lines[POOR].oldest_ns) == BUDGET_NOBODY);
	core_timer_stop(&scene.core, &pool->waited);
}

static void shares_add_up(void **state)
{
	(void)state;
	for (unsigned cores = 1; cores <= 9; cores++) {
		for (int64_t whole = 0; whole < 40; whole++) {
			int64_t sum = 0;

			for (unsigned core = 0; core < cores; core++)
				sum += budget_share(core, cores, whole);
			assert_int_equal(sum, whole);
		}
	}
}

static void a_pool_stays_the_same_over_configurations(void **state)
{
	struct config *first = config_of(1), *second = config_of(7);

	(void)state;
	assert_int_equal(budget_assign(&scene.world, first, NULL), 0);
	assert_int_equal(budget_assign(&scene.world, second, first), 0);
	assert_ptr_equal(first->identities[0].budget, second->identities[0].budget);
	assert_ptr_equal(first->identities[0].own_tally, second->identities[0].own_tally);
	assert_ptr_not_equal(first->identities[0].own_tally, first->identities[0].herald_tally);
	assert_int_equal(first->identities[0].server_epoch, second->identities[0].server_epoch);
	pool_scene_free_config(first); /* the second one still has it */
	assert_int_equal(second->identities[0].budget->snapshots, 1);
	pool_scene_free_config(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_core_says_that_it_waits_before_it_looks, open_scene, close_scene),
		cmocka_unit_test(shares_add_up),
		cmocka_unit_test_setup_teardown(
			a_pool_stays_the_same_over_configurations, open_scene, close_scene),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
