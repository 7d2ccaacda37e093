/* The simulation: a seed makes a plan (cores, pools, clients, faults), and everybody takes turns until all is over.
 *
 *   sim --seed N [--trace]      one seed
 *   sim --seeds FROM-TO         many, with a report of what was reached
 *
 * --keep-going: goes on after a failure. --no-report: does not demand that everything be reached. --without FAULT: that one never
 * strikes, to see what it takes for a failure, or to go on while its cause is being mended.
 */
#include "core/clock.h"
#include "core/core.h"
#include "core/errors.h"
#include "core/jobs.h"
#include "core/memory.h"
#include "core/snapshot.h"
#include "core/tally.h"
#include "net/loop.h"
#include "net/socket.h"
#include "pool/pool.h"
#include "router/cancel.h"
#include "router/client.h"
#include "router/router.h"
#include "test/sim/jobs_sim.h"
#include "test/sim/ring_sim.h"
#include "test/sim/sim.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_net.h"
#include "test/sim/sim_report.h"
#include "test/sim/sim_server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIM_WORKERS = 4, SIM_POOLS = 6, SIM_STEPS_MAX = 3000000, SIM_RELOADS = 4 };

struct sim_worker {
	struct core core;
	bool is_asleep, pools_drained, is_drained;
};

static const struct sim_pool sim_pools[SIM_POOLS] = {
	{"alpha", "ann", POOL_TRANSACTION, SIM_FIRST_PORT},
	{"beta", "ann", POOL_SESSION, SIM_FIRST_PORT + 1},
	{"alpha", "bob", POOL_TRANSACTION, SIM_FIRST_PORT + 2},
	{"gamma", "bob", POOL_STATEMENT, SIM_FIRST_PORT + 3},
	{"beta", "eve", POOL_SESSION, SIM_FIRST_PORT + 4},
	{"gamma", "eve", POOL_TRANSACTION, SIM_FIRST_PORT + 5},
};

static struct {
	struct world world;
	struct config *config;
	struct sim_worker *workers;
	unsigned worker_count, pool_count;
	struct core control;             /* only its letters */
	struct config *old[SIM_RELOADS]; /* configurations before a reload */
	unsigned reloads, dropped;
	uint64_t reload_ns; /* the next one */
	int listener;
	uint64_t drain_ns; /* a shutdown in the middle of the work; UINT64_MAX: none */
	uint64_t steps;
	struct sim_coverage *coverage;
	bool is_live;
} run;

/* ---- the plan ---- */

static int64_t plan_ms(unsigned percent, uint64_t from, uint64_t to, int64_t otherwise)
{
	return sim_percent(percent) ? (int64_t)sim_between(from, to) : otherwise;
}

static void plan_pools(struct config *config)
{
	static const char *const client_passwords[] = {SIM_CLIENT_PASSWORD};
	static const char *const server_passwords[] = {SIM_SERVER_PASSWORD};
	struct config_pool *pools = config_alloc(config, run.pool_count * sizeof *pools);
	struct config_user *users = config_alloc(config, run.pool_count * sizeof *users);
	int64_t max_db = 0, max_user = 0;

	/* a session may last as long as all the others: then there must be places for all */
	if (!sim_is_peaceful()) {
		max_db = sim_percent(30) ? (int64_t)sim_between(1, 6) : 0;
		max_user = sim_percent(30) ? (int64_t)sim_between(1, 6) : 0;
	}
	CHECK(pools && users);
	for (unsigned i = 0; i < run.pool_count; i++) {
		const struct sim_pool *pool = &sim_pools[i];

		users[i].name = pool->user;
		pools[i] = (struct config_pool){.database = pool->database,
			.user = pool->user,
			.passwords = client_passwords,
			.password_count = 1,
			.host = i % 3 == 2 ? "/run/postgresql" : "10.0.0.1",
			.port = (uint16_t)pool->port,
			.server_database = "data",
			.server_user = "pool",
			.server_passwords = server_passwords,
			.server_password_count = 1,
			.mode = pool->mode};
		pools[i].pool_size = (int64_t)sim_between(1, sim_percent(70) ? 4 : 16);
		pools[i].min_pool_size = sim_percent(50) ? (int64_t)sim_below(3) : 0;
		pools[i].reserve_pool_size = sim_percent(40) ? (int64_t)sim_between(1, 3) : 0;
		pools[i].max_db_connections = max_db;
		pools[i].max_user_connections = max_user;
		pools[i].idle_timeout_ms = plan_ms(40, 100, 3000, 60000);
		pools[i].server_lifetime_ms = plan_ms(30, 500, 5000, 86400000);
		pools[i].server_lifetime_jitter_ms = plan_ms(30, 1, 400, 0);
		pools[i].user_entry = &users[i];
		if (sim_is_peaceful() && pool->mode == POOL_SESSION)
			pools[i].pool_size = 64;
	}
	config->users = users;
	config->user_count = run.pool_count;
	CHECK(config_set_pools(config, pools, run.pool_count) == 0);
}

