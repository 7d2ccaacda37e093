/* Finding the client of a cancel request, and telling its server. */
#include "router/cancel.h"

#include "core/errors.h"
#include "protocol/crypto.h"
#include "protocol/sqlstate.h"
#include "protocol/writer.h"
#include "router/client.h"

#include <stdlib.h>
#include <string.h>

enum { CANCEL_TIMEOUT_MS = 5000 };

/* One connection that carries one request to a server. */
struct cancel {
	struct stream *stream;
	struct address address;
	struct timer timer;
	uint32_t server_slot, server_generation;
	uint8_t packet[STARTUP_KEY_MAX + 16];
	size_t packet_len;
};

size_t cancel_bytes(void)
{
	return sizeof(struct cancel);
}

void cancel_request(struct core *core, uint32_t pid, const uint8_t *key, size_t key_len)
{
	struct cancel_letter *request;
	struct letter letter = {.kind = LETTER_CANCEL};
	uint32_t target, slot;

	if (!client_pid_parse(pid, &target, &slot) || target >= core->world->worker_count ||
		key_len > STARTUP_KEY_MAX) {
		core_count(core, METRIC_cancels_ignored);
		return;
	}
	request = malloc(sizeof *request);
	CHECK(request);
	request->pid = pid;
	request->key_len = key_len;
	memcpy(request->key, key, key_len);
	letter.a = request;
	if (mailbox_send(core, target, &letter) != 0) {
		core_count(core, METRIC_cancels_ignored);
		free(request);
	}
}

static void cancel_connected(struct core *core, struct stream *stream)
{
	struct cancel *cancel = stream->owner;

	stream_send(core, stream, cancel->packet, cancel->packet_len);
	stream_read(core, stream); /* PostgreSQL closes once it has sent the signal */
}

static void cancel_data(
	struct core *core, struct stream *stream, const struct span *spans, unsigned count)
{
	(void)core, (void)stream, (void)spans,
		(void)count; /* nothing is said on such a connection */
}

static void cancel_over(struct core *core, struct cancel *cancel)
{
	core_timer_stop(core, &cancel->timer);
	stream_close(core, cancel->stream, STREAM_AT_ONCE);
}

static void cancel_ended(struct core *core, struct stream *stream, int error)
{
	(void)error;
	cancel_over(core, stream->owner);
}

static void cancel_closed(struct core *core, struct stream *stream)
{
	struct cancel *cancel = stream->owner;
	struct server *server =
		slab_get(&core->pools->servers, cancel->server_slot, cancel->server_generation);

	core_timer_stop(core, &cancel->timer);
	slab_free(&core->router->cancels, cancel);
	if (server && server->state != SERVER_CLOSING)
		server_cancel_done(core, server);
}

static void cancel_timeout(struct core *core, struct timer *timer)
{
	cancel_over(core, container_of(timer, struct cancel, timer));
}

static const struct stream_events cancel_events = {
	.connected = cancel_connected,
	.data = cancel_data,
	.ended = cancel_ended,
	.closed = cancel_closed,
};

static void cancel_send(struct core *core, struct server *server)
{
	struct cancel *cancel = slab_alloc(&core->router->cancels);
	struct writer writer;

	if (!cancel)
		return;
	cancel->address = server->address;
	cancel->server_slot = slab_index(server);
	cancel->server_generation = slab_generation(server);
	timer_init(&cancel->timer, cancel_timeout);
	writer_init(&writer, cancel->packet, sizeof cancel->packet);
	startup_write_cancel(&writer, server->pid, server->key, server->key_len);
	cancel->packet_len = writer_len(&writer);
	if (cancel->packet_len == 0 ||
		stream_connect(core, &cancel->address, &cancel_events, cancel, &cancel->stream) !=
			0) {
		slab_free(&core->router->cancels, cancel);
		return;
	}
	server->cancels++;
	core_count(core, METRIC_cancels);
	core_timer_set(core, &cancel->timer, CANCEL_TIMEOUT_MS);
}

static void cancel_client(struct core *core, struct client *client)
{
	static const struct fault fault = {"ERROR", SQLSTATE_QUERY_CANCELED,
		"canceling statement due to user request", NULL, NULL};

	if (client->state == CLIENT_CONSOLE && client->command) {
		client_console_cancel(core, client);
	} else if (client->state != CLIENT_READY) {
		core_count(core, METRIC_cancels_ignored);
	} else if (client->lease.state == LEASE_WAITING) {
		lease_cancel_wait(core, &client->lease);
		client_relay_fail(core, client, &fault);
	} else if (client->lease.state == LEASE_HELD &&
		!pending_empty(&client->lease.server->pending)) {
		cancel_send(core, client->lease.server);
	} else {
		core_count(core, METRIC_cancels_ignored); /* its query is over already */
	}
}

void cancel_arrived(struct core *core, const struct letter *letter)
{
	struct cancel_letter *request = letter->a;
	uint32_t index, slot, at = 0;
	struct client *client = NULL;

	CHECK(client_pid_parse(request->pid, &index, &slot) && index == core->index);
	at = slot;
	client = slab_next(&core->router->clients, &at);
	if (client && slab_index(client) == slot && client->key_len > 0 &&
		client->key_len == request->key_len &&
		crypto_equal(client->key, request->key, request->key_len))
		cancel_client(core, client);
	else
		core_count(core, METRIC_cancels_ignored);
	free(request);
}
