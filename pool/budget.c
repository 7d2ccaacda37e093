/* Permits and servers on their way between cores. */
#include "pool/budget.h"

#include "core/clock.h"
#include "core/config.h"
#include "core/errors.h"
#include "core/memory.h"
#include "core/tally.h"
#include "pool/pool.h"
#include "pool/server_move.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* A client of another core is served first when it has waited half as long again as the oldest one here, and this longer:
	 * moving a server costs about as much as a few short transactions. */
	BUDGET_YIELD_US = 200,
	BUDGET_OUTBOX_MS = 1,
	BUDGET_RESERVE_LOOK_MS = 50,
	BUDGET_RESERVE_MS_MAX = 24 * 3600 * 1000, /* nobody waits for longer */
};

/* ---- identities, by control ---- */

static struct budget *budget_new(uint32_t id, unsigned core_count)
{
	size_t bytes = sizeof(struct budget) + core_count * sizeof(struct budget_line);
	struct budget *budget = memory_lines(bytes);

	if (!budget)
		return NULL;
	budget->id = id;
	budget->core_count = core_count;
	for (unsigned i = 0; i < core_count; i++)
		atomic_init(&budget->lines[i].oldest_ns, BUDGET_NOBODY);
	return budget;
}

static struct config_identity budget_identity(
	const struct world *world, const struct config_pool *pool, uint32_t id)
{
	struct tallies *tallies = world->tallies;

	return (struct config_identity){
		.budget = budget_new(id, world->worker_count),
		.database_tally = tallies_get(tallies, TALLY_DATABASE, pool->database, NULL),
		.user_tally = tallies_get(tallies, TALLY_USER, NULL, pool->user),
		.own_tally = tallies_get(tallies, TALLY_POOL, pool->database, pool->user),
		.herald_tally = tallies_get(tallies, TALLY_HERALD, pool->database, pool->user),
	};
}

int budget_assign(const struct world *world, struct config *config, const struct config *previous)
{
	struct config_identity *identities =
		config_alloc(config, (config->pool_count + 1) * sizeof *identities);
	uint32_t next_id = previous ? previous->next_id : 1;

	if (!identities)
		return ERR_NO_MEMORY;
	config->identities = identities;
	for (size_t i = 0; i < config->pool_count; i++) {
		const struct config_pool *pool = &config->pools[i], *before = NULL;

		if (previous)
			before = config_find_pool(previous, pool->user, pool->database);
		if (before && config_find_pool(config, pool->user, pool->database) == pool) {
			identities[i] = previous->identities[before->index];
			identities[i].server_epoch += !config_pool_same_server(pool, before);
		} else {
			identities[i] = budget_identity(world, pool, next_id++);
			if (!identities[i].budget)
				return ERR_NO_MEMORY;
		}
		identities[i].budget->snapshots++;
	}
	config->next_id = next_id;
	return 0;
}

void budget_forget(struct config *config)
{
	for (size_t i = 0; config->identities && i < config->pool_count; i++) {
		struct budget *budget = config->identities[i].budget;

		if (budget && --budget->snapshots == 0)
			free(budget);
	}
	config->identities = NULL;
}

struct budget *budget_single(unsigned core_count)
{
	return budget_new(0, core_count);
}

int budget_share(unsigned core, unsigned core_count, int64_t whole)
{
	int64_t share = whole / core_count + (core < whole % core_count);

	return share > LIMIT_SLOTS ? LIMIT_SLOTS : (int)share;
}

/* ---- what the others see ---- */

static uint64_t budget_oldest_ns(const struct pool *pool)
{
	struct list *oldest = list_first(&pool->waiters);

	if (pool->permits < 0)
		return (uint64_t)-pool->permits;
	return oldest ? container_of(oldest, struct lease, link)->since_ns : BUDGET_NOBODY;
}

/* Servers and permits that nobody here needs. */
static unsigned budget_spare(const struct pool *pool)
{
	int spare = pool_room(pool) + (int)pool->server_count[SERVER_LIST_IDLE];

	return pool->waiter_count > 0 || spare < 0 ? 0 : (unsigned)spare;
}

static unsigned budget_idle(const struct pool *pool, unsigned spare)
{
	unsigned idle = pool->server_count[SERVER_LIST_IDLE];

	return idle < spare ? idle : spare;
}

/* A core where somebody waits, or that owes permits; cores are in the order of these times, then of their numbers. */
struct budget_need {
	uint64_t oldest_ns;
	int core; /* -1: none */
};

static bool budget_is_behind(struct budget_need need, struct budget_need other)
{
	return need.oldest_ns > other.oldest_ns ||
		(need.oldest_ns == other.oldest_ns && need.core > other.core);
}