static void plan_config(void)
{
	struct config *config = config_new();
	struct config_general *general;
	bool peaceful = sim_is_peaceful();

	CHECK(config);
	run.config = config;
	general = &config->general;
	general->auth_type = sim_percent(30) ? AUTH_PLAIN : AUTH_TRUST;
	general->checkout_timeout_ms = peaceful ? CONFIG_UNLIMITED : plan_ms(50, 200, 4000, 5000);
	general->reserve_pool_timeout_ms = plan_ms(50, 0, 300, 5000);
	general->connect_timeout_ms = plan_ms(50, 300, 3000, 5000);
	general->connect_attempts = (int64_t)sim_between(1, 3);
	general->rollback_timeout_ms = plan_ms(50, 200, 3000, 5000);
	general->healthcheck_interval_ms = plan_ms(50, 0, 30, 30000);
	general->healthcheck_timeout_ms = plan_ms(70, 50, 600, 5000);
	general->client_connection_recovery = sim_percent(60) ? RECOVERY_RECOVER : RECOVERY_DROP;
	general->connection_recovery = sim_percent(70) ? RECOVERY_RECOVER
		: sim_percent(50)                      ? RECOVERY_ROLLBACK_ONLY
						       : RECOVERY_DROP;
	general->prepared_statements = sim_percent(20) ? PREPARED_DISABLED
		: sim_percent(30)                      ? PREPARED_EXTENDED_ANONYMOUS
						       : PREPARED_EXTENDED;
	general->prepared_statements_limit = (int64_t)sim_between(1, 24);
	general->prepared_statements_ttl_ms = plan_ms(30, 10, 3000, CONFIG_UNSET);
	general->prepared_statements_ttl_jitter_ms = plan_ms(50, 0, 3000, 0);
	general->shutdown_timeout_ms = plan_ms(60, 100, 5000, 20000);
	if (!peaceful) {
		if (sim_percent(20)) /* less than a file may say, as requests are small here */
			general->client_buffer_limit = (int64_t)sim_between(512, 1024) * 1024;
		general->client_login_timeout_ms = plan_ms(30, 300, 2000, 60000);
		general->query_timeout_ms = plan_ms(20, 300, 4000, CONFIG_UNLIMITED);
		general->client_idle_timeout_ms = plan_ms(15, 500, 3000, CONFIG_UNLIMITED);
		general->client_idle_in_transaction_timeout_ms =
			plan_ms(20, 300, 3000, CONFIG_UNLIMITED);
		if (general->query_timeout_ms % 4 == 0)
			general->transaction_timeout_ms = general->query_timeout_ms / 2 + 50;
	}
	plan_pools(config);
}

static void plan_clients(void)
{
	unsigned count = (unsigned)sim_between(1, sim_percent(70) ? 12 : 40);
	bool chatters = sim_percent(50);

	if (run.config->general.prepared_statements != PREPARED_DISABLED)
		sim_client_names_follow();
	if (chatters)
		sim_client_chatter((unsigned)sim_between(10, 80));
	for (unsigned i = 0; i < count; i++)
		sim_client_new((unsigned)sim_below(run.pool_count),
			(unsigned)sim_between(0, sim_percent(chatters ? 30 : 80) ? 12 : 50), false,
			sim_now_ns() + sim_below(sim_percent(70) ? 50 : 6000) * NS_PER_MS);
}

