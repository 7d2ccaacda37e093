/* Clients that listen: their channels, and their moves between server and herald. */
#include "pool/subscriber.h"

#include "core/config.h"
#include "pool/herald.h"
#include "pool/marker.h"
#include "pool/pool.h"
#include "pool/sqltext.h"
#include "protocol/frame.h"
#include "protocol/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct subscription {
	struct list of_subscriber, of_channel;
	struct subscriber *subscriber;
	struct channel *channel;
	uint32_t
		since; /* the move to the server behind whose marker it was begun; 0: no such one */
	bool is_found;
};

static void subscriber_passed(struct core *core, struct subscriber *subscriber);

/* ---- channels ---- */

static void subscriber_want(struct core *core, struct pool *pool, struct channel *channel)
{
	channel->serial = ++core->pools->tiding_serial;
	tiding_send(core, tiding_new(TIDING_WANTED, herald_home(core, pool), pool->id, channel));
}

static void subscriber_add(
	struct core *core, struct subscriber *subscriber, const char *name, size_t len)
{
	struct pool *pool = subscriber->lease->pool;
	struct channel *channel = channels_find(core, &pool->channels, name, len);
	struct subscription *subscription = calloc(1, sizeof *subscription);

	CHECK(subscription);
	if (!channel) {
		channel = channels_add(core, &pool->channels, name, len);
		subscriber_want(core, pool, channel);
	}
	subscription->subscriber = subscriber;
	subscription->channel = channel;
	subscription->is_found = true;
	if (subscriber->is_moving && subscriber->source == SUBSCRIBER_AT_HERALD &&
		subscriber->server_passed)
		subscription->since = subscriber->turn;
	list_init(&subscription->of_subscriber);
	list_init(&subscription->of_channel);
	list_push_back(&subscriber->subscriptions, &subscription->of_subscriber);
	list_push_back(&channel->users, &subscription->of_channel);
	subscriber->count++;
	subscriber->unheard += !channel->is_there;
}

static void subscriber_remove(struct core *core, struct subscription *subscription)
{
	struct subscriber *subscriber = subscription->subscriber;
	struct pool *pool = subscriber->lease->pool;
	struct channel *channel = subscription->channel;

	list_remove(&subscription->of_subscriber);
	list_remove(&subscription->of_channel);
	subscriber->count--;
	subscriber->unheard -= !channel->is_there;
	free(subscription);
	if (!list_empty(&channel->users))
		return;
	tiding_send(core, tiding_new(TIDING_UNWANTED, herald_home(core, pool), pool->id, channel));
	channels_remove(&pool->channels, channel);
}

static struct subscriber *subscriber_new(struct core *core, struct lease *lease)
{
	struct subscriber *subscriber = slab_alloc(&core->pools->subscribers);

	if (!subscriber)
		return NULL; /* it stays with its server */
	subscriber->lease = lease;
	subscriber->source = SUBSCRIBER_AT_SERVER;
	list_init(&subscriber->subscriptions);
	lease->subscriber = subscriber;
	return subscriber;
}

void subscriber_free(struct core *core, struct lease *lease)
{
	struct subscriber *subscriber = lease->subscriber;

	if (!subscriber)
		return;
	list_each_safe(link, &subscriber->subscriptions)
		subscriber_remove(core, container_of(link, struct subscription, of_subscriber));
	chain_clear(core, &subscriber->ready);
	chain_clear(core, &subscriber->doubtful);
	chain_clear(core, &subscriber->held);
	lease->subscriber = NULL;
	slab_free(&core->pools->subscribers, subscriber);
}

static struct subscription *subscriber_find(const struct subscriber *subscriber, const char *name)
{
	list_each(link, &subscriber->subscriptions) {
		struct subscription *subscription =
			container_of(link, struct subscription, of_subscriber);

		if (strcmp(subscription->channel->name, name) == 0)
			return subscription;
	}
	return NULL;
}

static bool subscriber_match(const struct subscriber *subscriber, const char *name)
{
	struct subscription *subscription = subscriber_find(subscriber, name);

	if (subscription)
		subscription->is_found = true;
	return subscription != NULL;
}

static void subscriber_drop_held(struct core *core, struct subscriber *subscriber)
{
	chain_clear(core, &subscriber->held);
	subscriber->held_count = 0;
}

