/* The bound on what clients have sent and nobody can use yet. */
#include "router/held.h"

#include "core/clock.h"
#include "protocol/sqlstate.h"
#include "router/client.h"

enum {
	HELD_BATCH = 128 * 1024, /* bytes that a core may keep from the sum */
	HELD_TICK_MS = 100,
	HELD_PREFERRED = 32, /* of a core at most */
	HELD_STEP = 16 * 1024,
	HELD_SHARE = 64 * 1024, /* bytes that one resumed client is expected to bring */
};

static void held_tick(struct core *core, struct timer *timer);
static void held_run(struct core *core, struct task *task);

void held_open(struct held_core *held)
{
	for (unsigned i = 0; i < HELD_COUNT; i++)
		list_init(&held->places[i]);
	timer_init(&held->timer, held_tick);
	task_init(&held->task, held_run);
}

void held_close(struct core *core)
{
	core_timer_stop(core, &core->router->held.timer);
	list_remove(&core->router->held.task.link);
}

void held_init(struct held *held)
{
	list_init(&held->link);
}

int64_t held_bytes(const struct core *core)
{
	return core->router->held.bytes;
}

static void held_tell(struct core *core, int64_t batch)
{
	struct held_core *held = &core->router->held;
	int64_t untold = held->bytes - held->told;

	if (likely(untold < batch && -untold < batch))
		return;
	atomic_fetch_add_explicit(&core->world->held_bytes, untold, memory_order_relaxed);
	held->told = held->bytes;
}

/* Of all cores. Another core's part may be off by HELD_BATCH. */
static int64_t held_total(const struct core *core)
{
	const struct held_core *held = &core->router->held;

	return atomic_load_explicit(&core->world->held_bytes, memory_order_relaxed) + held->bytes -
		held->told;
}

static int64_t held_limit(const struct core *core)
{
	int64_t limit = core->router->config->general.client_buffer_limit;

	return limit == CONFIG_UNLIMITED ? INT64_MAX / 4 : limit;
}

static void held_move(struct core *core, struct client *client, enum held_place place)
{
	struct held_core *held = &core->router->held;

	if (client->held.place == place)
		return;
	list_remove(&client->held.link);
	client->held.place = (uint8_t)place;
	client->held.since_ns = core->now_ns;
	client->held.mark = client->in.bytes;
	if (client->held.is_preferred && (place == HELD_NOWHERE || place == HELD_HALTED)) {
		client->held.is_preferred = false;
		held->preferred--;
	}
	if (place == HELD_NOWHERE)
		return;
	list_push_back(&held->places[place], &client->held.link);
	if (!timer_is_set(&held->timer))
		core_timer_set(core, &held->timer, HELD_TICK_MS);
}

/* Somebody may be waiting for what has just become free. */
static void held_hurry(struct core *core)
{
	struct held_core *held = &core->router->held;

	if (unlikely(!list_empty(&held->places[HELD_HALTED])))
		core_defer(core, &held->task);
}

static void held_count(struct core *core, struct client *client, uint32_t bytes)
{
	core->router->held.bytes += (int64_t)bytes - client->held.bytes;
	client->held.bytes = bytes;
	held_tell(core, HELD_BATCH);
	stream_ration(core, held_total(core) > held_limit(core));
}

static void held_refuse(struct core *core, struct client *client)
{
	struct fault fault = {"FATAL", SQLSTATE_OUT_OF_MEMORY,
		"too much memory is held by messages that are not complete",
		"The bound is client_buffer_limit.", NULL};

	core_count(core, METRIC_clients_out_of_memory);
	client_fatal(core, client, &fault);
	chain_clear(core, &client->in);
	held_count(core, client, 0);
	held_move(core, client, HELD_NOWHERE);
}

/* How many bytes all may hold for this one to be read from. */
static int64_t held_limit_for(
	const struct core *core, const struct client *client, bool is_unfinished)
{
	int64_t limit = held_limit(core);

	if (client->in.bytes <= LIMIT_SMALL_BYTES)
		return limit + limit / 2; /* the reserve */
	if (is_unfinished)
		return client->held.is_preferred ? 2 * limit : limit;
	return client->in.bytes <= LIMIT_HELD_BYTES ? limit : 0;
}

static void held_progress(struct core *core, struct client *client)
{
	list_remove(&client->held.link);
	list_push_back(&core->router->held.places[HELD_LARGE], &client->held.link);
	client->held.since_ns = core->now_ns;
	client->held.mark = client->in.bytes;
}

