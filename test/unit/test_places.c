/* Unit tests of pool/places: a pool that is short under two limits at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/errors.h"
#include "test/unit/pool_scene.h"

/* The core has no permits, so that nothing is opened: the test takes the places. */
enum { CORES = 2, HERE = 1, TICK_MS = 4 };

/* One place for database a, and one for user x. Two pools use them without a pause; the third one needs both at once. */
enum { POOL_OF_A, POOL_OF_X, POOL_OF_BOTH, POOL_COUNT };

static const struct {
	const char *database, *user;
} names[POOL_COUNT] = {{"a", "y"}, {"b", "x"}, {"a", "x"}};

/* A pool whose clients have one transaction after the other, on its only connection if it has one. */
struct rival {
	struct pool *pool;
	struct lease lease; /* who waits for the connection */
	bool is_connected;
	uint64_t ends_ns; /* the transaction on it */
};

static struct pool_scene scene;
static struct rival rivals[POOL_COUNT];

static void no_wake(struct core *core, unsigned member)
{
	(void)core;
	(void)member;
}

static struct config *make_config(void)
{
	static const struct config_user users[POOL_COUNT] = {
		{.name = "y"}, {.name = "x"}, {.name = "x"}};
	struct config *config = config_new();
	struct config_pool *pools;

	assert_non_null(config);
	pools = config_alloc(config, POOL_COUNT * sizeof *pools);
	assert_non_null(pools);
	for (int i = 0; i < POOL_COUNT; i++)
		pools[i] = (struct config_pool){.database = names[i].database,
			.user = names[i].user,
			.host = "127.0.0.1",
			.port = 5432,
			.server_database = "d",
			.server_user = "u",
			.pool_size = 1,
			.max_db_connections = 1,
			.max_user_connections = 1,
			.user_entry = &users[i]};
	assert_int_equal(config_set_pools(config, pools, POOL_COUNT), 0);
	return config;
}

static void wait_anew(struct rival *rival)
{
	if (rival->lease.state == LEASE_WAITING)
		lease_cancel_wait(&scene.core, &rival->lease);
	assert_int_equal(lease_take(&scene.core, &rival->lease), LEASE_WAITING);
}

static int open_scene(void **state)
{
	(void)state;
	memset(&scene, 0, sizeof scene);
	memset(rivals, 0, sizeof rivals);
	pool_scene_open(&scene, make_config(), CORES, HERE, no_wake);
	scene.core.now_ns = NS_PER_S;
	for (int i = 0; i < POOL_COUNT; i++) {
		struct rival *rival = &rivals[i];

		for (size_t at = 0; at < scene.core.pools->count; at++) {
			struct pool *pool = scene.core.pools->items[at];

			if (strcmp(pool->config->database, names[i].database) == 0 &&
				strcmp(pool->config->user, names[i].user) == 0)
				rival->pool = pool;
		}
		assert_non_null(rival->pool);
		assert_int_equal(rival->pool->permits, 0);
		lease_init(&rival->lease, rival->pool, NULL, NULL);
		rival->lease.settings = rival->pool->plain_settings;
	}
	return 0;
}

static int close_scene(void **state)
{
	(void)state;
	for (int i = 0; i < POOL_COUNT; i++)
		if (rivals[i].lease.state == LEASE_WAITING)
			lease_cancel_wait(&scene.core, &rivals[i].lease);
	pool_scene_close(&scene);
	return 0;
}

/* The connection is given back by its client, as pool_give() has it. */
static void end_transaction(struct rival *rival)
{
	struct place place = places_of(rival->pool);

	place.yielded = places_must_yield(rival->pool);
	if (!place.yielded)
		return;
	places_give(&scene.core, &place);
	rival->is_connected = false;
}

/* Looks for a place, as pool_dispatch() does. Returns whether it got one. */
static bool look(struct rival *rival)
{
	bool is_taken;

	places_begin(rival->pool);
	is_taken = places_take(&scene.core, rival->pool);
	places_end(&scene.core, rival->pool);
	return is_taken;
}

static void turn(struct rival *rival, uint64_t transaction_ns)
{
	if (rival->is_connected && scene.core.now_ns >= rival->ends_ns)
		end_transaction(rival);
	else if (rival->is_connected)
		return;
	if (!rival->is_connected && !look(rival))
		return;
	rival->is_connected = true;
	rival->ends_ns = scene.core.now_ns + transaction_ns;
	wait_anew(rival); /* its client has the connection, the next one waits */
}

