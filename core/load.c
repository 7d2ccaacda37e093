/* Choosing the core for a client. */
#include "core/load.h"

#include "core/clock.h"
#include "core/core.h"

enum {
	LOAD_PERIOD_MS = 500,
	LOAD_SLACK = 200, /* thousandths: cores that differ by less are equally busy */
	LOAD_TIE =
		32, /* a client that goes to another core wakes that: not for less than such a part */
};

static void load_period(struct core *core, struct timer *timer)
{
	uint64_t thread_ns = clock_thread_ns();
	uint64_t wall_ns = core->now_ns - core->load_since_ns;

	if (wall_ns > 0)
		atomic_store_explicit(&core->world->loads[core->index].busy,
			(uint32_t)((thread_ns - core->load_thread_ns) * 1000 / wall_ns),
			memory_order_relaxed);
	core->load_thread_ns = thread_ns;
	core->load_since_ns = core->now_ns;
	core_timer_set(core, timer, LOAD_PERIOD_MS);
}

void load_open(struct core *core)
{
	core->load_thread_ns = clock_thread_ns();
	core->load_since_ns = core->now_ns;
	timer_init(&core->load_timer, load_period);
	if (core->world->worker_count > 1)
		core_timer_set(core, &core->load_timer, LOAD_PERIOD_MS);
}

void load_close(struct core *core)
{
	core_timer_stop(core, &core->load_timer);
}

void load_add(struct world *world, unsigned core)
{
	atomic_fetch_add_explicit(&world->loads[core].clients, 1, memory_order_relaxed);
}

void load_remove(struct world *world, unsigned core)
{
	atomic_fetch_sub_explicit(&world->loads[core].clients, 1, memory_order_relaxed);
}

unsigned load_room(const struct world *world)
{
	unsigned most = atomic_load_explicit(&world->client_descriptors, memory_order_relaxed);
	uint64_t clients = 0;

	if (most == 0)
		return UINT32_MAX;
	for (unsigned i = 0; i < world->worker_count; i++)
		clients += atomic_load_explicit(&world->loads[i].clients, memory_order_relaxed);
	return clients < most ? most - (unsigned)clients : 0;
}

static uint32_t load_least_busy(const struct world *world)
{
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < world->worker_count; i++) {
		uint32_t busy = atomic_load_explicit(&world->loads[i].busy, memory_order_relaxed);

		if (busy < least)
			least = busy;
	}
	return least;
}

static uint64_t load_score(const struct load *load, uint32_t busy_enough)
{
	uint32_t busy = atomic_load_explicit(&load->busy, memory_order_relaxed);
	uint64_t weight = 1000 + (busy > busy_enough ? busy - busy_enough : 0);

	return weight * (1 + atomic_load_explicit(&load->clients, memory_order_relaxed));
}

unsigned load_choose(struct core *core)
{
	struct world *world = core->world;
	uint32_t busy_enough = load_least_busy(world) + LOAD_SLACK;
	uint64_t own = load_score(&world->loads[core->index], busy_enough), least = own;
	unsigned chosen = core->index;

	for (unsigned n = 1; n < world->worker_count; n++) {
		unsigned i = (core->index + n) % world->worker_count;
		uint64_t score = load_score(&world->loads[i], busy_enough);

		if (score >= least)
			continue;
		least = score;
		chosen = i;
	}
	if (own - least <= least / LOAD_TIE)
		chosen = core->index;
	load_add(world, chosen);
	return chosen;
}