/* ---- cores ---- */

static void worker_drain_turn(struct core *core)
{
	struct sim_worker *worker = container_of(core, struct sim_worker, core);

	if (worker->is_drained || !router_idle(core) || !listener_all_stopped(core))
		return;
	if (!worker->pools_drained) {
		worker->pools_drained = true;
		pools_drain(core);
	}
	worker->is_drained = pools_idle(core) && core->net->streams.live == 0;
}

static void worker_drain(struct core *core, const struct letter *letter)
{
	listener_stop_all(core);
	core->each_turn = worker_drain_turn;
	router_drain(core, (enum drain_mode)letter->number);
}

static void control_wake(struct core *core, unsigned member)
{
	(void)core;
	sim_wake(member);
}

static void worker_apply(struct core *core, const struct letter *letter)
{
	pools_apply(core, letter->a);
	router_apply(core, letter->a, "admin");
	snapshot_switch(core, letter->a);
}

static void control_dropped(struct core *core, const struct letter *letter)
{
	(void)core, (void)letter;
	run.dropped++;
}

static void worker_ignore(struct core *core, const struct letter *letter)
{
	(void)core, (void)letter;
	UNREACHABLE();
}

static void worker_open(struct sim_worker *worker)
{
	static const unsigned few[] = {8, 16, 64};
	struct core *core = &worker->core;
	struct ring_options options = {
		.entries = LIMIT_RING_ENTRIES, .completions = LIMIT_RING_COMPLETIONS};
	char why[64];

	options.buffers =
		sim_fault(FAULT_FEW_BUFFERS) ? few[sim_below(array_len(few))] : LIMIT_BUFFERS;
	options.without_bundles = sim_percent(30);
	CHECK(loop_open(core, &options, why, sizeof why) == 0);
	core->handlers[LETTER_JOB_DONE] = jobs_done;
	core->handlers[LETTER_CLIENT] = router_adopt;
	core->handlers[LETTER_CANCEL] = cancel_arrived;
	core->handlers[LETTER_CANCELLED] = cancel_returned;
	core->handlers[LETTER_PLAIN] = pool_plain_arrived;
	core->handlers[LETTER_TIDING] = tiding_arrived;
	core->handlers[LETTER_ASK] = budget_asked;
	core->handlers[LETTER_PARCEL] = budget_arrived;
	core->handlers[LETTER_EVICT] = places_evict_asked;
	core->handlers[LETTER_CONFIG] = worker_apply;
	core->handlers[LETTER_DRAIN] = worker_drain;
	core->handlers[LETTER_STOP] = worker_ignore;
	snapshot_switch(core, run.config);
	CHECK(pools_open(core, run.config) == 0);
	CHECK(router_open(core, run.config, "admin") == 0);
	load_open(core);
	CHECK(listener_start(core, run.listener, router_accept) == 0);
}

static void run_open(void)
{
	struct world *world = &run.world;

	memset(world, 0, sizeof *world);
	run.worker_count = (unsigned)sim_between(1, SIM_WORKERS);
	run.pool_count = (unsigned)sim_between(1, SIM_POOLS);
	plan_config();
	world->worker_count = run.worker_count;
	world->tallies = tallies_new();
	CHECK(world->tallies);
	world->control = run.worker_count;
	world->first_job = run.worker_count + 1;
	world->config = run.config;
	CHECK(budget_assign(world, run.config, NULL) == 0);
	CHECK(log_init(&world->log, world->first_job + LIMIT_JOB_THREADS, STDERR_FILENO) == 0);
	world->log.level = LOG_DEBUG;
	CHECK(mailboxes_init(&world->boxes, world->first_job + LIMIT_JOB_THREADS) == 0);
	core_init(&run.control, world, world->control);
	run.control.wake = control_wake;
	run.control.handlers[LETTER_CONFIG_DROPPED] = control_dropped;
	CHECK(jobs_start(world) == 0);
	sim_net_begin();
	sim_net_connected = sim_server_connected;
	sim_server_begin();
	run.listener = sim_net_listen();
	sim_client_begin(sim_pools, run.pool_count, run.listener);
	run.workers = memory_lines(run.worker_count * sizeof *run.workers);
	CHECK(run.workers);
	for (unsigned i = 0; i < run.worker_count; i++) {
		core_init(&run.workers[i].core, world, i);
		worker_open(&run.workers[i]);
	}
}