static void subscriber_ready_doubtful(struct core *core, struct subscriber *subscriber)
{
	chain_move(core, &subscriber->ready, &subscriber->doubtful, subscriber->doubtful.bytes);
	subscriber->ready_count += subscriber->doubtful_count;
	subscriber->doubtful_count = 0;
}

/* The herald has come to the marker, or the client stays with it: what it has told counts. Or it does not come to it, and what it
 * has told stands behind it. */
static void subscriber_end_doubt(struct core *core, struct subscriber *subscriber, bool counts)
{
	if (counts)
		subscriber_ready_doubtful(core, subscriber);
	chain_clear(core, &subscriber->doubtful);
	subscriber->doubtful_count = 0;
	subscriber->herald_doubted = false;
}

/* The server has come to the marker: what it told before, the herald tells as well. But for what the client has notified itself in
 * the transaction in which it then began to listen to that: the herald does not tell it that. */
static void subscriber_drop_told(struct core *core, struct subscriber *subscriber)
{
	struct chain told = subscriber->held;

	subscriber->held = (struct chain){0};
	subscriber->held_count = 0;
	while (!chain_empty(&told)) {
		uint8_t head[FRAME_HEAD + 4 + CHANNEL_BYTES] = {0};
		size_t len;

		(void)chain_peek(&told, head, sizeof head - 1);
		len = frame_u32(head + 1) + 1;
		if (subscriber_find(subscriber, (const char *)head + FRAME_HEAD + 4)) {
			chain_pop(core, &told, len);
		} else {
			chain_move(core, &subscriber->held, &told, len);
			subscriber->held_count++;
		}
	}
}

/* It stays where it is. */
static void subscriber_give_up(struct core *core, struct subscriber *subscriber)
{
	subscriber->is_moving = false;
	subscriber_drop_held(core, subscriber);
	subscriber_end_doubt(core, subscriber, true);
}

static void subscriber_name_turn(
	struct core *core, const struct subscriber *subscriber, char name[TRACES_RESTORED])
{
	snprintf(name, TRACES_RESTORED, "%x.%x.%x.%x", core->index, slab_index(subscriber),
		slab_generation(subscriber), subscriber->turn);
}

/* Whether what prepared the server was rolled back. If not, all that the server has told since is behind the marker. */
static void subscriber_resolve(
	struct core *core, struct subscriber *subscriber, const char *restored)
{
	char own[TRACES_RESTORED];

	subscriber_name_turn(core, subscriber, own);
	subscriber->in_doubt = false;
	if (strcmp(own, restored) == 0) {
		subscriber->server_passed = true;
		subscriber_passed(core, subscriber);
	} else {
		subscriber_give_up(core, subscriber);
	}
}

void subscriber_found(struct core *core, struct lease *lease, const struct traces *traces)
{
	struct subscriber *subscriber = lease->subscriber;
	char *const *names = traces->channels;
	unsigned count = traces->channel_count;
	bool is_truth;

	if (subscriber && subscriber->in_doubt)
		subscriber_resolve(core, subscriber, traces->restored);
	is_truth = !subscriber || subscriber->server_listens;
	if (!subscriber && (count == 0 || !(subscriber = subscriber_new(core, lease))))
		return;
	list_each(each, &subscriber->subscriptions)
		container_of(each, struct subscription, of_subscriber)->is_found = !is_truth;
	for (unsigned i = 0; i < count; i++)
		if (strlen(names[i]) < CHANNEL_BYTES && !subscriber_match(subscriber, names[i]))
			subscriber_add(core, subscriber, names[i], strlen(names[i]));
	list_each_safe(link, &subscriber->subscriptions) {
		struct subscription *subscription =
			container_of(link, struct subscription, of_subscriber);

		if (!subscription->is_found)
			subscriber_remove(core, subscription);
	}
	if (is_truth)
		subscriber->server_listens = true;
	else if (count > 0 && subscriber_must_restore(subscriber))
		subscriber_restore(
			core, lease); /* what prepared for it was undone by a savepoint */
}

/* ---- moving ---- */

static void subscriber_begin(struct subscriber *subscriber)
{
	subscriber->turn++;
	subscriber->is_moving = true;
	subscriber->server_passed = subscriber->herald_passed = false;
	subscriber->is_silenced = subscriber->in_doubt = subscriber->is_undoable = false;
	subscriber->asked = 0;
}

