/* Sending cancel requests: when, how many at once, and who waits for it. */
#include "pool/server_cancel.h"

#include "pool/pool.h"
#include "protocol/writer.h"

#include <string.h>

enum { SERVER_CANCEL_TIMEOUT_MS = 5000 };

enum server_cancel_state {
	CANCEL_QUEUED,
	CANCEL_CONNECTING,
	CANCEL_SENT,
	CANCEL_FAILED, /* before there was a connection */
	CANCEL_CLOSING,
};

struct server_cancel {
	struct pool *pool;
	struct server *server; /* NULL: it is closed */
	struct stream *stream; /* not while QUEUED */
	struct address address;
	struct list link; /* QUEUED: in pool->cancels */
	struct timer timer;
	struct list asked,
		sent;   /* of server_cancel_wait: for whom nothing, or this request, was sent */
	uint8_t state;  /* enum server_cancel_state */
	bool is_orphan; /* to be sent although its server is closed */
	uint32_t sent_serial; /* SENT: for which query */
	uint8_t packet[STARTUP_KEY_MAX + 16];
	size_t packet_len;
};

enum server_cancel_time { CANCEL_EARLY, CANCEL_NOW, CANCEL_LATE };

/* Sends what it is time for, as far as there may be connections. */
static void cancel_pump(struct core *core, struct pool *pool);

size_t server_cancel_bytes(void)
{
	return sizeof(struct server_cancel);
}

/* Whether a query that is meant by somebody who waits has yet to begin, runs, or is over. */
static enum server_cancel_time cancel_time(const struct server_cancel *cancel)
{
	enum server_cancel_time time = CANCEL_LATE;

	if (cancel->is_orphan)
		return CANCEL_NOW;
	list_each(link, &cancel->asked) {
		uint32_t serial = container_of(link, struct server_cancel_wait, link)->serial;

		if (!cancel->server)
			return CANCEL_LATE;
		if (serial == cancel->server->readies)
			return CANCEL_NOW;
		if ((int32_t)(serial - cancel->server->readies) > 0)
			time = CANCEL_EARLY;
	}
	return time;
}

static void cancel_tell(struct core *core, struct list *waits)
{
	struct list *link;

	while ((link = list_pop_front(waits))) {
		struct server_cancel_wait *wait =
			container_of(link, struct server_cancel_wait, link);

		wait->over(core, wait);
	}
}

/* It is over. Returns the server that is free of it; NULL if that is closed. */
static struct server *cancel_end(struct core *core, struct server_cancel *cancel)
{
	struct server *server = cancel->server;

	cancel_tell(core, &cancel->sent);
	cancel_tell(core, &cancel->asked);
	list_remove(&cancel->link);
	if (server)
		server->cancel = NULL;
	cancel->pool->cancel_count--;
	if (cancel->pool->is_removed)
		pool_wake(core, cancel->pool); /* its last request lets it go */
	slab_free(&core->pools->cancels, cancel);
	return server;
}

static void cancel_queue(struct server_cancel *cancel)
{
	cancel->state = CANCEL_QUEUED;
	list_push_back(&cancel->pool->cancels, &cancel->link);
}

/* ---- the connection ---- */

static void cancel_hang_up(struct core *core, struct server_cancel *cancel)
{
	cancel->state = CANCEL_CLOSING;
	core_timer_stop(core, &cancel->timer);
	stream_close(core, cancel->stream, STREAM_AT_ONCE);
}

static void cancel_connected(struct core *core, struct stream *stream)
{
	struct server_cancel *cancel = stream->owner;

	if (cancel_time(cancel) != CANCEL_NOW) {
		cancel_hang_up(core, cancel);
		return;
	}
	cancel->state = CANCEL_SENT;
	list_splice_back(&cancel->sent, &cancel->asked);
	cancel->sent_serial = cancel->server ? cancel->server->readies : 0;
	core_count(core, METRIC_cancels);
	stream_send(core, stream, cancel->packet, cancel->packet_len);
	stream_read(core, stream);
}

static void cancel_data(
	struct core *core, struct stream *stream, const struct span *spans, unsigned count)
{
	(void)core, (void)stream, (void)spans,
		(void)count; /* nothing is said on such a connection */
}

static void cancel_ended(struct core *core, struct stream *stream, int error)
{
	(void)error;
	cancel_hang_up(core, stream->owner);
}

/* What was sent is dealt with. Who asked meanwhile, for another query, has another turn. */
static void cancel_settle(struct core *core, struct server_cancel *cancel)
{
	struct server *server;

	/* What was sent is for all who meant that query. */
	list_each_safe(link, &cancel->asked) {
		struct server_cancel_wait *wait =
			container_of(link, struct server_cancel_wait, link);

		if (list_empty(&cancel->sent) || wait->serial != cancel->sent_serial)
			continue;
		list_remove(link);
		list_push_back(&cancel->sent, link);
	}
	cancel->is_orphan = false; /* once is enough */
	cancel_tell(core, &cancel->sent);
	if (cancel_time(cancel) != CANCEL_LATE) {
		cancel_queue(cancel);
		return;
	}
	server = cancel_end(core, cancel);
	if (server)
		server_cancelled(core, server);
}

static void cancel_timeout(struct core *core, struct timer *timer)
{
	struct server_cancel *cancel = container_of(timer, struct server_cancel, timer);
	struct pool *pool = cancel->pool;

	if (cancel->state == CANCEL_FAILED) {
		cancel_settle(core, cancel);
		cancel_pump(core, pool);
		return;
	}
	/* Nobody knows when it will arrive: nobody else shall have that server. */
	if (cancel->state == CANCEL_SENT && cancel->server)
		cancel->server->retires = true;
	cancel_hang_up(core, cancel);
}

