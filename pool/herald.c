/* Listening for everybody, and telling the cores. */
#include "pool/herald.h"

#include "pool/marker.h"
#include "pool/pool.h"
#include "pool/sqltext.h"

#include <stdlib.h>
#include <string.h>

enum { HERALD_RETRY_MS = 200 };

static void herald_work(struct core *core, struct task *task);
static void herald_deliver(struct core *core, struct task *task);
static void herald_retry(struct core *core, struct timer *timer);
static const struct lease_events herald_events;

unsigned herald_home(const struct core *core, const struct pool *pool)
{
	return pool->id % core->world->worker_count;
}

/* ---- beginning and end ---- */

static void herald_take(struct core *core, struct herald *herald)
{
	if (lease_take(core, &herald->lease) == LEASE_HELD)
		herald_events.granted(core, &herald->lease);
}

static struct herald *herald_new(struct core *core, struct pool *pool)
{
	struct herald *herald = calloc(1, sizeof *herald);

	CHECK(herald);
	herald->news = calloc(core->world->worker_count, sizeof(struct tiding *));
	CHECK(herald->news);
	herald->pool = pool;
	herald->own = pools_new_single(core, pool);
	lease_init(&herald->lease, herald->own, NULL, &herald_events);
	herald->lease.settings = herald->lease.base = herald->own->plain_settings;
	settings_hold(herald->lease.settings);
	herald->lease.keeps = true;
	herald->lease.user = 1;
	channels_init(&herald->channels);
	list_init(&herald->todo);
	list_init(&herald->asked);
	list_init(&herald->askers);
	list_init(&herald->answers);
	timer_init(&herald->retry, herald_retry);
	task_init(&herald->work, herald_work);
	task_init(&herald->deliver, herald_deliver);
	pool->herald = herald;
	herald_take(core, herald);
	return herald;
}

static void herald_leave(struct core *core, struct herald *herald)
{
	core_timer_stop(core, &herald->retry);
	if (herald->lease.state == LEASE_WAITING)
		lease_cancel_wait(core, &herald->lease);
	else if (herald->lease.state == LEASE_HELD)
		lease_abandon(core, &herald->lease);
}

static void herald_forget_channel(struct herald *herald, struct channel *channel)
{
	struct list *link;

	while ((link = list_pop_front(&channel->users)))
		tiding_free(container_of(link, struct tiding, link));
	list_remove(&channel->todo);
	channels_remove(&herald->channels, channel);
}

static void herald_answer(struct core *core, struct tiding *asked)
{
	asked->kind = TIDING_TOLD;
	asked->to = asked->from;
	tiding_send(core, asked);
}

static void herald_answer_all(struct core *core, struct list *askers)
{
	struct list *link;

	while ((link = list_pop_front(askers)))
		herald_answer(core, container_of(link, struct tiding, link));
}

void herald_end(struct core *core, struct herald *herald)
{
	herald_leave(core, herald);
	herald_answer_all(core, &herald->answers);
	herald_answer_all(core, &herald->askers);
	lease_forget(&herald->lease);
	settings_drop(herald->lease.settings);
	list_each_safe(link, &herald->channels.all)
		herald_forget_channel(herald, container_of(link, struct channel, all));
	channels_free(&herald->channels);
	for (unsigned i = 0; i < core->world->worker_count; i++)
		if (herald->news[i])
			tiding_free(herald->news[i]);
	free(herald->news);
	list_remove(&herald->work.link);
	list_remove(&herald->deliver.link);
	pools_remove_single(core, herald->own);
	herald->pool->herald = NULL;
	free(herald);
}

/* ---- what the cores ask for ---- */

static void herald_must(struct core *core, struct herald *herald, struct channel *channel)
{
	if (!list_linked(&channel->todo)) /* else it waits for it already, or is being asked for */
		list_push_back(&herald->todo, &channel->todo);
	core_defer(core, &herald->work);
}

static void herald_tell_heard(
	struct core *core, const struct herald *herald, const struct tiding *wanted)
{
	struct tiding *heard = tiding_new(TIDING_HEARD, wanted->from, herald->pool->id, NULL);

	memcpy(heard->name, wanted->name, sizeof heard->name);
	heard->name_len = wanted->name_len;
	heard->serial = wanted->serial;
	tiding_send(core, heard);
}

static void herald_unwanted(
	struct core *core, struct herald *herald, struct channel *channel, unsigned from)
{
	list_each_safe(link, &channel->users) {
		struct tiding *user = container_of(link, struct tiding, link);

		if (user->from != from)
			continue;
		list_remove(&user->link);
		tiding_free(user);
	}
	if (list_empty(&channel->users))
		herald_must(core, herald, channel);
}