static void subscriber_add_channels(const struct subscriber *subscriber, struct sqltext *text)
{
	list_each(link, &subscriber->subscriptions) {
		sqltext_add(text, "LISTEN ");
		sqltext_add_identifier(text,
			container_of(link, struct subscription, of_subscriber)->channel->name);
		sqltext_add(text, ";");
	}
}

static void subscriber_add_marker(
	struct core *core, const struct subscriber *subscriber, struct sqltext *text)
{
	char payload[MARKER_BYTES];
	struct marker marker = {
		core->index, slab_index(subscriber), slab_generation(subscriber), subscriber->turn};

	marker_write(core, &marker, payload);
	sqltext_add(text, "LISTEN " MARKER_CHANNEL "; NOTIFY " MARKER_CHANNEL ", ");
	sqltext_add_literal(text, payload);
}

/* What has been prepared in a transaction shows in a variable whether it was rolled back. */
static void subscriber_add_turn(
	struct core *core, const struct subscriber *subscriber, struct sqltext *text)
{
	char name[TRACES_RESTORED];

	subscriber_name_turn(core, subscriber, name);
	sqltext_add(text, ";SET " SUBSCRIBER_RESTORED " = '");
	sqltext_add(text, name);
	sqltext_add(text, "'");
}

/* All that prepares the server as one statement, of which nothing is done if that was done and has not been rolled back since. */
static void subscriber_add_block(
	struct core *core, const struct subscriber *subscriber, struct sqltext *text)
{
	char name[TRACES_RESTORED];
	struct sqltext block;

	subscriber_name_turn(core, subscriber, name);
	sqltext_init(&block);
	sqltext_add(&block,
		"BEGIN IF pg_catalog.current_setting('" SUBSCRIBER_RESTORED
		"', true) IS DISTINCT FROM '");
	sqltext_add(&block, name);
	sqltext_add(&block, "' THEN ");
	subscriber_add_channels(subscriber, &block);
	subscriber_add_marker(core, subscriber, &block);
	subscriber_add_turn(core, subscriber, &block);
	sqltext_add(&block, ";END IF;END");
	sqltext_add(text, "DO ");
	sqltext_add_quoted(text, &block);
}

static void subscriber_send(struct core *core, struct lease *lease, struct sqltext *text)
{
	struct server *server = lease->server;

	sqltext_send(core, &server->stream->out, text);
	stream_flush(core, server->stream);
	pending_push(&server->pending, PENDING_QUERY, PENDING_HIDDEN);
	lease->knows_unnamed = false;
}

/* The name of the block below, and of its portal: no client's, so that the client's own stay as they are. */
static const char block_name[] = "pgring_listen";

static void block_close(struct writer *writer, struct pending *pending, char what)
{
	writer_begin(writer, CLIENT_CLOSE);
	writer_u8(writer, (uint8_t)what);
	writer_string(writer, block_name);
	writer_finish(writer);
	pending_push(pending, PENDING_CLOSE, PENDING_INJECTED);
}

static void block_execute(struct writer *writer, struct pending *pending)
{
	writer_begin(writer, CLIENT_BIND);
	writer_string(writer, block_name);
	writer_string(writer, block_name);
	for (int i = 0; i < 3; i++) /* no formats, parameters, formats of the result */
		writer_u16(writer, 0);
	writer_finish(writer);
	pending_push(pending, PENDING_BIND, PENDING_INJECTED);
	writer_begin(writer, CLIENT_EXECUTE);
	writer_string(writer, block_name);
	writer_u32(writer, 0);
	writer_finish(writer);
	pending_push(pending, PENDING_EXECUTE, PENDING_INJECTED);
}

/* Sends it as one statement of the batch that is open: a Query would commit what stands before it. The client hears of it only if
 * it fails. It is closed before, too: one that failed is still there. */
static void subscriber_send_block(struct core *core, struct server *server, struct sqltext *text)
{
	static const uint8_t no_types[] = {'\0', 0, 0};
	uint8_t head[FRAME_HEAD], around[128];
	struct writer writer;

	writer_init(&writer, around, sizeof around);
	block_close(&writer, &server->pending, 'S');
	stream_send(core, server->stream, around, writer_len(&writer));
	frame_write(
		head, CLIENT_PARSE, (uint32_t)(sizeof block_name + text->len + sizeof no_types));
	stream_send(core, server->stream, head, sizeof head);
	stream_send(core, server->stream, block_name, sizeof block_name);
	stream_send(core, server->stream, text->bytes, text->len);
	stream_send(core, server->stream, no_types, sizeof no_types);
	pending_push(&server->pending, PENDING_PARSE, PENDING_INJECTED);
	writer_init(&writer, around, sizeof around);
	block_execute(&writer, &server->pending);
	block_close(&writer, &server->pending, 'P');
	block_close(&writer, &server->pending, 'S');
	stream_send(core, server->stream, around, writer_len(&writer));
	sqltext_forget(text);
}

