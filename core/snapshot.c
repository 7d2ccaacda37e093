/* Counting who uses a configuration. */
#include "core/snapshot.h"

#include "core/core.h"

#include <sched.h>
#include <stdlib.h>

void snapshot_switch(struct core *core, const struct config *config)
{
	struct snapshot *before = core->snapshot;

	core->snapshot = calloc(1, sizeof *core->snapshot);
	CHECK(core->snapshot);
	core->snapshot->config = config;
	core->snapshot->users = 1;
	snapshot_drop(core, before);
}

struct snapshot *snapshot_take(struct core *core)
{
	core->snapshot->users++;
	return core->snapshot;
}

void snapshot_drop(struct core *core, struct snapshot *snapshot)
{
	struct letter letter = {.kind = LETTER_CONFIG_DROPPED};

	if (!snapshot)
		return;
	CHECK(snapshot->users > 0);
	if (--snapshot->users > 0)
		return;
	letter.a = (void *)(uintptr_t)snapshot->config;
	while (mailbox_send(core, core->world->control, &letter) != 0) {
		core_count(core, METRIC_letters_delayed); /* one letter for each reload */
		sched_yield();
	}
	free(snapshot);
}

void snapshot_close(struct core *core)
{
	free(core->snapshot);
	core->snapshot = NULL;
}