/* The neediest other core behind `other`: the one whose client has waited longest. */
static struct budget_need budget_next_need(
	const struct core *core, const struct pool *pool, struct budget_need other)
{
	struct budget_need next = {BUDGET_NOBODY, -1};

	for (unsigned i = 0; i < pool->budget->core_count; i++) {
		struct budget_need need = {atomic_load_explicit(&pool->budget->lines[i].oldest_ns,
						   memory_order_relaxed),
			(int)i};

		if (i != core->index && need.oldest_ns < next.oldest_ns &&
			budget_is_behind(need, other))
			next = need;
	}
	return next;
}

static struct budget_need budget_neediest(const struct core *core, const struct pool *pool)
{
	return budget_next_need(core, pool, (struct budget_need){0, -1});
}

static bool budget_was_offered(const struct pool *pool, struct budget_need need)
{
	return need.oldest_ns == pool->offered_ns && (uint32_t)need.core == pool->offered_to;
}

static void budget_note_offer(struct pool *pool, struct budget_need need)
{
	pool->offered_ns = need.oldest_ns;
	pool->offered_to = (uint32_t)need.core;
}

/* ---- letters ---- */

static void budget_outbox(struct core *core, struct timer *timer);

void budget_open(struct core *core)
{
	list_init(&core->pools->outbox);
	timer_init(&core->pools->outbox_timer, budget_outbox);
}

static bool budget_try_post(struct core *core, struct budget_parcel *parcel)
{
	struct letter letter = {.kind = LETTER_PARCEL, .a = parcel};

	return mailbox_send(core, parcel->to, &letter) == 0;
}

/* A parcel is never lost: while the mailbox of its receiver is full it stays here. */
static void budget_post(struct core *core, struct budget_parcel *parcel)
{
	if (list_empty(&core->pools->outbox) && budget_try_post(core, parcel))
		return;
	core_count(core, METRIC_letters_delayed);
	list_push_back(&core->pools->outbox, &parcel->link);
	if (!timer_is_set(&core->pools->outbox_timer))
		core_timer_set(core, &core->pools->outbox_timer, BUDGET_OUTBOX_MS);
}

static void budget_outbox(struct core *core, struct timer *timer)
{
	struct list *link;

	while ((link = list_pop_front(&core->pools->outbox))) {
		struct budget_parcel *parcel = container_of(link, struct budget_parcel, link);

		if (budget_try_post(core, parcel))
			continue;
		list_push_front(&core->pools->outbox, &parcel->link);
		core_timer_set(core, timer, BUDGET_OUTBOX_MS);
		return;
	}
}

/* Takes permits from the pool into a parcel. */
static struct budget_parcel *budget_pack(struct pool *pool, unsigned to, unsigned permits)
{
	struct budget_parcel *parcel = calloc(1, sizeof *parcel);

	CHECK(parcel && permits <= UINT16_MAX);
	list_init(&parcel->link);
	parcel->to = to;
	parcel->pool_id = pool->id;
	parcel->permits = (uint16_t)permits;
	pool->permits -= (int)permits;
	/* min_pool_size goes with the permits when those that stay cannot hold it */
	while (parcel->least < permits && pool->min_size > 0 && pool->min_size > pool->permits) {
		pool->min_size--;
		parcel->least++;
	}
	atomic_fetch_add_explicit(&pool->budget->in_flight, (int)permits, memory_order_relaxed);
	return parcel;
}

void budget_send_server(struct core *core, struct pool *pool, unsigned to, bool is_promised,
	struct server_parcel *server)
{
	struct budget_parcel *parcel = budget_pack(pool, to, 1);

	parcel->server = server;
	parcel->is_promised = is_promised;
	core_count(core, server ? METRIC_servers_moved : METRIC_permits_moved);
	budget_post(core, parcel);
	budget_publish(core, pool);
}

static void budget_send_permit(struct core *core, struct pool *pool, unsigned to)
{
	budget_post(core, budget_pack(pool, to, 1));
	core_count(core, METRIC_permits_moved);
}

/* ---- asking ---- */

/* What a core lets us see that it could give. */
static uint32_t budget_seen(const struct budget_line *line, bool connected_only)
{
	return atomic_load_explicit(
		connected_only ? &line->idle : &line->spare, memory_order_relaxed);
}

bool budget_has_idle(const struct core *core, const struct pool *pool)
{
	for (unsigned i = 0; i < pool->budget->core_count; i++)
		if (i != core->index && budget_seen(&pool->budget->lines[i], true) > 0)
			return true;
	return false;
}