void subscriber_restore(struct core *core, struct lease *lease)
{
	struct subscriber *subscriber = lease->subscriber;
	struct server *server = lease->server;
	bool in_batch = server->pending.is_open, is_again = subscriber->is_moving;
	struct sqltext text;

	CHECK(subscriber_must_restore(subscriber) && pending_readies(&server->pending) == 0);
	lease_begin(core, lease);
	subscriber->is_undoable = false;
	if (!is_again) {
		subscriber_begin(subscriber);
		subscriber->herald_doubted = subscriber->unheard > 0;
	}
	sqltext_init(&text);
	if (in_batch || is_again) {
		subscriber_add_block(core, subscriber, &text);
	} else {
		subscriber_add_channels(subscriber, &text);
		subscriber_add_marker(core, subscriber, &text);
		if (server->status != 'I')
			subscriber_add_turn(core, subscriber, &text);
	}
	traces_suspect(&server->traces, TRACE_LISTEN);
	if (in_batch) {
		subscriber_send_block(core, server, &text);
		return;
	}
	subscriber_send(core, lease, &text);
	if (server->status == 'I') /* else it would be taken back before it is heard */
		server_query_hidden(core, server, "UNLISTEN " MARKER_CHANNEL, HIDDEN_NEEDED);
}

/* What a client hears is in the database's encoding, unless its own server tells it. */
static bool subscriber_same_encoding(const struct server *server)
{
	const char *client = params_get(&server->params, "client_encoding"),
		   *database = params_get(&server->params, "server_encoding");

	return client && database &&
		(strcasecmp(client, database) == 0 || strcasecmp(client, "SQL_ASCII") == 0 ||
			strcasecmp(database, "SQL_ASCII") == 0);
}

void subscriber_leave(struct core *core, struct lease *lease)
{
	struct subscriber *subscriber = lease->subscriber;
	struct sqltext text;

	if (subscriber->unheard > 0 || !subscriber_same_encoding(lease->server))
		return;
	subscriber_begin(subscriber);
	sqltext_init(&text);
	subscriber_add_marker(core, subscriber, &text);
	subscriber_send(core, lease, &text);
}

static void subscriber_news(struct core *core, struct subscriber *subscriber)
{
	core_defer(core, &subscriber->lease->task);
}

/* Whether the herald is still to come to the marker. The server has: it was notified before this. */
static void subscriber_ask(struct core *core, struct subscriber *subscriber)
{
	struct pool *pool = subscriber->lease->pool;
	struct tiding *asked = tiding_new(TIDING_ASKED, herald_home(core, pool), pool->id, NULL);

	subscriber->asked = asked->serial = ++core->pools->tiding_serial;
	tiding_send(core, asked);
}

/* One of the two has come to the marker, or will not come to it any more. */
static void subscriber_passed(struct core *core, struct subscriber *subscriber)
{
	bool to_server = subscriber->source == SUBSCRIBER_AT_HERALD;

	if (to_server && subscriber->server_passed)
		subscriber->server_listens = true;
	if (to_server && subscriber->server_passed && subscriber->herald_doubted &&
		subscriber->asked == 0)
		subscriber_ask(core, subscriber);
	if (!subscriber->server_passed || !subscriber->herald_passed)
		return;
	subscriber->is_moving = false;
	subscriber->source = to_server ? SUBSCRIBER_AT_SERVER : SUBSCRIBER_AT_HERALD;
	core_count(core, METRIC_listens_moved);
	chain_move(core, &subscriber->ready, &subscriber->held, subscriber->held.bytes);
	subscriber->ready_count += subscriber->held_count;
	subscriber->held_count = 0;
	subscriber_news(core, subscriber);
}

void subscriber_strand(struct lease *lease)
{
	CHECK(!lease->subscriber->is_moving);
	if (subscriber_same_encoding(lease->server))
		lease->subscriber->source = SUBSCRIBER_AT_HERALD;
}

