/* pool_scene: one core with the pools of a configuration, for unit tests that need no connections. Included once by each. */
#ifndef PGRING_TEST_UNIT_POOL_SCENE_H
#define PGRING_TEST_UNIT_POOL_SCENE_H

#include "core/core.h"
#include "core/snapshot.h"
#include "core/tally.h"
#include "pool/pool.h"

/* Of several cores, the one whose pools are there. */
struct pool_scene {
	struct world world;
	struct core core;
	struct config *config;
};

static void pool_scene_free_config(struct config *config)
{
	budget_forget(config);
	config_free(config);
}

/* `wake` is called for a core that gets a letter. The scene is zeroed, and the configuration its own from now on. */
static void pool_scene_open(struct pool_scene *scene, struct config *config, unsigned cores,
	unsigned here, void (*wake)(struct core *core, unsigned member))
{
	scene->world.worker_count = cores;
	scene->world.control = cores;
	assert_int_equal(mailboxes_init(&scene->world.boxes, cores + 1), 0);
	scene->world.tallies = tallies_new();
	assert_non_null(scene->world.tallies);
	scene->config = config;
	assert_int_equal(budget_assign(&scene->world, config, NULL), 0);
	core_init(&scene->core, &scene->world, here);
	scene->core.wake = wake;
	snapshot_switch(&scene->core, config);
	assert_int_equal(pools_open(&scene->core, config), 0);
}

static void pool_scene_close(struct pool_scene *scene)
{
	pools_close(&scene->core);
	snapshot_close(&scene->core);
	mailboxes_destroy(&scene->world.boxes);
	tallies_free(scene->world.tallies);
	pool_scene_free_config(scene->config);
}

#endif