static bool worker_is_ready(const struct sim_worker *worker)
{
	return !worker->is_asleep || ring_sim_is_ready(worker->core.net->ring) ||
		ring_sim_deadline_ns(worker->core.net->ring) <= sim_now_ns();
}

/* One turn. A core that has seen no completion would have slept in it; only a completion, a letter or its timers wake it. */
static void worker_turn(struct sim_worker *worker)
{
	struct core *core = &worker->core;

	core->now_ns = sim_now_ns();
	loop_turn(core, UINT64_MAX);
	worker->is_asleep = ring_sim_delivered(core->net->ring) == 0 &&
		ring_sim_deadline_ns(core->net->ring) > sim_now_ns() && mailbox_sleep(core);
	sim_report_watch(run.coverage, core);
	if (run.is_live)
		log_drain(&run.world.log);
}

/* ---- taking turns ---- */

/* Somebody who can go on: cores, then clients, sessions, jobs. */
static unsigned run_choose(unsigned *ret_choices, unsigned max)
{
	unsigned count = 0, number = 0;

	for (unsigned i = 0; i < run.worker_count; i++, number++)
		if (worker_is_ready(&run.workers[i]) || sim_fault(FAULT_SPURIOUS_TURN))
			ret_choices[count++] = number;
	for (unsigned i = 0; i < sim_client_count(); i++, number++)
		if (count < max && sim_client_is_ready(sim_client_at(i)))
			ret_choices[count++] = number;
	for (unsigned i = 0; i < sim_server_sessions(); i++, number++)
		if (count < max && sim_server_is_ready(sim_server_session(i)))
			ret_choices[count++] = number;
	if (jobs_sim_due_ns() <= sim_now_ns() && count < max)
		ret_choices[count++] = number;
	return count;
}

static void run_do(unsigned choice)
{
	if (choice < run.worker_count) {
		worker_turn(&run.workers[choice]);
		return;
	}
	choice -= run.worker_count;
	if (choice < sim_client_count()) {
		sim_client_step(sim_client_at(choice));
		return;
	}
	choice -= sim_client_count();
	if (choice < sim_server_sessions())
		sim_server_step(sim_server_session(choice));
	else
		jobs_sim_step();
}

static uint64_t run_next_ns(void)
{
	uint64_t next_ns = jobs_sim_due_ns(), at_ns;

	for (unsigned i = 0; i < run.worker_count; i++) {
		at_ns = ring_sim_deadline_ns(run.workers[i].core.net->ring);
		next_ns = at_ns < next_ns ? at_ns : next_ns;
	}
	for (unsigned i = 0; i < sim_client_count(); i++) {
		at_ns = sim_client_due_ns(sim_client_at(i));
		next_ns = at_ns < next_ns ? at_ns : next_ns;
	}
	for (unsigned i = 0; i < sim_server_sessions(); i++) {
		at_ns = sim_server_due_ns(sim_server_session(i));
		next_ns = at_ns < next_ns ? at_ns : next_ns;
	}
	return next_ns;
}

/* No permit is lost or doubled, whatever is on its way and while cores have different configurations; and no core has more servers
 * than permits, unless pool_size was lowered. */