void subscriber_answered(struct core *core, struct subscriber *subscriber, char status)
{
	if (!subscriber_is_pending(subscriber))
		return;
	subscriber->is_undoable = status != 'I';
	if (status != 'I')
		return;
	if (subscriber->is_silenced)
		subscriber->in_doubt = true;
	else
		subscriber_give_up(core, subscriber);
}

void subscriber_rolled_back(struct core *core, struct subscriber *subscriber)
{
	if (subscriber_is_pending(subscriber))
		subscriber_give_up(core, subscriber);
}

/* ---- hearing ---- */

static void subscriber_keep(struct core *core, struct subscriber *subscriber, struct chain *chain,
	const uint8_t *message, size_t len)
{
	int64_t most = core->pools->config->general.pub_sub_channel_size;

	if (subscriber->is_overrun)
		return;
	if ((most > 0 &&
		    subscriber->ready_count + subscriber->doubtful_count + subscriber->held_count >=
			    most) ||
		subscriber->ready.bytes + subscriber->doubtful.bytes + subscriber->held.bytes +
				len >
			LIMIT_UNHEARD_BYTES) {
		subscriber->is_overrun = true;
		core_count(core, METRIC_listeners_overrun);
	} else {
		chain_copy(core, chain, message, len);
		if (chain == &subscriber->ready)
			subscriber->ready_count++;
		else if (chain == &subscriber->doubtful)
			subscriber->doubtful_count++;
		else
			subscriber->held_count++;
	}
	subscriber_news(core, subscriber);
}

bool subscriber_hears(struct core *core, struct lease *lease, const uint8_t *message, size_t len)
{
	struct subscriber *subscriber = lease->subscriber;
	struct marker_notification news;
	struct marker marker;

	if (marker_find(message, len, &news) != 0)
		return false;
	if (strcmp(news.channel, MARKER_CHANNEL) == 0) {
		if (subscriber && subscriber->is_moving &&
			marker_read(core, news.payload, &marker) && marker.core == core->index &&
			marker.slot == slab_index(subscriber) &&
			marker.generation == slab_generation(subscriber) &&
			marker.turn == subscriber->turn) {
			if (subscriber->source == SUBSCRIBER_AT_HERALD)
				subscriber_drop_told(core, subscriber);
			subscriber->server_passed = true;
			subscriber_passed(core, subscriber);
		}
		return true;
	}
	if (!subscriber) {
		const struct traces *traces = &lease->server->traces;

		/* else it is of who used the server before, in a way that nobody noticed */
		return !((traces->held | traces->suspected | traces->asked) & TRACE_LISTEN);
	}
	if (subscriber->source == SUBSCRIBER_AT_HERALD) {
		if (subscriber->is_moving)
			subscriber_keep(core, subscriber, &subscriber->held, message, len);
		return true;
	}
	if (subscriber->is_moving && subscriber->server_passed)
		return true;
	if (chain_empty(&subscriber->ready))
		return false;
	subscriber_keep(core, subscriber, &subscriber->ready, message, len);
	return true;
}

/* A notification of the herald's. */
static void subscriber_hears_herald(struct core *core, const struct subscription *subscription,
	const uint8_t *message, size_t len)
{
	struct subscriber *subscriber = subscription->subscriber;
	bool is_past = subscriber->is_moving && subscriber->herald_passed,
	     is_early = subscriber->is_moving && subscription->since == subscriber->turn;

	if (subscriber->source == SUBSCRIBER_AT_HERALD && !is_past && !is_early)
		subscriber_keep(core, subscriber,
			subscriber->herald_doubted ? &subscriber->doubtful : &subscriber->ready,
			message, len);
	else if (subscriber->source == SUBSCRIBER_AT_SERVER && is_past)
		subscriber_keep(core, subscriber, &subscriber->held, message, len);
}

void subscriber_take(struct core *core, struct subscriber *subscriber, struct chain *target)
{
	uint8_t head[FRAME_HEAD];

	CHECK(chain_peek(&subscriber->ready, head, sizeof head) == sizeof head);
	chain_move(core, target, &subscriber->ready, frame_u32(head + 1) + 1);
	subscriber->ready_count--;
}