/* What it has heard before is told before. Without a connection there is nothing. */
static void herald_ask(struct core *core, struct herald *herald, struct tiding *asked)
{
	if (!herald || herald->lease.state != LEASE_HELD) {
		herald_answer(core, asked);
		return;
	}
	list_push_back(&herald->askers, &asked->link);
	core_defer(core, &herald->work);
}

void herald_asked(struct core *core, struct pool *pool, struct tiding *tiding)
{
	struct herald *herald = pool->herald;
	struct channel *channel = NULL;

	if (tiding->kind == TIDING_ASKED) {
		herald_ask(core, herald, tiding);
		return;
	}
	if (herald)
		channel = channels_find(core, &herald->channels, tiding->name, tiding->name_len);
	if (tiding->kind == TIDING_UNWANTED || core->pools->is_draining) {
		if (channel)
			herald_unwanted(core, herald, channel, tiding->from);
		tiding_free(tiding);
		return;
	}
	if (!herald)
		herald = herald_new(core, pool);
	if (!channel)
		channel = channels_add(core, &herald->channels, tiding->name, tiding->name_len);
	list_push_back(&channel->users, &tiding->link);
	if (channel->is_there)
		herald_tell_heard(core, herald, tiding);
	else
		herald_must(core, herald, channel);
}

/* ---- listening ---- */

static void herald_send(struct core *core, struct herald *herald, struct sqltext *text)
{
	struct server *server = herald->lease.server;

	sqltext_send(core, &server->stream->out, text);
	stream_flush(core, server->stream);
	pending_push(&server->pending, PENDING_QUERY, PENDING_HIDDEN);
	herald->is_busy = true;
}

static void herald_work(struct core *core, struct task *task)
{
	struct herald *herald = container_of(task, struct herald, work);
	struct sqltext text;
	struct list *link;

	if (herald->lease.state == LEASE_HELD && herald->is_busy)
		return;
	sqltext_init(&text);
	list_each_safe(todo, &herald->todo) {
		struct channel *channel = container_of(todo, struct channel, todo);

		if (!list_empty(&channel->users))
			continue;
		if (channel->is_there && herald->lease.state == LEASE_HELD) {
			sqltext_add(&text, "UNLISTEN ");
			sqltext_add_identifier(&text, channel->name);
			sqltext_add(&text, ";");
		}
		list_remove(&channel->todo);
		channels_remove(&herald->channels, channel);
	}
	if (list_empty(&herald->channels.all)) {
		sqltext_forget(&text);
		herald_end(core, herald);
		return;
	}
	while (herald->lease.state == LEASE_HELD && (link = list_pop_front(&herald->todo))) {
		struct channel *channel = container_of(link, struct channel, todo);

		sqltext_add(&text, "LISTEN ");
		sqltext_add_identifier(&text, channel->name);
		sqltext_add(&text, ";");
		list_push_back(&herald->asked, &channel->todo);
	}
	if (!list_empty(&herald->askers) && text.len == 0)
		sqltext_add(&text, ";");
	while ((link = list_pop_front(&herald->askers)))
		list_push_back(&herald->answers, link);
	if (text.len > 0)
		herald_send(core, herald, &text);
}

/* A new connection: names and payloads come as the database has them, and nothing ends it for being idle. */
static void herald_granted(struct core *core, struct lease *lease)
{
	struct herald *herald = container_of(lease, struct herald, lease);
	struct sqltext text;

	sqltext_init(&text);
	sqltext_add(&text,
		"SELECT pg_catalog.set_config('client_encoding', pg_catalog.getdatabaseencoding(), "
		"false);"
		"SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings "
		"WHERE name OPERATOR(pg_catalog.=) 'idle_session_timeout';"
		"LISTEN " MARKER_CHANNEL);
	herald_send(core, herald, &text);
}

static void herald_answered(struct core *core, struct lease *lease)
{
	struct herald *herald = container_of(lease, struct herald, lease);
	struct list *link;

	herald->is_busy = false;
	if (unlikely(!list_empty(&herald->answers))) {
		herald_deliver(core, &herald->deliver);
		herald_answer_all(core, &herald->answers);
	}
	while ((link = list_pop_front(&herald->asked))) {
		struct channel *channel = container_of(link, struct channel, todo);

		channel->is_there = true;
		list_each(user, &channel->users)
			herald_tell_heard(core, herald, container_of(user, struct tiding, link));
		if (list_empty(&channel->users))
			herald_must(core, herald, channel);
	}
	core_defer(core, &herald->work);
}