static void cancel_closed(struct core *core, struct stream *stream)
{
	struct server_cancel *cancel = stream->owner;
	struct pool *pool = cancel->pool;

	CHECK(cancel->state == CANCEL_CLOSING && pool->cancel_connections > 0);
	pool->cancel_connections--;
	cancel_settle(core, cancel);
	cancel_pump(core, pool);
}

static const struct stream_events cancel_events = {
	.connected = cancel_connected,
	.data = cancel_data,
	.ended = cancel_ended,
	.closed = cancel_closed,
};

static void cancel_start(struct core *core, struct server_cancel *cancel)
{
	list_remove(&cancel->link);
	if (stream_connect(core, &cancel->address, &cancel_events, cancel, &cancel->stream) == 0) {
		cancel->state = CANCEL_CONNECTING;
		cancel->pool->cancel_connections++;
		core_timer_set(core, &cancel->timer, SERVER_CANCEL_TIMEOUT_MS);
		return;
	}
	/* No stream or no descriptor: the same as one that is lost on its way. */
	core_count(core, METRIC_cancels_ignored);
	list_splice_back(&cancel->sent, &cancel->asked);
	cancel->state = CANCEL_FAILED;
	core_timer_set(core, &cancel->timer, 0);
}

static void cancel_pump(struct core *core, struct pool *pool)
{
	list_each_safe(link, &pool->cancels) {
		struct server_cancel *cancel = container_of(link, struct server_cancel, link);

		if (pool->cancel_connections >= LIMIT_CANCELS)
			return;
		if (cancel_time(cancel) == CANCEL_NOW)
			cancel_start(core, cancel);
	}
}

/* ---- asking ---- */

static struct server_cancel *cancel_new(struct core *core, struct server *server)
{
	struct server_cancel *cancel;
	struct writer writer;

	if (server->key_len == 0) /* it has told none */
		return NULL;
	cancel = slab_alloc(&core->pools->cancels);
	if (!cancel)
		return NULL;
	writer_init(&writer, cancel->packet, sizeof cancel->packet);
	startup_write_cancel(&writer, server->pid, server->key, server->key_len);
	cancel->packet_len = writer_len(&writer);
	if (cancel->packet_len == 0) {
		slab_free(&core->pools->cancels, cancel);
		return NULL;
	}
	cancel->pool = server->pool;
	cancel->pool->cancel_count++;
	cancel->server = server;
	cancel->address = server->address;
	list_init(&cancel->link);
	list_init(&cancel->asked);
	list_init(&cancel->sent);
	timer_init(&cancel->timer, cancel_timeout);
	cancel_queue(cancel);
	server->cancel = cancel;
	return cancel;
}

/* Finds the first query of the client among what the server owes. Returns false if there is none. */
static bool cancel_find(const struct server *server, uint32_t *ret_serial)
{
	const struct pending *pending = &server->pending;
	uint32_t serial = server->readies;

	for (uint32_t i = 0; i < pending->count; i++) {
		struct pending_entry entry =
			pending->entries[(pending->first + i) & (LIMIT_PENDING - 1)];

		if (!(entry.flags & PENDING_HIDDEN)) {
			*ret_serial = serial;
			return true;
		}
		serial += entry.kind == PENDING_QUERY || entry.kind == PENDING_SYNC;
	}
	return false;
}

bool server_cancel_ask(struct core *core, struct server *server, struct server_cancel_wait *wait)
{
	struct server_cancel *cancel = server->cancel;

	if (!cancel_find(server, &wait->serial))
		return false;
	if (!cancel)
		cancel = cancel_new(core, server);
	if (!cancel)
		return false;
	list_init(&wait->link);
	list_push_back(&cancel->asked, &wait->link);
	cancel_pump(core, server->pool);
	return true;
}

void server_cancel_orphan(struct core *core, struct server *server)
{
	struct server_cancel *cancel = server->cancel;

	if (pending_empty(&server->pending))
		return;
	if (!cancel)
		cancel = cancel_new(core, server);
	if (!cancel)
		return;
	cancel->is_orphan = true;
	cancel_pump(core, server->pool);
}

void server_cancel_count(const struct server *server, uint64_t *waiting, uint64_t *active)
{
	if (!server->cancel)
		return;
	list_each(link, &server->cancel->asked)
		(*waiting)++;
	list_each(link, &server->cancel->sent)
		(*active)++;
}

void server_cancel_answered(struct core *core, struct server *server)
{
	struct server_cancel *cancel = server->cancel;

	if (cancel->state == CANCEL_QUEUED && cancel_time(cancel) == CANCEL_LATE)
		(void)cancel_end(core, cancel);
	else if (cancel->state == CANCEL_CONNECTING && cancel_time(cancel) == CANCEL_LATE)
		cancel_hang_up(core, cancel);
	else
		cancel_pump(core, server->pool);
}

void server_cancel_closing(struct core *core, struct server *server)
{
	struct server_cancel *cancel = server->cancel;

	if (!cancel)
		return;
	server->cancel = NULL;
	cancel->server = NULL;
	if (cancel->is_orphan)
		return;
	if (cancel->state == CANCEL_QUEUED)
		(void)cancel_end(core, cancel);
	else if (cancel->state == CANCEL_CONNECTING)
		cancel_hang_up(core, cancel);
}
