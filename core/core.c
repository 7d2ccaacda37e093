/* The beginning of a core, its deferred work, and the names of its metrics. */
#include "core/core.h"

#include "core/clock.h"

#include <string.h>

void core_init(struct core *core, struct world *world, unsigned index)
{
	memset(core, 0, sizeof *core);
	core->index = index;
	core->world = world;
	core->now_ns = clock_monotonic_ns();
	timer_wheel_init(&core->timers, core->now_ns);
	rand_init(&core->rand);
	list_init(&core->ready);
}

void core_run_ready(struct core *core)
{
	struct list *link;

	while ((link = list_pop_front(&core->ready))) {
		struct task *task = container_of(link, struct task, link);

		task->run(core, task);
	}
}

const char *core_metric_name(enum core_metric metric)
{
	switch (metric) {
#define METRIC(name, text) \
	case METRIC_##name: \
		return #name;
#include "core/metrics.def"
	case METRIC_COUNT:
		break;
	}
	UNREACHABLE();
}

const char *core_metric_text(enum core_metric metric)
{
	switch (metric) {
#define METRIC(name, text) \
	case METRIC_##name: \
		return text;
#include "core/metrics.def"
	case METRIC_COUNT:
		break;
	}
	UNREACHABLE();
}