static bool held_change(struct core *core, struct client *client, bool is_unfinished)
{
	bool may_read;

	held_count(core, client, client->in.bytes);
	is_unfinished = is_unfinished && client->in.bytes > 0;
	may_read = held_total(core) <= held_limit_for(core, client, is_unfinished);
	if (!is_unfinished)
		held_move(core, client, HELD_NOWHERE);
	else if (!may_read)
		held_move(core, client, HELD_HALTED);
	else if (client->held.place != HELD_HALTED)
		held_move(core, client,
			client->in.bytes > LIMIT_SMALL_BYTES ? HELD_LARGE : HELD_SMALL);
	if (client->held.place == HELD_LARGE && client->in.bytes >= client->held.mark + HELD_STEP)
		held_progress(core, client);
	held_hurry(core);
	return may_read && client->held.place != HELD_HALTED;
}

bool held_update(struct core *core, struct client *client, bool is_unfinished)
{
	if (likely(client->in.bytes == 0 && client->held.bytes == 0))
		return true;
	return held_change(core, client, is_unfinished);
}

void held_forget(struct core *core, struct client *client)
{
	held_count(core, client, 0);
	held_move(core, client, HELD_NOWHERE);
	held_hurry(core);
}

/* ---- whose turn it is, and whose time is over ---- */

static struct client *held_first(struct held_core *held, enum held_place place)
{
	struct list *link = list_first(&held->places[place]);

	return link ? container_of(link, struct client, held.link) : NULL;
}

/* Ends the oldest of a place until no more than `limit` is held, but nobody who came there less than `age_ms` ago. */
static void held_end_the_oldest(
	struct core *core, enum held_place place, int64_t limit, uint64_t age_ms)
{
	struct client *client;

	while (held_total(core) > limit &&
		(client = held_first(&core->router->held, place)) != NULL) {
		if (core->now_ns - client->held.since_ns < age_ms * NS_PER_MS)
			return;
		held_refuse(core, client);
		held_tell(core, 1);
	}
}

/* Everybody with a large message, but for the preferred. */
static void held_halt(struct core *core)
{
	list_each_safe(link, &core->router->held.places[HELD_LARGE]) {
		struct client *client = container_of(link, struct client, held.link);

		if (client->held.is_preferred)
			continue;
		held_move(core, client, HELD_HALTED);
		stream_pause(core, client->stream);
	}
}

static void held_resume(struct core *core, struct client *client)
{
	held_move(core, client, client->in.bytes > LIMIT_SMALL_BYTES ? HELD_LARGE : HELD_SMALL);
	stream_read(core, client->stream);
}

/* What one of the preferred may come to hold. */
static int64_t held_whole(int64_t limit)
{
	return limit / 2 < LIMIT_WHOLE_BYTES ? limit / 2 : LIMIT_WHOLE_BYTES;
}

/* As many as could be kept whole between the limit and its double. */
static unsigned held_preferred_max(const struct core *core)
{
	int64_t limit = held_limit(core);
	int64_t share = limit / core->world->worker_count / held_whole(limit);

	return share < 1 ? 1 : share > HELD_PREFERRED ? HELD_PREFERRED : (unsigned)share;
}

static void held_balance(struct core *core)
{
	struct held_core *held = &core->router->held;
	int64_t limit = held_limit(core), whole = held_whole(limit), most = 2 * limit - whole, room;
	struct client *client;

	if (held_total(core) > limit)
		held_halt(core);
	held_end_the_oldest(core, HELD_LARGE, limit, LIMIT_STALL_MS);
	held_end_the_oldest(core, HELD_SMALL, limit + limit / 4, LIMIT_UNFINISHED_MS);
	held_end_the_oldest(core, HELD_HALTED, most, LIMIT_UNFINISHED_MS);
	held_end_the_oldest(core, HELD_HALTED, 2 * limit, 0);
	for (room = limit - held_total(core); room > HELD_SHARE; room -= HELD_SHARE) {
		client = held_first(held, HELD_HALTED);
		if (!client)
			return;
		held_resume(core, client);
	}
	while (held->preferred < held_preferred_max(core) &&
		held_total(core) + held->preferred * whole <= most &&
		(client = held_first(held, HELD_HALTED)) != NULL) {
		held_resume(core, client);
		client->held.is_preferred = true;
		held->preferred++;
	}
}

static void held_run(struct core *core, struct task *task)
{
	(void)task;
	held_balance(core);
}

/* Ten times a second, as long as something is unfinished. */
static void held_tick(struct core *core, struct timer *timer)
{
	struct held_core *held = &core->router->held;

	held_balance(core);
	stream_ration(core, held_total(core) > held_limit(core));
	if (held_total(core) > held_limit(core))
		core_timer_set(core, timer, HELD_TICK_MS);
	for (unsigned place = HELD_SMALL; place < HELD_COUNT; place++)
		if (!list_empty(&held->places[place]) && !timer_is_set(timer))
			core_timer_set(core, timer, HELD_TICK_MS);
}
