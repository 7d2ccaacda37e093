/* Job threads: members of the world that sleep on their eventfd and wake others by theirs. The last one does no work itself: it
 * sends errands off, each on a thread of its own, and hands back what they bring. */
#include "core/jobs.h"

#include "core/core.h"
#include "core/errors.h"
#include "core/memory.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JOB_WORKERS = LIMIT_JOB_THREADS - 1 };

struct job_thread {
	struct core core; /* only what the mailbox and the log need */
	pthread_t thread;
	bool started;

	/* the last one's */
	struct list errands; /* under way */
	struct list queue;   /* jobs that wait until fewer are */
	unsigned errand_count;
};

/* One run for all that have its key. */
struct errand {
	struct list link;
	struct list jobs; /* were there when it began; the first one is run */
	struct list late; /* came later */
	atomic_bool is_over;
	int wake_fd;
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

static void job_return(struct core *core, struct job *job)
{
	struct letter back = {.kind = LETTER_JOB_DONE, .a = job};

	/* Whoever sent it may be slow for a moment; this thread has nothing better to do than to wait for it. */
	while (mailbox_send(core, job->from, &back) == ERR_FULL)
		sched_yield();
}

static void job_run(struct core *core, const struct letter *letter)
{
	struct job *job = letter->a;

	job->from = letter->from;
	job->run(job);
	job_return(core, job);
}

static void job_stop(struct core *core, const struct letter *letter)
{
	(void)letter;
	core->stopping = true;
}

/* ---- errands ---- */

static void *errand_main(void *argument)
{
	struct errand *errand = argument;
	struct job *job = container_of(list_first(&errand->jobs), struct job, link);
	int wake_fd = errand->wake_fd;
	uint64_t one = 1;

	pthread_setname_np(pthread_self(), "errand");
	job->run(job);
	atomic_store_explicit(&errand->is_over, true, memory_order_release);
	/* from here on it may be gone */
	while (write(wake_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
	return NULL;
}

/* Runs them all as one; they have the same key. */
static void errand_start(struct job_thread *self, struct list *jobs)
{
	struct errand *errand = calloc(1, sizeof *errand);
	pthread_t thread;

	CHECK(errand && !list_empty(jobs));
	list_init(&errand->link);
	list_init(&errand->jobs);
	list_init(&errand->late);
	list_splice_back(&errand->jobs, jobs);
	errand->wake_fd = self->core.world->boxes.members[self->core.index].wake_fd;
	list_push_back(&self->errands, &errand->link);
	self->errand_count++;
	if (pthread_create(&thread, NULL, errand_main, errand) == 0)
		(void)pthread_detach(thread);
	else
		errand_main(errand); /* the others wait for it, which is better than nothing */
}

static struct job *errand_first(const struct list *jobs)
{
	struct list *link = list_first(jobs);

	return link ? container_of(link, struct job, link) : NULL;
}

/* Hands them back with the result of `first`. */
static void errand_share(struct core *core, struct list *jobs, struct job *first)
{
	struct list *link;

	while ((link = list_pop_front(jobs))) {
		struct job *job = container_of(link, struct job, link);

		job->share(job, first);
		job_return(core, job);
	}
}

static void errand_end(struct job_thread *self, struct errand *errand)
{
	struct core *core = &self->core;
	struct job *first = errand_first(&errand->jobs);

	list_remove(&errand->link);
	list_remove(&first->link);
	self->errand_count--;
	errand_share(core, &errand->jobs, first);
	if (!first->has_failed)
		errand_share(core, &errand->late, first);
	else if (!list_empty(&errand->late))
		errand_start(self, &errand->late);
	job_return(core, first);
	free(errand);
}

/* Starts the first one in the queue, for all of its key. */
static void errand_start_next(struct job_thread *self)
{
	struct job *first = errand_first(&self->queue);
	struct list jobs;

	list_init(&jobs);
	list_each_safe(link, &self->queue) {
		if (strcmp(container_of(link, struct job, link)->key, first->key) != 0)
			continue;
		list_remove(link);
		list_push_back(&jobs, link);
	}
	errand_start(self, &jobs);
}

static unsigned errands_collect(struct job_thread *self)
{
	unsigned ended = 0;

	list_each_safe(link, &self->errands) {
		struct errand *errand = container_of(link, struct errand, link);

		if (!atomic_load_explicit(&errand->is_over, memory_order_acquire))
			continue;
		errand_end(self, errand);
		ended++;
	}
	while (!list_empty(&self->queue) && self->errand_count < LIMIT_ERRANDS)
		errand_start_next(self);
	return ended;
}

static void errand_asked(struct core *core, const struct letter *letter)
{
	struct job_thread *self = container_of(core, struct job_thread, core);
	struct job *job = letter->a;

	job->from = letter->from;
	list_init(&job->link);
	list_each(link, &self->errands) {
		struct errand *errand = container_of(link, struct errand, link);

		if (strcmp(errand_first(&errand->jobs)->key, job->key) == 0) {
			list_push_back(&errand->late, &job->link);
			return;
		}
	}
	list_push_back(&self->queue, &job->link);
}

/* ---- the threads ---- */

static void *job_main(void *argument)
{
	struct job_thread *self = argument;
	struct core *core = &self->core;
	int wake_fd = core->world->boxes.members[core->index].wake_fd;

	while (!core->stopping) {
		uint64_t count;

		if (mailbox_receive(core) + errands_collect(self) > 0)
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
		self->core.handlers[LETTER_JOB] = i < JOB_WORKERS ? job_run : errand_asked;
		list_init(&self->errands);
		list_init(&self->queue);
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

	if (job->key) /* nobody waits for it at the end, so it is not counted */
		return mailbox_send(core, world->first_job + JOB_WORKERS, &letter);
	core->next_job = (core->next_job + 1) % JOB_WORKERS;
	error = mailbox_send(core, world->first_job + core->next_job, &letter);
	if (!error)
		core->jobs_out++;
	return error;
}

void jobs_done(struct core *core, const struct letter *letter)
{
	struct job *job = letter->a;

	CHECK(job->key || core->jobs_out > 0);
	core->jobs_out -= !job->key;
	job->done(core, job);
}