/* ---- what it hears ---- */

static void herald_add(
	struct core *core, struct herald *herald, unsigned to, const uint8_t *message, size_t len)
{
	if (!herald->news[to])
		herald->news[to] = tiding_new(TIDING_NEWS, to, herald->pool->id, NULL);
	tiding_add(herald->news[to], message, len);
	core_defer(core, &herald->deliver);
}

static bool herald_notified(
	struct core *core, struct lease *lease, const uint8_t *message, size_t len)
{
	struct herald *herald = container_of(lease, struct herald, lease);
	struct marker_notification news;
	struct marker marker;
	struct channel *channel;

	if (marker_find(message, len, &news) != 0)
		return true;
	if (strcmp(news.channel, MARKER_CHANNEL) == 0) {
		if (marker_read(core, news.payload, &marker) &&
			marker.core < core->world->worker_count)
			herald_add(core, herald, marker.core, message, len);
		return true;
	}
	core_count(core, METRIC_notifications);
	channel = channels_find(core, &herald->channels, news.channel, news.channel_len);
	if (!channel)
		return true; /* nobody listens to it any more */
	list_each(link, &channel->users) {
		const struct tiding *user = container_of(link, struct tiding, link);

		herald_add(core, herald, user->from, message, len);
	}
	return true;
}

/* All that came together goes to each core in one letter. */
static void herald_deliver(struct core *core, struct task *task)
{
	struct herald *herald = container_of(task, struct herald, deliver);

	for (unsigned i = 0; i < core->world->worker_count; i++) {
		struct tiding *news = herald->news[i];

		herald->news[i] = NULL;
		if (news)
			tiding_send(core, news);
	}
	if (unlikely(core->pools->tidings.bytes > LIMIT_NEWS_BYTES) &&
		herald->lease.state == LEASE_HELD)
		stream_pause(core, herald->lease.server->stream);
}

void herald_resume_all(struct core *core)
{
	for (size_t i = 0; i < core->pools->count; i++) {
		struct herald *herald = core->pools->items[i]->herald;

		if (herald && herald->lease.state == LEASE_HELD &&
			!herald->lease.server->stream->reading)
			stream_read(core, herald->lease.server->stream);
	}
}

/* ---- losing it ---- */

/* Nothing is heard from here on: whoever listens is told, and everything must be listened to again. */
static void herald_deafen(struct core *core, struct herald *herald)
{
	bool *told = calloc(core->world->worker_count, sizeof *told);

	CHECK(told);
	herald_deliver(core, &herald->deliver);
	herald->is_busy = false;
	list_init(&herald->todo);
	list_init(&herald->asked);
	list_each(link, &herald->channels.all) {
		struct channel *channel = container_of(link, struct channel, all);

		channel->is_there = false;
		list_init(&channel->todo);
		list_push_back(&herald->todo, &channel->todo);
		list_each(user, &channel->users)
			told[container_of(user, struct tiding, link)->from] = true;
	}
	for (unsigned i = 0; i < core->world->worker_count; i++)
		if (told[i])
			tiding_send(core, tiding_new(TIDING_LOST, i, herald->pool->id, NULL));
	free(told);
	herald_answer_all(core, &herald->answers);
	herald_answer_all(core, &herald->askers);
	core_count(core, METRIC_listeners_lost);
}

static void herald_lost(struct core *core, struct lease *lease, const struct lease_loss *loss)
{
	struct herald *herald = container_of(lease, struct herald, lease);

	log_warn(core,
		"pool %s/%s: its listening connection is lost, and notifications with it: %s",
		herald->pool->config->database, herald->pool->config->user, loss->fault->message);
	herald_deafen(core, herald);
	core_timer_set(core, &herald->retry, 0);
}

static void herald_failed(struct core *core, struct lease *lease, const struct fault *fault)
{
	struct herald *herald = container_of(lease, struct herald, lease);

	(void)fault; /* the pool has logged it */
	core_timer_set(core, &herald->retry, HERALD_RETRY_MS);
}

static void herald_retry(struct core *core, struct timer *timer)
{
	herald_take(core, container_of(timer, struct herald, retry));
}

void herald_renew(struct core *core, struct herald *herald)
{
	bool was_there = herald->lease.state == LEASE_HELD;

	herald_leave(core, herald);
	if (was_there)
		herald_deafen(core, herald);
	herald_take(core, herald);
}

static const struct lease_events herald_events = {
	.granted = herald_granted,
	.failed = herald_failed,
	.hidden = herald_answered,
	.notified = herald_notified,
	.lost = herald_lost,
};
