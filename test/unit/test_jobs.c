/* Jobs come back to who sent them; errands wait for nobody else, and those with the same key share one run. */
#include "core/jobs.h"

#include "core/core.h"
#include "core/errors.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

enum { WAIT_MS_MAX = 40000, ERRANDS = LIMIT_ERRANDS + 8 };

/* What it does, and what came of it. */
struct probe {
	struct job job;
	char key[16];
	int result;
	bool is_done;
};

static struct world world;
static struct core core;
static struct probe probes[ERRANDS + 1];

/* Gates: what runs with a key waits until the gate of its first letter is open. */
static atomic_bool is_open[256];
static atomic_uint starts, runs;
static atomic_int outcome; /* of a run; negative: a failure */

static void nap(void)
{
	(void)poll(NULL, 0, 1);
}

static void wake(struct core *of, unsigned member)
{
	assert_int_equal(eventfd_write(of->world->boxes.members[member].wake_fd, 1), 0);
}

static int world_open(void **state)
{
	(void)state;
	memset(&world, 0, sizeof world);
	memset(probes, 0, sizeof probes);
	for (unsigned i = 0; i < 256; i++)
		atomic_store(&is_open[i], false);
	atomic_store(&starts, 0);
	atomic_store(&runs, 0);
	atomic_store(&outcome, 1);
	world.worker_count = 1;
	world.first_job = 1;
	if (mailboxes_init(&world.boxes, 1 + LIMIT_JOB_THREADS) != 0)
		return -1;
	core_init(&core, &world, 0);
	core.wake = wake;
	core.handlers[LETTER_JOB_DONE] = jobs_done;
	return jobs_start(&world);
}

static int world_close(void **state)
{
	(void)state;
	jobs_stop(&world);
	mailboxes_destroy(&world.boxes);
	return 0;
}

static void probe_run(struct job *job)
{
	struct probe *probe = container_of(job, struct probe, job);

	atomic_fetch_add(&starts, 1);
	while (probe->key[0] && !atomic_load(&is_open[(uint8_t)probe->key[0]]))
		nap();
	probe->result = atomic_load(&outcome);
	job->has_failed = probe->result < 0;
	atomic_fetch_add(&runs, 1);
}

static void probe_share(struct job *job, struct job *other)
{
	container_of(job, struct probe, job)->result =
		container_of(other, struct probe, job)->result;
}

static void probe_done(struct core *of, struct job *job)
{
	assert_ptr_equal(of, &core);
	container_of(job, struct probe, job)->is_done = true;
}

static struct probe *submit(unsigned index, const char *key)
{
	struct probe *probe = &probes[index];

	snprintf(probe->key, sizeof probe->key, "%s", key);
	probe->job = (struct job){.run = probe_run,
		.done = probe_done,
		.key = *key ? probe->key : NULL,
		.share = probe_share};
	assert_int_equal(jobs_submit(&core, &probe->job), 0);
	return probe;
}

static void await(const struct probe *probe)
{
	for (unsigned ms = 0; ms < WAIT_MS_MAX && !probe->is_done; ms++) {
		mailbox_receive(&core);
		nap();
	}
	assert_true(probe->is_done);
}

static void open_gate(char letter)
{
	atomic_store(&is_open[(uint8_t)letter], true);
}

static void nobody_waits_for_an_errand(void **state)
{
	struct probe *stuck = submit(0, "a"), *other = submit(1, "b");

	(void)state;
	for (unsigned i = 2; i < 12; i++)
		await(submit(i, ""));
	open_gate('b');
	await(other);
	assert_false(stuck->is_done);
	assert_int_equal(core.jobs_out, 0); /* the world does not wait for it, either */
	open_gate('a');
	await(stuck);
	assert_int_equal(atomic_load(&runs), 12);
}

/* Sends some of the same key behind one that runs; returns when the job thread has them. */
static void submit_late(unsigned from, unsigned count)
{
	for (unsigned ms = 0; ms < WAIT_MS_MAX && atomic_load(&starts) == 0; ms++)
		nap();
	for (unsigned i = from; i < from + count; i++)
		submit(i, "a");
	open_gate('b');
	await(submit(from + count, "b")); /* came behind them */
}

static void a_success_is_shared(void **state)
{
	(void)state;
	submit(0, "a");
	submit_late(1, 5);
	open_gate('a');
	for (unsigned i = 0; i < 6; i++) {
		await(&probes[i]);
		assert_int_equal(probes[i].result, 1);
	}
	assert_int_equal(atomic_load(&runs), 2); /* one of them for "b" */
}

static void a_failure_is_not_shared_with_who_came_later(void **state)
{
	(void)state;
	atomic_store(&outcome, -1);
	submit(0, "a");
	submit_late(1, 5);
	open_gate('a');
	for (unsigned i = 0; i < 6; i++) {
		await(&probes[i]);
		assert_int_equal(probes[i].result, -1);
	}
	assert_int_equal(
		atomic_load(&runs), 3); /* once for the first, once for all others; and "b" */
}

static void more_than_may_run_wait_for_their_turn(void **state)
{
	char key[16];

	(void)state;
	for (unsigned i = 0; i < ERRANDS; i++) {
		snprintf(key, sizeof key, "c%u", i);
		submit(i, key);
	}
	await(submit(ERRANDS, ""));
	open_gate('c');
	for (unsigned i = 0; i < ERRANDS; i++)
		await(&probes[i]);
	assert_int_equal(atomic_load(&runs), ERRANDS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			nobody_waits_for_an_errand, world_open, world_close),
		cmocka_unit_test_setup_teardown(a_success_is_shared, world_open, world_close),
		cmocka_unit_test_setup_teardown(
			a_failure_is_not_shared_with_who_came_later, world_open, world_close),
		cmocka_unit_test_setup_teardown(
			more_than_may_run_wait_for_their_turn, world_open, world_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
