/* Job threads: members of the world that sleep on their eventfd and wake others by theirs. */
#include "core/jobs.h"

#include "core/core.h"
#include "core/errors.h"
#include "core/memory.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct job_thread {
	struct core core; /* only what the mailbox and the log need */
	pthread_t thread;
	bool started;
};

static struct job_thread *job_threads; /* main thread's; made by jobs_start, gone after jobs_stop */

static void job_wake(struct core *core, unsigned member)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(core->world->boxes.members[member].wake_fd, &one, sizeof one);
	while (n < 0 && errno == EINTR);
}

static void job_run(struct core *core, const struct letter *letter)
{
	struct job *job = letter->a;
	struct letter back = {.kind = LETTER_JOB_DONE, .a = job};

	job->run(job);
	/* Whoever sent it may be slow for a moment; this thread has nothing better to do than to wait for it. */
	while (mailbox_send(core, letter->from, &back) == ERR_FULL)
		sched_yield();
}

static void job_stop(struct core *core, const struct letter *letter)
{
	(void)letter;
	core->stopping = true;
}

static void *job_main(void *argument)
{
	struct job_thread *self = argument;
	struct core *core = &self->core;
	int wake_fd = core->world->boxes.members[core->index].wake_fd;

	while (!core->stopping) {
		uint64_t count;

		if (mailbox_receive(core) > 0)
			continue;
		if (mailbox_sleep(core)) {
			while (read(wake_fd, &count, sizeof count) < 0 && errno == EINTR)
				;
			mailbox_awake(core);
		}
	}
	return NULL;
}

int jobs_start(struct world *world)
{
	job_threads = memory_lines(LIMIT_JOB_THREADS * sizeof *job_threads);
	if (!job_threads)
		return ERR_NO_MEMORY;
	for (unsigned i = 0; i < LIMIT_JOB_THREADS; i++) {
		struct job_thread *self = &job_threads[i];
		char name[16];

		core_init(&self->core, world, world->first_job + i);
		self->core.wake = job_wake;
		self->core.handlers[LETTER_JOB] = job_run;
		self->core.handlers[LETTER_STOP] = job_stop;
		self->started = pthread_create(&self->thread, NULL, job_main, self) == 0;
		if (!self->started)
			return ERR_SYSTEM;
		snprintf(name, sizeof name, "job-%u", i);
		pthread_setname_np(self->thread, name);
	}
	return 0;
}

void jobs_stop(struct world *world)
{
	for (unsigned i = 0; i < LIMIT_JOB_THREADS; i++) {
		struct job_thread *self = &job_threads[i];
		struct core sender = {.index = world->control, .world = world, .wake = job_wake};
		struct letter stop = {.kind = LETTER_STOP};

		if (!self->started)
			continue;
		while (mailbox_send(&sender, self->core.index, &stop) == ERR_FULL)
			sched_yield();
		pthread_join(self->thread, NULL);
	}
	free(job_threads);
	job_threads = NULL;
}

int jobs_submit(struct core *core, struct job *job)
{
	struct world *world = core->world;
	struct letter letter = {.kind = LETTER_JOB, .a = job};

	int error;

	core->next_job = (core->next_job + 1) % LIMIT_JOB_THREADS;
	error = mailbox_send(core, world->first_job + core->next_job, &letter);
	if (!error)
		core->jobs_out++;
	return error;
}

void jobs_done(struct core *core, const struct letter *letter)
{
	struct job *job = letter->a;

	CHECK(core->jobs_out > 0);
	core->jobs_out--;
	job->done(core, job);
}