void budget_ask(struct core *core, struct pool *pool, unsigned wanted, bool connected_only)
{
	struct letter letter = {.kind = LETTER_ASK, .number = pool->id};
	uint32_t most = 0;
	int richest = -1;

	if (pool->is_asking || core->world->worker_count == 1)
		return;
	for (unsigned i = 0; i < pool->budget->core_count; i++) {
		uint32_t spare = budget_seen(&pool->budget->lines[i], connected_only);

		if (i == core->index || spare <= most)
			continue;
		most = spare;
		richest = (int)i;
	}
	if (richest < 0)
		return; /* whoever gets something to spare sees that we wait */
	CHECK(wanted > 0);
	letter.a = (void *)(connected_only ? -(intptr_t)wanted : (intptr_t)wanted);
	if (mailbox_send(core, (unsigned)richest, &letter) == 0)
		pool->is_asking = true;
	else
		core_timer_set(core, &pool->ask_again, BUDGET_OUTBOX_MS);
}

void budget_asked(struct core *core, const struct letter *letter)
{
	struct pool *pool = pools_find(core, letter->number);
	intptr_t asked = (intptr_t)letter->a;
	unsigned wanted = (unsigned)(asked < 0 ? -asked : asked), given = 0, spare;
	struct budget_parcel *parcel;

	if (!pool) { /* this core has not seen that configuration yet, or no longer has it */
		parcel = calloc(1, sizeof *parcel);
		CHECK(parcel);
		list_init(&parcel->link);
		parcel->to = letter->from;
		parcel->pool_id = letter->number;
		parcel->is_answer = true;
		budget_post(core, parcel);
		return;
	}
	spare = budget_spare(pool);
	if (wanted > spare)
		wanted = spare;
	if (wanted > UINT16_MAX)
		wanted = UINT16_MAX;
	while (given < wanted && server_move_idle(core, pool, letter->from, true))
		given++;
	if (asked < 0)
		wanted = given;
	parcel = budget_pack(pool, letter->from, wanted - given);
	parcel->coming = (uint16_t)given;
	parcel->is_answer = true;
	core_count_by(core, METRIC_permits_moved, wanted - given);
	budget_post(core, parcel);
	budget_publish(core, pool);
}

void budget_arrived(struct core *core, const struct letter *letter)
{
	struct budget_parcel *parcel = letter->a;
	struct pool *pool = pools_find(core, parcel->pool_id);

	if (!pool) { /* it was removed from the configuration: nobody needs its permits any more */
		if (parcel->server)
			server_move_drop(core, parcel->server);
		free(parcel);
		return;
	}
	atomic_fetch_sub_explicit(
		&pool->budget->in_flight, (int)parcel->permits, memory_order_relaxed);
	pool->permits += parcel->permits;
	if (pool->config->min_pool_size > 0) /* it may have been given up meanwhile */
		pool->min_size += parcel->least;
	pool->coming += parcel->coming;
	if (parcel->is_promised) {
		CHECK(pool->coming > 0);
		pool->coming--;
	}
	if (parcel->is_answer)
		pool->is_asking = false;
	if (parcel->server)
		server_move_unpack(core, pool, parcel->server);
	free(parcel);
	budget_publish(core, pool);
	pool_wake(core, pool);
}

/* ---- the reserve ---- */

void budget_use_reserve(struct core *core, struct pool *pool, unsigned on_the_way)
{
	int64_t size = pool->config->reserve_pool_size;
	int64_t timeout_ms = core->pools->config->general.reserve_pool_timeout_ms, due_ms;
	unsigned late = 0;
	uint64_t waited_ns;

	if (size == 0 || timeout_ms == 0 || timeout_ms > BUDGET_RESERVE_MS_MAX)
		return;
	due_ms = BUDGET_RESERVE_LOOK_MS; /* others may have given some back by then */
	list_each(link, &pool->waiters) {
		uint64_t since_ns = container_of(link, struct lease, link)->since_ns;

		if (since_ns < pool->resumed_ns)
			since_ns = pool->resumed_ns;
		waited_ns = core->now_ns - since_ns;
		if (waited_ns < (uint64_t)timeout_ms * NS_PER_MS) {
			if (late == 0)
				due_ms = timeout_ms - (int64_t)(waited_ns / NS_PER_MS);
			break;
		}
		if (++late > on_the_way && (int)(late - on_the_way) > pool_room(pool) &&
			pool->permits >= 0 && tally_take(&pool->budget->reserve, size)) {
			pool->permits++;
			core_count(core, METRIC_reserve_uses);
		}
	}
	if (!timer_is_set(&pool->ask_again))
		core_timer_set(core, &pool->ask_again, due_ms);
}

