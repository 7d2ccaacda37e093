/* Unit tests of pool/budget: shares and identities, and the order in which a core says that it waits and looks for spare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
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

/* A permit may leave a core that has to give it back, when the server it belongs to has left. */
static void who_comes_into_debt_asks(void **state)
{
	struct pool *pool = scene.core.pools->items[0];

	(void)state;
	atomic_store(&pool->budget->lines[RICH].spare, 1);
	pool->permits = -1;
	budget_publish(&scene.core, pool);
	core_run_ready(&scene.core);
	assert_int_equal(atomic_load(&pool->budget->lines[POOR].oldest_ns), 1); /* permit */
	assert_true(pool->is_asking);
	pool->permits = 0;
}

/* The first letter to a core, a permit: its contents are freed. */
static bool takes_permit(unsigned member)
{
	const struct mailboxes *boxes = &scene.world.boxes;
	struct letter *letter = &boxes->pairs[boxes->member_count * RICH + member]->letters[0];
	struct budget_parcel *parcel = letter->a;
	bool is_there = parcel && parcel->permits == 1 && !parcel->server;

	letter->a = NULL;
	free(parcel);
	return is_there;
}

static void no_wake(struct core *core, unsigned member)
{
	(void)core;
	(void)member;
}

/* The core of a client that waits: since when, and whether it was offered something before. */
static void what_is_spare_goes_to_all_who_wait(void **state)
{
	static const struct {
		uint64_t oldest_ns[3];
		int permits;
		bool gets[3];
	} rows[] = {
		{{BUDGET_NOBODY, 2 * BUDGET_DEBT_MAX, 3 * BUDGET_DEBT_MAX}, 1, {0, 0, 1}},
		{{BUDGET_NOBODY, 2 * BUDGET_DEBT_MAX, 2 * BUDGET_DEBT_MAX}, 1, {0, 0, 1}},
		{{BUDGET_NOBODY, 3 * BUDGET_DEBT_MAX, 4 * BUDGET_DEBT_MAX}, 2, {0, 1, 1}},
		{{BUDGET_NOBODY, 4 * BUDGET_DEBT_MAX, 3 * BUDGET_DEBT_MAX}, 1, {0, 0, 1}},
		{{BUDGET_NOBODY, 2 * BUDGET_DEBT_MAX, BUDGET_NOBODY}, 1, {0, 0, 0}},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		struct pool *pool;

		memset(&scene, 0, sizeof scene);
		pool_scene_open(&scene, config_of(1), 3, RICH, no_wake);
		pool = scene.core.pools->items[0];
		pool->permits = rows[i].permits;
		pool->offered_ns = 2 * BUDGET_DEBT_MAX; /* it is on its way to core 1 */
		pool->offered_to = 1;
		for (unsigned core = 1; core < 3; core++)
			atomic_store(&pool->budget->lines[core].oldest_ns, rows[i].oldest_ns[core]);
		atomic_store(&pool->budget->lines[RICH].spare, 0);
		budget_publish(&scene.core, pool);
		for (unsigned core = 1; core < 3; core++)
			assert_int_equal(takes_permit(core), rows[i].gets[core]);
		pool->permits = 0;
		pool_scene_close(&scene);
	}
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
		cmocka_unit_test_setup_teardown(who_comes_into_debt_asks, open_scene, close_scene),
		cmocka_unit_test(what_is_spare_goes_to_all_who_wait),
		cmocka_unit_test(shares_add_up),
		cmocka_unit_test_setup_teardown(
			a_pool_stays_the_same_over_configurations, open_scene, close_scene),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
