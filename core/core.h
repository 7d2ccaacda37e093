/* core: one thread's world, the first argument of everything.
 *
 * A core owns all that it points to; other threads reach it only by letter (mailbox.h). What upper folders keep per core hangs
 * here as an opaque pointer, one per folder, set by that folder when the core starts.
 */
#ifndef PGRING_CORE_CORE_H
#define PGRING_CORE_CORE_H

#include "core/list.h"
#include "core/load.h"
#include "core/log.h"
#include "core/mailbox.h"
#include "core/rand.h"
#include "core/timer.h"

struct config;
struct snapshot;
struct tallies;
struct net;
struct pools;
struct router;
struct admin;

enum core_metric {
#define METRIC(name, text) METRIC_##name,
#include "core/metrics.def"
	METRIC_COUNT
};

/* Work put off until the present completion has been dealt with. It stands in its owner; deferring it twice is once. */
struct task {
	struct list link;
	void (*run)(struct core *core, struct task *task);
};

/* What all threads share. Immutable once they run, but for the mailboxes, the log rings, and what is atomic. */
struct world {
	unsigned worker_count; /* cores that serve clients: members 0..worker_count-1 */
	unsigned control;      /* the member that administers */
	atomic_uint
		client_descriptors; /* clients that are accepted at most; 0: no bound (core/load.h) */
	unsigned first_job; /* job threads: first_job .. first_job + LIMIT_JOB_THREADS - 1 */
	struct mailboxes boxes;
	struct log log;
	struct load loads[LIMIT_CORES];
	uint8_t secret[32];      /* of this process; for salts of unknown users */
	struct tallies *tallies; /* what holds over all cores */
	const struct config *config;
	_Alignas(64) atomic_int_fast64_t held_bytes; /* of clients (router/held.h) */
};

struct core {
	unsigned index; /* member number */
	struct world *world;
	uint64_t now_ns; /* when this turn began */
	struct timer_wheel timers;
	struct rand rand;
	struct rand_store secrets;
	struct list ready; /* of tasks */
	letter_handler *handlers[LETTER_COUNT];
	void (*wake)(struct core *core, unsigned member); /* set by who owns the ring */
	void (*each_turn)(struct core *core); /* control's: writes the log; may be NULL */
	bool (*must_stay)(
		struct core *core); /* control's: there is work, do not sleep; may be NULL */
	void (*signalled)(
		struct core *core, int result); /* control's: a signal was read; may be NULL */
	unsigned next_job;                      /* job thread that gets the next job */
	unsigned jobs_out; /* jobs that have not come back, errands not counted */
	bool stopping;
	struct timer load_timer;
	uint64_t load_thread_ns, load_since_ns; /* at the last look */
	uint64_t metrics[METRIC_COUNT];

	struct snapshot *snapshot; /* the configuration in use */
	struct net *net;
	struct pools *pools;
	struct router *router;
	struct admin *admin;
};

void core_init(struct core *core, struct world *world, unsigned index);

static inline void core_count(struct core *core, enum core_metric metric)
{
	core->metrics[metric]++;
}

static inline void core_count_by(struct core *core, enum core_metric metric, uint64_t by)
{
	core->metrics[metric] += by;
}

/* The name and meaning of a metric. Static memory. */
const char *core_metric_name(enum core_metric metric);
const char *core_metric_text(enum core_metric metric);

static inline void task_init(struct task *task, void (*run)(struct core *, struct task *))
{
	list_init(&task->link);
	task->run = run;
}

static inline void core_defer(struct core *core, struct task *task)
{
	if (!list_linked(&task->link))
		list_push_back(&core->ready, &task->link);
}

/* Runs what was deferred, and what that defers, until nothing is left. */
void core_run_ready(struct core *core);

/* Sets a timer relative to this turn. */
static inline void core_timer_set(struct core *core, struct timer *timer, int64_t delay_ms)
{
	timer_set(&core->timers, timer, core->now_ns, delay_ms);
}

/* Sets it, unless it fires by then already. */
static inline void core_timer_hasten(struct core *core, struct timer *timer, int64_t delay_ms)
{
	timer_hasten(&core->timers, timer, core->now_ns, delay_ms);
}

static inline void core_timer_stop(struct core *core, struct timer *timer)
{
	timer_stop(&core->timers, timer);
}

#endif
