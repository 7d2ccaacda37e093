/* The simulator's job threads: a list of jobs. Stands in for core/jobs.c. */
#include "core/jobs.h"

#include "core/clock.h"
#include "core/core.h"
#include "core/errors.h"
#include "test/sim/jobs_sim.h"
#include "test/sim/sim.h"

#include <stdlib.h>

struct submitted {
	struct list link;
	struct world *world;
	struct job *job;
	unsigned core;
	uint64_t due_ns;
	bool has_run; /* its letter found no room */
};

static struct list jobs = {&jobs, &jobs};

int jobs_start(struct world *world)
{
	(void)world;
	return 0;
}

void jobs_stop(struct world *world)
{
	(void)world;
	SIM_CHECK(list_empty(&jobs), "a job is left at the end");
}

int jobs_submit(struct core *core, struct job *job)
{
	struct submitted *submitted;

	if (sim_fault(FAULT_JOBS_FULL))
		return ERR_FULL;
	submitted = malloc(sizeof *submitted);
	CHECK(submitted);
	list_init(&submitted->link);
	submitted->world = core->world;
	submitted->job = job;
	submitted->core = core->index;
	submitted->has_run = false;
	submitted->due_ns = sim_now_ns() + sim_below(NS_PER_MS);
	if (sim_fault(FAULT_JOB_SLOW))
		submitted->due_ns += sim_between(1, 300) * NS_PER_MS;
	list_push_back(&jobs, &submitted->link);
	core->jobs_out++;
	return 0;
}

void jobs_done(struct core *core, const struct letter *letter)
{
	struct job *job = letter->a;

	CHECK(core->jobs_out > 0);
	core->jobs_out--;
	job->done(core, job);
}

static struct submitted *jobs_sim_next(void)
{
	struct submitted *next = NULL;

	list_each(link, &jobs) {
		struct submitted *submitted = container_of(link, struct submitted, link);

		if (!next || submitted->due_ns < next->due_ns)
			next = submitted;
	}
	return next;
}

uint64_t jobs_sim_due_ns(void)
{
	struct submitted *next = jobs_sim_next();

	return next ? next->due_ns : UINT64_MAX;
}

static void jobs_sim_wake(struct core *core, unsigned member)
{
	(void)core;
	sim_wake(member);
}

void jobs_sim_step(void)
{
	struct submitted *next = jobs_sim_next();
	struct core thread = {.wake = jobs_sim_wake};
	struct letter letter = {.kind = LETTER_JOB_DONE};

	CHECK(next && next->due_ns <= sim_now_ns());
	thread.world = next->world;
	thread.index = next->world->first_job;
	letter.a = next->job;
	if (!next->has_run)
		next->job->run(next->job);
	next->has_run = true;
	if (mailbox_send(&thread, next->core, &letter) != 0)
		return;
	sim_trace("job done for core %u", next->core);
	sim_reached(REACH_JOB);
	list_remove(&next->link);
	free(next);
}