static void run_check_budget(void)
{
	for (unsigned i = 0; i < run.pool_count; i++) {
		int permits = atomic_load(&run.config->identities[i].budget->in_flight);
		int reserve = (int)tally_read(&run.config->identities[i].budget->reserve);
		int servers = 0, size = reserve;

		for (unsigned core = 0; core < run.worker_count; core++) {
			const struct pool *pool = run.workers[core].core.pools->items[i];

			permits += pool->permits;
			servers += (int)pool_total(pool);
			size += budget_share(core, run.worker_count, pool->config->pool_size);
			SIM_CHECK(
				run.reloads > 0 || reserve <= (int)pool->config->reserve_pool_size,
				"pool %u: %d of the reserve are in use", i, reserve);
			SIM_CHECK(run.reloads > 0 || pool_room(pool) >= 0,
				"core %u: pool %u has %u servers, but %d permits", core, i,
				pool_total(pool), pool->permits);
		}
		SIM_CHECK(permits == size, "pool %u: %d permits, its size is %d", i, permits, size);
		SIM_CHECK(run.reloads > 0 || servers <= size, "pool %u: %d servers, its size is %d",
			i, servers, size);
	}
}

/* Every server connection has its place, and there are no more than allowed. */
static void run_check_places(void)
{
	for (unsigned i = 0; i < run.pool_count; i++) {
		const struct pool *pool = run.workers[0].core.pools->items[i];
		const struct config_pool *config = pool->config;
		unsigned database = tally_read(&pool->database_tally->servers);
		unsigned user = tally_read(&pool->user_tally->servers);
		unsigned own = tally_read(&pool->own_tally->servers), servers = 0;

		for (unsigned core = 0; core < run.worker_count; core++)
			servers += pool_total(run.workers[core].core.pools->items[i]);
		SIM_CHECK(own >= servers, "pool %u: %u servers, but %u places", i, servers, own);
		if (run.reloads > 0)
			continue;
		SIM_CHECK(config->max_db_connections == 0 || database <= config->max_db_connections,
			"database %s: %u servers", config->database, database);
		SIM_CHECK(config->max_user_connections == 0 || user <= config->max_user_connections,
			"user %s: %u servers", config->user, user);
	}
}

bool sim_pooler_uses(unsigned pid)
{
	for (unsigned i = 0; i < run.worker_count; i++) {
		uint32_t at = 0;
		const struct server *server;

		while ((server = slab_next(&run.workers[i].core.pools->servers, &at)))
			if (server->pid == pid && server->state != SERVER_CLOSING)
				return true;
	}
	return false;
}

/* Other sizes for the same pools, to every core in turn. */
static void run_reload(void)
{
	struct config *next = config_new();
	struct letter letter = {.kind = LETTER_CONFIG, .a = next};

	CHECK(next);
	next->general = run.config->general;
	plan_pools(next);
	CHECK(budget_assign(&run.world, next, run.config) == 0);
	run.old[run.reloads++] = run.config;
	run.config = next;
	sim_reached(REACH_RELOADED);
	sim_trace("reload");
	for (unsigned i = 0; i < run.worker_count; i++)
		CHECK(mailbox_send(&run.control, i, &letter) == 0);
	run.reload_ns = run.reloads < SIM_RELOADS ? sim_now_ns() + sim_between(1, 2000) * NS_PER_MS
						  : UINT64_MAX;
}

/* One step of somebody, or time moves to the next event before `until_ns`. Returns false if nothing is left to happen. */
static bool run_step(uint64_t until_ns)
{
	unsigned choices[512];
	unsigned count = run_choose(choices, array_len(choices));
	uint64_t next_ns;

	SIM_CHECK(++run.steps < SIM_STEPS_MAX, "the simulation does not come to its end");
	if (run.steps % 256 == 0)
		sim_client_check_waiting();
	sim_advance_ns(sim_below(20000));
	if (count > 0) {
		run_do(choices[sim_below(count)]);
		run_check_budget();
		run_check_places();
		if (sim_now_ns() >= run.reload_ns)
			run_reload();
		mailbox_receive(&run.control);
		if (sim_fault(FAULT_CLOCK_JUMP)) {
			sim_stand_still_ns(sim_between(1, 20000) * NS_PER_MS);
			sim_trace("the clock jumps");
		}
		return true;
	}
	next_ns = run_next_ns();
	if (next_ns > until_ns)
		next_ns = until_ns;
	if (next_ns == UINT64_MAX || next_ns <= sim_now_ns())
		return next_ns != UINT64_MAX && next_ns < until_ns;
	sim_client_check_waiting();
	sim_advance_ns(next_ns - sim_now_ns());
	return true;
}