static void subscriber_marked(struct core *core, const char *payload)
{
	struct subscriber *subscriber;
	struct marker marker;

	if (!marker_read(core, payload, &marker) || marker.core != core->index)
		return;
	subscriber = slab_get(&core->pools->subscribers, marker.slot, marker.generation);
	if (!subscriber || !subscriber->is_moving || subscriber->turn != marker.turn)
		return;
	subscriber_end_doubt(core, subscriber, true);
	subscriber->herald_passed = true;
	subscriber_passed(core, subscriber);
}

static void subscriber_told_news(struct core *core, struct pool *pool, const struct tiding *tiding)
{
	const uint8_t *at = tiding->bytes, *end = at + tiding->len;

	while (at < end) {
		size_t len = frame_u32(at + 1) + 1;
		struct marker_notification news;
		struct channel *channel;

		CHECK(marker_find(at, len, &news) == 0);
		channel = channels_find(core, &pool->channels, news.channel, news.channel_len);
		if (strcmp(news.channel, MARKER_CHANNEL) == 0)
			subscriber_marked(core, news.payload);
		else if (channel)
			list_each(link, &channel->users)
				subscriber_hears_herald(core,
					container_of(link, struct subscription, of_channel), at,
					len);
		at += len;
	}
}

static void subscriber_told_heard(struct core *core, struct channel *channel)
{
	if (channel->is_there)
		return;
	channel->is_there = true;
	list_each(link, &channel->users) {
		struct subscriber *subscriber =
			container_of(link, struct subscription, of_channel)->subscriber;

		if (--subscriber->unheard == 0)
			subscriber_news(core, subscriber); /* it may leave its server */
	}
}

void subscriber_paused(struct core *core, struct pool *pool)
{
	struct subscriber *subscriber;
	uint32_t at = 0;

	while ((subscriber = slab_next(&core->pools->subscribers, &at)))
		if (subscriber->lease->pool == pool)
			subscriber_news(core, subscriber);
}

static void subscriber_told_lost(struct core *core, struct pool *pool)
{
	struct subscriber *subscriber;
	uint32_t at = 0;

	list_each(link, &pool->channels.all)
		container_of(link, struct channel, all)->is_there = false;
	while ((subscriber = slab_next(&core->pools->subscribers, &at))) {
		if (subscriber->lease->pool != pool)
			continue;
		subscriber->unheard = subscriber->count;
		if (!subscriber->is_moving)
			continue;
		if (subscriber->source == SUBSCRIBER_AT_SERVER && !subscriber->server_passed) {
			subscriber_give_up(core, subscriber); /* it stays with its server */
			subscriber_news(core, subscriber);
		} else if (subscriber->source == SUBSCRIBER_AT_HERALD) {
			subscriber->herald_doubted = !subscriber->herald_passed;
			subscriber->asked = 0;
			subscriber_passed(core, subscriber);
		} else {
			subscriber->herald_passed = true;
			subscriber_passed(core, subscriber);
		}
	}
}

/* All that was notified before the question has been told, and the marker was not among it. */
static void subscriber_told_all(struct core *core, uint32_t asked)
{
	struct subscriber *subscriber;
	uint32_t at = 0;

	while ((subscriber = slab_next(&core->pools->subscribers, &at))) {
		if (!subscriber->is_moving || !subscriber->herald_doubted ||
			subscriber->asked != asked)
			continue;
		subscriber_end_doubt(core, subscriber, false);
		subscriber->herald_passed = true;
		subscriber_passed(core, subscriber);
		return;
	}
}

void subscriber_told(struct core *core, struct pool *pool, const struct tiding *tiding)
{
	struct channel *channel;

	switch (tiding->kind) {
	case TIDING_NEWS:
		subscriber_told_news(core, pool, tiding);
		return;
	case TIDING_LOST:
		subscriber_told_lost(core, pool);
		return;
	case TIDING_TOLD:
		subscriber_told_all(core, tiding->serial);
		return;
	case TIDING_HEARD:
	case TIDING_STRAY:
		channel = channels_find(core, &pool->channels, tiding->name, tiding->name_len);
		if (!channel || channel->serial != tiding->serial)
			return;
		if (tiding->kind == TIDING_HEARD)
			subscriber_told_heard(core, channel);
		else
			subscriber_want(core, pool, channel);
		return;
	case TIDING_WANTED:
	case TIDING_UNWANTED:
	case TIDING_ASKED:
		break;
	}
	UNREACHABLE();
}