/* How long the pool that needs both waits, while the others have transactions of that length; those under way end after so long. */
static unsigned wait_ms(
	unsigned transaction_ms, unsigned a_ends_ms, unsigned x_ends_ms, unsigned patience_ms)
{
	struct rival *both = &rivals[POOL_OF_BOTH];
	uint64_t transaction_ns = transaction_ms * NS_PER_MS;
	unsigned waited_ms = 0;

	for (int i = 0; i < POOL_OF_BOTH; i++) {
		wait_anew(&rivals[i]);
		turn(&rivals[i], transaction_ns);
		assert_true(rivals[i].is_connected);
	}
	rivals[POOL_OF_A].ends_ns = scene.core.now_ns + a_ends_ms * NS_PER_MS;
	rivals[POOL_OF_X].ends_ns = scene.core.now_ns + x_ends_ms * NS_PER_MS;
	wait_anew(both);
	while (!both->is_connected && waited_ms < patience_ms) {
		scene.core.now_ns += TICK_MS * NS_PER_MS;
		waited_ms += TICK_MS;
		for (int i = 0; i < POOL_OF_BOTH; i++)
			turn(&rivals[i], transaction_ns);
		both->is_connected = look(both);
		assert_in_range(tally_read(&both->pool->database_tally->servers), 0, 1);
		assert_in_range(tally_read(&both->pool->user_tally->servers), 0, 1);
	}
	return waited_ms;
}

/* Everybody leaves; nothing may stay counted. */
static void leave(void)
{
	for (int i = 0; i < POOL_COUNT; i++) {
		struct rival *rival = &rivals[i];
		struct place place = places_of(rival->pool);

		if (rival->lease.state == LEASE_WAITING)
			lease_cancel_wait(&scene.core, &rival->lease);
		if (rival->is_connected)
			places_give(&scene.core, &place);
		rival->is_connected = false;
		pool_wake(&scene.core, rival->pool);
	}
	core_run_ready(&scene.core);
	for (int i = 0; i < POOL_COUNT; i++) {
		const struct pool *pool = rivals[i].pool;
		const struct tally *tallies[] = {
			pool->database_tally, pool->user_tally, pool->own_tally};

		assert_false(list_linked(&pool->places.link));
		for (int which = 0; which < 3; which++) {
			assert_int_equal(tally_read(&tallies[which]->servers), 0);
			assert_int_equal(tally_read(&tallies[which]->placeless), 0);
			assert_int_equal(tally_read(&tallies[which]->hungry), 0);
			assert_int_equal(tally_read(&tallies[which]->callers), 0);
			assert_int_equal(tally_read(&tallies[which]->yielding), 0);
		}
	}
}

/* The two limits have no place at the same moment, unless one is kept. */
static void who_needs_two_places_waits_for_a_few_transactions(void **state)
{
	static const unsigned lengths_ms[] = {120, 1000, 8000};

	(void)state;
	for (size_t i = 0; i < sizeof lengths_ms / sizeof lengths_ms[0]; i++) {
		unsigned length_ms = lengths_ms[i];

		for (unsigned a = 0; a < 8; a++)
			for (unsigned x = 0; x < 8; x++) {
				unsigned waited_ms = wait_ms(length_ms, 60 + a * length_ms / 8,
					60 + x * length_ms / 8 + length_ms / 16, 60000);

				assert_in_range(waited_ms, 1, 3 * length_ms + 200);
				leave();
			}
	}
}

/* A place of one limit is not kept for ever while the other limit has none. */
static void a_place_of_one_limit_is_let_go(void **state)
{
	unsigned unused_ms = 0, patience_ms = 30000;

	(void)state;
	assert_int_equal(wait_ms(1000, 500, 1000000, patience_ms), patience_ms);
	for (unsigned ms = 0; ms < patience_ms; ms += TICK_MS) {
		scene.core.now_ns += TICK_MS * NS_PER_MS;
		turn(&rivals[POOL_OF_A], 1000 * NS_PER_MS);
		assert_false(look(&rivals[POOL_OF_BOTH]));
		unused_ms += rivals[POOL_OF_A].is_connected ? 0 : TICK_MS;
	}
	assert_in_range(unused_ms, 0, 1000);
	leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			who_needs_two_places_waits_for_a_few_transactions, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(
			a_place_of_one_limit_is_let_go, open_scene, close_scene),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