static void run_for(uint64_t ns)
{
	uint64_t until_ns = sim_now_ns() + ns;

	while (sim_now_ns() < until_ns && run_step(until_ns))
		;
}

static void run_drain(enum drain_mode mode)
{
	struct letter letter = {.kind = LETTER_DRAIN, .number = (uint32_t)mode};

	sim_trace("drain, mode %d", (int)mode);
	for (unsigned i = 0; i < run.worker_count; i++)
		CHECK(mailbox_send(&run.control, i, &letter) == 0);
}

static void run_until_clients_gone(void)
{
	while (sim_client_alive() > 0) {
		if (sim_now_ns() >= run.drain_ns) {
			enum drain_mode mode = sim_percent(50) ? DRAIN_GENTLE : DRAIN_NOW;

			sim_client_expect_shutdown();
			sim_reached(mode == DRAIN_NOW ? REACH_DRAINED_NOW : REACH_DRAINED_GENTLY);
			run_drain(mode);
			return;
		}
		SIM_CHECK(run_step(run.drain_ns) || sim_now_ns() >= run.drain_ns,
			"nothing moves although %u clients are there", sim_client_alive());
	}
}

/* ---- the end ---- */

static void check_idle_pool(const struct pool *pool)
{
	SIM_CHECK(pool_room(pool) >= 0, "pool %u has %u servers, but %d permits",
		pool->config->index, pool_total(pool), pool->permits);
	SIM_CHECK(!list_linked(&pool->places.link) &&
			tally_read(&pool->database_tally->placeless) == 0 &&
			tally_read(&pool->user_tally->placeless) == 0 &&
			tally_read(&pool->database_tally->hungry) == 0 &&
			tally_read(&pool->user_tally->hungry) == 0 &&
			tally_read(&pool->own_tally->hungry) == 0 &&
			tally_read(&pool->database_tally->callers) == 0 &&
			tally_read(&pool->user_tally->callers) == 0 &&
			tally_read(&pool->database_tally->yielding) == 0 &&
			tally_read(&pool->user_tally->yielding) == 0,
		"pool %u: somebody waits for a place although nobody waits for a server",
		pool->config->index);
	SIM_CHECK(pool->waiter_count == 0 && list_empty(&pool->waiters),
		"pool %u: %u clients wait that are gone", pool->config->index, pool->waiter_count);
	SIM_CHECK(pool->client_count == 0, "pool %u counts %u clients that are gone",
		pool->config->index, pool->client_count);
	SIM_CHECK(pool->server_count[SERVER_LIST_BUSY] == 0,
		"pool %u: %u servers are busy without clients", pool->config->index,
		pool->server_count[SERVER_LIST_BUSY]);
	list_each(link, &pool->servers[SERVER_LIST_IDLE]) {
		const struct server *server = container_of(link, struct server, link);

		SIM_CHECK(server->status == 'I' && pending_empty(&server->pending) &&
				!server->lease && answers_at_border(server),
			"an idle server is not idle");
	}
}

/* Nothing but connections has places. */
static void check_idle_places(void)
{
	struct pool **pools = run.workers[0].core.pools->items;

	for (unsigned i = 0; i < run.pool_count; i++) {
		unsigned database = 0, user = 0;

		for (unsigned other = 0; other < run.pool_count; other++) {
			unsigned servers = tally_read(&pools[other]->own_tally->servers);

			if (pools[other]->database_tally == pools[i]->database_tally)
				database += servers;
			if (pools[other]->user_tally == pools[i]->user_tally)
				user += servers;
		}
		SIM_CHECK(tally_read(&pools[i]->database_tally->servers) == database &&
				tally_read(&pools[i]->user_tally->servers) == user,
			"pool %u: places of its limits are in use by nobody", i);
	}
}

