/* jobs: threads for what can only block (name lookup, key derivation).
 *
 * A job is moved to a job thread by letter, run there, and moved back; then its done() runs on the core that sent it. A job
 * owns copies of all that it needs. The job threads end when the world stops.
 * A job with a key is an errand: it may have to wait for somebody outside, for long. It runs on a thread of its own, so that nobody
 * else waits for it, and those with the same key share one run. What comes while that is under way shares its success; if it
 * fails, they have another run, because the failure may be older than their wish. The world does not wait for errands at its end.
 */
#ifndef PGRING_CORE_JOBS_H
#define PGRING_CORE_JOBS_H

#include "core/list.h"

struct core;
struct world;

struct job {
	void (*run)(struct job *job); /* on a job thread */
	void (*done)(
		struct core *core, struct job *job); /* on the core; owns the job from there on */

	/* of an errand */
	const char *key;                                   /* NULL: it is none */
	void (*share)(struct job *job, struct job *other); /* takes over what that has found */
	bool has_failed;                                   /* set by run() */

	/* private */
	struct list link;
	unsigned from;
};

/* Starts the job threads. Main thread, once, after the mailboxes exist. */
must_check int jobs_start(struct world *world);
/* Ends them; waits for the job that runs. Main thread, after the cores have ended. */
void jobs_stop(struct world *world);

/* Sends a job off. Returns 0, or ERR_FULL with the job still the caller's. Thread: core's. */
must_check int jobs_submit(struct core *core, struct job *job);

/* The handler of LETTER_JOB_DONE; each core installs it. */
struct letter;
void jobs_done(struct core *core, const struct letter *letter);

#endif