static bool budget_unmake(struct pool *pool, unsigned beyond)
{
	atomic_uint *reserve = &pool->budget->reserve;
	unsigned made = tally_read(reserve);

	while (made > beyond)
		if (atomic_compare_exchange_weak_explicit(
			    reserve, &made, made - 1, memory_order_relaxed, memory_order_relaxed)) {
			pool->permits--;
			return true;
		}
	return false;
}

void budget_restore_reserve(struct core *core, struct pool *pool)
{
	if (likely(tally_read(&pool->budget->reserve) == 0) || pool->is_removed)
		return;
	while (budget_unmake(pool, (unsigned)pool->config->reserve_pool_size))
		;
	while (pool->waiter_count == 0 && pool_room(pool) > 0 &&
		budget_neediest(core, pool).core < 0 && budget_unmake(pool, 0))
		;
}

/* ---- giving ---- */

static void budget_give(struct core *core, struct pool *pool, struct budget_need need)
{
	unsigned to = (unsigned)need.core;

	if (need.oldest_ns < BUDGET_DEBT_MAX) { /* a server is of no use to it */
		if (pool_room(pool) > 0)
			budget_send_permit(core, pool, to);
		else
			pool_close_idle(core, pool, "pool_size was lowered");
		return;
	}
	/* one is on its way to that client from here on */
	if (server_move_idle(core, pool, to, false)) {
		budget_note_offer(pool, need);
		return;
	}
	if (!pool->is_limited) /* else the permit may be of no use to it */
		budget_note_offer(pool, need);
	budget_send_permit(core, pool, to);
}

/* Something became spare here: it goes to the cores whose clients have waited longest. Who has been offered something looks around
 * again when that comes. All others have looked already, and wait until they get something. */
static void budget_offer(struct core *core, struct pool *pool)
{
	struct budget_need need = budget_neediest(core, pool);

	for (; need.core >= 0 && budget_spare(pool) > 0; need = budget_next_need(core, pool, need))
		if (!budget_was_offered(pool, need))
			budget_give(core, pool, need);
}

void budget_publish(struct core *core, struct pool *pool)
{
	struct budget_line *line = &pool->budget->lines[core->index];
	uint64_t oldest_ns, oldest_before;
	uint32_t spare, spare_before, idle, idle_before;

	if (core->world->worker_count == 1)
		return;
	oldest_ns = budget_oldest_ns(pool);
	spare = budget_spare(pool);
	idle = budget_idle(pool, spare);
	oldest_before = atomic_load_explicit(&line->oldest_ns, memory_order_relaxed);
	spare_before = atomic_load_explicit(&line->spare, memory_order_relaxed);
	idle_before = atomic_load_explicit(&line->idle, memory_order_relaxed);
	if (oldest_ns != oldest_before)
		atomic_store_explicit(&line->oldest_ns, oldest_ns, memory_order_relaxed);
	if (spare != spare_before)
		atomic_store_explicit(&line->spare, spare, memory_order_relaxed);
	if (idle != idle_before)
		atomic_store_explicit(&line->idle, idle, memory_order_relaxed);
	if (likely((oldest_ns == BUDGET_NOBODY || oldest_ns == oldest_before) &&
		    (spare == 0 || spare_before > 0) &&
		    (!pool->is_limited || idle == 0 || idle_before > 0 || places_left(pool))))
		return; /* a permit that was spare already is of no use to who has no place */
	/* Either side of a meeting: see the header. */
	atomic_thread_fence(memory_order_seq_cst);
	if (unlikely(pool->permits < 0))
		pool_wake(core, pool); /* which asks */
	if (spare > 0) {
		budget_offer(core, pool);
		spare = budget_spare(pool);
		atomic_store_explicit(&line->spare, spare, memory_order_relaxed);
		atomic_store_explicit(&line->idle, budget_idle(pool, spare), memory_order_relaxed);
	}
}

int budget_more_urgent(struct core *core, struct pool *pool)
{
	struct budget_need need;
	uint64_t here_ns, there_ns;

	if (core->world->worker_count == 1 || pool->compared_ns == core->now_ns)
		return -1; /* once a turn is enough */
	pool->compared_ns = core->now_ns;
	need = budget_neediest(core, pool);
	if (need.core < 0 || need.oldest_ns < BUDGET_DEBT_MAX || budget_was_offered(pool, need) ||
		need.oldest_ns >= core->now_ns)
		return -1;
	here_ns = core->now_ns - budget_oldest_ns(pool);
	there_ns = core->now_ns - need.oldest_ns;
	if (there_ns <= here_ns + here_ns / 2 + BUDGET_YIELD_US * NS_PER_US)
		return -1;
	budget_note_offer(pool, need);
	return need.core;
}