static void check_idle(void)
{
	check_idle_places();
	sim_server_check_idle();
	for (unsigned i = 0; i < run.worker_count; i++) {
		const struct core *core = &run.workers[i].core;

		SIM_CHECK(core->router->clients.live == 0, "core %u: %u clients are left", i,
			core->router->clients.live);
		SIM_CHECK(core->pools->subscribers.live == 0 && tiding_idle(core),
			"core %u: %u clients that are gone listen", i,
			core->pools->subscribers.live);
		SIM_CHECK(core->pools->cancels.live == 0, "core %u: %u cancel requests are left", i,
			core->pools->cancels.live);
		SIM_CHECK(core->net->streams.live == core->pools->servers.live,
			"core %u: %u streams, but %u servers", i, core->net->streams.live,
			core->pools->servers.live);
		SIM_CHECK(ring_buffers_free(core->net->ring) == ring_buffers_all(core->net->ring),
			"core %u: %u receive buffers are not given back", i,
			ring_buffers_all(core->net->ring) - ring_buffers_free(core->net->ring));
		for (size_t pool = 0; pool < core->pools->count; pool++)
			check_idle_pool(core->pools->items[pool]);
	}
}

/* Peace after the storm: everything settles, and every pool serves new clients. */
static void run_afterwards(void)
{
	sim_calm();
	run_for(90 * NS_PER_S);
	check_idle();
	for (unsigned pool = 0; pool < run.pool_count; pool++)
		for (int i = 0; i < 3; i++)
			sim_client_new(
				pool, 2, true, sim_now_ns() + sim_below(10) * 1000 * NS_PER_MS);
	run.drain_ns = UINT64_MAX;
	run_until_clients_gone();
	run_for(60 * NS_PER_S);
	check_idle();
	sim_client_expect_shutdown();
	run_drain(DRAIN_GENTLE);
}

static bool run_is_drained(void)
{
	for (unsigned i = 0; i < run.worker_count; i++)
		if (!run.workers[i].is_drained)
			return false;
	return true;
}

static void trace_cores(void)
{
	for (unsigned i = 0; i < run.worker_count; i++) {
		const struct core *core = &run.workers[i].core;

		sim_trace("core %u: %u clients, %u cancels, %u streams, %u servers, listener %s, "
			  "%u in flight, %s",
			i, core->router->clients.live, core->pools->cancels.live,
			core->net->streams.live, core->pools->servers.live,
			listener_all_stopped(core) ? "stopped" : "there",
			ring_sim_in_flight(core->net->ring),
			run.workers[i].is_drained              ? "drained"
				: run.workers[i].pools_drained ? "draining"
							       : "not drained");
	}
}

static void run_close(void)
{
	uint64_t until_ns = sim_now_ns() + 300 * NS_PER_S;

	while (!run_is_drained()) {
		if (run_step(until_ns) && sim_now_ns() < until_ns)
			continue;
		trace_cores();
		sim_fail("the shutdown does not come to its end");
	}
	socket_close(run.listener);
	sim_client_no_listener();
	sim_calm();
	run_for(30 * NS_PER_S); /* clients and sessions hear that it is over */
	SIM_CHECK(sim_client_alive() == 0, "%u clients are left after the end", sim_client_alive());
	sim_server_end();
	for (unsigned i = 0; i < run.worker_count; i++) {
		struct core *core = &run.workers[i].core;

		sim_report_metrics(run.coverage, core);
		router_close(core);
		pools_close(core);
		snapshot_close(core);
		load_close(core);
		loop_close(core);
	}
	sim_net_end();
	jobs_stop(&run.world);
	sim_client_end();
	mailbox_receive(&run.control);
	SIM_CHECK(run.dropped == run.reloads * run.worker_count,
		"%u of %u old configurations were let go", run.dropped,
		run.reloads * run.worker_count);
	mailboxes_destroy(&run.world.boxes);
	tallies_free(run.world.tallies);
	log_destroy(&run.world.log);
	for (unsigned i = 0; i < run.reloads; i++) {
		budget_forget(run.old[i]);
		config_free(run.old[i]);
	}
	budget_forget(run.config);
	config_free(run.config);
	free(run.workers);
}

static void run_seed(uint64_t seed, struct sim_coverage *coverage, bool is_live)
{
	memset(&run, 0, sizeof run);
	run.coverage = coverage;
	run.is_live = is_live;
	sim_begin(seed, coverage, is_live);
	run_open();
	run.drain_ns =
		sim_percent(20) ? sim_now_ns() + sim_between(1, 4000) * NS_PER_MS : UINT64_MAX;
	run.reload_ns =
		sim_percent(30) ? sim_now_ns() + sim_between(1, 3000) * NS_PER_MS : UINT64_MAX;
	plan_clients();
	run_until_clients_gone();
	if (sim_client_alive() == 0 && sim_now_ns() < run.drain_ns)
		run_afterwards();
	else if (sim_client_alive() == 0)
		run_drain(DRAIN_GENTLE);
	run_close();
	coverage->steps += run.steps;
	coverage->virtual_ms += sim_elapsed_ns() / NS_PER_MS;
}

/* ---- many seeds ---- */

struct shared {
	struct sim_coverage coverage;
	uint64_t seed;
	bool is_over;
};

static void on_abort(int number)
{
	sim_print_trace();
	signal(number, SIG_DFL);
	raise(number);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: sim --seed N [--trace] | --seeds FROM-TO [--keep-going] "
		"[--no-report] [--without FAULT]\n");
	return 2;
}

/* Runs seeds in a child, so that one that fails does not end the others. Returns how many failed. */
static unsigned run_seeds(struct shared *shared, uint64_t from, uint64_t to, bool keeps_going)
{
	unsigned failed = 0;

	while (from <= to) {
		int status = 0;
		pid_t child;

		shared->seed = from;
		shared->is_over = false;
		fflush(NULL);
		child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			for (; shared->seed <= to; shared->seed++)
				run_seed(shared->seed, &shared->coverage, false);
			shared->is_over = true;
			exit(0);
		}
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			break;
		failed++;
		printf("FAILED seed %llu%s\n", (unsigned long long)shared->seed,
			shared->is_over ? " or before: a leak" : "");
		if (!keeps_going || shared->is_over)
			break;
		from = shared->seed + 1;
	}
	return failed;
}

int main(int argc, char **argv)
{
	struct shared *shared = mmap(
		NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned long long from = 0, to = 0;
	bool is_live = false, keeps_going = false, reports = true, one = false;
	unsigned failed;

	CHECK(shared != MAP_FAILED);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc &&
			sscanf(argv[i + 1], "%llu", &from) == 1)
			to = from, one = true, i++;
		else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
			sscanf(argv[i + 1], "%llu-%llu", &from, &to) == 2)
			i++;
		else if (strcmp(argv[i], "--trace") == 0)
			is_live = true;
		else if (strcmp(argv[i], "--keep-going") == 0)
			keeps_going = true;
		else if (strcmp(argv[i], "--without") == 0 && i + 1 < argc &&
			sim_exclude(argv[i + 1]))
			reports = false, i++;
		else if (strcmp(argv[i], "--no-report") == 0)
			reports = false;
		else
			return usage();
	}
	if (argc < 2)
		return usage();
	signal(SIGABRT, on_abort);
	sim_report_catch_sanitizer();
	if (one) {
		run_seed(from, &shared->coverage, is_live);
		printf("seed %llu passed: %llu steps\n", from,
			(unsigned long long)shared->coverage.steps);
		return 0;
	}
	failed = run_seeds(shared, from, to, keeps_going);
	if (reports && sim_report_print(&shared->coverage) > 0)
		failed++;
	printf("%s\n", failed ? "FAILED" : "passed");
	return failed ? 1 : 0;
}
